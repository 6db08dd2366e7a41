/* The border to HDF5; nothing else includes its headers. One thread at a time.
 *
 * What is written follows one form: V110 file format, every dataset chunked with Fletcher32, no time stamps (two runs
 * give the same bytes), fixed-length UTF-8 strings, a temporary name until commit. Rows are appended as they come. */
#ifndef XR_UTIL_H5_H
#define XR_UTIL_H5_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef enum xr_h5_type { XR_H5_F32, XR_H5_U32, XR_H5_U64, XR_H5_U16, XR_H5_F64 } xr_h5_type;

typedef struct xr_h5_out xr_h5_out;

/* Starts PATH under a temporary name; an existing file is replaced on commit. NULL with XR_ECANTCREAT or XR_EIO set. */
xr_h5_out *xr_h5_create(const char *path);
const char *xr_h5_temporary(const xr_h5_out *h);       /* where it is written until it is committed */

/* Adds an empty dataset of shape [0] (cols = 0) or [0, cols] at the root, and returns its number for xr_h5_append,
 * or < 0. */
int xr_h5_dataset(xr_h5_out *h, const char *name, xr_h5_type type, size_t cols);
typedef struct xr_h5_layout {
    size_t chunk_rows;      /* 0: chunks of about 64 KiB */
    int deflate;            /* 0: not compressed, 1 fast to 9 small */
} xr_h5_layout;
int xr_h5_dataset_as(xr_h5_out *h, const char *name, xr_h5_type type, size_t cols, xr_h5_layout layout);
xr_status xr_h5_append(xr_h5_out *h, int dataset, const void *rows, size_t n);

/* A whole dataset of shape [n] at once; n > 0. `name` may lie in groups ("param/encoder/weight"), which are made. Chunks that are all zero are not
 * stored: they read back as zeros. */
xr_status xr_h5_write(xr_h5_out *h, const char *name, xr_h5_type type, const void *data, size_t n);
/* Bytes that xr_h5_write stores for these data. */
size_t xr_h5_stored(xr_h5_type type, const void *data, size_t n);
/* Asks the disk for `bytes` now, so that a full one shows before anything is written: after a failed write HDF5 cannot be used again. */
xr_status xr_h5_reserve(xr_h5_out *h, size_t bytes);

/* A whole dataset of n strings, padded with NUL bytes to the longest. */
xr_status xr_h5_strings(xr_h5_out *h, const char *name, const char *const *strings, size_t n);

/* A text attribute of the dataset `object`, or of the root for "/". */
xr_status xr_h5_attribute(xr_h5_out *h, const char *object, const char *name, const char *value);

/* Close, fsync, rename. Frees h in any case; on failure nothing is left behind. */
xr_status xr_h5_commit(xr_h5_out *h);
void xr_h5_abort(xr_h5_out *h);         /* NULL is fine */

/* Reading. A file may come from anywhere: links, external and virtual storage, filters other than those above, other types and sizes that the
 * file cannot hold are refused (XR_EDATA); nothing is loaded as a plug-in. Big-endian numbers are converted. */
typedef struct xr_h5_in xr_h5_in;
xr_h5_in *xr_h5_open(const char *path);         /* stays open; NULL with the error set */
void xr_h5_close(xr_h5_in *h);                  /* NULL is fine */
/* Number of a dataset for xr_h5_rows, or < 0. cols = 1 for shape [rows]. */
int xr_h5_find(xr_h5_in *h, const char *name, xr_h5_type type, uint64_t *rows, size_t *cols);
xr_status xr_h5_rows(xr_h5_in *h, int dataset, uint64_t first, size_t n, void *rows);
void xr_h5_forget(xr_h5_in *h);                 /* closes the dataset found last: a file may have more than can be open */
char *xr_h5_text(xr_h5_in *h, const char *object, const char *name);    /* a text attribute; caller frees; NULL with the error set */

typedef struct xr_h5_item {
    const char *name;           /* in its groups: "param/encoder/weight" */
    int known;                  /* whether it can be read as `type` */
    xr_h5_type type;
    const char *type_name;      /* "F32", …; "string", "other" */
    int rank; uint64_t shape[8];
} xr_h5_item;
/* Calls visit for every dataset of the file, in no order, until it returns other than XR_OK, which is handed on. Links that lead elsewhere are refused. */
xr_status xr_h5_each(xr_h5_in *h, xr_status (*visit)(const xr_h5_item *item, void *context), void *context);
int xr_h5_has_text(xr_h5_in *h, const char *object, const char *name);  /* an attribute of that name: 1, 0, or < 0 */

/* The same in one go: a whole dataset; caller frees; NULL with the error set. */
void *xr_h5_read(const char *path, const char *name, xr_h5_type type, size_t *rows, size_t *cols);
/* The same for strings: rows x cols bytes, NUL-padded without a closing NUL. */
char *xr_h5_read_strings(const char *path, const char *name, size_t *rows, size_t *cols);
char *xr_h5_read_attribute(const char *path, const char *object, const char *name);

#endif
