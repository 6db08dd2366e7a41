/* The plan of a prepare: the list of inputs, the recipe, and whether what lies in the output folder is of the same. */
#include <inttypes.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "data/language.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/manifest.h"
#include "util/stream.h"
#include "util/xxh.h"

enum { PLAN_VERSION = 1 };

static xr_status out_of_memory(void)
{
    return xr_fail(XR_ESYSTEM, "out of memory while the work was planned");
}

/* ---- inputs ---- */

static xr_status look(xr_prepare_input *in, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return xr_fail(XR_ENOINPUT, "%s: does not exist or cannot be reached: %s; name files of raw text", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return xr_fail(XR_ENOINPUT, "%s: is a directory; name the files in it, such as %s/*.gz", path, path);
    if (!S_ISREG(st.st_mode))
        return xr_fail(XR_ENOINPUT, "%s: is no plain file, and prepare reads its input twice (digest and text); store it in a file first", path);
    *in = (xr_prepare_input){ .path = path, .name = path, .bytes = (uint64_t)st.st_size, .device = st.st_dev, .inode = st.st_ino,
                              .mtime_ns = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec };
    return XR_OK;
}

static int by_file(const void *a, const void *b)
{
    const xr_prepare_input *x = *(xr_prepare_input *const *)a, *y = *(xr_prepare_input *const *)b;
    if (x->device != y->device)
        return x->device < y->device ? -1 : 1;
    if (x->inode != y->inode)
        return x->inode < y->inode ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* The same file under whatever name: the first stays. */
static xr_status drop_repeated(xr_prepare_plan *p)
{
    xr_prepare_input **order = xr_alloc(p->n_input, sizeof *order);
    if (!order)
        return xr_error_status();
    for (size_t i = 0; i < p->n_input; i++)
        order[i] = &p->input[i];
    qsort(order, p->n_input, sizeof *order, by_file);
    for (size_t i = 1; i < p->n_input; i++)
        if (order[i]->device == order[i - 1]->device && order[i]->inode == order[i - 1]->inode)
            order[i]->done = -1;
    xr_free(order);
    size_t n = 0;
    for (size_t i = 0; i < p->n_input; i++)
        if (p->input[i].done < 0)
            xr_warn("%s: comes twice among the inputs; used once", p->input[i].path);
        else
            p->input[n++] = p->input[i];
    p->n_input = n;
    return XR_OK;
}

/* Names in manifests: without the folders that all share, so that they do not depend on where the data lies. */
static void name_inputs(xr_prepare_plan *p)
{
    const char *first = p->input[0].path, *slash = strrchr(first, '/');
    size_t shared = slash ? (size_t)(slash - first) + 1 : 0;
    for (size_t i = 1; i < p->n_input; i++) {
        size_t n = 0;
        while (n < shared && p->input[i].path[n] == first[n])
            n++;
        while (n > 0 && first[n - 1] != '/')
            n--;
        shared = n;
    }
    for (size_t i = 0; i < p->n_input; i++)
        p->input[i].name = p->input[i].path + shared;
}

static xr_status list_inputs(xr_prepare_plan *p)
{
    const xr_prepare_job *job = p->job;
    if (job->n_input == 0)
        return xr_fail(XR_EUSAGE, "no input; name one or more files of raw text");
    p->input = xr_alloc(job->n_input, sizeof *p->input);
    if (!p->input)
        return xr_error_status();
    for (size_t i = 0; i < job->n_input; i++)
        XR_TRY(look(&p->input[p->n_input++], job->input[i]));
    XR_TRY(drop_repeated(p));
    name_inputs(p);
    return XR_OK;
}

/* ---- languages by file name ---- */

static xr_status add_mapping(xr_language_map *m, xr_stream *s, char *line)
{
    char *at = line + strspn(line, " \t"), *end = at + strcspn(at, " \t"), language[XR_LANGUAGE_MAX];
    char *word = end + strspn(end, " \t");
    size_t n = strcspn(word, " \t");
    if (!*at || *at == '#')
        return XR_OK;
    char after = word[n];
    word[n] = 0;
    if (n == 0 || (after && word[n + 1 + strspn(word + n + 1, " \t")]) || !xr_language_parse(word, language))
        return xr_fail(XR_EDATA, "%s:%zu: expected the name of a file or a pattern, white space, and a language such as de", xr_stream_path(s),
                       xr_stream_line_number(s));
    *end = 0;
    XR_TRY(xr_grow(&m->pattern, &m->cap_pattern, m->n + 1, sizeof *m->pattern));
    XR_TRY(xr_grow(&m->language, &m->cap_language, m->n + 1, sizeof *m->language));
    m->pattern[m->n] = xr_strdup(at);
    m->language[m->n] = xr_strdup(language);
    m->n++;
    return m->pattern[m->n - 1] && m->language[m->n - 1] ? XR_OK : xr_error_status();
}

static xr_status read_map(xr_language_map *m, const char *path)
{
    char *line;
    size_t len;
    int got = 0;
    XR_TRY(xr_xxh_file(path, m->digest));
    xr_stream *s = xr_stream_open(path);
    xr_status status = s ? XR_OK : xr_error_status();
    while (status == XR_OK && (got = xr_stream_line(s, &line, &len)) > 0)
        status = add_mapping(m, s, line);
    xr_stream_close(s);
    return status < 0 ? status : got;
}

/* ---- the recipe ---- */

xr_text_options xr_prepare_text_options(const xr_options *o)
{
    return (xr_text_options){
        .format = strcmp(o->text_format, "auto") == 0 ? NULL : o->text_format, .text_field = o->text_field,
        .min_language_score = o->min_language_score, .max_perplexity = o->max_perplexity, .buckets = o->buckets,
        .min_length = (size_t)o->min_length, .verify_digest = o->verify_digest, .replace_bad_utf8 = o->replace_bad_utf8,
        .skip_bad = strcmp(o->on_bad_record, "skip") == 0, .max_bad_fraction = o->max_bad_fraction, .allow_truncated = o->allow_truncated,
    };
}

/* All that decides the store's contents, besides tokenizer and inputs. */
static json_t *recipe(const xr_prepare_plan *p)
{
    const xr_options *o = p->job->o;
    char lang[XR_LANGUAGE_MAX];
    const char *given = o->lang && xr_language_parse(o->lang, lang) ? lang : NULL;
    return json_pack("{ss? ss? ss ss? sf sf ss? sI sb sb sb sb ss sf sI}", "lang", given, "lang_map", o->lang_map ? p->map.digest : NULL,
                     "text_format", o->text_format, "text_field", o->text_field, "min_language_score", o->min_language_score,
                     "max_perplexity", o->max_perplexity, "buckets", o->buckets, "min_length", (json_int_t)o->min_length, "dedup", o->dedup,
                     "verify_digest", o->verify_digest, "replace_bad_utf8", o->replace_bad_utf8, "allow_truncated", o->allow_truncated,
                     "on_bad_record", o->on_bad_record, "max_bad_fraction", o->max_bad_fraction, "deflate", (json_int_t)o->deflate);
}

/* Settings that only decide whether an input is refused: what went through stays as it is when they become more lenient. */
static const char *const lenient[] = { "allow_truncated", "on_bad_record", "max_bad_fraction" };

static xr_status digest_plan(xr_prepare_plan *p)
{
    json_t *strict = json_copy(json_object_get(p->json, "recipe"));
    for (size_t i = 0; i < sizeof lenient / sizeof *lenient; i++)
        json_object_del(strict, lenient[i]);
    json_t *j = json_pack("{so sO}", "recipe", strict, "tokenizer", json_object_get(p->json, "tokenizer"));
    xr_status status = j ? xr_json_digest(j, p->digest) : out_of_memory();
    json_decref(j);
    return status;
}

static xr_status describe(xr_prepare_plan *p)
{
    json_t *names = json_array();
    for (size_t i = 0; names && i < p->n_input; i++)
        json_array_append_new(names, json_string(p->input[i].name));
    if (json_array_size(names) != p->n_input) {
        json_decref(names);
        return xr_fail(XR_EDATA, "the name of an input is not UTF-8 text; rename the file");
    }
    p->json = json_pack("{ss si si s{ss si} so so}", "format", "xlmr-prepare", "format_version", PLAN_VERSION, "parts", p->n_parts, "tokenizer",
                        "sha256", xr_tokenizer_sha256(p->job->tokenizer), "vocab_size", xr_tokenizer_vocab_size(p->job->tokenizer), "recipe",
                        recipe(p), "inputs", names);
    return p->json ? digest_plan(p) : out_of_memory();
}

xr_status xr_prepare_plan_make(xr_prepare_plan *p, const xr_prepare_job *job)
{
    char lang[XR_LANGUAGE_MAX];
    p->job = job;
    p->dir = job->output_dir;
    p->part = job->n_parts ? job->part : 1;
    p->n_parts = job->n_parts ? job->n_parts : 1;
    p->text = xr_prepare_text_options(job->o);
    /* a record may name several languages and the first counts; here that would hide a slip */
    if (job->o->lang && (job->o->lang[strcspn(job->o->lang, ",; ")] || !xr_language_parse(job->o->lang, lang)))
        return xr_fail(XR_EUSAGE, "--lang %s: is no name of a language; expected one like de or zh-hant: letters, digits, - and _", job->o->lang);
    XR_TRY(list_inputs(p));
    if (job->o->lang_map)
        XR_TRY(read_map(&p->map, job->o->lang_map));
    p->part_dir = xr_asprintf("%s/part-%d-of-%d", p->dir, p->part, p->n_parts);
    return p->part_dir ? describe(p) : xr_error_status();
}

void xr_prepare_plan_free(xr_prepare_plan *p)
{
    for (size_t i = 0; i < p->map.n; i++) {
        xr_free(p->map.pattern[i]);
        xr_free(p->map.language[i]);
    }
    xr_free(p->map.pattern);
    xr_free(p->map.language);
    xr_free(p->input);
    xr_free(p->part_dir);
    json_decref(p->json);
}

int xr_prepare_is_mine(const xr_prepare_plan *p, size_t input)
{
    return input % (size_t)p->n_parts == (size_t)p->part - 1;
}

/* ---- comparing ---- */

static xr_status differs(const xr_prepare_plan *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static xr_status differs(const xr_prepare_plan *p, const char *format, ...)
{
    va_list args;
    char what[400];
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    /* of a run, that option takes away what was learned as well */
    return xr_fail(XR_ECANTCREAT, "%s: holds tokens made otherwise: %s; %schoose another --output-dir, or give --overwrite-output-dir to %s", p->dir, what,
                   p->job->o->verb == XR_V_PRETRAIN ? "give the run the text and options that it began with, " : "",
                   p->job->o->verb == XR_V_PRETRAIN ? "begin the run again" : "make them anew");
}

/* A value as a person would write it; two may be alive at once. */
static const char *shown(const json_t *value)
{
    static _Thread_local char text[2][100];
    static _Thread_local int turn;
    char *out = text[turn ^= 1], *dump = value && !json_is_null(value) ? xr_json_dump(value, 0) : NULL;
    snprintf(out, sizeof text[0], "%s", dump ? dump : "not set");
    xr_free(dump);
    return out;
}

static int only_milder(const char *key, const json_t *was, const json_t *now)
{
    if (strcmp(key, "max_bad_fraction") == 0)
        return json_number_value(was) <= json_number_value(now);
    return (strcmp(key, "allow_truncated") == 0 && json_is_false(was)) || (strcmp(key, "on_bad_record") == 0 && strcmp(json_string_value(now), "skip") == 0);
}

static xr_status compare_recipe(const xr_prepare_plan *p, const json_t *found)
{
    const char *key;
    json_t *mine;
    json_object_foreach(json_object_get(p->json, "recipe"), key, mine) {
        const json_t *other = json_object_get(json_object_get(found, "recipe"), key);
        double a = json_number_value(mine), b = json_number_value(other);
        int same = json_is_number(mine) && json_is_number(other) ? a <= b && a >= b : json_equal(mine, other);
        if (!same && !only_milder(key, other, mine))
            return differs(p, "%s was %s, now %s", key, shown(other), shown(mine));
    }
    return XR_OK;
}

static xr_status compare_inputs(const xr_prepare_plan *p, const json_t *found)
{
    const json_t *list = json_object_get(found, "inputs"), *one;
    size_t i;
    if (json_array_size(list) != p->n_input)
        return differs(p, "%zu inputs, now %zu", json_array_size(list), p->n_input);
    json_array_foreach(list, i, one) {
        const char *name = json_string_value(json_is_string(one) ? one : json_object_get(one, "name"));
        if (!name || strcmp(name, p->input[i].name) != 0)
            return differs(p, "input %zu was %s, now %s", i + 1, name ? name : "unknown", p->input[i].name);
        const json_t *bytes = json_object_get(one, "bytes");
        if (bytes && (uint64_t)json_integer_value(bytes) != p->input[i].bytes)
            return differs(p, "%s had %" PRIu64 " bytes, now %" PRIu64, name, (uint64_t)json_integer_value(bytes), p->input[i].bytes);
    }
    return XR_OK;
}

xr_status xr_prepare_plan_compare(const xr_prepare_plan *p, const json_t *found)
{
    const json_t *a = json_object_get(json_object_get(p->json, "tokenizer"), "sha256");
    const json_t *b = json_object_get(json_object_get(found, "tokenizer"), "sha256"), *parts = json_object_get(found, "parts");
    if (!json_equal(a, b))
        return differs(p, "by the tokenizer of sha256 %s, now %s", shown(b), shown(a));
    if (parts && json_integer_value(parts) != p->n_parts)
        return differs(p, "in %s part(s), now %d", shown(parts), p->n_parts);
    XR_TRY(compare_recipe(p, found));
    return compare_inputs(p, found);
}
