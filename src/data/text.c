/* Reading raw text shards: which format it is, and what happens to records that cannot be used. */
#include "data/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/alloc.h"
#include "util/log.h"

#define XR_REG(x) extern const xr_text xr_text_##x;
#include "texts.inc"
#undef XR_REG
#define XR_REG(x) &xr_text_##x,
const xr_text *const xr_texts[] = {
#include "texts.inc"
    NULL
};
#undef XR_REG

enum { HEAD = 1 << 16, SHOWN = 5 };

static const char *const names[XR_TEXT_N_REASONS] = {
    [XR_TEXT_OK] = "ok", [XR_TEXT_BAD_UTF8] = "bad_utf8", [XR_TEXT_NUL] = "nul", [XR_TEXT_BAD_JSON] = "bad_json",
    [XR_TEXT_NO_TEXT_FIELD] = "no_text_field", [XR_TEXT_BAD_HEADER] = "bad_header", [XR_TEXT_BAD_LENGTH] = "bad_length",
    [XR_TEXT_DIGEST] = "digest", [XR_TEXT_TOO_LONG] = "too_long", [XR_TEXT_TRUNCATED] = "truncated", [XR_TEXT_DAMAGED] = "damaged",
    [XR_TEXT_NOT_CONVERSION] = "not_conversion", [XR_TEXT_FILTERED] = "filtered", [XR_TEXT_EMPTY] = "empty", [XR_TEXT_SHORT] = "short",
    [XR_TEXT_DUPLICATE] = "duplicate", [XR_TEXT_NO_LANGUAGE] = "no_language", [XR_TEXT_LF_HEADERS] = "lf_headers",
    [XR_TEXT_REPLACED] = "replaced",
};

const char *xr_text_reason_name(xr_text_reason r)
{
    return names[r];
}

int xr_text_reason_is_bad(xr_text_reason r)
{
    return r >= XR_TEXT_BAD_UTF8 && r <= XR_TEXT_DAMAGED;
}

xr_status xr_text_bad(xr_text_reader *r, xr_text_reason reason, const char *format, ...)
{
    va_list args;
    char what[600];
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    r->bad = reason;
    return xr_fail(XR_EDATA, "%s:%zu: %s", xr_stream_path(r->stream), r->line, what);
}

void xr_text_note(xr_text_reader *r, xr_text_reason reason)
{
    r->counts.reason[reason]++;
}

