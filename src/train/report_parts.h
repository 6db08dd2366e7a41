/* Inside of the report: what was read, and the writers of its parts (report_*.c). */
#ifndef XR_TRAIN_REPORT_PARTS_H
#define XR_TRAIN_REPORT_PARTS_H

#include "train/report.h"
#include "util/json.h"
#include "util/markup.h"
#include "util/number.h"
#include "util/svg.h"

/* A directory of pretrain or finetune. */
typedef struct xr_report_run {
    char *path, *name;              /* as given; its last parts, distinct among all */
    json_t *start, *end;            /* lines of metrics.jsonl by event: NULL if not there */
    json_t *steps, *evals, *skips;  /* arrays of lines */
    json_t *timing;                 /* lines of timing.jsonl; "at" counts the seconds on over resumptions */
    char *config, *version;         /* text of config.yaml, and the program that wrote best/ or final/; NULL if not there */
    unsigned verb;                  /* XR_V_PRETRAIN, XR_V_FINETUNE, 0 if unknown */
    xr_str notes;                   /* what is missing or broken: one a line */
} xr_report_run;

/* A model in a directory of evaluate. */
typedef struct xr_report_evaluation {
    char *path, *name;
    json_t *results, *errors;       /* results.json; lines of errors.jsonl, an array */
    xr_str notes;
} xr_report_evaluation;

/* A directory of sweep; its runs are among those of the page. */
typedef struct xr_report_sweep { char *path, *name; json_t *results; } xr_report_sweep;

typedef struct xr_report {
    const xr_options *o;
    xr_report_sweep *sweep; size_t n_sweeps, cap_sweeps;
    xr_report_run *run; size_t n_runs, cap_runs;
    xr_report_evaluation *evaluation; size_t n_evaluations, cap_evaluations;
} xr_report;

/* report_read.c: what kind of directory it is, and what is in it. */
xr_status xr_report_add(xr_report *r, const char *path);
xr_status xr_report_name_all(xr_report *r);
void xr_report_free(xr_report *r);

/* report_lines.c: the lines of a log into *lines, an array; a missing file is a note, as is a line that is no JSON object. */
xr_status xr_report_lines(const char *dir, const char *name, json_t **lines, xr_str *notes);
/* The number at a key, or at "languages/en/loss"; NaN if there is none. */
double xr_report_number(const json_t *line, const char *key);
const char *xr_report_string(const json_t *object, const char *key);       /* NULL if there is none */

/* report_choice.c: what chose the best model. The key of that figure in the lines of evaluations: "perplexity", "accuracy"; NULL = no evaluation yet. */
const char *xr_report_chooser(const xr_report_run *run);
/* The key of the figure that charts and tables show: the same, or something more telling than a loss that nobody asked for; NULL as above. */
const char *xr_report_metric(const xr_report_run *run);
/* What chose in the words of the log where that is more than the figure: "mean accuracy of de, en"; else NULL. */
const char *xr_report_choice(const xr_report_run *run);
/* The evaluation of the best model, which is not the one before training; NULL if there is none. */
const json_t *xr_report_best(const xr_report_run *run);
/* The value of an evaluation that the choice is by: of several sets of validation data those that choose. NaN if it is no number. */
double xr_report_value(const xr_report_run *run, const json_t *line);

/* report_curves.c: charts of one or several runs. */
const char *xr_report_title(const char *metric);                            /* "f1_macro": "macro F1" */
xr_status xr_report_curves(const xr_report_run *run, size_t n, xr_str *out);
xr_status xr_report_languages_chart(const xr_report_run *run, xr_str *out);

/* report_run.c: the section of one run, and the table that compares several. */
xr_status xr_report_put_run(const xr_report *r, size_t i, xr_str *out);
xr_status xr_report_compare_runs(const xr_report *r, xr_str *out);
const char *xr_report_kind(const xr_report_run *run);                       /* "Pretraining", "Fine-tuning", "Run" */

/* report_sweep.c: the section of one sweep. */
xr_status xr_report_put_sweep(const xr_report *r, size_t i, xr_str *out);

/* report_evaluation.c, report_errors.c: the same for evaluations. */
xr_status xr_report_put_evaluation(const xr_report *r, size_t i, xr_str *out);
xr_status xr_report_compare_evaluations(const xr_report *r, xr_str *out);
xr_status xr_report_put_confusions(const json_t *results, xr_str *out);
xr_status xr_report_put_errors(const xr_report_evaluation *e, xr_str *out);

/* report_command.c: options that differ from the verb's defaults, as they would be typed; nothing when they cannot be read. */
xr_status xr_report_command(unsigned verb, const json_t *values, xr_str *out);
/* The same of a config.yaml. */
xr_status xr_report_command_yaml(unsigned verb, const char *yaml, xr_str *out);

/* report_page.c: head and end of the page, and what sections have in common. Whether the page is about one run or evaluation and nothing else. */
int xr_report_is_single(const xr_report *r);
xr_status xr_report_head(const xr_report *r, xr_str *out);
xr_status xr_report_foot(xr_str *out);
xr_status xr_report_card(xr_str *out, const char *label, const char *value, const char *more);     /* a summary figure */
xr_status xr_report_notes(xr_str *out, const xr_str *notes);
xr_status xr_report_figure(xr_str *out, const char *caption, const xr_str *svg);
/* A folded text in a fixed font; nothing for NULL or "". */
xr_status xr_report_listing(xr_str *out, const char *title, const char *text);
xr_status xr_report_cell(xr_str *out, const char *number);                  /* <td class="n">, a dash for NULL */

#endif
