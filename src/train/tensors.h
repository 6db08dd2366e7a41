/* Tensors of checkpoints, model directories, shards and files, whatever they are stored in: listed, and read in parts. */
#ifndef XR_TRAIN_TENSORS_H
#define XR_TRAIN_TENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"
#include "util/h5.h"

typedef enum xr_element { XR_EL_F32, XR_EL_F64, XR_EL_F16, XR_EL_BF16, XR_EL_I64, XR_EL_I32, XR_EL_U8, XR_EL_BOOL, XR_EL_U16, XR_EL_U32, XR_EL_U64 } xr_element;

typedef struct xr_tensor_entry {
    char *name;
    const char *type;           /* "F32", …; "string" and "other" are listed and not read */
    int known;                  /* whether it can be read, as elements of `element` */
    xr_element element;
    int rank; uint64_t shape[8];
    uint64_t n;                 /* elements */
    char *place;                /* of the dataset in its file */
    xr_h5_in *h5;               /* or else */
    struct xr_st_file *st; const struct xr_st_tensor *tensor;
} xr_tensor_entry;

typedef struct xr_tensors {
    xr_tensor_entry *v; size_t n, cap;      /* sorted by name */
    xr_h5_in *h5;
    struct xr_st_file *st;
    struct xr_hf_files *files;
} xr_tensors;                               /* zero-initialise */

xr_status xr_tensors_h5(xr_tensors *t, const char *path);
xr_status xr_tensors_safetensors(xr_tensors *t, const char *path);
xr_status xr_tensors_model(xr_tensors *t, const char *dir);
void xr_tensors_close(xr_tensors *t);

const xr_tensor_entry *xr_tensors_find(const xr_tensors *t, const char *name);
int xr_element_is_float(xr_element e);
size_t xr_element_size(xr_element e);

/* One tensor being read from its beginning to its end. One at a time of each xr_tensors. */
typedef struct xr_tensor_reader {
    const xr_tensor_entry *e;
    int dataset;
    size_t cols;                /* elements that are read together */
    uint64_t at;                /* elements read so far */
    size_t most;                /* elements of a part */
    void *raw;                  /* the part as it is stored, little-endian */
    double *value;              /* the same as numbers; integers over 2^53 are rounded */
} xr_tensor_reader;
/* together: a part is a multiple of so many elements; 0: as the tensor is stored. */
xr_status xr_tensor_reader_open(xr_tensor_reader *r, const xr_tensor_entry *e, size_t together);
size_t xr_tensor_together(const xr_tensor_entry *e);    /* elements that its file gives only together */
/* The next part of at most r->most elements; *n = 0 at the end. */
xr_status xr_tensor_reader_next(xr_tensor_reader *r, size_t *n);
void xr_tensor_reader_close(xr_tensor_reader *r);

#endif
