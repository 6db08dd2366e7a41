/* Products of numbers in words (table.h): f32 as they are, and bfloat16 with sums in f32.
 *
 * A word of bf16 adds its odd product first, then its even one, each rounded: what VDPBF16PS does. Products of bf16 numbers are exact in f32, so
 * that every instruction set gives the same bits, but for subnormal numbers, which that instruction takes and gives as zero. */
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"
#include "util/half.h"

enum {
    ROWS = XR_TILE_ROWS, LINE = 64 / sizeof(uint32_t),
    BLOCK = XR_WORDS_BLOCK      /* 48 rows of a and one strip of b are 448 KiB of the second-level cache, with strips of AVX2 256 KiB */
};

static void turn(uint32_t *restrict to, const uint32_t *restrict part, size_t strip)
{
    transpose_words(to, strip, part, XR_PART_WORDS, strip, XR_PART_WORDS);
}

/* --- f32 -------------------------------------------------------------------------------------------------------------- */

static void copy(uint32_t *restrict to, const float *restrict x, size_t n) { memcpy(to, x, n * sizeof *to); }

static void copy_across(uint32_t *restrict to, const float *restrict x, const float *restrict none, size_t n)
{
    (void)none;
    memcpy(to, x, n * sizeof *to);
}

enum {
    WIDE = VW == 16 ? 4 : 2,                /* vectors of a row of sums: as many sums as there are registers for */
    F32_STRIP = VW == 16 ? XR_TILE_COLS : XR_COLUMN_UNIT, BF16_STRIP = XR_TILE_COLS
};

/* Has the places of results brought into cache while their sums are made. */
XR_INLINE void bring(const float *c, size_t ld, size_t rows, int wide)
{
    for (size_t r = 0; r < rows; r++)
        for (int j = 0; j < wide; j++)
            __builtin_prefetch(c + r * ld + j * VW, 1, 3);
}

/* `rows` rows, ROWS at most, and `wide` vectors of columns, WIDE at most. */
XR_INLINE void tile_part_f32(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n,
                             size_t rows, int wide, const uint32_t *soon)
{
    vf sum[ROWS][WIDE] = {{{0}}};
    bring(c, ld, rows, wide);
    const uint32_t *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];
    for (size_t k = 0; k < n; k++, b += F32_STRIP) {
        vf w[WIDE];
        for (int j = 0; j < wide; j++)
            w[j] = (vf)vi_load(b + j * VW);
        __builtin_prefetch(soon + k * LINE, 0, 2);
        const uint32_t word[ROWS] = {a0[k * step], a1[k * step], a2[k * step], a3[k * step], a4[k * step], a5[k * step]};
        for (size_t r = 0; r < rows; r++) {
            vf x = vf_set(xr_float_of_bits(word[r]));
            for (int j = 0; j < wide; j++)
                sum[r][j] = vf_fma(x, w[j], sum[r][j]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (int j = 0; j < wide; j++)
            vf_store(c + r * ld + j * VW, vf_load(base.x + r * base.ld + j * VW) + sum[r][j]);
}

/* part(c, ld, base, a, step, b, n, rows, wide) for all columns, `rows` and `wide` constants in each; fewer than ROWS rows have whole strips. */
#define XR_IN_PARTS(part)                                                                                            \
    for (size_t j = 0; j < cols; j += WIDE * VW) {                                                                   \
        float *at = c + j;                                                                                           \
        const xr_base on = xr_base_at(base, 0, j);                                                                   \
        const uint32_t *from = b + j;                                                                                \
        switch (rows < ROWS ? rows : ROWS + (cols - j < WIDE * VW ? (cols - j) / VW : 0)) {                          \
        case 1: part(at, ld, on, a, step, from, n, 1, WIDE, soon); break;                                            \
        case 2: part(at, ld, on, a, step, from, n, 2, WIDE, soon); break;                                            \
        case 3: part(at, ld, on, a, step, from, n, 3, WIDE, soon); break;                                            \
        case 4: part(at, ld, on, a, step, from, n, 4, WIDE, soon); break;                                            \
        case 5: part(at, ld, on, a, step, from, n, 5, WIDE, soon); break;                                            \
        case ROWS + 1: part(at, ld, on, a, step, from, n, ROWS, 1, soon); break;                                     \
        case ROWS + 2: part(at, ld, on, a, step, from, n, ROWS, 2, soon); break;                                     \
        case ROWS + 3: part(at, ld, on, a, step, from, n, ROWS, WIDE > 3 ? 3 : WIDE, soon); break;                   \
        default: part(at, ld, on, a, step, from, n, ROWS, WIDE, soon);                                               \
        }                                                                                                            \
    }

static void tile_f32(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n,
                     size_t rows, size_t cols, const uint32_t *soon)
{
    XR_IN_PARTS(tile_part_f32)
}

const xr_isa_words XR_ISA_NAME(xr_isa_f32) = {1, ROWS, F32_STRIP, 1, BLOCK, 2.0, 0.2, copy, copy_across, turn, NULL, tile_f32};

/* --- bf16 ------------------------------------------------------------------------------------------------------------- */

static void words(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t stride, size_t n)
{
    for (size_t k = 0; k < n; k++)
        to[k] = xr_bf16_of_float(even[k * stride]) | (odd ? (uint32_t)xr_bf16_of_float(odd[k * stride]) << 16 : 0);
}

static void along(uint32_t *restrict to, const float *restrict x, size_t n)
{
    words(to, x, x + 1, 2, n / 2);
    if (n % 2)
        words(to + n / 2, x + n - 1, NULL, 1, 1);
}

static void across(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n) { words(to, even, odd, 1, n); }

/* `wide` vectors of columns, two at most. */
XR_INLINE void tile_part(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n,
                         size_t rows, int wide)
{
    vf sum[ROWS][2] = {{{0}}};
    for (size_t k = 0; k < n; k++, b += BF16_STRIP)
        for (size_t r = 0; r < rows; r++) {
            vi x = (vi)vf_set(xr_float_of_bits(a[r][k * step]));
            for (int j = 0; j < wide; j++) {
                vi w = vi_load(b + j * VW);
                sum[r][j] = vf_fma(vf_even_half(x), vf_even_half(w), vf_fma(vf_odd_half(x), vf_odd_half(w), sum[r][j]));
            }
        }
    for (size_t r = 0; r < rows; r++)
        for (int j = 0; j < wide; j++)
            vf_store(c + r * ld + j * VW, vf_load(base.x + r * base.ld + j * VW) + sum[r][j]);
}

static void tile(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n, size_t rows,
                 size_t cols, const uint32_t *unused)
{
    (void)unused;
    for (size_t j = 0; j < cols; j += 2 * VW)
        if (rows < ROWS)
            for (size_t r = 0; r < rows; r++)
                tile_part(c + r * ld + j, ld, xr_base_at(base, r, j), a + r, step, b + j, n, 1, 2);
        else if (cols - j > VW)
            tile_part(c + j, ld, xr_base_at(base, 0, j), a, step, b + j, n, ROWS, 2);
        else
            tile_part(c + j, ld, xr_base_at(base, 0, j), a, step, b + j, n, ROWS, 1);
}

const xr_isa_words XR_ISA_NAME(xr_isa_bf16) = {2, ROWS, BF16_STRIP, 1, BLOCK, 2.0, 0.2, along, across, turn, NULL, tile};

#if defined(__AVX512F__)
#define BF16 __attribute__((target("avx512bf16")))

BF16 static void along_native(uint32_t *restrict to, const float *restrict x, size_t n)
{
    size_t k = 0;
    for (; k + 2 * VW <= n; k += 2 * VW)
        _mm512_storeu_si512(to + k / 2, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + k + VW), _mm512_loadu_ps(x + k)));
    along(to + k / 2, x + k, n - k);
}

