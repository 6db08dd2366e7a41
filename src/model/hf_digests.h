/* digests.json: sizes and XXH3-128 digests of the files of a model directory, by the functions of a checkpoint's manifest (util/manifest.h). Only verify
 * reads it: whoever edits config.json by hand is not refused by anything else. README.md, which is for people to edit and names the paths of a run, is left
 * out, so that two directories with the same digests.json are the same model. */
#ifndef XR_MODEL_HF_DIGESTS_H
#define XR_MODEL_HF_DIGESTS_H

#include "util/manifest.h"

#define XR_MODEL_DIGESTS "digests.json"

/* Writes it: the last that is written into `dir`. */
xr_status xr_model_seal(const char *dir);

/* What it says, with "files"; caller's. NULL with the error set. */
json_t *xr_model_digests(const char *dir);
xr_status xr_model_check_digest(const char *dir, const char *name, const json_t *entry);
int xr_model_has_digest(const char *name);      /* whether a file of that name is to be in it */

#endif
