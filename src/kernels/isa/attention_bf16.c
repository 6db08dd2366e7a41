/* Attention of one head of one sequence with bfloat16 products and sums in f32; softmax, dropout and all that is summed stay in f32.
 *
 * Operands become words of two numbers along the sum (isa/words.c, isa/tiles.c): a left one row by row, a right one in strips of columns. */
#include "kernels/isa/attention_rows.h"
#include "kernels/packed_words.h"

static const xr_isa_words *kernel(void) { return xr_kernels()->bf16; }
static size_t block_queries(void) { return MOST_QUERIES / kernel()->rows * kernel()->rows; }    /* whole tiles */

static size_t words_of(size_t n) { return whole((n + 1) / 2, kernel()->unit); }
static size_t strips(size_t n) { return whole(n, kernel()->strip); }      /* columns of as many strips as hold n */
static size_t packed_words(size_t rows, size_t cols) { return strips(cols) * words_of(rows); }
/* Floats or words of a row of as many columns as strips hold: an odd number of cache lines. */
static size_t strip_ld(size_t n) { return strips(n) + LINE; }

/* c[m,n] = a b over `words` words, or c += a b: row r of a has word i at a[r ra + i ca]; b in strips [words, strip]. */
static void product(float *c, size_t ldc, int add, const uint32_t *a, size_t ra, size_t ca, const uint32_t *b, size_t m, size_t n, size_t words)
{
    const xr_isa_words *isa = kernel();
    for (size_t j = 0; j < n; j += isa->strip, b += words * isa->strip)
        xr_words_strip(isa, &(xr_strip_product){.c = c + j, .ld = ldc, .base = add ? (xr_base){c + j, ldc} : xr_zero_base(), .a = a, .row = ra,
                                                .step = ca, .b = b, .n = words, .rows = m, .cols = least(isa->strip, n - j), .soon = b});
}

/* Words of rows 2i and 2i + 1: for a right operand x [rows, cols]. */
static void pack_right(uint32_t *restrict to, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    const xr_isa_words *isa = kernel();
    for (size_t j = 0; j < cols; j += isa->strip)
        for (size_t r = 0; r < 2 * words_of(rows); r += 2, to += isa->strip) {
            size_t n = r < rows ? least(isa->strip, cols - j) : 0;
            const float *even = x + r * ldx + j;
            if (n > 0)
                isa->across(to, even, r + 1 < rows ? even + ldx : NULL, n);
            memset(to + n, 0, (isa->strip - n) * sizeof *to);
        }
}

/* Words of columns 2i and 2i + 1: for a left operand x [rows, cols]. */
static void pack_left(uint32_t *restrict to, size_t ld, const float *restrict x, size_t ldx, size_t rows, size_t cols)
{
    size_t words = words_of(cols);
    for (size_t r = 0; r < rows; r++)
        xr_words_along(kernel(), to + r * ld, x + r * ldx, cols, words);
}

/* c = x^T b or c += x^T b, x [n, m]: the left operand's words stand across in `space` [words, ld], or along [m, words] where the kernel wants them so. */
static void product_across(float *c, size_t ldc, int add, const float *x, size_t ld, const uint32_t *b, size_t m, size_t cols, size_t n, uint32_t *space)
{
    const xr_isa_words *isa = kernel();
    size_t words = words_of(n);
    if (isa->turned)
        isa->turned(space, words, x, ld, n, m);
    for (size_t k = 0; k < n && !isa->turned; k += 2)
        isa->across(space + k / 2 * ld, x + k * ld, k + 1 < n ? x + (k + 1) * ld : NULL, m);
    product(c, ldc, add, space, isa->turned ? words : 1, isa->turned ? 1 : ld, b, m, cols, words);
}

/* Right operand x^T, x [cols, rows], by way of `space` [rows, score_ld(cols)]. */
static void pack_right_across(uint32_t *restrict to, const float *restrict x, size_t ldx, size_t rows, size_t cols, float *restrict space)
{
    pack_transposed(space, score_ld(cols), x, ldx, cols, rows);
    pack_right(to, space, score_ld(cols), rows, cols);
}

/* --- scratch ---------------------------------------------------------------------------------------------------------- */

/* One head's operands as words, and a block's scores. Unused by forward: those behind `queries`. */
typedef struct room {
    float *s, *space;                           // [queries, strip_ld(t)] [k, score_ld(t)]
    uint32_t *key_across, *v, *left, *queries;  /* right [k, t], [t, k]; left [queries, t] or [t, queries]; left [queries, k] */
    float *ds;                                  // [queries, strip_ld(t)]
    uint32_t *v_across, *key, *dout, *q_right, *dout_right;
    uint8_t *bits;
    size_t size;                                /* floats in all */
} room;

static size_t place(size_t *at, size_t n)
{
    size_t here = *at;
    *at += (n + LINE - 1) / LINE * LINE;
    return here;
}

