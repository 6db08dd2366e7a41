/* Eight-bit products with sums in 32 bits, which are exact: every instruction set gives the same bits, as long as no instruction saturates
 * on the way. VPDPBUSD adds four products at once in 32 bits. Without it VPMADDUBSW adds two in 16, of which 2 x 255 x 127 would not fit; so weights are
 * rounded such that two neighbours of one sign are 128 together at most, and a pair 255 x 128 (docs/decisions.md).
 *
 * Floats before and after are rounded at the same places everywhere: `fused` is one rounding also where the machine has no such instruction. */
#include <math.h>

#include "kernels/isa/int8_sums.h"

enum { ROWS = 6 };

/* --- numbers of eight bits ------------------------------------------------------------------------------------------------ */

#define ROUND 12582912.0f       /* 1.5 * 2^23: what is added to it is rounded to an integer that stands in the low bits */
#define TINY 1e-30f             /* ranges below it count as zero: their inverse could overflow */

/* Whole numbers, those outside 0 .. 255 as the nearest of these. */
XR_INLINE void put_bytes(uint8_t *to, vi q)
{
#if defined(__AVX2__) && !defined(__AVX512F__)
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)q), _mm256_extracti128_si256((__m256i)q, 1));
    _mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(words, words));
#else
    typedef uint8_t vb __attribute__((vector_size(VW)));
    q &= ~(q >> 31);
    q |= (255 - q) >> 31;
    vb b = __builtin_convertvector(q & 255, vb);
    memcpy(to, &b, VW);
#endif
}

XR_INLINE void put(uint8_t *to, vf x, float scale, float offset)
{
    put_bytes(to, (vi)fused(x, vf_set(scale), vf_set(offset)) - 0x4b400000);
}

/* to = scale x + zero, rounded to even, in 0 .. 255. */
XR_INLINE void put_all(uint8_t *restrict to, const float *restrict x, size_t n, float scale, int zero)
{
    float offset = ROUND + (float)zero;
    uint8_t last[VW] = {0};
    size_t j = 0;
    for (; j + VW <= n; j += VW)
        put(to + j, vf_load(x + j), scale, offset);
    if (j < n)
        put(last, vf_load_n(x + j, n - j), scale, offset);
    memcpy(to + j, last, n - j);
}

/* Lowest and highest of x and 0; 0 unless all are finite, and what lies between. */
static int range(float *low, float *high, const float *x, size_t n)
{
    vf least = vf_zero(), most = vf_zero(), bad = vf_zero();
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        vf v = vf_load(x + j);
        least = vf_min(v, least);
        most = vf_max(v, most);
        bad += v - v;
    }
    if (j < n) {
        vf v = vf_load_n(x + j, n - j);
        least = vf_min(v, least);
        most = vf_max(v, most);
        bad += v - v;
    }
    *low = -vf_hmax(-least);
    *high = vf_hmax(most);
    return vf_hsum(bad) == 0.0f && isfinite(*high - *low);
}

static void quantize(uint8_t *restrict to, xr_int8_row *row, const float *restrict x, size_t n)
{
    float low, high;
    int finite = range(&low, &high, x, n);
    float width = high - low, inverse = finite && width > TINY ? 255.0f / width : 0.0f;
    row->scale = !finite ? NAN : width > TINY ? width / 255.0f : 0.0f;
    row->zero = finite ? (int32_t)nearbyintf(-low * inverse) : 0;
    if (finite)
        put_all(to, x, n, inverse, row->zero);
    else
        memset(to, 0, n);
}

XR_INLINE vf pairs(vf x)
{
    vf above = vf_max(x, vf_zero());
    return above + XR_SWAP(above, 1);
}

/* Largest magnitude of the sums of w[2j] and w[2j + 1] of one sign, of single ones where signs differ. */
static float largest_pair(const float *w, size_t n)
{
    vf most = vf_zero();
    for (size_t j = 0; j < n; j += VW) {
        vf v = vf_load_upto(w + j, n - j);
        most = vf_max(vf_max(pairs(v), pairs(-v)), most);
    }
    return vf_hmax(most);
}

