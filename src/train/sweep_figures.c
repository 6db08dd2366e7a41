/* Figures of a sweep's runs, and what they say together. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "train/metrics.h"
#include "train/sweep.h"
#include "util/alloc.h"
#include "util/fs.h"

#define RESULTS_CAP ((size_t)1 << 30)

/* --- of one run --------------------------------------------------------------------------------------------------- */

/* A number, or one of the words that stand for those JSON has not. */
static int number(const json_t *j, double *x)
{
    const char *s = json_string_value(j);
    int word = s && (strcmp(s, "nan") == 0 || strcmp(s, "inf") == 0 || strcmp(s, "-inf") == 0);
    *x = word ? (*s == 'n' ? (double)NAN : *s == 'i' ? (double)INFINITY : -(double)INFINITY) : json_number_value(j);
    return word || json_is_number(j);
}

static xr_status set_figure(xr_sweep_figure *f, const char *metric, const json_t *value)
{
    double x;
    if (!metric || !number(value, &x))
        return XR_OK;
    xr_free(f->metric);
    f->metric = xr_strdup(metric);
    f->value = x;
    return f->metric ? XR_OK : xr_error_status();
}

/* The last line of older runs does not say which way is better, but by what. */
static int is_higher_better(const json_t *end, const char *metric)
{
    const json_t *said = json_object_get(end, "higher_is_better");
    return json_is_boolean(said) ? json_is_true(said) : xr_metric_higher_is_better(metric);
}

xr_status xr_sweep_read_figures(xr_sweep_run *r)
{
    json_t *end = xr_rundir_end(r->dir);
    if (!end)
        return xr_fail(XR_EDATA, "%s: metrics.jsonl does not end with the line of a finished run", r->dir);
    r->steps = (long long)json_integer_value(json_object_get(end, "step"));
    r->best_step = (long long)json_integer_value(json_object_get(end, "best_step"));
    const char *metric = json_string_value(json_object_get(end, "metric"));
    r->higher = metric && is_higher_better(end, metric);
    xr_status status = set_figure(&r->best, metric, json_object_get(end, "best"));
    json_decref(end);
    return status;
}

xr_status xr_sweep_read_test(const xr_sweep *s, xr_sweep_run *r)
{
    char *path = xr_asprintf("%s/eval/%s/results.json", s->o->output_dir, r->name);
    json_t *j = path ? xr_json_file(path, RESULTS_CAP) : NULL;
    const char *metric = json_string_value(json_object_get(j, "metric"));
    xr_status status = j ? set_figure(&r->tested, metric, json_object_get(json_object_get(j, "average"), metric ? metric : "")) : xr_error_status();
    json_decref(j);
    xr_free(path);
    return status;
}

/* --- of several --------------------------------------------------------------------------------------------------- */

static const xr_sweep_figure *figure_at(const xr_sweep_run *r, size_t offset)
{
    const xr_sweep_figure *f = (const void *)((const char *)r + offset);
    return r->state == XR_SWEEP_FINISHED && f->metric ? f : NULL;
}

static void add(xr_sweep_stats *t, double x)
{
    t->least = t->n == 0 || x < t->least ? x : t->least;
    t->most = t->n == 0 || x > t->most ? x : t->most;
    t->mean += x;
    t->n++;
}

xr_sweep_stats xr_sweep_statistics(const xr_sweep *s, size_t setting, size_t offset)
{
    xr_sweep_stats t = { 0 };
    const xr_sweep_figure *f;
    double squares = 0.0;
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i].setting == setting && (f = figure_at(&s->run[i], offset)))
            add(&t, f->value);
    if (t.n == 0)
        return t;
    t.mean /= (double)t.n;
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i].setting == setting && (f = figure_at(&s->run[i], offset)))
            squares += (f->value - t.mean) * (f->value - t.mean);
    t.sd = t.n > 1 ? sqrt(squares / (double)(t.n - 1)) : 0.0;
    return t;
}

/* The first run with a figure on the validation data; NULL if none has one. */
static const xr_sweep_run *first_judged(const xr_sweep *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i].best.metric)
            return &s->run[i];
    return NULL;
}

const char *xr_sweep_metric(const xr_sweep *s)
{
    const xr_sweep_run *r = first_judged(s);
    return r ? r->best.metric : NULL;
}

/* NaN is never better, and always worse. */
static int is_better(const xr_sweep *s, double a, double b)
{
    return (first_judged(s)->higher ? a > b : a < b) || (isnan(b) && !isnan(a));
}

size_t xr_sweep_best_setting(const xr_sweep *s)
{
    size_t best = s->n_settings;
    double mean = 0.0;
    for (size_t k = 0; k < s->n_settings; k++) {
        xr_sweep_stats t = xr_sweep_statistics(s, k, offsetof(xr_sweep_run, best));
        if (t.n > 0 && (best == s->n_settings || is_better(s, t.mean, mean))) {
            best = k;
            mean = t.mean;
        }
    }
    return best;
}

const xr_sweep_run *xr_sweep_best_run(const xr_sweep *s, size_t setting)
{
    const xr_sweep_run *best = NULL;
    for (size_t i = 0; i < s->n_runs; i++) {
        const xr_sweep_run *r = &s->run[i];
        const xr_sweep_figure *f = r->setting == setting ? figure_at(r, offsetof(xr_sweep_run, best)) : NULL;
        if (f && (!best || is_better(s, f->value, best->best.value)))
            best = r;
    }
    return best;
}
