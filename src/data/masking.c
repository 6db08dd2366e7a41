/* Masked positions by address: what happens to a token follows from seed, epoch, sample and its place, nothing else. */
#include "data/masking.h"

#include <math.h>
#include <string.h>

#include "util/alloc.h"
#include "util/rng.h"

/* What a number is drawn for: the low bits of the counter's site word, the sample's high bits above them. */
enum { COUNT, PICK, COIN, DECISION, RANDOM, ONE, KIND_BITS = 3 };
enum { N_SPECIALS = 4 };
#define WORD_BEGIN "\xe2\x96\x81"

typedef struct draw { xr_philox_key key; uint32_t epoch, low, high; } draw;

static uint32_t site(const draw *d, uint32_t kind)
{
    return d->high << KIND_BITS | kind;
}

static uint64_t below(const draw *d, uint32_t kind, size_t i, uint64_t n)
{
    return xr_rng_below(d->key, d->epoch, d->low, site(d, kind), (uint32_t)i, n);
}

/* Uniform in [0, 1), in steps of 2^-53. */
static double uniform(const draw *d, uint32_t kind, size_t i)
{
    return (double)below(d, kind, i, UINT64_C(1) << 53) * 0x1p-53;
}

int xr_mask_policy_find(const char *name)
{
    return strcmp(name, "fairseq") == 0 ? XR_MASK_FAIRSEQ : strcmp(name, "hf") == 0 ? XR_MASK_HF : -1;
}

static int is_special(int32_t id)
{
    return id < N_SPECIALS;
}

uint8_t *xr_mask_word_starts(const xr_tokenizer *t)
{
    int32_t n = xr_tokenizer_vocab_size(t);
    uint8_t *start = xr_alloc((size_t)n, 1);
    for (int32_t i = 0; start && i < n; i++) {
        const char *piece = xr_tokenizer_piece(t, i);
        start[i] = is_special(i) || i == xr_tokenizer_mask_id(t) || strncmp(piece, WORD_BEGIN, strlen(WORD_BEGIN)) == 0;
    }
    return start;
}

/* Does the token begin what is chosen or left as a whole? transformers begins a word also behind a special. */
static int begins(const xr_masking *m, int32_t before, int32_t id)
{
    return !m->whole_word || is_special(id) || m->word_start[id] || (m->policy == XR_MASK_HF && is_special(before));
}

/* First positions of all words that may be chosen; returns their number. */
static size_t list_words(const xr_masking *m, const int32_t *id, size_t n, uint32_t *first)
{
    size_t words = 0;
    for (size_t i = 0; i < n; i++)
        if ((i == 0 || begins(m, id[i - 1], id[i])) && !(m->policy == XR_MASK_HF && is_special(id[i])))
            first[words++] = (uint32_t)i;
    return words;
}

/* floor(share n + u) of them, without replacement: the first steps of a Fisher-Yates shuffle. */
static size_t pick(const xr_masking *m, const draw *d, uint32_t *first, size_t words)
{
    size_t wanted = (size_t)floor(m->share * (double)words + uniform(d, COUNT, 0));
    wanted = wanted < words ? wanted : words;
    for (size_t i = 0; i < wanted; i++) {
        size_t k = i + (size_t)below(d, PICK, i, words - i);
        uint32_t taken = first[k];
        first[k] = first[i];
        first[i] = taken;
    }
    return wanted;
}

/* A coin for each, thrown with the number of its position; four coins a block of random words. */
static size_t toss(const xr_masking *m, const draw *d, uint32_t *first, size_t words)
{
    size_t chosen = 0;
    uint32_t r[4], block = UINT32_MAX;
    for (size_t i = 0; i < words; i++) {
        uint32_t at = first[i];
        if (at / 4 != block)
            xr_philox(r, d->key, d->epoch, d->low, site(d, COIN), block = at / 4);
        if ((double)r[at % 4] * 0x1p-32 < m->share)
            first[chosen++] = at;
    }
    return chosen;
}

static size_t choose(const xr_masking *m, const draw *d, uint32_t *first, size_t words, size_t n)
{
    size_t chosen = m->policy == XR_MASK_FAIRSEQ ? pick(m, d, first, words) : toss(m, d, first, words);
    if (chosen || !m->at_least_one)
        return chosen;
    first[0] = words ? first[below(d, ONE, 0, words)] : (uint32_t)n - 1;
    return 1;
}

/* What a chosen token becomes, by the number its word has drawn. */
static int32_t replacement(const xr_masking *m, const draw *d, double u, size_t i, int32_t id)
{
    if (u < m->mask_share)
        return m->mask_id;
    if (u >= m->mask_share + m->random_share)
        return id;
    int32_t least = m->policy == XR_MASK_FAIRSEQ ? N_SPECIALS : 0;
    return least + (int32_t)below(d, RANDOM, i, (uint64_t)(m->vocab_size - least));
}

/* target holds a flag at each chosen word's first position; it is read ahead of where results are written. */
static size_t apply(const xr_masking *m, const draw *d, int32_t *id, size_t n, uint32_t *position, int32_t *target)
{
    size_t masked = 0;
    int32_t before = 0;
    int chosen = 0;
    double u = 0.0;
    for (size_t i = 0; i < n; i++) {
        int32_t here = id[i];
        if (i == 0 || begins(m, before, here)) {
            chosen = target[i];
            u = chosen ? uniform(d, DECISION, i) : 0.0;
        }
        before = here;
        if (!chosen)
            continue;
        id[i] = replacement(m, d, u, i, here);
        position[masked] = (uint32_t)i;
        target[masked++] = here;
    }
    return masked;
}

static xr_status check_block(const xr_masking *m, const int32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] == m->mask_id)
            return xr_fail(XR_EDATA, "token %zu of a block is <mask> (id %d) before masking; expected text without it: prepare the data again", i,
                           m->mask_id);
    return XR_OK;
}

long xr_mask_block(const xr_masking *m, uint32_t epoch, uint64_t sample, int32_t *id, size_t n, uint32_t *position, int32_t *target)
{
    XR_ASSERT(n > 0 && sample >> 60 == 0, "n = %zu, sample = %llu", n, (unsigned long long)sample);
    draw d = { xr_rng_key(m->seed, XR_RNG_MASK), epoch, (uint32_t)sample, (uint32_t)(sample >> 32) };
    XR_TRY(check_block(m, id, n));
    size_t chosen = choose(m, &d, position, list_words(m, id, n, position), n);
    memset(target, 0, n * sizeof *target);
    for (size_t i = 0; i < chosen; i++)
        target[position[i]] = 1;
    return (long)apply(m, &d, id, n, position, target);
}
