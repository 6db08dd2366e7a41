/* What this machine does now, at the threads in use: the measure of what a step reaches. Both repeat one piece of work for about `seconds` and take
 * the fastest, so that what other programs take away counts as little as it can. 0 with the error set when memory is out. */
#ifndef XR_KERNELS_RATE_H
#define XR_KERNELS_RATE_H

struct xr_pack_kind;
/* GFLOP/s of x W^T, 512 rows by the feed-forward weights of `base`: of f32, or of a kind of packed weights. */
double xr_rate_gemm(const struct xr_pack_kind *kind, double seconds);
double xr_rate_memory(double seconds);      /* GB/s of AdamW over more than the caches hold: 32 bytes a parameter, XR_RATE_ADAMW_BYTES */

/* Read and written: parameter, both moments, gradient, which is left zero. */
enum { XR_RATE_ADAMW_BYTES = 32 };

#endif
