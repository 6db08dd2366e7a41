/* Packed weights: products of f32 and bf16 against sums in double of their operands, bits at several numbers of threads, copies that follow their values,
 * linear layers and the masked-LM head that use them. */
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
#include "kernels/gemm.h"
#include "kernels/lm_head.h"
#include "kernels/packed.h"
#include "kernels/packed_words.h"
#include "util/alloc.h"
#include "util/half.h"
#include "naive/naive.h"

static float value(size_t k) { return (float)(k * 2654435761u % 8191u) / 4095.5f - 1.0f; }

static float *values(size_t n, size_t salt)
{
    float *x = xr_alloc(n + 1, sizeof *x);
    assert_non_null(x);
    for (size_t k = 0; k < n; k++)
        x[k] = value(k + salt * 7919);
    return x;
}

static double rounded(float x) { return (double)xr_bf16_to_float(xr_bf16_of_float(x)); }

/* Known values, ties to even both ways, the step into infinity, NaN, subnormal numbers. */
static void test_rounding(void **state)
{
    (void)state;
    static const struct { uint32_t from; uint16_t to; } known[] = {
        {0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F818000, 0x3F82}, {0x3F808001, 0x3F81}, {0xBF808001, 0xBF81}, {0x7F7FFFFF, 0x7F80},
        {0x7F7F7FFF, 0x7F7F}, {0x7F800000, 0x7F80}, {0xFF800000, 0xFF80}, {0x7F800001, 0x7FC0}, {0x80000000, 0x8000}, {0x00018000, 0x0002},
    };
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        assert_int_equal(xr_bf16_of_float(xr_float_of_bits(known[k].from)), known[k].to);
    for (uint32_t b = 0; b <= 0xFFFF; b++)
        if ((b & 0x7FFF) <= 0x7F80)
            assert_int_equal(xr_bf16_of_float(xr_bf16_to_float((uint16_t)b)), b);
}

typedef struct operands {
    float *x, *w, *dy, *bias;
    size_t n, o, i;
} operands;

static operands operands_new(size_t n, size_t o, size_t i)
{
    return (operands){values(n * i, 1), values(o * i, 2), values(n * o, 3), values(o, 4), n, o, i};
}

static void operands_free(operands *a)
{
    xr_free(a->x);
    xr_free(a->w);
    xr_free(a->dy);
    xr_free(a->bias);
}

static double plain(float x) { return (double)x; }

static double (*operand)(float x) = rounded;        /* what a kind makes of a number */

/* Products of bf16 numbers are exact in f32; a sum of k of them in any order errs by at most (k + 2) 2^-24 of the sum of their sizes. Those of
 * f32 numbers are rounded once more where there is no fused multiplication. */
static void expect_near(float got, double want, double size, size_t k)
{
    double most = size * (double)(k + 3) * 0x1p-24;
    if (!(fabs((double)got - want) <= most))
        fail_msg("%.9g, expected %.9g within %.3g", (double)got, want, most);
}

static void check_forward(const operands *a, const float *y, float beta)
{
    for (size_t r = 0; r < a->n; r++)
        for (size_t c = 0; c < a->o; c++) {
            double sum = (double)a->bias[c] + (double)(beta * a->dy[r * a->o + c]), size = fabs((double)a->bias[c]) + 1.0;
            for (size_t k = 0; k < a->i; k++) {
                double p = operand(a->x[r * a->i + k]) * operand(a->w[c * a->i + k]);
                sum += p;
                size += fabs(p);
            }
            expect_near(y[r * a->o + c], sum, size, a->i);
        }
}

static void check_input_grad(const operands *a, const float *dx, float beta)
{
    for (size_t r = 0; r < a->n; r++)
        for (size_t c = 0; c < a->i; c++) {
            double sum = (double)(beta * a->x[r * a->i + c]), size = 1.0;
            for (size_t k = 0; k < a->o; k++) {
                double p = operand(a->dy[r * a->o + k]) * operand(a->w[k * a->i + c]);
                sum += p;
                size += fabs(p);
            }
            expect_near(dx[r * a->i + c], sum, size, a->o);
        }
}