/* Unsigned around 128, then signed: 128 is even and changes no tie. Two numbers whose exact values are 127 together are 128 at most when rounded. */
static void quantize_weights(int8_t *restrict to, float *scale, int32_t *total, const float *restrict w, size_t n)
{
    float low, high, most = largest_pair(w, n);
    int finite = range(&low, &high, w, n) && isfinite(most);
    float inverse = finite && most > TINY ? 127.0f / most : 0.0f;
    *scale = !finite ? NAN : most > TINY ? most / 127.0f : 0.0f;
    memset(to, 0, n);
    if (finite)
        put_all((uint8_t *)to, w, n, inverse, 128);
    int32_t sum = 0;
    for (size_t k = 0; finite && k < n; k++) {
        to[k] = (int8_t)(uint8_t)((uint8_t)to[k] ^ 128u);
        sum += to[k];
    }
    *total = sum;
}

/* --- sums ----------------------------------------------------------------------------------------------------------------- */

/* Sums of up to ROWS rows with one group of columns. */
typedef void (*sums_of)(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads);

#if defined(__AVX2__)
/* Kernels on 32 bytes take three rows and two blocks of columns, in four vectors. */
enum { TRIO = 3, HALVES = 4, HALF = BLOCK / 2, PAIR = 2 * BLOCK };

/* pair(sum, x, ld, rows, w, quads) for all rows and columns of a group, `rows` a constant in each. */
#define XR_IN_TRIOS(pair)                                                                                            \
    for (size_t c = 0; c < GROUP; c += PAIR, w += quads * PAIR * QUAD)                                               \
        for (size_t r = 0; r < rows; r += TRIO) {                                                                    \
            int32_t (*to)[GROUP] = (int32_t (*)[GROUP])(sum[r] + c);                                                 \
            if (rows - r >= TRIO)                                                                                    \
                pair(to, x + r * ld, ld, TRIO, w, quads);                                                            \
            else if (rows - r == 2)                                                                                  \
                pair(to, x + r * ld, ld, 2, w, quads);                                                               \
            else                                                                                                     \
                pair(to, x + r * ld, ld, 1, w, quads);                                                               \
        }

/* --- VPMADDUBSW on 32 bytes ----------------------------------------------------------------------------------------------- */

/* *sum += quads of x and w. Of one piece, as the compiler would move sums about (see vf_add_product). */
XR_INLINE void add_quads(__m256i *sum, __m256i x, const int8_t *w, __m256i ones)
{
    __m256i part;
    __asm__("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
            : "+x"(*sum), "=&x"(part) : "x"(x), "m"(*(const __m256i *)(const void *)w), "x"(ones));
}

/* Twelve sums, ones, a quad of x and what is on its way take 15 registers. */
XR_INLINE void pair_of_blocks(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, const size_t rows, const int8_t *w, size_t quads)
{
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[TRIO][HALVES];
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < HALVES; h++)
            acc[r][h] = _mm256_setzero_si256();
    const uint8_t *const row[TRIO] = {x, x + ld, x + 2 * ld};
    const int8_t *const block[2] = {w, w + quads * BLOCK * QUAD};
#pragma GCC unroll 4
    for (size_t k = 0; k < quads; k++)
#pragma GCC unroll 3
        for (size_t r = 0; r < rows; r++) {
            int quad;
            memcpy(&quad, row[r] + k * QUAD, sizeof quad);
            __m256i q = _mm256_set1_epi32(quad);
            for (size_t h = 0; h < HALVES; h++)
                add_quads(&acc[r][h], q, block[h / 2] + k * BLOCK * QUAD + h % 2 * HALF * QUAD, ones);
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < HALVES; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sum[r] + h * HALF), acc[r][h]);
}

static void sums(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    XR_IN_TRIOS(pair_of_blocks)
}
#else
static void sums(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    memset(sum, 0, rows * sizeof *sum);
    for (size_t b = 0; b < BLOCKS; b++)
        for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD)
            for (size_t r = 0; r < rows; r++)
                for (size_t c = 0; c < BLOCK; c++)
                    for (size_t j = 0; j < QUAD; j++)
                        sum[r][b * BLOCK + c] += (int32_t)x[r * ld + k * QUAD + j] * (int32_t)w[c * QUAD + j];
}
#endif

/* --- a tile of the result ------------------------------------------------------------------------------------------------- */

XR_INLINE void multiply_by(const xr_int8_tile *t, sums_of of)
{
    int32_t sum[ROWS][GROUP];
    for (size_t r = 0; r < t->rows; r += ROWS) {
        size_t rows = t->rows - r < ROWS ? t->rows - r : ROWS;
        of(sum, t->x + r * t->ld_x, t->ld_x, rows, t->w, t->quads);
        for (size_t k = 0; k < rows; k++)
            finish(t, r + k, 0, t->cols, sum[k]);
    }
}

