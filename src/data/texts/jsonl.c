/* JSON lines of any make: the text in --text-field, or the first of raw_content, text, content; the language, when a record
 * says it, in `language` or `lang`. */
#include "data/text_json.h"

static int detect(const char *head, size_t n)
{
    return xr_text_json_looks(head, n) ? 50 : 0;
}

static int take(xr_text_reader *r, const json_t *object, const char **text, const char **language)
{
    static const char *const known[] = { "raw_content", "text", "content", NULL };
    const char *given[] = { r->o->text_field, NULL };
    *language = json_string_value(json_object_get(object, "language"));
    if (!*language)
        *language = json_string_value(json_object_get(object, "lang"));
    return xr_text_json_text(r, object, r->o->text_field ? given : known, text);
}

static int next(xr_text_reader *r, xr_paragraph *out)
{
    return xr_text_json_next(r, take, out);
}

const xr_text xr_text_jsonl = { "jsonl", detect, xr_text_json_open, next, xr_text_json_close };
