/* Attention of one head of one sequence, in blocks of queries against all keys.
 *
 * Operands are copied into scratch first: contiguous, and padded to whole vectors, so that the products below have no ragged
 * columns. Each element of a product is one chain of multiply-adds in the order of the inner index, whatever the blocking. */
#include <math.h>
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/isa/table.h"

enum {
    MR = 6,                     /* rows and vectors of a register block */
    NV = VW == 16 ? 4 : 2,
    QB = 64,                    /* queries per block */
    KB = 128,                   /* inner index per pass: what a pass reads of b stays in the first cache */
    LINE = 16                   /* floats of a cache line */
};

static size_t padded(size_t n) { return (n + VW - 1) / VW * VW; }
/* Rows of scores: an odd number of cache lines, as an even one would crowd a column into few sets of the cache. */
static size_t score_ld(size_t t) { return ((t + LINE - 1) / LINE | 1) * LINE; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* c[rows,cols] = sum over k of a(r,k) b[k,cols], a(r,k) = a[r ra + k ca]; rows and vectors are constants where this is inlined. */
XR_INLINE void block(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b,
                     size_t ldb, size_t k, int add, const size_t rows, const size_t vectors)
{
    vf s[MR][NV];
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            s[r][v] = add ? vf_load(c + r * ldc + v * VW) : vf_zero();
    for (size_t i = 0; i < k; i++) {
        vf w[NV];
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            w[v] = vf_load(b + i * ldb + v * VW);
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            vf x = vf_set(a[r * ra + i * ca]);
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++)
                s[r][v] = vf_fma(x, w[v], s[r][v]);
        }
    }
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            vf_store(c + r * ldc + v * VW, s[r][v]);
}

XR_INLINE void panel(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t ldb,
                     size_t m, size_t k, int add, const size_t vectors)
{
    size_t r = 0;
    for (; r + MR <= m; r += MR)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, MR, vectors);
    for (; r + 3 <= m; r += 3)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, 3, vectors);
    for (; r < m; r++)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, 1, vectors);
}

static void pass(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t ldb,
                 size_t m, size_t n, size_t k, int add)
{
    size_t j = 0;
    for (; j + NV * VW <= n; j += NV * VW)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV);
    size_t rest = (n - j) / VW;
    if (rest == 3 && NV > 3)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV > 3 ? 3 : 1);
    else if (rest == 2 && NV > 2)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV > 2 ? 2 : 1);
    else if (rest == 1)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, 1);
}

/* c[m,n] = (add ? c : 0) + a b; n is a multiple of VW. */
static void product(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t ldb,
                    size_t m, size_t n, size_t k, int add)
{
    size_t i = 0;
    do {
        pass(c, ldc, a + i * ca, ra, ca, b + i * ldb, ldb, m, n, least(KB, k - i), add || i > 0);
        i += KB;
    } while (i < k);
}

/* y[r, 0..cols) = scale x[r], the rest of each row of y zero. */
static void pack(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t rows, size_t cols, float scale)
{
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy) {
        size_t j = 0;
        for (; j + VW <= cols; j += VW)
            vf_store(y + j, vf_load(x + j) * scale);
        for (; j < ldy; j++)
            y[j] = j < cols ? x[j] * scale : 0.0f;
    }
}

/* Eklundh's transposition: step s swaps the off-diagonal s x s blocks of each 2s x 2s block. */
XR_INLINE void transpose(vf row[VW])
{
#define TAKE_A(l, s) (((l) & (s)) ? VW + (l) - (s) : (l))
#define TAKE_B(l, s) (((l) & (s)) ? VW + (l) : (l) + (s))
#if VW == 16
#define LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s), f(8, s), f(9, s), f(10, s), f(11, s), \
                    f(12, s), f(13, s), f(14, s), f(15, s)
#elif VW == 8
#define LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s)
#else
#define LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s)
#endif
#define STEP(s)                                                                 \
    for (size_t i = 0; (s) < VW && i < VW; i++)                                 \
        if (!(i & (s))) {                                                       \
            vf a = row[i], b = row[i + (s)];                                    \
            row[i] = __builtin_shufflevector(a, b, LANES(TAKE_A, s));           \
            row[i + (s)] = __builtin_shufflevector(a, b, LANES(TAKE_B, s));     \
        }
    STEP(1)
    STEP(2)
#if VW >= 8
    STEP(4)
#endif
#if VW >= 16
    STEP(8)
#endif
}

