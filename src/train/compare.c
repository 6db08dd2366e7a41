#include "train/compare.h"

#include <string.h>

#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { RESAMPLES = 1000 };

static int per_language(const xr_options *o)
{
    return strcmp(o->selection, "per-language") == 0;
}

static int selects(const xr_options *o)
{
    return strcmp(o->selection, "as-given") != 0;
}

size_t xr_compare_models(const xr_options *o)
{
    return 1 + o->n_args;
}

static const char *model(const xr_options *o, size_t k)
{
    return k ? o->args[k - 1] : o->model;
}

/* Bytes of the language in "de=DIR"; 0 = none. A directory that is called so is one. */
static size_t language_of(const char *text)
{
    const char *equals = text ? strchr(text, '=') : NULL;
    return equals && xr_evaluate_is_tag(text, (size_t)(equals - text)) && !xr_path_exists(text) ? (size_t)(equals - text) : 0;
}

int xr_compare_wanted(const xr_options *o)
{
    return xr_compare_models(o) > 1 || selects(o) || language_of(o->model);
}

/* ---- reading ---- */

static xr_status check_languages(const xr_options *o)
{
    for (size_t k = 0; k < xr_compare_models(o); k++)
        if (!language_of(model(o, 0)) != !language_of(model(o, k)))
            return xr_fail(XR_EUSAGE, "--model %s %s: one has a language before it and the other has none; give all models one (LANG=DIR), or none",
                           model(o, 0), model(o, k));
    if (language_of(o->model) && (selects(o) || o->languages))
        return xr_fail(XR_EUSAGE, "--model %s: the languages are named with their models; leave out %s", o->model, selects(o) ? "--selection" : "--languages");
    return XR_OK;
}

static xr_status check(const xr_options *o)
{
    XR_TRY(check_languages(o));
    if (selects(o) && xr_compare_models(o) == 1)
        return xr_fail(XR_EUSAGE, "--selection %s: chooses among several models; name them: --model A B C", o->selection);
    if (selects(o) && strcmp(o->split, "test") != 0)
        return xr_fail(XR_EUSAGE, "--selection %s: looks at the dev files, so what it chooses is scored on others; leave out --split %s", o->selection,
                       o->split);
    return XR_OK;
}

static xr_status allocate(xr_comparison *c)
{
    size_t n = xr_compare_models(c->o);
    c->each = xr_alloc(n, sizeof *c->each);
    c->e = xr_alloc(n, sizeof *c->e);
    c->language = xr_alloc(n, sizeof *c->language);
    c->by_language = language_of(c->o->model) > 0;
    if (!c->each || !c->e || !c->language)
        return xr_error_status();
    if (!selects(c->o))
        return XR_OK;
    c->dev = xr_alloc(n, sizeof *c->dev);
    c->on_dev = xr_alloc(n, sizeof *c->on_dev);
    return c->dev && c->on_dev ? XR_OK : xr_error_status();
}

/* "de=DIR": the model, and the one language that it is for. */
static xr_status split_model(xr_comparison *c, size_t k)
{
    const char *text = c->each[k].model;
    size_t n = language_of(text);
    c->language[k] = xr_strndup(text, n);
    if (!c->language[k])
        return xr_error_status();
    c->each[k].model = text + n + 1;
    c->each[k].languages = c->language[k];
    for (size_t i = 0; i < k; i++)
        if (strcmp(c->language[i], c->language[k]) == 0)
            return xr_fail(XR_EUSAGE, "--model %s %s: two models for one language; leave one out", model(c->o, i), text);
    return XR_OK;
}

static xr_status open_all(xr_comparison *c)
{
    for (size_t k = 0; k < xr_compare_models(c->o); k++) {
        c->each[k] = *c->o;
        c->each[k].model = model(c->o, k);
        c->n = k + 1;
        XR_TRY(c->by_language ? split_model(c, k) : XR_OK);
        XR_TRY(xr_evaluation_open(&c->e[k], &c->each[k]));
        if (!c->dev)
            continue;
        c->dev[k] = c->each[k];
        c->dev[k].split = "dev";
        c->dev[k].languages = per_language(c->o) ? c->o->languages : c->o->training_language;
        XR_TRY(xr_evaluation_open(&c->on_dev[k], &c->dev[k]));
    }
    return XR_OK;
}

/* ---- selection ---- */

