/* Every kernel against a twin in double, against libm, and against values from PyTorch 2.15; on each instruction set of the machine;
 * the same bits at 1, 2, 3, 4 and 8 threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/lm_head.h"
#include "kernels/rows.h"
#include "kernels/vec.h"
#include "naive/naive.h"
#include "util/alloc.h"
#include "util/half.h"
#include "util/log.h"

enum { FIRST = 1 };
static uint32_t lcg = FIRST;

static uint32_t any(uint32_t n) { return (uint32_t)((uint64_t)(lcg = lcg * 1664525u + 1013904223u) * n >> 32); }

/* n values in -1 .. 1; the caller frees. One element more than asked for, so that n = 0 has an address. */
static float *random_floats(size_t n)
{
    float *x = xr_alloc(n + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)any(1u << 24) / 8388608.0f - 1.0f;
    return x;
}

static double *doubles(size_t n)
{
    double *x = xr_alloc(n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

static void close_to(const char *what, size_t i, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s[%zu] on %s: %.9g, expected %.9g within %.1g", what, i, xr_isa_name(xr_cpu_isa()), got, want, tolerance);
}

static void all_close(const char *what, const float *got, const double *want, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        close_to(what, i, (double)got[i], want[i], tolerance);
}

/* Runs `call` from the same start at several numbers of threads; out (n floats) must come out the same. */
typedef void (*work)(void *arg);
static void same_at_all_threads(work call, void *arg, float *out, size_t n)
{
    static const int counts[] = {1, 2, 3, 4, 8};
    float *start = random_floats(n), *first = random_floats(n);
    memcpy(start, out, n * sizeof *out);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        memcpy(out, start, n * sizeof *out);
        xr_threads_set(counts[c]);
        call(arg);
        if (c == 0)
            memcpy(first, out, n * sizeof *out);
        else if (memcmp(first, out, n * sizeof *out) != 0)
            fail_msg("other bits with %d threads than with 1 on %s", counts[c], xr_isa_name(xr_cpu_isa()));
    }
    xr_threads_set(2);
    xr_free(start);
    xr_free(first);
}

/* --- products ------------------------------------------------------------------------------------------------------------- */

typedef struct product { float *y, *x, *w, *bias; size_t n, o, i; float beta; } product;

static void call_nt(void *arg) { product *p = arg; xr_gemm_nt(p->y, p->x, p->w, p->bias, p->n, p->o, p->i, p->beta); }
static void call_nn(void *arg) { product *p = arg; xr_gemm_nn(p->x, p->y, p->w, p->n, p->i, p->o, p->beta); }
static void call_tn(void *arg) { product *p = arg; xr_gemm_tn(p->w, p->y, p->x, p->o, p->i, p->n, p->beta); }

/* kind 0, 1, 2 = nt, nn, tn. Large results are compared at some elements only. */
static void check_product(int kind, size_t n, size_t o, size_t i, float beta, int bias)
{
    product p = {random_floats(n * o), random_floats(n * i), random_floats(o * i), bias ? random_floats(o) : NULL, n, o, i, beta};
    float *out = kind == 0 ? p.y : kind == 1 ? p.x : p.w;
    size_t rows = kind == 2 ? o : n, cols = kind == 0 ? o : i, inner = kind == 0 ? i : kind == 1 ? o : n;
    float *before = random_floats(rows * cols);
    memcpy(before, out, rows * cols * sizeof *out);
    same_at_all_threads(kind == 0 ? call_nt : kind == 1 ? call_nn : call_tn, &p, out, rows * cols);
    size_t step = 1 + rows * cols / 4000;
    for (size_t at = 0; at < rows * cols; at += step) {
        size_t r = at / cols, c = at % cols;
        double want = kind == 0   ? naive_dot(p.x + r * i, 1, p.w + c * i, 1, i)
                      : kind == 1 ? naive_dot(p.y + r * o, 1, p.w + c, i, o)
                                  : naive_dot(p.y + r, o, p.x + c, i, n);
        want += (double)beta * (double)before[at] + (kind == 0 && bias ? (double)p.bias[c] : 0.0);
        close_to("product", at, (double)out[at], want, 2e-6 * (3.0 + sqrt((double)inner)));
    }
    xr_free(p.y); xr_free(p.x); xr_free(p.w); xr_free(p.bias); xr_free(before);
}

static void products(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{0, 5, 3}, {1, 1, 1}, {1, 768, 33}, {7, 2, 5}, {33, 65, 17}, {32, 768, 768}, {361, 130, 96},
                                       {97, 64, 384}, {200, 768, 200}, {5, 3001, 64}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int kind = 0; kind < 3; kind++)
            check_product(kind, shapes[s][0], shapes[s][1], shapes[s][2], (float)(s % 2), s % 3 != 0);
    check_product(1, 3, 0, 4, 0.0f, 0);         /* an empty sum is zero */
}

/* The kernel for few rows: every rest of rows, columns, vectors and blocks of the sum, and both sides of its bound. */
static void products_of_few_rows(void **state)
{
    (void)state;
    static const size_t inner[] = {0, 1, 3, 15, 16, 17, 40, 385, 769, 1536, 1537, 1549, 3072}, out[] = {1, 5, 6, 7, 12, 97, 200};
    for (size_t n = 1; n <= 9; n++)
        for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
            check_product(0, n, out[(n + i) % 7], inner[i], (float)((n + i) % 2), (n + i) % 3 != 0);
    check_product(0, 95, 193, 768, 1.0f, 1);
    check_product(0, 96, 768, 1700, 0.0f, 1);
    check_product(0, 97, 768, 1700, 0.0f, 1);
}

/* A row's bits do not depend on what it is multiplied together with. */
static void few_rows_are_themselves(void **state)
{
    (void)state;
    enum { N = 11, O = 50, I = 1600 };
    float *x = random_floats(N * I), *w = random_floats(O * I), *y = random_floats(N * O), *alone = random_floats(O);
    xr_gemm_nt(y, x, w, NULL, N, O, I, 0.0f);
    for (size_t r = 0; r < N; r++) {
        xr_gemm_nt(alone, x + r * I, w, NULL, 1, O, I, 0.0f);
        assert_memory_equal(alone, y + r * O, O * sizeof *alone);
    }
    xr_free(x); xr_free(w); xr_free(y); xr_free(alone);
}

/* Enough work for every class of tiling. */
static void large_products(void **state)
{
    (void)state;
    check_product(0, 721, 769, 300, 0.0f, 1);
    check_product(1, 730, 1030, 900, 1.0f, 0);
    check_product(2, 600, 3000, 401, 0.0f, 0);
    check_product(0, 1000, 2050, 1250, 0.0f, 1);
}

static char warning[1024];

static void keep_warning(xr_level level, const char *message)
{
    if (level == XR_LOG_WARN)
        snprintf(warning, sizeof warning, "%s", message);
}

/* A library slowed down by the environment is said so, once. */
static void blas(void **state)
{
    (void)state;
    static int calls;
    xr_log_set_sink(keep_warning);
    assert_int_equal(xr_blas_start(), XR_OK);
    xr_log_set_sink(NULL);
    const char *forced = getenv("OPENBLAS_CORETYPE");
    if (calls++ == 0 && forced && strcmp(forced, "Haswell") == 0 && xr_cpu_best() >= XR_ISA_AVX512)
        assert_non_null(strstr(warning, "unset OPENBLAS_CORETYPE"));
    assert_int_equal(xr_blas_start(), XR_OK);
    assert_non_null(strstr(xr_blas_config(), "OpenBLAS"));
    assert_true(strlen(xr_blas_core()) > 2);
}