/* y[c, r] = x[r, c]; columns of y from `rows` to whole vectors are zero. */
static void pack_transposed(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    size_t whole = cols - cols % VW;
    for (size_t r = 0; r < rows; r += VW)
        for (size_t c = 0; c < whole; c += VW) {
            vf m[VW];
            for (size_t i = 0; i < VW; i++)
                m[i] = r + i < rows ? vf_load(x + (r + i) * ldx + c) : vf_zero();
            transpose(m);
            for (size_t i = 0; i < VW; i++)
                vf_store(y + (c + i) * ldy + r, m[i]);
        }
    for (size_t c = whole; c < cols; c++)
        for (size_t r = 0; r < padded(rows); r++)
            y[c * ldy + r] = r < rows ? x[r * ldx + c] : 0.0f;
}

static void unpack(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t rows, size_t cols, float scale, int acc)
{
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy)
        for (size_t j = 0; j < cols; j++)
            y[j] = acc ? y[j] + x[j] * scale : x[j] * scale;
}

static size_t mask_floats(size_t t) { return (t + 63) / 64 * 2; }

static void row_mask(uint8_t *bits, const xr_attn_head *a, size_t i)
{
    size_t blocks = (a->t + 7) / 8;
    if (a->drop->threshold)
        philox_keep(bits, a->drop, a->sample, (uint32_t)((a->head * a->t + a->index[i]) * blocks), blocks);
}

static size_t scratch(size_t m, size_t t, size_t k)
{
    size_t tp = score_ld(t), kp = padded(k), qb = least(m, QB);
    return 2 * k * tp + 3 * t * kp + 3 * qb * kp + 2 * qb * tp + mask_floats(t) + VW;
}

/* s[0..n) becomes the probabilities; returns the log of the sum of exp. */
static float softmax_row(float *s, size_t n)
{
    vf max = vf_set(-INFINITY), sum = {0};
    size_t j = 0, whole = n - n % VW;
    for (; j < whole; j += VW)
        max = vf_max(vf_load(s + j), max);
    float top = vf_hmax(max);
    for (; j < n; j++)
        top = s[j] > top ? s[j] : top;
    for (j = 0; j < whole; j += VW) {
        vf e = vf_exp(vf_load(s + j) - top);
        vf_store(s + j, e);
        sum += e;
    }
    if (j < n) {
        vf_store_n(s + j, vf_exp(vf_load_n(s + j, n - j) - top), n - j);
        sum += vf_load_n(s + j, n - j);
    }
    float total = vf_hsum(sum), inverse = 1.0f / total;
    for (j = 0; j < n; j += VW)
        vf_store(s + j, vf_load(s + j) * inverse);
    return top + logf(total);
}

static void forward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), kp = padded(a->k), qb = least(a->m, QB);
    float *kt = mem, *v = kt + a->k * tp, *q = v + a->t * kp, *o = q + qb * kp, *s = o + qb * kp;
    uint8_t *bits = (uint8_t *)(s + qb * tp);
    pack_transposed(kt, tp, a->key, a->ld, a->t, a->k);
    pack(v, kp, a->v, a->ld, a->t, a->k, 1.0f);
    for (size_t start = 0; start < a->m; start += qb) {
        size_t rows = least(qb, a->m - start);
        pack(q, kp, a->q + start * a->ld, a->ld, rows, a->k, a->scale);
        product(s, tp, q, kp, 1, kt, tp, rows, tv, a->k, 0);
        for (size_t r = 0; r < rows; r++) {
            float *p = s + r * tp;
            a->lse[(start + r) * a->ld_lse] = softmax_row(p, a->t);
            if (!a->drop->threshold)
                continue;
            row_mask(bits, a, start + r);
            for (size_t j = 0; j < a->t; j += VW)
                vf_store(p + j, vf_keep(vf_load(p + j) * a->drop->scale, bits, j));
        }
        product(o, kp, s, tp, 1, v, kp, rows, kp, a->t, 0);
        unpack(a->o + start * a->ld, a->ld, o, kp, rows, a->k, 1.0f, 0);
    }
}

