/* What is written down when an update is not finite: the first tensor by name and kind, where its data stand, figures of all tensors; and that a second
 * computation which disagrees is told from it. */
#include "tiny_dir.h"

#include <math.h>

#include "kernels/gemm.h"
#include "train/finetune.h"
#include "train/nonfinite.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"

static void hear_nothing(xr_level level, const char *line)
{
    (void)level;
    (void)line;
}

static int make_everything(void **state)
{
    static const char *const label[] = { "yes", "no", "perhaps" };      /* those of the data, so that the head is kept */
    static const int from[] = { 0, 1, 2 };
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", label, from, 0, NULL);
    xr_str s = { 0 };
    assert_int_equal(xr_str_puts(&s, "text\tlabel\n"), XR_OK);
    for (unsigned i = 0; i < 16; i++)       /* the character is unknown to the tokenizer */
        assert_int_equal(xr_str_printf(&s, "%s%s\t%s\n", tiny_sentence(i), i == 6 || i == 9 ? " \xe4\xbd\xa0" : "", i % 3 ? "yes" : "no"), XR_OK);
    write_scratch("train.tsv", s.s);
    xr_str_free(&s);
    xr_log_set_sink(hear_nothing);
    return 0;
}

/* --- models that are broken in one place ------------------------------------------------------------------------------- */

static float *value_of(xr_model *m, const char *name)
{
    xr_param *p = xr_params_find(&m->params, name);
    assert_non_null(p);
    return p->t.x;
}

static void break_parameter(xr_model *m) { value_of(m, "roberta.encoder.layer.1.intermediate.dense.weight")[m->layer[1].ffn_in_w->t.cols + 3] = -INFINITY; }

/* The unknown character's row is finite, and its LayerNorm is not. */
static void break_activation(xr_model *m)
{
    for (size_t j = 0; j < m->word->t.cols; j++)
        m->word->t.x[XR_ID_UNK * m->word->t.cols + j] = 3e38f;
}

/* Logits of 3e38 and -3e38, which are further apart than a float can say. */
static void break_loss(xr_model *m)
{
    value_of(m, "classifier.out_proj.bias")[0] = 3e38f;
    value_of(m, "classifier.out_proj.bias")[1] = -3e38f;
}

/* The head's hidden vector is zero, and so are the logits; what flows back through the last weights overflows when it meets the encoder's output. */
static void break_gradient(xr_model *m)
{
    xr_param **p = m->head_param;
    memset(p[0]->t.x, 0, xr_numel(&p[0]->t) * sizeof *p[0]->t.x);
    memset(p[1]->t.x, 0, xr_numel(&p[1]->t) * sizeof *p[1]->t.x);
    for (size_t j = 0; j < p[2]->t.cols; j++) {
        p[2]->t.x[j] = 3e38f;
        p[2]->t.x[p[2]->t.cols + j] = -3e38f;
        p[2]->t.x[2 * p[2]->t.cols + j] = 0.0f;
    }
    memset(p[3]->t.x, 0, xr_numel(&p[3]->t) * sizeof *p[3]->t.x);
}

static void make_broken(void (*damage)(xr_model *m))
{
    xr_model m;
    xr_load_options l = { .quiet = 1 };
    assert_int_equal(xr_model_load(&m, in_scratch("cls"), &l), XR_OK);
    damage(&m);
    assert_int_equal(xr_mkdirs(in_scratch("broken")), XR_OK);
    assert_int_equal(xr_model_save(&m, in_scratch("broken"), in_scratch("tok"), NULL), XR_OK);
    xr_model_free(&m);
}

/* --- runs ------------------------------------------------------------------------------------------------------------ */

static void set(xr_options *o, const char *key, const char *value)
{
    if (xr_options_set(o, key, value) < 0)
        fail_msg("%s", xr_error_message());
}

static xr_status run(const char *key, const char *value)
{
    static const char *const pairs[][2] = {
        { "batch-size", "16" }, { "micro-batch-size", "6" }, { "max-steps", "4" }, { "learning-rate", "1e-3" }, { "hidden-dropout", "0.1" },
        { "attention-dropout", "0.1" }, { "classifier-dropout", "0" }, { "max-seq-length", "24" },
    };
    xr_options o;
    xr_error_clear();
    assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
    set(&o, "model", in_scratch("broken"));
    set(&o, "train-file", in_scratch("train.tsv"));
    set(&o, "output-dir", in_scratch("run"));
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        set(&o, pairs[i][0], pairs[i][1]);
    if (key)
        set(&o, key, value);
    xr_status status = xr_finetune_run(&o, NULL, NULL);
    xr_options_free(&o);
    return status;
}

