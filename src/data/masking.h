/* Masked-LM targets of one block: a pure function of (seed, epoch, sample), so that masks change every epoch and depend on neither order,
 * workers nor resume point.
 *
 * fairseq (MaskTokensDataset, what XLM-R was trained with): floor(share n + u) positions, u uniform in [0, 1), n = length with <s> and </s>,
 * drawn without replacement over the whole block; of these mask_share become <mask>, random_share a token uniform over the vocabulary except the
 * first four ids, the rest stay. whole_word: n counts words (a piece that begins with U+2581, or a special, begins one); one decision a word.
 * hf (DataCollatorForLanguageModeling): an independent coin for each token (each word, with whole_word) but specials: ids 0 to 3; random tokens
 * over the whole vocabulary. */
#ifndef XR_DATA_MASKING_H
#define XR_DATA_MASKING_H

#include <stddef.h>
#include <stdint.h>
#include "data/tokenizer.h"

typedef enum xr_mask_policy { XR_MASK_FAIRSEQ, XR_MASK_HF } xr_mask_policy;

typedef struct xr_masking {
    xr_mask_policy policy;
    double share;               /* of positions: 0.15 */
    double mask_share, random_share;    /* of those: 0.8, 0.1; the rest is kept */
    int whole_word;
    uint64_t seed;
    int32_t vocab_size, mask_id;
    const uint8_t *word_start;  // [vocab_size] with whole_word: 1 = the piece begins a word
    int at_least_one;           /* 1: where chance chooses nothing, one word is drawn (of a block of specials alone, under hf: its last token) */
} xr_masking;

int xr_mask_policy_find(const char *name);          /* < 0 if unknown */

/* The word_start table of a tokenizer; caller frees with xr_free. NULL with the error set. */
uint8_t *xr_mask_word_starts(const xr_tokenizer *t);

/* Masks id [n] in place; sample < 2^60. position [n] and target [n] are also its working space; they receive the ascending chosen positions and the
 * ids that stood there. Returns their number, or XR_EDATA (< 0) when the block already holds the mask id. */
long xr_mask_block(const xr_masking *m, uint32_t epoch, uint64_t sample, int32_t *id, size_t n, uint32_t *position, int32_t *target);

#endif
