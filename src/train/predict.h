/* Classifying records as they come: what `xlmr predict` does.
 *
 * One line of JSON per record, in the order of the records:
 *   one label        {"label": NAME, "score": P, "scores": {NAME: P, …}}      softmax
 *   several labels   {"labels": [NAME, …], "scores": {NAME: P, …}}            sigmoid; those over 0.5
 *   a value          {"value": X}                                             as the model gives it
 *   tagged words     {"tokens": […], "tags": […], "entities": [{"type", "begin", "end", "text", "score"}, …]}
 *                    words [begin, end) joined by blanks; score: mean probability of their tags; no "entities" of plain tags
 *                    each entity also has "start_char", "end_char", "start_byte", "end_byte": where it stands in the text, or in the
 *                    tokens joined by blanks
 *   with --grouping  {"entities": [{"entity_group" ("entity" with none), "text", "score", offsets as above}, …]}
 *   choices          {"label": N, "text": CHOICE, "score": P, "scores": [P, …]}   the best choice, from 0; softmax over the question's
 *   questions        {"id", "answer": TEXT, "score": P, "start", "end", "start_byte", "end_byte", "null_odds"}
 *                    where the answer stands in the text, in code points and in bytes; "" = there is none; id where the
 *                    record has one
 *   bad record       {"error": MESSAGE}                                       with --on-bad-record skip
 * so that line i answers record i. Records are taken in chunks of XR_PREDICT_CHUNK, so memory does not grow with the
 * input and the first lines come early. */
#ifndef XR_TRAIN_PREDICT_H
#define XR_TRAIN_PREDICT_H

#include <stdint.h>

#include "train/context.h"
#include "train/options.h"
#include "util/str.h"

enum { XR_PREDICT_CHUNK = 512 };

typedef struct xr_predict {
    const xr_options *o;
    void *context;
    xr_status (*write)(void *context, const char *lines, size_t len);   /* whole lines, in order */
    void (*progress)(void *context, uint64_t records);                  /* so far, first 0; may be NULL */
    uint64_t n, n_bad;                                                  /* results: records, bad ones among them */
} xr_predict;

/* Predicts for the files of o->args, or standard input when there are none ("-" is standard input too). Formats and
 * columns as in training files; labels, if there are any, are not looked at. A tagger reads JSON lines: {"tokens": [WORD,
 * …]}, or {"text": TEXT}, whose words are what white space separates; with
 * --format tsv the files of training (data/tagged.h). A multiple-choice model reads
 * the JSON lines of data/choices.h. */
xr_status xr_predict_run(xr_predict *p);

/* One answer to the logits of one record, without the line end. top_k: scores of the best only, best first; 0: of all,
 * in the model's order. */
xr_status xr_predict_line(const xr_config *c, const float *logits, int top_k, xr_str *out);

#endif
