/* How fast a slice of the model trains: a few of its layers and the same share of its vocabulary, so that every kind of work has the share that it has
 * in the whole. */
#include <string.h>

#include "model/head.h"
#include "train/estimate.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/phase.h"

enum { LAYERS = 2, LOOKED_UP = 4096 };

static const double most_work = 200e9, enough_seconds = 1.0;     /* operations of one pass, and time for all of them */

static xr_status cut_config(xr_config *c, const xr_model *m)
{
    XR_TRY(xr_config_copy(c, &m->config));
    int layers = c->num_hidden_layers, tied = !(m->word->flags & XR_PARAM_ROW_GRAD), words = LOOKED_UP;
    c->num_hidden_layers = layers < LAYERS ? layers : LAYERS;
    if (tied)
        words = (int)((long long)c->vocab_size * c->num_hidden_layers / layers);
    if (words < c->vocab_size && words > 16)
        c->vocab_size = words;
    return XR_OK;
}

/* What is frozen stays so; the lowest layers are cut away. */
static void copy_plan(xr_model *slice, const xr_model *m)
{
    int layers = slice->config.num_hidden_layers, away = m->config.num_hidden_layers - layers;
    for (size_t i = 0; i < slice->params.n; i++) {
        xr_param *p = slice->params.row[i];
        const xr_param *like = p->layer >= 1 && p->layer <= layers ? m->layer[p->layer - 1 + away].query_w : xr_params_find(&m->params, p->name);
        p->flags |= like ? like->flags & XR_PARAM_FROZEN : 0;
        p->t.needs = !(p->flags & XR_PARAM_FROZEN);
    }
    xr_model_pack(slice, m->layer[0].query_w->pack);
    slice->recompute = m->recompute;
}

static xr_status pass(xr_model *m, xr_tape *t, const xr_batch *batch, double *seconds)
{
    double began = xr_clock();
    xr_tape_begin(t, 1, 1, 1, 1);
    xr_tensor *loss = m->head->loss(t, m, batch, NULL);
    XR_TRY(xr_tape_status(t));
    XR_TRY(xr_backward(t, loss, NULL));
    *seconds = xr_clock() - began;
    return XR_OK;
}

/* The first pass meets fresh memory; the shortest of the others counts, since other programs only ever make one longer. */
static xr_status time_passes(xr_model *m, xr_tape *t, const xr_batch *batch, double *gflops)
{
    xr_flops f = xr_model_flops(m, batch, 1);
    double best = 0.0, seconds, began = xr_clock();
    XR_TRY(pass(m, t, batch, &seconds));
    for (int k = 0; k < 2 || xr_clock() - began < enough_seconds; k++) {
        XR_TRY(pass(m, t, batch, &seconds));
        best = k == 0 || seconds < best ? seconds : best;
    }
    *gflops = xr_flops_all(&f) * 1e-9 / best;
    return XR_OK;
}

/* As many sequences as make no more work than is wanted, at least one. */
static xr_status cut_batch(xr_batch_buffer *b, const xr_batch *like, const xr_model *slice)
{
    for (size_t n = like->rows.n_seq;; n = (n + 1) / 2) {
        XR_TRY(xr_estimate_batch(b, like, n, slice));
        xr_flops f = xr_model_flops(slice, &b->view, 1);
        if (n <= 1 || xr_flops_all(&f) <= most_work)
            return XR_OK;
    }
}

static xr_status measure(double *gflops, xr_model *slice, const xr_batch *like, xr_batch_buffer *b)
{
    XR_TRY(cut_batch(b, like, slice));
    XR_TRY(xr_model_init(slice, 1));
    XR_TRY(xr_params_alloc_grads(&slice->params));
    const xr_rowset *rows = &b->view.rows;
    size_t reserve = xr_model_reserve(slice, rows->n, rows->n_seq, b->view.max_len, b->view.n_mask, 1);
    xr_tape *t = reserve ? xr_tape_new(reserve) : NULL;
    xr_status status = t ? time_passes(slice, t, &b->view, gflops) : xr_error_status();
    xr_tape_free(t);
    return status;
}

xr_status xr_estimate_speed(double *gflops, const xr_model *m, const xr_batch *batch)
{
    xr_config c;
    xr_model slice;
    xr_batch_buffer b = { 0 };
    memset(&c, 0, sizeof c);
    memset(&slice, 0, sizeof slice);
    xr_status status = cut_config(&c, m);
    if (status == XR_OK)
        status = xr_model_declare(&slice, &c);
    if (status == XR_OK) {
        int watched = xr_phases_watch(0);
        copy_plan(&slice, m);
        status = measure(gflops, &slice, batch, &b);
        xr_phases_watch(watched);
    }
    xr_batch_free(&b);
    xr_model_free(&slice);
    xr_config_free(&c);
    return status;
}
