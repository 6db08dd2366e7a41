/* Products of eight-bit numbers: every instruction set against plain loops over whole numbers, to the bit; against products in double within what
 * rounding to eight bits allows; pairs that would saturate in 16 bits; weights with outliers; numbers that are not finite. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "autograd/ops.h"
#include "autograd/params.h"
#include "kernels/cpu.h"
#include "kernels/isa/table.h"
#include "kernels/packed.h"
#include "util/alloc.h"

static uint32_t lcg;

static float any(void) { return (float)((lcg = lcg * 1664525u + 1013904223u) >> 8) / 8388608.0f - 1.0f; }

static float *values(size_t n, uint32_t seed)
{
    float *x = xr_alloc(n + 1, sizeof *x);
    assert_non_null(x);
    lcg = seed;
    for (size_t k = 0; k < n; k++)
        x[k] = any();
    return x;
}

typedef struct operands {
    float *x, *w, *bias, *before;
    size_t n, o, i;
} operands;

static operands operands_new(size_t n, size_t o, size_t i)
{
    return (operands){values(n * i, 1), values(o * i, 2), values(o, 3), values(n * o, 4), n, o, i};
}

static void operands_free(operands *a)
{
    xr_free(a->x);
    xr_free(a->w);
    xr_free(a->bias);
    xr_free(a->before);
}

/* --- the naive twin ------------------------------------------------------------------------------------------------------- */

/* x = scale (q - zero); the product in double is exact and rint rounds it once, to even. */
static void naive_row(int *q, float *scale, int *zero, const float *x, size_t n)
{
    float low = 0.0f, high = 0.0f;
    for (size_t k = 0; k < n; k++) {
        low = x[k] < low ? x[k] : low;
        high = x[k] > high ? x[k] : high;
    }
    float width = high - low, inverse = width > 0.0f ? 255.0f / width : 0.0f;
    *scale = width / 255.0f;
    *zero = (int)rint((double)(-low * inverse));
    for (size_t k = 0; k < n; k++) {
        double exact = rint((double)x[k] * (double)inverse + (double)*zero);
        q[k] = exact < 0.0 ? 0 : exact > 255.0 ? 255 : (int)exact;
    }
}

/* The largest sum of two neighbours of one sign; of the larger one where signs differ. */
static float largest_pair(const float *w, size_t n)
{
    float most = 0.0f;
    for (size_t k = 0; k < n; k += 2) {
        float a = w[k], b = k + 1 < n ? w[k + 1] : 0.0f, pair = (a < 0.0f) == (b < 0.0f) ? fabsf(a + b) : fmaxf(fabsf(a), fabsf(b));
        most = fmaxf(most, pair);
    }
    return most;
}

static void naive_column(int *q, float *scale, const float *w, size_t n)
{
    float most = largest_pair(w, n);
    *scale = most / 127.0f;
    for (size_t k = 0; k < n; k++)
        q[k] = most > 0.0f ? (int)rint((double)w[k] * (double)(127.0f / most)) : 0;
}

static float *naive(const operands *a, float beta)
{
    float *y = xr_alloc(a->n * a->o, sizeof *y), row_scale, scale;
    int *qx = xr_alloc(a->i, sizeof *qx), *qw = xr_alloc(a->i, sizeof *qw), zero;
    assert_true(y && qx && qw);
    for (size_t r = 0; r < a->n; r++) {
        naive_row(qx, &row_scale, &zero, a->x + r * a->i, a->i);
        for (size_t c = 0; c < a->o; c++) {
            naive_column(qw, &scale, a->w + c * a->i, a->i);
            int64_t sum = 0;
            for (size_t k = 0; k < a->i; k++)
                sum += (int64_t)(qx[k] - zero) * qw[k];
            y[r * a->o + c] = fmaf((float)sum, scale * row_scale, a->bias[c]) + beta * a->before[r * a->o + c];
        }
    }
    xr_free(qx);
    xr_free(qw);
    return y;
}

/* --- the kernels ---------------------------------------------------------------------------------------------------------- */

typedef struct path { const char *name; const xr_isa_int8 *isa; } path;

static size_t paths(path out[7])
{
    size_t n = 0;
    out[n++] = (path){"portable", &xr_isa_int8_portable};
#if XR_HAVE_X86
    if (xr_cpu_best() >= XR_ISA_AVX2)
        out[n++] = (path){"avx2", &xr_isa_int8_avx2};
    if (xr_cpu_best() >= XR_ISA_AVX512)
        out[n++] = (path){"avx512", &xr_isa_int8_avx512};
    if (xr_cpu_best() >= XR_ISA_AVX512 && xr_cpu_has_vnni()) {
        out[n++] = (path){"vnni", &xr_isa_int8_vnni};
        out[n++] = (path){"narrow", &xr_isa_int8_narrow};
    }
    if (xr_cpu_has_amx())
        out[n++] = (path){"amx", &xr_isa_int8_amx};
    if (xr_cpu_has_avxvnni())
        out[n++] = (path){"avxvnni", &xr_isa_int8_avxvnni};
#endif
    return n;
}

