#include "kernels/lm_head.h"

#include <math.h>
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/isa/table.h"
#include "kernels/packed.h"
#include "kernels/vec.h"

enum {
    WIDTH = 1024,       /* words of a tile at most: logits of some hundred rows stay in cache */
    UNIT = 16,          /* widths are multiples of a cache line, and by the even cut seldom a power of two */
    GROUPS = 32,        /* runs of tiles whose share of dh is summed apart; as many threads can work in backward */
    LINE = 16           /* floats in 64 bytes */
};

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/* Floats of a block that another one follows. */
static size_t padded(size_t n) { return ceil_div(n, LINE) * LINE; }

typedef struct tiling { size_t width, n, groups; } tiling;

/* A whole number of equal tiles to each group, as far as the last tile allows. */
static tiling tiling_of(size_t v)
{
    size_t groups = v < (size_t)GROUPS * WIDTH ? ceil_div(v, WIDTH) : GROUPS;
    size_t n = groups * ceil_div(v, groups * WIDTH);
    tiling t = {.width = ceil_div(ceil_div(v, n), UNIT) * UNIT};
    t.n = ceil_div(v, t.width);
    t.groups = groups < t.n ? groups : t.n;
    return t;
}

/* One call's operands and its pieces of scratch. */
typedef struct pass {
    const xr_lm_head *a;
    tiling t;
    const xr_lm_row *row;       // [M] backward
    const xr_lm_grads *g;       /* backward */
    float *logits;              // [M,V] tile by tile, or NULL
    const float *kept;          /* the same, read by backward */
    float *buffer;              // [workers, M, width]
    char *packed;               // [workers] of bf16 pieces
    float *max, *sum;           // [n, M] forward: of each row within each tile
    float *at_target;           // [M] forward
    float *dh;                  // [groups, M, D] backward
} pass;

static size_t buffer_floats(const xr_lm_head *a, const tiling *t) { return padded(a->m * t->width); }
static size_t stats_floats(const xr_lm_head *a, const tiling *t) { return padded(t->n * a->m); }
static size_t dh_floats(const xr_lm_head *a) { return padded(a->m * a->d); }

/* Bytes for the second operand of whichever product: a tile of W either way, or h. */
static size_t piece_bytes(const xr_lm_head *a, const tiling *t)
{
    size_t w = xr_bf16_piece_scratch(t->width, a->d), across = xr_bf16_piece_scratch(a->d, t->width > a->m ? t->width : a->m);
    return !a->bf16 ? 0 : w > across ? w : across;
}

size_t xr_lm_head_scratch(const xr_lm_head *a, int grad)
{
    tiling t = tiling_of(a->v);
    size_t forward = 2 * stats_floats(a, &t) + padded(a->m), backward = grad ? t.groups * dh_floats(a) : 0;
    return (size_t)a->workers * piece_bytes(a, &t)
           + ((size_t)a->workers * buffer_floats(a, &t) + (forward > backward ? forward : backward)) * sizeof(float);
}

static pass pass_make(const xr_lm_head *a, void *scratch)
{
    pass p = {.a = a, .t = tiling_of(a->v), .packed = scratch};
    p.buffer = (float *)(void *)(p.packed + (size_t)a->workers * piece_bytes(a, &p.t));
    float *rest = p.buffer + (size_t)a->workers * buffer_floats(a, &p.t);
    p.max = p.dh = rest;
    p.sum = p.max + stats_floats(a, &p.t);
    p.at_target = p.sum + stats_floats(a, &p.t);
    return p;
}

typedef struct tile { size_t first, words; } tile;

static tile tile_at(const pass *p, size_t i)
{
    tile t = {.first = i * p->t.width};
    t.words = p->a->v - t.first < p->t.width ? p->a->v - t.first : p->t.width;
    return t;
}

static float *buffer_of(const pass *p, int worker) { return p->buffer + (size_t)worker * buffer_floats(p->a, &p->t); }

/* c = a b + beta c in the precision asked for (kernels/gemm.h). */
static void piece(const pass *p, int worker, float *c, const float *a, int a_across, const float *b, int b_across, size_t rows, size_t cols,
                  size_t inner, float beta)
{
    if (p->a->bf16)
        xr_bf16_piece(c, a, a_across, b, b_across, rows, cols, inner, beta, p->packed + (size_t)worker * piece_bytes(p->a, &p->t));
    else
        xr_gemm_piece(c, a, a_across, b, b_across, rows, cols, inner, beta);
}

/* Place of row r's target within the tile; its width or more when it is elsewhere. */
static size_t target_in(const pass *p, const tile *t, size_t r) { return (size_t)p->a->target[r] - t->first; }

static void multiply_logits(const pass *p, const tile *t, float *z, int worker)
{
    const xr_lm_head *a = p->a;
    piece(p, worker, z, a->h, 0, a->w + t->first * a->d, 1, a->m, t->words, a->d, 0.0f);
    xr_kernels()->rows->bias(z, a->b + t->first, a->m, t->words, t->words);
}

