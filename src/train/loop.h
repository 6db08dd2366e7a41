/* The loop that finetune and pretrain share: updates, log lines, evaluation when due, best model, checkpoints, signals, time limit, early
 * stop, resume. What is different between them is the task. */
#ifndef XR_TRAIN_LOOP_H
#define XR_TRAIN_LOOP_H

#include "train/options.h"
#include "train/runlog.h"
#include "train/trainer.h"

/* What a program may want to see or say while training runs; any may be NULL. */
typedef struct xr_loop_hooks {
    void *context;
    void (*begin)(void *context, uint64_t done, uint64_t total_steps);
    void (*step)(void *context, uint64_t step, double loss, double tokens_per_s);
    void (*evaluating)(void *context, size_t done, size_t total);
    int (*stop)(void *context);         /* 1: a signal came: finish the update, save, end with XR_ETEMPFAIL */
} xr_loop_hooks;

typedef struct xr_loop xr_loop;

/* A task: what to train on and how to judge it. */
typedef struct xr_loop_task {
    void *context;
    int (*begin_step)(void *context, uint64_t step);                /* prepares update `step` (0-based); number of micro-batches, < 0 on error */
    xr_micro_batch micro_batch;                                     /* micro-batch k of it */
    double (*epoch)(void *context, uint64_t step);                  /* epochs done after `step` updates */
    /* Scores the validation data with up-to-date weights. Adds its figures to `line` (event "eval"), sets the value that chooses the best model and
     * whether higher is better. NULL: there is nothing to evaluate on. XR_ETEMPFAIL when the stop hook asked. */
    xr_status (*evaluate)(void *context, json_t *line, double *value, int *higher);
    xr_status (*save_model)(void *context, const char *name);       /* RUN/name as a Hugging Face directory: best, final, interrupted */
} xr_loop_task;

struct xr_loop {
    const xr_options *o;                /* borrowed, as are hooks, task and trainer */
    const xr_loop_hooks *hooks;
    const xr_loop_task *task;
    xr_trainer *trainer;
    json_t *facts;                      /* for checkpoints: tokenizer and data digests; owned */
    xr_runlog log;
    uint64_t total_steps, eval_every;   /* eval_every 0: only at the end */
    /* progress: rows of the run's state */
    double best_value;
    uint64_t best_step, evals, evals_since_best, skipped, skipped_in_row;
    double window_loss;
    uint64_t window_steps, window_tokens;
    uint64_t metrics_bytes, timing_bytes;   /* where the logs stood: cut back to on resume */
    char digest[33];                    /* of the final state */
};

/* Declares the loop's rows in the trainer's state; then looks for a checkpoint in o->output_dir (--resume auto|never|PATH) and loads it, or makes
 * the run directory afresh. `start` (taken over) is the "start" line of metrics.jsonl. */
xr_status xr_loop_begin(xr_loop *l, json_t *start);
/* Runs to total_steps, early stop, or a stop hook or --max-time (then a checkpoint is written: XR_ETEMPFAIL, exit 75). Writes final/ at the end. */
xr_status xr_loop_run(xr_loop *l);
void xr_loop_free(xr_loop *l);

#endif
