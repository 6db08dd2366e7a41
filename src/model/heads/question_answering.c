/* question_answering: linear D x 2 on every row, the logits of an answer that starts and of one that ends there.
 *
 * Loss: per sequence half of both cross-entropies over its own rows (batch->span); weight: the number of sequences. No dropout, and so no row that the last
 * layer could leave out.
 * Reference: XLMRobertaForQuestionAnswering. */
#include "model/head.h"

enum { OUT_W, OUT_B };

static xr_status declare(xr_model *m)
{
    size_t d = (size_t)m->config.hidden_size;
    const xr_head_row row[] = {
        [OUT_W] = { "qa_outputs.weight", 2, 2, d, XR_INIT_NORMAL, 0 },
        [OUT_B] = { "qa_outputs.bias", 1, 1, 2, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
    };
    return xr_head_declare(m, row, sizeof row / sizeof *row);
}

static xr_tensor *forward(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    xr_tensor *h = xr_encode(t, m, batch, NULL, NULL);
    return xr_linear(t, h, (xr_weight){ m->head_param[OUT_W] }, m->head_param[OUT_B]);
}

static double weight(const xr_batch *batch, int n_labels)
{
    (void)n_labels;
    return (double)batch->rows.n_seq;
}

static xr_tensor *loss(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits)
{
    xr_tensor *z = forward(t, m, batch);
    if (logits)
        *logits = z;
    return xr_span_ce(t, z, batch->span, &batch->rows);
}

const xr_head xr_head_question_answering = { "question_answering", "XLMRobertaForQuestionAnswering", declare, forward, weight, loss, XR_READS_ALL };
