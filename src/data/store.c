/* Writing a shard of a token store: tokens and document ends are gathered and appended in blocks. */
#include "data/store.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/h5.h"
#include "util/xxh.h"

enum {
    CHUNK_TOKENS = 4096,        /* as read at once; see store_read.c */
    CHUNK_DOCUMENTS = 4096,
    LANGUAGE_CAP = 1 << 16,     /* a language is 16 bits in the file */
    NONE = -1
};

typedef struct counts { uint64_t documents, sentences, tokens, bytes; } counts;

struct xr_store_writer {
    xr_h5_out *h5;
    char *path;
    int tokens, offsets, lang, deflate;         /* datasets, or NONE */
    uint32_t token[CHUNK_TOKENS]; size_t n_token;
    uint64_t end[CHUNK_DOCUMENTS];              /* of the documents gathered */
    uint16_t of[CHUNK_DOCUMENTS]; size_t n_document;
    counts all, open;                           /* open: the document being written */
    char **language; counts *of_language; size_t n_language, cap_language, cap_counts;
};

static xr_status create(xr_store_writer *w)
{
    w->tokens = w->offsets = w->lang = NONE;
    w->h5 = xr_h5_create(w->path);
    if (!w->h5)
        return xr_error_status();
    XR_TRY(xr_h5_attribute(w->h5, "/", "format", "xlmr-store"));
    return xr_h5_attribute(w->h5, "/", "format_version", "1");
}

xr_store_writer *xr_store_create(const char *path, int deflate)
{
    xr_store_writer *w = xr_alloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->path = xr_strdup(path);
    w->deflate = deflate;
    if (w->path && create(w) == XR_OK)
        return w;
    xr_store_abort(w);
    return NULL;
}

static void free_writer(xr_store_writer *w)
{
    for (size_t i = 0; i < w->n_language; i++)
        xr_free(w->language[i]);
    xr_free(w->language);
    xr_free(w->of_language);
    xr_free(w->path);
    xr_free(w);
}

void xr_store_abort(xr_store_writer *w)
{
    if (!w)
        return;
    xr_h5_abort(w->h5);
    free_writer(w);
}

uint64_t xr_store_written(const xr_store_writer *w)
{
    return w->all.tokens + w->open.tokens;
}

/* A dataset is made when its first chunk is full or the shard ends: one that fits into a chunk gets a chunk of its size, since a chunk takes all of
 * its room on disk, and small shards may be many. */
static xr_status make(xr_store_writer *w, int *dataset, const char *name, xr_h5_type type, size_t rows)
{
    xr_h5_layout layout = { rows ? rows : 1, w->deflate };
    if (*dataset == NONE)
        *dataset = xr_h5_dataset_as(w->h5, name, type, 0, layout);
    return *dataset < 0 ? xr_error_status() : XR_OK;
}

static xr_status flush_tokens(xr_store_writer *w)
{
    size_t n = w->n_token;
    XR_TRY(make(w, &w->tokens, "tokens", XR_H5_U32, n));
    w->n_token = 0;
    return xr_h5_append(w->h5, w->tokens, w->token, n);
}

static xr_status flush_documents(xr_store_writer *w)
{
    size_t n = w->n_document;
    uint64_t zero = 0;
    int first = w->offsets == NONE;
    XR_TRY(make(w, &w->offsets, "doc_offsets", XR_H5_U64, n + 1));
    XR_TRY(make(w, &w->lang, "lang", XR_H5_U16, n));
    w->n_document = 0;
    if (first)
        XR_TRY(xr_h5_append(w->h5, w->offsets, &zero, 1));
    XR_TRY(xr_h5_append(w->h5, w->offsets, w->end, n));
    return xr_h5_append(w->h5, w->lang, w->of, n);
}

static xr_status put(xr_store_writer *w, int32_t id)
{
    w->token[w->n_token++] = (uint32_t)id;
    return w->n_token == CHUNK_TOKENS ? flush_tokens(w) : XR_OK;
}

xr_status xr_store_sentence(xr_store_writer *w, const int32_t *id, size_t n)
{
    XR_ASSERT(n > 0, "an empty sentence");
    for (size_t i = 0; i < n; i++) {
        XR_ASSERT(id[i] > XR_ID_EOS, "id %d within a sentence", id[i]);
        XR_TRY(put(w, id[i]));
    }
    w->open.tokens += n + 1;
    w->open.sentences++;
    return put(w, XR_ID_EOS);
}

void xr_store_text(xr_store_writer *w, size_t bytes)
{
    w->open.bytes += bytes;
}

