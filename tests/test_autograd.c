/* Gradients of every registered op, and of segments, against central differences along random directions. A new op is covered by being
 * registered. Threshold 1e-4: the noise of float forward passes is about 1e-5 at a step of 4e-2 (with one Richardson step for the
 * cubic error), an error of 5 % in a constant gives 1e-3. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "autograd/ops.h"
#include "autograd/sample.h"
#include "util/rng.h"

enum { MAX_LEAVES = 16, DIRECTIONS = 4 };
static const double STEP = 4e-2, THRESHOLD = 1e-4;

typedef struct leaves {
    xr_tensor *leaf[MAX_LEAVES];
    float *value[MAX_LEAVES], *direction[MAX_LEAVES];
    int n;
} leaves;

static float noise(uint32_t stream, size_t i)
{
    uint32_t w[4];
    xr_philox(w, xr_rng_key(7, XR_RNG_TEST), 1, stream, 0, (uint32_t)i);
    return (float)w[0] / 2147483648.0f - 1.0f;
}

static void collect(xr_tensor *leaf, void *context)
{
    leaves *l = context;
    assert_true(l->n < MAX_LEAVES);
    l->leaf[l->n++] = leaf;
}

static void draw_directions(leaves *l, uint32_t round)
{
    for (int k = 0; k < l->n; k++)
        for (size_t i = 0; i < xr_numel(l->leaf[k]); i++)
            l->direction[k][i] = noise(1000 * (round + 1) + (uint32_t)k, i);
}

static void move(leaves *l, double h)
{
    for (int k = 0; k < l->n; k++)
        for (size_t i = 0; i < xr_numel(l->leaf[k]); i++)
            l->leaf[k]->x[i] = l->value[k][i] + (float)h * l->direction[k][i];
}

/* <seed, y> at distance h along the direction. */
static double projected(xr_tape *t, leaves *l, const xr_tensor *y, const float *seed, double h)
{
    double sum = 0.0;
    move(l, h);
    xr_tape_replay(t);
    assert_int_equal(xr_tape_status(t), XR_OK);
    for (size_t i = 0; i < xr_numel(y); i++)
        sum += (double)seed[i] * (double)y->x[i];
    return sum;
}

static double directional_gradient(const leaves *l, float *const *gradient)
{
    double sum = 0.0;
    for (int k = 0; k < l->n; k++)
        for (size_t i = 0; i < xr_numel(l->leaf[k]); i++)
            sum += (double)gradient[k][i] * (double)l->direction[k][i];
    return sum;
}

static double gradient_scale(const leaves *l, float *const *gradient)
{
    double sum = 0.0;
    for (int k = 0; k < l->n; k++)
        for (size_t i = 0; i < xr_numel(l->leaf[k]); i++)
            sum += fabs((double)gradient[k][i] * (double)l->direction[k][i]);
    return sum;
}

static void check_node(xr_tape *t, xr_tensor *y, const char *name, int k)
{
    leaves l = { .n = 0 };
    float *gradient[MAX_LEAVES];
    float *seed = calloc(xr_numel(y), sizeof *seed);
    xr_tape_leaves(t, collect, &l);
    assert_true(l.n > 0);
    for (size_t i = 0; i < xr_numel(y); i++)
        seed[i] = noise(1, i);
    assert_int_equal(xr_backward(t, y, seed), XR_OK);
    for (int j = 0; j < l.n; j++) {
        size_t bytes = xr_numel(l.leaf[j]) * sizeof(float);
        assert_non_null(l.leaf[j]->g);
        gradient[j] = memcpy(malloc(bytes), l.leaf[j]->g, bytes);
        l.value[j] = memcpy(malloc(bytes), l.leaf[j]->x, bytes);
        l.direction[j] = malloc(bytes);
    }
    for (uint32_t round = 0; round < DIRECTIONS; round++) {
        draw_directions(&l, round);
        double numeric = (projected(t, &l, y, seed, STEP) - projected(t, &l, y, seed, -STEP)) / (2.0 * STEP);
        /* Third-order error of the difference goes with h^2: one Richardson step removes it. */
        double half = (projected(t, &l, y, seed, STEP / 2) - projected(t, &l, y, seed, -STEP / 2)) / STEP;
        double error = fabs((4.0 * half - numeric) / 3.0 - directional_gradient(&l, gradient)) / (gradient_scale(&l, gradient) + 1e-12);
        if (!(error < THRESHOLD))
            fail_msg("%s, sample %d, direction %u: relative error %.2e", name, k, round, error);
    }
    for (int j = 0; j < l.n; j++) {
        free(gradient[j]);
        free(l.value[j]);
        free(l.direction[j]);
    }
    free(seed);
}

