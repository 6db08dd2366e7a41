/* Fine-tuning below the command line: which labels a head gets, weights of classes, and a whole run whose bits depend on the recipe alone. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/finetune.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", NULL, NULL, 0, NULL);
    make_tiny_dir("multi", "tiny-multi", NULL, NULL, 0, NULL);
    return 0;
}

static void set(xr_options *o, const char *key, const char *value)
{
    if (xr_options_set(o, key, value) < 0)
        fail_msg("%s", xr_error_message());
}

/* Options of a run on scratch/MODEL and the files named, up to NULL. */
static void choose(xr_options *o, const char *model, const char *file, const char *second)
{
    assert_int_equal(xr_options_init(o, XR_V_FINETUNE), XR_OK);
    set(o, "model", in_scratch(model));
    set(o, "train-file", in_scratch(file));
    if (second)
        set(o, "train-file", in_scratch(second));
    set(o, "output-dir", in_scratch("run"));
    set(o, "overwrite-output-dir", "true");
    set(o, "max-seq-length", "16");
}

static void read_data(xr_finetune *f, const xr_options *o)
{
    memset(f, 0, sizeof *f);
    f->o = o;
    if (xr_finetune_read(f) < 0)
        fail_msg("%s", xr_error_message());
}

static void done(xr_finetune *f, xr_options *o)
{
    xr_finetune_free(f);
    xr_options_free(o);
}

/* Exactly these names have a 1 in row i; "" for none. */
static void expect_targets(const xr_finetune *f, size_t i, const char *names)
{
    const float *row = f->train.target + i * f->train.n_target;
    assert_int_equal(f->train.n_target, f->labels.n);
    for (size_t c = 0; c < f->train.n_target; c++)
        if (row[c] != (strstr(names, f->labels.name[c]) ? 1.0f : 0.0f))
            fail_msg("example %zu: %s is %g", i, f->labels.name[c], (double)row[c]);
}

/* The classes of a new multi-label head are those of the data, in an order that the files' order does not change; the classes of the head that the
 * directory had are gone. */
static void labels_of_a_new_multi_label_head(void **state)
{
    (void)state;
    static const char *const model[] = { "cls", "multi" };
    write_scratch("a.jsonl", "{\"text\": \"ba\", \"label\": [\"west\", \"north\"]}\n{\"text\": \"be\", \"label\": []}\n");
    write_scratch("b.jsonl", "{\"text\": \"bi\", \"label\": [\"east\"]}\n{\"text\": \"bo\", \"label\": [\"north\"]}\n");
    for (int m = 0; m < 2; m++)
        for (int turn = 0; turn < 2; turn++) {
            xr_options o;
            xr_finetune f;
            choose(&o, model[m], turn ? "b.jsonl" : "a.jsonl", turn ? "a.jsonl" : "b.jsonl");
            set(&o, "problem-type", "multi_label");
            read_data(&f, &o);
            assert_false(f.keep_head);
            char *names = xr_labels_list(&f.labels);
            assert_string_equal(names, "east, north, west");
            xr_free(names);
            expect_targets(&f, turn ? 2 : 0, "west north");
            expect_targets(&f, turn ? 3 : 1, "");
            expect_targets(&f, turn ? 0 : 2, "east");
            expect_targets(&f, turn ? 1 : 3, "north");
            done(&f, &o);
        }
}

/* A head that knows all labels of the data is kept, in its own order. */
static void a_multi_label_head_is_kept(void **state)
{
    (void)state;
    char line[256];
    xr_options o;
    xr_finetune f;
    xr_config c;
    char *path = xr_path_join(in_scratch("multi"), "config.json");
    assert_int_equal(xr_config_read(&c, path), XR_OK);
    xr_free(path);
    snprintf(line, sizeof line, "{\"text\": \"ba\", \"label\": [\"%s\"]}\n", c.label[1]);
    write_scratch("known.jsonl", line);
    choose(&o, "multi", "known.jsonl", NULL);
    read_data(&f, &o);
    assert_true(f.keep_head);
    assert_int_equal(f.labels.n, c.num_labels);
    for (int k = 0; k < c.num_labels; k++)
        assert_string_equal(f.labels.name[k], c.label[k]);
    expect_targets(&f, 0, c.label[1]);
    xr_config_free(&c);
    done(&f, &o);
}

static void no_label_at_all(void **state)
{
    (void)state;
    xr_options o;
    xr_finetune f = { 0 };
    write_scratch("none.jsonl", "{\"text\": \"ba\", \"label\": []}\n{\"text\": \"be\", \"label\": []}\n");
    choose(&o, "cls", "none.jsonl", NULL);
    set(&o, "problem-type", "multi_label");
    f.o = &o;
    assert_int_equal(xr_finetune_read(&f), XR_EDATA);
    expect_error(XR_EDATA, "no training example has a label");
    done(&f, &o);
}

