/* The two logs of a run: metrics.jsonl holds reproducible values only, so that two equal runs write equal bytes; timing.jsonl holds
 * times, rates and memory. One JSON object a line. */
#ifndef XR_TRAIN_RUNLOG_H
#define XR_TRAIN_RUNLOG_H

#include <stdint.h>
#include "util/error.h"
#include "train/profile.h"
#include "train/tensorboard.h"
#include "util/clock.h"
#include "util/json.h"

typedef struct xr_runlog_file {
    int fd;                         /* every line is one write at its end */
    char *path;                     /* NULL unless open */
    int doubtful;                   /* an fsync has failed */
} xr_runlog_file;

typedef struct xr_runlog {
    xr_runlog_file metrics, timing;
    xr_tensorboard board;           /* the same once more, if asked for */
    double start, last;             /* monotonic seconds */
    double gemm_gflops;             /* of the machine, as measured; 0: it was not */
    xr_profile phases;              /* at `last` */
} xr_runlog;

xr_status xr_runlog_open(xr_runlog *l, const char *run_dir);
/* Goes on with the logs of a run: metrics.jsonl is cut back to `metrics_bytes`, timing.jsonl behind the lines of `step`. What is no whole line there, as
 * a disk without power may leave it, goes with all behind it; where that is before `metrics_bytes`, a warning says so. */
xr_status xr_runlog_resume(xr_runlog *l, const char *run_dir, uint64_t metrics_bytes, uint64_t step);
/* The same in the middle of a run that goes back to a checkpoint. */
xr_status xr_runlog_cut(xr_runlog *l, uint64_t metrics_bytes, uint64_t step);
/* From here every line also goes to TensorBoard, into a new file in RUN/tensorboard. go_on: the run went on from a checkpoint after `step`; what the
 * logs have kept of that step, or all of it when the folder is new, is written again. */
xr_status xr_runlog_tensorboard(xr_runlog *l, const char *run_dir, int go_on, uint64_t step);
/* fsync of both; *metrics_bytes receives the length of metrics.jsonl. */
xr_status xr_runlog_sync(xr_runlog *l, uint64_t *metrics_bytes);
xr_status xr_runlog_close(xr_runlog *l);            /* fine on a log that was never opened */
/* Writes one line; takes the reference to `line`. */
xr_status xr_runlog_metrics(xr_runlog *l, json_t *line);
/* Rates since the previous call. gemm_share is written when the machine's rate is known. */
xr_status xr_runlog_timing(xr_runlog *l, uint64_t step, uint64_t steps, uint64_t tokens, double flops);

json_t *xr_json_number(double x);                   /* a real, or "nan" / "inf" as strings, which JSON has no numbers for */
double xr_rss_mb(int peak);                         /* resident memory now, or its high-water mark, in MiB; 0 if unknown */

#endif
