/* The table of parameters: declaration, storage, initialisation, gradients.
 *
 * Values and dense gradients are cut from one block each, every slice starting on 64 bytes. Embedding tables (rows
 * that are looked up) own their mapping, so that a 250k-row table can be mapped, shared or trimmed without moving
 * the rest. */
#include "autograd/params.h"

#include <string.h>
#include "kernels/init.h"
#include "kernels/packed.h"
#include "util/alloc.h"
#include "util/phase.h"

enum { FIRST_ROWS = 64 };   /* gradient rows a list starts with */

static int lives_apart(const xr_param *p) { return (p->flags & (XR_PARAM_PAD_ROW | XR_PARAM_ROW_GRAD)) != 0; }

static size_t own_bytes(const xr_param *p) { return xr_numel(&p->t) * sizeof(float); }

/* Within a block. */
static size_t slice(const xr_param *p) { return xr_whole_lines(own_bytes(p)); }

static xr_param *row_new(const char *name, size_t rows, size_t cols)
{
    xr_param *p = xr_alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->name = xr_strdup(name);
    if (!p->name) {
        xr_free(p);
        return NULL;
    }
    p->t.rows = rows;
    p->t.cols = cols;
    return p;
}

static xr_status check_new(const xr_params *ps, const char *name, int rank, size_t rows, size_t cols)
{
    if (xr_params_find(ps, name))
        return xr_fail(XR_ESOFTWARE, "parameter %s: declared twice; every row of the table needs its own name", name);
    if (rank < 1 || rank > 2 || !rows || !cols || (rank == 1 && rows != 1))
        return xr_fail(XR_ESOFTWARE, "parameter %s: rank %d, shape %zu x %zu; expected rank 1 with one row, or rank 2",
                       name, rank, rows, cols);
    if (cols > SIZE_MAX / sizeof(float) / 2 / rows)
        return xr_fail(XR_EDATA, "parameter %s: shape %zu x %zu does not fit into memory; check config.json", name,
                       rows, cols);
    return XR_OK;
}

xr_param *xr_params_add(xr_params *ps, const char *name, int rank, size_t rows, size_t cols, xr_init init,
                        unsigned flags, int layer)
{
    if (check_new(ps, name, rank, rows, cols) < 0)
        return NULL;
    size_t own_cap = ps->cap;   /* own and row grow together; cap follows row, which grows last */
    if (xr_grow(&ps->own, &own_cap, ps->n + 1, sizeof *ps->own) < 0
        || xr_grow(&ps->row, &ps->cap, ps->n + 1, sizeof *ps->row) < 0)
        return NULL;
    xr_param *p = row_new(name, rows, cols);
    if (!p)
        return NULL;
    p->rank = rank;
    p->layer = layer;
    p->init = init;
    p->flags = flags;
    p->t.needs = !(flags & XR_PARAM_FROZEN);
    ps->own[ps->n] = NULL;
    ps->row[ps->n++] = p;
    return p;
}

xr_param *xr_params_find(const xr_params *ps, const char *name)
{
    for (size_t i = 0; i < ps->n; i++)
        if (!strcmp(ps->row[i]->name, name))
            return ps->row[i];
    return NULL;
}

size_t xr_params_count(const xr_params *ps)
{
    size_t n = 0;
    for (size_t i = 0; i < ps->n; i++)
        n += xr_numel(&ps->row[i]->t);
    return n;
}

static xr_status alloc_own(xr_params *ps, size_t i)
{
    ps->own[i] = xr_map_alloc(own_bytes(ps->row[i]), 1);
    if (!ps->own[i])
        return xr_fail_context("values of %s (%zu bytes)", ps->row[i]->name, own_bytes(ps->row[i]));
    ps->row[i]->t.x = ps->own[i];
    return XR_OK;
}

