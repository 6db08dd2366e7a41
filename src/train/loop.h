/* The loop that finetune and pretrain share: updates, log lines, evaluation when due, best model, checkpoints, signals, time limit, early
 * stop, resume. What is different between them is the task.
 *
 * Order: xr_loop_check before anything is read, so that a directory that will not do is refused at once; then the task sets the fields of its part;
 * xr_loop_begin; xr_loop_run; xr_loop_free. */
#ifndef XR_TRAIN_LOOP_H
#define XR_TRAIN_LOOP_H

#include "train/batch_dump.h"
#include "train/options.h"
#include "train/rundir.h"
#include "train/runlog.h"
#include "train/trainer.h"

/* What a program may want to see or say while training runs; any may be NULL. */
typedef struct xr_pace {
    double tokens_per_s;
    double gflops, gemm_share;          /* of an update's matrix products; their share of what the machine can do, 0 when that was not measured */
} xr_pace;

typedef struct xr_loop_hooks {
    void *context;
    void (*begin)(void *context, uint64_t done, uint64_t total_steps);
    void (*step)(void *context, uint64_t step, double loss, const xr_pace *pace);
    void (*evaluating)(void *context, size_t done, size_t total);
    int (*stop)(void *context);         /* 1: a signal came: finish the update, save, end with XR_ETEMPFAIL */
} xr_loop_hooks;

typedef struct xr_loop xr_loop;

/* A task: what to train on and how to judge it. */
typedef struct xr_loop_task {
    void *context;
    const char *metric;                 /* what `value` below is called, "accuracy"; train/metrics.h knows which way it is better */
    const char *weight;                 /* key of the loss's weight in metrics.jsonl, such as "masked": its total so far, and the loss of a line is then
                                         * the mean over it; NULL: no such key, and the loss is the mean of the updates' losses */
    int (*begin_step)(void *context, uint64_t step);                /* prepares update `step` (0-based); number of micro-batches, < 0 on error */
    xr_micro_batch micro_batch;                                     /* micro-batch k of it */
    double (*epoch)(void *context, uint64_t step);                  /* epochs done after `step` updates */
    /* Scores the validation data with up-to-date weights. Adds its figures to `line` (event "eval"; "loss" among them), sets the value that chooses
     * the best model. NULL: there is nothing to evaluate on. XR_ETEMPFAIL when xr_loop_stopping. */
    xr_status (*evaluate)(void *context, json_t *line, double *value);
    xr_status (*save_model)(void *context, const char *name);       /* RUN/name as a Hugging Face directory: best, final */
    /* Where each sequence of micro-batch k comes from, for who looks for a broken one: [{"file", "line"}, …] or the like. The caller's; NULL without
     * memory. May be NULL. */
    json_t *(*origin)(void *context, int k);
} xr_loop_task;

struct xr_loop {
    /* set by the task before xr_loop_begin; borrowed */
    const xr_options *o;
    const xr_loop_hooks *hooks;         /* may be NULL */
    const xr_loop_task *task;
    xr_trainer *trainer;
    json_t *facts;                      /* for checkpoints: digests of tokenizer and data; owned; may be NULL */
    uint64_t total_steps, eval_every;   /* eval_every 0: only at the end */
    /* the loop's own */
    xr_rundir_kind kind;                /* what xr_loop_check found */
    xr_rundir_lock lock;
    xr_runlog log;
    xr_batch_dump dump;                 /* --dump-batches */
    double began, max_seconds;          /* max_seconds 0: no limit */
    double saved_at, save_time;         /* clock of the last save or try, before that of the start; seconds after which the next is due, 0: never */
    double save_seconds, step_seconds;  /* the longest of each, for ending in time */
    uint64_t updates;                   /* of this process */
    uint64_t not_finite;                /* the same, of those that were not made for that */
    uint64_t saved_step;                /* the newest that was saved, or tried */
    int failed_saves;                   /* in a row */
    int went_back;                      /* from an update that was not finite, and nothing was saved since */
    /* progress: rows of the run's state */
    double best_value;
    uint64_t best_step, evals, evals_since_best, eval_step, skipped, skipped_in_row;
    uint64_t data_ahead;                /* updates' data left out by rollbacks: update k takes that of k + data_ahead */
    uint64_t returned_to, returns;      /* the checkpoint of the last rollbacks, and how many there were to it */
    uint64_t planned_steps;             /* total_steps of the process that wrote the checkpoint */
    double weight;                      /* of all updates */
    /* since the last line of metrics.jsonl; rows as well */
    double window_loss, window_weight;
    uint64_t window_steps, window_tokens;
    uint64_t metrics_bytes;             /* where metrics.jsonl stood: cut back to on resume */
    double window_flops;                /* of this process */
    char digest[33];                    /* of the final state */
};

/* Needs l->o only; the rest is zero. Refuses an output directory that will not do, and a --max-time, --save-time or --resume that means nothing.
 * l->kind then says whether the run is new, goes on, or is finished already: then there is nothing to do. Changes nothing on disk. */
xr_status xr_loop_check(xr_loop *l);
/* The summary of a run that is finished already: output_dir, steps, state_xxh3, finished; metric, best and best_step if it was evaluated. NULL with the
 * error set. */
json_t *xr_loop_finished(const xr_loop *l);
/* Declares the loop's rows in the trainer's state; then goes on from a checkpoint in o->output_dir (--resume auto|never|PATH), or makes the
 * run directory afresh. `start` (taken over) is the "start" line of metrics.jsonl. */
xr_status xr_loop_begin(xr_loop *l, json_t *start);
/* Runs to total_steps, early stop, or a stop hook or --max-time (XR_ETEMPFAIL, exit 75). Writes final/ at the end. When the data of an update cannot be
 * had (XR_EDATA, XR_EIO), the state before it is saved if that can be done. */
xr_status xr_loop_run(xr_loop *l);
void xr_loop_free(xr_loop *l);

/* For the loop itself: the checkpoint `path` of this run into the trainer and the loop's rows. */
xr_status xr_loop_load(xr_loop *l, const char *path);

int xr_loop_stopping(const xr_loop *l);         /* 1: a signal came or time is up: an evaluation ends with XR_ETEMPFAIL */

#endif