/* One group of columns after another, all rows at once. */
static float *product_on(const xr_isa_int8 *isa, const operands *a, float beta)
{
    size_t quads = (a->i + 3) / 4, ld = 4 * quads, bytes = xr_pack_int8.bytes(a->o, a->i);
    void *data = xr_map_alloc(bytes, 0);
    uint8_t *q = xr_alloc(a->n * ld, 1);
    xr_int8_row *row = xr_alloc(a->n, sizeof *row);
    float *y = xr_alloc(a->n * a->o, sizeof *y);
    assert_true(data && q && row && y);
    xr_pack_int8.fill(data, a->w, a->o, a->i);
    memcpy(y, a->before, a->n * a->o * sizeof *y);
    for (size_t r = 0; r < a->n; r++)
        isa->quantize(q + r * ld, &row[r], a->x + r * a->i, a->i);
    for (size_t c = 0; c < a->o; c += XR_INT8_GROUP)
        isa->multiply(&(xr_int8_tile){.y = y + c, .ld_y = a->o, .rows = a->n, .cols = a->o - c < XR_INT8_GROUP ? a->o - c : XR_INT8_GROUP,
                                      .x = q, .row = row, .ld_x = ld, .quads = quads, .bias = a->bias + c, .beta = beta,
                                      .w = (const int8_t *)data + c / XR_INT8_GROUP * xr_int8_group_bytes(quads)});
    xr_map_free(data, bytes);
    xr_free(q);
    xr_free(row);
    return y;
}

/* As linear layers call it. */
static float *product(const operands *a, float beta)
{
    size_t bytes = xr_pack_int8.bytes(a->o, a->i), need = xr_pack_int8.scratch(a->n, a->o, a->i);
    void *data = xr_map_alloc(bytes, 0), *scratch = xr_map_alloc(need, 0);
    float *y = xr_alloc(a->n * a->o, sizeof *y);
    assert_true(data && scratch && y);
    memset(scratch, 0xa5, need);
    xr_pack_int8.fill(data, a->w, a->o, a->i);
    memcpy(y, a->before, a->n * a->o * sizeof *y);
    xr_pack_int8.multiply(y, a->x, data, a->bias, a->n, a->o, a->i, beta, scratch);
    xr_map_free(data, bytes);
    xr_map_free(scratch, need);
    return y;
}

static void expect_same(const char *what, const operands *a, const float *y, const float *want)
{
    for (size_t k = 0; k < a->n * a->o; k++)
        if (memcmp(&y[k], &want[k], sizeof *y) != 0)
            fail_msg("%s, %zu x %zu x %zu: [%zu] is %.9g, expected %.9g", what, a->n, a->o, a->i, k, (double)y[k], (double)want[k]);
}

static void check_paths(const operands *a, float beta)
{
    float *want = naive(a, beta);
    path p[7];
    size_t n = paths(p);
    for (size_t k = 0; k < n; k++) {
        float *y = product_on(p[k].isa, a, beta);
        expect_same(p[k].name, a, y, want);
        xr_free(y);
    }
    for (int threads = 1; threads <= 4; threads++) {
        xr_threads_set(threads);
        float *y = product(a, beta);
        expect_same("kind", a, y, want);
        xr_free(y);
    }
    xr_threads_set(2);
    xr_free(want);
}

static void test_shapes(void **state)
{
    (void)state;
    static const size_t shape[][3] = {{1, 1, 1}, {1, 64, 96}, {2, 3, 7}, {3, 65, 5}, {4, 16, 64}, {5, 130, 129}, {6, 64, 768},
                                      {7, 63, 66}, {13, 200, 31}, {391, 70, 34}};
    for (size_t k = 0; k < sizeof shape / sizeof *shape; k++) {
        operands a = operands_new(shape[k][0], shape[k][1], shape[k][2]);
        check_paths(&a, 0.0f);
        check_paths(&a, 1.0f);
        operands_free(&a);
    }
}

/* On both sides of whole tiles: rows and quads by 16, blocks of 16 columns. */
static void test_edges(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 15, 16, 17, 33}, cols[] = {1, 15, 16, 64}, sums[] = {1, 60, 61, 64, 65, 768};
    for (size_t k = 0; k < 5 * 4 * 6; k++) {
        operands a = operands_new(rows[k / 24], cols[k / 6 % 4], sums[k % 6]);
        check_paths(&a, 1.0f);
        operands_free(&a);
    }
}

