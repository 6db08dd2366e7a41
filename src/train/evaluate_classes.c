#include "train/evaluate_classes.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "train/evaluate_words.h"
#include "util/alloc.h"

static xr_problem problem_of(const xr_evaluation *e)
{
    return e->context->model.config.problem;
}

/* ---- model ---- */

xr_status xr_classes_open(xr_evaluation *e)
{
    XR_TRY(xr_evaluate_check_head(e->context));
    const xr_config *c = &e->context->model.config;
    if (problem_of(e) == XR_PROBLEM_TAGS)
        return xr_fail(XR_EUSAGE, "--task %s: %s has a head that classifies words; score it with --task %s, or give a model that classifies texts",
                       e->o->task, e->context->dir, xr_words_task((const char *const *)c->label, c->num_labels));
    return xr_evaluate_labels(e);
}

xr_status xr_classes_need(const xr_evaluation *e, const char *const *name, int n, const char *who, const char *names)
{
    const xr_config *c = &e->context->model.config;
    int found = 0;
    for (int k = 0; k < n; k++)
        found += xr_labels_find(&e->labels, name[k]) >= 0;
    if (problem_of(e) == XR_PROBLEM_SINGLE_LABEL && found == n && e->labels.n == n)
        return XR_OK;
    char *has = xr_labels_list(&e->labels);
    xr_fail(XR_EDATA, "%s/config.json: the model's labels (id2label) are: %s; %s needs exactly %s; if they mean these, say which is which, "
            "as the model was trained: --label-map %s=NAME,…", e->context->dir, has ? has : "?", who, names, c->label[0]);
    xr_free(has);
    return xr_error_status();
}

/* ---- data ---- */

/* Classes may lack some gold labels, which are left out; other figures need them all. */
static void count_gold(const xr_evaluation *e, xr_scored *s)
{
    const xr_dataset *d = &s->data;
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        n += d->label[i] >= 0;
    s->n_rows = d->n;
    s->n = problem_of(e) == XR_PROBLEM_SINGLE_LABEL || n == d->n ? n : 0;
    s->labelled = s->n > 0;
}

/* Columns of a headerless file by its first line; 0 = there is none. */
static xr_status count_columns(const char *path, size_t *n)
{
    char *line;
    size_t len;
    xr_stream *in = xr_stream_open(path);
    int got = in ? xr_stream_line(in, &line, &len) : xr_error_status();
    *n = got > 0;
    for (size_t i = 0; got > 0 && i < len; i++)
        *n += line[i] == '\t';
    xr_stream_close(in);
    return got < 0 ? got : XR_OK;
}

/* XTREME's translations: both texts, both again in English, and the label in files that have one. */
static xr_status translated_columns(const xr_scored *s, xr_columns *c)
{
    size_t n;
    XR_TRY(count_columns(s->path, &n));
    if (n != 4 && n != 5)
        return XR_OK;
    c->text = "3";
    c->text_pair = "4";
    c->label = n == 5 ? "5" : "";
    return XR_OK;
}

const char *const xr_classes_options[] = { "on_bad_record", "max_bad_fraction", NULL };

/* Rows without a gold label are kept, so that prediction files have a line for each row. */
static xr_status read_rows(xr_evaluation *e, xr_scored *s, int labelled)
{
    xr_data_options d;
    xr_evaluate_data_options(e, &d);
    d.columns.labelled = labelled;
    d.language = s->filter ? s->language : NULL;
    d.kind = xr_score_label_kind(problem_of(e));
    d.keep_text = e->o->output_dir && e->o->worst_errors > 0;
    d.grow_labels = e->o->predictions != NULL;
    if (!labelled && xr_evaluate_translated(e))
        XR_TRY(translated_columns(s, &d.columns));
    XR_TRY(xr_dataset_add(&s->data, s->path, e->context->tokenizer, &e->labels, &d));
    count_gold(e, s);
    return XR_OK;
}

xr_status xr_classes_read(xr_evaluation *e, xr_scored *s)
{
    return read_rows(e, s, 1);
}

xr_status xr_classes_read_pairs(xr_evaluation *e, xr_scored *s)
{
    return read_rows(e, s, 0);
}

/* ---- figures ---- */

static const xr_report_column *columns_of(xr_problem p)
{
    static const xr_report_column single[] = { { "accuracy", "accuracy" }, { "f1_macro", "macro F1" }, { "mcc", NULL }, { "auc", NULL }, { "loss", NULL },
                                               { 0 } };
    static const xr_report_column value[] = { { "pearson", "Pearson" }, { "spearman", "Spearman" }, { "mse", NULL }, { "loss", NULL }, { 0 } };
    static const xr_report_column multi[] = { { "f1_micro", "micro F1" }, { "f1_macro", "macro F1" }, { "auc", "AUC" }, { "exact", "exact" },
                                              { "loss", NULL }, { 0 } };
    return p == XR_PROBLEM_REGRESSION ? value : p == XR_PROBLEM_MULTI_LABEL ? multi : single;
}

const xr_report_column *xr_classes_columns(const xr_evaluation *e)
{
    return columns_of(problem_of(e));
}

void xr_scored_figures(const xr_evaluation *e, xr_scored *s, const xr_figures *f)
{
    for (const xr_report_column *c = e->benchmark->columns(e); c->metric; c++) {
        double value = 0.0;
        xr_status known = xr_figures_named(f, c->metric, &value);
        XR_ASSERT(known == XR_OK, "metric %s", c->metric);
        xr_scored_set(s, c->metric, value);
    }
}

