/* Builders of all ops, with their formulas. Shapes: N rows, D, O, I columns, V vocabulary, C classes. Every builder returns NULL on
 * failure and on a poisoned tape; see tape.h. A row set passed in is borrowed until the tape is reset. */
#ifndef XR_AUTOGRAD_OPS_H
#define XR_AUTOGRAD_OPS_H

#include "autograd/params.h"
#include "autograd/tape.h"

/* y[r] = word[id[r]] + position[pos[r]] + type[0]     [N,D]   RobertaEmbeddings before LayerNorm */
xr_tensor *xr_embedding(xr_tape *t, xr_param *word, xr_param *position, xr_param *type, const int32_t *id, const int32_t *pos, size_t n);
/* y = x W^T + b                                       [N,O]   b may be NULL */
xr_tensor *xr_linear(xr_tape *t, xr_tensor *x, xr_weight w, xr_param *b);
/* y = gelu(x + c) W^T + b, the two of them          [N,O]   bit for bit, without keeping what gelu gives; b, c may be NULL */
xr_tensor *xr_gelu_linear(xr_tape *t, xr_tensor *x, xr_param *c, xr_weight w, xr_param *b);
/* y = gelu(x + b), erf form                           [N,D]   b may be NULL */
xr_tensor *xr_bias_gelu(xr_tape *t, xr_tensor *x, xr_param *b);
/* y = tanh(x) */
xr_tensor *xr_tanh(xr_tape *t, xr_tensor *x);
/* y = x * mask / (1 - p)                              rows names the samples; identity when not training or p = 0 */
xr_tensor *xr_dropout_op(xr_tape *t, xr_tensor *x, float p, uint32_t site, const xr_rowset *rows);
/* y = LayerNorm(dropout(x) + residual) * gamma + beta [N,D]   residual may be NULL */
xr_tensor *xr_add_norm(xr_tape *t, xr_tensor *x, xr_tensor *residual, xr_param *gamma, xr_param *beta, float eps,
                       float p, uint32_t site, const xr_rowset *rows);
/* o = dropout(softmax(q k^T / sqrt(K))) v, per sequence and head; q [M,D] over rows_q, k and v [N,D] over rows_kv;
 * bf16: products of operands rounded to bfloat16, in longer sequences */
xr_tensor *xr_attention(xr_tape *t, xr_tensor *q, xr_tensor *k, xr_tensor *v, int heads, float p, uint32_t site,
                        const xr_rowset *rows_q, const xr_rowset *rows_kv, int bf16);
/* y[r] = x[index[r]]                                  [M,D]   index increasing */
xr_tensor *xr_select(xr_tape *t, xr_tensor *x, const uint32_t *index, size_t m);

/* Losses: 1 x 1 node holding a *sum*; the caller scales by 1 / total weight of the step (xr_backward's scale). */

/* sum_r -log softmax(h W^T + b)[target[r]]            h [M,D], W [V,D] tied decoder; logits exist only tile by tile, kept for
 * backward or computed again there (recompute: less memory, same bits) */
xr_tensor *xr_masked_lm(xr_tape *t, xr_tensor *h, xr_weight w, xr_param *b, const int32_t *target, int recompute);
/* torch.nn.functional.cross_entropy(reduction='sum', weight, label_smoothing): logits [B,C]; class_weight [C] or NULL */
xr_tensor *xr_cross_entropy(xr_tape *t, xr_tensor *logits, const int32_t *target, const float *class_weight, float smoothing);
/* sum_b (-log softmax(start)[s] - log softmax(end)[e]) / 2 over each sequence's own rows: logits [N,2] (start, end) of `rows`, span [B,2] its s and e */
xr_tensor *xr_span_ce(xr_tape *t, xr_tensor *logits, const uint32_t *span, const xr_rowset *rows);
/* sum_g -log softmax(logits[group[g] .. group[g + 1]))[target[g]]     logits [M,1], group [n + 1] */
xr_tensor *xr_choice_entropy(xr_tape *t, xr_tensor *logits, const uint32_t *group, size_t n, const int32_t *target);
/* sum (x - target)^2                                  x [B,C] */
xr_tensor *xr_mse(xr_tape *t, xr_tensor *x, const float *target);
/* sum of binary cross-entropies with logits           x [B,C], target in [0,1] */
xr_tensor *xr_bce(xr_tape *t, xr_tensor *x, const float *target);

#endif
