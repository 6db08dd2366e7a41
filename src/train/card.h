/* What the model cards of all runs have in common. */
#ifndef XR_TRAIN_CARD_H
#define XR_TRAIN_CARD_H

#include "train/options.h"

/* Appends how to repeat the run: the command and its options as YAML. */
xr_status xr_card_command(xr_str *s, const xr_options *o);

#endif
