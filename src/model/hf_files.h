/* The tensors of a model directory, whether in one safetensors file or in shards with an index. */
#ifndef XR_MODEL_HF_FILES_H
#define XR_MODEL_HF_FILES_H

#include "model/safetensors.h"

typedef struct xr_hf_tensor {
    const xr_st_tensor *t;
    xr_st_file *file;
    int used;                   /* the loader's mark */
} xr_hf_tensor;

typedef struct xr_hf_files {
    xr_st_file **file;          // [n_files]
    size_t n_files, file_cap;
    xr_hf_tensor *tensor;       // [n] by name
    size_t n;
} xr_hf_files;

/* model.safetensors, or model.safetensors.index.json and the shards it names, all checked against each other. */
xr_status xr_hf_files_open(xr_hf_files *f, const char *dir);
void xr_hf_files_close(xr_hf_files *f);
xr_hf_tensor *xr_hf_files_find(const xr_hf_files *f, const char *name);

#endif
