/* Evaluation of a fine-tuning run, a set of examples for each language, and which of its states is the best. */
#include <math.h>
#include <string.h>

#include "data/language.h"
#include "train/finetune.h"
#include "train/metrics.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/str.h"

/* --- what chooses ----------------------------------------------------------------------------------------------- */

static xr_status fail_metric(const xr_finetune *f)
{
    xr_str list = { 0 };
    xr_status status = XR_OK;
    for (const char *const *known = f->task->metrics(f); *known && status == XR_OK; known++)
        status = xr_str_printf(&list, " %s", *known);
    if (status == XR_OK)
        status = xr_fail(XR_EUSAGE, "--metric %s: a problem of this type has:%s", f->o->metric, list.s);
    xr_str_free(&list);
    return status;
}

/* The metric that chooses the best model, and whether this problem has it. */
static xr_status plan_metric(xr_finetune *f)
{
    const char *const *known = f->task->metrics(f);
    f->metric = known[0];
    for (; strcmp(f->o->metric, "auto") != 0; known++) {
        if (!*known)
            return fail_metric(f);
        f->metric = *known;
        if (strcmp(f->metric, f->o->metric) == 0)
            break;
    }
    return XR_OK;
}

static size_t count_chosen(const xr_finetune *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_valid; i++)
        n += (size_t)f->valid[i].chosen;
    return n;
}

/* "en, de": names of the sets, all or those that choose. */
static xr_status list_sets(const xr_finetune *f, int all, xr_str *out)
{
    const char *comma = "";
    for (size_t i = 0; i < f->n_valid; i++)
        if (all || f->valid[i].chosen) {
            XR_TRY(xr_str_printf(out, "%s%s", comma, f->valid[i].name));
            comma = ", ";
        }
    return XR_OK;
}

static xr_status fail_set(const xr_finetune *f)
{
    xr_str list = { 0 };
    xr_status status = list_sets(f, 1, &list);
    if (status == XR_OK)
        status = xr_fail(XR_EUSAGE, "--select-by %s: %s%s; expected auto, average, worst, or the name of one of them", f->o->select_by,
                         f->n_valid ? "the validation data are: " : "there are no validation data (--validation-file)", f->n_valid ? list.s : "");
    xr_str_free(&list);
    return status;
}

static xr_status choose_one(xr_finetune *f)
{
    char language[XR_LANGUAGE_MAX];
    const char *by = f->o->select_by;
    int parsed = xr_language_parse(by, language);
    for (size_t i = 0; i < f->n_valid; i++)
        f->valid[i].chosen = strcmp(f->valid[i].name, by) == 0 || (parsed && strcmp(f->valid[i].name, language) == 0);
    return count_chosen(f) == 1 ? XR_OK : fail_set(f);
}

static int chooses_by(const xr_finetune *f, const char *rule)
{
    return strcmp(f->o->select_by, rule) == 0;
}

static int chooses_by_name(const xr_finetune *f)
{
    return !chooses_by(f, "auto") && !chooses_by(f, "average") && !chooses_by(f, "worst");
}

/* auto: the languages that are trained on, so that zero-shot transfer is measured by what did not choose the model; where none of the sets is known to be
 * trained on, all. */
static xr_status choose_sets(xr_finetune *f)
{
    if (chooses_by_name(f))
        return choose_one(f);
    for (size_t i = 0; i < f->n_valid; i++)
        f->valid[i].chosen = !chooses_by(f, "auto") || f->valid[i].trained;
    for (size_t i = 0, none = count_chosen(f) == 0; none && i < f->n_valid; i++)
        f->valid[i].chosen = 1;
    return XR_OK;
}

xr_status xr_finetune_plan_choice(xr_finetune *f)
{
    XR_TRY(plan_metric(f));
    XR_TRY(choose_sets(f));
    size_t n = count_chosen(f);
    const char *what = n < 2 ? "" : chooses_by(f, "worst") ? "worst " : "mean ";
    XR_TRY(xr_str_printf(&f->choice, "%s%s%s", what, f->metric, f->n_valid > 1 ? " of " : ""));
    return f->n_valid > 1 ? list_sets(f, 0, &f->choice) : XR_OK;
}

