/* Eight-bit products with sums in 32 bits, which are exact: every instruction set gives the same bits, as long as no instruction saturates
 * on the way. VPDPBUSD adds four products at once in 32 bits. Without it VPMADDUBSW would be the next best, but it adds two products
 * of 255 x 127 in 16 bits and saturates; so numbers are widened to 16 bits and VPMADDWD adds two products in 32. With AVX2 they are widened beforehand,
 * a part of the sum at a time, so that the loop has nothing else to do (docs/performance.md).
 *
 * Floats before and after are rounded at the same places everywhere: `fused` is one rounding also where the machine has no such instruction. */
#include <math.h>

#include "kernels/isa/int8_sums.h"

enum { ROWS = 6 };

/* --- numbers of eight bits ------------------------------------------------------------------------------------------------ */

#define ROUND 12582912.0f       /* 1.5 * 2^23: what is added to it is rounded to an integer that stands in the low bits */
#define TINY 1e-30f             /* ranges below it count as zero: their inverse could overflow */

typedef uint8_t vb __attribute__((vector_size(VW)));

XR_INLINE void put(uint8_t *to, vf x, float scale, float offset)
{
    vi q = (vi)fused(x, vf_set(scale), vf_set(offset)) - 0x4b400000;
    q &= ~(q >> 31);                            /* not below 0 */
    q |= (255 - q) >> 31;                       /* not above 255 */
    vb b = __builtin_convertvector(q & 255, vb);
    memcpy(to, &b, VW);
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

/* Unsigned around 128, then signed: 128 is even and changes no tie. */
static void quantize_weights(int8_t *restrict to, float *scale, int32_t *total, const float *restrict w, size_t n)
{
    float low, high;
    int finite = range(&low, &high, w, n);
    float most = high > -low ? high : -low, inverse = finite && most > TINY ? 127.0f / most : 0.0f;
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

#if defined(__AVX512F__)
/* WIDE numbers of 16 bits in a vector: four of each of WIDE / 4 columns, whose sums come as two halves. */
enum { WIDE = 32 };
typedef __m512i vw;
XR_INLINE vw wide_weights(const int8_t *w) { return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)w)); }
XR_INLINE vw wide_quad(const uint8_t *x)
{
    int quad;
    memcpy(&quad, x, sizeof quad);
    return _mm512_cvtepu8_epi16(_mm256_set1_epi32(quad));
}
XR_INLINE vw wide_zero(void) { return _mm512_setzero_si512(); }
XR_INLINE vw wide_add(vw sum, vw x, vw w) { return _mm512_add_epi32(sum, _mm512_madd_epi16(x, w)); }
XR_INLINE void wide_store(int32_t *to, vw a, vw b)
{
    _mm256_storeu_si256((__m256i *)to, _mm512_cvtepi64_epi32(_mm512_add_epi32(a, _mm512_srli_epi64(a, 32))));
    _mm256_storeu_si256((__m256i *)(to + 8), _mm512_cvtepi64_epi32(_mm512_add_epi32(b, _mm512_srli_epi64(b, 32))));
}

enum { SET = BLOCK * QUAD / WIDE };     /* vectors for a block of columns */

XR_INLINE void block_widened(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, const size_t rows, const int8_t *w, size_t quads)
{
    vw acc[3][SET];
    for (size_t r = 0; r < rows; r++)
        for (int s = 0; s < SET; s++)
            acc[r][s] = wide_zero();
    for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD, x += QUAD) {
        vw v[SET];
        for (int s = 0; s < SET; s++)
            v[s] = wide_weights(w + s * WIDE);
#pragma GCC unroll 3
        for (size_t r = 0; r < rows; r++) {
            vw q = wide_quad(x + r * ld);
            for (int s = 0; s < SET; s++)
                acc[r][s] = wide_add(acc[r][s], q, v[s]);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (int s = 0; s < SET; s += 2)
            wide_store(sum[r] + s * WIDE / QUAD, acc[r][s], acc[r][s + 1]);
}

/* Three rows at a time, whose sums stay in registers. */
static void sums(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    for (size_t b = 0; b < BLOCKS; b++, w += quads * BLOCK * QUAD)
        for (size_t r = 0; r < rows; r += 3) {
            int32_t (*to)[GROUP] = (int32_t (*)[GROUP])(sum[r] + b * BLOCK);
            if (rows - r >= 3)
                block_widened(to, x + r * ld, ld, 3, w, quads);
            else if (rows - r == 2)
                block_widened(to, x + r * ld, ld, 2, w, quads);
            else
                block_widened(to, x + r * ld, ld, 1, w, quads);
        }
}
#elif !defined(__AVX2__)
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

#if defined(__AVX512F__) || !defined(__AVX2__)
static void multiply(const xr_int8_tile *t) { multiply_by(t, sums); }
#else
/* --- VPMADDWD on 32 bytes ------------------------------------------------------------------------------------------------- */

/* Numbers of 16 bits, two along the sum to a lane of 32: rows of x, and blocks of columns [pair][BLOCK][2]. A part of the sum is widened at a time, so
 * that a block's stays in the first-level cache (16 KB). */
enum { PART_QUADS = 128, PART = PART_QUADS * QUAD, PART_LD = PART + 32, MOST_ROWS = 96 };

XR_INLINE void widen(int16_t *to, const uint8_t *x)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)x)));
}

