/* A file of tagged sentences: labels of the words, the scheme of the tags, bad sentences. */
#include "data/tagged.h"

#include <stdio.h>
#include <string.h>

#include "data/file_kind.h"
#include "data/tag_scheme.h"
#include "util/alloc.h"
#include "util/log.h"

enum { SHOWN = 5, MANY_WORDS = 60, NAMED = 50 };    /* bad sentences shown per file; words that are hardly one sentence; tags in a message */

/* ---- one file ---- */

typedef struct reading {
    xr_dataset *d;
    const xr_tokenizer *tok;
    xr_labels *labels;
    const xr_data_options *o;
    xr_tagged_reader r;
    const char **word;          // [r.n]
    int32_t *tag;               // [r.n]
    size_t cap_word, cap_tag, first;
    size_t unlearnt_line;       /* the first with a tag that is none of the first o->n_learnt labels; 0: none yet */
    int tagged;                 /* the file's lines have tags: 1 yes, 0 no, -1 not known yet */
    size_t tagged_line;         /* that says so */
    size_t kind_line[XR_TAG_PLAIN + 1];     /* the first line with a tag of each kind; 0: none yet */
    char kind_name[XR_TAG_PLAIN + 1][81];
    xr_tag_survey survey;
    uint64_t n_sentences, n_bad, n_words;
} reading;

static const char *path_of(const reading *g) { return xr_stream_path(g->r.stream); }

static xr_status unknown_tag(const reading *g, const xr_tagged_word *w)
{
    char *known = xr_labels_list(g->labels);
    xr_fail(XR_EDATA, "%s:%zu: unknown tag '%.80s'; the known tags are: %s; correct it, or give it one of these names with --label-map FROM=TO",
            path_of(g), w->line, w->tag, known ? known : "?");
    xr_free(known);
    return xr_error_status();
}

/* A file has tags of entities or plain ones: of a mixture either score would be wrong. */
static xr_status check_kind(reading *g, const xr_tagged_word *w, const char *name)
{
    xr_tag_kind kind = xr_tag_kind_of(name), other = kind == XR_TAG_PLAIN ? XR_TAG_ENTITY : XR_TAG_PLAIN;
    if (kind != XR_TAG_PLAIN && kind != XR_TAG_ENTITY)
        return XR_OK;
    if (g->kind_line[other])
        return xr_fail(XR_EDATA, "%s:%zu: the tag '%.80s' has %s, but '%s' of line %zu has %s; expected O, B-TYPE and I-TYPE (and E-, S-, L-, U-) or plain "
                       "tags such as parts of speech, not both; correct it, or rename it with --label-map FROM=TO", path_of(g), w->line, name,
                       kind == XR_TAG_PLAIN ? "no known prefix" : "a prefix", g->kind_name[other], g->kind_line[other],
                       kind == XR_TAG_PLAIN ? "one" : "none");
    if (!g->kind_line[kind]) {
        g->kind_line[kind] = w->line;
        snprintf(g->kind_name[kind], sizeof g->kind_name[kind], "%s", name);
    }
    return XR_OK;
}

/* A label that is not known yet. */
static int new_tag(const reading *g, const xr_tagged_word *w, const char *name)
{
    if (w->number && strcmp(name, w->tag) == 0)
        return xr_fail(XR_EDATA, "%s:%zu: the tag is the number %s; expected its name, such as B-PER: ids mean nothing without their names; write the names, "
                       "or give them with --label-map 0=O,1=B-PER,…", path_of(g), w->line, w->tag);
    if (!g->o->grow_labels && !g->o->n_learnt)
        return unknown_tag(g, w);
    if (strlen(name) > 200)
        return xr_fail(XR_EDATA, "%s:%zu: a tag of %zu bytes ('%.40s…'); expected a name of at most 200; is the last column the tag?", path_of(g), w->line,
                       strlen(name), name);
    return xr_labels_add(g->labels, name);
}

/* Id of the word's tag, < 0 on error. */
static int tag_of(reading *g, const xr_tagged_word *w)
{
    const char *name = xr_labels_resolve(g->labels, w->tag);
    int id = xr_labels_find(g->labels, w->tag);
    XR_TRY(check_kind(g, w, name));
    id = id >= 0 ? id : new_tag(g, w, name);
    if (g->o->n_learnt && id >= g->o->n_learnt && !g->unlearnt_line)
        g->unlearnt_line = w->line;
    return id;
}

