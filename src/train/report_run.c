/* The section of a run: what came out, curves, languages, command and configuration. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_parts.h"
#include "util/alloc.h"

static const json_t *last_of(const json_t *lines)
{
    return json_array_get(lines, json_array_size(lines) - 1);
}

const char *xr_report_kind(const xr_report_run *run)
{
    return run->verb == XR_V_PRETRAIN ? "Pretraining" : run->verb == XR_V_FINETUNE ? "Fine-tuning" : "Run";
}

static double steps_done(const xr_report_run *run)
{
    double done = xr_report_number(last_of(run->steps), "step"), judged = xr_report_number(last_of(run->evals), "step");
    done = run->end ? xr_report_number(run->end, "step") : fmax(done, judged);
    return isfinite(done) ? done : 0.0;
}

static double final_loss(const xr_report_run *run)
{
    return xr_report_number(last_of(run->steps), "loss");
}

/* Mean over the whole of the run, evaluations left out; NaN without timing. */
static double throughput(const xr_report_run *run)
{
    double seconds = 0.0, tokens = 0.0, before = 0.0;
    for (size_t i = 0; i < json_array_size(run->timing); i++) {
        const json_t *line = json_array_get(run->timing, i);
        double step = xr_report_number(line, "step"), took = (step - before) * xr_report_number(line, "step_ms") * 1e-3;
        if (isfinite(took) && took > 0.0) {
            seconds += took;
            tokens += took * xr_report_number(line, "tokens_per_s");
        }
        before = isfinite(step) ? step : before;
    }
    return tokens / seconds;
}

static double peak_memory(const xr_report_run *run)
{
    double peak = (double)NAN;
    for (size_t i = 0; i < json_array_size(run->timing); i++)
        peak = fmax(peak, xr_report_number(json_array_get(run->timing, i), "peak_rss_mb"));
    return peak;
}

static const char *state_of(const xr_report_run *run)
{
    return run->end ? "finished" : steps_done(run) > 0.0 ? "not finished" : "no steps yet";
}

/* ---- summary figures ---- */

static xr_status put_state(const xr_report_run *run, xr_str *out)
{
    double total = xr_report_number(run->start, "total_steps"), epoch = xr_report_number(last_of(run->steps), "epoch");
    char more[100] = "", *at = more;
    if (isfinite(total))
        at += snprintf(at, sizeof more, "step %s of %s", xr_number_count(steps_done(run)).s, xr_number_count(total).s);
    else if (steps_done(run) > 0.0)
        at += snprintf(at, sizeof more, "step %s", xr_number_count(steps_done(run)).s);
    if (isfinite(epoch) && at > more)
        snprintf(at, sizeof more - (size_t)(at - more), ", epoch %s", xr_number_fixed(epoch, 2).s);
    return xr_report_card(out, "state", state_of(run), more);
}

/* The figure that chose, and by which sets of validation data where there are several. */
static xr_status put_chosen(const xr_report_run *run, const json_t *best, xr_str *out)
{
    const char *choice = xr_report_choice(run), *sets = json_object_get(best, "selected") ? "the sets of --select-by" : NULL;
    const char *by = choice ? choice : sets;
    char label[100];
    xr_str more = { 0 };
    snprintf(label, sizeof label, "best validation %.60s", xr_report_title(xr_report_chooser(run)));
    xr_status status = xr_str_printf(&more, "at step %s%s%s", xr_number_count(xr_report_number(best, "step")).s, by ? ", chosen by " : "", by ? by : "");
    if (status == XR_OK)
        status = xr_report_card(out, label, xr_number_short(xr_report_value(run, best)).s, more.s);
    xr_str_free(&more);
    return status;
}

/* Beside it the loss, or where that chose the figure that the page shows. */
static xr_status put_best(const xr_report_run *run, xr_str *out)
{
    const json_t *best = xr_report_best(run);
    const char *chooser = xr_report_chooser(run);
    char label[100];
    if (!best)
        return XR_OK;
    XR_TRY(put_chosen(run, best, out));
    const char *beside = strcmp(chooser, "loss") == 0 ? xr_report_metric(run) : "loss";
    if (strcmp(beside, chooser) == 0)
        return XR_OK;
    snprintf(label, sizeof label, "validation %.60s", xr_report_title(beside));
    return xr_report_card(out, label, xr_number_short(xr_report_number(best, beside)).s,
                          json_object_get(best, "selected") ? "of the same step, mean of all sets" : "of the same step");
}

/* A figure that the logs have. */
static xr_status put_known(xr_str *out, const char *label, double value, xr_number text, const char *more)
{
    return isfinite(value) ? xr_report_card(out, label, text.s, more) : XR_OK;
}

