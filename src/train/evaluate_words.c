#include "train/evaluate_words.h"

#include <math.h>
#include <string.h>

#include "data/tagged.h"
#include "train/evaluate_classes.h"
#include "util/alloc.h"
#include "util/log.h"

enum { ENTITY_PARTS = 3, PLAIN_PARTS = 2 };

static const char *const *names(const xr_evaluation *e) { return (const char *const *)e->labels.name; }
static int n_learnt(const xr_evaluation *e) { return e->context->model.config.num_labels; }
static int is_plain(const xr_evaluation *e) { return xr_tags_plain(names(e), e->labels.n); }

/* ---- which task ---- */

static int stands_in(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return 1;
    return 0;
}

/* Every label but O is an entity's, of one of these types. */
static int has_types(const char *const *name, int n, const char *const *types)
{
    for (int k = 0; k < n; k++) {
        xr_tag_kind kind = xr_tag_kind_of(name[k]);
        if (kind != XR_TAG_NONE && (kind != XR_TAG_ENTITY || !stands_in(name[k] + 2, types)))
            return 0;
    }
    return 1;
}

const char *xr_words_task(const char *const *name, int n)
{
    static const char *const upos[] = { "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
                                        "VERB", "X", NULL };
    static const char *const wikiann[] = { "LOC", "ORG", "PER", NULL }, *const conll[] = { "LOC", "MISC", "ORG", "PER", NULL };
    int k = 0;
    while (k < n && stands_in(name[k], upos))
        k++;
    return k == n ? "udpos" : has_types(name, n, wikiann) ? "panx" : has_types(name, n, conll) ? "conll" : "tag";
}

/* ---- model and data ---- */

static xr_status check_kind(const xr_evaluation *e, xr_words_kind kind)
{
    xr_tagset t;
    XR_TRY(xr_tagset_init(&t, names(e), e->labels.n, e->context->dir));
    int plain = t.plain;
    xr_tagset_free(&t);
    if (kind == XR_WORDS_ANY || plain == (kind == XR_WORDS_PLAIN))
        return XR_OK;
    char *list = xr_labels_list(&e->labels);
    const char *task = xr_words_task(names(e), e->labels.n);
    xr_fail(XR_EDATA, "%s/config.json: the model's labels are: %.200s; --task %s %s; score it with --task %s%s",
            e->context->dir, list ? list : "?", e->o->task,
            plain ? "counts entities, which plain tags do not spell" : "scores plain tags word by word, and these spell entities",
            task, strcmp(task, "tag") == 0 ? "" : ", or with tag for data of your own");
    xr_free(list);
    return xr_error_status();
}

xr_status xr_words_open(xr_evaluation *e, xr_words_kind kind)
{
    XR_TRY(xr_evaluate_check_head(e->context));
    if (e->context->model.config.problem != XR_PROBLEM_TAGS)
        return xr_fail(XR_EUSAGE, "--task %s: %s has a head that classifies texts; train a tagger with: xlmr finetune --task tag", e->o->task,
                       e->context->dir);
    XR_TRY(xr_evaluate_labels(e));
    return check_kind(e, kind);
}

const char *const xr_words_options[] = { "tag_stride", "on_bad_record", "max_bad_fraction", NULL };

xr_status xr_words_read(xr_evaluation *e, xr_scored *s)
{
    xr_data_options d;
    xr_evaluate_data_options(e, &d);
    d.stride = (size_t)e->o->tag_stride;
    d.grow_labels = e->o->predictions != NULL;
    d.keep_iob1 = d.grow_labels;
    d.n_learnt = d.grow_labels ? 0 : n_learnt(e);
    XR_TRY(xr_dataset_add_tagged(&s->data, s->path, e->context->tokenizer, &e->labels, &d));
    const xr_words *w = &s->data.words;
    s->labelled = w->n > 0 && w->tag[0] >= 0;   /* a file has tags everywhere or nowhere */
    s->n_rows = w->n_sentences;
    s->n = s->labelled ? s->n_rows : 0;
    return XR_OK;
}

/* ---- tags that the model has not learnt ---- */

static xr_status warn_unlearnt(const xr_evaluation *e, uint64_t *count)
{
    xr_str list = { 0 };
    for (size_t i = 0; i < e->n; i++)
        xr_words_count_tags(&e->v[i].data.words, 0, count);
    xr_status status = xr_labels_list_counted(&e->labels, n_learnt(e), count, &list);
    if (status == XR_OK && list.len)
        xr_warn("%s: tags that the model has not learnt, with how many words have them: %s; they count as missed, as seqeval counts them; if the model has "
                "other names for them, give --label-map FROM=TO", e->context->dir, list.s);
    xr_str_free(&list);
    return status;
}

