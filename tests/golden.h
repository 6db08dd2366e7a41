/* Reading the golden files (scripts/golden.py) and comparing with them. A group that is missing fails the test. */
#ifndef XR_TESTS_GOLDEN_H
#define XR_TESTS_GOLDEN_H

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "model/safetensors.h"

typedef struct golden { xr_st_file *file; char path[128]; void *kept[512]; int n_kept; } golden;

static inline void golden_open(golden *g, const char *path)
{
    g->file = xr_st_open(path);
    g->n_kept = 0;
    snprintf(g->path, sizeof g->path, "%s", path);
    if (!g->file)
        fail_msg("%s: %s", path, xr_error_message());
}

static inline void golden_close(golden *g)
{
    for (int i = 0; i < g->n_kept; i++)
        free(g->kept[i]);
    xr_st_close(g->file);
}

static inline int golden_has(const golden *g, const char *name)
{
    return xr_st_find(g->file, name) != NULL;
}

/* Values of a tensor, owned by g; *rows and *cols (may be NULL) its shape, rank 1 being one row. */
static inline float *golden_get(golden *g, const char *name, size_t *rows, size_t *cols)
{
    const xr_st_tensor *t = xr_st_find(g->file, name);
    if (!t)
        fail_msg("%s has no '%s'", g->path, name);
    size_t n = 1, last = t->rank ? (size_t)t->shape[t->rank - 1] : 1;
    for (int k = 0; k < t->rank; k++)
        n *= (size_t)t->shape[k];
    float *x = malloc((n ? n : 1) * sizeof *x);
    assert_true(g->n_kept < 512);
    g->kept[g->n_kept++] = x;
    assert_int_equal(xr_st_read_f32(g->file, t, x), XR_OK);
    if (rows)
        *rows = last ? n / last : 0;
    if (cols)
        *cols = last;
    return x;
}

static inline size_t golden_count(golden *g, const char *name)
{
    size_t rows, cols;
    golden_get(g, name, &rows, &cols);
    return rows * cols;
}

/* The same as int32 (ids, offsets). */
static inline int32_t *golden_ints(golden *g, const char *name, size_t *n)
{
    size_t rows, cols;
    float *x = golden_get(g, name, &rows, &cols);
    int32_t *v = (int32_t *)(void *)x;      /* the same size; read before written, element by element */
    for (size_t i = 0; i < rows * cols; i++) {
        float value = x[i];
        v[i] = (int32_t)value;
    }
    if (n)
        *n = rows * cols;
    return v;
}

/* |x - golden| <= bound everywhere. */
static inline void golden_near(golden *g, const char *name, const float *x, double bound)
{
    size_t rows, cols;
    const float *want = golden_get(g, name, &rows, &cols);
    for (size_t i = 0; i < rows * cols; i++)
        if (!(fabs((double)x[i] - (double)want[i]) <= bound))
            fail_msg("%s: %s[%zu] is %.9g, should be %.9g: off by %.3g, allowed %.3g", g->path, name, i, (double)x[i], (double)want[i],
                     fabs((double)x[i] - (double)want[i]), bound);
}

static inline double golden_largest(golden *g, const char *name)
{
    size_t rows, cols;
    const float *x = golden_get(g, name, &rows, &cols);
    double most = 0.0;
    for (size_t i = 0; i < rows * cols; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

#endif
