/* Fine-tuning on labelled data: what `xlmr finetune` does.
 *
 * Order of events: read and check everything (data, labels, model, options), then create the run directory, then train. So a mistake in the
 * input leaves nothing behind. */
#ifndef XR_TRAIN_FINETUNE_H
#define XR_TRAIN_FINETUNE_H

#include "data/dataset.h"
#include "data/loader.h"
#include "train/data_file.h"
#include "train/loop.h"
#include "train/score.h"

typedef struct xr_finetune xr_finetune;

/* What is different between the things a model can be trained for: finetune_classify.c, finetune_tag.c, finetune_choice.c. */
typedef struct xr_finetune_task {
    const char *name, *head;                /* value of --task; name of the model's head */
    const char *pipeline, *title;           /* for the model card: transformers' pipeline, and what the model is */
    const char *examples, *shortened;       /* what a file holds, and what is done to those that are too long: "examples", "cut" */
    xr_status (*choose)(xr_finetune *f);    /* f->problem, before the data are read */
    xr_status (*read)(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o);
    xr_status (*check)(const xr_finetune *f);               /* labels of the training data */
    const char *const *(*metrics)(const xr_finetune *f);    /* what may choose the best model; the first by default; NULL-terminated */
    /* One set of validation examples with the model as it is: figures to g, which is zero or an earlier answer. xr_finetune_score, or a task's own. */
    xr_status (*score)(xr_finetune *f, const xr_scoring *how, const xr_dataset *d, xr_figures *g);
    void (*figures)(const xr_finetune *f, const xr_figures *g, json_t *line);       /* those besides the loss */
    xr_status (*collapse)(const xr_finetune *f, const xr_figures *g, xr_str *sign);     /* appends by what one set shows it; nothing: it does not */
    xr_status (*card)(const xr_finetune *f, const xr_figures *g, xr_str *out);      /* rows of the card's table, for one set */
} xr_finetune_task;
extern const xr_finetune_task xr_finetune_classify, xr_finetune_tag, xr_finetune_qa, xr_finetune_choice;

/* The validation examples of one language, or of files of one name whose language is not known. */
typedef struct xr_valid_set {
    const char *name;                       /* "de"; of the first file's xr_data_file */
    int language;                           /* that is a language */
    int trained;                            /* it is among those of the training data */
    int chosen;                             /* takes part in choosing the best model */
    xr_dataset data;
    xr_figures figures;                     /* of the newest evaluation */
} xr_valid_set;

struct xr_finetune {
    const xr_options *o;
    const xr_finetune_task *task;
    const xr_loop_hooks *hooks;
    /* input */
    xr_tokenizer *tokenizer;
    xr_config base;                         /* of the model directory */
    const xr_config *sizes;                 /* of an estimate: the model has these, and no weights; NULL in a run */
    xr_labels labels;
    xr_problem problem;
    int max_len;                            /* --max-seq-length, or what the task has for "auto" */
    int keep_head;                          /* the directory's labels cover the data's */
    xr_data_file *train_file, *valid_file;  /* those that are named, or those of o->data_dir */
    size_t n_train_file, n_valid_file;
    xr_dataset train;
    xr_mixture_part *part;                  // [n_train_file] where each file's examples stand in train
    xr_mixture mixture;                     /* how often they are drawn */
    xr_valid_set *valid; size_t n_valid;    /* in the order of the files; an element stays where it is */
    float *class_weight;                    // [C] or NULL
    /* run */
    xr_model model;
    xr_loader *loader;
    xr_trainer trainer;
    xr_loop loop;
    xr_batch batch;                         /* the loader's micro-batch with class weights and smoothing added */
    uint64_t steps_per_epoch, total_steps, warmup_steps;
    const char *metric;
    xr_str choice;                          /* what the best model is chosen by, as printed: "accuracy", "mean accuracy of en, de" */
    uint64_t figures_step;                  /* of the newest evaluation */
    size_t scored;                          /* examples of the sets before this one, for the progress */
};

/* Runs everything. *summary (may be NULL) receives an object with the figures, owned by the caller. */
xr_status xr_finetune_run(const xr_options *o, const xr_loop_hooks *hooks, json_t **summary);

/* For an estimate: f->o and f->sizes are set, the rest is zero. Everything up to the trainer; without data (no file is named) f->loader is NULL, and
 * f->total_steps what --max-steps says. */
xr_status xr_finetune_plan(xr_finetune *f);
void xr_finetune_free_all(xr_finetune *f);
size_t xr_finetune_micro(const xr_finetune *f);     /* examples at once */

/* finetune_files.c: which files. XR_EUSAGE when no option says. */
xr_status xr_finetune_files(xr_finetune *f);
/* finetune_data.c: tokenizer, labels, examples. Does the first when that was not done. */
xr_status xr_finetune_read(xr_finetune *f);
/* The task of --task, without data: its problem, and how long examples may be; f->base is set. */
xr_status xr_finetune_choose(xr_finetune *f);
void xr_finetune_free(xr_finetune *f);      /* what these two made */
void xr_finetune_data_options(const xr_finetune *f, int training, xr_data_options *d);
/* finetune_labels.c: warnings of names that stand for one class, or for none. */
xr_status xr_finetune_warn_labels(const xr_finetune *f);
/* finetune_tag.c: the training words are predicted at all their pieces; once the labels have their ids. */
xr_status xr_finetune_all_pieces(xr_finetune *f);

/* finetune_mix.c: how often the examples of each file and language are drawn. */
xr_status xr_finetune_mix(xr_finetune *f);
xr_status xr_finetune_say_mix(const xr_finetune *f);
json_t *xr_finetune_mix_json(const xr_finetune *f);         /* [{"name", "examples", "weight", "data_share", "batch_share", "epochs"}, …] by file */
xr_status xr_finetune_mix_card(const xr_finetune *f, xr_str *out);      /* table of the model card; nothing for one file */

/* finetune_valid.c: evaluation by language, and which model is the best. */
/* The metric, and the sets that --select-by means; refuses what these data don't have. */
xr_status xr_finetune_plan_choice(xr_finetune *f);
xr_status xr_finetune_say_sets(const xr_finetune *f);
/* Every set through f->task->score; the figures are the sets'. */
xr_status xr_finetune_validate(xr_finetune *f);
/* What a task's score is unless it has its own: logits, then xr_figures_compute. */
xr_status xr_finetune_score(xr_finetune *f, const xr_scoring *how, const xr_dataset *d, xr_figures *g);
/* Adds the figures to a line of metrics.jsonl: of one set as they are; of several their means (and the sum of "examples"), then "languages" with those
 * of each and "selected" with the value that chooses. */
xr_status xr_finetune_figures(const xr_finetune *f, json_t *line);
/* The value that chooses, from the newest figures. */
xr_status xr_finetune_value(const xr_finetune *f, double *value);
size_t xr_finetune_valid_examples(const xr_finetune *f);
xr_status xr_finetune_valid_card(const xr_finetune *f, xr_str *out);    /* figures of the model card */

/* finetune_card.c: README.md of a saved model: what it is, data, figures, command. `scored`: the sets hold this model's figures. Caller frees; NULL with
 * the error set. */
char *xr_finetune_card(const xr_finetune *f, uint64_t step, int scored);

#endif