/* What papers must say about a choice: whether languages that were not trained on had a part in it. */
static const char *choice_kind(const xr_finetune *f)
{
    size_t trained = 0, unknown = 0, n = count_chosen(f);
    for (size_t i = 0; i < f->n_valid; i++) {
        trained += (size_t)(f->valid[i].chosen && f->valid[i].trained);
        unknown += (size_t)(f->valid[i].chosen && !f->valid[i].language);
    }
    int named = f->n_valid > 1 && chooses_by_name(f);
    if (unknown > 0)
        return "";
    if (trained == n)
        return named ? "per-language selection, on a language that was trained on" : n > 1 ? "selection on the training languages" :
               "selection on the training language";
    return named ? "per-language selection, on a language that was not trained on: its figure is not one of zero-shot transfer"
           : trained ? "languages that were not trained on had a part in the selection: their figures are not those of zero-shot transfer"
           : "selection on languages that were not trained on: their figures are not those of zero-shot transfer";
}

/* No language of the training data is known: whether one was trained on can't be said. */
static int knows_training(const xr_finetune *f)
{
    for (size_t i = 0; i < f->n_train_file; i++)
        if (f->train_file[i].language)
            return 1;
    return 0;
}

static xr_status add_kind(const xr_finetune *f, const char *before, const char *after, xr_str *out)
{
    const char *kind = knows_training(f) ? choice_kind(f) : "";
    return *kind ? xr_str_printf(out, "%s%s%s", before, kind, after) : XR_OK;
}

static xr_status list_untrained(const xr_finetune *f, xr_str *out)
{
    for (size_t i = 0; knows_training(f) && i < f->n_valid; i++)
        if (f->valid[i].language && !f->valid[i].trained)
            XR_TRY(xr_str_printf(out, "%s%s", out->len ? ", " : "", f->valid[i].name));
    return XR_OK;
}

static xr_status say(const xr_finetune *f, xr_str *kind, xr_str *untrained)
{
    XR_TRY(add_kind(f, " (", ")", kind));
    XR_TRY(list_untrained(f, untrained));
    if (untrained->len)
        xr_info("zero-shot, since no training file is in that language: %s", untrained->s);
    if (f->n_valid > 1 || kind->len)
        xr_info("the best model is chosen by %s%s", f->choice.s, kind->len ? kind->s : "");
    return XR_OK;
}

xr_status xr_finetune_say_sets(const xr_finetune *f)
{
    xr_str kind = { 0 }, untrained = { 0 };
    xr_status status = f->n_valid ? say(f, &kind, &untrained) : XR_OK;
    xr_str_free(&kind);
    xr_str_free(&untrained);
    return status;
}

/* --- evaluation ------------------------------------------------------------------------------------------------- */

size_t xr_finetune_valid_examples(const xr_finetune *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n_valid; i++)
        n += f->valid[i].data.n;
    return n;
}

static int on_scored(size_t done, size_t total, void *context)
{
    const xr_finetune *f = context;
    (void)total;
    if (f->hooks && f->hooks->evaluating)
        f->hooks->evaluating(f->hooks->context, f->scored + done, xr_finetune_valid_examples(f));
    return xr_loop_stopping(&f->loop);
}

xr_status xr_finetune_score(xr_finetune *f, const xr_scoring *how, const xr_dataset *d, xr_figures *g)
{
    float *logits = xr_score_logits(how, d);
    if (!logits)
        return xr_error_status();
    xr_figures_free(g);
    xr_status status = xr_figures_compute(g, &f->model.config, d, logits);
    xr_free(logits);
    return status;
}

