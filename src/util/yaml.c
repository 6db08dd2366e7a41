/* Flat configuration files from libyaml's events. Nesting ends at depth 3 (file, section, list), long before libyaml's
 * time, which grows with the square of the depth, matters. */
#include "util/yaml.h"

#include <string.h>
#include <yaml.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/utf8.h"

/* The search for a key seen before is linear. */
enum { KEY_CAP = 4096 };

typedef struct seen_key { char *key; size_t line; } seen_key;

typedef struct reader {
    yaml_parser_t parser;
    const char *where;
    xr_yaml_item item;
    void *ctx;
    seen_key *seen;             /* every key and section name so far */
    size_t n_seen, seen_cap;
} reader;

static size_t line_of(const yaml_event_t *e)
{
    return e->start_mark.line + 1;
}

static xr_status refuse(const reader *r, size_t line, const char *what)
{
    return xr_fail(XR_ECONFIG, "%s:%zu: %s", r->where, line, what);
}

/* libyaml's own complaint. Its marks count from 0. */
static xr_status syntax_error(const reader *r)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return xr_fail(XR_ESYSTEM, "%s: out of memory while reading YAML", r->where);
    if (p->error == YAML_READER_ERROR)
        return xr_fail(XR_ECONFIG, "%s: byte %zu: %s; a configuration file is UTF-8 text", r->where,
                       p->problem_offset, p->problem);
    return xr_fail(XR_ECONFIG, "%s:%zu:%zu: not valid YAML: %s%s%s; indent with spaces, write \"key: value\"", r->where,
                   p->problem_mark.line + 1, p->problem_mark.column + 1, p->problem ? p->problem : "unknown trouble",
                   p->context ? " " : "", p->context ? p->context : "");
}

/* The properties of an event that we do not take. Everything in such a file must mean what it seems to mean. */
static const char *unsupported(const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return "an alias (*name) is not supported; write the value again";
    case YAML_DOCUMENT_START_EVENT:
        if (e->data.document_start.version_directive ||
            e->data.document_start.tag_directives.start != e->data.document_start.tag_directives.end)
            return "a directive (%YAML, %TAG) is not supported; leave it out";
        return NULL;
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
            return "a NUL byte in a text; leave it out";
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        break;
    default:
        return NULL;
    }
    if (anchor)
        return "an anchor (&name) is not supported; write the value itself";
    return tag ? "a tag (!name) is not supported; write the value itself" : NULL;
}

/* The next event, to be deleted by the caller; nothing to delete on failure. */
static xr_status next(reader *r, yaml_event_t *e)
{
    if (!yaml_parser_parse(&r->parser, e))
        return syntax_error(r);
    const char *why = unsupported(e);
    if (!why)
        return XR_OK;
    refuse(r, line_of(e), why);
    yaml_event_delete(e);
    return xr_error_status();
}

static int same_key(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
            return 0;
    return *a == *b;
}

static xr_status remember(reader *r, const char *key, size_t line)
{
    if (r->n_seen == KEY_CAP)
        return refuse(r, line, "more than 4096 keys; is it a configuration file?");
    for (size_t i = 0; i < r->n_seen; i++)
        if (same_key(r->seen[i].key, key))
            return xr_fail(XR_ECONFIG, "%s:%zu: the key \"%s\" appears twice, first in line %zu; keep one of them",
                           r->where, line, key, r->seen[i].line);
    XR_TRY(xr_grow(&r->seen, &r->seen_cap, r->n_seen + 1, sizeof *r->seen));
    char *copy = xr_strdup(key);
    if (!copy)
        return xr_error_status();
    r->seen[r->n_seen++] = (seen_key){ copy, line };
    return XR_OK;
}

static xr_status pass_on(reader *r, const char *key, const yaml_event_t *e)
{
    xr_status status = r->item(key, (const char *)e->data.scalar.value, line_of(e), r->ctx);
    return status < 0 ? xr_fail_context("%s:%zu", r->where, line_of(e)) : XR_OK;
}

static xr_status read_list(reader *r, const char *key, size_t line)
{
    yaml_event_t e;
    for (size_t n = 0;; n++) {
        XR_TRY(next(r, &e));
        yaml_event_type_t type = e.type;
        xr_status status = XR_OK;
        if (type == YAML_SCALAR_EVENT)
            status = pass_on(r, key, &e);
        else if (type != YAML_SEQUENCE_END_EVENT)
            status = refuse(r, line_of(&e), "a list may hold plain values only; lists and mappings inside it "
                            "are not supported");
        else if (n == 0)
            status = xr_fail(XR_ECONFIG, "%s:%zu: the list of \"%s\" is empty; leave the key out instead", r->where,
                             line, key);
        yaml_event_delete(&e);
        if (status < 0 || type == YAML_SEQUENCE_END_EVENT)
            return status;
    }
}

