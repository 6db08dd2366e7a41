/* Figures of tagged words: entities by the rules of conlleval and of their scheme, or words as classes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/score.h"
#include "util/alloc.h"

/* What is scored, and sums by label of which only those of a type's first label are used. */
typedef struct scoring {
    const xr_tagset *s;
    const xr_words *w;
    int32_t *predicted;         // [w->n]
    xr_entity_counts *counts, *strict;      // [s->n]
} scoring;

static double cross_entropy(const float *z, int n, int gold, int best)
{
    double sum = 0.0;
    for (int c = 0; c < n; c++)
        sum += exp((double)z[c] - (double)z[best]);
    return (double)z[best] + log(sum) - (double)z[gold];
}

/* Loss, accuracy and the predicted labels. A tag that the model has not learnt (score.h) has no loss. */
static void score_words(xr_figures *f, scoring *g, const float *logits)
{
    const xr_words *w = g->w;
    double loss = 0.0;
    size_t right = 0, learnt = 0;
    for (size_t i = 0; i < w->n; i++) {
        const float *z = logits + i * (size_t)g->s->n;
        g->predicted[i] = xr_argmax(z, g->s->n);
        right += g->predicted[i] == w->tag[i];
        if (isinf(z[w->tag[i]]))
            continue;
        loss += cross_entropy(z, g->s->n, w->tag[i], g->predicted[i]);
        learnt++;
    }
    f->n = w->n_sentences;
    f->loss = learnt ? loss / (double)learnt : 0.0;
    f->accuracy = w->n ? (double)right / (double)w->n : 0.0;
}

static xr_status score_classes(xr_figures *f, const scoring *g)
{
    XR_TRY(xr_confusion_init(&f->confusion, g->s->n));
    for (size_t i = 0; i < g->w->n; i++)
        xr_confusion_add(&f->confusion, g->w->tag[i], g->predicted[i]);
    f->f1_macro = xr_confusion_macro_f1(&f->confusion);
    f->scheme = XR_SCHEME_PLAIN;
    return XR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const xr_type_figures *)a)->name, ((const xr_type_figures *)b)->name);
}

static void add_counts(xr_entity_counts *sum, const xr_entity_counts *c)
{
    sum->gold += c->gold, sum->predicted += c->predicted, sum->right += c->right;
}

static int occurs(const xr_entity_counts *c) { return c->gold + c->predicted > 0; }

/* The types that occur, by name, and the sums over them. */
static xr_status collect_types(xr_figures *f, const scoring *g)
{
    f->type = xr_alloc((size_t)g->s->n, sizeof *f->type);
    if (!f->type)
        return xr_error_status();
    for (int k = 0; k < g->s->n; k++) {
        if (!occurs(&g->counts[k]) && !occurs(&g->strict[k]))
            continue;
        f->type[f->n_types++] = (xr_type_figures){ g->s->type[k], g->counts[k], g->strict[k] };
        add_counts(&f->entities, &g->counts[k]);
        add_counts(&f->strict, &g->strict[k]);
    }
    qsort(f->type, (size_t)f->n_types, sizeof *f->type, by_name);
    return XR_OK;
}

/* Mean of the types' F1, in the order of their names, as seqeval's average 'macro'. */
static double macro_f1(const xr_figures *f, int strict)
{
    double sum = 0.0;
    int n = 0;
    for (int k = 0; k < f->n_types; k++) {
        const xr_entity_counts *c = strict ? &f->type[k].strict : &f->type[k].counts;
        sum += xr_entities_f1(c);
        n += occurs(c);
    }
    return n ? sum / n : 0.0;
}

static xr_status score_entities(xr_figures *f, const scoring *g)
{
    xr_tag_survey survey = { 0 };
    const xr_words *w = g->w;
    for (size_t k = 0; k < w->n_sentences; k++)
        xr_tag_survey_add(&survey, g->s, w->tag + w->sentence[k], (size_t)(w->sentence[k + 1] - w->sentence[k]));
    f->scheme = xr_tag_survey_scheme(&survey, g->s);
    for (size_t k = 0; k < w->n_sentences; k++) {
        const int32_t *gold = w->tag + w->sentence[k], *predicted = g->predicted + w->sentence[k];
        size_t n = (size_t)(w->sentence[k + 1] - w->sentence[k]);
        xr_entities_count_types(g->counts, g->s, gold, predicted, n);
        xr_entities_count_strict(g->strict, g->s, f->scheme, gold, predicted, n);
    }
    XR_TRY(collect_types(f, g));
    f->precision = xr_entities_precision(&f->entities);
    f->recall = xr_entities_recall(&f->entities);
    f->f1 = xr_entities_f1(&f->entities);
    f->f1_macro = macro_f1(f, 0);
    f->precision_strict = xr_entities_precision(&f->strict);
    f->recall_strict = xr_entities_recall(&f->strict);
    f->f1_strict = xr_entities_f1(&f->strict);
    f->f1_macro_strict = macro_f1(f, 1);
    return XR_OK;
}

static xr_status score(xr_figures *f, scoring *g, const float *logits)
{
    g->predicted = xr_alloc(g->w->n, sizeof *g->predicted);
    g->counts = g->predicted ? xr_alloc((size_t)g->s->n, sizeof *g->counts) : NULL;
    g->strict = g->counts ? xr_alloc((size_t)g->s->n, sizeof *g->strict) : NULL;
    xr_status status = g->strict ? XR_OK : xr_error_status();
    if (status == XR_OK) {
        score_words(f, g, logits);
        status = g->s->plain ? score_classes(f, g) : score_entities(f, g);
    }
    xr_free(g->predicted);
    xr_free(g->counts);
    xr_free(g->strict);
    return status;
}

xr_status xr_figures_tags(xr_figures *f, const char *const *name, int n_labels, const xr_dataset *d, const float *logits, const char *where)
{
    xr_tagset s;
    memset(f, 0, sizeof *f);
    XR_ASSERT(!d->words.all_pieces, "scores are of first pieces");
    XR_TRY(xr_tagset_init(&s, name, n_labels, where));
    scoring g = { .s = &s, .w = &d->words };
    xr_status status = score(f, &g, logits);
    xr_tagset_free(&s);
    return status;
}