static void multiply(const xr_int8_tile *t) { multiply_by(t, sums); }

const xr_isa_int8 XR_ISA_NAME(xr_isa_int8) = {quantize, quantize_weights, multiply};

/* --- VPDPBUSD on 32 bytes ------------------------------------------------------------------------------------------------- */

/* For AVX-VNNI, which processors without AVX-512 have. With AVX-512 it is only there to be compared with the others. */
#if defined(__AVX2__)
#if defined(__AVX512F__)
#define NARROW __attribute__((target("avx512vnni")))
#define NARROW_DOT _mm256_dpbusd_epi32
#else
#define NARROW __attribute__((target("avxvnni")))
#define NARROW_DOT _mm256_dpbusd_avx_epi32
#endif

/* Two blocks of columns. */
NARROW static inline __attribute__((always_inline)) void pair_narrow(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, const size_t rows,
                                                                      const int8_t *w, size_t quads)
{
    __m256i acc[TRIO][HALVES];
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < HALVES; h++)
            acc[r][h] = _mm256_setzero_si256();
    for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD, x += QUAD) {
        __m256i q[TRIO];
#pragma GCC unroll 3
        for (size_t r = 0; r < rows; r++) {
            int quad;
            memcpy(&quad, x + r * ld, sizeof quad);
            q[r] = _mm256_set1_epi32(quad);
        }
        for (size_t h = 0; h < HALVES; h++) {
            __m256i v = _mm256_load_si256((const __m256i *)(const void *)(w + h / 2 * quads * BLOCK * QUAD + h % 2 * HALF * QUAD));
#pragma GCC unroll 3
            for (size_t r = 0; r < rows; r++)
                acc[r][h] = NARROW_DOT(acc[r][h], q[r], v);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < HALVES; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sum[r] + h * HALF), acc[r][h]);
}

NARROW static void sums_narrow(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    XR_IN_TRIOS(pair_narrow)
}

static void multiply_narrow(const xr_int8_tile *t) { multiply_by(t, sums_narrow); }

#if defined(__AVX512F__)
const xr_isa_int8 xr_isa_int8_narrow = {quantize, quantize_weights, multiply_narrow};
#else
const xr_isa_int8 xr_isa_int8_avxvnni = {quantize, quantize_weights, multiply_narrow};
#endif
#endif

/* --- AVX512-VNNI ---------------------------------------------------------------------------------------------------------- */

#if defined(__AVX512F__)
#define VNNI __attribute__((target("avx512vnni")))

VNNI static inline __attribute__((always_inline)) void group_vnni(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, const size_t rows,
                                                                   const int8_t *w, size_t quads)
{
    __m512i acc[ROWS][BLOCKS];
    size_t step = quads * BLOCK * QUAD;
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++)
        for (int b = 0; b < BLOCKS; b++)
            acc[r][b] = _mm512_setzero_si512();
    for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD, x += QUAD) {
        __m512i v[BLOCKS];
        for (size_t b = 0; b < BLOCKS; b++)
            v[b] = _mm512_load_si512(w + b * step);
#pragma GCC unroll 6
        for (size_t r = 0; r < rows; r++) {
            int quad;
            memcpy(&quad, x + r * ld, sizeof quad);
            for (int b = 0; b < BLOCKS; b++)
                acc[r][b] = _mm512_dpbusd_epi32(acc[r][b], _mm512_set1_epi32(quad), v[b]);
        }
    }
#pragma GCC unroll 6
    for (size_t r = 0; r < rows; r++)
        for (int b = 0; b < BLOCKS; b++)
            _mm512_storeu_si512(sum[r] + b * BLOCK, acc[r][b]);
}

/* A copy for each number of rows, so that all sums stay in registers. */
VNNI static void sums_vnni(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    switch (rows) {
    case 1: group_vnni(sum, x, ld, 1, w, quads); break;
    case 2: group_vnni(sum, x, ld, 2, w, quads); break;
    case 3: group_vnni(sum, x, ld, 3, w, quads); break;
    case 4: group_vnni(sum, x, ld, 4, w, quads); break;
    case 5: group_vnni(sum, x, ld, 5, w, quads); break;
    default: group_vnni(sum, x, ld, 6, w, quads);
    }
}

static void multiply_vnni(const xr_int8_tile *t) { multiply_by(t, sums_vnni); }

const xr_isa_int8 xr_isa_int8_vnni = {quantize, quantize_weights, multiply_vnni};
#endif
