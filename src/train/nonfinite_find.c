#include "train/nonfinite_parts.h"

#include <math.h>
#include <stdio.h>

#include "kernels/vec.h"

void xr_magnitudes_add(xr_magnitudes *m, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i];
        if (isfinite(v)) {
            m->sumsq += v * v;
            m->max = fabs(v) > m->max ? fabs(v) : m->max;
        } else {
            m->nan += isnan(v) != 0;
            m->inf += v > 0.0;
            m->minus_inf += v < 0.0;
        }
    }
}

/* --- the first of each kind ----------------------------------------------------------------------------------------- */

/* The sequence that a row of a tensor belongs to: of all tokens, of one row a sequence, or of the rows with a target; -1: it can't be told. */
static int sequence_of(const xr_batch *b, size_t rows, size_t row)
{
    if (b->mask_row && rows == b->n_mask)
        return (int)b->rows.seq[b->mask_row[row]];
    if (rows == b->rows.n)
        return (int)b->rows.seq[row];
    return rows == b->rows.n_seq ? (int)row : -1;
}

static void add_sequence(xr_finding *d, int sequence, int *last)
{
    if (sequence < 0 || sequence == *last)
        return;
    json_array_append_new(d->sequences, json_integer(sequence));
    d->sequence = d->sequence < 0 ? sequence : d->sequence;
    *last = sequence;
}

/* x is not finite. batch: what its rows are of; NULL for a parameter's. */
static void record(xr_finding *d, const float *x, size_t rows, size_t cols, const xr_batch *batch)
{
    int last = -1;
    size_t at = 0;
    while (isfinite(x[at]))
        at++;
    d->rows = rows;
    d->cols = cols;
    d->row = at / cols;
    d->col = at % cols;
    d->sequence = -1;
    d->sequences = json_array();
    xr_magnitudes_add(&d->m, x, rows * cols);
    for (size_t r = d->row; batch && r < rows; r++)
        if (!xr_vec_finite(x + r * cols, cols))
            add_sequence(d, sequence_of(batch, rows, r), &last);
}

void xr_examine_parameters(xr_examination *e)
{
    const xr_params *ps = &e->l->trainer->model->params;
    xr_finding *d = &e->found[XR_BAD_PARAMETER];
    for (size_t i = 0; i < ps->n && !d->name[0]; i++) {
        const xr_tensor *t = &ps->row[i]->t;
        if (xr_vec_finite(t->x, xr_numel(t)))
            continue;
        record(d, t->x, t->rows, t->cols, NULL);
        d->micro = -1;
        snprintf(d->name, sizeof d->name, "%s", ps->row[i]->name);
    }
}

static void look_at_activation(xr_examination *e, const xr_tensor *n)
{
    xr_finding *d = &e->found[XR_BAD_ACTIVATION];
    if (d->name[0] || xr_vec_finite(n->x, xr_numel(n)))
        return;
    record(d, n->x, n->rows, n->cols, e->batch);
    d->micro = e->micro;
    xr_tensor_name(d->name, e->l->trainer->model, n, NULL);
    e->activation = n;
}

/* Backward begins at the loss. When nothing before it was wrong, it is what was found, and no activation. */
static void look_at_loss(xr_examination *e, const xr_tensor *n)
{
    xr_finding *d = &e->found[XR_BAD_LOSS];
    e->backward = 1;
    if (e->activation == n) {
        json_decref(e->found[XR_BAD_ACTIVATION].sequences);
        e->found[XR_BAD_ACTIVATION] = (xr_finding){ 0 };
    }
    e->activation = NULL;
    if (d->name[0] || isfinite(n->x[0]))
        return;
    record(d, n->x, n->rows, n->cols, e->batch);
    d->micro = e->micro;
    xr_tensor_name(d->name, e->l->trainer->model, n, NULL);
}

static void look_at_gradient(xr_examination *e, const xr_tensor *of, const xr_tensor *by)
{
    xr_finding *d = &e->found[XR_BAD_GRADIENT];
    const float *g = of->rowgrad ? of->rowgrad->g : of->g;
    size_t rows = of->rowgrad ? of->rowgrad->n : of->rows;
    if (d->name[0] || !of->needs || !g || xr_vec_finite(g, rows * of->cols))
        return;
    record(d, g, rows, of->cols, of->op ? e->batch : NULL);
    if (of->rowgrad)
        d->row = of->rowgrad->row[d->row];
    d->rows = of->rows;
    d->micro = e->micro;
    xr_tensor_name(d->name, e->l->trainer->model, of, by);
}

void xr_examine_tensors(void *context, const xr_tensor *n, xr_direction direction)
{
    xr_examination *e = context;
    if (direction == XR_FORWARD) {
        look_at_activation(e, n);
        return;
    }
    if (!e->backward)
        look_at_loss(e, n);
    for (int k = 0; k < XR_MAX_INPUTS; k++)
        if (n->in[k])
            look_at_gradient(e, n->in[k], n);
}
