/* Softmax cross-entropy over rows of logits. */
#ifndef XR_KERNELS_XENT_H
#define XR_KERNELS_XENT_H

#include <stddef.h>
#include <stdint.h>

/* In place: logits [rows, cols] become softmax probabilities; loss[r] = -log p[r, target[r]], from the log-sum-exp, not from p. */
void xr_softmax_xent(float *restrict p, float *restrict loss, const int32_t *restrict target, size_t rows, size_t cols);

/* In place: p becomes scale * (p - onehot(target)), the gradient of scale * loss with respect to the logits. */
void xr_softmax_xent_backward(float *restrict p, const int32_t *restrict target, float scale, size_t rows, size_t cols);

#endif
