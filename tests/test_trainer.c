/* What a training step promises: sums that do not depend on the cut into micro-batches, the same bits with recomputation and any number of
 * threads, frozen rows that stay, and nothing left behind by a step that failed. */
#include "scratch.h"

#include <math.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "train/step_check.h"
#include "train/trainer.h"
#include "util/alloc.h"

enum { VOCABULARY = 200, PIECES = 2500, EXAMPLES = 32, CLASSES = 3, MAX_LEN = 24 };

typedef struct run {
    xr_model m;
    xr_trainer t;
    xr_batch_buffer buffer;
    size_t micro;               /* examples of a micro-batch */
    int masked;                 /* every fourth token of most examples, instead of labels */
    uint32_t first_sample;
    int late;                   /* no clipping; 1: the vocabulary's gradient in memory all the same, 2: made by tiles */
    xr_moments moments;
    int fail_at;                /* micro-batch that cannot be had; -1: none */
} run;

static int start_blas(void **state)
{
    (void)state;
    return xr_blas_start();
}

/* The same with the masked-LM head and a vocabulary of several tiles. */
static void make_masked_model(xr_model *m)
{
    xr_config c;
    assert_int_equal(xr_config_preset(&c, "nano", PIECES), XR_OK);
    assert_int_equal(xr_model_declare(m, &c), XR_OK);
    assert_int_equal(xr_model_init(m, 7), XR_OK);
    xr_config_free(&c);
}

/* nano with its dropout of 0.1; layers > 0: as many of them. */
static void make_model(xr_model *m, int layers)
{
    static const char *const label[CLASSES] = { "a", "b", "c" };
    xr_config c;
    assert_int_equal(xr_config_preset(&c, "nano", VOCABULARY), XR_OK);
    xr_free(c.head);
    c.head = xr_strdup("sequence_cls");
    c.num_hidden_layers = layers ? layers : c.num_hidden_layers;
    assert_int_equal(xr_config_set_labels(&c, label, CLASSES, XR_PROBLEM_SINGLE_LABEL), XR_OK);
    assert_int_equal(xr_model_declare(m, &c), XR_OK);
    assert_int_equal(xr_model_init(m, 7), XR_OK);
    xr_config_free(&c);
}

static void start(run *r, size_t micro, int recompute)
{
    memset(r, 0, sizeof *r);
    r->micro = micro;
    r->fail_at = -1;
    make_model(&r->m, 0);
    r->m.recompute = recompute;
}

static void start_masked(run *r, size_t micro, int recompute)
{
    memset(r, 0, sizeof *r);
    r->micro = micro;
    r->fail_at = -1;
    r->masked = 1;
    make_masked_model(&r->m);
    r->m.recompute = recompute;
}

static void begin(run *r, double learning_rate)
{
    xr_optim_options o = { "adamw", "constant", learning_rate, 0.01, 0.9, 0.999, 1e-8, r->late ? 0.0 : 1.0, 1.0, 10, 0, 0, 1.0, 0.0, r->moments, 9 };
    xr_batch_bound bound = { EXAMPLES * MAX_LEN, EXAMPLES, MAX_LEN, r->masked ? EXAMPLES * MAX_LEN : 0, r->late == 2 };
    if (xr_trainer_init(&r->t, &r->m, &o, 42, &bound) < 0)
        fail_msg("%s", xr_error_message());
}

static void end(run *r)
{
    xr_trainer_free(&r->t);
    xr_model_free(&r->m);
    xr_batch_free(&r->buffer);
}

