/* --dump-batches: the batches of a run as it trains on them, for comparisons with other systems on the very same data.
 *
 * One JSON line a micro-batch: {"step": 0-based, "micro": k, "epoch": before the step, "ids": [[…], …]}, the ids of each
 * sequence as the model sees them, and what it is trained to say, one of:
 *   "labels": one a sequence; or one a question, with "choices": how many sequences each has
 *   "values": [[…], …] a sequence
 *   "spans": [[first, last], …], the answer's positions in each sequence
 *   "masked", "targets": [[…], …], the positions in each sequence that have a target (masked tokens, pieces of words),
 *   and the targets
 */
#ifndef XR_TRAIN_BATCH_DUMP_H
#define XR_TRAIN_BATCH_DUMP_H

#include <stdint.h>
#include <stdio.h>

#include "data/batch.h"
#include "util/json.h"

typedef struct xr_batch_dump { FILE *file; const char *path; } xr_batch_dump;  /* path: borrowed; NULL: nothing is asked for */

/* Such a line, the caller's; NULL without memory, with no error set. n_targets: values a sequence of batch->target. */
json_t *xr_batch_json(const xr_batch *b, size_t n_targets, uint64_t step, int micro, double epoch);
/* append: a run that goes on; updates behind its checkpoint may then stand twice, the later line holds. XR_ECANTCREAT. */
xr_status xr_batch_dump_open(xr_batch_dump *d, const char *path, int append);
/* XR_EIO. */
xr_status xr_batch_dump_write(xr_batch_dump *d, const xr_batch *b, size_t n_targets, uint64_t step, int micro, double epoch);
xr_status xr_batch_dump_close(xr_batch_dump *d);

#endif
