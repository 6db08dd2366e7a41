#include "cli/watch.h"

#include <stdio.h>

#include "cli/signals.h"

void xr_watch_end(xr_watch *w)
{
    if (w->shown)
        xr_progress_end(&w->bar);
    w->shown = 0;
}

void xr_watch_start(xr_watch *w, const char *name, const char *unit, uint64_t total, uint64_t done)
{
    xr_watch_end(w);
    xr_progress_start(&w->bar, name, unit, total, done, w->quiet);
    w->shown = 1;
}

static void on_begin(void *context, uint64_t done, uint64_t total_steps)
{
    xr_watch *w = context;
    xr_watch_start(w, w->name, "step", total_steps, done);
}

static void on_step(void *context, uint64_t step, double loss, const xr_pace *pace)
{
    xr_watch *w = context;
    char share[32] = "";
    if (pace->gemm_share > 0.0)
        snprintf(share, sizeof share, " (%.0f %%)", 100.0 * pace->gemm_share);
    xr_progress_postfix(&w->bar, "loss=%.4f, %.0f tokens/s, %.0f GFLOP/s%s", loss, pace->tokens_per_s, pace->gflops, share);
    xr_progress_update(&w->bar, step);
}

static void on_evaluating(void *context, size_t done, size_t total)
{
    xr_watch *w = context;
    if (!w->shown)
        return;
    xr_progress_postfix(&w->bar, "evaluating %zu/%zu", done, total);
    xr_progress_update(&w->bar, w->bar.done);
}

int xr_watch_stop(void *context)
{
    (void)context;
    return xr_signals_asked();
}

xr_loop_hooks xr_watch_hooks(xr_watch *w)
{
    return (xr_loop_hooks){ w, on_begin, on_step, on_evaluating, xr_watch_stop };
}
