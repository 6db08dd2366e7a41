/* Elementwise kernels and sums over contiguous spans. */
#include "kernels/isa/math.h"
#include "kernels/isa/philox.h"
#include "kernels/isa/table.h"

/* `full` for each whole vector, `rest` for what is left. */
#define EACH_VECTOR(j, n, full, rest)               \
    do {                                            \
        size_t j = 0;                               \
        for (; j + VW <= (n); j += VW) { full; }    \
        if (j < (n)) { rest; }                      \
    } while (0)

XR_INLINE vf gelu(vf u)
{
    vf tail = vf_normal_of(u).tail;
    return vf_if_less(u, vf_zero(), u * tail, vf_fma(-u, tail, u));
}

static void gelu_forward(float *restrict y, const float *restrict x, const float *restrict bias, size_t n)
{
    if (bias)
        EACH_VECTOR(j, n, vf_store(y + j, gelu(vf_load(x + j) + vf_load(bias + j))),
                    vf_store_n(y + j, gelu(vf_load_n(x + j, n - j) + vf_load_n(bias + j, n - j)), n - j));
    else
        EACH_VECTOR(j, n, vf_store(y + j, gelu(vf_load(x + j))), vf_store_n(y + j, gelu(vf_load_n(x + j, n - j)), n - j));
}

XR_INLINE vf gelu_slope(vf u)
{
    vf_normal d = vf_normal_of(u);
    return vf_fma(u, d.density, vf_if_less(u, vf_zero(), d.tail, 1.0f - d.tail));
}

XR_INLINE vf gelu_slope_at(const float *x, const float *bias, size_t j)
{
    return gelu_slope(bias ? vf_load(x + j) + vf_load(bias + j) : vf_load(x + j));
}

static void gelu_backward(float *dx, int acc, const float *dy, const float *x, const float *bias, size_t n)
{
    size_t j = 0;
    if (acc)
        for (; j + VW <= n; j += VW)
            vf_store(dx + j, vf_fma(vf_load(dy + j), gelu_slope_at(x, bias, j), vf_load(dx + j)));
    else
        for (; j + VW <= n; j += VW)
            vf_store(dx + j, vf_load(dy + j) * gelu_slope_at(x, bias, j));
    if (j < n) {
        vf u = vf_load_n(x + j, n - j);
        u = bias ? u + vf_load_n(bias + j, n - j) : u;
        vf old = acc ? vf_load_n(dx + j, n - j) : vf_zero();
        vf_store_n(dx + j, vf_fma(vf_load_n(dy + j, n - j), gelu_slope(u), old), n - j);
    }
}

static void tanh_forward(float *restrict y, const float *restrict x, size_t n)
{
    EACH_VECTOR(j, n, vf_store(y + j, vf_tanh(vf_load(x + j))), vf_store_n(y + j, vf_tanh(vf_load_n(x + j, n - j)), n - j));
}

static void tanh_backward(float *restrict dx, int acc, const float *restrict dy, const float *restrict y, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        float d = dy[j] * (1.0f - y[j] * y[j]);
        dx[j] = acc ? dx[j] + d : d;
    }
}

static void add(float *restrict y, const float *restrict x, size_t n)
{
    EACH_VECTOR(j, n, vf_store(y + j, vf_load(y + j) + vf_load(x + j)),
                vf_store_n(y + j, vf_load_n(y + j, n - j) + vf_load_n(x + j, n - j), n - j));
}

/* Four sums in doubles, so that the additions do not wait for each other. */
static double sumsq(const float *x, size_t n)
{
    vd s[4] = {{0}};
    size_t j = 0;
    for (; j + 2 * VW <= n; j += 2 * VW)
        for (size_t k = 0; k < 4; k++) {
            vd a = vd_load(x + j + k * (VW / 2));
            s[k] += a * a;
        }
    double sum = vd_hsum((s[0] + s[1]) + (s[2] + s[3]));
    for (; j < n; j++)
        sum += (double)x[j] * (double)x[j];
    return sum;
}

static double sum_of(const float *x, size_t n)
{
    vd s[4] = {{0}};
    size_t j = 0;
    for (; j + 2 * VW <= n; j += 2 * VW)
        for (size_t k = 0; k < 4; k++)
            s[k] += vd_load(x + j + k * (VW / 2));
    double sum = vd_hsum((s[0] + s[1]) + (s[2] + s[3]));
    for (; j < n; j++)
        sum += (double)x[j];
    return sum;
}

/* An exponent of all ones is NaN or infinity. */
static int finite(const float *x, size_t n)
{
    vi bad = {0};
    size_t j = 0;
    for (; j + VW <= n; j += VW)
        bad |= ((vi)vf_load(x + j) & 0x7f800000) == 0x7f800000;
    if (j < n)
        bad |= ((vi)vf_load_n(x + j, n - j) & 0x7f800000) == 0x7f800000;
    int32_t any = 0;
    for (int i = 0; i < VW; i++)
        any |= bad[i];
    return any == 0;
}

