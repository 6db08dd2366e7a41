#include "train/vocab_corpus.h"

#include "util/stream.h"
#include "util/utf8.h"

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

static xr_status visit(const char *path, const xr_corpus_visitor *v)
{
    xr_stream *s = xr_stream_open(path);
    xr_status status = s ? visit_lines(s, v) : xr_error_status();
    if (s)
        xr_stream_close(s);
    return status;
}

xr_status xr_corpus_visit(const xr_options *o, const char *tokenizer_sha256, const xr_corpus_visitor *v)
{
    (void)tokenizer_sha256;
    for (size_t i = 0; i < o->corpus.n; i++)
        XR_TRY(visit(o->corpus.v[i], v));
    return XR_OK;
}
