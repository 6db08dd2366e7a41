/* Running a labelled set through a model without gradients: logits, losses, figures. */
#ifndef XR_TRAIN_SCORE_H
#define XR_TRAIN_SCORE_H

#include "data/dataset.h"
#include "data/tag_scheme.h"
#include "model/model.h"
#include "train/metrics.h"

/* Called after every batch; anything but 0 stops the scoring with XR_ETEMPFAIL. */
typedef int (*xr_on_progress)(size_t done, size_t total, void *context);

typedef struct xr_scoring {
    xr_model *model;
    const char *name;           /* of the model, for messages */
    size_t batch_tokens;        /* tokens a batch, 0 = 4096; results do not depend on it beyond the rounding of the products */
    xr_on_progress progress;    /* may be NULL */
    void *context;
} xr_scoring;

/* Logits of every example in the dataset's order: [d->n, C], or of every word of tagged sentences, [d->words.n, C] (of every piece with
 * d->words.all_pieces), or every choice of questions,
 * [d->choices.n], or every token of windows, [tokens, 2]. Caller frees; NULL with the error set, XR_EDATA when one is NaN or infinite. */
float *xr_score_logits(const xr_scoring *s, const xr_dataset *d);

/* What the labels of a problem are, for reading them. */
xr_label_kind xr_score_label_kind(xr_problem p);

/* Entities of one type. */
typedef struct xr_type_figures {
    const char *name;                   /* of the labels the figures were made with */
    xr_entity_counts counts, strict;
} xr_type_figures;

/* Figures of logits against the dataset's labels; examples without a label are left out. */
typedef struct xr_figures {
    size_t n;                   /* examples with a label; sentences with tags */
    double loss;                /* mean, as training would compute it without class weights and smoothing */
    xr_confusion confusion;     /* single-label, and plain tags of words */
    double accuracy, f1_macro, mcc;     /* f1_macro: of classes; of tags of entities, of their types, as the next */
    double auc;                 /* single-label, multi-label: area under the ROC curve; of several classes the mean of each against the rest */
    double chance;              /* choices only: accuracy of guessing; accuracy is that of the questions */
    double pearson, spearman, mse;      /* regression only */
    double f1_micro, exact;             /* multi-label only: micro F1 (f1_macro: mean of the labels') at logit > 0, share of exactly right label sets */
    xr_scheme scheme;                   /* tags only, as the next: of the gold tags */
    xr_entity_counts entities, strict;
    double precision, recall, f1;       /* of entities, over all sentences and types; accuracy is that of the words */
    const char *rules;                  /* answers only, with exact and f1: by which they are right */
    double precision_strict, recall_strict, f1_strict, f1_macro_strict;     /* of those that the scheme allows */
    xr_type_figures *type; int n_types;     /* by name: those that stand in the gold tags or the predictions */
} xr_figures;
xr_status xr_figures_compute(xr_figures *f, const xr_config *c, const xr_dataset *d, const float *logits);
/* score_tags.c: the same for tagged sentences, all of which have their tags, under other names than the configuration's, which have to outlive f;
 * `where` is for messages. A label that the model has not learnt has logits of -INFINITY: it is never predicted, and words that have it count for all figures
 * but the loss. Plain tags (parts of speech) have accuracy and f1_macro, and no entities. */
xr_status xr_figures_tags(xr_figures *f, const char *const *name, int n_labels, const xr_dataset *d, const float *logits, const char *where);
void xr_figures_free(xr_figures *f);

/* A figure by the name users write in --metric. XR_EUSAGE with the known names. */
xr_status xr_figures_named(const xr_figures *f, const char *metric, double *value);

#endif
