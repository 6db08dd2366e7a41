/* Raw text to a token store: every input shard becomes store shards of its own, in processes beside each other, and a manifest joins them.
 *
 * DIR while it is made:
 *   plan.json               recipe and inputs: what the rest belongs to
 *   part-1-of-3/            of the inputs 1, 4, 7 …; 1-of-1 without --shard
 *     00000.json            input 1 is done: which shards it became, its counts
 *     manifest.json         all of the part are done
 *   shard-00000.h5          of input 1; shard-00000_1.h5 where one would be too long
 * and then manifest.json in the place of plan and parts. Everything appears whole or not at all, so that a killed run goes on with the inputs that are
 * not done. Neither the processes nor their order can be seen in the result. */
#ifndef XR_TRAIN_PREPARE_H
#define XR_TRAIN_PREPARE_H

#include "data/text.h"
#include "data/tokenizer.h"
#include "train/options.h"

/* How the options of prepare, pretrain and trim say that raw text is read; borrows their strings. */
xr_text_options xr_prepare_text_options(const xr_options *o);

typedef struct xr_prepare_job {
    const xr_options *o;                        /* of prepare or pretrain: how to read text, workers, deflate, dedup; all of this is borrowed */
    const xr_tokenizer *tokenizer;
    const char *const *input; size_t n_input;   /* files; one that comes twice is used once, with a warning */
    const char *output_dir;
    int part, n_parts;                          /* --shard: part 1 ... n_parts; 0, 0 = all, with the manifest */
    int overwrite;                              /* replace what is in output_dir, unless it is of the very same recipe and inputs */
} xr_prepare_job;

typedef struct xr_prepare_progress {
    uint64_t bytes_total, bytes_before, bytes;  /* of the input files; before: done by an earlier run */
    uint64_t text_bytes, documents, tokens;     /* of this run */
    size_t inputs_total, inputs;
} xr_prepare_progress;

/* What a program may want to see or say meanwhile; any may be NULL. */
typedef struct xr_prepare_hooks {
    void *context;
    void (*begin)(void *context, const xr_prepare_progress *p);
    void (*progress)(void *context, const xr_prepare_progress *p);
    int (*stop)(void *context);                 /* 1: end with XR_ETEMPFAIL; the inputs that are done stay done */
} xr_prepare_hooks;

/* *manifest (may be NULL): of the store, or of the part; the caller's. A store that is already there, of the same recipe and inputs, is left as it is. */
xr_status xr_prepare_run(const xr_prepare_job *job, const xr_prepare_hooks *hooks, json_t **manifest);
/* Joins the parts that --shard left in DIR. */
xr_status xr_prepare_merge(const char *dir, json_t **manifest);
/* Are they all done, and of one plan? *n of them. Changes nothing. */
xr_status xr_prepare_look_at_parts(const char *dir, int *n);
/* What would be done, without doing it: {"inputs", "bytes", "done_inputs", "done_bytes", "workers"}; NULL with the error set. */
json_t *xr_prepare_look(const xr_prepare_job *job);

#endif
