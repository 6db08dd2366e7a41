/* Language sizes of an epoch, and the sample at any place of a run. */
#include "data/sampling.h"

#include <math.h>
#include <string.h>

#include "data/apportion.h"
#include "util/alloc.h"

/* Counter words that keep the streams apart (xr_rng_permute has its own sites). */
enum { SITE_DIGEST = 1, SITE_LANGUAGE = 2, SITE_DRAW = 3 };

/* Another seed and other data are both another order. */
static xr_philox_key data_key(uint64_t seed, const char *digest)
{
    xr_philox_key key = xr_rng_key(seed, XR_RNG_SAMPLE);
    size_t n = strlen(digest);
    for (size_t i = 0; i <= n; i += 4) {
        uint32_t word = 0, r[4];
        memcpy(&word, digest + i, n - i < 4 ? n - i : 4);
        xr_philox(r, key, word, (uint32_t)i, SITE_DIGEST, 0);
        key = (xr_philox_key){ { r[0], r[1] } };
    }
    return key;
}

static xr_philox_key language_key(const xr_sampling *s, size_t language)
{
    uint32_t r[4];
    xr_philox(r, s->key, (uint32_t)language, 0, SITE_LANGUAGE, 0);
    return (xr_philox_key){ { r[0], r[1] } };
}

/* p^alpha; a language without blocks is never drawn, whatever alpha. */
static long double weight(const xr_sampling *s, size_t i, double alpha)
{
    return s->count[i] ? (long double)pow((double)s->count[i] / (double)s->total, alpha) : 0.0L;
}

static xr_status make_sizes(xr_sampling *s, double alpha)
{
    long double *w = xr_alloc(s->n_languages, sizeof *w);
    if (!w)
        return xr_error_status();
    for (size_t i = 0; i < s->n_languages; i++)
        w[i] = weight(s, i, alpha);
    xr_apportion(s->size, w, s->n_languages, s->total);
    xr_free(w);
    return XR_OK;
}

xr_status xr_sampling_init(xr_sampling *s, const uint64_t *count, size_t n_languages, double alpha, uint64_t seed, const char *data_digest)
{
    XR_ASSERT(alpha >= 0.0, "alpha = %g", alpha);
    *s = (xr_sampling){ .key = data_key(seed, data_digest), .n_languages = n_languages, .count = count };
    for (size_t i = 0; i < n_languages; i++)
        if (count[i] > INT64_MAX || __builtin_add_overflow(s->total, count[i], &s->total) || s->total > INT64_MAX)
            return xr_fail(XR_EDATA, "more than 2^63 blocks of training data; expected fewer");
    if (!s->total)
        return xr_fail(XR_EDATA, "the training data hold no block; expected at least one sentence");
    s->size = xr_alloc(2 * n_languages, sizeof *s->size);
    if (!s->size)
        return xr_error_status();
    s->end = s->size + n_languages;
    if (make_sizes(s, alpha) < 0) {
        xr_sampling_free(s);
        return xr_error_status();
    }
    for (size_t i = 0; i < n_languages; i++)
        s->end[i] = (i ? s->end[i - 1] : 0) + s->size[i];
    return XR_OK;
}

void xr_sampling_free(xr_sampling *s)
{
    xr_free(s->size);
    memset(s, 0, sizeof *s);
}

/* The first language whose end is beyond r. */
static size_t language_of(const xr_sampling *s, uint64_t r)
{
    size_t low = 0, high = s->n_languages - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->end[middle] > r)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The order of an epoch is a permutation of all languages' draws; draw j of a language is a block: any block where the language is drawn with
 * replacement, else element j of a permutation of its blocks. A single language is not resampled at all: each block once an epoch. */
xr_sample xr_sampling_at(const xr_sampling *s, uint64_t g)
{
    uint32_t epoch = (uint32_t)(g / s->total);
    uint64_t r = xr_rng_permute(s->key, epoch, g % s->total, s->total);
    size_t language = language_of(s, r);
    uint64_t n = s->count[language], j = r - (s->end[language] - s->size[language]);
    xr_philox_key key = language_key(s, language);
    int once = s->n_languages == 1 || s->size[language] < n;
    uint64_t block = once ? xr_rng_permute(key, epoch, j, n) : xr_rng_below(key, epoch, (uint32_t)j, SITE_DRAW, (uint32_t)(j >> 32), n);
    return (xr_sample){ epoch, (uint32_t)language, block };
}

xr_sampling_row xr_sampling_describe(const xr_sampling *s, size_t language, uint64_t samples)
{
    double n = (double)s->count[language], share = (double)s->size[language] / (double)s->total;
    return (xr_sampling_row){ .blocks = s->count[language], .data_share = n / (double)s->total, .batch_share = share,
                              .epochs = n > 0.0 ? (double)samples * share / n : 0.0 };
}
