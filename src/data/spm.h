/* sentencepiece models: encoding by code of our own (spm_load.c, spm_encode.c), which gives what the library gives and opens a model of
 * 250,000 pieces in a tenth of its time; training by the library (tokenizer.cc). Ids here are sentencepiece's own. A loaded model is immutable and
 * shared between threads. */
#ifndef XR_DATA_SPM_H
#define XR_DATA_SPM_H

#include "data/tokenizer.h"
#include "util/str.h"

typedef struct xr_spm xr_spm;

/* BYTES must have passed xr_spm_check, and may go afterwards. */
xr_spm *xr_spm_load(const void *bytes, size_t len);
void xr_spm_free(xr_spm *m);

int xr_spm_size(const xr_spm *m);
const char *xr_spm_piece(const xr_spm *m, int id);              /* borrowed; id in [0, size) */

/* Appends one token per piece: fairseq ids, offsets in bytes of text plus `base`. `text` is valid UTF-8. */
xr_status xr_spm_encode(const xr_spm *m, const char *text, size_t len, uint32_t base, xr_tokens *out);

/* Appends the text as the model's normaliser leaves it, with U+2581 for spaces. */
xr_status xr_spm_normalize(const xr_spm *m, const char *text, size_t len, xr_str *out);

/* A source of training lines: 1 = a line (borrowed until the next call), 0 = the end, < 0 = error set. */
typedef struct xr_spm_lines {
    int (*next)(void *context, const char **line, size_t *len);
    void *context;
} xr_spm_lines;

typedef struct xr_spm_model { char *bytes; size_t len; } xr_spm_model;  /* xr_free(bytes) */
/* Catches whatever the library throws. */
xr_status xr_spm_train(int vocab_size, double character_coverage, xr_spm_lines lines, xr_spm_model *out);

#endif
