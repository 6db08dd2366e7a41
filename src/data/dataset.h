/* Labelled examples of a run, tokenised once and kept as packed ids. */
#ifndef XR_DATA_DATASET_H
#define XR_DATA_DATASET_H

#include <stdint.h>
#include "data/batch.h"
#include "data/source.h"
#include "data/squad.h"
#include "data/tokenizer.h"

typedef enum xr_label_kind { XR_LABEL_CLASS, XR_LABEL_VALUE, XR_LABEL_MULTI } xr_label_kind;

/* Names of classes, in id order, and how other spellings map to them ("e" -> "entailment", "contradictory" ->
 * "contradiction"). */
typedef struct xr_labels {
    char **name; int n, cap;
    char **from, **to; int n_map, cap_map;
} xr_labels;
void xr_labels_free(xr_labels *l);
/* Parses "e=entailment,n=neutral"; XR_EUSAGE on bad syntax. */
xr_status xr_labels_map(xr_labels *l, const char *spec);
/* Appends a name if it is new; its id, or < 0 with the error set. */
int xr_labels_add(xr_labels *l, const char *name);
/* Forgets all names but the first n. */
void xr_labels_cut(xr_labels *l, int n);
/* What a trimmed label is called: the mapping first, then a known name, then known aliases, else the text itself.
 * Borrowed. */
const char *xr_labels_resolve(const xr_labels *l, const char *text);
/* Id of a label after mapping, known aliases and trailing-space trimming; -1 = unknown; -2 = "-" (no gold
 * label), unless one is called so. */
int xr_labels_find(const xr_labels *l, const char *text);

struct xr_dataset;
/* Renumbers the classes so that ids do not depend on the order of the files: whole numbers in numeric order, then the
 * other names in byte order; the three NLI names in Hugging Face's order (entailment, neutral, contradiction). For the
 * grown labels of a training set, before anything else was read with them. `d` may be NULL. */
xr_status xr_labels_sort(xr_labels *l, struct xr_dataset *d);
/* "a, b, c": for messages; caller frees; NULL with the error set. */
char *xr_labels_list(const xr_labels *l);

typedef struct xr_data_options {
    xr_columns columns;
    const char *format;             /* NULL = by content */
    size_t max_len;                 /* tokens per sequence with specials */
    size_t stride;                  /* pieces that the examples of a long sentence of tagged words share */
    long max_samples;               /* per file; 0 = all */
    const char *language;           /* keep only records whose language column says so; NULL = all */
    int language_optional;          /* with language: records that say none are kept as well */
    xr_label_kind kind;
    int grow_labels; /* 1: a new label name is added (training); 0: it is an error naming the known ones */
    int n_learnt;                   /* of tagged words that a model is scored on: the first labels, which it has. Another tag becomes a label
                                     * behind them, but it is an error if the file has none of theirs, O apart. 0: as grow_labels says */
    int keep_iob1;                  /* tagged words: IOB1 is not made IOB2 */
    int need_label;                 /* 0: unlabelled records are kept with label -1 (predict, test without gold) */
    int keep_text;                  /* keep text, text_pair of each example (reports, predictions) */
    int skip_bad;                   /* --on-bad-record skip */
    double max_bad_fraction;        /* with skip_bad: more than this share of a file is an error */
    /* questions (data/qa_windows.h) */
    size_t doc_stride;              /* pieces that two windows of a passage share */
    size_t max_query;               /* pieces of a question; the rest of it is cut */
    int need_place, unique_ids;     /* as in xr_squad_options */
} xr_data_options;

/* Words of tagged sentences (data/tagged.h), all in the order of the files, whatever examples the sentences were cut into. */
typedef struct xr_words {
    size_t n, n_sentences;
    uint64_t *example;              // [examples + 1] first word of each example
    uint64_t *sentence;             // [n_sentences + 1] first word of each sentence
    uint32_t *row, *len;            // [n] first piece of each word (token within its example) and their number
    int32_t *tag;                   // [n] -1 = none
    int all_pieces;                 /* predict all pieces of a word, not only the first */
    int32_t *inside;                // [labels] with all_pieces: tag of the further pieces of a word with a tag; NULL: the same
    uint64_t n_empty;               /* words without a piece, which are <unk> */
    int iob1;                       /* so were the tags of the file that was read last */
    size_t cap, cap_example, cap_sentence;
} xr_words;

