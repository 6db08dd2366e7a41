/* The order of examples, steps and micro-batches. */
#include <stdlib.h>
#include <string.h>
#include "data/loader.h"
#include "util/alloc.h"
#include "util/rng.h"

/* Stream of the mega-batches' step order, apart from the permutation of the examples. */
enum { SITE_STEPS = 1 };

typedef struct ranked { uint32_t example, position; uint64_t length; } ranked;

struct xr_loader {
    const xr_dataset *d;
    xr_loader_options o;
    xr_philox_key key;
    uint32_t *sorted;           // [n] examples longest first (sort_by_length), else NULL
    size_t steps, max_tokens;
    int labelled;               /* every example has its label or target */
    const xr_mixture *mixture;  /* NULL: each example once an epoch */
    ranked *mega;               // [mega_n] the mega-batch last used, sorted
    size_t mega_n, mega_index;
    uint32_t mega_epoch;
    ranked *step;               // [n_step] the prepared step, longest first
    uint32_t *example;          // [n_step] its examples
    uint32_t *sample;           // [n_step] what their random numbers are counted by
    size_t *cut;                // [n_micro + 1] into step
    size_t n_step, n_tokens;
    int n_micro;
    xr_batch_buffer batch;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- what is known before any step ---- */

/* How often example i can come in one epoch; `part` is moved to its part of the mixture. */
static size_t repeats(const xr_mixture *m, size_t i, size_t *part)
{
    while (m && m->part[*part].first + m->part[*part].n <= i)
        ++*part;
    return m ? (size_t)xr_mixture_repeats(m, *part) : 1;
}

/* count[len] = examples of that many tokens, as often as they can come in an epoch. */
static size_t *length_histogram(const xr_dataset *d, const xr_mixture *m, size_t *longest)
{
    size_t max = 0, part = 0;
    for (size_t i = 0; i < d->n; i++)
        max = xr_dataset_len(d, i) > max ? xr_dataset_len(d, i) : max;
    size_t *count = xr_alloc(max + 1, sizeof *count);
    for (size_t i = 0; count && i < d->n; i++)
        count[xr_dataset_len(d, i)] += repeats(m, i, &part);
    *longest = max;
    return count;
}

/* Tokens of the `micro` longest examples together, or what the budget allows; a single example may exceed the budget.
 */
static size_t bound_tokens(const size_t *count, size_t longest, size_t micro, size_t budget)
{
    size_t sum = 0, left = micro;
    for (size_t len = longest + 1; len-- > 0 && left;) {
        size_t take = smaller(left, count[len]);
        sum += take * len;
        left -= take;
    }
    if (budget && sum > budget)
        sum = budget > longest ? budget : longest;
    return sum;
}

/* Counting sort, longest first, ties in file order. Uses up the histogram. */
static xr_status sort_all(xr_loader *l, size_t *count, size_t longest)
{
    size_t start = 0;

    l->sorted = xr_alloc(l->d->n, sizeof *l->sorted);
    if (!l->sorted)
        return xr_error_status();
    for (size_t len = longest + 1; len-- > 0;) {
        size_t n = count[len];
        count[len] = start;
        start += n;
    }
    for (size_t i = 0; i < l->d->n; i++)
        l->sorted[count[xr_dataset_len(l->d, i)]++] = (uint32_t)i;
    return XR_OK;
}

static int all_labelled(const xr_dataset *d)
{
    for (size_t i = 0; i < d->n; i++)
        if ((d->windows.questions.n ? d->windows.window[i].start : d->label[i]) < 0)
            return 0;
    return 1;
}

static xr_status prepare(xr_loader *l)
{
    size_t longest, n = l->d->n, size = l->o.batch_size;
    size_t *count = length_histogram(l->d, l->mixture, &longest);
    xr_status status = XR_OK;

    if (!count)
        return xr_error_status();
    l->steps = l->o.drop_last ? n / size : (n + size - 1) / size;
    l->max_tokens = bound_tokens(count, longest, l->o.micro_size, l->o.token_budget);
    l->labelled = all_labelled(l->d);
    if (l->o.sort_by_length)
        status = sort_all(l, count, longest);
    xr_free(count);
    return status;
}

static xr_status check(const xr_dataset *d, const xr_loader_options *o)
{
    if (!d->n)
        return xr_fail(XR_EDATA, "no examples to load; expected at least one");
    XR_ASSERT(!o->mixture || (o->mixture->total == d->n && o->shuffle && !o->sort_by_length), "a mixture of %llu draws for %zu examples",
              o->mixture ? (unsigned long long)o->mixture->total : 0, d->n);
    if (!o->batch_size)
        return xr_fail(XR_ECONFIG, "batch size 0; expected at least 1");
    if (o->drop_last && d->n < o->batch_size)
        return xr_fail(XR_EDATA,
                       "%zu examples do not fill one step of %zu, and the last step is to be dropped; use a smaller "
                       "batch or more data",
                       d->n, o->batch_size);
    return XR_OK;
}

xr_loader *xr_loader_new(const xr_dataset *d, const xr_loader_options *o)
{
    xr_loader *l;

    if (check(d, o) < 0 || !(l = xr_alloc(1, sizeof *l)))
        return NULL;
    l->d = d;
    l->o = *o;
    l->o.batch_size = smaller(o->batch_size, d->n);
    l->o.micro_size = o->micro_size ? smaller(o->micro_size, l->o.batch_size) : l->o.batch_size;
    l->mixture = o->mixture && !o->mixture->plain ? o->mixture : NULL;
    l->key = xr_rng_key(o->seed, XR_RNG_SHUFFLE);
    l->mega_index = SIZE_MAX;
    l->step = xr_alloc(l->o.batch_size, sizeof *l->step);
    l->example = l->step ? xr_alloc(l->o.batch_size, sizeof *l->example) : NULL;
    l->sample = l->example ? xr_alloc(l->o.batch_size, sizeof *l->sample) : NULL;
    l->cut = l->sample ? xr_alloc(l->o.batch_size + 1, sizeof *l->cut) : NULL;
    if (!l->cut || prepare(l) < 0) {
        xr_loader_free(l);
        return NULL;
    }
    return l;
}

void xr_loader_free(xr_loader *l)
{
    if (!l)
        return;
    xr_batch_free(&l->batch);
    xr_free(l->sorted);
    xr_free(l->mega);
    xr_free(l->step);
    xr_free(l->example);
    xr_free(l->sample);
    xr_free(l->cut);
    xr_free(l);
}

/* ---- one step ---- */

static int longest_first(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->length != y->length)
        return x->length < y->length ? 1 : -1;
    return (x->position > y->position) - (x->position < y->position);
}

