#include "train/score.h"

#include <math.h>
#include <string.h>

#include "data/loader.h"
#include "data/tagged.h"
#include "model/head.h"
#include "train/context.h"
#include "util/alloc.h"

enum { DEFAULT_BATCH_TOKENS = 4096 };

/* Longest first, so that the largest batch comes at once and a batch holds sequences of like lengths. */
static xr_loader *evaluation_loader(const xr_dataset *d, size_t batch_tokens)
{
    xr_loader_options o = { 0 };
    o.batch_size = d->n;
    o.micro_size = d->n;
    o.token_budget = batch_tokens ? batch_tokens : DEFAULT_BATCH_TOKENS;
    o.sort_by_length = 1;
    return xr_loader_new(d, &o);
}

/* Rows of the answer that belong to example i: [first, first + n). */
static size_t answer_rows(const xr_dataset *d, size_t i, size_t *first)
{
    const xr_words *w = &d->words;
    if (w->n_sentences) {
        *first = xr_words_rows(w, 0, w->example[i]);
        return xr_words_rows(w, w->example[i], w->example[i + 1]);
    }
    const uint64_t *start = d->choices.n ? d->choices.example : d->windows.questions.n ? d->offset : NULL;
    *first = start ? (size_t)start[i] : i;
    return start ? (size_t)(start[i + 1] - start[i]) : 1;
}

/* A word (or each of its pieces), a choice, a token of a window or an example has one row of logits. */
static size_t n_rows(const xr_dataset *d)
{
    const xr_words *w = &d->words;
    return w->n_sentences ? xr_words_rows(w, 0, w->n) : d->choices.n ? d->choices.n : d->windows.questions.n ? (size_t)d->offset[d->n] : d->n;
}

static size_t n_columns(const xr_model *m, const xr_dataset *d)
{
    return d->windows.questions.n ? 2 : m->config.problem == XR_PROBLEM_CHOICE ? 1 : (size_t)m->config.num_labels;
}

/* Logits of a batch, whose examples stand in another order than the dataset's. */
static void put_logits(const xr_dataset *d, const uint32_t *example, size_t n, const xr_tensor *z, float *logits)
{
    const float *from = z->x;
    for (size_t b = 0; b < n; b++) {
        size_t first, count = answer_rows(d, example[b], &first) * z->cols;
        memcpy(logits + first * z->cols, from, count * sizeof *logits);
        from += count;
    }
}

static xr_status score_batches(const xr_scoring *s, xr_tape *t, xr_loader *l, const xr_dataset *d, float *logits)
{
    xr_model *m = s->model;
    size_t done = 0, n;
    int n_micro = xr_loader_begin(l, 0, 0);
    XR_TRY(n_micro < 0 ? (xr_status)n_micro : XR_OK);
    for (int k = 0; k < n_micro; k++) {
        const xr_batch *batch = xr_loader_batch(l, k);
        if (!batch)
            return xr_error_status();
        xr_tape_begin(t, 0, 0, 0, 0);
        xr_tensor *z = m->head->forward(t, m, batch);
        XR_TRY(xr_tape_status(t));
        const uint32_t *example = xr_loader_examples(l, k, &n);
        XR_TRY(xr_check_finite(z->x, xr_numel(z), s->name));
        put_logits(d, example, n, z, logits);
        done += n;
        if (s->progress && s->progress(done, d->n, s->context))
            return xr_fail(XR_ETEMPFAIL, "%s: scoring was stopped after %zu of %zu examples", s->name, done, d->n);
    }
    return XR_OK;
}

float *xr_score_logits(const xr_scoring *s, const xr_dataset *d)
{
    xr_model *m = s->model;
    XR_ASSERT(m->head && n_columns(m, d) > 0, "scoring needs a head with answers");
    int tagged = d->words.n_sentences > 0;
    float *logits = xr_alloc(n_rows(d) * n_columns(m, d), sizeof *logits);
    xr_loader *l = logits ? evaluation_loader(d, s->batch_tokens) : NULL;
    size_t tokens = l ? xr_loader_max_tokens(l) : 0;
    size_t reserve = l ? xr_model_reserve(m, tokens, tokens / 2 + 1, xr_dataset_longest(d), tagged ? tokens : 0, 0) : 0;
    xr_tape *t = reserve ? xr_tape_new(reserve) : NULL;
    if (!t || score_batches(s, t, l, d, logits) < 0) {
        xr_free(logits);
        logits = NULL;
    }
    xr_tape_free(t);
    xr_loader_free(l);
    return logits;
}

/* --- figures -------------------------------------------------------------------------------------------------- */