xr_status xr_words_tell(const xr_evaluation *e)
{
    if (e->labels.n <= n_learnt(e) || e->o->predictions)
        return XR_OK;
    uint64_t *count = xr_alloc((size_t)e->labels.n, sizeof *count);
    xr_status status = count ? warn_unlearnt(e, count) : xr_error_status();
    xr_free(count);
    return status;
}

/* The model gives them no probability at all. */
static xr_status widen_logits(const xr_evaluation *e, xr_scored *s)
{
    size_t learnt = (size_t)n_learnt(e), C = (size_t)e->labels.n, n = s->data.words.n;
    if (C == learnt)
        return XR_OK;
    float *wide = xr_alloc(n * C, sizeof *wide);
    if (!wide)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < C; c++)
            wide[i * C + c] = c < learnt ? s->logits[i * learnt + c] : -INFINITY;
    xr_free(s->logits);
    s->logits = wide;
    return XR_OK;
}

/* ---- figures ---- */

int32_t *xr_words_predicted(const xr_evaluation *e, const xr_scored *s)
{
    size_t n = s->data.words.n, C = (size_t)e->labels.n;
    int32_t *predicted = xr_alloc(n ? n : 1, sizeof *predicted);
    for (size_t i = 0; predicted && i < n; i++)
        predicted[i] = xr_argmax(s->logits + i * C, (int)C);
    return predicted;
}

static void part_of(const xr_tagset *t, const int32_t *gold, const int32_t *predicted, size_t n, double *part)
{
    xr_entity_counts c = { 0 };
    if (t->plain) {
        for (size_t i = 0; i < n; i++)
            part[0] += gold[i] == predicted[i];
        part[1] = (double)n;
        return;
    }
    xr_entities_count(&c, t, gold, predicted, n);
    part[0] = (double)c.gold, part[1] = (double)c.predicted, part[2] = (double)c.right;
}

static xr_status make_parts(const xr_evaluation *e, xr_scored *s, const xr_tagset *t)
{
    const xr_words *w = &s->data.words;
    size_t n_parts = t->plain ? PLAIN_PARTS : ENTITY_PARTS;
    int32_t *predicted = xr_words_predicted(e, s);
    xr_status status = predicted ? xr_scored_parts(s, w->n_sentences, n_parts) : xr_error_status();
    for (size_t k = 0; k < w->n_sentences && status == XR_OK; k++) {
        size_t first = (size_t)w->sentence[k];
        part_of(t, w->tag + first, predicted + first, (size_t)w->sentence[k + 1] - first, s->part + n_parts * k);
    }
    xr_free(predicted);
    return status;
}

double xr_words_main_figure(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_units;
    if (n_parts == PLAIN_PARTS)
        return sum[1] > 0.0 ? sum[0] / sum[1] : 0.0;
    return sum[0] + sum[1] > 0.0 ? 2.0 * sum[2] / (sum[0] + sum[1]) : 0.0;
}

/* Those of the columns that xr_figures knows; a benchmark sets its others itself. */
static void set_figures(const xr_evaluation *e, xr_scored *s, const xr_figures *f)
{
    for (const xr_report_column *c = xr_words_columns(e); c->metric; c++) {
        double value = 0.0;
        xr_status known = xr_figures_named(f, c->metric, &value);
        XR_ASSERT(known == XR_OK, "metric %s", c->metric);
        xr_scored_set(s, c->metric, value);
    }
}

xr_status xr_words_score(xr_evaluation *e, xr_scored *s, xr_words_kind kind, const xr_evaluate_hooks *h)
{
    xr_tagset t;
    XR_TRY(check_kind(e, kind));
    XR_TRY(xr_evaluate_logits(e, s, h));
    XR_TRY(widen_logits(e, s));
    if (!s->labelled)
        return XR_OK;
    xr_figures *f = s->private = xr_alloc(1, sizeof *f);
    XR_TRY(f ? xr_figures_tags(f, names(e), e->labels.n, &s->data, s->logits, e->context->dir) : xr_error_status());
    set_figures(e, s, f);
    XR_TRY(xr_tagset_init(&t, names(e), e->labels.n, e->context->dir));
    xr_status status = make_parts(e, s, &t);
    xr_tagset_free(&t);
    return status;
}

const xr_report_column *xr_words_columns(const xr_evaluation *e)
{
    static const xr_report_column entities[] = { { "f1", "F1" }, { "precision", "precision" }, { "recall", "recall" }, { "f1_strict", "strict F1" },
                                                 { "precision_strict", NULL }, { "recall_strict", NULL }, { "f1_macro", NULL }, { "f1_macro_strict", NULL },
                                                 { "accuracy", NULL }, { "loss", NULL }, { 0 } };
    static const xr_report_column plain[] = { { "accuracy", "accuracy" }, { "f1_macro", "macro F1" }, { "loss", NULL }, { 0 } };
    return is_plain(e) ? plain : entities;
}

