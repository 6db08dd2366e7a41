/* Whole models against transformers: hidden states, logits, losses, every gradient, ten AdamW steps (tests/golden/NAME.safetensors, made from
 * NAME/, a directory that transformers wrote). Bounds are stored with the values; docs/decisions.md says how they were chosen. */
#include <string.h>

#include "golden.h"

#include "data/batch.h"
#include "model/head.h"
#include "model/hf.h"
#include "train/trainer.h"

typedef struct model_case {
    golden g;
    xr_model m;
    xr_batch_buffer a, b;
} model_case;

static void read_batch(golden *g, const char *which, xr_batch_buffer *out)
{
    char name[3][32];
    size_t n_offsets, n_mask, rows, cols = 0;
    snprintf(name[0], sizeof name[0], "%s.ids", which);
    snprintf(name[1], sizeof name[1], "%s.offsets", which);
    const int32_t *id = golden_ints(g, name[0], NULL), *offset = golden_ints(g, name[1], &n_offsets);
    snprintf(name[0], sizeof name[0], "%s.labels", which);
    snprintf(name[1], sizeof name[1], "%s.target", which);
    const int32_t *label = golden_has(g, name[0]) ? golden_ints(g, name[0], NULL) : NULL;
    const float *target = golden_has(g, name[1]) ? golden_get(g, name[1], &rows, &cols) : NULL;
    snprintf(name[2], sizeof name[2], "%s.span", which);
    const int32_t *span = golden_has(g, name[2]) ? golden_ints(g, name[2], NULL) : NULL;
    snprintf(name[2], sizeof name[2], "%s.group", which);
    const int32_t *group = golden_has(g, name[2]) ? golden_ints(g, name[2], NULL) : NULL;
    size_t question = 0;
    for (size_t b = 0; b + 1 < n_offsets; b++) {
        assert_int_equal(xr_batch_add(out, id + offset[b], (size_t)(offset[b + 1] - offset[b]), (uint32_t)b), XR_OK);
        int ends = !group || (int32_t)b + 1 == group[question + 1];
        if (group && ends)
            assert_int_equal(xr_batch_end_group(out), XR_OK);
        if (label && ends)
            assert_int_equal(xr_batch_add_label(out, label[group ? question : b]), XR_OK);
        question += (size_t)ends;
        if (target)
            assert_int_equal(xr_batch_add_target(out, target + b * cols, cols), XR_OK);
        if (span)
            assert_int_equal(xr_batch_add_span(out, (uint32_t)span[2 * b], (uint32_t)span[2 * b + 1]), XR_OK);
    }
    snprintf(name[0], sizeof name[0], "%s.mask_row", which);
    snprintf(name[1], sizeof name[1], "%s.mask_target", which);
    const int32_t *row = golden_ints(g, name[0], &n_mask), *mask_target = golden_ints(g, name[1], NULL);
    for (size_t k = 0; k < n_mask; k++)
        assert_int_equal(xr_batch_add_mask(out, (uint32_t)row[k], mask_target[k]), XR_OK);
    xr_batch_finish(out);
}

static void open_case(model_case *c, const char *name)
{
    char path[96];
    xr_load_options o = { 0 };
    o.quiet = 1;
    memset(c, 0, sizeof *c);
    snprintf(path, sizeof path, "tests/golden/%s", name);
    if (xr_model_load(&c->m, path, &o) < 0)
        fail_msg("%s: %s", path, xr_error_message());
    c->m.config.hidden_dropout_prob = c->m.config.attention_probs_dropout_prob = c->m.config.classifier_dropout = 0.0f;
    snprintf(path, sizeof path, "tests/golden/%s.safetensors", name);
    golden_open(&c->g, path);
    read_batch(&c->g, "a", &c->a);
    read_batch(&c->g, "b", &c->b);
}

static void close_case(model_case *c)
{
    xr_batch_free(&c->a);
    xr_batch_free(&c->b);
    xr_model_free(&c->m);
    golden_close(&c->g);
}

/* Compares with the golden tensor `name` within the bound stored for it. */
static void compare(model_case *c, const char *name, const float *x)
{
    char bound[192];
    snprintf(bound, sizeof bound, "tol.%s", name);
    golden_near(&c->g, name, x, (double)golden_get(&c->g, bound, NULL, NULL)[0]);
}

static xr_tape *tape(model_case *c, int grad)
{
    size_t reserve = xr_model_reserve(&c->m, 64, 8, (size_t)xr_config_max_tokens(&c->m.config), 32, 1);
    assert_true(reserve > 0);
    xr_tape *t = xr_tape_new(reserve);
    assert_non_null(t);
    xr_tape_begin(t, 0, grad, 0, 0);
    return t;
}

static void check_hidden_and_logits(model_case *c, int grad)
{
    char name[32];
    xr_tensor *hidden[16];
    xr_tape *t = tape(c, grad);
    assert_non_null(xr_encode(t, &c->m, &c->a.view, NULL, hidden));
    for (int l = 0; l <= c->m.config.num_hidden_layers; l++) {
        snprintf(name, sizeof name, "hidden.%d", l);
        compare(c, name, hidden[l]->x);
    }
    xr_tape_begin(t, 0, grad, 0, 0);
    xr_tensor *logits = c->m.head->forward(t, &c->m, &c->a.view);
    assert_non_null(logits);
    compare(c, "logits", logits->x);
    xr_tape_free(t);
}

/* Dense view of a parameter's gradient divided by the weight of the batch; caller frees. */
static float *mean_gradient(const xr_param *p, double weight)
{
    float *g = calloc(xr_numel(&p->t), sizeof *g);
    if (p->t.rowgrad)
        for (size_t k = 0; k < p->t.rowgrad->n; k++)
            memcpy(g + p->t.rowgrad->row[k] * p->t.cols, p->t.rowgrad->g + k * p->t.cols, p->t.cols * sizeof *g);
    else
        memcpy(g, p->t.g, xr_numel(&p->t) * sizeof *g);
    for (size_t i = 0; i < xr_numel(&p->t); i++)
        g[i] = (float)((double)g[i] / weight);
    return g;
}

