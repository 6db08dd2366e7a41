/* token_cls: dropout -> linear D x C, for the first piece of every word (batch->mask_row) and no other row.
 *
 * Loss: cross-entropy of the words' tags (class weights, label smoothing); weight: the number of words, or the sum of their class weights.
 * transformers computes logits for all rows and leaves those with label -100 out of the loss: the same numbers.
 * Reference: XLMRobertaForTokenClassification. */
#include "model/head.h"

enum { OUT_W, OUT_B };

static xr_status declare(xr_model *m)
{
    size_t d = (size_t)m->config.hidden_size, c = (size_t)m->config.num_labels;
    const xr_head_row row[] = {
        [OUT_W] = { "classifier.weight", 2, c, d, XR_INIT_NORMAL, 0 },
        [OUT_B] = { "classifier.bias", 1, 1, c, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
    };
    return xr_head_declare(m, row, sizeof row / sizeof *row);
}

static xr_tensor *forward(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    const xr_config *c = &m->config;
    float drop = c->classifier_dropout < 0.0f ? c->hidden_dropout_prob : c->classifier_dropout;
    const xr_rowset *need = xr_rows_pick(t, batch, batch->mask_row, batch->n_mask);
    xr_tensor *h = xr_encode(t, m, batch, need, NULL);
    h = xr_dropout_op(t, h, drop, XR_SITE_HEAD, need);
    return xr_linear(t, h, (xr_weight){ m->head_param[OUT_W] }, m->head_param[OUT_B]);
}

static double weight(const xr_batch *batch, int n_labels)
{
    (void)n_labels;
    double total = 0.0;
    for (size_t w = 0; w < batch->n_mask; w++)
        total += batch->class_weight ? (double)batch->class_weight[batch->mask_target[w]] : 1.0;
    return total;
}

static xr_tensor *loss(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits)
{
    xr_tensor *z = forward(t, m, batch);
    if (logits)
        *logits = z;
    return xr_cross_entropy(t, z, batch->mask_target, batch->class_weight, batch->smoothing);
}

const xr_head xr_head_token_cls = { "token_cls", "XLMRobertaForTokenClassification", declare, forward, weight, loss, XR_READS_TARGETS };