static const xr_batch *next(void *context, int k)
{
    run *r = context;
    if (k == r->fail_at) {
        xr_fail(XR_EDATA, "no micro-batch %d", k);
        return NULL;
    }
    xr_batch_clear(&r->buffer);
    for (size_t i = (size_t)k * r->micro; i < ((size_t)k + 1) * r->micro; i++) {
        int32_t id[MAX_LEN];
        uint32_t x = 2654435761u * (uint32_t)(i + 1);
        size_t n = 3 + i * 5 % (MAX_LEN - 3);
        for (size_t j = 0; j < n; j++) {
            x = x * 1664525u + 1013904223u;
            id[j] = (int32_t)(4 + (x >> 16) % (VOCABULARY - 4));
        }
        assert_int_equal(xr_batch_add(&r->buffer, id, n, r->first_sample + (uint32_t)i), XR_OK);
        if (!r->masked)
            assert_int_equal(xr_batch_add_label(&r->buffer, (int32_t)(i % CLASSES)), XR_OK);
        for (size_t j = 1; r->masked && i % 8 != 5 && j < n; j += 4)
            assert_int_equal(xr_batch_add_mask(&r->buffer, (uint32_t)(r->buffer.n - n + j), (int32_t)(x % (PIECES - j))), XR_OK);
    }
    return xr_batch_finish(&r->buffer);
}

static void step(run *r)
{
    xr_step_result result;
    if (xr_trainer_step(&r->t, (int)(EXAMPLES / r->micro), next, r, &result) < 0)
        fail_msg("%s", xr_error_message());
}

/* Gradients of one pass over all micro-batches, without an update. */
static void gradients(run *r)
{
    for (int k = 0; k < (int)(EXAMPLES / r->micro); k++) {
        const xr_batch *batch = next(r, k);
        xr_tape_begin(r->t.tape, 1, 1, 42, 0);
        assert_int_equal(xr_backward(r->t.tape, r->m.head->loss(r->t.tape, &r->m, batch, NULL), NULL), XR_OK);
    }
}

static float gradient_at(const xr_param *p, size_t i)
{
    if (!p->t.rowgrad)
        return p->t.g[i];
    int32_t slot = p->t.rowgrad->slot[i / p->t.cols];
    return slot < 0 ? 0.0f : p->t.rowgrad->g[(size_t)slot * p->t.cols + i % p->t.cols];
}

/* Largest difference of two gradients, against the largest value of the first. */
static double difference(const xr_param *a, const xr_param *b)
{
    double largest = 0.0, most = 0.0;
    for (size_t i = 0; i < xr_numel(&a->t); i++) {
        largest = fmax(largest, fabs((double)gradient_at(a, i)));
        most = fmax(most, fabs((double)gradient_at(a, i) - (double)gradient_at(b, i)));
    }
    return largest > 0.0 ? most / largest : most;
}

static int same_values(const xr_param *a, const xr_param *b)
{
    return memcmp(a->t.x, b->t.x, xr_numel(&a->t) * sizeof *a->t.x) == 0;
}

static void assert_same_weights(const run *a, const run *b)
{
    for (size_t i = 0; i < a->m.params.n; i++)
        if (!same_values(a->m.params.row[i], b->m.params.row[i]))
            fail_msg("%s differs", a->m.params.row[i]->name);
}

/* 1 x 32, 4 x 8 and 32 x 1 examples with dropout. The key biases are left out: their true gradient is zero, what stands there is rounding. */
static void accumulation_is_exact(void **state)
{
    (void)state;
    static const size_t micro[] = { 8, 1 };
    run whole;
    start(&whole, EXAMPLES, 0);
    begin(&whole, 1e-3);
    gradients(&whole);
    for (size_t k = 0; k < sizeof micro / sizeof *micro; k++) {
        run cut;
        start(&cut, micro[k], 0);
        begin(&cut, 1e-3);
        gradients(&cut);
        for (size_t i = 0; i < whole.m.params.n; i++) {
            const xr_param *p = whole.m.params.row[i];
            double d = difference(p, cut.m.params.row[i]);
            if (!strstr(p->name, "key.bias") && d > 1e-6)
                fail_msg("%s: %g in micro-batches of %zu", p->name, d, micro[k]);
        }
        end(&cut);
    }
    end(&whole);
}

