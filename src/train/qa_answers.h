/* From logits of windows to answers: which pieces, which characters of the passage, how sure.
 *
 * Of every window the n_best best starts with the n_best best ends; a pair is dropped when one of them is no piece of the passage, when it ends before it
 * starts or has more than max_tokens pieces, and when another window shows more of what stands around its start. What is left of all windows of a question
 * is ordered by the sum of its logits; the best n_best stand for all, and their probabilities add up to 1. That the passage has no answer is scored by <s>,
 * in the window where that is least likely. As transformers' run_qa does it. */
#ifndef XR_TRAIN_QA_ANSWERS_H
#define XR_TRAIN_QA_ANSWERS_H

#include "data/qa_windows.h"
#include "util/str.h"

typedef struct xr_answer_options {
    size_t n_best, max_tokens;
    int may_be_none;                /* "no answer" is among the answers */
    double null_threshold;          /* it is given when its score is so much above that of the best answer */
} xr_answer_options;

/* Bytes [begin, end) of the passage; begin = end: no answer. */
typedef struct xr_answer {
    size_t begin, end;
    float start_logit, end_logit;
    double probability;
} xr_answer;

typedef struct xr_answers {
    xr_answer *v; size_t n, cap;    /* best first; never empty */
    size_t chosen;                  /* the best that is one, or "no answer" when null_odds say so */
    double null_odds;               /* score of "no answer" less that of the best answer */
} xr_answers;

/* Of one question of the data set, into `a`, which is used again; logits [tokens of d, 2]. */
xr_status xr_answers_find(xr_answers *a, const xr_dataset *d, const float *logits, size_t question, const xr_answer_options *o);
void xr_answers_free(xr_answers *a);

/* Of any number of questions: the texts of run_qa's files, each one JSON object with a key for every question's id. Zero-initialise. */
typedef struct xr_qa_predictions {
    char **text; size_t n, cap;     // [n] answer to each question, "" = none
    double *null_odds; size_t cap_odds;     // [n]
    xr_str predictions, nbest, odds;
} xr_qa_predictions;
/* Adds one question's; the texts are whole after xr_qa_finish. */
xr_status xr_qa_put(xr_qa_predictions *p, const xr_dataset *d, size_t question, const xr_answers *a);
xr_status xr_qa_finish(xr_qa_predictions *p);
/* A whole set; *p need not be initialised. */
xr_status xr_qa_predict(xr_qa_predictions *p, const xr_dataset *d, const float *logits, const xr_answer_options *o);
/* predictions.json, nbest_predictions.json, and with may_be_none null_odds.json in a folder that is made. */
xr_status xr_qa_predictions_write(const xr_qa_predictions *p, const char *dir, int may_be_none);
void xr_qa_predictions_free(xr_qa_predictions *p);

#endif
