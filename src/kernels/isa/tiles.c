/* bfloat16 products with sums in f32, the way AMX makes them: TDPBF16PS adds to 16 x 16 results what 32 numbers give. Of these the even ones and the
 * odd ones are summed apart, from zero, by fused multiply-adds in their order; then the two sums are added, and then what was there. Without the
 * instruction the same operations are made of f32 ones, with the same bits, but for subnormal numbers, which it takes and gives as zero. */
#include "kernels/isa/amx.h"
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"

enum {
    UNIT = 16,                  /* rows, columns and words of a tile */
    ROWS = 2 * UNIT, STRIP = 2 * UNIT,
    BLOCK = XR_TILES_BLOCK,     /* words of a sum: those of a strip, 24 KB, stay in the first-level cache */
    LINE = 64 / sizeof(uint32_t)
};

#define PLAIN XR_ISA_NAME(xr_isa_bf16)

static void along(uint32_t *restrict to, const float *restrict x, size_t n) { PLAIN.along(to, x, n); }
static void across(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n) { PLAIN.across(to, even, odd, n); }
static void turn(uint32_t *restrict to, const uint32_t *restrict part, size_t strip) { PLAIN.turn(to, part, strip); }

XR_INLINE void turned_by(void (*words)(uint32_t *, const float *, const float *, size_t), uint32_t *restrict to, size_t ld_to, const float *restrict x,
                         size_t ld, size_t numbers, size_t rows)
{
    for (size_t k = 0; k < numbers; k += 2 * UNIT)
        for (size_t r = 0; r < rows; r += UNIT) {
            uint32_t part[UNIT][UNIT] = {{0}};
            for (size_t i = k; i < k + 2 * UNIT && i < numbers; i += 2)
                words(part[(i - k) / 2], x + i * ld + r, i + 1 < numbers ? x + (i + 1) * ld + r : NULL, rows - r < UNIT ? rows - r : UNIT);
            transpose_words(to + r * ld_to + k / 2, ld_to, part[0], UNIT, UNIT, UNIT);
        }
}

static void turned(uint32_t *restrict to, size_t ld_to, const float *restrict x, size_t ld, size_t numbers, size_t rows)
{
    turned_by(across, to, ld_to, x, ld, numbers, rows);
}

/* One vector of columns of one row. */
XR_INLINE vf sum_of(vf sum, const uint32_t *a, const uint32_t *restrict b, size_t n)
{
    for (size_t k = 0; k < n; k += UNIT) {
        vf even = vf_zero(), odd = vf_zero();
        for (size_t i = k; i < k + UNIT; i++) {
            vi x = (vi){0} + (int32_t)a[i], w = vi_load(b + i * STRIP);
            even = vf_fma(vf_even_half(x), vf_even_half(w), even);
            odd = vf_fma(vf_odd_half(x), vf_odd_half(w), odd);
        }
        sum += even + odd;
    }
    return sum;
}

static void multiply(const xr_strip_product *p)
{
    for (size_t r = 0; r < p->rows; r++)
        for (size_t j = 0; j < p->cols; j += VW)
            vf_store(p->c + r * p->ld + j, sum_of(vf_load(p->base.x + r * p->base.ld + j), p->a + r * p->row, p->b + j, p->n));
}

const xr_isa_words XR_ISA_NAME(xr_isa_tiles) = {2, ROWS, STRIP, UNIT, BLOCK, 2.0, 4.0, along, across, turn, turned, multiply};

#if defined(__AVX512F__)
#define AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512dq,avx512vl")))

static void along_native(uint32_t *restrict to, const float *restrict x, size_t n) { xr_isa_bf16_native.along(to, x, n); }
static void across_native(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n)
{
    xr_isa_bf16_native.across(to, even, odd, n);
}
static void turned_native(uint32_t *restrict to, size_t ld_to, const float *restrict x, size_t ld, size_t numbers, size_t rows)
{
    turned_by(across_native, to, ld_to, x, ld, numbers, rows);
}

/* Results in tiles 0 and 1, 2 and 3; a in 4, 5, b in 6, 7: `first` rows in the upper ones of results and a, `second` in the lower ones. */
AMX XR_INLINE void configure(size_t first, size_t second)
{
    const size_t rows[] = {first, first, second, second, first, second, UNIT, UNIT};
    amx_shapes s = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        s.row_bytes[t] = sizeof(uint32_t) * UNIT;
        s.rows[t] = (uint8_t)rows[t];
    }
    amx_configure(&s);
}

/* Two tiles down, two across. */
AMX static void four_tiles(const xr_strip_product *p, size_t m)
{
    const size_t bytes = sizeof(uint32_t), ld = p->ld * bytes, ld_base = p->base.ld * bytes, ld_a = p->row * bytes;
    const float *base = p->base.x + m * p->base.ld, *base_below = base + UNIT * p->base.ld;
    const uint32_t *a = p->a + m * p->row, *soon = p->soon + m / ROWS * p->n * p->pace;
    float *c = p->c + m * p->ld, *below = c + UNIT * p->ld;
    _tile_loadd(0, base, ld_base);
    _tile_loadd(1, base + UNIT, ld_base);
    _tile_loadd(2, base_below, ld_base);
    _tile_loadd(3, base_below + UNIT, ld_base);
    for (size_t k = 0; k < p->n; k += UNIT) {
        _tile_loadd(6, p->b + k * STRIP, STRIP * bytes);
        _tile_loadd(4, a + k, ld_a);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, p->b + k * STRIP + UNIT, STRIP * bytes);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, a + UNIT * p->row + k, ld_a);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
        for (size_t i = k; i < k + UNIT; i++)
            __builtin_prefetch(soon + i * LINE, 0, 2);      /* a constant pace: no address has to be computed */
    }
    _tile_stored(0, c, ld);
    _tile_stored(1, c + UNIT, ld);
    _tile_stored(2, below, ld);
    _tile_stored(3, below + UNIT, ld);
}

AMX static void one_tile(const xr_strip_product *p, size_t r, size_t j)
{
    const size_t bytes = sizeof(uint32_t);
    _tile_loadd(0, p->base.x + r * p->base.ld + j, p->base.ld * bytes);
    for (size_t k = 0; k < p->n; k += UNIT) {
        _tile_loadd(4, p->a + r * p->row + k, p->row * bytes);
        _tile_loadd(6, p->b + k * STRIP + j, STRIP * bytes);
        _tile_dpbf16ps(0, 4, 6);
    }
    _tile_stored(0, p->c + r * p->ld + j, p->ld * bytes);
}

/* Afterwards no tile is in use, so that nothing of them has to be saved when threads change. */
AMX static void multiply_native(const xr_strip_product *p)
{
    for (size_t m = 0; m < p->rows; m += ROWS) {
        size_t rows = p->rows - m < ROWS ? p->rows - m : ROWS;
        if (rows > UNIT && p->cols == STRIP) {
            configure(UNIT, rows - UNIT);
            four_tiles(p, m);
        } else
            for (size_t r = 0; r < rows; r += UNIT) {
                configure(rows - r < UNIT ? rows - r : UNIT, UNIT);
                for (size_t j = 0; j < p->cols; j += UNIT)
                    one_tile(p, m + r, j);
            }
    }
    _tile_release();
}

const xr_isa_words xr_isa_tiles_native = {2, ROWS, STRIP, UNIT, BLOCK, 2.0, 4.0, along_native, across_native, turn, turned_native, multiply_native};
#endif