/* Names of OpenBLAS 0.3.21 and, of static builds, in capitals; which is older depends on the kernels in use. */
static void blas_cores(void **state)
{
    (void)state;
    static const char *const old[] = {"Prescott", "NEHALEM", "Barcelona", "Opteron_SSE3", "Sandybridge", "generic"};
    static const char *const as_new[] = {"SkylakeX", "Cooperlake", "SapphireRapids", "unknown", "plain", "NEOVERSEN1", ""};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
        assert_true(!xr_blas_core_is_older(old[i], XR_ISA_PORTABLE) && xr_blas_core_is_older(old[i], XR_ISA_AVX2) &&
                    xr_blas_core_is_older(old[i], XR_ISA_AVX512) && xr_blas_core_is_older(old[i], XR_ISA_AMX));
    for (size_t i = 0; i < sizeof as_new / sizeof *as_new; i++)
        assert_false(xr_blas_core_is_older(as_new[i], XR_ISA_AMX));
    assert_false(xr_blas_core_is_older("Haswell", XR_ISA_AVX2) || xr_blas_core_is_older("ZEN", XR_ISA_AVX2));
    assert_true(xr_blas_core_is_older("Haswell", XR_ISA_AVX512) && xr_blas_core_is_older("ZEN", XR_ISA_AMX));
    xr_isa before = xr_cpu_isa();
    for (xr_isa isa = XR_ISA_PORTABLE; isa <= xr_cpu_best(); isa++) {
        assert_int_equal(xr_cpu_use(isa), XR_OK);
        assert_int_equal(xr_blas_is_older(), xr_blas_core_is_older(xr_blas_core(), isa));
    }
    assert_int_equal(xr_cpu_use(before), XR_OK);
}

static void *product_alone(void *arg)
{
    call_nt(arg);
    return NULL;
}

/* A new thread has OpenMP's default number of threads again; the bits must not follow it. */
static void product_from_another_thread(void **state)
{
    (void)state;
    size_t n = 123;
    product p = {random_floats(n * n), random_floats(n * n), random_floats(n * n), NULL, n, n, n, 0.0f};
    float *here = random_floats(n * n);
    call_nt(&p);
    memcpy(here, p.y, n * n * sizeof *here);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, product_alone, &p), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_memory_equal(here, p.y, n * n * sizeof *here);
    xr_free(p.y); xr_free(p.x); xr_free(p.w); xr_free(here);
}

typedef struct sums { float *b; const float *y; size_t n, c; float beta; } sums;
static void call_colsum(void *arg) { sums *s = arg; xr_colsum(s->b, s->y, s->n, s->c, s->beta); }

static void column_sums(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 3}, {1, 1}, {5, 17}, {64, 64}, {301, 131}, {1000, 200}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        size_t n = shapes[k][0], c = shapes[k][1];
        sums s = {random_floats(c), random_floats(n * c), n, c, (float)(k % 2)};
        double *want = doubles(c);
        for (size_t j = 0; j < c; j++)
            want[j] = s.beta != 0.0f ? (double)s.b[j] : 0.0;
        for (size_t at = 0; at < n * c; at++)
            want[at % c] += (double)s.y[at];
        same_at_all_threads(call_colsum, &s, s.b, c);
        all_close("colsum", s.b, want, c, 2e-5);
        xr_free(s.b); xr_free((void *)(uintptr_t)s.y); xr_free(want);
    }
}

/* --- row sets ------------------------------------------------------------------------------------------------------------- */

enum { MAX_SEQ = 16, MAX_ROWS = 2048 };
typedef struct owned_rows { uint32_t offset[MAX_SEQ + 1], sample[MAX_SEQ], index[MAX_ROWS], seq[MAX_ROWS]; xr_rowset set; } owned_rows;

/* One of every `keep` tokens of each sequence, the first always, and none of every fourth sequence; keep = 1 is the full set. */
static void make_rows(owned_rows *r, const size_t *lengths, size_t n_seq, uint32_t keep)
{
    size_t n = 0;
    for (size_t s = 0; s < n_seq; s++) {
        r->offset[s] = (uint32_t)n;
        r->sample[s] = (uint32_t)(1000 + 37 * s);
        for (uint32_t i = keep > 1 && s % 4 == 3 ? (uint32_t)lengths[s] : 0; i < lengths[s]; i += keep) {
            r->index[n] = i;
            r->seq[n++] = (uint32_t)s;
        }
    }
    r->offset[n_seq] = (uint32_t)n;
    r->set = (xr_rowset){n, n_seq, r->offset, r->sample, r->index, r->seq};
}

/* --- attention ------------------------------------------------------------------------------------------------------------ */

typedef struct attn {
    xr_attn_shape shape;
    float *q, *k, *v, *dout, *scratch;
    float *o, *lse, *dq, *dk, *dv;
    int acc;
} attn;

static void call_attention_forward(void *arg)
{
    attn *t = arg;
    t->scratch = random_floats(xr_attention_scratch(&t->shape));
    xr_attention_forward(t->o, t->lse, t->q, t->k, t->v, &t->shape, t->scratch);
    xr_free(t->scratch);
}

static void call_attention_backward(void *arg)
{
    attn *t = arg;
    t->scratch = random_floats(xr_attention_scratch(&t->shape));
    xr_attention_backward(t->dq, t->dk, t->dv, t->acc, t->acc, t->acc, t->dout, t->o, t->lse, t->q, t->k, t->v, &t->shape, t->scratch);
    xr_free(t->scratch);
}

static attn attn_new(const xr_rowset *q, const xr_rowset *kv, size_t heads, size_t dim, float p, int acc)
{
    size_t d = heads * dim;
    return (attn){.shape = {q, kv, heads, dim, xr_dropout_make(p, 7, 3, 9), 0}, .q = random_floats(q->n * d), .k = random_floats(kv->n * d),
                  .v = random_floats(kv->n * d), .dout = random_floats(q->n * d), .o = random_floats(q->n * d),
                  .lse = random_floats(q->n * heads), .dq = random_floats((q->n + 2 * kv->n) * d), .acc = acc};
}

static void attn_free(attn *t)
{
    xr_free(t->q); xr_free(t->k); xr_free(t->v); xr_free(t->dout); xr_free(t->o); xr_free(t->lse); xr_free(t->dq);
}

static void round_bf16(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = xr_bf16_to_float(xr_bf16_of_float(x[i]));
}

/* With bf16 the operands are such numbers already, so that what differs from the naive twin is the rounding of probabilities and of the
 * scores' gradients, one part in 512 of a term at most. */
static void check_attention_of(const size_t *lengths, size_t n_seq, uint32_t keep, size_t heads, size_t dim, float p, int acc, int bf16)
{
    owned_rows rq, rkv;
    make_rows(&rq, lengths, n_seq, keep);
    make_rows(&rkv, lengths, n_seq, 1);
    attn t = attn_new(&rq.set, &rkv.set, heads, dim, p, acc);
    size_t d = heads * dim, nq = rq.set.n * d, nkv = rkv.set.n * d;
    t.shape.bf16 = bf16;
    for (int k = 0; k < 4 && bf16; k++)
        round_bf16((float *[]){t.q, t.k, t.v, t.dout}[k], k % 3 == 0 ? nq : nkv);
    t.dk = t.dq + nq;
    t.dv = t.dk + nkv;
    double *want = doubles(2 * nq + 2 * nkv + rq.set.n * heads), *g = want + nq, *lse = g + nq + 2 * nkv;
    naive_attention(want, lse, g, g + nq, g + nq + nkv, t.dout, t.q, t.k, t.v, &t.shape);
    for (size_t i = 0; acc && i < nq + 2 * nkv; i++)
        g[i] += (double)t.dq[i];
    same_at_all_threads(call_attention_forward, &t, t.o, nq);
    same_at_all_threads(call_attention_forward, &t, t.lse, rq.set.n * heads);
    all_close("o", t.o, want, nq, bf16 ? 1.0 / 1024 : 3e-6);
    all_close("lse", t.lse, lse, rq.set.n * heads, 2e-6);
    same_at_all_threads(call_attention_backward, &t, t.dq, nq + 2 * nkv);
    all_close("dq dk dv", t.dq, g, nq + 2 * nkv, bf16 ? 1.0 / 1024 : 1e-5);
    attn_free(&t);
    xr_free(want);
}

