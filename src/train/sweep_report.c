/* What a sweep came to: one table, results.json, results.tsv. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "train/runlog.h"
#include "train/sweep.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/utf8.h"

static const size_t on_validation = offsetof(xr_sweep_run, best), on_test = offsetof(xr_sweep_run, tested);

static const char *state_name(const xr_sweep_run *r)
{
    static const char *const name[] = { "to do", "finished", "interrupted", "failed" };
    return name[r->state];
}

/* Shares with four decimals, large losses with four digits. */
static xr_status put_number(xr_str *out, int there, double x)
{
    char text[32] = "-";
    if (there)
        snprintf(text, sizeof text, fabs(x) < 1000.0 ? "%.4f" : "%.4g", x);
    return xr_str_printf(out, " %10s", text);
}

/* A value of an axis, on one line and without a TAB, which parts the columns of results.tsv. */
static xr_status put_value(const xr_sweep *s, const xr_sweep_run *r, size_t axis, xr_str *out)
{
    const char *value = s->axis[axis].value[r->at[axis]];
    return xr_utf8_printable(out, value, strlen(value));
}

/* "learning_rate=1e-5,batch_size=32", from the first run of a setting; a grid of seeds only has one setting. */
static xr_status put_setting(const xr_sweep *s, size_t setting, xr_str *out)
{
    const xr_sweep_run *r = s->run;
    size_t before = out->len;
    while (r->setting != setting)
        r++;
    for (size_t i = 0; i < s->n_axes; i++)
        if (strcmp(s->axis[i].key, "seed") != 0) {
            XR_TRY(xr_str_printf(out, "%s%s=", out->len > before ? "," : "", s->axis[i].key));
            XR_TRY(put_value(s, r, i, out));
        }
    return out->len > before ? XR_OK : xr_str_puts(out, "all runs");
}

static int name_width(const xr_sweep *s)
{
    size_t width = 12;
    for (size_t i = 0; i < s->n_runs; i++)
        width = strlen(s->run[i].name) > width ? strlen(s->run[i].name) : width;
    return (int)width;
}

/* --- the plan ------------------------------------------------------------------------------------------------------- */

static xr_status put_command(xr_str *out, const xr_sweep_args *a)
{
    XR_TRY(xr_str_puts(out, "   "));
    for (size_t i = 0; i < a->n; i++)
        XR_TRY(xr_str_printf(out, strpbrk(a->v[i], " \t\"$*?;&|") ? " '%s'" : " %s", a->v[i]));
    return xr_str_putc(out, '\n');
}

xr_status xr_sweep_plan_text(const xr_sweep *s, xr_str *out)
{
    static const char *const kind[] = { "new", "goes on", "finished" };
    XR_TRY(xr_str_printf(out, "%zu runs of %s, %zu settings, %lld at once\n", s->n_runs, xr_verb_name(s->verb), s->n_settings, s->o->jobs));
    for (size_t i = 0; i < s->n_runs; i++) {
        XR_TRY(xr_str_printf(out, "%s: %s\n", s->run[i].name, kind[s->run[i].kind]));
        XR_TRY(put_command(out, &s->run[i].train));
        if (s->run[i].test.n)
            XR_TRY(put_command(out, &s->run[i].test));
    }
    return xr_str_puts(out, "nothing was run (--dry-run)\n");
}

/* --- the table ------------------------------------------------------------------------------------------------------ */

static const char *test_metric(const xr_sweep *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i].tested.metric)
            return s->run[i].tested.metric;
    return NULL;
}

static xr_status put_runs(const xr_sweep *s, int width, xr_str *out)
{
    const char *metric = xr_sweep_metric(s), *test = test_metric(s);
    XR_TRY(xr_str_printf(out, "%-*s  %-11s %10s %8s %8s", width, "run", "", metric ? metric : "", metric ? "at step" : "", "steps"));
    XR_TRY(xr_str_printf(out, "%s%s\n", test ? "  evaluate: " : "", test ? test : ""));
    for (size_t i = 0; i < s->n_runs; i++) {
        const xr_sweep_run *r = &s->run[i];
        int done = r->state == XR_SWEEP_FINISHED, scored = done && r->best.metric;
        XR_TRY(xr_str_printf(out, "%-*s  %-11s", width, r->name, state_name(r)));
        XR_TRY(put_number(out, scored, r->best.value));
        XR_TRY(scored ? xr_str_printf(out, " %8lld", r->best_step) : xr_str_printf(out, " %8s", metric ? "-" : ""));
        XR_TRY(done ? xr_str_printf(out, " %8lld", r->steps) : xr_str_printf(out, " %8s", "-"));
        if (test)
            XR_TRY(put_number(out, done && r->tested.metric, r->tested.value));
        XR_TRY(xr_str_putc(out, '\n'));
    }
    return XR_OK;
}

