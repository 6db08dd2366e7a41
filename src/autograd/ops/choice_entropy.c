/* choice_entropy: loss = sum_g -log softmax(logits of group g)[target[g]],   group g = rows group[g] to group[g + 1]
 *
 * logits [M,1], group [G+1] -> [1,1]. Saved: p [M]. Groups may differ in size, which one [G,C] matrix could not hold.
 * dlogit = p - onehot.
 * Reference: torch.nn.functional.cross_entropy(reduction='sum') of each group's logits. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/rows.h"

typedef struct args {
    const uint32_t *group;      // [G + 1] ascending, from 0 to M
    size_t n;
    const int32_t *target;      // [G] row within the group
} args;

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    const xr_tensor *x = n->in[0];
    XR_ASSERT(x->cols == 1, "a choice has one logit, not %zu", x->cols);
    for (size_t g = 0; a->target && g < a->n; g++)
        if (a->target[g] < 0 || (uint32_t)a->target[g] >= a->group[g + 1] - a->group[g])
            return xr_fail(XR_EDATA, "choice %d of question %zu is outside its %u choices", a->target[g], g, a->group[g + 1] - a->group[g]);
    out->rows = out->cols = 1;
    out->saved = xr_numel(x) * sizeof(float);
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    const float *x = n->in[0]->x;
    float *p = n->saved;
    double loss = 0.0;
    for (size_t g = 0; g < a->n; g++) {
        size_t at = a->group[g];
        double lse = (double)xr_softmax_row(p + at, x + at, a->group[g + 1] - at);
        loss += lse - (double)x[at + (size_t)a->target[g]];
    }
    n->x[0] = (float)loss;
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    const float *p = n->saved;
    int acc;
    float *dx = xr_grad(t, n->in[0], &acc);
    for (size_t g = 0; dx && g < a->n; g++) {
        size_t gold = a->group[g] + (size_t)a->target[g];
        for (size_t r = a->group[g]; r < a->group[g + 1]; r++)
            dx[r] = (acc ? dx[r] : 0.0f) + n->g[0] * (p[r] - (r == gold ? 1.0f : 0.0f));
    }
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const uint32_t group[] = { 0, 2, 5, 6 };
    static const int32_t target[] = { 1, 0, 0 };
    return k == 0 ? xr_choice_entropy(t, xr_sample_input(t, 6, 1, 1), group, 3, target) : NULL;
}

const xr_op xr_op_choice_entropy = { "choice_entropy", shape, forward, backward, sample, XR_PHASE_HEAD };

xr_tensor *xr_choice_entropy(xr_tape *t, xr_tensor *logits, const uint32_t *group, size_t n, const int32_t *target)
{
    args a = { group, n, target };
    return logits ? xr_node(t, &xr_op_choice_entropy, &logits, 1, &a, sizeof a) : NULL;
}
