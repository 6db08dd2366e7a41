/* Shared by nonfinite.c, which computes the update again and writes down what is found, and nonfinite_find.c, which looks at each tensor. */
#ifndef XR_TRAIN_NONFINITE_PARTS_H
#define XR_TRAIN_NONFINITE_PARTS_H

#include "train/naming.h"
#include "train/nonfinite.h"

/* Of a tensor's values: sums of the squares and the largest magnitude are of those that are finite. */
typedef struct xr_magnitudes { uint64_t nan, inf, minus_inf; double sumsq, max; } xr_magnitudes;
void xr_magnitudes_add(xr_magnitudes *m, const float *x, size_t n);

typedef enum xr_finding_kind { XR_BAD_PARAMETER, XR_BAD_ACTIVATION, XR_BAD_LOSS, XR_BAD_GRADIENT, XR_BAD_KINDS } xr_finding_kind;

/* The first tensor of a kind. */
typedef struct xr_finding {
    char name[XR_TENSOR_NAME];      /* "": none */
    size_t rows, cols, row, col;    /* its shape, and its first value that is not finite */
    int micro, sequence;            /* < 0: of none */
    xr_magnitudes m;
    json_t *sequences;              /* of the micro-batch, that have such values; owned */
} xr_finding;

typedef struct xr_examination {
    xr_loop *l;
    const xr_step_result *r;        /* of the first computation */
    xr_finding found[XR_BAD_KINDS];
    const xr_tensor *activation;    /* what found[XR_BAD_ACTIVATION] is of, until backward begins */
    const xr_batch *batch;
    int micro, backward;            /* the micro-batch, and whether its backward has begun */
    json_t *batches;                /* owned */
} xr_examination;

void xr_examine_parameters(xr_examination *e);
/* An xr_tape_watcher, with the examination as its context. */
void xr_examine_tensors(void *context, const xr_tensor *n, xr_direction direction);

#endif
