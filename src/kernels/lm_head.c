#include "kernels/lm_head.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/packed_words.h"
#include "kernels/sizes.h"
#include "kernels/vec.h"

/* Words of the vocabulary are rows, rows of h columns, padded to whole vectors; those beyond M hold nothing of use. So W is the operand that products
 * take as it stands, and h, packed once for a whole pass, the other one; only for the gradient of h a tile of W is packed. */
enum {
    WIDTH = 480,        /* words of a tile at most: whole units and slabs, and one block of a sum (packed_words.c) */
    UNIT = 48,          /* widths are multiples of the rows that a product takes at a time (packed_words.c) */
    SLAB = 96,          /* words whose logits are used while they are in cache */
    GROUPS = 32         /* runs of tiles whose share of dh is summed apart; as many threads can work in backward */
};

static size_t columns_of(const xr_lm_head *a) { return xr_ceil_div(a->m, XR_COLUMN_UNIT) * XR_COLUMN_UNIT; }

typedef struct tiling { size_t width, n, groups; } tiling;

/* Tiles of one width but for the last, as evenly over the groups as their number allows. */
static tiling tiling_of(size_t v)
{
    size_t groups = v < (size_t)GROUPS * WIDTH ? xr_ceil_div(v, WIDTH) : GROUPS;
    size_t n = groups * xr_ceil_div(v, groups * WIDTH);
    tiling t = {.width = xr_ceil_div(xr_ceil_div(v, n), UNIT) * UNIT};
    t.n = xr_ceil_div(v, t.width);
    t.groups = groups < t.n ? groups : t.n;
    return t;
}

/* One call's operands and its pieces of scratch. */
typedef struct pass {
    const xr_lm_head *a;
    const xr_isa_words *isa;
    tiling t;
    size_t ld;                  /* columns: M, padded */
    const xr_lm_row *row;       // [M] backward
    const xr_lm_grads *g;       /* backward */
    float *logits;              // [V,ld], or NULL
    const float *kept;          /* the same, read by backward */
    uint32_t *across, *along;   /* h packed for sums over D, over M */
    float *top, *scale;         // [ld] backward: a row's largest logit, what its exponentials are multiplied by
    char *own;                  // [workers] of own_bytes: logits or slopes [width,ld], packed rows of W
    float *max, *sum;           // [n,ld] forward: of each row within each tile
    float *at_target;           // [ld] forward
    float *dh;                  // [groups,M,D] backward
} pass;

static const xr_isa_words *words_of(const xr_lm_head *a) { return a->bf16 ? xr_kernels()->bf16 : xr_kernels()->f32; }
static size_t tile_floats(const xr_lm_head *a, const tiling *t) { return t->width * columns_of(a); }
static size_t own_bytes(const xr_lm_head *a, const tiling *t)
{
    return tile_floats(a, t) * sizeof(float) + xr_words_bytes(words_of(a), t->width, a->d);
}
/* In whole cache lines. */
static size_t dh_floats(const xr_lm_head *a) { return columns_of(a) * a->d; }
static size_t across_bytes(const xr_lm_head *a) { return xr_words_bytes(words_of(a), a->d, a->m); }
static size_t along_bytes(const xr_lm_head *a) { return xr_words_bytes(words_of(a), a->m, a->d); }

/* What all but the groups' or tiles' figures takes. */
static size_t shared_bytes(const xr_lm_head *a, const tiling *t)
{
    return across_bytes(a) + along_bytes(a) + 2 * columns_of(a) * sizeof(float) + (size_t)a->workers * own_bytes(a, t);
}

size_t xr_lm_head_logits(const xr_lm_head *a) { return a->v * columns_of(a); }

size_t xr_lm_head_scratch(const xr_lm_head *a, int grad)
{
    tiling t = tiling_of(a->v);
    size_t forward = (2 * t.n + 1) * columns_of(a), backward = grad ? t.groups * dh_floats(a) : 0;
    return shared_bytes(a, &t) + (forward > backward ? forward : backward) * sizeof(float);
}

static pass pass_make(const xr_lm_head *a, void *scratch)
{
    pass p = {.a = a, .isa = words_of(a), .t = tiling_of(a->v), .ld = columns_of(a)};
    char *at = scratch;
    p.across = (uint32_t *)(void *)at;
    p.along = (uint32_t *)(void *)(at += across_bytes(a));
    p.top = (float *)(void *)(at += along_bytes(a));
    p.scale = p.top + p.ld;
    p.own = (char *)(p.scale + p.ld);
    p.max = p.dh = (float *)(void *)(p.own + (size_t)a->workers * own_bytes(a, &p.t));
    p.sum = p.max + p.t.n * p.ld;
    p.at_target = p.sum + p.t.n * p.ld;
    return p;
}

