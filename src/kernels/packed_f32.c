/* f32 products with kernels of our own. A training step changes the weights, so that a packed copy would serve once: they are packed into scratch at
 * each product. In inference a copy serves every batch but the first. The work is done in packed_words.c. */
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "kernels/packed_words.h"

static size_t bytes(size_t o, size_t i) { return xr_words_bytes(xr_kernels()->f32, i, o); }

static size_t scratch(size_t n, size_t o, size_t i)
{
    return n > XR_WORDS_FEW ? bytes(o, i) : 0;
}

static void fill(void *data, const float *w, size_t o, size_t i) { xr_words_pack_transposed(xr_kernels()->f32, data, w, i, o, xr_threads()); }

/* b, or packed from w. */
static void product(float *y, const float *x, const uint32_t *b, const float *w, const float *bias, size_t n, size_t o, size_t i, float beta)
{
    xr_words_multiply(&(xr_words_product){.isa = xr_kernels()->f32, .a = x, .lda = i, .b = b, .w = w, .bias = bias, .c = y, .rows = n, .cols = o,
                                          .inner = i, .beta = beta}, xr_threads());
}

static void multiply_kept(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o,
                          size_t i, float beta, void *restrict unused)
{
    (void)unused;
    product(y, x, data, NULL, bias, n, o, i, beta);
}

static void multiply(float *restrict y, const float *restrict x, const void *restrict w, const float *restrict bias, size_t n, size_t o, size_t i,
                     float beta, void *restrict packed)
{
    if (n > XR_WORDS_FEW)
        fill(packed, w, o, i);
    product(y, x, n > XR_WORDS_FEW ? packed : NULL, w, bias, n, o, i, beta);
}

static size_t grad_scratch(size_t n, size_t o, size_t i) { return xr_words_grad_scratch(xr_kernels()->f32, n, o, i); }

static void input_grad(float *restrict dx, const float *restrict dy, const float *restrict w, size_t n, size_t i, size_t o, float beta,
                       void *restrict packed)
{
    xr_words_input_grad(xr_kernels()->f32, dx, dy, w, n, i, o, beta, packed);
}

static void weight_grad(float *restrict dw, const float *restrict dy, const float *restrict x, size_t o, size_t i, size_t n, float beta,
                        void *restrict packed)
{
    xr_words_weight_grad(xr_kernels()->f32, dw, dy, x, o, i, n, beta, packed);
}

const xr_pack_kind xr_pack_f32 = {NULL, NULL, NULL, scratch, multiply, grad_scratch, input_grad, weight_grad, NULL};
const xr_pack_kind xr_pack_f32_kept = {NULL, bytes, fill, scratch, multiply_kept, NULL, NULL, NULL, &xr_pack_f32};

/* A copy that stays pays with every vector instruction set; packing at each product does with enough rows. Over an OpenBLAS that does not know this
 * CPU any kernel with its instructions gains more (docs/performance/products.md). */
const xr_pack_kind *xr_pack_for(const xr_pack_kind *wanted, size_t n)
{
    enum { ENOUGH_ROWS = 512 };
    if (wanted == &xr_pack_f32_kept)
        return xr_cpu_isa() == XR_ISA_PORTABLE ? NULL : wanted;
    if (wanted)
        return wanted;
    return xr_blas_is_older() || (xr_cpu_isa() > XR_ISA_PORTABLE && n >= ENOUGH_ROWS) ? &xr_pack_f32 : NULL;
}
