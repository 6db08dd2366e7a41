/* A run that meets everything a run can meet is stopped and goes on, after every one of its updates, at other numbers of threads: all bytes that it leaves
 * are those of a run that nobody stopped. For fine-tuning and for pretraining, in f32 and bf16. A sample in `make test`; every update at every number of
 * threads in every precision in `make torture` (XLMR_TORTURE=full). */
#include "stopper.h"
#include "tiny_store.h"
#include "torture.h"

#include <stdlib.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/finetune.h"
#include "train/pretrain.h"
#include "train/rundir.h"
#include "util/alloc.h"

enum { STEPS = 60, EVAL = 4 };      /* of 90 planned; early stopping ends the run there, at an update with an evaluation and a checkpoint */

typedef struct recipe { const char *precision, *moments; int is_pretraining; } recipe;

static const recipe *now;       /* what runs are made by */

/* --- the run ------------------------------------------------------------------------------------------------------ */

static int make_everything(void **state)
{
    char longest[1024];
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_overflowing_dir("cls", "tiny-cls", 0);
    make_overflowing_dir("mlm", "tiny", 30);
    write_labelled("train.tsv", 0, 120, 17);
    write_labelled("dev.tsv", 200, 40, 40);
    snprintf(longest, sizeof longest, "%s %s %s %s", tiny_sentence(3), tiny_sentence(7), tiny_sentence(11), tiny_sentence(15));
    make_tiny_store("store", 0, 120, 4, longest);       /* so few different ones are learned by heart */
    make_tiny_store("held-out", 1000, 40, 40, NULL);
    return 0;
}

static void choose(xr_options *o)
{
    static const char *const common[][2] = {
        { "batch-size", "8" }, { "micro-batch-size", "3" }, { "max-steps", "90" }, { "warmup-steps", "10" }, { "weight-decay", "0.01" },
        { "hidden-dropout", "0.1" }, { "attention-dropout", "0.1" }, { "eval-steps", "4" }, { "save-steps", "5" }, { "logging-steps", "7" },
        { "ema", "0.8" }, { "on-nonfinite", "skip" },
    };
    assert_int_equal(xr_options_init(o, now->is_pretraining ? XR_V_PRETRAIN : XR_V_FINETUNE), XR_OK);
    set_all(o, common, sizeof common / sizeof *common);
    set_inputs(o, now->is_pretraining);
    set(o, now->is_pretraining ? "break-mode" : "group-by-length", now->is_pretraining ? "eos" : "true");
    set(o, now->is_pretraining ? "block-length" : "max-seq-length", now->is_pretraining ? "36" : "16");
    set(o, "learning-rate", now->is_pretraining ? "1e-2" : "1e-3");
    set(o, "early-stopping-patience", now->is_pretraining ? "12" : "6");
    if (!now->is_pretraining)
        set(o, "metric", "loss");
    set(o, "precision", now->precision);
    set(o, "moments", now->moments);
    set(o, "output-dir", in_scratch("run"));
}

/* At this number of threads, up to a stop after update `at` (0: none), or in the evaluation behind it. */
static xr_status run(int threads, uint64_t at, int in_evaluation)
{
    xr_options o;
    stopper s = { at, 0, in_evaluation, 0 };
    xr_loop_hooks hooks = { &s, NULL, on_step, on_evaluating, on_stop };
    xr_error_clear();
    choose(&o);
    xr_threads_set(threads);
    xr_status status = now->is_pretraining ? xr_pretrain_run(&o, &hooks, NULL, NULL) : xr_finetune_run(&o, &hooks, NULL);
    xr_options_free(&o);
    return status;
}


/* --- what it leaves ----------------------------------------------------------------------------------------------- */

static void expect_same_file(const char *a, const char *b)
{
    size_t n, m;
    char *x = xr_file_read(a, 1 << 26, &n), *y = xr_file_read(b, 1 << 26, &m);
    if (!x || !y)
        fail_msg("%s", xr_error_message());
    if (n != m || memcmp(x, y, n) != 0)
        fail_msg("%s and %s differ", a, b);
    xr_free(x);
    xr_free(y);
}

static xr_status same_entry(const char *path, const char *name, void *context)
{
    char *other = xr_path_join(context, name);
    expect_same_file(path, other);
    xr_free(other);
    return XR_OK;
}

static void expect_same_dir(const char *name)
{
    char run[64], ref[64];
    snprintf(run, sizeof run, "run/%s", name);
    snprintf(ref, sizeof ref, "ref/%s", name);
    assert_int_equal(xr_dir_each(in_scratch(ref), same_entry, (void *)in_scratch(run)), XR_OK);
    assert_int_equal(xr_dir_each(in_scratch(run), same_entry, (void *)in_scratch(ref)), XR_OK);
}

