/* Pretraining below the command line: validation against a softmax written out here, accumulation, freezing, and runs whose bits depend on the recipe
 * alone. */
#include "memory.h"
#include "tiny_store.h"

#include <math.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "model/head.h"
#include "train/pretrain.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("mlm", "tiny", NULL, NULL, 0, NULL);
    make_tiny_store("store", 0, 400, 400, NULL);
    make_tiny_store("held-out", 1000, 80, 80, NULL);
    return 0;
}

static void set(xr_options *o, const char *key, const char *value)
{
    if (xr_options_set(o, key, value) < 0)
        fail_msg("%s", xr_error_message());
}

static void choose(xr_options *o)
{
    static const char *const option[][2] = { { "block-length", "16" }, { "batch-size", "8" }, { "micro-batch-size", "3" }, { "max-steps", "6" },
                                             { "learning-rate", "1e-3" }, { "overwrite-output-dir", "true" }, { "logging-steps", "1" } };
    assert_int_equal(xr_options_init(o, XR_V_PRETRAIN), XR_OK);
    set(o, "model", in_scratch("mlm"));
    set(o, "train-data", in_scratch("store"));
    set(o, "output-dir", in_scratch("run"));
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        set(o, option[i][0], option[i][1]);
}

/* Runs with up to two options besides (NULL: none); the summary is the caller's. */
static json_t *run_with(const char *key, const char *value, const char *key2, const char *value2)
{
    xr_options o;
    json_t *summary = NULL;
    choose(&o);
    if (key)
        set(&o, key, value);
    if (key2)
        set(&o, key2, value2);
    if (xr_pretrain_run(&o, NULL, NULL, &summary) < 0)
        fail_msg("%s", xr_error_message());
    xr_options_free(&o);
    return summary;
}

static double number(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

/* Line `want` (from 0) among those of metrics.jsonl that have `key`; the caller's. */
static json_t *metrics_line(const char *key, int want)
{
    size_t len;
    char *text = xr_file_read(in_scratch("run/metrics.jsonl"), 1 << 20, &len);
    json_t *found = NULL;
    assert_non_null(text);
    for (char *line = strtok(text, "\n"); line && !found; line = strtok(NULL, "\n")) {
        json_t *j = xr_json_parse(line, strlen(line), "metrics.jsonl");
        assert_non_null(j);
        if (json_object_get(j, key) && want-- == 0)
            found = json_incref(j);
        json_decref(j);
    }
    xr_free(text);
    assert_non_null(found);
    return found;
}

/* --- validation --------------------------------------------------------------------------------------------------- */

static double cross_entropy(const float *z, size_t n, int32_t target)
{
    double max = -INFINITY, sum = 0.0;
    for (size_t i = 0; i < n; i++)
        max = fmax(max, (double)z[i]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)z[i] - max);
    return max + log(sum) - (double)z[target];
}

typedef struct validation { xr_store *store; xr_blocks *blocks; xr_mlm_loader *loader; uint64_t count[3]; } validation;

/* Blocks and masks of scratch/held-out as a run sees them: seed 0 whatever the run's. */
static void open_validation(validation *v)
{
    xr_masking masking = { .policy = XR_MASK_FAIRSEQ, .share = 0.15, .mask_share = 0.8, .random_share = 0.1, .vocab_size = 120, .mask_id = 119 };
    v->store = xr_store_open(in_scratch("held-out"), NULL);
    assert_non_null(v->store);
    v->blocks = xr_blocks_open(&v->store, 1, XR_BREAK_COMPLETE, 16, NULL);
    assert_non_null(v->blocks);
    assert_int_equal(xr_blocks_n_languages(v->blocks), 3);
    for (size_t i = 0; i < 3; i++)
        v->count[i] = xr_blocks_count(v->blocks, i);
    v->loader = xr_mlm_loader_new(v->blocks, NULL, &masking, 1, 1);
    assert_non_null(v->loader);
}

