/* Options from YAML, and back to YAML and JSON. The only file that knows libyaml.
 *
 * A config is one flat mapping from keys to scalars or lists of scalars. What YAML has beyond that (anchors, tags, several documents,
 * nesting) is refused with its place: it would be read by nobody. The text is bounded by the caller, the depth here. */
#include <string.h>
#include <yaml.h>
#include "train/options_set.h"
#include "util/alloc.h"

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;         /* of the last next(); owned */
    int has_event;
    const char *text, *path;
    size_t len;
    xr_options *o;
    size_t *seen;               // [rows] line on which a row's key stood, 0 = not yet
} reader;

static size_t line_of(const reader *y)
{
    return y->event.start_mark.line + 1;
}

static int has_bom(const reader *y)
{
    return y->len >= 3 && memcmp(y->text, "\xef\xbb\xbf", 3) == 0;
}

/* libyaml counts characters; people and editors seek bytes. */
static size_t byte_of(const reader *y, size_t chars)
{
    size_t i = has_bom(y) ? 3 : 0;
    for (; i < y->len && chars; chars--)
        do
            i++;
        while (i < y->len && ((unsigned char)y->text[i] & 0xc0) == 0x80);
    return i;
}

static size_t line_of_byte(const reader *y, size_t byte)
{
    size_t line = 1;
    for (size_t i = 0; i < byte && i < y->len; i++)
        line += y->text[i] == '\n';
    return line;
}

static xr_status syntax_error(const reader *y)
{
    const yaml_parser_t *p = &y->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return xr_fail(XR_ESYSTEM, "%s: out of memory while reading YAML", y->path);
    if (p->error == YAML_READER_ERROR)
        return xr_fail(XR_ECONFIG, "%s:%zu: byte %zu: not text YAML can hold (%s); expected UTF-8", y->path,
                       line_of_byte(y, p->problem_offset), p->problem_offset, p->problem);
    size_t byte = byte_of(y, p->problem_mark.index), line = p->problem_mark.line + 1;
    size_t column = p->problem_mark.column + 1;
    if (byte < y->len && y->text[byte] == '\t')
        return xr_fail(XR_ECONFIG, "%s:%zu:%zu: byte %zu: a tab; YAML is indented with spaces, use those", y->path, line, column, byte);
    return xr_fail(XR_ECONFIG, "%s:%zu:%zu: byte %zu: not valid YAML: %s%s%s; expected lines of \"key: value\"", y->path, line, column, byte,
                   p->problem, p->context ? " " : "", p->context ? p->context : "");
}

static xr_status next(reader *y)
{
    if (y->has_event)
        yaml_event_delete(&y->event);
    y->has_event = yaml_parser_parse(&y->parser, &y->event);
    return y->has_event ? XR_OK : syntax_error(y);
}

static xr_status unsupported(const reader *y, const char *what, const char *instead)
{
    return xr_fail(XR_ECONFIG, "%s:%zu: %s: not supported in a config; %s", y->path, line_of(y), what, instead);
}

/* Anchors, aliases and tags, wherever they stand. */
static xr_status plain_event(const reader *y)
{
    const yaml_event_t *e = &y->event;
    const void *anchor = NULL, *tag = NULL;
    if (e->type == YAML_ALIAS_EVENT)
        return unsupported(y, "an alias (*name)", "write the value out");
    if (e->type == YAML_SCALAR_EVENT)
        anchor = e->data.scalar.anchor, tag = e->data.scalar.tag;
    else if (e->type == YAML_SEQUENCE_START_EVENT)
        anchor = e->data.sequence_start.anchor, tag = e->data.sequence_start.tag;
    else if (e->type == YAML_MAPPING_START_EVENT)
        anchor = e->data.mapping_start.anchor, tag = e->data.mapping_start.tag;
    if (anchor)
        return unsupported(y, "an anchor (&name)", "write the value where it is used");
    return tag ? unsupported(y, "a tag (!name)", "the option itself decides the type; leave the tag out") : XR_OK;
}

static const char *scalar(const reader *y)
{
    return (const char *)y->event.data.scalar.value;
}

static xr_status set_scalar(reader *y, const xr_option *r, int in_list)
{
    const char *s = scalar(y);
    int plain = y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (strlen(s) != y->event.data.scalar.length)
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: a zero byte in the value; expected text", y->path, line_of(y), r->key);
    if (plain && !*s)
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: no value; give one, or null for the default", y->path, line_of(y), r->key);
    if (plain && (strcmp(s, "null") == 0 || strcmp(s, "~") == 0))
        return in_list ? xr_fail(XR_ECONFIG, "%s:%zu: %s: null in a list; expected a file name", y->path, line_of(y), r->key) : XR_OK;
    return xr_option_set(y->o, r, s, (xr_origin){ XR_FROM_CONFIG, y->path, line_of(y) });
}

