/* WET: the extracted text of Common Crawl, as WARC records of type `conversion` (WARC 0.17 to 1.1), each in a gzip member of its
 * own, several in one, or plain.
 *
 * Where a record ends is told by Content-Length and checked: line ends and the next record, or the end of the member, must
 * follow. Files whose line ends were made LF no longer have the length that Content-Length states (it counts CRLF); there a
 * record ends where it says only if that fits, else before the next line `WARC/…` behind an empty line.
 * Behind a record that cannot be used, reading goes on at the next gzip member. Only where a file is one member, or plain, is
 * there nothing better than to search for such a line. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "data/language.h"
#include "data/text.h"
#include "data/warc.h"
#include "util/alloc.h"
#include "util/log.h"

#define HEADER_CAP ((size_t)64 << 10)
#define BODY_CAP ((size_t)64 << 20)
#define LINE_ENDS ((size_t)16)  /* between two records */

typedef enum lost { FOUND, SEARCH_TEXT, NEXT_MEMBER, NO_MORE } lost;

typedef struct wet {
    xr_text_body body;
    xr_str fixed;
    char language[XR_LANGUAGE_MAX];
    size_t used;            /* bytes of the record being handed out, to be skipped */
    lost lost;              /* how to find the next record */
    int fresh;              /* nothing of the member has been read yet */
    int noted_digest;
} wet;

static int detect(const char *head, size_t n)
{
    while (n && (*head == '\r' || *head == '\n'))
        head++, n--;
    return n >= 5 && !memcmp(head, "WARC/", 5) ? 100 : 0;
}

static xr_status open(xr_text_reader *r)
{
    wet *w = r->state = xr_alloc(1, sizeof *w);
    if (!w)
        return xr_error_status();
    w->fresh = 1;
    xr_stream_by_member(r->stream, 1);
    return XR_OK;
}

/* The stream failed inside the record. What was held of it is not used; the next member is searched at once, since only where
 * there is none the shard is cut. */
static int lose_member(xr_text_reader *r)
{
    wet *w = r->state;
    char message[600];
    if (!xr_stream_damaged(r->stream))
        return xr_error_status();
    snprintf(message, sizeof message, "%s", xr_error_message());
    xr_error_clear();
    xr_stream_by_member(r->stream, 1);
    int more = xr_stream_next_member(r->stream);
    XR_TRY(more);
    w->lost = more ? FOUND : NO_MORE;
    w->fresh = 1;
    w->used = 0;
    r->bad = xr_stream_cut(r->stream) ? XR_TEXT_TRUNCATED : XR_TEXT_DAMAGED;
    return xr_fail(XR_EDATA, "%s", message);
}

/* The same where a record should begin. */
static int lose_next(xr_text_reader *r)
{
    r->line = xr_stream_line_number(r->stream) + 1;
    r->counts.records++;
    return lose_member(r);
}

static long peek(xr_text_reader *r, size_t want, const char **text)
{
    long held = xr_stream_peek(r->stream, want, text);
    return held < 0 ? lose_member(r) : held;
}

/* The record is bad and is passed over; how, depends on where it stands. One that is alone in its member may be bad because that is
 * damaged: this then is the reason. */
static int lose(xr_text_reader *r, xr_text_reason reason, const char *what)
{
    wet *w = r->state;
    const char *s;
    int alone = w->fresh && xr_stream_member(r->stream) > 1;
    if (alone && peek(r, BODY_CAP, &s) < 0)
        return xr_error_status();
    w->lost = alone ? NEXT_MEMBER : SEARCH_TEXT;
    return xr_text_bad(r, reason, "%s; get the shard again, or leave such records out with --on-bad-record skip", what);
}

/* Damage in what is left of a member whose record was lost belongs to that record. */
static int next_member(xr_text_reader *r)
{
    wet *w = r->state;
    size_t member = xr_stream_member(r->stream);
    int rc = xr_stream_next_member(r->stream);
    if (rc < 0 && xr_stream_damaged(r->stream) && xr_stream_member(r->stream) == member) {
        xr_error_clear();
        rc = xr_stream_next_member(r->stream);
    }
    w->fresh = 1;
    return rc < 0 ? lose_next(r) : rc;
}

