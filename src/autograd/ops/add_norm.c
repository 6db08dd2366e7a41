/* add_norm: s = dropout(x) + residual;  xhat = (s - mean) / sqrt(var + eps);  y = gamma xhat + beta
 *
 * x, residual [N,D] (residual may be absent: plain LayerNorm), gamma, beta [D] -> [N,D]. Saved: nothing; x and residual are kept by those
 * who made them, so backward runs forward again, which gives xhat and 1/sqrt(var + eps) with the same bits for a pass over memory.
 * ds = (h - mean(h) - xhat mean(h xhat)) rstd with h = gamma dy;  dx = mask ds;  dresidual = ds.
 * Reference: XLMRobertaSelfOutput, XLMRobertaOutput; Ba et al. 2016. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/rows.h"

typedef struct args {
    float eps;
    xr_dropout drop;
    const xr_rowset *rows;
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0], *r = n->in[1];
    XR_ASSERT(a->rows->n == x->rows, "%zu rows described, %zu given", a->rows->n, x->rows);
    XR_ASSERT(!r || (r->rows == x->rows && r->cols == x->cols), "residual [%zu, %zu] for [%zu, %zu]", r->rows, r->cols, x->rows, x->cols);
    XR_ASSERT(n->in[2]->cols == x->cols && n->in[3]->cols == x->cols, "gamma, beta of %zu, %zu for %zu columns", n->in[2]->cols,
              n->in[3]->cols, x->cols);
    out->rows = x->rows;
    out->cols = x->cols;
    out->scratch = (x->rows * x->cols + x->rows) * sizeof(float);
    return XR_OK;
}

/* Scratch: xhat [N,D], then rstd [N]. */
static float *rstd_of(float *xhat, const xr_tensor *n) { return xhat + xr_numel(n); }

static void forward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    float *xhat = xr_tape_scratch(t);
    xr_add_norm_forward(n->x, xhat, rstd_of(xhat, n), n->in[0]->x, n->in[1] ? n->in[1]->x : NULL, n->in[2]->x, n->in[3]->x, a->rows, n->cols,
                        a->eps, &a->drop);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    int acc_x, acc_r, acc;
    float *dx = xr_grad(t, n->in[0], &acc_x);
    float *dr = xr_grad(t, n->in[1], &acc_r);
    float *dgamma = xr_grad(t, n->in[2], &acc);
    float *dbeta = xr_grad(t, n->in[3], &acc);
    float *xhat = xr_tape_scratch(t);
    forward(t, n);
    xr_add_norm_backward(dx, acc_x, dr, acc_r, dgamma, dbeta, n->g, xhat, rstd_of(xhat, n), n->in[2]->x, a->rows, n->cols, &a->drop);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t len[] = { 1, 3 };
    if (k > 2)
        return NULL;
    return xr_add_norm(t, xr_sample_input(t, 4, 10, 1), k > 0 ? xr_sample_input(t, 4, 10, 2) : NULL, xr_sample_param(t, 1, 10, 3),
                       xr_sample_param(t, 1, 10, 4), 1e-5f, k == 2 ? 0.25f : 0.0f, 9, xr_sample_rows(t, len, 2));
}

const xr_op xr_op_add_norm = { "add_norm", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_add_norm(xr_tape *t, xr_tensor *x, xr_tensor *residual, xr_param *gamma, xr_param *beta, float eps, float p, uint32_t site,
                       const xr_rowset *rows)
{
    if (!x || !gamma || !beta || !rows)
        return NULL;
    xr_tensor *in[] = { x, residual, &gamma->t, &beta->t };
    args a = { eps, xr_dropout_make(xr_tape_train(t) ? p : 0.0f, xr_tape_seed(t), xr_tape_step(t), site), rows };
    return xr_node(t, &xr_op_add_norm, in, 4, &a, sizeof a);
}
