/* Which files of a benchmark's folder a protocol trains on and chooses its model by.
 *
 *   zero-shot             the source language alone (English unless one is named), and its dev set
 *   translate-train       one language: training data translated into it, and its dev set
 *   translate-train-all   every language that has training data (or those named), and the dev sets of these
 *
 * The dev set is always that of a language that is trained on. Names of files as XTREME, XNLI, PAWS-X, SQuAD, MLQA and TyDi have them, plain or .gz:
 * train-{lang}.*, multinli.train.{lang}.*, train.{lang}.*, {lang}/train.*, {lang}/translated_train.*, train-v1.1.json (English),
 * squad.translate.train.en-{lang}.json, tydiqa.translate.train.en-{lang}.json, tydiqa.{goldp.}{lang}.train.json; dev-{lang}.*, dev.{lang}.*,
 * val.{lang}.*, {lang}/dev_2k.*, {lang}/dev.*, dev-v1.1.json (English), dev-context-{lang}-question-{lang}.json, tydiqa.{goldp.}{lang}.dev.json; XNLI's
 * xnli.dev.tsv, which holds all languages. Where a language has several, the first of this list counts. */
#ifndef XR_TRAIN_ARRANGEMENT_H
#define XR_TRAIN_ARRANGEMENT_H

#include "util/error.h"
#include "util/str.h"

typedef struct xr_arranged { char *language, *path, *option; } xr_arranged;     /* option: "de=PATH", a value for --train-file or --validation-file */

typedef struct xr_arrangement {
    xr_arranged *train; size_t n_train, cap_train;      /* English first, then by name of the language */
    xr_arranged *valid; size_t n_valid, cap_valid;      /* empty when none of the languages has a dev set */
} xr_arrangement;

/* languages: NULL, or a list such as "en,fr": of zero-shot and translate-train the one language. XR_EUSAGE for a protocol or a list that means nothing,
 * XR_ENOINPUT when the folder lacks what the protocol needs. On failure a is still to be freed. */
xr_status xr_arrange(xr_arrangement *a, const char *dir, const char *protocol, const char *languages);
void xr_arrangement_free(xr_arrangement *a);

#endif