static xr_status set_list(reader *y, const xr_option *r)
{
    if (r->type != XR_OPT_STRS)
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: a list; expected one value", y->path, line_of(y), r->key);
    for (;;) {
        XR_TRY(next(y));
        XR_TRY(plain_event(y));
        if (y->event.type == YAML_SEQUENCE_END_EVENT)
            return XR_OK;
        if (y->event.type != YAML_SCALAR_EVENT)
            return xr_fail(XR_ECONFIG, "%s:%zu: %s: a list or mapping inside a list; expected file names", y->path, line_of(y), r->key);
        XR_TRY(set_scalar(y, r, 1));
    }
}

/* The row of the key in y->event; refuses a second one. */
static xr_status find_key(reader *y, const xr_option **row)
{
    size_t n;
    const xr_option *table = xr_option_table(&n), *r;
    const char *key;
    if (y->event.type != YAML_SCALAR_EVENT)
        return xr_fail(XR_ECONFIG, "%s:%zu: a list or mapping as a key; expected the name of an option", y->path, line_of(y));
    key = scalar(y);
    r = xr_option_find(y->o->verb, key);
    if (!r)
        return xr_option_unknown(y->o, key, (xr_origin){ XR_FROM_CONFIG, y->path, line_of(y) });
    if (r->flags & XR_ONCE)
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: only a flag; leave it out of the file", y->path, line_of(y), key);
    if (y->seen[r - table])
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: stands twice, first on line %zu; expected once, remove one", y->path, line_of(y), key,
                       y->seen[r - table]);
    y->seen[r - table] = line_of(y);
    *row = r;
    return XR_OK;
}

static xr_status read_mapping(reader *y)
{
    for (;;) {
        const xr_option *r = NULL;
        XR_TRY(next(y));
        XR_TRY(plain_event(y));
        if (y->event.type == YAML_MAPPING_END_EVENT)
            return XR_OK;
        XR_TRY(find_key(y, &r));
        XR_TRY(next(y));
        XR_TRY(plain_event(y));
        if (y->event.type == YAML_SCALAR_EVENT)
            XR_TRY(set_scalar(y, r, 0));
        else if (y->event.type == YAML_SEQUENCE_START_EVENT)
            XR_TRY(set_list(y, r));
        else
            return xr_fail(XR_ECONFIG, "%s:%zu: %s: a nested mapping; expected one value, all options stand at the top level", y->path,
                           line_of(y), r->key);
    }
}

static xr_status read_document(reader *y)
{
    XR_TRY(next(y)); /* stream start */
    XR_TRY(next(y));
    if (y->event.type == YAML_STREAM_END_EVENT)
        return XR_OK; /* empty or comments only */
    XR_TRY(next(y));
    XR_TRY(plain_event(y));
    if (y->event.type == YAML_SCALAR_EVENT && !*scalar(y))
        return XR_OK; /* "---" alone */
    if (y->event.type != YAML_MAPPING_START_EVENT)
        return xr_fail(XR_ECONFIG, "%s:%zu: the file is no mapping; expected lines of \"key: value\"", y->path, line_of(y));
    XR_TRY(read_mapping(y));
    XR_TRY(next(y)); /* document end */
    XR_TRY(next(y));
    return y->event.type == YAML_STREAM_END_EVENT ? XR_OK : unsupported(y, "a second document (---)", "use one file a run");
}

xr_status xr_options_yaml(xr_options *o, const char *text, size_t len, const char *path)
{
    reader y = { .text = text, .len = len, .o = o };
    size_t n_rows;
    xr_option_table(&n_rows);
    y.path = xr_options_keep(o, path, strlen(path));
    if (!y.path)
        return xr_error_status();
    y.seen = xr_alloc(n_rows, sizeof *y.seen);
    if (!y.seen)
        return xr_error_status();
    if (!yaml_parser_initialize(&y.parser)) {
        xr_free(y.seen);
        return xr_fail(XR_ESYSTEM, "%s: out of memory while reading YAML", path);
    }
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
    xr_status st = read_document(&y);
    if (y.has_event)
        yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    xr_free(y.seen);
    return st;
}

/* Readable without quotes, and read back as the same text. */
static int is_plain(const char *s)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-";
    if (!*s || *s == '-' || strcmp(s, "null") == 0)
        return 0;
    return s[strspn(s, safe)] == 0 || (s[strspn(s, "abcdefghijklmnopqrstuvwxyz- ")] == 0 && s[0] != ' ' && s[strlen(s) - 1] != ' ');
}

static xr_status put_text(xr_str *out, const char *s)
{
    return is_plain(s) ? xr_str_puts(out, s) : xr_str_json_string(out, s, strlen(s));
}

