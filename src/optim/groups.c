/* Parameter groups: who is decayed (transformers' Trainer: not biases and LayerNorm; fairseq: everything) and layer-
 * wise rates. */
#include <math.h>
#include "optim/internal.h"

xr_hyper xr_group_hyper(const xr_optim_options *o, int n_layers, const xr_param *p, double lr)
{
    int decayed = o->decay_all || !(p->flags & XR_PARAM_NO_DECAY);
    return (xr_hyper){
        .lr = lr * pow(o->layer_decay, n_layers + 1 - p->layer),
        .weight_decay = decayed ? o->weight_decay : 0.0,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
    };
}
