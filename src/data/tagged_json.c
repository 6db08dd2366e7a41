/* Tagged sentences as JSON lines: {"tokens": ["word", …], "tags": ["O", …]}. */
#include <stdio.h>
#include <string.h>

#include "data/tagged.h"
#include "util/alloc.h"
#include "util/json.h"

static const json_t *find_tags(const json_t *j, const char **key)
{
    static const char *const keys[] = { "tags", "ner_tags", "pos_tags", "labels" };
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        const json_t *tags = json_object_get(j, *key = keys[k]);
        if (tags && !json_is_null(tags))
            return tags;
    }
    return NULL;
}

/* A word and its tag: a name, or a number that --label-map may give one. */
static xr_status put(xr_tagged_reader *r, const json_t *word, const json_t *tag, const char *key, size_t line)
{
    char digits[32];
    if (!json_is_string(word))
        return xr_fail(XR_EDATA, "\"tokens\" holds something that is no string; expected [\"word\", …]; put it in quotes");
    if (tag && !json_is_string(tag) && !json_is_integer(tag))
        return xr_fail(XR_EDATA, "\"%s\" holds something that is no string; expected the names of tags, such as \"B-PER\"; put them in quotes", key);
    snprintf(digits, sizeof digits, "%lld", tag ? (long long)json_integer_value(tag) : 0);
    const char *name = json_is_string(tag) ? json_string_value(tag) : tag ? digits : NULL;
    XR_TRY(xr_tagged_put(r, json_string_value(word), json_string_length(word), name, name ? strlen(name) : 0, line));
    r->word[r->n - 1].number = json_is_integer(tag);
    return XR_OK;
}

static xr_status put_all(xr_tagged_reader *r, const json_t *j, size_t line)
{
    const char *key = NULL;
    const json_t *tokens = json_object_get(j, "tokens"), *tags = find_tags(j, &key);
    if (!json_is_array(tokens) || json_array_size(tokens) == 0)
        return xr_fail(XR_EDATA, "no list \"tokens\" with at least one word; expected {\"tokens\": [\"word\", …], \"tags\": [\"O\", …]}; "
                       "complete the line");
    if (tags && json_array_size(tags) != json_array_size(tokens))
        return xr_fail(XR_EDATA, "\"tokens\" has %zu words and \"%s\" %zu; expected a tag for each word; correct the line", json_array_size(tokens), key,
                       json_array_size(tags));
    for (size_t i = 0; i < json_array_size(tokens); i++)
        XR_TRY(put(r, json_array_get(tokens, i), tags ? json_array_get(tags, i) : NULL, key, line));
    return XR_OK;
}

xr_status xr_tagged_json(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    char *where = xr_asprintf("%s:%zu", xr_stream_path(r->stream), number);
    json_t *j = where ? xr_json_line(line, len, where) : NULL;
    xr_status status = j ? put_all(r, j, number) : xr_error_status();
    if (j && status < 0)
        status = xr_fail_context("%s", where);
    json_decref(j);
    xr_free(where);
    return status;
}
