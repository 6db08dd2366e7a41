/* Texts for features and fill-mask: the files that predict and finetune take, or plain text, one text a line.
 *
 * What is a table says so by its name (.tsv, .csv, .jsonl, .json) or its first line (an object, names of columns with tabs between them); all else is
 * plain text. --format decides otherwise, and a column that is named makes a table of it too. */
#ifndef XR_TRAIN_TEXT_FILE_H
#define XR_TRAIN_TEXT_FILE_H

#include "data/source.h"
#include "train/options.h"

typedef struct xr_text_file {
    xr_source_reader reader;
    int guessed;                /* nobody said what format it has */
} xr_text_file;

/* By o->format, text_column and text_pair_column; labels are not looked at. Warns of tabs in what is taken for plain text. "-" is standard input. */
xr_status xr_text_file_open(xr_text_file *f, const char *path, const xr_options *o);
/* As xr_source_next; the text is never NULL, but may be empty: so is a line. */
int xr_text_file_next(xr_text_file *f, xr_record *out);
void xr_text_file_close(xr_text_file *f);

#endif
