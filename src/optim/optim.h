/* Optimizers (rules/), learning-rate schedules (schedules/), parameter groups, clipping.
 *
 * The optimizer brings spans of rows from step a to step b, given a gradient that is dense or a list of rows.
 * Hyperparameters are a function of the step, so a row untouched for thousands of steps is brought up to date
 * exactly (performance.md 2.7): with a row-list gradient, rows outside the list are updated later, when they are
 * next read or at a flush, with the same bits as a dense update. */
#ifndef XR_OPTIM_OPTIM_H
#define XR_OPTIM_OPTIM_H

#include <stdint.h>
#include "autograd/params.h"
#include "kernels/spans.h"
#include "util/error.h"

/* What a schedule may depend on, the same for all updates of a run. */
typedef struct xr_schedule_plan {
    uint64_t total, warmup;
    double power, end;                                          /* polynomial; `end` as a share of the peak rate */
} xr_schedule_plan;

typedef struct xr_schedule {
    const char *name;                                           /* linear, cosine, polynomial, constant */
    /* Share of the peak rate in update `step` (0-based: transformers' LambdaLR count, fairseq's updates done). */
    double (*factor)(uint64_t step, const xr_schedule_plan *p);
} xr_schedule;
extern const xr_schedule *const xr_schedules[];
const xr_schedule *xr_schedule_find(const char *name);

/* Values of one group at one step. */
typedef struct xr_hyper { double lr, weight_decay, beta1, beta2, eps; } xr_hyper;

/* How moments are kept. */
typedef enum xr_moments { XR_MOMENTS_F32, XR_MOMENTS_BF16 } xr_moments;

/* An elementwise rule: the scalars of an update and the kernel that uses them. Everything that depends on the step
 * goes through the scalars, so that missed updates can be replayed from a table of them. */
typedef struct xr_rule {
    const char *name;                                           /* adamw, adam, sgd */
    int n_moments;                                              /* 0..2 */
    /* Scalars of update number `t` (1-based); the gradient is multiplied by `clip`. */
    void (*scalars)(xr_adamw_scalars *s, const xr_hyper *h, uint64_t t, double clip);
    xr_span_update update[2];                                   /* by xr_moments; NULL: no such moments */
} xr_rule;
extern const xr_rule *const xr_rules[];
const xr_rule *xr_rule_find(const char *name);

typedef struct xr_optim_options {
    const char *rule, *schedule;
    double learning_rate, weight_decay, beta1, beta2, eps;
    double max_grad_norm;                                       /* <= 0: no clipping */
    double layer_decay;                                         /* rate of layer l times this^(L + 1 - l); 1 = off */
    uint64_t total_steps, warmup_steps;
    int decay_all;                                              /* fairseq: biases and LayerNorm are decayed too */
    double lr_power, lr_end;                                    /* polynomial schedule: its power, the rate it ends at */
    xr_moments moments;
    uint64_t seed;                                              /* of their rounding */
} xr_optim_options;

typedef struct xr_optim xr_optim;

/* For the rows of `ps` as they are: frozen flags set, gradients allocated. Borrows ps. NULL with the error set. */
xr_optim *xr_optim_new(xr_params *ps, const xr_optim_options *o, int n_layers);
void xr_optim_free(xr_optim *o);

/* Norm of the whole gradient, multiplied by grad_scale; fixed order of summation. Late gradients (autograd/params.h) are not in it: they
 * are made during the update, so that there can be no clipping, and are finite if the rest is (the masked-LM head's are products of
 * probabilities and normalised rows; what look-up adds is in the positions' gradient too). */
double xr_optim_grad_norm(const xr_optim *o, double grad_scale);
double xr_optim_norm(const xr_optim *o);                        /* of the last update's gradient, now with all of it */
/* A late gradient tile by tile: visit is called for each, on any thread, with the n values at g. Nothing is used up: the update makes them again. */
typedef void xr_late_visit(void *context, size_t i, const float *g, size_t n);
xr_status xr_optim_late_tiles(xr_optim *o, size_t param, xr_late_visit *visit, void *context);
/* One update with the gradients in ps (times grad_scale times the clip factor for `norm`); then gradients are zero
 * again. XR_EDIVERGED, with nothing changed, when the norm is not finite. */
xr_status xr_optim_step(xr_optim *o, double grad_scale, double norm);
double xr_optim_lr(const xr_optim *o);                          /* base rate the next update will use */

/* After moments were restored: `steps` updates are done, and every row has had them. */
void xr_optim_set_steps(xr_optim *o, uint64_t steps);

/* The vocabulary's embedding (the row-list parameter with the most rows): brings the given rows up to date before
 * they are read by a forward pass; ids may repeat. Other row-list parameters are kept current by every step. flush:
 * all rows, before evaluation or saving. */
void xr_optim_touch(xr_optim *o, const int32_t *id, size_t n);
void xr_optim_flush(xr_optim *o);

/* Moments of row k of the table, for checkpoints: [numel] of the kind asked for, or NULL. */
float *xr_optim_moment(xr_optim *o, size_t param, int k);
uint16_t *xr_optim_moment_bf16(xr_optim *o, size_t param, int k);

#endif
