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

static int detect(const char *path, const char *head, size_t n)
{
    return xr_source_named(path, ".tsv") || xr_columns_header(head, n, '\t') ? 5 : 1;
}

static xr_status split(xr_source_reader *r, xr_rows *rows, char *line, size_t len)
{
    (void)r, (void)len;
    rows->n = 0;
    do {
        XR_TRY(xr_grow(&rows->cell, &rows->cap, rows->n + 1, sizeof *rows->cell));
        rows->cell[rows->n++] = line;
        line = strchr(line, '\t');
        if (line)
            *line++ = '\0';
    } while (line);
    return XR_OK;
}

static xr_status open(xr_source_reader *r)
{
    xr_rows *rows = r->state = xr_alloc(1, sizeof *rows);

    if (!rows)
        return xr_error_status();
    rows->split = split;
    return xr_rows_open(r, rows, 0);
}

static int next(xr_source_reader *r, xr_record *out)
{
    return xr_rows_next(r, r->state, out);
}

static void close(xr_source_reader *r)
{
    xr_rows *rows = r->state;
    if (rows)
        xr_free(rows->cell);
    xr_free(rows);
}

const xr_source xr_source_tsv = { "tsv", detect, open, next, close };
