/* Event files that TensorBoard reads (--tensorboard): the lines of metrics.jsonl and timing.jsonl once more, as scalars. A new file in
 * RUN/tensorboard for every start of a run.
 *
 * A record is a length, its masked CRC-32C, a protocol buffer (Event), and its masked CRC-32C. */
#ifndef XR_TRAIN_TENSORBOARD_H
#define XR_TRAIN_TENSORBOARD_H

#include <stdint.h>
#include <stdio.h>
#include "util/error.h"
#include "util/json.h"

typedef struct xr_tensorboard {
    FILE *file;         /* NULL unless open */
    char *path;
} xr_tensorboard;

/* A new file in `dir`, whose name stands behind those of all others there, which is the order they are read in. go_on: what others of them say
 * about `step` and later is to be forgotten. */
xr_status xr_tensorboard_open(xr_tensorboard *b, const char *dir, int go_on, uint64_t step);
/* Scalars of a line of metrics.jsonl: train/loss, train/lr, train/grad_norm; of an evaluation eval/NAME for every figure, and eval/NAME/LANGUAGE.
 * Nothing for other lines. */
xr_status xr_tensorboard_metrics(xr_tensorboard *b, const json_t *line);
/* Of a line of timing.jsonl: train/tokens_per_s, train/rss_mb. */
xr_status xr_tensorboard_timing(xr_tensorboard *b, const json_t *line);
xr_status xr_tensorboard_close(xr_tensorboard *b);      /* fine on one that was never opened */

#endif
