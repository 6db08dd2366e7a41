/* Questions about texts in the layout of SQuAD, which XQuAD, MLQA and TyDi QA's gold passages share:
 *
 *   {"data": [{"paragraphs": [{"context": TEXT, "qas": [{"id", "question", "answers": [{"text", "answer_start"}, …], "is_impossible"}, …]}, …]}, …]}
 *
 * or, as Hugging Face's data sets have them, in records of their own, one in place of each {"paragraphs"} or one a line:
 *
 *   {"id", "context": TEXT, "question", "answers": {"text": [TEXT, …], "answer_start": [N, …]}}
 *
 * Either way of writing answers is read in both; two empty lists say that there is no answer. answer_start counts code points of the context. SQuAD 2.0
 * marks a question without an answer by is_impossible. One without any answer that is not marked so has no label, as in a test set; so has one whose
 * answers are all empty, as TyDi's dev files write it. */
#ifndef XR_DATA_SQUAD_H
#define XR_DATA_SQUAD_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/stream.h"

typedef struct xr_passage { char *text; size_t len; } xr_passage;

/* An answer and the bytes of its passage it stands at; begin = end: where is not known (its offset was wrong), only the text counts. */
typedef struct xr_gold_answer { char *text; size_t begin, end; } xr_gold_answer;

typedef struct xr_squad_question {
    char *id, *text;
    uint32_t passage;
    int impossible;                 /* the passage has no answer */
    size_t answer, n_answers;       /* in xr_questions.answer; 0 and not impossible: no label */
} xr_squad_question;

/* Every text once, however many questions are asked about it. Zero-initialise. */
typedef struct xr_questions {
    xr_squad_question *v; size_t n, cap;
    xr_passage *passage; size_t n_passages, cap_passages;
    xr_gold_answer *answer; size_t n_answers, cap_answers;
    size_t n_impossible, n_unlabelled, n_unplaced;      /* unplaced: answers */
    uint64_t n_bad;                                     /* questions left out */
} xr_questions;

typedef struct xr_squad_options {
    long max_questions;             /* 0 = all */
    int need_label;                 /* a question without a label is bad */
    int need_place;                 /* an answer that does not stand at its offset makes the question bad; 0: it keeps only its text */
    int unique_ids;                 /* predictions are told apart by their ids: the second question with an id is bad; 0: a note */
    int skip_bad;                   /* --on-bad-record skip */
    double max_bad_fraction;
} xr_squad_options;

/* Appends one file's questions. A bad one is XR_EDATA naming the file, where in it, the id and the remedy. */
xr_status xr_questions_read(xr_questions *q, const char *path, const xr_squad_options *o);
xr_status xr_questions_read_stream(xr_questions *q, xr_stream *s, const xr_squad_options *o);     /* the same from where it stands */
/* Whether a file that begins so has this layout. */
int xr_questions_detect(const char *head, size_t n);
/* Appends one without a label from memory, about the last passage when that is the same text. */
xr_status xr_questions_add(xr_questions *q, const char *id, const char *question, const char *context);
void xr_questions_free(xr_questions *q);

#endif
