/* Philox4x32-10 values by address: who asks (key) and for what (counter) decide the bits, nothing else does. */
#include "util/rng.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

#include "util/error.h"

/* Site words that no model site uses (sites count up from 0). */
enum { SITE_KEY = 0x7fffffff, SITE_PERMUTE = 0x7ffffffe };
enum { PERMUTE_ROUNDS = 12 };

void xr_philox(uint32_t out[4], xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t block)
{
    philox4x32_ctr_t counter = { { step, sample, site, block } };
    philox4x32_key_t k = { { key.k[0], key.k[1] } };
    philox4x32_ctr_t r = philox4x32_R(10, counter, k);
    for (int i = 0; i < 4; i++)
        out[i] = r.v[i];
}

/* A 64-bit seed fills the whole key, so the purpose is mixed in by one block keyed with the seed. */
xr_philox_key xr_rng_key(uint64_t seed, xr_purpose purpose)
{
    uint32_t r[4];
    xr_philox_key raw = { { (uint32_t)seed, (uint32_t)(seed >> 32) } };
    xr_philox(r, raw, (uint32_t)purpose, 0, SITE_KEY, 0);
    return (xr_philox_key){ { r[0], r[1] } };
}

static uint64_t join(uint32_t high, uint32_t low)
{
    return (uint64_t)high << 32 | low;
}

/* The high word of the 128-bit product x * n. */
static uint64_t multiply_high(uint64_t x, uint64_t n)
{
    uint64_t x0 = (uint32_t)x, x1 = x >> 32, n0 = (uint32_t)n, n1 = n >> 32;
    uint64_t middle = x1 * n0 + (x0 * n0 >> 32);
    uint64_t carry = (uint32_t)middle + x0 * n1;
    return x1 * n1 + (middle >> 32) + (carry >> 32);
}

uint64_t xr_rng_below(xr_philox_key key, uint32_t step, uint32_t sample, uint32_t site, uint32_t block, uint64_t n)
{
    uint32_t r[4];
    XR_ASSERT(n > 0, "n = %llu", (unsigned long long)n);
    xr_philox(r, key, step, sample, site, block);
    return multiply_high(join(r[0], r[1]), n);
}

/* One pass of the Feistel network over [0, 2^bits): each round changes one half by a function of the other, so it
 * can be undone. */
static uint64_t feistel(xr_philox_key key, uint32_t epoch, uint64_t x, unsigned bits)
{
    unsigned low_bits = (bits + 1) / 2, high_bits = bits - low_bits;
    uint32_t low_mask = (uint32_t)((UINT64_C(1) << low_bits) - 1);
    uint32_t high_mask = (uint32_t)((UINT64_C(1) << high_bits) - 1);
    uint32_t low = (uint32_t)x & low_mask, high = (uint32_t)(x >> low_bits) & high_mask;
    uint32_t r[4];
    for (uint32_t round = 0; round < PERMUTE_ROUNDS; round++) {
        xr_philox(r, key, epoch, round % 2 ? low : high, SITE_PERMUTE, round);
        if (round % 2)
            high ^= r[0] & high_mask;
        else
            low ^= r[0] & low_mask;
    }
    return (uint64_t)high << low_bits | low;
}

/* Cycle walking: a value outside [0, n) is sent through again. The network's domain is below 2n, so about two
 * passes. */
uint64_t xr_rng_permute(xr_philox_key key, uint32_t epoch, uint64_t i, uint64_t n)
{
    unsigned bits = 0;
    XR_ASSERT(i < n, "i = %llu, n = %llu", (unsigned long long)i, (unsigned long long)n);
    while (bits < 64 && (n - 1) >> bits)
        bits++;
    do
        i = feistel(key, epoch, i, bits);
    while (i >= n);
    return i;
}
