/* sequence_cls: vector of <s> -> dropout -> linear D x D -> tanh -> dropout -> linear D x C.
 *
 * Loss by config.problem: cross-entropy (class weights, label smoothing), squared error, or binary cross-entropies. Weight: what torch's
 * 'mean' reduction divides by: the sum of the targets' class weights, or the number of values.
 * Reference: XLMRobertaClassificationHead, XLMRobertaForSequenceClassification. */
#include "model/head.h"

enum { DENSE_W, DENSE_B, OUT_W, OUT_B };

static xr_status declare(xr_model *m)
{
    size_t d = (size_t)m->config.hidden_size, c = (size_t)m->config.num_labels;
    const xr_head_row row[] = {
        [DENSE_W] = { "classifier.dense.weight", 2, d, d, XR_INIT_NORMAL, 0 },
        [DENSE_B] = { "classifier.dense.bias", 1, 1, d, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
        [OUT_W] = { "classifier.out_proj.weight", 2, c, d, XR_INIT_NORMAL, 0 },
        [OUT_B] = { "classifier.out_proj.bias", 1, 1, c, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
    };
    return xr_head_declare(m, row, sizeof row / sizeof *row);
}

static xr_tensor *forward(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    const xr_config *c = &m->config;
    xr_param **p = m->head_param;
    float drop = c->classifier_dropout < 0.0f ? c->hidden_dropout_prob : c->classifier_dropout;
    const xr_rowset *first = xr_rows_first(t, batch);
    xr_tensor *h = xr_encode(t, m, batch, first, NULL);
    h = xr_dropout_op(t, h, drop, XR_SITE_HEAD, first);
    h = xr_tanh(t, xr_linear(t, h, (xr_weight){ p[DENSE_W] }, p[DENSE_B]));
    h = xr_dropout_op(t, h, drop, XR_SITE_HEAD + 1, first);
    return xr_linear(t, h, (xr_weight){ p[OUT_W] }, p[OUT_B]);
}

static double weight(const xr_batch *batch, int n_labels)
{
    double total = 0.0;
    if (batch->target)
        return (double)batch->rows.n_seq * n_labels;
    for (size_t b = 0; b < batch->rows.n_seq; b++)
        total += batch->class_weight ? (double)batch->class_weight[batch->label[b]] : 1.0;
    return total;
}

static xr_tensor *loss(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits)
{
    xr_tensor *z = forward(t, m, batch);
    if (logits)
        *logits = z;
    switch (m->config.problem) {
    case XR_PROBLEM_REGRESSION: return xr_mse(t, z, batch->target);
    case XR_PROBLEM_MULTI_LABEL: return xr_bce(t, z, batch->target);
    case XR_PROBLEM_SINGLE_LABEL:
    case XR_PROBLEM_TAGS:
    case XR_PROBLEM_CHOICE: break;      /* these have a head of their own */
    }
    return xr_cross_entropy(t, z, batch->label, batch->class_weight, batch->smoothing);
}

const xr_head xr_head_sequence_cls = { "sequence_cls", "XLMRobertaForSequenceClassification", declare, forward, weight, loss, XR_READS_FIRST };
