#include "kernels/xent.h"

#include "kernels/cpu.h"
#include "kernels/rows.h"

void xr_softmax_xent(float *restrict p, float *restrict loss, const int32_t *restrict target, size_t rows, size_t cols)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (rows * cols > 1 << 15)
    for (size_t r = 0; r < rows; r++) {
        float *x = p + r * cols;
        float at_target = x[target[r]];
        loss[r] = xr_softmax_row(x, x, cols) - at_target;
    }
}

void xr_softmax_xent_backward(float *restrict p, const int32_t *restrict target, float scale, size_t rows, size_t cols)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (rows * cols > 1 << 15)
    for (size_t r = 0; r < rows; r++) {
        float *x = p + r * cols;
        x[target[r]] -= 1.0f;
        for (size_t c = 0; c < cols; c++)
            x[c] *= scale;
    }
}
