/* bfloat16 products with sums in f32: plain loops. */
#include "kernels/cpu.h"
#include "kernels/packed.h"
#include "util/half.h"

static size_t bytes(size_t o, size_t i) { return o * i * sizeof(uint16_t); }

static void fill(void *data, const float *w, size_t o, size_t i)
{
    uint16_t *p = data;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t k = 0; k < o * i; k++)
        p[k] = xr_bf16_of_float(w[k]);
}

static float rounded(float x) { return xr_bf16_to_float(xr_bf16_of_float(x)); }

static size_t scratch(size_t n, size_t o, size_t i)
{
    (void)n, (void)o, (void)i;
    return 0;
}

static void multiply(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o, size_t i,
                     float beta, void *restrict unused)
{
    const uint16_t *w = data;
    (void)unused;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < o; c++) {
            float sum = 0.0f;
            for (size_t k = 0; k < i; k++)
                sum += rounded(x[r * i + k]) * xr_bf16_to_float(w[c * i + k]);
            y[r * o + c] = sum + (bias ? bias[c] : 0.0f) + (beta != 0.0f ? y[r * o + c] : 0.0f);
        }
}

static void input_grad(float *restrict dx, const float *restrict dy, const float *restrict w, size_t n, size_t i, size_t o, float beta, void *restrict unused)
{
    (void)unused;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t r = 0; r < n; r++)
        for (size_t c = 0; c < i; c++) {
            float sum = 0.0f;
            for (size_t k = 0; k < o; k++)
                sum += rounded(dy[r * o + k]) * rounded(w[k * i + c]);
            dx[r * i + c] = sum + (beta != 0.0f ? dx[r * i + c] : 0.0f);
        }
}

static void weight_grad(float *restrict dw, const float *restrict dy, const float *restrict x, size_t o, size_t i, size_t n, float beta, void *restrict unused)
{
    (void)unused;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t r = 0; r < o; r++)
        for (size_t c = 0; c < i; c++) {
            float sum = 0.0f;
            for (size_t k = 0; k < n; k++)
                sum += rounded(dy[k * o + r]) * rounded(x[k * i + c]);
            dw[r * i + c] = sum + (beta != 0.0f ? dw[r * i + c] : 0.0f);
        }
}

const xr_pack_kind xr_pack_bf16 = {"bf16", bytes, fill, scratch, multiply, scratch, input_grad, weight_grad};
