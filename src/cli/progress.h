/* A progress line on standard error, in tqdm's form:
 *
 *   finetune  42%|########            |  420/1000 [01:10<01:37,  6.0 step/s, loss=0.531, acc=0.78]
 *
 * On a terminal it is redrawn, at most 10 times a second; elsewhere one plain line comes every `interval` seconds and
 * one at the end. Nothing with quiet. Notes and warnings printed meanwhile (through util/log.h) do not tear the bar. */
#ifndef XR_CLI_PROGRESS_H
#define XR_CLI_PROGRESS_H

#include <stddef.h>
#include <stdint.h>

typedef struct xr_progress {
    const char *name, *unit;    /* borrowed: "finetune", "step" */
    uint64_t total, done, first;/* first: where this run began, for the rate */
    double start, last;         /* seconds of the monotonic clock */
    double interval;            /* between plain lines */
    int mode;                   /* 0 silent, 1 lines, 2 terminal */
    char postfix[160];
} xr_progress;

/* total = 0: unknown (count, elapsed and rate only). `first` units were done before. */
void xr_progress_start(xr_progress *p, const char *name, const char *unit, uint64_t total, uint64_t first, int quiet);
/* What stands behind the rate: "loss=0.531". Shown with the next update. */
void xr_progress_postfix(xr_progress *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
void xr_progress_update(xr_progress *p, uint64_t done);
void xr_progress_end(xr_progress *p);       /* leaves the last state on the screen */

/* For the log sink: removes the bar being shown, if any; it comes back with the next update. */
void xr_progress_hide(void);
/* The line without control characters, as it would be printed `now` (tests). */
void xr_progress_format(const xr_progress *p, double now, int columns, char *out, size_t size);

#endif
