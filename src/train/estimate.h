/* What a run will take, told before it is begun: memory by class, operations, time, disk space (`xlmr estimate`).
 *
 * The run is planned as the run itself would be (options, data, model), but its model has no values. Sizes come from a dry tape over the batches of the
 * run, or over ones as long as the options allow; time from a short measurement of a slice of the model, made on this machine. */
#ifndef XR_TRAIN_ESTIMATE_H
#define XR_TRAIN_ESTIMATE_H

#include "model/flops.h"
#include "train/options.h"
#include "train/trainer.h"
#include "util/json.h"
#include "util/machine.h"

/* A run as planned. */
typedef struct xr_estimate_run {
    const xr_options *o;
    xr_model *model;                        /* declared, frozen as the options say; without values */
    const char *lengths;                    /* where the lengths come from: "the training data", "--max-seq-length 128" */
    uint64_t steps;                         /* updates in all; 0: not known */
    size_t batch, micro;                    /* examples or blocks of an update, and at once at most */
    void *context;                          /* the micro-batches of update `step`, as in xr_loop_task */
    int (*begin_step)(void *context, uint64_t step);
    xr_micro_batch micro_batch;
    const int32_t *ids; uint64_t n_ids;     /* the training data; NULL: not known */
    uint64_t steps_per_epoch;               /* 0: not known */
    uint64_t eval_tokens, evaluations;      /* of one evaluation, and how many there will be */
    size_t eval_batch_tokens;               /* computed at once */
    double program, data;                   /* bytes resident before anything was planned, and what the plan has added */
} xr_estimate_run;

typedef enum xr_memory_class {
    XR_MEMORY_WEIGHTS, XR_MEMORY_PACKED, XR_MEMORY_GRADIENTS, XR_MEMORY_MOMENTS, XR_MEMORY_ACTIVATIONS, XR_MEMORY_FLOW, XR_MEMORY_SCRATCH,
    XR_MEMORY_EVALUATION, XR_MEMORY_DATA, XR_MEMORY_PROGRAM, XR_N_MEMORY
} xr_memory_class;
const char *xr_memory_name(xr_memory_class c);      /* "gradients" */

/* Another way to compute the same updates. */
typedef struct xr_estimate_remedy {
    size_t micro;               /* examples or blocks at once */
    int recompute;
    double memory;              /* bytes; 0: there is none */
} xr_estimate_remedy;

typedef struct xr_estimate {
    double memory[XR_N_MEMORY], memory_total;       /* bytes, when it is highest */
    double tokens, sequences, micro_batches;        /* of an update on average */
    xr_flops flops;                                 /* of an update */
    double optimizer_bytes;                         /* that an update reads and writes besides: optimizer, norm */
    xr_machine machine;
    double gemm_gflops, memory_gbs;                 /* of the machine, as measured */
    double step_gflops;                             /* of a slice of the model, as measured: what the whole will do */
    double update_s, tokens_per_s, train_s, evaluation_s;   /* train_s: of all updates, 0 when their number is not known */
    double checkpoint_bytes, model_bytes, disk_bytes;       /* one checkpoint, one saved model, all that is kept */
    int fits;
    xr_estimate_remedy remedy;                      /* the first that fits, if it does not as it is */
} xr_estimate;

xr_status xr_estimate_make(xr_estimate *e, const xr_estimate_run *run);
/* estimate_report.c: an object with all figures; NULL with the error set. */
json_t *xr_estimate_json(const xr_estimate *e, const xr_estimate_run *run);
/* estimate_run.c: plans what o is about (its first argument) and estimates it. *summary receives an object with all figures, owned by the caller. */
xr_status xr_estimate_command(const xr_options *o, json_t **summary);

/* estimate_batch.c: the parts that need a batch. */
/* The first n_seq sequences of `like` as far as shapes go: made-up ids, targets that the model's head takes. */
xr_status xr_estimate_batch(xr_batch_buffer *out, const xr_batch *like, size_t n_seq, const xr_model *m);
/* High-water marks of a training pass, or of one without gradients, by a dry run. */
xr_status xr_estimate_tape(xr_tape_bytes *out, xr_model *m, const xr_batch *batch, int train);
/* estimate_speed.c: GFLOP/s of forward and backward of some layers of the model, with as much of the vocabulary, over such a batch. */
xr_status xr_estimate_speed(double *gflops, const xr_model *m, const xr_batch *batch);

#endif
