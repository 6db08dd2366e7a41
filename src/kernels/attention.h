/* Multi-head scaled dot-product attention over packed sequences, dropout on the probabilities inside.
 *
 *   P = softmax(Q K^T / sqrt(K)),  O = dropout(P) V        per sequence and head   (RobertaSelfAttention)
 *
 * Queries may be a pruned row set of the keys' sequences. Saved for backward: lse only; P is recomputed. Work is split over
 * (sequence, head) pairs, each of which owns its slices of every output, so threads do not change the bits. */
#ifndef XR_KERNELS_ATTENTION_H
#define XR_KERNELS_ATTENTION_H

#include "kernels/dropout.h"

typedef struct xr_attn_shape {
    const xr_rowset *q;     /* M query rows */
    const xr_rowset *kv;    /* N key rows, same sequences */
    size_t heads;           /* H */
    size_t head_dim;        /* K; D = H K */
    xr_dropout drop;        /* element (h * T + i, j): T tokens in the sequence, i query token index, j key token index */
    int bf16;               /* products of operands rounded to bfloat16, where sequences are long enough for it to pay */
} xr_attn_shape;

/* Floats of scratch for the calls below (all threads together); the caller provides them. */
size_t xr_attention_scratch(const xr_attn_shape *a);

void xr_attention_forward(float *restrict o,        // [M, D]
                          float *restrict lse,      // [M, H] log of the sum of exp of the scaled scores
                          const float *restrict q,  // [M, D]
                          const float *restrict k, const float *restrict v, // [N, D]
                          const xr_attn_shape *a, float *restrict scratch);

/* Adds into dq, dk, dv when acc is 1, overwrites when 0. */
void xr_attention_backward(float *restrict dq, float *restrict dk, float *restrict dv, int acc_q, int acc_k, int acc_v,
                           const float *restrict dout, const float *restrict o, const float *restrict lse,
                           const float *restrict q, const float *restrict k, const float *restrict v,
                           const xr_attn_shape *a, float *restrict scratch);

#endif