/* The masks depend on the sample: other samples, other gradients. So the test above is not about dropout that is off. */
static void dropout_follows_the_sample(void **state)
{
    (void)state;
    run a, b;
    start(&a, EXAMPLES, 0);
    start(&b, EXAMPLES, 0);
    b.first_sample = 1000;
    begin(&a, 1e-3);
    begin(&b, 1e-3);
    gradients(&a);
    gradients(&b);
    assert_true(difference(a.m.word, b.m.word) > 1e-2);
    end(&a);
    end(&b);
}

static void bits_of_steps(const xr_pack_kind *pack)
{
    run want;
    int before = xr_threads();
    xr_threads_set(1);
    start(&want, 8, 0);
    xr_model_pack(&want.m, pack);
    begin(&want, 1e-3);
    for (int k = 0; k < 3; k++)
        step(&want);
    for (int recompute = 0; recompute < 2; recompute++)
        for (int threads = 1; threads <= 4; threads++) {
            run got;
            xr_threads_set(threads);
            start(&got, 8, recompute);
            xr_model_pack(&got.m, pack);
            begin(&got, 1e-3);
            for (int k = 0; k < 3; k++)
                step(&got);
            assert_same_weights(&want, &got);
            end(&got);
        }
    xr_threads_set(before);
    end(&want);
}

static void recomputation_and_threads_keep_the_bits(void **state)
{
    (void)state;
    bits_of_steps(NULL);
    bits_of_steps(&xr_pack_bf16);
}

static double masked_step(run *r)
{
    xr_step_result result;
    if (xr_trainer_step(&r->t, (int)(EXAMPLES / r->micro), next, r, &result) < 0)
        fail_msg("%s", xr_error_message());
    return result.loss;
}

static void bits_of_masked_steps(const xr_pack_kind *pack)
{
    run want;
    int before = xr_threads();
    xr_threads_set(1);
    start_masked(&want, 1, 0);
    xr_model_pack(&want.m, pack);
    begin(&want, 1e-3);
    double first = masked_step(&want), second = masked_step(&want), third = masked_step(&want);
    assert_true(fabs(first - log(PIECES)) < 0.1 && second < first && third < second);
    for (int recompute = 0; recompute < 2; recompute++)
        for (int threads = 1; threads <= 4; threads++) {
            run got;
            xr_threads_set(threads);
            start_masked(&got, 1, recompute);
            xr_model_pack(&got.m, pack);
            begin(&got, 1e-3);
            for (int k = 0; k < 3; k++)
                masked_step(&got);
            assert_same_weights(&want, &got);
            end(&got);
        }
    xr_threads_set(before);
    end(&want);
}

/* The same with masked tokens: tiles of the vocabulary, the table's dense gradient, micro-batches some of which have no mask. */
static void masked_steps_keep_the_bits(void **state)
{
    (void)state;
    bits_of_masked_steps(NULL);
    bits_of_masked_steps(&xr_pack_bf16);
}

static xr_step_result late_step(run *r)
{
    xr_step_result result;
    if (xr_trainer_step(&r->t, 1, next, r, &result) < 0)
        fail_msg("%s", xr_error_message());
    return result;
}

static void start_late(run *r, int late, int recompute, const xr_pack_kind *pack, xr_moments moments)
{
    start_masked(r, EXAMPLES, recompute);
    r->moments = moments;
    r->late = late;
    xr_model_pack(&r->m, pack);
    begin(r, 1e-3);
    assert_true((r->m.word->t.g == NULL) == (late == 2));
}

static void bits_of_late_steps(const xr_pack_kind *pack, xr_moments moments)
{
    run want;
    char expected[33], found[33];
    xr_step_result first[3];
    int before = xr_threads();
    xr_threads_set(1);
    start_late(&want, 1, 0, pack, moments);
    for (int k = 0; k < 3; k++)
        first[k] = late_step(&want);
    assert_int_equal(xr_state_digest(&want.t.state, expected), XR_OK);
    for (int recompute = 0; recompute < 2; recompute++)
        for (int threads = 1; threads <= 3; threads += 2) {
            run got;
            xr_threads_set(threads);
            start_late(&got, 2, recompute, pack, moments);
            for (int k = 0; k < 3; k++) {
                xr_step_result r = late_step(&got);
                assert_true(r.loss == first[k].loss && fabs(r.grad_norm / first[k].grad_norm - 1.0) < 1e-12);
            }
            assert_int_equal(xr_state_digest(&got.t.state, found), XR_OK);
            assert_string_equal(found, expected);
            end(&got);
        }
    xr_threads_set(before);
    end(&want);
}

