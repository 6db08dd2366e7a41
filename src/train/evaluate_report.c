/* The table that an evaluation prints. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/benchmark.h"
#include "util/number.h"
#include "util/utf8.h"

const char xr_evaluate_as_given[] = "model as given; no per-language selection";

static const xr_report_column *columns(const xr_evaluation *e)
{
    return e->benchmark->columns(e);
}

/* 0: the language has no gold labels, or what is scored does not have this figure: a file of predictions has no `reverse` of tatoeba. */
static int figure(const xr_scored *s, const char *metric, double *value)
{
    return s->labelled && xr_scored_get(s, metric, value);
}

double xr_evaluation_mean(const xr_evaluation *e, const char *metric, size_t *n)
{
    double sum = 0.0, value;
    *n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (figure(&e->v[i], metric, &value)) {
            sum += value;
            ++*n;
        }
    return *n ? sum / (double)*n : 0.0;
}

int xr_evaluation_gap(const xr_evaluation *e, const char *metric, double *gap)
{
    double english = 0.0, others = 0.0, value;
    size_t n_english = 0, n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const xr_scored *s = &e->v[i];
        int en = strcmp(s->language, e->o->training_language) == 0;
        if (!figure(s, metric, &value))
            continue;
        *(en ? &english : &others) += value;
        ++*(en ? &n_english : &n);
    }
    *gap = n ? english - others / (double)n : 0.0;
    return n_english && n;
}

/* ---- table ---- */

/* Appends text as it may be shown, filled up with blanks to `width` characters; width < 0: blanks before it. */
static xr_status put_cell(xr_str *out, const char *text, int width)
{
    size_t n = xr_utf8_count(text, strlen(text)), wide = (size_t)(width < 0 ? -width : width);
    int blanks = wide > n ? (int)(wide - n) : 0;
    XR_TRY(xr_str_printf(out, "%*s", width < 0 ? blanks : 0, ""));
    XR_TRY(xr_utf8_printable(out, text, strlen(text)));
    return xr_str_printf(out, "%*s", width < 0 ? 0 : blanks, "");
}

enum { NAME = 14, COUNT = 7, COLUMN = 10, INTERVAL = 17, P = 9, PUBLISHED = 24 };

/* One table of n evaluations; with several, each has a group of columns under its name. */
typedef struct table {
    const xr_evaluation *const *e;
    const char *const *name;        // [n]
    size_t n;
} table;

static int has_interval(const xr_evaluation *e)
{
    return e->n_resamples > 0;
}

/* Differences are from the first group. */
static int has_p(const table *t, size_t k)
{
    return k > 0 && has_interval(t->e[k]);
}

static int group_width(const table *t, size_t k)
{
    int width = 0;
    for (const xr_report_column *c = columns(t->e[k]); c->metric; c++)
        width += c->title ? COLUMN : 0;
    return width + (has_interval(t->e[k]) ? INTERVAL : 0) + (has_p(t, k) ? P : 0);
}

static xr_status put_number(xr_str *out, int known, double value)
{
    return xr_str_printf(out, "%*s", COLUMN, known ? xr_number_fixed(100.0 * value, 2).s : "-");
}

static xr_status put_statistic(const table *t, size_t k, const xr_statistic *s, xr_str *out)
{
    char text[96] = "-";
    if (!has_interval(t->e[k]))
        return XR_OK;
    if (isfinite(s->low))
        snprintf(text, sizeof text, "[%s, %s]", xr_number_fixed(100.0 * s->low, 2).s, xr_number_fixed(100.0 * s->high, 2).s);
    XR_TRY(xr_str_printf(out, "%*s", INTERVAL, text));
    if (!has_p(t, k))
        return XR_OK;
    return xr_str_printf(out, "%*s", P, xr_number_chance(s->p).s);
}

static xr_status put_figures(const table *t, size_t k, const xr_scored *s, xr_str *out)
{
    double value = 0.0;
    for (const xr_report_column *c = columns(t->e[k]); c->metric; c++)
        if (c->title) {
            int known = figure(s, c->metric, &value);
            XR_TRY(put_number(out, known, value));
        }
    return put_statistic(t, k, &s->statistic, out);
}

/* ---- columns of papers: one for each table of a paper that any of the models is to be compared with ---- */

/* What stands beside `metric` of group k, unless an earlier group has it. */
static const xr_published *published(const table *t, size_t k, const char *metric)
{
    const xr_published *p = xr_published_find(t->e[k], metric);
    for (size_t i = 0; i < k && p; i++)
        if (xr_published_find(t->e[i], metric) == p)
            p = NULL;
    return p;
}

/* Calls put for each such column. */
static xr_status each_published(const table *t, xr_status (*put)(const table *t, const xr_published *p, const char *title, const void *of, xr_str *out),
                                const void *of, xr_str *out)
{
    for (size_t k = 0; k < t->n; k++)
        for (const xr_report_column *c = columns(t->e[k]); c->metric; c++) {
            const xr_published *p = c->title ? published(t, k, c->metric) : NULL;
            XR_TRY(p ? put(t, p, c == columns(t->e[k]) ? "" : c->title, of, out) : XR_OK);
        }
    return XR_OK;
}