static xr_status read_mapping(reader *r, int depth);

static xr_status read_value(reader *r, const char *key, int depth)
{
    yaml_event_t e;
    XR_TRY(next(r, &e));
    xr_status status;
    if (e.type == YAML_SCALAR_EVENT)
        status = pass_on(r, key, &e);
    else if (e.type == YAML_SEQUENCE_START_EVENT)
        status = read_list(r, key, line_of(&e));
    else if (depth == 0)
        status = read_mapping(r, depth + 1);
    else
        status = refuse(r, line_of(&e), "nested too deeply: a section may hold values and lists, no further sections");
    yaml_event_delete(&e);
    return status;
}

/* The pairs of a mapping whose start has been read. */
static xr_status read_mapping(reader *r, int depth)
{
    yaml_event_t e;
    for (;;) {
        XR_TRY(next(r, &e));
        xr_status status = XR_OK;
        int end = e.type == YAML_MAPPING_END_EVENT;
        if (!end && e.type != YAML_SCALAR_EVENT)
            status = refuse(r, line_of(&e), "a key must be a plain word, not a list or a mapping");
        if (!end && status == XR_OK)
            status = remember(r, (const char *)e.data.scalar.value, line_of(&e));
        if (!end && status == XR_OK)
            status = read_value(r, (const char *)e.data.scalar.value, depth);
        yaml_event_delete(&e);
        if (end || status < 0)
            return status;
    }
}

/* An empty document is a scalar of no length. */
static xr_status read_root(reader *r, const yaml_event_t *e)
{
    if (e->type == YAML_MAPPING_START_EVENT)
        return read_mapping(r, 0);
    if (e->type == YAML_SCALAR_EVENT && e->data.scalar.length == 0 && e->data.scalar.plain_implicit)
        return XR_OK;
    return refuse(r, line_of(e), "the file must hold \"key: value\" lines");
}

static xr_status read_stream(reader *r)
{
    size_t documents = 0;
    for (;;) {
        yaml_event_t e;
        XR_TRY(next(r, &e));
        yaml_event_type_t type = e.type;
        xr_status status = XR_OK;
        if (type == YAML_DOCUMENT_START_EVENT && documents++)
            status = refuse(r, line_of(&e), "a second document (---) is not supported; use one file per configuration");
        else if (type == YAML_MAPPING_START_EVENT || type == YAML_SCALAR_EVENT || type == YAML_SEQUENCE_START_EVENT)
            status = read_root(r, &e);
        yaml_event_delete(&e);
        if (status < 0 || type == YAML_STREAM_END_EVENT)
            return status;
    }
}

static xr_status check_utf8(const char *text, size_t len, const char *where)
{
    size_t bad = xr_utf8_check(text, len), line = 1;
    if (bad == len)
        return XR_OK;
    for (size_t i = 0; i < bad; i++)
        line += text[i] == '\n';
    return xr_fail(XR_ECONFIG, "%s:%zu: byte %zu is not UTF-8 (0x%02x); save the file as UTF-8", where, line, bad,
                   (unsigned)(unsigned char)text[bad]);
}

xr_status xr_yaml_parse(const char *text, size_t len, const char *where, xr_yaml_item item, void *ctx)
{
    reader r = { .where = where, .item = item, .ctx = ctx };
    if (len > XR_YAML_CAP)
        return xr_fail(XR_ECONFIG, "%s: more than 1 MiB; is it a configuration file?", where);
    XR_TRY(check_utf8(text, len, where));
    if (!yaml_parser_initialize(&r.parser))
        return xr_fail(XR_ESYSTEM, "%s: out of memory while reading YAML", where);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    size_t bom = len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3) ? 3 : 0;
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text + bom, len - bom);
    xr_status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    for (size_t i = 0; i < r.n_seen; i++)
        xr_free(r.seen[i].key);
    xr_free(r.seen);
    return status;
}

xr_status xr_yaml_read(const char *path, xr_yaml_item item, void *ctx)
{
    size_t len;
    char *text = xr_file_read(path, XR_YAML_CAP, &len);
    if (!text && xr_error_status() == XR_EDATA) {   /* over the cap: here that is a matter of configuration */
        xr_error_clear();
        return xr_fail(XR_ECONFIG, "%s: more than 1 MiB; is it a configuration file?", path);
    }
    if (!text)
        return xr_error_status();
    xr_status status = xr_yaml_parse(text, len, path, item, ctx);
    xr_free(text);
    return status;
}
