#include "kernels/packed_words.h"

#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/sizes.h"

enum {
    MOST_COLS = XR_TILE_COLS,
    MAX_GROUPS = 8,             /* of a tile's rows: with the words that its kernel takes at a time, half of a second-level cache */
    MAX_WORDS = XR_WORDS_BLOCK, /* of any kernel's block */
    MAX_COLS = 3072,            /* of a tile; the more, the less often a block of a is rounded (docs/performance/products.md) */
    MANY_TILES = 8,             /* down, for each thread: then all are as large as they may be, but for smaller ones towards the end */
    LEAST_GROUPS = 2,           /* of a tile among the last: a strip of b is fetched for so few rows */
    GAP = 16,                   /* words between rows of a block, or six of them would share cache sets */
    LINE = 64 / sizeof(uint32_t),   /* words, or f32 numbers, of a cache line */
    AHEAD = 128                 /* lines that the first rows fetch before they need them; measured (docs/performance/products.md) */
};

/* Words of a sum over k numbers: whole units. */
static size_t words_of(const xr_isa_words *w, size_t k) { return xr_ceil_div(k, w->numbers * w->unit) * w->unit; }

static size_t first_of(size_t i, size_t n, size_t parts) { return i * n / parts; }      /* of part i of n things */

/* down x across tiles. */
typedef struct tiling {
    size_t groups, strips, down, across;
    int sharing;                /* threads that divide among them what is left; 0: tiles that differ by one group of rows at most */
} tiling;

/* Groups of a tile when `left` are not given out yet: few towards the end, or some thread would wait for the last whole tile of another. */
static size_t next_groups(size_t left, int sharing)
{
    size_t share = xr_ceil_div(left, 2 * (size_t)sharing);
    return xr_least(left, share < LEAST_GROUPS ? LEAST_GROUPS : xr_least(share, MAX_GROUPS));
}

/* The first group of row i of tiles. */
static size_t group_of(const tiling *t, size_t i)
{
    size_t g = 0;
    if (!t->sharing)
        return first_of(i, t->groups, t->down);
    while (i-- > 0)
        g += next_groups(t->groups - g, t->sharing);
    return g;
}

/* The least number of parts of which the largest is smaller than with `parts`; n + 1: there is none. */
static size_t next_parts(size_t n, size_t parts)
{
    size_t most = xr_ceil_div(n, parts);
    return most > 1 ? xr_ceil_div(n, most - 1) : n + 1;
}

/* About how long tiles keep the threads, in products of one group with one strip. A strip comes from memory or from another core's cache, a tile's rows
 * are laid out first, and a part of a tile is waited for at the end, as cores are not equally fast (docs/performance/products.md). */
static double cost(const xr_isa_words *isa, const tiling *t, size_t down, size_t across, size_t threads)
{
    const double wait = 0.15;
    double groups = (double)xr_ceil_div(t->groups, down), strips = (double)xr_ceil_div(t->strips, across);
    return ((double)xr_ceil_div(down * across, threads) + wait) * (strips * (groups + isa->fetch) + groups * isa->lay_out);
}

/* As many tiles down and across as t has, or more where that saves enough. */
static void share_evenly(const xr_isa_words *isa, tiling *t, size_t threads)
{
    const double enough = 0.97;
    tiling best = *t;
    double least = cost(isa, t, t->down, t->across, threads);
    for (size_t down = t->down; down <= t->groups; down = next_parts(t->groups, down))
        for (size_t across = t->across; across <= t->strips; across = next_parts(t->strips, across)) {
            double c = cost(isa, t, down, across, threads);
            if (c >= enough * least)
                continue;
            least = c;
            best.down = down;
            best.across = across;
        }
    *t = best;
}

