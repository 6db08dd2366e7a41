#include "data/mixture.h"

#include <math.h>
#include <string.h>

#include "data/apportion.h"
#include "util/alloc.h"

enum { SITE_PART = 2 };         /* apart from the loader's stream under the same key */

static long double drawn_weight(const xr_mixture_part *p)
{
    return (long double)p->weight * (long double)p->n;
}

/* Sum over the parts of one language. */
static long double language_weight(const xr_mixture *m, size_t language)
{
    long double sum = 0.0L;
    for (size_t i = 0; i < m->n; i++)
        sum += m->part[i].language == language ? drawn_weight(&m->part[i]) : 0.0L;
    return sum;
}

static xr_status make_sizes(xr_mixture *m, double alpha)
{
    long double *share = xr_alloc(m->n, sizeof *share), all = 0.0L;
    uint64_t *size = share ? xr_alloc(m->n, sizeof *size) : NULL;
    for (size_t i = 0; size && i < m->n; i++)
        all += drawn_weight(&m->part[i]);
    for (size_t i = 0; size && i < m->n; i++) {
        long double w = drawn_weight(&m->part[i]), of = w > 0.0L ? language_weight(m, m->part[i].language) : 1.0L;
        share[i] = w > 0.0L ? (long double)pow((double)(of / all), alpha) * (w / of) : 0.0L;
    }
    if (size)
        xr_apportion(size, share, m->n, m->total);
    for (size_t i = 0; size && i < m->n; i++)
        m->part[i].size = size[i];
    xr_free(share);
    xr_free(size);
    return size ? XR_OK : xr_error_status();
}

xr_status xr_mixture_init(xr_mixture *m, const xr_mixture_part *part, size_t n, double alpha, uint64_t seed)
{
    *m = (xr_mixture){ .key = xr_rng_key(seed, XR_RNG_SHUFFLE), .part = xr_alloc(n, sizeof *part), .n = n };
    if (!m->part)
        return xr_error_status();
    memcpy(m->part, part, n * sizeof *part);
    for (size_t i = 0; i < n; i++)
        m->total += part[i].n;
    XR_ASSERT(m->total > 0 && alpha >= 0.0, "a mixture of %llu examples, alpha = %g", (unsigned long long)m->total, alpha);
    XR_TRY(make_sizes(m, alpha));
    m->plain = 1;
    for (size_t i = 0; i < n; i++) {
        m->part[i].end = (i ? m->part[i - 1].end : 0) + m->part[i].size;
        m->plain &= m->part[i].size == part[i].n;
    }
    return XR_OK;
}

void xr_mixture_free(xr_mixture *m)
{
    xr_free(m->part);
    memset(m, 0, sizeof *m);
}

/* Draw k of a part, counted over all epochs: element k mod n of its permutation number k / n. */
uint64_t xr_mixture_at(const xr_mixture *m, uint32_t epoch, uint64_t place)
{
    uint64_t draw = xr_rng_permute(m->key, epoch, place, m->total);
    size_t i = 0;
    uint32_t r[4];
    while (m->part[i].end <= draw)
        i++;
    const xr_mixture_part *p = &m->part[i];
    uint64_t k = (uint64_t)epoch * p->size + (draw - (p->end - p->size));
    xr_philox(r, m->key, (uint32_t)i, 0, SITE_PART, 0);
    xr_philox_key key = { { r[0], r[1] } };
    return p->first + xr_rng_permute(key, (uint32_t)(k / p->n), k % p->n, p->n);
}

/* `size` draws in a row touch no more permutations than this, and each has the example once. */
uint64_t xr_mixture_repeats(const xr_mixture *m, size_t i)
{
    const xr_mixture_part *p = &m->part[i];
    return p->size ? (p->size + p->n - 2) / p->n + 1 : 0;
}
