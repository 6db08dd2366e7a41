/* Reading a token store at random: decoded pages of shards in a bounded cache, a bounded number of shards open. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/store.h"
#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/h5.h"

enum {
    PAGE_TOKENS = 4096,         /* as the writer's chunks, so that a page is one of them */
    CACHE_PAGES = 16384,        /* 256 MiB, by default */
    OPEN_SHARDS = 64,           /* the same */
    TABLE_DOCUMENTS = 4096      /* of the document table, read at once */
};

typedef struct shard {
    const char *file;           /* of the manifest, as is `facts` */
    const json_t *facts;
    uint64_t first_document, n_document, first_token, n_token, first_page;
    xr_h5_in *h5;               /* NULL: not open */
    int tokens, offsets, lang;
    uint16_t *language;         /* index in the store of the file's own language i */
    size_t n_language;
    uint64_t used;              /* when last */
} shard;

/* A page in memory. Pages of all shards are numbered through; a shard's last one is short. */
typedef struct slot { uint64_t page; int32_t *id; int used; } slot;

struct xr_store {
    char *dir;
    json_t *manifest;
    int vocab_size;
    const char **language; size_t n_language;
    shard *shards; size_t n_shards;
    uint64_t n_document, n_token, n_page;
    uint64_t clock; size_t n_open, cap_open;
    int32_t *slot_of;           // [n_page] slot + 1, 0 = not in memory; pages nobody reads cost nothing
    slot slots[CACHE_PAGES]; size_t n_slots, cap_slots, hand;
};

static uint64_t count(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* ---- opening ---- */

static xr_status check_file(const xr_store *s, const shard *h)
{
    struct stat st;
    char *path = xr_path_join(s->dir, h->file);
    if (!path)
        return xr_error_status();
    uint64_t expected = count(h->facts, "bytes");
    xr_status status = XR_OK;
    if (stat(path, &st) < 0)
        status = xr_fail(XR_ENOINPUT, "%s: missing, though the manifest lists it (%s); put it back, or prepare the store again", path, strerror(errno));
    else if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != expected)
        status = xr_fail(XR_EDATA, "%s: %lld bytes, %" PRIu64 " in the manifest; put the right file there, or prepare the store again", path,
                         (long long)st.st_size, expected);
    xr_free(path);
    return status;
}

static xr_status list_shards(xr_store *s)
{
    const json_t *list = json_object_get(s->manifest, "shards"), *facts;
    size_t i;
    s->shards = xr_alloc(json_array_size(list), sizeof *s->shards);
    if (!s->shards)
        return xr_error_status();
    json_array_foreach(list, i, facts) {
        shard *h = &s->shards[s->n_shards++];
        *h = (shard){ .file = json_string_value(json_object_get(facts, "file")), .facts = facts, .n_document = count(facts, "documents"),
                      .n_token = count(facts, "tokens"), .first_document = s->n_document, .first_token = s->n_token, .first_page = s->n_page };
        s->n_document += h->n_document;
        s->n_token += h->n_token;
        s->n_page += (h->n_token + PAGE_TOKENS - 1) / PAGE_TOKENS;
        XR_TRY(check_file(s, h));
    }
    if (s->n_page && !(s->slot_of = xr_map_alloc((size_t)s->n_page * sizeof *s->slot_of, 0)))
        return xr_error_status();
    return XR_OK;
}

static xr_status list_languages(xr_store *s)
{
    json_t *object = json_object_get(s->manifest, "languages"), *counts;
    const char *name;
    if (json_object_size(object) > UINT16_MAX)
        return xr_fail(XR_EDATA, "%s: %zu languages; at most 65,535 are read", s->dir, json_object_size(object));
    s->language = xr_alloc(json_object_size(object), sizeof *s->language);
    if (!s->language)
        return xr_error_status();
    json_object_foreach(object, name, counts)
        s->language[s->n_language++] = name;
    for (size_t i = 1; i < s->n_language; i++)
        if (strcmp(s->language[i - 1], s->language[i]) >= 0)
            return xr_fail(XR_EDATA, "%s: the languages of the manifest are not sorted; prepare the store again", s->dir);
    return XR_OK;
}

