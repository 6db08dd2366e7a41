/* Which example stands at a place of an epoch when some files are drawn more often than others: a pure function of (seed, epoch, place, recipe).
 *
 * An epoch has as many draws as there are examples, N. Part i, n_i examples of weight w_i in language L, gets
 *
 *     size_i = q_L w_i n_i / W_L    of N,    q_L proportional to (W_L / sum of all W)^alpha,    W_L = sum of w_k n_k over L's parts
 *
 * rounded so that the sizes add up to N and none is below 1: no chance decides how many. Within a part the draws of all epochs go through its examples in
 * one permutation after the other: at the end of any epoch each example of a part was drawn as often as any other or once more, and a part that is
 * subsampled has been seen whole before anything of it returns. Each epoch is shuffled as a whole. */
#ifndef XR_DATA_MIXTURE_H
#define XR_DATA_MIXTURE_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/rng.h"

typedef struct xr_mixture_part {
    uint64_t first, n;          /* its examples in the dataset; n may be 0 */
    double weight;              /* > 0 */
    size_t language;            /* any number that its language's parts share */
    uint64_t size, end;         /* draws an epoch, and their running sum: set by xr_mixture_init */
} xr_mixture_part;

typedef struct xr_mixture {
    xr_philox_key key;
    xr_mixture_part *part; size_t n;
    uint64_t total;             /* draws of an epoch: examples of all parts */
    int plain;                  /* every size is its n: each example once an epoch, and no mixture is needed */
} xr_mixture;

/* Copies the parts, which follow each other without a gap from example 0. On failure m is still to be freed. */
xr_status xr_mixture_init(xr_mixture *m, const xr_mixture_part *part, size_t n, double alpha, uint64_t seed);
void xr_mixture_free(xr_mixture *m);
/* The example at `place` (0 to total - 1) of an epoch. */
uint64_t xr_mixture_at(const xr_mixture *m, uint32_t epoch, uint64_t place);
/* At most how often one example of part i stands in one epoch. */
uint64_t xr_mixture_repeats(const xr_mixture *m, size_t i);

#endif