static void check_weight_grad(const operands *a, const float *dw, float beta)
{
    for (size_t r = 0; r < a->o; r++)
        for (size_t c = 0; c < a->i; c++) {
            double sum = (double)(beta * a->w[r * a->i + c]), size = 1.0;
            for (size_t k = 0; k < a->n; k++) {
                double p = operand(a->dy[k * a->o + r]) * operand(a->x[k * a->i + c]);
                sum += p;
                size += fabs(p);
            }
            expect_near(dw[r * a->i + c], sum, size, a->n);
        }
}

/* y, dx and dw behind one another; those that are added to begin as dy, x and w. */
static float *products(const xr_pack_kind *k, const operands *a, float beta)
{
    size_t n = a->n, o = a->o, i = a->i, need = k->scratch(n, o, i), grad = k->grad_scratch(n, o, i);
    size_t bytes = k->fill ? k->bytes(o, i) : 1;
    void *data = xr_map_alloc(bytes, 0), *scratch = xr_map_alloc((need > grad ? need : grad) + 1, 0);
    float *y = xr_alloc(n * o + n * i + o * i + 1, sizeof *y), *dx = y + n * o, *dw = dx + n * i;
    assert_true(data && scratch && y);
    memcpy(y, a->dy, n * o * sizeof *y);
    memcpy(dx, a->x, n * i * sizeof *y);
    memcpy(dw, a->w, o * i * sizeof *y);
    if (k->fill)
        k->fill(data, a->w, o, i);
    k->multiply(y, a->x, k->fill ? data : a->w, a->bias, n, o, i, beta, scratch);
    k->input_grad(dx, a->dy, a->w, n, i, o, beta, scratch);
    k->weight_grad(dw, a->dy, a->x, o, i, n, beta, scratch);
    xr_map_free(data, bytes);
    xr_map_free(scratch, (need > grad ? need : grad) + 1);
    return y;
}

/* The same bits at other numbers of threads; and of bf16, whose products are exact, from the kernels of other instruction sets but for tiles: the
 * order of every sum is the same. */
static void check_again(const xr_pack_kind *kind, const operands *a, float beta, const float *want)
{
    static const int counts[] = {1, 3, 16, 64};     /* the more, the more tiles share a row, and a strip */
    int last = (int)xr_cpu_isa(), first = kind == &xr_pack_bf16 && last < (int)XR_ISA_AMX ? 0 : last;
    for (int isa = first; isa <= last; isa++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            assert_int_equal(xr_cpu_use((xr_isa)isa), XR_OK);
            xr_threads_set(counts[c]);
            float *again = products(kind, a, beta);
            if (memcmp(again, want, (a->n * a->o + a->n * a->i + a->o * a->i) * sizeof *want) != 0)
                fail_msg("other bits with %d threads on %s", counts[c], xr_isa_name((xr_isa)isa));
            xr_free(again);
        }
    xr_threads_set(2);
}

static void check_kind(const xr_pack_kind *kind, size_t n, size_t o, size_t i)
{
    operands a = operands_new(n, o, i);
    operand = kind == &xr_pack_bf16 ? rounded : plain;
    for (int beta = 0; beta <= 1; beta++) {
        float *y = products(kind, &a, (float)beta);
        check_forward(&a, y, (float)beta);
        check_input_grad(&a, y + n * o, (float)beta);
        check_weight_grad(&a, y + n * o + n * i, (float)beta);
        check_again(kind, &a, (float)beta, y);
        xr_free(y);
    }
    operands_free(&a);
}

static xr_isa best_without_tiles(void) { return xr_cpu_best() < XR_ISA_AMX ? xr_cpu_best() : XR_ISA_AVX512; }

/* f32 on every instruction set; bf16 on the best one, with whose bits check_again compares the others', and in tiles. */
static void check_shape(size_t n, size_t o, size_t i)
{
    assert_int_equal(xr_cpu_use(best_without_tiles()), XR_OK);
    check_kind(&xr_pack_bf16, n, o, i);
    if (xr_cpu_use(XR_ISA_AMX) == XR_OK)
        check_kind(&xr_pack_bf16, n, o, i);
    xr_error_clear();       /* of a machine without AVX-512 */
    for (int isa = 0; isa <= (int)best_without_tiles(); isa++) {
        assert_int_equal(xr_cpu_use((xr_isa)isa), XR_OK);
        check_kind(&xr_pack_f32, n, o, i);
    }
}

