/* Writing a model directory whose vocabulary differs from that of the directory it is made from: what trim, extend and export share. */
#ifndef XR_TRAIN_VOCAB_DIR_H
#define XR_TRAIN_VOCAB_DIR_H

#include "model/hf_files.h"
#include "train/vocab.h"

/* Where a row comes from: 0 = the model itself, 1 = the full model beside it. */
typedef struct xr_row_source { uint32_t from, id; } xr_row_source;

/* New rows of the tables that have one row an id. Row i is the mean of source[offset[i]] .. source[offset[i + 1] - 1]: one source is a copy, bit by bit. */
typedef struct xr_row_plan {
    size_t rows;
    const size_t *offset;               // [rows + 1] NULL: one source a row
    const xr_row_source *source;
    int f32;                            /* write every float tensor as float32; 0: keep dtypes */
} xr_row_plan;

typedef struct xr_vocab_dir {
    const char *model;                  /* directory of config.json, tensors and, unless tokenizer_dir, the tokenizer's files */
    const char *full;                   /* directory of rows with from = 1, or NULL */
    const xr_row_plan *plan;            /* NULL: all tensors as they are */
    const char *tokenizer_dir;          /* take the tokenizer's files from here, whole; NULL: from `model`, without what speaks of old ids */
    const char *spm; size_t spm_len;    /* sentencepiece model to write; NULL: a copy */
    const char *map; size_t map_len;    /* trim.json, or NULL */
} xr_vocab_dir;

/* Name of the file that says what a directory was trimmed from. */
#define XR_TRIM_MAP "trim.json"

/* Writes model.safetensors as PATH. Constant memory. */
xr_status xr_vocab_weights_write(const xr_vocab_dir *d, const char *path);

/* Parameters (elements of float tensors, ties counted once) and bytes of a directory's weights, or those it would have after `plan` (NULL: as it is). */
xr_status xr_vocab_dir_size(const char *dir, const xr_row_plan *plan, uint64_t *parameters, uint64_t *bytes);

/* Digest of the rows that belong to ids (word embedding and bias of the masked-LM head), bytes as stored. */
xr_status xr_vocab_dir_digest(const char *dir, char hex[33]);

/* Refuses an output directory that is `input`, or that holds what is no part of a model and would be lost. */
xr_status xr_vocab_output_check(const char *output, int overwrite, const char *input);
/* Writes `d` as the directory OUTPUT: complete or absent. */
xr_status xr_vocab_dir_create(const xr_vocab_dir *d, const char *output, int overwrite);

#endif
