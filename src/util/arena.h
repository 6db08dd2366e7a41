/* A bump arena: one mapping of address space, released as a whole or back to a mark. */
#ifndef XR_UTIL_ARENA_H
#define XR_UTIL_ARENA_H

#include <stddef.h>
#include "util/error.h"

typedef struct xr_arena {
    char *base;         /* NULL while dry */
    size_t used;        /* bytes handed out */
    size_t reserved;    /* address space; pages come in on first touch */
    size_t peak;        /* high-water mark of used */
} xr_arena;

/* Reserves address space only. bytes = 0 makes a dry arena: xr_arena_get counts and returns NULL. */
xr_status xr_arena_init(xr_arena *a, size_t bytes);
void xr_arena_free(xr_arena *a);

/* 64-byte aligned, not zeroed. NULL with XR_ESYSTEM when the reservation is exhausted (or, by design, in a dry arena). */
void *xr_arena_get(xr_arena *a, size_t n, size_t size);
size_t xr_arena_mark(const xr_arena *a);
void xr_arena_release(xr_arena *a, size_t mark);

#endif
