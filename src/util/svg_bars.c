/* Bars by group: figures per language, of one or several models, beside what was published. */
#include <math.h>

#include "util/alloc.h"
#include "util/svg_parts.h"

enum { GROUP_GAP = 7, BELOW = 38, NUMBER = 42, NAME_MOST = 130 };

typedef struct plot {
    const xr_bars *b;
    xr_axis x;
    double left, right, top, thick, pitch;      /* of a bar; from a group to the next */
} plot;

static double at(const plot *p, double value)
{
    return p->left + (p->right - p->left) * xr_axis_at(&p->x, value);
}

static double value_of(const double *v, size_t i)
{
    return v ? v[i] : (double)NAN;
}

static void fit_axis(plot *p)
{
    const xr_bars *b = p->b;
    double lo = 0.0, hi = b->most;
    for (size_t i = 0; i < b->n_groups * b->n_series; i++) {
        hi = fmax(hi, fmax(b->value[i], value_of(b->high, i)));         /* fmax leaves out NaN */
        lo = fmin(lo, fmin(b->value[i], value_of(b->low, i)));
    }
    for (size_t g = 0; g < b->n_groups; g++)
        hi = fmax(hi, value_of(b->mark, g));
    xr_axis_fit(&p->x, XR_AXIS_ROUND, lo, hi > lo ? hi : lo + 1.0, 5);
}

static void lay_out(plot *p)
{
    int widest = 0;
    for (size_t g = 0; g < p->b->n_groups; g++) {
        int width = xr_svg_text_width(p->b->group[g]);
        widest = width > widest ? width : widest;
    }
    p->left = (widest > NAME_MOST ? NAME_MOST : widest) + 10.0;
    p->right = XR_SVG_WIDTH - NUMBER;
    p->thick = p->b->n_series == 1 ? 13.0 : 10.0;
    p->pitch = p->thick * (double)p->b->n_series + GROUP_GAP;
    fit_axis(p);
}

static xr_status put_axis(const plot *p, xr_str *out)
{
    double bottom = p->top + p->pitch * (double)p->b->n_groups;
    for (int i = 0; i < p->x.n; i++) {
        double x = at(p, p->x.tick[i]);
        XR_TRY(xr_str_printf(out, "<path class=\"%s\" d=\"M%.1f %.1fV%.1f\"/>", p->x.tick[i] == 0.0 ? "axis" : "grid", x, p->top, bottom + 4.0));
        XR_TRY(xr_svg_text(out, x, bottom + 18.0, "middle", "number", xr_axis_label(&p->x, p->x.tick[i]).s));
    }
    return xr_svg_text(out, (p->left + p->right) / 2.0, bottom + 34.0, "middle", NULL, p->b->x_title);
}

static xr_status put_span(const plot *p, size_t i, double y, xr_str *out)
{
    double low = value_of(p->b->low, i), high = value_of(p->b->high, i);
    if (!isfinite(low) || !isfinite(high))
        return XR_OK;
    return xr_str_printf(out, "<path class=\"span\" d=\"M%.1f %.1fv4m0 -2H%.1fm0 -2v4\"/>", at(p, low), y - 2.0, at(p, high));
}

static xr_status put_bar(const plot *p, size_t g, size_t k, xr_str *out)
{
    size_t i = g * p->b->n_series + k;
    double y = p->top + p->pitch * (double)g + GROUP_GAP / 2.0 + p->thick * (double)k, value = p->b->value[i];
    double from = at(p, fmin(value, 0.0)), to = at(p, fmax(value, 0.0));
    if (isfinite(value)) {
        XR_TRY(xr_str_puts(out, "<rect "));
        XR_TRY(xr_svg_class(out, "bar", (int)k));
        XR_TRY(xr_str_printf(out, " x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", from, y + 0.5, to - from, p->thick - 1.0));
        XR_TRY(put_span(p, i, y + p->thick / 2.0, out));
    } else if (p->b->n_series > 1) {
        return XR_OK;
    }
    return xr_svg_text(out, XR_SVG_WIDTH, y + p->thick / 2.0 + 4.0, "end", p->b->n_series > 1 ? "small number" : "number",
                       xr_number_fixed(value, p->b->decimals).s);
}

static xr_status put_group(const plot *p, size_t g, xr_str *out)
{
    double top = p->top + p->pitch * (double)g, mark = value_of(p->b->mark, g);
    XR_TRY(xr_svg_text(out, p->left - 8.0, top + p->pitch / 2.0 + 4.0, "end", "name", p->b->group[g]));
    for (size_t k = 0; k < p->b->n_series; k++)
        XR_TRY(put_bar(p, g, k, out));
    return isfinite(mark) ? xr_str_printf(out, "<path class=\"mark\" d=\"M%.1f %.1fv%.1f\"/>\n", at(p, mark), top + 1.5, p->pitch - 3.0) : XR_OK;
}

static xr_status put_key(const plot *p, xr_str *out, double *height)
{
    size_t n = 0;
    xr_svg_key *key = xr_alloc(p->b->n_series + 1, sizeof *key);
    if (!key)
        return xr_error_status();
    for (size_t k = 0; k < p->b->n_series && p->b->n_series > 1; k++)
        key[n++] = (xr_svg_key){ p->b->series[k], (int)k, 0 };
    if (p->b->mark)
        key[n++] = (xr_svg_key){ p->b->mark_name, 0, 1 };
    xr_status status = xr_svg_put_key(out, key, n, 0.0, 2.0, height);
    xr_free(key);
    return status;
}

xr_status xr_svg_bars(xr_str *out, const xr_bars *b)
{
    plot p = { .b = b };
    double key;
    lay_out(&p);
    XR_TRY(put_key(&p, NULL, &key));
    p.top = 4.0 + key;
    XR_TRY(xr_svg_open(out, b->title, (int)(p.top + p.pitch * (double)b->n_groups) + BELOW, b->standalone));
    XR_TRY(put_key(&p, out, &key));
    XR_TRY(put_axis(&p, out));
    for (size_t g = 0; g < b->n_groups; g++)
        XR_TRY(put_group(&p, g, out));
    return xr_svg_close(out);
}
