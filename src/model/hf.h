/* Hugging Face directories: config.json + model.safetensors (or shards with an index). Tokenizer files are copied by name. */
#ifndef XR_MODEL_HF_H
#define XR_MODEL_HF_H

#include "model/model.h"

typedef struct xr_load_options {
    int map;                    /* inference: values stay in the mapped file where possible */
    const char *head;           /* head wanted, NULL = what the directory has; rows missing for it are freshly initialised */
    const char *const *label;   /* of a head with labels: wanted ones [num_labels], or NULL to keep the directory's */
    int num_labels;
    xr_problem problem;
    uint64_t seed;              /* of fresh rows */
    int quiet;                  /* no note about fresh or ignored tensors */
    const xr_config *sizes;     /* declares the rows of such a model and its head, and no more: no file is read, nothing has values */
} xr_load_options;

/* Loads DIR by xlmr-facts 1.3: with or without the `roberta.` prefix, tied decoder absent or equal, old position_ids ignored, pickle
 * refused with the conversion command, head tensors of another task ignored and named, missing head tensors initialised and reported,
 * anything else refused with tensor name, expected and found shape. Peak memory: the weights plus one tensor at most. */
xr_status xr_model_load(xr_model *m, const char *dir, const xr_load_options *options);

/* Writes config.json and model.safetensors into `dir` (exists), and copies tokenizer files from `tokenizer_dir` when given; with `sha256`, 64 hex digits,
 * the sentencepiece model has to be there and still be that. */
xr_status xr_model_save(const xr_model *m, const char *dir, const char *tokenizer_dir, const char *sha256);

#endif
