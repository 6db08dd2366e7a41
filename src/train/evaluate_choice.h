/* What benchmarks of questions with choices have in common: their functions.
 *
 * Files: XCOPA's (test.et.jsonl, or et/test.et.jsonl) and XTREME-R's (test-et.jsonl); dev is val or dev. */
#ifndef XR_TRAIN_EVALUATE_CHOICE_H
#define XR_TRAIN_EVALUATE_CHOICE_H

#include "train/benchmark.h"

extern const char *const xr_choice_options[];
xr_status xr_choice_find(xr_evaluation *e);
xr_status xr_choice_open(xr_evaluation *e);
xr_status xr_choice_read(xr_evaluation *e, xr_scored *s);
xr_status xr_choice_predicted(xr_evaluation *e, xr_scored *s, const char *path);
xr_status xr_choice_score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h);
const xr_report_column *xr_choice_columns(const xr_evaluation *e);
double xr_choice_main_figure(const double *sum, size_t n_parts, size_t n_units);
xr_status xr_choice_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out);      /* {"label": N} a line */

#endif
