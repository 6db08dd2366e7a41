/* One HTML page about runs, evaluations and sweeps: what `xlmr report` writes. It needs nothing but itself: no scripts, fonts or images from elsewhere.
 *
 * Directories are taken as they are, also those of a run that is not finished or was killed; the page says what is missing. The same
 * directories give the same bytes. */
#ifndef XR_TRAIN_REPORT_H
#define XR_TRAIN_REPORT_H

#include "train/options.h"

typedef struct xr_report_counts { size_t n_runs, n_evaluations, bytes; } xr_report_counts;

/* The page about the directories in o->args, written to o->output. */
xr_status xr_report_write(const xr_options *o, xr_report_counts *counts);

#endif
