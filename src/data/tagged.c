/* Tagged sentences as examples: pieces of the words, where each word begins, and its tag. */
#include "data/tagged.h"

#include <string.h>

#include "data/entities.h"
#include "util/alloc.h"
#include "util/log.h"

enum { SHOWN = 5, SPECIALS = 2 };       /* bad sentences shown per file; <s> and </s> */

/* ---- one sentence ---- */

/* The example being filled. */
typedef struct piecing {
    xr_dataset *d;
    const xr_tokenizer *tok;
    xr_tokens tokens;           /* of the example: <s> and the pieces so far */
    xr_tokens word;             /* of the word */
    size_t room;                /* pieces an example may have */
} piecing;

static xr_status put_special(xr_tokens *t, int32_t id)
{
    XR_TRY(xr_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v));
    t->v[t->n++] = (xr_token){ id, 0, 0 };
    return XR_OK;
}

static xr_status begin_example(piecing *p)
{
    p->tokens.n = 0;
    return put_special(&p->tokens, XR_ID_BOS);
}

static xr_status end_example(piecing *p)
{
    xr_words *w = &p->d->words;
    XR_TRY(put_special(&p->tokens, XR_ID_EOS));
    XR_TRY(xr_grow(&w->example, &w->cap_example, p->d->n + 2, sizeof *w->example));
    XR_TRY(xr_dataset_add_tokens(p->d, p->tokens.v, p->tokens.n));
    w->example[0] = 0;
    w->example[p->d->n] = w->n;
    return XR_OK;
}

static xr_status encode_word(piecing *p, const char *text)
{
    p->word.n = 0;
    if (p->tok)
        XR_TRY(xr_tokenizer_encode(p->tok, text, strlen(text), 0, &p->word));
    if (p->word.n > p->room)
        p->word.n = p->room;
    if (p->word.n)
        return XR_OK;
    p->d->words.n_empty++;
    return put_special(&p->word, XR_ID_UNK);
}

static xr_status grow_words(xr_words *w)
{
    if (w->n < w->cap)
        return XR_OK;
    size_t cap = w->cap ? 2 * w->cap : 1024;
    uint32_t *row = xr_realloc(w->row, cap, sizeof *row);
    w->row = row ? row : w->row;
    int32_t *tag = row ? xr_realloc(w->tag, cap, sizeof *tag) : NULL;
    w->tag = tag ? tag : w->tag;
    if (!tag)
        return xr_error_status();
    w->cap = cap;
    return XR_OK;
}

/* Adds the word's pieces, in a new example when the old one is full. 1 when it began one, < 0 on error. */
static int add_word(piecing *p, const char *text, int32_t tag)
{
    xr_words *w = &p->d->words;
    int cut = 0;
    XR_TRY(encode_word(p, text));
    if (p->tokens.n - 1 + p->word.n > p->room) {
        XR_TRY(end_example(p));
        XR_TRY(begin_example(p));
        cut = 1;
    }
    XR_TRY(grow_words(w));
    XR_TRY(xr_grow(&p->tokens.v, &p->tokens.cap, p->tokens.n + p->word.n, sizeof *p->tokens.v));
    w->row[w->n] = (uint32_t)p->tokens.n;
    w->tag[w->n++] = tag;
    memcpy(p->tokens.v + p->tokens.n, p->word.v, p->word.n * sizeof *p->word.v);
    p->tokens.n += p->word.n;
    return cut;
}

static xr_status add_sentence(piecing *p, const char *const *word, const int32_t *tag, size_t n)
{
    xr_words *w = &p->d->words;
    int cuts = 0;
    XR_TRY(xr_grow(&w->sentence, &w->cap_sentence, w->n_sentences + 2, sizeof *w->sentence));
    XR_TRY(begin_example(p));
    for (size_t i = 0; i < n; i++) {
        int cut = add_word(p, word[i], tag ? tag[i] : -1);
        XR_TRY(cut);
        cuts += cut;
    }
    XR_TRY(end_example(p));
    w->sentence[0] = 0;
    w->sentence[++w->n_sentences] = w->n;
    p->d->n_truncated += cuts > 0;
    return XR_OK;
}

xr_status xr_dataset_add_words(xr_dataset *d, const xr_tokenizer *tok, const char *const *word, const int32_t *tag,
                               size_t n, size_t max_len)
{
    if (max_len && max_len <= SPECIALS)
        return xr_fail(XR_EUSAGE, "max length %zu; <s>, a piece and </s> need %d", max_len, SPECIALS + 1);
    piecing p = { .d = d, .tok = tok, .room = max_len ? max_len - SPECIALS : SIZE_MAX - SPECIALS };
    xr_status status = add_sentence(&p, word, tag, n);
    xr_tokens_free(&p.tokens);
    xr_tokens_free(&p.word);
    return status;
}

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
    int tagged;                 /* the file's lines have tags: 1 yes, 0 no, -1 not known yet */
    size_t tagged_line;         /* that says so */
    uint64_t n_sentences, n_bad, n_open;    /* n_open: entities that begin with I */
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

