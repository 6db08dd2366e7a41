/* Masked-LM targets of one block: a pure function of (seed, epoch, sample), so that masks change every epoch and depend on neither order,
 * workers nor resume point.
 *
 * fairseq (MaskTokensDataset, what XLM-R was trained with): floor(share n + u) positions, u uniform in [0, 1), n = length with <s> and </s>,
 * drawn without replacement over the whole block; of these mask_share become <mask>, random_share a token uniform over the vocabulary except the
 * first four ids, the rest stay. whole_word: n counts words (a piece that begins with U+2581, or a special, begins one); one decision a word.
 * hf (DataCollatorForLanguageModeling): an independent coin for each token but specials; random tokens over the whole vocabulary. */
#ifndef XR_DATA_MASKING_H
#define XR_DATA_MASKING_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef enum xr_mask_policy { XR_MASK_FAIRSEQ, XR_MASK_HF } xr_mask_policy;

typedef struct xr_masking {
    xr_mask_policy policy;
    double share;               /* of positions: 0.15 */
    double mask_share, random_share;    /* of those: 0.8, 0.1; the rest is kept */
    int whole_word;
    uint64_t seed;
    int32_t vocab_size, mask_id;
    const uint8_t *word_start;  // [vocab_size] with whole_word: 1 = the piece begins a word
} xr_masking;

/* Masks id [n] in place. position [n] and target [n] receive the ascending chosen positions and the ids that stood there; returns their
 * number. XR_EDATA (< 0) when the block already holds the mask id. */
long xr_mask_block(const xr_masking *m, uint32_t epoch, uint64_t sample, int32_t *id, size_t n, uint32_t *position, int32_t *target);

#endif
