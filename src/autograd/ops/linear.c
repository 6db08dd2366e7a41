/* linear: y = x W^T + b;  gelu_linear: y = gelu(x + c) W^T + b
 *
 * x [N,I], W [O,I] through a weight handle, b [O] or none, c [I] or none -> [N,O]. Saved: nothing.
 * dx = dy W,  dW += dy^T x,  db += column sums of dy.   Reference: torch.nn.Linear.
 * With GELU h = gelu(x + c) stands where x does; it exists in scratch only and is computed again in backward, since it is as wide as the
 * widest activation and costs one pass to make. Then dx = dh gelu'(x + c),  dc += column sums of dx.
 * Products are of f32, or of the precision that the weight is packed in (kernels/packed.h). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "kernels/vec.h"
#include "util/alloc.h"
#include "util/phase.h"

enum { X, W, B, C };        /* inputs */

typedef struct args { xr_param *w; int gelu; } args;

static int has_gelu(const xr_tensor *n) { return ((const args *)n->args)->gelu; }

static const xr_pack_kind *pack_of(const xr_tensor *n) { return xr_pack_for(((const args *)n->args)->w->pack, n->in[X]->rows); }

/* Bytes of h, in whole cache lines: the products' own scratch follows. */
static size_t hidden_bytes(const xr_tensor *n) { return has_gelu(n) ? xr_whole_lines(xr_numel(n->in[X]) * sizeof(float)) : 0; }

static void *product_scratch(xr_tape *t, const xr_tensor *n)
{
    char *scratch = xr_tape_scratch(t);
    return scratch ? scratch + hidden_bytes(n) : NULL;
}

static size_t scratch_of(const xr_tensor *n, size_t rows, const xr_tensor *w)
{
    const xr_pack_kind *k = pack_of(n);
    size_t forward = k ? k->scratch(rows, w->rows, w->cols) : 0;
    size_t backward = k && k->grad_scratch && n->needs ? k->grad_scratch(rows, w->rows, w->cols) : 0;
    return hidden_bytes(n) + (forward > backward ? forward : backward);
}

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_tensor *x = n->in[X], *w = n->in[W], *b = n->in[B];
    if (x->cols != w->cols || (b && b->cols != w->rows))
        return xr_fail(XR_ESOFTWARE, "input [%zu, %zu] does not fit weight [%zu, %zu] and bias [%zu]", x->rows, x->cols, w->rows, w->cols,
                       b ? b->cols : 0);
    XR_ASSERT(!n->in[C] || n->in[C]->cols == x->cols, "bias of %zu for %zu columns", n->in[C]->cols, x->cols);
    out->rows = x->rows;
    out->cols = w->rows;
    out->scratch = scratch_of(n, x->rows, w);
    return XR_OK;
}

/* What W is multiplied by: x, or h made in scratch. */
static const float *operand(xr_tape *t, const xr_tensor *n)
{
    const xr_tensor *x = n->in[X], *c = n->in[C];
    if (!has_gelu(n))
        return x->x;
    float *h = xr_tape_scratch(t);
    xr_bias_gelu_forward(h, x->x, c ? c->x : NULL, x->rows, x->cols);
    return h;
}

static void multiply_packed(xr_tape *t, xr_tensor *n, const xr_pack_kind *k, const float *h, const float *bias)
{
    size_t inner = n->in[X]->cols;
    xr_param *w = ((const args *)n->args)->w;
    if (k->once && xr_param_first_product(w))
        k = k->once;
    const void *data = k->fill ? xr_param_packed(w) : w->t.x;
    if (!data) {
        xr_tape_poison(t);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_FORWARD, k->name, n->rows, n->cols, inner);
    k->multiply(n->x, h, data, bias, n->rows, n->cols, inner, 0.0f, product_scratch(t, n));
    xr_phase_enter(phase);
}

static void forward(xr_tape *t, xr_tensor *n)
{
    const float *h = operand(t, n), *bias = n->in[B] ? n->in[B]->x : NULL;
    const xr_pack_kind *k = pack_of(n);
    if (k)
        multiply_packed(t, n, k, h, bias);
    else
        xr_gemm_nt(n->x, h, n->in[W]->x, bias, n->rows, n->cols, n->in[X]->cols, 0.0f);
}

