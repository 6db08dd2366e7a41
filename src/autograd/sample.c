#include "autograd/sample.h"

#include <string.h>

#include "util/rng.h"

float *xr_sample_values(xr_tape *t, size_t n, uint32_t salt)
{
    float *x = xr_tape_get(t, n, sizeof *x);
    xr_philox_key key = xr_rng_key(0, XR_RNG_TEST);
    for (size_t i = 0; x && i < n; i++) {
        uint32_t w[4];
        xr_philox(w, key, 0, salt, 0, (uint32_t)i);
        x[i] = (float)w[0] / 2147483648.0f - 1.0f;
    }
    return x;
}

xr_tensor *xr_sample_input(xr_tape *t, size_t rows, size_t cols, uint32_t salt)
{
    return xr_input(t, xr_sample_values(t, rows * cols, salt), rows, cols, 1);
}

xr_param *xr_sample_param(xr_tape *t, size_t rows, size_t cols, uint32_t salt)
{
    static char name[] = "sample";
    xr_param *p = xr_tape_get(t, 1, sizeof *p);
    float *x = xr_sample_values(t, rows * cols, salt);
    float *g = xr_tape_get(t, rows * cols, sizeof *g);
    if (!p || !x || !g)
        return NULL;
    memset(p, 0, sizeof *p);
    memset(g, 0, rows * cols * sizeof *g);
    p->name = name;
    p->rank = rows == 1 ? 1 : 2;
    p->t.rows = rows;
    p->t.cols = cols;
    p->t.x = x;
    p->t.g = g;
    p->t.needs = 1;
    return p;
}

const xr_rowset *xr_sample_rows(xr_tape *t, const uint32_t *len, size_t n_seq)
{
    size_t n = 0;
    for (size_t b = 0; b < n_seq; b++)
        n += len[b];
    xr_rowset *r = xr_tape_get(t, 1, sizeof *r);
    uint32_t *a = xr_tape_get(t, 2 * n_seq + 1 + 2 * n, sizeof *a);
    if (!r || !a)
        return NULL;
    uint32_t *offset = a, *sample = a + n_seq + 1, *index = sample + n_seq, *seq = index + n;
    offset[0] = 0;
    for (uint32_t b = 0; b < n_seq; b++) {
        sample[b] = 100 + b;
        offset[b + 1] = offset[b] + len[b];
        for (uint32_t i = 0; i < len[b]; i++) {
            index[offset[b] + i] = i;
            seq[offset[b] + i] = b;
        }
    }
    *r = (xr_rowset){ n, n_seq, offset, sample, index, seq };
    return r;
}
