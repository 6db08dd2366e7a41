/* Vectors of the widest kind the build flags allow, so that each kernel is written once: 16 floats with AVX-512, 8 with AVX2, 4 with
 * the compiler's generic vectors. The only place that asks which instruction set is being compiled for. */
#ifndef XR_KERNELS_ISA_SIMD_H
#define XR_KERNELS_ISA_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VW 16
#elif defined(__AVX2__)
#define VW 8
#else
#define VW 4
#endif

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));
typedef uint32_t vu __attribute__((vector_size(VW * 4)));
typedef float vf_mem __attribute__((vector_size(VW * 4), aligned(4), may_alias));
typedef float vh __attribute__((vector_size(VW * 2)));                      /* half as many floats */
typedef float vh_mem __attribute__((vector_size(VW * 2), aligned(4), may_alias));
typedef double vd __attribute__((vector_size(VW * 4)));                     /* as many doubles */

#define XR_PASTE2(a, b) a##_##b
#define XR_PASTE(a, b) XR_PASTE2(a, b)
#define XR_ISA_NAME(name) XR_PASTE(name, XR_ISA)
#define XR_INLINE static inline __attribute__((always_inline, unused))

XR_INLINE vf vf_load(const float *p) { return *(const vf_mem *)p; }
XR_INLINE void vf_store(float *p, vf x) { *(vf_mem *)p = x; }
XR_INLINE vi vi_load(const void *p)
{
    vi x;
    memcpy(&x, p, sizeof x);
    return x;
}
/* The bf16 numbers in the halves of words: neighbours, the even one below. */
XR_INLINE vf vf_odd_half(vi word) { return (vf)(word & INT32_MIN >> 15); }
XR_INLINE vf vf_even_half(vi word) { return (vf)(word << 16); }
XR_INLINE vf vf_zero(void) { return (vf){0}; }
XR_INLINE vf vf_abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
XR_INLINE vf vf_sign_of(vf x, vf sign) { return (vf)((vi)x | ((vi)sign & INT32_MIN)); } /* x >= 0 */

/* Loads and stores of the first n < VW elements: the others read as 0 and are not written. Minimum and maximum give the second operand
 * when either is NaN. vf_if_less: x < y ? a : b. */
