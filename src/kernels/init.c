#include "kernels/init.h"

#include <math.h>
#include <string.h>
#include "kernels/cpu.h"

enum { BLOCK = 1 << 14 };   /* elements a thread takes at a time; a multiple of the four normals of a Philox block */

/* Four normals of Philox block `b`: two Box-Muller pairs. 2^-33 keeps the uniform off zero, so |z| < 6.8. */
static void normal4(float out[4], double std, xr_philox_key key, uint32_t stream, uint64_t b)
{
    uint32_t w[4];
    xr_philox(w, key, (uint32_t)(b >> 32), stream, 0, (uint32_t)b);
    for (int k = 0; k < 4; k += 2) {
        double radius = std * sqrt(-2.0 * log(w[k] * 0x1p-32 + 0x1p-33));
        double angle = 0x1.921fb54442d18p+2 * 0x1p-32 * w[k + 1];
        out[k] = (float)(radius * cos(angle));
        out[k + 1] = (float)(radius * sin(angle));
    }
}

void xr_fill_normal(float *x, size_t n, float std, xr_philox_key key, uint32_t stream)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (n > BLOCK)
    for (size_t start = 0; start < n; start += BLOCK) {
        size_t end = n - start < BLOCK ? n : start + BLOCK;
        for (size_t i = start; i < end; i += 4) {
            float z[4];
            normal4(z, (double)std, key, stream, i / 4);
            memcpy(x + i, z, (end - i < 4 ? end - i : 4) * sizeof *x);
        }
    }
}

void xr_fill_sinusoidal(float *x, size_t rows, size_t cols, float amplitude)
{
    size_t half = cols / 2;
    for (size_t p = 0; p < rows; p++)
        for (size_t i = 0; i < half; i++) {
            double angle = (double)p * pow(10000.0, -2.0 * (double)i / (double)cols);
            x[p * cols + i] = (float)((double)amplitude * sin(angle));
            x[p * cols + half + i] = (float)((double)amplitude * cos(angle));
        }
}

void xr_fill(float *x, size_t n, float value)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (n > BLOCK)
    for (size_t i = 0; i < n; i++)
        x[i] = value;
}