/* The largest tiles that fit into cache, or smaller ones, so that no thread has to wait long for another. */
static tiling cut(const xr_words_product *p, int threads)
{
    const xr_isa_words *isa = p->isa;
    tiling t = {.groups = xr_ceil_div(p->rows, isa->rows), .strips = xr_ceil_div(p->cols, isa->strip), .across = xr_ceil_div(p->cols, MAX_COLS)};
    t.down = xr_ceil_div(t.groups, p->rows <= XR_WORDS_FEW && !p->across ? XR_WORDS_FEW / isa->rows : MAX_GROUPS);
    if (threads == 1 || t.down * t.across == 0)
        return t;
    if (t.down < MANY_TILES * (size_t)threads) {
        share_evenly(isa, &t, (size_t)threads);
        return t;
    }
    t.sharing = threads;
    t.down = 0;
    for (size_t g = 0; g < t.groups; g += next_groups(t.groups - g, threads))
        t.down++;
    return t;
}

/* A block of a: words [rows, words] with `row` between rows and `step` along the sum, laid out in `space`; or where they stand, and then a strip of b
 * may be packed there as it is used. The largest are XR_WORDS_FEW rows of MAX_WORDS, and MAX_GROUPS groups of rows of an AMX kernel, which are more but
 * shorter. */
enum { BLOCK_WORDS = XR_WORDS_FEW * (MAX_WORDS + GAP) };
_Static_assert((int)BLOCK_WORDS >= MAX_GROUPS * XR_TILE_MOST_ROWS * (XR_TILES_BLOCK + GAP), "a block of an AMX kernel");
_Static_assert((int)BLOCK_WORDS >= MAX_WORDS * MOST_COLS, "a strip of b");
typedef struct block {
    _Alignas(64) uint32_t space[BLOCK_WORDS];
    const uint32_t *word;
    size_t row, step;
} block;

void xr_words_along(const xr_isa_words *isa, uint32_t *to, const float *x, size_t numbers, size_t n)
{
    isa->along(to, x, numbers);
    if (numbers < isa->numbers * n) {
        size_t whole = xr_ceil_div(numbers, isa->numbers);
        memset(to + whole, 0, (n - whole) * sizeof *to);
    }
}

/* Words of rows of a that stand across: c's rows are its columns. */
static void lay_out_across(block *k, const xr_words_product *p, size_t r, size_t rows, size_t from, size_t numbers)
{
    const xr_isa_words *isa = p->isa;
    k->row = 1;
    k->step = MAX_GROUPS * isa->rows;
    for (size_t i = 0; i < numbers; i += isa->numbers) {
        const float *even = p->a + (from + i) * p->lda + r;
        isa->across(k->space + i / isa->numbers * k->step, even, i + 1 < numbers ? even + p->lda : NULL, rows);
    }
}

static void lay_out(block *k, const xr_words_product *p, size_t r, size_t rows, size_t from, size_t numbers, size_t n)
{
    const xr_isa_words *isa = p->isa;
    k->row = n + GAP;
    k->step = 1;
    XR_ASSERT(rows * k->row <= BLOCK_WORDS, "a block of %zu rows of %zu words", rows, n);
    if (p->across)
        isa->turned(k->space, k->row, p->a + from * p->lda + r, p->lda, numbers, rows);
    for (size_t i = 0; i < rows && !p->across; i++)
        xr_words_along(isa, k->space + i * k->row, p->a + (r + i) * p->lda + from, numbers, n);
}

static void fill_block(block *k, const xr_words_product *p, size_t r, size_t rows, size_t first, size_t n)
{
    const xr_isa_words *isa = p->isa;
    size_t from = isa->numbers * first, numbers = xr_least(isa->numbers * n, p->inner - from);
    if (isa->numbers == 1 && !p->across) {
        k->word = (const uint32_t *)(const void *)(p->a + r * p->lda + from);
        k->row = p->lda;
        k->step = 1;
        return;
    }
    XR_ASSERT(p->b, "rows of %zu numbers to a word leave no room for a strip", isa->numbers);
    k->word = k->space;
    if (p->across && !isa->turned)
        lay_out_across(k, p, r, rows, from, numbers);
    else
        lay_out(k, p, r, rows, from, numbers, n);
}

