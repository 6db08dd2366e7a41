/* What attention kernels have in common, whatever the precision of their products: rows of scores, masks, transposed copies. */
#ifndef XR_KERNELS_ISA_ATTENTION_ROWS_H
#define XR_KERNELS_ISA_ATTENTION_ROWS_H

#include <math.h>
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/isa/table.h"

enum { LINE = 16 };             /* floats of a cache line */

/* Rows of scores: an odd number of cache lines, as an even one would crowd a column into few sets of the cache. */
XR_INLINE size_t score_ld(size_t t) { return ((t + LINE - 1) / LINE | 1) * LINE; }
XR_INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

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

/* The scores s[0..t) become exp(scale s - max), those that dropout drops zero; returns the sum of all and log of it, max added. */
XR_INLINE float exp_row(float *restrict s, size_t t, float scale, const uint8_t *bits, float *restrict lse)
{
    const vf none = vf_set(-INFINITY);
    vf max = none, sum = vf_zero();
    for (size_t j = 0; j < t; j += VW)
        max = vf_max(vf_load_or(s + j, t - j, none), max);
    float top = vf_hmax(max) * scale;
    for (size_t j = 0; j < t; j += VW) {
        vf e = vf_exp(vf_fma(vf_load_or(s + j, t - j, none), vf_set(scale), vf_set(-top)));
        vf_store(s + j, bits ? vf_keep(e, bits, j) : e);
        sum += e;
    }
    float total = vf_hsum(sum);
    *lse = top + logf(total);
    return total;
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
        vf p = vf_exp(vf_fma(vf_load(s + j), vf_set(a->scale), vf_set(-lse))), d = vf_load(dp + j), kept = p;
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

#endif
