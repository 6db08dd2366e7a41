/* The section of an evaluation: figures by language, beside published ones, and the confusion by class. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_parts.h"
#include "util/alloc.h"

static const char *or(const char *s, const char *other)
{
    return s ? s : other;
}

static const char *metric_of(const xr_report_evaluation *e)
{
    return or(xr_report_string(e->results, "metric"), "accuracy");
}

static const json_t *languages_of(const xr_report_evaluation *e)
{
    return json_object_get(e->results, "languages");
}

static double percent(double share)
{
    return 100.0 * share;
}

/* What a paper has for the main figure of a language; NULL if there is none. */
static const json_t *paper_of(const xr_report_evaluation *e, const json_t *language)
{
    const json_t *list = json_object_get(language, "published");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *one = json_array_get(list, i);
        const char *metric = xr_report_string(one, "metric");
        if (metric && strcmp(metric, metric_of(e)) == 0)
            return one;
    }
    return NULL;
}

/* In per cent; NaN if there is none. */
static double published(const xr_report_evaluation *e, const json_t *language)
{
    return percent(xr_report_number(paper_of(e, language), "value"));
}

static int has_published(const xr_report_evaluation *e)
{
    const char *name;
    json_t *language;
    json_object_foreach((json_t *)languages_of(e), name, language)
        if (isfinite(published(e, language)))
            return 1;
    return 0;
}

/* ---- bars ---- */

/* Room for the figures of some evaluations over the languages of the first. */
typedef struct table {
    const char **language, **series; size_t n, n_series;
    double *value, *low, *high, *mark;
} table;

static xr_status table_make(table *t, size_t n, size_t n_series)
{
    t->language = xr_alloc(n + 1, sizeof *t->language);
    t->series = t->language ? xr_alloc(n_series + 1, sizeof *t->series) : NULL;
    double *room = t->series ? xr_alloc(3 * n * n_series + n + 1, sizeof *room) : NULL;
    t->value = room;
    t->n_series = n_series;
    if (!room)
        return xr_error_status();
    t->low = room + n * n_series;
    t->high = t->low + n * n_series;
    t->mark = t->high + n * n_series;
    return XR_OK;
}

static void table_free(table *t)
{
    xr_free(t->language);
    xr_free(t->series);
    xr_free(t->value);
}

static void fill(table *t, const xr_report_evaluation *e, size_t k)
{
    const char *metric = metric_of(e);
    t->series[k] = e->name;
    for (size_t i = 0; i < t->n; i++) {
        const json_t *language = json_object_get(languages_of(e), t->language[i]);
        size_t at = i * t->n_series + k;
        t->value[at] = percent(xr_report_number(language, metric));
        t->low[at] = percent(xr_report_number(language, "interval/low"));
        t->high[at] = percent(xr_report_number(language, "interval/high"));
        t->mark[i] = k == 0 ? published(e, language) : t->mark[i];
    }
}

static xr_status put_bars(const table *t, const xr_report_evaluation *e, xr_str *out)
{
    const char *metric = xr_report_title(metric_of(e));
    double most = 0.0;
    xr_str svg = { 0 };
    char caption[120], x_title[120];
    for (size_t i = 0; i < t->n * t->n_series; i++)
        most = fmax(most, t->value[i]);
    snprintf(caption, sizeof caption, "%.80s by language", metric);
    caption[0] = (char)(caption[0] >= 'a' && caption[0] <= 'z' ? caption[0] - 'a' + 'A' : caption[0]);
    snprintf(x_title, sizeof x_title, "%.80s, %%", metric);
    xr_bars b = { .title = caption, .x_title = x_title, .group = t->language, .n_groups = t->n, .series = t->series, .n_series = t->n_series,
                  .value = t->value, .low = t->low, .high = t->high, .mark = has_published(e) ? t->mark : NULL, .mark_name = "published",
                  .decimals = 1, .most = most > 50.0 ? 100.0 : 0.0 };
    xr_status status = xr_svg_bars(&svg, &b);
    if (status == XR_OK)
        status = xr_report_figure(out, caption, &svg);
    xr_str_free(&svg);
    return status;
}

/* Of evaluations that have the same figure; `with` of them, of which the first gives the languages with figures. */
static xr_status put_chart(const xr_report_evaluation *const *e, size_t n, xr_str *out)
{
    table t = { 0 };
    const char *name;
    json_t *language;
    xr_status status = table_make(&t, json_object_size(languages_of(e[0])), n);
    if (status == XR_OK)
        json_object_foreach((json_t *)languages_of(e[0]), name, language)
            if (isfinite(xr_report_number(language, metric_of(e[0]))))
                t.language[t.n++] = name;
    for (size_t k = 0; k < n && status == XR_OK; k++)
        fill(&t, e[k], k);
    if (status == XR_OK && t.n)
        status = put_bars(&t, e[0], out);
    table_free(&t);
    return status;
}