static void close_validation(validation *v)
{
    xr_mlm_loader_free(v->loader);
    xr_blocks_close(v->blocks);
    xr_store_close(v->store);
}

/* Mean loss of a language by whole logits, one block at a time. */
static double loss_by_logits(xr_model *m, validation *v, size_t lang, uint64_t *masked)
{
    double sum = 0.0;
    size_t reserve = xr_model_reserve(m, 16, 1, 16, 16, 0), vocabulary = (size_t)m->config.vocab_size;
    xr_tape *t = xr_tape_new(reserve);
    *masked = 0;
    for (uint64_t b = 0; b < v->count[lang]; b++) {
        const xr_batch *batch = xr_mlm_loader_validation(v->loader, lang, b, 1);
        assert_non_null(batch);
        xr_tape_begin(t, 0, 0, 0, 0);
        const xr_tensor *z = m->head->forward(t, m, batch);
        assert_non_null(z);
        for (size_t i = 0; i < batch->n_mask; i++)
            sum += cross_entropy(z->x + i * vocabulary, vocabulary, batch->mask_target[i]);
        *masked += (uint64_t)batch->n_mask;
    }
    xr_tape_free(t);
    return sum / (double)*masked;
}

static void perplexity_is_short(void **state)
{
    (void)state;
    char text[XR_PERPLEXITY_TEXT];
    assert_string_equal(xr_perplexity_text(12.345, 1, text), "12.3");
    assert_string_equal(xr_perplexity_text(1e6, 2, text), "1000000.00");
    assert_string_equal(xr_perplexity_text(exp(300), 2, text), "1.942e+130");
    assert_string_equal(xr_perplexity_text((double)INFINITY, 2, text), "inf");
}

/* The evaluation before the first update is the starting model's loss; perplexity and bits follow from it; the mean counts languages alike. */
static void validation_by_language(void **state)
{
    (void)state;
    static const char *const language[] = { "aa", "bb", "cc" };
    validation v;
    xr_model m;
    double mean = 0.0;
    uint64_t masked;
    xr_load_options l = { .quiet = 1 };
    json_decref(run_with("validation-data", in_scratch("held-out"), "seed", "7"));
    json_t *line = metrics_line("languages", 1);    /* the first is the start line */
    assert_int_equal(number(line, "step"), 0);
    open_validation(&v);
    assert_int_equal(xr_model_load(&m, in_scratch("mlm"), &l), XR_OK);
    for (size_t i = 0; i < 3; i++) {
        const json_t *j = json_object_get(json_object_get(line, "languages"), language[i]);
        double want = loss_by_logits(&m, &v, i, &masked);
        assert_int_equal(number(j, "masked_tokens"), masked);
        assert_int_equal(number(j, "blocks"), v.count[i]);
        assert_true(fabs(number(j, "loss") - want) < 2e-6 * want);
        assert_true(fabs(number(j, "perplexity") - exp(number(j, "loss"))) < 1e-9 * exp(want));
        assert_true(fabs(number(j, "bits_per_token") - number(j, "loss") / log(2.0)) < 1e-9);
        mean += number(j, "loss") / 3.0;
    }
    assert_true(fabs(number(line, "loss") - mean) < 1e-9);
    json_decref(line);
    xr_model_free(&m);
    close_validation(&v);
}

/* --- training ------------------------------------------------------------------------------------------------------ */

/* Sentences of one to a dozen tokens, so micro-batches have very different numbers of masked tokens: a mean of their means would be another loss. */
static void accumulation_is_exact(void **state)
{
    (void)state;
    double loss[3], norm[3];
    static const char *const micro[] = { "8", "3", "1" };
    for (int k = 0; k < 3; k++) {
        xr_options o;
        choose(&o);
        set(&o, "break-mode", "eos");
        set(&o, "micro-batch-size", micro[k]);
        set(&o, "hidden-dropout", "0");
        set(&o, "attention-dropout", "0");
        if (xr_pretrain_run(&o, NULL, NULL, NULL) < 0)
            fail_msg("%s", xr_error_message());
        xr_options_free(&o);
        json_t *line = metrics_line("grad_norm", 5);
        loss[k] = number(line, "loss");
        norm[k] = number(line, "grad_norm");
        json_decref(line);
        assert_true(fabs(loss[k] - loss[0]) < 1e-5 * loss[0]);
        assert_true(fabs(norm[k] - norm[0]) < 1e-4 * norm[0]);
    }
}

