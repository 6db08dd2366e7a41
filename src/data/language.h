/* Names of languages. */
#ifndef XR_DATA_LANGUAGE_H
#define XR_DATA_LANGUAGE_H

#include <stddef.h>

/* XLM-R's two-letter name of an ISO 639-3 code (n bytes): "deu" is de, "cmn" zh; NULL when it has none. */
const char *xr_language_of_iso3(const char *code, size_t n);

#endif