static void every_op(void **state)
{
    (void)state;
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    assert_non_null(t);
    int ops = 0;
    for (const xr_op *const *op = xr_ops; *op; op++, ops++) {
        int k = 0;
        for (;; k++) {
            xr_tape_begin(t, 1, 1, 3, 17);
            xr_tensor *y = (*op)->sample(t, k);
            assert_int_equal(xr_tape_status(t), XR_OK);
            if (!y)
                break;
            check_node(t, y, (*op)->name, k);
        }
        assert_true(k > 0);
    }
    assert_true(ops >= 11);
    xr_tape_free(t);
}

typedef struct block { xr_weight w; xr_param *gamma, *beta; const xr_rowset *rows; } block;

static xr_tensor *block_body(xr_tape *t, xr_tensor *x, const void *context)
{
    const block *b = context;
    xr_tensor *y = xr_bias_gelu(t, xr_linear(t, x, b->w, NULL), NULL);
    return xr_add_norm(t, y, x, b->gamma, b->beta, 1e-5f, 0.2f, 3, b->rows);
}

static block make_block(xr_tape *t)
{
    static const uint32_t len[] = { 2, 4 };
    return (block){ { xr_sample_param(t, 8, 8, 2) }, xr_sample_param(t, 1, 8, 3), xr_sample_param(t, 1, 8, 4), xr_sample_rows(t, len, 2) };
}

/* A segment gives the bits of the plain graph, values and gradients, dropout included. */
static void segment_equals_plain(void **state)
{
    (void)state;
    float value[2][48], dx[2][48], dw[2][64];
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    for (int segment = 0; segment < 2; segment++) {
        xr_tape_begin(t, 1, 1, 3, 17);
        block b = make_block(t);
        xr_tensor *x = xr_sample_input(t, 6, 8, 1);
        xr_tensor *y = segment ? xr_segment(t, x, 6, 8, block_body, &b, sizeof b) : block_body(t, x, &b);
        xr_tensor *z = xr_tanh(t, y);
        assert_int_equal(xr_backward(t, z, NULL), XR_OK);
        memcpy(value[segment], z->x, sizeof value[0]);
        memcpy(dx[segment], x->g, sizeof dx[0]);
        memcpy(dw[segment], b.w.master->t.g, sizeof dw[0]);
    }
    assert_memory_equal(value[0], value[1], sizeof value[0]);
    assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
    assert_memory_equal(dw[0], dw[1], sizeof dw[0]);
    xr_tape_free(t);
}

/* Values and gradients of gelu and linear as one node are those of the two, also where x has a gradient already and where biases are left out. */
static void gelu_linear_equals_the_two(void **state)
{
    (void)state;
    enum { N = 5, I = 37, O = 19 };
    float y[2][N * O], dx[2][N * I], dw[2][O * I], dc[2][I], db[2][O];
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    for (int bias = 0; bias < 2; bias++) {
        for (int one = 0; one < 2; one++) {
            xr_tape_begin(t, 1, 1, 3, 17);
            xr_tensor *x = xr_sample_input(t, N, I, 1);
            xr_param *c = bias ? xr_sample_param(t, 1, I, 2) : NULL, *b = bias ? xr_sample_param(t, 1, O, 3) : NULL;
            xr_weight w = { xr_sample_param(t, O, I, 4) };
            xr_tensor *h = one ? xr_gelu_linear(t, x, c, w, b) : xr_linear(t, xr_bias_gelu(t, x, c), w, b);
            xr_tensor *z = xr_linear(t, xr_add_norm(t, x, NULL, xr_sample_param(t, 1, I, 5), xr_sample_param(t, 1, I, 6), 1e-5f, 0.0f, 0,
                                                    xr_sample_rows(t, &(uint32_t){ N }, 1)), w, b);
            memcpy(y[one], h->x, sizeof y[0]);
            assert_int_equal(xr_backward(t, xr_add_norm(t, h, z, xr_sample_param(t, 1, O, 7), xr_sample_param(t, 1, O, 8), 1e-5f, 0.0f, 0,
                                                        xr_sample_rows(t, &(uint32_t){ N }, 1)), NULL), XR_OK);
            memcpy(dx[one], x->g, sizeof dx[0]);
            memcpy(dw[one], w.master->t.g, sizeof dw[0]);
            memcpy(dc[one], bias ? c->t.g : dx[one], sizeof dc[0]);
            memcpy(db[one], bias ? b->t.g : dx[one], sizeof db[0]);
        }
        assert_memory_equal(y[0], y[1], sizeof y[0]);
        assert_memory_equal(dx[0], dx[1], sizeof dx[0]);
        assert_memory_equal(dw[0], dw[1], sizeof dw[0]);
        assert_memory_equal(dc[0], dc[1], sizeof dc[0]);
        assert_memory_equal(db[0], db[1], sizeof db[0]);
    }
    xr_tape_free(t);
}

