/* One input of prepare: text in, store shards and a record out. Nothing here knows of other inputs. */
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>

#include "data/dedup.h"
#include "data/language.h"
#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/xxh.h"

enum { TICK_BYTES = 1 << 18 };                  /* of text between two ticks */
#define SHARD_TOKENS ((uint64_t)1 << 28)        /* 1 GiB */

static uint64_t shard_tokens;

void xr_prepare_shard_tokens(uint64_t tokens)
{
    shard_tokens = tokens;
}

typedef struct work {
    const xr_prepare_plan *p;
    const xr_prepare_input *in;
    size_t number;              /* of the input */
    const xr_prepare_tick *tick;
    char digest[33];
    xr_text_reader reader;
    xr_store_writer *writer;    /* NULL between two shards */
    json_t *shards;             /* entries for the manifest */
    xr_dedup seen;
    xr_tokens tokens;
    int32_t *id; size_t cap_id;
    char language[XR_LANGUAGE_MAX];             /* of the document */
    char fallback[XR_LANGUAGE_MAX];             /* of documents that do not say */
    uint64_t duplicate, empty, no_language;
    uint64_t text_bytes, documents, sent_tokens;        /* since the last tick */
    uint64_t offset;            /* bytes of the input reported so far */
} work;

/* ---- language ---- */

/* By --lang-map: patterns with a slash are for the path, others for the name of the file. */
static const char *mapped(const xr_language_map *m, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < m->n; i++)
        if (fnmatch(m->pattern[i], strchr(m->pattern[i], '/') ? path : name, 0) == 0)
            return m->language[i];
    return NULL;
}

static void choose_fallback(work *w)
{
    const char *by_map = mapped(&w->p->map, w->in->path);
    if (by_map)
        snprintf(w->fallback, sizeof w->fallback, "%s", by_map);
    else
        (void)xr_language_of_file(w->in->path, w->fallback);
}

/* --lang, else the record's own, else --lang-map, else the name of the file. */
static void choose_language(work *w, const char *own)
{
    const char *given = w->p->job->o->lang;
    if (given && xr_language_parse(given, w->language))
        return;
    if (own && xr_language_parse(own, w->language))
        return;
    snprintf(w->language, sizeof w->language, "%s", w->fallback[0] ? w->fallback : XR_LANGUAGE_UNKNOWN);
    w->no_language += !w->fallback[0];
}

/* ---- shards ---- */

static char *shard_path(const work *w)
{
    size_t n = json_array_size(w->shards);
    return n ? xr_asprintf("%s/shard-%05zu_%zu.h5", w->p->dir, w->number, n) : xr_asprintf("%s/shard-%05zu.h5", w->p->dir, w->number);
}

static xr_status begin_shard(work *w)
{
    char *path = shard_path(w);
    w->writer = path ? xr_store_create(path, (int)w->p->job->o->deflate) : NULL;
    xr_free(path);
    return w->writer ? XR_OK : xr_error_status();
}

static xr_status end_shard(work *w)
{
    json_t *facts = NULL;
    xr_store_writer *writer = w->writer;
    w->writer = NULL;
    if (!writer)
        return XR_OK;
    XR_TRY(xr_store_commit(writer, &facts));
    return json_array_append_new(w->shards, facts) < 0 ? xr_fail(XR_ESYSTEM, "%s: out of memory for its record", w->in->path) : XR_OK;
}

static xr_status end_document(work *w)
{
    if (!w->writer)
        return XR_OK;
    XR_TRY(xr_store_end_document(w->writer, w->language));
    w->documents++;
    return xr_store_written(w->writer) >= (shard_tokens ? shard_tokens : SHARD_TOKENS) ? end_shard(w) : XR_OK;
}

/* ---- text ---- */

static xr_status add_sentence(work *w, size_t len)
{
    size_t n = w->tokens.n;
    XR_TRY(xr_grow(&w->id, &w->cap_id, n, sizeof *w->id));
    for (size_t i = 0; i < n; i++)
        w->id[i] = w->tokens.v[i].id;
    if (!w->writer)
        XR_TRY(begin_shard(w));
    xr_store_text(w->writer, len);
    w->sent_tokens += n + 1;
    return xr_store_sentence(w->writer, w->id, n);
}

