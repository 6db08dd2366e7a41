/* When an answer is right, and how nearly: exact match and F1 of words, by the rules of the scripts that published figures come from.
 *
 * Each script makes an answer comparable in its own way: lower case, without punctuation and articles, cut into words. Which one scored a figure
 * belongs beside the figure, so every set of rules has a name. A question counts with the best of its gold answers, and one without a prediction
 * with nothing. Sums and counts are kept, not means, so that they add up over files and a script's figure is met to the last digit. */
#ifndef XR_TRAIN_QA_METRICS_H
#define XR_TRAIN_QA_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/str.h"

/* Which rules; taken from the functions below. */
typedef struct xr_qa_rules {
    const char *name;               /* as reports print it: "SQuAD 1.1", "MLQA (zh)" */
    const char *language;           /* NULL: one set of rules for all */
    int no_answer;                  /* "" is right for a question without an answer */
    int unicode_punctuation;        /* dropped: P* of Unicode besides the ASCII marks */
    int characters;                 /* each Chinese character is a word */
    const char *const *articles;    /* words that are dropped; NULL-terminated */
    const char *cut;                /* a string that is dropped inside words too; NULL: none */
} xr_qa_rules;

/* What xquad, tydiqa and SQuAD 1.1 are scored by, in every language: English articles and ASCII punctuation. */
const xr_qa_rules *xr_qa_rules_squad1(void);
/* The same with unanswerable questions. */
const xr_qa_rules *xr_qa_rules_squad2(void);
/* MLQA's for the language of the answers. XR_EDATA and NULL for one it has no rules for; `where` is for the message. */
const xr_qa_rules *xr_qa_rules_mlqa(const char *language, const char *where);

/* Appends the answer as it is compared: its words with one space between. */
xr_status xr_qa_normalise(const xr_qa_rules *r, const char *answer, xr_str *out);

/* One question. */
typedef struct xr_qa_points { double exact, f1; } xr_qa_points;
/* The best over n_gold gold answers, at least one of them unless the rules know questions without an answer. */
xr_status xr_qa_score(const xr_qa_rules *r, const char *prediction, const char *const *gold, size_t n_gold, xr_qa_points *out);

/* Any number of questions; `answerable` is told by the data, not by the rules. */
typedef struct xr_qa_sum { uint64_t n; double exact, f1; } xr_qa_sum;
typedef struct xr_qa_totals { xr_qa_sum all, answerable, unanswerable; } xr_qa_totals;
void xr_qa_add(xr_qa_totals *t, xr_qa_points p, int answerable);

/* Shares, 0 when there are no questions. */
double xr_qa_exact(const xr_qa_sum *s);
double xr_qa_f1(const xr_qa_sum *s);

/* SQuAD 2.0's search for the threshold of the null odds under which a prediction counts, above which "" does. */
typedef struct xr_qa_odds {
    double null_odds;
    xr_qa_points points;            /* of the prediction as it is */
    int answerable;
    int answered;                   /* the prediction is not "" */
} xr_qa_odds;
typedef struct xr_qa_best { double exact, exact_threshold, f1, f1_threshold; /* sums of points */ } xr_qa_best;
/* Questions of equal odds are taken in the order given. */
xr_status xr_qa_best_threshold(const xr_qa_odds *q, size_t n, xr_qa_best *out);

#endif