/* The vocabulary's gradient made by tiles while they are updated: the weights and moments are those of a gradient in memory. */
static void a_late_gradient_keeps_the_bits(void **state)
{
    (void)state;
    bits_of_late_steps(NULL, XR_MOMENTS_F32);
    bits_of_late_steps(NULL, XR_MOMENTS_BF16);
    bits_of_late_steps(&xr_pack_bf16, XR_MOMENTS_F32);
}

/* A pass that fails half-way, or whose update is refused, leaves nothing of a late gradient for the next. */
static void a_failed_late_step_leaves_nothing(void **state)
{
    (void)state;
    run r, want;
    xr_step_result result;
    start_late(&r, 2, 0, NULL, XR_MOMENTS_F32);
    start_late(&want, 2, 0, NULL, XR_MOMENTS_F32);
    float *x = &r.m.layer[0].key_b->t.x[3], good = *x;
    *x = NAN;
    assert_int_equal(xr_trainer_step(&r.t, 1, next, &r, &result), XR_EDIVERGED);
    xr_error_clear();
    assert_null(r.m.word->late->tile);
    *x = good;
    r.fail_at = 0;
    assert_true(xr_trainer_step(&r.t, 1, next, &r, &result) < 0);
    xr_error_clear();
    r.fail_at = -1;
    next(&r, 0);            /* its memory is there from now on */
    int failures = 0;
    for (xr_status status = XR_ESYSTEM; status < 0; failures += status < 0) {
        xr_alloc_fail_after(failures);
        status = xr_trainer_step(&r.t, 1, next, &r, &result);
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || status == XR_ESYSTEM);
        xr_error_clear();
    }
    assert_true(failures >= 2);
    late_step(&want);
    assert_same_weights(&want, &r);
    end(&r);
    end(&want);
}

/* The copies that products read are those of the weights as the last update left them; and it is they that are read, not the f32 values. */
static void packed_copies_follow_the_updates(void **state)
{
    (void)state;
    run f32, bf16, told;
    double loss = 0.0, rounded = 0.0;
    start_masked(&f32, 8, 0);
    start_masked(&bf16, 8, 0);
    start_masked(&told, 8, 0);
    xr_model_pack(&bf16.m, &xr_pack_bf16);
    xr_model_pack(&told.m, &xr_pack_bf16);
    begin(&f32, 1e-2);
    begin(&bf16, 1e-2);
    begin(&told, 1e-2);
    for (int k = 0; k < 5; k++) {
        xr_params_changed(&told.m.params);
        loss = masked_step(&f32);
        rounded = masked_step(&bf16);
        masked_step(&told);
    }
    assert_same_weights(&bf16, &told);
    assert_true(rounded != loss && fabs(rounded - loss) < 0.01 * loss);
    end(&f32);
    end(&bf16);
    end(&told);
}

/* 1 x 32 and 4 x 8 examples of masked tokens; the loss is divided by the masked tokens of the whole step. */
static void masked_accumulation_is_exact(void **state)
{
    (void)state;
    run whole, cut;
    start_masked(&whole, EXAMPLES, 0);
    start_masked(&cut, 8, 0);
    begin(&whole, 1e-3);
    begin(&cut, 1e-3);
    gradients(&whole);
    gradients(&cut);
    for (size_t i = 0; i < whole.m.params.n; i++) {
        const xr_param *p = whole.m.params.row[i];
        double d = difference(p, cut.m.params.row[i]);
        if (!strstr(p->name, "key.bias") && d > 1e-6)
            fail_msg("%s: %g in micro-batches of 8", p->name, d);
    }
    double a = masked_step(&whole), b = masked_step(&cut);
    assert_true(fabs(a - b) < 1e-6 * a);
    end(&whole);
    end(&cut);
}

