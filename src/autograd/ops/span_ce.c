/* span_ce: loss = sum_b (-log p_b[s_b] - log q_b[e_b]) / 2,   p_b and q_b the softmax of both columns over the rows of sequence b
 *
 * logits [N,2] -> [1,1]. Saved: p and q as two columns [N,2]; scratch: one column of a sequence.
 * dlogit[r] = g (p[r] - (r = s)) / 2, and so for q.
 * Reference: XLMRobertaForQuestionAnswering's loss of one unpadded sequence; with padding, transformers' softmax counts the padding too. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/rows.h"

typedef struct args {
    const uint32_t *span;       // [B, 2] rows within the sequence
    const xr_rowset *rows;
} args;

static size_t longest(const xr_rowset *rows)
{
    size_t most = 0;
    for (size_t b = 0; b < rows->n_seq; b++) {
        size_t len = rows->offset[b + 1] - rows->offset[b];
        most = len > most ? len : most;
    }
    return most;
}

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    XR_ASSERT(x->cols == 2 && x->rows == a->rows->n, "logits [%zu, %zu] of %zu rows", x->rows, x->cols, a->rows->n);
    for (size_t k = 0; a->span && k < 2 * a->rows->n_seq; k++) {
        uint32_t len = a->rows->offset[k / 2 + 1] - a->rows->offset[k / 2];
        if (a->span[k] >= len)
            return xr_fail(XR_EDATA, "the answer's row %u lies outside sequence %zu of %u tokens", a->span[k], k / 2, len);
    }
    out->rows = out->cols = 1;
    out->saved = xr_numel(x) * sizeof(float);
    out->scratch = 2 * longest(a->rows) * sizeof(float);
    return XR_OK;
}

/* Column c of a sequence: its softmax goes to p; its loss is returned. */
static double column(float *p, const float *logit, size_t len, size_t target, float *scratch)
{
    float *z = scratch, *y = scratch + len;
    for (size_t r = 0; r < len; r++)
        z[r] = logit[2 * r];
    double lse = (double)xr_softmax_row(y, z, len);
    for (size_t r = 0; r < len; r++)
        p[2 * r] = y[r];
    return lse - (double)z[target];
}

static void forward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const float *logit = n->in[0]->x;
    float *p = n->saved;
    double loss = 0.0;
    for (size_t b = 0; b < a->rows->n_seq; b++) {
        size_t at = a->rows->offset[b], len = a->rows->offset[b + 1] - at;
        for (size_t c = 0; len && c < 2; c++)
            loss += 0.5 * column(p + 2 * at + c, logit + 2 * at + c, len, a->span[2 * b + c], xr_tape_scratch(t));
    }
    n->x[0] = (float)loss;
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const float *p = n->saved;
    float half = 0.5f * n->g[0];
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    if (!dx)
        return;
    for (size_t i = 0; i < xr_numel(n->in[0]); i++)
        dx[i] = (acc ? dx[i] : 0.0f) + half * p[i];
    for (size_t b = 0; b < a->rows->n_seq; b++)
        for (size_t c = 0; c < 2; c++)
            dx[2 * (a->rows->offset[b] + a->span[2 * b + c]) + c] -= half;
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t length[] = { 4, 1, 3 }, span[] = { 1, 3, 0, 0, 2, 2 };
    return k > 0 ? NULL : xr_span_ce(t, xr_sample_input(t, 8, 2, 1), span, xr_sample_rows(t, length, 3));
}

const xr_op xr_op_span_ce = { "span_ce", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_span_ce(xr_tape *t, xr_tensor *logits, const uint32_t *span, const xr_rowset *rows)
{
    args a = { span, rows };
    return logits && rows ? xr_node(t, &xr_op_span_ce, &logits, 1, &a, sizeof a) : NULL;
}
