/* A model directory opened for use: config, weights, tokenizer and a tape that grows as needed. What include/xr.h calls a context. */
#ifndef XR_TRAIN_CONTEXT_H
#define XR_TRAIN_CONTEXT_H

#include "data/dataset.h"
#include "data/tokenizer.h"
#include "model/hf.h"
#include "train/options.h"
#include "train/trainer.h"

typedef struct xr_context {
    char *dir;
    int read_only;              /* opened for inference: values may lie in a mapped file */
    xr_model model;
    xr_tokenizer *tokenizer;
    xr_tape *tape;              /* for passes without gradients */
    xr_batch_bound bound;       /* what the tape is sized for */
    xr_trainer *trainer;        /* NULL until training began */
    xr_batch_buffer batch;
    xr_tokens tokens;           /* of the text being encoded */
    size_t cut;                 /* tokens of it that found no room */
} xr_context;

/* Opens DIR and checks that model and tokenizer belong together. options NULL: mapped, with the head the directory has. */
xr_context *xr_context_open(const char *dir, const xr_load_options *options);
xr_context *xr_context_for(const xr_options *o);        /* --model mapped, computing in --precision */
void xr_context_free(xr_context *c);
/* The precision of that name (train/setup.h) for the passes that follow. */
xr_status xr_context_set_precision(xr_context *c, const char *name);

/* Encodes <s> text </s> (</s> pair </s>) into c->tokens, cut to max_len (0 = what the model takes). */
xr_status xr_context_encode(xr_context *c, const char *text, const char *pair, size_t max_len, int specials);
/* Appends the tokens in c->tokens to c->batch as one sequence. */
xr_status xr_context_push(xr_context *c, uint32_t sample);

/* Refuses (XR_EDATA) an answer with NaN or infinity in it: mapped weights are not scanned when they are opened, so damage shows here. `from` is the
 * model's directory. */
xr_status xr_check_finite(const float *x, size_t n, const char *from);

/* A tape large enough for `batch`, begun for inference; NULL with the error set. */
xr_tape *xr_context_tape(xr_context *c, const xr_batch *batch);

#endif
