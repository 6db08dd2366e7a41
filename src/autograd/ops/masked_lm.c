/* masked_lm: loss = sum_r -log softmax(h W^T + b)[target[r]]
 *
 * h [M,D] (masked rows only), W [V,D] tied with the word embedding, b [V] -> [1,1]. The logits exist tile by tile (kernels/lm_head.h).
 * Saved for backward: of each row its largest logit and the sum of exponentials; and the logits, since to read one again costs less
 * than its 2 D operations, unless `recompute` says that memory is dearer. Without gradients nothing is kept.
 * dlogits = g (p - onehot);  dh = dlogits W;  dW += dlogits^T h;  db += column sums. Where W's gradient is late (autograd/params.h) what
 * dW follows from is left for the optimizer.
 * Reference: XLMRobertaLMHead's decoder with CrossEntropyLoss(reduction='sum'). */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/cpu.h"
#include "kernels/lm_head.h"
#include "kernels/packed.h"
#include "util/alloc.h"

typedef struct args {
    const int32_t *target;      // [M]
    xr_param *w;
    int recompute, workers, bf16;
} args;

static xr_lm_head operands(const xr_tensor *n)
{
    const args *a = n->args;
    const xr_tensor *h = n->in[0], *w = n->in[1];
    return (xr_lm_head){ h->x, w->x, n->in[2]->x, a->target, h->rows, w->rows, h->cols, a->workers, a->bf16 };
}

static int keeps_logits(const xr_tensor *n) { return n->needs && !((const args *)n->args)->recompute; }

/* Rows' figures stand first, in whole cache lines. */
static size_t row_bytes(const xr_tensor *n) { return xr_whole_lines(n->in[0]->rows * sizeof(xr_lm_row)); }

static float *logits_of(const xr_tensor *n) { return keeps_logits(n) ? (float *)((char *)n->saved + row_bytes(n)) : NULL; }

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const xr_lm_head a = operands(n);
    XR_ASSERT(a.d == n->in[1]->cols && n->in[2]->cols == a.v, "hidden %zu, decoder [%zu, %zu], bias %zu", a.d, a.v, n->in[1]->cols,
              n->in[2]->cols);
    for (size_t r = 0; a.target && r < a.m; r++)
        if (a.target[r] < 0 || (size_t)a.target[r] >= a.v)
            return xr_fail(XR_EDATA, "masked-LM target %d at row %zu is outside the vocabulary of %zu", a.target[r], r, a.v);
    out->rows = out->cols = 1;
    out->saved = row_bytes(n) + (keeps_logits(n) ? xr_lm_head_logits(&a) * sizeof(float) : 0);
    out->scratch = xr_lm_head_scratch(&a, n->needs);
    return XR_OK;
}

static double product_work(const xr_lm_head *a) { return 2.0 * (double)a->m * (double)a->v * (double)a->d; }

static void forward(xr_tape *t, xr_tensor *n)
{
    const xr_lm_head a = operands(n);
    xr_phase_work(product_work(&a));
    n->x[0] = (float)xr_lm_head_forward(&a, n->saved, logits_of(n), xr_tape_scratch(t));
}

/* All that a tile of dW needs, on the tape. */
typedef struct left_behind {
    xr_lm_head a;
    const xr_lm_row *row;
    const float *logits;
    float scale;
} left_behind;

static void late_begin(const void *context, void *scratch)
{
    const left_behind *l = context;
    xr_lm_head_weight_begin(l->scale, &l->a, l->row, l->logits, scratch);
}

static void late_tile(const void *context, size_t i, int worker, float *g, void *scratch)
{
    const left_behind *l = context;
    xr_lm_head_weight_tile(g, l->scale, &l->a, l->row, l->logits, i, worker, scratch);
}

static void leave(xr_tape *t, const xr_tensor *n, xr_late_grad *late)
{
    left_behind *l = xr_tape_get(t, 1, sizeof *l);
    if (!l)
        return;
    XR_ASSERT(!late->tile, "a second pass before the update, and the gradient is late");
    *l = (left_behind){ operands(n), n->saved, logits_of(n), n->g[0] };
    xr_lm_tiles tiles = xr_lm_head_tiles(&l->a);
    late->begin = late_begin;
    late->tile = late_tile;
    late->context = l;
    late->n = tiles.n;
    late->width = tiles.width;
    late->scratch = tiles.scratch;
    late->workers = l->a.workers;
    late->work = product_work(&l->a) * (l->logits ? 1.0 : 2.0);
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const xr_lm_head a = operands(n);
    xr_lm_grads g = { .scale = n->g[0] };
    xr_late_grad *late = ((const args *)n->args)->w->late;
    if (late)
        leave(t, n, late);
    else
        g.dw = xr_grad(t, n->in[1], &g.acc_w);
    g.db = xr_grad(t, n->in[2], &g.acc_b);
    g.dh = xr_grad(t, n->in[0], &g.acc_h);
    xr_phase_work(product_work(&a) * ((g.dw != NULL) + (g.dh != NULL) + !logits_of(n)));
    xr_lm_head_backward(&g, &a, n->saved, logits_of(n), xr_tape_scratch(t));
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const int32_t target[] = { 4, 0, 6 };
    xr_weight w = { xr_sample_param(t, 7, 5, 2) };
    return k > 1 ? NULL : xr_masked_lm(t, xr_sample_input(t, 3, 5, 1), w, xr_sample_param(t, 1, 7, 3), target, k);
}

const xr_op xr_op_masked_lm = { "masked_lm", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_masked_lm(xr_tape *t, xr_tensor *h, xr_weight w, xr_param *b, const int32_t *target, int recompute)
{
    if (!h || !w.master || !b)
        return NULL;
    xr_tensor *in[] = { h, &w.master->t, &b->t };
    args a = { target, w.master, recompute, xr_threads(), w.master->pack == &xr_pack_bf16 };
    return xr_node(t, &xr_op_masked_lm, in, 3, &a, sizeof a);
}
