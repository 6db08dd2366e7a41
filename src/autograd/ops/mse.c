/* mse: loss = sum (x - target)^2       x [B,C] -> [1,1]. dx = 2 (x - target).   Reference: torch.nn.MSELoss(reduction='sum'). */
#include "autograd/ops.h"
#include "autograd/sample.h"

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
        double d = (double)x->x[i] - (double)a->target[i];
        loss += d * d;
    }
    n->x[0] = (float)loss;
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    for (size_t i = 0; dx && i < xr_numel(x); i++)
        dx[i] = (acc ? dx[i] : 0.0f) + n->g[0] * 2.0f * (x->x[i] - a->target[i]);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const float target[] = { 0.5f, -1.0f, 2.0f };
    return k > 0 ? NULL : xr_mse(t, xr_sample_input(t, 3, 1, 1), target);
}

const xr_op xr_op_mse = { "mse", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_mse(xr_tape *t, xr_tensor *x, const float *target)
{
    args a = { target };
    return x ? xr_node(t, &xr_op_mse, &x, 1, &a, sizeof a) : NULL;
}
