/* Filling whole parameters with random values, in parallel. */
#ifndef XR_KERNELS_INIT_H
#define XR_KERNELS_INIT_H

#include <stddef.h>
#include <stdint.h>
#include "util/rng.h"

/* x[i] = std * z(key, stream, i), z standard normal (Box-Muller over Philox, in double): a function of the index
 * alone. */
void xr_fill_normal(float *x, size_t n, float std, xr_philox_key key, uint32_t stream);
void xr_fill(float *x, size_t n, float value);
/* x [rows, cols]: row p holds amplitude * sin(p w_i) in its first half and amplitude * cos(p w_i) in its second, w_i = 10000^(-2i / cols)
 * (Vaswani et al. 2017, 3.5). cols is even. */
void xr_fill_sinusoidal(float *x, size_t rows, size_t cols, float amplitude);

#endif
