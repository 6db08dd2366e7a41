/* Tab-separated rows. No quoting: a `"` is a plain character.
 *
 * With a header (a first row that holds known names, or any column given by name): columns by the conventions of
 * columns.h. Covers XNLI-1.0's xnli.dev.tsv (language, gold_label, …, sentence1, sentence2, …), MultiNLI's and SNLI's
 * .txt, XNLI's multinli.train.<lang>.tsv (premise, hypo, label), KorNLI, GLUE. Without: one column = text; two = text
 * and second text (XTREME's test files), or text and label where labels are needed; three = text, second text, label
 * (XTREME); more need columns by number. Every row has as many columns as the first. Empty lines are accepted at the
 * end of the file only: a row more or less would shift a prediction file. */
#include <string.h>
#include "data/columns.h"
#include "util/alloc.h"

typedef struct rows {
    xr_column_map map;
    char **cell;
    size_t n, cap;
    int pending;        /* cells hold a row not yet handed out */
} rows;

static int detect(const char *path, const char *head, size_t n)
{
    (void)path, (void)head, (void)n;
    return 1;
}

static xr_status split(rows *s, char *line)
{
    s->n = 0;
    do {
        XR_TRY(xr_grow(&s->cell, &s->cap, s->n + 1, sizeof *s->cell));
        s->cell[s->n++] = line;
        line = strchr(line, '\t');
        if (line)
            *line++ = '\0';
    } while (line);
    return XR_OK;
}

static int read_row(xr_source_reader *r, rows *s)
{
    char *line;
    size_t len, blank;
    int rc = xr_source_full_line(r, &line, &len, &blank);

    if (rc <= 0)
        return rc;
    XR_TRY(split(s, line));
    s->pending = 1;
    return blank ? xr_source_blank(r, blank) : 1;
}

static xr_status open(xr_source_reader *r)
{
    int is_header, rc;
    rows *s = r->state = xr_alloc(1, sizeof *s);

    if (!s)
        return xr_error_status();
    rc = read_row(r, s);
    if (rc <= 0)
        return rc;
    XR_TRY(xr_column_map_read(&s->map, r, s->cell, s->n, 0, &is_header));
    s->pending = !is_header;
    return XR_OK;
}

static int next(xr_source_reader *r, xr_record *out)
{
    rows *s = r->state;

    if (!s->pending) {
        int rc = read_row(r, s);
        if (rc <= 0)
            return rc;
    }
    s->pending = 0;
    XR_TRY(xr_column_map_apply(&s->map, r, s->cell, s->n, xr_stream_line_number(r->stream), out));
    return 1;
}

static void close(xr_source_reader *r)
{
    rows *s = r->state;
    if (s)
        xr_free(s->cell);
    xr_free(s);
}

const xr_source xr_source_tsv = { "tsv", detect, open, next, close };