BF16 static void across_native(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n)
{
    static const uint16_t in_turn[2 * VW] = {0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29,
                                             14, 30, 15, 31};
    const __m512i order = _mm512_loadu_si512(in_turn);
    size_t k = 0;
    for (; odd && k + VW <= n; k += VW) {
        __m512i halves = (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(odd + k), _mm512_loadu_ps(even + k));
        _mm512_storeu_si512(to + k, _mm512_permutexvar_epi16(order, halves));
    }
    across(to + k, even + k, odd ? odd + k : NULL, n - k);
}

BF16 XR_INLINE void tile_part_native(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b,
                                     size_t n, size_t rows, int wide, const uint32_t *soon)
{
    __m512 sum[ROWS][WIDE];
    for (size_t r = 0; r < rows; r++)
        for (int j = 0; j < wide; j++)
            sum[r][j] = _mm512_setzero_ps();
    bring(c, ld, rows, wide);
    const uint32_t *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];
    for (size_t k = 0; k < n; k++, b += BF16_STRIP) {
        __m512bh w[WIDE];
        for (int j = 0; j < wide; j++)
            w[j] = (__m512bh)_mm512_load_si512(b + j * VW);
        __builtin_prefetch(soon + k * LINE, 0, 2);
        const uint32_t x[ROWS] = {a0[k * step], a1[k * step], a2[k * step], a3[k * step], a4[k * step], a5[k * step]};
        for (size_t r = 0; r < rows; r++)
            for (int j = 0; j < wide; j++)
                sum[r][j] = _mm512_dpbf16_ps(sum[r][j], (__m512bh)_mm512_set1_epi32((int)x[r]), w[j]);
    }
    for (size_t r = 0; r < rows; r++)
        for (int j = 0; j < wide; j++)
            _mm512_storeu_ps(c + r * ld + j * VW, _mm512_add_ps(_mm512_loadu_ps(base.x + r * base.ld + j * VW), sum[r][j]));
}

BF16 static void tile_native(float *c, size_t ld, xr_base base, const uint32_t *const *a, size_t step, const uint32_t *restrict b,
                             size_t n, size_t rows, size_t cols, const uint32_t *soon)
{
    XR_IN_PARTS(tile_part_native)
}

const xr_isa_words xr_isa_bf16_native = {2, ROWS, BF16_STRIP, 1, BLOCK, 2.0, 0.2, along_native, across_native, turn, NULL, tile_native};
#endif
