/* What benchmarks have in common whose model answers a text or a pair with classes, several labels or a value: their functions. */
#ifndef XR_TRAIN_EVALUATE_CLASSES_H
#define XR_TRAIN_EVALUATE_CLASSES_H

#include "train/benchmark.h"

xr_status xr_classes_open(xr_evaluation *e);                            /* a classifier of texts, whatever its labels */
/* Refuses (XR_EDATA) classes other than these n; `who` and `names` say so: "XNLI", "entailment, neutral and contradiction". */
xr_status xr_classes_need(const xr_evaluation *e, const char *const *name, int n, const char *who, const char *names);
extern const char *const xr_classes_options[];
xr_status xr_classes_read(xr_evaluation *e, xr_scored *s);              /* two columns are a text and its label */
xr_status xr_classes_read_pairs(xr_evaluation *e, xr_scored *s);        /* two columns are a pair without its label: XTREME's test files */
xr_status xr_classes_score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h);
const xr_report_column *xr_classes_columns(const xr_evaluation *e);
double xr_classes_main_figure(const double *sum, size_t n_parts, size_t n_units);
xr_status xr_classes_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out);     /* one a line */
json_t *xr_classes_details(const xr_evaluation *e, const xr_scored *s);
const xr_confusion *xr_classes_confusion(const xr_scored *s);
void xr_classes_free(xr_scored *s);
/* Sets every figure of e's columns by its name in `f`. */
void xr_scored_figures(const xr_evaluation *e, xr_scored *s, const xr_figures *f);

#endif
