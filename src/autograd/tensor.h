/* A node of the tape: a row-major float matrix, its gradient and how it was made.
 *
 * Everything in the engine is a matrix: activations are [N, D], a vector is one row, a scalar 1 x 1. A leaf (parameter or input)
 * has op == NULL. Invariants: in[k] was created before the node; g is NULL until something flows into it; a node that
 * does not need a gradient (`needs` 0) never gets one. */
#ifndef XR_AUTOGRAD_TENSOR_H
#define XR_AUTOGRAD_TENSOR_H

#include <stddef.h>

enum { XR_MAX_INPUTS = 8 };

typedef struct xr_op xr_op;
typedef struct xr_tensor xr_tensor;
struct xr_rowgrad;

struct xr_tensor {
    const xr_op *op;
    size_t rows, cols;
    float *x;                   // [rows, cols]
    float *g;                   // [rows, cols], NULL while nothing has flowed in
    xr_tensor *in[XR_MAX_INPUTS];
    void *args;                 /* the op's own struct, in the tape's arena */
    void *saved;                /* written by forward for backward, in the tape's arena */
    struct xr_rowgrad *rowgrad; /* leaves only: gradient kept as a list of rows instead of g (params.h) */
    size_t scratch;             /* bytes of temporary memory its forward and backward ask for */
    int needs;                  /* gradient wanted */
};

static inline size_t xr_numel(const xr_tensor *t) { return t->rows * t->cols; }

#endif
