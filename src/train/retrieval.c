#include "train/retrieval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/loader.h"
#include "train/features.h"
#include "util/alloc.h"

const char *const xr_retrieval_options[] = { "layer", "pooling", NULL };

/* ---- vectors ---- */

int xr_retrieval_layer(const xr_context *c, const xr_options *o)
{
    int layers = c->model.config.num_hidden_layers;
    if (o->layer >= 0)
        return xr_features_layer(c, (int)o->layer);
    return layers == 24 ? 13 : (7 * layers + 6) / 12;
}

static void normalise(float *x, size_t n, size_t d)
{
    for (size_t r = 0; r < n; r++) {
        double sum = 0.0;
        for (size_t j = 0; j < d; j++)
            sum += (double)x[r * d + j] * (double)x[r * d + j];
        float scale = sum > 0.0 ? (float)(1.0 / sqrt(sum)) : 0.0f;
        for (size_t j = 0; j < d; j++)
            x[r * d + j] *= scale;
    }
}

/* One tape for all batches, which grow in sequences as texts get shorter. */
static void size_tape(xr_context *c, const xr_dataset *d, size_t tokens)
{
    xr_tape_free(c->tape);
    c->tape = NULL;
    c->bound = (xr_batch_bound){ tokens, tokens / 2 + 1, xr_dataset_longest(d), 0, 0 };
}

static xr_status embed(const xr_evaluation *e, xr_loader *l, const xr_dataset *d, float *x, const xr_evaluate_hooks *h)
{
    xr_features_pooling pooling = strcmp(e->o->pooling, "first") == 0 ? XR_FEATURES_FIRST : XR_FEATURES_MEAN;
    size_t H = (size_t)e->context->model.config.hidden_size, done = 0, n;
    int layer = xr_retrieval_layer(e->context, e->o), n_micro = xr_loader_begin(l, 0, 0);
    XR_TRY(layer < 0 || n_micro < 0 ? xr_error_status() : XR_OK);
    size_tape(e->context, d, xr_loader_max_tokens(l));
    for (int k = 0; k < n_micro; k++) {
        const xr_batch *batch = xr_loader_batch(l, k);
        const float *v = batch ? xr_features_batch(e->context, batch, layer, pooling) : NULL;
        const uint32_t *example = xr_loader_examples(l, k, &n);
        if (!v)
            return xr_error_status();
        for (size_t b = 0; b < n; b++)
            memcpy(x + example[b] * H, v + b * H, H * sizeof *x);
        done += n;
        if (h && h->progress && h->progress(done, d->n, h->context))
            return xr_fail(XR_ETEMPFAIL, "%s: stopped after %zu of %zu texts", e->context->dir, done, d->n);
    }
    normalise(x, d->n, H);
    return XR_OK;
}

void xr_retrieval_begin(const xr_scored *s, size_t n, const xr_evaluate_hooks *h)
{
    if (h && h->language)
        h->language(h->context, s->language, n);
}

float *xr_retrieval_vectors(const xr_evaluation *e, const xr_scored *s, const xr_dataset *d, const xr_evaluate_hooks *h)
{
    xr_loader_options o = { .batch_size = d->n, .micro_size = d->n, .token_budget = (size_t)e->o->batch_tokens, .sort_by_length = 1 };
    xr_loader *l = xr_loader_new(d, &o);
    xr_retrieval_begin(s, d->n, h);
    float *x = l ? xr_alloc(d->n * (size_t)e->context->model.config.hidden_size, sizeof *x) : NULL;
    if (x && embed(e, l, d, x, h) < 0) {
        xr_free(x);
        x = NULL;
    }
    xr_loader_free(l);
    return x;
}

/* ---- mining ---- */

static xr_status means(double **out, const xr_neighbours *b)
{
    double *mean = *out = xr_alloc(b->n, sizeof *mean);
    for (size_t i = 0; mean && i < b->n; i++) {
        for (size_t j = 0; j < b->k; j++)
            mean[i] += (double)b->product[i * b->k + j];
        mean[i] /= (double)b->k;
    }
    return mean ? XR_OK : xr_error_status();
}

