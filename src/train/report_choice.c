/* What chose the best model of a run, and which of its evaluations that was: what the logs say, so that the page is about the model in best/. */
#include <math.h>
#include <string.h>

#include "train/metrics.h"
#include "train/report_parts.h"

static const json_t *newest(const xr_report_run *run)
{
    return json_array_get(run->evals, json_array_size(run->evals) - 1);
}

/* ---- figures ---- */

/* The key of an evaluation's figure of this name; NULL if there is none. */
static const char *key_of(const json_t *line, const char *name, size_t n)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value)
        if (strlen(key) == n && strncmp(key, name, n) == 0)
            return key;
    return NULL;
}

/* Of the last line of a run that has ended. */
static const char *told(const xr_report_run *run)
{
    const char *choice = xr_report_string(run->end, "metric");
    size_t n;
    const char *name = choice ? xr_metric_name(choice, &n) : NULL;
    return name ? key_of(newest(run), name, n) : NULL;
}

/* The value of "metric:" in config.yaml if evaluations have it. */
static const char *asked_for(const xr_report_run *run)
{
    static char const before[] = "\nmetric: ";
    const char *at = run->config ? strstr(run->config, before) : NULL;
    if (!at)
        return NULL;
    at += strlen(before);
    return key_of(newest(run), at, strcspn(at, " \n"));
}

/* The figure that comes first, besides the loss. */
static const char *first_figure(const json_t *line)
{
    static const char *const others[] = { "step", "loss", "examples", "selected" };
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)line, key, value) {
        size_t i = 0;
        while (i < 4 && strcmp(key, others[i]) != 0)
            i++;
        if (i == 4 && json_is_number(value))
            return key;
    }
    return "loss";
}

/* As --metric auto has it: the loss where numbers or any number of labels are predicted. --metric mse is the loss of numbers, which lines have as that. */
static const char *by_default(const json_t *line)
{
    if (json_object_get(line, "perplexity"))
        return "perplexity";
    return json_object_get(line, "pearson") || json_object_get(line, "f1_micro") ? "loss" : first_figure(line);
}

const char *xr_report_chooser(const xr_report_run *run)
{
    const char *key = told(run);
    if (!newest(run))
        return NULL;
    key = key ? key : asked_for(run);
    return key ? key : by_default(newest(run));
}

const char *xr_report_metric(const xr_report_run *run)
{
    const char *key = xr_report_chooser(run);
    return !key || strcmp(key, "loss") != 0 || asked_for(run) ? key : first_figure(newest(run));
}

const char *xr_report_choice(const xr_report_run *run)
{
    const char *key = xr_report_chooser(run), *choice = xr_report_string(run->end, "metric");
    return key && choice && strcmp(choice, key) != 0 ? xr_report_title(choice) : NULL;
}

/* ---- evaluations ---- */

double xr_report_value(const xr_report_run *run, const json_t *line)
{
    return xr_report_number(line, json_object_get(line, "selected") ? "selected" : xr_report_chooser(run));
}

static const json_t *at_step(const xr_report_run *run, double step)
{
    for (size_t i = 0; i < json_array_size(run->evals); i++)
        if (xr_report_number(json_array_get(run->evals, i), "step") == step)
            return json_array_get(run->evals, i);
    return NULL;
}

/* Pretraining also measures the model it starts from; that is not a result. */
static const json_t *search(const xr_report_run *run)
{
    const char *key = xr_report_chooser(run);
    int higher = key && xr_metric_higher_is_better(key);
    const json_t *best = NULL;
    for (size_t i = 0; i < json_array_size(run->evals); i++) {
        const json_t *line = json_array_get(run->evals, i);
        double value = xr_report_value(run, line), other = best ? xr_report_value(run, best) : (double)NAN;
        if (isfinite(value) && xr_report_number(line, "step") > 0.0 && (!best || (higher ? value > other : value < other)))
            best = line;
    }
    return best;
}

const json_t *xr_report_best(const xr_report_run *run)
{
    const json_t *said = at_step(run, xr_report_number(run->end, "best_step"));
    return said ? said : search(run);
}
