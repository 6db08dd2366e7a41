/* Floating-point operations of a step's matrix products, from shapes alone (docs/performance/estimate.md): a product of [n, i] with [i, o] is 2 n i o.
 * Elementwise work is not counted: it is under 2 % of the operations, and no product's rate could be compared with a figure that has it. */
#ifndef XR_MODEL_FLOPS_H
#define XR_MODEL_FLOPS_H

#include "model/model.h"

typedef struct xr_flops {
    double encoder;         /* products with the layers' weights */
    double attention;       /* scores, and their products with values */
    double head;            /* with the head's weights, and the decoder of masked LM */
    double again;           /* of these, computed a second time in backward: attention's scores; with recompute whole layers, and logits */
} xr_flops;

/* One pass over a batch: of rows that the last layer leaves out nothing is counted. train = 1 adds backward, less what frozen parameters spare. */
xr_flops xr_model_flops(const xr_model *m, const xr_batch *batch, int train);
double xr_flops_all(const xr_flops *f);         /* everything that is computed */

#endif