/* All lines of a file have a tag, or none has. */
static xr_status check_tagged(reading *g, const xr_tagged_word *w)
{
    int tagged = w->tag != NULL;
    if (!tagged && g->o->need_label)
        return xr_fail(XR_EDATA, "%s:%zu: no tag behind '%.40s'; expected %s; complete the file", path_of(g), w->line, w->text,
                       g->r.format == XR_TAGGED_CONLLU ? "a part of speech in the fourth column" : "the word, a TAB or a blank, and its tag");
    if (g->tagged < 0) {
        g->tagged = tagged;
        g->tagged_line = w->line;
    }
    if (g->tagged == tagged)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s:%zu: %s tag, but line %zu has %s; expected a tag on every line, or on none; complete the file", path_of(g), w->line,
                   tagged ? "a" : "no", g->tagged_line, tagged ? "none" : "one");
}

static xr_status read_tags(reading *g)
{
    const xr_tagged_reader *r = &g->r;
    for (size_t i = 0; i < r->n; i++) {
        XR_TRY(check_tagged(g, &r->word[i]));
        g->word[i] = r->word[i].text;
        g->tag[i] = r->word[i].tag ? tag_of(g, &r->word[i]) : -1;
        XR_TRY(r->word[i].tag ? g->tag[i] : XR_OK);
    }
    g->d->line_now = r->n > 0 ? r->word[0].line : 0;
    return xr_dataset_add_words(g->d, g->tok, g->word, g->tag, r->n, g->o->max_len, g->o->stride);
}

/* A sentence that is not taken leaves no label behind. */
static xr_status take_words(reading *g)
{
    int n_labels = g->labels->n;
    XR_TRY(xr_grow(&g->word, &g->cap_word, g->r.n, sizeof *g->word));
    XR_TRY(xr_grow(&g->tag, &g->cap_tag, g->r.n, sizeof *g->tag));
    xr_status status = read_tags(g);
    if (status < 0)
        xr_labels_cut(g->labels, n_labels);
    return status;
}

/* A bad sentence: the end of the file, or skipped and counted. */
static xr_status bad_sentence(reading *g)
{
    xr_status status = xr_error_status();
    if (!g->o->skip_bad || status != XR_EDATA || g->r.broken)
        return status;
    if (g->n_bad++ < SHOWN)
        xr_warn("sentence skipped: %s", xr_error_message());
    xr_error_clear();
    return xr_dataset_skip(g->d, g->n_sentences - 1);
}

static xr_status read_sentences(reading *g)
{
    long max = g->o->max_samples;
    while (max <= 0 || g->d->words.n_sentences - g->first < (size_t)max) {
        int got = xr_tagged_next(&g->r);
        if (got == 0)
            break;
        g->n_sentences++;
        g->n_words += got > 0 ? g->r.n : 0;
        if (got > 0)
            got = take_words(g);
        if (got < 0)
            XR_TRY(bad_sentence(g));
    }
    return XR_OK;
}

/* ---- tags that the model has not learnt ---- */

void xr_words_count_tags(const xr_words *w, size_t first, uint64_t *count)
{
    for (size_t i = first; i < w->n; i++)
        if (w->tag[i] >= 0)
            count[w->tag[i]]++;
}

xr_status xr_labels_list_counted(const xr_labels *l, int from, const uint64_t *count, xr_str *out)
{
    int named = 0, more = 0;
    for (int k = from; k < l->n; k++) {
        if (!count[k])
            continue;
        if (named == NAMED)
            more++;
        else
            XR_TRY(xr_str_printf(out, "%s%.80s (%llu)", named++ ? ", " : "", l->name[k], (unsigned long long)count[k]));
    }
    return more ? xr_str_printf(out, " and %d more", more) : XR_OK;
}

/* O says nothing about whose tags they are: every set of entities has it. */
static int knows_one(const reading *g, const uint64_t *count)
{
    for (int k = 0; k < g->o->n_learnt; k++)
        if (count[k] && xr_tag_kind_of(g->labels->name[k]) != XR_TAG_NONE)
            return 1;
    return 0;
}

