/* The state of a run as one table of named rows: whatever must survive a restart is in it. A checkpoint writes the table, the digest
 * covers it, so that two runs with the same digest are the same run. */
#ifndef XR_TRAIN_STATE_H
#define XR_TRAIN_STATE_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef enum xr_state_type { XR_STATE_F32, XR_STATE_F64, XR_STATE_U64, XR_STATE_BF16 } xr_state_type;

typedef struct xr_state_row {
    char *name;                 /* "param/roberta…", "moment0/roberta…", "run/step" */
    xr_state_type type;
    size_t n;
    void *data;                 /* borrowed from its owner */
} xr_state_row;

size_t xr_state_size(xr_state_type type);   /* bytes of an element */

typedef struct xr_state { xr_state_row *row; size_t n, cap; } xr_state;

xr_status xr_state_add(xr_state *s, xr_state_type type, void *data, size_t n, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
const xr_state_row *xr_state_find(const xr_state *s, const char *name);
void xr_state_free(xr_state *s);

/* XXH3-128 over names, types, sizes and contents, in order: 32 hex digits. Bytes as they lie in memory (little-endian machines). Rows under log/ are
 * left out: where the logs stand decides nothing about the run. */
xr_status xr_state_digest(const xr_state *s, char hex[33]);

#endif
