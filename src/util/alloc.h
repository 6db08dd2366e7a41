/* The one way to allocate. Every function checks n x size, returns NULL with the error set (XR_ESYSTEM) when memory is
 * out, and counts; the library never exits on its own. All memory is zeroed. */
#ifndef XR_UTIL_ALLOC_H
#define XR_UTIL_ALLOC_H

#include <stddef.h>
#include "util/error.h"

void *xr_alloc(size_t n, size_t size);                              /* zeroed; n = 0 gives a unique pointer */
void *xr_realloc(void *p, size_t n, size_t size);                   /* p may be NULL; added bytes are not zeroed; on failure p stays valid */
char *xr_strdup(const char *s);
char *xr_strndup(const char *s, size_t n);
void xr_free(void *p);                                              /* NULL is fine */

/* Grows *array (elements of `size` bytes) so that it holds at least `need` elements; doubles. *cap is updated. */
xr_status xr_grow(void *array_pointer, size_t *cap, size_t need, size_t size);

/* Large blocks straight from the kernel: zeroed, 2 MiB aligned when large, paged in on first touch.
 * huge = 1 asks for transparent huge pages; 0 keeps small pages so that untouched rows cost nothing. */
void *xr_map_alloc(size_t bytes, int huge);
void xr_map_free(void *p, size_t bytes);
/* The whole pages of a part of a read-only file mapping stop being this process's; who reads them after all gets them from the file again. */
void xr_map_drop(const void *p, size_t bytes);

/* Bytes of a piece of a block that another piece follows: each starts on a cache line. */
static inline size_t xr_whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }

/* Test hook: the k-th allocation from now (k = 0 is the next) and all later ones fail; negative switches off. */
void xr_alloc_fail_after(long k);
long xr_alloc_live(void); /* blocks from this file not yet freed */

#endif
