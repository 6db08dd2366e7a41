/* attention: o = dropout(softmax(q k^T / sqrt(K))) v, per packed sequence and head
 *
 * q [M,D] (all tokens or a pruned set), k, v [N,D] -> [M,D]. Saved: lse [M,H]; probabilities are recomputed in backward.
 * Reference: XLMRobertaSelfAttention (eager), Vaswani et al. 2017, section 3.2. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/attention.h"

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_attn_shape *a = n->args;
    const xr_tensor *q = n->in[0], *k = n->in[1], *v = n->in[2];
    XR_ASSERT(q->rows == a->q->n && k->rows == a->kv->n && v->rows == k->rows, "rows %zu, %zu, %zu against sets of %zu and %zu", q->rows,
              k->rows, v->rows, a->q->n, a->kv->n);
    XR_ASSERT(a->heads * a->head_dim == q->cols && k->cols == q->cols && v->cols == q->cols, "%zu heads for %zu columns", a->heads, q->cols);
    out->rows = q->rows;
    out->cols = q->cols;
    out->saved = q->rows * a->heads * sizeof(float);
    out->scratch = xr_attention_scratch(a) * sizeof(float);
    return XR_OK;
}

/* Of the two products forward; backward computes the scores again, and four products of gradients. */
static double product_work(const xr_attn_shape *a)
{
    double pairs = 0.0;
    for (size_t s = 0; s < a->q->n_seq; s++)
        pairs += (double)(a->q->offset[s + 1] - a->q->offset[s]) * (double)(a->kv->offset[s + 1] - a->kv->offset[s]);
    return 4.0 * pairs * (double)(a->heads * a->head_dim);
}

static void forward(xr_tape *t, xr_tensor *n)
{
    const xr_attn_shape *a = n->args;
    xr_phase_work(product_work(a));
    xr_attention_forward(n->x, n->saved, n->in[0]->x, n->in[1]->x, n->in[2]->x, a, xr_tape_scratch(t));
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const xr_attn_shape *a = n->args;
    int acc_q, acc_k, acc_v;
    float *dq = xr_grad(t, n->in[0], &acc_q);
    float *dk = xr_grad(t, n->in[1], &acc_k);
    float *dv = xr_grad(t, n->in[2], &acc_v);
    xr_phase_work(2.5 * product_work(a));
    xr_attention_backward(dq, dk, dv, acc_q, acc_k, acc_v, n->g, n->x, n->saved, n->in[0]->x, n->in[1]->x, n->in[2]->x, a,
                          xr_tape_scratch(t));
}

/* First token of each sequence as the only queries: what the last layer does for classification. */
static const xr_rowset *first_rows(xr_tape *t, size_t n_seq, const uint32_t *sample)
{
    xr_rowset *r = xr_tape_get(t, 1, sizeof *r);
    uint32_t *a = xr_tape_get(t, 3 * n_seq + 1, sizeof *a);
    if (!r || !a)
        return NULL;
    for (uint32_t b = 0; b < n_seq; b++) {
        a[b] = b;
        a[n_seq + 1 + b] = 0;
        a[2 * n_seq + 1 + b] = b;
    }
    a[n_seq] = (uint32_t)n_seq;
    *r = (xr_rowset){ n_seq, n_seq, a, sample, a + n_seq + 1, a + 2 * n_seq + 1 };
    return r;
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t len[] = { 3, 1, 5 };
    if (k > 2)
        return NULL;
    const xr_rowset *kv = xr_sample_rows(t, len, 3);
    const xr_rowset *q = !kv || k < 2 ? kv : first_rows(t, 3, kv->sample);
    if (!q)
        return NULL;
    return xr_attention(t, xr_sample_input(t, q->n, 6, 1), xr_sample_input(t, 9, 6, 2), xr_sample_input(t, 9, 6, 3), 2,
                        k > 0 ? 0.25f : 0.0f, 5, q, kv, 0);
}

const xr_op xr_op_attention = { "attention", shape, forward, backward, sample, XR_PHASE_ATTENTION };

xr_tensor *xr_attention(xr_tape *t, xr_tensor *q, xr_tensor *k, xr_tensor *v, int heads, float p, uint32_t site, const xr_rowset *rows_q,
                        const xr_rowset *rows_kv, int bf16)
{
    if (!q || !k || !v || !rows_q || !rows_kv)
        return NULL;
    xr_tensor *in[] = { q, k, v };
    xr_attn_shape a = { rows_q, rows_kv, (size_t)heads, q->cols / (size_t)heads,
                        xr_dropout_make(xr_tape_train(t) ? p : 0.0f, xr_tape_seed(t), xr_tape_step(t), site), bf16 };
    return xr_node(t, &xr_op_attention, in, 3, &a, sizeof a);
}
