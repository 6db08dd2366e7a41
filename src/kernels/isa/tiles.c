/* bfloat16 products with sums in f32, the way AMX makes them: TDPBF16PS adds to 16 x 16 results what 32 numbers give. Of these the even ones and the
 * odd ones are summed apart, from zero, by fused multiply-adds in their order; then the two sums are added, and then what was there. Without the
 * instruction the same operations are made of f32 ones, with the same bits, but for subnormal numbers, which it takes and gives as zero. */
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"

enum {
    ROWS = XR_TILE_MOST_ROWS, STRIP = XR_TILE_COLS,
    UNIT = 16,                  /* words, of two numbers, of a row of a tile */
    BLOCK = 256,                /* words of a sum at a time */
    LINE = 64 / sizeof(uint32_t)
};

#define PLAIN XR_ISA_NAME(xr_isa_bf16)

static void along(uint32_t *restrict to, const float *restrict x, size_t n) { PLAIN.along(to, x, n); }
static void across(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n) { PLAIN.across(to, even, odd, n); }
static void turn(uint32_t *restrict to, const uint32_t *restrict part, size_t strip) { PLAIN.turn(to, part, strip); }

/* Squares of vectors. */
static void turn_unit(uint32_t *restrict to, size_t ld_to, uint32_t (*part)[ROWS])
{
    for (size_t r = 0; r < ROWS; r += VW)
        for (size_t k = 0; k < UNIT; k += VW) {
            vf m[VW];
            for (size_t i = 0; i < VW; i++)
                memcpy(&m[i], part[k + i] + r, sizeof m[i]);
            transpose(m);
            for (size_t i = 0; i < VW; i++)
                memcpy(to + (r + i) * ld_to + k, &m[i], sizeof m[i]);
        }
}

XR_INLINE void turned_by(void (*words)(uint32_t *, const float *, const float *, size_t), uint32_t *restrict to, size_t ld_to, const float *restrict x,
                         size_t ld, size_t numbers, size_t rows)
{
    for (size_t k = 0; k < numbers; k += 2 * UNIT)
        for (size_t r = 0; r < rows; r += ROWS) {
            uint32_t part[UNIT][ROWS] = {{0}};
            for (size_t i = k; i < k + 2 * UNIT && i < numbers; i += 2)
                words(part[(i - k) / 2], x + i * ld + r, i + 1 < numbers ? x + (i + 1) * ld + r : NULL, rows - r < ROWS ? rows - r : ROWS);
            turn_unit(to + r * ld_to + k / 2, ld_to, part);
        }
}

static void turned(uint32_t *restrict to, size_t ld_to, const float *restrict x, size_t ld, size_t numbers, size_t rows)
{
    turned_by(across, to, ld_to, x, ld, numbers, rows);
}

XR_INLINE vi words_at(const uint32_t *p)
{
    vi x;
    memcpy(&x, p, sizeof x);
    return x;
}
XR_INLINE vf odd_of(vi word) { return (vf)(word & INT32_MIN >> 15); }
XR_INLINE vf even_of(vi word) { return (vf)(word << 16); }

/* One vector of columns of one row. */
XR_INLINE vf sum_of(vf sum, const uint32_t *a, const uint32_t *restrict b, size_t n)
{
    for (size_t k = 0; k < n; k += UNIT) {
        vf even = vf_zero(), odd = vf_zero();
        for (size_t i = k; i < k + UNIT; i++) {
            vi x = (vi){0} + (int32_t)a[i], w = words_at(b + i * STRIP);
            even = vf_fma(even_of(x), even_of(w), even);
            odd = vf_fma(odd_of(x), odd_of(w), odd);
        }
        sum += even + odd;
    }
    return sum;
}

static void tile(float *restrict c, size_t ld, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n, size_t rows, size_t cols,
                 const uint32_t *soon)
{
    (void)step, (void)soon;
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j += VW)
            vf_store(c + r * ld + j, sum_of(vf_load(c + r * ld + j), a[r], b + j, n));
}

