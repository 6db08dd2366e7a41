/* The kernels that are compiled once per instruction set, as tables of functions: serial work on one row, block or head. The files
 * one folder up cut the work into fixed pieces, run the pieces in parallel and call these. */
#ifndef XR_KERNELS_ISA_TABLE_H
#define XR_KERNELS_ISA_TABLE_H

#include "kernels/dropout.h"
#include "kernels/vec.h"

typedef struct xr_isa_vec {
    void (*gelu_forward)(float *restrict y, const float *restrict x, const float *restrict bias, size_t n);
    void (*gelu_backward)(float *dx, int acc, const float *dy, const float *x, const float *bias, size_t n);
    void (*tanh_forward)(float *restrict y, const float *restrict x, size_t n);
    void (*tanh_backward)(float *restrict dx, int acc, const float *restrict dy, const float *restrict y, size_t n);
    void (*add)(float *restrict y, const float *restrict x, size_t n);
    double (*sumsq)(const float *x, size_t n);
    double (*sum)(const float *x, size_t n);
    int (*finite)(const float *x, size_t n);
    void (*adamw)(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n,
                  const xr_adamw_scalars *s);
    void (*adamw_bf16)(float *restrict p, uint16_t *restrict m, uint16_t *restrict v, const float *restrict g, size_t at, size_t n,
                       const xr_adamw_scalars *s);
} xr_isa_vec;

typedef struct xr_isa_rows {
    /* bit j of bits[b] is 1 where lane j of block first + b is kept; may write up to the next multiple of 8 bytes. */
    void (*keep)(uint8_t *bits, const xr_dropout *d, uint32_t sample, uint32_t first, size_t blocks);
    void (*dropout)(float *y, const float *x, const uint8_t *bits, float scale, size_t n, int acc);
    /* bits NULL = no dropout */
    void (*norm_forward)(float *restrict y, float *restrict xhat, float *restrict rstd, const float *restrict x,
                         const float *restrict res, const float *restrict gamma, const float *restrict beta, size_t n, float eps,
                         const uint8_t *bits, float scale);
    void (*norm_backward)(float *restrict dx, int acc_x, float *restrict dres, int acc_res, const float *restrict dy,
                          const float *restrict xhat, float rstd, const float *restrict gamma, size_t n,
                          const uint8_t *bits, float scale);
    void (*bias)(float *restrict y, const float *restrict bias, size_t rows, size_t cols, size_t ld);  /* y += bias, each row */
    /* sum[c] += over rows of y[r,c] and, with z, dot[c] += y[r,c] z[r,c]; either sum or dot may be NULL */
    void (*colsum)(float *restrict sum, float *restrict dot, const float *restrict y, const float *restrict z, size_t rows,
                   size_t cols, size_t ld);
    float (*softmax)(float *p, const float *x, size_t n);
    /* Of each of ld columns, a multiple of XR_COLUMN_UNIT: expsum makes its largest x and sum of exp(x - max) those of `rows` more rows as well (from
     * -INFINITY and 0); expscale: p = scale exp(x - max), p may be x */
    void (*expsum)(float *restrict max, float *restrict sum, const float *restrict x, size_t rows, size_t ld);
    void (*expscale)(float *p, const float *x, const float *restrict max, const float *restrict scale, size_t rows, size_t ld);
} xr_isa_rows;

/* One head of one sequence: m queries, t keys, head_dim k, rows ld apart. */
typedef struct xr_attn_head {
    size_t m, t, k, ld, ld_lse;
    float scale;                /* 1 / sqrt(k) */
    const float *q, *key, *v;
    const uint32_t *index;      // [m] token index of each query
    float *o, *lse;                         /* written by forward */
    const float *saved_o, *saved_lse;       /* the same, for backward */
    const float *dout;
    float *dq, *dk, *dv;
    int acc_q, acc_k, acc_v;
    const xr_dropout *drop;
    uint32_t sample, head;
} xr_attn_head;

typedef struct xr_isa_attention {
    size_t (*scratch)(size_t m, size_t t, size_t k);    /* floats, for either call */
    void (*forward)(const xr_attn_head *a, float *scratch);
    void (*backward)(const xr_attn_head *a, float *scratch);
} xr_isa_attention;