static xr_status put_list(xr_str *out, const xr_strs *list)
{
    XR_TRY(xr_str_putc(out, '['));
    for (size_t i = 0; i < list->n; i++) {
        XR_TRY(xr_str_puts(out, i ? ", " : ""));
        XR_TRY(put_text(out, list->v[i]));
    }
    return xr_str_putc(out, ']');
}

static int is_unset(const xr_option *r, const void *field)
{
    if (r->type == XR_OPT_STRS)
        return ((const xr_strs *)field)->n == 0;
    return (r->type == XR_OPT_STR || r->type == XR_OPT_CHOICE) && !*(const char *const *)field;
}

static int is_word(const xr_option *r, const void *field)
{
    if (!xr_option_word(r))
        return 0;
    return r->type == XR_OPT_INT ? *(const long long *)field == -1 : *(const double *)field < 0;
}

static xr_status put_value(xr_str *out, const xr_option *r, const void *field)
{
    if (is_unset(r, field))
        return xr_str_puts(out, "null");
    if (is_word(r, field))
        return xr_str_puts(out, xr_option_word(r));
    switch (r->type) {
    case XR_OPT_INT: return xr_str_printf(out, "%lld", *(const long long *)field);
    case XR_OPT_FLOAT: return xr_str_double(out, *(const double *)field);
    case XR_OPT_BOOL: return xr_str_puts(out, *(const int *)field ? "true" : "false");
    case XR_OPT_STRS: return put_list(out, field);
    default: return put_text(out, *(const char *const *)field);
    }
}

static xr_status put_origin(xr_str *out, const xr_origin *at)
{
    if (at->kind == XR_FROM_DEFAULT)
        return xr_str_puts(out, "  # default");
    if (at->kind == XR_FROM_FLAG)
        return xr_str_puts(out, "  # flag");
    XR_TRY(xr_str_puts(out, "  # "));
    for (const char *p = at->path; *p; p++)
        XR_TRY(xr_str_putc(out, (unsigned char)*p < ' ' ? '?' : *p));
    return xr_str_printf(out, ":%zu", at->line);
}

xr_status xr_options_to_yaml(const xr_options *o, int origins, xr_str *out)
{
    static const unsigned classes[] = { XR_RECIPE, XR_RUNTIME };
    static const char *const title[] = { "what decides the result", "where it runs and what it says" };
    size_t n;
    const xr_option *table = xr_option_table(&n);
    for (int c = 0; c < 2; c++) {
        XR_TRY(xr_str_printf(out, "%s# %s: %s\n", c ? "\n" : "", xr_verb_name(o->verb), title[c]));
        for (size_t i = 0; i < n; i++) {
            const xr_option *r = &table[i];
            if (!(r->verbs & o->verb) || !(r->flags & classes[c]) || (r->flags & XR_ONCE))
                continue;
            XR_TRY(xr_str_printf(out, "%s: ", r->key));
            XR_TRY(put_value(out, r, (const char *)o + r->offset));
            if (origins)
                XR_TRY(put_origin(out, &o->origin[r->field]));
            XR_TRY(xr_str_putc(out, '\n'));
        }
    }
    return XR_OK;
}

static json_t *json_value(const xr_option *r, const void *field)
{
    if (is_unset(r, field))
        return json_null();
    if (is_word(r, field))
        return json_string(xr_option_word(r));
    switch (r->type) {
    case XR_OPT_INT: return json_integer(*(const long long *)field);
    case XR_OPT_FLOAT: return json_real(*(const double *)field);
    case XR_OPT_BOOL: return json_boolean(*(const int *)field);
    case XR_OPT_STRS: break;
    default: return json_string(*(const char *const *)field);
    }
    const xr_strs *list = field;
    json_t *a = json_array();
    for (size_t i = 0; i < list->n; i++)
        if (json_array_append_new(a, json_string(list->v[i])) != 0) {
            json_decref(a);
            return NULL;
        }
    return a;
}

json_t *xr_options_to_json(const xr_options *o, unsigned flags)
{
    size_t n;
    const xr_option *table = xr_option_table(&n);
    json_t *j = json_object();
    for (size_t i = 0; j && i < n; i++) {
        const xr_option *r = &table[i];
        if (!(r->verbs & o->verb) || !(r->flags & flags) || (r->flags & XR_ONCE))
            continue;
        if (json_object_set_new(j, r->key, json_value(r, (const char *)o + r->offset)) != 0) {
            json_decref(j);
            j = NULL;
        }
    }
    if (!j)
        xr_fail(XR_ESYSTEM, "options: out of memory for JSON");
    return j;
}

const char *xr_yaml_version(void)
{
    return yaml_get_version_string();
}
