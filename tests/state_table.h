/* What the tests of checkpoints save: two arrays as a model's, one of them mostly zero, and scalars. */
#ifndef XR_TESTS_STATE_TABLE_H
#define XR_TESTS_STATE_TABLE_H

#include "scratch.h"
#include "train/state.h"
#include "util/alloc.h"

typedef struct table {
    float *weights, *moments;       // [n_weights], [n_moments]
    size_t n_weights, n_moments, apart;     /* every apart-th of the moments is not zero */
    double best;                    /* in the state of tests that add it */
    uint64_t step;
    xr_state s;
} table;

static inline void table_init(table *t, size_t n_weights, size_t n_moments, size_t apart)
{
    *t = (table){ .weights = xr_alloc(n_weights, sizeof *t->weights), .moments = xr_alloc(n_moments, sizeof *t->moments), .n_weights = n_weights,
                  .n_moments = n_moments, .apart = apart };
    assert_non_null(t->weights);
    assert_non_null(t->moments);
    assert_int_equal(xr_state_add(&t->s, XR_STATE_F32, t->weights, n_weights, "param/encoder.layer.0.weight"), XR_OK);
    assert_int_equal(xr_state_add(&t->s, XR_STATE_F32, t->moments, n_moments, "moment0/encoder.layer.0.weight"), XR_OK);
    assert_int_equal(xr_state_add(&t->s, XR_STATE_U64, &t->step, 1, "run/step"), XR_OK);
}

static inline void table_free(table *t)
{
    xr_state_free(&t->s);
    xr_free(t->weights);
    xr_free(t->moments);
}

/* The contents after `step` updates. */
static inline void table_fill(table *t, uint64_t step)
{
    for (size_t i = 0; i < t->n_weights; i++)
        t->weights[i] = (float)((i * 7 + step * 13) % 1000) / 7.0f;
    for (size_t i = 0; i * t->apart < t->n_moments; i++)
        t->moments[i * t->apart] = (float)(step + i);
    t->best = 0.1 * (double)step;
    t->step = step;
}

#endif
