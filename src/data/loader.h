/* Which examples a step takes, and in which micro-batches: pure functions of (seed, epoch, recipe), so nothing needs
 * saving.
 *
 * The order of an epoch is a keyed permutation. A step takes the next `batch_size` examples of it; within a step
 * examples are sorted by length (ties by position), longest first, and cut into micro-batches of `micro_size` examples.
 * With group_by_length the permutation is applied to mega-batches sorted by length, so that the examples of one step
 * are alike. The sample word of the random numbers is the example's index, so the cut into micro-batches changes no
 * mask.
 *
 * With a mixture the order of an epoch is the mixture's: examples may come several times in it or not at all. The sample word is then the place in the
 * epoch's order, so that an example that comes twice in a step gets two masks.
 *
 * A mega-batch is XR_LOADER_MEGA steps; its steps are taken in a keyed order of their own, so that length and time stay
 * unrelated. The examples left over for a last, smaller step are the last of the permutation, whatever their length. */
#ifndef XR_DATA_LOADER_H
#define XR_DATA_LOADER_H

#include "data/dataset.h"
#include "data/mixture.h"

#define XR_LOADER_MEGA 50

typedef struct xr_loader_options {
    size_t batch_size;          /* examples a step */
    size_t micro_size;          /* examples a micro-batch; divides nothing in particular, the last may be smaller */
    size_t token_budget;        /* > 0: a micro-batch also ends before it would exceed this many tokens */
    int shuffle;                /* 0: file order (evaluation) */
    int sort_by_length;         /* evaluation: longest first over the whole set */
    int group_by_length;        /* training: steps of alike lengths */
    int drop_last;
    const xr_mixture *mixture;  /* training: how often the examples of each file are drawn; borrowed; NULL or plain: each once an epoch */
    uint64_t seed;
} xr_loader_options;

typedef struct xr_loader xr_loader;

xr_loader *xr_loader_new(const xr_dataset *d, const xr_loader_options *o);
void xr_loader_free(xr_loader *l);
size_t xr_loader_steps(const xr_loader *l);             /* steps an epoch */
/* Prepares step `step` (0-based) of `epoch`; returns the number of micro-batches, < 0 on error. */
int xr_loader_begin(xr_loader *l, uint32_t epoch, size_t step);
/* Micro-batch k of the prepared step; borrowed until the next call. Labels/targets filled from the dataset: none if any
 * example of it lacks one. Of tagged sentences the rows of the words' first pieces with their tags (-1 = none). Of questions with choices the
 * sequences of each as a group, with its label. Of windows the rows of the answer, none if any has no label. NULL with the error set when memory is
 * out. */
const xr_batch *xr_loader_batch(xr_loader *l, int k);
/* Example indices of micro-batch k in batch order. */
const uint32_t *xr_loader_examples(const xr_loader *l, int k, size_t *n);
size_t xr_loader_step_examples(const xr_loader *l);     /* in the prepared step */
size_t xr_loader_step_tokens(const xr_loader *l);
size_t xr_loader_max_tokens(const xr_loader *l);        /* upper bound of tokens in any micro-batch of any epoch */

#endif
