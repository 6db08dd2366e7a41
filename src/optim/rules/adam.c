/* Adam with decoupled decay as fairseq computes it (fairseq/optim/adam.py), which is how XLM-R was trained: both corrections for bias
 * stand in the step size, lr sqrt(1 - b2^t) / (1 - b1^t), and eps is added to the root of the second moment as it is. torch's AdamW adds
 * eps to the corrected root, so there its weight does not change with t. */
#include <math.h>
#include "optim/optim.h"

static void scalars(xr_adamw_scalars *s, const xr_hyper *h, uint64_t t, double clip)
{
    double bias1 = 1.0 - pow(h->beta1, (double)t), bias2 = 1.0 - pow(h->beta2, (double)t);
    s->decay = (float)(1.0 - h->lr * h->weight_decay);
    s->step_size = (float)(h->lr * sqrt(bias2) / bias1);
    s->bias2_sqrt = 1.0f;
    s->beta1 = (float)h->beta1;
    s->beta2 = (float)h->beta2;
    s->rest1 = (float)(1.0 - h->beta1);
    s->rest2 = (float)(1.0 - h->beta2);
    s->eps = (float)h->eps;
    s->clip = (float)clip;
}

const xr_rule xr_rule_adam = {"adam", 2, scalars, {xr_span_adamw, xr_span_adamw_bf16}};
