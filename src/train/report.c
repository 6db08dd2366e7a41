#include "train/report.h"

#include "train/report_parts.h"
#include "util/fs.h"

static xr_status read_all(xr_report *r)
{
    for (size_t i = 0; i < r->o->n_args; i++)
        XR_TRY(xr_report_add(r, r->o->args[i]));
    return xr_report_name_all(r);
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
