/* Where labelled examples come from: one format = one file in sources/. */
#ifndef XR_DATA_SOURCE_H
#define XR_DATA_SOURCE_H

#include <stddef.h>
#include "util/error.h"
#include "util/stream.h"

/* One record as columns. Strings are borrowed until the next call. A field that the record lacks is NULL.
 * A list of labels (JSON lines) comes as its names, each followed by XR_LABEL_SEPARATOR. */
#define XR_LABEL_SEPARATOR '\x1f'
typedef struct xr_record {
    const char *text, *text_pair, *label, *language;
    size_t line;                            /* where it starts, for messages */
} xr_record;

/* Which columns to read: names or 1-based numbers as text; NULL = the format's own convention (documented per source);
 * "" = do not read it. When `text` is given, no second text is guessed. */
typedef struct xr_columns {
    const char *text, *text_pair, *label, *language;
    int labelled;                           /* a TSV of two columns without header is text, label (1) or a pair (0) */
    int plain;                              /* by content: a file that neither its name nor its first line makes a table is plain text (1) or a TSV (0) */
} xr_columns;

typedef struct xr_source_reader xr_source_reader;   /* each source defines its own state behind `state` */
struct xr_source_reader {
    const struct xr_source *source;
    xr_stream *stream;
    xr_columns columns;
    void *state;
    char *head; size_t head_len;            /* first line, read for detection and not yet handed out */
    size_t head_blank;                      /* number of the first of the empty lines before it; 0 = none */
    int broken;                             /* the file itself failed (not a record): nothing more can be read */
};

typedef struct xr_source {
    const char *name;                       /* value of --format */
    int (*detect)(const char *path, const char *head,
                  size_t n);                /* looks at name and first bytes; 0 = not mine, higher wins */
    xr_status (*open)(xr_source_reader *r); /* reads a header if there is one */
    int (*next)(xr_source_reader *r, xr_record *out);               /* 1 record, 0 end, < 0 error with path:line */
    void (*close)(xr_source_reader *r);
} xr_source;

extern const xr_source *const xr_sources[];  /* generated, NULL-terminated */

/* format NULL = by content. */
xr_status xr_source_open(xr_source_reader *r, const char *path, const char *format, const xr_columns *columns);
/* The format of a file with this first line that is not empty, as xr_source_open finds it with `plain` of its columns. */
const xr_source *xr_source_detect(const char *path, const char *head, size_t n, int plain);
/* After XR_EDATA the next call goes on behind the bad record, unless r->broken. */
int xr_source_next(xr_source_reader *r, xr_record *out);
void xr_source_close(xr_source_reader *r);

/* A line just read from the stream is UTF-8 without NUL; XR_EDATA with path and line otherwise. */
xr_status xr_line_check(const xr_stream *s, const char *line, size_t len);
/* For the sources: does the file's name end so (".csv"), whatever it was compressed with? */
int xr_source_named(const char *path, const char *ending);
/* For the sources: next line, checked to be UTF-8 without NUL. As xr_stream_line. */
int xr_source_line(xr_source_reader *r, char **line, size_t *len);

#endif