/* ---- table ---- */

/* Figures of the printed table are those that are averaged; beside them stand their number, an interval and what papers have. */
static int is_figure(const char *key, const json_t *value)
{
    return strcmp(key, "languages") != 0 && !json_is_object(value) && !json_is_array(value);
}

#define EACH_FIGURE(e, key, value)                                                               \
    json_object_foreach(json_object_get((e)->results, "average"), key, value) if (is_figure(key, value))

static xr_status put_row(const xr_report_evaluation *e, const char *name, const json_t *language, xr_str *out)
{
    const char *key;
    json_t *unused;
    double n = xr_report_number(language, "n"), tokens = xr_report_number(language, "tokens");
    double known = published(e, language), own = percent(xr_report_number(language, metric_of(e)));
    XR_TRY(xr_markup_put(out, "<tr><th scope=\"row\">%s</th>", name));
    XR_TRY(xr_report_cell(out, xr_number_count(n > 0.0 ? n : xr_report_number(language, "examples")).s));
    EACH_FIGURE(e, key, unused)
        XR_TRY(xr_report_cell(out, xr_number_fixed(percent(xr_report_number(language, key)), 2).s));
    if (has_published(e)) {
        XR_TRY(xr_report_cell(out, xr_number_fixed(known, xr_number_decimals(known)).s));
        XR_TRY(xr_report_cell(out, xr_number_fixed(own - known, xr_number_decimals(known)).s));
    }
    XR_TRY(xr_report_cell(out, tokens > 0.0 ? xr_number_fixed(percent(xr_report_number(language, "unk")) / tokens, 2).s : NULL));
    XR_TRY(xr_report_cell(out, xr_number_count(xr_report_number(language, "truncated")).s));
    return xr_str_puts(out, "</tr>\n");
}

static xr_status put_average(const xr_report_evaluation *e, xr_str *out)
{
    const char *key;
    json_t *unused;
    if (!isfinite(xr_report_number(e->results, "average/languages")) || xr_report_number(e->results, "average/languages") < 1.0)
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<tr class=\"sum\"><th scope=\"row\">average</th><td></td>"));
    EACH_FIGURE(e, key, unused)
        XR_TRY(xr_report_cell(out, xr_number_fixed(percent(xr_report_number(json_object_get(e->results, "average"), key)), 2).s));
    return xr_str_printf(out, "<td colspan=\"%d\"></td></tr>\n", has_published(e) ? 4 : 2);
}

static xr_status put_table(const xr_report_evaluation *e, xr_str *out)
{
    const char *key, *name;
    json_t *value, *language;
    XR_TRY(xr_str_puts(out, "<div class=\"scroll\"><table><thead><tr><th>language</th><th class=\"n\">n</th>"));
    EACH_FIGURE(e, key, value)
        XR_TRY(xr_markup_put(out, "<th class=\"n\">%s, %%</th>", xr_report_title(key)));
    if (has_published(e))
        XR_TRY(xr_str_puts(out, "<th class=\"n\">published</th><th class=\"n\">difference</th>"));
    XR_TRY(xr_str_puts(out, "<th class=\"n\">&lt;unk&gt;, %</th><th class=\"n\">cut or split</th></tr></thead><tbody>\n"));
    json_object_foreach((json_t *)languages_of(e), name, language)
        XR_TRY(put_row(e, name, language, out));
    XR_TRY(put_average(e, out));
    return xr_str_puts(out, "</tbody></table></div>\n");
}

/* ---- the section ---- */

static xr_status put_gap(const xr_report_evaluation *e, xr_str *out)
{
    double gap = xr_report_number(e->results, "transfer_gap");
    const char *trained = xr_report_string(json_object_get(e->results, "options"), "training_language");
    char more[100];
    snprintf(more, sizeof more, "%.60s minus the mean of the others", or(trained, "en"));
    return isfinite(gap) ? xr_report_card(out, "transfer gap", xr_number_fixed(percent(gap), 2).s, more) : XR_OK;
}

