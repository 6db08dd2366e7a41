/* bfloat16 products with sums in f32, c[r,j] += sum over k of a[r,k] b[k,j].
 *
 * b is packed beforehand: strips of columns, in each the words of two numbers along k, word by word. a is rounded block by block as it is
 * used, into cache: there it is met by every strip of a tile. Tiles of c and the blocks of the sum follow from the shape alone, each tile is
 * one thread's, and a block's sum goes from its first word to its last: same bits at any number of threads, on any instruction set (isa/bf16.c). */
#include <string.h>

#include "kernels/gemm.h"
#include "kernels/isa/table.h"
#include "kernels/packed.h"
#include "kernels/cpu.h"
#include "util/half.h"

enum {
    ROWS = XR_TILE_ROWS, STRIP = XR_TILE_COLS,
    MAX_ROWS = 8 * ROWS,        /* of a tile: with MAX_WORDS a block of a and one strip of b fill half of a second-level cache of 512 KiB */
    MAX_WORDS = 512,
    MAX_STRIPS = 48,            /* of a tile; the more, the less often a block of a is rounded (docs/performance.md) */
    ENOUGH_TILES = 16,          /* for the cores there may be: fewer strips to a tile before fewer tiles than this */
    GAP = 16                    /* words between rows of a block, or six of them would share cache sets */
};

static size_t ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }
static size_t words_of(size_t k) { return ceil_div(k, 2); }
static size_t packed_bytes(size_t cols, size_t inner) { return ceil_div(cols, STRIP) * words_of(inner) * STRIP * sizeof(uint32_t); }

/* Where a comes from: rows of c are rows of it, or, across, its columns. */
typedef struct product {
    const float *a;
    size_t lda;
    int across;
    const uint32_t *b;          // [strips, words, STRIP]
    const float *bias;          // [cols] or NULL
    float *c;                   // [rows, cols]
    size_t rows, cols, inner;
    float beta;
    size_t step_r, step_c, down;        /* tiles */
} product;

static void cut(product *p)
{
    size_t down = ceil_div(p->rows, MAX_ROWS), strips = ceil_div(p->cols, STRIP);
    if (!down || !strips)
        return;
    size_t across = ceil_div(ENOUGH_TILES, down), least = ceil_div(strips, MAX_STRIPS);
    across = across < least ? least : across < strips ? across : strips;
    p->down = down;
    p->step_r = ceil_div(ceil_div(p->rows, down), ROWS) * ROWS;
    p->step_c = ceil_div(strips, across) * STRIP;
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* A block of a: words [rows, words] with `row` between rows and `step` along the sum. */
typedef struct block {
    _Alignas(64) uint32_t word[MAX_ROWS * (MAX_WORDS + GAP)];
    size_t row, step;
} block;

static void round_block(block *k, const product *p, size_t r, size_t rows, size_t first, size_t n)
{
    const xr_isa_bf16 *isa = xr_kernels()->bf16;
    size_t from = 2 * first, numbers = least(2 * n, p->inner - from);
    k->row = p->across ? 1 : n + GAP;
    k->step = p->across ? MAX_ROWS : 1;
    for (size_t i = 0; i < rows && !p->across; i++)
        isa->row(k->word + i * k->row, p->a + (r + i) * p->lda + from, numbers);
    for (size_t w = 0; w < n && p->across; w++) {
        const float *even = p->a + (from + 2 * w) * p->lda + r;
        isa->pair(k->word + w * k->step, even, 2 * w + 1 < numbers ? even + p->lda : NULL, rows);
    }
}

/* Rows that are missing are computed as the last one again, and thrown away. */
void xr_bf16_tile(float *c, size_t ld, const uint32_t *a, size_t row, size_t step, const uint32_t *b, size_t n, size_t rows, size_t cols)
{
    const uint32_t *at[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        at[i] = a + (i < rows ? i : rows - 1) * row;
    if (rows == ROWS && cols == STRIP) {
        xr_kernels()->bf16->tile(c, ld, at, step, b, n);
        return;
    }
    float edge[ROWS * STRIP] = {0};
    for (size_t i = 0; i < rows; i++)
        memcpy(edge + i * STRIP, c + i * ld, cols * sizeof *c);
    xr_kernels()->bf16->tile(edge, STRIP, at, step, b, n);
    for (size_t i = 0; i < rows; i++)
        memcpy(c + i * ld, edge + i * STRIP, cols * sizeof *c);
}

/* What the sums are added to. */
static void begin(const product *p, size_t r, size_t rows, size_t c, size_t cols)
{
    for (size_t i = r; i < r + rows && p->beta == 0.0f; i++)
        memset(p->c + i * p->cols + c, 0, cols * sizeof *p->c);
    if (p->bias)
        xr_kernels()->rows->bias(p->c + r * p->cols + c, p->bias + c, rows, cols, p->cols);
}

static void run_tile(void *context, size_t t, int worker)
{
    const product *p = context;
    size_t r = t % p->down * p->step_r, c = t / p->down * p->step_c, total = words_of(p->inner), blocks = ceil_div(total, MAX_WORDS);
    size_t rows = least(p->step_r, p->rows - r), cols = least(p->step_c, p->cols - c);
    block k;
    (void)worker;
    begin(p, r, rows, c, cols);
    for (size_t i = 0; i < blocks; i++) {
        size_t first = i * total / blocks, n = (i + 1) * total / blocks - first;
        round_block(&k, p, r, rows, first, n);
        for (size_t j = 0; j < cols; j += STRIP)
            for (size_t m = 0; m < rows; m += ROWS)
                xr_bf16_tile(p->c + (r + m) * p->cols + c + j, p->cols, k.word + m * k.row, k.row, k.step,
                             p->b + ((c + j) / STRIP * total + first) * STRIP, n, least(ROWS, rows - m), least(STRIP, cols - j));
    }
}

static size_t tiles(const product *p) { return p->rows && p->cols ? p->down * ceil_div(p->cols, p->step_c) : 0; }

static void run(product p)
{
    cut(&p);
    xr_gemm_parallel(tiles(&p), xr_threads(), run_tile, &p);
}

static void run_alone(product p)
{
    cut(&p);
    for (size_t t = 0; t < tiles(&p); t++)
        run_tile(&p, t, 0);
}

/* --- packing b -------------------------------------------------------------------------------------------------------- */

/* b = w^T, whose columns are rows of w: words of a few rows at a time, then those in the order of the strip. */
static void pack_strip(uint32_t *to, const float *w, size_t cols, size_t inner)
{
    enum { PART = 16 };
    uint32_t part[STRIP][PART] = {{0}};
    size_t total = words_of(inner);
    for (size_t first = 0; first < total; first += PART) {
        size_t n = least(PART, total - first);
        for (size_t j = 0; j < cols; j++)
            xr_kernels()->bf16->row(part[j], w + j * inner + 2 * first, least(2 * n, inner - 2 * first));
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < STRIP; j++)
                to[(first + k) * STRIP + j] = part[j][k];
    }
}

/* Word k of the strips of b = x [inner, cols] as it stands. */
static void pack_word(uint32_t *to, const float *x, size_t inner, size_t cols, size_t k)
{
    for (size_t c = 0; c < cols; c += STRIP) {
        const float *even = x + 2 * k * cols + c;
        uint32_t *word = to + (c / STRIP * words_of(inner) + k) * STRIP;
        size_t n = least(STRIP, cols - c);
        xr_kernels()->bf16->pair(word, even, 2 * k + 1 < inner ? even + cols : NULL, n);
        memset(word + n, 0, (STRIP - n) * sizeof *word);
    }
}

static void fill_strip(uint32_t *to, const float *w, size_t o, size_t i, size_t s)
{
    pack_strip(to + s * words_of(i) * STRIP, w + s * STRIP * i, least(STRIP, o - s * STRIP), i);
}

static void fill(void *data, const float *w, size_t o, size_t i)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (o * i > 1 << 14)
    for (size_t s = 0; s < ceil_div(o, STRIP); s++)
        fill_strip(data, w, o, i, s);
}

