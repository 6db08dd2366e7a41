#include "util/yaml.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

typedef struct reader {
    yaml_parser_t parser;
    yaml_event_t event;         /* of the last next(); owned */
    int has_event;
    const char *text, *path;
    size_t len;
    char key[64];               /* the last one, for messages */
    const xr_yaml_handler *handler;
    void *context;
} reader;

static size_t line_of(const reader *y)
{
    return y->event.start_mark.line + 1;
}

/* libyaml counts characters, without the BOM; people and editors seek bytes. */
static size_t byte_of(const reader *y, size_t chars)
{
    size_t i = y->len >= 3 && memcmp(y->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
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
        return xr_fail(XR_ECONFIG, "%s:%zu: byte %zu: not text that YAML can hold (%s); expected UTF-8", y->path,
                       line_of_byte(y, p->problem_offset), p->problem_offset, p->problem);
    size_t byte = byte_of(y, p->problem_mark.index), line = p->problem_mark.line + 1;
    size_t column = p->problem_mark.column + 1;
    if (byte < y->len && y->text[byte] == '\t')
        return xr_fail(XR_ECONFIG, "%s:%zu:%zu: byte %zu: a tab; YAML is indented with spaces, use those", y->path, line,
                       column, byte);
    return xr_fail(XR_ECONFIG, "%s:%zu:%zu: byte %zu: not valid YAML: %s%s%s; expected lines of \"key: value\"", y->path, line,
                   column, byte, p->problem, p->context ? " " : "", p->context ? p->context : "");
}

static xr_status unsupported(const reader *y, const char *what, const char *instead)
{
    return xr_fail(XR_ECONFIG, "%s:%zu: %s: not supported in a config; %s", y->path, line_of(y), what, instead);
}

/* Anchors, aliases and tags, wherever they stand. */
static xr_status check_plain(const reader *y)
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

static xr_status next(reader *y)
{
    if (y->has_event)
        yaml_event_delete(&y->event);
    y->has_event = yaml_parser_parse(&y->parser, &y->event);
    return y->has_event ? check_plain(y) : syntax_error(y);
}

static const char *scalar(const reader *y)
{
    return (const char *)y->event.data.scalar.value;
}

static xr_status give_value(const reader *y, int in_list)
{
    const char *s = scalar(y);
    xr_yaml_kind kind = XR_YAML_TEXT;
    if (strlen(s) != y->event.data.scalar.length)
        return xr_fail(XR_ECONFIG, "%s:%zu: %s: a zero byte in the value; expected text", y->path, line_of(y), y->key);
    if (y->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
        if (!*s)
            kind = XR_YAML_NOTHING;
        else if (strcmp(s, "null") == 0 || strcmp(s, "~") == 0)
            kind = XR_YAML_NULL;
    }
    return y->handler->value(y->context, kind, s, line_of(y), in_list);
}

static xr_status read_list(reader *y)
{
    XR_TRY(y->handler->list(y->context, line_of(y)));
    for (;;) {
        XR_TRY(next(y));
        if (y->event.type == YAML_SEQUENCE_END_EVENT)
            return XR_OK;
        if (y->event.type != YAML_SCALAR_EVENT)
            return xr_fail(XR_ECONFIG, "%s:%zu: %s: a list or mapping inside a list; expected plain values", y->path, line_of(y),
                           y->key);
        XR_TRY(give_value(y, 1));
    }
}

static xr_status read_mapping(reader *y)
{
    for (;;) {
        XR_TRY(next(y));
        if (y->event.type == YAML_MAPPING_END_EVENT)
            return XR_OK;
        if (y->event.type != YAML_SCALAR_EVENT)
            return xr_fail(XR_ECONFIG, "%s:%zu: a list or mapping as a key; expected the name of an option", y->path, line_of(y));
        snprintf(y->key, sizeof y->key, "%s", scalar(y));
        XR_TRY(y->handler->key(y->context, scalar(y), line_of(y)));
        XR_TRY(next(y));
        if (y->event.type == YAML_SCALAR_EVENT)
            XR_TRY(give_value(y, 0));
        else if (y->event.type == YAML_SEQUENCE_START_EVENT)
            XR_TRY(read_list(y));
        else
            return xr_fail(XR_ECONFIG, "%s:%zu: %s: a nested mapping; expected one value, all options stand at the top level",
                           y->path, line_of(y), y->key);
    }
}

static xr_status read_document(reader *y)
{
    XR_TRY(next(y)); /* start of the stream */
    XR_TRY(next(y));
    if (y->event.type == YAML_STREAM_END_EVENT)
        return XR_OK; /* empty, or comments only */
    XR_TRY(next(y));
    if (y->event.type == YAML_MAPPING_START_EVENT)
        XR_TRY(read_mapping(y));
    else if (y->event.type != YAML_SCALAR_EVENT || *scalar(y)) /* "---" alone is an empty scalar */
        return xr_fail(XR_ECONFIG, "%s:%zu: the file is no mapping; expected lines of \"key: value\"", y->path, line_of(y));
    XR_TRY(next(y)); /* end of the document */
    XR_TRY(next(y));
    return y->event.type == YAML_STREAM_END_EVENT ? XR_OK : unsupported(y, "a second document (---)", "use one file a run");
}

xr_status xr_yaml_read(const char *text, size_t len, const char *path, const xr_yaml_handler *handler, void *context)
{
    reader y = { .text = text, .len = len, .path = path, .handler = handler, .context = context };
    if (!yaml_parser_initialize(&y.parser))
        return xr_fail(XR_ESYSTEM, "%s: out of memory while reading YAML", path);
    yaml_parser_set_encoding(&y.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&y.parser, (const unsigned char *)text, len);
    xr_status st = read_document(&y);
    if (y.has_event)
        yaml_event_delete(&y.event);
    yaml_parser_delete(&y.parser);
    return st;
}

const char *xr_yaml_version(void)
{
    return yaml_get_version_string();
}
