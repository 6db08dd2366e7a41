/* Blocks from sentences. Memory: the index itself, one buffer of tokens, one of documents. */
#include "data/block_pack.h"

#include <stdlib.h>
#include <string.h>

#include "data/tokenizer.h"
#include "util/alloc.h"

enum { TOKENS = 1 << 18, DOCUMENTS = 1 << 12 };

/* ---- one language ---- */

int xr_break_mode_separates(xr_break_mode mode)
{
    return mode == XR_BREAK_COMPLETE || mode == XR_BREAK_NONE;
}

/* Ends the open block. As in fairseq, complete_doc drops those of one token. */
static xr_status close_block(xr_packer *p)
{
    xr_block_language *l = p->out;
    uint64_t begin = p->begin, size = p->size;
    p->begin += size;
    p->size = 0;
    if (size == 0 || (size == 1 && p->mode == XR_BREAK_COMPLETE_DOC))
        return XR_OK;
    if (p->begin >= XR_BLOCK_STREAM_MAX)
        return xr_fail(XR_EDATA, "language %s has more than 2^44 tokens; expected fewer in one run", l->name);
    XR_TRY(xr_grow(&l->block, &l->cap_blocks, l->n_blocks + 1, sizeof *l->block));
    l->block[l->n_blocks++] = begin << XR_BLOCK_LENGTH_BITS | size;
    return XR_OK;
}

/* Fixed cuts: tokens fill the open block and then the next. */
static xr_status pour(xr_packer *p, uint64_t size)
{
    while (size) {
        uint64_t room = p->budget - p->size, take = size < room ? size : room;
        p->size += take;
        size -= take;
        if (p->size == p->budget)
            XR_TRY(close_block(p));
    }
    return XR_OK;
}

/* A piece of at most a block's length stands in one block. */
static xr_status place(xr_packer *p, uint64_t size)
{
    if (p->size + size > p->budget || p->mode == XR_BREAK_EOS)
        XR_TRY(close_block(p));
    p->size += size;
    return XR_OK;
}

/* A sentence longer than a block becomes pieces of a block's length and a rest. */
static xr_status pack(xr_packer *p, uint64_t size)
{
    p->end += size;
    if (p->mode == XR_BREAK_NONE)
        return pour(p, size);
    for (; size > p->budget; size -= p->budget)
        XR_TRY(place(p, p->budget));
    return place(p, size);
}

xr_status xr_packer_sentence(xr_packer *p, uint64_t size)
{
    p->out->n_tokens += size;
    return pack(p, size);
}

static xr_status mark_document(xr_packer *p, uint64_t store_offset)
{
    xr_block_language *l = p->out;
    XR_TRY(xr_grow(&l->document, &l->cap_documents, l->n_documents + 1, sizeof *l->document));
    l->document[l->n_documents] = (xr_block_document){ p->end, store_offset };
    return XR_OK;
}

xr_status xr_packer_document(xr_packer *p, uint64_t store_offset)
{
    if (p->out->n_documents && xr_break_mode_separates(p->mode))
        XR_TRY(pack(p, 1));
    XR_TRY(mark_document(p, store_offset));
    p->out->n_documents++;
    return XR_OK;
}

xr_status xr_packer_end_document(xr_packer *p)
{
    return p->mode == XR_BREAK_COMPLETE_DOC ? close_block(p) : XR_OK;
}

/* The last mark stands where a document after the last would: behind a separator, if there are any. */
xr_status xr_packer_finish(xr_packer *p)
{
    XR_TRY(close_block(p));
    p->end += p->out->n_documents && xr_break_mode_separates(p->mode);
    return mark_document(p, 0);
}

/* ---- all languages ---- */

typedef struct builder {
    xr_packer *packer;          // [n languages]
    size_t *language;           // [languages of the store being read] -> packer
    int32_t *token;             // [TOKENS]
    uint64_t first, filled;     /* tokens [first, first + filled) of the store are in `token` */
    uint64_t offset[DOCUMENTS + 1];
    uint16_t lang[DOCUMENTS];
} builder;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const xr_block_language *)a)->name, ((const xr_block_language *)b)->name);
}

static xr_block_language *find(const xr_block_index *x, const char *name)
{
    for (size_t i = 0; i < x->n; i++)
        if (strcmp(x->language[i].name, name) == 0)
            return &x->language[i];
    return NULL;
}

/* The names of all stores, each once, sorted. */
static xr_status join_languages(xr_block_index *x, xr_store *const *store, size_t n_stores)
{
    size_t most = 0;
    for (size_t s = 0; s < n_stores; s++)
        most += xr_store_n_languages(store[s]);
    x->language = xr_alloc(most, sizeof *x->language);
    if (!x->language)
        return xr_error_status();
    for (size_t s = 0; s < n_stores; s++)
        for (size_t i = 0; i < xr_store_n_languages(store[s]); i++) {
            const char *name = xr_store_language(store[s], i);
            if (strlen(name) >= sizeof x->language->name)
                return xr_fail(XR_EDATA, "%s: the language name \"%s\" is longer than %zu bytes", xr_store_path(store[s]), name,
                               sizeof x->language->name - 1);
            if (!find(x, name))
                strcpy(x->language[x->n++].name, name);
        }
    qsort(x->language, x->n, sizeof *x->language, by_name);
    return XR_OK;
}

