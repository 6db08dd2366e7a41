/* A moving average of the weights beside the weights themselves (Polyak & Juditsky 1992; tf.train.ExponentialMovingAverage):
 *
 *   a_0 = w_0,  a_t = a_(t-1) + (1 - d_t) (w_t - a_(t-1))  after update t,  d_t = min(decay, (1 + t) / (10 + t))
 *
 * so that a short run is not an average of its random beginning. Frozen rows have none. */
#ifndef XR_OPTIM_EMA_H
#define XR_OPTIM_EMA_H

#include <stdint.h>
#include "autograd/params.h"
#include "util/error.h"

typedef struct xr_ema xr_ema;

/* Of the rows of `ps` as they are: frozen flags set, values loaded. Borrows ps. NULL with the error set. */
xr_ema *xr_ema_new(xr_params *ps, double decay);
void xr_ema_free(xr_ema *e);

/* After update `step` (1-based); every row must be up to date (xr_optim_flush). */
void xr_ema_update(xr_ema *e, uint64_t step);
/* Exchanges weights and averages; a second call brings them back. No update may come in between. */
void xr_ema_swap(xr_ema *e);
/* The average of row k of the table, [numel]; NULL for a frozen one. */
float *xr_ema_row(xr_ema *e, size_t param);

#endif