static xr_status put_cards(const xr_report_evaluation *e, xr_str *out)
{
    const json_t *r = e->results;
    double n = xr_report_number(r, "average/languages");
    char label[120], key[120], more[80];
    snprintf(key, sizeof key, "average/%.90s", metric_of(e));
    snprintf(label, sizeof label, "average %.90s", xr_report_title(metric_of(e)));
    double average = xr_report_number(r, key);
    snprintf(more, sizeof more, "per cent, of %s language%s", xr_number_count(n).s, n == 1.0 ? "" : "s");
    XR_TRY(xr_str_puts(out, "<div class=\"cards\">\n"));
    if (isfinite(average))
        XR_TRY(xr_report_card(out, label, xr_number_fixed(percent(average), 2).s, more));
    else
        XR_TRY(xr_report_card(out, "figures", "none", "the files have no gold labels"));
    XR_TRY(put_gap(e, out));
    XR_TRY(xr_report_card(out, "task", or(xr_report_string(r, "task"), "-"), or(xr_report_string(r, "split"), "")));
    XR_TRY(xr_report_card(out, "protocol", or(xr_report_string(r, "protocol"), "not stated"), or(xr_report_string(r, "selection"), "")));
    return xr_str_puts(out, "</div>\n");
}

static xr_status put_notes(const xr_report_evaluation *e, xr_str *out)
{
    xr_str notes = { 0 };
    double most = xr_report_number(e->results, "max_eval_samples");
    xr_status status = e->notes.len ? xr_str_puts(&notes, e->notes.s) : XR_OK;
    if (status == XR_OK && most > 0.0)
        status = xr_str_printf(&notes, "Only the first %s rows of each language were scored.\n", xr_number_count(most).s);
    if (status == XR_OK)
        status = xr_report_notes(out, &notes);
    xr_str_free(&notes);
    return status;
}

static xr_status put_source(const xr_report_evaluation *e, xr_str *out)
{
    const json_t *paper = NULL;
    const char *name;
    json_t *language;
    json_object_foreach((json_t *)languages_of(e), name, language)
        paper = paper ? paper : paper_of(e, language);
    if (!paper)
        return XR_OK;
    return xr_markup_put(out, "<p class=\"soft\">Published: XLM-R %s, %s; %s.</p>\n", or(xr_report_string(paper, "size"), ""),
                         or(xr_report_string(paper, "protocol"), "protocol not stated"), or(xr_report_string(paper, "source"), "source not stated"));
}

static xr_status put_command(const xr_report_evaluation *e, xr_str *out)
{
    const json_t *options = json_object_get(e->results, "options");
    const char *version = xr_report_string(e->results, "version");
    if (!options)
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<h3>Command</h3>\n"));
    XR_TRY(xr_report_command(XR_V_EVALUATE, options, out));
    char *text = xr_json_dump(options, 2);
    xr_status status = text ? xr_report_listing(out, "All options as resolved", text) : xr_error_status();
    xr_free(text);
    return status == XR_OK && version ? xr_markup_put(out, "<p class=\"soft\">Evaluated by xlmr %s.</p>\n", version) : status;
}

/* What was scored: a model, or files of predictions. */
static xr_status put_what(const xr_report_evaluation *e, xr_str *out)
{
    const char *model = xr_report_string(e->results, "model"), *predictions = xr_report_string(e->results, "predictions");
    const char *scorer = xr_report_string(e->results, "scorer");
    XR_TRY(xr_markup_put(out, "<p class=\"soft\"><bdi>%s</bdi>; %s <bdi>%s</bdi></p>\n", e->path, predictions ? "predictions" : "model",
                         or(predictions, or(model, "not named"))));
    return scorer ? xr_markup_put(out, "<p class=\"soft\">Scored by %s.</p>\n", scorer) : XR_OK;
}

xr_status xr_report_put_evaluation(const xr_report *r, size_t i, xr_str *out)
{
    const xr_report_evaluation *e = &r->evaluation[i];
    XR_TRY(xr_str_printf(out, "<section id=\"evaluation%zu\">\n", i + 1));
    if (!xr_report_is_single(r))
        XR_TRY(xr_markup_put(out, "<h2>Evaluation <bdi>%s</bdi></h2>\n", e->name));
    XR_TRY(put_what(e, out));
    XR_TRY(put_notes(e, out));
    XR_TRY(put_cards(e, out));
    XR_TRY(xr_str_puts(out, "<div class=\"charts\">\n"));
    XR_TRY(put_chart(&e, 1, out));
    XR_TRY(put_table(e, out));
    XR_TRY(xr_str_puts(out, "</div>\n"));
    XR_TRY(put_source(e, out));
    XR_TRY(xr_report_put_confusions(e->results, out));
    XR_TRY(xr_report_put_errors(e, out));
    XR_TRY(put_command(e, out));
    return xr_str_puts(out, "</section>\n");
}

/* ---- several evaluations ---- */

static int same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

static int comparable(const xr_report_evaluation *a, const xr_report_evaluation *b)
{
    return same(xr_report_string(a->results, "task"), xr_report_string(b->results, "task")) && same(metric_of(a), metric_of(b)) &&
           same(xr_report_string(a->results, "split"), xr_report_string(b->results, "split"));
}

