/* BUCC 2018: which sentences of two texts are translations of each other, A-B.{split}.A and .B with lines "id TAB sentence", the right pairs of ids
 * in A-B.{split}.gold. Pairs are mined by margin, and kept from a threshold on that is the best for the dev files. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "train/benchmark.h"
#include "train/retrieval.h"
#include "util/alloc.h"
#include "util/log.h"

enum { NEIGHBOURS = 4 };        /* as in XTREME's mine_bitext */

/* Two texts, and what is known and found about them. */
typedef struct corpus {
    xr_lines a, b;
    uint64_t *gold;             // [n_gold] ascending: line of a << 32 | line of b
    size_t n_gold;
    int has_gold;
    xr_mined *pair;             // [n] candidates, best first; a and b are lines
    uint8_t *right;             // [n] those in gold
    size_t n;
} corpus;

typedef struct mining {
    corpus test;                /* what is scored */
    corpus dev;                 /* what the threshold comes from, where that is other data */
    int has_dev;
    double threshold;
    size_t n_kept;              /* of test.pair */
} mining;

/* ---- reading ---- */

typedef struct named { const char *id; uint32_t line; } named;

static int by_id(const void *a, const void *b)
{
    return strcmp(((const named *)a)->id, ((const named *)b)->id);
}

static named *sort_ids(const xr_lines *l)
{
    named *v = xr_alloc(l->n, sizeof *v);
    for (size_t i = 0; v && i < l->n; i++)
        v[i] = (named){ l->bytes.s + l->id[i], (uint32_t)i };
    if (v)
        qsort(v, l->n, sizeof *v, by_id);
    return v;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static const named *find_id(const named *v, size_t n, const char *id)
{
    named key = { id, 0 };
    return bsearch(&key, v, n, sizeof *v, by_id);
}

static xr_status take_gold(corpus *c, const xr_stream *s, char *line, const named *a, const named *b, size_t *cap)
{
    char *tab = strchr(line, '\t');
    if (tab)
        *tab = '\0';
    const named *x = find_id(a, c->a.n, line), *y = tab ? find_id(b, c->b.n, tab + 1) : NULL;
    if (!x || !y)
        return xr_fail(XR_EDATA, "%s:%zu: '%.60s' is no pair of ids of the two texts; expected an id of each with a TAB between; is it of other data?",
                       xr_stream_path(s), xr_stream_line_number(s), !x ? line : tab ? tab + 1 : line);
    XR_TRY(xr_grow(&c->gold, cap, c->n_gold + 1, sizeof *c->gold));
    c->gold[c->n_gold++] = (uint64_t)x->line << 32 | y->line;
    return XR_OK;
}

static xr_status read_pairs(corpus *c, xr_stream *s, const named *a, const named *b)
{
    char *line;
    size_t len, cap = 0, kept = 0;
    int got;
    while ((got = xr_stream_line(s, &line, &len)) > 0)
        XR_TRY(take_gold(c, s, line, a, b, &cap));
    XR_TRY(got);
    if (c->n_gold)
        qsort(c->gold, c->n_gold, sizeof *c->gold, by_number);
    for (size_t i = 0; i < c->n_gold; i++)
        if (i == 0 || c->gold[i] != c->gold[i - 1])
            c->gold[kept++] = c->gold[i];
    c->n_gold = kept;
    c->has_gold = kept > 0;
    return XR_OK;
}

static xr_status read_gold(corpus *c, const char *path)
{
    xr_stream *s = xr_stream_open(path);
    named *a = s ? sort_ids(&c->a) : NULL, *b = a ? sort_ids(&c->b) : NULL;
    xr_status status = b ? read_pairs(c, s, a, b) : xr_error_status();
    xr_free(a);
    xr_free(b);
    xr_stream_close(s);
    return status;
}

/* *there = 0 when the first text is not there. */
static xr_status read_corpus(const xr_evaluation *e, const xr_scored *s, const char *middle, corpus *c, int *there)
{
    char *path[3] = { NULL };
    const char *const last[] = { NULL, "B", "gold" };
    xr_status status = XR_OK;
    for (int k = 0; k < 3 && status == XR_OK; k++)
        status = xr_retrieval_path(s, middle, last[k], &path[k]);
    *there = path[0] != NULL;
    if (status == XR_OK && path[0] && !path[1])
        status = xr_fail(XR_ENOINPUT, "%s: the file of the other language is not beside it; expected both; add it", path[0]);
    if (status == XR_OK && path[0])
        status = xr_lines_read(&c->a, path[0], 1, e->context->tokenizer, e->max_len, 0);
    if (status == XR_OK && path[0])
        status = xr_lines_read(&c->b, path[1], 1, e->context->tokenizer, e->max_len, 0);
    if (status == XR_OK && path[0] && path[2])
        status = read_gold(c, path[2]);
    for (int k = 0; k < 3; k++)
        xr_free(path[k]);
    return status;
}

static xr_status find(xr_evaluation *e)
{
    if (e->o->max_eval_samples > 0)
        return xr_fail(XR_EUSAGE, "--max-eval-samples: pairs are looked for in whole texts; leave it out, or give shorter files");
    return xr_retrieval_find(e, strcmp(e->o->split, "dev") == 0 ? ".dev" : ".test");
}

static xr_status open_model(xr_evaluation *e)
{
    if (e->o->label_map)
        return xr_fail(XR_EUSAGE, "--label-map: --task %s has no labels; leave it out", e->o->task);
    return xr_retrieval_layer(e->context, e->o) < 0 ? xr_error_status() : XR_OK;
}

static xr_status read_texts(xr_evaluation *e, xr_scored *s)
{
    mining *m = s->private = xr_alloc(1, sizeof *m);
    int dev = strcmp(e->o->split, "dev") == 0, there;
    XR_TRY(m ? read_corpus(e, s, dev ? ".dev" : ".test", &m->test, &there) : xr_error_status());
    if (!dev)
        XR_TRY(read_corpus(e, s, ".dev", &m->dev, &there));
    m->has_dev = !dev && there && m->dev.has_gold;
    if (!m->has_dev && !m->test.has_gold)
        return xr_fail(XR_ENOINPUT, "%s: no right pairs to find a threshold with, neither of these texts nor of dev; expected %s.dev.gold with its two "
                       "texts beside it; add them", s->path, s->language);
    if (!m->has_dev && !dev && !e->o->predictions)
        xr_warn("%s: there are no dev files with right pairs, so the threshold is the best for the scored texts themselves: F1 is an upper bound", s->path);
    xr_lines_count(s, &m->test.a);
    xr_lines_count(s, &m->test.b);
    s->n_rows = m->test.a.n;
    s->n = m->test.has_gold ? m->test.a.n : 0;
    s->labelled = s->n > 0;
    return XR_OK;
}

/* The pairs of a file in place of mined ones. */
static xr_status take_pairs(corpus *c, const corpus *given)
{
    c->pair = xr_alloc(given->n_gold, sizeof *c->pair);
    c->right = c->pair ? xr_alloc(given->n_gold, 1) : NULL;
    if (!c->right)
        return xr_error_status();
    for (c->n = 0; c->n < given->n_gold; c->n++) {
        const uint64_t *key = &given->gold[c->n];
        c->pair[c->n] = (xr_mined){ (uint32_t)(*key >> 32), (uint32_t)*key, 0.0 };
        c->right[c->n] = c->n_gold && bsearch(key, c->gold, c->n_gold, sizeof *key, by_number) != NULL;
    }
    return XR_OK;
}

static xr_status predicted(xr_evaluation *e, xr_scored *s, const char *path)
{
    mining *m = s->private;
    corpus given = m->test;
    (void)e;
    given.gold = NULL;
    given.n_gold = 0;
    xr_status status = read_gold(&given, path);
    if (status == XR_OK)
        status = take_pairs(&m->test, &given);
    m->n_kept = m->test.n;
    xr_free(given.gold);
    return status;
}

/* ---- mining ---- */

/* Distinct texts to lines; a sentence that stands several times has no one id, and its pairs are left out, as XTREME does. */
static xr_status keep_lines(corpus *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        xr_mined p = c->pair[i];
        if (!c->a.repeated[p.a] && !c->b.repeated[p.b])
            c->pair[kept++] = (xr_mined){ c->a.line[p.a], c->b.line[p.b], p.score };
    }
    c->n = kept;
    c->right = xr_alloc(kept, 1);
    if (!c->right)
        return xr_error_status();
    for (size_t i = 0; i < kept && c->n_gold; i++) {
        uint64_t key = (uint64_t)c->pair[i].a << 32 | c->pair[i].b;
        c->right[i] = bsearch(&key, c->gold, c->n_gold, sizeof *c->gold, by_number) != NULL;
    }
    return XR_OK;
}

