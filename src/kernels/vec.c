#include "kernels/vec.h"

#include <string.h>

#include "kernels/cpu.h"
#include "kernels/isa/table.h"

enum {
    BLOCK = 1 << 13,        /* elements per piece: 32 KiB, whole vectors of every kind; fixed, so that sums do not depend on threads */
    SERIAL = 1 << 15,       /* below this the threads cost more than they bring */
    AT_ONCE = 4             /* pieces a thread takes where whoever is free goes on, since cores are not equally fast */
};

#define BLOCKS(n) (((n) + BLOCK - 1) / BLOCK)

static size_t length(size_t n, size_t block) { return n - block * BLOCK < BLOCK ? n - block * BLOCK : BLOCK; }

/* Rows a thread takes: AT_ONCE pieces of about BLOCK elements, or less. */
static size_t rows_at_once(size_t rows, size_t cols) { return xr_at_once(rows, AT_ONCE * (cols >= BLOCK ? 1 : BLOCK / (cols ? cols : 1))); }

void xr_bias_gelu_forward(float *restrict y, const float *restrict x, const float *restrict bias, size_t rows, size_t cols)
{
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(dynamic, rows_at_once(rows, cols)) num_threads(xr_threads_for(rows * cols, SERIAL))
    for (size_t r = 0; r < rows; r++)
        k->gelu_forward(y + r * cols, x + r * cols, bias, cols);
}

void xr_bias_gelu_backward(float *dx, int acc, const float *dy, const float *x, const float *bias, size_t rows, size_t cols)
{
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(dynamic, rows_at_once(rows, cols)) num_threads(xr_threads_for(rows * cols, SERIAL))
    for (size_t r = 0; r < rows; r++)
        k->gelu_backward(dx + r * cols, acc, dy + r * cols, x + r * cols, bias, cols);
}

void xr_tanh_forward(float *restrict y, const float *restrict x, size_t n)
{
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t b = 0; b < BLOCKS(n); b++)
        k->tanh_forward(y + b * BLOCK, x + b * BLOCK, length(n, b));
}

void xr_tanh_backward(float *restrict dx, int acc, const float *restrict dy, const float *restrict y, size_t n)
{
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t b = 0; b < BLOCKS(n); b++)
        k->tanh_backward(dx + b * BLOCK, acc, dy + b * BLOCK, y + b * BLOCK, length(n, b));
}

void xr_vec_add(float *restrict y, const float *restrict x, size_t n)
{
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t b = 0; b < BLOCKS(n); b++)
        k->add(y + b * BLOCK, x + b * BLOCK, length(n, b));
}

void xr_vec_copy(float *restrict y, const float *restrict x, size_t n, int acc)
{
    if (acc) {
        xr_vec_add(y, x, n);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t b = 0; b < BLOCKS(n); b++)
        memcpy(y + b * BLOCK, x + b * BLOCK, length(n, b) * sizeof *y);
}

/* These two wait for memory, whatever the instruction set. */
void xr_vec_approach(float *restrict y, const float *restrict x, size_t n, float share)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t i = 0; i < n; i++)
        y[i] += share * (x[i] - y[i]);
}

void xr_vec_swap(float *restrict y, float *restrict x, size_t n)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
    for (size_t i = 0; i < n; i++) {
        float kept = y[i];
        y[i] = x[i];
        x[i] = kept;
    }
}

/* Sums of `GROUP` blocks at a time stand in an array, then join the total in order. */
enum { GROUP = 256 };

static double reduce(double (*sum)(const float *, size_t), const float *x, size_t n)
{
    double total = 0.0;
    for (size_t first = 0; first < BLOCKS(n); first += GROUP) {
        size_t count = BLOCKS(n) - first < GROUP ? BLOCKS(n) - first : GROUP;
        double part[GROUP];
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL))
        for (size_t b = 0; b < count; b++)
            part[b] = sum(x + (first + b) * BLOCK, length(n, first + b));
        for (size_t b = 0; b < count; b++)
            total += part[b];
    }
    return total;
}

double xr_vec_sumsq(const float *x, size_t n) { return reduce(xr_kernels()->vec->sumsq, x, n); }
double xr_vec_sum(const float *x, size_t n) { return reduce(xr_kernels()->vec->sum, x, n); }

int xr_vec_finite(const float *x, size_t n)
{
    const xr_isa_vec *k = xr_kernels()->vec;
    int ok = 1;
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n, SERIAL)) reduction(&& : ok)
    for (size_t b = 0; b < BLOCKS(n); b++)
        ok = ok && k->finite(x + b * BLOCK, length(n, b));
    return ok;
}

void xr_rows_gather(float *restrict y, const float *restrict x, const uint32_t *index, size_t rows, size_t cols)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(rows * cols, SERIAL))
    for (size_t r = 0; r < rows; r++)
        memcpy(y + r * cols, x + index[r] * cols, cols * sizeof *y);
}

/* Threads own columns, not rows: an index may occur twice, and rows must be added in order. */
void xr_rows_scatter_add(float *restrict dx, const float *restrict dy, const uint32_t *index, size_t rows, size_t cols)
{
    enum { STRIP = 128 };
    const xr_isa_vec *k = xr_kernels()->vec;
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(rows * cols, SERIAL))
    for (size_t c = 0; c < cols; c += STRIP)
        for (size_t r = 0; r < rows; r++)
            k->add(dx + index[r] * cols + c, dy + r * cols + c, cols - c < STRIP ? cols - c : STRIP);
}