static void check_attention(const size_t *lengths, size_t n_seq, uint32_t keep, size_t heads, size_t dim, float p, int acc)
{
    check_attention_of(lengths, n_seq, keep, heads, dim, p, acc, 0);
}

static void attention(void **state)
{
    (void)state;
    static const size_t some[] = {1, 45, 2, 17, 0, 33, 8}, two[] = {70, 131}, none[] = {0};
    static const size_t alike[MAX_SEQ] = {12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12};
    check_attention(some, 7, 1, 3, 16, 0.1f, 0);
    check_attention(some, 7, 3, 2, 5, 0.3f, 1);
    check_attention(some, 7, 3, 2, 16, 0.1f, 0);
    check_attention(two, 2, 1, 2, 64, 0.1f, 1);
    check_attention(two, 2, 1000, 2, 64, 0.1f, 0);
    check_attention(two, 2, 1, 1, 1, 0.0f, 0);
    check_attention(two, 2, 2, 3, 24, 0.5f, 0);
    check_attention(none, 1, 1, 2, 8, 0.1f, 0);
    check_attention((const size_t[]){515}, 1, 1, 1, 40, 0.1f, 0);
    check_attention(alike, MAX_SEQ, 1, 3, 16, 0.1f, 0);
}

static void attention_bf16(void **state)
{
    (void)state;
    static const size_t mixed[] = {64, 3, 131, 70, 0, 200}, one[] = {515};
    check_attention_of(mixed, 6, 1, 2, 64, 0.1f, 0, 1);
    check_attention_of(mixed, 6, 3, 2, 64, 0.1f, 0, 1);
    check_attention_of(mixed, 6, 1000, 3, 24, 0.0f, 1, 1);
    check_attention_of(mixed, 6, 2, 1, 5, 0.5f, 0, 1);
    check_attention_of(one, 1, 1, 1, 96, 0.1f, 1, 1);
}

/* Pruning must not change the rows that stay. */
static void check_pruned(int bf16)
{
    static const size_t lengths[] = {45, 7, 130};
    owned_rows some, all;
    make_rows(&some, lengths, 3, 5);
    make_rows(&all, lengths, 3, 1);
    attn full = attn_new(&all.set, &all.set, 2, 24, 0.1f, 0), few = attn_new(&some.set, &all.set, 2, 24, 0.1f, 0);
    size_t d = 48;
    full.shape.bf16 = few.shape.bf16 = bf16;
    memcpy(few.k, full.k, all.set.n * d * sizeof(float));
    memcpy(few.v, full.v, all.set.n * d * sizeof(float));
    for (size_t r = 0; r < some.set.n; r++)
        memcpy(few.q + r * d, full.q + (all.offset[some.seq[r]] + some.index[r]) * d, d * sizeof(float));
    call_attention_forward(&full);
    call_attention_forward(&few);
    for (size_t r = 0; r < some.set.n; r++)
        assert_memory_equal(few.o + r * d, full.o + (all.offset[some.seq[r]] + some.index[r]) * d, d * sizeof(float));
    attn_free(&full);
    attn_free(&few);
}

static void pruned_attention(void **state)
{
    (void)state;
    check_pruned(0);
    check_pruned(1);
}

/* torch.nn.functional.scaled_dot_product_attention, sum(o w).backward() */
static void attention_as_torch(void **state)
{
    (void)state;
    static const float q[] = {0.1f, -0.4f, 1.2f, 0.3f, -0.7f, 2.0f}, k[] = {0.5f, 0.25f, -1.0f, 0.75f, 0.3f, -0.6f};
    static const float v[] = {1.0f, 2.0f, -3.0f, 0.5f, 0.25f, -1.5f}, w[] = {0.3f, -0.1f, 0.7f, 0.2f, -0.5f, 1.1f};
    static const double want_o[] = {-0.3390145, 0.167892814, 0.120043404, 0.544963419, -2.09201074, 0.649524689};
    static const double want_lse[] = {1.07475042, 1.17844224, 1.8276037};
    static const double want_g[] = {0.206834346, -0.160941422, 0.374983877, -0.0529434942, -0.204292253, 0.204062104,
                                    0.392176032, 0.0597758144, -0.411718011, 0.300598532, 0.0195421576, -0.360374749,
                                    0.356673598, 0.262921095, -0.195638791, 0.8432284, 0.338965237, 0.0938505828};
    owned_rows r;
    make_rows(&r, (const size_t[]){3}, 1, 1);
    xr_attn_shape a = {&r.set, &r.set, 1, 2, xr_dropout_make(0.0f, 0, 0, 0), 0};
    float o[6], lse[3], g[18], *scratch = random_floats(xr_attention_scratch(&a));
    xr_attention_forward(o, lse, q, k, v, &a, scratch);
    xr_attention_backward(g, g + 6, g + 12, 0, 0, 0, w, o, lse, q, k, v, &a, scratch);
    all_close("o", o, want_o, 6, 3e-7);
    all_close("lse", lse, want_lse, 3, 3e-7);
    all_close("gradients", g, want_g, 18, 5e-7);
    xr_free(scratch);
}

/* Scores of a thousand must not overflow. */
static void attention_of_large_scores(void **state)
{
    (void)state;
    owned_rows r;
    make_rows(&r, (const size_t[]){20}, 1, 1);
    attn t = attn_new(&r.set, &r.set, 1, 4, 0.0f, 0);
    for (size_t i = 0; i < 80; i++)
        t.q[i] *= 3000.0f;
    call_attention_forward(&t);
    assert_int_equal(xr_vec_finite(t.o, 80), 1);
    attn_free(&t);
}

/* Scores far below zero, where padding has zeros. */
static void attention_of_small_scores(void **state)
{
    (void)state;
    enum { T = 19, K = 4 };
    owned_rows r;
    make_rows(&r, (const size_t[]){T}, 1, 1);
    attn t = attn_new(&r.set, &r.set, 1, K, 0.0f, 0);
    for (size_t i = 0; i < T * K; i++) {
        t.q[i] = 20.0f;
        t.k[i] = -20.0f;
    }
    call_attention_forward(&t);
    for (size_t j = 0; j < K; j++) {
        double mean = 0.0;
        for (size_t i = 0; i < T; i++)
            mean += (double)t.v[i * K + j] / T;
        close_to("o", j, (double)t.o[j], mean, 1e-6);
        close_to("lse", j, (double)t.lse[j], -800.0 + log((double)T), 1e-4);
    }
    attn_free(&t);
}

/* The default one, and others that damage may leave: what is made of bits must not make numbers of them. */
static const uint32_t nan_bits[] = { 0x7fc00000, 0x7fc00001, 0x7f800155, 0xffffffff };
enum { N_NANS = sizeof nan_bits / sizeof *nan_bits };

