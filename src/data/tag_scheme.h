/* Which scheme a set of tagged sentences follows, and strict scores: only entities that the scheme allows count.
 *
 * IOB1: B only where an entity follows another of its type. IOB2: B at every beginning. IOE2: E at every end. IOBES: B,
 * I, E, and S for an entity of one word; BILOU: the same with L for E and U for S. */
#ifndef XR_DATA_TAG_SCHEME_H
#define XR_DATA_TAG_SCHEME_H

#include "data/entities.h"

typedef enum xr_scheme { XR_SCHEME_PLAIN, XR_SCHEME_IOB1, XR_SCHEME_IOB2, XR_SCHEME_IOE2, XR_SCHEME_IOBES, XR_SCHEME_BILOU } xr_scheme;
const char *xr_scheme_name(xr_scheme s);

/* What the tags of some sentences are. */
typedef struct xr_tag_survey {
    uint64_t begins_in, begins_b;   /* entities that begin with I; with B where I would have done */
    uint64_t n[128];                /* tags by prefix */
} xr_tag_survey;
/* Adds one sentence of n words. */
void xr_tag_survey_add(xr_tag_survey *v, const xr_tagset *s, const int32_t *tag, size_t n);
/* IOB2 where several schemes would do. */
xr_scheme xr_tag_survey_scheme(const xr_tag_survey *v, const xr_tagset *s);

/* As xr_entities_count_types, of the entities that the scheme allows: seqeval's mode='strict' with scheme=. A tag with a prefix that the
 * scheme does not have is part of no entity (seqeval refuses the whole set). */
void xr_entities_count_strict(xr_entity_counts *c, const xr_tagset *s, xr_scheme scheme, const int32_t *gold, const int32_t *predicted, size_t n);

#endif
