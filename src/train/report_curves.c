/* Charts of runs: one run, or several over each other. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_parts.h"
#include "util/alloc.h"

/* Curves being collected, with the points they point to. */
typedef struct chart {
    xr_curve *v; size_t n, cap;
    double **held; size_t n_held, cap_held;
} chart;

static double *hold(chart *k, size_t n)
{
    if (xr_grow(&k->held, &k->cap_held, k->n_held + 1, sizeof *k->held) < 0)
        return NULL;
    double *v = xr_alloc(n + 1, sizeof *v);
    if (v)
        k->held[k->n_held++] = v;
    return v;
}

static void chart_free(chart *k)
{
    for (size_t i = 0; i < k->n_held; i++)
        xr_free(k->held[i]);
    xr_free(k->held);
    xr_free(k->v);
}

/* Adds y over x / unit of these lines; nothing if no line has both. */
static xr_status add(chart *k, const xr_curve *how, const json_t *lines, const char *x_key, double unit, const char *y_key)
{
    size_t most = json_array_size(lines), n = 0;
    double *x = hold(k, most), *y = x ? hold(k, most) : NULL;
    int some = 0;
    if (!y)
        return xr_error_status();
    for (size_t i = 0; i < most; i++) {
        const json_t *line = json_array_get(lines, i);
        x[n] = xr_report_number(line, x_key) / unit;
        y[n] = xr_report_number(line, y_key);
        some += isfinite(x[n]) && isfinite(y[n]);
        n += (size_t)(isfinite(x[n]) != 0);
    }
    if (!some)
        return XR_OK;
    XR_TRY(xr_grow(&k->v, &k->cap, k->n + 1, sizeof *k->v));
    k->v[k->n] = *how;
    k->v[k->n].x = x;
    k->v[k->n].y = y;
    k->v[k->n++].n = n;
    return XR_OK;
}

/* A chart without a curve is left out. */
static xr_status put(chart *k, xr_curves *c, const char *caption, xr_str *out)
{
    xr_str svg = { 0 };
    xr_status status = XR_OK;
    c->v = k->v;
    c->n = k->n;
    if (k->n)
        status = xr_svg_curves(&svg, c);
    if (k->n && status == XR_OK)
        status = xr_report_figure(out, caption, &svg);
    xr_str_free(&svg);
    chart_free(k);
    return status;
}

const char *xr_report_title(const char *metric)
{
    static const char *const titles[][2] = { { "f1", "F1" }, { "f1_macro", "macro F1" }, { "f1_micro", "micro F1" }, { "f1_strict", "strict F1" },
        { "mcc", "MCC" }, { "auc", "AUC" }, { "pearson", "Pearson" }, { "spearman", "Spearman" },
        { "mse", "squared error" }, { "exact", "exact match" }, { "exact_match", "exact match" },
        { "gold_similarity", "similarity of the right one" } };
    for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
        if (strcmp(titles[i][0], metric) == 0)
            return titles[i][1];
    return metric;
}

/* ---- the charts ---- */

static const char *name_of(const xr_report_run *run, size_t i, size_t n)
{
    return n > 1 ? run[i].name : NULL;
}

static xr_status put_loss(const xr_report_run *run, size_t n, xr_str *out)
{
    chart k = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < n && status == XR_OK; i++) {
        int judged = json_array_size(run[i].evals) > 0;
        xr_curve train = { n > 1 ? run[i].name : "training", n > 1 && judged ? XR_CURVE_FAINT : XR_CURVE_LINE, (int)i, NULL, NULL, 0 };
        xr_curve valid = { n > 1 ? run[i].name : "validation", XR_CURVE_DOTS, n > 1 ? (int)i : 1, NULL, NULL, 0 };
        status = add(&k, &train, run[i].steps, "step", 1.0, "loss");
        if (status == XR_OK)
            status = add(&k, &valid, run[i].evals, "step", 1.0, "loss");
    }
    xr_curves c = { .title = "Loss by step", .x_title = "step", .y_title = n > 1 ? "validation; training thin" : "", .log = 1 };
    if (status == XR_OK)
        return put(&k, &c, "Loss", out);
    chart_free(&k);
    return status;
}

/* One curve a run of a figure in one of its arrays of lines. */
typedef struct plain {
    const char *caption, *x_key, *x_title, *y_key, *y_title;
    double unit;                                        /* of x */
    const json_t *(*lines)(const xr_report_run *run);
    int log, from_zero, dots;
} plain;

