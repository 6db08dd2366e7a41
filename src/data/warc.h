/* The text side of WARC (ISO 28500): where records begin, what of their headers is used. Works on bytes in memory. */
#ifndef XR_DATA_WARC_H
#define XR_DATA_WARC_H

#include <stddef.h>

enum { XR_WARC_LINE = 8 };      /* bytes that tell whether a record begins: "WARC/1.0" */

/* A value of a header, copied as far as it can matter; a missing one is empty. */
typedef struct xr_warc_value { char s[96]; int times; } xr_warc_value;

typedef struct xr_warc_header {
    int lf;                     /* its lines end in LF, not CRLF */
    xr_warc_value type, length, digest, language, content;
} xr_warc_header;

int xr_warc_begins(const char *s, size_t n);
/* Offset of the first line from `from` on that begins a record behind an empty line; n if there is none. */
size_t xr_warc_find(const char *s, size_t from, size_t n);
/* Size of the header with the empty line that ends it; 0 if that is not there. It looks from `from` on. */
size_t xr_warc_header_size(const char *s, size_t from, size_t n);
/* Reads a whole header of n bytes. 1, or 0 when its first line is not that of WARC 0.17 to 1.1. Names are told without regard to case,
 * in any order; unknown ones and continued lines are passed over. */
int xr_warc_header_parse(const char *s, size_t n, xr_warc_header *h);
int xr_warc_is(const xr_warc_value *v, const char *word);
/* Is this the SHA-1 of the bytes, in base32 (RFC 4648) or hexadecimal? */
int xr_warc_same_sha1(const char *text, const void *data, size_t n);

#endif