#if defined(__AVX512F__)
XR_INLINE vf vf_load_n(const float *p, size_t n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p); }
XR_INLINE void vf_store_n(float *p, vf x, size_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)x); }
XR_INLINE vf vf_set(float x) { return (vf)_mm512_set1_ps(x); }
XR_INLINE vf vf_max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
XR_INLINE vf vf_min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
XR_INLINE vf vf_if_less(vf x, vf y, vf a, vf b)
{
    return (vf)_mm512_mask_blend_ps(_mm512_cmp_ps_mask((__m512)x, (__m512)y, _CMP_LT_OQ), (__m512)b, (__m512)a);
}
/* x 2^k for whole k in float; n is k as integer. */
XR_INLINE vf vf_scale(vf x, vf k, vi n)
{
    (void)n;
    return (vf)_mm512_scalef_ps((__m512)x, (__m512)k);
}
XR_INLINE vf vf_sqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
/* x where bit j of the packed mask is set, else 0. */
XR_INLINE vf vf_keep(vf x, const uint8_t *bits, size_t j)
{
    uint16_t m;
    memcpy(&m, bits + j / 8, 2);
    return (vf)_mm512_maskz_mov_ps(m, (__m512)x);
}
#else
XR_INLINE vf vf_load_n(const float *p, size_t n)
{
    vf x = {0};
    memcpy(&x, p, n * sizeof(float));
    return x;
}
XR_INLINE void vf_store_n(float *p, vf x, size_t n) { memcpy(p, &x, n * sizeof(float)); }
#if defined(__AVX2__)
XR_INLINE vf vf_set(float x) { return (vf)_mm256_set1_ps(x); }
XR_INLINE vf vf_max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
XR_INLINE vf vf_min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
XR_INLINE vf vf_if_less(vf x, vf y, vf a, vf b)
{
    return (vf)_mm256_blendv_ps((__m256)b, (__m256)a, _mm256_cmp_ps((__m256)x, (__m256)y, _CMP_LT_OQ));
}
XR_INLINE vf vf_sqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
XR_INLINE vf vf_keep(vf x, const uint8_t *bits, size_t j)
{
    const vi bit = {1, 2, 4, 8, 16, 32, 64, 128};
    return (vf)((vi)x & (((int32_t)bits[j / 8] & bit) == bit));
}
#else
XR_INLINE vf vf_set(float x) { return (vf){x, x, x, x}; }
XR_INLINE vf vf_pick(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
XR_INLINE vf vf_max(vf a, vf b) { return vf_pick(a > b, a, b); }
XR_INLINE vf vf_min(vf a, vf b) { return vf_pick(a < b, a, b); }
XR_INLINE vf vf_if_less(vf x, vf y, vf a, vf b) { return vf_pick(x < y, a, b); }
XR_INLINE vf vf_sqrt(vf x)
{
    for (int i = 0; i < VW; i++)
        x[i] = __builtin_sqrtf(x[i]);
    return x;
}
XR_INLINE vf vf_keep(vf x, const uint8_t *bits, size_t j)
{
    const vi bit = {1, 2, 4, 8};
    return (vf)((vi)x & (((int32_t)(bits[j / 8] >> (j & 4)) & bit) == bit));
}
#endif
#endif

#if VW < 16
/* In two steps, so that the first does not leave the range and the second rounds once. */
XR_INLINE vf vf_scale(vf x, vf k, vi n)
{
    (void)k;
    vi half = n >> 1;
    return x * (vf)((half + 127) << 23) * (vf)((n - half + 127) << 23);
}
#endif

/* The first n < VW lanes of x, `rest` in the others. */
XR_INLINE vf vf_first(vf x, size_t n, vf rest)
{
#if defined(__AVX512F__)
    return (vf)_mm512_mask_blend_ps((__mmask16)((1u << n) - 1u), (__m512)rest, (__m512)x);
#elif defined(__AVX2__)
    const vi lane = {0, 1, 2, 3, 4, 5, 6, 7};
    return (vf)_mm256_blendv_ps((__m256)rest, (__m256)x, (__m256)(lane < (int32_t)n));
#else
    const vi lane = {0, 1, 2, 3};
    return vf_pick(lane < (int32_t)n, x, rest);
#endif
}

/* The first n elements, or all VW where n is more. */
XR_INLINE vf vf_load_upto(const float *p, size_t n) { return n >= VW ? vf_load(p) : vf_load_n(p, n); }
XR_INLINE void vf_store_upto(float *p, vf x, size_t n)
{
    if (n >= VW)
        vf_store(p, x);
    else
        vf_store_n(p, x, n);
}

/* a b + c, rounded once where the machine can, and always the same way: an expression left to -ffp-contract may be fused differently in
 * two copies of one loop (body and rest), and an element's bits would then depend on where it stands. */
#if defined(__AVX512F__)
XR_INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
#elif defined(__AVX2__)
XR_INLINE vf vf_fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
#elif defined(__FP_FAST_FMAF)
XR_INLINE vf vf_fma(vf a, vf b, vf c)
{
    for (int i = 0; i < VW; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
#else
XR_INLINE vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
#endif
/* *sum += a b, as vf_fma gives it. With 16 registers the sums of a tile have no room to move: told only what to compute, the compiler takes forms of the
 * instruction that write over a factor, and copies and spills around them (docs/performance/avx2.md). */
XR_INLINE void vf_add_product(vf *sum, vf a, vf b)
{
#if defined(__AVX2__) && !defined(__AVX512F__)
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(*sum) : "x"(a), "x"(b));
#else
    *sum = vf_fma(a, b, *sum);
#endif
}
XR_INLINE vf vf_fmas(vf a, vf b, float c) { return vf_fma(a, b, vf_set(c)); }

/* Lanes in an order computed by f(lane, s). */
#if VW == 16
#define XR_LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s), f(8, s), f(9, s), f(10, s), f(11, s), \
                       f(12, s), f(13, s), f(14, s), f(15, s)
#elif VW == 8
#define XR_LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s), f(4, s), f(5, s), f(6, s), f(7, s)
#else
#define XR_LANES(f, s) f(0, s), f(1, s), f(2, s), f(3, s)
#endif
#define XR_FAR_LANE(l, s) ((l) ^ (s))
#define XR_SWAP(x, s) __builtin_shufflevector(x, x, XR_LANES(XR_FAR_LANE, s))

/* Sums and maxima over lanes: a fixed tree of halves. */
XR_INLINE float vf_hsum(vf x)
{
#if VW >= 16
    x += XR_SWAP(x, 8);
#endif
#if VW >= 8
    x += XR_SWAP(x, 4);
#endif
    x += XR_SWAP(x, 2);
    x += XR_SWAP(x, 1);
    return x[0];
}
XR_INLINE float vf_hmax(vf x)
{
#if VW >= 16
    x = vf_max(XR_SWAP(x, 8), x);
#endif
#if VW >= 8
    x = vf_max(XR_SWAP(x, 4), x);
#endif
    x = vf_max(XR_SWAP(x, 2), x);
    x = vf_max(XR_SWAP(x, 1), x);
    return x[0];
}
XR_INLINE double vd_hsum(vd x)
{
    double a[VW / 2];
    memcpy(a, &x, sizeof a);
    for (size_t w = VW / 4; w > 0; w /= 2)
        for (size_t i = 0; i < w; i++)
            a[i] += a[i + w];
    return a[0];
}
XR_INLINE vd vd_wide(vh x) { return __builtin_convertvector(x, vd); }
XR_INLINE vd vd_load(const float *p) { return vd_wide(*(const vh_mem *)p); }

/* Eklundh's transposition: step s swaps the off-diagonal s x s blocks of each 2s x 2s block. */
XR_INLINE void transpose(vf row[VW])
{
#define TAKE_A(l, s) (((l) & (s)) ? VW + (l) - (s) : (l))
#define TAKE_B(l, s) (((l) & (s)) ? VW + (l) : (l) + (s))
#define STEP(s)                                                                 \
    for (size_t i = 0; (s) < VW && i < VW; i++)                                 \
        if (!(i & (s))) {                                                       \
            vf a = row[i], b = row[i + (s)];                                    \
            row[i] = __builtin_shufflevector(a, b, XR_LANES(TAKE_A, s));           \
            row[i + (s)] = __builtin_shufflevector(a, b, XR_LANES(TAKE_B, s));     \
        }
    STEP(1)
    STEP(2)
#if VW >= 8
    STEP(4)
#endif
#if VW >= 16
    STEP(8)
#endif
}

/* Whole vectors. */
XR_INLINE size_t padded(size_t n) { return (n + VW - 1) / VW * VW; }

/* y[c, r] = x[r, c]; columns of y from `rows` to whole vectors are zero. */
XR_INLINE void pack_transposed(float *restrict y, size_t ldy, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    size_t whole = cols - cols % VW;
    for (size_t r = 0; r < rows; r += VW)
        for (size_t c = 0; c < whole; c += VW) {
            vf m[VW];
            for (size_t i = 0; i < VW; i++)
                m[i] = r + i < rows ? vf_load(x + (r + i) * ldx + c) : vf_zero();
            transpose(m);
            for (size_t i = 0; i < VW; i++)
                vf_store(y + (c + i) * ldy + r, m[i]);
        }
    for (size_t c = whole; c < cols; c++)
        for (size_t r = 0; r < padded(rows); r++)
            y[c * ldy + r] = r < rows ? x[r * ldx + c] : 0.0f;
}

/* to[c,r] = from[r,c] of words, rows and columns whole vectors. */
XR_INLINE void transpose_words(uint32_t *restrict to, size_t ld_to, const uint32_t *restrict from, size_t ld_from, size_t rows, size_t cols)
{
    for (size_t c = 0; c < cols; c += VW)
        for (size_t r = 0; r < rows; r += VW) {
            vf m[VW];
            for (size_t i = 0; i < VW; i++)
                m[i] = (vf)vi_load(from + (r + i) * ld_from + c);
            transpose(m);
            for (size_t i = 0; i < VW; i++)
                memcpy(to + (c + i) * ld_to + r, &m[i], sizeof m[i]);
        }
}

#endif
