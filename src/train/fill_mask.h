/* Filling masks: the candidates that a masked-LM model gives for each <mask> of a text (transformers' fill-mask pipeline). */
#ifndef XR_TRAIN_FILL_MASK_H
#define XR_TRAIN_FILL_MASK_H

#include "train/context.h"

typedef struct xr_candidate {
    float score;        /* softmax probability over the vocabulary */
    int32_t token;
    char *token_str;    /* the piece as text, without the word-start mark */
    char *sequence;     /* the whole text with this candidate in place; other masks stay */
} xr_candidate;

typedef struct xr_filled {
    int n_masks, top_k;
    xr_candidate *v;    // [n_masks, top_k] best first
} xr_filled;

/* XR_EDATA when the text has no mask or is longer than the model takes; XR_EUSAGE when the model has no masked-LM head. */
xr_status xr_fill_mask_text(xr_context *c, const char *text, int top_k, xr_filled *out);
void xr_filled_free(xr_filled *f);

#endif
