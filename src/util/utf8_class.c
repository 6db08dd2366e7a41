/* Classes of characters, and lower case of text, which depends on them. The tables are made by scripts/unicode_classes.py. */
#include <stdlib.h>

#include "util/utf8.h"

typedef struct range { uint32_t first, last; } range;

#include "util/utf8_class.inc"

#define IN(table, c) in(table, sizeof(table) / sizeof *(table), c)

static int by_range(const void *key, const void *element)
{
    const uint32_t c = *(const uint32_t *)key;
    const range *r = element;
    return c < r->first ? -1 : c > r->last;
}

static int in(const range *table, size_t n, uint32_t c)
{
    return bsearch(&c, table, n, sizeof *table, by_range) != NULL;
}

int xr_utf8_is_punctuation(uint32_t c)
{
    return IN(punctuation, c);
}

int xr_utf8_is_word(uint32_t c)
{
    return IN(word, c);
}

xr_status xr_utf8_append(xr_str *out, uint32_t c)
{
    char b[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = n; i-- > 1; c >>= 6)
        b[i] = (char)(0x80 | (c & 0x3F));
    b[0] = (char)(lead[n] | c);
    return xr_str_append(out, b, n);
}

/* --- lower case ------------------------------------------------------------------------------------------------ */

enum { CAPITAL_SIGMA = 0x3A3, SMALL_SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2, DOTTED_CAPITAL_I = 0x130, COMBINING_DOT = 0x307 };

/* Whether the nearest character that counts, before s[at] or from s[at] on, is a letter with a case. */
static int cased_before(const char *s, size_t at)
{
    size_t size, end;
    while ((end = at) > 0) {
        do
            at--;
        while (at > 0 && ((unsigned char)s[at] & 0xC0) == 0x80);
        uint32_t c = xr_utf8_decode(s + at, end - at, &size);
        if (!IN(ignorable, c))
            return IN(cased, c);
    }
    return 0;
}

static int cased_after(const char *s, size_t at, size_t len)
{
    size_t size;
    for (; at < len; at += size) {
        uint32_t c = xr_utf8_decode(s + at, len - at, &size);
        if (!IN(ignorable, c))
            return IN(cased, c);
    }
    return 0;
}

xr_status xr_utf8_append_lower(xr_str *out, const char *s, size_t len)
{
    size_t size;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = xr_utf8_decode(s + i, len - i, &size);
        if (c == CAPITAL_SIGMA)
            c = cased_before(s, i) && !cased_after(s, i + size, len) ? FINAL_SIGMA : SMALL_SIGMA;
        XR_TRY(xr_utf8_append(out, c == DOTTED_CAPITAL_I ? 'i' : xr_utf8_lower(c)));
        if (c == DOTTED_CAPITAL_I)
            XR_TRY(xr_utf8_append(out, COMBINING_DOT));
    }
    return XR_OK;
}
