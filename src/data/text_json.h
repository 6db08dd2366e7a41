/* What the formats of JSON lines share. */
#ifndef XR_DATA_TEXT_JSON_H
#define XR_DATA_TEXT_JSON_H

#include "data/text.h"
#include "util/json.h"

typedef struct xr_text_json {
    json_t *object;         /* the record being handed out */
    xr_str fixed;
    xr_text_body body;
} xr_text_json;

/* What a format makes of an object: 1 = its text and language (may be NULL), 0 = left out and counted, < 0 = error. */
typedef int (*xr_text_json_take)(xr_text_reader *r, const json_t *object, const char **text, const char **language);

xr_status xr_text_json_open(xr_text_reader *r);
int xr_text_json_next(xr_text_reader *r, xr_text_json_take take, xr_paragraph *out);
void xr_text_json_close(xr_text_reader *r);
int xr_text_json_looks(const char *head, size_t n);     /* the first thing is an object, or a list of them */
/* The string under the first of the names that is there (ended by NULL); a bad record when there is none, or no string. */
int xr_text_json_text(xr_text_reader *r, const json_t *object, const char *const *names, const char **text);

#endif