/* Embeddings and the first layer, with and without recomputation: they stay, everything else moves and has the same bits both ways. */
static void frozen_rows_stay(void **state)
{
    (void)state;
    run r[2], fresh;
    start(&fresh, EXAMPLES, 0);
    for (int k = 0; k < 2; k++) {
        start(&r[k], 8, k);
        for (size_t i = 0; i < r[k].m.params.n; i++)
            if (r[k].m.params.row[i]->layer <= 1)
                r[k].m.params.row[i]->flags |= XR_PARAM_FROZEN;
        begin(&r[k], 1e-2);
        step(&r[k]);
        step(&r[k]);
        for (size_t i = 0; i < r[k].m.params.n; i++) {
            const xr_param *p = r[k].m.params.row[i];
            if (same_values(p, fresh.m.params.row[i]) != (p->layer <= 1))
                fail_msg("%s: layer %d", p->name, p->layer);
        }
    }
    assert_same_weights(&r[0], &r[1]);
    end(&r[0]);
    end(&r[1]);
    end(&fresh);
}

static void assert_no_gradients(const run *r)
{
    for (size_t i = 0; i < r->m.params.n; i++)
        for (size_t j = 0; j < xr_numel(&r->m.params.row[i]->t); j++)
            if (!(gradient_at(r->m.params.row[i], j) == 0.0f))
                fail_msg("%s: a gradient was left behind", r->m.params.row[i]->name);
}

static void a_failed_step_leaves_nothing(void **state)
{
    (void)state;
    run r, want;
    xr_step_result result;
    start(&r, 8, 0);
    begin(&r, 1e-3);
    r.fail_at = 2;
    assert_int_equal(xr_trainer_step(&r.t, 4, next, &r, &result), XR_EDATA);
    expect_error(XR_EDATA, "no micro-batch 2");
    assert_no_gradients(&r);
    r.fail_at = -1;
    float *bias = r.m.head_param[3]->t.x, kept = bias[1];
    bias[1] = NAN;
    assert_int_equal(xr_trainer_step(&r.t, 4, next, &r, &result), XR_EDIVERGED);
    expect_error(XR_EDIVERGED, "not finite");
    bias[1] = kept;
    assert_no_gradients(&r);
    step(&r);
    start(&want, 8, 0);
    begin(&want, 1e-3);
    step(&want);
    assert_same_weights(&want, &r);
    end(&r);
    end(&want);
}

/* --- steps that are computed twice (--check-steps) --------------------------------------------------------------------- */

/* What a fault does before micro-batch `micro` of one of the two computations. */
typedef struct fault {
    run *r;
    int micro, second;
    float *at;                  /* in a weight or a gradient; NULL: in the batch */
    unsigned bit;
} fault;

static void flip(float *x, unsigned bit)
{
    uint32_t word;
    memcpy(&word, x, sizeof word);
    word ^= 1u << bit;
    memcpy(x, &word, sizeof word);
}

static const xr_batch *faulty_next(void *context, int k)
{
    fault *f = context;
    const xr_batch *b = next(f->r, k);
    if (k != f->micro)
        return b;
    if (f->at)
        flip(f->at, f->bit);
    else
        f->r->buffer.id[3] ^= 1 << f->bit;
    return b;
}

static xr_status checked_step(run *r, fault *f, xr_step_result *result)
{
    xr_error_clear();
    xr_micro_batch one = f && !f->second ? faulty_next : next, two = f && f->second ? faulty_next : next;
    void *of_one = f && !f->second ? (void *)f : r, *of_two = f && f->second ? (void *)f : r;
    return xr_step_check(&r->t, (int)(EXAMPLES / r->micro), one, of_one, two, of_two, result);
}

typedef struct variant { int masked, late, recompute, threads; size_t micro; const xr_pack_kind *pack; xr_moments moments; } variant;

