/* What estimates are made of: batches of a shape, the dry tape against a real one, the slice, and memory that is out. */
#include "scratch.h"

#include "kernels/gemm.h"
#include "model/head.h"
#include "train/estimate.h"
#include "util/alloc.h"

static void declare(xr_model *m, const char *head, xr_problem problem)
{
    static const char *const label[] = { "a", "b", "c" };
    xr_config c;
    assert_int_equal(xr_config_preset(&c, "nano", 300), XR_OK);
    xr_free(c.head);
    c.head = xr_strdup(head);
    if (xr_config_head_has_labels(head))
        assert_int_equal(xr_config_set_labels(&c, label, problem == XR_PROBLEM_REGRESSION ? 1 : 3, problem), XR_OK);
    else
        assert_int_equal(xr_config_set_labels(&c, NULL, 0, problem), XR_OK);
    assert_int_equal(xr_model_declare(m, &c), XR_OK);
    xr_config_free(&c);
}

/* Six sequences of several lengths in questions of two, rows with targets in some. */
static const xr_batch *like_batch(xr_batch_buffer *b, const char *head)
{
    static const size_t length[] = { 40, 33, 7, 20, 12, 3 };
    int32_t id[40] = { 0 };
    int masks = strcmp(head, "masked_lm") == 0 || strcmp(head, "token_cls") == 0;
    xr_batch_clear(b);
    for (uint32_t s = 0, row = 0; s < 6; row += (uint32_t)length[s++]) {
        assert_int_equal(xr_batch_add(b, id, length[s], s), XR_OK);
        for (uint32_t k = 0; masks && k < s % 3; k++)
            assert_int_equal(xr_batch_add_mask(b, row + k, 0), XR_OK);
        if (strcmp(head, "multiple_choice") == 0 && s % 2)
            assert_int_equal(xr_batch_end_group(b), XR_OK);
    }
    return xr_batch_finish(b);
}

static void test_batch(void **state)
{
    (void)state;
    xr_model m;
    xr_batch_buffer like = { 0 }, b = { 0 };
    declare(&m, "masked_lm", XR_PROBLEM_SINGLE_LABEL);
    like_batch(&like, "masked_lm");
    assert_int_equal(xr_estimate_batch(&b, &like.view, 6, &m), XR_OK);
    assert_int_equal(b.view.n_mask, 6);
    assert_memory_equal(b.view.mask_row, like.view.mask_row, 6 * sizeof *b.mask_row);
    assert_memory_equal(b.view.rows.offset, like.view.rows.offset, 7 * sizeof *b.offset);
    assert_int_equal(b.view.max_len, 40);
    assert_int_equal(xr_estimate_batch(&b, &like.view, 3, &m), XR_OK);
    assert_true(b.view.rows.n_seq == 3 && b.view.rows.n == 80 && b.view.n_mask == 3);
    for (size_t i = 0; i < b.view.rows.n; i++)
        assert_true(b.view.id[i] >= 5 && b.view.id[i] < 300);
    xr_model_free(&m);
    declare(&m, "multiple_choice", XR_PROBLEM_CHOICE);
    like_batch(&like, "multiple_choice");
    assert_int_equal(xr_estimate_batch(&b, &like.view, 5, &m), XR_OK);     /* a question is not cut */
    assert_true(b.view.rows.n_seq == 4 && b.view.n_group == 2);
    assert_int_equal(xr_estimate_batch(&b, &like.view, 1, &m), XR_OK);     /* nor is there less than one */
    assert_true(b.view.rows.n_seq == 2 && b.view.n_group == 1);
    xr_batch_free(&like);
    xr_batch_free(&b);
    xr_model_free(&m);
}

static xr_tape_bytes really(xr_model *m, const xr_batch *batch, int train)
{
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    xr_tape_begin(t, train, train, 1, 1);
    xr_tensor *y = train || m->head->reads == XR_READS_TARGETS ? m->head->loss(t, m, batch, NULL) : m->head->forward(t, m, batch);
    if (train)
        xr_backward(t, y, NULL);
    assert_int_equal(xr_tape_status(t), XR_OK);
    xr_tape_bytes bytes = xr_tape_peaks(t);
    xr_tape_free(t);
    return bytes;
}

/* A dry run counts to the byte what a real one takes; of gradients of activations, which are handed on where that can be, it counts
 * more, up to half again. */
