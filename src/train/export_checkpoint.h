/* A model directory out of a checkpoint. */
#ifndef XR_TRAIN_EXPORT_CHECKPOINT_H
#define XR_TRAIN_EXPORT_CHECKPOINT_H

#include "util/error.h"

/* Writes the model of RUN/checkpoints/step-… into the directory `out`. Sizes and tokenizer come from the model the run began with (its config.yaml);
 * of a fine-tuning, whose labels the checkpoint does not name, from RUN/best. */
xr_status xr_export_checkpoint(const char *checkpoint, const char *out, int *vocab_size);

#endif
