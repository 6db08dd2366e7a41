#include "util/axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Values a little beyond the ends by rounding are at the ends. */
static const double slack = 1e-9;

double xr_axis_at(const xr_axis *a, double value)
{
    return a->log ? log(value / a->lo) / log(a->hi / a->lo) : (value - a->lo) / (a->hi - a->lo);
}

/* 1, 2 or 5 times a power of ten. */
static double nice_step(double span, int want)
{
    double raw = span / want, power = pow(10.0, floor(log10(raw))), factor = raw / power - slack;
    return power * (factor <= 1.0 ? 1.0 : factor <= 2.0 ? 2.0 : factor <= 5.0 ? 5.0 : 10.0);
}

static void fit_linear(xr_axis *a, int grow, int want)
{
    a->step = nice_step(a->hi - a->lo, want);
    double first = a->lo / a->step, last = a->hi / a->step;
    first = grow ? floor(first + slack) : ceil(first - slack);
    last = grow ? ceil(last - slack) : floor(last + slack);
    for (double k = first; k <= last && a->n < XR_AXIS_TICKS; k++)
        a->tick[a->n++] = k == 0.0 ? 0.0 : k * a->step;
    if (grow && a->n) {
        a->lo = a->tick[0];
        a->hi = a->tick[a->n - 1];
    }
}

/* Ticks at these multiples of every stride-th power of ten; how many. */
static int log_ticks(const xr_axis *a, const double *multiple, int stride, double *tick)
{
    int n = 0;
    for (int power = (int)floor(log10(a->lo)); pow(10.0, power) <= a->hi; power++)
        for (const double *m = multiple; *m > 0.0 && (power % stride) == 0; m++) {
            double value = *m * pow(10.0, power);
            if (value >= a->lo * (1.0 - slack) && value <= a->hi * (1.0 + slack) && n < XR_AXIS_TICKS)
                tick[n++] = value;
        }
    return n;
}

static void fit_log(xr_axis *a, int want)
{
    static const double sets[][7] = { { 1 }, { 1, 3 }, { 1, 2, 5 }, { 1, 1.5, 2, 3, 5, 7 } };
    double room = pow(a->hi / a->lo, 0.04);
    a->lo /= room;
    a->hi *= room;
    int stride = (int)ceil(log10(a->hi / a->lo) / (want + 1));
    for (int i = 0; i < 4 && a->n < 3; i++)
        a->n = log_ticks(a, sets[i], stride < 1 ? 1 : stride, a->tick);
    if (a->n >= 3)
        return;
    a->n = 0;
    fit_linear(a, 0, want);
}

void xr_axis_fit(xr_axis *a, xr_axis_kind kind, double lo, double hi, int want)
{
    int sane = isfinite(lo) && isfinite(hi) && lo <= hi;
    *a = (xr_axis){ .lo = sane ? lo : 0.0, .hi = sane ? hi : 1.0 };
    a->log = kind == XR_AXIS_LOG && a->lo > 0.0;
    if (a->hi - a->lo <= fabs(a->hi) * slack) {
        double around = a->hi == 0.0 ? 1.0 : fabs(a->hi) * 0.1;
        a->lo -= around;
        a->hi += around;
    }
    if (a->log)
        fit_log(a, want);
    else
        fit_linear(a, kind == XR_AXIS_ROUND, want);
}

/* Decimals that tell neighbours apart. */
static int decimals(double step)
{
    int n = (int)-floor(log10(step) + slack);
    return n > 0 ? n : 0;
}

static xr_number scaled(double tick, double step, double unit, const char *name)
{
    xr_number digits = xr_number_fixed(tick / unit, decimals(step / unit)), out;
    if (tick == 0.0)
        return xr_number_count(0.0);
    snprintf(out.s, sizeof out.s, "%.20s%s", digits.s, name);
    return out;
}

static xr_number with_power(double tick)
{
    xr_number out;
    int power = (int)floor(log10(fabs(tick)) + slack);
    snprintf(out.s, sizeof out.s, "%.3ge%d", tick / pow(10.0, power), power);
    return out;
}

/* Logarithmic ticks are spaced by their own size. */
static double spacing(const xr_axis *a, double tick)
{
    double power = pow(10.0, floor(log10(tick) + slack));
    return a->step > 0.0 ? a->step : fabs(tick / power - round(tick / power)) < 1e-6 ? power : power / 10.0;
}

xr_number xr_axis_label(const xr_axis *a, double tick)
{
    double largest = a->log ? tick : fmax(fabs(a->lo), fabs(a->hi)), step = a->log ? spacing(a, tick) : a->step;
    if (step < 1e-3 && largest < 0.1)
        return tick == 0.0 ? xr_number_count(0.0) : with_power(tick);
    if (largest >= 1e6 && step >= 1e4)
        return scaled(tick, step, 1e6, "M");
    if (largest >= 1e4 && step >= 100.0)
        return scaled(tick, step, 1e3, "k");
    return xr_number_fixed(tick, decimals(step));
}
