/* Masked batches by update: every sequence follows from its number in the run. */
#include "data/mlm_loader.h"

#include <string.h>

#include "util/alloc.h"

#define VALIDATION_EPOCH UINT32_MAX

struct xr_mlm_loader {
    xr_blocks *blocks;
    const xr_sampling *sampling;
    xr_masking masking;
    size_t batch_size, micro_size;
    uint64_t step;              /* the prepared update */
    int untargeted;             /* chance gives it no target at all */
    int32_t *id, *target;       // [length] of one block
    uint32_t *position;         // [length]
    xr_batch_buffer batch;
};

static xr_status alloc_block(xr_mlm_loader *l)
{
    size_t n = xr_blocks_length(l->blocks);
    l->id = xr_alloc(n, sizeof *l->id);
    l->target = l->id ? xr_alloc(n, sizeof *l->target) : NULL;
    l->position = l->target ? xr_alloc(n, sizeof *l->position) : NULL;
    return l->position ? XR_OK : xr_error_status();
}

xr_mlm_loader *xr_mlm_loader_new(xr_blocks *blocks, const xr_sampling *sampling, const xr_masking *masking, size_t batch_size, size_t micro_size)
{
    XR_ASSERT(batch_size > 0, "batch size %zu", batch_size);
    xr_mlm_loader *l = xr_alloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->blocks = blocks;
    l->sampling = sampling;
    l->masking = *masking;
    l->batch_size = batch_size;
    l->micro_size = micro_size && micro_size < batch_size ? micro_size : batch_size;
    if (alloc_block(l) < 0) {
        xr_mlm_loader_free(l);
        return NULL;
    }
    return l;
}

void xr_mlm_loader_free(xr_mlm_loader *l)
{
    if (!l)
        return;
    xr_batch_free(&l->batch);
    xr_free(l->id);
    xr_free(l->target);
    xr_free(l->position);
    xr_free(l);
}

/* Which block, and what its masks follow from. */
typedef struct place { size_t lang; uint64_t block, sample; uint32_t epoch; } place;

static place place_of(const xr_mlm_loader *l, uint64_t g)
{
    xr_sample s = xr_sampling_at(l->sampling, g);
    return (place){ s.language, s.block, g % l->sampling->total, s.epoch };
}

/* Reads and masks a block into id, position and target; the number of masks, < 0 on error. */
static long mask_block(xr_mlm_loader *l, const place *p, int at_least_one, long *n)
{
    l->masking.at_least_one = at_least_one;
    *n = xr_blocks_read(l->blocks, p->lang, p->block, l->id);
    long masked = *n < 0 ? *n : xr_mask_block(&l->masking, p->epoch, p->sample, l->id, (size_t)*n, l->position, l->target);
    if (masked < 0)
        return xr_fail_context("block %llu of language %s", (unsigned long long)p->block, xr_blocks_language(l->blocks, p->lang));
    return masked;
}

/* One more masked sequence. */
static xr_status add_block(xr_mlm_loader *l, const place *p, int at_least_one, uint32_t in_update)
{
    size_t row = l->batch.n;
    long n, masked = mask_block(l, p, at_least_one, &n);
    if (masked < 0)
        return (xr_status)masked;
    XR_TRY(xr_batch_add(&l->batch, l->id, (size_t)n, in_update));
    for (long i = 0; i < masked; i++)
        XR_TRY(xr_batch_add_mask(&l->batch, (uint32_t)row + l->position[i], l->target[i]));
    return XR_OK;
}

int xr_mlm_loader_begin(xr_mlm_loader *l, uint64_t step)
{
    XR_ASSERT(l->sampling && step < INT64_MAX / l->batch_size, "step %llu", (unsigned long long)step);
    l->step = step;
    long n, masked = 0;
    for (size_t i = 0; i < l->batch_size && masked == 0; i++) {
        place p = place_of(l, step * l->batch_size + i);
        masked = mask_block(l, &p, 0, &n);
    }
    if (masked < 0)
        return (int)masked;
    l->untargeted = masked == 0;
    return (int)((l->batch_size + l->micro_size - 1) / l->micro_size);
}

const xr_batch *xr_mlm_loader_batch(xr_mlm_loader *l, int k)
{
    size_t first = (size_t)k * l->micro_size, end = first + l->micro_size;
    XR_ASSERT(k >= 0 && first < l->batch_size, "micro-batch %d", k);
    xr_batch_clear(&l->batch);
    for (size_t i = first; i < end && i < l->batch_size; i++) {
        place p = place_of(l, l->step * l->batch_size + i);
        if (add_block(l, &p, l->untargeted, (uint32_t)i) < 0)
            return NULL;
    }
    return xr_batch_finish(&l->batch);
}

xr_sample xr_mlm_loader_sample(const xr_mlm_loader *l, int k, size_t i, uint64_t *number)
{
    *number = l->step * l->batch_size + (size_t)k * l->micro_size + i;
    return xr_sampling_at(l->sampling, *number);
}

double xr_mlm_loader_epoch(const xr_mlm_loader *l, uint64_t step)
{
    return (double)step * (double)l->batch_size / (double)l->sampling->total;
}

const xr_batch *xr_mlm_loader_validation(xr_mlm_loader *l, size_t lang, uint64_t first, size_t n)
{
    xr_batch_clear(&l->batch);
    for (size_t i = 0; i < n; i++) {
        place p = { lang, first + i, first + i, VALIDATION_EPOCH };
        if (add_block(l, &p, 1, (uint32_t)i) < 0)
            return NULL;
    }
    return xr_batch_finish(&l->batch);
}
