/* Lines from a plain or gzip file, the kind told by its first bytes and not by its name.
 * Own inflate loop: multi-member gzip, CRC and size checked, a cut or damaged member is an error (zlib's gzread hides three
 * of these; reliability.md part 0, 8). Memory is bounded by the longest line (cap below). */
#ifndef XR_UTIL_STREAM_H
#define XR_UTIL_STREAM_H

#include <stddef.h>
#include "util/error.h"

#define XR_LINE_CAP ((size_t)16 << 20)

typedef struct xr_stream xr_stream;

xr_stream *xr_stream_open(const char *path);                /* "-" = standard input; NULL with the error set */
void xr_stream_close(xr_stream *s);

/* Next line without its LF or CRLF; only those end lines. *line is borrowed until the next call and NUL-terminated.
 * Returns 1 = a line, 0 = end of file, < 0 = error naming path, line and byte offset. A BOM at the start is dropped. */
int xr_stream_line(xr_stream *s, char **line, size_t *len);
/* Up to n bytes; returns the number read, 0 at the end, < 0 on error. Not to be mixed with xr_stream_line. */
long xr_stream_read(xr_stream *s, void *buffer, size_t n);
size_t xr_stream_line_number(const xr_stream *s);           /* of the last line, from 1 */
int xr_stream_line_ended(const xr_stream *s);               /* 0 if the last line had no LF: the file may be cut */
const char *xr_stream_path(const xr_stream *s);

#endif
