/* What an evaluation writes: the JSON object, the files. */
#include <math.h>

#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/fs.h"

static const xr_report_column *columns(const xr_evaluation *e)
{
    return e->benchmark->columns(e);
}

static void put_known(json_t *j, const char *key, double value)
{
    if (isfinite(value))
        json_object_set_new(j, key, json_real(value));
}

json_t *xr_statistic_json(const xr_statistic *s)
{
    json_t *j = json_object();
    put_known(j, "low", s->low);
    put_known(j, "high", s->high);
    put_known(j, "difference", s->difference);
    put_known(j, "p", s->p);
    return j;
}

/* {"size", "protocol", "metric", "source", "value"} of each figure that a paper has for this one. */
static json_t *published_json(const xr_evaluation *e, const char *language)
{
    json_t *list = json_array();
    double value;
    for (const xr_report_column *c = columns(e); c->metric; c++) {
        const xr_published *p = xr_published_find(e, c->metric);
        if (p && xr_published_value(p, language, &value))
            json_array_append_new(list, json_pack("{ss ss ss ss sf}", "size", p->size, "protocol", p->protocol, "metric", p->metric, "source", p->source,
                                                  "value", value / 100.0));
    }
    return list;
}

/* What surrounds the figures: only where there is any. */
static void add_context(const xr_evaluation *e, const xr_statistic *s, const char *language, json_t *j)
{
    json_t *published = published_json(e, language);
    if (e->n_resamples)
        json_object_set_new(j, "interval", xr_statistic_json(s));
    if (json_array_size(published))
        json_object_set(j, "published", published);
    json_decref(published);
}

/* Gold-label figures; null where there are none, so that the keys stay. */
static void add_figures(const xr_evaluation *e, const xr_scored *s, json_t *j)
{
    double value;
    for (const xr_report_column *c = columns(e); c->metric; c++)
        json_object_set_new(j, c->metric, s->labelled && xr_scored_get(s, c->metric, &value) ? json_real(value) : json_null());
}

static json_t *language_json(const xr_evaluation *e, const xr_scored *s)
{
    json_t *j = json_pack("{ss sI sI}", "file", s->path, "examples", (json_int_t)s->n_rows, "n", (json_int_t)s->n);
    json_t *more = j && e->benchmark->details ? e->benchmark->details(e, s) : NULL;
    if (!j)
        return NULL;
    add_figures(e, s, j);
    add_context(e, &s->statistic, s->language, j);
    json_object_update(j, more);
    json_decref(more);
    json_object_set_new(j, "tokens", json_integer((json_int_t)s->data.n_tokens));
    json_object_set_new(j, "unk", json_integer((json_int_t)s->data.n_unk));
    json_object_set_new(j, "truncated", json_integer((json_int_t)s->data.n_truncated));
    return j;
}

static json_t *labels_json(const xr_labels *l)
{
    json_t *names = json_array();
    for (int k = 0; k < l->n; k++)
        json_array_append_new(names, json_string(l->name[k]));
    return names;
}

static void add_averages(const xr_evaluation *e, json_t *j)
{
    json_t *average = json_object();
    double gap;
    size_t n = 0, with;
    const xr_report_column *c = columns(e);
    for (const xr_report_column *k = c; k->metric; k++) {
        if (!k->title)
            continue;
        double mean = xr_evaluation_mean(e, k->metric, &with);
        json_object_set_new(average, k->metric, with ? json_real(mean) : json_null());
        n = k == c ? with : n;
    }
    add_context(e, &e->statistic, "average", average);
    json_object_set_new(average, "languages", json_integer((json_int_t)n));
    json_object_set_new(j, "average", average);
    int known = xr_evaluation_gap(e, c->metric, &gap);
    json_object_set_new(j, "transfer_gap", known ? json_real(gap) : json_null());
}

