/* embedding: y[r] = word[id[r]] + position[pos[r]] + type[0]
 *
 * word [V,D], position [P,D], type [1,D] -> [N,D]. Saved: nothing. The pad rows get no gradient (torch padding_idx).
 * Reference: XLMRobertaEmbeddings.forward before LayerNorm. */
#include "autograd/ops.h"
#include "autograd/sample.h"
#include "kernels/vec.h"

#include <string.h>

typedef struct args {
    const int32_t *id, *pos;    // [N]
    size_t n;
    const xr_param *word, *position;
} args;

static xr_status check_range(const char *what, const int32_t *v, size_t n, size_t rows)
{
    for (size_t r = 0; v && r < n; r++)
        if (v[r] < 0 || (size_t)v[r] >= rows)
            return xr_fail(XR_EDATA, "%s %d at row %zu is outside the table of %zu rows", what, v[r], r, rows);
    return XR_OK;
}

static xr_status shape(const xr_tensor *n, xr_shape *out)
{
    const args *a = n->args;
    size_t d = n->in[0]->cols;
    XR_ASSERT(n->in[1]->cols == d && n->in[2]->cols == d, "tables of %zu, %zu, %zu columns", d, n->in[1]->cols, n->in[2]->cols);
    XR_TRY(check_range("token id", a->id, a->n, n->in[0]->rows));
    XR_TRY(check_range("position", a->pos, a->n, n->in[1]->rows));
    out->rows = a->n;
    out->cols = d;
    return XR_OK;
}

static void forward(xr_tape *t, xr_tensor *n)
{
    (void)t;
    const args *a = n->args;
    size_t d = n->cols;
    for (size_t r = 0; r < n->rows; r++) {
        float *y = n->x + r * d;
        const float *w = n->in[0]->x + (size_t)a->id[r] * d;
        const float *p = n->in[1]->x + (size_t)a->pos[r] * d;
        const float *s = n->in[2]->x;
        for (size_t j = 0; j < d; j++)
            y[j] = w[j] + s[j] + p[j];
    }
}

static int has_grad(const xr_param *p, uint32_t row)
{
    enum { PAD = 1 };
    return p->t.needs && !(row == PAD && (p->flags & XR_PARAM_PAD_ROW));
}

/* The gradient row of table row `row`, or NULL where none is wanted. */
static float *grad_row(xr_tape *t, const xr_param *p, float *dense, uint32_t row)
{
    if (p->late || !has_grad(p, row))
        return NULL;
    if (!p->t.rowgrad)
        return dense + (size_t)row * p->t.cols;
    float *g = xr_rowgrad_at(p->t.rowgrad, row);
    if (!g)
        xr_tape_poison(t);
    return g;
}

/* Leaves dy where it is for the optimizer, which adds it to the rows. */
static void leave(xr_tape *t, xr_tensor *n, xr_late_grad *late)
{
    const args *a = n->args;
    int32_t *id = xr_tape_get(t, n->rows, sizeof *id);
    if (!id)
        return;
    for (size_t r = 0; r < n->rows; r++)
        id[r] = has_grad(a->word, (uint32_t)a->id[r]) ? a->id[r] : -1;
    late->id = id;
    late->dy = n->g;
    late->n_ids = n->rows;
    n->g = NULL;            /* not for the pool */
}

static void backward(xr_tape *t, xr_tensor *n)
{
    const args *a = n->args;
    size_t d = n->cols;
    int acc, apart = a->word->t.rowgrad || a->word->late;
    float *dword = apart ? NULL : xr_grad(t, n->in[0], &acc);
    float *dposition = xr_grad(t, n->in[1], &acc);
    float *dtype = xr_grad(t, n->in[2], &acc);
    for (size_t r = 0; r < n->rows && xr_tape_status(t) == XR_OK; r++) {
        const float *dy = n->g + r * d;
        float *gw = grad_row(t, a->word, dword, (uint32_t)a->id[r]);
        float *gp = grad_row(t, a->position, dposition, (uint32_t)a->pos[r]);
        if (gw)
            xr_vec_add(gw, dy, d);
        if (gp)
            xr_vec_add(gp, dy, d);
        if (dtype)
            xr_vec_add(dtype, dy, d);
    }
    if (a->word->late)
        leave(t, n, a->word->late);
}

static xr_tensor *sample(xr_tape *t, int k)
{
    static const int32_t id[] = { 0, 5, 3, 5, 2 }, pos[] = { 2, 3, 4, 2, 3 };
    return k > 0 ? NULL : xr_embedding(t, xr_sample_param(t, 7, 6, 1), xr_sample_param(t, 5, 6, 2), xr_sample_param(t, 1, 6, 3), id, pos, 5);
}

const xr_op xr_op_embedding = { "embedding", shape, forward, backward, sample, XR_PHASE_EMBEDDING };

xr_tensor *xr_embedding(xr_tape *t, xr_param *word, xr_param *position, xr_param *type, const int32_t *id, const int32_t *pos, size_t n)
{
    if (!word || !position || !type)
        return NULL;
    xr_tensor *in[] = { &word->t, &position->t, &type->t };
    args a = { id, pos, n, word, position };
    return xr_node(t, &xr_op_embedding, in, 3, &a, sizeof a);
}