xr_label_kind xr_score_label_kind(xr_problem p)
{
    return p == XR_PROBLEM_REGRESSION ? XR_LABEL_VALUE : p == XR_PROBLEM_MULTI_LABEL ? XR_LABEL_MULTI : XR_LABEL_CLASS;
}

static double cross_entropy(const float *z, int n, int gold)
{
    double max = (double)z[xr_argmax(z, n)], sum = 0.0;
    for (int c = 0; c < n; c++)
        sum += exp((double)z[c] - max);
    return max + log(sum) - (double)z[gold];
}

/* Shares of the classes, in double as the figures are. */
static void softmax(double *p, const float *z, int n)
{
    double max = (double)z[xr_argmax(z, n)], sum = 0.0;
    for (int c = 0; c < n; c++)
        sum += p[c] = exp((double)z[c] - max);
    for (int c = 0; c < n; c++)
        p[c] /= sum;
}

/* What a curve is drawn of: a column of scores and of what is right. */
typedef struct curve { double *score; uint8_t *gold; size_t n; } curve;

static xr_status curve_init(curve *c, size_t n)
{
    c->n = 0;
    c->score = xr_alloc(n, sizeof *c->score);
    c->gold = c->score ? xr_alloc(n, sizeof *c->gold) : NULL;
    return c->gold ? XR_OK : xr_error_status();
}

static void curve_free(curve *c)
{
    xr_free(c->score);
    xr_free(c->gold);
}

/* Class c against the rest, by its share; of two classes the second's. */
static xr_status class_curve(curve *k, int c, int n_labels, const xr_dataset *d, const float *logits)
{
    double *p = xr_alloc((size_t)n_labels, sizeof *p);
    k->n = 0;
    for (size_t i = 0; p && i < d->n; i++) {
        if (d->label[i] < 0)
            continue;
        softmax(p, logits + i * (size_t)n_labels, n_labels);
        k->score[k->n] = p[c];
        k->gold[k->n++] = d->label[i] == c;
    }
    xr_free(p);
    return p ? XR_OK : xr_error_status();
}

static xr_status label_curve(curve *k, int c, int n_labels, const xr_dataset *d, const float *logits)
{
    for (k->n = 0; k->n < d->n; k->n++) {
        size_t at = k->n * (size_t)n_labels + (size_t)c;
        k->score[k->n] = (double)logits[at];
        k->gold[k->n] = d->target[at] > 0.5f;
    }
    return XR_OK;
}

/* Mean over the classes that occur and are not all there is; 0.5 without any. */
static xr_status mean_auc(double *auc, int n_labels, const xr_dataset *d, const float *logits, int sets)
{
    curve k;
    double sum = 0.0;
    int n = 0, defined;
    xr_status status = curve_init(&k, d->n);
    for (int c = sets || n_labels != 2 ? 0 : 1; c < n_labels && status == XR_OK; c++) {
        status = sets ? label_curve(&k, c, n_labels, d, logits) : class_curve(&k, c, n_labels, d, logits);
        double area = status == XR_OK ? xr_auc(k.score, k.gold, k.n, &defined, &status) : 0.0;
        if (status == XR_OK && defined) {
            sum += area;
            n++;
        }
    }
    *auc = n ? sum / n : 0.5;
    curve_free(&k);
    return status;
}

static xr_status classes(xr_figures *f, int n_labels, const xr_dataset *d, const float *logits)
{
    double loss = 0.0;
    XR_TRY(xr_confusion_init(&f->confusion, n_labels));
    for (size_t i = 0; i < d->n; i++) {
        const float *z = logits + i * (size_t)n_labels;
        if (d->label[i] < 0)
            continue;
        loss += cross_entropy(z, n_labels, d->label[i]);
        xr_confusion_add(&f->confusion, d->label[i], xr_argmax(z, n_labels));
        f->n++;
    }
    f->loss = f->n ? loss / (double)f->n : 0.0;
    f->accuracy = xr_confusion_accuracy(&f->confusion);
    f->f1_macro = xr_confusion_macro_f1(&f->confusion);
    f->mcc = xr_confusion_mcc(&f->confusion);
    return mean_auc(&f->auc, n_labels, d, logits, 0);
}

static xr_status values(xr_figures *f, const xr_dataset *d, const float *logits)
{
    xr_status status;
    double sum = 0.0;
    size_t n = d->n * d->n_target;
    for (size_t i = 0; i < n; i++)
        sum += ((double)logits[i] - (double)d->target[i]) * ((double)logits[i] - (double)d->target[i]);
    f->n = d->n;
    f->mse = f->loss = n ? sum / (double)n : 0.0;
    f->pearson = xr_pearson(logits, d->target, n);
    f->spearman = xr_spearman(logits, d->target, n, &status);
    return status;
}

