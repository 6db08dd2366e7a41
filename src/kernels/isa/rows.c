/* Row kernels: dropout masks, LayerNorm, softmax, bias and column sums. */
#include <math.h>
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/isa/table.h"

static void dropout(float *y, const float *x, const uint8_t *bits, float scale, size_t n, int acc)
{
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        vf v = vf_keep(vf_load(x + j) * scale, bits, j);
        vf_store(y + j, acc ? vf_load(y + j) + v : v);
    }
    if (j < n) {
        vf v = vf_keep(vf_load_n(x + j, n - j) * scale, bits, j);
        vf_store_n(y + j, acc ? vf_load_n(y + j, n - j) + v : v, n - j);
    }
}

/* s = dropout(x) + res for one vector. */
XR_INLINE vf dropped(vf x, vf res, const uint8_t *bits, float scale, size_t j)
{
    return (bits ? vf_keep(x * scale, bits, j) : x) + res;
}

/* Leaves s in xhat, then reads it twice more from cache: mean, sum of squared deviations, result. */
static void norm_forward(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                         const float *restrict res, const float *restrict gamma, const float *restrict beta, size_t n, float eps,
                         const uint8_t *bits, float scale)
{
    vf sum[2] = {{0}};
    size_t j = 0, whole = n - n % VW, rest = n % VW;
    for (int k = 0; j < whole; j += VW, k ^= 1) {
        vf s = dropped(vf_load(x + j), res ? vf_load(res + j) : vf_zero(), bits, scale, j);
        vf_store(xhat + j, s);
        sum[k] += s;
    }
    if (rest) {
        vf s = dropped(vf_load_n(x + j, rest), res ? vf_load_n(res + j, rest) : vf_zero(), bits, scale, j);
        vf_store_n(xhat + j, s, rest);
        sum[0] += s;
    }
    float mean = vf_hsum(sum[0] + sum[1]) / (float)n;
    vf var[2] = {{0}};
    j = 0;
    for (int k = 0; j < whole; j += VW, k ^= 1) {
        vf d = vf_load(xhat + j) - mean;
        var[k] = vf_fma(d, d, var[k]);
    }
    float total = vf_hsum(var[0] + var[1]);
    for (; j < n; j++)
        total += (xhat[j] - mean) * (xhat[j] - mean);
    float r = 1.0f / sqrtf(total / (float)n + eps);
    *rstd = r;
    for (j = 0; j < whole; j += VW) {
        vf h = (vf_load(xhat + j) - mean) * r;
        vf_store(xhat + j, h);
        vf_store(y + j, vf_fma(h, vf_load(gamma + j), vf_load(beta + j)));
    }
    if (rest) {
        vf h = (vf_load_n(xhat + j, rest) - mean) * r;
        vf_store_n(xhat + j, h, rest);
        vf_store_n(y + j, vf_fma(h, vf_load_n(gamma + j, rest), vf_load_n(beta + j, rest)), rest);
    }
}

/* g = dy gamma;  ds = rstd (g - mean(g) - xhat mean(g xhat)). */
static void norm_backward(float *restrict dx, int acc_x, float *restrict dres, int acc_res, const float *restrict dy,
                          const float *restrict xhat, float rstd, const float *restrict gamma, size_t n,
                          const uint8_t *bits, float scale)
{
    vf sum = {0}, dot = {0};
    size_t j = 0, whole = n - n % VW, rest = n % VW;
    for (; j < whole; j += VW) {
        vf g = vf_load(dy + j) * vf_load(gamma + j);
        sum += g;
        dot = vf_fma(g, vf_load(xhat + j), dot);
    }
    if (rest) {
        vf g = vf_load_n(dy + j, rest) * vf_load_n(gamma + j, rest);
        sum += g;
        dot = vf_fma(g, vf_load_n(xhat + j, rest), dot);
    }
    float mean = vf_hsum(sum) / (float)n, slope = vf_hsum(dot) / (float)n;
    for (j = 0; j < whole; j += VW) {
        vf g = vf_fma(vf_load(dy + j), vf_load(gamma + j), vf_fma(vf_load(xhat + j), vf_set(-slope), vf_set(-mean))) * rstd;
        if (dres)
            vf_store(dres + j, acc_res ? vf_load(dres + j) + g : g);
        if (dx) {
            vf h = bits ? vf_keep(g * scale, bits, j) : g;
            vf_store(dx + j, acc_x ? vf_load(dx + j) + h : h);
        }
    }
    if (rest) {
        vf g = vf_fma(vf_load_n(dy + j, rest), vf_load_n(gamma + j, rest),
                      vf_fma(vf_load_n(xhat + j, rest), vf_set(-slope), vf_set(-mean))) * rstd;
        if (dres)
            vf_store_n(dres + j, acc_res ? vf_load_n(dres + j, rest) + g : g, rest);
        if (dx) {
            vf h = bits ? vf_keep(g * scale, bits, j) : g;
            vf_store_n(dx + j, acc_x ? vf_load_n(dx + j, rest) + h : h, rest);
        }
    }
}

static void bias_add(float *restrict y, const float *restrict bias, size_t rows, size_t cols, size_t ld)
{
    for (size_t r = 0; r < rows; r++, y += ld) {
        size_t j = 0;
        for (; j + VW <= cols; j += VW)
            vf_store(y + j, vf_load(y + j) + vf_load(bias + j));
        for (; j < cols; j++)
            y[j] += bias[j];
    }
}

