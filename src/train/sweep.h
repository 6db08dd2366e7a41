/* A grid of runs over seeds, rates or any other options: what `xlmr sweep` does.
 *
 * Every run is a process of its own, `xlmr finetune` or `xlmr pretrain` with the options of the sweep and one choice from each axis, in
 * OUTPUT/runs/NAME, its messages in OUTPUT/logs/NAME.log. So a run's memory goes with it, a crash takes one run, and repeating the sweep is repeating
 * its runs: finished ones are left, others go on from their checkpoints. Then, if asked for, `xlmr evaluate` scores its model into OUTPUT/eval/NAME.
 *
 * Order: plan, execute, table and write, verdict, free. */
#ifndef XR_TRAIN_SWEEP_H
#define XR_TRAIN_SWEEP_H

#include <sys/types.h>
#include "train/options.h"
#include "train/rundir.h"

typedef struct xr_sweep_axis {
    const char *key;                /* as in the option table */
    char **value; size_t n, cap;
} xr_sweep_axis;

typedef enum xr_sweep_state { XR_SWEEP_WAITING, XR_SWEEP_FINISHED, XR_SWEEP_INTERRUPTED, XR_SWEEP_FAILED } xr_sweep_state;

/* An owned list of arguments; v[n] is NULL, as execv wants it. */
typedef struct xr_sweep_args { char **v; size_t n, cap; } xr_sweep_args;

/* A figure: NULL while there is none. */
typedef struct xr_sweep_figure { char *metric; double value; } xr_sweep_figure;

typedef struct xr_sweep_run {
    size_t *at;                     // [n_axes] the value of each axis
    size_t setting;                 /* runs that differ in their seed only have the same */
    char *name, *dir;               /* "seed=1,learning_rate=1e-5" */
    xr_sweep_args train, test;      /* command lines; test.n 0: none */
    xr_rundir_kind kind;            /* what was there when the sweep began */
    xr_sweep_state state;
    int code;                       /* of a failed one: its exit code, or 128 + the signal that ended it */
    char *message;                  /* its last error; NULL if it left none */
    xr_sweep_figure best, tested;   /* on the validation data, by which the best model was chosen; of evaluate: the average of its main figure */
    int higher;                     /* of best: the higher the better */
    long long best_step, steps;
    pid_t pid;                      /* > 0 while a process is at it */
    int testing;
} xr_sweep_run;

typedef struct xr_sweep {
    const xr_options *o;
    unsigned verb;                              /* XR_V_FINETUNE or XR_V_PRETRAIN */
    const char **train; size_t n_train;         /* options of all runs, and of evaluate; borrowed from o->args */
    const char **test; size_t n_test;
    long long threads;                          /* of a process; 0: not said */
    xr_sweep_axis *axis; size_t n_axes, cap_axes;
    xr_sweep_run *run; size_t n_runs;
    size_t n_settings;
    int stopped;                                /* by a signal */
} xr_sweep;

/* sweep_plan.c: reads the grid, names the runs and checks the options of every one. Changes nothing on disk. On failure s is still to be freed. */
xr_status xr_sweep_plan(xr_sweep *s, const xr_options *o);
void xr_sweep_free(xr_sweep *s);

/* sweep.c: runs `program` for whatever is not finished, --jobs at once, until stop() asks for an end, which the runs are told. XR_OK whatever became
 * of the runs. */
xr_status xr_sweep_execute(xr_sweep *s, const char *program, int (*stop)(void));
/* XR_OK when all runs are finished; XR_ETEMPFAIL when some were interrupted; else the code of the first that failed. */
xr_status xr_sweep_verdict(const xr_sweep *s);

/* sweep_report.c: the plan and the results as text; as JSON; results.json and results.tsv in the output directory. */
xr_status xr_sweep_plan_text(const xr_sweep *s, xr_str *out);
xr_status xr_sweep_table(const xr_sweep *s, xr_str *out);
json_t *xr_sweep_json(const xr_sweep *s);
xr_status xr_sweep_write(const xr_sweep *s);

/* sweep_figures.c. What a finished run came to, from its last line of metrics.jsonl; what evaluate found, from its results.json. */
xr_status xr_sweep_read_figures(xr_sweep_run *r);
xr_status xr_sweep_read_test(const xr_sweep *s, xr_sweep_run *r);
/* Over the finished runs of a setting that have the figure: `offset` is that of the xr_sweep_figure in a run. */
typedef struct xr_sweep_stats { size_t n; double mean, sd, least, most; } xr_sweep_stats;     /* sd: with n - 1; 0 for n = 1 */
xr_sweep_stats xr_sweep_statistics(const xr_sweep *s, size_t setting, size_t offset);
/* The setting with the best mean on the validation data; n_settings if there is none. The best run of a setting, or NULL. */
size_t xr_sweep_best_setting(const xr_sweep *s);
const xr_sweep_run *xr_sweep_best_run(const xr_sweep *s, size_t setting);
const char *xr_sweep_metric(const xr_sweep *s);     /* of the validation data; NULL if no run has one */

#endif
