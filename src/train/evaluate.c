#include "train/evaluate.h"

#include <string.h>

#include "data/tagged.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

static int is_tagging(const xr_evaluation *e)
{
    return e->context->model.config.problem == XR_PROBLEM_TAGS;
}

/* Rows without a gold label are kept, so that prediction files have a line for each row. */
static xr_status read_one(xr_evaluation *e, xr_scored *s)
{
    xr_data_options d = { 0 };
    /* Two columns of XNLI are a pair: XTREME's test files. */
    d.columns.labelled = strcmp(e->o->task, "xnli") != 0;
    d.max_len = e->max_len;
    d.stride = (size_t)e->o->tag_stride;
    d.max_samples = (long)e->o->max_eval_samples;
    d.language = s->filter ? s->language : NULL;
    d.kind = xr_score_label_kind(e->context->model.config.problem);
    if (is_tagging(e))
        return xr_dataset_add_tagged(&s->data, s->path, e->context->tokenizer, &e->labels, &d);
    return xr_dataset_add(&s->data, s->path, e->context->tokenizer, &e->labels, &d);
}

/* Classes may lack some gold labels, which are left out; other figures need them all. */
static int has_gold(const xr_evaluation *e, const xr_dataset *d)
{
    size_t n = 0;
    if (d->words.n_sentences)
        return d->words.tag[0] >= 0;    /* a file has tags everywhere or nowhere */
    for (size_t i = 0; i < d->n; i++)
        n += d->label[i] >= 0;
    return e->context->model.config.problem == XR_PROBLEM_SINGLE_LABEL ? n > 0 : n == d->n;
}

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
        if (status == XR_OK)
            status = list_share(&cut, s->language, share(d->n_truncated, d->n));
        if (!s->labelled)
            xr_info("%s: no gold labels; predictions only, no figures", s->path);
    }
    if (status == XR_OK && unk.len)
        xr_warn("tokens that are <unk>: %s; the tokenizer does not know these scripts", unk.s);
    if (status == XR_OK && cut.len)
        xr_warn("examples %s to %zu tokens: %s; raise --max-seq-length if the model allows it", is_tagging(e) ? "split" : "cut", e->max_len, cut.s);
    xr_str_free(&unk);
    xr_str_free(&cut);
    return status;
}

static xr_status read_all(xr_evaluation *e)
{
    for (size_t i = 0; i < e->n; i++) {
        XR_TRY(read_one(e, &e->v[i]));
        e->v[i].labelled = has_gold(e, &e->v[i].data);
    }
    if (e->o->max_eval_samples > 0 && e->o->output_dir)
        xr_warn("--max-eval-samples %lld: the prediction files hold only these rows, and are no submission",
                e->o->max_eval_samples);
    return tell(e);
}

/* Collapse: one line for all languages where it happened. */
static xr_status warn_single_answers(const xr_evaluation *e)
{
    xr_str list = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        const xr_scored *s = &e->v[i];
        int only = s->labelled && s->figures.confusion.count ? xr_confusion_single_answer(&s->figures.confusion) : -1;
        if (only >= 0 && s->figures.n > 1)
            status = xr_str_printf(&list, "%s%s (%s)", list.len ? ", " : "", s->language, e->labels.name[only]);
    }
    if (status == XR_OK && list.len)
        xr_warn("one and the same prediction for every example in: %s; such an accuracy says nothing", list.s);
    xr_str_free(&list);
    return status;
}

static xr_status score_one(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *hooks)
{
    xr_model *m = &e->context->model;
    if (hooks && hooks->language)
        hooks->language(hooks->context, s->language, s->data.n);
    xr_scoring how = { m, e->context->dir, (size_t)e->o->batch_tokens, NULL, NULL };
    if (hooks) {
        how.progress = hooks->progress;
        how.context = hooks->context;
    }
    s->logits = xr_score_logits(&how, &s->data);
    if (!s->logits)
        return xr_fail_context("%s", s->path);
    if (!s->labelled)
        return XR_OK;
    if (is_tagging(e))
        return xr_figures_tags(&s->figures, (const char *const *)e->labels.name, e->labels.n, &s->data, s->logits, e->context->dir);
    return xr_figures_compute(&s->figures, &m->config, &s->data, s->logits);
}

static xr_status score_all(xr_evaluation *e, const xr_evaluate_hooks *hooks)
{
    for (size_t i = 0; i < e->n; i++)
        XR_TRY(score_one(e, &e->v[i], hooks));
    return warn_single_answers(e);
}

static xr_status open_model(xr_evaluation *e)
{
    e->context = xr_context_open(e->o->model, NULL);
    if (!e->context)
        return xr_error_status();
    XR_TRY(xr_evaluate_check_head(e->context));
    e->max_len = xr_evaluate_max_len(e->context, e->o);
    return e->max_len ? xr_evaluate_labels(e) : xr_error_status();
}

xr_status xr_evaluate_run(xr_evaluation *e, const xr_options *o, const xr_evaluate_hooks *hooks)
{
    xr_outdir out = { 0 };
    memset(e, 0, sizeof *e);
    e->o = o;
    XR_TRY(xr_evaluate_find(e));
    XR_TRY(open_model(e));
    XR_TRY(read_all(e));
    if (!o->output_dir)
        return score_all(e, hooks);
    XR_TRY(xr_outdir_begin(&out, o->output_dir, o->overwrite_output_dir, "--overwrite-output-dir"));
    xr_status status = score_all(e, hooks);
    if (status == XR_OK)
        status = xr_evaluation_write(e, out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    xr_outdir_abort(&out);
    return status;
}

void xr_evaluation_free(xr_evaluation *e)
{
    for (size_t i = 0; i < e->n; i++) {
        xr_scored *s = &e->v[i];
        xr_free(s->language);
        xr_free(s->path);
        xr_dataset_free(&s->data);
        xr_free(s->logits);
        xr_figures_free(&s->figures);
    }
    xr_free(e->v);
    xr_labels_free(&e->labels);
    xr_context_free(e->context);
    memset(e, 0, sizeof *e);
}