static float nan_of(size_t i)
{
    float x;
    memcpy(&x, &nan_bits[i], sizeof x);
    return x;
}

static void attention_of_nans(void **state)
{
    (void)state;
    enum { T = 128, K = 16 };
    owned_rows r;
    make_rows(&r, (const size_t[]){T}, 1, 1);
    for (size_t i = 0; i < N_NANS; i++) {
        attn t = attn_new(&r.set, &r.set, 1, K, 0.0f, 0);
        t.q[5 * K + 3] = nan_of(i);
        call_attention_forward(&t);
        for (size_t j = 0; j < K; j++) {
            assert_true(isnan(t.o[5 * K + j]) != 0);
            assert_true(isnan(t.o[6 * K + j]) == 0);
        }
        attn_free(&t);
    }
}

/* --- LayerNorm, softmax, dropout ------------------------------------------------------------------------------------------- */

typedef struct norm {
    const xr_rowset *rows;
    size_t cols;
    xr_dropout drop;
    float *x, *res, *gamma, *beta, *dy;
    float *y, *xhat, *rstd;         /* one block */
    float *dx, *dres, *dgamma, *dbeta; /* one block */
    int acc_x, acc_res;
} norm;

static void call_norm_forward(void *arg)
{
    norm *t = arg;
    xr_add_norm_forward(t->y, t->xhat, t->rstd, t->x, t->res, t->gamma, t->beta, t->rows, t->cols, 1e-5f, &t->drop);
}

static void call_norm_backward(void *arg)
{
    norm *t = arg;
    xr_add_norm_backward(t->dx, t->acc_x, t->dres, t->acc_res, t->dgamma, t->dbeta, t->dy, t->xhat, t->rstd, t->gamma, t->rows, t->cols,
                         &t->drop);
}

/* want: y, xhat, rstd and dx, dres, dgamma, dbeta behind one another, as the kernel's own blocks. */
static void naive_norm_all(double *y, double *g, const norm *t)
{
    size_t n = t->rows->n, c = t->cols;
    double *mask = doubles(c), *ds = doubles(c), *dgamma = g + 2 * n * c, *dbeta = dgamma + c;
    for (size_t i = 0; i < 2 * n * c + 2 * c; i++)
        g[i] = i < n * c && !t->acc_x ? 0.0 : i >= n * c && i < 2 * n * c && !t->acc_res ? 0.0 : (double)t->dx[i];
    for (size_t r = 0; r < n; r++) {
        double *xhat = y + n * c + r * c, *rstd = y + 2 * n * c + r;
        naive_mask(mask, &t->drop, t->rows->sample[t->rows->seq[r]], t->rows->index[r], c);
        naive_norm(y + r * c, xhat, rstd, t->x + r * c, t->res ? t->res + r * c : NULL, mask, t->gamma, t->beta, c, 1e-5);
        naive_norm_backward(ds, t->dy + r * c, xhat, *rstd, t->gamma, c);
        for (size_t j = 0; j < c; j++) {
            g[r * c + j] += ds[j] * mask[j];
            g[n * c + r * c + j] += ds[j];
            dgamma[j] += (double)t->dy[r * c + j] * xhat[j];
            dbeta[j] += (double)t->dy[r * c + j];
        }
    }
    xr_free(mask);
    xr_free(ds);
}

static void check_norm(const size_t *lengths, size_t n_seq, size_t c, float p, int with_res, int acc)
{
    owned_rows r;
    make_rows(&r, lengths, n_seq, 1);
    size_t n = r.set.n;
    norm t = {&r.set, c, xr_dropout_make(p, 5, 6, 7), random_floats(n * c), with_res ? random_floats(n * c) : NULL, random_floats(c),
              random_floats(c), random_floats(n * c), random_floats(2 * n * c + n), NULL, NULL, random_floats(2 * n * c + 2 * c),
              NULL, NULL, NULL, acc, !acc};
    t.xhat = t.y + n * c;
    t.rstd = t.xhat + n * c;
    t.dres = t.dx + n * c;
    t.dgamma = t.dres + n * c;
    t.dbeta = t.dgamma + c;
    double *y = doubles(2 * n * c + n), *g = doubles(2 * n * c + 2 * c);
    naive_norm_all(y, g, &t);
    same_at_all_threads(call_norm_forward, &t, t.y, 2 * n * c + n);
    all_close("norm", t.y, y, 2 * n * c, 5e-6);
    for (size_t i = 2 * n * c; i < 2 * n * c + n; i++)
        close_to("rstd", i, (double)t.y[i], y[i], 3e-6 * y[i]);
    same_at_all_threads(call_norm_backward, &t, t.dx, 2 * n * c + 2 * c);
    all_close("norm gradients", t.dx, g, 2 * n * c + 2 * c, 5e-5);
    xr_free(t.x); xr_free(t.res); xr_free(t.gamma); xr_free(t.beta); xr_free(t.dy); xr_free(t.y); xr_free(t.dx); xr_free(y); xr_free(g);
}

static void norms(void **state)
{
    (void)state;
    static const size_t some[] = {1, 45, 0, 17}, none[] = {0}, one[] = {1};
    check_norm(some, 4, 768, 0.1f, 1, 0);
    check_norm((const size_t[]){130, 45}, 2, 100, 0.1f, 1, 0);   /* several blocks of rows in the column sums */
    check_norm(some, 4, 65, 0.5f, 1, 1);
    check_norm(some, 4, 13, 0.0f, 0, 0);
    check_norm(one, 1, 384, 0.0f, 1, 1);
    check_norm(none, 1, 64, 0.1f, 1, 0);
}

/* torch.nn.functional.layer_norm(x, (5,), gamma, beta, 1e-5), sum(y w).backward() */
static void norm_as_torch(void **state)
{
    (void)state;
    static const float x[] = {0.5f, -1.5f, 2.0f, 0.25f, 3.0f, 1.0f, 1.5f, -2.0f, 0.0f, 0.125f};
    static const float gamma[] = {1.0f, 0.5f, -2.0f, 1.5f, 0.75f}, beta[] = {0.1f, -0.2f, 0.3f, 0.0f, 1.0f};
    static const float w[] = {0.3f, -0.1f, 0.7f, 0.2f, -0.5f, 1.1f, -0.6f, 0.4f, 0.9f, -0.2f};
    static const double want_y[] = {-0.126395702, -0.960042655, -1.18774319, -0.582160413, 2.04303741,
                                    0.829797983, 0.373412728, 3.844733, -0.156385243, 1.0};
    static const double want_dx[] = {0.30358088, -0.202526659, -0.586271465, 0.268616915, 0.216600388,
                                     0.505964518, -0.782468081, -0.354204774, 0.955989718, -0.325281382};
    static const double want_dgamma[] = {0.734859109, -0.536086738, -0.188236505, -0.171452537, -0.695358217};
    static const double want_dbeta[] = {1.4, -0.7, 1.1, 1.1, -0.7};
    owned_rows r;
    make_rows(&r, (const size_t[]){2}, 1, 1);
    float y[10], xhat[10], rstd[2], dx[10], dgamma[5] = {0}, dbeta[5] = {0};
    xr_add_norm_forward(y, xhat, rstd, x, NULL, gamma, beta, &r.set, 5, 1e-5f, NULL);
    xr_add_norm_backward(dx, 0, NULL, 0, dgamma, dbeta, w, xhat, rstd, gamma, &r.set, 5, NULL);
    all_close("y", y, want_y, 10, 5e-7);
    all_close("dx", dx, want_dx, 10, 5e-7);
    all_close("dgamma", dgamma, want_dgamma, 5, 3e-7);
    all_close("dbeta", dbeta, want_dbeta, 5, 3e-7);
}

