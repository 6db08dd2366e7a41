#include "data/dedup.h"

#include <string.h>

#include "util/alloc.h"
#include "util/utf8.h"
#include "util/xxh.h"

/* The marks that cc_net leaves out (UNICODE_PUNCT of its text_normalizer.py), sorted. */
static const uint32_t marks[] = {
    0x00AB, 0x00B4, 0x00BB, 0x2013, 0x2014, 0x2019, 0x201C, 0x201D, 0x201E, 0x2026, 0x2236, 0x2501, 0x25BA, 0x3001, 0x3002, 0x3008, 0x3009,
    0x300A, 0x300B, 0x300C, 0x300D, 0x3010, 0x3011, 0xFF01, 0xFF05, 0xFF08, 0xFF09, 0xFF0C, 0xFF0E, 0xFF11, 0xFF1A, 0xFF1B, 0xFF1F, 0xFF5E,
};
enum { N_MARKS = sizeof marks / sizeof *marks, LEAST_SIZE = 1024 };

static int is_mark(uint32_t c)
{
    if (c < 0xA0)
        return c < 32 || c >= 127;
    for (size_t i = 0; i < N_MARKS && marks[i] <= c; i++)
        if (marks[i] == c)
            return 1;
    return 0;
}

static xr_status put(xr_str *b, uint32_t c)
{
    char s[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };
    for (size_t i = n; i-- > 1; c >>= 6)
        s[i] = (char)(0x80 | (c & 0x3F));
    s[0] = (char)(lead[n] | c);
    return xr_str_append(b, s, n);
}

static void strip(const char **text, size_t *len)
{
    size_t size;
    while (*len && xr_utf8_is_space(xr_utf8_decode(*text, *len, &size))) {
        *text += size;
        *len -= size;
    }
    while (*len) {
        size_t at = *len - 1;
        while (at > 0 && ((unsigned char)(*text)[at] & 0xC0) == 0x80)
            at--;
        if (!xr_utf8_is_space(xr_utf8_decode(*text + at, *len - at, &size)))
            break;
        *len = at;
    }
}

xr_status xr_dedup_normal(const char *text, size_t len, xr_str *out)
{
    strip(&text, &len);
    for (size_t at = 0, size; at < len; at += size) {
        uint32_t c = xr_utf8_lower(xr_utf8_decode(text + at, len - at, &size));
        if (xr_utf8_is_digit(c))
            c = '0';
        if (!is_mark(c))
            XR_TRY(put(out, c));
    }
    return XR_OK;
}

/* Place of a hash, or the free one where it belongs. */
static size_t place(const xr_dedup *d, uint64_t hash)
{
    size_t i = (size_t)hash & (d->size - 1);
    while (d->slot[i] && d->slot[i] != hash)
        i = (i + 1) & (d->size - 1);
    return i;
}

/* At most three quarters full. */
static xr_status make_room(xr_dedup *d)
{
    if (d->n < d->size / 4 * 3)
        return XR_OK;
    xr_dedup bigger = { .size = d->size ? d->size * 2 : LEAST_SIZE };
    bigger.slot = xr_alloc(bigger.size, sizeof *bigger.slot);
    if (!bigger.slot)
        return xr_error_status();
    for (size_t i = 0; i < d->size; i++)
        if (d->slot[i])
            bigger.slot[place(&bigger, d->slot[i])] = d->slot[i];
    xr_free(d->slot);
    d->slot = bigger.slot;
    d->size = bigger.size;
    return XR_OK;
}

int xr_dedup_seen(xr_dedup *d, const char *text, size_t len)
{
    xr_str_clear(&d->normal);
    XR_TRY(make_room(d));
    XR_TRY(xr_dedup_normal(text, len, &d->normal));
    uint64_t hash = xr_xxh64(d->normal.s ? d->normal.s : "", d->normal.len);
    hash += hash == 0;          /* 0 is a free place */
    size_t i = place(d, hash);
    if (d->slot[i])
        return 1;
    d->slot[i] = hash;
    d->n++;
    return 0;
}

void xr_dedup_free(xr_dedup *d)
{
    xr_free(d->slot);
    xr_str_free(&d->normal);
    *d = (xr_dedup){ 0 };
}
