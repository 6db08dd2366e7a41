/* 16-bit floating point: IEEE 754 binary16 and bfloat16 to float, exactly; float to bfloat16, to nearest. */
#ifndef XR_UTIL_HALF_H
#define XR_UTIL_HALF_H

#include <stdint.h>
#include <string.h>

static inline float xr_float_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float xr_bf16_to_float(uint16_t b)
{
    return xr_float_of_bits((uint32_t)b << 16);
}

/* Ties go to the even one; a NaN stays one. */
static inline uint16_t xr_bf16_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

static inline float xr_half_to_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3FFu;
    if (exponent == 31)                                             /* infinity, NaN */
        return xr_float_of_bits(sign | 0x7F800000u | fraction << 13);
    if (exponent)
        return xr_float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;                        /* subnormal or zero: exact in float */
    return sign ? -tiny : tiny;
}

#endif