/* What stands at a position of the epoch's order before any grouping by length. */
static ranked at_position(const xr_loader *l, uint32_t epoch, size_t position)
{
    uint32_t example = (uint32_t)position;

    if (l->sorted)
        example = l->sorted[position];
    else if (l->mixture)
        example = (uint32_t)xr_mixture_at(l->mixture, epoch, position);
    else if (l->o.shuffle)
        example = (uint32_t)xr_rng_permute(l->key, epoch, position, l->d->n);
    return (ranked){ example, (uint32_t)position, xr_dataset_len(l->d, example) };
}

/* Loads and sorts mega-batch m of the full steps; kept until another is asked for. */
static xr_status load_mega(xr_loader *l, uint32_t epoch, size_t m)
{
    size_t size = l->o.batch_size, full = l->d->n / size * size, first = m * XR_LOADER_MEGA * size;

    if (l->mega_index == m && l->mega_epoch == epoch)
        return XR_OK;
    if (!l->mega && !(l->mega = xr_alloc(smaller(XR_LOADER_MEGA * size, full), sizeof *l->mega)))
        return xr_error_status();
    l->mega_n = smaller(XR_LOADER_MEGA * size, full - first);
    for (size_t i = 0; i < l->mega_n; i++)
        l->mega[i] = at_position(l, epoch, first + i);
    qsort(l->mega, l->mega_n, sizeof *l->mega, longest_first);
    l->mega_index = m;
    l->mega_epoch = epoch;
    return XR_OK;
}

/* Which step's worth of the sorted mega-batch is taken k-th: a permutation with a key of its own. */
static size_t step_in_mega(const xr_loader *l, uint32_t epoch, size_t m, size_t k)
{
    uint32_t r[4];
    xr_philox(r, l->key, epoch, (uint32_t)m, SITE_STEPS, 0);
    xr_philox_key key = { { r[0], r[1] } };
    return (size_t)xr_rng_permute(key, epoch, k, l->mega_n / l->o.batch_size);
}

/* Fills l->step with the step's examples in the order of the epoch. */
static xr_status take_examples(xr_loader *l, uint32_t epoch, size_t step)
{
    size_t size = l->o.batch_size, first = step * size;

    l->n_step = smaller(size, l->d->n - first);
    if (l->o.group_by_length && !l->sorted && l->n_step == size) {
        size_t m = step / XR_LOADER_MEGA;
        XR_TRY(load_mega(l, epoch, m));
        size_t turn = step_in_mega(l, epoch, m, step % XR_LOADER_MEGA);
        memcpy(l->step, l->mega + turn * size, size * sizeof *l->step);
        return XR_OK;
    }
    for (size_t i = 0; i < l->n_step; i++)
        l->step[i] = at_position(l, epoch, first + i);
    return XR_OK;
}