static void start_variant(run *r, const variant *v)
{
    memset(r, 0, sizeof *r);
    r->micro = v->micro;
    r->fail_at = -1;
    r->masked = v->masked;
    r->late = v->late;
    r->moments = v->moments;
    if (v->masked)
        make_masked_model(&r->m);
    else
        make_model(&r->m, 0);
    r->m.recompute = v->recompute;
    xr_model_pack(&r->m, v->pack);
    begin(r, 1e-2);
    assert_true(!v->masked == !!r->m.word->t.rowgrad && (v->late == 2) == !!r->m.word->late);
}

static const variant variants[] = {
    { 0, 0, 0, 1, 32, NULL, XR_MOMENTS_F32 },         { 0, 0, 1, 3, 8, NULL, XR_MOMENTS_BF16 },
    { 0, 0, 0, 4, 1, &xr_pack_bf16, XR_MOMENTS_F32 }, { 1, 0, 0, 2, 8, NULL, XR_MOMENTS_F32 },
    { 1, 0, 1, 4, 1, &xr_pack_bf16, XR_MOMENTS_F32 }, { 1, 2, 0, 3, 32, NULL, XR_MOMENTS_F32 },
    { 1, 2, 1, 2, 32, &xr_pack_bf16, XR_MOMENTS_BF16 },
};

/* With rows that wait for their updates, accumulation, dropout, bfloat16, recomputation and late gradients: never an alarm, and the bits and figures of a
 * plain step. */
static void a_checked_step_is_a_step(void **state)
{
    (void)state;
    int before = xr_threads();
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        run plain, checked;
        char want[33], got[33];
        xr_threads_set(variants[i].threads);
        start_variant(&plain, &variants[i]);
        start_variant(&checked, &variants[i]);
        for (int k = 0; k < 4; k++) {
            xr_step_result a, b;
            assert_int_equal(xr_trainer_step(&plain.t, (int)(EXAMPLES / plain.micro), next, &plain, &a), XR_OK);
            if (checked_step(&checked, NULL, &b) != XR_OK)
                fail_msg("variant %zu: %s", i, xr_error_message());
            assert_memory_equal(&a, &b, sizeof a);
            plain.first_sample = checked.first_sample = plain.first_sample + EXAMPLES;
        }
        assert_int_equal(xr_state_digest(&plain.t.state, want), XR_OK);
        assert_int_equal(xr_state_digest(&checked.t.state, got), XR_OK);
        assert_string_equal(got, want);
        end(&plain);
        end(&checked);
    }
    xr_threads_set(before);
}

static void expect_alarm(run *r, fault *f, const char *first)
{
    xr_step_result result;
    char before[33], after[33];
    assert_int_equal(xr_state_digest(&r->t.state, before), XR_OK);
    assert_int_equal(checked_step(r, f, &result), XR_ESYSTEM);
    if (!strstr(xr_error_message(), first) || !strstr(xr_error_message(), "the machine is faulty"))
        fail_msg("expected %s: %s", first, xr_error_message());
    if (f->at && !strstr(first, "the gradient of roberta"))
        flip(f->at, f->bit);
    assert_int_equal(xr_state_digest(&r->t.state, after), XR_OK);
    assert_string_equal(after, before);
    assert_no_gradients(r);
}

/* One bit: in weights between the two computations; in either of them in a token, or in a gradient that other micro-batches have summed up. */
static void a_flipped_bit_is_seen(void **state)
{
    (void)state;
    run r, want;
    start_variant(&r, &variants[1]);
    start_variant(&want, &variants[1]);
    const xr_layer *l = &r.m.layer[1];
    expect_alarm(&r, &(fault){ &r, 1, 1, &l->value_w->t.x[5], 18 }, "first in linear of roberta.encoder.layer.1.attention.self.value, micro-batch 1. ");
    expect_alarm(&r, &(fault){ &r, 0, 1, &r.m.norm_b->t.x[0], 30 }, "first in add_norm of roberta.embeddings.LayerNorm, micro-batch 0. ");
    for (int second = 0; second < 2; second++) {
        expect_alarm(&r, &(fault){ &r, 2, second, NULL, 0 }, "update 1 was computed twice from the same state, and bits differ, first in embedding of "
                     "roberta.embeddings.word_embeddings, micro-batch 2. ");
        expect_alarm(&r, &(fault){ &r, 3, second, &l->ffn_out_w->t.g[7], 3 }, "first in the gradient of roberta.encoder.layer.1.output.dense.weight. ");
        expect_alarm(&r, &(fault){ &r, 3, second, &r.m.word->t.rowgrad->g[9], 12 }, "first in the gradient of roberta.embeddings.word_embeddings.weight. ");
    }
    xr_step_result result;
    assert_int_equal(checked_step(&r, NULL, &result), XR_OK);
    step(&want);
    assert_same_weights(&want, &r);
    end(&r);
    end(&want);
}