static void test_products(void **state)
{
    (void)state;
    check_shape(1, 1, 1);
    check_shape(1, 64, 96);
    check_shape(5, 3, 7);
    check_shape(33, 70, 129);
    check_shape(200, 130, 64);
    check_shape(64, 96, 1100);
    check_shape(1100, 65, 33);      /* as many tiles as get smaller towards the end */
    check_shape(40, 1101, 65);
    check_shape(9, 33, 2100);       /* two blocks of a sum in bf16, too: forward, to the input, to the weight */
    check_shape(9, 2100, 33);
    check_shape(2100, 9, 33);
    check_shape(13, 80, 112);       /* one and three vectors more than a strip */
    check_shape(0, 20, 33);         /* no rows: what is left of the gradient of the weight */
    for (size_t n = 2; n <= 11; n++)        /* every rest of rows, in whole strips and in one that is not */
        check_shape(n, n % 2 ? 128 : 100, 60 + n);
}

/* --- tiles ------------------------------------------------------------------------------------------------------------ */

/* The sum that TDPBF16PS makes, step by step as Intel's manual writes it down: of 16 words at a time, zeros where there are none. */
static float tile_sum(float sum, const float *a, size_t step_a, const float *b, size_t step_b, size_t n)
{
    for (size_t k = 0; k < n; k += 32) {
        float part[2] = {0};
        for (size_t i = k; i < k + 32 && i < n; i++)
            part[i % 2] += (float)rounded(a[i * step_a]) * (float)rounded(b[i * step_b]);
        sum += part[0] + part[1];
    }
    return sum;
}

/* y, dx and dw behind one another, as of `products`. */
static float *naive_tiles(const operands *a)
{
    size_t n = a->n, o = a->o, i = a->i;
    float *y = xr_alloc(n * o + n * i + o * i + 1, sizeof *y), *dx = y + n * o, *dw = dx + n * i;
    assert_non_null(y);
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < o; c++)
            y[r * o + c] = tile_sum(a->dy[r * o + c] + a->bias[c], a->x + r * i, 1, a->w + c * i, 1, i);
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < i; c++)
            dx[r * i + c] = tile_sum(a->x[r * i + c], a->dy + r * o, 1, a->w + c, i, o);
    for (size_t r = 0; r < o; r++)
        for (size_t c = 0; c < i; c++)
            dw[r * i + c] = tile_sum(a->w[r * i + c], a->dy + r, o, a->x + c, i, n);
    return y;
}

static float *tiles(const xr_isa_words *isa, const operands *a, int threads)
{
    size_t n = a->n, o = a->o, i = a->i, bytes = xr_words_bytes(isa, i, o), grad = xr_words_grad_scratch(isa, n, o, i);
    bytes = bytes > grad ? bytes : grad;
    uint32_t *packed = xr_map_alloc(bytes, 0);
    float *y = xr_alloc(n * o + n * i + o * i + 1, sizeof *y), *dx = y + n * o, *dw = dx + n * i;
    assert_true(packed && y);
    memset(packed, 0x7f, bytes);
    memcpy(y, a->dy, n * o * sizeof *y);
    memcpy(dx, a->x, n * i * sizeof *y);
    memcpy(dw, a->w, o * i * sizeof *y);
    xr_words_pack_transposed(isa, packed, a->w, i, o, threads);
    xr_words_multiply(&(xr_words_product){.isa = isa, .a = a->x, .lda = i, .b = packed, .bias = a->bias, .c = y, .rows = n, .cols = o, .inner = i,
                                          .beta = 1.0f}, threads);
    xr_words_input_grad(isa, dx, a->dy, a->w, n, i, o, 1.0f, packed);
    xr_words_weight_grad(isa, dw, a->dy, a->x, o, i, n, 1.0f, packed);
    xr_map_free(packed, bytes);
    return y;
}