static xr_status unknown_format(const char *format)
{
    const char *all[16], *nearest;
    xr_str list = { 0 };
    size_t n = 0;
    for (; xr_texts[n] && n < 16; n++) {
        all[n] = xr_texts[n]->name;
        if (xr_str_printf(&list, "%s%s", n ? ", " : "", all[n]) < 0)
            break;
    }
    nearest = xr_nearest(format, all, n);
    xr_status status = xr_fail(XR_EUSAGE, "unknown text format '%s'; expected one of %s%s%s%s", format, list.s ? list.s : "",
                               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    xr_str_free(&list);
    return status;
}

static xr_status by_name(xr_text_reader *r, const char *format)
{
    for (size_t i = 0; xr_texts[i] && !r->format; i++)
        if (!strcmp(xr_texts[i]->name, format))
            r->format = xr_texts[i];
    return r->format ? XR_OK : unknown_format(format);
}

static void show(xr_text_reader *r)
{
    if (r->shown < SHOWN)
        xr_warn("%s; left out", xr_error_message());
    else if (r->shown == SHOWN)
        xr_warn("%s: more bad records follow; they are counted, not shown", xr_stream_path(r->stream));
    r->shown += r->shown <= SHOWN;
}

/* After an error of the format: may reading go on? A cut of a shard that is read by lines ends it. */
static xr_status pass_over(xr_text_reader *r)
{
    int cut_line = r->bad == XR_TEXT_OK && xr_error_status() == XR_EDATA && xr_stream_cut(r->stream);
    if (cut_line) {
        r->bad = XR_TEXT_TRUNCATED;
        r->counts.records++;
    }
    if (r->bad == XR_TEXT_OK) {
        r->ended = 1;
        return xr_error_status();
    }
    xr_text_note(r, r->bad);
    r->cut |= r->bad == XR_TEXT_TRUNCATED;
    r->ended |= cut_line;
    if (r->bad == XR_TEXT_TRUNCATED ? !r->o->allow_truncated && !r->o->skip_bad : !r->o->skip_bad)
        return xr_error_status();
    show(r);
    xr_error_clear();
    return XR_OK;
}

/* A member of which nothing can be read, before the format is known. */
static xr_status lose_head(xr_text_reader *r)
{
    r->bad = XR_TEXT_DAMAGED;
    r->counts.records++;
    xr_status status = pass_over(r);
    r->bad = XR_TEXT_OK;
    return status;
}

/* First bytes of the first member that is not empty. A file that is cut before any text is a shard without any. */
static long read_head(xr_text_reader *r, const char **head)
{
    long n = xr_stream_head(r->stream, HEAD, head);
    for (int more = 1; n <= 0 && more != 0;) {
        if (n < 0 && (!xr_stream_damaged(r->stream) || xr_stream_cut(r->stream) || lose_head(r) < 0))
            break;
        more = xr_stream_next_member(r->stream);
        n = more > 0 ? xr_stream_head(r->stream, HEAD, head) : more;
    }
    if (n < 0 && xr_stream_cut(r->stream))
        return pass_over(r);
    return n < HEAD ? n : HEAD;
}

static xr_status by_content(xr_text_reader *r)
{
    const char *head = "";
    long n = read_head(r, &head);
    XR_TRY((xr_status)n);
    for (int i = 0, best = 0; xr_texts[i]; i++) {
        int score = xr_texts[i]->detect(head, (size_t)n);
        if (score > best) {
            r->format = xr_texts[i];
            best = score;
        }
    }
    XR_ASSERT(r->format, "no format takes %s", xr_stream_path(r->stream));
    return XR_OK;
}

static xr_status begin(xr_text_reader *r, const char *path, const char *format)
{
    if (format && strcmp(format, "auto"))
        XR_TRY(by_name(r, format));
    r->stream = xr_stream_open(path);
    if (!r->stream)
        return xr_error_status();
    xr_stream_by_member(r->stream, 1);
    if (!r->format)
        XR_TRY(by_content(r));
    xr_stream_by_member(r->stream, 0);
    return r->format->open(r);
}

xr_status xr_text_open(xr_text_reader *r, const char *path, const xr_text_options *o)
{
    memset(r, 0, sizeof *r);
    r->o = o;
    xr_status status = begin(r, path, o->format);
    if (status < 0)
        xr_text_close(r);
    return status;
}

void xr_text_close(xr_text_reader *r)
{
    if (r->format && r->state)
        r->format->close(r);
    xr_stream_close(r->stream);
    memset(r, 0, sizeof *r);
}

/* "3 bad_json, 1 nul" */
static xr_status list_bad(const xr_text_counts *c, xr_str *list)
{
    for (int i = 0; i < XR_TEXT_N_REASONS; i++)
        if (xr_text_reason_is_bad(i) && c->reason[i])
            XR_TRY(xr_str_printf(list, "%s%llu %s", list->len ? ", " : "", (unsigned long long)c->reason[i], names[i]));
    return XR_OK;
}

static uint64_t count_bad(const xr_text_reader *r)
{
    uint64_t bad = 0;
    for (int i = 0; i < XR_TEXT_N_REASONS; i++)
        if (xr_text_reason_is_bad(i) && !(i == XR_TEXT_TRUNCATED && r->o->allow_truncated))
            bad += r->counts.reason[i];
    return bad;
}

/* What the whole shard has to answer for. */
static xr_status finish(xr_text_reader *r)
{
    const char *path = xr_stream_path(r->stream);
    uint64_t bad = count_bad(r);
    if (r->cut && !r->o->allow_truncated)
        return xr_fail(XR_EDATA, "%s: the shard is cut off inside a record; get it again, or use it up to the cut with --allow-truncated", path);
    if ((double)bad <= r->o->max_bad_fraction * (double)r->counts.records)
        return XR_OK;
    xr_str list = { 0 };
    xr_status status = list_bad(&r->counts, &list);
    if (status >= 0)
        status = xr_fail(XR_EDATA, "%s: %llu of %llu records are bad (%s), more than the share of %g that is allowed; get the shard again, "
                         "or raise --max-bad-fraction", path, (unsigned long long)bad, (unsigned long long)r->counts.records, list.s,
                         r->o->max_bad_fraction);
    xr_str_free(&list);
    return status;
}

int xr_text_next(xr_text_reader *r, xr_paragraph *out)
{
    for (int rc = -1; !r->ended;) {
        memset(out, 0, sizeof *out);
        r->bad = XR_TEXT_OK;
        rc = r->format->next(r, out);
        if (rc > 0) {
            r->counts.documents += out->begins_document != 0;
            r->counts.paragraphs++;
            r->counts.bytes += out->len;
            return 1;
        }
        r->ended = rc == 0;
        r->cut |= rc == 0 && xr_stream_cut(r->stream);
        if (rc < 0)
            XR_TRY(pass_over(r));
    }
    return finish(r);
}
