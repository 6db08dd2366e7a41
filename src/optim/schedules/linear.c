/* Warmup from 0, then a line to 0 at the last step (transformers: get_linear_schedule_with_warmup). */
#include "optim/optim.h"

static double factor(uint64_t step, const xr_schedule_plan *p)
{
    if (step < p->warmup)
        return (double)step / (double)p->warmup;
    if (step >= p->total)
        return 0.0;
    return (double)(p->total - step) / (double)(p->total - p->warmup);
}

const xr_schedule xr_schedule_linear = {"linear", factor};
