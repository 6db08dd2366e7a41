/* What a file of labelled data looks like, for the message to whoever gave it to the wrong task. */
#ifndef XR_DATA_FILE_KIND_H
#define XR_DATA_FILE_KIND_H

#include "util/error.h"

typedef enum xr_file_task { XR_FILE_CLASSIFY, XR_FILE_TAG, XR_FILE_QA, XR_FILE_CHOICE } xr_file_task;

/* Called where reading the file for this task ended with XR_EDATA before its first record was taken, or took what may be none of this task. If the
 * beginning of the file looks like the data of another task, XR_EDATA says so with line and remedy, in place of the error that is pending; otherwise that,
 * if any, is returned. What cannot be opened twice (a pipe) looks like nothing. */
xr_status xr_file_kind_check(const char *path, xr_file_task wanted);

#endif