static xr_status fail_unlearnt(const reading *g, const uint64_t *count)
{
    xr_labels learnt = *g->labels;
    learnt.n = g->o->n_learnt;
    xr_str found = { 0 };
    char *known = xr_labels_list(&learnt);
    xr_status status = known ? xr_labels_list_counted(g->labels, g->o->n_learnt, count, &found) : xr_error_status();
    if (status == XR_OK)
        status = xr_fail(XR_EDATA, "%s:%zu: unknown tags, and no other but O; with how many words have them: %s; the known tags are: %s; give a model that has "
                         "learnt such tags, or give them the known names with --label-map FROM=TO", path_of(g), g->unlearnt_line, found.s, known);
    xr_free(known);
    xr_str_free(&found);
    return status;
}

/* Some tags may be unknown to a model that is scored, not all of them: then it is the wrong model, or they have other names. */
static xr_status check_learnt(const reading *g)
{
    const xr_words *w = &g->d->words;
    if (!g->unlearnt_line || w->n_sentences == g->first)
        return XR_OK;
    uint64_t *count = xr_alloc((size_t)g->labels->n, sizeof *count);
    if (!count)
        return xr_error_status();
    xr_words_count_tags(w, (size_t)w->sentence[g->first], count);
    xr_status status = knows_one(g, count) ? XR_OK : fail_unlearnt(g, count);
    xr_free(count);
    return status;
}

/* ---- the scheme ---- */

/* A label that words of this model may be given: one that it has not learnt is never predicted. */
static int find_beginning(const xr_labels *labels, const xr_data_options *o, const char *name)
{
    int id = xr_labels_find(labels, name);
    return o->n_learnt && id >= o->n_learnt ? -1 : id;
}

/* to_b[label] = B-TYPE of I-TYPE, added where labels may grow; -1: there is none. */
static xr_status map_beginnings(xr_labels *labels, const xr_data_options *o, int n, int32_t *to_b)
{
    for (int k = 0; k < n; k++) {
        to_b[k] = -1;
        if (labels->name[k][0] != 'I' || xr_tag_kind_of(labels->name[k]) == XR_TAG_PLAIN)
            continue;
        char *name = xr_asprintf("B%s", labels->name[k] + 1);
        to_b[k] = !name ? -1 : o->grow_labels ? xr_labels_add(labels, name) : find_beginning(labels, o, name);
        xr_free(name);
        if (!name || (o->grow_labels && to_b[k] < 0))
            return xr_error_status();
    }
    return XR_OK;
}

static void begin_with_b(const xr_tagset *s, const int32_t *to_b, int32_t *tag, size_t n)
{
    xr_tag last = { 'O', -1 };
    for (size_t i = 0; i < n; i++) {
        xr_tag t = s->tag[tag[i]];
        if (t.prefix == 'I' && to_b[tag[i]] >= 0 && (last.prefix == 'O' || last.type != t.type))
            tag[i] = to_b[tag[i]];
        last = t;
    }
}

/* IOB1 to IOB2, so that a model has one way to begin an entity: the sentences from `first` on. */
static xr_status convert(xr_labels *labels, const xr_data_options *o, const xr_tagset *s, xr_words *w, size_t first)
{
    int n = s->n;       /* before labels are added */
    int32_t *to_b = xr_alloc((size_t)n, sizeof *to_b);
    xr_status status = to_b ? map_beginnings(labels, o, n, to_b) : xr_error_status();
    for (size_t k = first; k < w->n_sentences && status == XR_OK; k++)
        begin_with_b(s, to_b, w->tag + w->sentence[k], (size_t)(w->sentence[k + 1] - w->sentence[k]));
    xr_free(to_b);
    return status;
}

static void tell_scheme(const reading *g, xr_scheme scheme)
{
    const xr_tagged_reader *r = &g->r;
    const char *format = xr_tagged_format_name(r->format);
    unsigned long long n = (unsigned long long)g->survey.begins_in;
    if (scheme == XR_SCHEME_PLAIN)
        xr_info("%s: %s; plain tags, scored word by word", path_of(g), format);
    else if (scheme == XR_SCHEME_IOB1)
        xr_info("%s: %s; tags: IOB1 (%llu entities begin with I-)%s", path_of(g), format, n,
                g->o->keep_iob1 ? "" : ", made IOB2 for the types whose B- is among the labels");
    else if (n)
        xr_info("%s: %s; tags: %s, but %llu entities begin with I-, which is read as a beginning", path_of(g), format, xr_scheme_name(scheme), n);
    else
        xr_info("%s: %s; tags: %s", path_of(g), format, xr_scheme_name(scheme));
}

