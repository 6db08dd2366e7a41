/* What the writing and the reading half of the HDF5 border share; for the files h5*.c only. */
#ifndef XR_UTIL_H5_LIB_H
#define XR_UTIL_H5_LIB_H

#include <hdf5.h>
#include "util/fs.h"
#include "util/h5.h"

enum { XR_H5_DATASET_CAP = 16 };

typedef struct xr_h5_set { hid_t id; xr_h5_type type; size_t cols; hsize_t rows; } xr_h5_set;

struct xr_h5_out {
    xr_outfile file;
    hid_t id;                   /* < 0 once closed */
    xr_h5_set set[XR_H5_DATASET_CAP];
    int n_sets;
    int reserved;               /* the file has blocks behind its end */
};

typedef struct xr_h5_dataset_in {
    hid_t id, type;             /* type: in memory */
    hsize_t rows, cols;
    int rank;
} xr_h5_dataset_in;

struct xr_h5_in {
    char *path;
    hid_t id;
    xr_h5_dataset_in set[XR_H5_DATASET_CAP];
    int n_sets;
};

/* To be called before anything else of the library; refuses after a failed close, when its tables cannot be trusted. */
xr_status xr_h5_start(const char *path);
/* What the system said to the failure just seen (XR_EDATA then becomes XR_EIO), or else HDF5's own words, or `otherwise`. */
xr_status xr_h5_fail(xr_status status, const char *path, const char *what);
xr_status xr_h5_fail_else(xr_status status, const char *path, const char *what, const char *otherwise);
hid_t xr_h5_access(void);        /* how all files are opened; the caller closes it */
hid_t xr_h5_memory_type(xr_h5_type type);
hid_t xr_h5_file_type(xr_h5_type type);
/* A close that fails is the last call made into the library. */
xr_status xr_h5_close_dataset(const xr_h5_out *h, hid_t id);

#endif
