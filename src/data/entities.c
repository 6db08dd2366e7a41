#include "data/entities.h"

#include <string.h>

#include "util/alloc.h"

xr_tag_kind xr_tag_kind_of(const char *name)
{
    if (strcmp(name, "O") == 0)
        return XR_TAG_NONE;
    if (!*name || !strchr("BIESLU", *name))
        return XR_TAG_PLAIN;
    return name[1] == '\0' ? XR_TAG_BARE : name[1] == '-' && name[2] != '\0' ? XR_TAG_ENTITY : XR_TAG_PLAIN;
}

/* How many labels are of a kind. */
static int count_kind(const char *const *name, int n, xr_tag_kind kind)
{
    int count = 0;
    for (int k = 0; k < n; k++)
        count += xr_tag_kind_of(name[k]) == kind;
    return count;
}

int xr_tags_plain(const char *const *name, int n)
{
    return count_kind(name, n, XR_TAG_PLAIN) > 0 && count_kind(name, n, XR_TAG_ENTITY) == 0;
}

static const char *type_of(const char *name)
{
    return name[0] && name[1] == '-' ? name + 2 : "_";
}

static char prefix_of(const char *name)
{
    return *name == 'L' ? 'E' : *name == 'U' ? 'S' : *name;
}

/* One label's prefix, and its type among those before it. */
static void add_tag(xr_tagset *s, const char *name)
{
    int same = 0, k = s->n++;
    s->type[k] = s->plain ? "_" : type_of(name);
    while (strcmp(s->type[same], s->type[k]) != 0)
        same++;
    s->tag[k] = (xr_tag){ s->plain ? 'O' : prefix_of(name), same };
    s->bilou |= !s->plain && strchr("LU", *name) != NULL;
}

xr_status xr_tagset_init(xr_tagset *s, const char *const *name, int n, const char *where)
{
    memset(s, 0, sizeof *s);
    s->plain = xr_tags_plain(name, n);
    for (int k = 0; k < n && !s->plain; k++)
        if (xr_tag_kind_of(name[k]) == XR_TAG_PLAIN)
            return xr_fail(XR_EDATA, "%s: the label '%s' is no tag of an entity, but others are; expected O, B-TYPE and I-TYPE (and E-, S-, L-, U-), "
                           "or only labels without these prefixes, such as parts of speech; correct it, or rename it with --label-map FROM=TO",
                           where, name[k]);
    s->tag = xr_alloc((size_t)n, sizeof *s->tag);
    s->type = s->tag ? xr_alloc((size_t)n, sizeof *s->type) : NULL;
    if (!s->type) {
        xr_tagset_free(s);
        return xr_error_status();
    }
    for (int k = 0; k < n; k++)
        add_tag(s, name[k]);
    return XR_OK;
}

void xr_tagset_free(xr_tagset *s)
{
    xr_free(s->tag);
    xr_free(s->type);
    memset(s, 0, sizeof *s);
}

/* ---- where entities begin and end ---- */

/* strchr finds the end of a string, too, which no prefix is. */
static int one_of(const char *prefixes, char prefix)
{
    return prefix && strchr(prefixes, prefix) != NULL;
}

/* As seqeval's end_of_chunk and start_of_chunk, letter for letter: the raw score depends on what they do with odd prefixes. */
static int ends_between(xr_tag last, xr_tag tag)
{
    if (one_of("ES", last.prefix) || (one_of("BI", last.prefix) && one_of("BSO", tag.prefix)))
        return 1;
    return !one_of("O.", last.prefix) && last.type != tag.type;
}

static int begins_between(xr_tag last, xr_tag tag)
{
    if (one_of("BS", tag.prefix) || (one_of("EI", tag.prefix) && one_of("ESO", last.prefix)))
        return 1;
    return !one_of("O.", tag.prefix) && last.type != tag.type;
}

int xr_entity_step(xr_entity_walk *w, xr_tag tag, size_t word, xr_entity *out)
{
    int ended = ends_between(w->last, tag);
    if (ended)
        *out = (xr_entity){ w->begin, word, w->last.type };
    if (begins_between(w->last, tag))
        w->begin = word;
    w->last = tag;
    return ended;
}

int xr_entity_finish(xr_entity_walk *w, size_t n_words, xr_entity *out)
{
    return xr_entity_step(w, (xr_tag){ 'O', -1 }, n_words, out);
}

