/* bfloat16 products with sums in f32. The kind of packing; the work is done in packed_words.c. */
#include "kernels/cpu.h"
#include "kernels/packed.h"
#include "kernels/packed_words.h"

static size_t bytes(size_t o, size_t i) { return xr_words_bytes(xr_kernels()->bf16, i, o); }

static void fill(void *data, const float *w, size_t o, size_t i) { xr_words_pack_transposed(xr_kernels()->bf16, data, w, i, o, xr_threads()); }

static size_t scratch(size_t n, size_t o, size_t i)
{
    (void)n, (void)o, (void)i;
    return 0;
}

static void multiply(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o,
                     size_t i, float beta, void *restrict unused)
{
    (void)unused;
    xr_words_multiply(&(xr_words_product){.isa = xr_kernels()->bf16, .a = x, .lda = i, .b = data, .bias = bias, .c = y, .rows = n, .cols = o,
                                          .inner = i, .beta = beta}, xr_threads());
}

static size_t grad_scratch(size_t n, size_t o, size_t i) { return xr_words_grad_scratch(xr_kernels()->bf16, n, o, i); }

static void input_grad(float *restrict dx, const float *restrict dy, const float *restrict w, size_t n, size_t i, size_t o, float beta,
                       void *restrict packed)
{
    xr_words_input_grad(xr_kernels()->bf16, dx, dy, w, n, i, o, beta, packed);
}

static void weight_grad(float *restrict dw, const float *restrict dy, const float *restrict x, size_t o, size_t i, size_t n, float beta,
                        void *restrict packed)
{
    xr_words_weight_grad(xr_kernels()->bf16, dw, dy, x, o, i, n, beta, packed);
}

const xr_pack_kind xr_pack_bf16 = {"bf16", bytes, fill, scratch, multiply, grad_scratch, input_grad, weight_grad, NULL};
