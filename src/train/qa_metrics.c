#include "train/qa_metrics.h"

#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/utf8.h"

/* --- rules ----------------------------------------------------------------------------------------------------- */

static const char *const no_articles[] = { NULL };
static const char *const english[] = { "a", "an", "the", NULL };
static const char *const spanish[] = { "un", "una", "unos", "unas", "el", "la", "los", "las", NULL };
static const char *const vietnamese[] = { "của", "là", "cái", "chiếc", "những", NULL };
static const char *const german[] = { "ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des", NULL };

static const xr_qa_rules squad1 = { "SQuAD 1.1", NULL, 0, 0, 0, english, NULL };
static const xr_qa_rules squad2 = { "SQuAD 2.0", NULL, 1, 0, 0, english, NULL };
static const xr_qa_rules mlqa[] = {
    { "MLQA (en)", "en", 0, 1, 0, english, NULL },
    { "MLQA (es)", "es", 0, 1, 0, spanish, NULL },
    { "MLQA (de)", "de", 0, 1, 0, german, NULL },
    /* The script's pattern for the article takes these two letters wherever they stand. */
    { "MLQA (ar)", "ar", 0, 1, 0, no_articles, "ال" },
    { "MLQA (hi)", "hi", 0, 1, 0, no_articles, NULL },
    { "MLQA (vi)", "vi", 0, 1, 0, vietnamese, NULL },
    { "MLQA (zh)", "zh", 0, 1, 1, no_articles, NULL },
};

const xr_qa_rules *xr_qa_rules_squad1(void)
{
    return &squad1;
}

const xr_qa_rules *xr_qa_rules_squad2(void)
{
    return &squad2;
}

const xr_qa_rules *xr_qa_rules_mlqa(const char *language, const char *where)
{
    for (size_t i = 0; i < sizeof mlqa / sizeof *mlqa; i++)
        if (strcmp(mlqa[i].language, language) == 0)
            return &mlqa[i];
    xr_fail(XR_EDATA, "%s: MLQA has no rules for answers in '%s'; expected en, es, de, ar, hi, vi or zh; score it as xquad, whose rules know no language",
            where, language);
    return NULL;
}

/* --- making answers comparable --------------------------------------------------------------------------------- */

/* string.punctuation of Python: the P* of ASCII and its symbols. */
static int is_ascii_mark(uint32_t c)
{
    return c < 0x80 && c > ' ' && strchr("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", (int)c);
}

static int is_dropped(const xr_qa_rules *r, uint32_t c)
{
    return is_ascii_mark(c) || (r->unicode_punctuation && xr_utf8_is_punctuation(c));
}

static int is_chinese(uint32_t c)
{
    return c >= 0x4E00 && c <= 0x9FA5;
}

static int is_article(const xr_qa_rules *r, const char *word, size_t len)
{
    for (const char *const *a = r->articles; *a; a++)
        if (strlen(*a) == len && memcmp(*a, word, len) == 0)
            return 1;
    return 0;
}

/* Lower case, then what remains when the marks are gone. */
static xr_status strip(const xr_qa_rules *r, const char *answer, xr_str *lower, xr_str *out)
{
    size_t size;
    XR_TRY(xr_utf8_append_lower(lower, answer, strlen(answer)));
    for (size_t i = 0; i < lower->len; i += size)
        if (!is_dropped(r, xr_utf8_decode(lower->s + i, lower->len - i, &size)))
            XR_TRY(xr_str_append(out, lower->s + i, size));
    return XR_OK;
}

/* Bytes of the run of characters of \w at s: what stands between two \b. */
static size_t word_len(const char *s, size_t len)
{
    size_t n = 0, size;
    while (n < len && xr_utf8_is_word(xr_utf8_decode(s + n, len - n, &size)))
        n += size;
    return n;
}

/* Bytes at s that make way for a space: an article that is a whole run of \w, or the rules' string. `inside` a run, none begins. */
static size_t article_len(const xr_qa_rules *r, const char *s, size_t len, int inside)
{
    size_t cut = r->cut ? strlen(r->cut) : 0, n = inside ? 0 : word_len(s, len);
    if (cut && len >= cut && memcmp(s, r->cut, cut) == 0)
        return cut;
    return n && is_article(r, s, n) ? n : 0;
}