/* Wrong shapes poison the tape; the message names the op, and later builders are silent. */
static void poison_names_the_op(void **state)
{
    (void)state;
    xr_tape *t = xr_tape_new((size_t)1 << 20);
    xr_tape_begin(t, 0, 0, 0, 0);
    xr_weight w = { xr_sample_param(t, 5, 4, 2) };
    assert_null(xr_tanh(t, xr_linear(t, xr_sample_input(t, 3, 7, 1), w, NULL)));
    assert_true(xr_tape_status(t) < 0);
    assert_non_null(strstr(xr_error_message(), "linear"));
    assert_non_null(strstr(xr_error_message(), "[5, 4]"));
    xr_error_clear();
    xr_tape_reset(t);
    assert_int_equal(xr_tape_status(t), XR_OK);
    xr_tape_free(t);
}

static void exhausted_arena_is_an_error(void **state)
{
    (void)state;
    xr_tape *t = xr_tape_new(4096);
    xr_tape_begin(t, 0, 0, 0, 0);
    assert_null(xr_tanh(t, xr_sample_input(t, 100, 100, 1)));
    assert_int_equal(xr_tape_status(t), XR_ESYSTEM);
    xr_error_clear();
    xr_tape_free(t);
}

/* --- nothing is left unwritten --------------------------------------------------------------------------------------- */

static void expect_finite(const float *x, size_t n, const xr_tensor *by, const char *what)
{
    for (size_t i = 0; x && i < n; i++)
        if (!isfinite(x[i]))
            fail_msg("%s: %s: element %zu of %zu was not written", by->op->name, what, i, n);
}

static void expect_written(void *context, const xr_tensor *n, xr_direction direction)
{
    (*(int *)context)++;
    if (direction == XR_FORWARD)
        expect_finite(n->x, xr_numel(n), n, "value");
    for (int k = 0; direction == XR_BACKWARD && k < XR_MAX_INPUTS; k++)
        if (n->in[k] && n->in[k]->rowgrad)
            expect_finite(n->in[k]->rowgrad->g, n->in[k]->rowgrad->n * n->in[k]->cols, n, "rows of a gradient");
        else if (n->in[k])
            expect_finite(n->in[k]->g, xr_numel(n->in[k]), n, "gradient of an input");
}

/* NaN wherever the next pass will find its memory. */
static void dirty(xr_tape *t)
{
    enum { SIDE = 512 };
    xr_tape_begin(t, 1, 1, 3, 17);
    float *x = xr_sample_values(t, (size_t)SIDE * SIDE, 1);
    for (size_t i = 0; i < (size_t)SIDE * SIDE; i++)
        x[i] = NAN;
    xr_tensor *y = xr_input(t, x, SIDE, SIDE, 1);
    for (int i = 0; i < 4; i++)
        y = xr_gelu_linear(t, y, NULL, (xr_weight){ xr_sample_param(t, SIDE, SIDE, 2) }, NULL);
    assert_int_equal(xr_backward(t, y, NULL), XR_OK);
    assert_true(isnan(y->x[0]));
}

/* Digests of whole tensors (--check-steps) are those of what was computed: every op writes all of its value and of the gradients it makes. */
static void every_op_writes_all(void **state)
{
    (void)state;
    xr_tape *t = xr_tape_new((size_t)64 << 20);
    int seen = 0, before;
    for (const xr_op *const *op = xr_ops; *op; op++)
        for (int k = 0;; k++) {
            dirty(t);
            xr_tape_begin(t, 1, 1, 3, 17);
            xr_tape_watch(t, expect_written, &seen);
            before = seen;
            xr_tensor *y = (*op)->sample(t, k);
            assert_int_equal(xr_backward(t, y, NULL), XR_OK);
            xr_tape_watch(t, NULL, NULL);
            if (!y)
                break;
            assert_true(seen >= before + 2);
        }
    xr_tape_free(t);
}

/* A dry tape counts at least what the real one takes, and touches nothing. */
static void dry_run_covers_the_real_one(void **state)
{
    (void)state;
    size_t peak[2];
    for (int dry = 0; dry < 2; dry++) {
        xr_tape *t = xr_tape_new(dry ? 0 : (size_t)64 << 20);
        xr_tape_begin(t, 1, 1, 3, 17);
        block b = make_block(t);
        xr_tensor *y = block_body(t, xr_sample_input(t, 6, 8, 1), &b);
        y = xr_tanh(t, block_body(t, y, &b));
        assert_int_equal(xr_backward(t, y, NULL), XR_OK);
        peak[dry] = xr_tape_peak(t);
        xr_tape_free(t);
    }
    assert_true(peak[1] + 4096 >= peak[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_op), cmocka_unit_test(every_op_writes_all),
        cmocka_unit_test(segment_equals_plain), cmocka_unit_test(gelu_linear_equals_the_two),
        cmocka_unit_test(poison_names_the_op),
        cmocka_unit_test(exhausted_arena_is_an_error),
        cmocka_unit_test(dry_run_covers_the_real_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
