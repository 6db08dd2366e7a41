/* Clipping by the norm of the whole gradient (torch.nn.utils.clip_grad_norm_). */
#include "optim/internal.h"

double xr_clip_factor(double max_norm, double norm)
{
    double factor = max_norm / (norm + 1e-6);
    return max_norm > 0.0 && factor < 1.0 ? factor : 1.0;
}