static xr_status put_stats(xr_str *out, xr_sweep_stats t)
{
    XR_TRY(xr_str_printf(out, " %4zu", t.n));
    XR_TRY(put_number(out, t.n > 0, t.mean));
    XR_TRY(put_number(out, t.n > 1, t.sd));
    XR_TRY(put_number(out, t.n > 0, t.least));
    return put_number(out, t.n > 0, t.most);
}

static xr_status put_settings(const xr_sweep *s, int width, size_t offset, const char *title, xr_str *out)
{
    size_t best = xr_sweep_best_setting(s);
    XR_TRY(xr_str_printf(out, "\n%-*s   %4s %10s %10s %10s %10s\n", width + 10, title, "runs", "mean", "std. dev.", "min", "max"));
    for (size_t k = 0; k < s->n_settings; k++) {
        xr_str name = { 0 };
        xr_status status = put_setting(s, k, &name);
        if (status == XR_OK)
            status = xr_str_printf(out, "%-*s  ", width + 10, name.s);
        xr_str_free(&name);
        XR_TRY(status);
        XR_TRY(put_stats(out, xr_sweep_statistics(s, k, offset)));
        XR_TRY(xr_str_puts(out, k == best && s->n_settings > 1 ? "  best\n" : "\n"));
    }
    return XR_OK;
}

static xr_status put_best(const xr_sweep *s, xr_str *out)
{
    size_t best = xr_sweep_best_setting(s);
    const xr_sweep_run *r = best < s->n_settings ? xr_sweep_best_run(s, best) : NULL;
    if (!r)
        return xr_str_puts(out, "\nno best setting: no finished run was scored on validation data\n");
    XR_TRY(xr_str_puts(out, "\nbest setting by the mean on the validation data: "));
    XR_TRY(put_setting(s, best, out));
    return xr_str_printf(out, "\nits best run: %s/best\n", r->dir);
}

xr_status xr_sweep_table(const xr_sweep *s, xr_str *out)
{
    int width = name_width(s);
    const char *metric = xr_sweep_metric(s), *test = test_metric(s);
    xr_str title = { 0 };
    XR_TRY(put_runs(s, width, out));
    if (metric) {
        xr_status status = xr_str_printf(&title, "validation %s", metric);
        if (status == XR_OK)
            status = put_settings(s, width, on_validation, title.s, out);
        xr_str_clear(&title);
        if (status == XR_OK && test)
            status = xr_str_printf(&title, "evaluate: %s", test);
        if (status == XR_OK && test)
            status = put_settings(s, width, on_test, title.s, out);
        xr_str_free(&title);
        XR_TRY(status);
    }
    return put_best(s, out);
}

/* --- files ---------------------------------------------------------------------------------------------------------- */

static json_t *values_json(const xr_sweep *s, const xr_sweep_run *r, int seed)
{
    json_t *j = json_object();
    for (size_t i = 0; i < s->n_axes; i++)
        if (seed || strcmp(s->axis[i].key, "seed") != 0)
            json_object_set_new(j, s->axis[i].key, json_string(s->axis[i].value[r->at[i]]));
    return j;
}

static json_t *figure_json(const xr_sweep_figure *f)
{
    return f->metric ? json_pack("{ss so}", "metric", f->metric, "value", xr_json_number(f->value)) : json_null();
}

static json_t *run_json(const xr_sweep *s, const xr_sweep_run *r)
{
    json_t *j = json_pack("{ss ss so ss}", "name", r->name, "output_dir", r->dir, "values", values_json(s, r, 1), "state", state_name(r));
    if (r->state == XR_SWEEP_FAILED) {
        json_object_set_new(j, "exit", json_integer(r->code));
        json_object_set_new(j, "message", r->message ? json_string(r->message) : json_null());
    }
    if (r->state != XR_SWEEP_FINISHED)
        return j;
    json_object_set_new(j, "steps", json_integer(r->steps));
    json_object_set_new(j, "validation", figure_json(&r->best));
    if (r->best.metric)
        json_object_set_new(j, "best_step", json_integer(r->best_step));
    if (r->test.n)
        json_object_set_new(j, "evaluate", figure_json(&r->tested));
    return j;
}

