/* JSON in by jansson, strictly; JSON out by our own writer, because its numbers must be the shortest that read back
 * the same. */
#include "util/json.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/fs.h"

json_t *xr_json_parse(const char *text, size_t len, const char *where)
{
    json_error_t e;
    if (len >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3)) {
        text += 3;
        len -= 3;
    }
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (j)
        return j;
    if (json_error_code(&e) == json_error_out_of_memory)
        xr_fail(XR_ESYSTEM, "%s: out of memory while reading %zu bytes of JSON", where, len);
    else if (memchr(text, '\n', len))
        xr_fail(XR_EDATA, "%s:%d:%d: not valid JSON: %s; correct it, or get the file from its source again", where, e.line, e.column, e.text);
    else
        xr_fail(XR_EDATA, "%s: not valid JSON: %s (column %d); correct it, or get the file from its source again", where, e.text, e.column);
    return NULL;
}

static int is_white(char c) { return c == ' ' || c == '\t' || c == '\r'; }

xr_status xr_json_check_line(const char *line, size_t len)
{
    for (; len && is_white(*line); len--)
        line++;
    while (len && is_white(line[len - 1]))
        len--;
    int list = len && *line == '[' && (len == 1 || line[len - 1] == ',' || line[len - 1] == '{'), object = len == 1 && *line == '{';
    if (!list && !object)
        return XR_OK;
    return xr_fail(XR_EDATA, "a JSON %s over several lines; expected JSON lines, one object a line; write each record on one line (jq -c '%s')",
                   list ? "list" : "object", list ? ".[]" : ".");
}

json_t *xr_json_line(const char *line, size_t len, const char *where)
{
    if (xr_json_check_line(line, len) == XR_OK)
        return xr_json_parse(line, len, where);
    xr_fail_context("%s", where);
    return NULL;
}

json_t *xr_json_file(const char *path, size_t cap)
{
    size_t len;
    char *text = xr_file_read(path, cap, &len);
    if (!text)
        return NULL;
    json_t *j = xr_json_parse(text, len, path);
    xr_free(text);
    return j;
}

static xr_status append_string(xr_str *b, const char *s, size_t len)
{
    XR_TRY(xr_str_putc(b, '"'));
    size_t plain = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        XR_TRY(xr_str_append(b, s + plain, i - plain));
        plain = i + 1;
        const char *escapes = "\"\"\\\\\bb\ff\nn\rr\tt";   /* pairs: byte, letter */
        const char *e = escapes;
        while (*e && (unsigned char)*e != c)
            e += 2;
        if (*e)
            XR_TRY(xr_str_printf(b, "\\%c", e[1]));
        else
            XR_TRY(xr_str_printf(b, "\\u%04x", c));
    }
    XR_TRY(xr_str_append(b, s + plain, len - plain));
    return xr_str_putc(b, '"');
}

xr_status xr_str_json_string(xr_str *b, const char *s, size_t len)
{
    return append_string(b, s, len);
}

/* %.*g with a decimal point, whatever locale the program is in. The "C" locale object is static in the C library. */
static void format_c(char *text, size_t cap, int digits, double x)
{
    locale_t old = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
    snprintf(text, cap, "%.*g", digits, x);
    uselocale(old);
}

static double read_back(const char *text)
{
    return strtod_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static float read_back_float(const char *text)
{
    return strtof_l(text, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

static xr_status append_non_finite(xr_str *b, double x)
{
    return xr_str_puts(b, isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
}

/* Up to 6 (15) digits survive the way there and back for normal numbers, so shorter ones need no trial: %g drops
 * their zeros. */
xr_status xr_str_float(xr_str *b, float x)
{
    char text[32];
    if (!isfinite(x))
        return append_non_finite(b, (double)x);
    for (int digits = isnormal(x) ? 6 : 1; digits <= 9; digits++) {
        format_c(text, sizeof text, digits, (double)x);
        if (read_back_float(text) == x)
            break;
    }
    return xr_str_puts(b, text);
}

xr_status xr_str_double(xr_str *b, double x)
{
    char text[40];
    if (!isfinite(x))
        return append_non_finite(b, x);
    for (int digits = isnormal(x) ? 15 : 1; digits <= 17; digits++) {
        format_c(text, sizeof text, digits, x);
        if (read_back(text) == x)
            break;
    }
    return xr_str_puts(b, text);
}

static xr_status append_real(xr_str *b, double x)
{
    size_t start = b->len;
    XR_TRY(xr_str_double(b, x));
    /* A real stays a real for whoever reads it. */
    return strpbrk(b->s + start, ".e") ? XR_OK : xr_str_puts(b, ".0");
}

static xr_status new_line(xr_str *b, int indent, int depth)
{
    if (indent == 0)
        return XR_OK;
    return xr_str_printf(b, "\n%*s", indent * depth, "");
}

static xr_status append_value(xr_str *b, const json_t *j, int indent, int depth);

static xr_status append_array(xr_str *b, const json_t *j, int indent, int depth)
{
    size_t n = json_array_size(j);
    XR_TRY(xr_str_putc(b, '['));
    for (size_t i = 0; i < n; i++) {
        if (i)
            XR_TRY(xr_str_putc(b, ','));
        XR_TRY(new_line(b, indent, depth + 1));
        XR_TRY(append_value(b, json_array_get(j, i), indent, depth + 1));
    }
    if (n)
        XR_TRY(new_line(b, indent, depth));
    return xr_str_putc(b, ']');
}

static xr_status append_object(xr_str *b, const json_t *j, int indent, int depth)
{
    const char *key;
    json_t *value;
    int first = 1;
    XR_TRY(xr_str_putc(b, '{'));
    /* jansson iterates in insertion order; its iterator takes no const. */
    json_object_foreach((json_t *)(uintptr_t)j, key, value) {
        if (!first)
            XR_TRY(xr_str_putc(b, ','));
        first = 0;
        XR_TRY(new_line(b, indent, depth + 1));
        XR_TRY(append_string(b, key, strlen(key)));
        XR_TRY(xr_str_puts(b, indent ? ": " : ":"));
        XR_TRY(append_value(b, value, indent, depth + 1));
    }
    if (!first)
        XR_TRY(new_line(b, indent, depth));
    return xr_str_putc(b, '}');
}

static xr_status append_value(xr_str *b, const json_t *j, int indent, int depth)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return append_object(b, j, indent, depth);
    case JSON_ARRAY:
        return append_array(b, j, indent, depth);
    case JSON_STRING:
        return append_string(b, json_string_value(j), json_string_length(j));
    case JSON_INTEGER:
        return xr_str_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
    case JSON_REAL:
        return append_real(b, json_real_value(j));
    case JSON_TRUE:
        return xr_str_puts(b, "true");
    case JSON_FALSE:
        return xr_str_puts(b, "false");
    default:
        return xr_str_puts(b, "null");
    }
}

char *xr_json_dump(const json_t *j, int indent)
{
    xr_str b = { 0 };
    if (append_value(&b, j, indent, 0) < 0) {
        xr_str_free(&b);
        return NULL;
    }
    return b.s;
}

xr_status xr_json_write(const char *path, const json_t *j, int indent)
{
    xr_str b = { 0 };
    xr_status status = append_value(&b, j, indent, 0);
    if (status == XR_OK)
        status = xr_str_putc(&b, '\n');
    if (status == XR_OK)
        status = xr_file_write(path, b.s, b.len);
    xr_str_free(&b);
    return status;
}