static void digest_of(char digest[40], int threads, const char *key, const char *value)
{
    xr_threads_set(threads);
    json_t *summary = run_with(key, value, "validation-data", in_scratch("held-out"));
    assert_int_equal(number(summary, "steps"), 6);
    snprintf(digest, 40, "%s", json_string_value(json_object_get(summary, "state_xxh3")));
    assert_int_equal(strlen(digest), 32);
    json_decref(summary);
}

static void bits_depend_on_the_recipe_alone(void **state)
{
    (void)state;
    char want[40], got[40];
    int before = xr_threads();
    static const char *const other[][2] = { { "seed", "43" }, { "lang-alpha", "1" }, { "mlm-probability", "0.2" }, { "mask-policy", "hf" },
                                            { "whole-word", "true" }, { "break-mode", "complete_doc" }, { "hidden-dropout", "0" },
                                            { "optimizer", "adam" }, { "lr-scheduler", "polynomial" }, { "freeze-layers", "1" } };
    digest_of(want, 1, NULL, NULL);
    for (int threads = 1; threads <= 4; threads++) {
        digest_of(got, threads, NULL, NULL);
        assert_string_equal(got, want);
    }
    digest_of(got, 2, "recompute", "true");
    assert_string_equal(got, want);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        digest_of(got, 1, other[i][0], other[i][1]);
        if ((strcmp(got, want) == 0) != (strcmp(other[i][1], "polynomial") == 0))     /* of power 1 to 0: what linear is */
            fail_msg("--%s %s: digest %s, without it %s", other[i][0], other[i][1], got, want);
    }
    xr_threads_set(before);
}

/* As many whole blocks as fit into the tokens of an update are the same run. */
static void batch_in_tokens(void **state)
{
    (void)state;
    json_t *a = run_with(NULL, NULL, NULL, NULL), *b = run_with("batch-size", "1", "total-batch-tokens", "140");
    assert_string_equal(json_string_value(json_object_get(a, "state_xxh3")), json_string_value(json_object_get(b, "state_xxh3")));
    json_decref(a);
    json_decref(b);
}

static void one_batch_is_learnt(void **state)
{
    (void)state;
    xr_options o;
    choose(&o);
    set(&o, "overfit-batch", "true");
    set(&o, "max-steps", "150");
    set(&o, "learning-rate", "5e-3");
    set(&o, "hidden-dropout", "0");
    set(&o, "attention-dropout", "0");
    if (xr_pretrain_run(&o, NULL, NULL, NULL) < 0)
        fail_msg("%s", xr_error_message());
    xr_options_free(&o);
    json_t *first = metrics_line("grad_norm", 0), *last = metrics_line("grad_norm", 149);
    assert_true(number(first, "loss") > 2.0);
    assert_true(number(last, "loss") < 0.1);
    json_decref(first);
    json_decref(last);
}

static void frozen_rows_stay(void **state)
{
    (void)state;
    xr_model a, b;
    xr_load_options l = { .quiet = 1 };
    size_t frozen = 0, moved = 0;
    json_decref(run_with("freeze-layers", "1", NULL, NULL));
    assert_int_equal(xr_model_load(&a, in_scratch("mlm"), &l), XR_OK);
    assert_int_equal(xr_model_load(&b, in_scratch("run/final"), &l), XR_OK);
    assert_string_equal(b.config.head, "masked_lm");
    for (size_t i = 0; i < a.params.n; i++) {
        const xr_param *p = a.params.row[i], *q = b.params.row[i];
        int same = memcmp(p->t.x, q->t.x, xr_numel(&p->t) * sizeof(float)) == 0;
        frozen += p->layer <= 1;
        moved += !same;
        assert_true(same || p->layer > 1);
    }
    assert_int_equal(moved, a.params.n - frozen);
    xr_model_free(&a);
    xr_model_free(&b);
}

