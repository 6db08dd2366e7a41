/* All communication between ranks goes through here, with reductions in rank order, so that more than one process can come later without
 * touching the trainer. The single-process implementation has one rank and nothing to exchange. */
#ifndef XR_TRAIN_COMM_H
#define XR_TRAIN_COMM_H

#include <stddef.h>
#include "util/error.h"

typedef struct xr_comm xr_comm;
struct xr_comm {
    int rank, size;
    xr_status (*sum_grads)(const xr_comm *c, float *x, size_t n);   /* in place, the same result on every rank */
    xr_status (*sum_counts)(const xr_comm *c, double *x, size_t n);
};

const xr_comm *xr_comm_single(void);

#endif
