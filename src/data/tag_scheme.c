#include "data/tag_scheme.h"

#include <string.h>

/* Rules of three letters: prefix before, prefix here (* any), and the type (= the same, ! another, * any). */
static const struct { const char *name, *start, *inside, *end; } scheme_of[] = {
    [XR_SCHEME_PLAIN] = { "plain", "", "", "" },
    [XR_SCHEME_IOB1] = { "IOB1", "OI* II! BI* IB= BB=", "BI= II=", "II! IO* IB* BO* BI! BB=" },
    [XR_SCHEME_IOB2] = { "IOB2", "*B*", "BI= II=", "IO* II! IB* BO* BI! BB*" },
    [XR_SCHEME_IOE2] = { "IOE2", "OI* OE* EI* EE* II! IE!", "IE= II=", "E**" },
    [XR_SCHEME_IOBES] = { "IOBES", "*B* *S*", "BI= BE= II= IE=", "S** E**" },
    [XR_SCHEME_BILOU] = { "BILOU", "*B* *S*", "BI= BE= II= IE=", "S** E**" },
};

const char *xr_scheme_name(xr_scheme s) { return scheme_of[s].name; }

/* ---- which one ---- */

void xr_tag_survey_add(xr_tag_survey *v, const xr_tagset *s, const int32_t *tag, size_t n)
{
    xr_tag last = { 'O', -1 };
    for (size_t i = 0; i < n; i++) {
        xr_tag t = s->tag[tag[i]];
        int goes_on = last.prefix != 'O' && last.type == t.type;
        v->n[(unsigned char)t.prefix]++;
        v->begins_in += t.prefix == 'I' && !goes_on;
        v->begins_b += t.prefix == 'B' && !goes_on;
        last = t;
    }
}

xr_scheme xr_tag_survey_scheme(const xr_tag_survey *v, const xr_tagset *s)
{
    if (s->plain)
        return XR_SCHEME_PLAIN;
    if (v->n['E'] && !v->n['B'] && !v->n['S'])
        return XR_SCHEME_IOE2;
    if (v->n['E'] || v->n['S'])
        return s->bilou ? XR_SCHEME_BILOU : XR_SCHEME_IOBES;
    return v->begins_in && !v->begins_b ? XR_SCHEME_IOB1 : XR_SCHEME_IOB2;
}

/* ---- strict scores ---- */

static int matches(const char *rules, xr_tag last, xr_tag tag)
{
    for (const char *r = rules; *r; r += r[3] ? 4 : 3) {
        int before = r[0] == '*' || r[0] == last.prefix, here = r[1] == '*' || r[1] == tag.prefix;
        if (before && here && (r[2] == '*' || (r[2] == '=') == (last.type == tag.type)))
            return 1;
    }
    return 0;
}

/* One side of a sentence. */
typedef struct side {
    const xr_tagset *set;
    const int32_t *tag;
    size_t n, at;
    xr_scheme scheme;
} side;

/* O stands before the first word and behind the last, of the type that a tag without one has. */
static xr_tag tag_at(const side *s, size_t i)
{
    return i < s->n ? s->set->tag[s->tag[i]] : (xr_tag){ 'O', -1 };
}

/* The next entity: 1, or 0 at the end. */
static int next_entity(side *s, xr_entity *out)
{
    while (s->at < s->n) {
        size_t begin = s->at, end = begin + 1;
        xr_tag first = tag_at(s, begin);
        if (!matches(scheme_of[s->scheme].start, begin ? tag_at(s, begin - 1) : (xr_tag){ 'O', -1 }, first)) {
            s->at++;
            continue;
        }
        while (matches(scheme_of[s->scheme].inside, tag_at(s, end - 1), tag_at(s, end)))
            end++;
        s->at = end;
        *out = (xr_entity){ begin, end, first.type };
        if (matches(scheme_of[s->scheme].end, tag_at(s, end - 1), tag_at(s, end)))
            return 1;
    }
    return 0;
}

void xr_entities_count_strict(xr_entity_counts *c, const xr_tagset *s, xr_scheme scheme, const int32_t *gold, const int32_t *predicted, size_t n)
{
    side a = { s, gold, n, 0, scheme }, b = { s, predicted, n, 0, scheme };
    xr_entity g, p;
    int has_gold = next_entity(&a, &g), has_predicted = next_entity(&b, &p);
    while (has_gold || has_predicted) {
        int take_gold = has_gold && (!has_predicted || g.begin <= p.begin), take_predicted = has_predicted && (!has_gold || p.begin <= g.begin);
        if (take_gold)
            c[g.type].gold++;
        if (take_predicted)
            c[p.type].predicted++;
        if (take_gold && take_predicted && g.end == p.end && g.type == p.type)
            c[g.type].right++;
        has_gold = take_gold ? next_entity(&a, &g) : has_gold;
        has_predicted = take_predicted ? next_entity(&b, &p) : has_predicted;
    }
}
