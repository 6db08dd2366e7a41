/* Options from YAML, and back to YAML and JSON. */
#include <string.h>
#include "train/options_set.h"
#include "util/alloc.h"
#include "util/yaml.h"

typedef struct reader {
    xr_options *o;
    const char *path;           /* owned by o: origins point to it */
    const xr_option *last;      /* row of the last item: a key comes again only as the next item of a list */
} reader;

/* The reader of YAML has refused duplicate keys, and puts path and line before the message. */
static xr_status on_item(const char *key, const char *value, size_t line, void *context)
{
    reader *y = context;
    const xr_origin at = { XR_FROM_CONFIG, y->path, line };
    const xr_option *r = xr_option_find(y->o->verb, key);
    if (!r)
        return xr_option_unknown(y->o, key, at);
    if (r->flags & XR_ONCE)
        return xr_fail(XR_ECONFIG, "%s: only a flag; leave it out of the file", key);
    if (r == y->last && r->type != XR_OPT_STRS)
        return xr_fail(XR_ECONFIG, "%s: a list; expected one value", key);
    y->last = r;
    return xr_option_set(y->o, r, value, at);
}

xr_status xr_options_yaml(xr_options *o, const char *text, size_t len, const char *path)
{
    reader y = { .o = o, .path = xr_options_keep(o, path, strlen(path)) };
    return y.path ? xr_yaml_parse(text, len, y.path, on_item, &y) : xr_error_status();
}

xr_status xr_options_file(xr_options *o, const char *path)
{
    reader y = { .o = o, .path = xr_options_keep(o, path, strlen(path)) };
    xr_status st = y.path ? xr_yaml_read(y.path, on_item, &y) : xr_error_status();
    return st == XR_ENOINPUT ? xr_fail_context("--config") : st;
}

/* Readable without quotes, and read back as the same text. */
static int is_plain(const char *s)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./+-";
    if (!*s || *s == '-')
        return 0;
    return s[strspn(s, safe)] == 0 ||
           (s[strspn(s, "abcdefghijklmnopqrstuvwxyz- ")] == 0 && s[0] != ' ' && s[strlen(s) - 1] != ' ');
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
            const void *field = (const char *)o + r->offset;
            if (is_unset(r, field)) {
                XR_TRY(xr_str_printf(out, "# %s: not set\n", r->key));
                continue;
            }
            XR_TRY(xr_str_printf(out, "%s: ", r->key));
            XR_TRY(put_value(out, r, field));
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
