/* The XLM-R encoder as transformers computes it (XLMRobertaModel: post-LayerNorm, erf GELU, positions from pad + 1), over packed rows. */
#ifndef XR_MODEL_MODEL_H
#define XR_MODEL_MODEL_H

#include "autograd/ops.h"
#include "autograd/params.h"
#include "autograd/tape.h"
#include "data/batch.h"
#include "model/config.h"

struct xr_head;
struct xr_pack_kind;

typedef struct xr_layer {
    xr_param *query_w, *query_b, *key_w, *key_b, *value_w, *value_b;
    xr_param *attn_out_w, *attn_out_b, *attn_norm_w, *attn_norm_b;
    xr_param *ffn_in_w, *ffn_in_b, *ffn_out_w, *ffn_out_b, *ffn_norm_w, *ffn_norm_b;
} xr_layer;

typedef struct xr_model {
    xr_config config;
    xr_params params;
    xr_param *word, *position, *type, *norm_w, *norm_b;
    xr_layer *layer;                    // [L]
    const struct xr_head *head;         /* NULL = bare encoder */
    xr_param *head_param[8];            /* in the order the head declared them */
    int recompute;                      /* re-run layers in backward instead of keeping activations */
    float *mapped; size_t mapped_bytes; /* file mapping behind the values, when loaded for inference */
} xr_model;

/* Declares all rows for `config` (copied) and its head; no storage yet. */
xr_status xr_model_declare(xr_model *m, const xr_config *config);
/* Fresh random values for every row (allocates storage that is missing). */
xr_status xr_model_init(xr_model *m, uint64_t seed);
/* Gives the position table sinusoids instead of random rows (it is trained from there like any table): neighbours begin alike, so that attention can
 * learn "the word before" once for all positions. Rows of padding stay. XR_EUSAGE if hidden_size is odd. */
xr_status xr_model_init_positions(xr_model *m);
/* What the encoder's linear layers and the masked-LM head's products with the vocabulary multiply by from now on: a kind of packing, or NULL for
 * f32 values as they are. Other heads keep those. */
void xr_model_pack(xr_model *m, const struct xr_pack_kind *kind);
void xr_model_free(xr_model *m);

/* Hidden states of all tokens [N, D]. `hidden`, if given, receives [L + 1] nodes: embeddings output, then each layer's. When `need` is given,
 * the last layer's result has only those rows ([M, D]; exact) and the last entry of hidden is that. Borrowed: batch, need, the sets. */
xr_tensor *xr_encode(xr_tape *t, xr_model *m, const xr_batch *batch, const xr_rowset *need, xr_tensor **hidden);

/* Hidden states after `layer` layers (0 = embeddings), without computing the layers above: [N, D]. */
xr_tensor *xr_hidden_state(xr_tape *t, xr_model *m, const xr_batch *batch, int layer);

/* Rows of `batch` as a row set in the tape's memory: the first token of each sequence, or the given ascending row indices. */
const xr_rowset *xr_rows_first(xr_tape *t, const xr_batch *batch);
const xr_rowset *xr_rows_pick(xr_tape *t, const xr_batch *batch, const uint32_t *row, size_t n);
/* Absolute row number of each member, for xr_select: [n] in the tape's memory. */
const uint32_t *xr_rows_absolute(xr_tape *t, const xr_batch *batch, const xr_rowset *need);

/* Bytes of address space for one pass over batches of at most n_tokens (dry run of shapes); 0 with the error set. */
size_t xr_model_reserve(xr_model *m, size_t n_tokens, size_t n_seq, size_t max_len, size_t n_masked, int train);

/* Dropout sites, so that every mask of a step is distinct: embeddings, then three per layer, then the head's. */
enum { XR_SITE_EMBED = 0, XR_SITE_LAYER = 1, XR_SITE_PER_LAYER = 3, XR_SITE_HEAD = 10000 };

#endif
