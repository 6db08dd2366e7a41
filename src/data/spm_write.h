/* A sentencepiece model file as a list of pieces, and written again with fewer or more of them.
 *
 * All that is no piece is kept byte for byte, but for the trainer's vocabulary size and the self-test, which speak of the old pieces. */
#ifndef XR_DATA_SPM_WRITE_H
#define XR_DATA_SPM_WRITE_H

#include <stddef.h>
#include "data/spm_wire.h"
#include "util/error.h"
#include "util/str.h"

enum { XR_SPM_NORMAL = 1, XR_SPM_UNKNOWN = 2, XR_SPM_CONTROL = 3, XR_SPM_USER_DEFINED = 4, XR_SPM_UNUSED = 5, XR_SPM_BYTE = 6 };

/* Everything is borrowed from the file's bytes. The position in the list is sentencepiece's id. */
typedef struct xr_spm_entry {
    const char *text; size_t len;
    float score;
    int type;
    xr_wire all;                /* its bytes in the file */
} xr_spm_entry;

/* The piece in a field of the checked file. */
xr_spm_entry xr_spm_read_entry(const xr_wire_field *field);

typedef struct xr_spm_file {
    char *path;
    char *bytes; size_t len;
    xr_spm_entry *piece;        // [n]
    size_t n;
} xr_spm_file;

/* Reads PATH and checks it (xr_spm_check). On failure f is empty. */
xr_status xr_spm_file_open(xr_spm_file *f, const char *path);
void xr_spm_file_close(xr_spm_file *f);

/* A piece of type NORMAL to add. */
typedef struct xr_spm_new { const char *text; size_t len; float score; } xr_spm_new;

typedef struct xr_spm_edit {
    const uint32_t *keep; size_t n_keep;    /* ids to keep, ascending; NULL: all */
    const xr_spm_new *add; size_t n_add;    /* behind them */
    int plain;                              /* 1: no normalisation and no dummy prefix, so that text which is pieces is encoded as it stands */
} xr_spm_edit;

/* Appends the bytes of the changed model to out. */
xr_status xr_spm_rewrite(const xr_spm_file *f, const xr_spm_edit *edit, xr_str *out);

#endif