static void softmax(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 7, 16, 45, 1000, 20011};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k];
        float *x = random_floats(n), *p = random_floats(n);
        for (size_t i = 0; i < n; i++)
            x[i] = 200.0f * x[i] + 500.0f;
        double top = -(double)INFINITY, sum = 0.0;
        for (size_t i = 0; i < n; i++)
            top = fmax(top, (double)x[i]);
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i] - top);
        close_to("lse", n, (double)xr_softmax_row(p, x, n), top + log(sum), 1e-4);
        for (size_t i = 0; i < n; i++)
            close_to("softmax", i, (double)p[i], exp((double)x[i] - top) / sum, 2e-7);
        xr_softmax_row(x, x, n);
        assert_memory_equal(x, p, n * sizeof *x);
        xr_free(x); xr_free(p);
    }
}

/* Loss, dh, dw and db stand behind one another in `out`. */
typedef struct lm_case { xr_lm_head a; xr_lm_row *row; float *logits, *out; void *scratch; xr_lm_grads g; int keep; } lm_case;

static void call_lm_head(void *arg)
{
    lm_case *c = arg;
    c->a.workers = xr_threads();
    float *logits = c->keep ? c->logits : NULL;
    c->out[0] = (float)xr_lm_head_forward(&c->a, c->row, logits, c->scratch);
    xr_lm_head_backward(&c->g, &c->a, c->row, logits, c->scratch);
}

/* The gradient of W tile by tile, as the optimizer asks for it. */
static void call_lm_weight_tiles(void *arg)
{
    lm_case *c = arg;
    xr_lm_tiles t = xr_lm_head_tiles(&c->a);
    const float *logits = c->keep ? c->logits : NULL;
    xr_lm_head_weight_begin(c->g.scale, &c->a, c->row, logits, c->scratch);
    for (size_t i = t.n; i-- > 0;)
        xr_lm_head_weight_tile(c->g.dw + i * t.width * c->a.d, c->g.scale, &c->a, c->row, logits, i, (int)(i % 2), c->scratch);
}

static lm_case lm_case_make(size_t m, size_t v, size_t d, int acc, float *out)
{
    lm_case c = {.out = out};
    int32_t *target = xr_alloc(m, sizeof *target);
    assert_non_null(target);
    for (size_t r = 0; r < m; r++)
        target[r] = (int32_t)(r == 0 ? v - 1 : r == 1 ? 0 : any((uint32_t)v));
    c.a = (xr_lm_head){random_floats(m * d), random_floats(v * d), random_floats(v), target, m, v, d, 8, 0};
    c.row = xr_alloc(m, sizeof *c.row);
    c.logits = random_floats(xr_lm_head_logits(&c.a));
    c.scratch = random_floats(xr_lm_head_scratch(&c.a, 1) / sizeof(float));
    assert_true(c.row && c.scratch);
    c.g = (xr_lm_grads){out + 1, out + 1 + m * d, out + 1 + m * d + v * d, acc, acc, acc, 0.5f};
    return c;
}

static void check_lm_head(size_t m, size_t v, size_t d, int acc)
{
    size_t n = 1 + m * d + v * d + v;
    float *out = random_floats(n), *start = random_floats(n), *kept = random_floats(n);
    double *want = doubles(n);
    lm_case c = lm_case_make(m, v, d, acc, out);
    memcpy(start, out, n * sizeof *out);
    for (c.keep = 1; c.keep >= 0; c.keep--) {
        memcpy(out, start, n * sizeof *out);
        same_at_all_threads(call_lm_head, &c, out, n);
        if (c.keep)
            memcpy(kept, out, n * sizeof *out);
        if (acc)
            continue;
        c.a.workers = 2;
        assert_true(xr_lm_head_tiles(&c.a).scratch <= xr_lm_head_scratch(&c.a, 1));
        memset(c.g.dw, 0, v * d * sizeof *out);
        call_lm_weight_tiles(&c);
        assert_memory_equal(out, kept, n * sizeof *out);
    }
    assert_memory_equal(out, kept, n * sizeof *out);        /* logits kept or computed again */
    for (size_t i = 1; i < n; i++)
        want[i] = acc ? (double)start[i] : 0.0;
    want[0] = naive_lm_head(want + 1, want + 1 + m * d, want + 1 + m * d + v * d, 0.5, &c.a);
    close_to("masked-LM loss", m, (double)out[0], want[0], 4e-7 * (1.0 + want[0]));
    /* What rounding does to a sum grows with the root of its length; those of dW are m long. */
    const double bound = 3e-7 * (2.0 + sqrt((double)d)), bound_w = 3e-7 * (2.0 + sqrt((double)(m > d ? m : d)));
    all_close("masked-LM gradient of h", out + 1, want + 1, m * d, bound);
    all_close("masked-LM gradient of W", out + 1 + m * d, want + 1 + m * d, v * d, bound_w);
    all_close("masked-LM gradient of the bias", out + 1 + m * d + v * d, want + 1 + m * d + v * d, v, bound);
    xr_free((void *)(uintptr_t)c.a.h); xr_free((void *)(uintptr_t)c.a.w); xr_free((void *)(uintptr_t)c.a.b);
    xr_free((void *)(uintptr_t)c.a.target);
    xr_free(c.row); xr_free(c.logits); xr_free(c.scratch); xr_free(out); xr_free(start); xr_free(kept); xr_free(want);
}

/* One tile, several, several to a group with a short one at the end; no row at all; every width of the last strip of rows, and more rows than a
 * sum takes at once. */
static void masked_lm_head(void **state)
{
    (void)state;
    static const size_t shapes[][3] = {{1, 7, 5}, {5, 1, 3}, {3, 1024, 16}, {7, 1025, 33}, {0, 50, 4}, {19, 6000, 64}, {2, 66001, 9},
                                       {40, 97, 20}, {60, 90, 12}, {70, 1100, 30}, {96, 50, 7}, {1040, 60, 70}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        check_lm_head(shapes[s][0], shapes[s][1], shapes[s][2], (int)(s % 2));
    check_lm_head(3, 2000, 8, 1);
}

/* Logits so far apart that an exponential of any but a row's own largest would overflow, and a NaN that must not be lost. */
static void masked_lm_head_extremes(void **state)
{
    (void)state;
    float out[1 + 2 + 3000 + 3000];
    lm_case c = lm_case_make(2, 3000, 1, 0, out);
    float *w = (float *)(uintptr_t)c.a.w, *h = (float *)(uintptr_t)c.a.h;
    h[0] = 1000.0f;
    h[1] = -1000.0f;
    c.a.workers = 2;
    for (size_t i = 0; i < 3000; i++)
        w[i] = i == 1500 ? 1.0f : i == 2 ? -1.0f : 0.0f;
    double *g = doubles(6002), loss = xr_lm_head_forward(&c.a, c.row, NULL, c.scratch), want = naive_lm_head(g, g + 2, g + 3002, 1.0, &c.a);
    assert_true(want > 1900.0);
    close_to("masked-LM loss", 0, loss, want, 1e-3);
    for (size_t i = 0; i < N_NANS; i++) {
        w[2999] = nan_of(i);
        assert_true(isnan(xr_lm_head_forward(&c.a, c.row, NULL, c.scratch)));
    }
    xr_free(h); xr_free(w); xr_free((void *)(uintptr_t)c.a.b); xr_free((void *)(uintptr_t)c.a.target);
    xr_free(g); xr_free(c.row); xr_free(c.logits); xr_free(c.scratch);
}

static void dropout_masks(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 7, 8, 9, 33, 64, 100, 128, 129, 768, 3072, 70001};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (uint32_t i = 0; i < 3; i++) {
            size_t n = sizes[k];
            xr_dropout d = xr_dropout_make(i == 2 ? 0.75f : 0.1f, 12345678901234u, 77 + i, 5);
            float *m = random_floats(n);
            double *want = doubles(n);
            uint32_t first[2] = {0, 1}, sample = 0xfffffff0u + i, index = i * 1000003u;
            xr_rowset row = {1, 1, first, &sample, &index, first};
            for (size_t j = 0; j < n; j++)
                m[j] = 1.0f;
            xr_dropout_apply(m, m, &d, &row, n, 0);
            naive_mask(want, &d, sample, index, n);
            for (size_t j = 0; j < n; j++)
                close_to("mask", j, (double)m[j], want[j], 1e-6);
            xr_free(m); xr_free(want);
        }
    xr_dropout off = xr_dropout_make(0.0f, 1, 1, 1), p = xr_dropout_make(0.1f, 1, 1, 1);
    assert_int_equal(off.threshold, 0);
    assert_true(off.scale == 1.0f);
    assert_int_equal(p.threshold, 6554);
    close_to("scale", 0, (double)p.scale, 65536.0 / 58982.0, 1e-7);
}

