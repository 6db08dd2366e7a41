/* xlmr report: a page about runs, evaluations and sweeps (train/report.c). */
#include "cli/cmd.h"
#include "train/report.h"

static xr_status run(const xr_options *o)
{
    xr_report_counts n;
    XR_TRY(xr_report_write(o, &n));
    if (!o->json)
        return xr_out("%s: %zu run%s, %zu evaluation%s, %.0f kB\n", o->output, n.n_runs, n.n_runs == 1 ? "" : "s", n.n_evaluations,
                      n.n_evaluations == 1 ? "" : "s", (double)n.bytes * 1e-3);
    json_t *j = json_pack("{ss sI sI sI}", "output", o->output, "runs", (json_int_t)n.n_runs, "evaluations", (json_int_t)n.n_evaluations, "bytes",
                          (json_int_t)n.bytes);
    xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "report: out of memory for JSON");
    json_decref(j);
    return status;
}

const xr_cmd xr_cmd_report = {
    "report", XR_V_REPORT, "one HTML page about runs, evaluations and sweeps: curves, tables, worst errors", "RUN|EVAL|SWEEP ...",
    "xlmr report my-run\n"
    "xlmr report my-run my-run/eval --output my-run.html\n"
    "xlmr report my-sweep --output sweep.html\n",
    run,
};
