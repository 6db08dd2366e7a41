/* For the sample functions of ops: leaves with pseudo-random values, in the tape's memory. */
#ifndef XR_AUTOGRAD_SAMPLE_H
#define XR_AUTOGRAD_SAMPLE_H

#include "autograd/params.h"
#include "autograd/tape.h"

/* Values in [-1, 1), a function of `salt`; wants a gradient. NULL on a poisoned tape. */
xr_tensor *xr_sample_input(xr_tape *t, size_t rows, size_t cols, uint32_t salt);
xr_param *xr_sample_param(xr_tape *t, size_t rows, size_t cols, uint32_t salt);
float *xr_sample_values(xr_tape *t, size_t n, uint32_t salt);
/* A row set of n_seq sequences of the given lengths, every token a row. */
const xr_rowset *xr_sample_rows(xr_tape *t, const uint32_t *len, size_t n_seq);

#endif