/* Words [first, first + n) of the vocabulary. */
typedef struct run { size_t first, n; } run;

static run run_at(const pass *p, size_t i, size_t width) { return (run){i * width, xr_least(width, p->a->v - i * width)}; }

static float *buffer_of(const pass *p, int worker) { return (float *)(void *)(p->own + (size_t)worker * own_bytes(p->a, &p->t)); }
static uint32_t *packed_of(const pass *p, int worker) { return (uint32_t *)(void *)(buffer_of(p, worker) + tile_floats(p->a, &p->t)); }

/* Place of row r's target within the run; its number of words or more when it is elsewhere. */
static size_t target_in(const pass *p, const run *w, size_t r) { return (size_t)p->a->target[r] - w->first; }

/* z = W h^T + b for some words. */
static void multiply_logits(const pass *p, const run *w, float *z)
{
    const xr_lm_head *a = p->a;
    for (size_t k = 0; k < w->n; k++)
        for (size_t r = 0; r < p->ld; r++)
            z[k * p->ld + r] = a->b[w->first + k];
    xr_words_multiply(&(xr_words_product){.isa = p->isa, .a = a->w + w->first * a->d, .lda = a->d, .b = p->across, .c = z, .rows = w->n, .cols = p->ld,
                                          .inner = a->d, .beta = 1.0f}, 1);
}

static void forward_slab(const pass *p, const run *w, float *z, float *max, float *sum)
{
    multiply_logits(p, w, z);
    xr_kernels()->rows->expsum(max, sum, z, w->n, p->ld);
    for (size_t r = 0; r < p->a->m; r++)
        if (target_in(p, w, r) < w->n)
            p->at_target[r] = z[target_in(p, w, r) * p->ld + r];
}

static void forward_tile(void *context, size_t i, int worker)
{
    const pass *p = context;
    run t = run_at(p, i, p->t.width);
    float *max = p->max + i * p->ld, *sum = p->sum + i * p->ld;
    for (size_t r = 0; r < p->ld; r++) {
        max[r] = -INFINITY;
        sum[r] = 0.0f;
    }
    for (size_t k = 0; k < t.n; k += SLAB) {
        run w = {t.first + k, xr_least(SLAB, t.n - k)};
        forward_slab(p, &w, p->logits ? p->logits + w.first * p->ld : buffer_of(p, worker), max, sum);
    }
}

/* A row's figures from those of its tiles, in their order. */
static xr_lm_row join(const pass *p, size_t r)
{
    xr_lm_row row = {0.0, -INFINITY};
    for (size_t i = 0; i < p->t.n; i++)
        row.max = p->max[i * p->ld + r] > row.max ? p->max[i * p->ld + r] : row.max;
    for (size_t i = 0; i < p->t.n; i++)
        row.sum += (double)p->sum[i * p->ld + r] * exp((double)p->max[i * p->ld + r] - (double)row.max);
    return row;
}

double xr_lm_head_forward(const xr_lm_head *a, xr_lm_row *row, float *logits, void *scratch)
{
    pass p = pass_make(a, scratch);
    p.logits = logits;
    xr_words_pack_transposed(p.isa, p.across, a->h, a->d, a->m, a->workers);
    xr_gemm_parallel(p.t.n, a->workers, forward_tile, &p);
    double loss = 0.0;
    for (size_t r = 0; r < a->m; r++) {
        row[r] = join(&p, r);
        loss += (double)row[r].max + log(row[r].sum) - (double)p.at_target[r];
    }
    return loss;
}

static pass backward_pass(const xr_lm_head *a, const xr_lm_grads *g, const xr_lm_row *row, const float *logits, void *scratch)
{
    pass p = pass_make(a, scratch);
    p.g = g;
    p.row = row;
    p.kept = logits;
    return p;
}

/* What every tile of backward reads. Columns beyond M get slopes of zero. */
static void prepare(const pass *p)
{
    const xr_lm_head *a = p->a;
    for (size_t r = 0; r < p->ld; r++) {
        p->top[r] = r < a->m ? p->row[r].max : INFINITY;
        p->scale[r] = r < a->m ? (float)((double)p->g->scale / p->row[r].sum) : 0.0f;
    }
    xr_words_pack(p->isa, p->along, a->h, a->m, a->d, a->workers);
    if (!p->kept)
        xr_words_pack_transposed(p->isa, p->across, a->h, a->d, a->m, a->workers);
}

