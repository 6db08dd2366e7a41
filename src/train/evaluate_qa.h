/* What benchmarks of question answering have in common: files in SQuAD's layout, windows, answers, points. */
#ifndef XR_TRAIN_EVALUATE_QA_H
#define XR_TRAIN_EVALUATE_QA_H

#include "train/benchmark.h"
#include "train/qa_metrics.h"

/* Adds the folder's files PREFIX{language}SUFFIX, each also with .gz; languages that are there already stay as they are. */
xr_status xr_qa_find(xr_evaluation *e, const char *folder, const char *prefix, const char *suffix);

xr_status xr_qa_open(xr_evaluation *e);             /* a model that finds answers in passages */
xr_status xr_qa_read(xr_evaluation *e, xr_scored *s);
extern const char *const xr_qa_options[];
xr_status xr_qa_predicted(xr_evaluation *e, xr_scored *s, const char *path);    /* {"id": "answer", …} */
/* `score` of a benchmark comes down to this, with the rules of the language. */
xr_status xr_qa_score_by(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h, const xr_qa_rules *rules);
xr_status xr_qa_score_squad1(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h);
const xr_report_column *xr_qa_columns(const xr_evaluation *e);
double xr_qa_main_figure(const double *sum, size_t n_parts, size_t n_units);    /* parts: F1 and exact match of a question */
xr_status xr_qa_predictions_text(const xr_evaluation *e, const xr_scored *s, xr_str *out);
xr_status xr_qa_more_files(const xr_evaluation *e, const xr_scored *s, const char *folder);
xr_status xr_qa_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line);
json_t *xr_qa_details(const xr_evaluation *e, const xr_scored *s);
void xr_qa_free(xr_scored *s);

#endif
