#include "train/report.h"

#include "train/report_parts.h"
#include "util/alloc.h"
#include "util/fs.h"

static xr_status read_all(xr_report *r)
{
    for (size_t i = 0; i < r->o->n_args; i++)
        XR_TRY(xr_report_add(r, r->o->args[i]));
    return xr_report_name_all(r);
}

/* The page must not take the place of what it is about. */
static xr_status check_output(const xr_options *o)
{
    static const char *const part[] = { "config.yaml", "metrics.jsonl", "timing.jsonl", "results.json", "results.tsv", "table.tsv", "errors.jsonl" };
    xr_status status = XR_OK;
    for (size_t i = 0; i < o->n_args; i++)
        for (size_t k = 0; k < sizeof part / sizeof *part && status == XR_OK; k++) {
            char *path = xr_path_join(o->args[i], part[k]);
            status = path ? xr_path_check_output(o->output, path) : xr_error_status();
            xr_free(path);
        }
    return status;
}

static xr_status put_page(const xr_report *r, xr_str *out)
{
    XR_TRY(xr_report_head(r, out));
    for (size_t i = 0; i < r->n_sweeps; i++)
        XR_TRY(xr_report_put_sweep(r, i, out));
    if (r->n_runs > 1)
        XR_TRY(xr_report_compare_runs(r, out));
    if (r->n_evaluations > 1)
        XR_TRY(xr_report_compare_evaluations(r, out));
    for (size_t i = 0; i < r->n_runs; i++)
        XR_TRY(xr_report_put_run(r, i, out));
    for (size_t i = 0; i < r->n_evaluations; i++)
        XR_TRY(xr_report_put_evaluation(r, i, out));
    return xr_report_foot(out);
}

xr_status xr_report_write(const xr_options *o, xr_report_counts *counts)
{
    xr_report r = { .o = o };
    xr_str page = { 0 };
    XR_TRY(check_output(o));
    xr_status status = o->n_args ? read_all(&r)
                                 : xr_fail(XR_EUSAGE, "nothing to report on; name run directories, those of sweeps, or what evaluate --output-dir wrote");
    if (status == XR_OK)
        status = put_page(&r, &page);
    if (status == XR_OK)
        status = xr_file_write(o->output, page.s, page.len);
    *counts = (xr_report_counts){ r.n_runs, r.n_evaluations, page.len };
    xr_str_free(&page);
    xr_report_free(&r);
    return status;
}
