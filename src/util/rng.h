/* Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, SC'11), from Random123.
 *
 * No generator state exists. A value is a function of key = (seed, purpose) and counter = (step, sample, site, block), so that
 * it does not depend on threads, packing, ranks or where a run was resumed. */
#ifndef XR_UTIL_RNG_H
#define XR_UTIL_RNG_H

#include <stdint.h>

typedef enum xr_purpose {
    XR_RNG_INIT = 1,        /* parameter initialisation */
    XR_RNG_DROPOUT = 2,
    XR_RNG_SHUFFLE = 3,     /* order of examples */
    XR_RNG_MASK = 4,        /* masked-LM positions */
    XR_RNG_TEST = 5,
    XR_RNG_SAMPLE = 6,      /* which block of which language is trained on next */
    XR_RNG_BOOTSTRAP = 7,   /* units of a resample */
    XR_RNG_EXCHANGE = 8,    /* units whose results two models exchange */
    XR_RNG_MOMENTS = 9      /* which way a moment is rounded */
} xr_purpose;

typedef struct xr_philox_key { uint32_t k[2]; } xr_philox_key;

xr_philox_key xr_rng_key(uint64_t seed, xr_purpose purpose);
/* Four words of block (step, sample, site, block). */
void xr_philox(uint32_t out[4], xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t block);

/* Uniform integer in [0, n), n > 0, unbiased enough for n < 2^32 (64-bit multiply-shift). */
uint64_t xr_rng_below(xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t block, uint64_t n);

/* A keyed permutation of [0, n): where element i of epoch `epoch` stands. Pure function, no array (Feistel with cycle walking). */
uint64_t xr_rng_permute(xr_philox_key key, uint32_t epoch, uint64_t i, uint64_t n);

#endif