static int good_language(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    return n > 0 && n < 32 && name[n] == 0;
}

static xr_status add_language(xr_store_writer *w, const char *name)
{
    if (!good_language(name))
        return xr_fail(XR_EDATA, "%s: \"%s\" is no name of a language; expected letters, digits, - and _, at most 31", w->path, name);
    if (w->n_language == LANGUAGE_CAP)
        return xr_fail(XR_EDATA, "%s: more than %d languages", w->path, LANGUAGE_CAP);
    XR_TRY(xr_grow(&w->language, &w->cap_language, w->n_language + 1, sizeof *w->language));
    XR_TRY(xr_grow(&w->of_language, &w->cap_counts, w->n_language + 1, sizeof *w->of_language));
    w->language[w->n_language] = xr_strdup(name);
    if (!w->language[w->n_language])
        return xr_error_status();
    w->of_language[w->n_language++] = (counts){ 0 };
    return XR_OK;
}

/* Documents of one language mostly come in a row, and few languages in a file. */
static long find_language(xr_store_writer *w, const char *name)
{
    for (size_t i = w->n_language; i-- > 0;)
        if (strcmp(w->language[i], name) == 0)
            return (long)i;
    return add_language(w, name) < 0 ? xr_error_status() : (long)w->n_language - 1;
}

static void add(counts *to, const counts *from)
{
    to->documents += from->documents;
    to->sentences += from->sentences;
    to->tokens += from->tokens;
    to->bytes += from->bytes;
}

xr_status xr_store_end_document(xr_store_writer *w, const char *language)
{
    if (w->open.sentences == 0) {
        w->open = (counts){ 0 };
        return XR_OK;
    }
    long i = find_language(w, language);
    if (i < 0)
        return (xr_status)i;
    w->open.documents = 1;
    add(&w->all, &w->open);
    add(&w->of_language[i], &w->open);
    w->open = (counts){ 0 };
    w->end[w->n_document] = w->all.tokens;
    w->of[w->n_document++] = (uint16_t)i;
    return w->n_document == CHUNK_DOCUMENTS ? flush_documents(w) : XR_OK;
}

static xr_status finish(xr_store_writer *w)
{
    xr_str names = { 0 };
    xr_status status = flush_tokens(w);
    if (status == XR_OK)
        status = flush_documents(w);
    for (size_t i = 0; i < w->n_language && status == XR_OK; i++)
        status = xr_str_printf(&names, "%s%s", i ? "," : "", w->language[i]);
    if (status == XR_OK)
        status = xr_h5_attribute(w->h5, "/", "lang_names", names.s ? names.s : "");
    xr_str_free(&names);
    if (status < 0)
        return status;
    xr_h5_out *h5 = w->h5;
    w->h5 = NULL;
    return xr_h5_commit(h5);
}

static json_t *count_object(const counts *c)
{
    return json_pack("{sI sI sI sI}", "documents", (json_int_t)c->documents, "sentences", (json_int_t)c->sentences, "tokens", (json_int_t)c->tokens,
                     "text_bytes", (json_int_t)c->bytes);
}

static xr_status describe(const xr_store_writer *w, json_t **facts)
{
    struct stat st;
    char hex[33];
    const char *slash = strrchr(w->path, '/');
    XR_TRY(xr_xxh_file(w->path, hex));
    if (stat(w->path, &st) < 0)
        return xr_fail(XR_EIO, "%s: vanished after it was written: %s", w->path, strerror(errno));
    json_t *languages = json_object();
    for (size_t i = 0; i < w->n_language; i++)
        if (json_object_set_new(languages, w->language[i], count_object(&w->of_language[i])) < 0)
            break;
    *facts = json_pack("{ss sI ss sI sI sI sI so*}", "file", slash ? slash + 1 : w->path, "bytes", (json_int_t)st.st_size, "xxh3_128", hex,
                       "documents", (json_int_t)w->all.documents, "sentences", (json_int_t)w->all.sentences,
                       "tokens", (json_int_t)w->all.tokens, "text_bytes", (json_int_t)w->all.bytes, "languages", languages);
    if (*facts && json_object_size(languages) == w->n_language)
        return XR_OK;
    json_decref(*facts);
    *facts = NULL;
    return xr_fail(XR_ESYSTEM, "%s: out of memory while it was described", w->path);
}

xr_status xr_store_commit(xr_store_writer *w, json_t **facts)
{
    XR_ASSERT(w->open.sentences == 0, "a document is still open");
    xr_status status = finish(w);
    if (status == XR_OK && facts)
        status = describe(w, facts);
    xr_store_abort(w);
    return status;
}
