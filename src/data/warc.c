/* WARC headers. */
#include "data/warc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "util/sha1.h"

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int xr_warc_begins(const char *s, size_t n)
{
    return n >= XR_WARC_LINE && !memcmp(s, "WARC/", 5) && is_digit(s[5]) && s[6] == '.' && is_digit(s[7]);
}

size_t xr_warc_find(const char *s, size_t from, size_t n)
{
    const char *end = s + n;
    for (const char *p = s + from; (p = memmem(p, (size_t)(end - p), "\nWARC/", 6)) != NULL; p++) {
        int behind_empty = p > s && (p[-1] == '\n' || (p[-1] == '\r' && p > s + 1 && p[-2] == '\n'));
        if (behind_empty && xr_warc_begins(p + 1, (size_t)(end - p - 1)))
            return (size_t)(p + 1 - s);
    }
    return n;
}

size_t xr_warc_header_size(const char *s, size_t from, size_t n)
{
    for (size_t i = from; i + 1 < n; i++) {
        if (s[i] == '\n' && s[i + 1] == '\n')
            return i + 2;
        if (s[i] == '\n' && s[i + 1] == '\r' && i + 2 < n && s[i + 2] == '\n')
            return i + 3;
    }
    return 0;
}

/* The value that a name stands for; NULL for one that is not used. */
static xr_warc_value *find_value(xr_warc_header *h, const char *name, size_t n)
{
    static const char *const names[] = { "WARC-Type", "Content-Length", "WARC-Block-Digest", "WARC-Identified-Content-Language", "Content-Type" };
    xr_warc_value *const values[] = { &h->type, &h->length, &h->digest, &h->language, &h->content };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == n && !strncasecmp(names[i], name, n))
            return values[i];
    return NULL;
}

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void parse_line(xr_warc_header *h, const char *line, size_t n)
{
    const char *colon = memchr(line, ':', n), *end = line + n;
    if (!colon || is_blank(*line))
        return;
    size_t name = (size_t)(colon - line);
    while (name && is_blank(line[name - 1]))
        name--;
    xr_warc_value *v = find_value(h, line, name);
    if (!v)
        return;
    for (colon++; colon < end && is_blank(*colon); colon++)
        ;
    while (end > colon && is_blank(end[-1]))
        end--;
    v->times++;
    snprintf(v->s, sizeof v->s, "%.*s", (int)(end - colon), colon);
}

/* Is the line WARC/0.17, 0.18, 1.0 or 1.1? */
static int right_version(const char *line, size_t n)
{
    static const char *const versions[] = { "WARC/1.0", "WARC/1.1", "WARC/0.17", "WARC/0.18" };
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++)
        if (strlen(versions[i]) == n && !memcmp(line, versions[i], n))
            return 1;
    return 0;
}

int xr_warc_header_parse(const char *s, size_t n, xr_warc_header *h)
{
    memset(h, 0, sizeof *h);
    for (size_t at = 0; at < n;) {
        const char *lf = memchr(s + at, '\n', n - at);
        size_t line = lf ? (size_t)(lf - s) - at : n - at, text = line && s[at + line - 1] == '\r' ? line - 1 : line;
        h->lf |= text == line;
        if (at == 0 && !right_version(s, text))
            return 0;
        parse_line(h, s + at, text);
        at += line + 1;
    }
    return n > 0;
}

int xr_warc_is(const xr_warc_value *v, const char *word)
{
    return !strcasecmp(v->s, word);
}

static void to_base32(const unsigned char digest[20], char text[33])
{
    for (size_t i = 0; i < 32; i++) {
        size_t bit = i * 5, byte = bit / 8;
        unsigned pair = (unsigned)digest[byte] << 8 | (byte + 1 < 20 ? digest[byte + 1] : 0u);
        text[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[pair >> (11 - bit % 8) & 31];
    }
    text[32] = 0;
}

int xr_warc_same_sha1(const char *text, const void *data, size_t n)
{
    unsigned char digest[20];
    char base32[33], hex[41];
    xr_sha1(data, n, digest);
    to_base32(digest, base32);
    for (size_t i = 0; i < 20; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return !strcasecmp(text, base32) || !strcasecmp(text, hex);
}
