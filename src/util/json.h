/* The jansson border: strict parsing (duplicate keys, trailing bytes, NaN refused) with messages that name file and line. */
#ifndef XR_UTIL_JSON_H
#define XR_UTIL_JSON_H

#include <jansson.h>
#include "util/error.h"
#include "util/str.h"

/* Parses a whole document. `where` is a path, or "path:line" for one line of a file, and starts the message. NULL with XR_EDATA set. */
json_t *xr_json_parse(const char *text, size_t len, const char *where);
json_t *xr_json_file(const char *path, size_t cap);
/* XR_EDATA of a line that only begins a list or an object over several lines, with what makes JSON lines of it; callers put the place before it. */
xr_status xr_json_check_line(const char *line, size_t len);
/* xr_json_parse of one of JSON lines, which is checked so. */
json_t *xr_json_line(const char *line, size_t len, const char *where);

/* Serialises compactly and byte-stably (sorted = 0 keeps insertion order); caller frees. indent 0 = one line. */
char *xr_json_dump(const json_t *j, int indent);
xr_status xr_json_write(const char *path, const json_t *j, int indent); /* atomically, final newline */

/* Shortest decimal that reads back as the same float/double, locale-free: "0.1", "1e-05"; "nan", "inf" as strings are the caller's job. */
xr_status xr_str_float(xr_str *b, float x);
xr_status xr_str_double(xr_str *b, double x);
xr_status xr_str_json_string(xr_str *b, const char *s, size_t len); /* quoted and escaped, UTF-8 kept */

#endif
