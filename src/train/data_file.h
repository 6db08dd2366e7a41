/* Data files as they are given to fine-tuning: [LANG=]FILE[:WEIGHT].
 *
 * A text that names an existing file as it stands is that file, whatever stands in it; then the one without WEIGHT, then the one without LANG. So
 * a path may hold '=' and ':', and "de=a:2" is two parts only where no file has that name. */
#ifndef XR_TRAIN_DATA_FILE_H
#define XR_TRAIN_DATA_FILE_H

#include "train/options.h"

typedef struct xr_data_file {
    char *path;
    char *name;                 /* its language: as given, else as the file's name says (data/language.h); else that name without folders and endings */
    int language;               /* name is that of a language */
    int doubtful;               /* the name may mean something else (data/language.h): a language only beside another */
    int given;                  /* as LANG=: of a file with a language column (XNLI's xnli.dev.tsv) only that language is meant */
    double weight;              /* 1 where none is given */
} xr_data_file;

/* *out receives one entry for each given text, in order; caller frees with xr_data_files_free, on failure too. weighted = 0: files of this option take
 * no weight, and ':' has no meaning. `flag` is for messages. XR_EUSAGE for a weight that is no number above 0. */
xr_status xr_data_files_parse(xr_data_file **out, const xr_strs *given, int weighted, const char *flag);
void xr_data_files_free(xr_data_file *v, size_t n);

#endif
