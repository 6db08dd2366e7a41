/* The section of a sweep: what its grid came to, every run with its options and figures, and the settings over their seeds. */
#include <math.h>
#include <string.h>

#include "train/report_parts.h"

static const char *name_of(const json_t *object) { return xr_report_string(object, "name"); }

static int is_text(const char *s, const char *text) { return s && strcmp(s, text) == 0; }

static size_t count_finished(const json_t *runs)
{
    size_t n = 0, i;
    json_t *run;
    json_array_foreach((json_t *)runs, i, run)
        n += (size_t)is_text(xr_report_string(run, "state"), "finished");
    return n;
}

static const json_t *best_setting(const json_t *settings)
{
    size_t i;
    json_t *setting;
    json_array_foreach((json_t *)settings, i, setting)
        if (json_is_true(json_object_get(setting, "best")))
            return setting;
    return NULL;
}

/* Whether anything in the list has a figure of that kind: "evaluate" is there only where it was asked for. */
static int has_figure(const json_t *list, const char *key)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *)list, i, one)
        if (json_is_object(json_object_get(one, key)))
            return 1;
    return 0;
}

/* What evaluate measured, as titles say it; NULL where nothing was. */
static const char *evaluated_by(const json_t *runs)
{
    size_t i;
    json_t *run;
    json_array_foreach((json_t *)runs, i, run) {
        const char *metric = xr_report_string(json_object_get(run, "evaluate"), "metric");
        if (metric)
            return xr_report_title(metric);
    }
    return NULL;
}

/* "learning_rate=1e-5, batch_size=32" */
static xr_status put_values(const json_t *values, xr_str *out)
{
    const char *key, *comma = "";
    json_t *value;
    json_object_foreach((json_t *)values, key, value) {
        XR_TRY(xr_str_printf(out, "%s%s=%s", comma, key, json_is_string(value) ? json_string_value(value) : "?"));
        comma = ", ";
    }
    return *comma ? XR_OK : xr_str_puts(out, "all runs");
}

/* ---- summary figures ---- */

static xr_status put_best(const json_t *setting, const char *metric, xr_str *out)
{
    xr_str values = { 0 }, said = { 0 };
    double mean = xr_report_number(setting, "validation/mean"), sd = xr_report_number(setting, "validation/standard_deviation");
    xr_status status = put_values(json_object_get(setting, "values"), &values);
    if (status == XR_OK)
        status = xr_str_printf(&said, "%s %s", metric ? xr_report_title(metric) : "validation", xr_number_short(mean).s);
    if (status == XR_OK && isfinite(sd))
        status = xr_str_printf(&said, " ± %s", xr_number_short(sd).s);
    if (status == XR_OK)
        status = xr_report_card(out, "best setting", values.s, said.s);
    xr_str_free(&values);
    xr_str_free(&said);
    return status;
}

static xr_status put_cards(const json_t *results, xr_str *out)
{
    const json_t *runs = json_object_get(results, "runs"), *settings = json_object_get(results, "settings"), *best = best_setting(settings);
    size_t n = json_array_size(runs), done = count_finished(runs);
    char more[64];
    snprintf(more, sizeof more, "of %zu", n);
    XR_TRY(xr_str_puts(out, "<div class=\"cards\">\n"));
    XR_TRY(xr_report_card(out, "finished runs", xr_number_count((double)done).s, more));
    XR_TRY(xr_report_card(out, "settings", xr_number_count((double)json_array_size(settings)).s, NULL));
    XR_TRY(best ? put_best(best, xr_report_string(results, "metric"), out) : XR_OK);
    return xr_str_puts(out, "</div>\n");
}

/* ---- runs ---- */

/* The place of a run of the sweep among those of the page; n_runs if it is not there. */
static size_t find_run(const xr_report *r, const xr_report_sweep *s, const char *name)
{
    size_t i, at = strlen(s->path), n = name ? strlen(name) : 0;
    static const char between[] = "/runs/";
    for (i = 0; i < r->n_runs; i++) {
        const char *path = r->run[i].path;
        if (strncmp(path, s->path, at) == 0 && strncmp(path + at, between, sizeof between - 1) == 0 &&
            strlen(path) == at + sizeof between - 1 + n && name && strcmp(path + at + sizeof between - 1, name) == 0)
            break;
    }
    return i;
}

static xr_status put_name(const xr_report *r, const xr_report_sweep *s, const char *name, xr_str *out)
{
    size_t i = find_run(r, s, name);
    XR_TRY(xr_str_puts(out, "<tr><th scope=\"row\">"));
    if (i == r->n_runs)
        return xr_markup_put(out, "<bdi>%s</bdi></th>", name ? name : "?");
    XR_TRY(xr_str_printf(out, "<span class=\"chip c%zu\"></span><a href=\"#run%zu\">", i % XR_SVG_COLOURS, i + 1));
    return xr_markup_put(out, "<bdi>%s</bdi></a></th>", name);
}

static xr_status put_number(const json_t *object, const char *key, xr_str *out)
{
    double x = xr_report_number(object, key);
    return xr_report_cell(out, isfinite(x) ? xr_number_short(x).s : NULL);
}

static xr_status put_count(const json_t *object, const char *key, xr_str *out)
{
    double x = xr_report_number(object, key);
    return xr_report_cell(out, isfinite(x) ? xr_number_count(x).s : NULL);
}