/* Id of the word's tag, < 0 on error. */
static int tag_of(const reading *g, const xr_tagged_word *w)
{
    const char *name = xr_labels_resolve(g->labels, w->tag);
    int id = xr_labels_find(g->labels, w->tag);
    if (id >= 0)
        return id;
    if (!g->o->grow_labels)
        return unknown_tag(g, w);
    if (!xr_tag_valid(name) || strlen(name) > 200)
        return xr_fail(XR_EDATA, "%s:%zu: the tag '%.80s' is neither O nor B-TYPE or I-TYPE; expected tags of entities (of parts of speech the score "
                       "would mean nothing); correct it, or rename it with --label-map FROM=TO", path_of(g), w->line, w->tag);
    return xr_labels_add(g->labels, name);
}

/* All lines of a file have a tag, or none has. */
static xr_status check_tagged(reading *g, const xr_tagged_word *w)
{
    int tagged = w->tag != NULL;
    if (!tagged && g->o->need_label)
        return xr_fail(XR_EDATA, "%s:%zu: no tag behind '%.40s'; expected the word, a TAB and its tag; put a TAB where something else separates them",
                       path_of(g), w->line, w->text);
    if (g->tagged < 0) {
        g->tagged = tagged;
        g->tagged_line = w->line;
    }
    if (g->tagged == tagged)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s:%zu: %s tag, but line %zu has %s; expected a tag on every line, or on none; complete the file", path_of(g), w->line,
                   tagged ? "a" : "no", g->tagged_line, tagged ? "none" : "one");
}

static int opens_with_inside(const reading *g, size_t i)
{
    const char *tag = g->r.word[i].tag, *before = i ? g->r.word[i - 1].tag : "O";
    return tag && tag[0] == 'I' && before && strcmp(before, "O") == 0;
}

static xr_status take_words(reading *g)
{
    const xr_tagged_reader *r = &g->r;
    XR_TRY(xr_grow(&g->word, &g->cap_word, r->n, sizeof *g->word));
    XR_TRY(xr_grow(&g->tag, &g->cap_tag, r->n, sizeof *g->tag));
    for (size_t i = 0; i < r->n; i++) {
        XR_TRY(check_tagged(g, &r->word[i]));
        g->word[i] = r->word[i].text;
        g->tag[i] = r->word[i].tag ? tag_of(g, &r->word[i]) : -1;
        XR_TRY(r->word[i].tag ? g->tag[i] : XR_OK);
        g->n_open += (uint64_t)opens_with_inside(g, i);
    }
    return xr_dataset_add_words(g->d, g->tok, g->word, g->tag, r->n, g->o->max_len);
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
    return XR_OK;
}

static xr_status read_sentences(reading *g)
{
    long max = g->o->max_samples;
    while (max <= 0 || g->d->words.n_sentences - g->first < (size_t)max) {
        int got = xr_tagged_next(&g->r);
        if (got == 0)
            break;
        g->n_sentences++;
        if (got > 0)
            got = take_words(g);
        if (got < 0)
            XR_TRY(bad_sentence(g));
    }
    return XR_OK;
}

static xr_status check_file(const reading *g)
{
    if (g->n_bad)
        xr_warn("%s: %llu of %llu sentences skipped because they are bad", path_of(g), (unsigned long long)g->n_bad, (unsigned long long)g->n_sentences);
    if (g->r.prefix[0])
        xr_info("%s: the '%s' before each word is left out", path_of(g), g->r.prefix);
    if (g->n_open)
        xr_info("%s: %llu entities begin with I-, which is read as a beginning", path_of(g), (unsigned long long)g->n_open);
    if ((double)g->n_bad > g->o->max_bad_fraction * (double)g->n_sentences)
        return xr_fail(XR_EDATA, "%s: %llu of %llu sentences are bad; at most a share of %g may be skipped; correct the file, or raise "
                       "--max-bad-fraction", path_of(g), (unsigned long long)g->n_bad, (unsigned long long)g->n_sentences, g->o->max_bad_fraction);
    if (g->d->words.n_sentences == g->first)
        return xr_fail(XR_EDATA, "%s: no sentences: the file is empty; expected one word a line; give another file", path_of(g));
    return XR_OK;
}

xr_status xr_dataset_add_tagged(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                                const xr_data_options *o)
{
    reading g = { .d = d, .tok = tok, .labels = labels, .o = o, .first = d->words.n_sentences, .tagged = -1 };
    XR_TRY(xr_dataset_add_file(d, path));
    XR_TRY(xr_tagged_open(&g.r, path));
    xr_status status = read_sentences(&g);
    if (status == XR_OK) {
        d->n_bad += g.n_bad;
        status = check_file(&g);
    }
    xr_tagged_close(&g.r);
    xr_free(g.word);
    xr_free(g.tag);
    return status;
}
