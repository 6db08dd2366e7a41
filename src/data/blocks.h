/* Packing a store into training blocks (fairseq's TokenBlockDataset), per language.
 *
 * A block is <s> and then at most length - 1 tokens of whole sentences, each closed by </s>. Modes:
 *   complete      whole sentences until the next would not fit; crosses documents, a lone </s> stands between two (the paper's
 *                 FULL-SENTENCES)
 *   complete_doc  the same, never crossing a document; blocks of one token are dropped
 *   none          fixed cuts through the stream of complete, separators included
 *   eos           one sentence a block
 * A separator counts as a sentence of one token, as in fairseq: it may end a block or begin the next. Documents of a language follow each other
 * in the order of the stores, whatever stands between them there.
 * A sentence longer than the block is split into pieces of the block's length and a rest, each packed like a sentence: never dropped, never
 * overlong (fairseq's complete makes an overlong block of it). In complete and none every token stands in exactly one block.
 * Where blocks begin is written once to an index file, named by store digest, mode and length, and mapped from then on: block k is found
 * without reading those before it. */
#ifndef XR_DATA_BLOCKS_H
#define XR_DATA_BLOCKS_H

#include "data/store.h"

typedef enum xr_break_mode { XR_BREAK_COMPLETE, XR_BREAK_COMPLETE_DOC, XR_BREAK_NONE, XR_BREAK_EOS } xr_break_mode;
int xr_break_mode_find(const char *name);           /* < 0 if unknown */

typedef struct xr_blocks xr_blocks;
/* Several stores (all of one tokenizer) count as one; languages of the same name are joined. cache_dir: where the index lies;
 * NULL = in the first store's folder, and if that cannot be written in memory only. Stores are borrowed. NULL with the error set. */
xr_blocks *xr_blocks_open(xr_store *const *store, size_t n_stores, xr_break_mode mode, size_t length, const char *cache_dir);
void xr_blocks_close(xr_blocks *b);
const char *xr_blocks_digest(const xr_blocks *b);   /* of stores, mode and length: 32 hex digits */
size_t xr_blocks_n_languages(const xr_blocks *b);
const char *xr_blocks_language(const xr_blocks *b, size_t lang);    /* sorted by name */
uint64_t xr_blocks_count(const xr_blocks *b, size_t lang);
uint64_t xr_blocks_tokens(const xr_blocks *b, size_t lang);         /* of the store, without <s> and separators */
size_t xr_blocks_length(const xr_blocks *b);                        /* no block has more tokens, <s> included */
/* Block k of a language: id [length] receives <s> and the tokens; returns how many (>= 2), or < 0. */
long xr_blocks_read(xr_blocks *b, size_t lang, uint64_t k, int32_t *id);

/* Where it was taken from: the store, and its first token's place in there. A separator at its beginning counts as the token before. */
typedef struct xr_block_origin { xr_store *store; uint64_t token; } xr_block_origin;
xr_block_origin xr_blocks_origin(const xr_blocks *b, size_t lang, uint64_t k);

#endif
