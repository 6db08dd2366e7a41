/* Strict UTF-8. */
#include "util/utf8.h"

#include <string.h>

/* How many bytes at p (n > 0 bytes there) begin a well-formed sequence, and its full *size (0: none can begin so). The second
 * byte's range carries every special case: E0 and F0 (overlong), ED (surrogates), F4 (too large). */
static size_t prefix(const unsigned char *p, size_t n, size_t *size)
{
    unsigned char lead = p[0];
    *size = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t i = 1;
    for (; i < *size && i < n && p[i] >= low && p[i] <= high; i++) {
        low = 0x80;
        high = 0xBF;
    }
    return i;
}

/* Size of the well-formed sequence at p, 0 if there is none. */
static size_t sequence(const unsigned char *p, size_t n)
{
    size_t size;
    return prefix(p, n, &size) == size ? size : 0;
}

size_t xr_utf8_check(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i = 0;
    while (i < len) {
        uint64_t eight;
        while (len - i >= 8 && (memcpy(&eight, p + i, 8), (eight & UINT64_C(0x8080808080808080)) == 0))
            i += 8;
        if (i == len)
            break;
        size_t size = sequence(p + i, len - i);
        if (size == 0)
            break;
        i += size;
    }
    return i;
}

uint32_t xr_utf8_decode(const char *s, size_t len, size_t *size)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = sequence(p, len);
    *size = n ? n : 1;
    if (n == 0)
        return 0xFFFD;
    uint32_t c = n == 1 ? p[0] : p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++)
        c = c << 6 | (p[i] & 0x3Fu);
    return c;
}

xr_status xr_utf8_repair(xr_str *out, const char *s, size_t len)
{
    size_t at = 0, size;
    for (;;) {
        size_t good = xr_utf8_check(s + at, len - at);
        XR_TRY(xr_str_append(out, s + at, good));
        at += good;
        if (at == len)
            return XR_OK;
        XR_TRY(xr_str_puts(out, "\xEF\xBF\xBD"));
        at += prefix((const unsigned char *)s + at, len - at, &size);
    }
}

size_t xr_utf8_count(const char *s, size_t len)
{
    size_t count = 0, size;
    for (size_t i = 0; i < len; i += size, count++)
        xr_utf8_decode(s + i, len - i, &size);
    return count;
}

int xr_utf8_is_space(uint32_t c)
{
    if (c <= 0x20)
        return (c >= 0x09 && c <= 0x0D) || c >= 0x1C;
    return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
           c == 0x202F || c == 0x205F || c == 0x3000;
}

int xr_utf8_is_blank(uint32_t c)
{
    return xr_utf8_is_space(c) || (c >= 0x200B && c <= 0x200F) || c == 0xFEFF || c == 0xFFFD;
}

/* Would the character move the cursor, change the screen or the order of the text around it? */
static int is_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F) || c == 0x061C || c == 0x200E || c == 0x200F ||
           (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

xr_status xr_utf8_printable(xr_str *out, const char *s, size_t len)
{
    size_t size;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = xr_utf8_decode(s + i, len - i, &size);
        if (c == '\t' || c == '\n' || c == '\r')
            XR_TRY(xr_str_putc(out, ' '));
        else if (is_control(c) || (c == 0xFFFD && size == 1))
            XR_TRY(xr_str_puts(out, "\xEF\xBF\xBD"));
        else
            XR_TRY(xr_str_append(out, s + i, size));
    }
    return XR_OK;
}
