/* linear: y = x W^T + b
 *
 * x [N,I], W [O,I] through a weight handle, b [O] or none -> [N,O]. Saved: nothing.
 * dx = dy W,  dW += dy^T x,  db += column sums of dy.   Reference: torch.nn.Linear.
 * Products are of f32, or of the precision that the weight is packed in (kernels/packed.h). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "util/phase.h"

typedef struct args { xr_param *w; } args;

static const xr_pack_kind *pack_of(const xr_tensor *n) { return ((const args *)n->args)->w->pack; }

static size_t scratch_of(const xr_tensor *n, size_t rows, const xr_tensor *w)
{
    const xr_pack_kind *k = pack_of(n);
    size_t forward = k ? k->scratch(rows, w->rows, w->cols) : 0;
    size_t backward = k && k->grad_scratch && n->needs ? k->grad_scratch(rows, w->rows, w->cols) : 0;
    return forward > backward ? forward : backward;
}

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_tensor *x = n->in[0], *w = n->in[1], *b = n->in[2];
    if (x->cols != w->cols || (b && b->cols != w->rows))
        return xr_fail(XR_ESOFTWARE, "input [%zu, %zu] does not fit weight [%zu, %zu] and bias [%zu]", x->rows, x->cols, w->rows, w->cols,
                       b ? b->cols : 0);
    out->rows = x->rows;
    out->cols = w->rows;
    out->scratch = scratch_of(n, x->rows, w);
    return XR_OK;
}

static void multiply_packed(xr_tape *t, xr_tensor *n, const xr_pack_kind *k, const float *bias)
{
    const xr_tensor *x = n->in[0];
    const void *data = xr_param_packed(((const args *)n->args)->w);
    if (!data) {
        xr_tape_poison(t);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_FORWARD, k->name, n->rows, n->cols, x->cols);
    k->multiply(n->x, x->x, data, bias, n->rows, n->cols, x->cols, 0.0f, xr_tape_scratch(t));
    xr_phase_enter(phase);
}

static void forward(xr_tape *t, xr_tensor *n)
{
    const xr_tensor *x = n->in[0], *b = n->in[2];
    const xr_pack_kind *k = pack_of(n);
    if (k)
        multiply_packed(t, n, k, b ? b->x : NULL);
    else
        xr_gemm_nt(n->x, x->x, n->in[1]->x, b ? b->x : NULL, n->rows, n->cols, x->cols, 0.0f);
}

static void weight_grad(xr_tape *t, const xr_tensor *n, float *dw, float beta)
{
    const xr_pack_kind *k = pack_of(n);
    const xr_tensor *x = n->in[0];
    if (!k || !k->weight_grad) {
        xr_gemm_tn(dw, n->g, x->x, n->cols, x->cols, n->rows, beta);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_WEIGHT, k->name, n->rows, n->cols, x->cols);
    k->weight_grad(dw, n->g, x->x, n->cols, x->cols, n->rows, beta, xr_tape_scratch(t));
    xr_phase_enter(phase);
}

static void input_grad(xr_tape *t, const xr_tensor *n, float *dx, float beta)
{
    const xr_pack_kind *k = pack_of(n);
    const xr_tensor *w = n->in[1];
    if (!k || !k->input_grad) {
        xr_gemm_nn(dx, n->g, w->x, n->rows, w->cols, w->rows, beta);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_INPUT, k->name, n->rows, n->cols, w->cols);
    k->input_grad(dx, n->g, w->x, n->rows, w->cols, w->rows, beta, xr_tape_scratch(t));
    xr_phase_enter(phase);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    int acc;
    float *dw = xr_grad(t, n->in[1], &acc);
    if (dw)
        weight_grad(t, n, dw, acc ? 1.0f : 0.0f);
    float *db = xr_grad(t, n->in[2], &acc);
    if (db)
        xr_colsum(db, n->g, n->rows, n->cols, acc ? 1.0f : 0.0f);
    float *dx = xr_grad(t, n->in[0], &acc);
    if (dx)
        input_grad(t, n, dx, acc ? 1.0f : 0.0f);
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
    return xr_node(t, &xr_op_linear, in, 3, &(args){w.master}, sizeof(args));
}
