/* The table that an evaluation prints. */
#include <string.h>

#include "train/benchmark.h"
#include "util/utf8.h"

const char xr_evaluate_selection[] = "model as given; no per-language selection";

static const xr_report_column *columns(const xr_evaluation *e)
{
    return e->benchmark->columns(e);
}

static double figure(const xr_scored *s, const char *metric)
{
    double value = 0.0;
    (void)xr_scored_get(s, metric, &value);
    return value;
}

double xr_evaluation_mean(const xr_evaluation *e, const char *metric, size_t *n)
{
    double sum = 0.0;
    *n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].labelled) {
            sum += figure(&e->v[i], metric);
            ++*n;
        }
    return *n ? sum / (double)*n : 0.0;
}

int xr_evaluation_gap(const xr_evaluation *e, const char *metric, double *gap)
{
    double english = 0.0, others = 0.0;
    size_t n_english = 0, n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const xr_scored *s = &e->v[i];
        int en = strcmp(s->language, "en") == 0;
        *(en ? &english : &others) += s->labelled ? figure(s, metric) : 0.0;
        *(en ? &n_english : &n) += (size_t)(s->labelled != 0);
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

enum { NAME = 14, COLUMN = 10 };

static xr_status put_row(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_published *p = xr_published_find(e, columns(e)->metric);
    double known;
    XR_TRY(put_cell(out, s->language, NAME));
    XR_TRY(xr_str_printf(out, "%7zu", s->labelled ? s->n : s->n_rows));
    for (const xr_report_column *c = columns(e); c->metric; c++)
        if (c->title)
            XR_TRY(s->labelled ? xr_str_printf(out, "%*.2f", COLUMN, 100.0 * figure(s, c->metric)) : xr_str_printf(out, "%*s", COLUMN, "-"));
    if (p && xr_published_value(p, s->language, &known))
        XR_TRY(xr_str_printf(out, "%*.1f", COLUMN + 14, known));
    return xr_str_putc(out, '\n');
}

static xr_status put_heading(const xr_evaluation *e, xr_str *out)
{
    const xr_published *p = xr_published_find(e, columns(e)->metric);
    const char *what = e->benchmark->title ? e->benchmark->title : e->o->data_dir;
    XR_TRY(xr_str_printf(out, "%s, %s: %s\n\n", what, e->o->split, e->o->model));
    XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "language", "n"));
    for (const xr_report_column *c = columns(e); c->metric; c++)
        if (c->title)
            XR_TRY(xr_str_printf(out, "%*s", COLUMN, c->title));
    if (p)
        XR_TRY(xr_str_printf(out, "%*s", COLUMN + 14, p->size[0] == 'b' ? "(published, base)" : "(published, large)"));
    return xr_str_putc(out, '\n');
}

static xr_status put_summary(const xr_evaluation *e, xr_str *out)
{
    const xr_report_column *c = columns(e);
    double gap;
    size_t n = 0;
    (void)xr_evaluation_mean(e, c->metric, &n);
    if (n > 0) {
        XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "average", ""));
        for (; c->metric; c++)
            if (c->title)
                XR_TRY(xr_str_printf(out, "%*.2f", COLUMN, 100.0 * xr_evaluation_mean(e, c->metric, &n)));
        XR_TRY(xr_str_printf(out, "   of %zu language%s\n", n, n == 1 ? "" : "s"));
    }
    if (!xr_evaluation_gap(e, columns(e)->metric, &gap))
        return XR_OK;
    XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "transfer gap", ""));
    for (c = columns(e); c->metric && xr_evaluation_gap(e, c->metric, &gap); c++)
        if (c->title)
            XR_TRY(xr_str_printf(out, "%*.2f", COLUMN, 100.0 * gap));
    return xr_str_printf(out, "   en minus the mean of the other%s\n", n > 2 ? "s" : "");
}

static xr_status put_footer(const xr_evaluation *e, xr_str *out)
{
    size_t unlabelled = 0;
    for (size_t i = 0; i < e->n; i++)
        unlabelled += !e->v[i].labelled;
    XR_TRY(xr_str_puts(out, "\nprotocol: "));
    XR_TRY(xr_utf8_printable(out, e->o->protocol, strlen(e->o->protocol)));
    XR_TRY(xr_str_printf(out, "\nselection: %s\n", xr_evaluate_selection));
    if (e->o->max_eval_samples > 0)
        XR_TRY(xr_str_printf(out, "only the first %lld rows of each language\n", e->o->max_eval_samples));
    if (unlabelled)
        XR_TRY(xr_str_printf(out, "-: %zu file%s without gold labels; predictions only\n", unlabelled,
                             unlabelled == 1 ? "" : "s"));
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

xr_status xr_evaluation_table(const xr_evaluation *e, xr_str *out)
{
    XR_TRY(put_heading(e, out));
    for (size_t i = 0; i < e->n; i++)
        XR_TRY(put_row(e, &e->v[i], out));
    XR_TRY(put_summary(e, out));
    XR_TRY(put_footer(e, out));
    for (size_t i = 0; i < e->n && e->o->confusion; i++) {
        const xr_confusion *m = e->v[i].labelled ? e->benchmark->confusion(&e->v[i]) : NULL;
        XR_TRY(m ? put_confusion(e, &e->v[i], m, out) : XR_OK);
    }
    return XR_OK;
}
