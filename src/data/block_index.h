/* Where the blocks of a corpus begin: what src/data/blocks.c finds blocks with, in memory and as a file.
 *
 * The documents of a language, one after another, make its stream; between two documents it may hold one separator that no store
 * holds. A block is a span of the stream. 8 bytes a block and 16 a document: nothing else grows with the corpus.
 *
 * The file: a header (magic, version, byte order, digest of what it was made from, XXH3-128 of the rest), one entry a language, then for each language
 * its blocks and its documents, 8-byte numbers of this machine's byte order. It is a cache: one that is not as expected is made anew. */
#ifndef XR_DATA_BLOCK_INDEX_H
#define XR_DATA_BLOCK_INDEX_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

/* A block is its beginning in the stream, shifted, and its number of tokens below. */
enum { XR_BLOCK_LENGTH_BITS = 20 };
#define XR_BLOCK_STREAM_MAX (UINT64_C(1) << (64 - XR_BLOCK_LENGTH_BITS))

typedef struct xr_block_document {
    uint64_t stream;            /* where it begins in the language's stream */
    uint64_t store;             /* and in the stores, one after another */
} xr_block_document;

typedef struct xr_block_language {
    char name[64];
    uint64_t n_blocks, n_documents, n_tokens;   /* tokens without separators */
    uint64_t *block;                    // [n_blocks] ascending
    xr_block_document *document;        // [n_documents + 1] ascending; the last is where one more would begin
    size_t cap_blocks, cap_documents;   /* while it is built */
} xr_block_language;

typedef struct xr_block_index {
    xr_block_language *language;        // [n] sorted by name
    size_t n;
    void *map;                          /* the file's bytes, which blocks and documents then point into; NULL: they are allocated */
    size_t map_bytes;
} xr_block_index;

void xr_block_index_free(xr_block_index *x);
xr_status xr_block_index_write(const xr_block_index *x, const char *path, const char digest[33]);
/* XR_EDATA, with what is wrong, when the file is damaged or of other data; XR_ENOINPUT when there is none. */
xr_status xr_block_index_open(xr_block_index *x, const char *path, const char digest[33]);

#endif
