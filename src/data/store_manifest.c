/* The manifest of a token store: which shards, their sizes, digests and counts, and the sums. Its digest is over what decides the tokens and their
 * order, so a store made again elsewhere, from files of other names, has the same. */
#include <inttypes.h>
#include <string.h>

#include "data/store.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/xxh.h"

enum { FORMAT_VERSION = 1 };
#define MANIFEST_CAP ((size_t)1 << 30)

static const char *text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

static uint64_t count(const json_t *object, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(object, key));
    return n > 0 ? (uint64_t)n : 0;
}

static xr_status digest_text(const json_t *manifest, xr_str *b)
{
    const json_t *tokenizer = json_object_get(manifest, "tokenizer"), *shard;
    size_t i;
    XR_TRY(xr_str_printf(b, "xlmr-store %d\n%s %" PRIu64 "\n", FORMAT_VERSION, text(tokenizer, "sha256"), count(tokenizer, "vocab_size")));
    json_array_foreach(json_object_get(manifest, "shards"), i, shard)
        XR_TRY(xr_str_printf(b, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", text(shard, "xxh3_128"), count(shard, "bytes"),
                             count(shard, "documents"), count(shard, "tokens")));
    return XR_OK;
}

static xr_status digest_of(const json_t *manifest, char hex[33])
{
    xr_str b = { 0 };
    xr_xxh *h = NULL;
    if (digest_text(manifest, &b) == XR_OK && (h = xr_xxh_new())) {
        xr_xxh_update(h, b.s, b.len);
        xr_xxh_final(h, hex);
    }
    xr_str_free(&b);
    return h ? XR_OK : xr_error_status();
}

/* Sums of an edited manifest may wrap; its digest tells. */
static json_int_t plus(const json_t *a, const json_t *b)
{
    return (json_int_t)((uint64_t)json_integer_value(a) + (uint64_t)json_integer_value(b));
}

/* Adds the integers of `from` to those of `to`. */
static int add_counts(json_t *to, json_t *from)
{
    const char *key;
    json_t *n;
    json_object_foreach(from, key, n)
        if (json_is_integer(n) &&
            json_object_set_new(to, key, json_integer(plus(n, json_object_get(to, key)))) < 0)
            return -1;
    return 0;
}

