/* What the formats of raw text share: lines, the check of their encoding, documents cut into paragraphs. */
#include <string.h>
#include "data/text.h"
#include "util/utf8.h"

/* The end of the last white space in the second half of s[0, len); 0 = there is none. */
static size_t last_space(const char *s, size_t len)
{
    for (size_t at = len, size; at > len / 2; at--)
        if (xr_utf8_is_space(xr_utf8_decode(s + at - 1, len - at + 1, &size)))
            return at - 1 + size;
    return 0;
}

/* Where to cut a text longer than `cap`: behind white space near the end, else between two characters. Looks at cap + 1 bytes. */
static size_t cut_at(const char *s, size_t cap)
{
    size_t space = last_space(s, cap);
    if (space)
        return space;
    for (size_t n = cap; n + 3 >= cap && n > 0; n--)
        if ((s[n] & 0xC0) != 0x80)
            return n;
    return cap;
}

static size_t without_cr(const char *s, size_t len)
{
    return len && s[len - 1] == '\r' ? len - 1 : len;
}

int xr_text_line(xr_text_reader *r, size_t cap, const char **line, size_t *len, int *whole)
{
    xr_stream_skip(r->stream, r->taken);
    r->taken = 0;
    r->line = xr_stream_line_number(r->stream) + 1;
    for (size_t searched = 0;;) {
        long held = xr_stream_peek(r->stream, searched + 1, line);
        XR_TRY((int)(held < 0 ? held : 0));
        const char *lf = memchr(*line + searched, '\n', (size_t)held - searched);
        size_t n = lf ? (size_t)(lf - *line) : (size_t)held;
        if (n > cap) {
            *len = r->taken = cut_at(*line, cap);
            *whole = 0;
            return 1;
        }
        if (lf || n == searched) {
            r->taken = n + (lf != NULL);
            r->no_lf = !lf;
            *len = without_cr(*line, n);
            *whole = 1;
            return r->taken > 0;
        }
        searched = n;
    }
}

int xr_text_is_blank(const char *s, size_t len)
{
    for (size_t i = 0, size; i < len; i += size)
        if (!xr_utf8_is_space(xr_utf8_decode(s + i, len - i, &size)))
            return 0;
    return 1;
}

int xr_text_is_missing(const char *s) { return !s || xr_text_is_blank(s, strlen(s)); }

/* What may have gone wrong in a text that is not UTF-8 from here on. */
static const char *guess(const char *s, size_t n)
{
    unsigned char a = (unsigned char)s[0], b = n > 1 ? (unsigned char)s[1] : 0;
    if (((a == 0xC0 || a == 0xC1) && (b & 0xC0) == 0x80) || (a == 0xE0 && b >= 0x80 && b < 0xA0) || (a == 0xF0 && b >= 0x80 && b < 0x90))
        return "an overlong form";
    if (a == 0xED && b >= 0xA0 && b < 0xC0)
        return "a surrogate, as in CESU-8";
    if ((a == 0xF4 && b >= 0x90 && b < 0xC0) || (a >= 0xF5 && a < 0xF8 && b >= 0x80 && b < 0xC0))
        return "a character above U+10FFFF";
    if (a >= 0xC2 && a < 0xF5 && n > 1 && n < 4 && (b & 0xC0) == 0x80)
        return "a character that is cut off";
    return a < 0xC0 ? "a continuation byte alone; Latin-1 or another 8-bit encoding?" : "Latin-1 or another 8-bit encoding?";
}

static xr_status bad_nul(xr_text_reader *r, const char *s, size_t len, size_t at)
{
    size_t zeros = 0;
    for (size_t i = 0; i < len; i++)
        zeros += s[i] == 0;
    return xr_text_bad(r, XR_TEXT_NUL, "a NUL byte at byte %zu of the record%s; expected UTF-8 text; %s", at,
                       zeros > len / 4 ? " (UTF-16 without a byte order mark?)" : "",
                       zeros > len / 4 ? "convert the file with: iconv -f UTF-16LE -t UTF-8" : "remove it, or get the record again");
}

xr_status xr_text_check(xr_text_reader *r, xr_str *copy, const char **text, size_t *len)
{
    const char *s = *text, *nul = memchr(s, 0, *len);
    if (nul)
        return bad_nul(r, s, *len, (size_t)(nul - s));
    size_t at = xr_utf8_check(s, *len);
    if (at == *len)
        return XR_OK;
    if (!r->o->replace_bad_utf8)
        return xr_text_bad(r, XR_TEXT_BAD_UTF8, "byte 0x%02X at byte %zu of the record is not UTF-8 (%s); expected UTF-8 text; convert the "
                           "file (iconv -t UTF-8), or use --replace-bad-utf8", (unsigned)(unsigned char)s[at], at, guess(s + at, *len - at));
    xr_str_clear(copy);
    XR_TRY(xr_utf8_repair(copy, s, *len));
    xr_text_note(r, XR_TEXT_REPLACED);
    *text = copy->s;
    *len = copy->len;
    return XR_OK;
}

int xr_text_body_open(xr_text_reader *r, xr_text_body *b, const char *text, size_t len)
{
    memset(b, 0, sizeof *b);
    if (xr_text_is_blank(text, len)) {
        xr_text_note(r, XR_TEXT_EMPTY);
        return 0;
    }
    if (r->o->min_length && xr_utf8_count(text, len) < r->o->min_length) {
        xr_text_note(r, XR_TEXT_SHORT);
        return 0;
    }
    b->at = text;
    b->end = text + len;
    b->line = r->line;
    return 1;
}

int xr_text_body_next(xr_text_body *b, xr_paragraph *out)
{
    while (b->at < b->end) {
        const char *s = b->at, *lf = memchr(s, '\n', (size_t)(b->end - s));
        size_t n = lf ? (size_t)(lf - s) : (size_t)(b->end - s), line = b->line;
        if (n > XR_PARAGRAPH_CAP) {
            n = cut_at(s, XR_PARAGRAPH_CAP);
            lf = NULL;
        }
        b->at = s + n + (lf != NULL);
        b->line += lf && b->by_line;
        n = without_cr(s, n);
        if (xr_text_is_blank(s, n))
            continue;
        *out = (xr_paragraph){ s, n, !b->begun, b->language, line };
        b->begun = 1;
        return 1;
    }
    return 0;
}