/* Starts a new word at the next character, if there is one before it. */
static xr_status space(xr_str *out, size_t begin)
{
    return out->len > begin && out->s[out->len - 1] != ' ' ? xr_str_putc(out, ' ') : XR_OK;
}

static xr_status words(const xr_qa_rules *r, const char *s, size_t len, xr_str *out)
{
    size_t begin = out->len, size;
    int inside = 0;
    for (size_t i = 0; i < len; i += size) {
        uint32_t c = xr_utf8_decode(s + i, len - i, &size);
        size_t article = article_len(r, s + i, len - i, inside);
        int alone = r->characters && is_chinese(c);
        inside = article ? inside : xr_utf8_is_word(c);
        if (article || alone || xr_utf8_is_space(c))
            XR_TRY(space(out, begin));
        if (article)
            size = article;
        else if (!xr_utf8_is_space(c))
            XR_TRY(xr_str_append(out, s + i, size));
        if (alone)
            XR_TRY(space(out, begin));
    }
    if (out->len > begin && out->s[out->len - 1] == ' ')
        out->s[--out->len] = '\0';
    return XR_OK;
}

xr_status xr_qa_normalise(const xr_qa_rules *r, const char *answer, xr_str *out)
{
    xr_str lower = { 0 }, bare = { 0 };
    xr_status status = strip(r, answer, &lower, &bare);
    if (status == XR_OK)
        status = words(r, bare.s ? bare.s : "", bare.len, out);
    xr_str_free(&lower);
    xr_str_free(&bare);
    return status;
}

/* --- points ---------------------------------------------------------------------------------------------------- */

/* An answer's words, sorted. */
typedef struct bag { xr_str text; const char **word; size_t n; } bag;

