/* The masked-LM head: softmax cross-entropy of logits h W^T + b, by tiles of the vocabulary.
 *
 * A tile's logits are used while they are in cache; each pass reads W once and writes its gradient once. Tiles, their groups and the
 * order of every sum follow from the shape alone, so that the bits do not depend on the number of threads. */
#ifndef XR_KERNELS_LM_HEAD_H
#define XR_KERNELS_LM_HEAD_H

#include <stddef.h>
#include <stdint.h>

typedef struct xr_lm_head {
    const float *h, *w, *b;     // [M,D] [V,D] [V]
    const int32_t *target;      // [M]
    size_t m, v, d;
    int workers;                /* threads at most: what the scratch was sized for */
    int bf16;                   /* products of operands rounded to bfloat16 */
} xr_lm_head;

/* What forward finds out about a row of logits. */
typedef struct xr_lm_row {
    double sum;                 /* of exp(logit - max) */
    float max;
} xr_lm_row;

/* Bytes that either call needs; without gradients (grad 0) there is only forward. */
size_t xr_lm_head_scratch(const xr_lm_head *a, int grad);

/* Returns the sum of -log softmax(logits)[target]. logits, xr_lm_head_logits floats, receives them for backward; NULL where nobody will ask, or
 * backward shall compute them again. Scratch and logits stand on 64 bytes. */
size_t xr_lm_head_logits(const xr_lm_head *a);
double xr_lm_head_forward(const xr_lm_head *a, xr_lm_row *row, float *logits, void *scratch);

/* Gradients of scale * loss; any may be NULL. acc_* adds instead of overwriting. */
typedef struct xr_lm_grads {
    float *dh, *dw, *db;        // [M,D] [V,D] [V]
    int acc_h, acc_w, acc_b;
    float scale;
} xr_lm_grads;
void xr_lm_head_backward(const xr_lm_grads *g, const xr_lm_head *a, const xr_lm_row *row, const float *logits, void *scratch);

/* The gradient of W by itself, a tile at a time, with the bits that backward gives it: tile i has rows [i width, (i + 1) width) of W, the
 * last one fewer. W's rows of other tiles may have changed since forward. begin comes before them all, on one thread. */
typedef struct xr_lm_tiles { size_t n, width, scratch; } xr_lm_tiles;     /* scratch: bytes for all workers */
xr_lm_tiles xr_lm_head_tiles(const xr_lm_head *a);
void xr_lm_head_weight_begin(float scale, const xr_lm_head *a, const xr_lm_row *row, const float *logits, void *scratch);
void xr_lm_head_weight_tile(float *dw, float scale, const xr_lm_head *a, const xr_lm_row *row, const float *logits, size_t i, int worker,
                            void *scratch);

#endif
