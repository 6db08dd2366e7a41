/* Is what lies there what was written, and fit to be used? */
#ifndef XR_TRAIN_VERIFY_H
#define XR_TRAIN_VERIFY_H

#include "train/artefact.h"
#include "util/json.h"

typedef struct xr_verdict {
    json_t *checks;             /* [{what, ok, message}] in the order they were made; message: what is wrong and the remedy, or what was seen */
    size_t n, n_bad;
} xr_verdict;

/* Checks all of PATH: of a sweep every run; of a run every checkpoint, best, final, its options, log and token stores; of a checkpoint manifest, digests,
 * rows, numbers; of a token store manifest, digests, documents, ids; of a model directory its digests if it has any, configuration, header, tensors,
 * tokenizer, numbers; of a file its numbers. Goes on after what is wrong. Fails only when it cannot go on: nothing is there (XR_ENOINPUT), it is none of
 * these (XR_EDATA), no memory. v->checks is the caller's in any case. */
xr_status xr_verify(const char *path, xr_verdict *v);

#endif
