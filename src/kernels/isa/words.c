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
    size_t k = 0;
    (void)none;
    for (; k + VW <= n; k += VW)
        vf_store((float *)(void *)(to + k), vf_load(x + k));
    memcpy(to + k, x + k, (n - k) * sizeof *to);
}

enum {
    WIDE = VW == 16 ? 4 : 2,                /* vectors of a row of sums: as many sums as there are registers for */
    F32_STRIP = VW == 16 ? XR_TILE_COLS : XR_COLUMN_UNIT, BF16_STRIP = XR_TILE_COLS,
    F32_ALONG = VW == 8,                    /* words of a that stand across are turned first: six of them are less than half of a cache line */
    UNROLL = VW == 16 ? 1 : 8               /* words of f32: where few sums are made of each, counting them would be a fifth of the instructions */
};

/* What a group adds up to, and what that is added to. */
XR_INLINE void put(const xr_strip_product *p, size_t m, size_t j, size_t rows, int wide, vf (*sum)[WIDE])
{
    for (size_t r = 0; r < rows; r++)
        for (int i = 0; i < wide; i++) {
            size_t c = j + (size_t)i * VW;
            vf_store(p->c + (m + r) * p->ld + c, vf_load(p->base.x + (m + r) * p->base.ld + c) + sum[r][i]);
        }
}

/* Has the places of a group's results brought into cache. */
XR_INLINE void bring(const xr_strip_product *p, size_t m)
{
    for (size_t r = m; r < m + ROWS; r++)
        for (size_t j = 0; j < WIDE * VW; j += LINE)
            __builtin_prefetch(p->c + r * p->ld + j, 1, 3);
}

/* What is due for UNROLL words. */
XR_INLINE void fetch(const uint32_t *soon, size_t pace)
{
    __builtin_prefetch(soon, 0, 2);
    for (size_t i = LINE; UNROLL > 1 && i < UNROLL * pace; i += LINE)
        __builtin_prefetch(soon + i, 0, 2);
}

/* Adds one word's products. */
XR_INLINE void word_f32(vf (*sum)[WIDE], const uint32_t *const *a, size_t at, const uint32_t *restrict b, size_t rows, int wide)
{
    vf w[WIDE];
    for (int i = 0; i < wide; i++)
        w[i] = (vf)vi_load(b + i * VW);
    for (size_t r = 0; r < rows; r++) {
        vf x = vf_set(xr_float_of_bits(a[r][at]));
        for (int i = 0; i < wide; i++)
            vf_add_product(&sum[r][i], x, w[i]);
    }
}

/* Rows from m on, ROWS at most, and `wide` vectors of columns from j on, WIDE at most. */
XR_INLINE void part_f32(const xr_strip_product *p, size_t m, size_t j, size_t rows, int wide)
{
    vf sum[ROWS][WIDE] = {{{0}}};
    const uint32_t *restrict b = p->b + j, *soon = p->soon + (m + ROWS - 1) / ROWS * p->n * p->pace;
    const uint32_t *a0 = p->a + m * p->row, *a1 = a0 + p->row, *a2 = a1 + p->row, *a3 = a2 + p->row, *a4 = a3 + p->row, *a5 = a4 + p->row;
    const uint32_t *const a[ROWS] = {a0, a1, a2, a3, a4, a5};
    const size_t n = p->n, step = F32_ALONG ? 1 : p->step, pace = p->pace;
    size_t k = 0;
    for (; k + UNROLL <= n; k += UNROLL, soon += UNROLL * pace) {
        fetch(soon, pace);
#pragma GCC unroll 8
        for (size_t u = 0; u < UNROLL; u++, b += F32_STRIP)
            word_f32(sum, a, (k + u) * step, b, rows, wide);
    }
    for (; k < n; k++, b += F32_STRIP)
        word_f32(sum, a, k * step, b, rows, wide);
    put(p, m, j, rows, wide, sum);
}

/* Rows of the group that is next when so many are left. With AVX2 fewer than four take as long as four, since additions to one sum wait for each other: so
 * the last two groups share what they have. */
XR_INLINE size_t next_rows(size_t left)
{
    if (VW == 8 && left > ROWS && left < ROWS + 4)
        return (left + 1) / 2;
    return left < ROWS ? left : ROWS;
}

/* part(p, m, j, rows, wide) for all groups of rows and all columns, `rows` and `wide` constants in each. While a group is worked on, the places of the
 * next one's results are brought. */
#define XR_IN_PARTS(part)                                                                                            \
    bring(p, 0);                                                                                                     \
    for (size_t m = 0, rows; m < p->rows; m += rows) {                                                               \
        rows = next_rows(p->rows - m);                                                                               \
        if (m + rows < p->rows)                                                                                      \
            bring(p, m + rows);                                                                                      \
        for (size_t j = 0; j < p->cols; j += WIDE * VW)                                                              \
            switch (rows < ROWS ? rows : ROWS + (p->cols - j < WIDE * VW ? (p->cols - j) / VW : 0)) {                \
            case 1: part(p, m, j, 1, WIDE); break;                                                                   \
            case 2: part(p, m, j, 2, WIDE); break;                                                                   \
            case 3: part(p, m, j, 3, WIDE); break;                                                                   \
            case 4: part(p, m, j, 4, WIDE); break;                                                                   \
            case 5: part(p, m, j, 5, WIDE); break;                                                                   \
            case ROWS + 1: part(p, m, j, ROWS, 1); break;                                                            \
            case ROWS + 2: part(p, m, j, ROWS, 2); break;                                                            \
            case ROWS + 3: part(p, m, j, ROWS, WIDE > 3 ? 3 : WIDE); break;                                          \
            default: part(p, m, j, ROWS, WIDE);                                                                      \
            }                                                                                                        \
    }

