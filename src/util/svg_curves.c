/* Curves over an axis: training and validation loss, learning rate, memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/svg_parts.h"

enum { PLOT = 190, ABOVE = 24, BELOW = 36, LEFT = 46, RIGHT = 14, LABEL_MOST = 112, LABEL_STEP = 13, POINTS = 600 };

typedef struct label { double x, y, at; size_t curve; } label;      /* end of the curve; where the name stands */

typedef struct plot {
    const xr_curves *c;
    xr_axis x, y;
    double left, right, top, bottom;
    label *label; size_t n_labels;
    int direct;                     /* names at the ends, not in a key */
} plot;

static double at_x(const plot *p, double x)
{
    return p->left + (p->right - p->left) * xr_axis_at(&p->x, x);
}

static double at_y(const plot *p, double y)
{
    return p->bottom - (p->bottom - p->top) * xr_axis_at(&p->y, y);
}

/* A logarithmic axis has no place for zero and less. */
static int is_shown(const plot *p, const xr_curve *c, size_t i)
{
    return isfinite(c->x[i]) && isfinite(c->y[i]) && !(p->y.log && c->y[i] <= 0.0);
}

/* ---- ranges ---- */

static void extend(double value, double *lo, double *hi)
{
    *lo = fmin(*lo, value);
    *hi = fmax(*hi, value);
}

static void fit_axes(plot *p)
{
    const xr_curves *c = p->c;
    double x0 = INFINITY, x1 = -INFINITY, y0 = c->from_zero ? 0.0 : (double)INFINITY, y1 = -INFINITY, least = INFINITY;
    for (size_t k = 0; k < c->n; k++)
        for (size_t i = 0; i < c->v[k].n; i++)
            if (is_shown(p, &c->v[k], i)) {
                extend(c->v[k].x[i], &x0, &x1);
                extend(c->v[k].y[i], &y0, &y1);
                least = c->v[k].y[i] > 0.0 ? fmin(least, c->v[k].y[i]) : least;
            }
    int log = c->log && y1 > 20.0 * least;
    xr_axis_fit(&p->x, XR_AXIS_SNUG, fmin(x0, x1 > 0.0 && x0 > 0.0 && x0 < x1 * 0.1 ? 0.0 : x0), x1, 5);
    xr_axis_fit(&p->y, log ? XR_AXIS_LOG : XR_AXIS_ROUND, log ? least : y0, y1, 4);
}

/* ---- names at the ends of curves ---- */

static int by_height(const void *a, const void *b)
{
    const label *x = a, *y = b;
    return x->y < y->y ? -1 : x->y > y->y ? 1 : x->curve < y->curve ? -1 : x->curve > y->curve;
}

/* The last point shown of each curve that has a name. */
static void find_ends(plot *p)
{
    p->n_labels = 0;
    for (size_t k = 0; k < p->c->n; k++) {
        const xr_curve *c = &p->c->v[k];
        size_t i = c->n;
        while (i > 0 && !is_shown(p, c, i - 1))
            i--;
        if (i > 0 && c->name && c->style != XR_CURVE_FAINT)
            p->label[p->n_labels++] = (label){ at_x(p, c->x[i - 1]), at_y(p, c->y[i - 1]), at_y(p, c->y[i - 1]), k };
    }
}

/* Names that would overlap form a block around the middle of their ends; blocks that touch become one. A block is told by its first label. */
static size_t find_blocks(plot *p, size_t *size)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_labels; i++) {
        double at = p->label[i].y;
        size[n] = 1;
        for (; n > 0 && p->label[n - 1].at + LABEL_STEP * (double)size[n - 1] > at; n--) {
            double above = (double)size[n - 1], own = (double)size[n];
            at = (p->label[n - 1].at * above + (at - LABEL_STEP * above) * own) / (above + own);
            size[n - 1] += size[n];
        }
        p->label[n++].at = at;                          /* n <= i: the place of a label that is in a block already */
    }
    return n;
}

static void spread(plot *p, const size_t *size, size_t n)
{
    double least = p->top, most = p->bottom + BELOW - 6.0;
    size_t i = p->n_labels;
    for (size_t k = n; k-- > 0;) {
        double height = LABEL_STEP * (double)(size[k] - 1), at = fmax(fmin(p->label[k].at, most - height), least);
        for (size_t within = size[k]; within-- > 0;)
            p->label[--i].at = at + LABEL_STEP * (double)within;
        most = at - LABEL_STEP;
    }
}