/* Parts: right, of classes; twice the labels in both sets and those in either, of label sets; the sums of Pearson, of values. */
enum { CLASS_PARTS = 1, SET_PARTS = 2, VALUE_PARTS = 6 };

static void put_parts(xr_problem p, const xr_dataset *d, size_t i, const float *z, size_t C, double *part)
{
    for (size_t k = 0; k < d->n_target && p != XR_PROBLEM_SINGLE_LABEL; k++) {
        double x = (double)z[k], y = (double)d->target[i * d->n_target + k];
        int gold = y > 0.5, predicted = x > 0.0;
        if (p == XR_PROBLEM_MULTI_LABEL) {
            part[0] += 2 * (gold && predicted);
            part[1] += gold + predicted;
            continue;
        }
        const double term[VALUE_PARTS] = { 1.0, x, y, x * x, y * y, x * y };
        for (int t = 0; t < VALUE_PARTS; t++)
            part[t] += term[t];
    }
    if (p == XR_PROBLEM_SINGLE_LABEL)
        part[0] = xr_argmax(z, (int)C) == d->label[i];
}

static xr_status make_parts(const xr_evaluation *e, xr_scored *s)
{
    xr_problem p = problem_of(e);
    size_t C = (size_t)e->context->model.config.num_labels, unit = 0;
    XR_TRY(xr_scored_parts(s, s->n, p == XR_PROBLEM_SINGLE_LABEL ? CLASS_PARTS : p == XR_PROBLEM_MULTI_LABEL ? SET_PARTS : VALUE_PARTS));
    for (size_t i = 0; i < s->data.n; i++)
        if (s->data.label[i] >= 0)
            put_parts(p, &s->data, i, s->logits + i * C, C, s->part + unit++ * s->n_parts);
    return XR_OK;
}

/* What the rounding of n terms may leave of equal numbers is no deviation. */
static double pearson(const double *sum)
{
    double n = sum[0], noise = n * n * DBL_EPSILON, xx = n * sum[3] - sum[1] * sum[1], yy = n * sum[4] - sum[2] * sum[2];
    return xx > noise * sum[3] && yy > noise * sum[4] ? (n * sum[5] - sum[1] * sum[2]) / sqrt(xx * yy) : 0.0;
}

double xr_classes_main_figure(const double *sum, size_t n_parts, size_t n_units)
{
    if (n_parts == CLASS_PARTS)
        return n_units ? sum[0] / (double)n_units : 0.0;
    if (n_parts == SET_PARTS)
        return sum[1] > 0.0 ? sum[0] / sum[1] : 0.0;
    return pearson(sum);
}

xr_status xr_classes_score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    XR_TRY(xr_evaluate_logits(e, s, h));
    if (!s->labelled)
        return XR_OK;
    xr_figures *f = s->private = xr_alloc(1, sizeof *f);
    XR_TRY(f ? xr_figures_compute(f, &e->context->model.config, &s->data, s->logits) : xr_error_status());
    xr_scored_figures(e, s, f);
    return make_parts(e, s);
}

const xr_confusion *xr_classes_confusion(const xr_scored *s)
{
    const xr_figures *f = s->private;
    return f && f->confusion.count ? &f->confusion : NULL;
}

void xr_classes_free(xr_scored *s)
{
    if (s->private)
        xr_figures_free(s->private);
    xr_free(s->private);
    s->private = NULL;
}

/* ---- results ---- */

static json_t *confusion_json(const xr_confusion *m)
{
    json_t *rows = json_array();
    for (int g = 0; g < m->n; g++) {
        json_t *row = json_array();
        for (int k = 0; k < m->n; k++)
            json_array_append_new(row, json_integer((json_int_t)m->count[g * m->n + k]));
        json_array_append_new(rows, row);
    }
    return rows;
}

json_t *xr_classes_details(const xr_evaluation *e, const xr_scored *s)
{
    const xr_confusion *m = xr_classes_confusion(s);
    json_t *j = json_object();
    if (problem_of(e) != XR_PROBLEM_SINGLE_LABEL)
        return j;
    json_object_set_new(j, "majority", m ? json_real(xr_confusion_majority(m)) : json_null());
    json_object_set_new(j, "confusion", m ? confusion_json(m) : json_null());
    return j;
}

static xr_status put_classes(const xr_evaluation *e, const float *z, xr_str *out)
{
    int any = 0;
    for (int k = 0; k < e->labels.n; k++)
        if (z[k] > 0.0f)
            XR_TRY(xr_str_printf(out, "%s%s", any++ ? "," : "", e->labels.name[k]));
    return XR_OK;
}

static xr_status put_prediction(const xr_evaluation *e, const float *z, xr_str *out)
{
    switch (problem_of(e)) {
    case XR_PROBLEM_REGRESSION: XR_TRY(xr_str_float(out, z[0])); break;
    case XR_PROBLEM_MULTI_LABEL: XR_TRY(put_classes(e, z, out)); break;
    default: XR_TRY(xr_str_puts(out, e->labels.name[xr_argmax(z, e->labels.n)])); break;
    }
    return xr_str_putc(out, '\n');
}

xr_status xr_classes_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    size_t C = (size_t)e->context->model.config.num_labels;
    for (size_t i = 0; i < s->data.n; i++)
        XR_TRY(put_prediction(e, s->logits + i * C, out));
    return XR_OK;
}
