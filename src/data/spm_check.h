/* Checks a sentencepiece model file before the library parses it.
 *
 * The library trusts its input: one piece of 200 kB makes it crash, a damaged character map makes it read out of
 * bounds. This is a bounded scan of the protobuf bytes that accepts only what XLM-R's tokenizer can use. */
#ifndef XR_DATA_SPM_CHECK_H
#define XR_DATA_SPM_CHECK_H

#include <stddef.h>
#include "util/error.h"

#define XR_SPM_FILE_CAP ((size_t)64 << 20)
#define XR_SPM_PIECE_CAP ((size_t)4096)
#define XR_SPM_PIECES_CAP ((size_t)1 << 20)

/* XR_EDATA naming `path`, the byte or the piece, what was found and what was expected. */
xr_status xr_spm_check(const char *path, const void *bytes, size_t len);

#endif
