/* One optimizer step over the micro-batches of a step, and the counters of a run. */
#ifndef XR_TRAIN_TRAINER_H
#define XR_TRAIN_TRAINER_H

#include "data/batch.h"
#include "model/head.h"
#include "optim/ema.h"
#include "optim/optim.h"
#include "train/comm.h"
#include "train/state.h"

typedef struct xr_trainer {
    xr_model *model;            /* borrowed; gradients allocated */
    xr_optim *optim;            /* owned */
    xr_ema *ema;                /* owned; NULL: none is kept */
    xr_tape *tape;              /* owned */
    size_t reserve;             /* bytes the tape may come to use */
    const xr_comm *comm;
    uint64_t seed;              /* of dropout */
    uint64_t step;              /* updates done */
    uint64_t samples, tokens;   /* seen */
    xr_state state;             /* every parameter, moment and counter */
} xr_trainer;

typedef struct xr_step_result {
    double loss;                /* mean over the step */
    double weight;              /* what the loss was divided by: examples, masked tokens or a sum of class weights */
    double grad_norm, lr;       /* norm before clipping; rate used */
    size_t examples, tokens;
    double flops;               /* of its matrix products (model/flops.h) */
} xr_step_result;

/* Largest micro-batch that will come, for sizing the tape. */
typedef struct xr_batch_bound {
    size_t tokens, sequences, max_len, masked;
    int single;                 /* every update is one micro-batch */
} xr_batch_bound;

/* With one micro-batch an update and without clipping, the gradient of a vocabulary tied to the masked-LM head need not be anywhere as a whole: sets
 * or clears XR_PARAM_LATE_GRAD. Same weights, bit for bit. */
void xr_trainer_choose_gradients(xr_model *m, double max_grad_norm, int single);

/* Allocates gradients (flags and freezing must be final) and the optimizer. */
xr_status xr_trainer_init(xr_trainer *t, xr_model *m, const xr_optim_options *optim, uint64_t seed, const xr_batch_bound *bound);
void xr_trainer_free(xr_trainer *t);
/* Keeps a moving average of the weights from here on (optim/ema.h), as part of the state. */
xr_status xr_trainer_average(xr_trainer *t, double decay);
/* Brings every weight up to date and puts the averages, where they are kept, in the weights' place; to be undone by xr_trainer_show_weights
 * before the next step. */
void xr_trainer_show_average(xr_trainer *t);
void xr_trainer_show_weights(xr_trainer *t);

/* Micro-batch k of the step; borrowed until the next call. NULL with the error set. */
typedef const xr_batch *(*xr_micro_batch)(void *context, int k);

/* The two halves of a step. Loss and gradients, left in the parameters, which have none before; *result lacks grad_norm and lr. */
xr_status xr_trainer_pass(xr_trainer *t, int n_micro, xr_micro_batch next, void *context, xr_step_result *result);
/* The update that they make. XR_EDIVERGED as below. */
xr_status xr_trainer_update(xr_trainer *t, xr_step_result *result);

/* Both. Gradients are sums over micro-batches in order, divided once by the weight of the whole step: 1 x 32 and 4 x 8 examples agree up to rounding.
 * A loss or norm that is not finite leaves the weights untouched: XR_EDIVERGED, with *result complete. After any failure, of a half
 * too, the gradients are zero again. */
xr_status xr_trainer_step(xr_trainer *t, int n_micro, xr_micro_batch next, void *context, xr_step_result *result);
/* Goes on behind such a step: its data count as seen; the optimizer, and with it the schedule, stays where it is. */
void xr_trainer_skip(xr_trainer *t, const xr_step_result *result);

#endif
