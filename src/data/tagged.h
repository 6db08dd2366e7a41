/* Sentences of tagged words, in the formats that are about, told apart by the first sentence:
 *
 * tab       a word, a TAB, its tag (WikiANN, XTREME); other columns between them are passed over. Words hold blanks and
 *           invisible characters of all kinds. A language before each word ("en:Paris") is left out when every word of
 *           the first sentence has the same.
 * blank     columns between blanks or TABs: the word first, its tag last (CoNLL 2003, MasakhaNER)
 * words     one word a line, no tags (XTREME's test files)
 * iob2      five columns: number, word, tag, -, annotator (Universal NER); lines of # are comments
 * conllu    ten columns: the word is the second, its tag the fourth (UPOS); words of several tokens and empty nodes are
 *           left out
 * jsonl     an object a line: "tokens", and "tags", "ner_tags", "pos_tags" or "labels", lists of strings
 *
 * An empty line ends a sentence; -DOCSTART- is no word. */
#ifndef XR_DATA_TAGGED_H
#define XR_DATA_TAGGED_H

#include "data/dataset.h"
#include "util/str.h"

typedef enum xr_tagged_format {
    XR_TAGGED_UNKNOWN, XR_TAGGED_TAB, XR_TAGGED_BLANK, XR_TAGGED_WORDS, XR_TAGGED_IOB2, XR_TAGGED_CONLLU, XR_TAGGED_JSONL
} xr_tagged_format;

typedef struct xr_tagged_word {
    const char *text, *tag;         /* tag NULL: the line has no such column; it may be empty, which a data set refuses */
    size_t line;
    size_t text_at, tag_at;         /* where they stand in the reader's buffer; tag_at SIZE_MAX: none */
    int number;                     /* JSON: the tag is a number */
} xr_tagged_word;

typedef struct xr_tagged_reader {
    xr_stream *stream;
    xr_tagged_format format;
    size_t columns, columns_line;   /* of the first line; tab and blank */
    int columns_hash;               /* that line begins with #: a word, or a comment */
    xr_str lines;                   /* of the sentence as they stand in the file, each with its NUL */
    size_t *line_at, *line_number;  // [n_lines]
    size_t n_lines, cap_at, cap_number;
    xr_str bytes;                   /* words and tags, each with its NUL */
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
const char *xr_tagged_format_name(xr_tagged_format format);     /* for people */

/* For tagged_json.c: appends a word; tag NULL: none. */
xr_status xr_tagged_put(xr_tagged_reader *r, const char *word, size_t len, const char *tag, size_t tag_len, size_t line);
xr_status xr_tagged_json(xr_tagged_reader *r, const char *line, size_t len, size_t number);

/* Appends one file's sentences. Of `o` it reads max_len, stride, max_samples (sentences), grow_labels, n_learnt, need_label,
 * skip_bad and max_bad_fraction. A file has tags on every line or on none. IOB1 is read as IOB2 where the labels that
 * this needs are known, or with keep_iob1 as it is. */
xr_status xr_dataset_add_tagged(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                                const xr_data_options *o);
/* Appends one sentence from memory; tag NULL: none. A sentence longer than max_len becomes several examples that share
 * about `stride` pieces; each word is predicted in the one where it has most context on both sides. A word without
 * pieces is <unk>, and one that alone is too long keeps its first pieces. */
xr_status xr_dataset_add_words(xr_dataset *d, const xr_tokenizer *tok, const char *const *word, const int32_t *tag,
                               size_t n, size_t max_len, size_t stride);
/* Words of a file that was read with keep_iob1 meet what was predicted for them, [w->n]: IOB1 tags stay as they are where most predicted entities begin
 * with I-, too, and become IOB2 where they do not, as those of models that learnt such data. `where` is for messages. */
xr_status xr_words_meet(xr_words *w, xr_labels *labels, const int32_t *predicted, const char *where);
/* Adds to count[label] the words from `first` on that have it; a list of the labels from `from` on that were counted, "B-DATE (12), I-DATE (3)",
 * of which 50 are named. */
void xr_words_count_tags(const xr_words *w, size_t first, uint64_t *count);
xr_status xr_labels_list_counted(const xr_labels *l, int from, const uint64_t *count, xr_str *out);
/* Rows of logits that words [first, last) have: one each, or one a piece with all_pieces. */
size_t xr_words_rows(const xr_words *w, uint64_t first, uint64_t last);

#endif
