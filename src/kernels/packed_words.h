/* The macro-kernel of packed products: c[r,j] = beta c + bias[j] + sum over k of a[r,k] b[k,j], of numbers that lie in words of 32 bits.
 *
 * b is packed beforehand: strips of columns, in each the words of neighbours along the sum, word by word. a is made words block by block as
 * it is used, into cache: there it is met by every strip of a tile. Rows of f32 are met where they stand. Blocks of the sum follow from the shape
 * alone and go from their first word to their last; which tiles of c there are touches no element's sum, and each is one thread's: same bits at any
 * number of threads. */
#ifndef XR_KERNELS_PACKED_WORDS_H
#define XR_KERNELS_PACKED_WORDS_H

#include "kernels/isa/table.h"

enum { XR_WORDS_FEW = 96 };     /* rows of a, not across, that are all in one tile if threads have enough to do, so that a strip of b is met once */

typedef struct xr_words_product {
    const xr_isa_words *isa;
    const float *a;             /* rows of c are rows of it, or, across, its columns */
    size_t lda;
    int across;
    const uint32_t *b;          /* packed, on 64 bytes; or NULL with */
    const float *w;             // [cols, inner], b = w^T, which is packed strip by strip as it is used: of f32, for XR_WORDS_FEW rows at most
    const float *bias;          // [cols] or NULL
    float *c;                   // [rows, cols]
    size_t rows, cols, inner;
    float beta;                 /* 0 or 1 */
} xr_words_product;

/* threads: how many to use at most; 1 within a parallel region. */
void xr_words_multiply(const xr_words_product *p, int threads);

/* A strip with any rows and columns of it. */
void xr_words_strip(const xr_isa_words *isa, const xr_strip_product *p);
xr_base xr_zero_base(void);         /* XR_TILE_COLS zeros for each row */

/* n words of the numbers that x has, zeros behind them. */
void xr_words_along(const xr_isa_words *isa, uint32_t *to, const float *x, size_t numbers, size_t n);

size_t xr_words_bytes(const xr_isa_words *isa, size_t inner, size_t cols);                                   /* of a packed b */
void xr_words_pack(const xr_isa_words *isa, uint32_t *to, const float *x, size_t inner, size_t cols, int threads);   /* b = x [inner, cols] */
void xr_words_pack_transposed(const xr_isa_words *isa, uint32_t *to, const float *w, size_t inner, size_t cols, int threads);
                                                                                                             /* b = w^T, w [cols, inner] */

/* The two products of a linear layer's backward, y[n,o] = x[n,i] w[o,i]^T, whose right operand serves once and is packed into `packed` of
 * xr_words_grad_scratch bytes: dx = dy w + beta dx, dw = dy^T x + beta dw. */
size_t xr_words_grad_scratch(const xr_isa_words *isa, size_t n, size_t o, size_t i);
void xr_words_input_grad(const xr_isa_words *isa, float *dx, const float *dy, const float *w, size_t n, size_t i, size_t o, float beta, void *packed);
void xr_words_weight_grad(const xr_isa_words *isa, float *dw, const float *dy, const float *x, size_t o, size_t i, size_t n, float beta, void *packed);

#endif