/* ---- results ---- */

xr_status xr_words_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_words *w = &s->data.words;
    size_t C = (size_t)e->labels.n;
    for (size_t k = 0; k < w->n_sentences; k++) {
        XR_TRY(k ? xr_str_putc(out, '\n') : XR_OK);
        for (size_t i = (size_t)w->sentence[k]; i < w->sentence[k + 1]; i++)
            XR_TRY(xr_str_printf(out, "%s\n", e->labels.name[xr_argmax(s->logits + i * C, (int)C)]));
    }
    return XR_OK;
}

/* Class k as if it were a type of entities of one word each. */
static xr_entity_counts class_counts(const xr_confusion *m, int k)
{
    xr_entity_counts c = { 0 };
    for (int i = 0; i < m->n; i++) {
        c.gold += m->count[k * m->n + i];
        c.predicted += m->count[i * m->n + k];
    }
    c.right = m->count[k * m->n + k];
    return c;
}

static json_t *counts_json(const xr_entity_counts *c)
{
    return json_pack("{sf sf sf sI sI sI}", "precision", xr_entities_precision(c), "recall", xr_entities_recall(c), "f1", xr_entities_f1(c), "support",
                     (json_int_t)c->gold, "predicted", (json_int_t)c->predicted, "right", (json_int_t)c->right);
}

static json_t *types_json(const xr_evaluation *e, const xr_figures *f)
{
    json_t *j = json_object();
    for (int k = 0; k < f->n_types; k++) {
        json_t *type = counts_json(&f->type[k].counts);
        json_object_set_new(type, "strict", counts_json(&f->type[k].strict));
        json_object_set_new(j, f->type[k].name, type);
    }
    for (int k = 0; k < f->confusion.n && f->confusion.count; k++) {
        xr_entity_counts c = class_counts(&f->confusion, k);
        if (c.gold + c.predicted)
            json_object_set_new(j, e->labels.name[k], counts_json(&c));
    }
    return j;
}

json_t *xr_words_details(const xr_evaluation *e, const xr_scored *s)
{
    const xr_figures *f = s->private;
    json_t *j = json_pack("{sI}", "words", (json_int_t)s->data.words.n);
    if (!f || !j)
        return j;
    json_object_set_new(j, "scheme", json_string(xr_scheme_name(f->scheme)));
    if (!is_plain(e))
        json_object_set_new(j, "entities", json_pack("{sI sI sI}", "gold", (json_int_t)f->entities.gold, "predicted", (json_int_t)f->entities.predicted,
                                                     "right", (json_int_t)f->entities.right));
    json_object_set_new(j, "types", types_json(e, f));
    return j;
}

static xr_status put_type(const char *name, int width, const xr_entity_counts *c, const xr_entity_counts *strict, xr_str *out)
{
    XR_TRY(xr_str_printf(out, "%-*s  %9.2f  %6.2f  %6.2f  %7llu", width, name, 100.0 * xr_entities_precision(c), 100.0 * xr_entities_recall(c),
                         100.0 * xr_entities_f1(c), (unsigned long long)c->gold));
    return strict ? xr_str_printf(out, "  %9.2f\n", 100.0 * xr_entities_f1(strict)) : xr_str_putc(out, '\n');
}

xr_status xr_words_by_type(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_figures *f = s->private;
    int width = 5, plain = is_plain(e);
    if (!f)
        return XR_OK;
    for (int k = 0; k < e->labels.n; k++)
        width = (int)strlen(e->labels.name[k]) > width ? (int)strlen(e->labels.name[k]) : width;
    XR_TRY(xr_str_printf(out, "\n%s, by %s (%s)\n%-*s  precision  recall      F1  support%s\n", s->language, plain ? "tag" : "type", xr_scheme_name(f->scheme),
                         width, plain ? "tag" : "type", plain ? "" : "  strict F1"));
    for (int k = 0; k < f->n_types; k++)
        XR_TRY(put_type(f->type[k].name, width, &f->type[k].counts, &f->type[k].strict, out));
    if (!plain)
        return put_type("all", width, &f->entities, &f->strict, out);
    for (int k = 0; k < f->confusion.n && f->confusion.count; k++) {
        xr_entity_counts c = class_counts(&f->confusion, k);
        if (c.gold + c.predicted)
            XR_TRY(put_type(e->labels.name[k], width, &c, NULL, out));
    }
    return XR_OK;
}
