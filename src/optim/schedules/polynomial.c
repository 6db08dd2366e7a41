/* Warmup from 0, then end + (peak - end) (share of the way left)^power, the end rate from the last update on (fairseq: polynomial_decay;
 * transformers: get_polynomial_decay_schedule_with_warmup). */
#include <math.h>
#include "optim/optim.h"

static double factor(uint64_t step, const xr_schedule_plan *p)
{
    if (p->warmup > 0 && step <= p->warmup)
        return (double)step / (double)p->warmup;
    if (step >= p->total)
        return p->end;
    double left = 1.0 - (double)(step - p->warmup) / (double)(p->total - p->warmup);
    return (1.0 - p->end) * pow(left, p->power) + p->end;
}

const xr_schedule xr_schedule_polynomial = {"polynomial", factor};