/* Passes over text up to the next record of the member; at its end, over to the next. */
static int search_text(xr_text_reader *r)
{
    enum { BACK = 16 };     /* what xr_warc_find looks back on and ahead to */
    const char *s;
    for (size_t want = 1;;) {
        long held = peek(r, want, &s);
        XR_TRY((int)(held < 0 ? held : 0));
        size_t n = (size_t)held, at = xr_warc_find(s, 0, n);
        if (at < n) {
            xr_stream_skip(r->stream, at);
            return 1;
        }
        if (n < want) {
            xr_stream_skip(r->stream, n);
            return next_member(r);
        }
        xr_stream_skip(r->stream, n > BACK ? n - BACK : 0);
        want = (n > BACK ? BACK : n) + 1;
    }
}

/* To the first byte of a record: 1, 0 = end of the shard, < 0. */
static int find_next(xr_text_reader *r, wet *w)
{
    const char *s;
    lost how = w->lost;
    xr_stream_skip(r->stream, w->used);
    w->used = 0;
    w->lost = FOUND;
    int rc = how == NEXT_MEMBER ? next_member(r) : how == SEARCH_TEXT ? search_text(r) : how == FOUND;
    while (rc > 0) {
        long held = xr_stream_peek(r->stream, 1, &s);
        if (held < 0)
            return lose_next(r);
        size_t n = 0;
        while (n < (size_t)held && (s[n] == '\r' || s[n] == '\n'))
            n++;
        xr_stream_skip(r->stream, n);
        if (n < (size_t)held)
            return 1;
        if (held == 0)
            rc = next_member(r);
    }
    return rc;
}

/* At the end of the member, with `held` bytes of a record that should go on: it does in the next one, unless that begins a record.
 * Gives what is held of the record then. */
static long over_the_edge(xr_text_reader *r, long held, size_t want, const char **s)
{
    wet *w = r->state;
    xr_stream_by_member(r->stream, 0);
    long more = peek(r, (size_t)held + XR_WARC_LINE, s);
    if (more > held && xr_warc_begins(*s + held, (size_t)(more - held)))
        more = held;
    else if (more > held) {
        w->fresh = 0;
        more = peek(r, want, s);
    }
    xr_stream_by_member(r->stream, 1);
    return more;
}

/* The record ends too early, after `held` bytes: the next member begins another, or there is none. */
static xr_status cut_short(xr_text_reader *r, size_t held, xr_text_reason reason, const char *what)
{
    wet *w = r->state;
    const char *s;
    xr_stream_by_member(r->stream, 0);
    long more = peek(r, held + 1, &s);
    xr_stream_by_member(r->stream, 1);
    XR_TRY((int)(more < 0 ? more : 0));
    w->used = held;
    w->fresh = 1;
    if (more == (long)held)
        return xr_text_bad(r, XR_TEXT_TRUNCATED, "the shard ends inside a record; get it again, or use it up to the cut with --allow-truncated");
    return xr_text_bad(r, reason, "%s; get the shard again, or leave such records out with --on-bad-record skip", what);
}

/* The header is the first *size bytes of what is held. */
static int read_header(xr_text_reader *r, const char **s, size_t *size)
{
    for (size_t searched = 0;;) {
        long held = peek(r, searched + 1, s);
        if (held == (long)searched)
            held = over_the_edge(r, held, searched + 1, s);
        XR_TRY((int)(held < 0 ? held : 0));
        size_t n = (size_t)held < HEADER_CAP ? (size_t)held : HEADER_CAP;
        *size = xr_warc_header_size(*s, searched > 2 ? searched - 2 : 0, n);
        if (*size)
            return 1;
        if (n == HEADER_CAP)
            return lose(r, XR_TEXT_BAD_HEADER, "a record header of more than 64 KiB");
        if (n == searched)
            return cut_short(r, n, XR_TEXT_BAD_HEADER, "a record header that its gzip member cuts off");
        searched = n;
    }
}

