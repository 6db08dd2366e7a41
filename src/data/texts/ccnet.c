/* cc_net's output: JSON lines with url, date_download, digest, length, nlines, source_domain, title, raw_content,
 * original_nlines, original_length, language, language_score, perplexity, bucket; files {lang}_{bucket}_{0000}.json.gz. Also as
 * dolma keeps it: the text in `text`, the rest under `metadata`. Text, language and the three filters are used. */
#include <string.h>
#include "data/text_json.h"

static int holds(const char *head, size_t n, const char *key)
{
    return memmem(head, n, key, strlen(key)) != NULL;
}

static int detect(const char *head, size_t n)
{
    if (!xr_text_json_looks(head, n))
        return 0;
    return holds(head, n, "\"raw_content\"") || (holds(head, n, "\"cc_segment\"") && holds(head, n, "\"line_ids\"")) ? 100 : 0;
}

static const json_t *field(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return value ? value : json_object_get(json_object_get(object, "metadata"), name);
}

/* Is one of the comma-separated names this one? */
static int in_list(const char *list, const char *name, size_t len)
{
    for (; *list; list += *list == ',') {
        size_t n = strcspn(list, ",");
        if (n == len && !memcmp(list, name, len))
            return 1;
        list += n;
    }
    return 0;
}

/* The bucket in a file's name, between two underscores or before an end that is none: en_head_0000.json.gz, cc_en_head-0091. */
static int bucket_of_name(const char *path, const char *list)
{
    const char *slash = strrchr(path, '/');
    for (const char *at = slash ? slash : path; (at = strchr(at, '_')) != NULL;) {
        size_t n = strspn(++at, "abcdefghijklmnopqrstuvwxyz");
        if (in_list(list, at, n))
            return 1;
    }
    return 0;
}

static int right_bucket(const xr_text_reader *r, const json_t *object)
{
    const char *bucket = json_string_value(field(object, "bucket"));
    if (!r->o->buckets || !*r->o->buckets)
        return 1;
    return bucket ? in_list(r->o->buckets, bucket, strlen(bucket)) : bucket_of_name(xr_stream_path(r->stream), r->o->buckets);
}

/* A document that does not say what a filter asks for does not pass it. */
static int passes(const xr_text_reader *r, const json_t *object)
{
    const json_t *score = field(object, "language_score"), *perplexity = field(object, "perplexity");
    double least = r->o->min_language_score, most = r->o->max_perplexity;
    return (least <= 0 || (json_is_number(score) && json_number_value(score) >= least)) &&
           (most <= 0 || (json_is_number(perplexity) && json_number_value(perplexity) <= most)) && right_bucket(r, object);
}

static int take(xr_text_reader *r, const json_t *object, const char **text, const char **language)
{
    static const char *const known[] = { "raw_content", "text", NULL };
    const char *given[] = { r->o->text_field, NULL };
    if (!r->o->text_field && !json_object_get(object, "raw_content") && !json_object_get(object, "text") && field(object, "line_ids"))
        return xr_fail(XR_EDATA, "%s:%zu: cc_net's minified form: line numbers of Common Crawl pages (line_ids) and no text; expected raw_content; "
                       "fetch the text with cc_net first (its `reproduce` configuration)", xr_stream_path(r->stream), r->line);
    XR_TRY(xr_text_json_text(r, object, r->o->text_field ? given : known, text));
    *language = json_string_value(field(object, "language"));
    if (passes(r, object))
        return 1;
    xr_text_note(r, XR_TEXT_FILTERED);
    return 0;
}

static int next(xr_text_reader *r, xr_paragraph *out)
{
    return xr_text_json_next(r, take, out);
}

const xr_text xr_text_ccnet = { "ccnet", detect, xr_text_json_open, next, xr_text_json_close };