/* F1 of each label that occurs as gold or prediction; the others count as 0, as in scikit-learn. */
static double label_f1(int c, int n_labels, const xr_dataset *d, const float *logits)
{
    size_t both = 0, either = 0;
    for (size_t i = 0; i < d->n; i++) {
        size_t at = i * (size_t)n_labels + (size_t)c;
        int gold = d->target[at] > 0.5f, predicted = logits[at] > 0.0f;
        both += (size_t)(2 * (gold && predicted));
        either += (size_t)(gold + predicted);
    }
    return either ? (double)both / (double)either : 0.0;
}

static xr_status label_sets(xr_figures *f, int n_labels, const xr_dataset *d, const float *logits)
{
    double loss = 0.0;
    size_t both = 0, either = 0, exact = 0;
    for (size_t i = 0; i < d->n; i++) {
        int right = 1;
        for (int c = 0; c < n_labels; c++) {
            double z = (double)logits[i * (size_t)n_labels + (size_t)c], y = (double)d->target[i * (size_t)n_labels + (size_t)c];
            int gold = y > 0.5, predicted = z > 0.0;
            loss += fmax(z, 0.0) - z * y + log1p(exp(-fabs(z)));
            both += (size_t)(2 * (gold && predicted));
            either += (size_t)(gold + predicted);
            right &= gold == predicted;
        }
        exact += (size_t)right;
    }
    f->n = d->n;
    f->loss = d->n ? loss / (double)(d->n * (size_t)n_labels) : 0.0;
    f->f1_micro = either ? (double)both / (double)either : 0.0;
    f->exact = d->n ? (double)exact / (double)d->n : 0.0;
    for (int c = 0; c < n_labels; c++)
        f->f1_macro += label_f1(c, n_labels, d, logits) / n_labels;
    return mean_auc(&f->auc, n_labels, d, logits, 1);
}

/* Questions whose right choice is known. */
static void choices(xr_figures *f, const xr_dataset *d, const float *logits)
{
    double loss = 0.0, chance = 0.0;
    size_t right = 0;
    for (size_t i = 0; i < d->n; i++) {
        size_t first, n = answer_rows(d, i, &first);
        if (d->label[i] < 0)
            continue;
        loss += cross_entropy(logits + first, (int)n, d->label[i]);
        chance += 1.0 / (double)n;
        right += xr_argmax(logits + first, (int)n) == d->label[i];
        f->n++;
    }
    f->loss = f->n ? loss / (double)f->n : 0.0;
    f->chance = f->n ? chance / (double)f->n : 0.0;
    f->accuracy = f->n ? (double)right / (double)f->n : 0.0;
}

xr_status xr_figures_compute(xr_figures *f, const xr_config *c, const xr_dataset *d, const float *logits)
{
    memset(f, 0, sizeof *f);
    switch (c->problem) {
    case XR_PROBLEM_REGRESSION: return values(f, d, logits);
    case XR_PROBLEM_CHOICE: choices(f, d, logits); return XR_OK;
    case XR_PROBLEM_MULTI_LABEL: return label_sets(f, c->num_labels, d, logits);
    case XR_PROBLEM_TAGS: return xr_figures_tags(f, (const char *const *)c->label, c->num_labels, d, logits, "the model's labels");
    case XR_PROBLEM_SINGLE_LABEL: break;
    }
    return classes(f, c->num_labels, d, logits);
}

void xr_figures_free(xr_figures *f)
{
    xr_confusion_free(&f->confusion);
    xr_free(f->type);
    f->type = NULL;
    f->n_types = 0;
}

xr_status xr_figures_named(const xr_figures *f, const char *metric, double *value)
{
    const struct { const char *name; double value; } row[] = {
        { "accuracy", f->accuracy }, { "f1_macro", f->f1_macro }, { "mcc", f->mcc }, { "auc", f->auc }, { "loss", f->loss },
        { "mse", f->mse }, { "pearson", f->pearson }, { "spearman", f->spearman }, { "f1_micro", f->f1_micro },
        { "exact", f->exact }, { "f1", f->f1 }, { "precision", f->precision }, { "recall", f->recall },
        { "f1_strict", f->f1_strict }, { "precision_strict", f->precision_strict }, { "recall_strict", f->recall_strict },
        { "f1_macro_strict", f->f1_macro_strict },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (strcmp(row[i].name, metric) == 0) {
            *value = row[i].value;
            return XR_OK;
        }
    return xr_fail(XR_EUSAGE, "unknown metric '%s'; known: accuracy, f1_macro, mcc, auc, loss, mse, pearson, spearman, f1_micro, exact, f1, precision, recall, "
                   "f1_strict",
                   metric);
}
