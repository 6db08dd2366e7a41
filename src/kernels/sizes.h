/* Numbers of pieces, for cutting work. */
#ifndef XR_KERNELS_SIZES_H
#define XR_KERNELS_SIZES_H

#include <stddef.h>

static inline size_t xr_ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static inline size_t xr_least(size_t a, size_t b) { return a < b ? a : b; }

#endif