static int by_word(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void bag_free(bag *b)
{
    xr_free(b->word);
    xr_str_free(&b->text);
}

static size_t count_words(const xr_str *s)
{
    size_t n = s->len > 0;
    for (size_t i = 0; i < s->len; i++)
        n += s->s[i] == ' ';
    return n;
}

static xr_status bag_make(bag *b, const xr_qa_rules *r, const char *answer)
{
    XR_TRY(xr_qa_normalise(r, answer, &b->text));
    size_t n = count_words(&b->text);
    b->word = xr_alloc(n, sizeof *b->word);
    if (!b->word)
        return xr_error_status();
    for (char *w = b->text.s; b->n < n; w += strlen(w) + 1) {
        w[strcspn(w, " ")] = '\0';
        b->word[b->n++] = w;
    }
    return XR_OK;
}

static size_t common_words(const bag *a, const bag *b)
{
    size_t i = 0, k = 0, n = 0;
    while (i < a->n && k < b->n) {
        int order = strcmp(a->word[i], b->word[k]);
        n += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    return n;
}

/* In the scripts' order of operations, for the sake of the last digit. */
static double f1(const bag *predicted, const bag *gold)
{
    size_t n = common_words(predicted, gold);
    if (n == 0)
        return 0.0;
    double precision = (double)n / (double)predicted->n, recall = (double)n / (double)gold->n;
    return 2 * precision * recall / (precision + recall);
}

/* Same words in the same order; to be asked before the bags are sorted. */
static int same(const bag *a, const bag *b)
{
    size_t i = 0;
    while (i < a->n && i < b->n && strcmp(a->word[i], b->word[i]) == 0)
        i++;
    return i == a->n && i == b->n;
}

/* Against one gold answer. The prediction's bag is unsorted, and a sorted copy of it comes along. */
static xr_status compare(const xr_qa_rules *r, const bag *predicted, const bag *sorted, const char *gold, xr_qa_points *best)
{
    bag g = { 0 };
    xr_status status = bag_make(&g, r, gold);
    if (status == XR_OK) {
        double exact = same(predicted, &g);
        qsort(g.word, g.n, sizeof *g.word, by_word);
        double overlap = r->no_answer && (g.n == 0 || predicted->n == 0) ? exact : f1(sorted, &g);
        best->exact = exact > best->exact ? exact : best->exact;
        best->f1 = overlap > best->f1 ? overlap : best->f1;
    }
    bag_free(&g);
    return status;
}

/* Where "" can be right, gold answers of which nothing remains are none. */
static xr_status counts_as_gold(const xr_qa_rules *r, const char *gold, int *counts)
{
    xr_str text = { 0 };
    xr_status status = r->no_answer ? xr_qa_normalise(r, gold, &text) : XR_OK;
    *counts = !r->no_answer || text.len > 0;
    xr_str_free(&text);
    return status;
}

static xr_status compare_all(const xr_qa_rules *r, const bag *predicted, const bag *sorted, const char *const *gold, size_t n_gold, xr_qa_points *best)
{
    int any = 0, counts;
    for (size_t i = 0; i < n_gold; i++) {
        XR_TRY(counts_as_gold(r, gold[i], &counts));
        if (counts)
            XR_TRY(compare(r, predicted, sorted, gold[i], best));
        any |= counts;
    }
    return any ? XR_OK : compare(r, predicted, sorted, "", best);
}

xr_status xr_qa_score(const xr_qa_rules *r, const char *prediction, const char *const *gold, size_t n_gold, xr_qa_points *out)
{
    bag predicted = { 0 }, sorted = { 0 };
    XR_ASSERT(n_gold > 0 || r->no_answer, "%s has no questions without an answer", r->name);
    *out = (xr_qa_points){ 0 };
    xr_status status = bag_make(&predicted, r, prediction);
    if (status == XR_OK)
        status = bag_make(&sorted, r, prediction);
    if (status == XR_OK) {
        qsort(sorted.word, sorted.n, sizeof *sorted.word, by_word);
        status = compare_all(r, &predicted, &sorted, gold, n_gold, out);
    }
    bag_free(&predicted);
    bag_free(&sorted);
    return status;
}

/* --- sums ------------------------------------------------------------------------------------------------------ */

static void add(xr_qa_sum *s, xr_qa_points p)
{
    s->n++;
    s->exact += p.exact;
    s->f1 += p.f1;
}

void xr_qa_add(xr_qa_totals *t, xr_qa_points p, int answerable)
{
    add(&t->all, p);
    add(answerable ? &t->answerable : &t->unanswerable, p);
}

double xr_qa_exact(const xr_qa_sum *s)
{
    return s->n ? s->exact / (double)s->n : 0.0;
}

double xr_qa_f1(const xr_qa_sum *s)
{
    return s->n ? s->f1 / (double)s->n : 0.0;
}

/* --- the threshold of SQuAD 2.0 -------------------------------------------------------------------------------- */

typedef struct ranked { const xr_qa_odds *q; size_t at; } ranked;

static int by_odds(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->q->null_odds != y->q->null_odds)
        return x->q->null_odds < y->q->null_odds ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* From "no question has an answer" on, each prediction is let in, the surest first. */
static void search(const ranked *v, size_t n, int exact, double *best, double *threshold)
{
    double score = 0.0;
    for (size_t i = 0; i < n; i++)
        score += !v[i].q->answerable;
    *best = score;
    *threshold = 0.0;
    for (size_t i = 0; i < n; i++) {
        const xr_qa_odds *q = v[i].q;
        score += q->answerable ? (exact ? q->points.exact : q->points.f1) : q->answered ? -1.0 : 0.0;
        if (score > *best) {
            *best = score;
            *threshold = q->null_odds;
        }
    }
}

xr_status xr_qa_best_threshold(const xr_qa_odds *q, size_t n, xr_qa_best *out)
{
    ranked *v = xr_alloc(n, sizeof *v);
    if (!v)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        v[i] = (ranked){ &q[i], i };
    qsort(v, n, sizeof *v, by_odds);
    search(v, n, 1, &out->exact, &out->exact_threshold);
    search(v, n, 0, &out->f1, &out->f1_threshold);
    xr_free(v);
    return XR_OK;
}
