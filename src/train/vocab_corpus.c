#include "train/vocab_corpus.h"

#include "data/store.h"
#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/stream.h"
#include "util/utf8.h"

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

static xr_status visit_lines(xr_stream *s, const xr_corpus_visitor *v)
{
    char *line;
    size_t len;
    int got;
    while ((got = xr_stream_line(s, &line, &len)) > 0) {
        if (xr_utf8_check(line, len) < len)
            return xr_fail(XR_EDATA, "%s:%zu: not UTF-8", xr_stream_path(s), xr_stream_line_number(s));
        XR_TRY(v->text(v->context, line, len));
    }
    return got;
}

static xr_status visit_text(const char *path, const xr_corpus_visitor *v)
{
    xr_stream *s = xr_stream_open(path);
    xr_status status = s ? visit_lines(s, v) : xr_error_status();
    if (s)
        xr_stream_close(s);
    return status;
}

xr_status xr_corpus_visit(const xr_options *o, const char *tokenizer_sha256, const xr_corpus_visitor *v)
{
    for (size_t i = 0; i < o->corpus.n; i++) {
        const char *path = o->corpus.v[i];
        XR_TRY(xr_store_is(path) ? visit_store(path, tokenizer_sha256, v) : visit_text(path, v));
    }
    return XR_OK;
}
