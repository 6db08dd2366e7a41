#include "kernels/knn.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "util/alloc.h"

/* One block of products is 512 x 2048 floats, 4 MiB; columns are handed to threads in strips. */
enum { BLOCK_ROWS = 512, BLOCK_COLS = 2048, STRIP = 64 };

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static xr_status neighbours_init(xr_neighbours *b, size_t n, size_t k)
{
    b->n = n;
    b->k = k;
    b->product = xr_alloc(n * k, sizeof *b->product);
    b->index = b->product ? xr_alloc(n * k, sizeof *b->index) : NULL;
    if (!b->index)
        return xr_error_status();
    for (size_t i = 0; i < n * k; i++)
        b->product[i] = -INFINITY;
    return XR_OK;
}

void xr_neighbours_free(xr_neighbours *b)
{
    xr_free(b->product);
    xr_free(b->index);
    memset(b, 0, sizeof *b);
}

/* Rows come in ascending order, so an equal product stays behind those that were there. */
static void insert(xr_neighbours *b, size_t row, float product, uint32_t index)
{
    float *p = b->product + row * b->k;
    uint32_t *at = b->index + row * b->k;
    size_t i = b->k - 1;
    for (; i > 0 && product > p[i - 1]; i--) {
        p[i] = p[i - 1];
        at[i] = at[i - 1];
    }
    p[i] = product;
    at[i] = index;
}

static void take(xr_neighbours *b, size_t row, float product, size_t index)
{
    if (product > b->product[row * b->k + b->k - 1])
        insert(b, row, product, (uint32_t)index);
}

typedef struct block { size_t row, rows, col, cols; const float *s; /* [rows, cols] */ } block;

static void take_rows(xr_neighbours *of_x, const block *b)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t r = 0; r < b->rows; r++)
        for (size_t c = 0; c < b->cols; c++)
            take(of_x, b->row + r, b->s[r * b->cols + c], b->col + c);
}

static void take_cols(xr_neighbours *of_y, const block *b)
{
    size_t strips = (b->cols + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t strip = 0; strip < strips; strip++)
        for (size_t r = 0; r < b->rows; r++)
            for (size_t c = strip * STRIP; c < smaller(b->cols, (strip + 1) * STRIP); c++)
                take(of_y, b->col + c, b->s[r * b->cols + c], b->row + r);
}

static xr_status search(xr_neighbours *of_x, xr_neighbours *of_y, const float *x, size_t n, const float *y, size_t m, size_t d, float *s,
                        xr_knn_progress progress, void *context)
{
    for (size_t row = 0; row < n; row += BLOCK_ROWS) {
        block b = { .row = row, .rows = smaller(BLOCK_ROWS, n - row), .s = s };
        for (b.col = 0; b.col < m; b.col += BLOCK_COLS) {
            b.cols = smaller(BLOCK_COLS, m - b.col);
            xr_gemm_nt(s, x + row * d, y + b.col * d, NULL, b.rows, b.cols, d, 0.0f);
            take_rows(of_x, &b);
            take_cols(of_y, &b);
        }
        if (progress && progress(row + b.rows, n, context))
            return xr_fail(XR_ETEMPFAIL, "the search for neighbours was stopped after %zu of %zu rows", row + b.rows, n);
    }
    return XR_OK;
}

xr_status xr_knn(xr_neighbours *of_x, xr_neighbours *of_y, const float *x, size_t n, const float *y, size_t m, size_t d, size_t k, xr_knn_progress progress,
                 void *context)
{
    XR_ASSERT(n > 0 && m > 0 && k > 0 && n <= UINT32_MAX && m <= UINT32_MAX, "%zu and %zu rows, %zu neighbours", n, m, k);
    memset(of_x, 0, sizeof *of_x);
    memset(of_y, 0, sizeof *of_y);
    xr_status status = neighbours_init(of_x, n, smaller(k, m));
    if (status == XR_OK)
        status = neighbours_init(of_y, m, smaller(k, n));
    float *s = status == XR_OK ? xr_alloc(smaller(n, BLOCK_ROWS) * smaller(m, BLOCK_COLS), sizeof *s) : NULL;
    if (status == XR_OK)
        status = s ? search(of_x, of_y, x, n, y, m, d, s, progress, context) : xr_error_status();
    xr_free(s);
    if (status < 0) {
        xr_neighbours_free(of_x);
        xr_neighbours_free(of_y);
    }
    return status;
}