typedef struct drop { float *y; const float *x; const xr_rowset *rows; size_t cols; int acc; xr_dropout d; } drop;
static void call_dropout(void *arg) { drop *t = arg; xr_dropout_apply(t->y, t->x, &t->d, t->rows, t->cols, t->acc); }

static void dropout_of_rows(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 45, 0, 17}, widths[] = {1, 13, 768};
    owned_rows r;
    make_rows(&r, lengths, 4, 2);
    for (size_t k = 0; k < 6; k++) {
        size_t c = widths[k / 2], n = r.set.n * c;
        drop t = {random_floats(n), random_floats(n), &r.set, c, (int)(k % 2), xr_dropout_make(0.3f, 2, 3, 4)};
        double *want = doubles(n), *m = doubles(c);
        for (size_t row = 0; row < r.set.n; row++) {
            naive_mask(m, &t.d, r.sample[r.seq[row]], r.index[row], c);
            for (size_t j = 0; j < c; j++)
                want[row * c + j] = (t.acc ? (double)t.y[row * c + j] : 0.0) + m[j] * (double)t.x[row * c + j];
        }
        same_at_all_threads(call_dropout, &t, t.y, n);
        all_close("dropout", t.y, want, n, 3e-7);
        xr_free(t.y); xr_free((void *)(uintptr_t)t.x); xr_free(want); xr_free(m);
    }
}

/* --- elementwise ---------------------------------------------------------------------------------------------------------- */

/* Distance in units of the last place of the float nearest to `want`. */
static double ulps(float got, double want)
{
    float near = (float)want;
    if (isnan(got) || isinf(got) || isinf(near))
        return (isnan(got) && isnan(near)) || got == near ? 0.0 : (double)INFINITY;
    double unit = fabs(want) < 0x1p-126 ? 0x1p-149 : ldexp(1.0, ilogb(want) - 23);
    return fabs((double)got - want) / unit;
}

typedef void (*vector_function)(float *y, const float *x, size_t n);
/* The two softmax values of 0 and -|x| stand to each other as 1 to exp(-|x|), up to two roundings. */
static void f_exp(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float p[2] = {0.0f, -fabsf(x[i])};
        xr_softmax_row(p, p, 2);
        y[i] = p[1] / p[0];
    }
}
static double g_exp(double u) { return exp(-fabs(u)); }
static void f_tanh(float *y, const float *x, size_t n) { xr_tanh_forward(y, x, n); }
static void f_gelu(float *y, const float *x, size_t n) { xr_bias_gelu_forward(y, x, NULL, 1, n); }
static void f_slope(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 1.0f;
    xr_bias_gelu_backward(y, 0, y, x, NULL, 1, n);
}
static double identity_at_infinity(double u, double value) { return isinf(u) ? (u > 0 ? u : (double)NAN) : value; }
static double g_gelu(double u) { return identity_at_infinity(u, naive_gelu(u)); }

/* Every 1021st float of both signs, from denormals to infinity and NaN. `error` measures one value. */
static double sweep(vector_function f, double (*g)(double), double (*error)(float, double))
{
    enum { N = 1000 };
    float x[N], y[N];
    double worst = 0.0;
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        size_t n = 0;
        for (; n < N && bits <= UINT32_MAX; bits += 1021, n++) {
            uint32_t b = (uint32_t)bits;
            memcpy(&x[n], &b, sizeof b);
        }
        f(y, x, n);
        for (size_t i = 0; i < n; i++) {
            double e = isnan(x[i]) ? (isnan(y[i]) ? 0.0 : (double)INFINITY) : error(y[i], g((double)x[i]));
            worst = e > worst || isnan(e) ? e : worst;
        }
    }
    return worst;
}

static double absolute(float got, double want) { return isinf(want) || isnan(want) ? 0.0 : fabs((double)got - want); }
static double ulps_or_tiny(float got, double want) { return fabs((double)got - want) < 1e-37 ? 0.0 : ulps(got, want); }

static void functions(void **state)
{
    (void)state;
    double e = sweep(f_exp, g_exp, ulps), t = sweep(f_tanh, tanh, ulps), u = sweep(f_gelu, g_gelu, ulps_or_tiny);
    double s = sweep(f_slope, naive_gelu_slope, absolute);
    print_message("%s: exp %.2f ulp, tanh %.2f ulp, gelu %.2f ulp, gelu' %.1e\n", xr_isa_name(xr_cpu_isa()), e, t, u, s);
    assert_true(e <= 2.5);
    assert_true(t <= 2.0);
    assert_true(u <= 7.0);
    assert_true(s <= 2.5e-7);
}

typedef struct elementwise { float *y; const float *x, *bias, *dy; size_t rows, cols; int acc; } elementwise;
static void call_gelu(void *arg) { elementwise *t = arg; xr_bias_gelu_forward(t->y, t->x, t->bias, t->rows, t->cols); }
static void call_gelu_back(void *arg) { elementwise *t = arg; xr_bias_gelu_backward(t->y, t->acc, t->dy, t->x, t->bias, t->rows, t->cols); }
static void call_tanh(void *arg) { elementwise *t = arg; xr_tanh_forward(t->y, t->x, t->rows * t->cols); }
static void call_tanh_back(void *arg) { elementwise *t = arg; xr_tanh_backward(t->y, t->acc, t->dy, t->x, t->rows * t->cols); }
static void call_copy(void *arg) { elementwise *t = arg; xr_vec_copy(t->y, t->x, t->rows * t->cols, t->acc); }

