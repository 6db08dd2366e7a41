/* What the writing and the reading half of the HDF5 border share; for h5.c and h5_read.c only. */
#ifndef XR_UTIL_H5_LIB_H
#define XR_UTIL_H5_LIB_H

#include <hdf5.h>
#include "util/h5.h"

/* To be called before anything else of the library; refuses after a failed close, when its tables cannot be trusted. */
xr_status xr_h5_start(const char *path);
/* HDF5's own words for the failure just seen: the innermost entry of its stack. */
xr_status xr_h5_fail(xr_status status, const char *path, const char *what);
hid_t xr_h5_memory_type(xr_h5_type type);

#endif
