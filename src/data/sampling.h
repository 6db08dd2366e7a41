/* Which block is sample number g of a run: a pure function of (seed, g, counts), by keyed bijections; no array, no state.
 *
 * Language sampling as in XLM (Conneau & Lample 2019, section 3.1) and fairseq's multilingual tasks: n_i blocks of language i, p_i = n_i / N,
 * q_i = p_i^alpha / sum, size_i = q_i N per epoch (rounded so that sizes add up to N, none below 1). size_i >= n_i: drawn
 * with replacement, else without; a single language is read through, each block once an epoch. Redrawn every epoch; then all languages are
 * permuted together. */
#ifndef XR_DATA_SAMPLING_H
#define XR_DATA_SAMPLING_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/rng.h"

typedef struct xr_sampling {
    xr_philox_key key;          /* of seed and data digest */
    size_t n_languages;
    const uint64_t *count;      // [n_languages] blocks there are; borrowed
    uint64_t *size;             // [n_languages] blocks an epoch takes
    uint64_t *end;              // [n_languages] running sum of size
    uint64_t total;             /* samples an epoch: N */
} xr_sampling;

/* XR_EDATA when there is no block at all. alpha >= 0; data_digest: any text that names the data (xr_blocks_digest). */
xr_status xr_sampling_init(xr_sampling *s, const uint64_t *count, size_t n_languages, double alpha, uint64_t seed, const char *data_digest);
void xr_sampling_free(xr_sampling *s);

typedef struct xr_sample { uint32_t epoch; uint32_t language; uint64_t block; } xr_sample;
/* Sample g (0, 1, 2, …; epochs follow each other without a gap and are counted modulo 2^32). */
xr_sample xr_sampling_at(const xr_sampling *s, uint64_t g);

/* One language's line of the table that is shown before training. */
typedef struct xr_sampling_row {
    uint64_t blocks;            /* there are */
    double data_share;          /* of all blocks, 0 to 1 */
    double batch_share;         /* of what is trained on */
    double epochs;              /* how often `samples` samples go through the language */
} xr_sampling_row;
xr_sampling_row xr_sampling_describe(const xr_sampling *s, size_t language, uint64_t samples);

#endif