/* "failed", with its exit code and last words. */
static xr_status put_state(const json_t *run, xr_str *out)
{
    const char *state = xr_report_string(run, "state"), *message = xr_report_string(run, "message");
    double code = xr_report_number(run, "exit");
    XR_TRY(xr_markup_put(out, "<td>%s", state ? state : "?"));
    if (isfinite(code))
        XR_TRY(xr_markup_put(out, " (%s)", xr_number_count(code).s));
    if (message)
        XR_TRY(xr_markup_put(out, ": <span class=\"soft\">%s</span>", message));
    return xr_str_puts(out, "</td>");
}

static xr_status put_run(const xr_report *r, const xr_report_sweep *s, const json_t *run, int evaluated, xr_str *out)
{
    const char *key, *name = name_of(run);
    json_t *value;
    XR_TRY(put_name(r, s, name, out));
    json_object_foreach(json_object_get(run, "values"), key, value)
        XR_TRY(xr_report_cell(out, json_string_value(value)));
    XR_TRY(put_state(run, out));
    XR_TRY(put_count(run, "steps", out));
    XR_TRY(put_number(run, "validation/value", out));
    XR_TRY(put_count(run, "best_step", out));
    XR_TRY(evaluated ? put_number(run, "evaluate/value", out) : XR_OK);
    return xr_markup_put(out, "<td>%s</td></tr>\n", is_text(xr_report_string(s->results, "best_run"), name ? name : "") ? "best" : "");
}

static xr_status put_axes(const json_t *one, xr_str *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(one, "values"), key, value)
        XR_TRY(xr_markup_put(out, "<th class=\"n\">%s</th>", key));
    return XR_OK;
}

static xr_status put_runs(const xr_report *r, const xr_report_sweep *s, xr_str *out)
{
    const json_t *runs = json_object_get(s->results, "runs");
    const char *metric = xr_report_string(s->results, "metric");
    int evaluated = has_figure(runs, "evaluate");
    size_t i;
    json_t *run;
    XR_TRY(xr_str_puts(out, "<h3>Runs</h3>\n<div class=\"scroll\"><table><thead><tr><th>run</th>"));
    XR_TRY(put_axes(json_array_get(runs, 0), out));
    XR_TRY(xr_markup_put(out, "<th>state</th><th class=\"n\">steps</th><th class=\"n\">%s</th><th class=\"n\">at step</th>",
                         metric ? xr_report_title(metric) : "validation"));
    if (evaluated)
        XR_TRY(xr_markup_put(out, "<th class=\"n\">evaluate: %s</th>", evaluated_by(runs)));
    XR_TRY(xr_str_puts(out, "<th></th></tr></thead><tbody>\n"));
    json_array_foreach((json_t *)runs, i, run)
        XR_TRY(put_run(r, s, run, evaluated, out));
    return xr_str_puts(out, "</tbody></table></div>\n");
}

/* ---- settings ---- */

static xr_status put_statistics(const json_t *t, xr_str *out)
{
    static const char *const keys[] = { "mean", "standard_deviation", "min", "max" };
    XR_TRY(put_count(t, "runs", out));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        XR_TRY(put_number(t, keys[i], out));
    return XR_OK;
}

static xr_status put_settings(const json_t *results, const char *key, const char *title, const char *metric, xr_str *out)
{
    const json_t *settings = json_object_get(results, "settings");
    size_t i;
    json_t *one;
    if (!has_figure(settings, key))
        return XR_OK;
    XR_TRY(xr_markup_put(out, "<h3>%s%s%s</h3>\n<div class=\"scroll\"><table><thead><tr><th>setting</th><th class=\"n\">runs</th><th class=\"n\">mean</th>"
                         "<th class=\"n\">std. dev.</th><th class=\"n\">min</th><th class=\"n\">max</th><th></th></tr></thead><tbody>\n", title,
                         metric ? ": " : "", metric));
    json_array_foreach((json_t *)settings, i, one) {
        xr_str values = { 0 };
        xr_status status = put_values(json_object_get(one, "values"), &values);
        if (status == XR_OK)
            status = xr_markup_put(out, "<tr><th scope=\"row\">%s</th>", values.s);
        xr_str_free(&values);
        XR_TRY(status);
        XR_TRY(put_statistics(json_object_get(one, key), out));
        XR_TRY(xr_markup_put(out, "<td>%s</td></tr>\n", json_is_true(json_object_get(one, "best")) ? "best" : ""));
    }
    return xr_str_puts(out, "</tbody></table></div>\n");
}

xr_status xr_report_put_sweep(const xr_report *r, size_t i, xr_str *out)
{
    const xr_report_sweep *s = &r->sweep[i];
    const char *metric = xr_report_string(s->results, "metric");
    XR_TRY(xr_str_printf(out, "<section id=\"sweep%zu\">\n", i + 1));
    XR_TRY(xr_markup_put(out, "<h2>Sweep <bdi>%s</bdi></h2>\n<p class=\"soft\"><bdi>%s</bdi></p>\n", s->name, s->path));
    XR_TRY(put_cards(s->results, out));
    XR_TRY(put_runs(r, s, out));
    XR_TRY(put_settings(s->results, "validation", "Settings, on the validation data", metric ? xr_report_title(metric) : NULL, out));
    XR_TRY(put_settings(s->results, "evaluate", "Settings, by evaluate", evaluated_by(json_object_get(s->results, "runs")), out));
    return xr_str_puts(out, "</section>\n");
}