static void forward_tile(void *context, size_t i, int worker)
{
    const pass *p = context;
    size_t m = p->a->m;
    tile t = tile_at(p, i);
    float *z = p->logits ? p->logits + m * t.first : buffer_of(p, worker);
    multiply_logits(p, &t, z, worker);
    for (size_t r = 0; r < m; r++) {
        xr_kernels()->rows->expsum(&p->max[i * m + r], &p->sum[i * m + r], z + r * t.words, t.words);
        if (target_in(p, &t, r) < t.words)
            p->at_target[r] = z[r * t.words + target_in(p, &t, r)];
    }
}

/* A row's figures from those of its tiles, in their order. */
static xr_lm_row join(const pass *p, size_t r)
{
    size_t m = p->a->m;
    xr_lm_row row = {0.0, -INFINITY};
    for (size_t i = 0; i < p->t.n; i++)
        row.max = p->max[i * m + r] > row.max ? p->max[i * m + r] : row.max;
    for (size_t i = 0; i < p->t.n; i++)
        row.sum += (double)p->sum[i * m + r] * exp((double)p->max[i * m + r] - (double)row.max);
    return row;
}

double xr_lm_head_forward(const xr_lm_head *a, xr_lm_row *row, float *logits, void *scratch)
{
    pass p = pass_make(a, scratch);
    p.logits = logits;
    xr_gemm_parallel(p.t.n, a->workers, forward_tile, &p);
    double loss = 0.0;
    for (size_t r = 0; r < a->m; r++) {
        row[r] = join(&p, r);
        loss += (double)row[r].max + log(row[r].sum) - (double)p.at_target[r];
    }
    return loss;
}

/* y = scale (softmax(z) - onehot(target)) of one tile; y may be z. */
static void slope(const pass *p, const tile *t, float *y, const float *z)
{
    for (size_t r = 0; r < p->a->m; r++) {
        float *yr = y + r * t->words;
        float scale = (float)((double)p->g->scale / p->row[r].sum);
        xr_kernels()->rows->expscale(yr, z + r * t->words, p->row[r].max, scale, t->words);
        if (target_in(p, t, r) < t->words)
            yr[target_in(p, t, r)] -= p->g->scale;
    }
}

/* The same from what forward left: kept logits, or logits computed again. */
static void tile_slope(const pass *p, const tile *t, float *y, int worker)
{
    if (!p->kept)
        multiply_logits(p, t, y, worker);
    slope(p, t, y, p->kept ? p->kept + p->a->m * t->first : y);
}

static void weight_piece(const pass *p, const tile *t, float *dw, const float *y, int worker, float beta)
{
    piece(p, worker, dw, y, 1, p->a->h, 0, t->words, p->a->d, p->a->m, beta);
}

static void backward_tile(const pass *p, size_t i, int worker, float *dh, float beta)
{
    const xr_lm_head *a = p->a;
    const xr_lm_grads *g = p->g;
    tile t = tile_at(p, i);
    float *y = buffer_of(p, worker);
    tile_slope(p, &t, y, worker);
    if (g->db && !g->acc_b)
        memset(g->db + t.first, 0, t.words * sizeof *g->db);
    if (g->db)
        xr_kernels()->rows->colsum(g->db + t.first, NULL, y, NULL, a->m, t.words, t.words);
    if (g->dw)
        weight_piece(p, &t, g->dw + t.first * a->d, y, worker, g->acc_w ? 1.0f : 0.0f);
    if (g->dh)
        piece(p, worker, dh, y, 0, a->w + t.first * a->d, 0, a->m, a->d, t.words, beta);
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
    pass p = pass_make(a, scratch);
    p.g = g;
    p.row = row;
    p.kept = logits;
    xr_gemm_parallel(p.t.groups, a->workers, backward_group, &p);
    if (g->dh)
        sum_groups(&p);
}

xr_lm_tiles xr_lm_head_tiles(const xr_lm_head *a)
{
    tiling t = tiling_of(a->v);
    return (xr_lm_tiles){t.n, t.width, (size_t)a->workers * (piece_bytes(a, &t) + buffer_floats(a, &t) * sizeof(float))};
}

void xr_lm_head_weight_tile(float *dw, float scale, const xr_lm_head *a, const xr_lm_row *row, const float *logits, size_t i, int worker,
                            void *scratch)
{
    xr_lm_grads g = {.scale = scale};
    pass p = pass_make(a, scratch);
    p.g = &g;
    p.row = row;
    p.kept = logits;
    tile t = tile_at(&p, i);
    tile_slope(&p, &t, buffer_of(&p, worker), worker);
    weight_piece(&p, &t, dw, buffer_of(&p, worker), worker, 0.0f);
}
