/* Which cell of a row is what: shared by the formats with columns (tsv, csv); the conventional names also by jsonl.
 *
 * Conventions, first match wins. Texts: sentence1 sentence2 | premise hypothesis | premise hypo | question1 question2 |
 * question sentence | "#1 String" "#2 String" | text_a text_b | text1 text2 | text text_pair | sentence | text.
 * Label: gold_label, label, labels, score, is_duplicate, Quality. Language: language, lang. */
#ifndef XR_DATA_COLUMNS_H
#define XR_DATA_COLUMNS_H

#include "data/source.h"

typedef struct xr_text_names { const char *text, *text_pair; } xr_text_names;
extern const xr_text_names xr_conventional_texts[];         /* ends with text = NULL; text_pair = NULL: a single text */
extern const char *const xr_conventional_labels[];          /* NULL-terminated, as the next */
extern const char *const xr_conventional_languages[];
/* Whether the line is names of columns with this separator between them, conventional ones of texts among them. */
int xr_columns_header(const char *line, size_t n, char separator);

/* What a message gives as the way out where columns or keys are not found; --label-column is no option where no label is read. */
const char *xr_columns_remedy(const xr_columns *c);

/* Column indices from 0; -1 = not read. A row must have n cells; those past n_min may be left out. */
typedef struct xr_column_map { size_t n, n_min; int text, text_pair, label, language; } xr_column_map;

/* A file of rows of cells, as tsv and csv are: one row is read ahead, to see whether the first is a header. */
typedef struct xr_rows xr_rows;
struct xr_rows {
    xr_column_map map;
    char **cell;        // [n] of the row read last; valid until the next one is read
    size_t n, cap;
    size_t line;        /* where that row starts */
    int pending;        /* it is not handed out yet */
    xr_status (*split)(xr_source_reader *r, xr_rows *rows, char *line, size_t len);     /* a line, and what it goes on to, into cells */
};

/* Reads the first row, with rows->split set, and takes the meaning of the columns from it. need_header: a row of unknown names is an error
 * and not data. */
xr_status xr_rows_open(xr_source_reader *r, xr_rows *rows, int need_header);
int xr_rows_next(xr_source_reader *r, xr_rows *rows, xr_record *out);   /* 1 record, 0 end, < 0 error */

#endif