/* Columns that are no whole unit, and a cut group with a cut strip: what is beyond is computed too and thrown away. */
static void multiply_edge(const xr_isa_words *isa, const xr_strip_product *p)
{
    for (size_t m = 0, rows; m < p->rows; m += rows) {
        float edge[XR_TILE_MOST_ROWS * MOST_COLS] = {0};
        xr_strip_product q = *p;
        rows = xr_least(isa->rows, p->rows - m);
        for (size_t i = 0; i < rows; i++)
            memcpy(edge + i * MOST_COLS, p->base.x + (m + i) * p->base.ld, p->cols * sizeof *edge);
        q.c = edge;
        q.ld = MOST_COLS;
        q.base = (xr_base){edge, MOST_COLS};
        q.a += m * p->row;
        q.rows = rows;
        q.cols = rows == isa->rows ? xr_ceil_div(p->cols, XR_COLUMN_UNIT) * XR_COLUMN_UNIT : isa->strip;
        isa->multiply(&q);
        for (size_t i = 0; i < rows; i++)
            memcpy(p->c + (m + i) * p->ld, edge + i * MOST_COLS, p->cols * sizeof *edge);
    }
}

/* Rows from m on. */
static xr_strip_product below(const xr_strip_product *p, size_t m, size_t rows)
{
    xr_strip_product q = *p;
    q.c += m * p->ld;
    q.base = xr_base_at(p->base, m, 0);
    q.a += m * p->row;
    q.rows = rows;
    return q;
}

void xr_words_strip(const xr_isa_words *isa, const xr_strip_product *p)
{
    size_t whole = p->cols == isa->strip ? p->rows : p->cols % XR_COLUMN_UNIT ? 0 : p->rows / isa->rows * isa->rows;
    xr_strip_product q = below(p, 0, whole);
    isa->multiply(&q);
    q = below(p, whole, p->rows - whole);
    multiply_edge(isa, &q);
}

xr_base xr_zero_base(void)
{
    static const float zero[MOST_COLS];
    return (xr_base){zero, 0};
}

/* What the sums of row r, from column c on, are added to: those of the blocks before, or what the product begins with. */
static xr_base base_of(const xr_words_product *p, size_t r, size_t c, int later)
{
    if (later || p->beta != 0.0f)
        return (xr_base){p->c + r * p->cols + c, p->cols};
    return p->bias ? (xr_base){p->bias + c, 0} : xr_zero_base();
}

/* Words [first, end) of a strip of w^T, whose columns are rows of w: some words of each row, then those in the order of the strip. The row's next
 * ones are on their way meanwhile, as the processor does not foresee so many rows at once. */
static void pack_strip(const xr_isa_words *isa, uint32_t *to, const float *w, size_t inner, size_t cols, size_t first, size_t end)
{
    enum { PART = XR_PART_WORDS };
    _Alignas(64) uint32_t part[MOST_COLS][PART] = {{0}}, last[PART * MOST_COLS];
    for (size_t n; first < end; first += n, to += n * isa->strip) {
        n = xr_least(PART, end - first);
        for (size_t j = 0; j < cols; j++) {
            const float *from = w + j * inner + isa->numbers * first;
            for (size_t k = 1; k <= isa->numbers * PART / LINE; k++)
                __builtin_prefetch(from + isa->numbers * PART + k * LINE, 0, 2);
            xr_words_along(isa, part[j], from, xr_least(isa->numbers * n, inner - isa->numbers * first), n);
        }
        isa->turn(n == PART ? to : last, part[0], isa->strip);
        if (n < PART)
            memcpy(to, last, n * isa->strip * sizeof *last);
    }
}

/* Words [first, first + n) of the strip that begins with column c; `space` holds what has to be packed for it. */
static const uint32_t *strip_of(const xr_words_product *p, size_t c, size_t first, size_t n, uint32_t *space)
{
    if (p->b)
        return p->b + (c / p->isa->strip * words_of(p->isa, p->inner) + first) * p->isa->strip;
    pack_strip(p->isa, space, p->w + c * p->inner, p->inner, xr_least(p->isa->strip, p->cols - c), first, first + n);
    return space;
}