static xr_status check_tokenizer(const xr_store *s, const char *expected)
{
    const char *sha = json_string_value(json_object_get(json_object_get(s->manifest, "tokenizer"), "sha256"));
    if (!expected || strcmp(sha, expected) == 0)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: made with the tokenizer of sha256 %s; that of the model has %s: prepare the text again with the model's tokenizer",
                   s->dir, sha, expected);
}

static xr_status open_store(xr_store *s, const char *dir, const char *tokenizer_sha256)
{
    s->cap_slots = CACHE_PAGES;
    s->cap_open = OPEN_SHARDS;
    s->dir = xr_strdup(dir);
    s->manifest = s->dir ? xr_store_read_manifest(dir) : NULL;
    if (!s->manifest)
        return xr_error_status();
    s->vocab_size = (int)count(json_object_get(s->manifest, "tokenizer"), "vocab_size");
    XR_TRY(check_tokenizer(s, tokenizer_sha256));
    XR_TRY(list_languages(s));
    return list_shards(s);
}

xr_store *xr_store_open(const char *dir, const char *tokenizer_sha256)
{
    xr_store *s = xr_alloc(1, sizeof *s);
    if (s && open_store(s, dir, tokenizer_sha256) < 0) {
        xr_store_close(s);
        s = NULL;
    }
    return s;
}

static void close_shard(xr_store *s, shard *h)
{
    if (!h->h5)
        return;
    xr_h5_close(h->h5);
    xr_free(h->language);
    h->h5 = NULL;
    h->language = NULL;
    s->n_open--;
}

void xr_store_close(xr_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_shards; i++)
        close_shard(s, &s->shards[i]);
    for (size_t i = 0; i < s->n_slots; i++)
        xr_free(s->slots[i].id);
    if (s->slot_of)
        xr_map_free(s->slot_of, (size_t)s->n_page * sizeof *s->slot_of);
    xr_free(s->shards);
    xr_free(s->language);
    json_decref(s->manifest);
    xr_free(s->dir);
    xr_free(s);
}

void xr_store_limits(xr_store *s, size_t cache_bytes, size_t open_shards)
{
    size_t pages = cache_bytes / (PAGE_TOKENS * sizeof(int32_t));
    XR_ASSERT(s->n_slots == 0 && s->n_open == 0, "limits of a store that was read");
    s->cap_slots = pages < 1 ? 1 : pages < CACHE_PAGES ? pages : CACHE_PAGES;
    s->cap_open = open_shards ? open_shards : 1;
}

int xr_store_is(const char *dir)
{
    char *path = xr_path_join(dir, XR_STORE_MANIFEST);
    int is = path && xr_path_exists(path);
    xr_free(path);
    return is;
}

const char *xr_store_digest(const xr_store *s) { return json_string_value(json_object_get(s->manifest, "digest")); }
const char *xr_store_tokenizer(const xr_store *s) { return json_string_value(json_object_get(json_object_get(s->manifest, "tokenizer"), "sha256")); }
const char *xr_store_path(const xr_store *s) { return s->dir; }
int xr_store_vocab_size(const xr_store *s) { return s->vocab_size; }
size_t xr_store_n_languages(const xr_store *s) { return s->n_language; }
const char *xr_store_language(const xr_store *s, size_t i) { return s->language[i]; }
uint64_t xr_store_documents(const xr_store *s) { return s->n_document; }
uint64_t xr_store_tokens(const xr_store *s) { return s->n_token; }
const json_t *xr_store_manifest(const xr_store *s) { return s->manifest; }

/* ---- shards ---- */

static xr_status bad_shard(const xr_store *s, const shard *h, const char *what)
{
    return xr_fail(XR_EDATA, "%s/%s: %s; the file is damaged or not the one of the manifest: prepare the store again", s->dir, h->file, what);
}

