/* Parallel drivers of the optimizer's elementwise update: whole parameters, listed rows, rows that lag behind.
 *
 * An update is elementwise, so that every split into spans gives the same bits; a rule's update must not depend on
 * where in its span an element stands. */
#ifndef XR_KERNELS_SPANS_H
#define XR_KERNELS_SPANS_H

#include <stddef.h>
#include <stdint.h>
#include "kernels/vec.h"

/* A parameter with its moments, in the format that the update wants; NULL for rules without. */
typedef struct xr_span { float *p; void *m, *v; } xr_span;

/* One update of elements [at, at + n) with gradients g [n]; NULL means zero. */
typedef void (*xr_span_update)(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s);

void xr_span_adamw(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s);
void xr_span_adamw_bf16(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s);
void xr_span_sgd(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s);     /* p = decay p - step_size clip g */

/* Updates n elements, then zeroes g while it is in cache. */
void xr_span_step(xr_span_update update, const xr_span *x, float *g, size_t n, const xr_adamw_scalars *s);

/* A parameter as rows; `live` marks rows whose moments are not all zero (the others' are never read). */
typedef struct xr_span_rows {
    xr_span x;                  // [rows, cols]
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

/* live[r] = 1 where row r of x, of row_bytes, has a byte that is not zero; other entries stay. */
void xr_span_rows_live(uint8_t *live, const void *x, size_t rows, size_t row_bytes);

#endif