xr_status xr_finetune_validate(xr_finetune *f)
{
    xr_scoring how = { &f->model, f->o->model, 0, on_scored, f };
    f->scored = 0;
    for (size_t i = 0; i < f->n_valid; i++) {
        xr_valid_set *s = &f->valid[i];
        if (f->task->score(f, &how, &s->data, &s->figures) < 0)
            return xr_fail_context("step %llu: validation%s%s", (unsigned long long)f->trainer.step, f->n_valid > 1 ? ", " : "", f->n_valid > 1 ? s->name : "");
        f->scored += s->data.n;
    }
    f->figures_step = f->trainer.step;
    return XR_OK;
}

xr_status xr_finetune_value(const xr_finetune *f, double *value)
{
    double sum = 0.0, worst = 0.0;
    size_t n = 0;
    int higher = xr_metric_higher_is_better(f->metric);
    for (size_t i = 0; i < f->n_valid; i++) {
        double v;
        if (!f->valid[i].chosen)
            continue;
        XR_TRY(xr_figures_named(&f->valid[i].figures, f->metric, &v));
        worst = n == 0 || (higher ? v < worst : v > worst) ? v : worst;
        sum += v;
        n++;
    }
    *value = chooses_by(f, "worst") ? worst : sum / (double)n;
    return XR_OK;
}

/* --- figures ---------------------------------------------------------------------------------------------------- */

/* Of one set: its loss, the task's figures, how many examples. */
static json_t *set_json(const xr_finetune *f, const xr_valid_set *s)
{
    json_t *j = json_object();
    json_object_set_new(j, "loss", xr_json_number(s->figures.loss));
    f->task->figures(f, &s->figures, j);
    json_object_set_new(j, "examples", json_integer((json_int_t)s->figures.n));
    return j;
}

/* Figures may be "nan", which is a text in JSON: then so is their mean. */
static double number(const json_t *j)
{
    return json_is_number(j) ? json_number_value(j) : (double)NAN;
}

/* Means of the numbers that the first set has, and the sum of the examples. */
static json_t *mean_json(const json_t *languages)
{
    const char *key, *name;
    json_t *first = json_object_iter_value(json_object_iter((json_t *)languages)), *mean = json_object(), *value, *one;
    double n = (double)json_object_size(languages);
    json_object_foreach(first, key, value) {
        int count = json_is_integer(value);
        double sum = 0.0;
        json_object_foreach((json_t *)languages, name, one)
            sum += number(json_object_get(one, key));
        json_object_set_new(mean, key, count ? json_integer((json_int_t)sum) : xr_json_number(sum / n));
    }
    return mean;
}

static json_t *languages_json(const xr_finetune *f)
{
    json_t *all = json_object();
    for (size_t i = 0; i < f->n_valid; i++)
        json_object_set_new(all, f->valid[i].name, set_json(f, &f->valid[i]));
    return all;
}

/* On the console: the metric of each language, as the loop prints only what chooses. */
static void say_languages(const xr_finetune *f)
{
    xr_str list = { 0 };
    for (size_t i = 0; i < f->n_valid; i++) {
        double v;
        if (xr_figures_named(&f->valid[i].figures, f->metric, &v) < 0 ||
            xr_str_printf(&list, "%s%s %.4f", i ? ", " : "", f->valid[i].name, v) < 0)
            break;
    }
    xr_info("step %llu: %s: %s", (unsigned long long)f->trainer.step, f->metric, list.s ? list.s : "");
    xr_str_free(&list);
}

/* "en: every prediction is …; de: …" of the sets that choose. */
static xr_status list_collapse(const xr_finetune *f, xr_str *list)
{
    xr_str sign = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < f->n_valid && status == XR_OK; i++) {
        const xr_valid_set *s = &f->valid[i];
        xr_str_clear(&sign);
        status = s->chosen ? f->task->collapse(f, &s->figures, &sign) : XR_OK;
        if (status == XR_OK && sign.len)
            status = xr_str_printf(list, "%s%s%s%s", list->len ? "; " : "", f->n_valid > 1 ? s->name : "", f->n_valid > 1 ? ": " : "", sign.s);
    }
    xr_str_free(&sign);
    return status;
}

