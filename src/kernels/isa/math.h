/* exp, tanh and the normal distribution function on vectors, coefficients fitted for this file (minimax by Lawson's weights).
 *
 * Largest errors against libm in double, every 1021st float from denormals to infinity (tests/test_kernels.c prints and bounds them):
 * exp 0.97 ulp (the test sees 1.9 in softmax), tanh 1.28 ulp, GELU 6.2 ulp (0.5 x (1 + erf) in floats loses all digits below -5), GELU's
 * slope 2.3e-7 absolute. */
#ifndef XR_KERNELS_ISA_MATH_H
#define XR_KERNELS_ISA_MATH_H

#include "kernels/isa/simd.h"

#define XR_LN2_HI 0.693145752f      /* 15 bits: n * XR_LN2_HI is exact */
#define XR_LN2_LO 1.42860677e-6f
#define XR_LOG2E 1.44269504f
#define XR_ROUND 12582912.0f        /* 1.5 * 2^23: adding it rounds to an integer that stands in the low bits */

/* exp(x + low), low small, is 2^n times 1 more than this, n = round((x + low) / ln 2), which stands in the low bits of *t. */
XR_INLINE vf vf_exp_rest(vf x, vf low, vf *t)
{
    *t = vf_fmas(x + low, vf_set(XR_LOG2E), XR_ROUND);
    vf k = *t - XR_ROUND;
    vf r = vf_fma(k, vf_set(-XR_LN2_LO), vf_fma(k, vf_set(-XR_LN2_HI), x)) + low;
    vf p = vf_fmas(r, vf_set(1.38142219e-3f), 8.36889867e-3f);
    p = vf_fmas(p, r, 4.16684057e-2f);
    p = vf_fmas(p, r, 1.66665191e-1f);
    p = vf_fmas(p, r, 4.99999933e-1f);
    return vf_fma(p, r * r, r);
}

/* exp(x), denormals come out right. */
XR_INLINE vf vf_exp(vf x)
{
    x = vf_max(vf_set(-104.5f), vf_min(vf_set(89.0f), x));      /* a NaN passes both */
    vf t, p = vf_exp_rest(x, vf_zero(), &t) + 1.0f;
    return vf_scale(p, t - XR_ROUND, (vi)t - 0x4b400000);
}

/* exp(x + low), low small, for x up to 88; zero below -87, where it is under 2e-38: with half of what vf_exp spends around the polynomial. Of a NaN, `power`
 * is anything. */
XR_INLINE vf vf_exp_or_zero(vf x, vf low)
{
    vf t, p = vf_exp_rest(x, low, &t), power = (vf)(((vu)t << 23) + 0x3f800000u);
    return vf_if_less(x, vf_set(-87.0f), vf_zero(), vf_fma(p, power, power));
}

/* tanh x: odd polynomial below 0.625, 1 - 2 / (exp(2|x|) + 1) above. */
XR_INLINE vf vf_tanh(vf x)
{
    vf a = vf_abs(x), z = x * x;
    vf p = vf_fmas(z, vf_set(-5.70949713e-3f), 2.06441359e-2f);
    p = vf_fmas(p, z, -5.37416227e-2f);
    p = vf_fmas(p, z, 1.33314702e-1f);
    p = vf_fmas(p, z, -3.33332832e-1f);
    vf small = vf_fma(x * z, p, x);
    vf big = vf_sign_of(1.0f - 2.0f / (vf_exp(a + a) + 1.0f), x);
    return vf_if_less(a, vf_set(0.625f), small, big);
}

/* Standard normal: tail = Phi(-|u|), density = exp(-u^2 / 2) / sqrt(2 pi).
 * Mills' ratio in t = 1 / (1 + 0.3 |u|) times the density; u^2 is split so that the exponent's rounding does not grow with u. */
typedef struct vf_normal { vf tail, density; } vf_normal;

XR_INLINE vf_normal vf_normal_of(vf u)
{
    vf a = vf_abs(u);
    a = vf_min(vf_set(16.0f), a);                       /* both are 0 there; keeps infinity out of the products */
    vf hi = (vf)((vi)a & (int32_t)0xfffff000);          /* hi * hi is exact */
    vf e = vf_exp_or_zero(hi * hi * -0.5f, (hi - a) * (hi + a) * 0.5f);
    vf t = 1.0f / vf_fmas(a, vf_set(0.3f), 1.0f);
    vf p = vf_fmas(t, vf_set(-2.06299801e-2f), 1.12472209e-1f);
    p = vf_fmas(p, t, -2.28302890e-1f);
    p = vf_fmas(p, t, 1.91908420e-1f);
    p = vf_fmas(p, t, -7.95309789e-2f);
    p = vf_fmas(p, t, 9.62171795e-2f);
    p = vf_fmas(p, t, 7.83677767e-2f);
    p = vf_fmas(p, t, 1.10240349e-1f);
    p = vf_fmas(p, t, 1.19571191e-1f);
    p = vf_fmas(p, t, 1.19686724e-1f);
    return (vf_normal){p * t * e, e * 0.398942280f};
}

#endif
