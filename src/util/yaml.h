/* The border to libyaml: flat configuration files, read strictly.
 *
 * A file is one mapping. A value is a scalar, a list of scalars, or a section: a mapping of the first two kinds whose keys
 * are passed on by themselves, as if they stood at the top. Types are the caller's business: every scalar is passed as
 * text, so that 1e-4, 1e4 and .1 need no YAML rules. Refused with XR_ECONFIG and the line: a key that appears twice
 * (dashes and underscores are the same), aliases, anchors, tags, directives, a second document, empty lists, deeper
 * nesting, bad UTF-8. */
#ifndef XR_UTIL_YAML_H
#define XR_UTIL_YAML_H

#include <stddef.h>
#include "util/error.h"

#define XR_YAML_CAP ((size_t)1 << 20)

/* One scalar; a list comes as one call per item, in order. A status below zero ends the reading and is passed on, with
 * "path:line: " put before its message. key and value are borrowed. */
typedef xr_status (*xr_yaml_item)(const char *key, const char *value, size_t line, void *ctx);

xr_status xr_yaml_read(const char *path, xr_yaml_item item, void *ctx);
/* The same from memory; `where` starts the messages. */
xr_status xr_yaml_parse(const char *text, size_t len, const char *where, xr_yaml_item item, void *ctx);

#endif
