/* Warmup from 0, then the peak rate (transformers: get_constant_schedule_with_warmup). */
#include "optim/optim.h"

static double factor(uint64_t step, const xr_schedule_plan *p)
{
    return step < p->warmup ? (double)step / (double)p->warmup : 1.0;
}

const xr_schedule xr_schedule_constant = {"constant", factor};
