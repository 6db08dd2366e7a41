/* PAN-X (WikiANN): entities of tagged words. */
#include "data/tagged.h"
#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_predictions.h"
#include "util/alloc.h"

static xr_status check(xr_evaluation *e)
{
    XR_TRY(xr_evaluate_check_head(e->context));
    if (e->o->confusion)
        return xr_fail(XR_EUSAGE, "--confusion: --task panx counts entities, which are no classes; leave it out");
    if (e->context->model.config.problem != XR_PROBLEM_TAGS)
        return xr_fail(XR_EUSAGE, "--task panx: %s has a head that classifies texts; train a tagger with: xlmr finetune --task tag", e->context->dir);
    return xr_evaluate_labels(e);
}

static xr_status read_sentences(xr_evaluation *e, xr_scored *s)
{
    xr_data_options d = { .max_len = e->max_len, .max_samples = (long)e->o->max_eval_samples, .grow_labels = e->o->predictions != NULL };
    XR_TRY(xr_dataset_add_tagged(&s->data, s->path, e->context->tokenizer, &e->labels, &d));
    const xr_words *w = &s->data.words;
    s->labelled = w->n > 0 && w->tag[0] >= 0;   /* a file has tags everywhere or nowhere */
    s->n_rows = w->n_sentences;
    s->n = s->labelled ? s->n_rows : 0;
    return XR_OK;
}

static xr_status make_parts(xr_scored *s, const xr_tagset *t)
{
    const xr_words *w = &s->data.words;
    int32_t *predicted = xr_alloc(w->n, sizeof *predicted);
    xr_status status = predicted ? xr_scored_parts(s, w->n_sentences, 3) : xr_error_status();
    for (size_t i = 0; i < w->n && status == XR_OK; i++)
        predicted[i] = xr_argmax(s->logits + i * (size_t)t->n, t->n);
    for (size_t k = 0; k < w->n_sentences && status == XR_OK; k++) {
        xr_entity_counts c = { 0 };
        size_t first = w->sentence[k];
        xr_entities_count(&c, t, w->tag + first, predicted + first, (size_t)w->sentence[k + 1] - first);
        double *part = s->part + 3 * k;
        part[0] = (double)c.gold, part[1] = (double)c.predicted, part[2] = (double)c.right;
    }
    xr_free(predicted);
    return status;
}

static double f1(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    (void)n_units;
    return sum[0] + sum[1] > 0.0 ? 2.0 * sum[2] / (sum[0] + sum[1]) : 0.0;
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    const char *const *name = (const char *const *)e->labels.name;
    xr_tagset t;
    XR_TRY(xr_evaluate_logits(e, s, h));
    if (!s->labelled)
        return XR_OK;
    xr_figures *f = s->private = xr_alloc(1, sizeof *f);
    XR_TRY(f ? xr_figures_tags(f, name, e->labels.n, &s->data, s->logits, e->context->dir) : xr_error_status());
    xr_scored_figures(e, s, f);
    XR_TRY(xr_tagset_init(&t, name, e->labels.n, e->context->dir));
    xr_status status = make_parts(s, &t);
    xr_tagset_free(&t);
    return status;
}

static const xr_report_column *columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "f1", "F1" }, { "precision", "precision" }, { "recall", "recall" }, { "accuracy", NULL },
                                              { "loss", NULL }, { 0 } };
    (void)e;
    return shown;
}

/* A tag a line, an empty line between sentences. */
static xr_status predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_words *w = &s->data.words;
    size_t C = (size_t)e->labels.n;
    for (size_t k = 0; k < w->n_sentences; k++) {
        XR_TRY(k ? xr_str_putc(out, '\n') : XR_OK);
        for (size_t i = w->sentence[k]; i < w->sentence[k + 1]; i++)
            XR_TRY(xr_str_printf(out, "%s\n", e->labels.name[xr_argmax(s->logits + i * C, (int)C)]));
    }
    return XR_OK;
}

static json_t *details(const xr_evaluation *e, const xr_scored *s)
{
    const xr_figures *f = s->private;
    xr_entity_counts none = { 0 };
    const xr_entity_counts *c = f ? &f->entities : &none;
    (void)e;
    return json_pack("{sI s{sI sI sI}}", "words", (json_int_t)s->data.words.n, "entities", "gold", (json_int_t)c->gold, "predicted",
                     (json_int_t)c->predicted, "right", (json_int_t)c->right);
}

const xr_benchmark xr_benchmark_panx = {
    .name = "panx", .title = "PAN-X", .units = "sentences", .ending = ".tsv",
    .find = xr_evaluate_find, .open = check, .read = read_sentences, .predicted = xr_predicted_tags, .score = score, .columns = columns, .main_figure = f1,
    .predictions = predictions, .details = details, .error = xr_words_error, .free = xr_classes_free,
};
