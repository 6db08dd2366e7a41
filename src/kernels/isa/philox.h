/* Dropout masks as bits: Philox4x32-10 (Salmon et al. 2011) on many blocks at once.
 *
 * State words stand in the low halves of 64-bit lanes, one block per lane, so that a widening multiply needs no shuffle; what gathers in
 * the high halves is never looked at. Same words as xr_philox (util/rng.h). */
#ifndef XR_KERNELS_ISA_PHILOX_H
#define XR_KERNELS_ISA_PHILOX_H

#include "kernels/dropout.h"
#include "kernels/isa/simd.h"

/* One block at a time: the definition. */
XR_INLINE void philox_keep_scalar(uint8_t *bits, const xr_dropout *d, uint32_t sample, uint32_t first, size_t blocks)
{
    for (size_t b = 0; b < blocks; b++) {
        uint32_t w[4];
        xr_philox(w, d->key, d->step, sample, d->site, first + (uint32_t)b);
        unsigned keep = 0;
        for (unsigned j = 0; j < 8; j++)
            keep |= (unsigned)((w[j / 2] >> (16 * (j & 1)) & 0xffffu) >= d->threshold) << j;
        bits[b] = (uint8_t)keep;
    }
}

enum { PHILOX_BLOCKS = 16, PHILOX_WORDS = 4 * PHILOX_BLOCKS };

#if VW == 4
#define philox_keep philox_keep_scalar

/* The words of blocks [first, first + 16): all first words, then all second ones, … */
XR_INLINE void philox_words(uint32_t *w, xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t first)
{
    for (uint32_t b = 0; b < PHILOX_BLOCKS; b++) {
        uint32_t out[4];
        xr_philox(out, key, step, sample, site, first + b);
        for (uint32_t k = 0; k < 4; k++)
            w[k * PHILOX_BLOCKS + b] = out[k];
    }
}
#else

typedef uint64_t vl __attribute__((vector_size(VW * 4)));

enum { PHILOX_LANES = VW / 2 };

XR_INLINE vl vl_set(uint64_t x) { return (vl){0} + x; }      /* folds, unlike the sum of floats with a signed zero */

#if VW == 16
XR_INLINE vl vl_mul(vl a, vl b) { return (vl)_mm512_mul_epu32((__m512i)a, (__m512i)b); }

/* Interleaving the two halves of each block puts even lanes before odd ones: hence the order of the counters. */
static const vl philox_order = {0, 4, 1, 5, 2, 6, 3, 7};
#define PHILOX_LANE {0, 1, 2, 3, 4, 5, 6, 7}

XR_INLINE uint64_t keep_bits(vl first, vl second, uint32_t threshold)
{
    __m512i t = _mm512_set1_epi16((short)threshold);
    __m512i low = _mm512_unpacklo_epi64((__m512i)first, (__m512i)second), high = _mm512_unpackhi_epi64((__m512i)first, (__m512i)second);
    return _mm512_cmpge_epu16_mask(low, t) | (uint64_t)_mm512_cmpge_epu16_mask(high, t) << 32;
}
#else
XR_INLINE vl vl_mul(vl a, vl b) { return (vl)_mm256_mul_epu32((__m256i)a, (__m256i)b); }

static const vl philox_order = {0, 1, 2, 3};
#define PHILOX_LANE {0, 1, 2, 3}

XR_INLINE uint64_t keep_bits(vl first, vl second, uint32_t threshold)
{
    __m256i t = _mm256_set1_epi16((short)threshold);
    __m256i low = _mm256_unpacklo_epi64((__m256i)first, (__m256i)second), high = _mm256_unpackhi_epi64((__m256i)first, (__m256i)second);
    low = _mm256_cmpeq_epi16(_mm256_max_epu16(low, t), low);
    high = _mm256_cmpeq_epi16(_mm256_max_epu16(high, t), high);
    return (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(low, high));
}
#endif

typedef struct philox_state { vl x[4]; } philox_state;

XR_INLINE void philox_round(philox_state *s, vl k0, vl k1)
{
    vl p0 = vl_mul(s->x[0], vl_set(0xD2511F53u)), p1 = vl_mul(s->x[2], vl_set(0xCD9E8D57u));
    s->x[0] = (p1 >> 32) ^ s->x[1] ^ k0;
    s->x[1] = p1;
    s->x[2] = (p0 >> 32) ^ s->x[3] ^ k1;
    s->x[3] = p0;
}

typedef uint32_t vl_words __attribute__((vector_size(VW * 2)));

/* The words of blocks [first, first + 16): all first words, then all second ones, … */
XR_INLINE void philox_words(uint32_t *w, xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t first)
{
    enum { GROUPS = PHILOX_BLOCKS / PHILOX_LANES };
    philox_state s[GROUPS];
    for (uint32_t g = 0; g < GROUPS; g++)
        s[g] = (philox_state){{vl_set(step), vl_set(sample), vl_set(site), (vl)PHILOX_LANE + (uint64_t)(first + g * PHILOX_LANES)}};
    for (unsigned round = 0; round < 10; round++)
        for (unsigned g = 0; g < GROUPS; g++)
            philox_round(&s[g], vl_set(key.k[0] + round * 0x9E3779B9u), vl_set(key.k[1] + round * 0xBB67AE85u));
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned k = 0; k < 4; k++) {
            vl_words out = __builtin_convertvector(s[g].x[k], vl_words);
            memcpy(w + k * PHILOX_BLOCKS + g * PHILOX_LANES, &out, sizeof out);
        }
}

/* Two independent groups of blocks at a time, so that the multiplier does not stand idle. */
static __attribute__((unused)) void philox_keep(uint8_t *bits, const xr_dropout *d, uint32_t sample, uint32_t first, size_t blocks)
{
    for (size_t b = 0; b < blocks; b += 2 * PHILOX_LANES) {
        philox_state s[2];
        for (unsigned g = 0; g < 2; g++) {
            s[g].x[0] = vl_set(d->step);
            s[g].x[1] = vl_set(sample);
            s[g].x[2] = vl_set(d->site);
            s[g].x[3] = philox_order + (uint64_t)(first + (uint32_t)b + g * PHILOX_LANES);
        }
        uint32_t k0 = d->key.k[0], k1 = d->key.k[1];
        for (unsigned round = 0; round < 10; round++) {
            philox_round(&s[0], vl_set(k0), vl_set(k1));
            philox_round(&s[1], vl_set(k0), vl_set(k1));
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        uint64_t out[2];
        for (unsigned g = 0; g < 2; g++)
            out[g] = keep_bits((s[g].x[0] & 0xffffffffu) | s[g].x[1] << 32, (s[g].x[2] & 0xffffffffu) | s[g].x[3] << 32, d->threshold);
        size_t left = blocks - b;
        if (VW == 16) {
            memcpy(bits + b, out, left > PHILOX_LANES ? 16 : 8);
        } else {
            out[0] |= out[1] << 32;
            memcpy(bits + b, out, 8);
        }
    }
}
#endif

#endif
