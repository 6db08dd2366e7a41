/* Opening a file of labelled examples: which format it is, and lines that are known to be UTF-8. */
#include <string.h>
#include <strings.h>
#include "data/source.h"
#include "util/str.h"
#include "util/utf8.h"

#define XR_REG(x) extern const xr_source xr_source_##x;
#include "sources.inc"
#undef XR_REG
#define XR_REG(x) &xr_source_##x,
const xr_source *const xr_sources[] = {
#include "sources.inc"
    NULL
};
#undef XR_REG

int xr_source_named(const char *path, const char *ending)
{
    static const char *const packed[] = { "", ".gz", ".xz", ".zst", ".zstd" };
    size_t n = strlen(path), m = strlen(ending);
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        size_t k = strlen(packed[i]);
        if (n >= m + k && !strncasecmp(path + n - k - m, ending, m) && !strcasecmp(path + n - k, packed[i]))
            return 1;
    }
    return 0;
}

/* NUL is well-formed UTF-8, but would end a text early. */
xr_status xr_line_check(const xr_stream *s, const char *line, size_t len)
{
    const char *path = xr_stream_path(s), *nul = memchr(line, 0, len);
    size_t number = xr_stream_line_number(s), at = xr_utf8_check(line, len);

    if (nul)
        return xr_fail(XR_EDATA,
                       "%s:%zu: a NUL byte at byte %zu of the line (UTF-16 or a binary file?); expected UTF-8 "
                       "text; convert the file to UTF-8 with iconv",
                       path, number, (size_t)(nul - line));
    if (at < len)
        return xr_fail(XR_EDATA, "%s:%zu: byte 0x%02X at byte %zu of the line is not UTF-8; expected UTF-8 text; "
                       "if the file is Latin-1, convert it with: iconv -f ISO-8859-1 -t UTF-8", path, number,
                       (unsigned)(unsigned char)line[at], at);
    return XR_OK;
}

/* A whole file that is one line because its lines end in CR alone would pass for a header, or for one text, which it is where somebody said so. */
static xr_status check_ends(const xr_source_reader *r)
{
    if (!r->head || r->source == &xr_source_plain || xr_stream_line_ended(r->stream) || !memchr(r->head, '\r', r->head_len - 1))
        return XR_OK;
    return xr_fail(XR_EDATA, "%s:%zu: lines end in CR alone, as Excel's \"CSV (Macintosh)\" has them; expected LF or CRLF; convert the file "
                   "(tr '\\r' '\\n')", xr_stream_path(r->stream), xr_stream_line_number(r->stream));
}

/* The first line that is not empty; a file without any has head = NULL. */
static xr_status peek(xr_source_reader *r)
{
    char *line;
    size_t len;
    int rc;

    while ((rc = xr_stream_line(r->stream, &line, &len)) > 0 && !len)
        r->head_blank = 1;
    if (rc > 0) {
        r->head = line;
        r->head_len = len;
    }
    return rc < 0 ? rc : check_ends(r);
}

int xr_source_line(xr_source_reader *r, char **line, size_t *len)
{
    int rc = 1;

    if (r->head) {
        *line = r->head;
        *len = r->head_len;
        r->head = NULL;
    } else {
        rc = r->broken ? 0 : xr_stream_line(r->stream, line, len);
    }
    if (rc <= 0) {
        r->broken = r->broken || rc < 0;
        return rc;
    }
    XR_TRY(xr_line_check(r->stream, *line, *len));
    return 1;
}

static xr_status unknown_format(const char *format)
{
    const char *names[16];
    size_t n = 0;
    xr_str list = { 0 };

    for (; xr_sources[n] && n < 16; n++) {
        names[n] = xr_sources[n]->name;
        if (xr_str_printf(&list, "%s%s", n ? ", " : "", names[n]) < 0)
            break;
    }
    const char *nearest = xr_nearest(format, names, n);
    xr_status status = xr_fail(XR_EUSAGE, "unknown format '%s'; expected one of %s%s%s%s", format, list.s ? list.s : "",
                               nearest ? "; did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    xr_str_free(&list);
    return status;
}

static const xr_source *by_name(const char *format)
{
    for (size_t i = 0; xr_sources[i]; i++)
        if (!strcmp(xr_sources[i]->name, format))
            return xr_sources[i];
    unknown_format(format);
    return NULL;
}

/* A TSV's lowest score is for what nothing else takes, and so is plain text where it may be. */
const xr_source *xr_source_detect(const char *path, const char *head, size_t n, int plain)
{
    const xr_source *best = plain ? &xr_source_plain : NULL;
    int best_score = plain;

    for (size_t i = 0; xr_sources[i]; i++) {
        int score = xr_sources[i]->detect(path, head, n);
        if (score > best_score) {
            best = xr_sources[i];
            best_score = score;
        }
    }
    return best;
}

xr_status xr_source_open(xr_source_reader *r, const char *path, const char *format, const xr_columns *columns)
{
    xr_status status;

    memset(r, 0, sizeof *r);
    if (columns)
        r->columns = *columns;
    if (format && !(r->source = by_name(format)))
        return xr_error_status();
    r->stream = xr_stream_open(path);
    if (!r->stream)
        return xr_error_status();
    status = peek(r);
    if (status >= 0 && !r->source)
        r->source = xr_source_detect(path, r->head ? r->head : "", r->head_len, r->columns.plain);
    XR_ASSERT(status < 0 || r->source, "no source takes %s", path);
    if (status >= 0)
        status = r->source->open(r);
    else
        r->source = NULL;
    if (status < 0)
        xr_source_close(r);
    return status;
}

int xr_source_next(xr_source_reader *r, xr_record *out)
{
    memset(out, 0, sizeof *out);
    return r->source->next(r, out);
}

void xr_source_close(xr_source_reader *r)
{
    if (r->source)
        r->source->close(r);
    xr_stream_close(r->stream);
    memset(r, 0, sizeof *r);
}