const xr_isa_words XR_ISA_NAME(xr_isa_tiles) = {2, ROWS, STRIP, UNIT, BLOCK, along, across, turn, turned, tile};

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

/* What LDTILECFG reads: results in tiles 0 to 3, of a in 4, of b in 5 to 7 (Intel, Software Developer's Manual, volume 1, section 18.3). */
typedef struct shapes {
    _Alignas(64) uint8_t palette;
    uint8_t start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} shapes;

AMX XR_INLINE void configure(size_t rows)
{
    shapes s = {.palette = 1};
    for (int t = 0; t < 8; t++) {
        s.row_bytes[t] = 4 * UNIT;
        s.rows[t] = t <= 4 ? (uint8_t)rows : UNIT;
    }
    _tile_loadconfig(&s);
}

/* `rows` rows of a, ld_a words apart, and all of a strip. */
AMX static void strip_native(float *restrict c, size_t ld, const uint32_t *a, size_t ld_a, const uint32_t *restrict b, size_t n, const uint32_t *soon)
{
    const size_t bytes = sizeof(uint32_t);
    _tile_loadd(0, c, ld * bytes);
    _tile_loadd(1, c + UNIT, ld * bytes);
    _tile_loadd(2, c + 2 * UNIT, ld * bytes);
    _tile_loadd(3, c + 3 * UNIT, ld * bytes);
    for (size_t k = 0; k < n; k += UNIT, a += UNIT, b += UNIT * STRIP) {
        _tile_loadd(4, a, ld_a * bytes);
        _tile_loadd(5, b, STRIP * bytes);
        _tile_dpbf16ps(0, 4, 5);
        _tile_loadd(6, b + UNIT, STRIP * bytes);
        _tile_dpbf16ps(1, 4, 6);
        _tile_loadd(7, b + 2 * UNIT, STRIP * bytes);
        _tile_dpbf16ps(2, 4, 7);
        _tile_loadd(5, b + 3 * UNIT, STRIP * bytes);
        _tile_dpbf16ps(3, 4, 5);
        for (size_t i = 0; i < UNIT; i++)
            __builtin_prefetch(soon + (k + i) * LINE, 0, 2);
    }
    _tile_stored(0, c, ld * bytes);
    _tile_stored(1, c + UNIT, ld * bytes);
    _tile_stored(2, c + 2 * UNIT, ld * bytes);
    _tile_stored(3, c + 3 * UNIT, ld * bytes);
}

/* The same for UNIT columns. */
AMX static void unit_native(float *restrict c, size_t ld, const uint32_t *a, size_t ld_a, const uint32_t *restrict b, size_t n)
{
    const size_t bytes = sizeof(uint32_t);
    _tile_loadd(0, c, ld * bytes);
    for (size_t k = 0; k < n; k += UNIT) {
        _tile_loadd(4, a + k, ld_a * bytes);
        _tile_loadd(5, b + k * STRIP, STRIP * bytes);
        _tile_dpbf16ps(0, 4, 5);
    }
    _tile_stored(0, c, ld * bytes);
}

/* Afterwards no tile is in use, so that nothing of them has to be saved when threads change. */
AMX static void tile_native(float *restrict c, size_t ld, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n, size_t rows,
                            size_t cols, const uint32_t *soon)
{
    size_t ld_a = rows > 1 ? (size_t)(a[1] - a[0]) : UNIT;
    (void)step;
    configure(rows);
    if (cols == STRIP)
        strip_native(c, ld, a[0], ld_a, b, n, soon);
    for (size_t j = 0; j < cols && cols < STRIP; j += UNIT)
        unit_native(c + j, ld, a[0], ld_a, b + j, n);
    _tile_release();
}

const xr_isa_words xr_isa_tiles_native = {2, ROWS, STRIP, UNIT, BLOCK, along_native, across_native, turn, turned_native, tile_native};
#endif
