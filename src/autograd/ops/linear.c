/* linear: y = x W^T + b
 *
 * x [N,I], W [O,I] through a weight handle, b [O] or none -> [N,O]. Saved: nothing.
 * dx = dy W,  dW += dy^T x,  db += column sums of dy.   Reference: torch.nn.Linear. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/gemm.h"

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    if (x->cols != w->cols || (b && b->cols != w->rows))
        return xr_fail(XR_ESOFTWARE, "input [%zu, %zu] does not fit weight [%zu, %zu] and bias [%zu]", x->rows, x->cols, w->rows, w->cols,
                       b ? b->cols : 0);
    out->rows = x->rows;
    out->cols = w->rows;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    xr_gemm_nt(n->x, n->in[0]->x, n->in[1]->x, n->in[2] ? n->in[2]->x : NULL, n->rows, n->cols, n->in[0]->cols, 0.0f);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    xr_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    int acc;
    float *dw = xr_grad(t, w, &acc);
    if (dw)
        xr_gemm_tn(dw, n->g, x->x, w->rows, w->cols, n->rows, acc ? 1.0f : 0.0f);
    float *db = xr_grad(t, b, &acc);
    if (db)
        xr_colsum(db, n->g, n->rows, n->cols, acc ? 1.0f : 0.0f);
    float *dx = xr_grad(t, x, &acc);
    if (dx)
        xr_gemm_nn(dx, n->g, w->x, n->rows, w->cols, w->rows, acc ? 1.0f : 0.0f);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    if (k > 1)
        return NULL;
    xr_weight w = { xr_sample_param(t, 5, 4, 2) };
    return xr_linear(t, xr_sample_input(t, 3, 4, 1), w, k == 0 ? xr_sample_param(t, 1, 5, 3) : NULL);
}

const xr_op xr_op_linear = { "linear", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_linear(xr_tape *t, xr_tensor *x, xr_weight w, xr_param *b)
{
    if (!x || !w.master)
        return NULL;
    xr_tensor *in[] = { x, &w.master->t, b ? &b->t : NULL };
    return xr_node(t, &xr_op_linear, in, 3, NULL, 0);
}
