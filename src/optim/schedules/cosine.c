/* Warmup from 0, then half a cosine to 0 at the last step (transformers: get_cosine_schedule_with_warmup, num_cycles
 * 0.5). */
#include <math.h>
#include "optim/optim.h"

static double factor(uint64_t step, const xr_schedule_plan *p)
{
    if (step < p->warmup)
        return (double)step / (double)p->warmup;
    double span = p->total > p->warmup ? (double)(p->total - p->warmup) : 1.0;
    return fmax(0.0, 0.5 * (1.0 + cos(0x1.921fb54442d18p+1 * (double)(step - p->warmup) / span)));
}

const xr_schedule xr_schedule_cosine = {"cosine", factor};