static void weight_grad(xr_tape *t, const xr_tensor *n, float *dw, float beta)
{
    const xr_pack_kind *k = pack_of(n);
    const float *h = operand(t, n);
    size_t inner = n->in[X]->cols;
    if (!k || !k->weight_grad) {
        xr_gemm_tn(dw, n->g, h, n->cols, inner, n->rows, beta);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_WEIGHT, k->name, n->rows, n->cols, inner);
    k->weight_grad(dw, n->g, h, n->cols, inner, n->rows, beta, product_scratch(t, n));
    xr_phase_enter(phase);
}

static void input_grad(xr_tape *t, const xr_tensor *n, float *dx, float beta)
{
    const xr_pack_kind *k = pack_of(n);
    const xr_tensor *w = n->in[W];
    if (!k || !k->input_grad) {
        xr_gemm_nn(dx, n->g, w->x, n->rows, w->cols, w->rows, beta);
        return;
    }
    int phase = xr_phase_product(XR_PRODUCT_INPUT, k->name, n->rows, n->cols, w->cols);
    k->input_grad(dx, n->g, w->x, n->rows, w->cols, w->rows, beta, product_scratch(t, n));
    xr_phase_enter(phase);
}

/* dh where dx shall be, or in scratch beside a gradient that is there already; then dx from it. */
static void gelu_grad(xr_tape *t, xr_tensor *n)
{
    xr_tensor *x = n->in[X], *c = n->in[C];
    const float *bias = c ? c->x : NULL;
    int acc, acc_c;
    float *dx = xr_grad(t, x, &acc), *dc = xr_grad(t, c, &acc_c), *dh = dx && !acc ? dx : xr_tape_scratch(t);
    if (!dx && !dc)
        return;
    input_grad(t, n, dh, 0.0f);
    xr_bias_gelu_backward(dh, 0, dh, x->x, bias, x->rows, x->cols);
    if (dc)
        xr_colsum(dc, dh, x->rows, x->cols, acc_c ? 1.0f : 0.0f);
    if (dx && acc)
        xr_vec_add(dx, dh, xr_numel(x));
}

static void backward(xr_tape *t, xr_tensor *n)
{
    int acc;
    float *dw = xr_grad(t, n->in[W], &acc);
    if (dw)
        weight_grad(t, n, dw, acc ? 1.0f : 0.0f);
    float *db = xr_grad(t, n->in[B], &acc);
    if (db)
        xr_colsum(db, n->g, n->rows, n->cols, acc ? 1.0f : 0.0f);
    if (has_gelu(n)) {
        gelu_grad(t, n);
        return;
    }
    float *dx = xr_grad(t, n->in[X], &acc);
    if (dx)
        input_grad(t, n, dx, acc ? 1.0f : 0.0f);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    if (k > 3)
        return NULL;
    xr_weight w = { xr_sample_param(t, 5, 4, 2) };
    xr_tensor *x = xr_sample_input(t, 3, 4, 1);
    xr_param *b = k % 2 == 0 ? xr_sample_param(t, 1, 5, 3) : NULL;
    return k < 2 ? xr_linear(t, x, w, b) : xr_gelu_linear(t, x, k == 2 ? xr_sample_param(t, 1, 4, 4) : NULL, w, b);
}

const xr_op xr_op_linear = { "linear", shape, forward, backward, sample, XR_PHASE_ELEMENTWISE };

static xr_tensor *make(xr_tape *t, xr_tensor *x, xr_param *c, xr_weight w, xr_param *b, int gelu)
{
    if (!x || !w.master)
        return NULL;
    xr_tensor *in[] = { x, &w.master->t, b ? &b->t : NULL, c ? &c->t : NULL };
    return xr_node(t, &xr_op_linear, in, 4, &(args){ w.master, gelu }, sizeof(args));
}

xr_tensor *xr_linear(xr_tape *t, xr_tensor *x, xr_weight w, xr_param *b) { return make(t, x, NULL, w, b, 0); }

xr_tensor *xr_gelu_linear(xr_tape *t, xr_tensor *x, xr_param *c, xr_weight w, xr_param *b) { return make(t, x, c, w, b, 1); }
