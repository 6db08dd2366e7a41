/* Text from plain, gzip, xz or zstd files, the kind told by first bytes and not by name.
 *
 * Files of several members (gzip; xz calls them streams, zstd frames) are read through; checksums are checked; a cut or
 * damaged member is an error (zlib's gzread hides three of these; reliability.md part 0, 8). What the person gets does not depend
 * on the sizes of buffers. Memory is bounded by the longest line or peek, and 128 MiB for what a format looks back on. */
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
/* Up to n bytes; returns the number read, 0 at the end, < 0 on error. Counts no lines. */
long xr_stream_read(xr_stream *s, void *buffer, size_t n);
/* Looks ahead: at least `want` bytes, fewer only at the end. Returns how many are held at *text, borrowed until the next call
 * other than xr_stream_skip, which passes over the first n of them and counts their lines. An error lies beyond what was held before. */
long xr_stream_peek(xr_stream *s, size_t want, const char **text);
void xr_stream_skip(xr_stream *s, size_t n);
/* The same to tell what the file is: an error met on the way is kept until reading gets there. */
long xr_stream_head(xr_stream *s, size_t want, const char **text);

/* Member by member: the end of one is an end for all of the above, until xr_stream_next_member. A plain file is one member. */
void xr_stream_by_member(xr_stream *s, int on);
size_t xr_stream_member(const xr_stream *s);                /* number of the last begun, from 1; 0 = not compressed */
/* Gives up what is left of the member and goes to the next: 1, 0 = there is none, < 0 = error. What is left is decoded for its
 * checksum. After an error in compressed data it searches the file for the next beginning of a member. Not before the first read. */
int xr_stream_next_member(xr_stream *s);
int xr_stream_damaged(const xr_stream *s);                  /* 1: the last error was in the compressed data, so that one can go on */
int xr_stream_cut(const xr_stream *s);                      /* 1: the file ended inside a member */

size_t xr_stream_line_number(const xr_stream *s);           /* of the last line, from 1 */
int xr_stream_line_ended(const xr_stream *s);               /* 0 if the last line had no LF: the file may be cut */
unsigned long long xr_stream_offset(const xr_stream *s);    /* bytes of the file, as it is stored, that were used */
const char *xr_stream_path(const xr_stream *s);

/* Test hook: files are read and decoded at most so many bytes at a time by streams opened later; 0 = as usual. */
void xr_stream_chunk(size_t bytes);

#endif