/* Where the machine has the instruction it is held to the naive sums, in every bit; everywhere what stands for it is. */
static void check_tiles(size_t n, size_t o, size_t i)
{
    operands a = operands_new(n, o, i);
    float *want = naive_tiles(&a);
    const xr_isa_words *isa[] = {
        &xr_isa_tiles_portable,
#if XR_HAVE_X86
        xr_cpu_best() >= XR_ISA_AVX2 ? &xr_isa_tiles_avx2 : NULL,
        xr_cpu_best() >= XR_ISA_AVX512 ? &xr_isa_tiles_avx512 : NULL,
        xr_cpu_has_amx() ? &xr_isa_tiles_native : NULL,
#endif
    };
    for (size_t k = 0; k < sizeof isa / sizeof *isa; k++)
        for (int threads = 1; isa[k] && threads <= 3; threads += 2) {
            xr_threads_set(threads);
            float *got = tiles(isa[k], &a, threads);
            for (size_t j = 0; j < n * o + n * i + o * i; j++)
                if (memcmp(&got[j], &want[j], sizeof *got) != 0)
                    fail_msg("kernel %zu, %d threads, %zu x %zu x %zu: number %zu is %.9g, expected %.9g", k, threads, n, o, i, j, (double)got[j],
                             (double)want[j]);
            xr_free(got);
        }
    xr_free(want);
    operands_free(&a);
}

static void test_tiles(void **state)
{
    (void)state;
    check_tiles(1, 1, 1);
    check_tiles(16, 64, 32);
    check_tiles(17, 65, 33);
    check_tiles(5, 3, 7);
    check_tiles(150, 80, 600);      /* two blocks of a sum */
    check_tiles(600, 48, 40);
    check_tiles(512, 40, 768);      /* as many rows and words to a block as there may be */
    check_tiles(40, 600, 70);
    for (size_t n = 2; n <= 40; n += 5)
        check_tiles(n, n % 2 ? 128 : 100, 60 + n);
}

enum { HEAD_ROWS = 19, HEAD_WORDS = 3000, HEAD_WIDTH = 40, HEAD_GRADS = (HEAD_ROWS + HEAD_WORDS) * HEAD_WIDTH + HEAD_WORDS };

static float *head_grads(xr_lm_head a, int workers, float *logits, double *loss)
{
    a.workers = workers;
    size_t bytes = xr_lm_head_scratch(&a, 1);
    void *scratch = xr_map_alloc(bytes, 0);
    xr_lm_row row[HEAD_ROWS];
    float *g = xr_alloc(HEAD_GRADS, sizeof *g);
    assert_true(scratch && g);
    *loss = xr_lm_head_forward(&a, row, logits, scratch);
    xr_lm_head_backward(&(xr_lm_grads){g, g + a.m * a.d, g + (a.m + a.v) * a.d, 0, 0, 0, 0.5f}, &a, row, logits, scratch);
    xr_map_free(scratch, bytes);
    return g;
}

/* Half a unit in the last place of bf16, twice: the slope is rounded, and one that differs in f32 may round to the other side. */
static void check_head_gradients(const xr_lm_head *a, const float *g)
{
    double *want = xr_alloc(HEAD_GRADS, sizeof *want), *slope = xr_alloc(a->m * a->v, sizeof *slope);
    assert_true(want && slope);
    naive_lm_head(want, want + a->m * a->d, want + (a->m + a->v) * a->d, 0.5, a);
    for (size_t r = 0; r < a->m; r++) {
        double top = -INFINITY, sum = 0.0;
        for (size_t v = 0; v < a->v; v++) {
            double z = (double)a->b[v];
            for (size_t k = 0; k < a->d; k++)
                z += (double)a->h[r * a->d + k] * (double)a->w[v * a->d + k];
            slope[r * a->v + v] = z;
            top = fmax(top, z);
        }
        for (size_t v = 0; v < a->v; v++)
            sum += exp(slope[r * a->v + v] - top);
        for (size_t v = 0; v < a->v; v++)
            slope[r * a->v + v] = fabs(0.5 * (exp(slope[r * a->v + v] - top) / sum - ((size_t)a->target[r] == v)));
    }
    for (size_t k = 0; k < a->d; k++) {
        for (size_t r = 0; r < a->m; r++) {
            double size = 0.0;
            for (size_t v = 0; v < a->v; v++)
                size += slope[r * a->v + v] * fabs((double)a->w[v * a->d + k]);
            if (!(fabs((double)g[r * a->d + k] - want[r * a->d + k]) <= 0x1p-8 * size))
                fail_msg("dh[%zu,%zu]: %g, expected %g", r, k, (double)g[r * a->d + k], want[r * a->d + k]);
        }
        for (size_t v = 0; v < a->v; v++) {
            double size = 0.0;
            size_t at = (a->m + v) * a->d + k;
            for (size_t r = 0; r < a->m; r++)
                size += slope[r * a->v + v] * fabs((double)a->h[r * a->d + k]);
            if (!(fabs((double)g[at] - want[at]) <= 0x1p-8 * size))
                fail_msg("dw[%zu,%zu]: %g, expected %g", v, k, (double)g[at], want[at]);
        }
    }
    xr_free(want);
    xr_free(slope);
}

