/* Attention of one head of one sequence, in blocks of queries against all keys.
 *
 * Operands that come from outside are copied into scratch first, since rows of a whole matrix are so far apart that they crowd into a few sets of the
 * cache: left ones, which are read element by element, row after row, and right ones, which are read by vectors, in strips of as many columns as
 * registers hold sums for, padded to whole vectors. Results are written where they stand. Each element of a product is one chain of multiply-adds in the
 * order of the inner index, whatever the blocking. */
#include "kernels/isa/attention_rows.h"

enum {
    MR = 6,                     /* rows and vectors of a register block */
    NV = VW == 16 ? 4 : 2,
    STRIP = NV * VW,
    QB = 64,                    /* queries per block */
    KB = 128                    /* inner index per pass: what a pass reads of b stays in the first cache */
};

/* c[rows,cols] = sum over k of a(r,k) b[k,cols], a(r,k) = a[r ra + k ca], b of one strip; rows and vectors are constants where this is inlined, and
 * the last vector has `last` columns. */
XR_INLINE void block(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b,
                     size_t k, int add, const size_t rows, const size_t vectors, size_t last)
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
            w[v] = vf_load(b + i * STRIP + v * VW);
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

XR_INLINE void panel(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t m, size_t k, int add,
                     const size_t vectors, size_t last)
{
    size_t r = 0;
    for (; r + MR <= m; r += MR)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, k, add, MR, vectors, last);
    for (; r + 3 <= m; r += 3)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, k, add, 3, vectors, last);
    for (; r < m; r++)
        block(c + r * ldc, ldc, a + r * ra, ra, ca, b, k, add, 1, vectors, last);
}

/* n columns of one strip. */
static void strip(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t m, size_t n, size_t k,
                  int add)
{
    size_t vectors = (n + VW - 1) / VW, last = (n - 1) % VW + 1;
    if (vectors == NV)
        panel(c, ldc, a, ra, ca, b, m, k, add, NV, last);
    else if (NV > 3 && vectors == 3)
        panel(c, ldc, a, ra, ca, b, m, k, add, NV > 3 ? 3 : 1, last);
    else if (NV > 2 && vectors == 2)
        panel(c, ldc, a, ra, ca, b, m, k, add, NV > 2 ? 2 : 1, last);
    else
        panel(c, ldc, a, ra, ca, b, m, k, add, 1, last);
}

/* c[m,n] = (add ? c : 0) + a b, b [k,n] in strips. */
static void product(float *restrict c, size_t ldc, const float *restrict a, size_t ra, size_t ca, const float *restrict b, size_t m, size_t n, size_t k,
                    int add)
{
    for (size_t j = 0; j < n; j += STRIP, b += k * STRIP) {
        size_t i = 0;
        do {
            strip(c + j, ldc, a + i * ca, ra, ca, b + i * STRIP, m, least(STRIP, n - j), least(KB, k - i), add || i > 0);
            i += KB;
        } while (i < k);
    }
}

static size_t strips(size_t n) { return whole(n, STRIP); }           /* columns of as many strips as hold n */

static void pack_left(float *restrict y, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(y + r * cols, x + r * ldx, cols * sizeof *y);
}

/* Right operand scale x [rows, cols]. */
static void pack_right(float *restrict y, const float *restrict x, size_t ldx, size_t rows, size_t cols, float scale)
{
    for (size_t r = 0; r < rows; r++, x += ldx, y += STRIP)
        for (size_t j = 0; j < cols; j += STRIP)
            for (size_t c = j; c < cols && c < j + STRIP; c += VW)
                vf_store(y + j * rows + (c - j), vf_load_upto(x + c, cols - c) * scale);
}

/* Right operand x^T, x [cols, rows]. */
static void pack_right_across(float *restrict y, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    for (size_t j = 0; j < cols; j += STRIP)
        pack_transposed(y + j * rows, STRIP, x + j * ldx, ldx, least(STRIP, cols - j), rows);
}

static size_t scratch(size_t m, size_t t, size_t k)
{
    size_t tp = score_ld(t), ts = strips(t), ks = strips(k), qb = least(m, QB);
    return 2 * k * ts + t * ks + 2 * qb * (k + ks + tp) + mask_floats(t) + VW;
}

static void forward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), qb = least(a->m, QB);
    float *kt = mem, *v = kt + a->k * strips(a->t), *s = v + a->t * strips(a->k), *q = s + qb * tp, total[QB];
    uint8_t *bits = (uint8_t *)(q + qb * a->k);
    pack_right_across(kt, a->key, a->ld, a->k, a->t);
    pack_right(v, a->v, a->ld, a->t, a->k, 1.0f);
    for (size_t start = 0; start < a->m; start += qb) {
        size_t rows = least(qb, a->m - start);
        float *o = a->o + start * a->ld;
        pack_left(q, a->q + start * a->ld, a->ld, rows, a->k);
        product(s, tp, q, a->k, 1, kt, rows, tv, a->k, 0);
        exp_block(a, s, tp, start, rows, total, bits);
        product(o, a->ld, s, tp, 1, v, rows, a->k, a->t, 0);
        for (size_t r = 0; r < rows; r++)
            scale_row(o + r * a->ld, a->k, a->drop->scale / total[r]);
    }
}

/* Keys and queries as right operands of gradients have the scale in them, which so enters the gradient of either once. A sequence without queries goes
 * through the loop too: its keys' gradients are zeroed there. */
static void backward(const xr_attn_head *a, float *mem)
{
    size_t tp = score_ld(a->t), tv = padded(a->t), ts = strips(a->t), ks = strips(a->k), qb = least(a->m, QB), ld = a->ld;
    float *kt = mem, *vt = kt + a->k * ts, *key = vt + a->k * ts, *q = key + a->t * ks, *dout = q + qb * a->k;
    float *q_right = dout + qb * a->k, *dout_right = q_right + qb * ks, *s = dout_right + qb * ks, *dp = s + qb * tp;
    uint8_t *bits = (uint8_t *)(dp + qb * tp);
    pack_right_across(kt, a->key, ld, a->k, a->t);
    pack_right_across(vt, a->v, ld, a->k, a->t);
    pack_right(key, a->key, ld, a->t, a->k, a->scale);
    size_t start = 0;
    do {
        size_t rows = least(qb, a->m - start), at = start * ld;
        pack_left(q, a->q + at, ld, rows, a->k);
        pack_left(dout, a->dout + at, ld, rows, a->k);
        pack_right(q_right, a->q + at, ld, rows, a->k, a->scale);
        pack_right(dout_right, a->dout + at, ld, rows, a->k, 1.0f);
        product(s, tp, q, a->k, 1, kt, rows, tv, a->k, 0);
        product(dp, tp, dout, a->k, 1, vt, rows, tv, a->k, 0);
        softmax_block_backward(a, s, dp, tp, start, rows, 1.0f, bits);
        product(a->dq + at, ld, dp, tp, 1, key, rows, a->k, a->t, a->acc_q);
        product(a->dk, ld, dp, 1, tp, q_right, a->t, a->k, rows, a->acc_k || start > 0);
        product(a->dv, ld, s, 1, tp, dout_right, a->t, a->k, rows, a->acc_v || start > 0);
        start += qb;
    } while (start < a->m);
}

const xr_isa_attention XR_ISA_NAME(xr_isa_attention) = {scratch, forward, backward};
