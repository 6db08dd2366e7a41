/* Inverted dropout whose mask is a function of (seed, step, sample, site, element), recomputed in backward, never stored.
 *
 * Element (i, j) of a sample's rows x cols matrix at `site`: block b = i * ceil(cols / 8) + j / 8 of
 * Philox(key(seed, XR_RNG_DROPOUT), step, sample, site, b); 16-bit lane j % 8 (word (j%8)/2, low half first) < threshold drops.
 * threshold = round(p * 65536); kept values are scaled by 65536 / (65536 - threshold). i is the token index within the sample
 * (for attention: head * T + query index), so packing, pruning and micro-batches do not change the mask. */
#ifndef XR_KERNELS_DROPOUT_H
#define XR_KERNELS_DROPOUT_H

#include <stddef.h>
#include <stdint.h>
#include "util/rng.h"
#include "util/rowset.h"

typedef struct xr_dropout {
    uint32_t threshold;     /* 0 = off */
    float scale;            /* of kept values; 1 when off */
    xr_philox_key key;
    uint32_t step, site;
} xr_dropout;

xr_dropout xr_dropout_make(float p, uint64_t seed, uint32_t step, uint32_t site); /* 0 <= p < 1 */

/* y = x * mask over the rows of `rows`; forward and backward are the same function. y may be x. acc adds to y instead. */
void xr_dropout_apply(float *y, const float *x, const xr_dropout *d, const xr_rowset *rows, size_t cols, int acc);

#endif
