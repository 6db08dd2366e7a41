/* bce: loss = sum max(x, 0) - x target + log(1 + exp(-|x|))
 *
 * x [B,C], target in [0,1] -> [1,1]. dx = sigmoid(x) - target.   Reference: torch.nn.BCEWithLogitsLoss(reduction='sum'). */
#include "autograd/ops.h"
#include "autograd/sample.h"

#include <math.h>

typedef struct args {
    const float *target;        // [B,C]
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    (void)n;
    out->rows = out->cols = 1;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    double loss = 0.0;
    for (size_t i = 0; i < xr_numel(x); i++) {
        double v = (double)x->x[i];
        loss += fmax(v, 0.0) - v * (double)a->target[i] + log1p(exp(-fabs(v)));
    }
    n->x[0] = (float)loss;
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    for (size_t i = 0; dx && i < xr_numel(x); i++) {
        double sigmoid = 1.0 / (1.0 + exp(-(double)x->x[i]));
        dx[i] = (acc ? dx[i] : 0.0f) + n->g[0] * (float)(sigmoid - (double)a->target[i]);
    }
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const float target[] = { 1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 0.0f };
    return k > 0 ? NULL : xr_bce(t, xr_sample_input(t, 2, 3, 1), target);
}

const xr_op xr_op_bce = { "bce", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_bce(xr_tape *t, xr_tensor *x, const float *target)
{
    args a = { target };
    return x ? xr_node(t, &xr_op_bce, &x, 1, &a, sizeof a) : NULL;
}