static xr_status mine(const xr_evaluation *e, const xr_scored *s, corpus *c, const xr_evaluate_hooks *h)
{
    size_t H = (size_t)e->context->model.config.hidden_size;
    float *a = xr_retrieval_vectors(e, s, &c->a.data, h), *b = a ? xr_retrieval_vectors(e, s, &c->b.data, h) : NULL;
    xr_retrieval_begin(s, c->a.data.n, h);
    xr_status status = !b ? xr_error_status()
                          : xr_retrieval_mine(&c->pair, &c->n, a, c->a.data.n, b, c->b.data.n, H, NEIGHBOURS, h ? h->progress : NULL, h ? h->context : NULL);
    xr_free(a);
    xr_free(b);
    return status < 0 ? status : keep_lines(c);
}

/* Parts of a line of A: right pairs there are, pairs given, right ones among them. */
static xr_status put_figures(xr_scored *s, const mining *m)
{
    const corpus *c = &m->test;
    double right = 0.0;
    XR_TRY(xr_scored_parts(s, c->a.n, 3));
    for (size_t i = 0; i < c->n_gold; i++)
        s->part[3 * (c->gold[i] >> 32)] += 1.0;
    for (size_t i = 0; i < m->n_kept; i++) {
        s->part[3 * (size_t)c->pair[i].a + 1] += 1.0;
        s->part[3 * (size_t)c->pair[i].a + 2] += c->right[i];
        right += c->right[i];
    }
    xr_scored_set(s, "f1", right > 0.0 ? 2.0 * right / (double)(m->n_kept + c->n_gold) : 0.0);
    xr_scored_set(s, "precision", m->n_kept ? right / (double)m->n_kept : 0.0);
    xr_scored_set(s, "recall", c->n_gold ? right / (double)c->n_gold : 0.0);
    return XR_OK;
}

