#include "util/phase.h"

#include <stdio.h>
#include <string.h>
#include "util/clock.h"

typedef struct shape {
    xr_product product;
    const char *kind;
    size_t o, i;
} shape;

typedef struct phases {
    int on, now;
    double since;               /* when `now` was entered */
    double seconds[XR_PHASE_ROWS], work[XR_PHASE_ROWS];
    shape shape[XR_PHASE_SHAPES];
    int n_shape;
} phases;

static _Thread_local phases mine;

void xr_phases_start(void)
{
    memset(&mine, 0, sizeof mine);
    mine.on = 1;
    mine.since = xr_clock();
}

void xr_phases_stop(void) { mine.on = 0; }

int xr_phases_watch(int on)
{
    int before = mine.on;
    mine.on = on;
    return before;
}

static void charge(phases *p)
{
    double now = xr_clock();
    p->seconds[p->now] += now - p->since;
    p->since = now;
}

int xr_phase_enter(int phase)
{
    phases *p = &mine;
    int before = p->now;
    if (!p->on || phase == before)
        return before;
    charge(p);
    p->now = phase;
    return before;
}

/* A run has a dozen shapes: they are looked for one by one. */
static int row_of(phases *p, const shape *s)
{
    int k = 0;
    while (k < p->n_shape && (p->shape[k].o != s->o || p->shape[k].i != s->i || p->shape[k].product != s->product || p->shape[k].kind != s->kind))
        k++;
    if (k == XR_PHASE_SHAPES)
        return XR_PHASE_PRODUCTS;
    if (k == p->n_shape)
        p->shape[p->n_shape++] = *s;
    return XR_PHASE_PRODUCTS + 1 + k;
}

int xr_phase_product(xr_product product, const char *kind, size_t n, size_t o, size_t i)
{
    if (!mine.on)
        return mine.now;
    int before = xr_phase_enter(row_of(&mine, &(shape){ product, kind, o, i }));
    xr_phase_work(2.0 * (double)n * (double)o * (double)i);
    return before;
}

void xr_phase_work(double work)
{
    if (mine.on)
        mine.work[mine.now] += work;
}

static const char *const class_name[] = { "other", "loading", "data", "embedding", "attention", "elementwise", "head", "packing", "optimizer", "saving",
                                          "other products" };
static const char *const product_name[] = { "forward", "input gradient", "weight gradient" };

size_t xr_phases(xr_phase_row row[XR_PHASE_ROWS])
{
    phases *p = &mine;
    size_t n = XR_PHASE_PRODUCTS + 1 + (size_t)p->n_shape;
    if (!p->on)
        return 0;
    charge(p);
    for (size_t r = 0; r < n; r++) {
        const shape *s = r > XR_PHASE_PRODUCTS ? &p->shape[r - XR_PHASE_PRODUCTS - 1] : NULL;
        if (s)
            snprintf(row[r].name, sizeof row[r].name, "%zu x %zu %s%s%s", s->o, s->i, product_name[s->product], s->kind ? " " : "", s->kind ? s->kind : "");
        else
            snprintf(row[r].name, sizeof row[r].name, "%s", class_name[r]);
        row[r].seconds = p->seconds[r];
        row[r].work = p->work[r];
    }
    return n;
}
