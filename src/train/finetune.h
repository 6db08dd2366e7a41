/* Fine-tuning for classification: what `xlmr finetune --task classify` does.
 *
 * Order of events: read and check everything (data, labels, model, options), then create the run directory, then train. So a mistake in the
 * input leaves nothing behind. */
#ifndef XR_TRAIN_FINETUNE_H
#define XR_TRAIN_FINETUNE_H

#include "data/dataset.h"
#include "data/loader.h"
#include "train/options.h"
#include "train/runlog.h"
#include "train/score.h"
#include "train/trainer.h"

/* What a program may want to see or say while training runs; any may be NULL. */
typedef struct xr_finetune_hooks {
    void *context;
    void (*begin)(void *context, uint64_t total_steps);
    void (*step)(void *context, uint64_t step, double loss, double tokens_per_s);
    void (*evaluating)(void *context, size_t done, size_t total);
    int (*stop)(void *context);             /* 1: a signal came; finish the step or the batch of an evaluation, save, end with XR_ETEMPFAIL */
} xr_finetune_hooks;

typedef struct xr_finetune {
    const xr_options *o;
    const xr_finetune_hooks *hooks;
    /* input */
    xr_tokenizer *tokenizer;
    xr_config base;                         /* of the model directory */
    xr_labels labels;
    xr_problem problem;
    int keep_head;                          /* the directory's labels cover the data's */
    xr_dataset train, valid;
    float *class_weight;                    // [C] or NULL
    /* run */
    xr_model model;
    xr_loader *loader;
    xr_trainer trainer;
    xr_runlog log;
    xr_batch batch;                         /* the loader's micro-batch with class weights and smoothing added */
    uint64_t steps_per_epoch, total_steps, warmup_steps, eval_every;
    const char *metric;
    /* progress; part of the run's state */
    double best_value;
    uint64_t best_step, evals_since_best, evals;
    xr_figures figures;                     /* of the newest evaluation */
    uint64_t figures_step;
    double window_loss;                     /* sum of the step losses since the last metrics line */
    uint64_t window_steps, window_tokens;
    char digest[33];                        /* of the final state */
} xr_finetune;

/* Runs everything. *summary (may be NULL) receives an object with the figures, owned by the caller. */
xr_status xr_finetune_run(const xr_options *o, const xr_finetune_hooks *hooks, json_t **summary);

/* finetune_data.c: tokenizer, labels, examples. */
xr_status xr_finetune_read(xr_finetune *f);
/* finetune_card.c: README.md of a saved model: what it is, data, figures, command. Caller frees; NULL with the error set. */
char *xr_finetune_card(const xr_finetune *f, uint64_t step, const xr_figures *figures);

#endif