/* Rows [r, r + rows) of the strip that begins with column c, n words of it. `next`: the strip that follows, or NULL. Parts of it are fetched, since
 * the processor foresees too little. A strip of one line a word is spread over all groups of rows. Of a wider one, which lasts longer, the first group
 * fetches what it needs itself a little later, and the following ones a part each of the next strip (docs/performance/products.md). */
static void multiply_strip(const xr_words_product *p, const block *k, size_t r, size_t rows, const uint32_t *strip, size_t c, size_t n, int later,
                           const uint32_t *next)
{
    const xr_isa_words *isa = p->isa;
    xr_strip_product q = {.c = p->c + r * p->cols + c, .ld = p->cols, .base = base_of(p, r, c, later), .a = k->word, .row = k->row, .step = k->step,
                          .b = strip, .n = n, .rows = rows, .cols = xr_least(isa->strip, p->cols - c), .soon = strip};
    if (isa->strip == LINE) {
        q.soon = next ? next : strip;
        q.pace = next ? xr_ceil_div(LINE, xr_ceil_div(rows, isa->rows)) : 0;
        xr_words_strip(isa, &q);
        return;
    }
    const size_t end[] = {isa->rows, isa->rows + isa->strip / LINE * isa->rows, rows};
    const uint32_t *const soon[] = {strip + AHEAD * LINE, next ? next : strip, strip};
    for (size_t i = 0, m = 0; m < rows; m = end[i++]) {
        xr_strip_product part = below(&q, m, xr_least(end[i], rows) - m);
        part.soon = soon[i];
        part.pace = i == 0 || (i == 1 && next) ? LINE : 0;
        xr_words_strip(isa, &part);
    }
}

typedef struct tiled { const xr_words_product *p; tiling t; } tiled;

static void run_tile(void *context, size_t i, int worker)
{
    const xr_words_product *p = ((const tiled *)context)->p;
    const tiling *t = &((const tiled *)context)->t;
    const xr_isa_words *isa = p->isa;
    size_t down = i % t->down, across = i / t->down, total = words_of(isa, p->inner), units = total / isa->unit;
    size_t blocks = total > 0 ? xr_ceil_div(total, isa->block) : 1;       /* of no sum too, whose results are what they begin with */
    size_t r = group_of(t, down) * isa->rows, rows = xr_least(group_of(t, down + 1) * isa->rows, p->rows) - r;
    size_t c = first_of(across, t->strips, t->across) * isa->strip;
    size_t end = xr_least(first_of(across + 1, t->strips, t->across) * isa->strip, p->cols);
    block k;
    (void)worker;
    if (p->bias && p->beta != 0.0f)
        xr_kernels()->rows->bias(p->c + r * p->cols + c, p->bias + c, rows, end - c, p->cols);
    for (size_t b = 0; b < blocks; b++) {
        size_t first = first_of(b, units, blocks) * isa->unit, n = first_of(b + 1, units, blocks) * isa->unit - first;
        fill_block(&k, p, r, rows, first, n);
        for (size_t j = c; j < end; j += isa->strip) {
            const uint32_t *strip = strip_of(p, j, first, n, k.space);
            int fetch = p->b && j + isa->strip < end;
            multiply_strip(p, &k, r, rows, strip, j, n, b > 0, fetch ? strip + total * isa->strip : NULL);
        }
    }
}

void xr_words_multiply(const xr_words_product *p, int threads)
{
    tiling t = cut(p, threads);
    xr_gemm_parallel(t.down * t.across, threads, run_tile, &(tiled){p, t});
}

/* --- packing b -------------------------------------------------------------------------------------------------------- */

size_t xr_words_bytes(const xr_isa_words *isa, size_t inner, size_t cols)
{
    return xr_ceil_div(cols, isa->strip) * words_of(isa, inner) * isa->strip * sizeof(uint32_t);
}

