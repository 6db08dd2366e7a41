/* Stochastic gradient descent without momentum: p = (1 - lr wd) p - lr g, which is torch.optim.SGD with
 * weight_decay. */
#include "optim/optim.h"

static void scalars(xr_adamw_scalars *s, const xr_hyper *h, uint64_t t, double clip)
{
    (void)t;
    float decay = (float)(1.0 - h->lr * h->weight_decay);
    *s = (xr_adamw_scalars){.decay = decay, .step_size = (float)h->lr, .clip = (float)clip};
}

const xr_rule xr_rule_sgd = {"sgd", 0, scalars, {xr_span_sgd, NULL}};