/* A figure, and behind it, of an average, the number of its languages (0: it is that of the others), and what its comparison said of the difference. */
static xr_status put_compared(const json_t *figures, const char *metric, double languages, int *any, xr_str *out)
{
    double value = percent(xr_report_number(figures, metric)), p = xr_report_number(figures, "interval/p");
    XR_TRY(xr_markup_put(out, "<td class=\"n\">%s", isfinite(value) ? xr_number_fixed(value, 2).s : "-"));
    if (languages > 0.0)
        XR_TRY(xr_markup_put(out, " <span class=\"soft\">of %s</span>", xr_number_count(languages).s));
    if (isfinite(p)) {
        *any = 1;
        XR_TRY(xr_markup_put(out, " <span class=\"soft\">p %s</span>", xr_number_chance(p).s));
    }
    return xr_str_puts(out, "</td>");
}

/* Languages that no earlier evaluation has. */
static xr_status put_group_rows(const xr_report_evaluation *const *e, size_t n, size_t which, int *any, xr_str *out)
{
    const char *name;
    json_t *language;
    json_object_foreach((json_t *)languages_of(e[which]), name, language) {
        size_t first = 0;
        while (!json_object_get(languages_of(e[first]), name))
            first++;
        if (first < which)
            continue;
        XR_TRY(xr_markup_put(out, "<tr><th scope=\"row\">%s</th>", name));
        for (size_t k = 0; k < n; k++)
            XR_TRY(put_compared(json_object_get(languages_of(e[k]), name), metric_of(e[k]), 0.0, any, out));
        XR_TRY(xr_str_puts(out, "</tr>\n"));
    }
    return XR_OK;
}

static double averaged(const xr_report_evaluation *e) { return xr_report_number(e->results, "average/languages"); }

static xr_status put_group_average(const xr_report_evaluation *const *e, size_t n, int *any, xr_str *out)
{
    int differ = 0;
    for (size_t k = 1; k < n; k++)
        differ |= averaged(e[k]) != averaged(e[0]);
    XR_TRY(xr_str_puts(out, "<tr class=\"sum\"><th scope=\"row\">average</th>"));
    for (size_t k = 0; k < n; k++)
        XR_TRY(put_compared(json_object_get(e[k]->results, "average"), metric_of(e[k]), differ ? averaged(e[k]) : 0.0, any, out));
    return xr_str_puts(out, "</tr>");
}

static xr_status put_group_table(const xr_report_evaluation *const *e, size_t n, xr_str *out)
{
    int any = 0;
    XR_TRY(xr_str_puts(out, "<div class=\"scroll\"><table><thead><tr><th>language</th>"));
    for (size_t k = 0; k < n; k++)
        XR_TRY(xr_markup_put(out, "<th class=\"n\"><bdi>%s</bdi></th>", e[k]->name));
    XR_TRY(xr_str_puts(out, "</tr></thead><tbody>\n"));
    for (size_t k = 0; k < n; k++)
        XR_TRY(put_group_rows(e, n, k, &any, out));
    XR_TRY(put_group_average(e, n, &any, out));
    XR_TRY(xr_str_puts(out, "</tbody></table>\n"));
    if (any)
        XR_TRY(xr_str_puts(out, "<p class=\"soft\">p: two-sided, of no difference from the first model that evaluate was given beside it; paired.</p>\n"));
    return xr_str_puts(out, "</div>\n");
}

static xr_status put_group(const xr_report_evaluation *const *e, size_t n, xr_str *out)
{
    XR_TRY(xr_markup_put(out, "<section>\n<h2>%s, %s: %s compared</h2>\n<div class=\"charts\">\n", or(xr_report_string(e[0]->results, "task"), "?"),
                         or(xr_report_string(e[0]->results, "split"), "?"), xr_report_title(metric_of(e[0]))));
    XR_TRY(put_chart(e, n, out));
    XR_TRY(put_group_table(e, n, out));
    return xr_str_puts(out, "</div>\n</section>\n");
}

/* Evaluations of one task and split stand beside each other, in the order given. */
xr_status xr_report_compare_evaluations(const xr_report *r, xr_str *out)
{
    const xr_report_evaluation **like = xr_alloc(r->n_evaluations, sizeof *like);
    xr_status status = like ? XR_OK : xr_error_status();
    for (size_t i = 0; i < r->n_evaluations && status == XR_OK; i++) {
        size_t n = 0, earlier = 0;
        for (size_t k = 0; k < r->n_evaluations; k++)
            if (comparable(&r->evaluation[i], &r->evaluation[k])) {
                earlier += k < i;
                like[n++] = &r->evaluation[k];
            }
        status = n > 1 && !earlier ? put_group(like, n, out) : XR_OK;
    }
    xr_free(like);
    return status;
}