static void check_elementwise(size_t rows, size_t cols, int acc, int with_bias)
{
    size_t n = rows * cols;
    elementwise t = {random_floats(n), random_floats(n), with_bias ? random_floats(cols) : NULL, random_floats(n), rows, cols, acc};
    double *want = doubles(n);
    float *before = random_floats(n);
    memcpy(before, t.y, n * sizeof *before);
    static const work calls[] = {call_gelu, call_gelu_back, call_tanh, call_tanh_back, call_copy};
    for (size_t k = 0; k < 5; k++) {
        for (size_t i = 0; i < n; i++) {
            double x = (double)t.x[i], u = x + (with_bias ? (double)t.bias[i % cols] : 0.0), dy = (double)t.dy[i];
            double old = acc && k != 0 && k != 2 ? (double)before[i] : 0.0;
            want[i] = old + (k == 0 ? naive_gelu(u) : k == 1 ? dy * naive_gelu_slope(u) : k == 2 ? tanh(x) : k == 3 ? dy * (1 - x * x) : x);
        }
        memcpy(t.y, before, n * sizeof *before);
        same_at_all_threads(calls[k], &t, t.y, n);
        all_close("elementwise", t.y, want, n, 1e-6);
    }
    xr_free(t.y); xr_free((void *)(uintptr_t)t.x); xr_free((void *)(uintptr_t)t.bias); xr_free((void *)(uintptr_t)t.dy);
    xr_free(want); xr_free(before);
}

static void elementwise_kernels(void **state)
{
    (void)state;
    check_elementwise(0, 5, 0, 1);
    check_elementwise(1, 1, 1, 1);
    check_elementwise(3, 37, 0, 1);
    check_elementwise(60, 768, 1, 1);
    check_elementwise(7, 9001, 0, 0);
}

typedef struct reduction { const float *x; float out[2]; size_t n; } reduction;
static void call_sums(void *arg)
{
    reduction *r = arg;
    r->out[0] = (float)xr_vec_sum(r->x, r->n);
    r->out[1] = (float)xr_vec_sumsq(r->x, r->n);
}

static void reductions(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 5, 100, 8192, 8193, 40000, 3000001};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        reduction r = {random_floats(sizes[k]), {0}, sizes[k]};
        double sum = 0.0, squares = 0.0;
        for (size_t i = 0; i < r.n; i++) {
            sum += (double)r.x[i];
            squares += (double)r.x[i] * (double)r.x[i];
        }
        same_at_all_threads(call_sums, &r, r.out, 2);
        close_to("sum", r.n, xr_vec_sum(r.x, r.n), sum, 1e-9 * (double)(r.n + 1));
        close_to("sumsq", r.n, xr_vec_sumsq(r.x, r.n), squares, 1e-11 * (squares + 1.0));
        float *x = (float *)(uintptr_t)r.x;
        assert_int_equal(xr_vec_finite(x, r.n), 1);
        static const float bad[] = {INFINITY, -INFINITY, NAN};
        for (size_t i = 0; r.n > 0 && i < 3; i++) {
            size_t at = i == 0 ? 0 : i == 1 ? r.n - 1 : r.n / 2;
            float old = x[at];
            x[at] = bad[i];
            assert_int_equal(xr_vec_finite(x, r.n), 0);
            x[at] = old;
        }
        xr_free(x);
    }
}

typedef struct gather { float *y, *x; uint32_t *index; size_t rows, cols; } gather;
static void call_gather(void *arg) { gather *g = arg; xr_rows_gather(g->y, g->x, g->index, g->rows, g->cols); }
static void call_scatter(void *arg) { gather *g = arg; xr_rows_scatter_add(g->x, g->y, g->index, g->rows, g->cols); }

static void gather_and_scatter(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{0, 4}, {1, 1}, {50, 13}, {200, 300}};
    for (size_t k = 0; k < 4; k++) {
        enum { TABLE = 30 };
        size_t n = shapes[k][0], c = shapes[k][1];
        gather g = {random_floats(n * c), random_floats(TABLE * c), xr_alloc(n + 1, sizeof(uint32_t)), n, c};
        for (size_t r = 0; r < n; r++)
            g.index[r] = any(TABLE);
        double *want = doubles(TABLE * c);
        same_at_all_threads(call_gather, &g, g.y, n * c);
        for (size_t at = 0; at < n * c; at++)
            assert_true(g.y[at] == g.x[g.index[at / c] * c + at % c]);
        for (size_t at = 0; at < TABLE * c; at++)
            want[at] = (double)g.x[at];
        for (size_t at = 0; at < n * c; at++)
            want[g.index[at / c] * c + at % c] += (double)g.y[at];
        same_at_all_threads(call_scatter, &g, g.x, TABLE * c);
        all_close("scatter", g.x, want, TABLE * c, 1e-5);
        xr_free(g.y); xr_free(g.x); xr_free(g.index); xr_free(want);
    }
}

/* --- AdamW ---------------------------------------------------------------------------------------------------------------- */

static xr_adamw_scalars adamw_scalars(int t)
{
    double b1 = 0.9, b2 = 0.98, lr = 1e-2;
    return (xr_adamw_scalars){(float)(1.0 - lr * 0.01), (float)(lr / (1.0 - pow(b1, t))), (float)sqrt(1.0 - pow(b2, t)),
                              (float)b1, (float)b2, 1e-6f, 1.0f, (float)(1.0 - b1), (float)(1.0 - b2), {{0, 0}}, 0, 0};
}

/* torch.optim.AdamW(lr 1e-2, betas (0.9, 0.98), eps 1e-6, weight_decay 0.01, foreach=False), 5 steps */
static void adamw_as_torch(void **state)
{
    (void)state;
    enum { N = 6 };
    static const double want[5][N] = {
        {0.499949992, -1.23987496, 0.00999803096, 0.0, 3.00970006, -0.0109998509},
        {0.492494076, -1.23503625, 0.0105233444, 0.0, 3.01613188, -0.00734822359},
        {0.488059193, -1.22768986, 0.00815949123, 0.0, 3.01497173, -0.00597864855},
        {0.481612474, -1.22162175, 0.0104584889, 0.0, 3.01478887, -0.000960930251},
        {0.477992713, -1.22087049, 0.0115080168, 0.0, 3.01189947, 0.00330050592}};
    static const double want_m[N] = {0.044350002, -0.0094540054, -0.0119870007, 0.0, 0.0386950001, -0.0529380031};
    static const double want_v[N] = {0.00883404072, 0.0129418168, 0.0074587292, 0.0, 0.0128098419, 0.00884178933};
    float p[N] = {0.5f, -1.25f, 0.02f, 0.0f, 3.0f, -0.001f}, m[N] = {0}, v[N] = {0}, g[N];
    for (int t = 1; t <= 5; t++) {
        for (int i = 0; i < N; i++)
            g[i] = i == 3 ? 0.0f : (float)((i * 7 + t * 5) % 11 - 5) * 0.1f;
        xr_adamw_scalars s = adamw_scalars(t);
        xr_adamw_span(p, m, v, g, N, &s);
        for (int i = 0; i < N; i++)
            close_to("p", (size_t)i, (double)p[i], want[t - 1][i], 3e-7 * fmax(1.0, fabs(want[t - 1][i])));
    }
    all_close("m", m, want_m, N, 2e-8);
    all_close("v", v, want_v, N, 5e-9);
}

typedef struct adam { float *state, *g; size_t n; } adam;
static void call_adamw(void *arg)
{
    adam *a = arg;
    xr_adamw_scalars s = adamw_scalars(3);
    xr_adamw_span(a->state, a->state + a->n, a->state + 2 * a->n, a->g, a->n, &s);
}

