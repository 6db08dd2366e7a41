/* Scoring files of predictions in a model's place: `xlmr evaluate --predictions`.
 *
 * The files are those that --output-dir writes and XTREME takes. A benchmark reads the gold labels as always, only that there is no tokenizer and that
 * the names of classes are taken from the data; then the predictions are read, and stand where logits would come from: 1 for the class that was
 * predicted, 0 for the others. So what scores a model scores a file. */
#ifndef XR_TRAIN_EVALUATE_PREDICTIONS_H
#define XR_TRAIN_EVALUATE_PREDICTIONS_H

#include "train/evaluate.h"

/* A context without weights and tokenizer into e->context. XR_EUSAGE when the task's predictions cannot be read, or a model is given too. */
xr_status xr_predictions_open(xr_evaluation *e);
/* The benchmark's `predicted` with the path of the language's file: FOLDER/TASK/SPLIT-LANG.tsv, FOLDER/SPLIT-LANG.tsv, or a file by itself. */
xr_status xr_predictions_read(xr_evaluation *e, xr_scored *s);

/* For benchmarks, as `predicted`. A class a line; a tag a line, with an empty line between sentences. XR_EDATA with counts when they are not as many as
 * the gold file has. */
xr_status xr_predicted_classes(xr_evaluation *e, xr_scored *s, const char *path);
xr_status xr_predicted_tags(xr_evaluation *e, xr_scored *s, const char *path);

/* s->logits from s->predicted, when every language has been read. */
xr_status xr_predictions_logits(xr_evaluation *e, xr_scored *s);
/* Takes back the figures that only a model's own logits give. */
void xr_predictions_forget_shares(xr_scored *s);

#endif