/* Ranges that lie on one side of zero, or far from it; zeros; one element; outliers among the activations. */
static void test_rows(void **state)
{
    (void)state;
    operands a = operands_new(11, 20, 50);
    for (size_t k = 0; k < a.i; k++) {
        a.x[k] = fabsf(a.x[k]) + 3.0f;
        a.x[a.i + k] = -fabsf(a.x[a.i + k]) - 2.0f;
        a.x[2 * a.i + k] = 0.0f;
        a.x[3 * a.i + k] = k == 17 ? -4.0f : 0.0f;
        a.x[4 * a.i + k] = 0.37f;
        a.x[5 * a.i + k] *= k % 7 == 3 ? 500.0f : 1.0f;
        a.x[6 * a.i + k] *= 1e-20f;
        a.x[7 * a.i + k] = (float)k - 25.0f;           /* many of them halfway between two numbers */
        a.x[8 * a.i + k] = k == 3 ? -1.5f : k == 30 ? 253.5f : 0.0f;                                /* 255.5, to 256 were it not for the bound */
        a.x[9 * a.i + k] = k == 3 ? -0.002490633400157094f : k == 30 ? 1.2677323818206787f : 0.0f;  /* -0.50000001, to -1 */
    }
    check_paths(&a, 0.0f);
    for (size_t k = 0; k < a.i; k++)
        a.w[4 * a.i + k] = 0.0f;
    check_paths(&a, 1.0f);
    operands_free(&a);
}

/* --- saturation ----------------------------------------------------------------------------------------------------------- */

static int in_16_bits(int v) { return v >= INT16_MIN && v <= INT16_MAX; }

/* All activations 255, and weights that make pairs as large as they become: equal neighbours of one sign, which are 63.5 each before they are rounded, and
 * 64 after. VPMADDUBSW adds these in 16 bits; of numbers 127 and 127, which each weight by itself would be, it could not. */
static void test_saturation(void **state)
{
    (void)state;
    operands a = operands_new(7, 70, 3072);
    for (size_t k = 0; k < a.n * a.i; k++)
        a.x[k] = 1.0f;
    for (size_t k = 0; k < a.o * a.i; k++)
        a.w[k] = k / a.i % 3 == 0 ? 1.0f : k / a.i % 3 == 1 ? -1.0f : k % 4 < 2 ? 1.0f : -1.0f;
    check_paths(&a, 0.0f);
    int8_t q[3072];
    float scale;
    int32_t total;
    xr_kernels()->int8->quantize_weights(q, &scale, &total, a.w, a.i);
    assert_true(q[0] == 64 && q[1] == 64 && total == 64 * 3072);
    assert_true(in_16_bits(255 * (q[0] + q[1])) && !in_16_bits(255 * (q[0] + q[1] + 1)) && !in_16_bits(255 * (127 + 127)));
    operands_free(&a);
}

/* Whatever the weights, of every instruction set: no pair that 16 bits do not hold, and in each column one that comes close. */
static void test_pairs(void **state)
{
    (void)state;
    enum { I = 771, COLUMNS = 200 };
    float *w = values(I, 9), scale;
    int8_t q[I];
    int32_t total;
    path p[7];
    size_t n = paths(p);
    for (size_t c = 0; c < COLUMNS; c++) {
        for (size_t k = 0; k < I; k++)
            w[k] = c % 4 == 0 ? any() : any() * any() * any() * (k == c ? 50.0f : 1.0f);
        for (size_t k = 0; k < n; k++) {
            p[k].isa->quantize_weights(q, &scale, &total, w, I);
            int most = 0;
            for (size_t j = 0; j < I; j += 2) {
                int a = q[j], b = j + 1 < I ? q[j + 1] : 0, above = (a > 0 ? a : 0) + (b > 0 ? b : 0), below = (a < 0 ? a : 0) + (b < 0 ? b : 0);
                assert_true(in_16_bits(255 * above) && in_16_bits(255 * below));
                most = above > most ? above : -below > most ? -below : most;
            }
            assert_true(most >= 126);
        }
    }
    xr_free(w);
}

/* --- how far from the product in double ----------------------------------------------------------------------------------- */

