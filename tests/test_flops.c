/* Operations of a step: against figures worked out by hand, and against those that the kernels count while they run. */
#include "scratch.h"

#include <math.h>

#include "kernels/gemm.h"
#include "model/flops.h"
#include "model/head.h"
#include "util/alloc.h"
#include "util/phase.h"

/* n_seq sequences of `len` tokens, with `masked` rows with targets in each. */
static const xr_batch *batch_of(xr_batch_buffer *b, size_t n_seq, size_t len, size_t masked)
{
    int32_t *id = xr_alloc(len, sizeof *id);
    xr_batch_clear(b);
    for (size_t i = 0; i < len; i++)
        id[i] = 5 + (int32_t)(i % 7);
    for (uint32_t s = 0; s < n_seq; s++) {
        assert_int_equal(xr_batch_add(b, id, len, s), XR_OK);
        for (uint32_t k = 0; k < masked; k++)
            assert_int_equal(xr_batch_add_mask(b, (uint32_t)(s * len) + k, 1), XR_OK);
    }
    xr_free(id);
    return xr_batch_finish(b);
}

static void declare(xr_model *m, const char *preset, int vocabulary, const char *head)
{
    static const char *const label[] = { "a", "b", "c" };
    xr_config c;
    assert_int_equal(xr_config_preset(&c, preset, vocabulary), XR_OK);
    xr_free(c.head);
    c.head = xr_strdup(head);
    if (xr_config_head_has_labels(head))
        assert_int_equal(xr_config_set_labels(&c, label, 3, XR_PROBLEM_SINGLE_LABEL), XR_OK);
    assert_int_equal(xr_model_declare(m, &c), XR_OK);
    xr_config_free(&c);
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%.6g; expected %.6g +- %g", got, want, tolerance);
}

/* reference/performance.md, part 2: of `base`, 84.93 million weights in the encoder; attention 4 s d L; the head 2 (V d + d d). */
static void test_by_hand(void **state)
{
    (void)state;
    static const struct { const char *preset; double encoder, attention, head; } row[] = {
        { "base", 169.869312e6, 18.874368e6, 385.182720e6 },
        { "large", 603.979776e6, 50.331648e6, 514.101248e6 },
    };
    for (size_t k = 0; k < 2; k++) {
        xr_model m;
        xr_batch_buffer b = { 0 };
        declare(&m, row[k].preset, 250002, "masked_lm");
        const xr_batch *batch = batch_of(&b, 2, 512, 512);
        xr_flops f = xr_model_flops(&m, batch, 0), t = xr_model_flops(&m, batch, 1);
        near(f.encoder / 1024, row[k].encoder, 1.0);
        near(f.attention / 1024, row[k].attention, 1.0);
        near(f.head / 1024, row[k].head, 1.0);
        near(t.encoder, 3 * f.encoder, 1.0);
        near(t.attention, 3 * f.attention, 1.0);
        near(t.head, 3 * f.head, 1.0);
        near(t.again, f.attention / 2, 1.0);
        assert_true(f.again == 0.0);
        xr_batch_free(&b);
        xr_model_free(&m);
    }
}

static double per_token(const char *preset, const char *head, size_t n_seq, size_t len, size_t masked)
{
    xr_model m;
    xr_batch_buffer b = { 0 };
    declare(&m, preset, 250002, head);
    xr_flops f = xr_model_flops(&m, batch_of(&b, n_seq, len, masked), 1);
    xr_batch_free(&b);
    xr_model_free(&m);
    return (f.encoder + f.attention + f.head) / (double)(n_seq * len) / 1e6;
}