static room room_of(float *mem, size_t m, size_t t, size_t k)
{
    size_t at = 0, qb = least(m, block_queries()), ls = strip_ld(t), kt = packed_words(k, t), tk = packed_words(t, k), qk = packed_words(qb, k);
    size_t turned = whole(t, LINE) * words_of(qb), left = turned > qb * ls ? turned : qb * ls, queries = qb * words_of(k);
    uint32_t *words = (uint32_t *)(void *)mem;
    room r = {.s = mem + place(&at, qb * ls), .space = mem + place(&at, k * score_ld(t)), .key_across = words + place(&at, kt),
              .v = words + place(&at, tk), .left = words + place(&at, left), .queries = words + place(&at, queries),
              .ds = mem + place(&at, qb * ls), .v_across = words + place(&at, kt), .key = words + place(&at, tk),
              .dout = words + place(&at, queries), .q_right = words + place(&at, qk), .dout_right = words + place(&at, qk),
              .bits = (uint8_t *)(words + place(&at, mask_floats(t)))};
    r.size = at;
    return r;
}

static float *on_line(float *mem) { return mem + (LINE - (uintptr_t)mem / sizeof *mem % LINE) % LINE; }

static size_t scratch(size_t m, size_t t, size_t k)
{
    static float anywhere[1];
    return room_of(anywhere, m, t, k).size + LINE;
}

/* --- forward and backward --------------------------------------------------------------------------------------------- */

static void forward(const xr_attn_head *a, float *mem)
{
    room x = room_of(on_line(mem), a->m, a->t, a->k);
    size_t ls = strip_ld(a->t), lk = words_of(a->k), lt = words_of(a->t);
    float total[MOST_QUERIES];
    pack_right_across(x.key_across, a->key, a->ld, a->k, a->t, x.space);
    pack_right(x.v, a->v, a->ld, a->t, a->k);
    for (size_t start = 0; start < a->m; start += block_queries()) {
        size_t rows = least(block_queries(), a->m - start);
        float *o = a->o + start * a->ld;
        pack_left(x.queries, lk, a->q + start * a->ld, a->ld, rows, a->k);
        product(x.s, ls, 0, x.queries, lk, 1, x.key_across, rows, strips(a->t), lk);
        exp_block(a, x.s, ls, start, rows, total, x.bits);
        pack_left(x.left, ls, x.s, ls, rows, a->t);
        product(o, a->ld, 0, x.left, ls, 1, x.v, rows, a->k, lt);
        for (size_t r = 0; r < rows; r++)
            scale_row(o + r * a->ld, a->k, a->drop->scale / total[r]);
    }
}

/* Scores of a block, then its dropped probabilities in s and the gradient of products q k in ds. */
static void block_backward(const room *x, const xr_attn_head *a, size_t start, size_t rows)
{
    size_t ls = strip_ld(a->t), lk = words_of(a->k), all = strips(a->t), at = start * a->ld;
    pack_left(x->queries, lk, a->q + at, a->ld, rows, a->k);
    pack_left(x->dout, lk, a->dout + at, a->ld, rows, a->k);
    product(x->s, ls, 0, x->queries, lk, 1, x->key_across, rows, all, lk);
    product(x->ds, ls, 0, x->dout, lk, 1, x->v_across, rows, all, lk);
    softmax_block_backward(a, x->s, x->ds, ls, start, rows, a->scale, x->bits);
}

static void backward(const xr_attn_head *a, float *mem)
{
    room x = room_of(on_line(mem), a->m, a->t, a->k);
    size_t ld = a->ld, ls = strip_ld(a->t);
    pack_right_across(x.key_across, a->key, ld, a->k, a->t, x.space);
    pack_right_across(x.v_across, a->v, ld, a->k, a->t, x.space);
    pack_right(x.key, a->key, ld, a->t, a->k);
    for (size_t start = 0; start == 0 || start < a->m; start += block_queries()) {      /* once without queries too: gradients of keys are zero then */
        size_t rows = least(block_queries(), a->m - start), at = start * ld;
        block_backward(&x, a, start, rows);
        pack_right(x.q_right, a->q + at, ld, rows, a->k);
        pack_right(x.dout_right, a->dout + at, ld, rows, a->k);
        pack_left(x.left, ls, x.ds, ls, rows, a->t);
        product(a->dq + at, ld, a->acc_q, x.left, ls, 1, x.key, rows, a->k, words_of(a->t));
        product_across(a->dk, ld, a->acc_k || start > 0, x.ds, ls, x.q_right, a->t, a->k, rows, x.left);
        product_across(a->dv, ld, a->acc_v || start > 0, x.s, ls, x.dout_right, a->t, a->k, rows, x.left);
    }
}

const xr_isa_attention XR_ISA_NAME(xr_isa_attention_bf16) = {scratch, forward, backward};