static void widen_rows(int16_t (*restrict to)[PART_LD], const uint8_t *x, size_t ld, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, x += ld) {
        uint8_t last[16] = {0};
        size_t k = 0;
        for (; k + sizeof last <= n; k += sizeof last)
            widen(to[r] + k, x + k);
        memcpy(last, x + k, n - k);
        widen(to[r] + k, last);
    }
}

/* A byte into the upper half of a word, which is then shifted down with its sign: first the even pairs of all columns, then the odd ones. */
static void widen_block(int16_t *restrict to, const int8_t *w, size_t quads)
{
    const __m256i even = _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13));
    const __m256i odd = _mm256_broadcastsi128_si256(_mm_setr_epi8(-1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15));
    for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD, to += 2 * BLOCK * 2)
        for (size_t h = 0; h < 2; h++) {
            __m256i v = _mm256_load_si256((const __m256i *)(const void *)(w + h * BLOCK / 2 * QUAD));
            _mm256_store_si256((__m256i *)(void *)(to + h * BLOCK), _mm256_srai_epi16(_mm256_shuffle_epi8(v, even), 8));
            _mm256_store_si256((__m256i *)(void *)(to + (2 + h) * BLOCK), _mm256_srai_epi16(_mm256_shuffle_epi8(v, odd), 8));
        }
}

/* *sum += pairs of x and w. Of one piece, as the compiler would move sums about (see vf_add_product). */
XR_INLINE void add_pairs(__m256i *sum, __m256i x, __m256i w)
{
    __m256i two;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "=&x"(two) : "x"(x), "x"(w));
}

/* Adds to the sums of `rows` rows, a constant where this is inlined, with a block of columns. */
XR_INLINE void add_part(int32_t (*restrict sum)[GROUP], int16_t (*x)[PART_LD], const int16_t *restrict w, size_t pairs, const size_t rows)
{
    __m256i acc[ROWS][2];
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < 2; h++)
            acc[r][h] = _mm256_loadu_si256((const __m256i *)(const void *)(sum[r] + h * BLOCK / 2));
    for (size_t k = 0; k < pairs; k += 2)
#pragma GCC unroll 2
        for (size_t u = k; u < k + 2; u++, w += 2 * BLOCK) {
            __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)w), w1 = _mm256_load_si256((const __m256i *)(const void *)(w + BLOCK));
#pragma GCC unroll 6
            for (size_t r = 0; r < rows; r++) {
                int pair;
                memcpy(&pair, x[r] + 2 * u, sizeof pair);
                __m256i q = _mm256_set1_epi32(pair);
                add_pairs(&acc[r][0], q, w0);
                add_pairs(&acc[r][1], q, w1);
            }
        }
    for (size_t r = 0; r < rows; r++)
        for (size_t h = 0; h < 2; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sum[r] + h * BLOCK / 2), acc[r][h]);
}

static void add_block(int32_t (*restrict sum)[GROUP], int16_t (*x)[PART_LD], const int16_t *w, size_t pairs, size_t rows)
{
    size_t r = 0;
    for (; r + ROWS <= rows; r += ROWS)
        add_part(sum + r, x + r, w, pairs, ROWS);
    switch (rows - r) {
    case 5: add_part(sum + r, x + r, w, pairs, 5); break;
    case 4: add_part(sum + r, x + r, w, pairs, 4); break;
    case 3: add_part(sum + r, x + r, w, pairs, 3); break;
    case 2: add_part(sum + r, x + r, w, pairs, 2); break;
    case 1: add_part(sum + r, x + r, w, pairs, 1); break;
    default: break;
    }
}

