#include "train/features.h"

#include <string.h>

int xr_features_layer(const xr_context *c, int layer)
{
    int layers = c->model.config.num_hidden_layers;
    if (layer >= -1 && layer <= layers)
        return layer < 0 ? layers : layer;
    return xr_fail(XR_EUSAGE, "layer %d: the model has layers 0 (embeddings) to %d; -1 is the last", layer, layers);
}

static void pool_mean(float *out, const float *x, const xr_rowset *rows, size_t d)
{
    for (size_t b = 0; b < rows->n_seq; b++) {
        size_t from = rows->offset[b], to = rows->offset[b + 1];
        for (size_t j = 0; j < d; j++) {
            double sum = 0.0;
            for (size_t r = from; r < to; r++)
                sum += (double)x[r * d + j];
            out[b * d + j] = (float)(sum / (double)(to - from));
        }
    }
}

static void pool_first(float *out, const float *x, const xr_rowset *rows, size_t d)
{
    for (size_t b = 0; b < rows->n_seq; b++)
        memcpy(out + b * d, x + rows->offset[b] * d, d * sizeof *out);
}

/* Of the last layer only what is asked for: all rows, or the first of each text. */
static xr_tensor *hidden_rows(xr_tape *t, xr_context *c, const xr_batch *batch, int layer, int first)
{
    return first ? xr_encode(t, &c->model, batch, xr_rows_first(t, batch), NULL) : xr_hidden_state(t, &c->model, batch, layer);
}

const float *xr_features_batch(xr_context *c, const xr_batch *batch, int layer, xr_features_pooling pooling)
{
    layer = xr_features_layer(c, layer);
    xr_tape *t = layer < 0 ? NULL : xr_context_tape(c, batch);
    int pruned = pooling == XR_FEATURES_FIRST && layer == c->model.config.num_hidden_layers && layer > 0;
    xr_tensor *h = t ? hidden_rows(t, c, batch, layer, pruned) : NULL;
    if (!h || xr_tape_status(t) < 0 || xr_check_finite(h->x, xr_numel(h), c->dir) < 0)
        return NULL;
    if (pooling == XR_FEATURES_NONE || pruned)
        return h->x;
    float *out = xr_tape_get(t, batch->rows.n_seq * h->cols, sizeof *out);
    if (out && pooling == XR_FEATURES_MEAN)
        pool_mean(out, h->x, &batch->rows, h->cols);
    else if (out)
        pool_first(out, h->x, &batch->rows, h->cols);
    return out;
}

xr_status xr_features_flush(const xr_features_run *r)
{
    if (r->c->batch.n_seq == 0)
        return XR_OK;
    const xr_batch *batch = xr_batch_finish(&r->c->batch);
    const float *x = xr_features_batch(r->c, batch, r->layer, r->pooling);
    if (!x)
        return xr_error_status();
    XR_TRY(r->take(r->context, batch, x, r->pooling == XR_FEATURES_NONE ? batch->rows.n : batch->rows.n_seq));
    xr_batch_clear(&r->c->batch);
    return XR_OK;
}

xr_status xr_features_add(const xr_features_run *r, const char *text, const char *pair, size_t max_len)
{
    XR_TRY(xr_context_encode(r->c, text, pair, max_len, 1));
    if (r->c->batch.n + r->c->tokens.n > r->tokens)
        XR_TRY(xr_features_flush(r));
    return xr_context_push(r->c, 0);
}