static const json_t *steps_of(const xr_report_run *run) { return run->steps; }
static const json_t *evals_of(const xr_report_run *run) { return run->evals; }
static const json_t *timing_of(const xr_report_run *run) { return run->timing; }

static xr_status put_plain(const xr_report_run *run, size_t n, const plain *p, xr_str *out)
{
    chart k = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < n && status == XR_OK; i++) {
        xr_curve how = { name_of(run, i, n), p->dots ? XR_CURVE_DOTS : XR_CURVE_LINE, (int)i, NULL, NULL, 0 };
        status = add(&k, &how, p->lines(&run[i]), p->x_key, p->unit, p->y_key);
    }
    xr_curves c = { .title = p->caption, .x_title = p->x_title, .y_title = p->y_title, .log = p->log, .from_zero = p->from_zero };
    if (status == XR_OK)
        return put(&k, &c, p->caption, out);
    chart_free(&k);
    return status;
}

/* Runs that are judged by the same figure share its chart. */
static xr_status put_metric(const xr_report_run *run, size_t n, xr_str *out)
{
    const char *metric = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *own = xr_report_metric(&run[i]);
        if (own && metric && strcmp(own, metric) != 0)
            return XR_OK;
        metric = own ? own : metric;
    }
    if (!metric || strcmp(metric, "loss") == 0)
        return XR_OK;
    char caption[128];
    snprintf(caption, sizeof caption, "Validation %.100s", xr_report_title(metric));
    plain p = { caption, "step", "step", metric, "", 1.0, evals_of, 1, 0, 1 };
    return put_plain(run, n, &p, out);
}

/* Time in the unit that suits the longest run. */
static double time_unit(const xr_report_run *run, size_t n, const char **name)
{
    double longest = 0.0;
    for (size_t i = 0; i < n; i++) {
        size_t lines = json_array_size(run[i].timing);
        double at = lines ? xr_report_number(json_array_get(run[i].timing, lines - 1), "at") : 0.0;
        longest = at > longest ? at : longest;
    }
    *name = longest > 10800.0 ? "hours" : longest > 300.0 ? "minutes" : "seconds";
    return longest > 10800.0 ? 3600.0 : longest > 300.0 ? 60.0 : 1.0;
}

xr_status xr_report_curves(const xr_report_run *run, size_t n, xr_str *out)
{
    const char *unit_name;
    double unit = time_unit(run, n, &unit_name);
    const plain rest[] = {
        { "Learning rate", "step", "step", "lr", "", 1.0, steps_of, 0, 1, 0 },
        { "Gradient norm", "step", "step", "grad_norm", "before clipping", 1.0, steps_of, 1, 0, 0 },
        { "Throughput", "at", unit_name, "tokens_per_s", "tokens a second", unit, timing_of, 0, 1, 0 },
        { "Memory", "at", unit_name, "rss_mb", "MB resident", unit, timing_of, 0, 1, 0 },
    };
    XR_TRY(xr_str_puts(out, "<div class=\"charts\">\n"));
    XR_TRY(put_loss(run, n, out));
    XR_TRY(put_metric(run, n, out));
    if (n == 1)
        XR_TRY(xr_report_languages_chart(run, out));
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        XR_TRY(put_plain(run, n, &rest[i], out));
    return xr_str_puts(out, "</div>\n");
}

xr_status xr_report_languages_chart(const xr_report_run *run, xr_str *out)
{
    const json_t *last = json_array_get(run->evals, json_array_size(run->evals) - 1), *languages = json_object_get(last, "languages");
    const char *metric = xr_report_metric(run), *language;
    chart k = { 0 };
    json_t *value;
    xr_status status = XR_OK;
    char key[128], caption[128];
    if (!metric || json_object_size(languages) == 0)
        return XR_OK;
    json_object_foreach((json_t *)languages, language, value) {
        xr_curve how = { language, XR_CURVE_DOTS, (int)k.n, NULL, NULL, 0 };
        snprintf(key, sizeof key, "languages/%.60s/%.50s", language, metric);
        status = status == XR_OK ? add(&k, &how, run->evals, "step", 1.0, key) : status;
    }
    snprintf(caption, sizeof caption, "Validation %.80s by language", xr_report_title(metric));
    xr_curves c = { .title = caption, .x_title = "step", .y_title = "", .log = 1 };
    if (status == XR_OK)
        return put(&k, &c, caption, out);
    chart_free(&k);
    return status;
}