/* Mean loss and the gradients that the golden file has under "PREFIXgrad.". */
static int check_gradients(model_case *c, const xr_batch *batch, const char *prefix)
{
    char name[192];
    int compared = 0;
    xr_params_zero_grads(&c->m.params);
    xr_tape *t = tape(c, 1);
    xr_tensor *loss = c->m.head->loss(t, &c->m, batch, NULL);
    assert_non_null(loss);
    double weight = c->m.head->weight(batch, c->m.config.num_labels);
    float mean = (float)((double)loss->x[0] / weight);
    snprintf(name, sizeof name, "%sloss", prefix);
    compare(c, name, &mean);
    assert_int_equal(xr_backward(t, loss, NULL), XR_OK);
    for (size_t i = 0; i < c->m.params.n; i++) {
        const xr_param *p = c->m.params.row[i];
        snprintf(name, sizeof name, "%sgrad.%s", prefix, p->name);
        if (!golden_has(&c->g, name))
            continue;
        float *g = mean_gradient(p, weight);
        compare(c, name, g);
        free(g);
        compared++;
    }
    xr_tape_free(t);
    return compared;
}

static void one_model(const char *name, int all_gradients)
{
    model_case c;
    open_case(&c, name);
    check_hidden_and_logits(&c, 0);     /* layers as segments */
    check_hidden_and_logits(&c, 1);     /* everything kept */
    assert_int_equal(xr_params_alloc_grads(&c.m.params), XR_OK);
    int compared = check_gradients(&c, &c.a.view, "");
    assert_true(compared >= (all_gradients ? (int)c.m.params.n : 7));
    c.m.recompute = 1;
    check_gradients(&c, &c.a.view, "");
    close_case(&c);
}

static void masked_lm_models(void **state) { (void)state; one_model("tiny", 1); one_model("wide", 0); }
static void classifiers(void **state) { (void)state; one_model("tiny-cls", 1); one_model("wide-cls", 0); }
static void regression_and_multi_label(void **state) { (void)state; one_model("tiny-reg", 0); one_model("tiny-multi", 0); }
static void taggers(void **state) { (void)state; one_model("tiny-tag", 0); }
static void answerers(void **state) { (void)state; one_model("tiny-qa", 1); }
static void choosers(void **state) { (void)state; one_model("wide-choice", 1); }

static void weighted_and_smoothed(void **state)
{
    (void)state;
    const char *const prefix[] = { "weighted.", "smoothed.", "both." };
    model_case c;
    open_case(&c, "tiny-cls");
    assert_int_equal(xr_params_alloc_grads(&c.m.params), XR_OK);
    for (int k = 0; k < 3; k++) {
        char name[64];
        xr_batch batch = c.a.view;
        snprintf(name, sizeof name, "%sclass_weight", prefix[k]);
        batch.class_weight = golden_has(&c.g, name) ? golden_get(&c.g, name, NULL, NULL) : NULL;
        snprintf(name, sizeof name, "%ssmoothing", prefix[k]);
        batch.smoothing = golden_has(&c.g, name) ? golden_get(&c.g, name, NULL, NULL)[0] : 0.0f;
        assert_true(check_gradients(&c, &batch, prefix[k]) >= 4);
    }
    close_case(&c);
}

static const xr_batch *next_batch(void *context, int k)
{
    (void)k;
    return context;
}

static void ten_steps(const char *name)
{
    model_case c;
    xr_trainer trainer;
    char key[192];
    float losses[10], norms[10];
    open_case(&c, name);
    xr_optim_options o = { "adamw", "linear", 1e-3, 0.01, 0.9, 0.999, 1e-8, 1.0, 1.0, 10, 3, 0, 1.0, 0.0, XR_MOMENTS_F32, 0 };
    xr_batch_bound bound = { 64, 8, (size_t)xr_config_max_tokens(&c.m.config), 16, 0 };
    if (xr_trainer_init(&trainer, &c.m, &o, 0, &bound) < 0)
        fail_msg("%s: %s", name, xr_error_message());
    for (int step = 0; step < 10; step++) {
        xr_step_result r;
        if (xr_trainer_step(&trainer, 1, next_batch, step % 2 ? &c.b.view : &c.a.view, &r) < 0)
            fail_msg("%s: %s", name, xr_error_message());
        losses[step] = (float)r.loss;
        norms[step] = (float)r.grad_norm;
    }
    xr_optim_flush(trainer.optim);
    compare(&c, "losses10", losses);
    golden_near(&c.g, "norms10", norms, 1e-4 * golden_largest(&c.g, "norms10"));
    for (size_t i = 0; i < c.m.params.n; i++) {
        snprintf(key, sizeof key, "weights10.%s", c.m.params.row[i]->name);
        compare(&c, key, c.m.params.row[i]->t.x);
    }
    xr_trainer_free(&trainer);
    close_case(&c);
}

static void ten_steps_masked_lm(void **state) { (void)state; ten_steps("tiny"); }
static void ten_steps_classifier(void **state) { (void)state; ten_steps("tiny-cls"); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masked_lm_models),    cmocka_unit_test(classifiers),        cmocka_unit_test(regression_and_multi_label),
        cmocka_unit_test(taggers), cmocka_unit_test(choosers), cmocka_unit_test(answerers), cmocka_unit_test(weighted_and_smoothed),
        cmocka_unit_test(ten_steps_masked_lm), cmocka_unit_test(ten_steps_classifier),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
