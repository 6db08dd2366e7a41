/* What lies at a path: the things that inspect and verify know. A sweep is many of them: only verify looks at it as a whole. */
#ifndef XR_TRAIN_ARTEFACT_H
#define XR_TRAIN_ARTEFACT_H

#include "train/options.h"

typedef enum xr_artefact { XR_ART_RUN, XR_ART_CHECKPOINT, XR_ART_STORE, XR_ART_MODEL, XR_ART_H5, XR_ART_SAFETENSORS, XR_ART_SWEEP } xr_artefact;

/* By what is there, damaged or incomplete as it may be. XR_ENOINPUT when nothing is, XR_EDATA when it is none of these; of what evaluate wrote the message
 * says what to give in its place. */
xr_status xr_artefact_find(const char *path, xr_artefact *kind);
const char *xr_artefact_name(xr_artefact kind);     /* "run directory", "checkpoint", … */

/* The folders of a sweep's runs, sorted. Caller frees, on failure too. */
typedef struct xr_sweep_runs { char **path; size_t n, cap; } xr_sweep_runs;
xr_status xr_sweep_runs_find(const char *sweep, xr_sweep_runs *r);
void xr_sweep_runs_free(xr_sweep_runs *r);

/* The options of the run in `run`, of its config.yaml, whose first line says which command wrote it. On failure o is still to be freed. */
xr_status xr_run_options(const char *run, xr_options *o);
/* RUN of RUN/checkpoints/step-…, by its real name; NULL, without an error, when `checkpoint` does not lie in one. Caller frees. */
char *xr_run_of_checkpoint(const char *checkpoint);
/* A path that the options of the run in `run` name: a relative one is meant from where the run was started, which is where its output directory, if
 * relative, begins; when that leads nowhere, from here. XR_ENOINPUT when neither is there. Caller frees. */
char *xr_run_input(const char *run, const xr_options *o, const char *path);

#endif
