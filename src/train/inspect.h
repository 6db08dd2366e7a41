/* What is in a run, checkpoint, token store, model directory or file, and in what two of them differ. */
#ifndef XR_TRAIN_INSPECT_H
#define XR_TRAIN_INSPECT_H

#include "train/artefact.h"
#include "train/tensors.h"
#include "util/json.h"

/* An object, the caller's; NULL with the error set:
 *   path, kind; step (checkpoint, or the newest of a run); files: [{name, bytes}] (of a checkpoint or store: as its manifest lists them);
 *   tokenizer_sha256, facts (of a checkpoint's manifest), config (config.json), options (of the run), manifest (of a store), where there are such;
 *   of a run: checkpoints: [{step, path, good, why}], models: ["best", "final"], shown: path of what the tensors are of;
 *   tensors: [{name, shape, type, norm, min, max, non_finite}], figures over finite elements and null where there are none;
 *   totals: {tensors, elements, bytes, non_finite}.
 * A checkpoint or shard whose digest is wrong is refused (XR_EDATA): HDF5 never sees it. */
json_t *xr_inspect(const char *path);

/* How `a` and `b` differ; *out is the caller's:
 *   a, b; equal; first: {name, element, a, b} or {name, why} of the first tensor by name that differs; largest: {name, element, a, b, absolute} and
 *   largest_relative: {…, relative} = |a - b| / max(|a|, |b|); differing: [{name, elements, of, absolute, relative}]; only_a, only_b: names;
 *   options: [{key, a, b}] of the recipe; tokenizer: {a, b}; step: {a, b}; the last three only where both sides have them and they differ.
 * Elements are compared bit by bit. A checkpoint beside a model is compared by its weights alone. */
xr_status xr_inspect_diff(const char *a, const char *b, json_t **out);

/* --- shared by the two and by verify ------------------------------------------------------------------------------- */

/* What a path leads to, with what is told beside the tensors. */
typedef struct xr_subject {
    char *path;                 /* of the thing itself: of a run, its final model, newest good checkpoint or best model */
    xr_artefact kind;           /* of that */
    json_t *about;              /* step, tokenizer_sha256, facts, config, options, manifest as above */
    json_t *shards;             /* of a store: names of its files, in order; or NULL */
} xr_subject;
xr_status xr_subject_open(xr_subject *s, const char *path);
void xr_subject_close(xr_subject *s);
size_t xr_subject_parts(const xr_subject *s);           /* files of tensors: 1, or the shards of a store */
/* Opens the tensors of part i; *label (the caller's) stands in front of their names. */
xr_status xr_subject_tensors(const xr_subject *s, size_t i, xr_tensors *t, char **label);

typedef struct xr_tensor_stats { double sum_squares, min, max; uint64_t finite, non_finite; } xr_tensor_stats;
xr_status xr_tensor_measure(const xr_tensor_entry *e, xr_tensor_stats *s);

#endif
