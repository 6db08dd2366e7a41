/* Dropout masks as bits: Philox4x32-10 (Salmon et al. 2011) on many blocks at once.
 *
 * State words stand in the low halves of 64-bit lanes, one block per lane, so that a widening multiply needs no shuffle; what gathers in
 * the high halves is never looked at. Same words as xr_philox (util/rng.h). */
#ifndef XR_KERNELS_ISA_PHILOX_H
#define XR_KERNELS_ISA_PHILOX_H

#include "kernels/dropout.h"
#include "kernels/isa/simd.h"

/* One block at a time: the definition. */
XR_INLINE void philox_keep_scalar(uint8_t *bits, const xr_dropout *d, uint32_t sample, uint32_t first, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[4];
        xr_philox(w, d->key, d->step, sample, d->site, first + (uint32_t)b);
        unsigned keep = 0;
        for (unsigned j = 0; j < 8; j++)
            keep |= (unsigned)((w[j / 2] >> (16 * (j & 1)) & 0xffffu) >= d->threshold) << j;
        bits[b] = (uint8_t)keep;
    }
}

#define philox_keep philox_keep_scalar

#endif
