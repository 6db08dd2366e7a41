/* Head and end of the page and its style: for a wide window, a phone and paper; for light and dark. */
#include <string.h>

#include "train/report_parts.h"

/* In pieces, since a compiler need not take strings of more than 4,095 bytes. */
static const char *const style[] = {
    ":root{color-scheme:light dark;--paper:#fff;--ink:#1b1e22;--soft:#5b626b;--rule:#dde1e6;--wash:#f4f6f8;--accent:#0072b2;--bad:#b3261e;"
    "--good:#00725a}\n"
    "*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}\n"
    "body{margin:0 auto;max-width:68rem;padding:2rem 1.25rem 4rem;background:var(--paper);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif}\n"
    "h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem}h2{font-size:1.3rem;line-height:1.25;margin:3rem 0 .3rem;padding-top:1rem;"
    "border-top:1px solid var(--rule)}"
    "h3{font-size:1.02rem;margin:2rem 0 .6rem}h1,h2,h3,p,li{overflow-wrap:anywhere}\n"
    "p{margin:.4rem 0}.soft{color:var(--soft)}a{color:var(--accent)}ul.contents{margin:.8rem 0 0;padding:0;list-style:none;columns:18rem}"
    "code,pre{font:13px/1.45 ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.7rem;margin:1.1rem 0}"
    ".cards div{background:var(--wash);border-radius:6px;padding:.6rem .8rem .7rem}"
    ".cards span{display:block;font-size:.8rem;line-height:1.35;color:var(--soft)}"
    ".cards b{display:block;font-size:1.25rem;line-height:1.3;font-weight:600;overflow-wrap:anywhere}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1.4rem 2rem;margin:1.2rem 0}"
    ".charts>.scroll{margin:1.6rem 0 0}figure{margin:0;max-width:33rem;min-width:0}figcaption{font-weight:600;margin-bottom:.35rem}"
    ".chart{display:block;width:100%;height:auto}\n"
    ".scroll{overflow-x:auto;max-width:100%;margin:.6rem 0}table{border-collapse:collapse;font-size:.9rem}"
    "th,td{padding:.28rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--rule)}th{font-weight:600;color:var(--soft)}"
    "thead th{vertical-align:bottom;border-bottom:1px solid var(--soft)}th:first-child,td:first-child{padding-left:0}"
    ".n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}tbody tr.sum td,tbody tr.sum th{font-weight:600;color:var(--ink)}\n"
    ".chip{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.45em;background:currentColor;vertical-align:-.05em}\n"
    ".notes{border-left:3px solid #d08a00;background:var(--wash);padding:.5rem .9rem;margin:1rem 0}.notes p{margin:.1rem 0}\n"
    ".matrices{display:flex;flex-wrap:wrap;gap:.6rem 1.6rem}.matrices>div{max-width:100%;min-width:0}"
    ".matrix{font-size:.82rem}.matrix td{text-align:right;font-variant-numeric:tabular-nums;min-width:3.2rem;border:1px solid var(--paper)}"
    ".matrix th,.matrix td:first-child{padding:.28rem .5rem}"
    ".matrix td.dark{color:#fff}.matrix caption{text-align:left;font-weight:600;padding-bottom:.25rem}.matrix tbody th{text-align:right}\n"
    ".error{border-top:1px solid var(--rule);padding:.6rem 0 .7rem}.error p{margin:.15rem 0}.error .said{font-size:.85rem;color:var(--soft)}"
    ".error .text{display:block;white-space:pre-wrap;overflow-wrap:anywhere}"
    ".error .key{font-size:.75rem;color:var(--soft);display:block;margin-top:.2rem}"
    ".gold{color:var(--good);font-weight:600}.wrong{color:var(--bad);font-weight:600}"
    ".word{display:inline-block;margin:0;margin-block-end:.25em;margin-inline-end:.35em;vertical-align:top}"
    ".word small{display:block;font-size:.72rem;line-height:1.25}\n",
    "details{margin:.7rem 0}summary{cursor:pointer;font-weight:600}"
    "details pre{overflow-x:auto;background:var(--wash);border-radius:6px;padding:.8rem 1rem;margin:.6rem 0}"
    "pre.command{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--wash);border-radius:6px;padding:.8rem 1rem;margin:.6rem 0}\n"
    "footer{margin-top:3rem;padding-top:.8rem;border-top:1px solid var(--rule);font-size:.85rem;color:var(--soft)}\n"
    "@media (max-width:40rem){body{padding:1.2rem 1rem 3rem}h1{font-size:1.4rem}h2{font-size:1.15rem}"
    ".cards{grid-template-columns:repeat(auto-fill,minmax(8.2rem,1fr));gap:.5rem}"
    ".cards b{font-size:1.08rem}th,td{padding:.28rem .5rem}}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--paper:#15181c;--ink:#e8eaed;--soft:#a9b0b9;--rule:#33383f;--wash:#1e2227;"
    "--accent:#5ab4f0;--bad:#ff8a80;--good:#4fd1ab}}\n"
    "@media print{.charts>.scroll{grid-column:1/-1}.matrix{font-size:.72rem}"
    "@page{margin:14mm 12mm}body{max-width:none;padding:0;font-size:10.5pt}h2,h3,figcaption,summary{break-after:avoid}"
    "figure,tr,.error,.cards div,.matrices>div{break-inside:avoid}"
    ".charts{grid-template-columns:1fr 1fr;gap:1rem 1.4rem}.scroll{overflow:visible}ul.contents{display:none}"
    ".cards div,.matrix td,.chip,.notes,pre{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "details::details-content{content-visibility:visible;block-size:auto}details pre{white-space:pre-wrap}summary{list-style:none}}\n"
};