static json_t *read_examination(const char *name)
{
    json_t *j = xr_json_file(in_scratch(name), 1 << 24);
    if (!j)
        fail_msg("%s", xr_error_message());
    return j;
}

static const char *text_of(const json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }
static json_int_t integer_of(const json_t *j, const char *key) { return json_integer_value(json_object_get(j, key)); }

/* The finding of a kind; NULL: there is none. */
static const json_t *finding(const json_t *j, const char *kind)
{
    size_t i;
    const json_t *f;
    json_array_foreach(json_object_get(j, "not_finite"), i, f)
        if (strcmp(text_of(f, "kind"), kind) == 0)
            return f;
    return NULL;
}

/* Aborts with 80; what comes first is of this kind and name, in the file and in the message. */
static json_t *expect_first(void (*damage)(xr_model *m), const char *key, const char *value, const char *kind, const char *name)
{
    make_broken(damage);
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
    assert_int_equal(run(key, value), XR_EDIVERGED);
    static const char *const parts[] = { "step 1: loss ", "Lower the learning rate, or look for broken input near this step, or leave such updates out",
                                         "run/nonfinite/step-00000001.json" };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(strstr(xr_error_message(), parts[i]));
    if (!strstr(xr_error_message(), name))
        fail_msg("%s is not in: %s", name, xr_error_message());
    json_t *j = read_examination("run/nonfinite/step-00000001.json");
    const json_t *first = json_array_get(json_object_get(j, "not_finite"), 0);
    assert_string_equal(text_of(first, "kind"), kind);
    assert_string_equal(text_of(first, "name"), name);
    assert_int_equal(integer_of(j, "step"), 1);
    assert_string_equal(text_of(j, "policy"), "abort");
    assert_int_equal(json_array_size(json_object_get(j, "batches")), 3);
    return j;
}

static void a_parameter(void **state)
{
    (void)state;
    const char *name = "roberta.encoder.layer.1.intermediate.dense.weight";
    json_t *j = expect_first(break_parameter, NULL, NULL, "parameter", name);
    const json_t *f = finding(j, "parameter");
    assert_int_equal(integer_of(f, "minus_inf"), 1);
    assert_int_equal(integer_of(f, "inf") + integer_of(f, "nan"), 0);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(f, "first"), 0)), 1);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(f, "first"), 1)), 3);
    assert_string_equal(text_of(finding(j, "activation"), "name"), "linear of roberta.encoder.layer.1.intermediate.dense");
    assert_non_null(finding(j, "loss"));
    assert_non_null(strstr(xr_error_message(), "which was so before this update: xlmr verify finds it"));
    json_decref(j);
}

/* Two of the sentences: lines 8 and 11 of the file. In whatever micro-batch they are, the first is named. */
static void an_activation(void **state)
{
    (void)state;
    static const char *const how[][2] = { { NULL, NULL }, { "recompute", "true" }, { "precision", "bf16" } };
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        json_t *j = expect_first(break_activation, how[i][0], how[i][1], "activation", "add_norm of roberta.embeddings.LayerNorm");
        const json_t *f = finding(j, "activation");
        const json_t *batch = json_array_get(json_object_get(j, "batches"), (size_t)integer_of(f, "micro"));
        size_t k;
        const json_t *s;
        assert_true(json_array_size(json_object_get(f, "sequences")) > 0);
        json_array_foreach(json_object_get(f, "sequences"), k, s) {
            const json_t *o = json_array_get(json_object_get(batch, "origin"), (size_t)json_integer_value(s));
            assert_true(integer_of(o, "line") == 8 || integer_of(o, "line") == 11);
            assert_int_equal(integer_of(o, "example"), integer_of(o, "line") - 2);
            assert_string_equal(text_of(o, "file"), in_scratch("train.tsv"));
        }
        assert_true(strstr(xr_error_message(), "train.tsv:8)") || strstr(xr_error_message(), "train.tsv:11)"));
        assert_null(finding(j, "parameter"));
        json_decref(j);
    }
}

static void the_loss(void **state)
{
    (void)state;
    json_t *j = expect_first(break_loss, NULL, NULL, "loss", "cross_entropy of the head");
    assert_null(finding(j, "parameter"));
    assert_null(finding(j, "activation"));
    assert_string_equal(text_of(j, "loss"), "inf");
    assert_int_equal(integer_of(finding(j, "loss"), "micro"), 0);
    json_decref(j);
}

