/* JSON lines as documents: one object a line, checked before and after parsing. */
#include "data/text_json.h"

#include <string.h>
#include "util/alloc.h"

static size_t skip_white(const char *s, size_t at, size_t n)
{
    while (at < n && (s[at] == ' ' || s[at] == '\t' || s[at] == '\r' || s[at] == '\n'))
        at++;
    return at;
}

int xr_text_json_looks(const char *head, size_t n)
{
    size_t i = skip_white(head, 0, n);
    if (i < n && head[i] == '[')        /* a list of objects, which is refused: as plain text it would be taken for text */
        i = skip_white(head, i + 1, n);
    return i < n && head[i] == '{';
}

xr_status xr_text_json_open(xr_text_reader *r)
{
    r->state = xr_alloc(1, sizeof(xr_text_json));
    return r->state ? XR_OK : xr_error_status();
}

void xr_text_json_close(xr_text_reader *r)
{
    xr_text_json *j = r->state;
    json_decref(j->object);
    xr_str_free(&j->fixed);
    xr_free(j);
}

static int too_long(xr_text_reader *r)
{
    const char *line;
    size_t len, first = r->line;
    int whole = 0, rc = 1;
    while (rc > 0 && !whole)
        rc = xr_text_line(r, XR_LINE_CAP, &line, &len, &whole);
    XR_TRY(rc);
    r->line = first;
    return xr_text_bad(r, XR_TEXT_TOO_LONG, "a record of more than 16 MiB; expected one JSON object a line");
}

static int not_json(xr_text_reader *r, const char *line, size_t len)
{
    if (xr_error_status() != XR_EDATA)
        return xr_error_status();
    if (r->no_lf && *line == '{') {
        xr_error_clear();
        return xr_text_bad(r, XR_TEXT_TRUNCATED, "the last record is cut off; get the shard again");
    }
    r->bad = memmem(line, len, "\\u0000", 6) ? XR_TEXT_NUL : XR_TEXT_BAD_JSON;
    return xr_error_status();
}

static int parse(xr_text_reader *r, xr_text_json *j, const char *line, size_t len)
{
    XR_TRY(xr_text_check(r, &j->fixed, &line, &len));
    char *where = xr_asprintf("%s:%zu", xr_stream_path(r->stream), r->line);
    if (!where)
        return xr_error_status();
    j->object = xr_json_line(line, len, where);
    xr_free(where);
    if (!j->object)
        return not_json(r, line, len);
    if (!json_is_object(j->object))
        return xr_text_bad(r, XR_TEXT_BAD_JSON, "the line holds no object; expected one JSON object a line; convert a list with: jq -c '.[]'");
    return 1;
}

/* The next record that can be used as JSON. */
static int read_object(xr_text_reader *r, xr_text_json *j)
{
    const char *line;
    size_t len;
    int whole, rc;
    json_decref(j->object);
    j->object = NULL;
    do
        rc = xr_text_line(r, XR_LINE_CAP, &line, &len, &whole);
    while (rc > 0 && whole && xr_text_is_blank(line, len));
    if (rc <= 0)
        return rc;
    r->counts.records++;
    return whole ? parse(r, j, line, len) : too_long(r);
}

int xr_text_json_text(xr_text_reader *r, const json_t *object, const char *const *names, const char **text)
{
    const json_t *value = NULL;
    const char *const *name = names;
    while (*name && !(value = json_object_get(object, *name)))
        name++;
    if (!value)
        return xr_text_bad(r, XR_TEXT_NO_TEXT_FIELD, "the record has no field '%s'%s; name the field of the text with --text-field", names[0],
                           names[1] ? " nor another that is known to hold text" : "");
    if (!json_is_string(value))
        return xr_text_bad(r, XR_TEXT_NO_TEXT_FIELD, "the field '%s' holds no string; name the field of the text with --text-field", *name);
    *text = json_string_value(value);
    return 1;
}

int xr_text_json_next(xr_text_reader *r, xr_text_json_take take, xr_paragraph *out)
{
    xr_text_json *j = r->state;
    const char *text, *language;
    int rc;
    while (!xr_text_body_next(&j->body, out)) {
        text = language = NULL;
        rc = read_object(r, j);
        if (rc <= 0 || (rc = take(r, j->object, &text, &language)) < 0)
            return rc;
        if (rc > 0 && xr_text_body_open(r, &j->body, text, strlen(text)))
            j->body.language = language;
    }
    return 1;
}