static void multiply_f32(const xr_strip_product *p) { XR_IN_PARTS(part_f32) }

/* Rows to come are on their way meanwhile, as the processor does not foresee lines so far apart. */
static void turn_f32(uint32_t *restrict to, size_t ld_to, const float *restrict x, size_t ld, size_t numbers, size_t rows)
{
    enum { SOON = 2 * VW };
    for (size_t k = 0; k < numbers; k += VW) {
        for (size_t i = k; i < k + VW; i++)
            for (size_t r = 0; r < rows; r += LINE)
                __builtin_prefetch(x + (i + SOON) * ld + r, 0, 3);
        pack_transposed((float *)(void *)(to + k), ld_to, x + k * ld, ld, numbers - k < VW ? numbers - k : VW, rows);
    }
}

const xr_isa_words XR_ISA_NAME(xr_isa_f32) = {1, ROWS, F32_STRIP, 1, BLOCK, 2.0, 0.2, copy, copy_across, turn, F32_ALONG ? turn_f32 : NULL, multiply_f32};

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

/* Rows from m on, and `wide` vectors of columns from j on, two at most. */
XR_INLINE void part_bf16(const xr_strip_product *p, size_t m, size_t j, size_t rows, int wide)
{
    vf sum[ROWS][WIDE] = {{{0}}};
    const uint32_t *restrict b = p->b + j, *a = p->a + m * p->row;
    for (size_t k = 0; k < p->n; k++, b += BF16_STRIP)
        for (size_t r = 0; r < rows; r++) {
            vi x = (vi)vf_set(xr_float_of_bits(a[r * p->row + k * p->step]));
            for (int i = 0; i < wide; i++) {
                vi w = vi_load(b + i * VW);
                sum[r][i] = vf_fma(vf_even_half(x), vf_even_half(w), vf_fma(vf_odd_half(x), vf_odd_half(w), sum[r][i]));
            }
        }
    put(p, m, j, rows, wide, sum);
}

static void multiply_bf16(const xr_strip_product *p)
{
    for (size_t m = 0; m < p->rows; m += ROWS)
        for (size_t j = 0; j < p->cols; j += 2 * VW)
            if (p->rows - m < ROWS)
                for (size_t r = m; r < p->rows; r++)
                    part_bf16(p, r, j, 1, 2);
            else
                part_bf16(p, m, j, ROWS, p->cols - j > VW ? 2 : 1);
}

const xr_isa_words XR_ISA_NAME(xr_isa_bf16) = {2, ROWS, BF16_STRIP, 1, BLOCK, 2.0, 0.2, along, across, turn, NULL, multiply_bf16};

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

BF16 XR_INLINE void part_native(const xr_strip_product *p, size_t m, size_t j, size_t rows, int wide)
{
    __m512 sum[ROWS][WIDE];
    for (size_t r = 0; r < rows; r++)
        for (int i = 0; i < wide; i++)
            sum[r][i] = _mm512_setzero_ps();
    const uint32_t *restrict b = p->b + j, *soon = p->soon + (m + ROWS - 1) / ROWS * p->n * p->pace;
    const uint32_t *a0 = p->a + m * p->row, *a1 = a0 + p->row, *a2 = a1 + p->row, *a3 = a2 + p->row, *a4 = a3 + p->row, *a5 = a4 + p->row;
    const size_t n = p->n, step = p->step, pace = p->pace;
    for (size_t k = 0; k < n; k++, b += BF16_STRIP, soon += pace) {
        __m512bh w[WIDE];
        for (int i = 0; i < wide; i++)
            w[i] = (__m512bh)_mm512_load_si512(b + i * VW);
        __builtin_prefetch(soon, 0, 2);
        const uint32_t *const at[ROWS] = {a0, a1, a2, a3, a4, a5};
        for (size_t r = 0; r < rows; r++)
            for (int i = 0; i < wide; i++)
                sum[r][i] = _mm512_dpbf16_ps(sum[r][i], (__m512bh)_mm512_set1_epi32((int)at[r][k * step]), w[i]);
    }
    for (size_t r = 0; r < rows; r++)
        for (int i = 0; i < wide; i++) {
            size_t c = j + (size_t)i * VW;
            _mm512_storeu_ps(p->c + (m + r) * p->ld + c, _mm512_add_ps(_mm512_loadu_ps(p->base.x + (m + r) * p->base.ld + c), sum[r][i]));
        }
}

BF16 static void multiply_native(const xr_strip_product *p) { XR_IN_PARTS(part_native) }

const xr_isa_words xr_isa_bf16_native = {2, ROWS, BF16_STRIP, 1, BLOCK, 2.0, 0.2, along_native, across_native, turn, NULL, multiply_native};
#endif