/* Names the scheme of the file's tags, and makes IOB1 IOB2. */
static xr_status settle_scheme(reading *g)
{
    xr_words *w = &g->d->words;
    xr_tagset s;
    if (g->tagged != 1)
        return XR_OK;
    XR_TRY(xr_tagset_init(&s, (const char *const *)g->labels->name, g->labels->n, path_of(g)));
    for (size_t k = g->first; k < w->n_sentences && !s.plain; k++)
        xr_tag_survey_add(&g->survey, &s, w->tag + w->sentence[k], (size_t)(w->sentence[k + 1] - w->sentence[k]));
    xr_scheme scheme = xr_tag_survey_scheme(&g->survey, &s);
    tell_scheme(g, scheme);
    w->iob1 = scheme == XR_SCHEME_IOB1;
    xr_status status = w->iob1 && !g->o->keep_iob1 ? convert(g->labels, g->o, &s, w, g->first) : XR_OK;
    xr_tagset_free(&s);
    return status;
}

xr_status xr_words_meet(xr_words *w, xr_labels *labels, const int32_t *predicted, const char *where)
{
    static const xr_data_options grow = { .grow_labels = 1 };
    xr_tag_survey survey = { 0 };
    xr_tagset s;
    if (!w->iob1)
        return XR_OK;
    XR_TRY(xr_tagset_init(&s, (const char *const *)labels->name, labels->n, where));
    for (size_t k = 0; k < w->n_sentences; k++)
        xr_tag_survey_add(&survey, &s, predicted + w->sentence[k], (size_t)(w->sentence[k + 1] - w->sentence[k]));
    xr_status status = survey.begins_in > survey.begins_b ? XR_OK : convert(labels, &grow, &s, w, 0);
    xr_tagset_free(&s);
    return status;
}

static xr_status check_file(const reading *g)
{
    if (g->n_bad)
        xr_warn("%s: %llu of %llu sentences skipped because they are bad", path_of(g), (unsigned long long)g->n_bad, (unsigned long long)g->n_sentences);
    if (g->r.prefix[0])
        xr_info("%s: the '%s' before each word is left out", path_of(g), g->r.prefix);
    if ((double)g->n_bad > g->o->max_bad_fraction * (double)g->n_sentences)
        return xr_fail(XR_EDATA, "%s: %llu of %llu sentences are bad; at most a share of %g may be skipped; correct the file, or raise "
                       "--max-bad-fraction", path_of(g), (unsigned long long)g->n_bad, (unsigned long long)g->n_sentences, g->o->max_bad_fraction);
    if (g->d->words.n_sentences == g->first + 1 && g->n_words > MANY_WORDS)
        xr_warn("%s: one sentence of %llu words, since no empty line parts them: are the empty lines lost, or is it a table of texts (finetune without "
                "--task tag)?", path_of(g), (unsigned long long)g->n_words);
    if (g->d->words.n_sentences == g->first)
        return xr_fail(XR_EDATA, "%s: no sentences: the file is empty; expected one word a line; give another file", path_of(g));
    return XR_OK;
}

/* A table of texts, too, has a first and a last column on every line, but no empty line between sentences. */
static xr_status check_format(const reading *g, xr_status status)
{
    size_t n = g->d->words.n_sentences - g->first;
    return (status == XR_EDATA && n == 0) || (status == XR_OK && n == 1) ? xr_file_kind_check(path_of(g), XR_FILE_TAG) : status;
}

xr_status xr_dataset_add_tagged(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                                const xr_data_options *o)
{
    reading g = { .d = d, .tok = tok, .labels = labels, .o = o, .first = d->words.n_sentences, .tagged = -1 };
    XR_TRY(xr_dataset_add_file(d, path));
    XR_TRY(xr_tagged_open(&g.r, path));
    xr_status status = check_format(&g, read_sentences(&g));
    if (status == XR_OK) {
        d->n_bad += g.n_bad;
        status = check_file(&g);
    }
    if (status == XR_OK)
        status = check_learnt(&g);
    if (status == XR_OK)
        status = settle_scheme(&g);
    xr_tagged_close(&g.r);
    xr_free(g.word);
    xr_free(g.tag);
    return status;
}
