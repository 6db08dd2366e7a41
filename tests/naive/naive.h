/* Naive twins of the kernels: the formulas as written, in double, one element at a time. */
#ifndef XR_TESTS_NAIVE_H
#define XR_TESTS_NAIVE_H

#include "kernels/attention.h"
#include "kernels/dropout.h"
#include "kernels/lm_head.h"

double naive_dot(const float *a, size_t step_a, const float *b, size_t step_b, size_t n);
double naive_gelu(double u);
double naive_gelu_slope(double u);

/* Mask of one row, straight from the definition in kernels/dropout.h. */
void naive_mask(double *m, const xr_dropout *d, uint32_t sample, uint32_t i, size_t cols);

/* One row of s = dropout(x) + res, its normalised values and result; res and mask may be NULL. */
void naive_norm(double *y, double *xhat, double *rstd, const float *x, const float *res, const double *mask, const float *gamma,
                const float *beta, size_t n, double eps);
/* Gradient of one row with respect to s. */
void naive_norm_backward(double *ds, const float *dy, const double *xhat, double rstd, const float *gamma, size_t n);

/* All sequences and heads; o, lse as in kernels/attention.h. The gradients are those of sum(dout * o). */
void naive_attention(double *o, double *lse, double *dq, double *dk, double *dv, const float *dout, const float *q, const float *k,
                     const float *v, const xr_attn_shape *a);

/* Sum of the losses; scale times its gradients are added to dh, dw, db. */
double naive_lm_head(double *dh, double *dw, double *db, double scale, const xr_lm_head *a);

#endif
