/* A batch: B sequences packed one after another, N real tokens, no padding. Borrowed from the loader until its next
 * call. */
#ifndef XR_DATA_BATCH_H
#define XR_DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>
#include "util/rowset.h"

typedef struct xr_batch {
    xr_rowset rows; /* all N tokens; rows.n_seq = B; rows.sample identifies each sequence for the random numbers */
    const int32_t *id;          // [N] token ids
    size_t max_len;             /* longest sequence */

    /* Sequences that belong together: the choices of a question. NULL where each stands for itself. */
    const uint32_t *group;      // [n_group + 1] first sequence of each
    size_t n_group;

    /* targets; NULL where the task has none */
    const int32_t *label;       // [B] class, or [n_group] the right one of a group
    const float *target;        // [B, C] regression values or 0/1 labels
    const float *class_weight;  // [C] or NULL
    float smoothing;            /* label smoothing, 0 = off */
    /* Rows with a target of their own: the masked positions and the true ids there, or the first pieces of words and their tags
     * (-1 where the data have none: such a batch is for scoring). */
    const uint32_t *mask_row;   // [n_mask] ascending
    const int32_t *mask_target; // [n_mask]
    size_t n_mask;
    const uint32_t *span;       // [B, 2] rows, within the sequence, of an answer's first and last piece
} xr_batch;

/* A batch that owns its arrays, filled one sequence at a time. */
typedef struct xr_batch_buffer {
    xr_batch view;              /* valid after xr_batch_finish */
    uint32_t *offset, *sample, *index, *seq, *mask_row, *group, *span;
    int32_t *id, *label, *mask_target;
    float *target;
    size_t n, n_seq, n_label, n_target, n_mask, n_group, n_span, cap_n, cap_seq, cap_target, cap_mask, cap_group, cap_span;
} xr_batch_buffer;

#include "util/error.h"
void xr_batch_clear(xr_batch_buffer *b);
xr_status xr_batch_add(xr_batch_buffer *b, const int32_t *id, size_t n, uint32_t sample);   /* one sequence */
xr_status xr_batch_end_group(xr_batch_buffer *b);       /* of the sequences added since the last */
xr_status xr_batch_add_label(xr_batch_buffer *b, int32_t label); /* of the sequence just added, or the group just ended */
xr_status xr_batch_add_target(xr_batch_buffer *b, const float *target, size_t c);
xr_status xr_batch_add_mask(xr_batch_buffer *b, uint32_t row, int32_t target); /* absolute row, ascending */
xr_status xr_batch_add_span(xr_batch_buffer *b, uint32_t start, uint32_t end); /* rows of the sequence just added */
const xr_batch *xr_batch_finish(xr_batch_buffer *b);
void xr_batch_free(xr_batch_buffer *b);

#endif
