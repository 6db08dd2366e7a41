#include "util/markup.h"

#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include "util/utf8.h"

/* XML 1.0, production 2 (Char). */
static int is_allowed(uint32_t c)
{
    return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xFFFE && c != 0xFFFF);
}

static const char *reference(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

xr_status xr_markup_text(xr_str *out, const char *s, size_t len)
{
    for (size_t i = 0, size; i < len; i += size) {
        uint32_t c = xr_utf8_decode(s + i, len - i, &size);
        const char *name = reference(s[i]);
        if (!name && (!is_allowed(c) || (size == 1 && c == 0xFFFD)))
            name = "\xEF\xBF\xBD";
        XR_TRY(name ? xr_str_puts(out, name) : xr_str_append(out, s + i, size));
    }
    return XR_OK;
}

static xr_status put_argument(xr_str *out, char conversion, const char *s)
{
    if (!s)
        return XR_OK;
    return conversion == 's' ? xr_markup_text(out, s, strlen(s)) : xr_str_puts(out, s);
}

static xr_status put(xr_str *out, const char *format, va_list arguments)
{
    for (;;) {
        size_t plain = strcspn(format, "%");
        XR_TRY(xr_str_append(out, format, plain));
        format += plain;
        if (!*format)
            return XR_OK;
        XR_ASSERT(strchr("sh%", format[1]), "markup format %s", format);
        XR_TRY(format[1] == '%' ? xr_str_putc(out, '%') : put_argument(out, format[1], va_arg(arguments, const char *)));
        format += 2;
    }
}

xr_status xr_markup_put(xr_str *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    xr_status status = put(out, format, arguments);
    va_end(arguments);
    return status;
}