static xr_status find_pairs(const xr_evaluation *e, const xr_scored *s, mining *m, const xr_evaluate_hooks *h)
{
    corpus *tuned = m->has_dev ? &m->dev : &m->test;
    if (mine(e, s, &m->test, h) < 0 || (m->has_dev && mine(e, s, &m->dev, h) < 0))
        return xr_fail_context("%s", s->path);
    m->threshold = xr_retrieval_threshold(tuned->pair, tuned->right, tuned->n, tuned->n_gold);
    while (m->n_kept < m->test.n && m->test.pair[m->n_kept].score >= m->threshold)
        m->n_kept++;
    return XR_OK;
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    mining *m = s->private;
    if (!e->o->predictions)
        XR_TRY(find_pairs(e, s, m, h));
    return s->labelled ? put_figures(s, m) : XR_OK;
}

static double f1(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    (void)n_units;
    return sum[2] > 0.0 ? 2.0 * sum[2] / (sum[0] + sum[1]) : 0.0;
}

static const xr_report_column *columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "f1", "F1" }, { "precision", "precision" }, { "recall", "recall" }, { 0 } };
    (void)e;
    return shown;
}

static xr_status predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const mining *m = s->private;
    const corpus *c = &m->test;
    (void)e;
    for (size_t i = 0; i < m->n_kept; i++)
        XR_TRY(xr_str_printf(out, "%s\t%s\n", c->a.bytes.s + c->a.id[c->pair[i].a], c->b.bytes.s + c->b.id[c->pair[i].b]));
    return XR_OK;
}

