/* What a comparison says and writes. */
#include <stdio.h>
#include <string.h>

#include "train/benchmark.h"
#include "train/compare.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/utf8.h"

enum { NAME = 24 };

/* The groups of the table: the models, then what was selected. */
typedef struct groups {
    const xr_evaluation **e;        // [n]
    const char **name;              // [n]
    char (*text)[NAME];             // [n]
    size_t n;
} groups;

static void groups_free(groups *g)
{
    xr_free(g->e);
    xr_free(g->name);
    xr_free(g->text);
}

static xr_status groups_of(const xr_comparison *c, groups *g)
{
    size_t models = c->by_language ? 0 : c->n, n = models + (c->chosen != NULL);
    *g = (groups){ xr_alloc(n, sizeof *g->e), xr_alloc(n, sizeof *g->name), xr_alloc(n, sizeof *g->text), n };
    if (!g->e || !g->name || !g->text) {
        groups_free(g);
        return xr_error_status();
    }
    for (size_t k = 0; k < n; k++) {
        g->e[k] = k < models ? &c->e[k] : &c->selected;
        snprintf(g->text[k], NAME, k < models ? "[%zu]" : c->by_language ? "a model a language" : "selected", k + 1);
        g->name[k] = g->text[k];
    }
    return XR_OK;
}

static int per_language(const xr_comparison *c)
{
    return strcmp(c->o->selection, "per-language") == 0;
}

/* How the models were chosen. What was chosen with more than the training language's labels says so loudly. */
static xr_status put_selection(const xr_comparison *c, xr_str *out)
{
    if (c->by_language)
        return xr_str_puts(out, "a model for each language, as given");
    if (!c->chosen)
        return xr_str_puts(out, "models as given; no per-language selection");
    if (!per_language(c))
        return xr_str_printf(out, "[%zu], best on the dev file of the training language (%s); no per-language selection", c->chosen[0] + 1,
                             c->o->training_language);
    XR_TRY(xr_str_puts(out, "PER LANGUAGE, so not zero-shot: under 'selected' each language has the model that is best on its own dev file:"));
    for (size_t i = 0; i < c->e[0].n; i++)
        XR_TRY(xr_str_printf(out, "%s %s [%zu]", i ? "," : "", c->e[0].v[i].language, c->chosen[i] + 1));
    return XR_OK;
}

static xr_status put_models(const xr_comparison *c, xr_str *out)
{
    const xr_evaluation *e = &c->e[0];
    XR_TRY(xr_str_printf(out, "%s, %s\n\n", e->benchmark->title ? e->benchmark->title : c->o->data_dir, c->o->split));
    for (size_t k = 0; k < c->n; k++) {
        XR_TRY(c->by_language ? xr_str_printf(out, "%s: ", c->language[k]) : xr_str_printf(out, "[%zu] ", k + 1));
        XR_TRY(xr_utf8_printable(out, c->e[k].o->model, strlen(c->e[k].o->model)));
        XR_TRY(xr_str_putc(out, '\n'));
    }
    return xr_str_putc(out, '\n');
}

/* By class and by type, model by model, under the number that put_models gave it; a model of one language has none, and its part names the language. */
static xr_status put_confusions(const xr_comparison *c, xr_str *out)
{
    for (size_t k = 0; k < c->n && (c->o->confusion || c->o->per_type); k++) {
        XR_TRY(c->by_language ? XR_OK : xr_str_printf(out, "\n[%zu]\n", k + 1));
        XR_TRY(xr_evaluation_confusions(&c->e[k], out));
    }
    return XR_OK;
}

static xr_status put_table(const xr_comparison *c, const groups *g, const char *selection, xr_str *out)
{
    XR_TRY(put_models(c, out));
    XR_TRY(xr_evaluation_rows(g->e, g->name, g->n, out));
    XR_TRY(xr_evaluation_footer(g->e, g->n, selection, out));
    return put_confusions(c, out);
}

xr_status xr_comparison_table(const xr_comparison *c, xr_str *out)
{
    groups g;
    xr_str selection = { 0 };
    XR_TRY(groups_of(c, &g));
    xr_status status = put_selection(c, &selection);
    if (status == XR_OK)
        status = put_table(c, &g, selection.s, out);
    groups_free(&g);
    xr_str_free(&selection);
    return status;
}

/* ---- JSON ---- */

static json_t *selected_json(const xr_comparison *c)
{
    json_t *languages = json_object();
    size_t n;
    for (size_t i = 0; i < c->selected.n; i++) {
        const char *metric = c->selected.benchmark->columns(&c->selected)->metric;
        double value;
        json_t *j = json_pack("{sI}", "model", (json_int_t)c->chosen[i] + 1);
        json_object_set_new(j, metric, xr_scored_get(&c->selected.v[i], metric, &value) ? json_real(value) : json_null());
        json_object_set_new(languages, c->selected.v[i].language, j);
    }
    double mean = xr_evaluation_mean(&c->selected, c->selected.benchmark->columns(&c->selected)->metric, &n);
    return json_pack("{so sf so}", "languages", languages, "average", mean, "interval", xr_statistic_json(&c->selected.statistic));
}

static json_t *models_json(const xr_comparison *c)
{
    json_t *models = json_array();
    for (size_t k = 0; k < c->n && models; k++) {
        json_t *one = xr_evaluation_json(&c->e[k]);
        if (!one) {
            json_decref(models);
            return NULL;
        }
        json_array_append_new(models, one);
    }
    return models;
}

