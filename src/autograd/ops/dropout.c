/* dropout: y = x * mask, mask in {0, 1/(1-p)} a function of (seed, step, sample, site, element): kernels/dropout.h.
 *
 * [N,D] -> [N,D]. Saved: nothing; backward draws the same mask again. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/dropout.h"

typedef struct args {
    xr_dropout drop;
    const xr_rowset *rows;
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    XR_ASSERT(a->rows->n == n->in[0]->rows, "%zu rows described, %zu given", a->rows->n, n->in[0]->rows);
    out->rows = n->in[0]->rows;
    out->cols = n->in[0]->cols;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    xr_dropout_apply(n->x, n->in[0]->x, &a->drop, a->rows, n->cols, 0);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    if (dx)
        xr_dropout_apply(dx, n->g, &a->drop, a->rows, n->cols, acc);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t len[] = { 2, 3 };
    return k > 0 ? NULL : xr_dropout_op(t, xr_sample_input(t, 5, 11, 1), 0.3f, 7, xr_sample_rows(t, len, 2));
}

const xr_op xr_op_dropout = { "dropout", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_dropout_op(xr_tape *t, xr_tensor *x, float p, uint32_t site, const xr_rowset *rows)
{
    if (!x || !rows || !xr_tape_train(t) || p <= 0.0f)
        return x;
    args a = { xr_dropout_make(p, xr_tape_seed(t), xr_tape_step(t), site), rows };
    return xr_node(t, &xr_op_dropout, &x, 1, &a, sizeof a);
}
