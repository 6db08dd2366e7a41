/* The texts of a corpus, one after another: raw text as `prepare` reads it, or the sentences of a token store. */
#ifndef XR_TRAIN_VOCAB_CORPUS_H
#define XR_TRAIN_VOCAB_CORPUS_H

#include <stdint.h>
#include "train/options.h"

typedef struct xr_corpus_visitor {
    void *context;
    xr_status (*text)(void *context, const char *text, size_t len);     /* valid UTF-8; borrowed */
    xr_status (*ids)(void *context, const int32_t *id, size_t n);       /* a sentence without its </s>; borrowed */
} xr_corpus_visitor;

/* All of o->corpus. tokenizer_sha256: a store made by another tokenizer is refused. again = 1: bad records have been shown before. */
xr_status xr_corpus_visit(const xr_options *o, const char *tokenizer_sha256, int again, const xr_corpus_visitor *v);

#endif
