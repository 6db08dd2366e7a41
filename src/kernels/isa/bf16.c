/* bfloat16 products with sums in f32. Numbers lie in words of two, neighbours along the sum; the even one is the lower half.
 *
 * A word adds its odd product first, then its even one, each rounded: what VDPBF16PS does. Products of bf16 numbers are exact in f32, so that
 * every instruction set gives the same bits, but for subnormal numbers, which that instruction takes and gives as zero. */
#include "kernels/isa/simd.h"
#include "kernels/isa/table.h"
#include "util/half.h"

static void words(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t stride, size_t n)
{
    for (size_t k = 0; k < n; k++)
        to[k] = xr_bf16_of_float(even[k * stride]) | (odd ? (uint32_t)xr_bf16_of_float(odd[k * stride]) << 16 : 0);
}

static void row(uint32_t *restrict to, const float *restrict x, size_t n)
{
    words(to, x, x + 1, 2, n / 2);
    if (n % 2)
        words(to + n / 2, x + n - 1, NULL, 1, 1);
}

static void pair(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n) { words(to, even, odd, 1, n); }

enum { ROWS = XR_TILE_ROWS, STRIP = XR_TILE_COLS, PART = 2 * VW };

XR_INLINE vf odd_of(vi word) { return (vf)(word & INT32_MIN >> 15); }
XR_INLINE vf even_of(vi word) { return (vf)(word << 16); }

/* PART columns of the tile. */
static void tile_part(float *restrict c, size_t ld, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n)
{
    vf sum[ROWS][2] = {{{0}}};
    for (size_t k = 0; k < n; k++) {
        vi w0, w1;
        memcpy(&w0, b + k * STRIP, sizeof w0);
        memcpy(&w1, b + k * STRIP + VW, sizeof w1);
        for (int r = 0; r < ROWS; r++) {
            vi x = (vi)vf_set(xr_float_of_bits(a[r][k * step]));
            sum[r][0] = vf_fma(even_of(x), even_of(w0), vf_fma(odd_of(x), odd_of(w0), sum[r][0]));
            sum[r][1] = vf_fma(even_of(x), even_of(w1), vf_fma(odd_of(x), odd_of(w1), sum[r][1]));
        }
    }
    for (size_t r = 0; r < ROWS; r++) {
        vf_store(c + r * ld, vf_load(c + r * ld) + sum[r][0]);
        vf_store(c + r * ld + VW, vf_load(c + r * ld + VW) + sum[r][1]);
    }
}

static void tile(float *restrict c, size_t ld, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n)
{
    for (size_t j = 0; j < STRIP; j += PART)
        tile_part(c + j, ld, a, step, b + j, n);
}

const xr_isa_bf16 XR_ISA_NAME(xr_isa_bf16) = {row, pair, tile};

#if defined(__AVX512F__)
#define BF16 __attribute__((target("avx512bf16")))

BF16 static void row_native(uint32_t *restrict to, const float *restrict x, size_t n)
{
    size_t k = 0;
    for (; k + 2 * VW <= n; k += 2 * VW)
        _mm512_storeu_si512(to + k / 2, (__m512i)_mm512_cvtne2ps_pbh(_mm512_loadu_ps(x + k + VW), _mm512_loadu_ps(x + k)));
    row(to + k / 2, x + k, n - k);
}

/* Of the 32 numbers that one conversion gives, those from `even` are the first 16: neighbours stand 16 apart. */
BF16 static void pair_native(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n)
{
    size_t k = 0;
    for (; odd && k + VW <= n; k += VW) {
        __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(even + k)));
        __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(odd + k)));
        _mm512_storeu_si512(to + k, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
    pair(to + k, even + k, odd ? odd + k : NULL, n - k);
}

BF16 static void tile_native(float *restrict c, size_t ld, const uint32_t *const *a, size_t step, const uint32_t *restrict b, size_t n)
{
    enum { WIDE = STRIP / VW };
    __m512 sum[ROWS][WIDE];
    for (int r = 0; r < ROWS; r++)
        for (int j = 0; j < WIDE; j++)
            sum[r][j] = _mm512_setzero_ps();
    const uint32_t *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3], *a4 = a[4], *a5 = a[5];
    for (size_t k = 0; k < n; k++, b += STRIP) {
        __m512bh w[WIDE];
        for (int j = 0; j < WIDE; j++)
            w[j] = (__m512bh)_mm512_load_si512(b + j * VW);
        const uint32_t x[ROWS] = {a0[k * step], a1[k * step], a2[k * step], a3[k * step], a4[k * step], a5[k * step]};
        for (int r = 0; r < ROWS; r++)
            for (int j = 0; j < WIDE; j++)
                sum[r][j] = _mm512_dpbf16_ps(sum[r][j], (__m512bh)_mm512_set1_epi32((int)x[r]), w[j]);
    }
    for (size_t r = 0; r < ROWS; r++)
        for (size_t j = 0; j < STRIP; j += VW)
            _mm512_storeu_ps(c + r * ld + j, _mm512_add_ps(_mm512_loadu_ps(c + r * ld + j), sum[r][j / VW]));
}

const xr_isa_bf16 xr_isa_bf16_native = {row_native, pair_native, tile_native};
#endif
