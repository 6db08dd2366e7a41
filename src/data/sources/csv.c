/* Comma-separated rows by RFC 4180: a field in quotes may hold commas, doubled quotes and line ends (CRLF inside a
 * field is read as LF). A quote inside a field that does not start with one is a plain character; text after a closing
 * quote is an error.
 *
 * The first row is a header with the conventions of columns.h, or with the names given; when columns are given by
 * number and the first row holds no known name, the file has no header. Empty lines are accepted at the end of the file
 * only. */
#include <string.h>
#include "data/columns.h"
#include "util/alloc.h"
#include "util/str.h"

typedef struct table {
    xr_rows rows;
    xr_str text;        /* the row's fields, each with its NUL */
    size_t *start;      // [rows.n] of each field in text
    size_t cap_start;
} table;

/* What is piped in has no name: as TSV its header would be taken for a text. Semicolons are taken here to be refused. */
static int detect(const char *path, const char *head, size_t n)
{
    char separator = memchr(head, ',', n) ? ',' : ';';
    return xr_source_named(path, ".csv") || (!memchr(head, '\t', n) && xr_columns_header(head, n, separator)) ? 10 : 0;
}

/* One character of a quoted field; a line that ends inside the quotes goes on with the next one. */
static int more_quoted(xr_source_reader *r, table *s, char **p, char **end, size_t opened)
{
    size_t len;
    int rc;

    XR_TRY(xr_str_putc(&s->text, '\n'));
    rc = s->text.len > XR_LINE_CAP ? 0 : xr_source_line(r, p, &len);
    if (rc > 0) {
        *end = *p + len;
        return 1;
    }
    if (rc < 0)
        return rc;
    r->broken = 1;
    return xr_fail(XR_EDATA,
                   "%s:%zu: the quote that opens here is never closed%s; expected a closing quote; "
                   "write a quote inside a field twice (RFC 4180), or use --format tsv for files without quoting",
                   xr_stream_path(r->stream), opened, s->text.len > XR_LINE_CAP ? " within 16 MiB" : "");
}

/* The field in quotes whose opening quote is at *p; leaves *p behind the closing one. */
static xr_status read_quoted(xr_source_reader *r, table *s, char **p, char **end)
{
    size_t opened = xr_stream_line_number(r->stream);

    for (++*p;;) {
        char *quote = memchr(*p, '"', (size_t)(*end - *p));
        char *stop = quote ? quote : *end;
        XR_TRY(xr_str_append(&s->text, *p, (size_t)(stop - *p)));
        *p = stop;
        if (!quote) {
            XR_TRY(more_quoted(r, s, p, end, opened));
        } else if (quote + 1 < *end && quote[1] == '"') {
            XR_TRY(xr_str_putc(&s->text, '"'));
            *p = quote + 2;
        } else {
            *p = quote + 1;
            break;
        }
    }
    if (*p < *end && **p != ',')
        return xr_fail(XR_EDATA, "%s:%zu: text after a closing quote; expected a comma or the end of the line; "
                       "write a quote inside a field twice (RFC 4180), or use --format tsv for files without quoting",
                       xr_stream_path(r->stream), xr_stream_line_number(r->stream));
    return XR_OK;
}

static xr_status read_fields(xr_source_reader *r, table *s, char *p, char *end)
{
    xr_str_clear(&s->text);
    for (s->rows.n = 0;; p++) {
        XR_TRY(xr_grow(&s->start, &s->cap_start, s->rows.n + 1, sizeof *s->start));
        s->start[s->rows.n++] = s->text.len;
        if (p < end && *p == '"') {
            XR_TRY(read_quoted(r, s, &p, &end));
        } else {
            char *comma = memchr(p, ',', (size_t)(end - p));
            char *stop = comma ? comma : end;
            XR_TRY(xr_str_append(&s->text, p, (size_t)(stop - p)));
            p = stop;
        }
        XR_TRY(xr_str_putc(&s->text, '\0'));
        if (p == end)
            return XR_OK;
    }
}

static xr_status split(xr_source_reader *r, xr_rows *rows, char *line, size_t len)
{
    table *s = r->state;

    XR_TRY(read_fields(r, s, line, line + len));
    XR_TRY(xr_grow(&rows->cell, &rows->cap, rows->n, sizeof *rows->cell));
    for (size_t i = 0; i < rows->n; i++)
        rows->cell[i] = s->text.s + s->start[i];
    return XR_OK;
}

static xr_status open(xr_source_reader *r)
{
    table *s = r->state = xr_alloc(1, sizeof *s);

    if (!s)
        return xr_error_status();
    s->rows.split = split;
    return xr_rows_open(r, &s->rows, 1);
}

static int next(xr_source_reader *r, xr_record *out)
{
    table *s = r->state;
    return xr_rows_next(r, &s->rows, out);
}

static void close(xr_source_reader *r)
{
    table *s = r->state;
    if (s) {
        xr_str_free(&s->text);
        xr_free(s->start);
        xr_free(s->rows.cell);
    }
    xr_free(s);
}

const xr_source xr_source_csv = { "csv", detect, open, next, close };