static xr_status put_published_title(const table *t, const xr_published *p, const char *title, const void *of, xr_str *out)
{
    char text[48];
    (void)t;
    (void)of;
    snprintf(text, sizeof text, "(published%s%s, %s)", title[0] ? " " : "", title, p->size);
    return xr_str_printf(out, "%*s", PUBLISHED, text);
}

static xr_status put_published(const table *t, const xr_published *p, const char *title, const void *language, xr_str *out)
{
    double value;
    (void)t;
    (void)title;
    if (!xr_published_value(p, language, &value))
        return xr_str_printf(out, "%*s", PUBLISHED, "");
    return xr_str_printf(out, "%*s", PUBLISHED, xr_number_fixed(value, xr_number_decimals(value)).s);
}

/* The paper's average stands beside an average over the same languages only. */
static xr_status put_published_average(const table *t, const xr_published *p, const char *title, const void *n, xr_str *out)
{
    double value;
    size_t rows = 0, there = 0;
    for (const xr_published_row *r = p->row; r->language; r++)
        rows += strcmp(r->language, "average") != 0;
    for (size_t i = 0; i < t->e[0]->n; i++)
        there += t->e[0]->v[i].labelled && xr_published_value(p, t->e[0]->v[i].language, &value);
    int same = rows == 0 || (there == rows && *(const size_t *)n == rows);
    return put_published(t, p, title, same ? "average" : "", out);
}

static xr_status put_source(const table *t, const xr_published *p, const char *title, const void *of, xr_str *out)
{
    (void)t;
    (void)of;
    return title[0] ? XR_OK : xr_str_printf(out, "published: XLM-R %s, %s: %s\n", p->size, p->protocol, p->source);
}

/* ---- lines ---- */

static xr_status put_row(const table *t, size_t i, xr_str *out)
{
    const xr_scored *s = &t->e[0]->v[i];
    XR_TRY(put_cell(out, s->language, NAME));
    XR_TRY(xr_str_printf(out, "%*zu", COUNT, s->labelled ? s->n : s->n_rows));
    for (size_t k = 0; k < t->n; k++)
        XR_TRY(put_figures(t, k, &t->e[k]->v[i], out));
    XR_TRY(each_published(t, put_published, s->language, out));
    return xr_str_putc(out, '\n');
}

static xr_status put_group_names(const table *t, xr_str *out)
{
    XR_TRY(xr_str_printf(out, "%*s", NAME + COUNT, ""));
    for (size_t k = 0; k < t->n; k++) {
        XR_TRY(xr_str_puts(out, "   "));
        XR_TRY(k + 1 < t->n ? put_cell(out, t->name[k], group_width(t, k) - 3) : xr_str_puts(out, t->name[k]));
    }
    return xr_str_putc(out, '\n');
}

static xr_status put_titles(const table *t, xr_str *out)
{
    XR_TRY(xr_str_printf(out, "%-*s%*s", NAME, "language", COUNT, "n"));
    for (size_t k = 0; k < t->n; k++) {
        for (const xr_report_column *c = columns(t->e[k]); c->metric; c++)
            if (c->title)
                XR_TRY(xr_str_printf(out, "%*s", COLUMN, c->title));
        if (has_interval(t->e[k]))
            XR_TRY(xr_str_printf(out, "%*s", INTERVAL, "95 % interval"));
        if (has_p(t, k))
            XR_TRY(xr_str_printf(out, "%*s", P, "p"));
    }
    XR_TRY(each_published(t, put_published_title, NULL, out));
    return xr_str_putc(out, '\n');
}

static xr_status put_average(const table *t, xr_str *out)
{
    size_t n = 0, with;
    (void)xr_evaluation_mean(t->e[0], columns(t->e[0])->metric, &n);
    if (n == 0)
        return XR_OK;
    XR_TRY(xr_str_printf(out, "%-*s", NAME + COUNT, "average"));
    for (size_t k = 0; k < t->n; k++) {
        for (const xr_report_column *c = columns(t->e[k]); c->metric; c++)
            if (c->title) {
                double mean = xr_evaluation_mean(t->e[k], c->metric, &with);
                XR_TRY(put_number(out, with > 0, mean));
            }
        XR_TRY(put_statistic(t, k, &t->e[k]->statistic, out));
    }
    XR_TRY(each_published(t, put_published_average, &n, out));
    return xr_str_printf(out, "   of %zu language%s\n", n, n == 1 ? "" : "s");
}

