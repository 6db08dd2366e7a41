/* Fine-tuning and pretraining of a few updates with all that belongs to a run: evaluations, checkpoints, a stop, going on, an average of weights. Short enough
 * to be watched by memcheck (make valgrind); what is compared is what test_exactness compares of long runs. */
#include "stopper.h"
#include "tiny_store.h"

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/finetune.h"
#include "train/pretrain.h"
#include "util/alloc.h"

typedef struct recipe { const char *precision, *moments; int is_pretraining; } recipe;

static void choose(xr_options *o, const recipe *r, const char *run)
{
    static const char *const common[][2] = {
        { "batch-size", "4" }, { "micro-batch-size", "2" }, { "max-steps", "4" }, { "hidden-dropout", "0.1" }, { "attention-dropout", "0.1" },
        { "eval-steps", "2" }, { "save-steps", "2" }, { "save-total-limit", "1" }, { "logging-steps", "1" }, { "ema", "0.8" }, { "weight-decay", "0.01" },
    };
    assert_int_equal(xr_options_init(o, r->is_pretraining ? XR_V_PRETRAIN : XR_V_FINETUNE), XR_OK);
    set_all(o, common, sizeof common / sizeof *common);
    set_inputs(o, r->is_pretraining);
    set(o, r->is_pretraining ? "block-length" : "max-seq-length", "16");
    set(o, "precision", r->precision);
    set(o, "moments", r->moments);
    set(o, "output-dir", in_scratch(run));
}

static xr_status run(const recipe *r, const char *name, uint64_t at)
{
    xr_options o;
    stopper s = { at, 0, 0, 0 };
    xr_loop_hooks hooks = { &s, NULL, on_step, on_evaluating, on_stop };
    choose(&o, r, name);
    xr_status status = r->is_pretraining ? xr_pretrain_run(&o, &hooks, NULL, NULL) : xr_finetune_run(&o, &hooks, NULL);
    xr_options_free(&o);
    return status;
}

static void expect_same(const char *name)
{
    size_t n, m;
    char one[64], two[64];
    snprintf(one, sizeof one, "run/%s", name);
    snprintf(two, sizeof two, "ref/%s", name);
    char *a = xr_file_read(in_scratch(one), 1 << 26, &n), *b = xr_file_read(in_scratch(two), 1 << 26, &m);
    if (!a || !b || n != m || memcmp(a, b, n) != 0)
        fail_msg("%s: not the same; %s", name, xr_error_message());
    xr_free(a);
    xr_free(b);
}

/* Stopped after the first and the third update. */
static void stopped_and_gone_on(void **state)
{
    const recipe *r = *state;
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("ref")), XR_OK);
    if (run(r, "ref", 0) != XR_OK)
        fail_msg("%s", xr_error_message());
    for (uint64_t at = 1; at <= 3; at += 2) {
        assert_int_equal(run(r, "run", at), XR_ETEMPFAIL);
        xr_error_clear();
    }
    if (run(r, "run", 0) != XR_OK)
        fail_msg("%s", xr_error_message());
    expect_same("metrics.jsonl");
    expect_same("best/model.safetensors");
    expect_same("final/model.safetensors");
    expect_same("checkpoints/step-00000004/state.h5");
    expect_same("checkpoints/step-00000004/MANIFEST.json");
}

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    xr_threads_set(2);
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", NULL, NULL, 0, NULL);
    make_tiny_dir("mlm", "tiny", NULL, NULL, 0, NULL);
    write_labelled("train.tsv", 0, 16, 16);
    write_labelled("dev.tsv", 40, 6, 6);
    make_tiny_store("store", 0, 30, 30, NULL);
    make_tiny_store("held-out", 1000, 10, 10, NULL);
    return 0;
}

int main(void)
{
    static recipe finetune = { "f32", "f32", 0 }, pretrain = { "f32", "f32", 1 }, half = { "bf16", "bf16", 0 };
    const struct CMUnitTest tests[] = {
        { "finetune", stopped_and_gone_on, clear_error, NULL, &finetune },
        { "pretrain", stopped_and_gone_on, clear_error, NULL, &pretrain },
        { "finetune, bf16", stopped_and_gone_on, clear_error, NULL, &half },
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