/* h and W are bf16 numbers, so that the logits are as good as those of f32; the slopes are rounded before they are multiplied. */
static void test_masked_lm_head(void **state)
{
    (void)state;
    int32_t target[HEAD_ROWS];
    float *h = values(HEAD_ROWS * HEAD_WIDTH, 1), *w = values(HEAD_WORDS * HEAD_WIDTH, 2), *b = values(HEAD_WORDS, 3);
    for (size_t k = 0; k < HEAD_ROWS * HEAD_WIDTH; k++)
        h[k] = (float)rounded(h[k]);
    for (size_t k = 0; k < HEAD_WORDS * HEAD_WIDTH; k++)
        w[k] = (float)rounded(w[k]);
    for (size_t r = 0; r < HEAD_ROWS; r++)
        target[r] = (int32_t)(r * 157 % HEAD_WORDS);
    xr_lm_head a = {h, w, b, target, HEAD_ROWS, HEAD_WORDS, HEAD_WIDTH, 1, 1};
    float *logits = values(xr_lm_head_logits(&a), 4);
    double loss, again, *unused = xr_alloc(HEAD_GRADS, sizeof *unused);
    double want = naive_lm_head(unused, unused + a.m * a.d, unused + (a.m + a.v) * a.d, 0.5, &a);
    xr_free(unused);
    float *g = head_grads(a, 1, logits, &loss);
    assert_true(fabs(loss - want) <= 4e-7 * (1.0 + want));
    check_head_gradients(&a, g);
    for (int workers = 1; workers <= 3; workers += 2) {
        xr_threads_set(workers);
        float *other = head_grads(a, workers, workers == 1 ? logits : NULL, &again);     /* logits kept or computed again */
        assert_true(again == loss);
        assert_memory_equal(other, g, HEAD_GRADS * sizeof *g);
        xr_free(other);
    }
    xr_free(g);
    xr_free(h);
    xr_free(w);
    xr_free(b);
    xr_free(logits);
}

/* A copy is made once, made again when values or kind change, and given back. */
static void test_copies(void **state)
{
    (void)state;
    long live = xr_alloc_live();
    xr_params ps = {0};
    xr_param *p = xr_params_add(&ps, "w", 2, 4, 6, XR_INIT_NORMAL, 0, 1);
    assert_non_null(p);
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    xr_param_init(p, 1.0f, 7);
    p->pack = &xr_pack_bf16;
    size_t bytes = p->pack->bytes(4, 6);
    uint16_t *first = xr_alloc(bytes, 1);
    const void *data = xr_param_packed(p);
    assert_non_null(data);
    memcpy(first, data, bytes);
    p->t.x[0] += 1.0f;
    assert_ptr_equal(xr_param_packed(p), data);
    assert_memory_equal(data, first, bytes);
    xr_param_changed(p);
    assert_ptr_equal(xr_param_packed(p), data);
    assert_memory_not_equal(data, first, bytes);
    xr_free(first);
    xr_params_free(&ps);
    assert_int_equal(xr_alloc_live(), live);
}

