/* Products of few rows with a weight as it stands: every result is a dot product of two rows in memory, so that nothing is laid out anew.
 *
 * A register block is ROWS x COLS results, each a vector of partial sums; its COLS rows of w stay in the first-level cache while all rows of x
 * pass by. Of a result, element k of the sum goes to lane k mod VW; lanes are added in a tree of halves, blocks of the sum in order. */
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"

/* As many sums as leave registers for ROWS vectors of x and one of w. */
#if VW == 16
enum { ROWS = 4, COLS = 6 };
#elif VW == 8
enum { ROWS = 3, COLS = 4 };
#else
enum { ROWS = 2, COLS = 4 };
#endif

enum { BLOCK = 96 * VW };   /* of the sum: COLS rows of w then stay in a first-level cache of 48 KiB (AVX-512) or 32 KiB while rows of x pass */

XR_INLINE void step(vf sum[ROWS][COLS], const float *const *x, const float *const *w, size_t k, int rows)
{
    vf a[ROWS];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
        a[r] = vf_load(x[r] + k);
#pragma GCC unroll 6
    for (int c = 0; c < COLS; c++) {
        vf b = vf_load(w[c] + k);
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
            sum[r][c] = vf_fma(a[r], b, sum[r][c]);
    }
}

XR_INLINE void last_step(vf sum[ROWS][COLS], const float *const *x, const float *const *w, size_t k, size_t n, int rows)
{
    for (int c = 0; c < COLS; c++) {
        vf b = vf_load_n(w[c] + k, n);
        for (int r = 0; r < rows; r++)
            sum[r][c] = vf_fma(vf_load_n(x[r] + k, n), b, sum[r][c]);
    }
}

/* Adds halves of two vectors at once, s lanes at a time: lane l of the result is of a, or where bit s of l is set of b. */
#define LOW(l, s) ((l) & (s) ? VW + ((l) ^ (s)) : (l))
#define HIGH(l, s) ((l) & (s) ? VW + (l) : (l) + (s))
#define JOIN(a, b, s) (__builtin_shufflevector(a, b, XR_LANES(LOW, s)) + __builtin_shufflevector(a, b, XR_LANES(HIGH, s)))
#define EVEN(l, s) (2 * (l) % (s))

/* Lane c is the sum of v[c]'s lanes. */
XR_INLINE vf sums_of(const vf v[COLS])
{
#if VW == 16
    vf a = JOIN(v[0], v[4], 8), b = JOIN(v[1], v[5], 8), c = JOIN(v[2], v[2], 8), d = JOIN(v[3], v[3], 8);
    a = JOIN(a, c, 4), b = JOIN(b, d, 4);
    a = JOIN(a, b, 2);
#else
    vf a = JOIN(v[0], v[2], VW / 2), b = JOIN(v[1], v[3], VW / 2);
    a = JOIN(a, b, VW / 4);
#endif
#if VW > 4
    a += XR_SWAP(a, 1);
    a = __builtin_shufflevector(a, a, XR_LANES(EVEN, VW));
#endif
    return a;
}

/* Rows of w that will be wanted next, n of them, on their way while these are worked on: the processor foresees neither where they begin nor
 * that they will be read. */
typedef struct ahead { const float *w; size_t n; } ahead;

/* Columns that are missing are computed as the last one again, and thrown away. */
XR_INLINE void block(const xr_dot *d, size_t r0, size_t c0, size_t first, size_t n, float beta, int rows, ahead next)
{
    vf sum[ROWS][COLS];
    const float *x[ROWS], *w[COLS];
    size_t cols = d->cols - c0 < COLS ? d->cols - c0 : COLS, k = 0;
    for (int r = 0; r < rows; r++)
        x[r] = d->x + (r0 + (size_t)r) * d->inner + first;
    for (size_t c = 0; c < COLS; c++)
        w[c] = d->w + (c0 + (c < cols ? c : cols - 1)) * d->inner + first;
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 6
        for (int c = 0; c < COLS; c++)
            sum[r][c] = vf_zero();
    for (; k + VW <= n; k += VW) {
        for (size_t i = 0; i < next.n; i++)
            __builtin_prefetch(next.w + i * d->inner + k, 0, 2);
        step(sum, x, w, k, rows);
    }
    if (k < n)
        last_step(sum, x, w, k, n - k, rows);
    for (int r = 0; r < rows; r++) {
        float *y = d->y + (r0 + (size_t)r) * d->ld_y + c0, total[VW];
        vf_store(total, sums_of(sum[r]));
        for (size_t c = 0; c < cols; c++)
            y[c] = total[c] + (beta != 0.0f ? y[c] : 0.0f) + (first == 0 && d->bias ? d->bias[c0 + c] : 0.0f);
    }
}

/* Of the rows c .. c + n - 1 those that are there and below `end`. */
static ahead rows_ahead(const xr_dot *d, size_t c, size_t n, size_t end, size_t first)
{
    end = end < d->cols ? end : d->cols;
    return (ahead){d->w + c * d->inner + first, c >= end ? 0 : n < end - c ? n : end - c};
}

/* While the rows of x pass by COLS rows of w, each takes its share of the next COLS. */
static void blocks(const xr_dot *d, size_t first, size_t n, float beta)
{
    size_t rounds = (d->rows + ROWS - 1) / ROWS, share = rounds ? (COLS + rounds - 1) / rounds : 0;
    for (size_t c = 0; c < d->cols; c += COLS) {
        size_t r = 0, next = c + COLS, end = next + COLS;
        for (; r + ROWS <= d->rows; r += ROWS, next += share)
            block(d, r, c, first, n, beta, ROWS, rows_ahead(d, next, share, end, first));
        ahead last = rows_ahead(d, next, share, end, first);
        switch (d->rows - r) {
#if VW >= 16
        case 3: block(d, r, c, first, n, beta, 3, last); break;
#endif
#if VW >= 8
        case 2: block(d, r, c, first, n, beta, 2, last); break;
#endif
        case 1: block(d, r, c, first, n, beta, 1, last); break;
        default: break;
        }
    }
}

static void multiply(const xr_dot *d)
{
    size_t parts = (d->inner + BLOCK - 1) / BLOCK, part = parts ? ((d->inner + VW - 1) / VW + parts - 1) / parts * VW : 0, first = 0;
    do {
        blocks(d, first, d->inner - first < part ? d->inner - first : part, first ? 1.0f : d->beta);
        first += part;
    } while (first < d->inner);
}

const xr_isa_dot XR_ISA_NAME(xr_isa_dot) = {multiply};