json_t *xr_evaluation_json(const xr_evaluation *e)
{
    const xr_options *o = e->o;
    json_t *j = json_pack("{ss ss ss* ss* ss* ss ss sI sI so ss so}", "task", o->task, "split", o->split, "model", o->model, "predictions", o->predictions,
                          "scorer", e->benchmark->scorer, "protocol", o->protocol, "selection", xr_evaluate_as_given, "max_seq_length", (json_int_t)e->max_len,
                          "max_eval_samples", (json_int_t)o->max_eval_samples, "labels", labels_json(&e->labels),
                          "metric", columns(e)->metric, "languages", json_object());
    if (!j) {
        xr_fail(XR_ESYSTEM, "no memory for the results as JSON, or --protocol is not UTF-8");
        return NULL;
    }
    for (size_t i = 0; i < e->n; i++)
        json_object_set_new(json_object_get(j, "languages"), e->v[i].language, language_json(e, &e->v[i]));
    add_averages(e, j);
    json_object_set_new(j, "options", xr_options_to_json(o, XR_RECIPE));
    json_object_set_new(j, "version", json_string(XR_VERSION));
    if (e->n_resamples)
        json_object_set_new(j, "bootstrap", json_integer((json_int_t)e->n_resamples));
    return j;
}

/* ---- files ---- */

xr_status xr_evaluation_write_text(const char *dir, const char *name, const xr_str *text)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_file_write(path, text->s ? text->s : "", text->len) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status write_one(const xr_evaluation *e, const xr_scored *s, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = e->benchmark->predictions(e, s, &text);
    char *name = xr_asprintf("%s-%s%s", e->o->split, s->language, e->benchmark->ending);
    if (status == XR_OK)
        status = name ? xr_evaluation_write_text(dir, name, &text) : xr_error_status();
    xr_free(name);
    xr_str_free(&text);
    return status == XR_OK && e->benchmark->more_files ? e->benchmark->more_files(e, s, dir) : status;
}

xr_status xr_evaluation_write_predictions(const xr_evaluation *e, const xr_evaluation *const *of, const char *dir)
{
    char *folder = xr_path_join(dir, e->o->task);
    xr_status status = folder ? xr_mkdirs(folder) : xr_error_status();
    for (size_t i = 0; i < e->n && status == XR_OK; i++)
        status = write_one(of ? of[i] : e, &e->v[i], folder);
    xr_free(folder);
    return status;
}

static xr_status put_tsv_row(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    double value;
    XR_TRY(xr_str_printf(out, "%s\t%zu", s->language, s->labelled ? s->n : s->n_rows));
    for (const xr_report_column *c = columns(e); c->metric; c++) {
        if (!c->title)
            continue;
        XR_TRY(xr_str_putc(out, '\t'));
        if (s->labelled && xr_scored_get(s, c->metric, &value))
            XR_TRY(xr_str_double(out, value));
    }
    return xr_str_putc(out, '\n');
}

static xr_status put_tsv(const xr_evaluation *e, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "language\tn"));
    for (const xr_report_column *c = columns(e); c->metric; c++)
        if (c->title)
            XR_TRY(xr_str_printf(out, "\t%s", c->metric));
    XR_TRY(xr_str_putc(out, '\n'));
    for (size_t i = 0; i < e->n; i++)
        XR_TRY(put_tsv_row(e, &e->v[i], out));
    return XR_OK;
}

static xr_status write_tables(const xr_evaluation *e, const char *dir)
{
    xr_str tsv = { 0 };
    json_t *j = xr_evaluation_json(e);
    char *path = j ? xr_path_join(dir, "results.json") : NULL;
    xr_status status = path ? xr_json_write(path, j, 2) : xr_error_status();
    if (status == XR_OK)
        status = put_tsv(e, &tsv);
    if (status == XR_OK)
        status = xr_evaluation_write_text(dir, "results.tsv", &tsv);
    xr_free(path);
    json_decref(j);
    xr_str_free(&tsv);
    return status;
}

xr_status xr_evaluation_write(const xr_evaluation *e, const char *dir)
{
    XR_TRY(xr_evaluation_write_predictions(e, NULL, dir));
    XR_TRY(xr_evaluation_write_errors(e, dir));
    XR_TRY(xr_evaluation_write_plot(&e, &e->o->model, 1, dir));
    return write_tables(e, dir);
}
