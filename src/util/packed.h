/* A file as it was before it was compressed, byte by byte and member by member: what util/stream.c reads. */
#ifndef XR_UTIL_PACKED_H
#define XR_UTIL_PACKED_H

#include <stddef.h>
#include <stdint.h>
#include "util/decode.h"
#include "util/error.h"

/* What a decoder gives of damaged data depends on the pieces in which it gets them. So that no reader sees that, a compressed member
 * is decoded in portions that end at multiples of a fixed size from its beginning, into a buffer that is empty before each call. */
typedef struct xr_packed {
    char *path;
    size_t line;                /* lines read before, for messages; kept by the reader, but for lines dropped here */
    const xr_decoder *decoder;  /* NULL until the first read */
    size_t member;              /* members begun */
    int by_member;              /* the end of a member is an end for xr_packed_read */
    xr_status failed;           /* status of an error */
    int damaged;                /* it lies in the compressed data: the next member may be whole */
    int cut;                    /* the file ends inside a member */

    int fd;                     /* -1 after close; 0 for standard input */
    int stage;
    char *kept;                 /* message of an error that was met ahead of what was asked for */
    xr_status kept_status;
    int raw_eof;
    uint64_t raw_read;          /* bytes read from the file */
    uint64_t produced;          /* bytes after decompression */
    void *state;
    int noted;
    uint64_t member_at;         /* raw offset where the last member began */
    size_t chunk, in_cap, in_pos, in_len;
    unsigned char *in;          // [in_cap] raw bytes not yet decoded: [in_pos, in_len)
    char *decoded;              // [64 Ki] not yet handed out: [decoded_pos, decoded_len)
    size_t decoded_pos, decoded_len;
} xr_packed;

xr_packed *xr_packed_open(const char *path);                /* "-" = standard input; NULL with the error set */
void xr_packed_close(xr_packed *p);
/* Bytes into `to`: *got > 0, or 0 at the end. */
xr_status xr_packed_read(xr_packed *p, char *to, size_t room, size_t *got);
/* After the end of a member, in the middle of one, or after an error in compressed data (then by a search in the file): 1, 0 = no
 * further member, < 0. */
int xr_packed_next_member(xr_packed *p);
int xr_packed_is_plain(const xr_packed *p);
/* Lines that end in text[0 .. n) count as read. */
void xr_packed_pass_lines(xr_packed *p, const char *text, size_t n);
/* An error that names path, line and byte; the file stays failed. */
xr_status xr_packed_fail(xr_packed *p, xr_status status, const char *what);
/* The error just met is raised when what was decoded before it has been handed out. */
xr_status xr_packed_keep_error(xr_packed *p);

/* First bytes that name a format. */
typedef struct xr_magic { const char *bytes; size_t n; const char *what; } xr_magic;
/* The one that the bytes begin with, or NULL; *undecided is set when more bytes could still make it one. */
const xr_magic *xr_magic_find(const xr_magic *table, size_t n_magics, const void *bytes, size_t n, int *undecided);
const xr_decoder *xr_packed_format(const void *bytes, size_t n, int *undecided);   /* the same among the decoders; plain takes all */

void xr_packed_chunk(size_t bytes);                         /* test hook, see util/stream.h */

#endif
