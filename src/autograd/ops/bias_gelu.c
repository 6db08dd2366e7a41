/* bias_gelu: u = x + b;  y = u Phi(u) = 0.5 u (1 + erf(u / sqrt 2))
 *
 * x [N,D], b [D] or none -> [N,D]. Saved: nothing; u is recomputed from x. dx = dy (Phi(u) + u phi(u)), db += column sums of dx.
 * Reference: Hendrycks & Gimpel 2016, the erf form (transformers' "gelu", not "gelu_new"). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/gemm.h"
#include "kernels/vec.h"

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_tensor *x = n->in[0], *b = n->in[1];
    XR_ASSERT(!b || b->cols == x->cols, "bias of %zu for %zu columns", b->cols, x->cols);
    out->rows = x->rows;
    out->cols = x->cols;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    xr_bias_gelu_forward(n->x, n->in[0]->x, n->in[1] ? n->in[1]->x : NULL, n->rows, n->cols);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    xr_tensor *x = n->in[0], *b = n->in[1];
    int acc;
    xr_bias_gelu_backward(n->g, 0, n->g, x->x, b ? b->x : NULL, n->rows, n->cols);
    float *db = xr_grad(t, b, &acc);
    if (db)
        xr_colsum(db, n->g, n->rows, n->cols, acc ? 1.0f : 0.0f);
    xr_grad_pass(t, n, x);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    if (k > 1)
        return NULL;
    return xr_bias_gelu(t, xr_sample_input(t, 3, 5, 1), k == 0 ? xr_sample_param(t, 1, 5, 2) : NULL);
}

const xr_op xr_op_bias_gelu = { "bias_gelu", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_bias_gelu(xr_tape *t, xr_tensor *x, xr_param *b)
{
    if (!x)
        return NULL;
    xr_tensor *in[] = { x, b ? &b->t : NULL };
    return xr_node(t, &xr_op_bias_gelu, in, 2, NULL, 0);
}
