/* cross_entropy: loss = sum_b w[y] (1-e) (-log p[y]) + (e/C) sum_c w[c] (-log p[c]),   p = softmax(logits[b]), y = target[b], e = smoothing
 *
 * logits [B,C] -> [1,1]. Saved: p [B,C]. Small C: plain loops in double.
 * dlogit[c] = p[c] S - w[c] q[c], where q = (1-e) onehot + e/C and S = sum_c w[c] q[c] (w[y] in the first part).
 * Reference: torch.nn.functional.cross_entropy(reduction='sum', weight, label_smoothing). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/rows.h"

typedef struct args {
    const int32_t *target;      // [B]
    const float *weight;        // [C] or NULL
    float smoothing;
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    for (size_t b = 0; a->target && b < x->rows; b++)
        if (a->target[b] < 0 || (size_t)a->target[b] >= x->cols)
            return xr_fail(XR_EDATA, "label %d of example %zu is outside the %zu classes", a->target[b], b, x->cols);
    out->rows = out->cols = 1;
    out->saved = xr_numel(x) * sizeof(float);
    return XR_OK;
}

/* Weighted target distribution of class c. */
static double target_share(const args *a, size_t b, size_t c, size_t classes)
{
    double q = (double)a->smoothing / (double)classes + ((size_t)a->target[b] == c ? 1.0 - (double)a->smoothing : 0.0);
    return a->weight ? (double)a->weight[c] * q : q;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    float *p = n->saved;
    double loss = 0.0;
    for (size_t b = 0; b < x->rows; b++) {
        const float *logit = x->x + b * x->cols;
        double lse = (double)xr_softmax_row(p + b * x->cols, logit, x->cols);
        for (size_t c = 0; c < x->cols; c++)
            loss += target_share(a, b, c, x->cols) * (lse - (double)logit[c]);
    }
    n->x[0] = (float)loss;
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    const float *p = n->saved;
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    for (size_t b = 0; dx && b < x->rows; b++) {
        double total = 0.0;
        for (size_t c = 0; c < x->cols; c++)
            total += target_share(a, b, c, x->cols);
        for (size_t c = 0; c < x->cols; c++) {
            size_t i = b * x->cols + c;
            double d = (double)n->g[0] * ((double)p[i] * total - target_share(a, b, c, x->cols));
            dx[i] = (acc ? dx[i] : 0.0f) + (float)d;
        }
    }
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const int32_t target[] = { 2, 0, 1, 1 };
    static const float weight[] = { 0.5f, 2.0f, 1.0f };
    if (k > 2)
        return NULL;
    return xr_cross_entropy(t, xr_sample_input(t, 4, 3, 1), target, k > 0 ? weight : NULL, k > 1 ? 0.1f : 0.0f);
}

const xr_op xr_op_cross_entropy = { "cross_entropy", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_cross_entropy(xr_tape *t, xr_tensor *logits, const int32_t *target, const float *class_weight, float smoothing)
{
    args a = { target, class_weight, smoothing };
    return logits ? xr_node(t, &xr_op_cross_entropy, &logits, 1, &a, sizeof a) : NULL;
}
