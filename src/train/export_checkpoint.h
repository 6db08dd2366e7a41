/* A model directory out of checkpoints. */
#ifndef XR_TRAIN_EXPORT_CHECKPOINT_H
#define XR_TRAIN_EXPORT_CHECKPOINT_H

#include <stddef.h>
#include "util/error.h"

enum { XR_AVERAGE_MOST = 64 };

/* Writes the model of a checkpoint, RUN/checkpoints/step-…, or of the newest good one of a run into the directory `out`; with average > 1 (at most
 * XR_AVERAGE_MOST) the mean of the weights of so many good checkpoints up to it, in double precision and rounded once. Damaged ones are left out with a
 * warning, but for one that is named (XR_EDATA). Sizes and tokenizer come from the model the run began with (its config.yaml); of a fine-tuning, whose
 * labels checkpoints do not name, from RUN/best. */
xr_status xr_export_checkpoint(const char *from, size_t average, const char *out, int *vocab_size);

#endif
