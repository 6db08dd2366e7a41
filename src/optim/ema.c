#include "optim/ema.h"

#include <string.h>

#include "kernels/vec.h"
#include "util/alloc.h"

struct xr_ema {
    xr_params *ps;
    double decay;
    size_t n;           /* rows of the table when it was made */
    float **row;        // [n] into block
    float *block;
    size_t bytes;
};

static int is_averaged(const xr_param *p) { return !(p->flags & XR_PARAM_FROZEN); }

static size_t slice(const xr_param *p) { return xr_whole_lines(xr_numel(&p->t) * sizeof(float)); }

static xr_status init(xr_ema *e)
{
    for (size_t i = 0; i < e->n; i++)
        e->bytes += is_averaged(e->ps->row[i]) ? slice(e->ps->row[i]) : 0;
    e->row = xr_alloc(e->n, sizeof *e->row);
    e->block = e->row && e->bytes ? xr_map_alloc(e->bytes, 1) : NULL;
    if (!e->row || (e->bytes && !e->block))
        return xr_fail_context("average of the weights (%zu bytes)", e->bytes);
    float *next = e->block;
    for (size_t i = 0; i < e->n; i++) {
        const xr_tensor *t = &e->ps->row[i]->t;
        if (!is_averaged(e->ps->row[i]))
            continue;
        e->row[i] = next;
        xr_vec_copy(next, t->x, xr_numel(t), 0);
        next += slice(e->ps->row[i]) / sizeof *next;
    }
    return XR_OK;
}

xr_ema *xr_ema_new(xr_params *ps, double decay)
{
    xr_ema *e = xr_alloc(1, sizeof *e);
    if (!e)
        return NULL;
    *e = (xr_ema){ .ps = ps, .decay = decay, .n = ps->n };
    if (init(e) == XR_OK)
        return e;
    xr_ema_free(e);
    return NULL;
}

void xr_ema_free(xr_ema *e)
{
    if (!e)
        return;
    if (e->block)
        xr_map_free(e->block, e->bytes);
    xr_free(e->row);
    xr_free(e);
}

static double share_of_new(double decay, uint64_t step)
{
    double early = (1.0 + (double)step) / (10.0 + (double)step);
    return 1.0 - (early < decay ? early : decay);
}

void xr_ema_update(xr_ema *e, uint64_t step)
{
    float share = (float)share_of_new(e->decay, step);
    for (size_t i = 0; i < e->n; i++)
        if (e->row[i])
            xr_vec_approach(e->row[i], e->ps->row[i]->t.x, xr_numel(&e->ps->row[i]->t), share);
}

void xr_ema_swap(xr_ema *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->row[i])
            xr_vec_swap(e->row[i], e->ps->row[i]->t.x, xr_numel(&e->ps->row[i]->t));
    xr_params_changed(e->ps);
}

float *xr_ema_row(xr_ema *e, size_t param)
{
    XR_ASSERT(param < e->n, "average of row %zu of %zu", param, e->n);
    return e->row[param];
}
