/* tanh: y = tanh(x)      [N,D] -> [N,D]. dx = dy (1 - y^2). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/vec.h"

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    out->rows = n->in[0]->rows;
    out->cols = n->in[0]->cols;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    xr_tanh_forward(n->x, n->in[0]->x, xr_numel(n));
}

static void backward(xr_tape *t, xr_tensor *n)
{
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    if (dx)
        xr_tanh_backward(dx, acc, n->g, n->x, xr_numel(n));
}

static xr_tensor *sample(xr_tape *t, int k)
{
    return k > 0 ? NULL : xr_tanh(t, xr_sample_input(t, 3, 5, 1));
}

const xr_op xr_op_tanh = { "tanh", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_tanh(xr_tape *t, xr_tensor *x)
{
    return x ? xr_node(t, &xr_op_tanh, &x, 1, NULL, 0) : NULL;
}
