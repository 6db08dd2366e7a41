#include "data/entities.h"

#include <string.h>

#include "util/alloc.h"

int xr_tag_valid(const char *name)
{
    if (strcmp(name, "O") == 0)
        return 1;
    return *name && strchr("BIES", *name) && (name[1] == '\0' || (name[1] == '-' && name[2] != '\0'));
}

static const char *type_of(const char *name)
{
    return name[1] == '-' ? name + 2 : "_";
}

xr_status xr_tagset_init(xr_tagset *s, const char *const *name, int n, const char *where)
{
    memset(s, 0, sizeof *s);
    for (int k = 0; k < n; k++)
        if (!xr_tag_valid(name[k]))
            return xr_fail(XR_EDATA, "%s: '%s' is no tag of an entity; expected O, or B-TYPE and I-TYPE: entity scores of other labels, such as "
                           "parts of speech, would mean nothing; is it the right model?", where, name[k]);
    s->tag = xr_alloc((size_t)n, sizeof *s->tag);
    s->type = s->tag ? xr_alloc((size_t)n, sizeof *s->type) : NULL;
    if (!s->type) {
        xr_tagset_free(s);
        return xr_error_status();
    }
    for (s->n = 0; s->n < n; s->n++) {
        int same = 0, k = s->n;
        s->type[k] = type_of(name[k]);
        while (strcmp(s->type[same], s->type[k]) != 0)
            same++;
        s->tag[k] = (xr_tag){ name[k][0], same };
    }
    return XR_OK;
}

void xr_tagset_free(xr_tagset *s)
{
    xr_free(s->tag);
    xr_free(s->type);
    memset(s, 0, sizeof *s);
}

/* ---- where entities begin and end ---- */

static int ends_between(xr_tag last, xr_tag tag)
{
    if (last.prefix == 'O')
        return 0;
    return last.prefix == 'E' || last.prefix == 'S' || strchr("BSO", tag.prefix) || last.type != tag.type;
}

static int begins_between(xr_tag last, xr_tag tag)
{
    if (tag.prefix == 'O')
        return 0;
    return tag.prefix == 'B' || tag.prefix == 'S' || strchr("ESO", last.prefix) || last.type != tag.type;
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

static void count_ended(xr_entity_counts *c, const xr_entity *gold, const xr_entity *predicted)
{
    c->gold += gold != NULL;
    c->predicted += predicted != NULL;
    c->right += gold && predicted && gold->begin == predicted->begin && gold->type == predicted->type;
}

void xr_entities_count(xr_entity_counts *c, const xr_tagset *s, const int32_t *gold, const int32_t *predicted, size_t n)
{
    xr_entity_walk walk_gold = XR_ENTITY_WALK, walk_predicted = XR_ENTITY_WALK;
    xr_entity g, p;
    for (size_t i = 0; i < n; i++) {
        int ended = xr_entity_step(&walk_gold, s->tag[gold[i]], i, &g);
        int answered = xr_entity_step(&walk_predicted, s->tag[predicted[i]], i, &p);
        count_ended(c, ended ? &g : NULL, answered ? &p : NULL);
    }
    int ended = xr_entity_finish(&walk_gold, n, &g), answered = xr_entity_finish(&walk_predicted, n, &p);
    count_ended(c, ended ? &g : NULL, answered ? &p : NULL);
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