static int parse_header(xr_text_reader *r, xr_warc_header *h, size_t *size)
{
    const char *s;
    XR_TRY(read_header(r, &s, size));
    if (!xr_warc_header_parse(s, *size, h))
        return lose(r, XR_TEXT_BAD_HEADER, "no record where one should begin; expected WARC/0.17 to WARC/1.1");
    if (h->type.times != 1)
        return lose(r, XR_TEXT_BAD_HEADER, "a record header without WARC-Type, or with several");
    return 1;
}

/* A shard of the wrong kind is refused as a whole: nothing in it can be used. */
static int check_kind(xr_text_reader *r, const xr_warc_header *h)
{
    const char *path = xr_stream_path(r->stream);
    if (xr_warc_is(&h->type, "response") || xr_warc_is(&h->type, "request") || xr_warc_is(&h->type, "resource") || xr_warc_is(&h->type, "revisit"))
        return xr_fail(XR_EDATA, "%s:%zu: a WARC record of type '%s': pages as they were fetched, in HTML; expected WET, the text of the same "
                       "pages; Common Crawl keeps it beside them: in the path, put wet for warc and .warc.wet.gz for .warc.gz", path, r->line,
                       h->type.s);
    if (xr_warc_is(&h->type, "metadata") && !strncasecmp(h->content.s, "application/json", 16))
        return xr_fail(XR_EDATA, "%s:%zu: a WAT record: what is known of pages, as JSON; expected WET, their text; Common Crawl keeps it beside "
                       "them: in the path, put wet for wat", path, r->line);
    return 1;
}

static int parse_length(xr_text_reader *r, const xr_warc_header *h, size_t *length)
{
    if (h->length.times != 1)
        return lose(r, XR_TEXT_BAD_LENGTH, h->length.times ? "a record header with several Content-Length" :
                                                             "a record header without Content-Length");
    *length = 0;
    for (const char *c = h->length.s; *c; c++) {
        if (*c < '0' || *c > '9')
            return lose(r, XR_TEXT_BAD_LENGTH, "a Content-Length that is no decimal number");
        *length = *length * 10 + (size_t)(*c - '0');
        if (*length > BODY_CAP)
            return lose(r, XR_TEXT_TOO_LONG, "a record of more than 64 MiB");
    }
    return *h->length.s ? 1 : lose(r, XR_TEXT_BAD_LENGTH, "an empty Content-Length");
}

/* Does the record end at `end` as it should, with line ends and then another record or the end of the member? */
static int ends_well(xr_text_reader *r, size_t end)
{
    const char *s;
    long held = peek(r, end + 4, &s);
    XR_TRY((int)(held < 0 ? held : 0));
    if (held >= (long)end + 4 && !memcmp(s + end, "\r\n\r\n", 4))
        return 1;
    held = peek(r, end + LINE_ENDS + XR_WARC_LINE, &s);
    XR_TRY((int)(held < 0 ? held : 0));
    size_t at = end, n = (size_t)held < end + LINE_ENDS + XR_WARC_LINE ? (size_t)held : end + LINE_ENDS + XR_WARC_LINE;
    while (at < n && (s[at] == '\r' || s[at] == '\n'))
        at++;
    return at == n || (at > end && xr_warc_begins(s + at, n - at));
}

/* Size of the body of a record whose line ends may have been changed: up to the next record, or the end of the member. */
static int measure_by_lines(xr_text_reader *r, size_t begin, size_t *length)
{
    const char *s;
    for (size_t searched = begin;;) {
        long held = peek(r, searched + 1, &s);
        XR_TRY((int)(held < 0 ? held : 0));
        size_t n = (size_t)held, at = xr_warc_find(s, searched < begin + 16 ? begin - 1 : searched - 16, n);
        if (at - begin > BODY_CAP)
            return lose(r, XR_TEXT_TOO_LONG, "a record of more than 64 MiB");
        *length = at - begin;
        if (at < n || n == searched)
            return 1;
        searched = n;
    }
}

