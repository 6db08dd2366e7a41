/* A packed set of rows: which token of which sample each row of a [N, D] matrix is.
 *
 * B sequences stand one after another without padding. The full set holds every token; a pruned set (after the last layer's
 * keys and values) holds only the rows that are consumed. Invariants: offset[0] = 0, offset[n_seq] = n, offset is
 * non-decreasing, index increases within a sequence. */
#ifndef XR_UTIL_ROWSET_H
#define XR_UTIL_ROWSET_H

#include <stddef.h>
#include <stdint.h>

typedef struct xr_rowset {
    size_t n;                   /* rows */
    size_t n_seq;               /* B */
    const uint32_t *offset;     // [B+1] first row of each sequence
    const uint32_t *sample;     // [B] identity of the sample within the run: the random-number counter's word
    const uint32_t *index;      // [n] token index within its sequence
    const uint32_t *seq;        // [n] sequence of the row
} xr_rowset;

#endif
