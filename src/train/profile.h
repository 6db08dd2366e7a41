/* What util/phase.h measured, for people and for logs (--profile). */
#ifndef XR_TRAIN_PROFILE_H
#define XR_TRAIN_PROFILE_H

#include "util/error.h"
#include "util/json.h"
#include "util/phase.h"
#include "util/str.h"

/* Seconds and operations up to some moment, to be taken from those of a later one. */
typedef struct xr_profile {
    xr_phase_row row[XR_PHASE_ROWS];
    size_t n;               /* 0: nothing is measured */
} xr_profile;

void xr_profile_take(xr_profile *p);
/* Adds to a line of timing.jsonl what passed since `last`, and makes that now: "phase_ms", milliseconds a step of every phase, and "phase_gflops" of
 * those whose operations are counted. Nothing when nothing is measured. */
xr_status xr_profile_add(json_t *line, xr_profile *last, double steps);
/* The table: phases by their time, all products with weights together, and all. */
xr_status xr_profile_table(const xr_profile *p, xr_str *out);
/* {"wall_s": …, "peak_rss_mb": …, "phases": [{"phase": "attention", "s": …, "gflop": …}, …]} */
json_t *xr_profile_json(const xr_profile *p);

#endif
