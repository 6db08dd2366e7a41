/* masked_lm: hidden states of the masked rows -> linear D x D -> erf GELU -> LayerNorm -> product with the tied word embedding + bias.
 *
 * Logits exist only at batch->mask_row. Loss: cross-entropy there; weight: the number of masked tokens.
 * Reference: XLMRobertaLMHead, XLMRobertaForMaskedLM. */
#include "model/head.h"

enum { BIAS, DENSE_W, DENSE_B, NORM_W, NORM_B };

static xr_status declare(xr_model *m)
{
    size_t d = (size_t)m->config.hidden_size;
    const xr_head_row row[] = {
        [BIAS] = { "lm_head.bias", 1, 1, (size_t)m->config.vocab_size, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
        [DENSE_W] = { "lm_head.dense.weight", 2, d, d, XR_INIT_NORMAL, 0 },
        [DENSE_B] = { "lm_head.dense.bias", 1, 1, d, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
        [NORM_W] = { "lm_head.layer_norm.weight", 1, 1, d, XR_INIT_ONE, XR_PARAM_NO_DECAY },
        [NORM_B] = { "lm_head.layer_norm.bias", 1, 1, d, XR_INIT_ZERO, XR_PARAM_NO_DECAY },
    };
    return xr_head_declare(m, row, sizeof row / sizeof *row);
}

/* What the decoder multiplies: [M, D]. */
static xr_tensor *transform(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    xr_param **p = m->head_param;
    const xr_rowset *need = xr_rows_pick(t, batch, batch->mask_row, batch->n_mask);
    xr_tensor *h = xr_encode(t, m, batch, need, NULL);
    h = xr_linear(t, h, (xr_weight){ p[DENSE_W] }, NULL);
    h = xr_bias_gelu(t, h, p[DENSE_B]);
    return xr_add_norm(t, h, NULL, p[NORM_W], p[NORM_B], m->config.layer_norm_eps, 0.0f, 0, need);
}

static xr_tensor *forward(xr_tape *t, xr_model *m, const xr_batch *batch)
{
    return xr_linear(t, transform(t, m, batch), (xr_weight){ m->word }, m->head_param[BIAS]);
}

static double weight(const xr_batch *batch, int n_labels)
{
    (void)n_labels;
    return (double)batch->n_mask;
}

static xr_tensor *loss(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits)
{
    if (logits)
        *logits = NULL;     /* they exist only inside the loss */
    return xr_masked_lm(t, transform(t, m, batch), (xr_weight){ m->word }, m->head_param[BIAS], batch->mask_target, m->recompute);
}

const xr_head xr_head_masked_lm = { "masked_lm", "XLMRobertaForMaskedLM", declare, forward, weight, loss, XR_READS_TARGETS };
