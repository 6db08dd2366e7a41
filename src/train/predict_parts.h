/* Inside predict: what is different between classifiers of texts (predict.c), of words (predict_tags.c), of choices
 * (predict_choice.c), and what finds answers (predict_qa.c). */
#ifndef XR_TRAIN_PREDICT_PARTS_H
#define XR_TRAIN_PREDICT_PARTS_H

#include "data/choices.h"
#include "data/entities.h"
#include "data/tagged.h"
#include "train/predict.h"
#include "train/qa_answers.h"

/* One file on its way through the model. */
typedef struct xr_predicting {
    const struct xr_predict_kind *kind;
    xr_predict *p;
    xr_context *c;
    xr_data_options data;
    xr_stream *stream;          /* of the file, for messages */
    int broken;                 /* the file itself failed, not a record of it */
    xr_dataset chunk;           /* the good records read and not yet answered */
    xr_str errors;              /* messages of the bad ones, each with its NUL */
    uint8_t *bad;               // [XR_PREDICT_CHUNK] record i of the chunk is bad
    size_t n;                   /* records in the chunk */
    uint64_t n_records, n_bad;  /* in the file */
    xr_str lines;
    /* texts */
    xr_source_reader reader;
    uint64_t n_cut;             /* those of the file that are longer than the model takes */
    /* questions */
    xr_question_reader questions;
    /* questions about texts */
    xr_questions asked;         /* of the file, when it has SQuAD's layout; next_asked: the first not handed on */
    size_t next_asked;
    xr_answer_options how;
    xr_answers answers;
    xr_qa_predictions files;    /* for --output-dir */
    /* words, or the texts of choices */
    xr_tagset tags;
    xr_str words;               /* of the chunk, each with its NUL */
    size_t *word_at;            // [chunk.words.n or chunk.choices.n] where each begins
    size_t cap_word_at;
    const char **word;          // [words of a record]
    size_t cap_word;
    /* words only */
    xr_tagged_reader tagged;    /* of files in the formats of training (--format tsv) */
    xr_str inputs;              /* texts of the chunk's records, each with its NUL: as given, or the tokens joined by blanks */
    size_t *input_at;           // [chunk.words.n_sentences]
    size_t *word_from;          // [chunk.words.n] where each begins in its record's text
    size_t cap_input_at, cap_word_from;
} xr_predicting;

typedef struct xr_predict_kind {
    const char *what;                                           /* "a tagger" and what it reads and gives, for messages */
    const char *const *options;                                 /* keys that mean something to only some kinds, this one among them; ended by NULL */
    xr_status (*check)(xr_predicting *g);                       /* model and options, once; NULL: nothing to check */
    xr_status (*open)(xr_predicting *g, const char *path);      /* sets g->stream */
    int (*next)(xr_predicting *g);                              /* one more record into the chunk: 1, 0 at the end, < 0 it is bad */
    xr_status (*answer)(xr_predicting *g, size_t i, const float *logits);  /* the chunk's i-th good record, into g->lines */
    void (*close)(xr_predicting *g);
    xr_status (*finish)(xr_predicting *g);                      /* after the last file; NULL: nothing to do */
} xr_predict_kind;

/* predict.c: the next line that is not empty, as JSON, through `take` into the chunk; `look` (may be NULL) sees it before it is parsed. As `next` returns. */
int xr_predict_json_line(xr_predicting *g, xr_status (*look)(const char *line, const char *where), xr_status (*take)(xr_predicting *g, const json_t *j));

/* predict_group.c: the answer to a record with --grouping. */
xr_status xr_predict_grouped(xr_predicting *g, size_t sentence, const float *logits);
/* , "start_char": …, "end_char": …, "start_byte": …, "end_byte": … of bytes [begin, end) of the input. */
xr_status xr_predict_offsets(const char *input, size_t begin, size_t end, xr_str *out);

/* predict.c: refuses an option (a key, or "format csv") that means nothing to this kind. */
xr_status xr_predict_fail_option(const xr_predicting *g, const char *option);

extern const xr_predict_kind xr_predict_tags, xr_predict_choice, xr_predict_qa;

#endif
