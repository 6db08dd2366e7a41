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

/* ---- reading ---- */

static xr_status check(const xr_options *o)
{
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
    if (!c->each || !c->e)
        return xr_error_status();
    if (!selects(c->o))
        return XR_OK;
    c->dev = xr_alloc(n, sizeof *c->dev);
    c->on_dev = xr_alloc(n, sizeof *c->on_dev);
    return c->dev && c->on_dev ? XR_OK : xr_error_status();
}

static xr_status open_all(xr_comparison *c)
{
    for (size_t k = 0; k < xr_compare_models(c->o); k++) {
        c->each[k] = *c->o;
        c->each[k].model = k ? c->o->args[k - 1] : c->o->model;
        c->n = k + 1;
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
    s->v = xr_alloc(s->n, sizeof *s->v);
    if (!s->v)
        return xr_error_status();
    for (size_t i = 0; i < s->n; i++)
        s->v[i] = c->e[c->chosen[i]].v[i];
    return XR_OK;
}

static xr_status score_all(xr_comparison *c, const xr_evaluate_hooks *hooks)
{
    size_t n = c->o->bootstrap < 0 ? RESAMPLES : (size_t)c->o->bootstrap;
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
    }
    xr_free(c->each);
    xr_free(c->dev);
    xr_free(c->e);
    xr_free(c->on_dev);
    xr_free(c->chosen);
    xr_free(c->selected.v);
    memset(c, 0, sizeof *c);
}