static xr_status add_paragraph(work *w, const xr_paragraph *p)
{
    if (p->begins_document) {
        XR_TRY(end_document(w));
        choose_language(w, p->language);
    }
    int seen = w->p->job->o->dedup ? xr_dedup_seen(&w->seen, p->text, p->len) : 0;
    w->text_bytes += p->len;
    w->duplicate += seen > 0;
    if (seen)
        return seen < 0 ? seen : XR_OK;
    w->tokens.n = 0;
    if (xr_tokenizer_encode(w->p->job->tokenizer, p->text, p->len, 0, &w->tokens) < 0)
        return xr_fail_context("%s:%zu", w->in->path, p->line);
    w->empty += w->tokens.n == 0;
    return w->tokens.n ? add_sentence(w, p->len) : XR_OK;
}

static xr_status tick(work *w, uint64_t offset)
{
    int stop = w->tick->tick(w->tick->context, offset - w->offset, w->text_bytes, w->documents, w->sent_tokens);
    w->offset = offset;
    w->text_bytes = w->documents = w->sent_tokens = 0;
    return stop ? xr_fail(XR_ETEMPFAIL, "stopped by a signal; the same command goes on with the inputs that are not done") : XR_OK;
}

static xr_status add_text(work *w)
{
    xr_paragraph paragraph;
    int got;
    while ((got = xr_text_next(&w->reader, &paragraph)) > 0) {
        XR_TRY(add_paragraph(w, &paragraph));
        if (w->text_bytes >= TICK_BYTES)
            XR_TRY(tick(w, xr_stream_offset(w->reader.stream)));
    }
    XR_TRY(got);
    XR_TRY(end_document(w));
    return end_shard(w);
}

/* ---- the record ---- */

/* Reasons that occurred; `noted`: those of records that were used. */
static json_t *reasons(const work *w, int noted)
{
    json_t *object = json_object();
    for (int r = 1; object && r < XR_TEXT_N_REASONS; r++) {
        uint64_t n = w->reader.counts.reason[r];
        n += r == XR_TEXT_DUPLICATE ? w->duplicate : r == XR_TEXT_EMPTY ? w->empty : r == XR_TEXT_NO_LANGUAGE ? w->no_language : 0;
        int used = r == XR_TEXT_NO_LANGUAGE || r == XR_TEXT_LF_HEADERS || r == XR_TEXT_REPLACED;
        if (n > 0 && used == noted)
            json_object_set_new(object, xr_text_reason_name((xr_text_reason)r), json_integer((json_int_t)n));
    }
    return object;
}

static json_t *record(const work *w)
{
    const xr_prepare_input *in = w->in;
    return json_pack("{ss ss sI sI ss ss sI sI so so sO}", "plan", w->p->digest, "name", in->name, "bytes", (json_int_t)in->bytes,
                     "mtime_ns", (json_int_t)in->mtime_ns, "xxh3_128", w->digest, "format", w->reader.format->name,
                     "members", (json_int_t)xr_stream_member(w->reader.stream), "records", (json_int_t)w->reader.counts.records,
                     "skipped", reasons(w, 0), "noted", reasons(w, 1), "shards", w->shards);
}

char *xr_prepare_record_path(const xr_prepare_plan *p, size_t input)
{
    return xr_asprintf("%s/%05zu.json", p->part_dir, input);
}

static xr_status write_record(const work *w)
{
    char *path = xr_prepare_record_path(w->p, w->number);
    json_t *j = record(w);
    xr_status status = !path ? xr_error_status() : j ? xr_json_write(path, j, 1) : xr_fail(XR_ESYSTEM, "%s: out of memory for its record", w->in->path);
    json_decref(j);
    xr_free(path);
    return status;
}

static xr_status check_unchanged(const xr_prepare_input *in)
{
    struct stat st;
    if (stat(in->path, &st) < 0)
        return xr_fail(XR_EIO, "%s: cannot be reached any more: %s", in->path, strerror(errno));
    if ((uint64_t)st.st_size == in->bytes && st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == in->mtime_ns)
        return XR_OK;
    return xr_fail(XR_EIO, "%s: changed while it was read; start again when it is complete", in->path);
}

