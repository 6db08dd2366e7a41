/* Token and sentence vectors from any layer. */
#ifndef XR_TRAIN_FEATURES_H
#define XR_TRAIN_FEATURES_H

#include "train/context.h"

typedef enum xr_features_pooling {
    XR_FEATURES_NONE,       /* one row a token, specials included */
    XR_FEATURES_FIRST,      /* the row of <s> */
    XR_FEATURES_MEAN        /* the mean of all tokens, specials included */
} xr_features_pooling;

/* The layer's number with -1 as the last; < 0 with XR_EUSAGE out of range. */
int xr_features_layer(const xr_context *c, int layer);

/* Vectors of the texts in `batch` (from xr_context_push): rows [N, H] or one a text [B, H]; the returned memory is the tape's and lives until the next pass.
 * NULL with the error set. */
const float *xr_features_batch(xr_context *c, const xr_batch *batch, int layer, xr_features_pooling pooling);

/* Vectors of texts that come one after another, computed in batches. Texts wait in c->batch, which is empty at first and nobody else's until the flush. */
typedef struct xr_features_run {
    xr_context *c;
    size_t tokens;              /* computed at once at most; a longer text is computed alone */
    int layer;
    xr_features_pooling pooling;
    /* Takes a batch of at least one text, in the order of adding: x [rows, H] as xr_features_batch gives it; borrowed, as is the batch. */
    xr_status (*take)(void *context, const xr_batch *batch, const float *x, size_t rows);
    void *context;
} xr_features_run;

/* One more text, or pair (NULL = none), cut to max_len tokens (0 = what the model takes); computes those that wait when there is no room for it. */
xr_status xr_features_add(const xr_features_run *r, const char *text, const char *pair, size_t max_len);
/* Computes those that still wait, if any. */
xr_status xr_features_flush(const xr_features_run *r);

#endif