/* No gradient is a gradient of zeros, and an element's bits do not depend on where in a span it stands. */
static void adamw_bits(void **state)
{
    (void)state;
    enum { N = 40037 };
    adam a = {random_floats(3 * N), random_floats(N), N}, b = {random_floats(3 * N), NULL, N};
    for (size_t i = 2 * N; i < 3 * N; i++)
        a.state[i] = fabsf(a.state[i]);
    memcpy(b.state, a.state, 3 * N * sizeof(float));
    float *zeros = xr_alloc(N, sizeof *zeros), *g = a.g;
    a.g = zeros;
    same_at_all_threads(call_adamw, &a, a.state, 3 * N);
    call_adamw(&b);
    assert_memory_equal(a.state, b.state, 3 * N * sizeof(float));
    a.g = g;
    call_adamw(&a);
    xr_adamw_scalars s = adamw_scalars(3);
    for (size_t i = 0; i < N;) {
        size_t n = 1 + any(50);
        n = n < N - i ? n : N - i;
        xr_adamw_span(b.state + i, b.state + N + i, b.state + 2 * N + i, g + i, n, &s);
        i += n;
    }
    assert_memory_equal(a.state, b.state, 3 * N * sizeof(float));
    xr_free(a.state); xr_free(b.state); xr_free(zeros); xr_free(g);
}

/* Moments in bfloat16 are those of the f32 kernel, made from what is stored and rounded as the definition in kernels/vec.h says, in spans
 * cut anyhow. */
static void adamw_bf16_rounds_as_defined(void **state)
{
    (void)state;
    enum { N = 5003 };
    float *p = random_floats(N), *g = random_floats(N), want_p[N], want_m[N], want_v[N];
    static uint16_t m[N], v[N];
    for (size_t i = 0; i < N; i++) {
        m[i] = xr_bf16_of_float(g[(i * 7) % N]);
        v[i] = i % 5 ? xr_bf16_of_float(fabsf(p[(i * 3) % N]) * 1e-3f) : 0;
        want_p[i] = p[i];
        want_m[i] = xr_bf16_to_float(m[i]);
        want_v[i] = xr_bf16_to_float(v[i]);
    }
    xr_adamw_scalars s = adamw_scalars(3);
    s.key = xr_rng_key(5, XR_RNG_MOMENTS);
    s.step = 1234567;
    s.parameter = 17;
    xr_adamw_span(want_p, want_m, want_v, g, N, &s);
    for (size_t i = 0; i < N;) {
        size_t n = 1 + any(200);
        n = n < N - i ? n : N - i;
        xr_adamw_bf16_span(p + i, m + i, v + i, g + i, i, n, &s);
        i += n;
    }
    assert_memory_equal(p, want_p, sizeof want_p);
    for (size_t i = 0; i < N; i++) {
        uint32_t w[4], bits[2];
        xr_philox(w, s.key, s.step, s.parameter, 0, (uint32_t)(16 * (i / 64) + i % 16));
        memcpy(&bits[0], &want_m[i], 4);
        memcpy(&bits[1], &want_v[i], 4);
        uint32_t word = w[i / 16 % 4];
        assert_int_equal(m[i], (bits[0] + (word & 0xffffu)) >> 16);
        assert_int_equal(v[i], (bits[1] + (word >> 16)) >> 16);
    }
    xr_free(p); xr_free(g);
}

/* Over many updates' random bits the mean is the value itself, and a zero never comes to life. */
static void adamw_bf16_is_unbiased(void **state)
{
    (void)state;
    enum { N = 64, ROUNDS = 4000 };
    xr_adamw_scalars s = {.decay = 1.0f, .beta1 = 0.9f, .beta2 = 0.999f, .bias2_sqrt = 1.0f, .eps = 1e-8f, .clip = 1.0f, .key = xr_rng_key(5, XR_RNG_MOMENTS)};
    double mean_m = 0.0, mean_v = 0.0;
    for (s.step = 0; s.step < ROUNDS; s.step++) {
        float p[N] = {0};
        uint16_t m[N] = {0}, v[N] = {0};
        for (size_t i = 1; i < N; i++)
            m[i] = v[i] = xr_bf16_of_float(1.0f);
        xr_adamw_bf16_span(p, m, v, NULL, 0, N, &s);
        assert_true(m[0] == 0 && v[0] == 0);
        for (size_t i = 1; i < N; i++) {
            mean_m += (double)xr_bf16_to_float(m[i]) / (ROUNDS * (N - 1));
            mean_v += (double)xr_bf16_to_float(v[i]) / (ROUNDS * (N - 1));
        }
    }
    /* One rounding errs by 1/512 at most about the value, so the mean of 252,000 by about 1e-5 at most. */
    assert_true(fabs(mean_m - 0.9) < 2e-5 && fabs(mean_v - 0.999) < 2e-5);
}

/* --- the machine ----------------------------------------------------------------------------------------------------------- */

static void cpu(void **state)
{
    (void)state;
    assert_true(xr_cpu_isa() <= xr_cpu_best() || (xr_cpu_isa() == XR_ISA_AMX && xr_cpu_best() == XR_ISA_AVX512));
    assert_true(strlen(xr_cpu_model()) > 0);
    xr_threads_set(3);
    assert_int_equal(xr_threads(), 3);
    assert_int_equal(xr_threads_for(1 << 14, 1 << 14), 1);
    assert_int_equal(xr_threads_for((1 << 14) + 1, 1 << 14), 3);
    assert_int_equal(xr_at_once(37, 8), 6);
    assert_int_equal(xr_at_once(1000, 8), 8);
    xr_threads_set(64);
    assert_int_equal(xr_threads_for(1 << 15, 1 << 14), 1);
    assert_int_equal(xr_threads_for(1 << 20, 1 << 14), 64);
    assert_int_equal(xr_at_once(37, 8), 1);
    xr_threads_set(0);
    assert_true(xr_threads() >= 1);
    if (xr_cpu_best() < XR_ISA_AVX512) {
        assert_int_equal(xr_cpu_use(XR_ISA_AVX512), XR_EUNAVAIL);
        xr_error_clear();
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blas),
        cmocka_unit_test(blas_cores), cmocka_unit_test(products), cmocka_unit_test(products_of_few_rows), cmocka_unit_test(few_rows_are_themselves),
        cmocka_unit_test(large_products),
        cmocka_unit_test(product_from_another_thread), cmocka_unit_test(column_sums),
        cmocka_unit_test(attention), cmocka_unit_test(attention_bf16), cmocka_unit_test(pruned_attention), cmocka_unit_test(attention_as_torch),
        cmocka_unit_test(attention_of_large_scores), cmocka_unit_test(attention_of_small_scores), cmocka_unit_test(attention_of_nans),
        cmocka_unit_test(norms), cmocka_unit_test(norm_as_torch),
        cmocka_unit_test(softmax), cmocka_unit_test(masked_lm_head), cmocka_unit_test(masked_lm_head_extremes),
        cmocka_unit_test(dropout_masks), cmocka_unit_test(dropout_of_rows), cmocka_unit_test(functions),
        cmocka_unit_test(elementwise_kernels), cmocka_unit_test(reductions), cmocka_unit_test(gather_and_scatter),
        cmocka_unit_test(adamw_as_torch), cmocka_unit_test(adamw_bits), cmocka_unit_test(adamw_bf16_rounds_as_defined),
        cmocka_unit_test(adamw_bf16_is_unbiased), cmocka_unit_test(cpu),
    };
    int failed = 0;
    for (int isa = 0; isa <= (int)XR_ISA_AMX; isa++) {
        if (xr_cpu_use((xr_isa)isa) < 0) {      /* AMX can be had without the instructions, but not below AVX-512 */
            failed += isa <= (int)xr_cpu_best();
            break;
        }
        lcg = FIRST;            /* every instruction set meets the same numbers */
        char name[64];
        snprintf(name, sizeof name, "kernels on %s", xr_isa_name((xr_isa)isa));
        failed += _cmocka_run_group_tests(name, tests, sizeof tests / sizeof *tests, NULL, NULL);
    }
    return failed != 0;
}
