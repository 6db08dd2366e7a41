#include "train/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/benchmark.h"
#include "train/evaluate_predictions.h"
#include "train/evaluate_words.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

static double share(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

/* Appends "sw 12 %" if that is much. */
static xr_status list_share(xr_str *list, const char *language, double percent)
{
    enum { MUCH = 5 };
    return percent > MUCH ? xr_str_printf(list, "%s%s %.0f %%", list->len ? ", " : "", language, percent) : XR_OK;
}

/* What may spoil the figures, once for all languages. */
static xr_status tell(const xr_evaluation *e)
{
    xr_str unk = { 0 }, cut = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        const xr_scored *s = &e->v[i];
        const xr_dataset *d = &s->data;
        xr_debug("%s: %zu examples, %llu tokens, %llu examples cut, %.2f %% <unk>", s->path, d->n,
                 (unsigned long long)d->n_tokens, (unsigned long long)d->n_truncated, share(d->n_unk, d->n_tokens));
        status = list_share(&unk, s->language, share(d->n_unk, d->n_tokens));
        if (status == XR_OK && d->windows.questions.n == 0)     /* what questions are about comes in windows, and loses nothing */
            status = list_share(&cut, s->language, share(d->n_truncated, s->n_rows));
        if (!s->labelled)
            xr_info("%s: no gold labels; predictions only, no figures", s->path);
    }
    if (status == XR_OK && unk.len)
        xr_warn("tokens that are <unk>: %s; the tokenizer has no piece for some of their characters, which the model does not see", unk.s);
    if (status == XR_OK && cut.len)
        xr_warn("examples %s to %zu tokens: %s; raise --max-seq-length if the model allows it", e->v[0].data.words.n_sentences ? "split" : "cut",
                e->max_len, cut.s);
    xr_str_free(&unk);
    xr_str_free(&cut);
    return status;
}

void xr_evaluate_data_options(const xr_evaluation *e, xr_data_options *d)
{
    memset(d, 0, sizeof *d);
    d->max_len = e->max_len;
    d->max_samples = (long)e->o->max_eval_samples;
    d->skip_bad = strcmp(e->o->on_bad_record, "skip") == 0;
    d->max_bad_fraction = e->o->max_bad_fraction;
}

/* What makes the prediction files no submission. */
static void warn_partial(const xr_evaluation *e)
{
    unsigned long long skipped = 0;
    for (size_t i = 0; i < e->n; i++)
        skipped += e->v[i].data.n_bad;
    if (e->o->max_eval_samples > 0 && e->o->output_dir)
        xr_warn("--max-eval-samples %lld: the prediction files hold only these rows, and are no submission", e->o->max_eval_samples);
    if (skipped > 0)
        xr_warn("%llu bad record%s left out: the figures are those of the others%s", skipped, skipped == 1 ? " was" : "s were",
                e->o->output_dir ? ", and so are the prediction files, which are no submission" : "");
}

static xr_status read_all(xr_evaluation *e)
{
    for (size_t i = 0; i < e->n; i++)
        XR_TRY(e->benchmark->read(e, &e->v[i]));
    for (size_t i = 0; i < e->n && e->o->predictions; i++)
        XR_TRY(xr_predictions_read(e, &e->v[i]));
    warn_partial(e);
    XR_TRY(xr_words_tell(e));
    return tell(e);
}

/* Collapse: one line for all languages where it happened. */
static xr_status warn_single_answers(const xr_evaluation *e)
{
    xr_str list = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        const xr_scored *s = &e->v[i];
        const xr_confusion *m = s->labelled && e->benchmark->confusion ? e->benchmark->confusion(s) : NULL;
        int only = m ? xr_confusion_single_answer(m) : -1;
        if (only >= 0 && s->n > 1)
            status = xr_str_printf(&list, "%s%s (%s)", list.len ? ", " : "", s->language, e->labels.name[only]);
    }
    if (status == XR_OK && list.len)
        xr_warn("one and the same prediction for every example in: %s; such an accuracy says nothing", list.s);
    xr_str_free(&list);
    return status;
}

xr_status xr_evaluate_logits(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *hooks)
{
    if (e->o->predictions)
        return xr_predictions_logits(e, s);
    xr_scoring how = { &e->context->model, e->context->dir, (size_t)e->o->batch_tokens, NULL, NULL };
    if (hooks) {
        how.progress = hooks->progress;
        how.context = hooks->context;
    }
    s->logits = xr_score_logits(&how, &s->data);
    return s->logits ? XR_OK : xr_fail_context("%s", s->path);
}

xr_status xr_evaluation_score(xr_evaluation *e, const xr_evaluate_hooks *hooks)
{
    for (size_t i = 0; i < e->n; i++) {
        xr_scored *s = &e->v[i];
        if (hooks && hooks->language && !e->o->predictions)
            hooks->language(hooks->context, s->language, s->data.n ? s->data.n : s->n_rows);
        XR_TRY(e->benchmark->score(e, s, hooks));
        if (e->o->predictions)
            xr_predictions_forget_shares(s);
    }
    return warn_single_answers(e);
}

static int has_option(const xr_benchmark *b, const char *key)
{
    for (const char *const *k = b->options; *k; k++)
        if (strcmp(*k, key) == 0)
            return 1;
    return 0;
}

static xr_status warn_option(const xr_evaluation *e, const char *key)
{
    xr_str tasks = { 0 };
    xr_status status = XR_OK;
    for (const xr_benchmark *const *b = xr_benchmarks; *b && status == XR_OK; b++)
        if (has_option(*b, key))
            status = xr_str_printf(&tasks, " %s", (*b)->name);
    if (status == XR_OK)
        xr_warn("%s has no effect with --task %s; these tasks have it:%s", key, e->o->task, tasks.s);
    xr_str_free(&tasks);
    return status;
}

