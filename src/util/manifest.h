/* A manifest: the JSON file of a folder that names its files with their sizes and XXH3-128 digests, and ends with the digest of itself. What else is in it
 * is its kind's business. */
#ifndef XR_UTIL_MANIFEST_H
#define XR_UTIL_MANIFEST_H

#include "util/json.h"

/* XXH3-128 of the text of a JSON value, on one line. */
xr_status xr_json_digest(const json_t *j, char hex[33]);

/* Adds DIR/NAME, as it can be read back, to the object that is to be the manifest's "files". */
xr_status xr_manifest_add(json_t *files, const char *dir, const char *name);
/* Writes it with the digest of itself, which becomes part of `manifest`. */
xr_status xr_manifest_write(const char *path, json_t *manifest);

/* The manifest without its digest, after that was checked; caller's. Its "files" is an object of plain names. NULL with XR_EDATA set when it is of another
 * `format` or a version newer than `newest`, or was changed. */
json_t *xr_manifest_read(const char *path, const char *format, int newest);
/* DIR/NAME against its entry in "files". XR_EDATA: it is there and is another one; `remedy` ends the message. */
xr_status xr_manifest_check(const char *dir, const char *name, const json_t *entry, const char *remedy);

#endif