static xr_status put_gap(const table *t, xr_str *out)
{
    double gap;
    size_t n;
    if (!xr_evaluation_gap(t->e[0], columns(t->e[0])->metric, &gap))
        return XR_OK;
    XR_TRY(xr_str_printf(out, "%-*s", NAME + COUNT, "transfer gap"));
    for (size_t k = 0; k < t->n; k++) {
        int width = group_width(t, k);
        for (const xr_report_column *c = columns(t->e[k]); c->metric; c++)
            if (c->title) {
                int known = xr_evaluation_gap(t->e[k], c->metric, &gap);
                XR_TRY(put_number(out, known, gap));
                width -= COLUMN;
            }
        XR_TRY(xr_str_printf(out, "%*s", k + 1 < t->n ? width : 0, ""));
    }
    (void)xr_evaluation_mean(t->e[0], columns(t->e[0])->metric, &n);
    return xr_str_printf(out, "   %s minus the mean of the other%s\n", t->e[0]->o->training_language, n > 2 ? "s" : "");
}

xr_status xr_evaluation_rows(const xr_evaluation *const *e, const char *const *name, size_t n, xr_str *out)
{
    const table t = { e, name, n };
    XR_TRY(n > 1 ? put_group_names(&t, out) : XR_OK);
    XR_TRY(put_titles(&t, out));
    for (size_t i = 0; i < e[0]->n; i++)
        XR_TRY(put_row(&t, i, out));
    XR_TRY(put_average(&t, out));
    return put_gap(&t, out);
}

static xr_status put_chance(const xr_evaluation *e, int several, xr_str *out)
{
    size_t n = e->n_resamples;
    if (!has_interval(e))
        return XR_OK;
    XR_TRY(xr_str_printf(out, "95 %% interval: %s, %zu bootstrap resamples, seed %lld\n", columns(e)->title, n, e->o->seed));
    return several ? xr_str_printf(out, "p: two-sided, of no difference from [1] in %s; paired, approximate randomisation (Noreen 1989), %zu rounds\n",
                                   columns(e)->title, n) : XR_OK;
}

xr_status xr_evaluation_footer(const xr_evaluation *const *e, size_t n, const char *selection, xr_str *out)
{
    const table t = { e, NULL, n };
    const xr_options *o = e[0]->o;
    size_t unlabelled = 0;
    for (size_t i = 0; i < e[0]->n; i++)
        unlabelled += !e[0]->v[i].labelled;
    XR_TRY(xr_str_puts(out, "\nprotocol: "));
    XR_TRY(xr_utf8_printable(out, o->protocol, strlen(o->protocol)));
    XR_TRY(xr_str_printf(out, "\nselection: %s\n", selection));
    if (e[0]->benchmark->scorer)
        XR_TRY(xr_str_printf(out, "scored by: %s\n", e[0]->benchmark->scorer));
    XR_TRY(each_published(&t, put_source, NULL, out));
    XR_TRY(put_chance(e[0], n > 1, out));
    if (o->max_eval_samples > 0)
        XR_TRY(xr_str_printf(out, "only the first %lld rows of each language\n", o->max_eval_samples));
    if (unlabelled)
        XR_TRY(xr_str_printf(out, "-: %zu file%s without gold labels; predictions only\n", unlabelled, unlabelled == 1 ? "" : "s"));
    return XR_OK;
}

static xr_status put_confusion(const xr_evaluation *e, const xr_scored *s, const xr_confusion *m, xr_str *out)
{
    int widest = 8;
    for (int k = 0; k < m->n; k++) {
        int n = (int)xr_utf8_count(e->labels.name[k], strlen(e->labels.name[k]));
        widest = n > widest ? n : widest;
    }
    XR_TRY(xr_str_printf(out, "\n%s: gold label (row) and prediction (column)\n%*s", s->language, widest, ""));
    for (int k = 0; k < m->n; k++)
        XR_TRY(put_cell(out, e->labels.name[k], -(widest + 2)));
    for (int g = 0; g < m->n; g++) {
        XR_TRY(xr_str_putc(out, '\n'));
        XR_TRY(put_cell(out, e->labels.name[g], widest));
        for (int k = 0; k < m->n; k++)
            XR_TRY(xr_str_printf(out, "%*llu", widest + 2, (unsigned long long)m->count[g * m->n + k]));
    }
    return xr_str_putc(out, '\n');
}

xr_status xr_evaluation_confusions(const xr_evaluation *e, xr_str *out)
{
    for (size_t i = 0; i < e->n && e->o->confusion; i++) {
        const xr_confusion *m = e->v[i].labelled ? e->benchmark->confusion(&e->v[i]) : NULL;
        XR_TRY(m ? put_confusion(e, &e->v[i], m, out) : XR_OK);
    }
    for (size_t i = 0; i < e->n && e->o->per_type; i++)
        XR_TRY(e->v[i].labelled ? e->benchmark->by_type(e, &e->v[i], out) : XR_OK);
    return XR_OK;
}

xr_status xr_evaluation_table(const xr_evaluation *e, xr_str *out)
{
    const char *what = e->benchmark->title ? e->benchmark->title : e->o->data_dir;
    XR_TRY(xr_str_printf(out, "%s, %s: %s\n\n", what, e->o->split, e->o->predictions ? e->o->predictions : e->o->model));
    XR_TRY(xr_evaluation_rows(&e, NULL, 1, out));
    XR_TRY(xr_evaluation_footer(&e, 1, xr_evaluate_as_given, out));
    return xr_evaluation_confusions(e, out);
}