static void compare(const char *head, xr_problem problem, int recompute, int train)
{
    xr_model m;
    xr_batch_buffer like = { 0 }, b = { 0 };
    xr_tape_bytes dry;
    declare(&m, head, problem);
    m.recompute = recompute;
    assert_int_equal(xr_estimate_batch(&b, like_batch(&like, head), 6, &m), XR_OK);
    assert_int_equal(xr_estimate_tape(&dry, &m, &b.view, train), XR_OK);
    assert_int_equal(xr_model_init(&m, 1), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&m.params), XR_OK);
    xr_tape_bytes real = really(&m, &b.view, train);
    if (dry.activations != real.activations || dry.scratch != real.scratch || dry.nodes != real.nodes || dry.gradients < real.gradients ||
        (double)dry.gradients > 1.5 * (double)real.gradients)
        fail_msg("%s, recompute %d, train %d: dry %zu %zu %zu %zu, real %zu %zu %zu %zu", head, recompute, train, dry.nodes, dry.activations,
                 dry.gradients, dry.scratch, real.nodes, real.activations, real.gradients, real.scratch);
    xr_batch_free(&like);
    xr_batch_free(&b);
    xr_model_free(&m);
}

static void test_dry_tape(void **state)
{
    (void)state;
    for (int recompute = 0; recompute <= 1; recompute++)
        for (int train = 0; train <= 1; train++) {
            compare("masked_lm", XR_PROBLEM_SINGLE_LABEL, recompute, train);
            compare("sequence_cls", XR_PROBLEM_SINGLE_LABEL, recompute, train);
            compare("sequence_cls", XR_PROBLEM_REGRESSION, recompute, train);
            compare("sequence_cls", XR_PROBLEM_MULTI_LABEL, recompute, train);
            compare("token_cls", XR_PROBLEM_TAGS, recompute, train);
            compare("question_answering", XR_PROBLEM_SINGLE_LABEL, recompute, train);
            compare("multiple_choice", XR_PROBLEM_CHOICE, recompute, train);
        }
}

static void options(xr_options *o, unsigned verb)
{
    static const char *word[] = { "finetune", NULL };
    assert_int_equal(xr_options_init(o, XR_V_ESTIMATE | verb), XR_OK);
    assert_int_equal(xr_options_set(o, "preset", "nano"), XR_OK);
    assert_int_equal(xr_options_set(o, "vocab-size", "200"), XR_OK);
    assert_int_equal(xr_options_set(o, "batch-size", "4"), XR_OK);
    o->args = word;
    o->n_args = 1;
}

static void options_free(xr_options *o)
{
    o->args = NULL;
    xr_options_free(o);
}

static double number(const json_t *j, const char *part, const char *key)
{
    return json_number_value(json_object_get(json_object_get(j, part), key));
}

/* Each task, and pretraining: figures that belong together do. */
static void test_tasks(void **state)
{
    (void)state;
    static const char *const task[] = { "classify", "tag", "qa", "choice", NULL };
    for (int k = 0; k < 5; k++) {
        xr_options o;
        json_t *j = NULL;
        options(&o, k < 4 ? XR_V_FINETUNE : XR_V_PRETRAIN);
        if (task[k])
            assert_int_equal(xr_options_set(&o, "task", task[k]), XR_OK);
        assert_int_equal(xr_options_set(&o, task[k] ? "max-seq-length" : "block-length", "32"), XR_OK);
        assert_int_equal(xr_options_set(&o, "max-steps", "10"), XR_OK);
        if (xr_estimate_command(&o, &j) < 0)
            fail_msg("%s: %s", task[k] ? task[k] : "pretrain", xr_error_message());
        assert_true(number(j, "update", "tokens") == 4.0 * 32.0 * (k == 3 ? 2.0 : 1.0));
        double rate = number(j, "update", "tokens") / number(j, "expected", "update_s");
        assert_true(rate > 0.999 * number(j, "expected", "tokens_per_s") && rate < 1.001 * number(j, "expected", "tokens_per_s"));
        double whole = 10.0 * number(j, "expected", "update_s");
        assert_true(whole > 0.999 * number(j, "expected", "training_s") && whole < 1.001 * number(j, "expected", "training_s"));
        assert_true(json_is_true(json_object_get(j, "fits")));
        json_decref(j);
        options_free(&o);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    long live = xr_alloc_live();
    xr_status status = XR_ESYSTEM;
    for (long k = 0; status < 0; k++) {
        xr_options o;
        json_t *j = NULL;
        options(&o, XR_V_FINETUNE);
        xr_alloc_fail_after(k);
        status = xr_estimate_command(&o, &j);
        xr_alloc_fail_after(-1);
        if (status < 0) {
            assert_int_equal(status, XR_ESYSTEM);
            assert_null(j);
            expect_error(XR_ESYSTEM, "out of memory");
        }
        json_decref(j);
        options_free(&o);
        assert_int_equal(xr_alloc_live(), live);
    }
}

static int start(void **state)
{
    (void)state;
    return xr_blas_start() < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_dry_tape),
        cmocka_unit_test(test_tasks),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
