/* multiple_choice: vector of <s> -> linear D x D -> tanh (the encoder's pooler) -> dropout -> linear D x 1: one score for each sequence, which
 * is one choice of a question.
 *
 * Loss: cross-entropy over the choices of each question (batch->group); weight: the number of questions. The pooler has the name that
 * transformers gives it, so that one which a pretrained directory holds is taken over.
 * Reference: XLMRobertaPooler, XLMRobertaForMultipleChoice. */
#include "model/head.h"

enum { POOL_W, POOL_B, OUT_W, OUT_B };

static xr_status declare(xr_model *m)
{
    size_t d = (size_t)m->config.hidden_size;
    const xr_head_row row[] = {
        [POOL_W] = { "roberta.pooler.dense.weight", 2, d, d, XR_INIT_NORMAL, 0 },
        [POOL_B] = { "roberta.pooler.dense.bias", 1, 1, d, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
        [OUT_W] = { "classifier.weight", 2, 1, d, XR_INIT_NORMAL, 0 },
        [OUT_B] = { "classifier.bias", 1, 1, 1, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
    };
    return xr_head_declare(m, row, sizeof row / sizeof *row);
}

static xr_tensor *forward(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    xr_param **p = m->head_param;
    const xr_rowset *first = xr_rows_first(t, batch);
    xr_tensor *h = xr_encode(t, m, batch, first, NULL);
    h = xr_tanh(t, xr_linear(t, h, (xr_weight){ p[POOL_W] }, p[POOL_B]));
    h = xr_dropout_op(t, h, m->config.hidden_dropout_prob, XR_SITE_HEAD, first);
    return xr_linear(t, h, (xr_weight){ p[OUT_W] }, p[OUT_B]);
}

static double weight(const xr_batch *batch, int n_labels)
{
    (void)n_labels;
    return (double)batch->n_group;
}

static xr_tensor *loss(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits)
{
    xr_tensor *z = forward(t, m, batch);
    if (logits)
        *logits = z;
    return xr_choice_entropy(t, z, batch->group, batch->n_group, batch->label);
}

const xr_head xr_head_multiple_choice = { "multiple_choice", "XLMRobertaForMultipleChoice", declare, forward, weight, loss, XR_READS_FIRST };
