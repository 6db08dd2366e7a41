/* Filling a packed batch: one row per token, sequences one after another. */
#include <string.h>
#include "data/batch.h"
#include "util/alloc.h"

void xr_batch_clear(xr_batch_buffer *b)
{
    memset(&b->view, 0, sizeof b->view);
    b->n = b->n_seq = b->n_label = b->n_target = b->n_mask = b->n_group = b->n_span = 0;
}

static size_t doubled(size_t cap, size_t need)
{
    cap = cap ? cap : 64;
    while (cap < need)
        cap *= 2;
    return cap;
}

/* Arrays that share a capacity: on failure the capacity stays and every array is still valid. */
static xr_status grow_rows(xr_batch_buffer *b, size_t need)
{
    if (need <= b->cap_n)
        return XR_OK;
    size_t cap = doubled(b->cap_n, need);
    int32_t *id = xr_realloc(b->id, cap, sizeof *id);
    b->id = id ? id : b->id;
    uint32_t *index = id ? xr_realloc(b->index, cap, sizeof *index) : NULL;
    b->index = index ? index : b->index;
    uint32_t *seq = index ? xr_realloc(b->seq, cap, sizeof *seq) : NULL;
    b->seq = seq ? seq : b->seq;
    if (!seq)
        return xr_error_status();
    b->cap_n = cap;
    return XR_OK;
}

static xr_status grow_sequences(xr_batch_buffer *b, size_t need)
{
    if (need <= b->cap_seq)
        return XR_OK;
    size_t cap = doubled(b->cap_seq, need);
    uint32_t *offset = xr_realloc(b->offset, cap + 1, sizeof *offset);
    b->offset = offset ? offset : b->offset;
    uint32_t *sample = offset ? xr_realloc(b->sample, cap, sizeof *sample) : NULL;
    b->sample = sample ? sample : b->sample;
    int32_t *label = sample ? xr_realloc(b->label, cap, sizeof *label) : NULL;
    b->label = label ? label : b->label;
    if (!label)
        return xr_error_status();
    b->cap_seq = cap;
    return XR_OK;
}

xr_status xr_batch_add(xr_batch_buffer *b, const int32_t *id, size_t n, uint32_t sample)
{
    if (n > UINT32_MAX - b->n)
        return xr_fail(XR_EDATA, "a batch of more than %u tokens; use a smaller batch", UINT32_MAX);
    XR_TRY(grow_rows(b, b->n + n));
    XR_TRY(grow_sequences(b, b->n_seq + 1));
    memcpy(b->id + b->n, id, n * sizeof *id);
    for (size_t i = 0; i < n; i++) {
        b->index[b->n + i] = (uint32_t)i;
        b->seq[b->n + i] = (uint32_t)b->n_seq;
    }
    b->offset[b->n_seq] = (uint32_t)b->n;
    b->sample[b->n_seq++] = sample;
    b->n += n;
    b->offset[b->n_seq] = (uint32_t)b->n;
    b->view.max_len = n > b->view.max_len ? n : b->view.max_len;
    return XR_OK;
}

xr_status xr_batch_end_group(xr_batch_buffer *b)
{
    XR_ASSERT(b->n_seq > (b->n_group ? b->group[b->n_group] : 0), "group %zu has no sequence", b->n_group);
    XR_TRY(xr_grow(&b->group, &b->cap_group, b->n_group + 2, sizeof *b->group));
    b->group[0] = 0;
    b->group[++b->n_group] = (uint32_t)b->n_seq;
    return XR_OK;
}

/* What has a label. */
static size_t n_units(const xr_batch_buffer *b) { return b->n_group ? b->n_group : b->n_seq; }

xr_status xr_batch_add_label(xr_batch_buffer *b, int32_t label)
{
    XR_ASSERT(b->n_label + 1 == n_units(b), "%zu labels for %zu sequences", b->n_label + 1, n_units(b));
    b->label[b->n_label++] = label;
    return XR_OK;
}

xr_status xr_batch_add_target(xr_batch_buffer *b, const float *target, size_t c)
{
    XR_ASSERT(b->n_target == (b->n_seq - 1) * c, "%zu values before sequence %zu of width %zu", b->n_target, b->n_seq,
              c);
    XR_TRY(xr_grow(&b->target, &b->cap_target, b->n_target + c, sizeof *b->target));
    memcpy(b->target + b->n_target, target, c * sizeof *target);
    b->n_target += c;
    return XR_OK;
}

xr_status xr_batch_add_mask(xr_batch_buffer *b, uint32_t row, int32_t target)
{
    XR_ASSERT(row < b->n && (!b->n_mask || row > b->mask_row[b->n_mask - 1]), "row %u of %zu is not ascending", row,
              b->n);
    if (b->n_mask == b->cap_mask) {
        size_t cap = doubled(b->cap_mask, b->n_mask + 1);
        uint32_t *rows = xr_realloc(b->mask_row, cap, sizeof *rows);
        b->mask_row = rows ? rows : b->mask_row;
        int32_t *targets = rows ? xr_realloc(b->mask_target, cap, sizeof *targets) : NULL;
        b->mask_target = targets ? targets : b->mask_target;
        if (!targets)
            return xr_error_status();
        b->cap_mask = cap;
    }
    b->mask_row[b->n_mask] = row;
    b->mask_target[b->n_mask++] = target;
    return XR_OK;
}

xr_status xr_batch_add_span(xr_batch_buffer *b, uint32_t start, uint32_t end)
{
    XR_ASSERT(b->n_span + 2 == 2 * b->n_seq, "%zu spans for %zu sequences", b->n_span / 2 + 1, b->n_seq);
    XR_TRY(xr_grow(&b->span, &b->cap_span, b->n_span + 2, sizeof *b->span));
    b->span[b->n_span++] = start;
    b->span[b->n_span++] = end;
    return XR_OK;
}

const xr_batch *xr_batch_finish(xr_batch_buffer *b)
{
    XR_ASSERT(b->n_label == 0 || b->n_label == n_units(b), "%zu labels for %zu sequences", b->n_label, n_units(b));
    XR_ASSERT(b->n_group == 0 || b->group[b->n_group] == b->n_seq, "%zu sequences, of which %u in groups", b->n_seq, b->group[b->n_group]);
    b->view.rows = (xr_rowset){
        .n = b->n, .n_seq = b->n_seq, .offset = b->offset, .sample = b->sample, .index = b->index, .seq = b->seq
    };
    b->view.id = b->id;
    b->view.group = b->n_group ? b->group : NULL;
    b->view.n_group = b->n_group;
    b->view.label = b->n_label ? b->label : NULL;
    b->view.target = b->n_target ? b->target : NULL;
    b->view.span = b->n_span ? b->span : NULL;
    b->view.n_mask = b->n_mask;
    b->view.mask_row = b->n_mask ? b->mask_row : NULL;
    b->view.mask_target = b->n_mask ? b->mask_target : NULL;
    return &b->view;
}

void xr_batch_free(xr_batch_buffer *b)
{
    xr_free(b->offset);
    xr_free(b->sample);
    xr_free(b->index);
    xr_free(b->seq);
    xr_free(b->mask_row);
    xr_free(b->span);
    xr_free(b->group);
    xr_free(b->id);
    xr_free(b->label);
    xr_free(b->mask_target);
    xr_free(b->target);
    memset(b, 0, sizeof *b);
}