/* Products of numbers that lie in words of 32 bits, neighbours along the sum: one f32 number, or two of bf16, the even one in the lower half. */
enum {
    XR_TILE_ROWS = 6, XR_TILE_MOST_ROWS = 32, XR_TILE_COLS = 64, XR_COLUMN_UNIT = 16, XR_PART_WORDS = 32,
    XR_WORDS_BLOCK = 1024, XR_TILES_BLOCK = 192     /* `block` of the vector kernels (isa/words.c) and of tiles (isa/tiles.c) */
};

/* What sums are added to: rows of it stand ld apart; 0: the same row for each. */
typedef struct xr_base { const float *x; size_t ld; } xr_base;
static inline xr_base xr_base_at(xr_base b, size_t r, size_t c) { return (xr_base){b.x + r * b.ld + c, b.ld}; }

/* Some rows of a, in groups, times one strip of b: c[r,j] = base[r,j] + sum over n words k of a[r row + k step] b[k,j], where base may be c. Columns are
 * a multiple of COLUMN_UNIT; the last group may be cut, but not along with the strip. Meanwhile what stands at `soon` and behind it is fetched into the
 * second-level cache, `pace` words, a cache line at most, for every word of every group; nothing is read there, so that it may lie behind the end. */
typedef struct xr_strip_product {
    float *c;                   // [rows, cols], ld apart
    size_t ld;
    xr_base base;
    const uint32_t *a;
    size_t row, step;
    const uint32_t *b;          // [n, strip], on 64 bytes
    size_t n, rows, cols;
    const uint32_t *soon;
    size_t pace;
} xr_strip_product;

typedef struct xr_isa_words {
    size_t numbers;             /* to a word */
    size_t rows;                /* of a group, whose sums are made at once: XR_TILE_MOST_ROWS at most */
    size_t strip;               /* columns: as many as registers hold sums for, or all XR_TILE_COLS */
    size_t unit;                /* words of a sum are a multiple of it, zeros where there is nothing */
    size_t block;               /* words of a sum that are met at a time, at most: whole units */
    double fetch, lay_out;      /* about what a strip costs to fetch and `rows` rows of a to lay out, in products of such rows with a strip */
    void (*along)(uint32_t *restrict to, const float *restrict x, size_t n);    /* words of neighbours in x [n]; the last may be alone */
    /* n words, of even[0] and odd[0], even[1] and odd[1], ...; odd NULL: there is none */
    void (*across)(uint32_t *restrict to, const float *restrict even, const float *restrict odd, size_t n);
    void (*turn)(uint32_t *restrict to, const uint32_t *restrict part, size_t strip);   /* to [PART_WORDS, strip] = part [strip, PART_WORDS] turned */
    /* What `across` gives, but along: words of the first `numbers` of x[.., r] in to[r,..], ld and ld_to apart, for some r, whole units of words and
     * whole vectors of rows. NULL: multiply takes words that stand across as well. */
    void (*turned)(uint32_t *restrict to, size_t ld_to, const float *restrict x, size_t ld, size_t numbers, size_t rows);
    void (*multiply)(const xr_strip_product *p);
} xr_isa_words;

/* Products of unsigned numbers of eight bits (activations) and signed ones (weights), summed exactly. A group of columns of the weight is
 * [blocks of 16 columns][quads][column][4 along the sum], then what makes floats of its sums. */
enum { XR_INT8_GROUP = 64 };
typedef struct xr_int8_group {
    float scale[XR_INT8_GROUP];         /* of a column's weights */
    int32_t total[XR_INT8_GROUP];       /* sum of a column's weights */
} xr_int8_group;
static inline size_t xr_int8_group_bytes(size_t quads) { return quads * 4 * XR_INT8_GROUP + sizeof(xr_int8_group); }
static inline const xr_int8_group *xr_int8_group_end(const int8_t *w, size_t quads)
{
    return (const xr_int8_group *)(const void *)(w + quads * 4 * XR_INT8_GROUP);
}

typedef struct xr_int8_row { float scale; int32_t zero; } xr_int8_row;      /* x = scale (q - zero) */

