/* JSON lines: one object a line.
 *
 * Keys by the conventions of columns.h, found in the first record (sentence1 and sentence2, premise and hypothesis,
 * text and text_pair, …; label or gold_label), or as given. Covers SNLI's, MultiNLI's, XNLI-1.0's, OCNLI's and
 * IndoNLI's own files. Texts are strings. A label is a string, a number, a boolean, a list of these (multi-label), or
 * null or absent for none. Blank lines are skipped. */
#include <string.h>
#include "data/columns.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/str.h"

typedef struct records {
    json_t *object;                                     /* of the last record; its strings are lent out */
    char *text, *text_pair, *label, *language;          /* keys; NULL = not read, or not met yet */
    int chosen;
    xr_str label_text;
} records;

static int detect(const char *path, const char *head, size_t n)
{
    size_t i = 0;
    while (i < n && (head[i] == ' ' || head[i] == '\t'))
        i++;
    if (i < n && head[i] == '{')
        return 100;
    return xr_source_named(path, ".jsonl") || xr_source_named(path, ".json") ? 20 : 0;
}

static xr_status open(xr_source_reader *r)
{
    r->state = xr_alloc(1, sizeof(records));
    return r->state ? XR_OK : xr_error_status();
}

/* Sets *key to a copy of the given name ("" = not read) or of `name`. */
static xr_status choose(char **key, const char *given, const char *name)
{
    const char *chosen = given ? given : name;
    if (!chosen || !*chosen)
        return XR_OK;
    *key = xr_strdup(chosen);
    return *key ? XR_OK : xr_error_status();
}

static xr_status fail_keys(const xr_source_reader *r, json_t *object)
{
    xr_str list = { 0 };
    const char *key;
    json_t *value;
    int n = 0;

    json_object_foreach(object, key, value)
        if (n++ < 20 && xr_str_printf(&list, "%s'%.40s'", n > 1 ? ", " : "", key) < 0)
            break;
    xr_status status =
        xr_fail(XR_EDATA,
                "%s:%zu: no known text key (sentence1 and sentence2, premise and hypothesis, text, sentence); "
                "the keys found are %s; %s",
                xr_stream_path(r->stream), xr_stream_line_number(r->stream), list.s ? list.s : "none", xr_columns_remedy(&r->columns));
    xr_str_free(&list);
    return status;
}

static const char *first_present(const json_t *object, const char *const *names)
{
    for (; *names; names++)
        if (json_object_get(object, *names))
            return *names;
    return NULL;
}

static xr_status choose_keys(const xr_source_reader *r, records *s)
{
    const xr_columns *c = &r->columns;
    const xr_text_names *t = xr_conventional_texts;

    if (!s->chosen) {
        while (t->text &&
               !(json_object_get(s->object, t->text) && (!t->text_pair || json_object_get(s->object, t->text_pair))))
            t++;
        if (!c->text && !t->text)
            return fail_keys(r, s->object);
        XR_TRY(choose(&s->text, c->text, t->text));
        XR_TRY(choose(&s->text_pair, c->text_pair, c->text ? NULL : t->text_pair));
        s->chosen = 1;
    }
    if (!s->label)
        XR_TRY(choose(&s->label, c->label, first_present(s->object, xr_conventional_labels)));
    if (!s->language)
        XR_TRY(choose(&s->language, c->language, first_present(s->object, xr_conventional_languages)));
    return XR_OK;
}

static const char *kind_of(const json_t *j)
{
    static const char *const names[] = { "an object", "a list", "a string", "a number",
                                         "a number",  "true",   "false",    "null" };
    return names[json_typeof(j)];
}

static xr_status read_text(const xr_source_reader *r, const json_t *object, const char *key, const char **out)
{
    const json_t *j = key ? json_object_get(object, key) : NULL;

    if (!key)
        return XR_OK;
    if (!j)
        return xr_fail(
            XR_EDATA,
            "%s:%zu: the key '%s' is missing; expected a string there as in the other records; complete the record or "
            "name another key",
            xr_stream_path(r->stream), xr_stream_line_number(r->stream), key);
    if (!json_is_string(j))
        return xr_fail(XR_EDATA,
                       "%s:%zu: the key '%s' holds %s; expected a string; correct the record or name another key",
                       xr_stream_path(r->stream), xr_stream_line_number(r->stream), key, kind_of(j));
    *out = json_string_value(j);
    return XR_OK;
}

