/* Elementwise and reduction kernels. Reductions sum fixed blocks in a fixed order in double. acc = 1 adds to the output. */
#ifndef XR_KERNELS_VEC_H
#define XR_KERNELS_VEC_H

#include <stddef.h>
#include <stdint.h>
#include "util/rng.h"

/* y = gelu(x + bias), erf form: 0.5 u (1 + erf(u / sqrt 2)). bias [cols] may be NULL. */
void xr_bias_gelu_forward(float *restrict y, const float *restrict x, const float *restrict bias, size_t rows, size_t cols);
/* dx = dy * (Phi(u) + u phi(u)), u = x + bias recomputed. dx may alias dy. */
void xr_bias_gelu_backward(float *dx, int acc, const float *dy, const float *x, const float *bias, size_t rows, size_t cols);

void xr_tanh_forward(float *restrict y, const float *restrict x, size_t n);
void xr_tanh_backward(float *restrict dx, int acc, const float *restrict dy, const float *restrict y, size_t n); /* dy (1 - y^2) */

void xr_vec_add(float *restrict y, const float *restrict x, size_t n);          /* y += x */
void xr_vec_copy(float *restrict y, const float *restrict x, size_t n, int acc);
void xr_vec_approach(float *restrict y, const float *restrict x, size_t n, float share);   /* y += share (x - y) */
void xr_vec_swap(float *restrict y, float *restrict x, size_t n);
double xr_vec_sumsq(const float *x, size_t n);
double xr_vec_sum(const float *x, size_t n);
int xr_vec_finite(const float *x, size_t n);                                    /* 1 if no NaN or Inf */

/* y[r] = x[index[r]] (rows of `cols`); and its adjoint dx[index[r]] += dy[r], rows in order. */
void xr_rows_gather(float *restrict y, const float *restrict x, const uint32_t *index, size_t rows, size_t cols);
void xr_rows_scatter_add(float *restrict dx, const float *restrict dy, const uint32_t *index, size_t rows, size_t cols);

/* One AdamW step over n elements (torch.optim.AdamW, Loshchilov & Hutter 2019), scalars for step t:
 *   g' = clip * g;  p *= decay;  m = b1 m + (1-b1) g';  v = b2 v + (1-b2) g'^2;  p -= step_size * m / (sqrt(v) / bias2_sqrt + eps)
 * with decay = 1 - lr wd, step_size = lr / (1 - b1^t), bias2_sqrt = sqrt(1 - b2^t).
 * g = NULL means a gradient of zero and gives the same bits as an array of zeros; an element's bits do not depend on its place
 * in the span. */
typedef struct xr_adamw_scalars {
    float decay, step_size, bias2_sqrt, beta1, beta2, eps, clip;
    float rest1, rest2;         /* 1 - beta1, 1 - beta2, from the betas in double: 1 - 0.999f is off by 5e-5 */
    xr_philox_key key;          /* of rounding to bfloat16: with the number of the update and the parameter's, whence its random numbers */
    uint32_t step, parameter;
} xr_adamw_scalars;
/* On the calling thread; kernels/spans.h has the parallel drivers. */
void xr_adamw_span(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n, const xr_adamw_scalars *s);

/* The same with moments in bfloat16: m and v are computed in f32 from what is stored, p from these, then they are rounded up or down at
 * random, up with the probability of the part cut off, so that what is lost is lost to both sides alike (to nearest, v would stand still:
 * it changes by 1/1000 of itself, and bfloat16 has steps of 1/128 to 1/256). Elements [at, at + n) of the parameter. Element e takes its
 * random bits from block 16 (e / 64) + e % 16, word e / 16 % 4, of Philox(key, step, parameter, 0, block): the low half for m, the high
 * half for v. A moment of zero stays zero. */
void xr_adamw_bf16_span(float *restrict p, uint16_t *restrict m, uint16_t *restrict v, const float *restrict g, size_t at, size_t n,
                        const xr_adamw_scalars *s);

#endif
