/* Checkpoints: the table of a run's state in HDF5, committed by rename (reliability.md A.2).
 *
 * RUN/checkpoints/step-00001000/: state.h5 (every row of xr_state under its name; chunked, Fletcher32, no times) and MANIFEST.json, written last:
 * format version, step, sizes and XXH3-128 of the files, digests of config, tokenizer and data, kernel fingerprint, digest of itself.
 * A directory without a valid manifest is not a checkpoint. */
#ifndef XR_TRAIN_CHECKPOINT_H
#define XR_TRAIN_CHECKPOINT_H

#include "train/state.h"
#include "util/json.h"

/* Which checkpoints stay: the newest `newest` of them (0: all), and besides those every one whose step is a multiple of `every` (0: none) or is `best` or
 * `back`. Those of later steps stay too, unless the run went back from them. */
typedef struct xr_checkpoint_keep { size_t newest; uint64_t every, best, back; int went_back; } xr_checkpoint_keep;

/* Writes the table as step `step` of RUN, in place of one that is there, then removes what `keep` does not name. `facts` (borrowed): digests and
 * fingerprint for the manifest. On failure nothing is left behind and older checkpoints stay. */
xr_status xr_checkpoint_save(const char *run_dir, uint64_t step, const xr_state *s, const json_t *facts, const xr_checkpoint_keep *keep);

/* Path of the newest checkpoint of RUN, of step `last` at most, whose files match their digests, falling back to older ones with a warning; *path stays
 * NULL when the run has none at all. XR_EDATA when there are some, but no good one. Caller frees. */
xr_status xr_checkpoint_find(const char *run_dir, uint64_t last, char **path);

/* Steps of the checkpoints of RUN, newest first, good or not; *step is the caller's, NULL when there are none. */
xr_status xr_checkpoint_steps(const char *run_dir, uint64_t **step, size_t *n);
char *xr_checkpoint_path(const char *run_dir, uint64_t step);   /* caller frees; NULL with the error set */

/* The manifest of the checkpoint PATH, after everything in it was checked against it; the caller's. NULL with the error set. */
json_t *xr_checkpoint_verify(const char *path);

/* Verifies and reads PATH into the rows of `s`: every row by name, type and size. Rows that its format version did not have yet become zero. *facts (may
 * be NULL) receives the manifest; caller's. On failure the rows' contents are undefined. */
xr_status xr_checkpoint_load(const char *path, xr_state *s, json_t **facts);

#endif
