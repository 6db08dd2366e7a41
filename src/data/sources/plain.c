/* Plain text: a line is a text, an empty line one without words.
 *
 * No content says that a file is this, so nothing is taken for it by itself: whoever takes plain text says so (xr_columns). */
#include "data/source.h"
#include "util/alloc.h"

/* Empty lines at the start, which were passed over to find the first line with something in it. */
typedef struct blanks { size_t n, given; } blanks;

static int detect(const char *path, const char *head, size_t n)
{
    (void)path, (void)head, (void)n;
    return 0;
}

static xr_status open(xr_source_reader *r)
{
    blanks *b = r->state = xr_alloc(1, sizeof *b);
    if (!b)
        return xr_error_status();
    b->n = xr_stream_line_number(r->stream) - (r->head != NULL);
    return XR_OK;
}

static int next(xr_source_reader *r, xr_record *out)
{
    blanks *b = r->state;
    char *line;
    size_t len;

    if (b->given < b->n) {
        out->text = "";
        out->line = ++b->given;
        return 1;
    }
    int rc = xr_source_line(r, &line, &len);
    if (rc <= 0)
        return rc;
    out->text = line;
    out->line = xr_stream_line_number(r->stream);
    return 1;
}

static void close(xr_source_reader *r)
{
    xr_free(r->state);
}

const xr_source xr_source_plain = { "plain", detect, open, next, close };
