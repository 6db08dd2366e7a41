#include "train/estimate.h"

#include "model/head.h"
#include "util/alloc.h"

/* Ids that are no special tokens, spread over the vocabulary. */
static void make_ids(int32_t *id, size_t n, size_t s, int vocabulary)
{
    int first = vocabulary > 16 ? 5 : 0;
    for (size_t i = 0; i < n; i++)
        id[i] = first + (int32_t)((s * 7919 + i * 104729) % (size_t)(vocabulary - first));
}

/* Rows with targets of sequence s; *at walks those of the batch. */
static xr_status add_masks(xr_batch_buffer *out, const xr_batch *like, size_t s, size_t *at)
{
    for (; *at < like->n_mask && like->mask_row[*at] < like->rows.offset[s + 1]; (*at)++)
        XR_TRY(xr_batch_add_mask(out, like->mask_row[*at], 0));
    return XR_OK;
}

static xr_status add_values(xr_batch_buffer *out, const xr_model *m)
{
    size_t n = (size_t)m->config.num_labels;
    float *target = xr_alloc(n, sizeof *target);
    xr_status status = target ? xr_batch_add_target(out, target, n) : xr_error_status();
    xr_free(target);
    return status;
}

/* The target of sequence s, by what the head wants; a group's stands behind its last sequence. */
static xr_status add_target(xr_batch_buffer *out, const xr_batch *like, size_t s, const xr_model *m)
{
    xr_problem problem = m->config.problem;
    if (m->head->reads == XR_READS_ALL)
        return xr_batch_add_span(out, 0, 0);
    if (m->head->reads == XR_READS_TARGETS)
        return XR_OK;
    if (problem == XR_PROBLEM_REGRESSION || problem == XR_PROBLEM_MULTI_LABEL)
        return add_values(out, m);
    if (problem != XR_PROBLEM_CHOICE)
        return xr_batch_add_label(out, 0);
    for (size_t g = 0; like->group && g < like->n_group; g++)
        if (like->group[g + 1] == s + 1) {
            XR_TRY(xr_batch_end_group(out));
            return xr_batch_add_label(out, 0);
        }
    return XR_OK;
}

static xr_status copy(xr_batch_buffer *out, const xr_batch *like, size_t n_seq, const xr_model *m, int32_t *id)
{
    size_t at = 0;
    for (size_t s = 0; s < n_seq; s++) {
        size_t len = like->rows.offset[s + 1] - like->rows.offset[s];
        make_ids(id, len, s, m->config.vocab_size);
        XR_TRY(xr_batch_add(out, id, len, (uint32_t)s));
        XR_TRY(add_masks(out, like, s, &at));
        XR_TRY(add_target(out, like, s, m));
    }
    return XR_OK;
}

/* Questions are not cut in the middle. */
static size_t whole_groups(const xr_batch *like, size_t n_seq)
{
    size_t g = 0;
    if (!like->group)
        return n_seq < like->rows.n_seq ? n_seq : like->rows.n_seq;
    while (g < like->n_group && (g == 0 || like->group[g + 1] <= n_seq))
        g++;
    return like->group[g];
}

xr_status xr_estimate_batch(xr_batch_buffer *out, const xr_batch *like, size_t n_seq, const xr_model *m)
{
    int32_t *id = xr_alloc(like->max_len, sizeof *id);
    xr_batch_clear(out);
    xr_status status = id ? copy(out, like, whole_groups(like, n_seq), m, id) : xr_error_status();
    if (status == XR_OK && !xr_batch_finish(out))
        status = xr_error_status();
    xr_free(id);
    return status;
}

static xr_status dry_run(xr_tape *t, xr_model *m, const xr_batch *batch, int train)
{
    xr_tape_begin(t, train, train, 0, 0);
    xr_tensor *y = m->head->reads == XR_READS_TARGETS || train ? m->head->loss(t, m, batch, NULL) : m->head->forward(t, m, batch);
    return train ? xr_backward(t, y, NULL) : xr_tape_status(t);
}

xr_status xr_estimate_tape(xr_tape_bytes *out, xr_model *m, const xr_batch *batch, int train)
{
    xr_tape *t = xr_tape_new(0);
    xr_status status = t ? dry_run(t, m, batch, train) : xr_error_status();
    if (status == XR_OK)
        *out = xr_tape_peaks(t);
    xr_tape_free(t);
    return status;
}