/* The neighbour of row i with the best margin, the nearer of equals. */
static xr_mined best_of(const xr_neighbours *b, size_t i, const double *mine, const double *others)
{
    xr_mined best = { 0, 0, -INFINITY };
    for (size_t j = 0; j < b->k; j++) {
        uint32_t at = b->index[i * b->k + j];
        double score = (double)b->product[i * b->k + j] / ((mine[i] + others[at]) / 2.0);
        if (score > best.score)
            best = (xr_mined){ (uint32_t)i, at, score };
    }
    return best;
}

/* Best first; of equals the order in which they were proposed, which `a` and `b` of the sort key cannot say. */
typedef struct proposal { xr_mined pair; size_t place; } proposal;

static int best_first(const void *p, const void *q)
{
    const proposal *x = p, *y = q;
    if (x->pair.score != y->pair.score)
        return x->pair.score < y->pair.score ? 1 : -1;
    return (x->place > y->place) - (x->place < y->place);
}

static void propose(proposal *p, const xr_neighbours *of_x, const xr_neighbours *of_y, const double *mean_x, const double *mean_y)
{
    for (size_t i = 0; i < of_x->n; i++)
        p[i] = (proposal){ best_of(of_x, i, mean_x, mean_y), i };
    for (size_t j = 0; j < of_y->n; j++) {
        xr_mined back = best_of(of_y, j, mean_y, mean_x);
        p[of_x->n + j] = (proposal){ { back.b, back.a, back.score }, of_x->n + j };
    }
}

/* Keeps the pairs whose rows no better pair has taken. */
static xr_status keep(xr_mined **pairs, size_t *n_pairs, const proposal *p, size_t n, size_t m)
{
    uint8_t *taken = xr_alloc(n + m, 1);
    xr_mined *out = taken ? xr_alloc(n < m ? n : m, sizeof *out) : NULL;
    size_t kept = 0;
    for (size_t i = 0; out && i < n + m; i++) {
        const xr_mined *q = &p[i].pair;
        if (taken[q->a] || taken[n + q->b])
            continue;
        taken[q->a] = taken[n + q->b] = 1;
        if (q->score > 0.0)
            out[kept++] = *q;
    }
    xr_free(taken);
    *pairs = out;
    *n_pairs = kept;
    return out ? XR_OK : xr_error_status();
}

static xr_status choose(xr_mined **pairs, size_t *n_pairs, const xr_neighbours *of_x, const xr_neighbours *of_y)
{
    double *mean_x = NULL, *mean_y = NULL;
    proposal *p = NULL;
    xr_status status = means(&mean_x, of_x);
    if (status == XR_OK)
        status = means(&mean_y, of_y);
    if (status == XR_OK)
        status = (p = xr_alloc(of_x->n + of_y->n, sizeof *p)) ? XR_OK : xr_error_status();
    if (status == XR_OK) {
        propose(p, of_x, of_y, mean_x, mean_y);
        qsort(p, of_x->n + of_y->n, sizeof *p, best_first);
        status = keep(pairs, n_pairs, p, of_x->n, of_y->n);
    }
    xr_free(p);
    xr_free(mean_x);
    xr_free(mean_y);
    return status;
}

xr_status xr_retrieval_mine(xr_mined **pairs, size_t *n_pairs, const float *x, size_t n, const float *y, size_t m, size_t d, size_t k,
                            xr_knn_progress progress, void *context)
{
    xr_neighbours of_x, of_y;
    *pairs = NULL;
    *n_pairs = 0;
    XR_TRY(xr_knn(&of_x, &of_y, x, n, y, m, d, k, progress, context));
    xr_status status = choose(pairs, n_pairs, &of_x, &of_y);
    xr_neighbours_free(&of_x);
    xr_neighbours_free(&of_y);
    return status;
}

double xr_retrieval_threshold(const xr_mined *pair, const uint8_t *gold, size_t n, size_t n_gold)
{
    double best = 0.0, threshold = 0.0;
    size_t right = 0;
    for (size_t i = 0; i < n; i++) {
        right += gold[i];
        if (!right)
            continue;
        double precision = (double)right / (double)(i + 1), recall = (double)right / (double)n_gold;
        double f1 = 2.0 * precision * recall / (precision + recall);
        if (f1 > best) {
            best = f1;
            threshold = i + 1 < n ? (pair[i].score + pair[i + 1].score) / 2.0 : pair[i].score;
        }
    }
    return threshold;
}
