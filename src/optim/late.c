/* Updates of a parameter whose gradient is made while they are computed: tile by tile, in a buffer that stays in cache, each element with
 * the operations and in the order of a dense gradient. */
#include <string.h>
#include "kernels/gemm.h"
#include "optim/internal.h"
#include "util/alloc.h"
#include "util/phase.h"

typedef struct pass {
    xr_span_update update;
    const xr_adamw_scalars *s;
    const xr_param *p;
    xr_span x;
    xr_late *late;
} pass;

static size_t tile_floats(const xr_param *p) { return p->late->width * p->t.cols; }

xr_status xr_late_reserve(xr_late *l, const xr_param *p)
{
    const xr_late_grad *g = p->late;
    XR_ASSERT(g->tile, "%s: no pass has left a gradient", p->name);
    size_t scratch = xr_whole_lines(g->scratch), need = scratch + (size_t)g->workers * tile_floats(p) * sizeof(float);
    if (need > l->bytes) {
        xr_late_free(l);
        if (!(l->memory = xr_map_alloc(need, 1)))
            return xr_fail_context("the gradient of %s by tiles", p->name);
        l->bytes = need;
    }
    l->tile = (float *)(void *)((char *)l->memory + scratch);
    return xr_grow(&l->sumsq, &l->cap, g->n, sizeof *l->sumsq);
}

void xr_late_free(xr_late *l)
{
    if (l->memory)
        xr_map_free(l->memory, l->bytes);
    xr_free(l->sumsq);
    *l = (xr_late){0};
}

/* Rows [first, end) of the gradient stand in g. */
static void add_looked_up(float *g, const xr_param *p, size_t first, size_t end)
{
    const xr_late_grad *late = p->late;
    size_t cols = p->t.cols;
    for (size_t k = 0; k < late->n_ids; k++)
        if (late->id[k] >= 0 && (size_t)late->id[k] >= first && (size_t)late->id[k] < end)
            xr_vec_add(g + ((size_t)late->id[k] - first) * cols, late->dy + k * cols, cols);
}

/* Tile i of the gradient in the worker's buffer, from element *at of the parameter on, n of them. */
static float *make_tile(const xr_late *l, const xr_param *p, size_t i, int worker, size_t *at, size_t *n)
{
    const xr_late_grad *late = p->late;
    size_t first = i * late->width, end = first + late->width < p->t.rows ? first + late->width : p->t.rows;
    float *g = l->tile + (size_t)worker * tile_floats(p);
    late->tile(late->context, i, worker, g, l->memory);
    add_looked_up(g, p, first, end);
    *at = first * p->t.cols;
    *n = (end - first) * p->t.cols;
    return g;
}

static void each_tile(const xr_late *l, const xr_param *p, void (*body)(void *context, size_t i, int worker), void *context)
{
    const xr_late_grad *late = p->late;
    xr_phase_work(late->work);
    late->begin(late->context, l->memory);
    xr_gemm_parallel(late->n, late->workers, body, context);
}

static void update_tile(void *context, size_t i, int worker)
{
    const pass *a = context;
    size_t at, n;
    float *g = make_tile(a->late, a->p, i, worker, &at, &n);
    a->late->sumsq[i] = xr_vec_sumsq(g, n);
    a->update(&a->x, at, g, n, a->s);
}

double xr_late_step(xr_late *l, xr_span_update update, const xr_param *p, void *const moment[2], const xr_adamw_scalars *s)
{
    pass a = {update, s, p, {p->t.x, moment[0], moment[1]}, l};
    double sum = 0.0;
    each_tile(l, p, update_tile, &a);
    for (size_t i = 0; i < p->late->n; i++)
        sum += l->sumsq[i];
    *p->late = (xr_late_grad){0};
    return sum;
}

typedef struct look { const xr_late *late; const xr_param *p; xr_late_visit *visit; void *context; } look;

static void look_at_tile(void *context, size_t i, int worker)
{
    const look *a = context;
    size_t at, n;
    const float *g = make_tile(a->late, a->p, i, worker, &at, &n);
    a->visit(a->context, i, g, n);
}

void xr_late_look(xr_late *l, const xr_param *p, xr_late_visit *visit, void *context)
{
    look a = {l, p, visit, context};
    each_tile(l, p, look_at_tile, &a);
}