static json_t *stats_json(const xr_sweep *s, size_t setting, size_t offset)
{
    xr_sweep_stats t = xr_sweep_statistics(s, setting, offset);
    if (t.n == 0)
        return json_null();
    json_t *j = json_pack("{sI so}", "runs", (json_int_t)t.n, "mean", xr_json_number(t.mean));
    json_object_set_new(j, "standard_deviation", t.n > 1 ? xr_json_number(t.sd) : json_null());
    json_object_set_new(j, "min", xr_json_number(t.least));
    json_object_set_new(j, "max", xr_json_number(t.most));
    return j;
}

static json_t *setting_json(const xr_sweep *s, size_t setting)
{
    const xr_sweep_run *r = s->run;
    while (r->setting != setting)
        r++;
    json_t *j = json_pack("{so so}", "values", values_json(s, r, 0), "validation", stats_json(s, setting, on_validation));
    if (s->n_test)
        json_object_set_new(j, "evaluate", stats_json(s, setting, on_test));
    json_object_set_new(j, "best", json_boolean(setting == xr_sweep_best_setting(s)));
    return j;
}

json_t *xr_sweep_json(const xr_sweep *s)
{
    const char *metric = xr_sweep_metric(s);
    json_t *runs = json_array(), *settings = json_array();
    for (size_t i = 0; i < s->n_runs; i++)
        json_array_append_new(runs, run_json(s, &s->run[i]));
    for (size_t k = 0; k < s->n_settings; k++)
        json_array_append_new(settings, setting_json(s, k));
    size_t best = xr_sweep_best_setting(s);
    const xr_sweep_run *r = best < s->n_settings ? xr_sweep_best_run(s, best) : NULL;
    json_t *j = json_pack("{ss ss? ss? so so}", "verb", xr_verb_name(s->verb), "metric", metric, "best_run", r ? r->name : NULL, "runs", runs, "settings",
                          settings);
    if (!j)
        xr_fail(XR_ESYSTEM, "no memory for the results of a sweep");
    return j;
}

static xr_status put_tsv(const xr_sweep *s, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "run"));
    for (size_t i = 0; i < s->n_axes; i++)
        XR_TRY(xr_str_printf(out, "\t%s", s->axis[i].key));
    XR_TRY(xr_str_puts(out, "\tstate\tsteps\tbest_step\tmetric\tvalidation\tevaluate_metric\tevaluate\n"));
    for (size_t i = 0; i < s->n_runs; i++) {
        const xr_sweep_run *r = &s->run[i];
        XR_TRY(xr_str_puts(out, r->name));
        for (size_t k = 0; k < s->n_axes; k++) {
            XR_TRY(xr_str_putc(out, '\t'));
            XR_TRY(put_value(s, r, k, out));
        }
        XR_TRY(xr_str_printf(out, "\t%s\t%lld\t%lld\t%s\t", state_name(r), r->steps, r->best_step, r->best.metric ? r->best.metric : ""));
        XR_TRY(r->best.metric ? xr_str_double(out, r->best.value) : XR_OK);
        XR_TRY(xr_str_printf(out, "\t%s\t", r->tested.metric ? r->tested.metric : ""));
        XR_TRY(r->tested.metric ? xr_str_double(out, r->tested.value) : XR_OK);
        XR_TRY(xr_str_putc(out, '\n'));
    }
    return XR_OK;
}

static xr_status write_tsv(const xr_sweep *s, const char *path)
{
    xr_str text = { 0 };
    xr_status status = put_tsv(s, &text);
    if (status == XR_OK)
        status = xr_file_write(path, text.s, text.len);
    xr_str_free(&text);
    return status;
}

xr_status xr_sweep_write(const xr_sweep *s)
{
    json_t *j = xr_sweep_json(s);
    char *json = j ? xr_path_join(s->o->output_dir, "results.json") : NULL, *tsv = json ? xr_path_join(s->o->output_dir, "results.tsv") : NULL;
    xr_status status = tsv ? xr_json_write(json, j, 2) : xr_error_status();
    if (status == XR_OK)
        status = write_tsv(s, tsv);
    json_decref(j);
    xr_free(json);
    xr_free(tsv);
    return status;
}
