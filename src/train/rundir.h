/* A run directory: config.yaml, metrics.jsonl, timing.jsonl, best/, final/ (or interrupted/). */
#ifndef XR_TRAIN_RUNDIR_H
#define XR_TRAIN_RUNDIR_H

#include "model/model.h"
#include "train/options.h"

/* Refuses a directory that holds something (XR_ECANTCREAT), unless `overwrite`. Changes nothing. */
xr_status xr_rundir_check(const char *path, int overwrite);
/* Refuses an input (model directory or file) that xr_rundir_create would remove. */
xr_status xr_rundir_check_input(const char *path, const char *input);
/* Refuses (XR_ECANTCREAT) to replace a directory that holds anything but the files of a model. Changes nothing; a missing one is fine. */
xr_status xr_model_dir_check(const char *path);
/* Creates the directory; an overwritten one loses what a run writes, and nothing else. Writes config.yaml. */
xr_status xr_rundir_create(const char *path, const xr_options *o);
/* Writes the model as the Hugging Face directory path/name with `card` as its README.md; the directory is complete or absent. */
xr_status xr_rundir_save_model(const char *path, const char *name, const xr_model *m, const char *tokenizer_dir, const char *card);

#endif
