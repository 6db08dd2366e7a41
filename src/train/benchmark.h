/* A benchmark is one file in benchmarks/: how its files are found and read, what is predicted, by which figures it is reported.
 *
 * What is common to all lies around it: options and the model (evaluate.c), languages (evaluate_files.c), table and JSON
 * (evaluate_report.c, evaluate_json.c), confidence intervals, the plot. */
#ifndef XR_TRAIN_BENCHMARK_H
#define XR_TRAIN_BENCHMARK_H

#include "train/evaluate.h"

/* A column of a paper's table: one model under one protocol, per cent. */
typedef struct xr_published_row { const char *language; double value; } xr_published_row;
typedef struct xr_published {
    const char *size;               /* "base", "large" */
    const char *protocol;           /* by a name of --protocol: "zero-shot transfer" */
    const char *split, *metric;     /* "test", "accuracy" */
    const char *source;             /* "Conneau et al. 2020, table 1" */
    const xr_published_row *row;    /* the last has no language; "average" is the paper's own average */
} xr_published;

typedef struct xr_benchmark {
    const char *name;               /* file name = symbol = value of --task = folder of the prediction files: "xnli" */
    const char *title;              /* as printed: "XNLI"; NULL: users' own data, printed as their folder */
    const char *units;              /* what n counts: "pairs", "sentences", "questions" */
    const char *ending;             /* of the prediction files: ".tsv", ".json" */
    const char *scorer;             /* by whose rules, where there are several that give other figures; NULL: there is only one */
    const char *const *options;     /* keys of options that mean something to only some benchmarks, this one among them; ended by NULL */
    /* Languages and files into e->v; xr_evaluate_find does the usual {split}-{language}.* */
    xr_status (*find)(xr_evaluation *e);
    /* Model and options fit this task; fills e->labels if there are labels. e->context and e->max_len are set. */
    xr_status (*open)(xr_evaluation *e);
    /* One language, checked before anything is computed: s->data or s->private, s->n_rows, s->n and s->labelled. */
    xr_status (*read)(xr_evaluation *e, xr_scored *s);
    /* With --predictions, after `read`, which had no tokenizer and let e->labels grow: what the file at `path` predicts, in a model's place
     * (evaluate_predictions.h). NULL: such files cannot be scored. */
    xr_status (*predicted)(xr_evaluation *e, xr_scored *s, const char *path);
    /* Predictions; of labelled rows also every figure of `columns` (xr_scored_set) and the parts (xr_scored_parts). */
    xr_status (*score)(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h);
    /* Figures, the main one first, ended by a row without a metric. Those with a title are columns of the table, all are in results.json. */
    const xr_report_column *(*columns)(const xr_evaluation *e);
    /* The main figure of units whose parts have these sums: accuracy is sum[0] / n_units. NULL: no confidence intervals. */
    double (*main_figure)(const double *sum, size_t n_parts, size_t n_units);
    int parallel;                   /* row i is the same example in every language, translated: they are resampled together */
    int translated;                 /* can be read from translations into English: --protocol translate-test */
    /* The text of the prediction file as XTREME takes it. */
    xr_status (*predictions)(const xr_evaluation *e, const xr_scored *s, xr_str *out);
    /* More files about a language, beside its predictions; may be NULL. */
    xr_status (*more_files)(const xr_evaluation *e, const xr_scored *s, const char *folder);
    /* Further keys of the language's object in results.json, a new object; may be NULL. */
    json_t *(*details)(const xr_evaluation *e, const xr_scored *s);
    /* How bad the answer to row i (of s->n_rows) is, 0: right, or without a gold label. With `line` also what a person wants to see of it: "gold" and
     * "predicted" (texts, numbers or lists), "probability", "loss" and the like, and the texts under names of their own; tagged words as "words", a list of
     * [word, gold, predicted]. It becomes a line of errors.jsonl (evaluate_errors.c). NULL: none. */
    xr_status (*error)(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line);
    /* Counts by class of a labelled language, for --confusion and the warning of a single answer; may be NULL, and give NULL. */
    const xr_confusion *(*confusion)(const xr_scored *s);
    /* Lines behind the table about a labelled language, for --per-type; may be NULL. */
    xr_status (*by_type)(const xr_evaluation *e, const xr_scored *s, xr_str *out);
    const xr_published *published;  /* the last has no size; may be NULL */
    void (*free)(xr_scored *s);     /* of s->private; may be NULL */
} xr_benchmark;

extern const xr_benchmark *const xr_benchmarks[];           /* generated from benchmarks/, NULL-terminated */
const xr_benchmark *xr_benchmark_find(const char *name);    /* NULL if unknown */

/* The paper's table to set beside `metric` of this evaluation: of the model's size, under its protocol where that was published, else zero-shot.
 * NULL = none. */
const xr_published *xr_published_find(const xr_evaluation *e, const char *metric);
int xr_published_value(const xr_published *p, const char *language, double *value);     /* 0 = no such language */

#endif
