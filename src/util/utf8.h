/* UTF-8 as Unicode 15 (section 3.9, table 3-7) defines it: no overlong forms, no surrogates, nothing over U+10FFFF. */
#ifndef XR_UTIL_UTF8_H
#define XR_UTIL_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/str.h"

/* Offset of the first byte that does not belong to well-formed UTF-8; len when all of it is well-formed. */
size_t xr_utf8_check(const char *s, size_t len);

/* The code point at s (len > 0) and its size in bytes; U+FFFD and size 1 where s is not well-formed. */
uint32_t xr_utf8_decode(const char *s, size_t len, size_t *size);

/* Appends s with U+FFFD for each ill-formed part, as Unicode recommends (section 3.9, "maximal subparts") and Python does. */
xr_status xr_utf8_repair(xr_str *out, const char *s, size_t len);

size_t xr_utf8_count(const char *s, size_t len);    /* code points; every ill-formed byte counts as one */

/* Python's str.isspace for one code point: Unicode's White_Space and U+001C to U+001F. */
int xr_utf8_is_space(uint32_t c);

/* White space, and what XLM-R's tokenizer makes a blank too: zero-width characters, marks of direction, U+FEFF and U+FFFD. */
int xr_utf8_is_blank(uint32_t c);

uint32_t xr_utf8_lower(uint32_t c);     /* of characters whose lower case is one character; others as they are */
int xr_utf8_is_digit(uint32_t c);       /* a decimal digit of any script (Nd) */
int xr_utf8_is_punctuation(uint32_t c); /* of any script (general category P*; not the ASCII symbols $+<=>^`|~) */
int xr_utf8_is_word(uint32_t c);        /* what Python's \w matches: letters, numbers and _, but no combining marks */

/* Appends one character. */
xr_status xr_utf8_append(xr_str *out, uint32_t c);
/* Appends well-formed s as Python's str.lower gives it: also where one character becomes two (U+0130), and a capital sigma by its neighbours. */
xr_status xr_utf8_append_lower(xr_str *out, const char *s, size_t len);

/* Appends text fit for one line of a terminal: tab, LF and CR become spaces; other C0, C1 and bidi controls, DEL and
 * ill-formed bytes become U+FFFD. */
xr_status xr_utf8_printable(xr_str *out, const char *s, size_t len);

#endif