/* One window of a question's passage: <s> question </s></s> pieces of the passage </s>. */
typedef struct xr_window {
    uint32_t question;
    uint32_t row;                   /* of its first piece of the passage, within the example */
    uint32_t piece, n;              /* which of the passage's pieces, and how many */
    int32_t start, end;             /* rows of the answer's first and last piece; 0 and 0, <s>: no answer in this window; -1: no label */
} xr_window;

/* Questions over their passages (data/qa_windows.h): the examples are windows, in the order of the questions. */
typedef struct xr_windows {
    xr_questions questions;         /* none: the examples are something else */
    uint64_t *first;                // [questions.n + 1] first window of each question
    xr_window *window;              // [examples]
    uint64_t *passage;              // [questions.n_passages + 1] first piece of each passage
    xr_token *piece;                // [passage[n_passages]]
    uint64_t n_outside;             /* answers that no window holds whole */
    size_t n_pieced, cap, cap_first, cap_passage, cap_piece;
} xr_windows;

/* Questions whose choices are sequences of their own (data/choices.h): such an example is a question, its tokens those of its choices one after
 * another, its label the number of the right one. */
typedef struct xr_choices {
    size_t n;                       /* of all questions; 0: these are no questions */
    size_t most;                    /* of one question */
    uint64_t *example;              // [examples + 1] first choice of each question
    uint64_t *end;                  // [n] where each choice's tokens end within the dataset's ids
    size_t cap_example, cap_end;
} xr_choices;

typedef struct xr_dataset {
    size_t n;                       /* examples */
    uint64_t *offset;               // [n+1] into ids
    int32_t *ids;
    int32_t *label;                 // [n] class, or 0 where a target stands; -1 = none
    float *target;                  // [n, n_target] for VALUE and MULTI
    size_t n_target;
    uint32_t *file;                 // [n] index into files
    uint32_t *line;                 // [n] where the record begins in it; 0: not known
    size_t line_now;                /* of the record that is being read: that of the examples it makes */
    char **text, **text_pair;       // [n] when kept
    xr_words words;                 /* n_sentences = 0: these are no tagged sentences */
    xr_windows windows;             /* questions.n = 0: these are no questions */
    xr_choices choices;
    char **files; size_t n_files;
    uint64_t *skipped; size_t n_skipped;    /* of tagged sentences and choices: records of the files that were left out, from 0, as they came */
    /* counts for the start of a run */
    uint64_t n_tokens, n_truncated, n_unk, n_no_gold, n_bad, n_empty_pair;
    size_t cap, cap_ids, cap_target, cap_skipped;
} xr_dataset;

/* Notes that a record of the file being read was left out. */
xr_status xr_dataset_skip(xr_dataset *d, uint64_t record);
/* Which record of its file row i of a data set of one file is, from 0. */
uint64_t xr_dataset_record(const xr_dataset *d, uint64_t i);

/* Appends one file's examples. VALUE makes one target an example, MULTI one 0/1 target per label name (names split at
 * commas, or a JSON list); the array is widened as labels grow. Errors name path and line. Notes (skipped rows,
 * aliases, one-label files) go to the log, once a file. Without a tokenizer (NULL; for tagged sentences too) only the labels are read. */
xr_status xr_dataset_add(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                         const xr_data_options *o);
/* Appends one example from memory. */
xr_status xr_dataset_add_text(xr_dataset *d, const xr_tokenizer *tok, const char *text, const char *pair,
                              const xr_data_options *o);
/* For readers of other formats: a path for d->files, and one example of n tokens without label or text from the file added
 * last (UINT32_MAX where there is none). */
xr_status xr_dataset_add_file(xr_dataset *d, const char *path);
xr_status xr_dataset_add_tokens(xr_dataset *d, const xr_token *token, size_t n);
void xr_dataset_free(xr_dataset *d);
size_t xr_dataset_len(const xr_dataset *d, size_t i);   /* tokens of example i */
/* Choice k of all: its ids, *n of them. */
const int32_t *xr_dataset_choice(const xr_dataset *d, size_t k, size_t *n);
size_t xr_dataset_longest(const xr_dataset *d);         /* tokens of the longest sequence that will be computed; at least 1 */
/* *n receives how many examples of `a` also stand in `b` (same ids), for the leak warning. */
xr_status xr_dataset_overlap(const xr_dataset *a, const xr_dataset *b, size_t *n);

#endif
