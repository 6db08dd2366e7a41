/* What eight-bit kernels have in common: how a group of columns stands, and how its sums become numbers of the result. */
#ifndef XR_KERNELS_ISA_INT8_SUMS_H
#define XR_KERNELS_ISA_INT8_SUMS_H

#include <math.h>
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"

enum { GROUP = XR_INT8_GROUP, BLOCK = 16, BLOCKS = GROUP / BLOCK, QUAD = 4 };

XR_INLINE vf fused(vf a, vf b, vf c)
{
#if VW > 4
    return vf_fma(a, b, c);
#else
    for (int i = 0; i < VW; i++)
        c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

/* y = scale (sum - zero total) + bias + beta y of one row and columns from `first` on; sum is of these. */
XR_INLINE void finish(const xr_int8_tile *t, size_t r, size_t first, size_t end, const int32_t *sum)
{
    const xr_int8_group *g = xr_int8_group_end(t->w, t->quads);
    const xr_int8_row *row = &t->row[r];
    float *y = t->y + r * t->ld_y;
    for (size_t c = first; c < end; c += VW) {
        size_t n = end - c < VW ? end - c : VW;
        vi whole = vi_load(sum + c - first) - vi_load(g->total + c) * row->zero;
        vf scale = vf_load(g->scale + c) * row->scale, bias = vf_zero(), before = vf_zero();
        if (t->bias)
            bias = n < VW ? vf_load_n(t->bias + c, n) : vf_load(t->bias + c);
        if (t->beta != 0.0f)
            before = n < VW ? vf_load_n(y + c, n) : vf_load(y + c);
        vf v = fused(__builtin_convertvector(whole, vf), scale, bias) + before;
        if (n < VW)
            vf_store_n(y + c, v, n);
        else
            vf_store(y + c, v);
    }
}

#endif
