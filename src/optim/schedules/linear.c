/* Warmup from 0, then a line to 0 at the last step (transformers: get_linear_schedule_with_warmup). */
#include "optim/optim.h"

static double factor(uint64_t step, uint64_t total, uint64_t warmup)
{
    if (step < warmup)
        return (double)step / (double)warmup;
    if (step >= total)
        return 0.0;
    return (double)(total - step) / (double)(total - warmup);
}

const xr_schedule xr_schedule_linear = {"linear", factor};
