/* Strict UTF-8. */
#include "util/utf8.h"

#include <string.h>

/* Size of the well-formed sequence at p (n > 0 bytes there), 0 if there is none. The second byte's range carries every
 * special case: E0 and F0 (overlong), ED (surrogates), F4 (too large). */
static size_t sequence(const unsigned char *p, size_t n)
{
    unsigned char lead = p[0];
    if (lead < 0x80)
        return 1;
    size_t size = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
    if (size == 0 || size > n)
        return 0;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return size;
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
