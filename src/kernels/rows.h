/* Row-wise kernels: LayerNorm (with dropout and residual), softmax cross-entropy. */
#ifndef XR_KERNELS_ROWS_H
#define XR_KERNELS_ROWS_H

#include "kernels/dropout.h"

/* s = dropout(x) + res;  xhat = (s - mean) * rstd, rstd = 1/sqrt(var + eps), var biased;  y = xhat * gamma + beta.
 * res may be NULL (plain LayerNorm), d->threshold 0 = no dropout. y may not alias x or res. */
void xr_add_norm_forward(float *restrict y, float *restrict xhat, float *restrict rstd,   // [N,D] [N,D] [N]
                         const float *restrict x, const float *restrict res,              // [N,D] [N,D]
                         const float *restrict gamma, const float *restrict beta,         // [D]
                         const xr_rowset *rows, size_t cols, float eps, const xr_dropout *d);

/* dx (with the dropout mask applied) and dres (without); either may be NULL. acc_* adds instead of overwriting.
 * dgamma, dbeta are always added to; they may be NULL (frozen). */
void xr_add_norm_backward(float *restrict dx, int acc_x, float *restrict dres, int acc_res,
                          float *restrict dgamma, float *restrict dbeta,
                          const float *restrict dy, const float *restrict xhat, const float *restrict rstd,
                          const float *restrict gamma, const xr_rowset *rows, size_t cols, const xr_dropout *d);

/* p[i] = exp(x[i] - max) / sum over one row; returns log(sum exp(x)). p may be x. */
float xr_softmax_row(float *p, const float *x, size_t n);

#endif