/* y[r,c] = x[r] . w[c] + bias[c] + beta y[r,c] for some rows and one group of columns. */
typedef struct xr_int8_tile {
    float *y;
    size_t ld_y, rows, cols;            /* cols at most a group */
    const uint8_t *x;                   // [rows, ld_x], 4 quads of it used
    const xr_int8_row *row;             // [rows]
    size_t ld_x, quads;
    const int8_t *w;                    /* the group, on 64 bytes */
    const float *bias;                  /* NULL = none */
    float beta;                         /* 0 or 1 */
} xr_int8_tile;

typedef struct xr_isa_int8 {
    /* Range of x and 0 to 0 .. 255; scale is NaN where x is not finite, and 0 where it is all but zero. */
    void (*quantize)(uint8_t *restrict to, xr_int8_row *row, const float *restrict x, size_t n);
    /* The same for a column of weights: the largest w[2j] + w[2j + 1] of one sign, or single one, to 127, so that
     * 255 times two neighbours fit into 16 bits. total: sum of the numbers. */
    void (*quantize_weights)(int8_t *restrict to, float *scale, int32_t *total, const float *restrict w, size_t n);
    void (*multiply)(const xr_int8_tile *t);
} xr_isa_int8;

/* y[r,c] = x[r] . w[c] + bias[c] + beta y[r,c] for few rows: both operands as they stand, rows of `inner` numbers one after another. */
typedef struct xr_dot {
    float *y;                           // [rows, ld_y], cols of it used
    const float *x, *w;                 // [rows, inner], [cols, inner]
    const float *bias;                  // [cols] or NULL
    size_t rows, cols, inner, ld_y;
    float beta;                         /* 0 or 1 */
} xr_dot;

typedef struct xr_isa_dot {
    void (*multiply)(const xr_dot *d);
} xr_isa_dot;

extern const xr_isa_vec xr_isa_vec_portable;
extern const xr_isa_rows xr_isa_rows_portable;
extern const xr_isa_attention xr_isa_attention_portable, xr_isa_attention_bf16_portable;
extern const xr_isa_words xr_isa_bf16_portable, xr_isa_tiles_portable, xr_isa_f32_portable;     /* tiles: bf16 (isa/tiles.c) */
extern const xr_isa_int8 xr_isa_int8_portable;
extern const xr_isa_dot xr_isa_dot_portable;
#if defined(__x86_64__)
#define XR_HAVE_X86 1
extern const xr_isa_vec xr_isa_vec_avx2, xr_isa_vec_avx512;
extern const xr_isa_rows xr_isa_rows_avx2, xr_isa_rows_avx512;
extern const xr_isa_attention xr_isa_attention_avx2, xr_isa_attention_avx512;
extern const xr_isa_attention xr_isa_attention_bf16_avx2, xr_isa_attention_bf16_avx512;
extern const xr_isa_words xr_isa_f32_avx2, xr_isa_f32_avx512;
extern const xr_isa_words xr_isa_bf16_avx2, xr_isa_bf16_avx512, xr_isa_bf16_native; /* native: AVX512-BF16 */
extern const xr_isa_words xr_isa_tiles_avx2, xr_isa_tiles_avx512, xr_isa_tiles_native;  /* native: AMX-BF16 */
extern const xr_isa_int8 xr_isa_int8_avx2, xr_isa_int8_avx512, xr_isa_int8_vnni;    /* vnni: AVX-512 with AVX512-VNNI */
extern const xr_isa_int8 xr_isa_int8_amx;                               /* AVX-512 with AMX-INT8 */
extern const xr_isa_int8 xr_isa_int8_avxvnni, xr_isa_int8_narrow;       /* AVX2 with AVX-VNNI; the same on AVX512-VNNI, for tests */
extern const xr_isa_dot xr_isa_dot_avx2, xr_isa_dot_avx512;
#else
#define XR_HAVE_X86 0
#endif

typedef struct xr_kernel_table {
    const xr_isa_vec *vec;
    const xr_isa_rows *rows;
    const xr_isa_attention *attention, *attention_bf16;     /* products of f32, of bf16 */
    const xr_isa_words *f32, *bf16;
    const xr_isa_int8 *int8;
    const xr_isa_dot *dot;
} xr_kernel_table;

const xr_kernel_table *xr_kernels(void); /* of the instruction set in use (cpu.h) */

#endif
