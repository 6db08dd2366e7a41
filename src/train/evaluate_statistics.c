/* Confidence intervals of an evaluation, and how far it is from another beyond chance. */
#include <math.h>

#include "train/benchmark.h"
#include "train/resample.h"
#include "util/alloc.h"

/* Rows that were left out move those behind them, so row i is no longer the same example in every language. So do rows without a gold label: those
 * languages share their draws that lack as many, which will be the same rows. */
static xr_units units_of(const xr_evaluation *e, const xr_scored *s)
{
    int together = e->benchmark->parallel && s->data.n_bad == 0;
    return (xr_units){ s->part, s->n_units, s->n_parts, e->benchmark->main_figure, together ? (uint32_t)(s->n_rows - s->n) : xr_stream_of(s->language) };
}

/* Work space: draws of a language, and their sum over the languages. */
typedef struct draws { double *one, *sum; size_t n, languages; } draws;

static xr_status begin(draws *d, size_t n)
{
    *d = (draws){ .n = n, .one = xr_alloc(n, sizeof *d->one), .sum = xr_alloc(n, sizeof *d->sum) };
    return d->one && d->sum ? XR_OK : xr_error_status();
}

static void end(draws *d)
{
    xr_free(d->one);
    xr_free(d->sum);
}

static void count_in(draws *d)
{
    for (size_t b = 0; b < d->n; b++)
        d->sum[b] += d->one[b];
    d->languages++;
}

static void set_interval(xr_statistic *s, double *figure, size_t n)
{
    s->low = xr_quantile(figure, n, 0.025);
    s->high = xr_quantile(figure, n, 0.975);
}

/* The sum becomes the average; NULL when not every labelled language took part. */
static double *average(const xr_evaluation *e, draws *d)
{
    size_t labelled = 0;
    for (size_t i = 0; i < e->n; i++)
        labelled += (size_t)(e->v[i].labelled != 0);
    for (size_t b = 0; b < d->n; b++)
        d->sum[b] /= (double)(d->languages ? d->languages : 1);
    return labelled && labelled == d->languages ? d->sum : NULL;
}

static xr_status intervals(xr_evaluation *e, size_t n)
{
    draws d;
    xr_status status = begin(&d, n);
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        xr_scored *s = &e->v[i];
        if (!s->labelled || !s->n_units)
            continue;
        xr_units u = units_of(e, s);
        xr_bootstrap(&u, (uint64_t)e->o->seed, n, d.one);
        count_in(&d);
        set_interval(&s->statistic, d.one, n);
    }
    double *mean = status == XR_OK ? average(e, &d) : NULL;
    if (mean)
        set_interval(&e->statistic, mean, n);
    end(&d);
    return status;
}

static xr_status differences(xr_evaluation *e, const xr_evaluation *first, size_t n)
{
    draws d;
    double sum = 0.0;
    xr_status status = begin(&d, n);
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        xr_scored *s = &e->v[i];
        const xr_scored *other = &first->v[i];
        if (!s->labelled || !other->labelled || !s->n_units || s->n_units != other->n_units)
            continue;
        xr_units u = units_of(e, s), v = units_of(first, other);
        xr_exchange(&u, &v, (uint64_t)e->o->seed, n, d.one);
        count_in(&d);
        s->statistic.difference = xr_units_figure(&u) - xr_units_figure(&v);
        s->statistic.p = xr_exchange_p(s->statistic.difference, d.one, n);
        sum += s->statistic.difference;
    }
    double *mean = status == XR_OK ? average(e, &d) : NULL;
    if (mean) {
        e->statistic.difference = sum / (double)d.languages;
        e->statistic.p = xr_exchange_p(e->statistic.difference, mean, n);
    }
    end(&d);
    return status;
}

xr_status xr_evaluation_statistics(xr_evaluation *e, const xr_evaluation *first, size_t n_resamples)
{
    if (!e->benchmark->main_figure || n_resamples == 0)
        return XR_OK;
    e->n_resamples = n_resamples;
    XR_TRY(intervals(e, n_resamples));
    return first ? differences(e, first, n_resamples) : XR_OK;
}
