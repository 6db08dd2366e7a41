/* Bars by language of the main figure: plot.svg of an evaluation. */
#include <math.h>
#include <string.h>

#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/svg.h"

/* Groups are the languages, then the average; arrays as xr_bars wants them, in per cent. */
typedef struct plot {
    const xr_evaluation *const *e;
    size_t n, n_groups;
    const char **group;
    double *value, *low, *high, *mark;
    const xr_published *published;
} plot;

static const char *metric_of(const plot *p)
{
    return p->e[0]->benchmark->columns(p->e[0])->metric;
}

static void put(plot *p, size_t g, size_t k, double value, const xr_statistic *s)
{
    size_t i = g * p->n + k;
    p->value[i] = 100.0 * value;
    p->low[i] = 100.0 * s->low;
    p->high[i] = 100.0 * s->high;
}

static void put_language(plot *p, size_t g)
{
    double value;
    p->group[g] = p->e[0]->v[g].language;
    for (size_t k = 0; k < p->n; k++) {
        const xr_scored *s = &p->e[k]->v[g];
        put(p, g, k, s->labelled && xr_scored_get(s, metric_of(p), &value) ? value : (double)NAN, &s->statistic);
    }
}

static void put_average(plot *p)
{
    size_t labelled;
    p->group[p->n_groups - 1] = "average";
    for (size_t k = 0; k < p->n; k++) {
        double mean = xr_evaluation_mean(p->e[k], metric_of(p), &labelled);
        put(p, p->n_groups - 1, k, labelled ? mean : (double)NAN, &p->e[k]->statistic);
    }
}

/* The first paper's table that any of the models is to be compared with. */
static void put_marks(plot *p)
{
    for (size_t k = 0; k < p->n && !p->published; k++)
        p->published = xr_published_find(p->e[k], metric_of(p));
    for (size_t g = 0; g < p->n_groups; g++)
        if (!p->published || g + 1 == p->n_groups || !xr_published_value(p->published, p->group[g], &p->mark[g]))
            p->mark[g] = (double)NAN;
}

static xr_status fill(plot *p)
{
    size_t n = p->n_groups * p->n;
    p->group = xr_alloc(p->n_groups, sizeof *p->group);
    p->value = xr_alloc(n, sizeof *p->value);
    p->low = xr_alloc(n, sizeof *p->low);
    p->high = xr_alloc(n, sizeof *p->high);
    p->mark = xr_alloc(p->n_groups, sizeof *p->mark);
    if (!p->group || !p->value || !p->low || !p->high || !p->mark)
        return xr_error_status();
    for (size_t g = 0; g < p->e[0]->n; g++)
        put_language(p, g);
    put_average(p);
    put_marks(p);
    return XR_OK;
}

static xr_status draw(const plot *p, const char *const *name, const char *title, const char *axis, const char *mark, xr_str *out)
{
    const xr_bars b = { .title = title, .x_title = axis, .group = p->group, .n_groups = p->n_groups, .series = name, .n_series = p->n, .value = p->value,
                        .low = p->low, .high = p->high, .mark = mark ? p->mark : NULL, .mark_name = mark, .decimals = 1, .most = 100.0, .standalone = 1 };
    return xr_svg_bars(out, &b);
}

xr_status xr_evaluation_plot(const xr_evaluation *const *e, const char *const *name, size_t n, xr_str *out)
{
    plot p = { .e = e, .n = n, .n_groups = e[0]->n + 1 };
    const char *what = e[0]->benchmark->title ? e[0]->benchmark->title : e[0]->o->data_dir, *figure = e[0]->benchmark->columns(e[0])->title;
    char *title = xr_asprintf("%s, %s: %s by language", what, e[0]->o->split, figure), *axis = xr_asprintf("%s, per cent", figure), *mark = NULL;
    xr_status status = title && axis ? fill(&p) : xr_error_status();
    if (status == XR_OK && p.published) {
        mark = xr_asprintf("published, XLM-R %s", p.published->size);
        status = mark ? XR_OK : xr_error_status();
    }
    if (status == XR_OK)
        status = draw(&p, name, title, axis, mark, out);
    void *const all[] = { p.group, p.value, p.low, p.high, p.mark, title, axis, mark };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        xr_free(all[i]);
    return status;
}

xr_status xr_evaluation_write_plot(const xr_evaluation *const *e, const char *const *name, size_t n, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = xr_evaluation_plot(e, name, n, &text);
    if (status == XR_OK)
        status = xr_evaluation_write_text(dir, "plot.svg", &text);
    xr_str_free(&text);
    return status;
}
