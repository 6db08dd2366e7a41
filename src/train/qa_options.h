/* Options of questions and answers, the same for finetune, evaluate and predict. */
#ifndef XR_TRAIN_QA_OPTIONS_H
#define XR_TRAIN_QA_OPTIONS_H

#include "train/options.h"
#include "train/qa_answers.h"

enum {
    XR_QA_MAX_LENGTH = 384,         /* tokens of a window unless --max-seq-length says otherwise */
    XR_TEXT_MAX_LENGTH = 128        /* and of anything else */
};

/* --doc-stride and --max-query-length. */
void xr_qa_data_options(const xr_options *o, xr_data_options *d);
/* --n-best, --max-answer-length, --null-threshold and --unanswerable, whose "auto" is `impossible`: whether the data know such questions. */
void xr_qa_answer_options(const xr_options *o, int impossible, xr_answer_options *a);

#endif
