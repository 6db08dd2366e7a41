/* select: y[r] = x[index[r]]       [N,D] -> [M,D], index ascending. dx[index[r]] += dy[r]. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/vec.h"

#include <string.h>

typedef struct args {
    const uint32_t *index;      // [M]
    size_t m;
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    for (size_t r = 0; r < a->m; r++)
        XR_ASSERT(a->index[r] < n->in[0]->rows, "row %u of %zu", a->index[r], n->in[0]->rows);
    out->rows = a->m;
    out->cols = n->in[0]->cols;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    xr_rows_gather(n->x, n->in[0]->x, a->index, a->m, n->cols);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    if (!dx)
        return;
    if (!acc)
        memset(dx, 0, xr_numel(n->in[0]) * sizeof *dx);
    xr_rows_scatter_add(dx, n->g, a->index, a->m, n->cols);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t index[] = { 0, 2, 3 };
    return k > 0 ? NULL : xr_select(t, xr_sample_input(t, 5, 4, 1), index, 3);
}

const xr_op xr_op_select = { "select", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_select(xr_tape *t, xr_tensor *x, const uint32_t *index, size_t m)
{
    if (!x || !index)
        return NULL;
    args a = { index, m };
    return xr_node(t, &xr_op_select, &x, 1, &a, sizeof a);
}