/* Rows declared after the block was cut own their storage too: a block never moves. */
xr_status xr_params_alloc(xr_params *ps)
{
    int first = !ps->values;
    size_t total = 0;
    for (size_t i = 0; i < ps->n; i++) {
        const xr_param *p = ps->row[i];
        if (!p->t.x && first && !lives_apart(p))
            total += slice(p);
    }
    if (total) {
        ps->values = xr_map_alloc(total, 1);
        if (!ps->values)
            return xr_fail_context("values of the parameters (%zu bytes)", total);
        ps->values_bytes = total;
    }
    float *next = ps->values;
    for (size_t i = 0; i < ps->n; i++) {
        xr_param *p = ps->row[i];
        if (p->t.x)
            continue;
        if (!first || lives_apart(p)) {
            XR_TRY(alloc_own(ps, i));
        } else {
            p->t.x = next;
            next += slice(p) / sizeof *next;
        }
    }
    return XR_OK;
}

static void rowgrad_free(xr_rowgrad *rg)
{
    if (!rg)
        return;
    xr_free(rg->slot);
    xr_free(rg->row);
    xr_free(rg->g);
    xr_free(rg);
}

static xr_rowgrad *rowgrad_new(size_t rows, size_t cols)
{
    xr_rowgrad *rg = xr_alloc(1, sizeof *rg);
    if (!rg)
        return NULL;
    rg->rows = rows;
    rg->cols = cols;
    rg->slot = xr_alloc(rows, sizeof *rg->slot);
    if (!rg->slot) {
        rowgrad_free(rg);
        return NULL;
    }
    memset(rg->slot, 0xff, rows * sizeof *rg->slot);
    return rg;
}

static void free_grads(xr_params *ps)
{
    for (size_t i = 0; i < ps->n; i++) {
        rowgrad_free(ps->row[i]->t.rowgrad);
        xr_free(ps->row[i]->late);
        ps->row[i]->t.rowgrad = NULL;
        ps->row[i]->t.g = NULL;
        ps->row[i]->late = NULL;
    }
    if (ps->grads)
        xr_map_free(ps->grads, ps->grads_bytes);
    ps->grads = NULL;
    ps->grads_bytes = 0;
}

static int has_dense_grad(const xr_param *p) { return !(p->flags & (XR_PARAM_FROZEN | XR_PARAM_ROW_GRAD | XR_PARAM_LATE_GRAD)); }

/* What stands in for a dense gradient. */
static xr_status alloc_other_grad(xr_param *p)
{
    if (p->flags & XR_PARAM_LATE_GRAD)
        return (p->late = xr_alloc(1, sizeof *p->late)) ? XR_OK : xr_error_status();
    p->t.rowgrad = rowgrad_new(p->t.rows, p->t.cols);
    return p->t.rowgrad ? XR_OK : xr_fail_context("gradient rows of %s", p->name);
}

/* May be called again after flags have changed (freezing, a head for which the embedding's gradient is dense). */
xr_status xr_params_alloc_grads(xr_params *ps)
{
    free_grads(ps);
    size_t total = 0;
    for (size_t i = 0; i < ps->n; i++)
        total += has_dense_grad(ps->row[i]) ? slice(ps->row[i]) : 0;
    if (total) {
        ps->grads = xr_map_alloc(total, 1);
        if (!ps->grads)
            return xr_fail_context("gradients of the parameters (%zu bytes)", total);
        ps->grads_bytes = total;
    }
    float *next = ps->grads;
    for (size_t i = 0; i < ps->n; i++) {
        xr_param *p = ps->row[i];
        p->t.needs = !(p->flags & XR_PARAM_FROZEN);
        if (has_dense_grad(p)) {
            p->t.g = next;
            next += slice(p) / sizeof *next;
        } else if (p->t.needs) {
            XR_TRY(alloc_other_grad(p));
        }
    }
    return XR_OK;
}

