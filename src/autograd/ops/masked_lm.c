/* masked_lm: loss = sum_r -log softmax(h W^T + b)[target[r]]
 *
 * h [M,D] (masked rows only), W [V,D] tied with the word embedding, b [V] -> [1,1]. Saved: softmax probabilities [M,V] and the losses
 * [M]; storing them costs 8 bytes a logit, computing them again 2 D flops (docs/decisions.md).
 * dlogits = g (p - onehot);  dh = dlogits W;  dW += dlogits^T h;  db += column sums.
 * Reference: XLMRobertaLMHead's decoder with CrossEntropyLoss(reduction='sum'). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/gemm.h"
#include "kernels/vec.h"
#include "kernels/xent.h"

typedef struct args {
    const int32_t *target;      // [M]
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    const xr_tensor *h = n->in[0], *w = n->in[1];
    XR_ASSERT(h->cols == w->cols && n->in[2]->cols == w->rows, "hidden %zu, decoder [%zu, %zu], bias %zu", h->cols, w->rows, w->cols,
              n->in[2]->cols);
    for (size_t r = 0; a->target && r < h->rows; r++)
        if (a->target[r] < 0 || (size_t)a->target[r] >= w->rows)
            return xr_fail(XR_EDATA, "masked-LM target %d at row %zu is outside the vocabulary of %zu", a->target[r], r, w->rows);
    out->rows = out->cols = 1;
    out->saved = (h->rows * w->rows + h->rows) * sizeof(float);
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    const xr_tensor *h = n->in[0], *w = n->in[1];
    float *p = n->saved, *loss = p + h->rows * w->rows;
    xr_gemm_nt(p, h->x, w->x, n->in[2]->x, h->rows, w->rows, h->cols, 0.0f);
    xr_softmax_xent(p, loss, a->target, h->rows, w->rows);
    n->x[0] = (float)xr_vec_sum(loss, h->rows);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    xr_tensor *h = n->in[0], *w = n->in[1], *b = n->in[2];
    float *dlogits = n->saved;
    int acc;
    xr_softmax_xent_backward(dlogits, a->target, n->g[0], h->rows, w->rows);
    float *dw = xr_grad(t, w, &acc);
    if (dw)
        xr_gemm_tn(dw, dlogits, h->x, w->rows, w->cols, h->rows, acc ? 1.0f : 0.0f);
    float *db = xr_grad(t, b, &acc);
    if (db)
        xr_colsum(db, dlogits, h->rows, w->rows, acc ? 1.0f : 0.0f);
    float *dh = xr_grad(t, h, &acc);
    if (dh)
        xr_gemm_nn(dh, dlogits, w->x, h->rows, w->cols, w->rows, acc ? 1.0f : 0.0f);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const int32_t target[] = { 4, 0, 6 };
    xr_weight w = { xr_sample_param(t, 7, 5, 2) };
    return k > 0 ? NULL : xr_masked_lm(t, xr_sample_input(t, 3, 5, 1), w, xr_sample_param(t, 1, 7, 3), target);
}

const xr_op xr_op_masked_lm = { "masked_lm", shape, forward, backward, sample };

xr_tensor *xr_masked_lm(xr_tape *t, xr_tensor *h, xr_weight w, xr_param *b, const int32_t *target)
{
    if (!h || !w.master || !b)
        return NULL;
    xr_tensor *in[] = { h, &w.master->t, &b->t };
    args a = { target };
    return xr_node(t, &xr_op_masked_lm, in, 3, &a, sizeof a);
}