typedef struct moments { vf p, m, v; } moments;

XR_INLINE moments adamw_one(moments a, vf g, const xr_adamw_scalars *s)
{
    g = g * s->clip;
    a.m = vf_fma(vf_set(s->beta1), a.m, s->rest1 * g);
    a.v = vf_fma(vf_set(s->beta2), a.v, s->rest2 * g * g);
    a.p = vf_fma(a.p, vf_set(s->decay), -s->step_size * (a.m / (vf_sqrt(a.v) / s->bias2_sqrt + s->eps)));
    return a;
}

static void adamw(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n, const xr_adamw_scalars *s)
{
    const xr_adamw_scalars c = *s;
    size_t j = 0;
    for (; j + VW <= n; j += VW) {
        moments a = {vf_load(p + j), vf_load(m + j), vf_load(v + j)};
        a = adamw_one(a, g ? vf_load(g + j) : vf_zero(), &c);
        vf_store(p + j, a.p);
        vf_store(m + j, a.m);
        vf_store(v + j, a.v);
    }
    if (j < n) {
        moments a = {vf_load_n(p + j, n - j), vf_load_n(m + j, n - j), vf_load_n(v + j, n - j)};
        a = adamw_one(a, g ? vf_load_n(g + j, n - j) : vf_zero(), &c);
        vf_store_n(p + j, a.p, n - j);
        vf_store_n(m + j, a.m, n - j);
        vf_store_n(v + j, a.v, n - j);
    }
}

typedef uint16_t vs __attribute__((vector_size(VW * 2)));                   /* as many halves */
typedef uint16_t vs_mem __attribute__((vector_size(VW * 2), aligned(2), may_alias));
typedef uint32_t vu_mem __attribute__((vector_size(VW * 4), aligned(4), may_alias));

XR_INLINE vf load_bf16(const uint16_t *x) { return (vf)(__builtin_convertvector(*(const vs_mem *)x, vu) << 16); }

/* Up when the part cut off and r, from 0 to 65535, together make a whole. */
XR_INLINE void store_bf16(uint16_t *y, vf x, vu r) { *(vs_mem *)y = __builtin_convertvector(((vu)x + r) >> 16, vs); }

enum { ROUNDED = PHILOX_WORDS };    /* elements that are rounded together, one word each */

XR_INLINE void adamw_rounded(float *p, uint16_t *m, uint16_t *v, const float *g, const uint32_t *w, const xr_adamw_scalars *s)
{
    for (size_t j = 0; j < ROUNDED; j += VW) {
        moments a = {vf_load(p + j), load_bf16(m + j), load_bf16(v + j)};
        vu r = *(const vu_mem *)(w + j);
        a = adamw_one(a, g ? vf_load(g + j) : vf_zero(), s);
        vf_store(p + j, a.p);
        store_bf16(m + j, a.m, r & 0xffffu);
        store_bf16(v + j, a.v, r >> 16);
    }
}

/* Elements [in, in + n) of those that are rounded together. */
static void adamw_part(float *p, uint16_t *m, uint16_t *v, const float *g, size_t in, size_t n, const uint32_t *w, const xr_adamw_scalars *s)
{
    float tp[ROUNDED] = {0}, tg[ROUNDED] = {0};
    uint16_t tm[ROUNDED] = {0}, tv[ROUNDED] = {0};
    memcpy(tp + in, p, n * sizeof *p);
    memcpy(tm + in, m, n * sizeof *m);
    memcpy(tv + in, v, n * sizeof *v);
    if (g)
        memcpy(tg + in, g, n * sizeof *g);
    adamw_rounded(tp, tm, tv, tg, w, s);
    memcpy(p, tp + in, n * sizeof *p);
    memcpy(m, tm + in, n * sizeof *m);
    memcpy(v, tv + in, n * sizeof *v);
}

static void adamw_bf16(float *restrict p, uint16_t *restrict m, uint16_t *restrict v, const float *restrict g, size_t at, size_t n,
                       const xr_adamw_scalars *s)
{
    const xr_adamw_scalars c = *s;
    uint32_t w[ROUNDED];
    for (size_t j = 0, k; j < n; j += k) {
        size_t in = (at + j) % ROUNDED;
        k = ROUNDED - in < n - j ? ROUNDED - in : n - j;
        philox_words(w, c.key, c.step, c.parameter, 0, (uint32_t)((at + j) / ROUNDED * PHILOX_BLOCKS));
        if (k == ROUNDED)
            adamw_rounded(p + j, m + j, v + j, g ? g + j : NULL, w, &c);
        else
            adamw_part(p + j, m + j, v + j, g ? g + j : NULL, in, k, w, &c);
    }
}

const xr_isa_vec XR_ISA_NAME(xr_isa_vec) = {
    gelu_forward, gelu_backward, tanh_forward, tanh_backward, add, sumsq, sum_of, finite, adamw, adamw_bf16,
};
