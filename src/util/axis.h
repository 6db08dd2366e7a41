/* The axis of a chart: its range, its ticks, and what they are called. */
#ifndef XR_UTIL_AXIS_H
#define XR_UTIL_AXIS_H

#include "util/number.h"

typedef enum xr_axis_kind {
    XR_AXIS_ROUND,      /* linear; grows to whole ticks */
    XR_AXIS_SNUG,       /* linear; keeps its range */
    XR_AXIS_LOG         /* logarithmic; keeps its range and a little room */
} xr_axis_kind;

enum { XR_AXIS_TICKS = 16 };
typedef struct xr_axis {
    double lo, hi;                  /* lo < hi; of a logarithmic one lo > 0 */
    int log;
    double step;                    /* between linear ticks */
    double tick[XR_AXIS_TICKS]; int n;
} xr_axis;

/* About `want` ticks for values from lo to hi. A logarithmic axis that would touch zero is a linear one. */
void xr_axis_fit(xr_axis *a, xr_axis_kind kind, double lo, double hi, int want);
double xr_axis_at(const xr_axis *a, double value);          /* 0 at lo, 1 at hi */
xr_number xr_axis_label(const xr_axis *a, double tick);     /* 0.25, 1,500, 20k, 2e-4: alike for all ticks of an axis */

#endif
