/* Products of eight-bit numbers, for inference: y = x w^T + bias.
 *
 * A column's weights are scale q with q in -127 .. 127; the scale makes the largest sum of two neighbours of one sign 127, so that 16 bits hold
 * what a pair gives. A row's activations are scale (q - zero) with q in 0 .. 255 over its range, found anew for every batch. Sums are whole numbers,
 * so that their order does not matter: neither tiles nor threads nor instruction sets change a bit (isa/int8.c). */
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/isa/table.h"
#include "kernels/packed.h"
#include "kernels/sizes.h"
#include "util/error.h"

enum {
    GROUP = XR_INT8_GROUP, BLOCK = 16, QUAD = 4,
    LINE = 64,
    ROWS = 32,              /* as many as two tiles of AMX, whole but for the last ones */
    TILE_ROWS = 6 * ROWS    /* of x with 3,072 columns fill half of a second-level cache of 1 MiB */
};

static size_t quads_of(size_t i) { return xr_ceil_div(i, QUAD); }

static const xr_isa_int8 *kernels(void)
{
    const xr_isa_int8 *isa = xr_kernels()->int8;
#if XR_HAVE_X86
    if (isa == &xr_isa_int8_avx512 && xr_cpu_has_vnni())
        return &xr_isa_int8_vnni;
    if (isa == &xr_isa_int8_avx2 && xr_cpu_has_avxvnni())
        return &xr_isa_int8_avxvnni;
#endif
    return isa;
}

/* --- weights -------------------------------------------------------------------------------------------------------------- */

static size_t bytes(size_t o, size_t i) { return xr_ceil_div(o, GROUP) * xr_int8_group_bytes(quads_of(i)); }

/* A column of the group: quads stand a BLOCK apart. */
static void spread(int8_t *to, const int8_t *q, size_t i)
{
    size_t whole = i / QUAD;
    for (size_t k = 0; k < whole; k++)
        memcpy(to + k * BLOCK * QUAD, q + k * QUAD, QUAD);
    memcpy(to + whole * BLOCK * QUAD, q + whole * QUAD, i % QUAD);
}

static void fill_group(const xr_isa_int8 *isa, int8_t *to, const float *w, size_t cols, size_t i)
{
    size_t quads = quads_of(i);
    int8_t q[XR_INT8_MOST];
    memset(to, 0, xr_int8_group_bytes(quads));
    xr_int8_group *end = (xr_int8_group *)(void *)(to + quads * QUAD * GROUP);
    for (size_t c = 0; c < cols; c++) {
        isa->quantize_weights(q, &end->scale[c], &end->total[c], w + c * i, i);
        spread(to + (c / BLOCK * quads * BLOCK + c % BLOCK) * QUAD, q, i);
    }
}

static void fill(void *data, const float *w, size_t o, size_t i)
{
    XR_ASSERT(i <= XR_INT8_MOST, "a sum of %zu products", i);
    size_t step = xr_int8_group_bytes(quads_of(i));
    const xr_isa_int8 *isa = kernels();
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (o * i > 1 << 14)
    for (size_t g = 0; g < xr_ceil_div(o, GROUP); g++)
        fill_group(isa, (int8_t *)data + g * step, w + g * GROUP * i, xr_least(GROUP, o - g * GROUP), i);
}

/* --- activations and products --------------------------------------------------------------------------------------------- */

/* An odd number of cache lines, or the rows of a tile would share cache sets. */
static size_t line_bytes(size_t i) { return (xr_ceil_div(i, LINE) | 1) * LINE; }

static size_t scratch(size_t n, size_t o, size_t i)
{
    (void)o;
    return n * (line_bytes(i) + sizeof(xr_int8_row));
}

/* A number takes a fourth of the time of those that xr_threads_for counts. */
static void quantize(uint8_t *q, xr_int8_row *row, const float *x, size_t n, size_t i)
{
    size_t ld = line_bytes(i);
    const xr_isa_int8 *isa = kernels();
#pragma omp parallel for schedule(static) num_threads(xr_threads_for(n * i / 4, 1 << 12))
    for (size_t r = 0; r < n; r++) {
        isa->quantize(q + r * ld, &row[r], x + r * i, i);
        memset(q + r * ld + i, 0, quads_of(i) * QUAD - i);
    }
}

static void multiply(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o,
                     size_t i, float beta, void *restrict memory)
{
    XR_ASSERT(i <= XR_INT8_MOST, "a sum of %zu products", i);
    uint8_t *q = memory;
    size_t ld = line_bytes(i), quads = quads_of(i), groups = xr_ceil_div(o, GROUP), rows = xr_ceil_div(n, ROWS), down = xr_ceil_div(n, TILE_ROWS);
    xr_int8_row *row = (xr_int8_row *)(void *)(q + n * ld);
    quantize(q, row, x, n, i);
    const xr_isa_int8 *isa = kernels();
#pragma omp parallel for schedule(dynamic, 1) num_threads(xr_threads()) if (down * groups > 1)
    for (size_t t = 0; t < down * groups; t++) {
        size_t r = t / groups * rows / down * ROWS, end = xr_least(n, (t / groups + 1) * rows / down * ROWS), c = t % groups * GROUP;
        isa->multiply(&(xr_int8_tile){
            .y = y + r * o + c, .ld_y = o, .rows = end - r, .cols = xr_least(GROUP, o - c), .x = q + r * ld, .row = row + r, .ld_x = ld,
            .quads = quads, .w = (const int8_t *)data + t % groups * xr_int8_group_bytes(quads), .bias = bias ? bias + c : NULL, .beta = beta});
    }
}

const xr_pack_kind xr_pack_int8 = {"int8", bytes, fill, scratch, multiply, NULL, NULL, NULL, NULL};
