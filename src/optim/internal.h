/* Shared by the files of src/optim: groups, clipping, deferred rows. */
#ifndef XR_OPTIM_INTERNAL_H
#define XR_OPTIM_INTERNAL_H

#include "optim/optim.h"

/* groups.c: hyperparameters of one row of the table when the base rate is `lr`. */
xr_hyper xr_group_hyper(const xr_optim_options *o, int n_layers, const xr_param *p, double lr);

/* clip.c: what the gradients are multiplied by, torch.nn.utils.clip_grad_norm_ without grad_scale. */
double xr_clip_factor(double max_norm, double norm);

/* deferred.c: a row-list parameter whose rows lag behind.
 *
 * Row r has had last[r] updates, base <= last[r] <= base + n; steps[i] are the scalars of update number base + i +
 * 1. A row that is not live has zero moments, so that an update only multiplies it by the decay. */
typedef struct xr_deferred {
    xr_span_update update;
    xr_span_rows x;
    size_t rows, row_bytes;     /* of moments */
    uint8_t *live;              // [rows]
    uint32_t *last;             // [rows]
    xr_span_job *job;           // [rows] scratch
    xr_adamw_scalars *steps;    // [cap]
    size_t n, cap;
    uint64_t base;
    int decays;                 /* some step in the table has a decay other than 1 */
} xr_deferred;

size_t xr_moment_size(xr_moments kind);         /* optim.c: bytes of an element */

xr_deferred *xr_deferred_new(const xr_rule *rule, xr_moments kind, const xr_param *p);
void xr_deferred_free(xr_deferred *d);
xr_status xr_deferred_reserve(xr_deferred *d);                              /* room for one more step */
void xr_deferred_step(xr_deferred *d, xr_rowgrad *rg, const xr_adamw_scalars *s);   /* update base + n + 1; clears rg */
void xr_deferred_touch(xr_deferred *d, const int32_t *id, size_t n);
void xr_deferred_flush(xr_deferred *d);
void xr_deferred_set_steps(xr_deferred *d, uint64_t steps);

/* late.c: memory for updates with a late gradient (autograd/params.h), kept from one to the next. */
typedef struct xr_late {
    void *memory;               /* scratch of all workers, then their tiles */
    size_t bytes;
    float *tile;                // [workers, width, cols]
    double *sumsq;              // [n] of each tile of the gradient
    size_t cap;
} xr_late;

xr_status xr_late_reserve(xr_late *l, const xr_param *p);
void xr_late_free(xr_late *l);
/* One update; returns the sum of squares of the gradient, which then is gone. */
double xr_late_step(xr_late *l, xr_span_update update, const xr_param *p, void *const moment[2], const xr_adamw_scalars *s);
/* The tiles of the gradient, which stays. */
void xr_late_look(xr_late *l, const xr_param *p, xr_late_visit *visit, void *context);

#endif