/* Once both passes are behind it, the second time: a bit of what the late gradient will be made from, and of nothing that was looked at by then. */
static run *late_run;
static int reductions;

static xr_status damage_late(const xr_comm *c, double *x, size_t n)
{
    (void)c, (void)x, (void)n;
    if (reductions++ == 1)
        flip((float *)(uintptr_t)&late_run->m.word->late->dy[70], 12);
    return XR_OK;
}

static xr_status keep_gradients(const xr_comm *c, float *x, size_t n)
{
    (void)c, (void)x, (void)n;
    return XR_OK;
}

static void a_late_gradient_is_compared(void **state)
{
    (void)state;
    run r;
    xr_step_result result;
    const xr_comm faulty = { 0, 1, keep_gradients, damage_late };
    start_variant(&r, &variants[5]);
    late_run = &r;
    reductions = 0;
    r.t.comm = &faulty;
    assert_int_equal(checked_step(&r, NULL, &result), XR_ESYSTEM);
    expect_error(XR_ESYSTEM, "bits differ, first in the gradient of roberta.embeddings.word_embeddings.weight. ");
    assert_null(r.m.word->late->tile);
    assert_int_equal(checked_step(&r, NULL, &result), XR_OK);
    end(&r);
}

typedef struct tiles { float *g; size_t width; } tiles;

static void keep_tile(void *context, size_t i, const float *g, size_t n)
{
    const tiles *t = context;
    memcpy(t->g + i * t->width, g, n * sizeof *g);
}

/* What is compared of a late gradient is the gradient, and it is still there for the update. */
static void late_tiles_are_the_gradient(void **state)
{
    (void)state;
    run want, r;
    xr_step_result result;
    start_late(&want, 1, 0, NULL, XR_MOMENTS_F32);
    start_late(&r, 2, 0, NULL, XR_MOMENTS_F32);
    const xr_param *p = r.m.word;
    assert_int_equal(xr_trainer_pass(&want.t, 1, next, &want, &result), XR_OK);
    assert_int_equal(xr_trainer_pass(&r.t, 1, next, &r, &result), XR_OK);
    tiles t = { xr_alloc(xr_numel(&p->t), sizeof *t.g), p->late->width * p->t.cols };
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(xr_optim_late_tiles(r.t.optim, 0, keep_tile, &t), XR_OK);
        assert_memory_equal(t.g, want.m.word->t.g, xr_numel(&p->t) * sizeof *t.g);
        memset(t.g, 0, xr_numel(&p->t) * sizeof *t.g);
    }
    assert_int_equal(xr_trainer_update(&want.t, &result), XR_OK);
    assert_int_equal(xr_trainer_update(&r.t, &result), XR_OK);
    assert_same_weights(&want, &r);
    xr_free(t.g);
    end(&r);
    end(&want);
}

/* Any bit of any weight that the batch uses, drawn at random: it is seen wherever it is not lost in rounding, which from the twelfth of the fraction on
 * none is. */
