/* Cutting the stream of one language into blocks, sentence by sentence: fairseq's break modes (TokenBlockDataset). */
#ifndef XR_DATA_BLOCK_PACK_H
#define XR_DATA_BLOCK_PACK_H

#include "data/block_index.h"
#include "data/blocks.h"

/* 1 where the stream of a language holds a separator between two documents. */
int xr_break_mode_separates(xr_break_mode mode);

typedef struct xr_packer {
    xr_block_language *out;
    xr_break_mode mode;
    uint64_t budget;            /* tokens of a block without its <s> */
    uint64_t end;               /* of the stream so far */
    uint64_t begin, size;       /* the open block */
} xr_packer;

/* Each document is begun, its sentences given, and then ended; documents without tokens are left out by the caller. */
xr_status xr_packer_document(xr_packer *p, uint64_t store_offset);
xr_status xr_packer_sentence(xr_packer *p, uint64_t size);          /* with its </s> */
xr_status xr_packer_end_document(xr_packer *p);
xr_status xr_packer_finish(xr_packer *p);                           /* closes the stream */

/* Reads the stores through once and packs all their languages. */
xr_status xr_block_index_build(xr_block_index *x, xr_store *const *store, size_t n_stores, xr_break_mode mode, size_t length);

#endif