/* Appends one label; booleans and numbers as JSON writes them. */
static xr_status put_label(const xr_source_reader *r, xr_str *b, const json_t *j, const char *key)
{
    if (json_is_string(j))
        return xr_str_puts(b, json_string_value(j));
    if (json_is_integer(j))
        return xr_str_printf(b, "%lld", (long long)json_integer_value(j));
    if (json_is_real(j))
        return xr_str_double(b, json_real_value(j));
    if (json_is_boolean(j))
        return xr_str_puts(b, json_is_true(j) ? "true" : "false");
    return xr_fail(
        XR_EDATA,
        "%s:%zu: the label '%s' holds %s; expected a string, a number or a list of these; correct the record or name "
        "another key",
        xr_stream_path(r->stream), xr_stream_line_number(r->stream), key, kind_of(j));
}

static xr_status read_label(const xr_source_reader *r, records *s, const char **out)
{
    const json_t *j = s->label ? json_object_get(s->object, s->label) : NULL, *item;
    size_t i;

    if (!j || json_is_null(j))
        return XR_OK;
    xr_str_clear(&s->label_text);
    if (json_is_array(j)) {
        json_array_foreach(j, i, item) {
            XR_TRY(put_label(r, &s->label_text, item, s->label));
            XR_TRY(xr_str_putc(&s->label_text, XR_LABEL_SEPARATOR));
        }
        if (!s->label_text.len)
            XR_TRY(xr_str_putc(&s->label_text, XR_LABEL_SEPARATOR));
    } else {
        XR_TRY(put_label(r, &s->label_text, j, s->label));
    }
    *out = s->label_text.s ? s->label_text.s : "";
    return XR_OK;
}

static xr_status parse(xr_source_reader *r, records *s, const char *line, size_t len)
{
    const char *path = xr_stream_path(r->stream);
    size_t number = xr_stream_line_number(r->stream);
    char *where = xr_asprintf("%s:%zu", path, number);

    json_decref(s->object);
    s->object = where ? xr_json_line(line, len, where) : NULL;
    xr_free(where);
    if (!s->object && xr_error_status() == XR_EDATA && !xr_stream_line_ended(r->stream)) {
        xr_error_clear();
        return xr_fail(XR_EDATA, "%s:%zu: truncated at end: the last line has no line end and is not whole JSON; "
                       "expected one object; fetch or write the file again", path, number);
    }
    if (!s->object)
        return xr_error_status();
    if (!json_is_object(s->object))
        return xr_fail(
            XR_EDATA,
            "%s:%zu: the line holds %s; expected one JSON object a line; convert a JSON list with: jq -c '.[]'", path,
            number, kind_of(s->object));
    return XR_OK;
}

static int next(xr_source_reader *r, xr_record *out)
{
    records *s = r->state;
    char *line;
    size_t len;
    int rc;

    do
        rc = xr_source_line(r, &line, &len);
    while (rc > 0 && strspn(line, " \t\r") == len);
    if (rc <= 0)
        return rc;
    XR_TRY(parse(r, s, line, len));
    XR_TRY(choose_keys(r, s));
    out->line = xr_stream_line_number(r->stream);
    XR_TRY(read_text(r, s->object, s->text, &out->text));
    XR_TRY(read_text(r, s->object, s->text_pair, &out->text_pair));
    XR_TRY(read_label(r, s, &out->label));
    if (s->language)        /* nobody named the key: what is no string says nothing */
        out->language = json_string_value(json_object_get(s->object, s->language));
    return 1;
}

static void close(xr_source_reader *r)
{
    records *s = r->state;
    if (!s)
        return;
    json_decref(s->object);
    xr_free(s->text);
    xr_free(s->text_pair);
    xr_free(s->label);
    xr_free(s->language);
    xr_str_free(&s->label_text);
    xr_free(s);
}

const xr_source xr_source_jsonl = { "jsonl", detect, open, next, close };
