/* Parallel drivers of the optimizer's elementwise update: whole parameters, listed rows, rows that lag behind.
 *
 * An update is elementwise, so that every split into spans gives the same bits; a rule's update must not depend on
 * where in its span an element stands. */
#ifndef XR_KERNELS_SPANS_H
#define XR_KERNELS_SPANS_H

#include <stddef.h>
#include <stdint.h>
#include "kernels/vec.h"

/* One update of n elements; m, v are NULL for rules without moments, g NULL means a gradient of zero. */
typedef void (*xr_span_update)(float *p, float *m, float *v, const float *g, size_t n, const xr_adamw_scalars *s);

/* p = decay p - step_size clip g. */
void xr_sgd_span(float *p, float *m, float *v, const float *g, size_t n, const xr_adamw_scalars *s);

/* Updates n elements, then zeroes g while it is in cache. */
void xr_span_step(xr_span_update update, float *p, float *m, float *v, float *g, size_t n, const xr_adamw_scalars *s);

/* A parameter as rows; `live` marks rows whose moments are not all zero (the others' are never read). */
typedef struct xr_span_rows {
    float *p, *m, *v;           // [rows, cols]
    const uint8_t *live;        // [rows]
    size_t cols;
} xr_span_rows;

/* One update of the n different listed rows with gradients g [n, cols]. */
void xr_span_rows_step(xr_span_update update, const xr_span_rows *x, const uint32_t *row, const float *g, size_t n,
                       const xr_adamw_scalars *s);

/* Brings n different rows through steps[first .. n_steps), each with a gradient of zero. */
typedef struct xr_span_job { uint32_t row, first; } xr_span_job;
void xr_span_rows_replay(xr_span_update update, const xr_span_rows *x, const xr_span_job *job, size_t n,
                         const xr_adamw_scalars *steps, size_t n_steps);

/* live[r] = 1 where row r of x [rows, cols] has an element that is not zero; other entries stay. */
void xr_span_rows_live(uint8_t *live, const float *x, size_t rows, size_t cols);

#endif
