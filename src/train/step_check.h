/* --check-steps: an update's loss and gradients computed twice from the same state. They are the same bits on a machine that is not faulty. */
#ifndef XR_TRAIN_STEP_CHECK_H
#define XR_TRAIN_STEP_CHECK_H

#include "train/trainer.h"

/* As xr_trainer_step, of which it is the second computation; the first takes its micro-batches from `before`. Every activation, every gradient on its way
 * back, the gradients of the parameters and the loss are compared by digest. XR_ESYSTEM, with nothing changed, when one differs: the message names the
 * first. */
xr_status xr_step_check(xr_trainer *t, int n_micro, xr_micro_batch before, void *before_context, xr_micro_batch next, void *context,
                        xr_step_result *result);

#endif
