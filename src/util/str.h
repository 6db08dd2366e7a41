/* Growable byte string, always NUL-terminated. Zero-initialise, free with xr_str_free. */
#ifndef XR_UTIL_STR_H
#define XR_UTIL_STR_H

#include <stddef.h>
#include "util/error.h"

typedef struct xr_str {
    char *s;    /* NULL while empty; otherwise s[len] == 0 */
    size_t len, cap;
} xr_str;

xr_status xr_str_append(xr_str *b, const char *s, size_t n);
xr_status xr_str_puts(xr_str *b, const char *s);
xr_status xr_str_putc(xr_str *b, char c);
xr_status xr_str_printf(xr_str *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void xr_str_clear(xr_str *b);           /* keeps the memory */
void xr_str_free(xr_str *b);

/* The formatted string, owned by the caller (xr_free); NULL with the error set. */
char *xr_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Edit distance; the nearest of `names` (n strings) within a third of the length, or NULL: for "did you mean". */
const char *xr_nearest(const char *word, const char *const *names, size_t n);

/* Decimal numbers independent of the locale (catalogue 15); 0 unless the whole string is a number of that type in range. */
int xr_parse_int(const char *s, long long *out);
int xr_parse_double(const char *s, double *out);
/* A time as options give it, 90s, 30m, 2h or 11:30 (hours:minutes), in seconds; < 0: none. */
double xr_parse_time(const char *s);

#endif
