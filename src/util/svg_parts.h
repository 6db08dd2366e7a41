/* What curves and bars have in common. */
#ifndef XR_UTIL_SVG_PARTS_H
#define XR_UTIL_SVG_PARTS_H

#include "util/svg.h"

enum { XR_SVG_WIDTH = 440, XR_SVG_LINE = 14 };      /* of a chart; from a line of text to the next */

typedef struct xr_svg_key { const char *name; int colour; int mark; } xr_svg_key;     /* mark: that of a published figure */

xr_status xr_svg_open(xr_str *out, const char *title, int height, int standalone);
xr_status xr_svg_close(xr_str *out);
/* A text; anchor "start", "middle" or "end"; class NULL: none. */
xr_status xr_svg_text(xr_str *out, double x, double y, const char *anchor, const char *class, const char *text);
int xr_svg_text_width(const char *text);            /* about, in the units of a chart */
/* A coloured swatch and a name for each, in as many lines as they need; *height of them. With out NULL only that. */
xr_status xr_svg_put_key(xr_str *out, const xr_svg_key *v, size_t n, double left, double top, double *height);
/* class="WHAT c3 dash" */
xr_status xr_svg_class(xr_str *out, const char *what, int colour);

#endif