enum {
    SUM_ROWS = 64,      /* rows added up in registers before they join the total: the error grows with their number */
    SUM_VECTORS = 4     /* a pass reads whole cache lines, several of a row */
};

XR_INLINE void add_upto(float *p, vf x, size_t n) { vf_store_upto(p, vf_load_upto(p, n) + x, n); }

/* `vectors` vectors of columns, or one of n < VW columns. */
XR_INLINE void colsum_pass(float *sum, float *dot, const float *y, const float *z, size_t rows, size_t ld, const size_t vectors, size_t n)
{
    vf total[SUM_VECTORS] = {{0}}, total_dot[SUM_VECTORS] = {{0}};
    for (size_t start = 0; start < rows; start += SUM_ROWS) {
        size_t end = rows - start < SUM_ROWS ? rows : start + SUM_ROWS;
        vf s[SUM_VECTORS] = {{0}}, d[SUM_VECTORS] = {{0}};
        for (size_t r = start; r < end; r++)
#pragma GCC unroll 4
            for (size_t v = 0; v < vectors; v++) {
                vf a = vf_load_upto(y + r * ld + v * VW, n);
                s[v] += a;
                if (z)
                    d[v] = vf_fma(a, vf_load_upto(z + r * ld + v * VW, n), d[v]);
            }
#pragma GCC unroll 4
        for (size_t v = 0; v < vectors; v++) {
            total[v] += s[v];
            total_dot[v] += d[v];
        }
    }
    for (size_t v = 0; v < vectors; v++) {
        if (sum)
            add_upto(sum + v * VW, total[v], n);
        if (dot)
            add_upto(dot + v * VW, total_dot[v], n);
    }
}

XR_INLINE void colsum_columns(float *sum, float *dot, const float *y, const float *z, size_t rows, size_t cols, size_t ld)
{
    size_t j = 0;
    for (; j + SUM_VECTORS * VW <= cols; j += SUM_VECTORS * VW)
        colsum_pass(sum ? sum + j : NULL, dot ? dot + j : NULL, y + j, z ? z + j : NULL, rows, ld, SUM_VECTORS, VW);
    for (; j < cols; j += VW)
        colsum_pass(sum ? sum + j : NULL, dot ? dot + j : NULL, y + j, z ? z + j : NULL, rows, ld, 1, cols - j);
}

static void colsum(float *restrict sum, float *restrict dot, const float *restrict y, const float *restrict z, size_t rows,
                   size_t cols, size_t ld)
{
    if (dot)
        colsum_columns(sum, dot, y, z, rows, cols, ld);
    else
        colsum_columns(sum, NULL, y, NULL, rows, cols, ld);
}

enum { SOFTMAX_BLOCK = 1 << 12 };   /* elements summed in float before they join a double */

static float largest(const float *x, size_t n)
{
    size_t j = 0, whole = n - n % VW;
    vf max = vf_set(-INFINITY);
    for (; j < whole; j += VW)
        max = vf_max(vf_load(x + j), max);
    float top = vf_hmax(max);
    for (; j < n; j++)
        top = x[j] > top ? x[j] : top;
    return top;
}

static float softmax(float *p, const float *x, size_t n)
{
    float top = largest(x, n);
    size_t j = 0, whole = n - n % VW;
    double sum = 0.0;
    for (size_t start = 0; start < n; start += SOFTMAX_BLOCK) {
        size_t end = n - start < SOFTMAX_BLOCK ? n : start + SOFTMAX_BLOCK;
        vf s = {0};
        for (j = start; j + VW <= end; j += VW) {
            vf e = vf_exp(vf_load(x + j) - top);
            vf_store(p + j, e);
            s += e;
        }
        sum += (double)vf_hsum(s);
        if (j < end) {
            vf_store_n(p + j, vf_exp(vf_load_n(x + j, end - j) - top), end - j);
            for (; j < end; j++)
                sum += (double)p[j];
        }
    }
    float scale = (float)(1.0 / sum);
    for (j = 0; j < whole; j += VW)
        vf_store(p + j, vf_load(p + j) * scale);
    for (; j < n; j++)
        p[j] *= scale;
    return top + (float)log(sum);
}

static void expsum(float *restrict max, float *restrict sum, const float *restrict x, size_t rows, size_t ld)
{
    for (size_t c = 0; c < ld; c += VW) {
        vf before = vf_load(max + c), top = before, s = vf_zero();
        for (size_t r = 0; r < rows; r++)
            top = vf_max(vf_load(x + r * ld + c), top);
        for (size_t r = 0; r < rows; r++)
            s += vf_exp_or_zero(vf_load(x + r * ld + c) - top, vf_zero());
        vf_store(sum + c, vf_fma(vf_load(sum + c), vf_exp_or_zero(before - top, vf_zero()), s));
        vf_store(max + c, top);
    }
}

static void expscale(float *p, const float *x, const float *restrict max, const float *restrict scale, size_t rows, size_t ld)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0, at = r * ld; c < ld; c += VW)
            vf_store(p + at + c, vf_exp_or_zero(vf_load(x + at + c) - vf_load(max + c), vf_zero()) * vf_load(scale + c));
}

const xr_isa_rows XR_ISA_NAME(xr_isa_rows) = {
    philox_keep, dropout, norm_forward, norm_backward, bias_add, colsum, softmax, expsum, expscale,
};