static int add_languages(json_t *to, json_t *from)
{
    const char *name;
    json_t *counts;
    json_object_foreach(from, name, counts) {
        if (!json_object_get(to, name) && json_object_set_new(to, name, json_object()) < 0)
            return -1;
        if (add_counts(json_object_get(to, name), counts) < 0)
            return -1;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same members, sorted by name; `from` is given up. NULL when memory is out. */
static json_t *sorted(json_t *from)
{
    size_t n = json_object_size(from), i = 0;
    const char **names = xr_alloc(n, sizeof *names), *name;
    json_t *to = names ? json_object() : NULL, *value;
    if (to) {
        json_object_foreach(from, name, value)
            names[i++] = name;
        qsort(names, n, sizeof *names, by_name);
        for (i = 0; i < n; i++)
            json_object_set(to, names[i], json_object_get(from, names[i]));
        if (json_object_size(to) != n) {
            json_decref(to);
            to = NULL;
        }
    }
    xr_free(names);
    json_decref(from);
    return to;
}

/* {"en": {"documents": …}, …} over all shards, sorted by name. */
static json_t *sum_languages(const json_t *shards)
{
    json_t *all = json_object(), *shard;
    size_t i;
    int bad = !all;
    json_array_foreach(shards, i, shard)
        bad = bad || add_languages(all, json_object_get(shard, "languages")) < 0;
    if (!bad)
        return sorted(all);
    json_decref(all);
    return NULL;
}

static xr_status out_of_memory(void)
{
    return xr_fail(XR_ESYSTEM, "out of memory while a manifest was made");
}

static json_t *build(const char *sha, int vocab_size, json_t *shards, json_t *more)
{
    json_t *languages = sum_languages(shards), *total = json_object(), *one;
    const char *name;
    int bad = !languages || !total;
    json_object_foreach(languages, name, one)
        bad = bad || add_counts(total, one) < 0;
    json_t *m = bad ? NULL : json_pack("{ss si s{ss si}}", "format", "xlmr-store", "format_version", FORMAT_VERSION, "tokenizer", "sha256", sha,
                                       "vocab_size", vocab_size);
    if (m && (json_object_update(m, total) < 0 || json_object_set(m, "languages", languages) < 0 || (more && json_object_update(m, more) < 0) ||
              json_object_set(m, "shards", shards) < 0)) {
        json_decref(m);
        m = NULL;
    }
    json_decref(languages);
    json_decref(total);
    if (!m)
        out_of_memory();
    return m;
}

xr_status xr_store_write_manifest(const char *dir, const char *tokenizer_sha256, int vocab_size, json_t *shards, json_t *more)
{
    char hex[33];
    char *path = xr_path_join(dir, XR_STORE_MANIFEST);
    json_t *m = path ? build(tokenizer_sha256, vocab_size, shards, more) : NULL;
    xr_status status = m ? digest_of(m, hex) : xr_error_status();
    if (status == XR_OK && json_object_set_new(m, "digest", json_string(hex)) < 0)
        status = out_of_memory();
    if (status == XR_OK)
        status = xr_json_write(path, m, 1);
    json_decref(m);
    xr_free(path);
    return status;
}

/* ---- reading ---- */

static int plain_name(const char *s)
{
    return *s && *s != '.' && !strchr(s, '/');
}

static xr_status check_shards(const char *path, const json_t *shards)
{
    const json_t *shard;
    size_t i;
    if (!json_is_array(shards))
        return xr_fail(XR_EDATA, "%s: no list of shards; prepare the store again", path);
    json_array_foreach(shards, i, shard)
        if (!plain_name(text(shard, "file")) || strlen(text(shard, "xxh3_128")) != 32 || count(shard, "documents") == 0 ||
            count(shard, "tokens") < count(shard, "documents") || count(shard, "tokens") > (uint64_t)1 << 48)
            return xr_fail(XR_EDATA, "%s: shard %zu is not described as it must be; prepare the store again", path, i + 1);
    return XR_OK;
}

/* The sums that a reader relies on, and the digest. */
static xr_status check_sums(const char *path, const json_t *m)
{
    char hex[33];
    const json_t *shards = json_object_get(m, "shards"), *shard;
    json_t *languages = sum_languages(shards);
    uint64_t documents = 0, sentences = 0, tokens = 0;
    size_t i;
    if (!languages)
        return out_of_memory();
    json_array_foreach(shards, i, shard) {
        documents += count(shard, "documents");
        sentences += count(shard, "sentences");
        tokens += count(shard, "tokens");
    }
    int same = json_equal(languages, json_object_get(m, "languages"));
    json_decref(languages);
    XR_TRY(digest_of(m, hex));
    if (!same || documents != count(m, "documents") || sentences != count(m, "sentences") || tokens != count(m, "tokens") ||
        strcmp(hex, text(m, "digest")) != 0)
        return xr_fail(XR_EDATA, "%s: damaged or edited: digest %s and sums of the shards listed, %s written there; prepare the store again", path, hex,
                       text(m, "digest"));
    return XR_OK;
}

static xr_status check(const char *path, const json_t *m)
{
    uint64_t version = count(m, "format_version"), vocab = count(json_object_get(m, "tokenizer"), "vocab_size");
    if (strcmp(text(m, "format"), "xlmr-store") != 0)
        return xr_fail(XR_EDATA, "%s: not the manifest of a token store; xlmr prepare makes one", path);
    if (version != FORMAT_VERSION)
        return xr_fail(XR_EDATA, "%s: format version %" PRIu64 "; this program reads version %d: prepare the store again with it", path, version,
                       FORMAT_VERSION);
    if (vocab < 6 || vocab > INT32_MAX || strlen(text(json_object_get(m, "tokenizer"), "sha256")) != 64)
        return xr_fail(XR_EDATA, "%s: names no tokenizer; prepare the store again", path);
    XR_TRY(check_shards(path, json_object_get(m, "shards")));
    return check_sums(path, m);
}

json_t *xr_store_read_manifest(const char *dir)
{
    char *path = xr_path_join(dir, XR_STORE_MANIFEST);
    json_t *m = NULL;
    if (path && !xr_path_exists(path))
        xr_fail(XR_ENOINPUT, "%s: does not exist; %s is no token store, or one that xlmr prepare has not finished: run it again", path, dir);
    else if (path)
        m = xr_json_file(path, MANIFEST_CAP);
    if (m && check(path, m) < 0) {
        json_decref(m);
        m = NULL;
    }
    xr_free(path);
    return m;
}

xr_status xr_store_check_shard(const char *dir, const json_t *shard)
{
    char hex[33];
    char *path = xr_path_join(dir, text(shard, "file"));
    if (!path)
        return xr_error_status();
    xr_status status = xr_path_exists(path) ? xr_xxh_file(path, hex) :
                       xr_fail(XR_EDATA, "%s: missing, though the manifest lists it; put it back, or prepare the store again", path);
    if (status == XR_OK && strcmp(hex, text(shard, "xxh3_128")) != 0)
        status = xr_fail(XR_EDATA, "%s: digest mismatch: the contents are not those that were written; put a good copy there, or prepare it again", path);
    xr_free(path);
    return status;
}

xr_status xr_store_check_shards(const char *dir, const json_t *manifest)
{
    const json_t *shard;
    size_t i;
    json_array_foreach(json_object_get(manifest, "shards"), i, shard)
        XR_TRY(xr_store_check_shard(dir, shard));
    return XR_OK;
}
