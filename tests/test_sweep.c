/* The plan of a sweep: which runs a grid means, under which names and commands; statistics against Python's; memory that runs out. What the runs do
 * is the business of sweep.bats. */
#include "scratch.h"

#include <math.h>
#include "train/sweep.h"
#include "util/alloc.h"

enum { MOST_ARGS = 24 };

/* Options of `xlmr sweep` from words, which are kept by the caller. */
static xr_status plan(xr_options *o, xr_sweep *s, const char *const *words)
{
    char *argv[MOST_ARGS];
    int n = 0;
    memset(s, 0, sizeof *s);
    for (; words[n]; n++)
        argv[n] = (char *)words[n];
    XR_TRY(xr_options_init(o, XR_V_SWEEP));
    XR_TRY(xr_options_parse(o, n, argv));
    return xr_sweep_plan(s, o);
}

static const char *const grid[] = { "--grid", "learning-rate=1e-5,2e-5", "--grid", "seed=1,2,3", "--grid", "train_file=a/b.tsv,c d.tsv", "--output-dir",
                                    "/nonexistent/s", "--", "--model", "m", "--", "--task", "xnli", "--data-dir", "d", NULL };

static void test_runs(void **state)
{
    (void)state;
    xr_options o;
    xr_sweep s;
    if (plan(&o, &s, grid) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(s.verb, XR_V_FINETUNE);
    assert_int_equal(s.n_runs, 12);
    assert_int_equal(s.n_settings, 4);
    assert_string_equal(s.run[0].name, "learning_rate=1e-5,seed=1,train_file=a_b.tsv");
    assert_string_equal(s.run[11].name, "learning_rate=2e-5,seed=3,train_file=c_d.tsv");
    assert_string_equal(s.run[11].dir, "/nonexistent/s/runs/learning_rate=2e-5,seed=3,train_file=c_d.tsv");
    for (size_t i = 0; i < s.n_runs; i++)       /* seeds of one setting: the same rate and file */
        assert_int_equal(s.run[i].setting, 2 * s.run[i].at[0] + s.run[i].at[2]);
    const xr_sweep_args *a = &s.run[11].train;
    const char *want[] = { "xlmr", "finetune", "--model", "m", "--learning-rate=2e-5", "--seed=3", "--train-file=c d.tsv",
                           "--output-dir=/nonexistent/s/runs/learning_rate=2e-5,seed=3,train_file=c_d.tsv" };
    assert_int_equal(a->n, sizeof want / sizeof *want);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(a->v[i], want[i]);
    assert_null(a->v[a->n]);
    assert_string_equal(s.run[11].test.v[1], "evaluate");
    assert_int_equal(xr_sweep_verdict(&s), XR_ETEMPFAIL);       /* nothing was run */
    expect_error(XR_ETEMPFAIL, "12 of 12 runs to do");
    xr_sweep_free(&s);
    xr_options_free(&o);
}

/* Of a sweep with this grid, these words behind --output-dir. */
static void refused(const char *grid_text, const char *const *words, const char *part)
{
    const char *all[MOST_ARGS] = { "--output-dir", "o", "--grid", grid_text };
    xr_options o;
    xr_sweep s;
    for (int i = 0; words[i]; i++)
        all[4 + i] = words[i];
    assert_int_equal(plan(&o, &s, all), XR_EUSAGE);
    expect_error(XR_EUSAGE, part);
    xr_sweep_free(&s);
    xr_options_free(&o);
}

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void test_refused(void **state)
{
    (void)state;
    refused("train_file=a/b,a_b", WORDS("--", "--model", "m"), "two runs would both be o/runs/train_file=a_b");
    refused("dry_run=true", WORDS("--", "--model", "m"), "is not for runs to differ in");
    refused("=1", WORDS("--", "--model", "m"), "expected KEY=VALUE,VALUE");
    refused("seed=1", WORDS("pretrain", "--", "--model", "m", "--train-data", "t", "--", "--task", "xnli"), "behind the second --");
    refused("seed=1", WORDS("--", "--model", "m", "word"), "word: unexpected among the options of finetune");
    refused("seed=1", WORDS("--", "--model", "m", "--help"), "--help: is an option of the sweep");
}

/* Four settings of three seeds with these values; a negative one stands for a run without a figure. */
static void set_values(xr_sweep *s, const char *metric, int higher, const double value[12])
{
    for (size_t i = 0; i < s->n_runs; i++) {
        s->run[i].state = XR_SWEEP_FINISHED;
        s->run[i].higher = higher;
        s->run[i].best.value = value[3 * s->run[i].setting + s->run[i].at[1]];
        xr_free(s->run[i].best.metric);
        s->run[i].best.metric = s->run[i].best.value < 0.0 ? NULL : xr_strdup(metric);
    }
}

/* Means and deviations are those of Python's module statistics. */
static void test_statistics(void **state)
{
    (void)state;
    static const double value[12] = { 0.8123, 0.809, 0.815, 0.5, 0.25, -1, 0.7, -1, -1, -1, -1, -1 };
    static const double diverged[12] = { NAN, 3.0, 3.0, 2.5, 2.5, 2.6, 2.4, 2.4, 2.5, -1, -1, -1 };
    const size_t at = offsetof(xr_sweep_run, best);
    xr_options o;
    xr_sweep s;
    assert_int_equal(plan(&o, &s, grid), XR_OK);
    assert_int_equal(xr_sweep_best_setting(&s), s.n_settings);
    set_values(&s, "accuracy", 1, value);
    xr_sweep_stats t = xr_sweep_statistics(&s, 0, at);
    assert_int_equal(t.n, 3);
    assert_true(fabs(t.mean - 0.8121) < 1e-15 && fabs(t.sd - 0.003004995840263292) < 1e-15 && t.least == 0.809 && t.most == 0.815);
    t = xr_sweep_statistics(&s, 1, at);
    assert_true(t.n == 2 && t.mean == 0.375 && fabs(t.sd - 0.1767766952966369) < 1e-15);
    t = xr_sweep_statistics(&s, 2, at);
    assert_true(t.n == 1 && t.mean == 0.7 && t.sd == 0.0);
    assert_int_equal(xr_sweep_statistics(&s, 3, at).n, 0);
    assert_int_equal(xr_sweep_best_setting(&s), 0);
    assert_true(xr_sweep_best_run(&s, 0)->best.value == 0.815);
    set_values(&s, "mean loss of de, en", 0, value);
    assert_int_equal(xr_sweep_best_setting(&s), 1);
    assert_true(xr_sweep_best_run(&s, 1)->best.value == 0.25);
    set_values(&s, "perplexity", 0, diverged);     /* what is no number is never the best */
    assert_int_equal(xr_sweep_best_setting(&s), 2);
    assert_int_equal(xr_sweep_verdict(&s), XR_OK);
    xr_sweep_free(&s);
    xr_options_free(&o);
}

/* The last line of a run says what it came to; one that is not there is told. */
static void test_figures(void **state)
{
    (void)state;
    static const char text[] = "{\"step\":1,\"loss\":2.0}\n"
                               "{\"event\":\"end\",\"step\":9,\"state_xxh3\":\"x\",\"metric\":\"f1\",\"best\":0.25,\"best_step\":3}\n";
    static const char diverged[] = "{\"event\":\"end\",\"step\":9,\"metric\":\"loss\",\"best\":\"inf\",\"best_step\":3}\n";
    xr_sweep_run r = { .dir = scratch };
    assert_int_equal(xr_sweep_read_figures(&r), XR_EDATA);
    expect_error(XR_EDATA, "does not end with the line of a finished run");
    assert_int_equal(xr_file_write(in_scratch("metrics.jsonl"), text, sizeof text - 1), XR_OK);
    assert_int_equal(xr_sweep_read_figures(&r), XR_OK);
    assert_string_equal(r.best.metric, "f1");
    assert_true(r.best.value == 0.25 && r.best_step == 3 && r.steps == 9);
    assert_int_equal(xr_file_write(in_scratch("metrics.jsonl"), diverged, sizeof diverged - 1), XR_OK);
    assert_int_equal(xr_sweep_read_figures(&r), XR_OK);
    assert_true(isinf(r.best.value));
    xr_free(r.best.metric);
}

/* It says too which way is better; one without that key, of an older program, says it by the name of the figure. */
static void test_direction(void **state)
{
    (void)state;
    static const struct { const char *line; int higher; } cases[] = {
        { "\"metric\":\"worst loss of de, en\",\"higher_is_better\":false,\"best\":0.25", 0 },
        { "\"metric\":\"a figure to come\",\"higher_is_better\":false,\"best\":0.25", 0 },
        { "\"metric\":\"mean accuracy of de, en\",\"higher_is_better\":true,\"best\":0.25", 1 },
        { "\"metric\":\"perplexity\",\"best\":0.25", 0 },
        { "\"metric\":\"mean loss of de, en\",\"best\":0.25", 0 },
        { "\"metric\":\"mse of de\",\"best\":0.25", 0 },
        { "\"metric\":\"worst f1 of de, loss\",\"best\":0.25", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        xr_sweep_run r = { .dir = scratch };
        int n = snprintf(text, sizeof text, "{\"event\":\"end\",\"step\":9,%s,\"best_step\":3}\n", cases[i].line);
        assert_int_equal(xr_file_write(in_scratch("metrics.jsonl"), text, (size_t)n), XR_OK);
        assert_int_equal(xr_sweep_read_figures(&r), XR_OK);
        assert_int_equal(r.higher, cases[i].higher);
        xr_free(r.best.metric);
    }
}

static void test_memory(void **state)
{
    (void)state;
    const long before = xr_alloc_live();
    int failures = 0;
    for (long k = 0;; k++) {
        xr_options o;
        xr_sweep s;
        xr_str text = { 0 };
        xr_alloc_fail_after(k);
        xr_status status = plan(&o, &s, grid);
        if (status == XR_OK)
            status = xr_sweep_table(&s, &text);
        xr_alloc_fail_after(-1);
        xr_str_free(&text);
        xr_sweep_free(&s);
        xr_options_free(&o);
        assert_int_equal(xr_alloc_live(), before);
        if (status == XR_OK)
            break;
        assert_int_equal(status, XR_ESYSTEM);
        xr_error_clear();
        failures++;
    }
    assert_true(failures > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_runs, clear_error),       cmocka_unit_test_teardown(test_refused, clear_error),
        cmocka_unit_test_teardown(test_statistics, clear_error), cmocka_unit_test_teardown(test_figures, clear_error),
        cmocka_unit_test_teardown(test_direction, clear_error),  cmocka_unit_test_teardown(test_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
