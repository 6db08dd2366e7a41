/* Blocks by number: from the index to the tokens. */
#include "data/blocks.h"

#include <stdio.h>
#include <string.h>

#include "data/block_pack.h"
#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/str.h"
#include "util/xxh.h"

static const char *const mode_name[] = { "complete", "complete_doc", "none", "eos" };

struct xr_blocks {
    xr_store **store;           // [n_stores] borrowed
    uint64_t *end;              // [n_stores] running sum of their tokens
    size_t n_stores, length;
    xr_break_mode mode;
    char digest[33];
    xr_block_index index;
};

int xr_break_mode_find(const char *name)
{
    for (int i = 0; i < (int)(sizeof mode_name / sizeof *mode_name); i++)
        if (strcmp(mode_name[i], name) == 0)
            return i;
    return -1;
}

/* ---- opening ---- */

/* Of everything that decides where blocks begin; the first word changes with the rules in block_pack.c. */
static xr_status name_content(xr_blocks *b)
{
    xr_str text = { 0 };
    xr_status status = xr_str_printf(&text, "blocks 1 %s %zu", mode_name[b->mode], b->length);
    for (size_t s = 0; s < b->n_stores && status == XR_OK; s++)
        status = xr_str_printf(&text, " %s", xr_store_digest(b->store[s]));
    xr_xxh *h = status == XR_OK ? xr_xxh_new() : NULL;
    if (h) {
        xr_xxh_update(h, text.s, text.len);
        xr_xxh_final(h, b->digest);
    }
    xr_str_free(&text);
    return h ? XR_OK : xr_error_status();
}

/* 1 when the index is there and whole. Anything else is a reason to make it anew, said when it is damage. */
static int open_cached(xr_blocks *b, const char *path)
{
    xr_status status = xr_block_index_open(&b->index, path, b->digest);
    if (status == XR_EDATA)
        xr_warn("%s; it is made again", xr_error_message());
    if (status < 0)
        xr_error_clear();
    return status == XR_OK;
}

/* Puts the index on disk and uses it from there; `needed`: else it is an error that it cannot be written. */
static xr_status keep(xr_blocks *b, const char *path, int needed)
{
    xr_block_index mapped;
    if (xr_block_index_write(&b->index, path, b->digest) < 0) {
        if (needed)
            return xr_error_status();
        xr_debug("%s; the index of blocks stays in memory", xr_error_message());
        xr_error_clear();
        return XR_OK;
    }
    XR_TRY(xr_block_index_open(&mapped, path, b->digest));
    xr_block_index_free(&b->index);
    b->index = mapped;
    return XR_OK;
}

static xr_status load_index(xr_blocks *b, const char *cache_dir)
{
    if (cache_dir)
        XR_TRY(xr_mkdirs(cache_dir));
    char *path = xr_asprintf("%s/blocks-%s-%zu-%s.idx", cache_dir ? cache_dir : xr_store_path(b->store[0]), mode_name[b->mode], b->length, b->digest);
    if (!path)
        return xr_error_status();
    xr_status status = XR_OK;
    if (!open_cached(b, path)) {
        status = xr_block_index_build(&b->index, b->store, b->n_stores, b->mode, b->length);
        if (status == XR_OK)
            status = keep(b, path, cache_dir != NULL);
    }
    xr_free(path);
    return status;
}

static xr_status open_blocks(xr_blocks *b, xr_store *const *store, size_t n_stores, const char *cache_dir)
{
    b->store = xr_alloc(n_stores, sizeof *b->store);
    b->end = b->store ? xr_alloc(n_stores, sizeof *b->end) : NULL;
    if (!b->end)
        return xr_error_status();
    for (size_t s = 0; s < n_stores; s++) {
        b->store[s] = store[s];
        b->end[s] = (s ? b->end[s - 1] : 0) + xr_store_tokens(store[s]);
    }
    XR_TRY(name_content(b));
    return load_index(b, cache_dir);
}

