/* What attention kernels have in common, whatever the precision of their products: rows of scores, masks, transposed copies. */
#ifndef XR_KERNELS_ISA_ATTENTION_ROWS_H
#define XR_KERNELS_ISA_ATTENTION_ROWS_H

#include <math.h>
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/isa/table.h"

enum {
    LINE = 16,                  /* floats of a cache line */
    MOST_QUERIES = 66,          /* of a block */
    SHORT = 64                  /* keys of a sequence whose rows are met too few times to hide how long the first time takes */
};

/* Rows of scores: an odd number of cache lines, as an even one would crowd a column into few sets of the cache. */
XR_INLINE size_t score_ld(size_t t) { return ((t + LINE - 1) / LINE | 1) * LINE; }
XR_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }
XR_INLINE size_t whole(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

XR_INLINE size_t mask_floats(size_t t) { return (t + 63) / 64 * 2; }

/* The mask of query i in `bits`, or NULL without dropout. */
XR_INLINE const uint8_t *row_mask(uint8_t *bits, const xr_attn_head *a, size_t i)
{
    size_t blocks = (a->t + 7) / 8;
    if (a->drop->threshold == 0)
        return NULL;
    philox_keep(bits, a->drop, a->sample, (uint32_t)((a->head * a->t + a->index[i]) * blocks), blocks);
    return bits;
}

/* Row r of the next head, which stands behind this one and most likely is this thread's next, is on its way while scores are worked on: the processor
 * does not foresee rows so far apart. */
XR_INLINE void fetch_next(const xr_attn_head *a, size_t r)
{
    const float *const of[] = {a->q, a->key, a->v, a->dout, a->saved_o};
    for (size_t i = 0; i < sizeof of / sizeof *of && a->t <= SHORT; i++)
        for (size_t j = a->k; of[i] && j < 2 * a->k; j += LINE)
            __builtin_prefetch(of[i] + r * a->ld + j, 0, 2);
}

/* The largest of the scores s[0..t), scaled. */
XR_INLINE float top_of(const float *s, size_t t, float scale)
{
    const vf none = vf_set(-INFINITY);
    size_t whole = t - t % VW;
    vf max = whole < t ? vf_first(vf_load(s + whole), t - whole, none) : none;
    for (size_t j = 0; j < whole; j += VW)
        max = vf_max(vf_load(s + j), max);
    return vf_hmax(max) * scale;
}

/* The scores become exp(scale s - top), those that dropout drops zero; returns the sum of all. */
XR_INLINE float exp_row(float *restrict s, size_t t, float scale, float top, const uint8_t *bits)
{
    vf sum = vf_zero();
    for (size_t j = 0; j < t; j += VW) {
        vf x = vf_load(s + j);
        if (t - j < VW)
            x = vf_first(x, t - j, vf_set(-INFINITY));
        vf e = vf_exp_or_zero(vf_fma(x, vf_set(scale), vf_set(-top)), vf_zero());
        vf_store(s + j, bits ? vf_keep(e, bits, j) : e);
        sum += e;
    }
    return vf_hsum(sum);
}

/* The scores s of queries [start, start + rows), rows ld apart and whole vectors long, become what their probabilities are before they are divided by
 * `total`. In three loops, since rows that wait for their own largest score first would not overlap. */
XR_INLINE void exp_block(const xr_attn_head *a, float *restrict s, size_t ld, size_t start, size_t rows, float *restrict total, uint8_t *bits)
{
    float top[MOST_QUERIES];
    for (size_t r = 0; r < rows; r++)
        top[r] = top_of(s + r * ld, a->t, a->scale);
    for (size_t r = 0; r < rows; r++) {
        fetch_next(a, start + r);
        total[r] = exp_row(s + r * ld, a->t, a->scale, top[r], row_mask(bits, a, start + r));
    }
    for (size_t r = 0; r < rows; r++)
        a->lse[(start + r) * a->ld_lse] = top[r] + logf(total[r]);
}

XR_INLINE void scale_row(float *o, size_t n, float scale)
{
    for (size_t j = 0; j < n; j += VW)
        vf_store_upto(o + j, vf_load_upto(o + j, n - j) * scale, n - j);
}

/* s holds scores, dp the gradient of the dropped probabilities; they become dropped probabilities and `factor` times the gradient of the scaled
 * scores. */
XR_INLINE void softmax_row_backward(float *restrict s, float *restrict dp, size_t t, const xr_attn_head *a, float lse, float delta,
                                 const uint8_t *bits, float factor)
{
    for (size_t j = 0; j < t; j += VW) {
        vf p = vf_exp_or_zero(vf_fma(vf_load(s + j), vf_set(a->scale), vf_set(-lse)), vf_zero()), d = vf_load(dp + j), kept = p;
        if (bits) {
            kept = vf_keep(p * a->drop->scale, bits, j);
            d = vf_keep(d * a->drop->scale, bits, j);
        }
        vf_store(s + j, kept);
        vf_store(dp + j, p * factor * (d - delta));
    }
}

XR_INLINE float dot(const float *x, const float *y, size_t n)
{
    vf s = vf_zero();
    for (size_t j = 0; j < n; j += VW)
        s = vf_fma(vf_load_upto(x + j, n - j), vf_load_upto(y + j, n - j), s);
    return vf_hsum(s);
}

/* softmax_row_backward for queries [start, start + rows), rows of s and dp ld apart. */
XR_INLINE void softmax_block_backward(const xr_attn_head *a, float *restrict s, float *restrict dp, size_t ld, size_t start, size_t rows, float factor,
                                      uint8_t *bits)
{
    for (size_t r = 0; r < rows; r++) {
        size_t i = start + r;
        fetch_next(a, i);
        softmax_row_backward(s + r * ld, dp + r * ld, a->t, a, a->saved_lse[i * a->ld_lse],
                             dot(a->dout + i * a->ld, a->saved_o + i * a->ld, a->k), row_mask(bits, a, i), factor);
    }
}

#endif
