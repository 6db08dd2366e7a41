#include "train/vocab_corpus.h"

#include <limits.h>

#include "data/store.h"
#include "data/text.h"
#include "data/tokenizer.h"
#include "train/prepare.h"
#include "util/alloc.h"

enum { CHUNK = 1 << 16 };               /* tokens of a store read at once */

/* ---- token stores --------------------------------------------------------------------------------------------------- */

/* The sentence being put together, across chunks. */
typedef struct sentence { int32_t *id; size_t n, cap; } sentence;

static xr_status take_tokens(sentence *s, const int32_t *id, size_t n, const xr_corpus_visitor *v)
{
    XR_TRY(xr_grow(&s->id, &s->cap, s->n + n, sizeof *s->id));
    for (size_t i = 0; i < n; i++) {
        if (id[i] != XR_ID_EOS) {
            s->id[s->n++] = id[i];
            continue;
        }
        XR_TRY(v->ids(v->context, s->id, s->n));
        s->n = 0;
    }
    return XR_OK;
}

static xr_status read_store(xr_store *store, sentence *s, int32_t *chunk, const xr_corpus_visitor *v)
{
    for (uint64_t at = 0, all = xr_store_tokens(store); at < all;) {
        size_t n = all - at < CHUNK ? (size_t)(all - at) : CHUNK;
        XR_TRY(xr_store_read(store, at, n, chunk));
        XR_TRY(take_tokens(s, chunk, n, v));
        at += n;
    }
    return XR_OK;
}

static xr_status visit_store(const char *dir, const char *tokenizer_sha256, const xr_corpus_visitor *v)
{
    sentence s = { 0 };
    xr_store *store = xr_store_open(dir, tokenizer_sha256);
    int32_t *chunk = store ? xr_alloc(CHUNK, sizeof *chunk) : NULL;
    xr_status status = chunk ? read_store(store, &s, chunk, v) : xr_error_status();
    xr_free(chunk);
    xr_free(s.id);
    if (store)
        xr_store_close(store);
    return status;
}

/* ---- raw text ------------------------------------------------------------------------------------------------------- */

static xr_status visit_text(const char *path, const xr_text_options *o, int again, const xr_corpus_visitor *v)
{
    xr_text_reader r;
    xr_paragraph p;
    xr_status status;
    XR_TRY(xr_text_open(&r, path, o));
    r.shown = again ? INT_MAX : 0;
    while ((status = xr_text_next(&r, &p)) > 0)
        if ((status = v->text(v->context, p.text, p.len)) < 0)
            break;
    xr_text_close(&r);
    return status;
}

xr_status xr_corpus_visit(const xr_options *o, const char *tokenizer_sha256, int again, const xr_corpus_visitor *v)
{
    xr_text_options text = xr_prepare_text_options(o);
    for (size_t i = 0; i < o->corpus.n; i++) {
        const char *path = o->corpus.v[i];
        XR_TRY(xr_store_is(path) ? visit_store(path, tokenizer_sha256, v) : visit_text(path, &text, again, v));
    }
    return XR_OK;
}
