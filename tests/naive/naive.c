#include "naive/naive.h"

#include <math.h>
#include <string.h>

#include "util/alloc.h"

double naive_dot(const float *a, size_t step_a, const float *b, size_t step_b, size_t n)
{
    double s = 0.0;
    for (size_t i = 0; i < n; i++)
        s += (double)a[i * step_a] * (double)b[i * step_b];
    return s;
}

double naive_gelu(double u) { return 0.5 * u * erfc(-u / sqrt(2.0)); }

double naive_gelu_slope(double u) { return 0.5 * erfc(-u / sqrt(2.0)) + u * exp(-0.5 * u * u) / sqrt(2.0 * acos(-1.0)); }

void naive_mask(double *m, const xr_dropout *d, uint32_t sample, uint32_t i, size_t cols)
{
    uint32_t blocks = (uint32_t)((cols + 7) / 8);
    for (size_t j = 0; j < cols; j++) {
        uint32_t w[4];
        xr_philox(w, d->key, d->step, sample, d->site, i * blocks + (uint32_t)(j / 8));
        uint32_t lane = w[j % 8 / 2] >> (j % 2 ? 16 : 0) & 0xffff;
        m[j] = lane < d->threshold ? 0.0 : 65536.0 / (65536.0 - d->threshold);
    }
}

void naive_norm(double *y, double *xhat, double *rstd, const float *x, const float *res, const double *mask, const float *gamma,
                const float *beta, size_t n, double eps)
{
    double mean = 0.0, var = 0.0;
    for (size_t j = 0; j < n; j++) {
        xhat[j] = (double)x[j] * (mask ? mask[j] : 1.0) + (res ? (double)res[j] : 0.0);
        mean += xhat[j] / (double)n;
    }
    for (size_t j = 0; j < n; j++)
        var += (xhat[j] - mean) * (xhat[j] - mean) / (double)n;
    *rstd = 1.0 / sqrt(var + eps);
    for (size_t j = 0; j < n; j++) {
        xhat[j] = (xhat[j] - mean) * *rstd;
        y[j] = xhat[j] * (double)gamma[j] + (double)beta[j];
    }
}

void naive_norm_backward(double *ds, const float *dy, const double *xhat, double rstd, const float *gamma, size_t n)
{
    double mean = 0.0, slope = 0.0;
    for (size_t j = 0; j < n; j++) {
        mean += (double)dy[j] * (double)gamma[j] / (double)n;
        slope += (double)dy[j] * (double)gamma[j] * xhat[j] / (double)n;
    }
    for (size_t j = 0; j < n; j++)
        ds[j] = rstd * ((double)dy[j] * (double)gamma[j] - mean - xhat[j] * slope);
}

/* Query row r against the t keys from row `first`; p and m are [t]. */
static void one_query(double *o, double *lse, double *dq, double *dk, double *dv, const float *dout, const float *q, const float *k,
                      const float *v, size_t dim, size_t ld, size_t t, double *p, const double *m)
{
    double scale = 1.0 / sqrt((double)dim), sum = 0.0, delta = 0.0;
    for (size_t j = 0; j < t; j++)
        sum += p[j] = exp(scale * naive_dot(q, 1, k + j * ld, 1, dim));
    *lse = log(sum);
    for (size_t j = 0; j < t; j++) {
        p[j] /= sum;
        for (size_t c = 0; c < dim; c++)
            o[c] += p[j] * m[j] * (double)v[j * ld + c];
        delta += p[j] * m[j] * naive_dot(dout, 1, v + j * ld, 1, dim);
    }
    for (size_t j = 0; j < t; j++) {
        double ds = p[j] * (m[j] * naive_dot(dout, 1, v + j * ld, 1, dim) - delta) * scale;
        for (size_t c = 0; c < dim; c++) {
            dq[c] += ds * (double)k[j * ld + c];
            dk[j * ld + c] += ds * (double)q[c];
            dv[j * ld + c] += p[j] * m[j] * (double)dout[c];
        }
    }
}

void naive_attention(double *o, double *lse, double *dq, double *dk, double *dv, const float *dout, const float *q, const float *k,
                     const float *v, const xr_attn_shape *a)
{
    size_t dim = a->head_dim, ld = a->heads * dim;
    memset(o, 0, a->q->n * ld * sizeof *o);
    memset(dq, 0, a->q->n * ld * sizeof *o);
    memset(dk, 0, a->kv->n * ld * sizeof *o);
    memset(dv, 0, a->kv->n * ld * sizeof *o);
    double *p = xr_alloc(2 * a->kv->n + 1, sizeof *p), *m = p + a->kv->n;
    for (size_t r = 0; p && r < a->q->n; r++)
        for (size_t h = 0; h < a->heads; h++) {
            size_t s = a->q->seq[r], first = a->kv->offset[s], t = a->kv->offset[s + 1] - first;
            size_t at_q = r * ld + h * dim, at_kv = first * ld + h * dim;
            naive_mask(m, &a->drop, a->kv->sample[s], (uint32_t)(h * t + a->q->index[r]), t);
            one_query(o + at_q, lse + r * a->heads + h, dq + at_q, dk + at_kv, dv + at_kv, dout + at_q, q + at_q, k + at_kv, v + at_kv,
                      dim, ld, t, p, m);
        }
    xr_free(p);
}

static void naive_logits(double *z, const xr_lm_head *a, size_t r)
{
    for (size_t c = 0; c < a->v; c++)
        z[c] = naive_dot(a->h + r * a->d, 1, a->w + c * a->d, 1, a->d) + (double)a->b[c];
}

static double naive_lse(const double *z, size_t n)
{
    double top = z[0], sum = 0.0;
    for (size_t c = 1; c < n; c++)
        top = fmax(top, z[c]);
    for (size_t c = 0; c < n; c++)
        sum += exp(z[c] - top);
    return top + log(sum);
}

double naive_lm_head(double *dh, double *dw, double *db, double scale, const xr_lm_head *a)
{
    double loss = 0.0, *z = xr_alloc(a->v, sizeof *z);
    for (size_t r = 0; z && r < a->m; r++) {
        naive_logits(z, a, r);
        double lse = naive_lse(z, a->v);
        loss += lse - z[a->target[r]];
        for (size_t c = 0; c < a->v; c++) {
            double g = scale * (exp(z[c] - lse) - (c == (size_t)a->target[r] ? 1.0 : 0.0));
            db[c] += g;
            for (size_t k = 0; k < a->d; k++) {
                dh[r * a->d + k] += g * (double)a->w[c * a->d + k];
                dw[c * a->d + k] += g * (double)a->h[r * a->d + k];
            }
        }
    }
    xr_free(z);
    return loss;
}
