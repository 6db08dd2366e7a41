#include "train/profile.h"

#include <stdlib.h>
#include <string.h>

#include "train/runlog.h"

void xr_profile_take(xr_profile *p)
{
    p->n = xr_phases(p->row);
}

static double gflops(double work, double seconds) { return seconds > 0.0 ? work * 1e-9 / seconds : 0.0; }

/* Rows of `last` come first in `now` too: shapes are only added. */
static xr_status add_rows(json_t *ms, json_t *rate, const xr_profile *now, const xr_profile *last, double steps)
{
    for (size_t r = 0; r < now->n; r++) {
        const xr_phase_row *row = &now->row[r];
        double seconds = row->seconds - (r < last->n ? last->row[r].seconds : 0.0), work = row->work - (r < last->n ? last->row[r].work : 0.0);
        if (seconds <= 0.0)
            continue;
        if (json_object_set_new(ms, row->name, json_real(1e3 * seconds / steps)) < 0 ||
            (work > 0.0 && json_object_set_new(rate, row->name, json_real(gflops(work, seconds))) < 0))
            return xr_fail(XR_ESYSTEM, "no memory for the phases of a step");
    }
    return XR_OK;
}

xr_status xr_profile_add(json_t *line, xr_profile *last, double steps)
{
    xr_profile now;
    xr_profile_take(&now);
    if (now.n == 0)
        return XR_OK;
    json_t *ms = json_object(), *rate = json_object();
    xr_status status = add_rows(ms, rate, &now, last, steps > 0.0 ? steps : 1.0);
    int bad = json_object_set_new(line, "phase_ms", ms) < 0;
    bad |= json_object_set_new(line, "phase_gflops", rate) < 0;
    *last = now;
    return bad && status == XR_OK ? xr_fail(XR_ESYSTEM, "no memory for the phases of a step") : status;
}

static int by_seconds(const void *a, const void *b)
{
    const xr_phase_row *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static xr_status put_row(xr_str *out, const xr_phase_row *row, double whole)
{
    XR_TRY(xr_str_printf(out, "%-34s %10.3f %7.1f %%", row->name, row->seconds, whole > 0.0 ? 100.0 * row->seconds / whole : 0.0));
    return row->work > 0.0 ? xr_str_printf(out, " %9.1f\n", gflops(row->work, row->seconds)) : xr_str_puts(out, "\n");
}

static void add(xr_phase_row *sum, const xr_phase_row *row)
{
    sum->seconds += row->seconds;
    sum->work += row->work;
}

xr_status xr_profile_table(const xr_profile *p, xr_str *out)
{
    xr_profile sorted = *p;
    xr_phase_row products = { .name = "products with weights together" }, all = { .name = "all" };
    for (size_t r = 0; r < p->n; r++) {
        add(&all, &p->row[r]);
        if (r >= XR_PHASE_PRODUCTS)
            add(&products, &p->row[r]);
    }
    qsort(sorted.row, sorted.n, sizeof *sorted.row, by_seconds);
    XR_TRY(xr_str_printf(out, "%-34s %10s %9s %9s\n", "where the time went", "seconds", "share", "GFLOP/s"));
    for (size_t r = 0; r < sorted.n && sorted.row[r].seconds > 0.0; r++)
        XR_TRY(put_row(out, &sorted.row[r], all.seconds));
    XR_TRY(put_row(out, &products, all.seconds));
    return put_row(out, &all, all.seconds);
}

json_t *xr_profile_json(const xr_profile *p)
{
    double whole = 0.0;
    json_t *rows = json_array(), *all;
    for (size_t r = 0; r < p->n; r++) {
        const xr_phase_row *row = &p->row[r];
        whole += row->seconds;
        if (row->seconds > 0.0)
            json_array_append_new(rows, json_pack("{ss sf sf}", "phase", row->name, "s", row->seconds, "gflop", row->work * 1e-9));
    }
    all = json_pack("{sf sf so}", "wall_s", whole, "peak_rss_mb", xr_rss_mb(1), "phases", rows);
    if (!all)
        xr_fail(XR_ESYSTEM, "no memory for the phases of the run");
    return all;
}
