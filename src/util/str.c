/* Growable strings, edit distance, and numbers that do not depend on the locale. */
#include "util/str.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"

static xr_status reserve(xr_str *b, size_t more)
{
    if (more >= SIZE_MAX - b->len)
        return xr_fail(XR_ESYSTEM, "out of memory: a string of more than %zu bytes", SIZE_MAX);
    return xr_grow(&b->s, &b->cap, b->len + more + 1, 1);
}

xr_status xr_str_append(xr_str *b, const char *s, size_t n)
{
    XR_TRY(reserve(b, n));
    if (n)
        memcpy(b->s + b->len, s, n);
    b->len += n;
    b->s[b->len] = 0;
    return XR_OK;
}

xr_status xr_str_puts(xr_str *b, const char *s)
{
    return xr_str_append(b, s, strlen(s));
}

xr_status xr_str_putc(xr_str *b, char c)
{
    return xr_str_append(b, &c, 1);
}

static xr_status append_formatted(xr_str *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        return xr_fail(XR_ESOFTWARE, "a text could not be formatted (\"%s\"); please report this", format);
    XR_TRY(reserve(b, (size_t)n));
    vsnprintf(b->s + b->len, (size_t)n + 1, format, args);
    b->len += (size_t)n;
    return XR_OK;
}

xr_status xr_str_printf(xr_str *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    xr_status status = append_formatted(b, format, args);
    va_end(args);
    return status;
}

void xr_str_clear(xr_str *b)
{
    b->len = 0;
    if (b->s)
        b->s[0] = 0;
}

void xr_str_free(xr_str *b)
{
    xr_free(b->s);
    *b = (xr_str){ 0 };
}

char *xr_asprintf(const char *format, ...)
{
    xr_str b = { 0 };
    va_list args;
    va_start(args, format);
    xr_status status = append_formatted(&b, format, args);
    va_end(args);
    if (status < 0) {
        xr_str_free(&b);
        return NULL;
    }
    return b.s;
}

enum { WORD_CAP = 64 };

/* Edit distance with adjacent swaps (optimal string alignment), by three rows of the usual table. Both lengths <=
 * WORD_CAP. */
static size_t edit_distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t rows[3][WORD_CAP + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++)
        above[j] = j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[m];
}

const char *xr_nearest(const char *word, const char *const *names, size_t n)
{
    const char *nearest = NULL;
    size_t len = strlen(word), best = (len + 2) / 3;
    if (len > WORD_CAP)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > WORD_CAP)
            continue;
        size_t d = edit_distance(word, len, names[i], name_len);
        if (d < best || (d == best && !nearest && d < name_len)) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

static const char *skip_sign(const char *s)
{
    return *s == '+' || *s == '-' ? s + 1 : s;
}

int xr_parse_int(const char *s, long long *out)
{
    const char *digits = skip_sign(s), *end = skip_digits(digits);
    if (end == digits || *end)
        return 0;
    errno = 0;
    long long value = strtoll(s, NULL, 10);
    if (errno)
        return 0;
    *out = value;
    return 1;
}

/* sign? (digits ('.' digits?)? | '.' digits) ([eE] sign? digits)? and nothing else. */
static int is_decimal(const char *s)
{
    const char *whole = skip_sign(s), *p = skip_digits(whole);
    size_t n = (size_t)(p - whole);
    if (*p == '.') {
        const char *fraction = skip_digits(p + 1);
        n += (size_t)(fraction - (p + 1));
        p = fraction;
    }
    if (n == 0)
        return 0;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = skip_sign(p + 1);
        p = skip_digits(exponent);
        if (p == exponent)
            return 0;
    }
    return *p == 0;
}

int xr_parse_double(const char *s, double *out)
{
    if (!is_decimal(s))
        return 0;
    /* The "C" locale object is static in the C library: nothing is allocated and nothing must be freed. */
    double value = strtod_l(s, NULL, newlocale(LC_ALL_MASK, "C", (locale_t)0));
    if (!isfinite(value))
        return 0;
    *out = value;
    return 1;
}

double xr_parse_time(const char *s)
{
    static const char units[] = "smh";
    long long hours, minutes;
    char number[32], *colon;
    size_t n = strlen(s);
    if (n < 2 || n >= sizeof number)
        return -1.0;
    memcpy(number, s, n + 1);
    if ((colon = strchr(number, ':'))) {
        *colon = 0;
        if (!xr_parse_int(number, &hours) || !xr_parse_int(colon + 1, &minutes) || hours < 0 || hours > 100000 || minutes < 0 || minutes > 59)
            return -1.0;
        return 3600.0 * (double)hours + 60.0 * (double)minutes;
    }
    const char *unit = strchr(units, number[n - 1]);
    double value;
    number[n - 1] = 0;
    if (!unit || !xr_parse_double(number, &value) || !(value >= 0.0 && value < 1e9))
        return -1.0;
    return value * (*unit == 's' ? 1.0 : *unit == 'm' ? 60.0 : 3600.0);
}