/* The body is [begin, begin + *length) of what is held. *exact: its length is the one stated. */
static int measure(xr_text_reader *r, const xr_warc_header *h, size_t begin, size_t *length, int *exact)
{
    const char *s;
    size_t end = begin + *length;
    long held = peek(r, end, &s);
    if (held >= 0 && held < (long)end && !h->lf)
        held = over_the_edge(r, held, end, &s);
    XR_TRY((int)(held < 0 ? held : 0));
    if (held < (long)end && !h->lf)
        return cut_short(r, (size_t)held, XR_TEXT_BAD_LENGTH, "Content-Length goes beyond the gzip member of the record");
    int well = held >= (long)end ? ends_well(r, end) : 0;
    *exact = well;
    if (well)
        return well;
    if (h->lf)
        return measure_by_lines(r, begin, length);
    xr_stream_skip(r->stream, begin);
    return lose(r, XR_TEXT_BAD_LENGTH, "Content-Length is not where the record ends");
}

/* A record that is alone in its member is used once the member's checksum has been seen to be right. */
static int check_member(xr_text_reader *r, size_t end)
{
    const wet *w = r->state;
    const char *s;
    long held = w->fresh ? peek(r, end + 5, &s) : 1;
    return held < 0 ? (int)held : 1;
}

static int check_digest(xr_text_reader *r, const xr_warc_header *h, const char *body, size_t length, int exact)
{
    wet *w = r->state;
    int known = !strncasecmp(h->digest.s, "sha1:", 5);
    if (!r->o->verify_digest || !h->digest.times)
        return 1;
    if ((!known || !exact) && !w->noted_digest++)
        xr_info("%s:%zu: the block digest is not checked: %s", xr_stream_path(r->stream), r->line,
                known ? "the line ends of the file were changed" : "only sha1 is known here");
    if (!known || !exact || xr_warc_same_sha1(h->digest.s + 5, body, length))
        return 1;
    return xr_text_bad(r, XR_TEXT_DIGEST, "the text does not have the digest in WARC-Block-Digest; get the shard again");
}

/* Makes a document of the body, if the record is one: 1, 0 = left out and counted, < 0. */
static int take(xr_text_reader *r, const xr_warc_header *h, size_t begin, size_t length, int exact)
{
    wet *w = r->state;
    const char *s;
    long held = xr_stream_peek(r->stream, 1, &s);
    XR_TRY((int)(held < 0 ? held : 0));
    if (!xr_warc_is(&h->type, "conversion") || (h->content.times && strncasecmp(h->content.s, "text/", 5))) {
        xr_text_note(r, XR_TEXT_NOT_CONVERSION);
        return 0;
    }
    const char *text = s + begin;
    XR_TRY(check_digest(r, h, text, length, exact));
    XR_TRY(xr_text_check(r, &w->fixed, &text, &length));
    if (!xr_text_body_open(r, &w->body, text, length))
        return 0;
    for (size_t i = 0; i < begin; i++)
        w->body.line += s[i] == '\n';
    w->body.by_line = 1;
    if (xr_language_parse(h->language.s, w->language))
        w->body.language = w->language;
    return 1;
}

/* Reads one record: 1 = a document, 0 = none to be used, < 0. */
static int read_record(xr_text_reader *r)
{
    wet *w = r->state;
    xr_warc_header h;
    size_t begin = 0, length = 0;
    int exact = 0;
    r->line = xr_stream_line_number(r->stream) + 1;
    r->counts.records++;
    XR_TRY(parse_header(r, &h, &begin));
    XR_TRY(check_kind(r, &h));
    XR_TRY(parse_length(r, &h, &length));
    XR_TRY(measure(r, &h, begin, &length, &exact));
    XR_TRY(check_member(r, begin + length));
    if (h.lf)
        xr_text_note(r, XR_TEXT_LF_HEADERS);
    w->used = begin + length;
    w->fresh = 0;
    return take(r, &h, begin, length, exact);
}

static int next(xr_text_reader *r, xr_paragraph *out)
{
    wet *w = r->state;
    while (!xr_text_body_next(&w->body, out)) {
        int rc = find_next(r, w);
        if (rc <= 0)
            return rc;
        XR_TRY(read_record(r));
    }
    return 1;
}

static void close(xr_text_reader *r)
{
    wet *w = r->state;
    xr_str_free(&w->fixed);
    xr_free(w);
}

const xr_text xr_text_wet = { "wet", detect, open, next, close };