xr_blocks *xr_blocks_open(xr_store *const *store, size_t n_stores, xr_break_mode mode, size_t length, const char *cache_dir)
{
    XR_ASSERT(n_stores > 0 && length >= 2 && length >> XR_BLOCK_LENGTH_BITS == 0, "%zu stores, blocks of %zu tokens", n_stores, length);
    xr_blocks *b = xr_alloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->n_stores = n_stores;
    b->mode = mode;
    b->length = length;
    if (open_blocks(b, store, n_stores, cache_dir) < 0) {
        xr_blocks_close(b);
        return NULL;
    }
    return b;
}

void xr_blocks_close(xr_blocks *b)
{
    if (!b)
        return;
    xr_block_index_free(&b->index);
    xr_free(b->store);
    xr_free(b->end);
    xr_free(b);
}

/* ---- reading ---- */

static const xr_block_language *language(const xr_blocks *b, size_t lang)
{
    XR_ASSERT(lang < b->index.n, "language %zu of %zu", lang, b->index.n);
    return &b->index.language[lang];
}

const char *xr_blocks_digest(const xr_blocks *b) { return b->digest; }
size_t xr_blocks_length(const xr_blocks *b) { return b->length; }
size_t xr_blocks_n_languages(const xr_blocks *b) { return b->index.n; }
const char *xr_blocks_language(const xr_blocks *b, size_t lang) { return language(b, lang)->name; }
uint64_t xr_blocks_count(const xr_blocks *b, size_t lang) { return language(b, lang)->n_blocks; }
uint64_t xr_blocks_tokens(const xr_blocks *b, size_t lang) { return language(b, lang)->n_tokens; }

/* The last document that begins at or before a place of the stream. */
static size_t document_at(const xr_block_language *l, uint64_t at)
{
    size_t low = 0, high = (size_t)l->n_documents;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (l->document[middle].stream <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* A place in all stores, one after another, as one in its own; a document lies in one. */
static xr_block_origin in_store(const xr_blocks *b, uint64_t at)
{
    size_t s = 0;
    while (s + 1 < b->n_stores && at >= b->end[s])
        s++;
    return (xr_block_origin){ b->store[s], at - (s ? b->end[s - 1] : 0) };
}

/* Tokens [at, at + n) of a language's stream: parts of documents, and the separators between them. */
static xr_status read_stream(xr_blocks *b, const xr_block_language *l, uint64_t at, size_t n, int32_t *id)
{
    uint64_t separator = (uint64_t)xr_break_mode_separates(b->mode);
    for (size_t d = document_at(l, at); n > 0; d++) {
        uint64_t begin = l->document[d].stream, end = l->document[d + 1].stream - separator;
        size_t take = at < end ? (size_t)(end - at < n ? end - at : n) : 0;
        xr_block_origin from = in_store(b, l->document[d].store + (take ? at - begin : 0));
        if (take)
            XR_TRY(xr_store_read(from.store, from.token, take, id));
        at += take, id += take, n -= take;
        if (n && separator)
            *id++ = XR_ID_EOS, at++, n--;
    }
    return XR_OK;
}

long xr_blocks_read(xr_blocks *b, size_t lang, uint64_t k, int32_t *id)
{
    const xr_block_language *l = language(b, lang);
    XR_ASSERT(k < l->n_blocks, "block %llu of %llu", (unsigned long long)k, (unsigned long long)l->n_blocks);
    uint64_t begin = l->block[k] >> XR_BLOCK_LENGTH_BITS;
    size_t n = (size_t)(l->block[k] & ((1 << XR_BLOCK_LENGTH_BITS) - 1));
    id[0] = XR_ID_BOS;
    XR_TRY(read_stream(b, l, begin, n, id + 1));
    return (long)n + 1;
}

xr_block_origin xr_blocks_origin(const xr_blocks *b, size_t lang, uint64_t k)
{
    const xr_block_language *l = language(b, lang);
    uint64_t begin = l->block[k] >> XR_BLOCK_LENGTH_BITS;
    size_t d = document_at(l, begin);
    uint64_t end = l->document[d + 1].stream - (uint64_t)xr_break_mode_separates(b->mode);
    return in_store(b, l->document[d].store + (begin < end ? begin : end - 1) - l->document[d].stream);
}
