/* A loaded sentencepiece model: pieces, a hash table of those that text can be cut into, and the normaliser's rules. Made by spm_load.c,
 * used by spm_encode.c; immutable in between.
 *
 * To find all pieces that begin at one place, text is hashed character by character. `seen` says of a hash whether a piece ends there and
 * whether one goes on, two bits an entry: a Bloom filter of one hash over all beginnings of pieces, so a wrong "yes" costs a look
 * into the table or one more character, and a "no" is certain. Making this takes a tenth of the time of the library's double array. */
#ifndef XR_DATA_SPM_MODEL_H
#define XR_DATA_SPM_MODEL_H

#include "data/spm.h"

enum { XR_SEEN_END = 1, XR_SEEN_MORE = 2 };

typedef struct xr_spm_part {
    uint32_t text;              /* where it begins in xr_spm.text */
    float score;
    uint16_t len;               /* without the NUL behind it */
    uint8_t type;               /* XR_SPM_NORMAL … */
} xr_spm_part;

typedef struct xr_spm_slot { uint32_t id, tag; } xr_spm_slot;   /* id 0, which is <unk>, where there is none */

struct xr_spm {
    xr_spm_part *part;          // [n] by id
    size_t n;
    char *text;                 /* the pieces, each closed by NUL */
    xr_spm_slot *slot;          // [slot_mask + 1] open addressing, at most half full
    uint8_t *seen;              // [(seen_mask + 1) / 4]
    size_t slot_mask, seen_mask;
    size_t n_user;              /* pieces of type USER_DEFINED */
    int32_t unk;
    float max_score, unk_score; /* of ordinary pieces the best; of a character that is no piece: the worst minus 10 */
    uint32_t *rule;             // [n_rule] double array (darts-clone) of the character map
    size_t n_rule;
    char *rule_text;            /* replacements, each closed by NUL */
    uint8_t prefix, squeeze, escape, suffix;    /* add_dummy_prefix, remove_extra_whitespaces, escape_whitespaces, treat_whitespace_as_suffix */
};

/* Bytes of the character that begins with *s, of which at most `left` are there. */
static inline size_t xr_spm_char(const char *s, size_t left)
{
    static const uint8_t size[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    size_t n = size[(unsigned char)*s >> 4];
    return n < left ? n : left;
}

#define XR_SPM_HASH_START 0xCBF29CE484222325u

/* FNV-1a. */
static inline uint64_t xr_spm_hash(uint64_t h, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001B3u;
    return h;
}

static inline uint32_t xr_spm_tag(uint64_t h) { return (uint32_t)(h >> 32); }
static inline size_t xr_spm_slot_of(const xr_spm *m, uint64_t h) { return (size_t)(h ^ h >> 29) & m->slot_mask; }
static inline size_t xr_spm_seen_of(const xr_spm *m, uint64_t h) { return (size_t)(h ^ h >> 37) & m->seen_mask; }

static inline unsigned xr_spm_seen(const xr_spm *m, uint64_t h)
{
    size_t at = xr_spm_seen_of(m, h);
    return (unsigned)m->seen[at / 4] >> 2 * (at % 4) & 3u;
}

#endif
