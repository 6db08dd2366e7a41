/* Tags of words and the entities they spell: "O", or a prefix B, I, E or S with a type behind a dash, as in B-PER.
 *
 * What is an entity follows seqeval's default, which is conlleval's: one begins at B, but also at I after O or after
 * another type, and ends before O, before B and before another type; S is an entity by itself, E is the last word of
 * one. So every sequence of tags spells something, and a model's ungrammatical answer is scored, not refused. */
#ifndef XR_DATA_ENTITIES_H
#define XR_DATA_ENTITIES_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef struct xr_tag { char prefix; int type; } xr_tag;    /* type: the first tag of the set with the same type */

/* The meaning of a model's labels. */
typedef struct xr_tagset {
    int n;
    xr_tag *tag;            // [n]
    const char **type;      // [n] name of each tag's type, inside the label's name; "_" without one
} xr_tagset;

/* "O", or B, I, E, S alone or with -TYPE. Anything else (a part of speech) would lose its first letter to the prefix. */
int xr_tag_valid(const char *name);
/* Borrows the names. XR_EDATA naming `where` for a name that is no tag. */
xr_status xr_tagset_init(xr_tagset *s, const char *const *name, int n, const char *where);
void xr_tagset_free(xr_tagset *s);

typedef struct xr_entity { size_t begin, end; int type; } xr_entity;    /* words [begin, end) */

/* Walks a sentence: zero-initialise with prefix 'O', step through every word, then finish. Both return 1 when an
 * entity ended just before this point, which *out receives. */
typedef struct xr_entity_walk { xr_tag last; size_t begin; } xr_entity_walk;
#define XR_ENTITY_WALK { { 'O', -1 }, 0 }
int xr_entity_step(xr_entity_walk *w, xr_tag tag, size_t word, xr_entity *out);
int xr_entity_finish(xr_entity_walk *w, size_t n_words, xr_entity *out);

/* Entities of any number of sentences; right: same words and same type. */
typedef struct xr_entity_counts { uint64_t gold, predicted, right; } xr_entity_counts;
/* Adds one sentence of n words. */
void xr_entities_count(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n);
/* Over all types together (seqeval's average 'micro'); 0 where there is nothing to divide by. */
double xr_entities_precision(const xr_entity_counts *c);
double xr_entities_recall(const xr_entity_counts *c);
double xr_entities_f1(const xr_entity_counts *c);

#endif
