/* Scoring a model on one labelled file per language: what `xlmr evaluate` does.
 *
 * Labels are matched by name, never by position: the model's class k is called by its name in config.json, after the
 * label map and the known aliases, and the data's labels are looked up under those names. Everything is read and
 * checked before anything is computed. What differs between tasks is a benchmark (benchmark.h). */
#ifndef XR_TRAIN_EVALUATE_H
#define XR_TRAIN_EVALUATE_H

#include "train/context.h"
#include "train/options.h"
#include "train/score.h"
#include "util/json.h"

struct xr_benchmark;
enum { XR_MAX_FIGURES = 24 };

/* A figure of merit by its name in results.json; from 0 to 1 where it is a share. `title` in the table, NULL: not in it. */
typedef struct xr_report_column { const char *metric, *title; } xr_report_column;
typedef struct xr_figure { const char *name; double value; } xr_figure;

/* What chance leaves of the main figure (resample.h); NaN where it is not known. */
typedef struct xr_statistic {
    double low, high;           /* 95 % interval */
    double difference, p;       /* from the first model's, and how likely that much is by chance */
} xr_statistic;

/* One language. */
typedef struct xr_scored {
    char *language, *path;
    int filter;                 /* the file holds several languages, told apart by a column */
    xr_dataset data;            /* of benchmarks that read into one */
    size_t n_rows;              /* in the file, counted in the benchmark's units */
    size_t n;                   /* those with gold labels: what the figures are of */
    int labelled;               /* n > 0: figures are valid */
    int32_t *predicted;         /* with --predictions: a class of each row, or of each tagged word */
    float *logits;              // [data.n, C], or [data.words.n, C] of tagged words; NULL where a benchmark keeps its own
    void *private;              /* a benchmark's own data, freed by it */
    xr_figure figure[XR_MAX_FIGURES]; size_t n_figures;
    /* What each unit gives to the main figure, which is a function of the sums over units: right of accuracy; gold, predicted and right
     * entities of a sentence; F1 of a question. The same units in the same order for every model. */
    double *part;               // [n_units, n_parts]
    size_t n_units, n_parts;
    xr_statistic statistic;
} xr_scored;

