/* Warmup from 0, then the peak rate (transformers: get_constant_schedule_with_warmup). */
#include "optim/optim.h"

static double factor(uint64_t step, uint64_t total, uint64_t warmup)
{
    (void)total;
    return step < warmup ? (double)step / (double)warmup : 1.0;
}

const xr_schedule xr_schedule_constant = {"constant", factor};
