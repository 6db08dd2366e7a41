/* A run directory: config.yaml, metrics.jsonl, timing.jsonl, checkpoints/, best/, final/, perhaps tensorboard/ and nonfinite/; while a run
 * writes to it, lock. */
#ifndef XR_TRAIN_RUNDIR_H
#define XR_TRAIN_RUNDIR_H

#include "model/model.h"
#include "train/options.h"

typedef enum xr_rundir_kind {
    XR_RUNDIR_NEW,          /* absent, empty, or to be overwritten */
    XR_RUNDIR_RESUME,       /* holds this run, begun and not ended, or ended after fewer updates than --max-steps says now */
    XR_RUNDIR_FINISHED      /* holds this run, ended */
} xr_rundir_kind;

/* The options that decide the result, with the folders of data and models left out: a run goes on where they have been moved to, and what is read is
 * compared by digest. NULL with the error set. */
json_t *xr_rundir_recipe(const xr_options *o);

/* What o->output_dir is to this command. Refuses a directory that holds something else (XR_ECANTCREAT; for pretrain even one to be overwritten) or a
 * run of another recipe (XR_ECONFIG). Changes nothing. */
xr_status xr_rundir_look(const xr_options *o, xr_rundir_kind *kind);
/* The last line of metrics.jsonl if the run in `path` has ended: event "end", step, state_xxh3; metric, higher_is_better, best and best_step if it was
 * evaluated. NULL if it has not, or the file is unreadable; no error is set. */
json_t *xr_rundir_end(const char *path);

typedef struct xr_rundir_lock { int fd; char *path; } xr_rundir_lock;  /* path NULL: not held */
/* Makes the directory if need be and locks it against other writers, of which a living one is named: XR_ETEMPFAIL. Then what dead ones left under
 * temporary names goes. */
xr_status xr_rundir_lock_take(xr_rundir_lock *l, const char *path);
void xr_rundir_lock_drop(xr_rundir_lock *l);    /* fine when not held */

/* Refuses an input (directory or file) that xr_rundir_create would remove, or that is the run directory itself. path NULL: nothing is written. */
xr_status xr_rundir_check_input(const char *path, const char *input);
/* Is it one of the checkpoints of the run in `path`? */
int xr_rundir_owns_checkpoint(const char *path, const char *checkpoint);
/* Refuses (XR_ECANTCREAT) to replace a directory that holds anything but the files of a model. Changes nothing; a missing one is fine. */
xr_status xr_model_dir_check(const char *path);
/* Creates the directory; an overwritten one loses what a run writes, and nothing else. Writes config.yaml. */
xr_status xr_rundir_create(const char *path, const xr_options *o);
xr_status xr_rundir_write_config(const char *path, const xr_options *o);
int xr_rundir_is_over(const char *path);        /* 1: the run in it has ended: its log says so, and final/ is there */
/* Writes the model as the Hugging Face directory path/name with `card` as its README.md; the directory is complete or absent. */
xr_status xr_rundir_save_model(const char *path, const char *name, const xr_model *m, const char *tokenizer_dir, const char *sha256, const char *card);

#endif
