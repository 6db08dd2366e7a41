/* What an evaluation writes: the JSON object, the files. */
#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/fs.h"

static const xr_report_column *columns(const xr_evaluation *e)
{
    return e->benchmark->columns(e);
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
    size_t n = 0;
    const xr_report_column *c = columns(e);
    for (const xr_report_column *k = c; k->metric; k++) {
        if (!k->title)
            continue;
        double mean = xr_evaluation_mean(e, k->metric, &n);
        json_object_set_new(average, k->metric, n ? json_real(mean) : json_null());
    }
    json_object_set_new(average, "languages", json_integer((json_int_t)n));
    json_object_set_new(j, "average", average);
    int known = xr_evaluation_gap(e, c->metric, &gap);
    json_object_set_new(j, "transfer_gap", known ? json_real(gap) : json_null());
}

json_t *xr_evaluation_json(const xr_evaluation *e)
{
    const xr_options *o = e->o;
    json_t *j = json_pack("{ss ss ss ss ss sI sI so ss so}", "task", o->task, "split", o->split, "model", o->model,
                          "protocol", o->protocol, "selection", xr_evaluate_selection, "max_seq_length", (json_int_t)e->max_len,
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
    return j;
}

/* ---- files ---- */

static xr_status write_str(const char *dir, const char *name, const xr_str *text)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_file_write(path, text->s ? text->s : "", text->len) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status write_predictions(const xr_evaluation *e, const xr_scored *s, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = e->benchmark->predictions(e, s, &text);
    char *name = xr_asprintf("%s-%s%s", e->o->split, s->language, e->benchmark->ending);
    if (status == XR_OK)
        status = name ? write_str(dir, name, &text) : xr_error_status();
    xr_free(name);
    xr_str_free(&text);
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
        status = write_str(dir, "results.tsv", &tsv);
    xr_free(path);
    json_decref(j);
    xr_str_free(&tsv);
    return status;
}

xr_status xr_evaluation_write(const xr_evaluation *e, const char *dir)
{
    char *folder = xr_path_join(dir, e->o->task);
    xr_status status = folder ? xr_mkdirs(folder) : xr_error_status();
    for (size_t i = 0; i < e->n && status == XR_OK; i++)
        status = write_predictions(e, &e->v[i], folder);
    xr_free(folder);
    XR_TRY(status < 0 ? status : xr_evaluation_write_errors(e, dir));
    return write_tables(e, dir);
}
