/* What was not finite in an update, and where it came from: RUN/nonfinite/step-00000012.json.
 *
 * The update is computed a second time, with every tensor looked at as it is made. The file, one JSON object:
 *   step, epoch, policy (--on-nonfinite), loss, grad_norm, lr, weight (what the loss was divided by)
 *   not_finite     the first tensor of each kind, in this order: parameter, activation, loss, gradient. {kind, name, micro, shape, nan, inf, minus_inf,
 *                  norm and max_abs (of the finite values), first: [row, column], sequences: those of the micro-batch that have such values}; kind
 *                  activation is in the order of forward, gradient in that of backward, where name is the tensor that the gradient is of
 *   batches        the micro-batches as --dump-batches writes them, with lengths, samples (the random numbers' counters) and origin: where
 *                  each sequence comes from
 *   parameters     every one: {name, shape, frozen, value, gradient (mean, before clipping; null: it has none)}, both {norm, max_abs, nan, inf, minus_inf}
 * What JSON has no numbers for is "nan", "inf", "-inf". */
#ifndef XR_TRAIN_NONFINITE_H
#define XR_TRAIN_NONFINITE_H

#include "train/loop.h"

/* After xr_trainer_step of n_micro micro-batches has failed with XR_EDIVERGED, which is pending, and before anything else is computed. What was found
 * is added to the message; that the file could not be written is so too. XR_ESYSTEM in place of XR_EDIVERGED when the second computation does not give
 * what the first gave, which only a faulty machine can cause. */
xr_status xr_nonfinite_examine(xr_loop *l, int n_micro, const xr_step_result *r);

#endif