/* y = scale (softmax(z) - onehot(target)), from what forward left: kept logits, or logits computed again. */
static void slope(const pass *p, const run *w, float *y)
{
    if (!p->kept)
        multiply_logits(p, w, y);
    xr_kernels()->rows->expscale(y, p->kept ? p->kept + w->first * p->ld : y, p->top, p->scale, w->n, p->ld);
    for (size_t r = 0; r < p->a->m; r++)
        if (target_in(p, w, r) < w->n)
            y[target_in(p, w, r) * p->ld + r] -= p->g->scale;
}

/* dw = y h, for the rows of W that stand there. */
static void weight_grad(const pass *p, size_t words, float *dw, const float *y, float beta)
{
    const xr_lm_head *a = p->a;
    xr_words_multiply(&(xr_words_product){.isa = p->isa, .a = y, .lda = p->ld, .b = p->along, .c = dw, .rows = words, .cols = a->d, .inner = a->m,
                                          .beta = beta}, 1);
}

/* dh = y^T W, where W is what is packed: of its columns no vector is cut. */
static void input_grad(const pass *p, const run *w, float *dh, const float *y, int worker, float beta)
{
    const xr_lm_head *a = p->a;
    xr_words_pack(p->isa, packed_of(p, worker), a->w + w->first * a->d, w->n, a->d, 1);
    xr_words_multiply(&(xr_words_product){.isa = p->isa, .a = y, .lda = p->ld, .across = 1, .b = packed_of(p, worker), .c = dh, .rows = a->m,
                                          .cols = a->d, .inner = w->n, .beta = beta}, 1);
}

static void bias_grad(const pass *p, const run *w, const float *y)
{
    for (size_t k = 0; k < w->n; k++) {
        float sum = (float)xr_kernels()->vec->sum(y + k * p->ld, p->a->m);
        p->g->db[w->first + k] = p->g->acc_b ? p->g->db[w->first + k] + sum : sum;
    }
}

static void backward_tile(const pass *p, size_t i, int worker, float *dh, float beta)
{
    const xr_lm_grads *g = p->g;
    run t = run_at(p, i, p->t.width);
    float *y = buffer_of(p, worker);
    slope(p, &t, y);
    if (g->db)
        bias_grad(p, &t, y);
    if (g->dw)
        weight_grad(p, t.n, g->dw + t.first * p->a->d, y, g->acc_w ? 1.0f : 0.0f);
    if (g->dh)
        input_grad(p, &t, dh, y, worker, beta);
}

static void backward_group(void *context, size_t group, int worker)
{
    const pass *p = context;
    size_t first = group * p->t.n / p->t.groups, end = (group + 1) * p->t.n / p->t.groups;
    for (size_t i = first; i < end; i++)
        backward_tile(p, i, worker, p->dh + group * dh_floats(p->a), i > first ? 1.0f : 0.0f);
}

/* A tree over the groups, whose shape is that of their number. */
static void sum_groups(const pass *p)
{
    size_t size = p->a->m * p->a->d, step = dh_floats(p->a);
    for (size_t apart = 1; apart < p->t.groups; apart *= 2)
        for (size_t k = 0; k + apart < p->t.groups; k += 2 * apart)
            xr_vec_add(p->dh + k * step, p->dh + (k + apart) * step, size);
    xr_vec_copy(p->g->dh, p->dh, size, p->g->acc_h);
}

void xr_lm_head_backward(const xr_lm_grads *g, const xr_lm_head *a, const xr_lm_row *row, const float *logits, void *scratch)
{
    pass p = backward_pass(a, g, row, logits, scratch);
    prepare(&p);
    xr_gemm_parallel(p.t.groups, a->workers, backward_group, &p);
    if (g->dh)
        sum_groups(&p);
}

xr_lm_tiles xr_lm_head_tiles(const xr_lm_head *a)
{
    tiling t = tiling_of(a->v);
    return (xr_lm_tiles){xr_ceil_div(a->v, SLAB), SLAB, shared_bytes(a, &t)};
}

void xr_lm_head_weight_begin(float scale, const xr_lm_head *a, const xr_lm_row *row, const float *logits, void *scratch)
{
    pass p = backward_pass(a, &(xr_lm_grads){.scale = scale}, row, logits, scratch);
    prepare(&p);
}

void xr_lm_head_weight_tile(float *dw, float scale, const xr_lm_head *a, const xr_lm_row *row, const float *logits, size_t i, int worker,
                            void *scratch)
{
    pass p = backward_pass(a, &(xr_lm_grads){.scale = scale}, row, logits, scratch);
    run w = run_at(&p, i, SLAB);
    slope(&p, &w, buffer_of(&p, worker));
    weight_grad(&p, w.n, dw, buffer_of(&p, worker), 0.0f);
}