int xr_report_is_single(const xr_report *r) { return r->n_sweeps == 0 && r->n_runs + r->n_evaluations == 1; }

static xr_status put_title(const xr_report *r, xr_str *out)
{
    if (xr_report_is_single(r)) {
        int run = r->n_runs > 0;
        return xr_markup_put(out, "%s: %s", run ? xr_report_kind(r->run) : "Evaluation", run ? r->run->name : r->evaluation->name);
    }
    if (r->n_sweeps == 1 && r->n_evaluations == 0)
        return xr_markup_put(out, "Sweep: %s", r->sweep->name);
    if (r->n_runs)
        XR_TRY(xr_str_printf(out, "%zu run%s", r->n_runs, r->n_runs == 1 ? "" : "s"));
    if (r->n_evaluations)
        XR_TRY(xr_str_printf(out, "%s%zu evaluation%s", r->n_runs ? " and " : "", r->n_evaluations, r->n_evaluations == 1 ? "" : "s"));
    return XR_OK;
}

static xr_status put_contents(const xr_report *r, xr_str *out)
{
    if (xr_report_is_single(r))
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<ul class=\"contents\">\n"));
    for (size_t i = 0; i < r->n_sweeps; i++) {
        XR_TRY(xr_str_printf(out, "<li><a href=\"#sweep%zu\">", i + 1));
        XR_TRY(xr_markup_put(out, "<bdi>%s</bdi></a> <span class=\"soft\">Sweep</span></li>\n", r->sweep[i].name));
    }
    for (size_t i = 0; i < r->n_runs; i++) {
        XR_TRY(xr_str_printf(out, "<li><a href=\"#run%zu\">", i + 1));
        XR_TRY(xr_markup_put(out, "<bdi>%s</bdi></a> <span class=\"soft\">%s</span></li>\n", r->run[i].name, xr_report_kind(&r->run[i])));
    }
    for (size_t i = 0; i < r->n_evaluations; i++) {
        XR_TRY(xr_str_printf(out, "<li><a href=\"#evaluation%zu\">", i + 1));
        XR_TRY(xr_markup_put(out, "<bdi>%s</bdi></a> <span class=\"soft\">Evaluation</span></li>\n", r->evaluation[i].name));
    }
    return xr_str_puts(out, "</ul>\n");
}

/* The policy forbids whatever is not in the page itself. */
static xr_status put_head(const xr_report *r, const char *title, xr_str *out)
{
    XR_TRY(xr_markup_put(out, "<!DOCTYPE html>\n<html xmlns=\"http://www.w3.org/1999/xhtml\" lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
                         "<meta name=\"generator\" content=\"xlmr %s\"/>\n<title>%h</title>\n<style>\n", XR_VERSION, title));
    for (size_t i = 0; i < sizeof style / sizeof *style; i++)
        XR_TRY(xr_str_puts(out, style[i]));
    XR_TRY(xr_svg_style(out));
    XR_TRY(xr_markup_put(out, "</style>\n</head>\n<body>\n<header>\n<h1>%h</h1>\n", title));
    XR_TRY(put_contents(r, out));
    return xr_str_puts(out, "</header>\n<main>\n");
}

xr_status xr_report_head(const xr_report *r, xr_str *out)
{
    xr_str title = { 0 };
    xr_status status = put_title(r, &title);
    if (status == XR_OK)
        status = put_head(r, title.s, out);
    xr_str_free(&title);
    return status;
}

xr_status xr_report_foot(xr_str *out)
{
    return xr_markup_put(out, "</main>\n<footer>Written by xlmr %s (xlmr report). The page needs no network and holds no scripts.</footer>\n</body>\n</html>\n",
                         XR_VERSION);
}

xr_status xr_report_card(xr_str *out, const char *label, const char *value, const char *more)
{
    XR_TRY(xr_markup_put(out, "<div><span>%s</span><b><bdi>%s</bdi></b>", label, value));
    XR_TRY(more && *more ? xr_markup_put(out, "<span>%s</span>", more) : XR_OK);
    return xr_str_puts(out, "</div>\n");
}

xr_status xr_report_notes(xr_str *out, const xr_str *notes)
{
    if (!notes->len)
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<div class=\"notes\">\n"));
    for (const char *line = notes->s; *line;) {
        size_t n = strcspn(line, "\n");
        XR_TRY(xr_str_puts(out, "<p>"));
        XR_TRY(xr_markup_text(out, line, n));
        XR_TRY(xr_str_puts(out, "</p>\n"));
        line += n + (line[n] == '\n');
    }
    return xr_str_puts(out, "</div>\n");
}

xr_status xr_report_figure(xr_str *out, const char *caption, const xr_str *svg)
{
    return xr_markup_put(out, "<figure><figcaption>%s</figcaption>\n%h</figure>\n", caption, svg->s);
}

xr_status xr_report_listing(xr_str *out, const char *title, const char *text)
{
    if (!text || !*text)
        return XR_OK;
    return xr_markup_put(out, "<details><summary>%s</summary><pre>%s</pre></details>\n", title, text);
}

xr_status xr_report_cell(xr_str *out, const char *number)
{
    return xr_markup_put(out, "<td class=\"n\">%s</td>", number ? number : "-");
}
