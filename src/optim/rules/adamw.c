/* AdamW (Loshchilov & Hutter 2019) as torch.optim.AdamW computes it: decay apart from the gradient, both moments
 * corrected for bias, eps added after the correction. Scalars are computed in double, as Python does, and rounded
 * once. */
#include <math.h>
#include "optim/optim.h"

static void scalars(xr_adamw_scalars *s, const xr_hyper *h, uint64_t t, double clip)
{
    s->decay = (float)(1.0 - h->lr * h->weight_decay);
    s->step_size = (float)(h->lr / (1.0 - pow(h->beta1, (double)t)));
    s->bias2_sqrt = (float)sqrt(1.0 - pow(h->beta2, (double)t));
    s->beta1 = (float)h->beta1;
    s->beta2 = (float)h->beta2;
    s->rest1 = (float)(1.0 - h->beta1);
    s->rest2 = (float)(1.0 - h->beta2);
    s->eps = (float)h->eps;
    s->clip = (float)clip;
}

const xr_rule xr_rule_adamw = {"adamw", 2, scalars, {xr_span_adamw, xr_span_adamw_bf16}};