static xr_status do_input(work *w)
{
    w->shards = json_array();
    if (!w->shards)
        return xr_fail(XR_ESYSTEM, "%s: out of memory for its record", w->in->path);
    choose_fallback(w);
    XR_TRY(xr_xxh_file(w->in->path, w->digest));
    XR_TRY(xr_text_open(&w->reader, w->in->path, &w->p->text));
    XR_TRY(add_text(w));
    XR_TRY(check_unchanged(w->in));
    XR_TRY(write_record(w));
    return tick(w, w->in->bytes);
}

/* Shards of an input that failed belong to nothing. */
static void remove_shards(const work *w)
{
    const json_t *facts;
    size_t i;
    json_array_foreach(w->shards, i, facts) {
        char *path = xr_path_join(w->p->dir, json_string_value(json_object_get(facts, "file")));
        if (path)
            (void)remove(path);
        xr_free(path);
    }
}

xr_status xr_prepare_one(const xr_prepare_plan *p, size_t input, const xr_prepare_tick *t)
{
    work w = { .p = p, .in = &p->input[input], .number = input, .tick = t };
    xr_status status = do_input(&w);
    xr_store_abort(w.writer);
    if (status < 0)
        remove_shards(&w);
    xr_text_close(&w.reader);
    json_decref(w.shards);
    xr_dedup_free(&w.seen);
    xr_tokens_free(&w.tokens);
    xr_free(w.id);
    return status;
}

/* ---- records of an earlier run ---- */

/* Of that size; one that cannot be looked at is an error, which stays pending: it is not gone. */
static int shard_is_there(const char *dir, const json_t *facts)
{
    struct stat st;
    const char *file = json_string_value(json_object_get(facts, "file"));
    char *path = file ? xr_path_join(dir, file) : NULL;
    int good = path && xr_path_look(path, &st) > 0 && st.st_size == json_integer_value(json_object_get(facts, "bytes"));
    xr_free(path);
    return good;
}

static int shards_are_there(const xr_prepare_plan *p, const json_t *r)
{
    const json_t *facts;
    size_t i;
    json_array_foreach(json_object_get(r, "shards"), i, facts)
        if (!shard_is_there(p->dir, facts))
            return 0;
    return 1;
}

/* A folder that was emptied for this plan can, on a disk that lost power, hold records of another again. */
static int same_plan(const xr_prepare_plan *p, const json_t *r)
{
    const char *was = json_string_value(json_object_get(r, "plan"));
    return was && strcmp(was, p->digest) == 0;
}

/* By size and time; where the time is another, by what is in it. */
static int same_input(const xr_prepare_input *in, const json_t *r)
{
    char digest[33];
    if ((uint64_t)json_integer_value(json_object_get(r, "bytes")) != in->bytes)
        return 0;
    if (json_integer_value(json_object_get(r, "mtime_ns")) == in->mtime_ns)
        return 1;
    const char *was = json_string_value(json_object_get(r, "xxh3_128"));
    return xr_xxh_file(in->path, digest) == XR_OK && was && strcmp(digest, was) == 0;
}

json_t *xr_prepare_record_find(const xr_prepare_plan *p, size_t input)
{
    char *path = xr_prepare_record_path(p, input);
    json_t *r = path && xr_path_exists(path) ? xr_json_file(path, (size_t)1 << 26) : NULL;
    xr_free(path);
    int mine = r && same_plan(p, r), same = mine && same_input(&p->input[input], r), whole = same && shards_are_there(p, r);
    if (mine && !same && xr_error_status() == XR_OK)
        xr_warn("%s: changed since it was prepared; it is done again", p->input[input].path);
    /* A record that says nothing good is made again; what did not let it be read would not let it be written either. */
    if (xr_error_status() == XR_EDATA)
        xr_error_clear();
    if (whole && xr_error_status() == XR_OK)
        return r;
    json_decref(r);
    return NULL;
}
