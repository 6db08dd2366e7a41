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

/* Column indices from 0; -1 = not read. A row must have n cells; those past n_min may be left out. */
typedef struct xr_column_map { size_t n, n_min; int text, text_pair, label, language; } xr_column_map;

/* Reads the meaning of the columns off the first row. need_header: a row of unknown names is an error and not data.
 * *is_header tells whether the row was a header. */
xr_status xr_column_map_read(xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n, int need_header,
                             int *is_header);
/* Fills the record's texts from a row that starts at `line`. */
xr_status xr_column_map_apply(const xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n,
                              size_t line, xr_record *out);

/* Next line that is not empty. *blank = number of the first empty line skipped, 0 = none: an error unless the file ends
 * there. */
int xr_source_full_line(xr_source_reader *r, char **line, size_t *len, size_t *blank);
xr_status xr_source_blank(const xr_source_reader *r, size_t line);

#endif