static void pack(uint32_t *to, const float *x, size_t inner, size_t cols)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (inner * cols > 1 << 14)
    for (size_t k = 0; k < words_of(inner); k++)
        pack_word(to, x, inner, cols, k);
}

/* --- the kind --------------------------------------------------------------------------------------------------------- */

static size_t bytes(size_t o, size_t i) { return packed_bytes(o, i); }

static size_t scratch(size_t n, size_t o, size_t i)
{
    (void)n, (void)o, (void)i;
    return 0;
}

static void multiply(float *restrict y, const float *restrict x, const void *restrict data, const float *restrict bias, size_t n, size_t o,
                     size_t i, float beta, void *restrict unused)
{
    (void)unused;
    run((product){.a = x, .lda = i, .b = data, .bias = bias, .c = y, .rows = n, .cols = o, .inner = i, .beta = beta});
}

static size_t grad_scratch(size_t n, size_t o, size_t i)
{
    size_t w = packed_bytes(i, o), x = packed_bytes(i, n);
    return w > x ? w : x;
}

static void input_grad(float *restrict dx, const float *restrict dy, const float *restrict w, size_t n, size_t i, size_t o, float beta,
                       void *restrict packed)
{
    pack(packed, w, o, i);
    run((product){.a = dy, .lda = o, .b = packed, .c = dx, .rows = n, .cols = i, .inner = o, .beta = beta});
}

static void weight_grad(float *restrict dw, const float *restrict dy, const float *restrict x, size_t o, size_t i, size_t n, float beta,
                        void *restrict packed)
{
    pack(packed, x, n, i);
    run((product){.a = dy, .lda = o, .across = 1, .b = packed, .c = dw, .rows = o, .cols = i, .inner = n, .beta = beta});
}

const xr_pack_kind xr_pack_bf16 = {"bf16", bytes, fill, scratch, multiply, grad_scratch, input_grad, weight_grad};

/* --- pieces of larger products ---------------------------------------------------------------------------------------- */

size_t xr_bf16_piece_scratch(size_t cols, size_t inner) { return packed_bytes(cols, inner); }

void xr_bf16_piece(float *restrict c, const float *restrict a, int a_across, const float *restrict b, int b_across, size_t rows, size_t cols,
                   size_t inner, float beta, void *restrict packed)
{
    for (size_t s = 0; b_across && s < ceil_div(cols, STRIP); s++)
        fill_strip(packed, b, cols, inner, s);
    for (size_t k = 0; !b_across && k < words_of(inner); k++)
        pack_word(packed, b, inner, cols, k);
    run_alone((product){.a = a, .lda = a_across ? rows : inner, .across = a_across, .b = packed, .c = c, .rows = rows, .cols = cols, .inner = inner,
                        .beta = beta});
}
