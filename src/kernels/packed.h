/* Weights laid out anew for one kernel, in one precision. A kind of packing is one file and one struct; who keeps the copy, and when it is
 * made again, is the parameter's affair (autograd/params.h). */
#ifndef XR_KERNELS_PACKED_H
#define XR_KERNELS_PACKED_H

#include <stddef.h>
#include <stdint.h>

/* Shape letters: x [N,I], w [O,I], y [N,O]. All results are functions of the operands and shapes alone, at any number of threads. */
typedef struct xr_pack_kind {
    const char *name;                                               /* NULL: plain f32 */
    size_t (*bytes)(size_t o, size_t i);                            /* of the packed copy; NULL, as is fill: none is kept */
    void (*fill)(void *data, const float *w, size_t o, size_t i);   /* data stands on 64 bytes */
    /* y = x w^T + bias + beta y, bias may be NULL, beta 0 or 1. Scratch stands on 64 bytes and holds what `scratch` says. */
    size_t (*scratch)(size_t n, size_t o, size_t i);
    void (*multiply)(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o,
                     size_t i, float beta, void *restrict scratch);
    /* For training: dx = dy w + beta dx and dw = dy^T x + beta dw. NULL: nothing but f32 products. */
    size_t (*grad_scratch)(size_t n, size_t o, size_t i);           /* of either */
    void (*input_grad)(float *restrict dx, const float *restrict dy, const float *restrict w, size_t n, size_t i, size_t o, float beta,
                       void *restrict scratch);
    void (*weight_grad)(float *restrict dw, const float *restrict dy, const float *restrict x, size_t o, size_t i, size_t n, float beta,
                        void *restrict scratch);
    /* The same bits without a copy, for the first product with a weight, which may be the only one; needs no more scratch. NULL: always by a copy. */
    const struct xr_pack_kind *once;
} xr_pack_kind;

extern const xr_pack_kind xr_pack_bf16;     /* operands rounded to bfloat16 (to nearest, ties to even), sums in f32 */
extern const xr_pack_kind xr_pack_int8;     /* for inference: activations of eight bits by row, weights by column (packed_int8.c) */
enum { XR_INT8_MOST = 66000 };              /* I at most: 255 x 127 x I fits 32 bits */

/* f32, the same bits by both: without a copy, so that multiply takes the weights as they are; and, for weights that stay as they are, with one. */
extern const xr_pack_kind xr_pack_f32, xr_pack_f32_kept;
/* What multiplies n rows where `wanted` is asked for: of f32 (NULL, xr_pack_f32_kept) what is best for so many, or NULL: xr_gemm_*. */
const xr_pack_kind *xr_pack_for(const xr_pack_kind *wanted, size_t n);

#endif