/* Figure of model k on the dev file that chooses for `language`. */
static xr_status dev_figure(const xr_comparison *c, size_t k, const char *language, double *value)
{
    const xr_evaluation *d = &c->on_dev[k];
    const xr_scored *s = xr_evaluate_language(d, language, strlen(language));
    if (s && s->labelled && xr_scored_get(s, d->benchmark->columns(d)->metric, value))
        return XR_OK;
    return xr_fail(XR_ENOINPUT, "--selection %s: %s has no labelled dev file for '%s'; add dev-%s.tsv, or leave the language out (--languages)",
                   c->o->selection, c->o->data_dir, language, language);
}

static xr_status choose(xr_comparison *c, const char *language, size_t *best)
{
    double most = 0.0, value;
    for (size_t k = 0; k < c->n; k++) {
        XR_TRY(dev_figure(c, k, language, &value));
        if (k == 0 || value > most) {
            most = value;
            *best = k;
        }
    }
    return XR_OK;
}

/* For each language its best model on dev; before any test file is scored, so that nothing is scored in vain. */
static xr_status select_models(xr_comparison *c, const xr_evaluate_hooks *hooks)
{
    for (size_t k = 0; k < c->n; k++)
        XR_TRY(xr_evaluation_score(&c->on_dev[k], hooks));
    c->chosen = xr_alloc(c->e[0].n, sizeof *c->chosen);
    for (size_t i = 0; i < c->e[0].n; i++)
        XR_TRY(c->chosen ? choose(c, per_language(c->o) ? c->e[0].v[i].language : c->o->training_language, &c->chosen[i]) : xr_error_status());
    return XR_OK;
}

/* The chosen languages as an evaluation of their own, which owns nothing but the array. */
static xr_status gather(xr_comparison *c)
{
    xr_evaluation *s = &c->selected;
    *s = c->e[0];
    s->n = c->by_language ? c->n : s->n;
    s->v = xr_alloc(s->n, sizeof *s->v);
    if (!s->v)
        return xr_error_status();
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = c->e[c->chosen[i]].v[c->by_language ? 0 : i];
    return XR_OK;
}

static xr_status score_languages(xr_comparison *c, const xr_evaluate_hooks *hooks, size_t n)
{
    c->chosen = xr_alloc(c->n, sizeof *c->chosen);
    if (!c->chosen)
        return xr_error_status();
    for (size_t k = 0; k < c->n; k++) {
        c->chosen[k] = k;
        XR_TRY(xr_evaluation_score(&c->e[k], hooks));
        XR_TRY(xr_evaluation_statistics(&c->e[k], NULL, n));
    }
    XR_TRY(gather(c));
    return xr_evaluation_statistics(&c->selected, NULL, n);
}

static xr_status score_all(xr_comparison *c, const xr_evaluate_hooks *hooks)
{
    size_t n = c->o->bootstrap < 0 ? RESAMPLES : (size_t)c->o->bootstrap;
    if (c->by_language)
        return score_languages(c, hooks, n);
    if (c->on_dev)
        XR_TRY(select_models(c, hooks));
    for (size_t k = 0; k < c->n; k++) {
        XR_TRY(xr_evaluation_score(&c->e[k], hooks));
        XR_TRY(xr_evaluation_statistics(&c->e[k], k ? &c->e[0] : NULL, n));
    }
    if (!c->chosen)
        return XR_OK;
    XR_TRY(gather(c));
    return xr_evaluation_statistics(&c->selected, &c->e[0], n);
}

xr_status xr_compare_run(xr_comparison *c, const xr_options *o, const xr_evaluate_hooks *hooks)
{
    xr_outdir out = { 0 };
    memset(c, 0, sizeof *c);
    c->o = o;
    XR_TRY(check(o));
    XR_TRY(allocate(c));
    XR_TRY(open_all(c));
    if (!o->output_dir)
        return score_all(c, hooks);
    XR_TRY(xr_outdir_begin(&out, o->output_dir, o->overwrite_output_dir, "--overwrite-output-dir"));
    xr_status status = score_all(c, hooks);
    if (status == XR_OK)
        status = xr_comparison_write(c, out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    xr_outdir_abort(&out);
    return status;
}

void xr_comparison_free(xr_comparison *c)
{
    for (size_t k = 0; k < c->n; k++) {
        if (c->on_dev)
            xr_evaluation_free(&c->on_dev[k]);
        xr_evaluation_free(&c->e[k]);
        xr_free(c->language[k]);
    }
    xr_free(c->language);
    xr_free(c->each);
    xr_free(c->dev);
    xr_free(c->e);
    xr_free(c->on_dev);
    xr_free(c->chosen);
    xr_free(c->selected.v);
    memset(c, 0, sizeof *c);
}