/* Where own f32 kernels are ahead, linear layers take them from 512 rows on; not below, but where OpenBLAS is older than they are. */
static void test_f32_layers(void **state)
{
    (void)state;
    enum { N = 512, O = 20, I = 14 };
    operands a = operands_new(N, O, I);
    float *want = products(&xr_pack_f32, &a, 0.0f);
    xr_param w = {.t = {.rows = O, .cols = I, .x = a.w}}, b = {.t = {.rows = 1, .cols = O, .x = a.bias}};
    xr_tape *t = xr_tape_new(1 << 24);
    xr_tape_begin(t, 0, 1, 0, 0);
    xr_tensor *x = xr_input(t, a.x, N, I, 1), *y = xr_linear(t, x, (xr_weight){&w}, &b);
    assert_non_null(y);
    assert_int_equal(xr_backward(t, y, a.dy), XR_OK);
    if (xr_pack_for(NULL, N)) {
        assert_memory_equal(y->x, want, N * O * sizeof *want);
        assert_memory_equal(x->g, want + N * O, N * I * sizeof *want);
    }
    operand = plain;
    check_forward(&a, y->x, 0.0f);
    const xr_pack_kind *always = xr_blas_is_older() ? &xr_pack_f32 : NULL;
    assert_ptr_equal(xr_pack_for(NULL, N), xr_cpu_isa() > XR_ISA_PORTABLE ? &xr_pack_f32 : always);
    assert_ptr_equal(xr_pack_for(NULL, N - 1), always);
    assert_ptr_equal(xr_pack_for(NULL, 1), always);
    assert_ptr_equal(xr_pack_for(&xr_pack_bf16, 1), &xr_pack_bf16);
    xr_tape_free(t);
    xr_free(want);
    operands_free(&a);
}

/* Rows [first, first + n) of the operands through a layer whose weights are kept packed. */
static void kept_layer(float *y, xr_param *w, xr_param *b, const operands *a, size_t first, size_t n)
{
    xr_tape *t = xr_tape_new(1 << 24);
    xr_tape_begin(t, 0, 0, 0, 0);
    xr_tensor *out = xr_linear(t, xr_input(t, a->x + first * a->i, n, a->i, 0), (xr_weight){w}, b);
    assert_non_null(out);
    memcpy(y + first * a->o, out->x, n * a->o * sizeof *y);
    xr_tape_free(t);
}

/* The rows in pieces of 1, 2, 3, ... */
static void kept_in_pieces(float *y, xr_param *w, xr_param *b, const operands *a)
{
    for (size_t first = 0, n = 1; first < a->n; first += n, n++)
        kept_layer(y, w, b, a, first, n < a->n - first ? n : a->n - first);
}

/* The first product makes no copy, the next one does, once: the same bits, whatever rows stand together, which are those of packing at each product. A
 * change of the values begins anew. */
static void test_kept(void **state)
{
    (void)state;
    enum { N = 400, O = 70, I = 530 };
    operands a = operands_new(N, O, I);
    float *want = products(&xr_pack_f32, &a, 0.0f), *y = xr_alloc(N * O, sizeof *y);
    xr_params ps = {0};
    xr_param *w = xr_params_add(&ps, "w", 2, O, I, XR_INIT_ZERO, 0, 1), *b = xr_params_add(&ps, "b", 1, 1, O, XR_INIT_ZERO, 0, 1);
    assert_true(y && w && b && xr_params_alloc(&ps) == XR_OK);
    memcpy(w->t.x, a.w, O * I * sizeof(float));
    memcpy(b->t.x, a.bias, O * sizeof(float));
    w->pack = &xr_pack_f32_kept;
    operand = plain;
    int kept = xr_cpu_isa() != XR_ISA_PORTABLE;
    assert_ptr_equal(xr_pack_for(&xr_pack_f32_kept, 1), kept ? &xr_pack_f32_kept : NULL);
    for (int k = 0; k < 2; k++) {
        memset(y, 0, N * O * sizeof *y);
        kept_layer(y, w, b, &a, 0, N);
        check_forward(&a, y, 0.0f);
        assert_int_equal(w->packed.data != NULL, kept && k > 0);
        if (kept)
            assert_memory_equal(y, want, N * O * sizeof *y);
    }
    const void *copy = w->packed.data;
    for (int threads = 1; kept && threads <= 3; threads += 2) {
        xr_threads_set(threads);
        memset(y, 0, N * O * sizeof *y);
        kept_in_pieces(y, w, b, &a);
        assert_memory_equal(y, want, N * O * sizeof *y);
        assert_ptr_equal(w->packed.data, copy);
    }
    memset(w->t.x, 0, O * I * sizeof(float));
    xr_param_changed(w);
    for (int k = 0; k < 2; k++) {
        kept_layer(y, w, b, &a, 0, N);
        for (size_t i = 0; i < N * O; i++)
            assert_true(y[i] == a.bias[i % O]);
    }
    xr_params_free(&ps);
    xr_free(want);
    xr_free(y);
    operands_free(&a);
}