static void expect_same_run(void)
{
    expect_same_file(in_scratch("run/metrics.jsonl"), in_scratch("ref/metrics.jsonl"));
    expect_same_dir("best");
    expect_same_dir("final");
    expect_same_dir("checkpoints/step-00000060");
}

static long end_value(const char *key)
{
    json_t *end = xr_rundir_end(in_scratch("run"));
    assert_non_null(end);
    long value = (long)json_integer_value(json_object_get(end, key));
    json_decref(end);
    return value;
}

/* Rotation, epochs, updates that were left out, a best model that was replaced, and an end before its time. */
static void expect_everything_met(void)
{
    size_t n;
    char *log = xr_file_read(in_scratch("run/metrics.jsonl"), 1 << 20, &n);
    assert_non_null(log);
    assert_int_equal(end_value("step"), STEPS);
    assert_in_range(end_value("best_step"), 2 * EVAL, STEPS - EVAL);
    assert_non_null(strstr(log, "\"event\":\"skip\""));
    assert_non_null(strstr(log, "\"epoch\":1."));
    assert_non_null(strstr(log, "\"epoch\":2."));
    assert_false(xr_path_exists(in_scratch("run/checkpoints/step-00000005")));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000060")));
    xr_free(log);
}

/* --- stops -------------------------------------------------------------------------------------------------------- */

static const int threads[] = { 1, 2, 4, 8 };
enum { N_THREADS = sizeof threads / sizeof *threads };

static int threads_of(uint64_t k) { return threads[k % N_THREADS]; }

static void begin_anew(void)
{
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
}

static void must_stop(uint64_t at, int in_evaluation, uint64_t k)
{
    if (run(threads_of(k), at, in_evaluation) != XR_ETEMPFAIL)
        fail_msg("stop after update %d: %s", (int)at, xr_error_message());
}

static void must_end(uint64_t k)
{
    if (run(threads_of(k), 0, 0) != XR_OK)
        fail_msg("%s", xr_error_message());
}

/* After the last update that is before its evaluation, its checkpoint and the early stop. */
static void stop_once_anywhere(void)
{
    for (uint64_t at = 1; at <= STEPS; at++)
        for (uint64_t k = at; k < at + (in_full() ? N_THREADS : 1); k++) {
            begin_anew();
            must_stop(at, 0, k);
            must_end(k + 1);
            expect_same_run();
        }
}

static void stop_in_every_evaluation(void)
{
    begin_anew();
    for (uint64_t at = EVAL; at <= STEPS; at += EVAL)
        must_stop(at, 1, at / EVAL);
    must_end(0);
    expect_same_run();
}

static void stop_after_every_update(void)
{
    begin_anew();
    for (uint64_t at = 1; at <= STEPS; at++)
        must_stop(at, 0, at);
    must_end(0);
    expect_same_run();
}

static void exact(void **state)
{
    now = *state;
    begin_anew();
    must_end(0);
    expect_everything_met();
    assert_int_equal(xr_remove_tree(in_scratch("ref")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("ref")), 0);
    stop_after_every_update();
    stop_in_every_evaluation();
    if (in_full() || (strcmp(now->precision, "f32") == 0 && strcmp(now->moments, "f32") == 0))
        stop_once_anywhere();
}

int main(void)
{
    static recipe f32[] = { { "f32", "f32", 0 }, { "f32", "f32", 1 } }, bf16[] = { { "bf16", "bf16", 0 }, { "bf16", "bf16", 1 } },
                  products[] = { { "bf16", "f32", 0 }, { "bf16", "f32", 1 } }, moments[] = { { "f32", "bf16", 0 }, { "f32", "bf16", 1 } };
    const struct CMUnitTest tests[] = {
        { "finetune, f32", exact, clear_error, NULL, &f32[0] },
        { "pretrain, f32", exact, clear_error, NULL, &f32[1] },
        { "finetune, bf16 and its moments too", exact, clear_error, NULL, &bf16[0] },
        { "pretrain, bf16 and its moments too", exact, clear_error, NULL, &bf16[1] },
        { "finetune, bf16", exact, clear_error, NULL, &products[0] },
        { "pretrain, bf16", exact, clear_error, NULL, &products[1] },
        { "finetune, moments in bf16", exact, clear_error, NULL, &moments[0] },
        { "pretrain, moments in bf16", exact, clear_error, NULL, &moments[1] },
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