static void cut_step(xr_loader *l)
{
    size_t in_micro = 0, tokens = 0;

    l->n_micro = 0;
    l->n_tokens = 0;
    for (size_t i = 0; i < l->n_step; i++) {
        size_t len = (size_t)l->step[i].length;
        int full = in_micro == l->o.micro_size || (l->o.token_budget && tokens + len > l->o.token_budget);
        if (i == 0 || full) {
            l->cut[l->n_micro++] = i;
            in_micro = tokens = 0;
        }
        in_micro++;
        tokens += len;
        l->n_tokens += len;
        l->example[i] = l->step[i].example;
        l->sample[i] = l->mixture ? l->step[i].position : l->step[i].example;
    }
    l->cut[l->n_micro] = l->n_step;
}

int xr_loader_begin(xr_loader *l, uint32_t epoch, size_t step)
{
    XR_ASSERT(step < l->steps, "step %zu of %zu", step, l->steps);
    XR_TRY(take_examples(l, epoch, step));
    qsort(l->step, l->n_step, sizeof *l->step, longest_first);
    cut_step(l);
    return l->n_micro;
}

/* The pieces of word k that are predicted, the first of which is row `row`. */
static xr_status add_word(xr_loader *l, const xr_words *w, uint64_t k, uint32_t row)
{
    int32_t tag = w->tag[k], inside = w->inside && tag >= 0 ? w->inside[tag] : tag;

    XR_TRY(xr_batch_add_mask(&l->batch, row, tag));
    for (uint32_t p = 1; w->all_pieces && p < w->len[k]; p++)
        XR_TRY(xr_batch_add_mask(&l->batch, row + p, inside));
    return XR_OK;
}

/* The words of example i, whose first token is row `first`. */
static xr_status add_words(xr_loader *l, uint32_t i, uint32_t first)
{
    const xr_words *w = &l->d->words;

    for (uint64_t k = w->example[i]; k < w->example[i + 1]; k++)
        XR_TRY(add_word(l, w, k, first + w->row[k]));
    return XR_OK;
}

/* The choices of question i, a group of sequences: never parted, since a loss is over all of them. */
static xr_status add_choices(xr_loader *l, uint32_t i, uint32_t sample)
{
    const xr_dataset *d = l->d;
    uint64_t first = d->choices.example[i];
    for (uint64_t k = first; k < d->choices.example[i + 1]; k++) {
        size_t n;
        const int32_t *id = xr_dataset_choice(d, (size_t)k, &n);
        XR_TRY(xr_batch_add(&l->batch, id, n, sample * (uint32_t)d->choices.most + (uint32_t)(k - first)));
    }
    XR_TRY(xr_batch_end_group(&l->batch));
    return l->labelled ? xr_batch_add_label(&l->batch, d->label[i]) : XR_OK;
}

static xr_status add_example(xr_loader *l, uint32_t i, uint32_t sample)
{
    const xr_dataset *d = l->d;

    uint32_t first = (uint32_t)l->batch.n;

    if (d->choices.n)
        return add_choices(l, i, sample);
    XR_TRY(xr_batch_add(&l->batch, d->ids + d->offset[i], xr_dataset_len(d, i), sample));
    if (d->words.n_sentences)
        return add_words(l, i, first);
    if (!l->labelled)
        return XR_OK;
    if (d->windows.questions.n)
        return xr_batch_add_span(&l->batch, (uint32_t)d->windows.window[i].start, (uint32_t)d->windows.window[i].end);
    return d->n_target ? xr_batch_add_target(&l->batch, d->target + i * d->n_target, d->n_target)
                       : xr_batch_add_label(&l->batch, d->label[i]);
}

const xr_batch *xr_loader_batch(xr_loader *l, int k)
{
    XR_ASSERT(k >= 0 && k < l->n_micro, "micro-batch %d of %d", k, l->n_micro);
    xr_batch_clear(&l->batch);
    for (size_t i = l->cut[k]; i < l->cut[k + 1]; i++)
        if (add_example(l, l->example[i], l->sample[i]) < 0)
            return NULL;
    return xr_batch_finish(&l->batch);
}

const uint32_t *xr_loader_examples(const xr_loader *l, int k, size_t *n)
{
    XR_ASSERT(k >= 0 && k < l->n_micro, "micro-batch %d of %d", k, l->n_micro);
    *n = l->cut[k + 1] - l->cut[k];
    return l->example + l->cut[k];
}

size_t xr_loader_steps(const xr_loader *l) { return l->steps; }
size_t xr_loader_step_examples(const xr_loader *l) { return l->n_step; }
size_t xr_loader_step_tokens(const xr_loader *l) { return l->n_tokens; }
size_t xr_loader_max_tokens(const xr_loader *l) { return l->max_tokens; }
