#include "train/batch_dump.h"

#include <errno.h>
#include <string.h>

#include "util/alloc.h"
#include "util/json.h"

xr_status xr_batch_dump_open(xr_batch_dump *d, const char *path, int append)
{
    d->path = path;
    d->file = fopen(path, append ? "a" : "w");
    return d->file ? XR_OK : xr_fail(XR_ECANTCREAT, "--dump-batches %s: cannot create: %s", path, strerror(errno));
}

/* Positions and targets of sequence s; *at is its first masked row and then that of the next sequence. */
static void add_targets(const xr_batch *b, size_t s, size_t *at, json_t *masked, json_t *targets)
{
    json_t *position = json_array(), *target = json_array();
    for (; *at < b->n_mask && b->mask_row[*at] < b->rows.offset[s + 1]; ++*at) {
        json_array_append_new(position, json_integer(b->mask_row[*at] - b->rows.offset[s]));
        json_array_append_new(target, json_integer(b->mask_target[*at]));
    }
    json_array_append_new(masked, position);
    json_array_append_new(targets, target);
}

static json_t *ids_of(const xr_batch *b)
{
    json_t *all = json_array();
    for (size_t s = 0; s < b->rows.n_seq; s++) {
        json_t *id = json_array();
        for (uint32_t row = b->rows.offset[s]; row < b->rows.offset[s + 1]; row++)
            json_array_append_new(id, json_integer(b->id[row]));
        json_array_append_new(all, id);
    }
    return all;
}

static void add_masked(json_t *line, const xr_batch *b)
{
    json_t *masked = json_array(), *targets = json_array();
    size_t at = 0;
    for (size_t s = 0; s < b->rows.n_seq; s++)
        add_targets(b, s, &at, masked, targets);
    json_object_set_new(line, "masked", masked);
    json_object_set_new(line, "targets", targets);
}

static void add_values(json_t *line, const xr_batch *b, size_t n)
{
    json_t *all = json_array();
    for (size_t s = 0; s < b->rows.n_seq; s++) {
        json_t *value = json_array();
        for (size_t k = 0; k < n; k++)
            json_array_append_new(value, json_real((double)b->target[s * n + k]));
        json_array_append_new(all, value);
    }
    json_object_set_new(line, "values", all);
}

static void add_labels(json_t *line, const xr_batch *b)
{
    json_t *labels = json_array(), *groups = json_array();
    for (size_t s = 0; s < (b->group ? b->n_group : b->rows.n_seq); s++)
        json_array_append_new(labels, json_integer(b->label[s]));
    for (size_t g = 0; g < b->n_group; g++)
        json_array_append_new(groups, json_integer(b->group[g + 1] - b->group[g]));
    json_object_set_new(line, "labels", labels);
    if (b->group)
        json_object_set(line, "choices", groups);
    json_decref(groups);
}

static void add_spans(json_t *line, const xr_batch *b)
{
    json_t *spans = json_array();
    for (size_t s = 0; s < b->rows.n_seq; s++)
        json_array_append_new(spans, json_pack("[ii]", (int)b->span[2 * s], (int)b->span[2 * s + 1]));
    json_object_set_new(line, "spans", spans);
}

json_t *xr_batch_json(const xr_batch *b, size_t n_targets, uint64_t step, int micro, double epoch)
{
    json_t *line = json_pack("{sI si sf so}", "step", (json_int_t)step, "micro", micro, "epoch", epoch, "ids", ids_of(b));
    if (line && b->mask_row)
        add_masked(line, b);
    else if (line && b->target)
        add_values(line, b, n_targets);
    else if (line && b->span)
        add_spans(line, b);
    else if (line && b->label)
        add_labels(line, b);
    return line;
}

xr_status xr_batch_dump_write(xr_batch_dump *d, const xr_batch *b, size_t n_targets, uint64_t step, int micro, double epoch)
{
    json_t *line = xr_batch_json(b, n_targets, step, micro, epoch);
    char *text = line ? xr_json_dump(line, 0) : NULL;
    json_decref(line);
    if (!text)
        return xr_fail(XR_ESYSTEM, "--dump-batches %s: no memory for a line", d->path);
    int bad = fprintf(d->file, "%s\n", text) < 0;
    xr_free(text);
    return bad ? xr_fail(XR_EIO, "--dump-batches %s: writing failed: %s", d->path, strerror(errno)) : XR_OK;
}

xr_status xr_batch_dump_close(xr_batch_dump *d)
{
    int bad = d->file && fclose(d->file) != 0;
    d->file = NULL;
    return bad ? xr_fail(XR_EIO, "--dump-batches %s: writing failed: %s", d->path, strerror(errno)) : XR_OK;
}