static void a_gradient(void **state)
{
    (void)state;
    json_t *j = expect_first(break_gradient, NULL, NULL, "gradient", "classifier.dense.weight");
    assert_int_equal(json_array_size(json_object_get(j, "not_finite")), 1);
    assert_true(fabs(json_number_value(json_object_get(j, "loss")) - log(3.0)) < 1e-6);
    json_decref(j);
}

/* --- figures, against a plain loop ------------------------------------------------------------------------------------ */

typedef struct fixture {
    xr_options o;
    xr_model m;
    xr_trainer t;
    xr_loop l;
    xr_loop_task task;
    xr_batch_buffer batch;
    int masked, calls, break_first;     /* 1: the first computation finds a weight broken */
} fixture;

static const xr_batch *fixture_batch(void *context, int k)
{
    fixture *f = context;
    float *w = &f->m.layer[0].value_w->t.x[7];
    if (f->break_first && k == 0)
        *w = f->calls++ == 0 ? NAN : 0.01f;
    xr_batch_clear(&f->batch);
    for (uint32_t i = 0; i < 3; i++) {
        int32_t id[8] = { 0, 10, 20 + 5 * k, 30 + (int32_t)i, 40, 50, 60, 2 };
        assert_int_equal(xr_batch_add(&f->batch, id, 8, 3 * (uint32_t)k + i), XR_OK);
        if (f->masked)
            assert_int_equal(xr_batch_add_mask(&f->batch, 8 * i + 3, 30 + (int32_t)i), XR_OK);
        else
            assert_int_equal(xr_batch_add_label(&f->batch, (int32_t)(i % 2)), XR_OK);
    }
    return xr_batch_finish(&f->batch);
}

static double fixture_epoch(void *context, uint64_t step)
{
    (void)context;
    return (double)step / 10.0;
}

static void start(fixture *f, int masked)
{
    const xr_optim_options how = { "adamw", "constant", 1e-3, 0.01, 0.9, 0.999, 1e-8, masked ? 0.0 : 1.0, 1.0, 12, 0, 0, 1.0, 0.0, XR_MOMENTS_F32, 0 };
    const xr_batch_bound bound = { 24, 3, 8, 24, masked };
    xr_load_options l = { .quiet = 1, .head = masked ? "masked_lm" : NULL, .seed = 5 };
    memset(f, 0, sizeof *f);
    f->masked = masked;
    xr_error_clear();
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
    assert_int_equal(xr_options_init(&f->o, XR_V_FINETUNE), XR_OK);
    set(&f->o, "output-dir", in_scratch("run"));
    assert_int_equal(xr_model_load(&f->m, in_scratch("cls"), &l), XR_OK);
    assert_int_equal(xr_trainer_init(&f->t, &f->m, &how, 42, &bound), XR_OK);
    f->task = (xr_loop_task){ f, "none", NULL, NULL, fixture_batch, fixture_epoch, NULL, NULL, NULL };
    f->l = (xr_loop){ .o = &f->o, .task = &f->task, .trainer = &f->t };
}

static void end(fixture *f)
{
    xr_trainer_free(&f->t);
    xr_model_free(&f->m);
    xr_options_free(&f->o);
    xr_batch_free(&f->batch);
}

static double norm_of(const xr_tensor *t)
{
    double sum = 0.0;
    for (size_t i = 0; i < xr_numel(t); i++)
        sum += (double)t->x[i] * (double)t->x[i];
    return sqrt(sum);
}

/* Of a finite update, whose norm of all gradients the trainer tells: the file's add up to it, those in lists of rows and those made late too. */
static void figures_are_right(void **state)
{
    (void)state;
    for (int masked = 0; masked < 2; masked++) {
        fixture f;
        xr_step_result r;
        int n_micro = masked ? 1 : 2;
        double sum = 0.0;
        start(&f, masked);
        assert_true(!!f.m.word->late == masked);
        assert_int_equal(xr_trainer_pass(&f.t, n_micro, fixture_batch, &f, &r), XR_OK);
        r.grad_norm = xr_optim_grad_norm(f.t.optim, 1.0 / r.weight);
        xr_params_zero_grads(&f.m.params);
        xr_fail(XR_EDIVERGED, "step 1: asked for by a test");
        assert_int_equal(xr_nonfinite_examine(&f.l, n_micro, &r), XR_EDIVERGED);
        json_t *j = read_examination("run/nonfinite/step-00000001.json");
        const json_t *all = json_object_get(j, "parameters"), *p;
        size_t i;
        assert_int_equal(json_array_size(all), f.m.params.n);
        assert_int_equal(json_array_size(json_object_get(j, "not_finite")), 0);
        json_array_foreach(all, i, p) {
            double g = json_number_value(json_object_get(json_object_get(p, "gradient"), "norm"));
            assert_string_equal(text_of(p, "name"), f.m.params.row[i]->name);
            assert_true(fabs(json_number_value(json_object_get(json_object_get(p, "value"), "norm")) - norm_of(&f.m.params.row[i]->t)) < 1e-9);
            sum += g * g;
        }
        xr_error_clear();
        assert_int_equal(xr_trainer_step(&f.t, n_micro, fixture_batch, &f, &r), XR_OK);     /* now with what is made late */
        if (!(fabs(sqrt(sum) / r.grad_norm - 1.0) < 1e-9))
            fail_msg("%.12g in the file, %.12g in the update", sqrt(sum), r.grad_norm);
        json_decref(j);
        end(&f);
    }
}