static xr_status place_labels(plot *p)
{
    qsort(p->label, p->n_labels, sizeof *p->label, by_height);
    size_t *size = xr_alloc(p->n_labels + 1, sizeof *size);
    if (size)
        spread(p, size, find_blocks(p, size));
    xr_free(size);
    return size ? XR_OK : xr_error_status();
}

/* Names stand at the ends when the ends are near the right edge; runs of different lengths get a key. */
static int ends_are_near(const plot *p)
{
    for (size_t i = 0; i < p->n_labels; i++)
        if (p->label[i].x < p->left + 0.8 * (p->right - p->left))
            return 0;
    return 1;
}

static int widest_name(const plot *p, size_t *n)
{
    int widest = 0;
    *n = 0;
    for (size_t k = 0; k < p->c->n; k++)
        if (p->c->v[k].name && p->c->v[k].style != XR_CURVE_FAINT) {
            int width = xr_svg_text_width(p->c->v[k].name);
            widest = width > widest ? width : widest;
            ++*n;
        }
    return widest;
}

static xr_status put_labels(const plot *p, xr_str *out)
{
    for (size_t i = 0; i < p->n_labels; i++) {
        const label *l = &p->label[i];
        XR_TRY(xr_str_puts(out, "<circle "));
        XR_TRY(xr_svg_class(out, "dot", p->c->v[l->curve].colour));
        XR_TRY(xr_str_printf(out, " r=\"2.6\" cx=\"%.1f\" cy=\"%.1f\"/>", l->x, l->y));
        if (fabs(l->at - l->y) > 3.0 || p->right - l->x > 4.0)
            XR_TRY(xr_str_printf(out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>", l->x + 4.0, l->y, p->right + 7.0, l->at));
        XR_TRY(xr_svg_text(out, p->right + 9.0, l->at + 4.0, "start", "name", p->c->v[l->curve].name));
    }
    return XR_OK;
}

/* ---- axes ---- */

static xr_status put_y_axis(const plot *p, xr_str *out)
{
    for (int i = 0; i < p->y.n; i++) {
        double y = at_y(p, p->y.tick[i]);
        XR_TRY(xr_str_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", p->left, y, p->right));
        XR_TRY(xr_svg_text(out, p->left - 6.0, y + 4.0, "end", "number", xr_axis_label(&p->y, p->y.tick[i]).s));
    }
    return xr_svg_text(out, 0.0, 12.0, "start", NULL, p->c->y_title);
}

static xr_status put_x_axis(const plot *p, xr_str *out)
{
    XR_TRY(xr_str_printf(out, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>", p->left, p->bottom, p->right));
    for (int i = 0; i < p->x.n; i++) {
        double x = at_x(p, p->x.tick[i]);
        XR_TRY(xr_str_printf(out, "<path class=\"axis\" d=\"M%.1f %.1fv4\"/>", x, p->bottom));
        XR_TRY(xr_svg_text(out, x, p->bottom + 17.0, "middle", "number", xr_axis_label(&p->x, p->x.tick[i]).s));
    }
    return xr_svg_text(out, (p->left + p->right) / 2.0, p->bottom + 33.0, "middle", NULL, p->c->x_title);
}

/* ---- curves ---- */

typedef struct pen { const plot *p; const xr_curve *c; xr_str *out; int down; } pen;

static xr_status draw_to(pen *d, size_t i)
{
    if (!is_shown(d->p, d->c, i)) {
        d->down = 0;
        return XR_OK;
    }
    XR_TRY(xr_str_printf(d->out, "%c%.1f %.1f", d->down ? 'L' : 'M', at_x(d->p, d->c->x[i]), at_y(d->p, d->c->y[i])));
    d->down = 1;
    return XR_OK;
}

/* The least and greatest of each stretch, in their order: no peak is lost. */
static xr_status draw_thinned(pen *d)
{
    size_t stretch = d->c->n / (POINTS / 2) + 1;
    XR_TRY(draw_to(d, 0));
    for (size_t i = 1; i + 1 < d->c->n; i += stretch) {
        size_t low = i, high = i;
        for (size_t k = i; k < i + stretch && k + 1 < d->c->n; k++) {
            low = d->c->y[k] < d->c->y[low] || !isfinite(d->c->y[low]) ? k : low;
            high = d->c->y[k] > d->c->y[high] || !isfinite(d->c->y[high]) ? k : high;
        }
        XR_TRY(draw_to(d, low < high ? low : high));
        if (low != high)
            XR_TRY(draw_to(d, low < high ? high : low));
    }
    return draw_to(d, d->c->n - 1);
}

static xr_status put_line(const plot *p, const xr_curve *c, xr_str *out)
{
    pen d = { p, c, out, 0 };
    XR_TRY(xr_str_puts(out, "<path "));
    XR_TRY(xr_svg_class(out, c->style == XR_CURVE_FAINT ? "faint" : "line", c->colour));
    XR_TRY(xr_str_puts(out, " d=\""));
    if (c->n > POINTS)
        XR_TRY(draw_thinned(&d));
    for (size_t i = 0; i < c->n && c->n <= POINTS; i++)
        XR_TRY(draw_to(&d, i));
    return xr_str_puts(out, "\"/>\n");
}

/* Not so many that they hide the line; a point between two gaps would not be seen without. */
static xr_status put_dots(const plot *p, const xr_curve *c, xr_str *out)
{
    enum { MOST = 40 };
    for (size_t i = 0; i < c->n; i++) {
        int alone = (i == 0 || !is_shown(p, c, i - 1)) && (i + 1 == c->n || !is_shown(p, c, i + 1));
        if (!is_shown(p, c, i) || !(alone || (c->style == XR_CURVE_DOTS && c->n <= MOST)))
            continue;
        XR_TRY(xr_str_puts(out, "<circle "));
        XR_TRY(xr_svg_class(out, "dot", c->colour));
        XR_TRY(xr_str_printf(out, " r=\"2.2\" cx=\"%.1f\" cy=\"%.1f\"/>", at_x(p, c->x[i]), at_y(p, c->y[i])));
    }
    return XR_OK;
}

static xr_status put_curves(const plot *p, int faint, xr_str *out)
{
    for (size_t k = 0; k < p->c->n; k++) {
        const xr_curve *c = &p->c->v[k];
        if (c->n == 0 || (c->style == XR_CURVE_FAINT) != faint)
            continue;
        XR_TRY(put_line(p, c, out));
        XR_TRY(put_dots(p, c, out));
    }
    return XR_OK;
}

/* ---- the whole ---- */

/* Names of several curves when they have no room at the ends. */
static xr_status put_key(const plot *p, xr_str *out, double *height)
{
    size_t n = 0;
    xr_svg_key *key = xr_alloc(p->c->n + 1, sizeof *key);
    if (!key)
        return xr_error_status();
    for (size_t k = 0; k < p->c->n && !p->direct; k++)
        if (p->c->v[k].name && p->c->v[k].style != XR_CURVE_FAINT)
            key[n++] = (xr_svg_key){ p->c->v[k].name, p->c->v[k].colour, 0 };
    xr_status status = xr_svg_put_key(out, key, n, 0.0, *p->c->y_title ? ABOVE - 4.0 : 2.0, height);
    xr_free(key);
    return status;
}

static xr_status lay_out(plot *p)
{
    size_t n;
    double key;
    int widest = widest_name(p, &n);
    fit_axes(p);
    p->left = LEFT;
    p->right = XR_SVG_WIDTH - RIGHT;
    find_ends(p);
    p->direct = widest <= LABEL_MOST && n * LABEL_STEP <= PLOT + LABEL_STEP && ends_are_near(p);
    XR_TRY(put_key(p, NULL, &key));
    p->right -= p->direct && n ? widest : 0;
    p->top = (*p->c->y_title ? ABOVE : ABOVE / 2) + key;
    p->bottom = p->top + PLOT;
    find_ends(p);
    p->n_labels = p->direct ? p->n_labels : 0;
    return place_labels(p);
}

static xr_status put_plot(plot *p, xr_str *out)
{
    double key;
    XR_TRY(lay_out(p));
    XR_TRY(xr_svg_open(out, p->c->title, (int)p->bottom + BELOW, p->c->standalone));
    XR_TRY(put_key(p, out, &key));
    XR_TRY(put_y_axis(p, out));
    XR_TRY(put_x_axis(p, out));
    XR_TRY(put_curves(p, 1, out));
    XR_TRY(put_curves(p, 0, out));
    XR_TRY(put_labels(p, out));
    return xr_svg_close(out);
}

xr_status xr_svg_curves(xr_str *out, const xr_curves *c)
{
    plot p = { .c = c, .label = xr_alloc(c->n + 1, sizeof *p.label) };
    xr_status status = p.label ? put_plot(&p, out) : xr_error_status();
    xr_free(p.label);
    return status;
}
