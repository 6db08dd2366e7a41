/* Exact deferred updates of an embedding that is only looked up.
 *
 * A dense optimizer updates all 250k rows in every step, although most have a gradient of zero. Here such a row
 * waits until it is read; then the updates it missed are replayed, with the same operations in the same order, so
 * the bits are those of the dense optimizer. Moments of rows that never had a gradient are zero pages nobody
 * touches. */
#include <string.h>
#include "optim/internal.h"
#include "util/alloc.h"

static size_t moment_bytes(const xr_deferred *d) { return d->rows * d->row_bytes; }

static uint64_t now(const xr_deferred *d) { return d->base + d->n; }

xr_deferred *xr_deferred_new(const xr_rule *rule, xr_moments kind, const xr_param *p)
{
    xr_deferred *d = xr_alloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->update = rule->update[kind];
    d->rows = p->t.rows;
    d->x.cols = p->t.cols;
    d->row_bytes = p->t.cols * xr_moment_size(kind);
    d->x.x.p = p->t.x;
    d->live = xr_alloc(d->rows, sizeof *d->live);
    d->last = xr_alloc(d->rows, sizeof *d->last);
    d->job = xr_alloc(d->rows, sizeof *d->job);
    d->x.live = d->live;
    int ok = d->live && d->last && d->job;
    if (ok && rule->n_moments > 0)
        ok = (d->x.x.m = xr_map_alloc(moment_bytes(d), 0)) != NULL;
    if (ok && rule->n_moments > 1)
        ok = (d->x.x.v = xr_map_alloc(moment_bytes(d), 0)) != NULL;
    if (ok)
        return d;
    xr_deferred_free(d);
    return NULL;
}

void xr_deferred_free(xr_deferred *d)
{
    if (!d)
        return;
    if (d->x.x.m)
        xr_map_free(d->x.x.m, moment_bytes(d));
    if (d->x.x.v)
        xr_map_free(d->x.x.v, moment_bytes(d));
    xr_free(d->live);
    xr_free(d->last);
    xr_free(d->job);
    xr_free(d->steps);
    xr_free(d);
}

xr_status xr_deferred_reserve(xr_deferred *d) { return xr_grow(&d->steps, &d->cap, d->n + 1, sizeof *d->steps); }

void xr_deferred_step(xr_deferred *d, xr_rowgrad *rg, const xr_adamw_scalars *s)
{
    for (size_t i = 0; i < rg->n; i++) {
        uint32_t row = rg->row[i];
        XR_ASSERT(d->last[row] == now(d), "row %u has %u of %llu updates: it was read before xr_optim_touch", row,
                  d->last[row], (unsigned long long)now(d));
        d->last[row] = (uint32_t)now(d) + 1;
        d->live[row] = d->x.x.m != NULL;
    }
    xr_span_rows_step(d->update, &d->x, rg->row, rg->g, rg->n, s);
    d->steps[d->n++] = *s;
    d->decays |= s->decay < 1.0f || s->decay > 1.0f;
    xr_rowgrad_clear(rg);
}

/* Marks a row current; 1 if there is work to be done for that, which then is job k. */
static int enlist(xr_deferred *d, size_t row, size_t k)
{
    uint32_t had = d->last[row];
    d->last[row] = (uint32_t)now(d);
    if (had == now(d) || (!d->live[row] && !d->decays))
        return 0;
    d->job[k] = (xr_span_job){(uint32_t)row, (uint32_t)(had - d->base)};
    return 1;
}

void xr_deferred_touch(xr_deferred *d, const int32_t *id, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        XR_ASSERT(id[i] >= 0 && (size_t)id[i] < d->rows, "id %d of %zu rows", id[i], d->rows);
        k += (size_t)enlist(d, (size_t)id[i], k);
    }
    xr_span_rows_replay(d->update, &d->x, d->job, k, d->steps, d->n);
}

void xr_deferred_flush(xr_deferred *d)
{
    size_t k = 0;
    for (size_t r = 0; r < d->rows; r++)
        k += (size_t)enlist(d, r, k);
    xr_span_rows_replay(d->update, &d->x, d->job, k, d->steps, d->n);
    d->base += d->n;
    d->n = 0;
    d->decays = 0;
}

void xr_deferred_set_steps(xr_deferred *d, uint64_t steps)
{
    d->base = steps;
    d->n = 0;
    d->decays = 0;
    memset(d->live, 0, d->rows);
    for (size_t r = 0; r < d->rows; r++)
        d->last[r] = (uint32_t)steps;
    if (d->x.x.m)
        xr_span_rows_live(d->live, d->x.x.m, d->rows, d->row_bytes);
    if (d->x.x.v)
        xr_span_rows_live(d->live, d->x.x.v, d->rows, d->row_bytes);
}
