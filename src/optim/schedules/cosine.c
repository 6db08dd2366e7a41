/* Warmup from 0, then half a cosine to 0 at the last step (transformers: get_cosine_schedule_with_warmup, num_cycles
 * 0.5). */
#include <math.h>
#include "optim/optim.h"

static double factor(uint64_t step, uint64_t total, uint64_t warmup)
{
    if (step < warmup)
        return (double)step / (double)warmup;
    double span = total > warmup ? (double)(total - warmup) : 1.0;
    return fmax(0.0, 0.5 * (1.0 + cos(0x1.921fb54442d18p+1 * (double)(step - warmup) / span)));
}

const xr_schedule xr_schedule_cosine = {"cosine", factor};
