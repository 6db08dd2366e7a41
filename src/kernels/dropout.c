#include "kernels/dropout.h"

#include "kernels/cpu.h"
#include "kernels/isa/table.h"
#include "kernels/sizes.h"

enum { SERIAL = 1 << 14, CHUNK = 1 << 15 };

xr_dropout xr_dropout_make(float p, uint64_t seed, uint32_t step, uint32_t site)
{
    xr_dropout d = {0};
    d.threshold = (uint32_t)((double)p * 65536.0 + 0.5);
    if (d.threshold > 65535)
        d.threshold = 65535;
    d.scale = (float)(65536.0 / (65536.0 - (double)d.threshold));
    d.key = xr_rng_key(seed, XR_RNG_DROPOUT);
    d.step = step;
    d.site = site;
    return d;
}

static void apply_row(float *y, const float *x, const xr_dropout *d, uint32_t sample, uint32_t i, size_t cols, int acc)
{
    const xr_isa_rows *k = xr_kernels()->rows;
    uint32_t block = i * (uint32_t)((cols + 7) / 8);
    uint8_t bits[CHUNK / 8];
    for (size_t j = 0; j < cols; j += CHUNK) {
        size_t n = xr_least(CHUNK, cols - j);
        k->keep(bits, d, sample, block + (uint32_t)(j / 8), (n + 7) / 8);
        k->dropout(y + j, x + j, bits, d->scale, n, acc);
    }
}

void xr_dropout_apply(float *y, const float *x, const xr_dropout *d, const xr_rowset *rows, size_t cols, int acc)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(rows->n * cols, SERIAL))
    for (size_t r = 0; r < rows->n; r++)
        apply_row(y + r * cols, x + r * cols, d, rows->sample[rows->seq[r]], rows->index[r], cols, acc);
}