/* How many of `left` tokens from `at` on are in the buffer, which is filled when it holds none of them. */
static long available(builder *b, xr_store *store, uint64_t at, uint64_t left, uint64_t batch_end)
{
    if (at - b->first >= b->filled) {
        b->first = at;
        b->filled = batch_end - at < TOKENS ? batch_end - at : TOKENS;
        XR_TRY(xr_store_read(store, at, (size_t)b->filled, b->token));
    }
    uint64_t here = b->first + b->filled - at;
    return (long)(here < left ? here : left);
}

/* Sentences end with </s>; a document ends its last sentence in any case. */
static xr_status pack_document(builder *b, xr_packer *p, xr_store *store, uint64_t base, uint64_t at, uint64_t end, uint64_t batch_end)
{
    uint64_t sentence = 0;
    XR_TRY(xr_packer_document(p, base + at));
    while (at < end) {
        long n = available(b, store, at, end - at, batch_end);
        XR_TRY((xr_status)(n < 0 ? n : 0));
        const int32_t *token = b->token + (at - b->first);
        for (long i = 0; i < n; i++) {
            sentence++;
            if (token[i] == XR_ID_EOS) {
                XR_TRY(xr_packer_sentence(p, sentence));
                sentence = 0;
            }
        }
        at += (uint64_t)n;
    }
    if (sentence)
        XR_TRY(xr_packer_sentence(p, sentence));
    return xr_packer_end_document(p);
}

static xr_status pack_batch(builder *b, xr_store *store, uint64_t base, uint64_t first, size_t n)
{
    size_t n_languages = xr_store_n_languages(store);
    XR_TRY(xr_store_document_table(store, first, n, b->offset, b->lang));
    b->filled = 0;
    for (size_t d = 0; d < n; d++) {
        if (b->lang[d] >= n_languages || b->offset[d + 1] < b->offset[d])
            return xr_fail(XR_EDATA, "%s: document %llu has no place or language; prepare the data again", xr_store_path(store),
                           (unsigned long long)(first + d));
        if (b->offset[d + 1] > b->offset[d])
            XR_TRY(pack_document(b, &b->packer[b->language[b->lang[d]]], store, base, b->offset[d], b->offset[d + 1], b->offset[n]));
    }
    return XR_OK;
}

static xr_status pack_store(builder *b, const xr_block_index *x, xr_store *store, uint64_t base)
{
    size_t n = xr_store_n_languages(store);
    uint64_t documents = xr_store_documents(store);
    xr_free(b->language);
    b->language = xr_alloc(n, sizeof *b->language);
    if (!b->language)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        b->language[i] = (size_t)(find(x, xr_store_language(store, i)) - x->language);
    for (uint64_t first = 0; first < documents; first += DOCUMENTS)
        XR_TRY(pack_batch(b, store, base, first, documents - first < DOCUMENTS ? (size_t)(documents - first) : DOCUMENTS));
    return XR_OK;
}

static xr_status pack_all(builder *b, xr_block_index *x, xr_store *const *store, size_t n_stores, xr_break_mode mode, size_t length)
{
    uint64_t base = 0;
    XR_TRY(join_languages(x, store, n_stores));
    b->packer = xr_alloc(x->n, sizeof *b->packer);
    b->token = b->packer ? xr_alloc(TOKENS, sizeof *b->token) : NULL;
    if (!b->token)
        return xr_error_status();
    for (size_t i = 0; i < x->n; i++)
        b->packer[i] = (xr_packer){ .out = &x->language[i], .mode = mode, .budget = length - 1 };
    for (size_t s = 0; s < n_stores; base += xr_store_tokens(store[s++]))
        XR_TRY(pack_store(b, x, store[s], base));
    for (size_t i = 0; i < x->n; i++)
        XR_TRY(xr_packer_finish(&b->packer[i]));
    return XR_OK;
}

xr_status xr_block_index_build(xr_block_index *x, xr_store *const *store, size_t n_stores, xr_break_mode mode, size_t length)
{
    memset(x, 0, sizeof *x);
    builder *b = xr_alloc(1, sizeof *b);
    if (!b)
        return xr_error_status();
    xr_status status = pack_all(b, x, store, n_stores, mode, length);
    xr_free(b->packer);
    xr_free(b->language);
    xr_free(b->token);
    xr_free(b);
    if (status < 0)
        xr_block_index_free(x);
    return status;
}