static xr_status put_cards(const xr_report_run *run, xr_str *out)
{
    const json_t *step = last_of(run->steps);
    double loss = final_loss(run), time = xr_report_number(last_of(run->timing), "at"), tokens = xr_report_number(step, "tokens"), rate = throughput(run);
    double parameters = xr_report_number(run->start, "parameters"), examples = xr_report_number(run->start, "train_examples"), peak = peak_memory(run);
    double text = xr_report_number(run->start, "train_tokens");
    xr_number samples = xr_number_count(examples), in_all = xr_number_amount(text);
    char more[100] = "";
    if (isfinite(examples))
        snprintf(more, sizeof more, "%s examples", samples.s);
    else if (isfinite(text))
        snprintf(more, sizeof more, "data: %s", in_all.s);
    XR_TRY(xr_str_puts(out, "<div class=\"cards\">\n"));
    XR_TRY(put_state(run, out));
    XR_TRY(put_best(run, out));
    XR_TRY(put_known(out, "training loss", loss, xr_number_short(loss), "newest"));
    XR_TRY(put_known(out, "time", time, xr_number_time(time), ""));
    XR_TRY(put_known(out, "tokens a second", rate, xr_number_count(rate), "without evaluations"));
    XR_TRY(put_known(out, "memory", peak, xr_number_memory(peak), "at most"));
    XR_TRY(put_known(out, "tokens trained on", tokens, xr_number_amount(tokens), more));
    XR_TRY(put_known(out, "parameters", parameters, xr_number_amount(parameters), ""));
    if (json_array_size(run->skips))
        XR_TRY(xr_report_card(out, "updates left out", xr_number_count((double)json_array_size(run->skips)).s, "loss or gradient not finite"));
    return xr_str_puts(out, "</div>\n");
}

/* ---- languages ---- */

static xr_number figure_of(const json_t *line, const char *language, const char *metric)
{
    char key[200];
    snprintf(key, sizeof key, "languages/%.90s/%.90s", language, metric);
    return xr_number_short(xr_report_number(line, key));
}

/* Of 0 to 1 as per cent; a dash without it. */
static xr_number percent(double share)
{
    xr_number digits = xr_number_fixed(100.0 * share, 1), out;
    snprintf(out.s, sizeof out.s, "%.20s%s", digits.s, isfinite(share) ? " %" : "");
    return out;
}

static xr_status put_language(const xr_report_run *run, const char *language, const json_t *data, xr_str *out)
{
    const char *metric = xr_report_metric(run);
    XR_TRY(xr_markup_put(out, "<tr><th scope=\"row\">%s</th>", language));
    if (json_object_size(json_object_get(run->start, "languages"))) {
        XR_TRY(xr_report_cell(out, xr_number_count(xr_report_number(data, "tokens")).s));
        XR_TRY(xr_report_cell(out, percent(xr_report_number(data, "data_share")).s));
        XR_TRY(xr_report_cell(out, percent(xr_report_number(data, "batch_share")).s));
        XR_TRY(xr_report_cell(out, xr_number_fixed(xr_report_number(data, "epochs"), 2).s));
        XR_TRY(xr_report_cell(out, percent(xr_report_number(data, "unk_share")).s));
    }
    if (metric) {
        XR_TRY(xr_report_cell(out, figure_of(json_array_get(run->evals, 0), language, metric).s));
        XR_TRY(xr_report_cell(out, figure_of(xr_report_best(run), language, metric).s));
        XR_TRY(xr_report_cell(out, figure_of(last_of(run->evals), language, metric).s));
    }
    return xr_str_puts(out, "</tr>\n");
}

static xr_status put_language_head(const xr_report_run *run, xr_str *out)
{
    const char *metric = xr_report_metric(run);
    XR_TRY(xr_str_puts(out, "<h3>Languages</h3>\n<div class=\"scroll\"><table><thead><tr><th>language</th>"));
    if (json_object_size(json_object_get(run->start, "languages")))
        XR_TRY(xr_str_puts(out, "<th class=\"n\">tokens</th><th class=\"n\">share of data</th><th class=\"n\">share of batches</th>"
                           "<th class=\"n\">epochs</th><th class=\"n\">&lt;unk&gt;</th>"));
    if (metric)
        XR_TRY(xr_markup_put(out, "<th class=\"n\">%s: first</th><th class=\"n\">at the best step</th><th class=\"n\">newest</th>",
                             xr_report_title(metric)));
    return xr_str_puts(out, "</tr></thead><tbody>\n");
}

/* Languages of the training data, then those only validated on. */
static xr_status put_languages(const xr_report_run *run, xr_str *out)
{
    json_t *trained = json_object_get(run->start, "languages"), *judged = json_object_get(last_of(run->evals), "languages"), *data;
    const char *language;
    xr_status status = XR_OK;
    if (json_object_size(trained) + json_object_size(judged) == 0)
        return XR_OK;
    XR_TRY(put_language_head(run, out));
    json_object_foreach(trained, language, data)
        status = status == XR_OK ? put_language(run, language, data, out) : status;
    json_object_foreach(judged, language, data)
        if (status == XR_OK && !json_object_get(trained, language))
            status = put_language(run, language, NULL, out);
    return status < 0 ? status : xr_str_puts(out, "</tbody></table></div>\n");
}

