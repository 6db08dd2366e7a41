/* How a training run looks from outside: the hooks of its loop (train/loop.h) on a progress line, with signals as the request to stop. */
#ifndef XR_CLI_WATCH_H
#define XR_CLI_WATCH_H

#include "cli/progress.h"
#include "train/loop.h"

typedef struct xr_watch {
    xr_progress bar;
    const char *name;       /* "finetune" */
    int quiet, shown;
} xr_watch;

xr_loop_hooks xr_watch_hooks(xr_watch *w);
/* A line of its own in place of the one before: what comes before training has one, too. */
void xr_watch_start(xr_watch *w, const char *name, const char *unit, uint64_t total, uint64_t done);
int xr_watch_stop(void *context);
void xr_watch_end(xr_watch *w);

#endif
