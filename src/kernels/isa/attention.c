/* Attention of one head of one sequence, in blocks of queries against all keys.
 *
 * What a product reads by vectors (its right operand) is copied into scratch first: contiguous, and padded to whole vectors. Left
 * operands are read element by element and results written where they stand. Each element of a product is one chain of multiply-adds
 * in the order of the inner index, whatever the blocking. */
#include "kernels/isa/attention_rows.h"

enum {
    MR = 6,                     /* rows and vectors of a register block */
    NV = VW == 16 ? 4 : 2,
    QB = 64,                    /* queries per block */
    KB = 128                    /* inner index per pass: what a pass reads of b stays in the first cache */
};

/* c[rows,cols] = sum over k of a(r,k) b[k,cols], a(r,k) = a[r ra + k ca]; rows and vectors are constants where this is inlined, and
 * the last vector has `last` columns. */
XR_INLINE void block(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b,
                     size_t ldb, size_t k, int add, const size_t rows, const size_t vectors, size_t last)
{
    vf s[MR][NV];
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++)
            s[r][v] = add ? vf_load_upto(c + r * ldc + v * VW, v + 1 < vectors ? VW : last) : vf_zero();
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
            vf_store_upto(c + r * ldc + v * VW, s[r][v], v + 1 < vectors ? VW : last);
}

XR_INLINE void panel(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t ldb,
                     size_t m, size_t k, int add, const size_t vectors, size_t last)
{
    size_t r = 0;
    for (; r + MR <= m; r += MR)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, MR, vectors, last);
    for (; r + 3 <= m; r += 3)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, 3, vectors, last);
    for (; r < m; r++)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, ldb, k, add, 1, vectors, last);
}

static void pass(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t ldb,
                 size_t m, size_t n, size_t k, int add)
{
    size_t j = 0;
    for (; j + NV * VW <= n; j += NV * VW)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV, VW);
    size_t vectors = (n - j + VW - 1) / VW, last = (n - j - 1) % VW + 1;
    if (vectors == NV)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV, last);
    else if (vectors == 3 && NV > 3)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV > 3 ? 3 : 1, last);
    else if (vectors == 2 && NV > 2)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, NV > 2 ? 2 : 1, last);
    else if (vectors == 1)
        panel(c + j, ldc, a, ra, ca, b + j, ldb, m, k, add, 1, last);
}

/* c[m,n] = (add ? c : 0) + a b; rows of b are whole vectors. */
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
    for (size_t r = 0; r < rows; r++, x += ldx, y += ldy)
        for (size_t j = 0; j < ldy; j += VW)
            vf_store(y + j, vf_load_upto(x + j, cols - j) * scale);
}

static size_t scratch(size_t m, size_t t, size_t k)
{
    size_t tp = score_ld(t), kp = padded(k), qb = least(m, QB);
    return 2 * k * tp + t * kp + 2 * qb * kp + 2 * qb * tp + mask_floats(t) + VW;
}

static void forward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), kp = padded(a->k), qb = least(a->m, QB);
    float *kt = mem, *v = kt + a->k * tp, *s = v + a->t * kp, total[QB];
    uint8_t *bits = (uint8_t *)(s + qb * tp);
    pack_transposed(kt, tp, a->key, a->ld, a->t, a->k);
    pack(v, kp, a->v, a->ld, a->t, a->k, 1.0f);
    for (size_t start = 0; start < a->m; start += qb) {
        size_t rows = least(qb, a->m - start);
        float *o = a->o + start * a->ld;
        product(s, tp, a->q + start * a->ld, a->ld, 1, kt, tp, rows, tv, a->k, 0);
        for (size_t r = 0; r < rows; r++)
            total[r] = exp_row(s + r * tp, a->t, a->scale, row_mask(bits, a, start + r), a->lse + (start + r) * a->ld_lse);
        product(o, a->ld, s, tp, 1, v, kp, rows, a->k, a->t, 0);
        for (size_t r = 0; r < rows; r++)
            scale_row(o + r * a->ld, a->k, a->drop->scale / total[r]);
    }
}

/* Keys and queries are copied with the scale in them, which so enters the gradient of either once. A sequence without queries goes through
 * the loop too: its keys' gradients are zeroed there. */
static void backward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), kp = padded(a->k), qb = least(a->m, QB), ld = a->ld;
    float *kt = mem, *vt = kt + a->k * tp, *key = vt + a->k * tp, *q = key + a->t * kp, *dout = q + qb * kp, *s = dout + qb * kp;
    float *dp = s + qb * tp;
    uint8_t *bits = (uint8_t *)(dp + qb * tp);
    pack_transposed(kt, tp, a->key, ld, a->t, a->k);
    pack_transposed(vt, tp, a->v, ld, a->t, a->k);
    pack(key, kp, a->key, ld, a->t, a->k, a->scale);
    size_t start = 0;
    do {
        size_t rows = least(qb, a->m - start), at = start * ld;
        pack(q, kp, a->q + at, ld, rows, a->k, a->scale);
        pack(dout, kp, a->dout + at, ld, rows, a->k, 1.0f);
        product(s, tp, a->q + at, ld, 1, kt, tp, rows, tv, a->k, 0);
        product(dp, tp, dout, kp, 1, vt, tp, rows, tv, a->k, 0);
        for (size_t r = 0; r < rows; r++) {
            size_t i = start + r;
            softmax_row_backward(s + r * tp, dp + r * tp, a->t, a, a->saved_lse[i * a->ld_lse],
                                 dot(a->dout + i * ld, a->saved_o + i * ld, a->k), row_mask(bits, a, i), 1.0f);
        }
        product(a->dq + at, ld, dp, tp, 1, key, kp, rows, a->k, a->t, a->acc_q);
        product(a->dk, ld, dp, 1, tp, q, kp, a->t, a->k, rows, a->acc_k || start > 0);
        product(a->dv, ld, s, 1, tp, dout, kp, a->t, a->k, rows, a->acc_v || start > 0);
        start += qb;
    } while (start < a->m);
}

const xr_isa_attention XR_ISA_NAME(xr_isa_attention) = {scratch, forward, backward};