/* --- refusals ------------------------------------------------------------------------------------------------------ */

static void refuse(const char *key, const char *value, xr_status status, const char *part)
{
    xr_options o;
    choose(&o);
    set(&o, "output-dir", in_scratch("refused"));
    set(&o, key, strstr(key, "data") ? in_scratch(value) : value);
    assert_int_equal(xr_pretrain_run(&o, NULL, NULL, NULL), status);
    expect_error(status, part);
    assert_false(xr_path_exists(in_scratch("refused")));
    xr_options_free(&o);
}

/* Its digest is right, as anyone can compute it. */
static void claim_more_pieces(const char *name)
{
    json_t *m = xr_store_read_manifest(in_scratch(name)), *t = json_object_get(m, "tokenizer");
    int pieces = (int)json_integer_value(json_object_get(t, "vocab_size"));
    char *sha256 = xr_strdup(json_string_value(json_object_get(t, "sha256")));
    assert_int_equal(xr_store_write_manifest(in_scratch(name), sha256, pieces + 1, json_object_get(m, "shards"), NULL), XR_OK);
    xr_free(sha256);
    json_decref(m);
}

static void mistakes_leave_nothing_behind(void **state)
{
    (void)state;
    make_tiny_store("forged", 0, 20, 20, NULL);
    claim_more_pieces("forged");
    refuse("train-data", "forged", XR_EDATA, "forged: has ids up to ");
    assert_int_equal(xr_mkdirs(in_scratch("empty")), XR_OK);
    refuse("block-length", "400", XR_EUSAGE, "--block-length 400: the model has positions for ");
    refuse("mask-share", "0.95", XR_EUSAGE, "--mask-share 0.95 and --random-share 0.1 are more than 1");
    refuse("total-batch-tokens", "15", XR_EUSAGE, "not one block of 16 tokens");
    refuse("early-stopping-patience", "2", XR_EUSAGE, "needs --validation-data");
    refuse("warmup-steps", "7", XR_EUSAGE, "more than the 6 updates");
    refuse("freeze-layers", "9", XR_EUSAGE, "the model has 2 layers");
    refuse("train-data", "empty", XR_ENOINPUT, "no token store");
    refuse("validation-data", "nowhere", XR_ENOINPUT, "nowhere");
}

/* Every allocation may fail: each failure is a status, and nothing leaks. */
static void no_memory(void **state)
{
    (void)state;
    xr_options o;
    choose(&o);
    set(&o, "max-steps", "1");
    set(&o, "batch-size", "2");
    set(&o, "validation-data", in_scratch("held-out"));
    set(&o, "max-eval-samples", "1");
    long before = xr_alloc_live();
    int status = -1;
    for (long k = 0; status < 0 && k < 100000; k = next_failure(k, 40)) {
        xr_error_clear();
        xr_alloc_fail_after(k);
        status = xr_pretrain_run(&o, NULL, NULL, NULL);
        xr_alloc_fail_after(-1);
        if (status < 0)
            assert_int_equal(status, XR_ESYSTEM);
        assert_int_equal(xr_alloc_live(), before);
    }
    assert_int_equal(status, XR_OK);
    xr_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(perplexity_is_short),
        cmocka_unit_test_setup(validation_by_language, clear_error),
        cmocka_unit_test_setup(accumulation_is_exact, clear_error),
        cmocka_unit_test_setup(bits_depend_on_the_recipe_alone, clear_error),
        cmocka_unit_test_setup(batch_in_tokens, clear_error),
        cmocka_unit_test_setup(one_batch_is_learnt, clear_error),
        cmocka_unit_test_setup(frozen_rows_stay, clear_error),
        cmocka_unit_test_setup(mistakes_leave_nothing_behind, clear_error),
        cmocka_unit_test_setup(no_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