/* s holds scores, dp the gradient of the dropped probabilities; becomes dropped probabilities and gradient of the scores. */
static void softmax_row_backward(float *restrict s, float *restrict dp, size_t n, float lse, float delta, const uint8_t *bits, float scale)
{
    for (size_t j = 0; j < n; j += VW) {
        vf p = vf_exp(vf_load(s + j) - lse), d = vf_load(dp + j), kept = p;
        if (bits) {
            kept = vf_keep(p * scale, bits, j);
            d = vf_keep(d * scale, bits, j);
        }
        vf_store(s + j, kept);
        vf_store(dp + j, p * (d - delta));
    }
}

static float dot(const float *x, const float *y, size_t n)
{
    vf s = {0};
    size_t j = 0;
    for (; j + VW <= n; j += VW)
        s = vf_fma(vf_load(x + j), vf_load(y + j), s);
    if (j < n)
        s = vf_fma(vf_load_n(x + j, n - j), vf_load_n(y + j, n - j), s);
    return vf_hsum(s);
}

static void backward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), kp = padded(a->k), qb = least(a->m, QB);
    float *kt = mem, *vt = kt + a->k * tp, *key = vt + a->k * tp, *dk = key + a->t * kp, *dv = dk + a->t * kp;
    float *q = dv + a->t * kp, *dout = q + qb * kp, *dq = dout + qb * kp, *s = dq + qb * kp, *dp = s + qb * tp;
    uint8_t *bits = (uint8_t *)(dp + qb * tp);
    pack_transposed(kt, tp, a->key, a->ld, a->t, a->k);
    pack_transposed(vt, tp, a->v, a->ld, a->t, a->k);
    pack(key, kp, a->key, a->ld, a->t, a->k, 1.0f);
    memset(dk, 0, 2 * a->t * kp * sizeof(float));
    for (size_t start = 0; start < a->m; start += qb) {
        size_t rows = least(qb, a->m - start);
        pack(q, kp, a->q + start * a->ld, a->ld, rows, a->k, a->scale);
        pack(dout, kp, a->dout + start * a->ld, a->ld, rows, a->k, 1.0f);
        product(s, tp, q, kp, 1, kt, tp, rows, tv, a->k, 0);
        product(dp, tp, dout, kp, 1, vt, tp, rows, tv, a->k, 0);
        for (size_t r = 0; r < rows; r++) {
            size_t i = start + r;
            row_mask(bits, a, i);
            softmax_row_backward(s + r * tp, dp + r * tp, a->t, a->saved_lse[i * a->ld_lse],
                                 dot(a->dout + i * a->ld, a->saved_o + i * a->ld, a->k), a->drop->threshold ? bits : NULL, a->drop->scale);
        }
        product(dq, kp, dp, tp, 1, key, kp, rows, kp, a->t, 0);
        unpack(a->dq + start * a->ld, a->ld, dq, kp, rows, a->k, a->scale, a->acc_q);
        product(dk, kp, dp, 1, tp, q, kp, a->t, kp, rows, 1);
        product(dv, kp, s, 1, tp, dout, kp, a->t, kp, rows, 1);
    }
    unpack(a->dk, a->ld, dk, kp, a->t, a->k, 1.0f, a->acc_k);
    unpack(a->dv, a->ld, dv, kp, a->t, a->k, 1.0f, a->acc_v);
}

const xr_isa_attention XR_ISA_NAME(xr_isa_attention) = {scratch, forward, backward};
