/* The encoder's formulas: embeddings, then L layers of attention and feed-forward, post-LayerNorm.
 * Reference: XLMRobertaEmbeddings, XLMRobertaLayer, XLMRobertaEncoder. */
#include <string.h>

#include "data/batch.h"
#include "kernels/packed.h"
#include "model/model.h"

/* Position ids: pad + running count of non-pad tokens within the sequence; pad at pad tokens (create_position_ids_from_input_ids). */
static const int32_t *position_ids(xr_tape *t, const xr_batch *batch, int pad)
{
    int32_t *pos = xr_tape_get(t, batch->rows.n, sizeof *pos);
    int32_t count = 0;
    for (size_t r = 0; pos && r < batch->rows.n; r++) {
        if (batch->rows.index[r] == 0)
            count = 0;
        pos[r] = batch->id[r] == pad ? pad : pad + ++count;
    }
    return pos;
}

static xr_tensor *embed(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    const xr_config *c = &m->config;
    xr_tensor *x = xr_embedding(t, m->word, m->position, m->type, batch->id, position_ids(t, batch, c->pad_token_id), batch->rows.n);
    x = xr_add_norm(t, x, NULL, m->norm_w, m->norm_b, c->layer_norm_eps, 0.0f, 0, &batch->rows);
    return xr_dropout_op(t, x, c->hidden_dropout_prob, XR_SITE_EMBED, &batch->rows);
}

typedef struct layer_context {
    xr_model *m;
    int index;
    const xr_rowset *rows;          /* of the input */
    const xr_rowset *need;          /* rows wanted after the layer; NULL = all */
    const uint32_t *need_row;       // [need->n] their row numbers in the input
} layer_context;

/* One layer. Keys and values need every row; everything else only the rows that are consumed afterwards. */
static xr_tensor *layer(xr_tape *t, xr_tensor *x, const void *context)
{
    const layer_context *lc = context;
    const xr_config *c = &lc->m->config;
    const xr_layer *l = &lc->m->layer[lc->index];
    uint32_t site = XR_SITE_LAYER + XR_SITE_PER_LAYER * (uint32_t)lc->index;
    const xr_rowset *rows = lc->need ? lc->need : lc->rows;
    float p = c->hidden_dropout_prob, eps = c->layer_norm_eps;

    xr_tensor *xq = lc->need ? xr_select(t, x, lc->need_row, rows->n) : x;
    xr_tensor *q = xr_linear(t, xq, (xr_weight){ l->query_w }, l->query_b);
    xr_tensor *k = xr_linear(t, x, (xr_weight){ l->key_w }, l->key_b);
    xr_tensor *v = xr_linear(t, x, (xr_weight){ l->value_w }, l->value_b);
    xr_tensor *a = xr_attention(t, q, k, v, c->num_attention_heads, c->attention_probs_dropout_prob, site, rows, lc->rows,
                                l->query_w->pack == &xr_pack_bf16);
    a = xr_linear(t, a, (xr_weight){ l->attn_out_w }, l->attn_out_b);
    a = xr_add_norm(t, a, xq, l->attn_norm_w, l->attn_norm_b, eps, p, site + 1, rows);
    xr_tensor *f = xr_linear(t, a, (xr_weight){ l->ffn_in_w }, NULL);
    f = xr_gelu_linear(t, f, l->ffn_in_b, (xr_weight){ l->ffn_out_w }, l->ffn_out_b);
    return xr_add_norm(t, f, a, l->ffn_norm_w, l->ffn_norm_b, eps, p, site + 2, rows);
}

/* Without gradients, or to save memory, only the layer's output is kept. */
static xr_tensor *run_layer(xr_tape *t, xr_tensor *x, const layer_context *lc)
{
    if (!x)
        return NULL;
    if (xr_tape_grad(t) && !lc->m->recompute)
        return layer(t, x, lc);
    return xr_segment(t, x, lc->need ? lc->need->n : x->rows, x->cols, layer, lc, sizeof *lc);
}

static xr_tensor *encode(xr_tape *t, xr_model *m, const xr_batch *batch, int layers, const xr_rowset *need, xr_tensor **hidden)
{
    xr_tensor *x = embed(t, m, batch);
    if (hidden)
        hidden[0] = x;
    for (int i = 0; i < layers; i++) {
        layer_context lc = { m, i, &batch->rows, NULL, NULL };
        if (i == m->config.num_hidden_layers - 1 && need) {
            lc.need = need;
            lc.need_row = xr_rows_absolute(t, batch, need);
        }
        x = run_layer(t, x, &lc);
        if (hidden)
            hidden[i + 1] = x;
    }
    return x;
}

xr_tensor *xr_encode(xr_tape *t, xr_model *m, const xr_batch *batch, const xr_rowset *need, xr_tensor **hidden)
{
    return encode(t, m, batch, m->config.num_hidden_layers, need, hidden);
}

xr_tensor *xr_hidden_state(xr_tape *t, xr_model *m, const xr_batch *batch, int layer)
{
    return encode(t, m, batch, layer, NULL, NULL);
}