void xr_words_pack_transposed(const xr_isa_words *isa, uint32_t *to, const float *w, size_t inner, size_t cols, int threads)
{
    size_t size = words_of(isa, inner) * isa->strip;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1 && cols * inner > 1 << 14)
    for (size_t s = 0; s < xr_ceil_div(cols, isa->strip); s++)
        pack_strip(isa, to + s * size, w + s * isa->strip * inner, inner, xr_least(isa->strip, cols - s * isa->strip), 0, words_of(isa, inner));
}

/* Word k of the strip that begins with column c. Of f32 it is numbers as they stand; rows further down are on their way meanwhile, as the processor does
 * not foresee them. */
static void pack_word(const xr_isa_words *isa, uint32_t *to, const float *x, size_t inner, size_t cols, size_t c, size_t k)
{
    enum { ROWS_AHEAD = 4 };
    size_t i = isa->numbers * k, n = i < inner ? xr_least(isa->strip, cols - c) : 0;
    const float *even = x + i * cols + c;
    if (isa->numbers == 1 && n == isa->strip) {
        for (size_t j = 0; j < n; j += LINE) {
            __builtin_prefetch(even + ROWS_AHEAD * cols + j, 0, 3);
            memcpy(to + j, even + j, LINE * sizeof *to);
        }
        return;
    }
    if (n > 0)
        isa->across(to, even, i + 1 < inner ? even + cols : NULL, n);
    if (n < isa->strip)
        memset(to + n, 0, (isa->strip - n) * sizeof *to);
}

/* Words [first, end) of all strips, of some columns at a time: strips are far apart, and so are rows. */
static void pack_words(const xr_isa_words *isa, uint32_t *to, const float *x, size_t inner, size_t cols, size_t first, size_t end)
{
    enum { TOGETHER = 8 * LINE };
    size_t words = words_of(isa, inner);
    for (size_t c = 0; c < cols; c += TOGETHER)
        for (size_t k = first; k < end; k++)
            for (size_t j = c; j < xr_least(c + TOGETHER, cols); j += isa->strip)
                pack_word(isa, to + j * words + k * isa->strip, x, inner, cols, j, k);
}

void xr_words_pack(const xr_isa_words *isa, uint32_t *to, const float *x, size_t inner, size_t cols, int threads)
{
    /* 2 KB of a strip of one line a word, 1 KB of wider ones, of which fewer are packed together; measured (docs/performance/products.md) */
    size_t words = words_of(isa, inner), part = isa->strip == LINE ? 32 : 4 * XR_TILE_COLS / isa->strip;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1 && inner * cols > 1 << 14)
    for (size_t k = 0; k < words; k += part)
        pack_words(isa, to, x, inner, cols, k, xr_least(k + part, words));
}

/* --- backward of a linear layer ------------------------------------------------------------------------------------------ */

size_t xr_words_grad_scratch(const xr_isa_words *isa, size_t n, size_t o, size_t i)
{
    size_t w = xr_words_bytes(isa, o, i), x = xr_words_bytes(isa, n, i);
    return w > x ? w : x;
}

void xr_words_input_grad(const xr_isa_words *isa, float *dx, const float *dy, const float *w, size_t n, size_t i, size_t o, float beta, void *packed)
{
    xr_words_pack(isa, packed, w, o, i, xr_threads());
    xr_words_multiply(&(xr_words_product){.isa = isa, .a = dy, .lda = o, .b = packed, .c = dx, .rows = n, .cols = i, .inner = o, .beta = beta},
                      xr_threads());
}

void xr_words_weight_grad(const xr_isa_words *isa, float *dw, const float *dy, const float *x, size_t o, size_t i, size_t n, float beta, void *packed)
{
    xr_words_pack(isa, packed, x, n, i, xr_threads());
    xr_words_multiply(&(xr_words_product){.isa = isa, .a = dy, .lda = o, .across = 1, .b = packed, .c = dw, .rows = o, .cols = i, .inner = n,
                                          .beta = beta}, xr_threads());
}