typedef struct xr_evaluation {
    const xr_options *o;
    const struct xr_benchmark *benchmark;
    xr_context *context;        /* with --predictions without weights and tokenizer */
    xr_labels labels;           /* names of the classes in the model's order, and the label map */
    size_t max_len;
    xr_scored *v; size_t n, cap;    /* XNLI's order of languages, then the others by name */
    size_t n_resamples;             /* behind the intervals; 0: there are none */
    xr_statistic statistic;         /* of the average */
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
/* Its steps, for several models: all is read and checked; all is scored; intervals, and differences from `first` unless NULL. */
xr_status xr_evaluation_open(xr_evaluation *e, const xr_options *o);
xr_status xr_evaluation_score(xr_evaluation *e, const xr_evaluate_hooks *hooks);
xr_status xr_evaluation_statistics(xr_evaluation *e, const xr_evaluation *first, size_t n_resamples);

/* For benchmarks. `name` is a string that stays. */
void xr_scored_set(xr_scored *s, const char *name, double value);
int xr_scored_get(const xr_scored *s, const char *name, double *value);     /* 0 = not set */
xr_status xr_scored_parts(xr_scored *s, size_t n_units, size_t n_parts);    /* all zero */
/* Fills s->logits by a classification head over s->data. */
xr_status xr_evaluate_logits(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *hooks);
/* What the options say about reading any test file; the rest is zero. */
void xr_evaluate_data_options(const xr_evaluation *e, xr_data_options *d);

/* evaluate_files.c: fills e->v with languages and paths, by --data-dir, --split and --languages. */
xr_status xr_evaluate_find(xr_evaluation *e);
int xr_evaluate_translated(const xr_evaluation *e);         /* the test files are translations into English: --protocol translate-test */
int xr_evaluate_is_tag(const char *s, size_t len);          /* looks like a language: letters, then parts of at most 8 letters or digits */
/* Its parts, for benchmarks whose files have other names: {split}-{language}.* of the folder; one more language (filter: the file
 * holds several); then order and --languages. `also` says in the error what else was looked for; NULL = nothing else. */
xr_status xr_evaluate_folder(xr_evaluation *e);
xr_status xr_evaluate_add(xr_evaluation *e, const char *language, size_t len, const char *path, int filter);
xr_scored *xr_evaluate_language(const xr_evaluation *e, const char *language, size_t len);     /* NULL = not there */
xr_status xr_evaluate_choose(xr_evaluation *e, const char *also);

/* evaluate_labels.c: what a model directory's classes are called, and whether it can classify at all. */
xr_status xr_evaluate_check_head(const xr_context *c);             /* a head that classifies texts or words */
xr_status xr_evaluate_labels(xr_evaluation *e);
/* Tokens a sequence may have: what --max-seq-length says, checked; 0 = what the model takes. 0 with the error set. */
size_t xr_evaluate_max_len(const xr_context *c, const xr_options *o);
/* A note, if any were, that n_cut of the n records of a file were cut to that length. */
void xr_evaluate_tell_cut(const char *path, uint64_t n_cut, uint64_t n, size_t max_len);

/* How the model was chosen: "model as given; no per-language selection". */
extern const char xr_evaluate_as_given[];

/* evaluate_report.c. Mean of a figure over the languages that have it, and their number. */
double xr_evaluation_mean(const xr_evaluation *e, const char *metric, size_t *n);
/* The training language minus the mean of the other languages; 0 when one of the two is missing. */
int xr_evaluation_gap(const xr_evaluation *e, const char *metric, double *gap);
/* The table as printed, and behind it what --confusion and --per-type ask for. */
xr_status xr_evaluation_table(const xr_evaluation *e, xr_str *out);
/* The rows of a table with a group of columns for each of n evaluations of the same languages. name: of the groups, NULL with one. */
xr_status xr_evaluation_rows(const xr_evaluation *const *e, const char *const *name, size_t n, xr_str *out);
/* What stands below it: protocol, selection, published figures and intervals explained. */
xr_status xr_evaluation_footer(const xr_evaluation *const *e, size_t n, const char *selection, xr_str *out);
/* The confusion by class of each language with gold labels, then its figures by type; each only if asked for. */
xr_status xr_evaluation_confusions(const xr_evaluation *e, xr_str *out);

/* evaluate_json.c. {"task", "split", "model", "protocol", "selection", "labels", "metric", "languages": {"en": {…}}, "average", …};
 * shares from 0 to 1 at full precision. NULL with the error set. */
json_t *xr_evaluation_json(const xr_evaluation *e);
/* results.json, results.tsv, errors.jsonl and TASK/SPLIT-LANG.tsv (one prediction a line, in the order of the input, with an empty line between
 * tagged sentences: XTREME's submission format) into a directory that exists. */
xr_status xr_evaluation_write(const xr_evaluation *e, const char *dir);
/* Its parts: TASK/SPLIT-LANG.tsv of each language, in the words of the model of `of[i]`, or of e where of is NULL; any text; a statistic. */
xr_status xr_evaluation_write_predictions(const xr_evaluation *e, const xr_evaluation *const *of, const char *dir);
xr_status xr_evaluation_write_text(const char *dir, const char *name, const xr_str *text);
json_t *xr_statistic_json(const xr_statistic *s);       /* {"low", "high", "difference", "p"}, without what is not known */
/* evaluate_errors.c: errors.jsonl, up to --worst-errors lines a language with gold labels; part of the above. */
xr_status xr_evaluation_write_errors(const xr_evaluation *e, const char *dir);

/* evaluate_plot.c: bars by language of the main figure, a colour for each of n evaluations of the same languages, intervals and published figures
 * marked; a standalone SVG. name: of the evaluations, [n]. */
xr_status xr_evaluation_plot(const xr_evaluation *const *e, const char *const *name, size_t n, xr_str *out);
xr_status xr_evaluation_write_plot(const xr_evaluation *const *e, const char *const *name, size_t n, const char *dir);      /* plot.svg */

#endif