static void multiply_rows(const xr_int8_tile *t, size_t first, size_t rows)
{
    _Alignas(64) int16_t w[PART_QUADS * QUAD * BLOCK], x[MOST_ROWS][PART_LD];
    int32_t sum[MOST_ROWS][GROUP];
    memset(sum, 0, rows * sizeof *sum);
    for (size_t k = 0, n; k < t->quads; k += n) {
        n = t->quads - k < PART_QUADS ? t->quads - k : PART_QUADS;
        widen_rows(x, t->x + first * t->ld_x + k * QUAD, t->ld_x, rows, n * QUAD);
        for (size_t b = 0; b < BLOCKS && b * BLOCK < t->cols; b++) {
            widen_block(w, t->w + (b * t->quads + k) * BLOCK * QUAD, n);
            add_block((int32_t (*)[GROUP])(sum[0] + b * BLOCK), x, w, 2 * n, rows);
        }
    }
    for (size_t r = 0; r < rows; r++)
        finish(t, first + r, 0, t->cols, sum[r]);
}

static void multiply(const xr_int8_tile *t)
{
    for (size_t r = 0; r < t->rows; r += MOST_ROWS)
        multiply_rows(t, r, t->rows - r < MOST_ROWS ? t->rows - r : MOST_ROWS);
}
#endif

const xr_isa_int8 XR_ISA_NAME(xr_isa_int8) = {quantize, quantize_weights, multiply};

/* --- VPDPBUSD on 32 bytes ------------------------------------------------------------------------------------------------- */

/* For AVX-VNNI, which processors without AVX-512 have. With AVX-512 it is only there to be compared with the others. */
#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__AVX512F__)
#define NARROW __attribute__((target("avx512vnni")))
#define NARROW_DOT _mm256_dpbusd_epi32
#else
#define NARROW __attribute__((target("avxvnni")))
#define NARROW_DOT _mm256_dpbusd_avx_epi32
#endif

enum { HALF = BLOCK / 2, PAIR = 2 * BLOCK };

/* Two blocks of columns. */
NARROW static inline __attribute__((always_inline)) void pair_narrow(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, const size_t rows,
                                                                      const int8_t *w, size_t quads)
{
    __m256i acc[3][PAIR / HALF];
    for (size_t r = 0; r < rows; r++)
        for (int h = 0; h < PAIR / HALF; h++)
            acc[r][h] = _mm256_setzero_si256();
    for (size_t k = 0; k < quads; k++, w += BLOCK * QUAD, x += QUAD) {
        __m256i q[3];
#pragma GCC unroll 3
        for (size_t r = 0; r < rows; r++) {
            int quad;
            memcpy(&quad, x + r * ld, sizeof quad);
            q[r] = _mm256_set1_epi32(quad);
        }
        for (size_t h = 0; h < PAIR / HALF; h++) {
            __m256i v = _mm256_load_si256((const __m256i *)(const void *)(w + h / 2 * quads * BLOCK * QUAD + h % 2 * HALF * QUAD));
#pragma GCC unroll 3
            for (size_t r = 0; r < rows; r++)
                acc[r][h] = NARROW_DOT(acc[r][h], q[r], v);
        }
    }
    for (size_t r = 0; r < rows; r++)
        for (int h = 0; h < PAIR / HALF; h++)
            _mm256_storeu_si256((__m256i *)(void *)(sum[r] + h * HALF), acc[r][h]);
}

NARROW static void sums_narrow(int32_t (*restrict sum)[GROUP], const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    for (size_t c = 0; c < GROUP; c += PAIR, w += quads * PAIR * QUAD)
        for (size_t r = 0; r < rows; r += 3) {
            int32_t (*to)[GROUP] = (int32_t (*)[GROUP])(sum[r] + c);
            if (rows - r >= 3)
                pair_narrow(to, x + r * ld, ld, 3, w, quads);
            else if (rows - r == 2)
                pair_narrow(to, x + r * ld, ld, 2, w, quads);
            else
                pair_narrow(to, x + r * ld, ld, 1, w, quads);
        }
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