/* One warning for all of them. */
static xr_status warn_collapse(const xr_finetune *f)
{
    xr_str list = { 0 };
    xr_status status = list_collapse(f, &list);
    if (status == XR_OK && list.len)
        xr_warn("step %llu: %s; early in training that is usual, later the model has collapsed: try a lower --learning-rate (now %g), more --warmup-steps, "
                "or another --seed", (unsigned long long)f->trainer.step, list.s, f->o->learning_rate);
    xr_str_free(&list);
    return status;
}

xr_status xr_finetune_figures(const xr_finetune *f, json_t *line)
{
    double value;
    json_t *languages = languages_json(f), *mean = f->n_valid > 1 ? mean_json(languages) : json_incref(json_object_get(languages, f->valid[0].name));
    int bad = json_object_update(line, mean) < 0;
    XR_TRY(xr_finetune_value(f, &value));
    if (f->n_valid > 1) {
        bad |= json_object_set(line, "languages", languages) < 0 || json_object_set_new(line, "selected", xr_json_number(value)) < 0;
        say_languages(f);
    }
    json_decref(mean);
    json_decref(languages);
    return bad ? xr_fail(XR_ESYSTEM, "no memory for the figures of an evaluation") : warn_collapse(f);
}

/* --- the model card ----------------------------------------------------------------------------------------------- */

static xr_status add_cell(xr_str *s, const json_t *value)
{
    return json_is_integer(value) ? xr_str_printf(s, " %lld |", (long long)json_integer_value(value)) : xr_str_printf(s, " %.4f |", number(value));
}

static xr_status add_row(xr_str *s, const char *name, json_t *figures)
{
    const char *key;
    json_t *value;
    XR_TRY(xr_str_printf(s, "| %s |", name));
    json_object_foreach(figures, key, value)
        XR_TRY(add_cell(s, value));
    return xr_str_putc(s, '\n');
}

static xr_status add_rows(const xr_finetune *f, json_t *languages, json_t *mean, xr_str *s)
{
    const char *key;
    json_t *value;
    XR_TRY(xr_str_puts(s, "| language |"));
    json_object_foreach(mean, key, value)
        XR_TRY(xr_str_printf(s, " %s |", key));
    XR_TRY(xr_str_puts(s, "\n|---|"));
    for (size_t i = 0; i < json_object_size(mean); i++)
        XR_TRY(xr_str_puts(s, "---|"));
    XR_TRY(xr_str_putc(s, '\n'));
    for (size_t i = 0; i < f->n_valid; i++)
        XR_TRY(add_row(s, f->valid[i].name, json_object_get(languages, f->valid[i].name)));
    return add_row(s, "mean", mean);
}

static xr_status add_languages(const xr_finetune *f, xr_str *s)
{
    json_t *languages = languages_json(f), *mean = mean_json(languages);
    xr_status status = add_rows(f, languages, mean, s);
    json_decref(languages);
    json_decref(mean);
    return status;
}

xr_status xr_finetune_valid_card(const xr_finetune *f, xr_str *s)
{
    const xr_figures *g = &f->valid[0].figures;
    XR_TRY(xr_str_printf(s, "On %zu validation examples; the best model is chosen by %s", f->n_valid > 1 ? xr_finetune_valid_examples(f) : g->n, f->choice.s));
    XR_TRY(add_kind(f, ": ", "", s));
    XR_TRY(xr_str_puts(s, ".\n"));
    if (f->n_valid > 1) {
        xr_str untrained = { 0 };
        xr_status status = list_untrained(f, &untrained);
        if (status == XR_OK && untrained.len)
            status = xr_str_printf(s, "Zero-shot (no training file in that language): %s.\n", untrained.s);
        xr_str_free(&untrained);
        XR_TRY(status);
        XR_TRY(xr_str_putc(s, '\n'));
        return add_languages(f, s);
    }
    XR_TRY(xr_str_printf(s, "\n| figure | value |\n|---|---|\n| loss | %.4f |\n", g->loss));
    return f->task->card(f, g, s);
}