/* What a loss does not have is refused, not ignored. */
static void smoothing_is_for_classes(void **state)
{
    (void)state;
    xr_options o;
    xr_finetune f = { 0 };
    write_scratch("values.tsv", "text\tlabel\nba\t0.5\nbe\t1.5\n");
    choose(&o, "cls", "values.tsv", NULL);
    set(&o, "label-smoothing", "0.1");
    f.o = &o;
    assert_int_equal(xr_finetune_read(&f), XR_EUSAGE);
    expect_error(XR_EUSAGE, "--label-smoothing 0.1");
    done(&f, &o);
}

/* n / (C count), as sklearn.utils.class_weight.compute_class_weight. */
static void balanced_weights(void **state)
{
    (void)state;
    xr_options o;
    xr_finetune f;
    write_scratch("four.tsv", "text\tlabel\nba\tno\nbe\tyes\nbi\tyes\nbo\tyes\n");
    choose(&o, "cls", "four.tsv", NULL);
    set(&o, "class-weights", "balanced");
    read_data(&f, &o);
    assert_true(f.class_weight[0] == 2.0f);
    assert_true(fabsf(f.class_weight[1] - 2.0f / 3.0f) < 1e-7f);
    done(&f, &o);
}

/* 40 sentences of two classes. */
static void write_sentences(const char *name)
{
    xr_str s = { 0 };
    assert_int_equal(xr_str_puts(&s, "text\tlabel\n"), XR_OK);
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(xr_str_printf(&s, "%s\t%s\n", tiny_sentence(i), i % 3 ? "yes" : "no"), XR_OK);
    write_scratch(name, s.s);
    xr_str_free(&s);
}

/* The digest of weights, moments and counters after a run. */
static void run_digest(char digest[40], int threads, const char *key, const char *value)
{
    xr_options o;
    json_t *summary = NULL;
    choose(&o, "cls", "sentences.tsv", NULL);
    set(&o, "validation-file", in_scratch("sentences.tsv"));
    set(&o, "batch-size", "8");
    set(&o, "micro-batch-size", "3");
    set(&o, "num-epochs", "2");
    set(&o, "learning-rate", "1e-3");
    set(&o, "hidden-dropout", "0.1");
    set(&o, "attention-dropout", "0.1");
    set(&o, "group-by-length", "true");
    if (key)
        set(&o, key, value);
    xr_threads_set(threads);
    if (xr_finetune_run(&o, NULL, &summary) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(json_integer_value(json_object_get(summary, "steps")), 10);
    snprintf(digest, 40, "%s", json_string_value(json_object_get(summary, "state_xxh3")));
    json_decref(summary);
    xr_options_free(&o);
}

static void bits_depend_on_the_recipe_alone(void **state)
{
    (void)state;
    char want[40], got[40];
    int before = xr_threads();
    write_sentences("sentences.tsv");
    run_digest(want, 1, NULL, NULL);
    assert_int_equal(strlen(want), 32);
    for (int threads = 1; threads <= 4; threads++) {
        run_digest(got, threads, NULL, NULL);
        assert_string_equal(got, want);
    }
    run_digest(got, 2, "recompute", "true");
    assert_string_equal(got, want);
    run_digest(got, 2, "logging-steps", "1");
    assert_string_equal(got, want);
    run_digest(got, 2, "seed", "43");
    assert_string_not_equal(got, want);
    xr_threads_set(before);
}

/* A short run on the sentences, validated on `valid`. */
static xr_status short_run(const char *model, const char *valid, const char *key, const char *value, const xr_loop_hooks *hooks)
{
    xr_options o;
    write_sentences("sentences.tsv");
    choose(&o, model, "sentences.tsv", NULL);
    if (valid)
        set(&o, "validation-file", in_scratch(valid));
    set(&o, "max-steps", "4");
    set(&o, key, value);
    xr_status status = xr_finetune_run(&o, hooks, NULL);
    xr_options_free(&o);
    return status;
}

/* Weights that only the validation data come upon: the run ends, it does not keep a loss of NaN as the best of all. */
static void validation_is_finite(void **state)
{
    (void)state;
    xr_model m;
    xr_load_options l = { .quiet = 1 };
    assert_int_equal(xr_model_load(&m, in_scratch("cls"), &l), XR_OK);
    for (size_t j = 0; j < m.word->t.cols; j++)
        m.word->t.x[XR_ID_UNK * m.word->t.cols + j] = 3e38f;
    assert_int_equal(xr_mkdirs(in_scratch("overflow")), XR_OK);
    assert_int_equal(xr_model_save(&m, in_scratch("overflow"), in_scratch("tok"), NULL), XR_OK);
    xr_model_free(&m);
    write_scratch("foreign.tsv", "\xe4\xbd\xa0\xe5\xa5\xbd\tyes\nbada\tno\n");
    assert_int_equal(short_run("overflow", "foreign.tsv", "metric", "loss", NULL), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "step 2: validation: "));
    assert_non_null(strstr(xr_error_message(), "overflow: the model's answer is NaN"));
    assert_false(xr_path_exists(in_scratch("run/best")));
}

