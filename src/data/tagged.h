/* Sentences of tagged words, as in WikiANN: one word a line, its tag behind a TAB, a blank line between sentences.
 *
 * A language before each word ("en:Paris") is left out when every word of the first sentence has the same. Only a TAB
 * separates: words hold invisible characters and white space of all kinds. A word may be empty. */
#ifndef XR_DATA_TAGGED_H
#define XR_DATA_TAGGED_H

#include "data/dataset.h"
#include "util/str.h"

typedef struct xr_tagged_word {
    const char *text, *tag;         /* tag NULL: the line has none */
    size_t line;
    size_t text_at;                 /* where the line's bytes stand in the reader's buffer */
} xr_tagged_word;

typedef struct xr_tagged_reader {
    xr_stream *stream;
    xr_str bytes;                   /* lines of the sentence, each with its NUL */
    xr_tagged_word *word; size_t n, cap;
    char prefix[20];                /* "en:"; "" = none */
    int started;                    /* the first sentence has been read: prefix is decided */
    int broken;                     /* the file itself failed: nothing more can be read */
} xr_tagged_reader;

xr_status xr_tagged_open(xr_tagged_reader *r, const char *path);
/* The next sentence into r->word[0 .. r->n), valid until the next call: 1, 0 at the end, < 0 an error with path and
 * line. After XR_EDATA the next call goes on behind the bad sentence, unless r->broken. */
int xr_tagged_next(xr_tagged_reader *r);
void xr_tagged_close(xr_tagged_reader *r);

/* Appends one file's sentences. Of `o` it reads max_len, max_samples (sentences), grow_labels, need_label, skip_bad and
 * max_bad_fraction. A file has tags on every line or on none. */
xr_status xr_dataset_add_tagged(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                                const xr_data_options *o);
/* Appends one sentence from memory; tag NULL: none. Sentences longer than max_len become several examples, cut between
 * words, so that every word is predicted; a word without pieces is <unk>, and one that alone is too long keeps its first
 * pieces. */
xr_status xr_dataset_add_words(xr_dataset *d, const xr_tokenizer *tok, const char *const *word, const int32_t *tag,
                               size_t n, size_t max_len);

#endif
