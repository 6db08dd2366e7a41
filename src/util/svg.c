#include "util/svg_parts.h"

#include <string.h>

#include "util/markup.h"
#include "util/utf8.h"

/* After Okabe and Ito; amber and sky are darker than theirs, so that thin lines show on white. */
static const char *const light[XR_SVG_COLOURS] = { "#0072b2", "#d55e00", "#00896a", "#a3429a", "#b07d00", "#3f97cf", "#6b6b6b" };
static const char *const dark[XR_SVG_COLOURS] = { "#5ab4f0", "#ff8b45", "#2fc79c", "#e08ad8", "#e6b422", "#9ad4fb", "#b4b4b4" };

static xr_status put_colours(xr_str *out, const char *const *colour)
{
    for (int i = 0; i < XR_SVG_COLOURS; i++)
        XR_TRY(xr_str_printf(out, ".c%d{color:%s}", i, colour[i]));
    return XR_OK;
}

xr_status xr_svg_style(xr_str *out)
{
    XR_TRY(put_colours(out, light));
    XR_TRY(xr_str_puts(out, "\n"
        ".chart text{font:12px system-ui,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;fill:#5b626b}"
        ".chart .name{fill:#1b1e22}.chart .small{font-size:10.5px}.chart .number{font-variant-numeric:tabular-nums}\n"
        ".line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}"
        ".faint{fill:none;stroke:currentColor;stroke-width:1;stroke-opacity:.5;stroke-linejoin:round}"
        ".dash1{stroke-dasharray:6 3}.dash2{stroke-dasharray:2 3}\n"
        ".dot,.bar{fill:currentColor;stroke:none}.lead{fill:none;stroke:#b4bac2;stroke-width:.7}"
        ".grid{fill:none;stroke:#e3e6ea;stroke-width:1}.axis{fill:none;stroke:#8d949d;stroke-width:1}"
        ".mark{fill:none;stroke:#1b1e22;stroke-width:2.2}.span{fill:none;stroke:#1b1e22;stroke-width:1}\n"
        "@media screen and (prefers-color-scheme:dark){.chart text{fill:#a9b0b9}.chart .name{fill:#e8eaed}.grid{stroke:#33383f}"
        ".axis{stroke:#7d848d}.lead{stroke:#59606a}.mark,.span{stroke:#f0f2f4}\n"));
    XR_TRY(put_colours(out, dark));
    return xr_str_puts(out, "}\n");
}

xr_status xr_svg_open(xr_str *out, const char *title, int height, int standalone)
{
    XR_TRY(xr_str_printf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" role=\"img\" viewBox=\"0 0 %d %d\"", XR_SVG_WIDTH, height));
    XR_TRY(standalone ? xr_str_printf(out, " width=\"%d\" height=\"%d\"", XR_SVG_WIDTH, height) : XR_OK);
    XR_TRY(xr_markup_put(out, "><title>%s</title>\n", title));
    if (!standalone)
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<style>"));
    XR_TRY(xr_svg_style(out));
    return xr_str_puts(out, "</style>\n");
}

xr_status xr_svg_close(xr_str *out)
{
    return xr_str_puts(out, "</svg>\n");
}

xr_status xr_svg_text(xr_str *out, double x, double y, const char *anchor, const char *class, const char *text)
{
    XR_TRY(xr_str_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"", x, y, anchor));
    XR_TRY(class ? xr_str_printf(out, " class=\"%s\"", class) : XR_OK);
    return xr_markup_put(out, ">%s</text>\n", text);
}

int xr_svg_text_width(const char *text)
{
    double width = 0.0;
    for (size_t i = 0, size, n = strlen(text); i < n; i += size)
        width += xr_utf8_decode(text + i, n - i, &size) >= 0x1100 ? 12.0 : strchr("ijlt.,:-/ ", text[i]) ? 4.5 : 6.9;
    return (int)width + 1;
}

xr_status xr_svg_class(xr_str *out, const char *what, int colour)
{
    static const char *const dash[] = { "", " dash1", " dash2" };
    return xr_str_printf(out, "class=\"%s c%d%s\"", what, colour % XR_SVG_COLOURS, dash[colour / XR_SVG_COLOURS % 3]);
}

static xr_status put_swatch(xr_str *out, const xr_svg_key *key, double x, double y)
{
    if (key->mark)
        return xr_str_printf(out, "<path class=\"mark\" d=\"M%.1f %.1fv9\"/>", x + 9.0, y - 8.5);
    XR_TRY(xr_str_puts(out, "<path "));
    XR_TRY(xr_svg_class(out, "line", key->colour));
    return xr_str_printf(out, " style=\"stroke-width:3\" d=\"M%.1f %.1fh14\"/>", x + 2.0, y - 4.0);
}

xr_status xr_svg_put_key(xr_str *out, const xr_svg_key *v, size_t n, double left, double top, double *height)
{
    enum { SWATCH = 22, GAP = 14 };
    double x = left, y = top + 11.0;
    for (size_t i = 0; i < n; i++) {
        double width = SWATCH + xr_svg_text_width(v[i].name);
        if (x > left && x + width > XR_SVG_WIDTH) {
            x = left;
            y += XR_SVG_LINE + 2;
        }
        if (out) {
            XR_TRY(put_swatch(out, &v[i], x, y));
            XR_TRY(xr_svg_text(out, x + SWATCH, y, "start", "name", v[i].name));
        }
        x += width + GAP;
    }
    *height = n ? y - top + 8.0 : 0.0;
    return XR_OK;
}