/* 32-bit FNV-1a of the name: the stream of a row. */
static uint32_t name_stream(const char *name)
{
    uint32_t h = 2166136261u;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

void xr_param_init(xr_param *p, float std, uint64_t seed)
{
    size_t n = xr_numel(&p->t);
    if (p->init == XR_INIT_NORMAL)
        xr_fill_normal(p->t.x, n, std, xr_rng_key(seed, XR_RNG_INIT), name_stream(p->name));
    else
        xr_fill(p->t.x, n, p->init == XR_INIT_ONE ? 1.0f : 0.0f);
    if ((p->flags & XR_PARAM_PAD_ROW) && p->t.rows > 1)
        memset(p->t.x + p->t.cols, 0, p->t.cols * sizeof(float));
    xr_param_changed(p);
}

static void packed_free(xr_packed *v)
{
    if (v->data)
        xr_map_free(v->data, v->bytes);
    memset(v, 0, sizeof *v);
}

static xr_status packed_make(xr_param *p)
{
    size_t bytes = p->pack->bytes(p->t.rows, p->t.cols);
    packed_free(&p->packed);
    void *data = xr_map_alloc(bytes, 1);
    if (!data)
        return xr_fail_context("%s copy of %s (%zu bytes)", p->pack->name ? p->pack->name : "packed", p->name, bytes);
    p->packed = (xr_packed){.kind = p->pack, .data = data, .bytes = bytes};
    return XR_OK;
}

const void *xr_param_packed(xr_param *p)
{
    xr_packed *v = &p->packed;
    if (v->kind != p->pack && packed_make(p) < 0)
        return NULL;
    if (v->version != p->version || v->values != p->t.x) {
        int phase = xr_phase_enter(XR_PHASE_PACK);
        p->pack->fill(v->data, p->t.x, p->t.rows, p->t.cols);
        xr_phase_enter(phase);
        v->version = p->version;
        v->values = p->t.x;
        if (p->mapped)
            xr_map_drop(p->t.x, own_bytes(p));
    }
    return v->data;
}

int xr_param_first_product(xr_param *p)
{
    int first = p->met != p->version + 1;
    p->met = p->version + 1;
    return first;
}

void xr_params_changed(xr_params *ps)
{
    for (size_t i = 0; i < ps->n; i++)
        xr_param_changed(ps->row[i]);
}

void xr_params_zero_grads(xr_params *ps)
{
    if (ps->grads)
        xr_fill(ps->grads, ps->grads_bytes / sizeof(float), 0.0f);
    for (size_t i = 0; i < ps->n; i++) {
        if (ps->row[i]->t.rowgrad)
            xr_rowgrad_clear(ps->row[i]->t.rowgrad);
        if (ps->row[i]->late)
            *ps->row[i]->late = (xr_late_grad){0};
    }
}

void xr_params_free(xr_params *ps)
{
    free_grads(ps);
    for (size_t i = 0; i < ps->n; i++) {
        if (ps->own[i])
            xr_map_free(ps->own[i], own_bytes(ps->row[i]));
        packed_free(&ps->row[i]->packed);
        xr_free(ps->row[i]->name);
        xr_free(ps->row[i]);
    }
    if (ps->values)
        xr_map_free(ps->values, ps->values_bytes);
    xr_free(ps->row);
    xr_free(ps->own);
    memset(ps, 0, sizeof *ps);
}

static xr_status rowgrad_reserve(xr_rowgrad *rg)
{
    if (rg->n < rg->cap)
        return XR_OK;
    size_t cap = rg->cap ? 2 * rg->cap : FIRST_ROWS;
    float *g = xr_realloc(rg->g, cap, rg->cols * sizeof *g);
    if (!g)
        return xr_fail_context("%zu gradient rows", cap);
    rg->g = g;
    uint32_t *row = xr_realloc(rg->row, cap, sizeof *row);
    if (!row)
        return xr_fail_context("%zu gradient rows", cap);
    rg->row = row;
    rg->cap = cap;
    return XR_OK;
}

float *xr_rowgrad_at(xr_rowgrad *rg, uint32_t row)
{
    XR_ASSERT(row < rg->rows, "row %u of %zu", row, rg->rows);
    if (rg->slot[row] < 0) {
        if (rowgrad_reserve(rg) < 0)
            return NULL;
        memset(rg->g + rg->n * rg->cols, 0, rg->cols * sizeof *rg->g);
        rg->row[rg->n] = row;
        rg->slot[row] = (int32_t)rg->n++;
    }
    return rg->g + (size_t)rg->slot[row] * rg->cols;
}

void xr_rowgrad_clear(xr_rowgrad *rg)
{
    for (size_t i = 0; i < rg->n; i++)
        rg->slot[rg->row[i]] = -1;
    rg->n = 0;
}
