/* Row sets of a batch in the tape's memory, and the dry run that sizes a tape. */
#include "model/head.h"
#include "model/model.h"

#include "util/alloc.h"

const xr_rowset *xr_rows_pick(xr_tape *t, const xr_batch *batch, const uint32_t *row, size_t n)
{
    const xr_rowset *all = &batch->rows;
    xr_rowset *r = xr_tape_get(t, 1, sizeof *r);
    uint32_t *a = xr_tape_get(t, all->n_seq + 1 + 2 * n, sizeof *a);
    if (!r || !a)
        return NULL;
    uint32_t *offset = a, *index = a + all->n_seq + 1, *seq = index + n;
    size_t k = 0;
    for (size_t b = 0; b < all->n_seq; b++) {
        offset[b] = (uint32_t)k;
        for (; k < n && row[k] < all->offset[b + 1]; k++) {
            index[k] = all->index[row[k]];
            seq[k] = (uint32_t)b;
        }
    }
    XR_ASSERT(k == n, "%zu of %zu rows placed: not ascending, or outside the batch of %zu rows", k, n, all->n);
    offset[all->n_seq] = (uint32_t)n;
    *r = (xr_rowset){ n, all->n_seq, offset, all->sample, index, seq };
    return r;
}

const xr_rowset *xr_rows_first(xr_tape *t, const xr_batch *batch)
{
    return xr_rows_pick(t, batch, batch->rows.offset, batch->rows.n_seq);
}

const uint32_t *xr_rows_absolute(xr_tape *t, const xr_batch *batch, const xr_rowset *need)
{
    uint32_t *row = xr_tape_get(t, need->n, sizeof *row);
    for (size_t r = 0; row && r < need->n; r++)
        row[r] = batch->rows.offset[need->seq[r]] + need->index[r];
    return row;
}

/* A batch of the given size with one sequence of max_len, for shapes only. */
static xr_status fill_shape_batch(xr_batch_buffer *b, size_t n_tokens, size_t n_seq, size_t max_len, size_t n_masked)
{
    int32_t *id = xr_alloc(max_len, sizeof *id);
    if (!id)
        return xr_error_status();
    size_t left = n_tokens;
    for (uint32_t s = 0; s < n_seq && left > 0; s++) {
        size_t rest = n_seq - s - 1;                        /* every later sequence keeps at least one token */
        size_t len = left - rest < max_len ? left - rest : max_len;
        if (xr_batch_add(b, id, len, s) < 0)
            break;
        left -= len;
    }
    for (uint32_t r = 0; r < n_masked && r < n_tokens - left; r++)
        if (xr_batch_add_mask(b, r, 0) < 0)
            break;
    xr_free(id);
    return xr_error_status();
}

size_t xr_model_reserve(xr_model *m, size_t n_tokens, size_t n_seq, size_t max_len, size_t n_masked, int train)
{
    xr_batch_buffer buffer = { 0 };
    xr_tape *t = xr_tape_new(0);
    size_t bytes = 0;
    if (n_seq > n_tokens)
        n_seq = n_tokens;
    if (n_seq * max_len < n_tokens)
        n_seq = (n_tokens + max_len - 1) / max_len;
    if (t && fill_shape_batch(&buffer, n_tokens, n_seq, max_len, n_masked) == XR_OK) {
        const xr_batch *batch = xr_batch_finish(&buffer);
        int recompute = m->recompute;
        m->recompute = 0;               /* address space only: the larger of the two plans fits both */
        xr_tape_begin(t, train, train, 0, 0);
        if (train && m->head)
            xr_backward(t, m->head->loss(t, m, batch, NULL), NULL);
        else if (m->head)
            m->head->forward(t, m, batch);
        if (!train && xr_tape_status(t) == XR_OK) {        /* hidden states: the last layer for every row, not only for the head's */
            xr_tape_begin(t, 0, 0, 0, 0);
            xr_encode(t, m, batch, NULL, NULL);
        }
        m->recompute = recompute;
        if (xr_tape_status(t) == XR_OK)
            bytes = xr_tape_peak(t) + xr_tape_peak(t) / 8 + ((size_t)64 << 20);
    }
    xr_batch_free(&buffer);
    xr_tape_free(t);
    return bytes;
}