/* The table there, in millions a token of a training step with the last layer pruned, 15 % masked, or one row a sequence. */
static void test_table_of_steps(void **state)
{
    (void)state;
    near(per_token("base", "masked_lm", 4, 2000 / 4, 75), 705, 2.0);        /* s = 512 there: 75 of 500 are 15 % exactly */
    near(per_token("large", "masked_lm", 4, 2000 / 4, 75), 2135, 4.0);
    near(per_token("base", "masked_lm", 10, 120, 18), 666, 2.0);
    near(per_token("large", "masked_lm", 10, 120, 18), 2026, 4.0);
    near(per_token("base", "sequence_cls", 8, 128, 0), 487, 2.0);
    near(per_token("large", "sequence_cls", 8, 128, 0), 1786, 3.0);
    near(per_token("base", "sequence_cls", 8, 512, 0), 526, 2.0);
    near(per_token("large", "sequence_cls", 8, 512, 0), 1894, 3.0);
}

/* What the kernels counted. */
static double counted(void)
{
    xr_phase_row row[XR_PHASE_ROWS];
    double sum = 0.0;
    size_t n = xr_phases(row);
    for (size_t r = 0; r < n; r++)
        sum += row[r].work;
    return sum;
}

static void freeze(xr_model *m, int below)
{
    for (size_t i = 0; i < m->params.n; i++)
        if (m->params.row[i]->layer < below)
            m->params.row[i]->flags |= XR_PARAM_FROZEN;
}

static const xr_batch *batch_for(const char *head, xr_batch_buffer *b)
{
    static const uint32_t length[] = { 9, 4, 1, 7 };
    xr_batch_clear(b);
    for (uint32_t s = 0, row = 0; s < 4; row += length[s++]) {
        int32_t id[9] = { 0, 6, 7, 8, 9, 10, 11, 12, 2 };
        assert_int_equal(xr_batch_add(b, id, length[s], s), XR_OK);
        if (strcmp(head, "sequence_cls") == 0)
            assert_int_equal(xr_batch_add_label(b, 1), XR_OK);
        else if (strcmp(head, "question_answering") == 0)
            assert_int_equal(xr_batch_add_span(b, 0, 0), XR_OK);
        else if (strcmp(head, "multiple_choice") == 0 && s % 2)
            assert_true(xr_batch_end_group(b) == XR_OK && xr_batch_add_label(b, 0) == XR_OK);
        else if (strcmp(head, "multiple_choice") != 0)
            for (uint32_t k = 0; k < s; k++)                /* none in the first, more than it has tokens in no other */
                assert_int_equal(s == 2 ? XR_OK : xr_batch_add_mask(b, row + 2 * k, 1), XR_OK);
    }
    return xr_batch_finish(b);
}

static void compare(const char *head, int frozen, int recompute, int train)
{
    xr_model m;
    xr_batch_buffer b = { 0 };
    declare(&m, "nano", 50, head);
    freeze(&m, frozen);
    m.recompute = recompute;
    assert_int_equal(xr_model_init(&m, 1), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&m.params), XR_OK);
    const xr_batch *batch = batch_for(head, &b);
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    xr_phases_start();
    xr_tape_begin(t, train, train, 1, 1);
    xr_tensor *loss = m.head->loss(t, &m, batch, NULL);
    if (train)
        xr_backward(t, loss, NULL);
    assert_int_equal(xr_tape_status(t), XR_OK);
    double sum = counted();
    xr_phases_stop();
    xr_flops f = xr_model_flops(&m, batch, train);
    if (!(fabs(xr_flops_all(&f) - sum) < 0.5))
        fail_msg("%s, %d frozen, recompute %d, train %d: %.0f; the kernels counted %.0f", head, frozen, recompute, train, xr_flops_all(&f), sum);
    xr_tape_free(t);
    xr_batch_free(&b);
    xr_model_free(&m);
}

/* Every head, with and without backward, frozen parts (nothing, embeddings, one layer, the whole encoder) and recomputation. */
static void test_as_the_kernels_count(void **state)
{
    (void)state;
    for (const xr_head *const *h = xr_heads; *h; h++)
        for (int frozen = 0; frozen <= 3; frozen++)
            for (int recompute = 0; recompute <= 1; recompute++) {
                compare((*h)->name, frozen, recompute, 0);
                compare((*h)->name, frozen, recompute, 1);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_table_of_steps),
        cmocka_unit_test(test_as_the_kernels_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