/* Two layers of a tape: the packed one's result and gradients are those of the kernels. */
static void test_linear(void **state)
{
    (void)state;
    enum { N = 9, O = 20, I = 14 };
    operands a = operands_new(N, O, I);
    float *want = products(&xr_pack_bf16, &a, 0.0f);
    xr_params ps = {0};
    xr_param *w = xr_params_add(&ps, "w", 2, O, I, XR_INIT_NORMAL, 0, 1), *b = xr_params_add(&ps, "b", 1, 1, O, XR_INIT_ZERO, 0, 1);
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&ps), XR_OK);
    memcpy(w->t.x, a.w, O * I * sizeof(float));
    memcpy(b->t.x, a.bias, O * sizeof(float));
    w->pack = &xr_pack_bf16;
    xr_tape *t = xr_tape_new(1 << 24);
    xr_tape_begin(t, 1, 1, 0, 0);
    xr_tensor *x = xr_input(t, a.x, N, I, 1), *y = xr_linear(t, x, (xr_weight){w}, b);
    assert_non_null(y);
    assert_memory_equal(y->x, want, N * O * sizeof(float));
    assert_int_equal(xr_backward(t, y, a.dy), XR_OK);
    assert_memory_equal(x->g, want + N * O, N * I * sizeof(float));
    assert_memory_equal(w->t.g, want + N * O + N * I, O * I * sizeof(float));
    xr_tape_free(t);
    xr_params_free(&ps);
    xr_free(want);
    operands_free(&a);
}

/* No memory for the copy: the step has a status, and nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    long live = xr_alloc_live();
    xr_params ps = {0};
    xr_param *w = xr_params_add(&ps, "w", 2, 20, 14, XR_INIT_NORMAL, 0, 1);
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    xr_param_init(w, 1.0f, 1);
    w->pack = &xr_pack_bf16;
    float *x = values(3 * 14, 1);
    xr_tape *t = xr_tape_new(1 << 24);
    xr_tape_begin(t, 0, 0, 0, 0);
    xr_tensor *in = xr_input(t, x, 3, 14, 0);
    xr_linear(t, in, (xr_weight){NULL}, NULL);
    xr_tensor *warm = xr_linear(t, in, (xr_weight){&(xr_param){.t = w->t}}, NULL);     /* the tape's own memory is there */
    assert_non_null(warm);
    xr_alloc_fail_after(0);
    assert_null(xr_linear(t, in, (xr_weight){w}, NULL));
    xr_alloc_fail_after(-1);
    assert_int_equal(xr_tape_status(t), XR_ESYSTEM);
    assert_non_null(strstr(xr_error_message(), "bf16 copy of w"));
    xr_error_clear();
    xr_tape_begin(t, 0, 0, 0, 0);
    assert_non_null(xr_linear(t, xr_input(t, x, 3, 14, 0), (xr_weight){w}, NULL));
    xr_tape_free(t);
    xr_free(x);
    xr_params_free(&ps);
    assert_int_equal(xr_alloc_live(), live);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_masked_lm_head),
        cmocka_unit_test(test_copies),
        cmocka_unit_test(test_f32_layers),
        cmocka_unit_test(test_kept),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
