#include "model/flops.h"

#include "model/head.h"

/* Rows of a part of the model: in it, and of those the ones that are wanted behind it. */
typedef struct part {
    double rows, need;
    double pairs;           /* of a wanted query with a key of its sequence */
    int train;
    int below;              /* what comes in wants a gradient */
} part;

/* A product with weights: forward, the gradient of the weights, that of what comes in. */
static double linear(const part *p, const xr_param *w, double rows, int below)
{
    int times = 1 + (p->train && w->t.needs) + (p->train && below);
    return times * 2.0 * rows * (double)xr_numel(&w->t);
}

static double forward_only(const part *p, const xr_layer *l, double *attention)
{
    part once = *p;
    once.train = 0;
    *attention = 4.0 * p->pairs * (double)l->query_w->t.rows;
    return linear(&once, l->query_w, p->need, 0) + linear(&once, l->key_w, p->rows, 0) + linear(&once, l->value_w, p->rows, 0) +
           linear(&once, l->attn_out_w, p->need, 0) + linear(&once, l->ffn_in_w, p->need, 0) + linear(&once, l->ffn_out_w, p->need, 0);
}

/* Attention's backward has twice the products of forward, and computes half of these, the scores, again. */
static int add_layer(xr_flops *f, const part *p, const xr_layer *l, int recompute)
{
    double attention, encoder = forward_only(p, l, &attention);
    int inside = p->below || l->query_w->t.needs;
    f->encoder += linear(p, l->query_w, p->need, p->below) + linear(p, l->key_w, p->rows, p->below) + linear(p, l->value_w, p->rows, p->below) +
                  linear(p, l->attn_out_w, p->need, inside) + linear(p, l->ffn_in_w, p->need, inside) + linear(p, l->ffn_out_w, p->need, inside);
    f->attention += attention * (p->train && inside ? 3.0 : 1.0);
    f->again += p->train && inside ? attention / 2.0 : 0.0;
    if (p->train && recompute)
        f->again += encoder + attention;
    return inside || recompute;     /* a layer that is run again asks for gradients of all that it reads */
}

static void add_head(xr_flops *f, const part *p, const xr_model *m)
{
    int below = p->below, tied = m->head->reads == XR_READS_TARGETS && !(m->word->flags & XR_PARAM_ROW_GRAD);
    for (size_t k = 0; k < sizeof m->head_param / sizeof *m->head_param && m->head_param[k]; k++)
        if (m->head_param[k]->rank == 2) {
            f->head += linear(p, m->head_param[k], p->need, below);
            below = 1;
        }
    if (tied)
        f->head += linear(p, m->word, p->need, below);
    if (tied && p->train && m->recompute)       /* logits; once more for a gradient that is made during the update */
        f->again += (m->word->flags & XR_PARAM_LATE_GRAD ? 4.0 : 2.0) * p->need * (double)xr_numel(&m->word->t);
}

/* Rows of sequence s that the head reads; *at walks the rows with targets. */
static size_t rows_read(const xr_model *m, const xr_batch *b, size_t s, size_t *at)
{
    xr_head_reads reads = m->head ? m->head->reads : XR_READS_ALL;
    size_t end = b->rows.offset[s + 1], first = *at;
    if (reads != XR_READS_TARGETS)
        return reads == XR_READS_FIRST ? 1 : end - b->rows.offset[s];
    while (*at < b->n_mask && b->mask_row[*at] < end)
        (*at)++;
    return *at - first;
}

static part whole(const xr_model *m, const xr_batch *b, int train)
{
    part p = { (double)b->rows.n, (double)b->rows.n, 0.0, train, m->word->t.needs || m->norm_w->t.needs };
    for (size_t s = 0; s < b->rows.n_seq; s++) {
        double len = (double)b->rows.offset[s + 1] - (double)b->rows.offset[s];
        p.pairs += len * len;
    }
    return p;
}

static part pruned(const xr_model *m, const xr_batch *b, const part *all)
{
    part p = *all;
    size_t at = 0;
    p.need = p.pairs = 0.0;
    for (size_t s = 0; s < b->rows.n_seq; s++) {
        double read = (double)rows_read(m, b, s, &at);
        p.need += read;
        p.pairs += read * ((double)b->rows.offset[s + 1] - (double)b->rows.offset[s]);
    }
    return p;
}

xr_flops xr_model_flops(const xr_model *m, const xr_batch *batch, int train)
{
    xr_flops f = { 0.0, 0.0, 0.0, 0.0 };
    part all = whole(m, batch, train), last = pruned(m, batch, &all);
    int layers = m->config.num_hidden_layers;
    for (int i = 0; i < layers; i++) {
        last.below = all.below;
        all.below = add_layer(&f, i == layers - 1 ? &last : &all, &m->layer[i], m->recompute);
    }
    last.below = all.below;
    if (m->head)
        add_head(&f, &last, m);
    return f;
}

double xr_flops_all(const xr_flops *f) { return f->encoder + f->attention + f->head + f->again; }