static void random_flips(void **state)
{
    (void)state;
    run r;
    uint32_t x = 7;
    xr_step_result result;
    start_variant(&r, &variants[0]);
    for (int n = 0; n < 60; n++) {
        uint32_t word[3];
        for (int k = 0; k < 3; k++)
            word[k] = (x = x * 1664525u + 1013904223u) >> 8;
        const xr_param *p = r.m.params.row[5 + word[0] % (r.m.params.n - 5)];      /* behind the embeddings, of which not all rows are used */
        fault f = { &r, 0, 1, &p->t.x[word[1] % xr_numel(&p->t)], 12 + word[2] % 18 };
        if (strstr(p->name, "key.bias"))
            continue;           /* attention does not depend on it but for rounding */
        f.bit = *f.at > 0.0f || *f.at < 0.0f ? f.bit : 30;      /* of zero, other bits make numbers too small to count */
        if (checked_step(&r, &f, &result) != XR_ESYSTEM)
            fail_msg("flip %d: bit %u of %s was not seen", n, f.bit, p->name);
        flip(f.at, f.bit);
    }
    end(&r);
}

static void no_memory_for_a_check(void **state)
{
    (void)state;
    run r;
    xr_step_result result;
    int failures = 0;
    start_variant(&r, &variants[5]);
    next(&r, 0);
    for (xr_status status = XR_ESYSTEM; status < 0; failures += status < 0) {
        xr_alloc_fail_after(failures);
        status = checked_step(&r, NULL, &result);
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || (status == XR_ESYSTEM && !strstr(xr_error_message(), "faulty")));
        if (status < 0)
            assert_null(r.m.word->late->tile);
    }
    assert_true(failures >= 4);
    end(&r);
}

/* Inference on the whole last layer needs more than the pruned one that the head asks for; with one layer, much more. */
static void the_reserve_holds_hidden_states(void **state)
{
    (void)state;
    enum { SEQUENCES = 60, LENGTH = 400 };
    xr_model m;
    xr_batch_buffer b = { 0 };
    int32_t id[LENGTH];
    make_model(&m, 1);
    for (int i = 0; i < LENGTH; i++)
        id[i] = 4 + i % 100;
    for (uint32_t s = 0; s < SEQUENCES; s++)
        assert_int_equal(xr_batch_add(&b, id, LENGTH, s), XR_OK);
    const xr_batch *batch = xr_batch_finish(&b);
    size_t reserve = xr_model_reserve(&m, batch->rows.n, SEQUENCES, LENGTH, 0, 0);
    xr_tape *t = xr_tape_new(reserve);
    assert_non_null(t);
    xr_tape_begin(t, 0, 0, 0, 0);
    if (!xr_hidden_state(t, &m, batch, 1))
        fail_msg("%s", xr_error_message());
    assert_true(reserve >= xr_tape_peak(t));
    xr_tape_free(t);
    xr_batch_free(&b);
    xr_model_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(accumulation_is_exact, clear_error),
        cmocka_unit_test_setup(dropout_follows_the_sample, clear_error),
        cmocka_unit_test_setup(recomputation_and_threads_keep_the_bits, clear_error),
        cmocka_unit_test_setup(masked_steps_keep_the_bits, clear_error),
        cmocka_unit_test_setup(a_late_gradient_keeps_the_bits, clear_error),
        cmocka_unit_test_setup(a_failed_late_step_leaves_nothing, clear_error),
        cmocka_unit_test_setup(packed_copies_follow_the_updates, clear_error),
        cmocka_unit_test_setup(masked_accumulation_is_exact, clear_error),
        cmocka_unit_test_setup(frozen_rows_stay, clear_error),
        cmocka_unit_test_setup(a_failed_step_leaves_nothing, clear_error),
        cmocka_unit_test_setup(a_checked_step_is_a_step, clear_error),
        cmocka_unit_test_setup(a_flipped_bit_is_seen, clear_error),
        cmocka_unit_test_setup(a_late_gradient_is_compared, clear_error),
        cmocka_unit_test_setup(late_tiles_are_the_gradient, clear_error),
        cmocka_unit_test_setup(random_flips, clear_error),
        cmocka_unit_test_setup(no_memory_for_a_check, clear_error),
        cmocka_unit_test_setup(the_reserve_holds_hidden_states, clear_error),
    };
    return cmocka_run_group_tests(tests, start_blas, NULL);
}