/* A number is off by at most half a step of its scale (and a little, for the scale's own rounding). */
static void check_error(const operands *a, const float *y)
{
    for (size_t r = 0; r < a->n; r++)
        for (size_t c = 0; c < a->o; c++) {
            const float *x = a->x + r * a->i, *w = a->w + c * a->i;
            double want = (double)a->bias[c], low = 0.0, high = 0.0, most = (double)largest_pair(w, a->i), error = 0.0;
            for (size_t k = 0; k < a->i; k++) {
                low = fmin(low, (double)x[k]);
                high = fmax(high, (double)x[k]);
                want += (double)x[k] * (double)w[k];
            }
            double dx = (high - low) / 255.0 * 0.501, dw = most / 127.0 * 0.501;
            for (size_t k = 0; k < a->i; k++)
                error += dx * fabs((double)w[k]) + dw * fabs((double)x[k]) + dx * dw;
            if (!(fabs((double)y[r * a->o + c] - want) <= error))
                fail_msg("[%zu,%zu]: %.9g, expected %.9g within %.3g", r, c, (double)y[r * a->o + c], want, error);
        }
}

/* One weight of a column, a thousand times the others: its column is as coarse as the bound says, and no other column's bits change. */
static void test_outliers(void **state)
{
    (void)state;
    operands a = operands_new(12, 80, 300);
    float *plain = product(&a, 0.0f);
    check_error(&a, plain);
    a.w[33 * a.i + 100] = 1000.0f;
    a.w[79 * a.i] = -1000.0f;
    float *y = product(&a, 0.0f);
    check_error(&a, y);
    check_paths(&a, 0.0f);
    for (size_t r = 0; r < a.n; r++)
        for (size_t c = 0; c < a.o; c++)
            assert_int_equal(memcmp(&y[r * a.o + c], &plain[r * a.o + c], sizeof *y) == 0, c != 33 && c != 79);
    for (size_t r = 0; r < a.n; r++)
        for (size_t k = 0; k < a.i; k += 60)
            a.x[r * a.i + k] *= 300.0f;
    float *wide = product(&a, 0.0f);
    check_error(&a, wide);
    xr_free(wide);
    xr_free(y);
    xr_free(plain);
    operands_free(&a);
}

/* What is not finite does not come out as a number: NaN in its row or column, and nowhere else. */
static void test_not_finite(void **state)
{
    (void)state;
    operands a = operands_new(8, 70, 40);
    a.x[1 * a.i + 39] = NAN;
    a.x[2 * a.i] = INFINITY;
    a.x[3 * a.i + 16] = -INFINITY;
    a.x[4 * a.i + 1] = FLT_MAX;
    a.x[4 * a.i + 2] = -FLT_MAX;
    a.w[5 * a.i + 7] = NAN;
    a.w[69 * a.i + 7] = -INFINITY;
    path p[7];
    size_t n = paths(p);
    for (size_t k = 0; k < n; k++) {
        float *y = product_on(p[k].isa, &a, 0.0f);
        for (size_t r = 0; r < a.n; r++)
            for (size_t c = 0; c < a.o; c++)
                assert_int_equal(isnan(y[r * a.o + c]) != 0, (r >= 1 && r <= 4) || c == 5 || c == 69);
        xr_free(y);
    }
    operands_free(&a);
}

/* Numbers too small for a scale are zero, and give the bias. */
static void test_tiny(void **state)
{
    (void)state;
    operands a = operands_new(2, 3, 20);
    for (size_t k = 0; k < a.i; k++) {
        a.x[k] = (float)k * 1e-42f;
        a.w[2 * a.i + k] = (float)k * -1e-42f;
    }
    float *y = product(&a, 0.0f);
    for (size_t c = 0; c < a.o; c++)
        assert_true(y[c] == a.bias[c]);
    assert_true(y[a.o + 2] == a.bias[2]);
    xr_free(y);
    operands_free(&a);
}

/* A linear layer of a tape that keeps nothing for backward. */
static void test_linear(void **state)
{
    (void)state;
    enum { N = 9, O = 20, I = 14 };
    operands a = operands_new(N, O, I);
    float *want = product(&a, 0.0f);
    xr_params ps = {0};
    xr_param *w = xr_params_add(&ps, "w", 2, O, I, XR_INIT_NORMAL, 0, 1), *b = xr_params_add(&ps, "b", 1, 1, O, XR_INIT_ZERO, 0, 1);
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    memcpy(w->t.x, a.w, O * I * sizeof(float));
    memcpy(b->t.x, a.bias, O * sizeof(float));
    w->pack = &xr_pack_int8;
    xr_tape *t = xr_tape_new(1 << 24);
    xr_tape_begin(t, 0, 0, 0, 0);
    xr_tensor *y = xr_linear(t, xr_input(t, a.x, N, I, 0), (xr_weight){w}, b);
    assert_non_null(y);
    assert_memory_equal(y->x, want, N * O * sizeof(float));
    xr_tape_free(t);
    xr_params_free(&ps);
    xr_free(want);
    operands_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_outliers),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
