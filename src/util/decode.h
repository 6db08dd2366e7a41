/* What stands between the bytes of a file and its text: one compression format = one file decode_NAME.c.
 *
 * A compressed file is a row of members (gzip's word; xz says streams, zstd frames), each of which decodes alone.
 * A decoder sees bytes in and bytes out and knows no path; util/stream.c reads the file and words the errors. */
#ifndef XR_UTIL_DECODE_H
#define XR_UTIL_DECODE_H

#include <stddef.h>

#define XR_WINDOW_CAP ((size_t)128 << 20)   /* most memory for what a format wants to look back on */

typedef enum xr_decoded {
    XR_DECODE_MORE,         /* all went well; the member goes on */
    XR_DECODE_END,          /* the member is complete and its checksum right */
    XR_DECODE_BAD,          /* damaged; `why` says where it was seen */
    XR_DECODE_REFUSED,      /* sound perhaps, but not read here; `why` says the reason and what to do */
    XR_DECODE_NO_MEMORY
} xr_decoded;

/* One call: takes from [in, in + n_in), writes to [out, out + n_out), and moves both. */
typedef struct xr_decode {
    const unsigned char *in; size_t n_in;
    char *out; size_t n_out;
    const char *why;
    const char *note;       /* worth a note to the person, once a file */
} xr_decode;

typedef struct xr_decoder {
    const char *name;       /* "gzip"; NULL = not compressed */
    const char *unit;       /* "member" */
    const char *undo;       /* command that decompresses */
    size_t padding;         /* zero bytes behind a member: 1 = any number up to the end of the file, 4 = fours, also between */
    /* Does a member begin here? 1, 0, or -1: too few bytes to say. strict = as sure as it can be told, for a search. */
    int (*begins)(const unsigned char *p, size_t n, int strict);
    void *(*open)(void);                                /* NULL = no memory */
    xr_decoded (*begin)(void *state);                   /* a new member */
    xr_decoded (*run)(void *state, xr_decode *d);       /* NULL: the text is the bytes as they are */
    void (*close)(void *state);                         /* NULL is fine */
} xr_decoder;

extern const xr_decoder xr_decode_gzip, xr_decode_xz, xr_decode_zstd, xr_decode_plain;

/* Compares with bytes that a format begins with, for `begins`. */
int xr_decode_magic(const unsigned char *p, size_t n, const void *magic, size_t n_magic);

#endif
