/* Fine-tuning on labelled data: what `xlmr finetune` does.
 *
 * Order of events: read and check everything (data, labels, model, options), then create the run directory, then train. So a mistake in the
 * input leaves nothing behind. */
#ifndef XR_TRAIN_FINETUNE_H
#define XR_TRAIN_FINETUNE_H

#include "data/dataset.h"
#include "data/loader.h"
#include "train/loop.h"
#include "train/score.h"

typedef struct xr_finetune xr_finetune;

/* What is different between the things a model can be trained for: finetune_classify.c, finetune_tag.c. */
typedef struct xr_finetune_task {
    const char *name, *head;                /* value of --task; name of the model's head */
    const char *pipeline, *title;           /* for the model card: transformers' pipeline, and what the model is */
    const char *examples, *shortened;       /* what a file holds, and what is done to those that are too long: "examples", "cut" */
    xr_status (*choose)(xr_finetune *f);    /* f->problem, before the data are read */
    xr_status (*read)(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o);
    xr_status (*check)(const xr_finetune *f);               /* labels of the training data */
    const char *const *(*metrics)(const xr_finetune *f);    /* what may choose the best model; the first by default; NULL-terminated */
    void (*figures)(const xr_finetune *f, json_t *line);    /* those of f->figures besides the loss; warns of a collapse */
    xr_status (*card)(const xr_finetune *f, const xr_figures *g, xr_str *out);      /* rows of the card's table */
} xr_finetune_task;
extern const xr_finetune_task xr_finetune_classify, xr_finetune_tag;

struct xr_finetune {
    const xr_options *o;
    const xr_finetune_task *task;
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
};

/* Runs everything. *summary (may be NULL) receives an object with the figures, owned by the caller. */
xr_status xr_finetune_run(const xr_options *o, const xr_loop_hooks *hooks, json_t **summary);

/* finetune_data.c: tokenizer, labels, examples. */
xr_status xr_finetune_read(xr_finetune *f);
void xr_finetune_data_options(const xr_finetune *f, int training, xr_data_options *d);
/* finetune_tag.c: the training words are predicted at all their pieces; once the labels have their ids. */
xr_status xr_finetune_all_pieces(xr_finetune *f);
/* finetune_card.c: README.md of a saved model: what it is, data, figures, command. Caller frees; NULL with the error set. */
char *xr_finetune_card(const xr_finetune *f, uint64_t step, const xr_figures *figures);

#endif
