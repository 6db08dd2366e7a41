#include "kernels/rows.h"

#include "kernels/cpu.h"
#include "kernels/isa/table.h"
#include "util/error.h"

enum {
    SERIAL = 1 << 14,       /* elements below which threads cost more than they bring */
    STRIP = 64,             /* columns a thread sums over all rows */
    AT_ONCE = 8,            /* rows a thread takes at most: whoever is free, since cores are not equally fast */
    MAX_COLS = 1 << 16      /* of a normalised row: its mask stands on the stack */
};

/* The mask of row r, or NULL without dropout. */
static const uint8_t *row_bits(uint8_t *bits, const xr_isa_rows *k, const xr_rowset *rows, size_t r, size_t cols, const xr_dropout *d)
{
    if (!d || d->threshold == 0)
        return NULL;
    size_t blocks = (cols + 7) / 8;
    k->keep(bits, d, rows->sample[rows->seq[r]], rows->index[r] * (uint32_t)blocks, blocks);
    return bits;
}

void xr_add_norm_forward(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                         const float *restrict res, const float *restrict gamma, const float *restrict beta, const xr_rowset *rows,
                         size_t cols, float eps, const xr_dropout *d)
{
    XR_ASSERT(cols <= MAX_COLS, "%zu columns, at most %d", cols, MAX_COLS);
    const xr_isa_rows *k = xr_kernels()->rows;
    float scale = d ? d->scale : 1.0f;
#pragma omp parallel for schedule(dynamic, xr_at_once(rows->n, AT_ONCE)) num_threads(xr_threads_for(rows->n * cols, SERIAL))
    for (size_t r = 0; r < rows->n; r++) {
        uint8_t mem[MAX_COLS / 8];
        size_t at = r * cols;
        k->norm_forward(y + at, xhat + at, rstd + r, x + at, res ? res + at : NULL, gamma, beta, cols, eps,
                        row_bits(mem, k, rows, r, cols, d), scale);
    }
}

static void add_gamma_beta(float *restrict dgamma, float *restrict dbeta, const float *restrict dy, const float *restrict xhat,
                           size_t n, size_t cols)
{
    const xr_isa_rows *k = xr_kernels()->rows;
    if (!dgamma && !dbeta)
        return;
#pragma omp parallel for schedule(dynamic, 1) num_threads(xr_threads_for(n * cols, SERIAL))
    for (size_t c = 0; c < cols; c += STRIP)
        k->colsum(dbeta ? dbeta + c : NULL, dgamma ? dgamma + c : NULL, dy + c, xhat + c, n, cols - c < STRIP ? cols - c : STRIP, cols);
}

void xr_add_norm_backward(float *restrict dx, int acc_x, float *restrict dres, int acc_res, float *restrict dgamma,
                          float *restrict dbeta, const float *restrict dy, const float *restrict xhat, const float *restrict rstd,
                          const float *restrict gamma, const xr_rowset *rows, size_t cols, const xr_dropout *d)
{
    XR_ASSERT(cols <= MAX_COLS, "%zu columns, at most %d", cols, MAX_COLS);
    const xr_isa_rows *k = xr_kernels()->rows;
    float scale = d ? d->scale : 1.0f;
    add_gamma_beta(dgamma, dbeta, dy, xhat, rows->n, cols);
    if (!dx && !dres)
        return;
#pragma omp parallel for schedule(dynamic, xr_at_once(rows->n, AT_ONCE)) num_threads(xr_threads_for(rows->n * cols, SERIAL))
    for (size_t r = 0; r < rows->n; r++) {
        uint8_t mem[MAX_COLS / 8];
        size_t at = r * cols;
        k->norm_backward(dx ? dx + at : NULL, acc_x, dres ? dres + at : NULL, acc_res, dy + at, xhat + at, rstd[r], gamma, cols,
                         row_bits(mem, k, rows, r, cols, d), scale);
    }
}

float xr_softmax_row(float *p, const float *x, size_t n) { return xr_kernels()->rows->softmax(p, x, n); }
