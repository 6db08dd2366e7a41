/* Matrix products over fixed tiles: one single-threaded sgemm per tile inside an OpenMP loop, so that the bits do not depend on
 * the number of threads (docs/decisions.md). All matrices are row-major and dense. beta is 0 (overwrite) or 1 (add). */
#ifndef XR_KERNELS_GEMM_H
#define XR_KERNELS_GEMM_H

#include <stddef.h>
#include "kernels/cpu.h"
#include "util/error.h"

/* y[n,o] = x[n,i] w[o,i]^T + bias[o] + beta y    (linear forward; bias may be NULL) */
void xr_gemm_nt(float *restrict y, const float *restrict x, const float *restrict w, const float *restrict bias,
                size_t n, size_t o, size_t i, float beta);
/* x[n,i] = y[n,o] w[o,i] + beta x                (linear backward, input) */
void xr_gemm_nn(float *restrict x, const float *restrict y, const float *restrict w, size_t n, size_t i, size_t o, float beta);
/* w[o,i] = y[n,o]^T x[n,i] + beta w              (linear backward, weight) */
void xr_gemm_tn(float *restrict w, const float *restrict y, const float *restrict x, size_t o, size_t i, size_t n, float beta);

/* For kernels that cut their work into pieces themselves: runs body for i = 0 .. n - 1, in any order, on at most `threads` threads, of which worker
 * is the number. */
void xr_gemm_parallel(size_t n, int threads, void (*body)(void *context, size_t i, int worker), void *context);

/* b[c] = sum over rows of y[n,c] + beta b, fixed row blocks summed in order (bias gradients). */
void xr_colsum(float *restrict b, const float *restrict y, size_t n, size_t c, float beta);

/* Refuses a BLAS that would give wrong or slow results (serial flavour, reference BLAS) with XR_EUNAVAIL, sets it to one thread,
 * and checks once that a product inside and outside a parallel region has the same bits. Idempotent. */
xr_status xr_blas_start(void);
const char *xr_blas_core(void);     /* kernel set OpenBLAS chose, e.g. "Cooperlake" */
const char *xr_blas_config(void);   /* version and flavour line */
/* Whether that kernel set does without what `isa` has for f32. A name that is not known counts as new. */
int xr_blas_core_is_older(const char *core, xr_isa isa);
int xr_blas_is_older(void);         /* whether the kernel set OpenBLAS chose is so beside our kernels in use */
const char *xr_blas_coretype(xr_isa isa);   /* what OPENBLAS_CORETYPE should say on a CPU with AVX2 or more */

#endif
