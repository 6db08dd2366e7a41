#include "train/comm.h"

static xr_status keep_grads(const xr_comm *c, float *x, size_t n)
{
    (void)c, (void)x, (void)n;
    return XR_OK;
}

static xr_status keep_counts(const xr_comm *c, double *x, size_t n)
{
    (void)c, (void)x, (void)n;
    return XR_OK;
}

const xr_comm *xr_comm_single(void)
{
    static const xr_comm single = { 0, 1, keep_grads, keep_counts };
    return &single;
}