json_t *xr_comparison_json(const xr_comparison *c)
{
    const xr_options *o = c->o;
    const xr_evaluation *e = &c->e[0];
    xr_str selection = { 0 };
    json_t *models = put_selection(c, &selection) < 0 ? NULL : models_json(c), *j = NULL;
    if (models)
        j = json_pack("{ss ss ss* ss ss ss sI ss so}",
                      "task", o->task, "split", o->split, "scorer", e->benchmark->scorer, "protocol", o->protocol, "selection", selection.s, "metric",
                      e->benchmark->columns(e)->metric, "bootstrap", (json_int_t)e->n_resamples, "test", "paired approximate randomisation, two-sided",
                      "models", models);
    if (j && c->chosen)
        json_object_set_new(j, "selected", selected_json(c));
    xr_str_free(&selection);
    if (!j && models)
        xr_fail(XR_ESYSTEM, "no memory for the results as JSON, or --protocol is not UTF-8");
    return j;
}

/* ---- files ---- */

static xr_status put_tsv_row(const groups *g, size_t k, size_t i, xr_str *out)
{
    const xr_scored *s = &g->e[k]->v[i];
    const double number[] = { s->statistic.low, s->statistic.high, s->statistic.difference, s->statistic.p };
    double value;
    XR_TRY(xr_str_printf(out, "%s\t%s\t%zu", g->name[k], s->language, s->labelled ? s->n : s->n_rows));
    for (const xr_report_column *c = g->e[k]->benchmark->columns(g->e[k]); c->metric; c++) {
        XR_TRY(c->title ? xr_str_putc(out, '\t') : XR_OK);
        if (c->title && s->labelled && xr_scored_get(s, c->metric, &value))
            XR_TRY(xr_str_double(out, value));
    }
    for (size_t t = 0; t < sizeof number / sizeof *number; t++) {
        XR_TRY(xr_str_putc(out, '\t'));
        if (number[t] == number[t])     /* no NaN */
            XR_TRY(xr_str_double(out, number[t]));
    }
    return xr_str_putc(out, '\n');
}

static xr_status put_tsv(const groups *g, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "model\tlanguage\tn"));
    for (const xr_report_column *c = g->e[0]->benchmark->columns(g->e[0]); c->metric; c++)
        XR_TRY(c->title ? xr_str_printf(out, "\t%s", c->metric) : XR_OK);
    XR_TRY(xr_str_puts(out, "\tlow\thigh\tdifference\tp\n"));
    for (size_t k = 0; k < g->n; k++)
        for (size_t i = 0; i < g->e[k]->n; i++)
            XR_TRY(put_tsv_row(g, k, i, out));
    return XR_OK;
}

static xr_status write_tsv(const groups *g, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = put_tsv(g, &text);
    if (status == XR_OK)
        status = xr_evaluation_write_text(dir, "results.tsv", &text);
    xr_str_free(&text);
    return status;
}

static xr_status write_json(const xr_comparison *c, const char *dir)
{
    json_t *j = xr_comparison_json(c);
    char *path = j ? xr_path_join(dir, "results.json") : NULL;
    xr_status status = path ? xr_json_write(path, j, 2) : xr_error_status();
    xr_free(path);
    json_decref(j);
    return status;
}

static xr_status write_model(const xr_comparison *c, size_t k, const char *dir)
{
    char *folder = xr_asprintf("%s/model-%zu", dir, k + 1);
    xr_status status = folder ? xr_mkdirs(folder) : xr_error_status();
    if (status == XR_OK)
        status = xr_evaluation_write(&c->e[k], folder);
    xr_free(folder);
    return status;
}

/* Predictions of the models that were chosen, under the names of their own labels. */
static xr_status write_selected(const xr_comparison *c, const char *dir)
{
    char *folder = xr_path_join(dir, "selected");
    const xr_evaluation **of = folder ? xr_alloc(c->selected.n, sizeof *of) : NULL;
    xr_status status = of ? XR_OK : xr_error_status();
    for (size_t i = 0; i < c->selected.n && of; i++)
        of[i] = &c->e[c->chosen[i]];
    if (status == XR_OK)
        status = xr_evaluation_write_predictions(&c->selected, of, folder);
    xr_free(of);
    xr_free(folder);
    return status;
}

/* In the plot the groups are called by their models' directories, too. */
static xr_status write_plot(const xr_comparison *c, const groups *g, const char *dir)
{
    xr_status status = XR_OK;
    char **name = xr_alloc(g->n, sizeof *name);
    for (size_t k = 0; k < g->n && name && status == XR_OK; k++) {
        name[k] = g->e[k] != &c->selected ? xr_asprintf("%s %s", g->name[k], c->e[k].o->model) : xr_strdup(g->name[k]);
        status = name[k] ? XR_OK : xr_error_status();
    }
    if (name && status == XR_OK)
        status = xr_evaluation_write_plot(g->e, (const char *const *)name, g->n, dir);
    for (size_t k = 0; k < g->n && name; k++)
        xr_free(name[k]);
    xr_free(name);
    return name ? status : xr_error_status();
}

xr_status xr_comparison_write(const xr_comparison *c, const char *dir)
{
    groups g;
    for (size_t k = 0; k < c->n; k++)
        XR_TRY(write_model(c, k, dir));
    XR_TRY(c->chosen ? write_selected(c, dir) : XR_OK);
    XR_TRY(write_json(c, dir));
    XR_TRY(groups_of(c, &g));
    xr_status status = write_tsv(&g, dir);
    if (status == XR_OK)
        status = write_plot(c, &g, dir);
    groups_free(&g);
    return status;
}