/* ---- the section ---- */

static xr_status put_notes(const xr_report_run *run, xr_str *out)
{
    xr_str notes = { 0 };
    xr_status status = run->notes.len ? xr_str_puts(&notes, run->notes.s) : XR_OK;
    if (status == XR_OK && !run->end && json_array_size(run->steps))
        status = xr_str_puts(&notes, "The run has not ended: it is still running, or was stopped or killed; its command goes on with it.\n");
    if (status == XR_OK && json_array_size(run->steps) && !json_array_size(run->evals))
        status = xr_str_puts(&notes, "There is no evaluation on validation data yet.\n");
    if (status == XR_OK)
        status = xr_report_notes(out, &notes);
    xr_str_free(&notes);
    return status;
}

static xr_status put_command(const xr_report_run *run, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "<h3>Command and configuration</h3>\n"));
    if (run->config && run->verb)
        XR_TRY(xr_report_command_yaml(run->verb, run->config, out));
    XR_TRY(xr_report_listing(out, "All options as resolved (config.yaml)", run->config));
    if (run->version)
        XR_TRY(xr_markup_put(out, "<p class=\"soft\">Trained by xlmr %s.</p>\n", run->version));
    return XR_OK;
}

xr_status xr_report_put_run(const xr_report *r, size_t i, xr_str *out)
{
    const xr_report_run *run = &r->run[i];
    int alone = xr_report_is_single(r);
    XR_TRY(xr_str_printf(out, "<section id=\"run%zu\">\n", i + 1));
    if (!alone)
        XR_TRY(xr_markup_put(out, "<h2>%s <bdi>%s</bdi></h2>\n", xr_report_kind(run), run->name));
    XR_TRY(xr_markup_put(out, "<p class=\"soft\"><bdi>%s</bdi></p>\n", run->path));
    XR_TRY(put_notes(run, out));
    XR_TRY(put_cards(run, out));
    if (r->n_runs == 1)
        XR_TRY(xr_report_curves(run, 1, out));
    else {
        XR_TRY(xr_str_puts(out, "<div class=\"charts\">\n"));
        XR_TRY(xr_report_languages_chart(run, out));
        XR_TRY(xr_str_puts(out, "</div>\n"));
    }
    XR_TRY(put_languages(run, out));
    XR_TRY(put_command(run, out));
    return xr_str_puts(out, "</section>\n");
}

/* ---- several runs ---- */

static xr_status put_compared(const xr_report *r, size_t i, xr_str *out)
{
    const xr_report_run *run = &r->run[i];
    const json_t *best = xr_report_best(run);
    const char *choice = xr_report_choice(run);
    double loss = final_loss(run), time = xr_report_number(last_of(run->timing), "at");
    XR_TRY(xr_str_printf(out, "<tr><th scope=\"row\"><span class=\"chip c%zu\"></span><a href=\"#run%zu\">", i % XR_SVG_COLOURS, i + 1));
    XR_TRY(xr_markup_put(out, "<bdi>%s</bdi></a></th><td>%s</td>", run->name, state_of(run)));
    XR_TRY(xr_report_cell(out, xr_number_count(steps_done(run)).s));
    XR_TRY(xr_report_cell(out, isfinite(loss) ? xr_number_short(loss).s : NULL));
    XR_TRY(xr_markup_put(out, "<td>%s</td>", !best ? "-" : choice ? choice : xr_report_title(xr_report_chooser(run))));
    XR_TRY(xr_report_cell(out, best ? xr_number_short(xr_report_value(run, best)).s : NULL));
    XR_TRY(xr_report_cell(out, best ? xr_number_count(xr_report_number(best, "step")).s : NULL));
    XR_TRY(xr_report_cell(out, isfinite(time) ? xr_number_time(time).s : NULL));
    XR_TRY(xr_report_cell(out, isfinite(throughput(run)) ? xr_number_count(throughput(run)).s : NULL));
    return xr_str_puts(out, "</tr>\n");
}

xr_status xr_report_compare_runs(const xr_report *r, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "<section>\n<h2>Runs compared</h2>\n<div class=\"scroll\"><table><thead><tr><th>run</th><th>state</th><th class=\"n\">steps</th>"
                       "<th class=\"n\">training loss</th><th>best validation</th><th class=\"n\">value</th><th class=\"n\">at step</th>"
                       "<th class=\"n\">time</th>"
                       "<th class=\"n\">tokens/s</th></tr></thead><tbody>\n"));
    for (size_t i = 0; i < r->n_runs; i++)
        XR_TRY(put_compared(r, i, out));
    XR_TRY(xr_str_puts(out, "</tbody></table></div>\n"));
    XR_TRY(xr_report_curves(r->run, r->n_runs, out));
    return xr_str_puts(out, "</section>\n");
}