/* ---- counting ---- */

/* What ended at the same word on both sides; NULL: nothing. `each`: a sum a type. */
static void count_ended(xr_entity_counts *c, int each, const xr_entity *gold, const xr_entity *predicted)
{
    if (gold)
        c[each ? gold->type : 0].gold++;
    if (predicted)
        c[each ? predicted->type : 0].predicted++;
    if (gold && predicted && gold->begin == predicted->begin && gold->type == predicted->type)
        c[each ? gold->type : 0].right++;
}

static void count_sentence(xr_entity_counts *c, int each, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n)
{
    xr_entity_walk walk_gold = XR_ENTITY_WALK, walk_predicted = XR_ENTITY_WALK;
    xr_entity g, p;
    for (size_t i = 0; i < n; i++) {
        int ended = xr_entity_step(&walk_gold, s->tag[gold[i]], i, &g);
        int answered = xr_entity_step(&walk_predicted, s->tag[predicted[i]], i, &p);
        count_ended(c, each, ended ? &g : NULL, answered ? &p : NULL);
    }
    int ended = xr_entity_finish(&walk_gold, n, &g), answered = xr_entity_finish(&walk_predicted, n, &p);
    count_ended(c, each, ended ? &g : NULL, answered ? &p : NULL);
}

void xr_entities_count(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n)
{
    count_sentence(c, 0, s, gold, predicted, n);
}

void xr_entities_count_types(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n)
{
    count_sentence(c, 1, s, gold, predicted, n);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0.0;
}

double xr_entities_precision(const xr_entity_counts *c) { return ratio(c->right, c->predicted); }
double xr_entities_recall(const xr_entity_counts *c) { return ratio(c->right, c->gold); }

/* In seqeval's order of operations, so that the last digit is the same. */
double xr_entities_f1(const xr_entity_counts *c)
{
    double p = xr_entities_precision(c), r = xr_entities_recall(c);
    return p + r > 0.0 ? 2.0 * p * r / (p + r) : 0.0;
}

/* ---- labels that are no tags, as seqeval reads them ---- */

/* What seqeval takes for the type: `name` behind the last dash (0.0.12), or behind the first letter and dash. */
static const char *raw_type(const char *name, xr_raw_version version)
{
    if (version == XR_RAW_SEQEVAL_0) {
        const char *dash = strrchr(name, '-');
        return dash ? dash + 1 : name;
    }
    const char *rest = *name ? name + 1 : name, *dash = strchr(rest, '-');
    rest = dash ? dash + 1 : rest;
    return *rest ? rest : "_";
}

/* O stands behind the labels, as number n_labels: it ends sentences. */
static xr_status raw_tags(const char *const *name, int n_labels, xr_raw_version version, xr_tag **out)
{
    xr_tag *tag = *out = xr_alloc((size_t)n_labels + 1, sizeof *tag);
    if (!tag)
        return xr_error_status();
    for (int k = 0; k <= n_labels; k++) {
        const char *type = raw_type(k < n_labels ? name[k] : "O", version);
        int same = 0;
        while (same < k && strcmp(raw_type(name[same], version), type) != 0)
            same++;
        tag[k] = (xr_tag){ k < n_labels ? name[k][0] : 'O', same };
    }
    return XR_OK;
}

xr_status xr_entities_count_raw(xr_entity_counts *c, const char *const *name, int n_labels, xr_raw_version version, const int32_t *gold,
                                const int32_t *predicted, const uint64_t *sentence, size_t n_sentences)
{
    xr_tag *tag;
    xr_entity g, p;
    XR_TRY(raw_tags(name, n_labels, version, &tag));
    /* seqeval starts with O of a type that no label has. */
    xr_entity_walk walk_gold = XR_ENTITY_WALK, walk_predicted = XR_ENTITY_WALK;
    for (size_t k = 0, place = 0; k < n_sentences; k++)
        for (uint64_t i = sentence[k]; i <= sentence[k + 1]; i++, place++) {
            int last = i == sentence[k + 1];
            int ended = xr_entity_step(&walk_gold, tag[last ? n_labels : gold[i]], place, &g);
            int answered = xr_entity_step(&walk_predicted, tag[last ? n_labels : predicted[i]], place, &p);
            count_ended(c, 0, ended ? &g : NULL, answered ? &p : NULL);
        }
    xr_free(tag);
    return XR_OK;
}
