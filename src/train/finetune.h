/* Fine-tuning for classification: what `xlmr finetune --task classify` does.
 *
 * Order of events: read and check everything (data, labels, model, options), then create the run directory, then train. So a mistake in the
 * input leaves nothing behind. */
#ifndef XR_TRAIN_FINETUNE_H
#define XR_TRAIN_FINETUNE_H

#include "data/dataset.h"
#include "data/loader.h"
#include "train/loop.h"
#include "train/score.h"

typedef struct xr_finetune {
    const xr_options *o;
    const xr_loop_hooks *hooks;
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
    xr_loop loop;
    xr_batch batch;                         /* the loader's micro-batch with class weights and smoothing added */
    uint64_t steps_per_epoch, total_steps, warmup_steps;
    const char *metric;
    xr_figures figures;                     /* of the newest evaluation */
    uint64_t figures_step;
} xr_finetune;

/* Runs everything. *summary (may be NULL) receives an object with the figures, owned by the caller. */
xr_status xr_finetune_run(const xr_options *o, const xr_loop_hooks *hooks, json_t **summary);

/* finetune_data.c: tokenizer, labels, examples. */
xr_status xr_finetune_read(xr_finetune *f);
/* finetune_card.c: README.md of a saved model: what it is, data, figures, command. Caller frees; NULL with the error set. */
char *xr_finetune_card(const xr_finetune *f, uint64_t step, const xr_figures *figures);

#endif