static int by_name(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

/* lang_names, "en,fr", as languages of the store. */
static xr_status map_languages(const xr_store *s, shard *h, char *names)
{
    size_t n = 1;
    for (const char *c = names; *c; c++)
        n += *c == ',';
    h->language = xr_alloc(n, sizeof *h->language);
    if (!h->language)
        return xr_error_status();
    h->n_language = 0;
    for (char *rest = names, *name; (name = strsep(&rest, ","));) {
        const char **at = bsearch(name, s->language, s->n_language, sizeof *s->language, by_name);
        if (!at)
            return bad_shard(s, h, "it names a language that the manifest does not have");
        h->language[h->n_language++] = (uint16_t)(at - s->language);
    }
    return XR_OK;
}

static xr_status find_datasets(const xr_store *s, shard *h)
{
    uint64_t tokens = 0, offsets = 0, lang = 0;
    size_t a = 0, b = 0, c = 0;
    char *names = xr_h5_text(h->h5, "/", "lang_names");
    xr_status status = names ? map_languages(s, h, names) : xr_error_status();
    xr_free(names);
    XR_TRY(status);
    h->tokens = xr_h5_find(h->h5, "tokens", XR_H5_U32, &tokens, &a);
    h->offsets = xr_h5_find(h->h5, "doc_offsets", XR_H5_U64, &offsets, &b);
    h->lang = xr_h5_find(h->h5, "lang", XR_H5_U16, &lang, &c);
    if (h->tokens < 0 || h->offsets < 0 || h->lang < 0)
        return xr_error_status();
    if (a != 1 || b != 1 || c != 1 || tokens != h->n_token || lang != h->n_document || offsets != h->n_document + 1)
        return bad_shard(s, h, "sizes other than in the manifest");
    return XR_OK;
}

static void close_oldest(xr_store *s)
{
    shard *oldest = NULL;
    for (size_t i = 0; i < s->n_shards; i++)
        if (s->shards[i].h5 && (!oldest || s->shards[i].used < oldest->used))
            oldest = &s->shards[i];
    close_shard(s, oldest);
}

static xr_status open_shard(xr_store *s, shard *h)
{
    h->used = ++s->clock;
    if (h->h5)
        return XR_OK;
    if (s->n_open == s->cap_open)
        close_oldest(s);
    char *path = xr_path_join(s->dir, h->file);
    h->h5 = path ? xr_h5_open(path) : NULL;
    xr_free(path);
    if (!h->h5)
        return xr_error_status();
    s->n_open++;
    if (find_datasets(s, h) == XR_OK)
        return XR_OK;
    close_shard(s, h);
    return xr_error_status();
}

/* ---- documents ---- */

static shard *shard_of_document(xr_store *s, uint64_t document)
{
    size_t low = 0, high = s->n_shards;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s->shards[mid].first_document <= document)
            low = mid;
        else
            high = mid;
    }
    return &s->shards[low];
}

/* Documents [at, at + n) of a shard; begin has n + 1 places. */
static xr_status read_documents(xr_store *s, shard *h, uint64_t at, size_t n, uint64_t *begin, uint16_t *language)
{
    XR_TRY(open_shard(s, h));
    XR_TRY(xr_h5_rows(h->h5, h->offsets, at, n + 1, begin));
    XR_TRY(xr_h5_rows(h->h5, h->lang, at, n, language));
    if ((at == 0 && begin[0] != 0) || (at + n == h->n_document && begin[n] != h->n_token))
        return bad_shard(s, h, "the documents do not cover the tokens");
    for (size_t i = 0; i < n; i++) {
        if (begin[i] >= begin[i + 1] || begin[i + 1] > h->n_token || language[i] >= h->n_language)
            return bad_shard(s, h, "a document without tokens or of no language");
        language[i] = h->language[language[i]];
    }
    for (size_t i = 0; i <= n; i++)
        begin[i] += h->first_token;
    return XR_OK;
}

xr_status xr_store_document_table(xr_store *s, uint64_t first, size_t n, uint64_t *offset, uint16_t *language)
{
    XR_ASSERT(first <= s->n_document && n <= s->n_document - first, "documents [%" PRIu64 ", + %zu) of %" PRIu64, first, n, s->n_document);
    for (size_t done = 0; done < n;) {
        shard *h = shard_of_document(s, first + done);
        uint64_t at = first + done - h->first_document, left = h->n_document - at;
        size_t take = n - done < left ? n - done : (size_t)left;
        if (take > TABLE_DOCUMENTS)
            take = TABLE_DOCUMENTS;
        XR_TRY(read_documents(s, h, at, take, offset + done, language + done));
        done += take;
    }
    return XR_OK;
}

