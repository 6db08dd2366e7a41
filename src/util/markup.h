/* Text inside HTML, XHTML and SVG: what data say can never become markup. */
#ifndef XR_UTIL_MARKUP_H
#define XR_UTIL_MARKUP_H

#include "util/str.h"

/* Appends text with & < > " ' as references. Bytes that are no UTF-8 and characters that XML does not allow become U+FFFD. */
xr_status xr_markup_text(xr_str *out, const char *s, size_t len);

/* Appends `format`, in which every argument is a const char *, NULL for nothing: %s is text, %h markup as it stands, %% a per cent sign. */
xr_status xr_markup_put(xr_str *out, const char *format, ...);

#endif
