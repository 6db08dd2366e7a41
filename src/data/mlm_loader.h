/* Batches of masked blocks: sample g -> language and block (sampling.h) -> tokens (blocks.h) -> masks (masking.h) -> packed batch.
 *
 * Update k takes samples [k B, (k + 1) B) of the run, in micro-batches of micro_size in that order; so any step is found without those
 * before it. Masks are those of (seed, epoch, place in the epoch): a block that is drawn twice in an epoch is masked in two ways. A sequence's
 * sample word (dropout) is its place in the update. Nothing is read ahead. */
#ifndef XR_DATA_MLM_LOADER_H
#define XR_DATA_MLM_LOADER_H

#include "data/batch.h"
#include "data/blocks.h"
#include "data/masking.h"
#include "data/sampling.h"

typedef struct xr_mlm_loader xr_mlm_loader;

/* blocks, sampling and the word_start table of masking are borrowed; sampling may be NULL where only xr_mlm_loader_validation is used.
 * Blocks are masked exactly by the policy's rule; one for which chance chooses nothing has no target. Only an update without any would divide by zero:
 * there every block gets one (masking.h, at_least_one), as every validation block does. NULL with the error set. */
xr_mlm_loader *xr_mlm_loader_new(xr_blocks *blocks, const xr_sampling *sampling, const xr_masking *masking, size_t batch_size, size_t micro_size);
void xr_mlm_loader_free(xr_mlm_loader *l);
int xr_mlm_loader_begin(xr_mlm_loader *l, uint64_t step);           /* prepares update `step` (0-based); number of micro-batches, < 0 on error */
const xr_batch *xr_mlm_loader_batch(xr_mlm_loader *l, int k);       /* borrowed until the next call; NULL with the error set */
/* Which block sequence i of micro-batch k of the prepared update is; *number receives its number in the run. */
xr_sample xr_mlm_loader_sample(const xr_mlm_loader *l, int k, size_t i, uint64_t *number);
double xr_mlm_loader_epoch(const xr_mlm_loader *l, uint64_t step);  /* epochs done before update `step` */

/* Validation: blocks [first, first + n) of one language with the masks of epoch 0xffffffff, sample = block: the same whenever it is asked. */
const xr_batch *xr_mlm_loader_validation(xr_mlm_loader *l, size_t lang, uint64_t first, size_t n);

#endif
