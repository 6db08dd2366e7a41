/* What benchmarks have in common whose model tags words: entities (panx) or plain tags such as parts of speech (udpos). */
#ifndef XR_TRAIN_EVALUATE_WORDS_H
#define XR_TRAIN_EVALUATE_WORDS_H

#include "train/benchmark.h"

typedef enum xr_words_kind { XR_WORDS_ANY, XR_WORDS_ENTITIES, XR_WORDS_PLAIN } xr_words_kind;

/* The value of --task whose labels a tagger with these has: udpos, panx, conll, or tag for any others. */
const char *xr_words_task(const char *const *name, int n);
/* A tagger whose labels are of this kind; of the other, a figure would mean nothing (XR_EDATA). Where predictions are scored, the labels are those of the
 * data, and the score looks at them. */
xr_status xr_words_open(xr_evaluation *e, xr_words_kind kind);
xr_status xr_words_read(xr_evaluation *e, xr_scored *s);
extern const char *const xr_words_options[];
/* One warning for all languages: tags of theirs that the model has not learnt (e->labels behind the model's); nothing where there are none. */
xr_status xr_words_tell(const xr_evaluation *e);
/* All figures of the columns that an xr_figures has; parts: gold, predicted, right entities of a sentence, or right words and words. */
xr_status xr_words_score(xr_evaluation *e, xr_scored *s, xr_words_kind kind, const xr_evaluate_hooks *h);
const xr_report_column *xr_words_columns(const xr_evaluation *e);
double xr_words_main_figure(const double *sum, size_t n_parts, size_t n_units);
xr_status xr_words_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out);   /* a tag a line, an empty line between sentences */
json_t *xr_words_details(const xr_evaluation *e, const xr_scored *s);                      /* scheme, entities by type, or words by tag */
xr_status xr_words_by_type(const xr_evaluation *e, const xr_scored *s, xr_str *out);       /* the same as a table */
int32_t *xr_words_predicted(const xr_evaluation *e, const xr_scored *s);                   // [data.words.n]; caller frees

#endif
