/* Checks a sentencepiece model file before the library parses it.
 *
 * The library trusts its input: one piece of 200 kB makes it crash, a damaged character map makes it read out of bounds. This
 * is a bounded scan of the protobuf bytes that accepts only what XLM-R's tokenizer can use. */
#ifndef XR_DATA_SPM_CHECK_H
#define XR_DATA_SPM_CHECK_H

#include <stddef.h>
#include "util/error.h"

#define XR_SPM_FILE_CAP ((size_t)64 << 20)
#define XR_SPM_PIECE_CAP ((size_t)4096)
#define XR_SPM_PIECES_CAP ((size_t)1 << 20)

/* XR_EDATA naming `path`, the byte or the piece, what was found and what was expected. */
xr_status xr_spm_check(const char *path, const void *bytes, size_t len);

/* Length of the longest prefix of s[0..len) that is well-formed UTF-8 (Unicode 15, table 3-7: no overlong form, no surrogate,
 * nothing above U+10FFFF); `len` when all of it is. */
size_t xr_utf8_prefix(const char *s, size_t len);

#endif
