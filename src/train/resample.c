#include "train/resample.h"

#include <math.h>
#include <stdlib.h>

#include "util/rng.h"

static void add(double *sum, const double *part, size_t n_parts, double sign)
{
    for (size_t k = 0; k < n_parts; k++)
        sum[k] += sign * part[k];
}

double xr_units_figure(const xr_units *u)
{
    double sum[XR_MAX_PARTS] = { 0 };
    XR_ASSERT(u->n_parts <= XR_MAX_PARTS, "%zu parts", u->n_parts);
    for (size_t i = 0; i < u->n; i++)
        add(sum, u->part + i * u->n_parts, u->n_parts, 1.0);
    return u->figure(sum, u->n_parts, u->n);
}

/* ---- bootstrap ---- */

static double resample(const xr_units *u, xr_philox_key key, uint32_t round)
{
    double sum[XR_MAX_PARTS] = { 0 };
    uint32_t word[4] = { 0 };
    for (size_t i = 0; i < u->n; i++) {
        if (i % 4 == 0)
            xr_philox(word, key, round, (uint32_t)(i / 4), u->stream, 0);
        size_t drawn = (size_t)(((uint64_t)word[i % 4] * u->n) >> 32);
        add(sum, u->part + drawn * u->n_parts, u->n_parts, 1.0);
    }
    return u->figure(sum, u->n_parts, u->n);
}

void xr_bootstrap(const xr_units *u, uint64_t seed, size_t n, double *figure)
{
    xr_philox_key key = xr_rng_key(seed, XR_RNG_BOOTSTRAP);
    XR_ASSERT(u->n_parts <= XR_MAX_PARTS && u->n < UINT32_MAX, "%zu parts of %zu units", u->n_parts, u->n);
    for (size_t b = 0; b < n; b++)
        figure[b] = resample(u, key, (uint32_t)b);
}

/* ---- exchanges ---- */

/* A bit a unit, 128 of them in a block. */
static double exchange(const xr_units *a, const xr_units *b, xr_philox_key key, uint32_t round)
{
    double sum_a[XR_MAX_PARTS] = { 0 }, sum_b[XR_MAX_PARTS] = { 0 };
    size_t n_parts = a->n_parts;
    uint32_t word[4] = { 0 };
    for (size_t i = 0; i < a->n; i++) {
        if (i % 128 == 0)
            xr_philox(word, key, round, (uint32_t)(i / 128), a->stream, 0);
        int swap = (word[i % 128 / 32] >> (i % 32)) & 1;
        add(swap ? sum_b : sum_a, a->part + i * n_parts, n_parts, 1.0);
        add(swap ? sum_a : sum_b, b->part + i * n_parts, n_parts, 1.0);
    }
    return a->figure(sum_a, n_parts, a->n) - a->figure(sum_b, n_parts, a->n);
}

void xr_exchange(const xr_units *a, const xr_units *b, uint64_t seed, size_t n, double *difference)
{
    xr_philox_key key = xr_rng_key(seed, XR_RNG_EXCHANGE);
    XR_ASSERT(a->n == b->n && a->n_parts == b->n_parts && a->n_parts <= XR_MAX_PARTS, "units of two models differ");
    for (size_t r = 0; r < n; r++)
        difference[r] = exchange(a, b, key, (uint32_t)r);
}

double xr_exchange_p(double observed, const double *difference, size_t n)
{
    /* Sums in another order round otherwise; a tie must stay one. */
    double bound = fabs(observed) - 1e-12;
    size_t as_far = 0;
    for (size_t r = 0; r < n; r++)
        as_far += fabs(difference[r]) >= bound;
    return (double)(as_far + 1) / (double)(n + 1);
}

/* ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double xr_quantile(double *value, size_t n, double q)
{
    qsort(value, n, sizeof *value, by_value);
    double at = q * (double)(n - 1), below = floor(at);
    size_t i = (size_t)below;
    return i + 1 < n ? value[i] + (at - below) * (value[i + 1] - value[i]) : value[n - 1];
}

/* FNV-1a. */
uint32_t xr_stream_of(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 16777619u;
    return h;
}