static void on_evaluating(void *context, size_t n, size_t total)
{
    assert_true(n <= total);
    ++*(int *)context;
}

static int evaluation_began(void *context)
{
    return *(int *)context > 0;
}

/* A signal during an evaluation does not wait for its end. */
static void stop_during_an_evaluation(void **state)
{
    (void)state;
    int batches = 0;
    xr_loop_hooks hooks = { &batches, NULL, NULL, on_evaluating, evaluation_began };
    assert_int_equal(short_run("cls", "sentences.tsv", "eval-steps", "2", &hooks), XR_ETEMPFAIL);
    assert_non_null(strstr(xr_error_message(), "after update 2 of 4"));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000002/state.h5")));
    assert_false(xr_path_exists(in_scratch("run/best")));
}

/* On a full disk, which log it was. */
static void logs_name_their_file(void **state)
{
    (void)state;
    xr_runlog log;
    assert_int_equal(xr_mkdirs(in_scratch("full")), XR_OK);
    assert_int_equal(symlink("/dev/full", in_scratch("full/metrics.jsonl")), 0);
    assert_int_equal(xr_runlog_open(&log, in_scratch("full")), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, json_pack("{si}", "step", 1)), XR_EIO);
    assert_non_null(strstr(xr_error_message(), "full/metrics.jsonl: writing failed after 0 of 11 bytes: "));
    (void)xr_runlog_close(&log);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
}

static char warning[512];

static void keep_warning(xr_level level, const char *line)
{
    if (level == XR_LOG_WARN)
        snprintf(warning, sizeof warning, "%s", line);
}

static void evaluations_of_nothing(void **state)
{
    (void)state;
    xr_log_set_sink(keep_warning);
    assert_int_equal(short_run("cls", NULL, "eval-steps", "2", NULL), XR_OK);
    xr_log_set_sink(NULL);
    assert_non_null(strstr(warning, "--eval-steps 2 has no effect"));
}

/* Several files, weights and sets, and the choice among them: whatever allocation fails, the error is that and nothing is left. */
static void files_without_memory(void **state)
{
    (void)state;
    xr_options o;
    write_scratch("train-en.tsv", "text\tlabel\nba be\tx\nbi bo\ty\n");
    write_scratch("train-de.tsv", "text\tlabel\nbu ba\tx\n");
    write_scratch("dev-fr.tsv", "text\tlabel\nda de\tx\ndi do\ty\n");
    choose(&o, "cls", "train-en.tsv", "train-de.tsv");
    set(&o, "validation-file", in_scratch("train-de.tsv"));
    set(&o, "validation-file", in_scratch("dev-fr.tsv"));
    set(&o, "select-by", "worst");
    set(&o, "problem-type", "single_label");
    long before = xr_alloc_live(), failed = 0;
    for (long k = 0, over = 0; !over; k = next_failure(k, 50)) {
        xr_finetune f;
        memset(&f, 0, sizeof f);
        f.o = &o;
        xr_alloc_fail_after(k);
        xr_status status = xr_finetune_read(&f);
        status = status == XR_OK ? xr_finetune_plan_choice(&f) : status;
        status = status == XR_OK ? xr_finetune_mix(&f) : status;
        status = status == XR_OK ? xr_finetune_say_sets(&f) : status;
        xr_alloc_fail_after(-1);
        xr_finetune_free(&f);
        xr_mixture_free(&f.mixture);
        xr_str_free(&f.choice);
        assert_int_equal(xr_alloc_live(), before);
        over = status == XR_OK;
        failed += !over;
        assert_true(over || status == XR_ESYSTEM);
        xr_error_clear();
    }
    assert_true(failed > 50);
    xr_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(labels_of_a_new_multi_label_head, clear_error),
        cmocka_unit_test_setup(a_multi_label_head_is_kept, clear_error),
        cmocka_unit_test_setup(no_label_at_all, clear_error),
        cmocka_unit_test_setup(smoothing_is_for_classes, clear_error),
        cmocka_unit_test_setup(balanced_weights, clear_error),
        cmocka_unit_test_setup(bits_depend_on_the_recipe_alone, clear_error),
        cmocka_unit_test_setup(validation_is_finite, clear_error),
        cmocka_unit_test_setup(files_without_memory, clear_error),
        cmocka_unit_test_setup(stop_during_an_evaluation, clear_error),
        cmocka_unit_test_setup(logs_name_their_file, clear_error),
        cmocka_unit_test_setup(evaluations_of_nothing, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