static json_t *details(const xr_evaluation *e, const xr_scored *s)
{
    const mining *m = s->private;
    if (e->o->predictions)
        return json_pack("{sI sI}", "predicted", (json_int_t)m->n_kept, "gold", (json_int_t)m->test.n_gold);
    return json_pack("{si ss sI sI sI sf ss}", "layer", xr_retrieval_layer(e->context, e->o), "pooling", e->o->pooling, "candidates", (json_int_t)m->test.n,
                     "predicted", (json_int_t)m->n_kept, "gold", (json_int_t)m->test.n_gold, "threshold", m->threshold, "threshold_from",
                     m->has_dev ? "dev" : "the scored texts");
}

static void corpus_free(corpus *c)
{
    xr_lines_free(&c->a);
    xr_lines_free(&c->b);
    xr_free(c->gold);
    xr_free(c->pair);
    xr_free(c->right);
}

static const char *text_of(const xr_lines *l, size_t i) { return l->bytes.s + l->text[i]; }

/* The pair that was given for a line of A; NULL: none. A line stands in one pair, but a file of predictions may name several: then the last wrong one. */
static const xr_mined *given_for(const mining *m, size_t i)
{
    const xr_mined *found = NULL;
    for (size_t k = 0; k < m->n_kept; k++)
        if (m->test.pair[k].a == i && (!found || !m->test.right[k]))
            found = &m->test.pair[k];
    return found;
}

/* The right line of B for a line of A; NULL: there is none. */
static const uint64_t *right_for(const corpus *c, size_t i)
{
    for (size_t k = 0; k < c->n_gold; k++)
        if (c->gold[k] >> 32 == i)
            return &c->gold[k];
    return NULL;
}

/* A wrong pair is the worse the surer it was; a right one that was not given follows these. */
static xr_status error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const mining *m = s->private;
    const double *part = s->part + 3 * i;
    int wrong = part[1] > part[2], missed = part[0] > part[2];
    const xr_mined *given = wrong ? given_for(m, i) : NULL;
    *badness = given ? 1.0 + fmax(given->score, 0.0) : (double)missed;
    if (!line)
        return XR_OK;
    const uint64_t *right = right_for(&m->test, i);
    json_object_set_new(line, "gold", json_string(right ? text_of(&m->test.b, (uint32_t)*right) : "(no pair)"));
    json_object_set_new(line, "predicted", json_string(given ? text_of(&m->test.b, given->b) : "(no pair)"));
    json_object_set_new(line, "text", json_string(text_of(&m->test.a, i)));
    if (given && !e->o->predictions)
        json_object_set_new(line, "margin", json_real(given->score));
    return XR_OK;
}

static void free_texts(xr_scored *s)
{
    mining *m = s->private;
    if (!m)
        return;
    corpus_free(&m->test);
    corpus_free(&m->dev);
    xr_free(m);
    s->private = NULL;
}

const xr_benchmark xr_benchmark_bucc2018 = {
    .name = "bucc2018", .title = "BUCC 2018", .units = "sentences", .ending = ".tsv",
    .options = xr_retrieval_options,
    .find = find, .open = open_model, .read = read_texts, .predicted = predicted, .score = score, .columns = columns, .main_figure = f1,
    .predictions = predictions, .details = details, .error = error, .free = free_texts,
};
