/* `error` of benchmarks (benchmark.h): how bad an answer is, and what a person wants to see of it. */
#ifndef XR_TRAIN_EVALUATE_ERRORS_H
#define XR_TRAIN_EVALUATE_ERRORS_H

#include "train/benchmark.h"

/* evaluate_class_errors.c: texts and pairs with classes, label sets or values. */
xr_status xr_classes_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line);
/* evaluate_unit_errors.c: sentences of tagged words, and questions with choices; their texts are read again from the file. */
xr_status xr_words_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line);
xr_status xr_choice_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line);

/* -log of the softmax of z[n] at `gold`. */
double xr_error_loss(const float *z, size_t n, size_t gold);

#endif