/* ---- tokens ---- */

static shard *shard_of_token(xr_store *s, uint64_t token)
{
    size_t low = 0, high = s->n_shards;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s->shards[mid].first_token <= token)
            low = mid;
        else
            high = mid;
    }
    return &s->shards[low];
}

const char *xr_store_shard(xr_store *s, uint64_t token, uint64_t *at)
{
    const shard *h = shard_of_token(s, token);
    *at = token - h->first_token;
    return h->file;
}

/* A slot to fill: a new one, or that of a page not used for a while (the clock's second chance). */
static slot *free_slot(xr_store *s)
{
    if (s->n_slots < s->cap_slots) {
        slot *new = &s->slots[s->n_slots];
        new->id = xr_alloc(PAGE_TOKENS, sizeof *new->id);
        if (!new->id)
            return NULL;
        s->n_slots++;
        new->page = s->n_page;
        return new;
    }
    while (s->slots[s->hand].used) {
        s->slots[s->hand].used = 0;
        s->hand = (s->hand + 1) % s->cap_slots;
    }
    slot *old = &s->slots[s->hand];
    if (old->page < s->n_page)
        s->slot_of[old->page] = 0;
    old->page = s->n_page;      /* of none, should filling fail */
    s->hand = (s->hand + 1) % s->cap_slots;
    return old;
}

/* <s> and <pad> are in no store: a chunk of zeros, whose checksum is right, shows here. */
static xr_status check_ids(const xr_store *s, const shard *h, const int32_t *id, size_t n)
{
    uint32_t limit = (uint32_t)s->vocab_size - XR_ID_EOS;
    for (size_t i = 0; i < n; i++)
        if ((uint32_t)id[i] - XR_ID_EOS >= limit) {
            char what[96];
            snprintf(what, sizeof what, "a token has id %u, outside 2 to %d", (unsigned)id[i], s->vocab_size - 1);
            return bad_shard(s, h, what);
        }
    return XR_OK;
}

static const int32_t *load_page(xr_store *s, shard *h, uint64_t page)
{
    uint64_t first = page * PAGE_TOKENS, left = h->n_token - first;
    size_t n = left < PAGE_TOKENS ? (size_t)left : PAGE_TOKENS;
    if (open_shard(s, h) < 0)
        return NULL;
    slot *at = free_slot(s);
    if (!at || xr_h5_rows(h->h5, h->tokens, first, n, at->id) < 0 || check_ids(s, h, at->id, n) < 0)
        return NULL;
    at->page = h->first_page + page;
    at->used = 1;
    s->slot_of[at->page] = (int32_t)(at - s->slots) + 1;
    return at->id;
}

static const int32_t *find_page(xr_store *s, shard *h, uint64_t page)
{
    int32_t i = s->slot_of[h->first_page + page];
    if (i == 0)
        return load_page(s, h, page);
    s->slots[i - 1].used = 1;
    return s->slots[i - 1].id;
}

xr_status xr_store_read(xr_store *s, uint64_t begin, size_t n, int32_t *id)
{
    XR_ASSERT(begin <= s->n_token && n <= s->n_token - begin, "tokens [%" PRIu64 ", + %zu) of %" PRIu64, begin, n, s->n_token);
    while (n > 0) {
        shard *h = shard_of_token(s, begin);
        uint64_t at = begin - h->first_token, in_shard = h->n_token - at;
        size_t in_page = PAGE_TOKENS - (size_t)(at % PAGE_TOKENS), take = n < in_page ? n : in_page;
        if (take > in_shard)
            take = (size_t)in_shard;
        const int32_t *page = find_page(s, h, at / PAGE_TOKENS);
        if (!page)
            return xr_error_status();
        memcpy(id, page + at % PAGE_TOKENS, take * sizeof *id);
        id += take;
        begin += take;
        n -= take;
    }
    return XR_OK;
}
