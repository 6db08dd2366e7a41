/* The vocabulary of a model directory made smaller, larger, or whole again. Each function writes a complete new directory
 * (or nothing); sentencepiece model, word embedding, lm_head.bias, config.json and the place of <mask> stay consistent. */
#ifndef XR_TRAIN_VOCAB_H
#define XR_TRAIN_VOCAB_H

#include <stdint.h>
#include "train/options.h"

/* What a change of vocabulary did. Sizes count ids, with <pad> and <mask>. */
typedef struct xr_vocab_report {
    int size_before, size_after;
    uint64_t parameters_before, parameters_after;
    uint64_t bytes_before, bytes_after;         /* of model.safetensors, or all its shards */
    uint64_t texts, tokens, unknown;            /* of the corpus; trim only */
    uint64_t unverified;                        /* sentences of token stores, of which there is no text to encode again */
} xr_vocab_report;

/* `xlmr trim`: o->model, o->corpus, the options of raw text, o->output_dir, o->overwrite_output_dir, o->dry_run. Keeps the pieces that the corpus
 * uses, in their order, and those that the encoder's scores rest on; encodes the corpus again with the result and refuses (XR_ESOFTWARE)
 * if a piece differs. Writes trim.json beside the model, with which xr_vocab_export goes back. Tensors keep their dtype. */
xr_status xr_vocab_trim(const xr_options *o, xr_vocab_report *report);

/* `xlmr pretrain --extend-vocab FILE`: the one call is
 *     xr_vocab_extend(o->model, o->extend_vocab, "RUN/extended-model", &report)
 * before the model is loaded; load model and tokenizer from that directory afterwards. FILE has one piece a line, U+2581 at its start for a piece that
 * begins a word. Old ids stay, new pieces follow them, <mask> is last again; a new row is the mean of the rows of the pieces that made it up before.
 * Tensors are written as float32. The result depends on the two inputs only, so a resumed run may call it again: an existing directory is
 * replaced by the same bytes. */
xr_status xr_vocab_extend(const char *model_dir, const char *pieces, const char *output_dir, xr_vocab_report *report);

/* `xlmr export`: o->from (a run directory: its best model or the final one; a model directory; a checkpoint), o->restore_vocab, o->output_dir. */
xr_status xr_vocab_export(const xr_options *o, xr_vocab_report *report);

#endif
