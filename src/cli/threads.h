#ifndef XR_CLI_THREADS_H
#define XR_CLI_THREADS_H

#include "train/options.h"

/* How many threads: --threads, or OMP_NUM_THREADS, or as many as there are processors that the process may use and that its control group pays for.
 * Verbs that compute are told here, before they begin, what would end them in the middle: threads that the system refuses, and stacks too small. */
xr_status xr_threads_start(const xr_options *o);

#endif
