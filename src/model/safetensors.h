/* safetensors files: u64 header length, JSON header, data. Every rule of reliability.md A.6 is checked before a byte of data is used. */
#ifndef XR_MODEL_SAFETENSORS_H
#define XR_MODEL_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef enum xr_dtype { XR_F32, XR_F16, XR_BF16, XR_I64, XR_I32, XR_U8, XR_BOOL } xr_dtype;

typedef struct xr_st_tensor {
    char *name;
    xr_dtype dtype;
    int rank;
    uint64_t shape[8];
    uint64_t begin, end;        /* bytes from the start of the data section */
} xr_st_tensor;

typedef struct xr_st_file xr_st_file;

/* Opens, validates the header; NULL with XR_EDATA/XR_ENOINPUT/XR_EIO set, naming path and tensor. */
xr_st_file *xr_st_open(const char *path);
void xr_st_close(xr_st_file *f);
const char *xr_st_path(const xr_st_file *f);
size_t xr_st_count(const xr_st_file *f);
const xr_st_tensor *xr_st_at(const xr_st_file *f, size_t i);        /* in the order of their data */
const xr_st_tensor *xr_st_find(const xr_st_file *f, const char *name);
const char *xr_st_dtype_name(xr_dtype d);
int xr_st_is_float(xr_dtype d);                                     /* F32, F16, BF16: what can be read as f32 */
uint64_t xr_st_numel(const xr_st_tensor *t);

/* Reads a floating tensor as f32 into out[numel], through the descriptor with a size re-check; constant extra memory. */
xr_status xr_st_read_f32(xr_st_file *f, const xr_st_tensor *t, float *out);
/* The same for elements first .. first + n - 1. */
xr_status xr_st_read_part(xr_st_file *f, const xr_st_tensor *t, uint64_t first, size_t n, float *out);
/* Raw bytes `from` .. from + n - 1 of a tensor of any dtype. */
xr_status xr_st_read_bytes(xr_st_file *f, const xr_st_tensor *t, uint64_t from, size_t n, void *out);
size_t xr_st_dtype_size(xr_dtype d);
/* Pointer into a private read-only mapping of the file, when t is F32 and 4-byte aligned; NULL without an error otherwise.
 * The mapping lives until xr_st_close. */
const float *xr_st_map_f32(xr_st_file *f, const xr_st_tensor *t);
/* Hands the mapping over: the caller unmaps *bytes bytes, also after xr_st_close. NULL when nothing was mapped. */
void *xr_st_take_map(xr_st_file *f, size_t *bytes);

/* Writing: tensors in the given order, `__metadata__` {"format":"pt"}; f32. Data are streamed; fsync at the end. */
typedef struct xr_st_out { const char *name; int rank; uint64_t shape[2]; const float *data; } xr_st_out;
xr_status xr_st_write(const char *path, const xr_st_out *tensor, size_t n);

/* The same bit by bit and for any dtype: begin with the descriptions (begin and end of a tensor are computed, not read), then the bytes of all
 * tensors one after another. */
typedef struct xr_st_writer xr_st_writer;
xr_st_writer *xr_st_writer_begin(const char *path, const xr_st_tensor *tensor, size_t n);  /* NULL with the error set */
xr_status xr_st_writer_put(xr_st_writer *w, const void *data, size_t len);
xr_status xr_st_writer_commit(xr_st_writer *w);     /* complete or absent; frees w in any case */
void xr_st_writer_abort(xr_st_writer *w);           /* NULL is fine */

#endif
