/* Charts as SVG: curves over an axis, and bars by group. Names are escaped; the same input gives the same bytes.
 *
 * Colours are classes (c0, c1, …) that keep apart for colour-blind eyes, on white and on black; behind the palette's end they come again with
 * dashes. A chart in a page relies on the page's style sheet, which holds xr_svg_style; a standalone one brings it along. */
#ifndef XR_UTIL_SVG_H
#define XR_UTIL_SVG_H

#include "util/axis.h"
#include "util/str.h"

enum { XR_SVG_COLOURS = 7 };

typedef enum xr_curve_style {
    XR_CURVE_LINE,
    XR_CURVE_FAINT,         /* thin, behind the others; not labelled */
    XR_CURVE_DOTS           /* a line with a dot at each point */
} xr_curve_style;

typedef struct xr_curve {
    const char *name;       /* stands at its end, or in a key if there is no room; NULL: not labelled */
    xr_curve_style style;
    int colour;
    const double *x, *y; size_t n;      /* a value that is not finite breaks the line */
} xr_curve;

typedef struct xr_curves {
    const char *title;                  /* for those who cannot see it; "Loss" */
    const char *x_title, *y_title;      /* "step"; y_title may be "" */
    const xr_curve *v; size_t n;
    int log;                            /* y: logarithmic where values span more than a factor of 20 */
    int from_zero;                      /* y begins at 0 */
    int standalone;
} xr_curves;
/* Curves of more than about 600 points are thinned to the least and greatest of each stretch. */
xr_status xr_svg_curves(xr_str *out, const xr_curves *c);

typedef struct xr_bars {
    const char *title, *x_title;
    const char *const *group; size_t n_groups;      /* languages */
    const char *const *series; size_t n_series;     /* models; with one there is no key */
    const double *value;                // [n_groups, n_series], NaN: no bar
    const double *low, *high;           // the same, ends of an interval; NULL or NaN: none
    const double *mark;                 // [n_groups] a published figure, a short line across the bars; NULL or NaN: none
    const char *mark_name;
    int decimals;
    double most;                        /* end of the axis; 0: by the values */
    int standalone;
} xr_bars;
xr_status xr_svg_bars(xr_str *out, const xr_bars *b);

/* CSS of the classes used. */
xr_status xr_svg_style(xr_str *out);

#endif
