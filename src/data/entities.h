/* Tags of words and the entities they spell: "O", or a prefix B, I, E, S (or L for E and U for S) with a type behind a
 * dash, as in B-PER. Labels of other kinds, such as parts of speech, are plain: they spell nothing.
 *
 * What is an entity follows seqeval's default, which is conlleval's: one begins at B, but also at I after O or after
 * another type, and ends before O, before B and before another type; S is an entity by itself, E is the last word of
 * one. So every sequence of tags spells something, and a model's ungrammatical answer is scored, not refused. Strict
 * scores (tag_scheme.h) count only what a scheme allows. */
#ifndef XR_DATA_ENTITIES_H
#define XR_DATA_ENTITIES_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef struct xr_tag { char prefix; int type; } xr_tag;    /* prefix: O, B, I, E, S; type: the first tag of the set with the same type */

/* The meaning of a model's labels. */
typedef struct xr_tagset {
    int n;
    int plain;              /* the labels are no tags of entities: `tag` means nothing */
    int bilou;              /* a label has the prefix L or U */
    xr_tag *tag;            // [n]
    const char **type;      // [n] name of each tag's type, inside the label's name; "_" without one
} xr_tagset;

typedef enum xr_tag_kind {
    XR_TAG_NONE,            /* "O": of both kinds */
    XR_TAG_BARE,            /* a prefix alone: an entity's if all others are, too */
    XR_TAG_ENTITY,          /* B-TYPE and the like */
    XR_TAG_PLAIN            /* anything else */
} xr_tag_kind;
xr_tag_kind xr_tag_kind_of(const char *name);
/* Whether these labels are plain; seqeval would take the first letter of such labels for a prefix. */
int xr_tags_plain(const char *const *name, int n);

/* Borrows the names. XR_EDATA naming `where` when some labels are tags of entities and others are not. */
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
/* Adds one sentence of n words: to one sum over all types, or to c[type] of as many as there are labels. */
void xr_entities_count(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n);
void xr_entities_count_types(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n);
/* Over all types together (seqeval's average 'micro'); 0 where there is nothing to divide by. */
double xr_entities_precision(const xr_entity_counts *c);
double xr_entities_recall(const xr_entity_counts *c);
double xr_entities_f1(const xr_entity_counts *c);

/* XTREME's score of parts of speech: seqeval's default on labels that are no tags of entities. Their first letter is taken for the prefix, so
 * neighbours with the same label become one entity, unless the letter is B or S. The versions differ: since 1.0 the rest of the label is the
 * type (SCONJ and CCONJ are both CONJ), in 0.0.12, the one of XTREME's paper, the whole label is. All sentences are one sequence with O between
 * them, as seqeval joins them: sentence[0 .. n_sentences] are the first words. */
typedef enum xr_raw_version { XR_RAW_SEQEVAL_0, XR_RAW_SEQEVAL_1 } xr_raw_version;
xr_status xr_entities_count_raw(xr_entity_counts *c, const char *const *name, int n_labels, xr_raw_version version, const int32_t *gold,
                                const int32_t *predicted, const uint64_t *sentence, size_t n_sentences);

#endif
