/* Where labelled examples come from: one format = one file in sources/. */
#ifndef XR_DATA_SOURCE_H
#define XR_DATA_SOURCE_H

#include <stddef.h>
#include "util/error.h"
#include "util/stream.h"

/* One record as columns. Strings are borrowed until the next call. A field that the record lacks is NULL. */
typedef struct xr_record {
    const char *text, *text_pair, *label, *language;
    size_t line;                            /* where it starts, for messages */
} xr_record;

/* Which columns to read: names or 1-based numbers as text; NULL = the format's own convention (documented per source). */
typedef struct xr_columns { const char *text, *text_pair, *label, *language; } xr_columns;

typedef struct xr_source_reader xr_source_reader;   /* each source defines its own state behind `state` */
struct xr_source_reader {
    const struct xr_source *source;
    xr_stream *stream;
    xr_columns columns;
    void *state;
};

typedef struct xr_source {
    const char *name;                       /* value of --format */
    int (*detect)(const char *path, const char *head, size_t n);    /* looks at name and first bytes; 0 = not mine, higher wins */
    xr_status (*open)(xr_source_reader *r); /* reads a header if there is one */
    int (*next)(xr_source_reader *r, xr_record *out);               /* 1 record, 0 end, < 0 error with path:line */
    void (*close)(xr_source_reader *r);
} xr_source;

extern const xr_source *const xr_sources[];  /* generated, NULL-terminated */

/* format NULL = by content. */
xr_status xr_source_open(xr_source_reader *r, const char *path, const char *format, const xr_columns *columns);
int xr_source_next(xr_source_reader *r, xr_record *out);
void xr_source_close(xr_source_reader *r);

#endif
