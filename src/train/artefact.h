/* What lies at a path: the things that inspect and verify know. */
#ifndef XR_TRAIN_ARTEFACT_H
#define XR_TRAIN_ARTEFACT_H

#include "train/options.h"

typedef enum xr_artefact { XR_ART_RUN, XR_ART_CHECKPOINT, XR_ART_STORE, XR_ART_MODEL, XR_ART_H5, XR_ART_SAFETENSORS } xr_artefact;

/* By what is there, damaged or incomplete as it may be. XR_ENOINPUT when nothing is, XR_EDATA when it is none of these. */
xr_status xr_artefact_find(const char *path, xr_artefact *kind);
const char *xr_artefact_name(xr_artefact kind);     /* "run directory", "checkpoint", … */

/* The options of the run in `run`, of its config.yaml, whose first line says which command wrote it. On failure o is still to be freed. */
xr_status xr_run_options(const char *run, xr_options *o);
/* RUN of RUN/checkpoints/step-…, by its real name; NULL, without an error, when `checkpoint` does not lie in one. Caller frees. */
char *xr_run_of_checkpoint(const char *checkpoint);
/* A path that the options of the run in `run` name: a relative one is meant from where the run was started, which is where its output directory, if
 * relative, begins; when that leads nowhere, from here. XR_ENOINPUT when neither is there. Caller frees. */
char *xr_run_input(const char *run, const xr_options *o, const char *path);

#endif
