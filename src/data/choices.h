/* Questions with choices, one of which is right: one JSON object a line.
 *
 * Every choice is a pair of texts, as XTREME-R pairs them: what is given with the question, and the choice. Keys, the first of each row that
 * the record has:
 *   given      premise, context, sent1, ctx_a
 *   question   question: "cause" and "effect" (COPA, XCOPA) are read "What was the cause?"; other texts stand for themselves; may be absent
 *   choices    a list choices or endings; or choice1, choice2, …; ending0, ending1, …; answerA, answerB, …
 *   before     sent2, ctx_b: begins each choice (SWAG, HellaSwag)
 *   label      label or correct: the number of the right choice from 0, or its letter from A; absent, null, "" or -1: not known
 * So COPA, XCOPA, SWAG, HellaSwag and Social IQa are read as they are distributed. */
#ifndef XR_DATA_CHOICES_H
#define XR_DATA_CHOICES_H

#include "data/dataset.h"
#include "util/str.h"

enum { XR_MAX_CHOICES = 26 };

/* Borrowed until the next call. */
typedef struct xr_question {
    const char *given;
    const char *choice[XR_MAX_CHOICES];
    size_t n;
    int label;                      /* -1: not known */
    size_t line;
} xr_question;

typedef struct xr_question_reader {
    xr_stream *stream;
    xr_str text;                    /* of the question: given and choices, each with its NUL */
    int broken;                     /* the file itself failed: nothing more can be read */
} xr_question_reader;

xr_status xr_questions_open(xr_question_reader *r, const char *path);
/* 1, 0 at the end, < 0 an error with path and line. After XR_EDATA the next call goes on behind the bad line, unless r->broken. */
int xr_questions_next(xr_question_reader *r, xr_question *q);
void xr_questions_close(xr_question_reader *r);

/* Appends one file's questions; tok NULL: without tokens, for their labels. Of `o` it reads max_len (of a choice), max_samples (questions),
 * need_label, skip_bad and max_bad_fraction. */
xr_status xr_dataset_add_choices(xr_dataset *d, const char *path, const xr_tokenizer *tok, const xr_data_options *o);
/* Appends one question from memory. */
xr_status xr_dataset_add_question(xr_dataset *d, const xr_tokenizer *tok, const xr_question *q, size_t max_len);

#endif
