/* Exact removal of paragraphs that were seen before, as cc_net does it in one pass: the first of equal ones stays.
 *
 * Equal are paragraphs that are the same without white space around them, in lower case, with every digit 0 and without control characters and
 * the punctuation that cc_net lists (full-width marks, typographic quotes, dashes; ASCII punctuation counts). Compared are 64-bit hashes: of a
 * million paragraphs one is lost by chance with a probability of 3e-8. */
#ifndef XR_DATA_DEDUP_H
#define XR_DATA_DEDUP_H

#include <stddef.h>
#include <stdint.h>
#include "util/str.h"

typedef struct xr_dedup {
    uint64_t *slot;             // [size] hash, 0 = free
    size_t n, size;             /* size: a power of two */
    xr_str normal;
} xr_dedup;                     /* zero-initialise; xr_dedup_free */

int xr_dedup_seen(xr_dedup *d, const char *text, size_t len);   /* 1 seen before, 0 not (now it is), < 0 out of memory; text is UTF-8 */
void xr_dedup_free(xr_dedup *d);
xr_status xr_dedup_normal(const char *text, size_t len, xr_str *out);   /* what is compared, appended */

#endif
