/* Scoring a model on one labelled file per language: what `xlmr evaluate` does.
 *
 * Labels are matched by name, never by position: the model's class k is called by its name in config.json, after the
 * label map and the known aliases, and the data's labels are looked up under those names. Everything is read and
 * checked before anything is computed. */
#ifndef XR_TRAIN_EVALUATE_H
#define XR_TRAIN_EVALUATE_H

#include "train/context.h"
#include "train/options.h"
#include "train/score.h"
#include "util/json.h"

/* One language. */
typedef struct xr_scored {
    char *language, *path;
    int filter;                 /* the file holds several languages, told apart by a column */
    xr_dataset data;
    float *logits;              // [data.n, C]
    int labelled;               /* figures are valid: the file has gold labels */
    xr_figures figures;
} xr_scored;

typedef struct xr_evaluation {
    const xr_options *o;
    xr_context *context;
    xr_labels labels;           /* names of the classes in the model's order, and the label map */
    size_t max_len;
    xr_scored *v; size_t n, cap;    /* XNLI's order of languages, then the others by name */
} xr_evaluation;

/* What a program may want to show meanwhile; either may be NULL. */
typedef struct xr_evaluate_hooks {
    void *context;
    void (*language)(void *context, const char *language, size_t n);    /* its n examples come next */
    xr_on_progress progress;
} xr_evaluate_hooks;

/* Reads and scores everything the options ask for; with --output-dir also writes the files of xr_evaluation_write.
 * On failure e is still to be freed. */
xr_status xr_evaluate_run(xr_evaluation *e, const xr_options *o, const xr_evaluate_hooks *hooks);
void xr_evaluation_free(xr_evaluation *e);

/* evaluate_files.c: fills e->v with languages and paths, by --data-dir, --split and --languages. */
xr_status xr_evaluate_find(xr_evaluation *e);

/* evaluate_labels.c: what a model directory's classes are called, and whether it can classify at all. */
xr_status xr_evaluate_check_head(const xr_context *c);             /* a head that classifies texts or words */
xr_status xr_evaluate_labels(xr_evaluation *e);
/* Tokens a sequence may have: what --max-seq-length says, checked; 0 = what the model takes. 0 with the error set. */
size_t xr_evaluate_max_len(const xr_context *c, const xr_options *o);

/* evaluate_report.c. The figures a problem is reported by, the main one first; NULL-terminated. */
typedef struct xr_report_column { const char *metric, *title; } xr_report_column;
const xr_report_column *xr_report_columns(xr_problem problem);
/* Mean of a figure over the languages with gold labels, and their number. */
double xr_evaluation_mean(const xr_evaluation *e, const char *metric, size_t *n);
/* English minus the mean of the other languages; 0 when one of the two is missing. */
int xr_evaluation_gap(const xr_evaluation *e, const char *metric, double *gap);
/* The table as printed, and the confusion by class behind it if asked for. */
xr_status xr_evaluation_table(const xr_evaluation *e, xr_str *out);
/* {"task", "split", "model", "protocol", "selection", "labels", "metric", "languages": {"en": {…}}, "average", …};
 * shares from 0 to 1 at full precision. NULL with the error set. */
json_t *xr_evaluation_json(const xr_evaluation *e);
/* results.json, results.tsv and TASK/SPLIT-LANG.tsv (one prediction a line, in the order of the input, with an empty line between
 * tagged sentences: XTREME's submission format) into a directory that exists. */
xr_status xr_evaluation_write(const xr_evaluation *e, const char *dir);

#endif
