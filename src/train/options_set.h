/* Between options.c, options_yaml.c and the help texts: rows, one at a time. */
#ifndef XR_TRAIN_OPTIONS_SET_H
#define XR_TRAIN_OPTIONS_SET_H

#include "train/options.h"

enum { XR_KEY_MAX = 64 };

/* Parses `text` by the row's schema into the row's field; a value of a list is appended to those of the same kind of
 * origin. */
xr_status xr_option_set(xr_options *o, const xr_option *r, const char *text, xr_origin at);
xr_status xr_options_file(xr_options *o, const char *path);     /* values of a YAML file */
/* The error for a key this verb does not have: of another verb, or unknown with the nearest known one. */
xr_status xr_option_unknown(const xr_options *o, const char *key, xr_origin at);
const char *xr_option_nearest(unsigned verb, const char *word);             /* NULL if nothing is near */
const char *xr_option_flag(const char *key, char out[XR_KEY_MAX]);          /* with dashes */
const char *xr_option_word(const xr_option *r);                             /* the word a number may be, or NULL */
xr_status xr_option_expected(const xr_option *r, xr_str *out);              /* "an integer from 0 to 9" */
const char *xr_options_keep(xr_options *o, const char *s,
                            size_t n); /* a copy that lives as long as o; NULL with the error set */
xr_status xr_option_number(const xr_option *r, double x, xr_str *out);

#endif
