/* A token store: raw text, tokenised once. A folder with shards (HDF5) and manifest.json.
 *
 * shard-00000.h5: /tokens uint32 [n] all sentences, each closed by </s>, without <s>; /doc_offsets uint64 [documents + 1] where
 * each document begins in /tokens; /lang uint16 [documents] index into the attribute lang_names ("en,fr"). Chunked, Fletcher32,
 * V110 (util/h5.h). The manifest lists every shard with sizes, digests and counts; its digest names the store. */
#ifndef XR_DATA_STORE_H
#define XR_DATA_STORE_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/json.h"

#define XR_STORE_MANIFEST "manifest.json"

/* Writing one shard. */
typedef struct xr_store_writer xr_store_writer;
xr_store_writer *xr_store_create(const char *path, int deflate);    /* deflate 0..9; NULL with the error set */
/* Of the current document, without </s>: n > 0 ids above those of <s>, <pad>, </s>. */
xr_status xr_store_sentence(xr_store_writer *w, const int32_t *id, size_t n);
void xr_store_text(xr_store_writer *w, size_t bytes);               /* counts text that the current document's sentences came from */
/* language: letters, digits, - and _, at most 31. A document without sentences leaves no trace. */
xr_status xr_store_end_document(xr_store_writer *w, const char *language);
uint64_t xr_store_written(const xr_store_writer *w);                /* tokens so far */
/* Complete or absent; frees w in any case. *facts (may be NULL) receives the shard's entry of a manifest, the caller's: file, bytes, xxh3_128,
 * documents, sentences, tokens, text_bytes, and these four for each of languages. */
xr_status xr_store_commit(xr_store_writer *w, json_t **facts);
void xr_store_abort(xr_store_writer *w);                            /* NULL is fine */

/* Makes DIR a store: writes its manifest over `shards` (entries as above, borrowed), with their sums, and with what is in the object `more`
 * (borrowed, may be NULL) besides. */
xr_status xr_store_write_manifest(const char *dir, const char *tokenizer_sha256, int vocab_size, json_t *shards, json_t *more);
/* Reads and checks it: format, version, sums, digest. NULL with the error set. */
json_t *xr_store_read_manifest(const char *dir);
/* Whether the file of one of the manifest's "shards" is there and has its digest: XR_EDATA with the remedy. Reads all of it, without HDF5. */
xr_status xr_store_check_shard(const char *dir, const json_t *shard);
xr_status xr_store_check_shards(const char *dir, const json_t *manifest);   /* the first that is not good */

/* Reading a store: the documents of all shards in manifest order, numbered through. */
typedef struct xr_store xr_store;
/* Opens DIR and checks its manifest (not the digests of the shards: `verify` does that). tokenizer_sha256: refused with both
 * digests when the store was made by another tokenizer; NULL = not asked. NULL with the error set. */
xr_store *xr_store_open(const char *dir, const char *tokenizer_sha256);
void xr_store_close(xr_store *s);
/* Before the first read: decoded tokens kept (256 MiB by default and at most) and shards open at once (64). */
void xr_store_limits(xr_store *s, size_t cache_bytes, size_t open_shards);
int xr_store_is(const char *dir);                                   /* a folder with a manifest of ours */
const char *xr_store_digest(const xr_store *s);                     /* 32 hex digits: of the manifest's contents, not of paths or times */
const char *xr_store_path(const xr_store *s);
int xr_store_vocab_size(const xr_store *s);
size_t xr_store_n_languages(const xr_store *s);
const char *xr_store_language(const xr_store *s, size_t i);         /* sorted by name */
uint64_t xr_store_documents(const xr_store *s);
const char *xr_store_tokenizer(const xr_store *s);          /* sha256 of the tokenizer it was made with */
uint64_t xr_store_tokens(const xr_store *s);
const json_t *xr_store_manifest(const xr_store *s);                 /* borrowed */
/* Offsets of documents [first, first + n) within the store's tokens, n + 1 of them, and their languages (index of
 * xr_store_language). Streams through the shards: fine for building an index, not for one document at a time. */
xr_status xr_store_document_table(xr_store *s, uint64_t first, size_t n, uint64_t *offset, uint16_t *language);
/* The file of the shard in which a token of the store stands; *at receives where in it. */
const char *xr_store_shard(xr_store *s, uint64_t token, uint64_t *at);
/* Tokens [begin, begin + n) of the whole store (shards one after another) into id. Random access: a decoded-chunk cache makes it fast in any order.
 * XR_EDATA naming the shard on a bad chunk or an id outside the vocabulary. Not to be called from two threads at once. */
xr_status xr_store_read(xr_store *s, uint64_t begin, size_t n, int32_t *id);

#endif
