/* sentencepiece itself, as the twin of src/data/spm_encode.c. Ids here are sentencepiece's own. */
#ifndef NAIVE_SPM_LIBRARY_H
#define NAIVE_SPM_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

typedef struct naive_spm naive_spm;
typedef struct naive_piece { int id; uint32_t begin, end; } naive_piece;

naive_spm *naive_spm_load(const void *bytes, size_t len);      /* NULL when the library refuses the model */
void naive_spm_free(naive_spm *m);
/* At most cap pieces of the text into out; how many there are. */
size_t naive_spm_encode(const naive_spm *m, const char *text, size_t len, naive_piece *out, size_t cap);

#endif
