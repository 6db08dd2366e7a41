/* XXH3-128, for digests that guard against accidents (SHA-256 in fs.h guards identity). */
#ifndef XR_UTIL_XXH_H
#define XR_UTIL_XXH_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef struct xr_xxh xr_xxh;

xr_xxh *xr_xxh_new(void);                               /* NULL with the error set */
void xr_xxh_update(xr_xxh *h, const void *data, size_t len);
void xr_xxh_final(xr_xxh *h, char hex[33]);             /* 32 hex digits (canonical order) and NUL; frees h */

xr_status xr_xxh_file(const char *path, char hex[33]);  /* of a whole file */
uint64_t xr_xxh64(const void *data, size_t len);        /* XXH3-64, for hash tables */

#endif