/* Options that say nothing to this benchmark, when they were given. */
static xr_status warn_unused(const xr_evaluation *e)
{
    size_t n;
    const xr_option *table = xr_option_table(&n);
    for (size_t i = 0; i < n; i++) {
        int some = 0;
        for (const xr_benchmark *const *b = xr_benchmarks; *b; b++)
            some |= has_option(*b, table[i].key);
        if (some && (table[i].verbs & XR_V_EVALUATE) && !has_option(e->benchmark, table[i].key) && xr_options_origin(e->o, table[i].key).kind == XR_FROM_FLAG)
            XR_TRY(warn_option(e, table[i].key));
    }
    return XR_OK;
}

static xr_status open_model(xr_evaluation *e)
{
    XR_TRY(warn_unused(e));
    if (e->o->predictions)
        return xr_predictions_open(e);
    if (!e->o->model)
        return xr_fail(XR_EUSAGE, "evaluate needs --model DIR, a model directory, or --predictions DIR, files of predictions"
                       " (xlmr evaluate -h shows an example)");
    e->context = xr_context_for(e->o);
    if (!e->context)
        return xr_error_status();
    e->max_len = xr_evaluate_max_len(e->context, e->o);
    return e->max_len ? e->benchmark->open(e) : xr_error_status();
}

/* Options that ask for what this benchmark does not have, whoever gives the predictions. */
static xr_status check_options(const xr_evaluation *e)
{
    const xr_options *o = e->o;
    if (xr_evaluate_translated(e) && !e->benchmark->translated)
        return xr_fail(XR_EUSAGE, "--protocol translate-test: --task %s does not read translations; leave it out, or say it in other words", o->task);
    if (o->confusion && !e->benchmark->confusion)
        return xr_fail(XR_EUSAGE, "--confusion: --task %s has no classes; leave it out", o->task);
    if (o->per_type && !e->benchmark->by_type)
        return xr_fail(XR_EUSAGE, "--per-type: --task %s has no figures by type; leave it out", o->task);
    return XR_OK;
}

xr_status xr_evaluation_open(xr_evaluation *e, const xr_options *o)
{
    static const double unknown = (double)NAN;
    memset(e, 0, sizeof *e);
    e->o = o;
    e->statistic = (xr_statistic){ unknown, unknown, unknown, unknown };
    e->benchmark = xr_benchmark_find(o->task);
    XR_ASSERT(e->benchmark, "task %s", o->task);
    XR_TRY(check_options(e));
    XR_TRY(e->benchmark->find(e));
    for (size_t i = 0; i < e->n; i++)
        e->v[i].statistic = e->statistic;
    XR_TRY(open_model(e));
    return read_all(e);
}

static xr_status score_and_count(xr_evaluation *e, const xr_evaluate_hooks *hooks)
{
    XR_TRY(xr_evaluation_score(e, hooks));
    return e->o->bootstrap > 0 ? xr_evaluation_statistics(e, NULL, (size_t)e->o->bootstrap) : XR_OK;
}

xr_status xr_evaluate_run(xr_evaluation *e, const xr_options *o, const xr_evaluate_hooks *hooks)
{
    xr_outdir out = { 0 };
    XR_TRY(xr_evaluation_open(e, o));
    if (!o->output_dir)
        return score_and_count(e, hooks);
    XR_TRY(xr_outdir_begin(&out, o->output_dir, o->overwrite_output_dir, "--overwrite-output-dir"));
    xr_status status = score_and_count(e, hooks);
    if (status == XR_OK)
        status = xr_evaluation_write(e, out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    xr_outdir_abort(&out);
    return status;
}

static void scored_free(const xr_benchmark *b, xr_scored *s)
{
    void (*own)(xr_scored *) = b->free;
    if (own)
        own(s);
    xr_free(s->language);
    xr_free(s->path);
    xr_dataset_free(&s->data);
    xr_free(s->predicted);
    xr_free(s->logits);
    xr_free(s->part);
}

void xr_evaluation_free(xr_evaluation *e)
{
    for (size_t i = 0; i < e->n; i++)
        scored_free(e->benchmark, &e->v[i]);
    xr_free(e->v);
    xr_labels_free(&e->labels);
    xr_context_free(e->context);
    memset(e, 0, sizeof *e);
}

/* ---- what benchmarks put into a language ---- */

static xr_figure *figure(const xr_scored *s, const char *name)
{
    for (size_t i = 0; i < s->n_figures; i++)
        if (strcmp(s->figure[i].name, name) == 0)
            return (xr_figure *)&s->figure[i];
    return NULL;
}

void xr_scored_set(xr_scored *s, const char *name, double value)
{
    xr_figure *f = figure(s, name);
    XR_ASSERT(f || s->n_figures < XR_MAX_FIGURES, "more than %d figures: %s", XR_MAX_FIGURES, name);
    f = f ? f : &s->figure[s->n_figures++];
    *f = (xr_figure){ name, value };
}

int xr_scored_get(const xr_scored *s, const char *name, double *value)
{
    const xr_figure *f = figure(s, name);
    *value = f ? f->value : 0.0;
    return f != NULL;
}

xr_status xr_scored_parts(xr_scored *s, size_t n_units, size_t n_parts)
{
    xr_free(s->part);
    s->part = xr_alloc(n_units * n_parts, sizeof *s->part);
    s->n_units = s->part ? n_units : 0;
    s->n_parts = n_parts;
    return s->part ? XR_OK : xr_error_status();
}