/* --- what else may happen ----------------------------------------------------------------------------------------------- */

/* Not finite once, and finite when computed again from the same state: no fault of data or rates. */
static void a_faulty_machine(void **state)
{
    (void)state;
    fixture f;
    xr_step_result r;
    start(&f, 0);
    f.break_first = 1;
    assert_int_equal(xr_trainer_step(&f.t, 2, fixture_batch, &f, &r), XR_EDIVERGED);
    assert_int_equal(xr_nonfinite_examine(&f.l, 2, &r), XR_ESYSTEM);
    assert_non_null(strstr(xr_error_message(), "not finite; the weights were left as they were before the step."));
    assert_non_null(strstr(xr_error_message(), "But computed again from the same state it was not so."));
    assert_non_null(strstr(xr_error_message(), "the machine is faulty"));
    end(&f);
}

/* The update's own error stays that of the run. */
static void it_cannot_be_written(void **state)
{
    (void)state;
    fixture f;
    xr_step_result r = { .loss = NAN, .grad_norm = NAN, .weight = 1.0 };
    start(&f, 0);
    assert_int_equal(xr_mkdirs(in_scratch("run")), XR_OK);
    write_scratch("run/nonfinite", "in the way");
    xr_fail(XR_EDIVERGED, "step 1: the cause");
    assert_int_equal(xr_nonfinite_examine(&f.l, 1, &r), XR_EDIVERGED);
    assert_ptr_equal(strstr(xr_error_message(), "step 1: the cause"), xr_error_message());
    assert_non_null(strstr(xr_error_message(), "No diagnosis was written: "));
    assert_non_null(strstr(xr_error_message(), "run/nonfinite"));
    end(&f);
}

static void no_memory(void **state)
{
    (void)state;
    fixture f;
    xr_step_result r;
    int failures = 0, written = 0;
    start(&f, 1);
    f.m.layer[0].value_w->t.x[7] = NAN;
    assert_int_equal(xr_trainer_step(&f.t, 1, fixture_batch, &f, &r), XR_EDIVERGED);
    for (; !written; failures++) {
        xr_error_clear();
        xr_fail(XR_EDIVERGED, "step 1: the cause");
        xr_alloc_fail_after(failures);
        xr_status status = xr_nonfinite_examine(&f.l, 1, &r);
        xr_alloc_fail_after(-1);
        assert_int_equal(status, XR_EDIVERGED);
        assert_ptr_equal(strstr(xr_error_message(), "step 1: the cause"), xr_error_message());
        written = strstr(xr_error_message(), "No diagnosis was written") == NULL;
        assert_int_equal(xr_path_exists(in_scratch("run/nonfinite/step-00000001.json")), written);
    }
    assert_true(failures > 5);
    end(&f);
}

/* Updates that are left out: the first of a process is examined, and the run is what it is without. */
static void skipped(void **state)
{
    (void)state;
    make_broken(break_loss);
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
    assert_int_equal(run("on-nonfinite", "skip"), XR_EDIVERGED);
    assert_non_null(strstr(xr_error_message(), "3 updates in a row were left out (--max-skipped): step 4: "));
    assert_true(xr_path_exists(in_scratch("run/nonfinite/step-00000001.json")));
    assert_false(xr_path_exists(in_scratch("run/nonfinite/step-00000002.json")));
    assert_int_equal(run("overwrite-output-dir", "true"), XR_EDIVERGED);     /* which takes the folder away and makes it again */
    json_t *j = read_examination("run/nonfinite/step-00000001.json");
    assert_string_equal(text_of(j, "policy"), "abort");
    json_decref(j);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_parameter), TEST(an_activation), TEST(the_loss), TEST(a_gradient), TEST(figures_are_right), TEST(a_faulty_machine),
        TEST(it_cannot_be_written), TEST(no_memory), TEST(skipped),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
