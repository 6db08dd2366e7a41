/* The optimizer: one update over the table of parameters.
 *
 * Moments of dense rows are cut from one block; a row-list parameter has its own (deferred.c). Hyperparameters are
 * computed from the step number in double, so nothing about the past is kept but the moments and the count of
 * updates. */
#include <math.h>
#include <string.h>
#include "optim/internal.h"
#include "util/alloc.h"

enum { MAX_MOMENTS = 2 };

typedef struct slot {
    void *moment[MAX_MOMENTS];
    xr_deferred *deferred;      /* row-list parameters only */
} slot;

struct xr_optim {
    xr_params *ps;
    xr_optim_options opt;
    const xr_rule *rule;
    const xr_schedule *schedule;
    xr_schedule_plan plan;
    int n_layers;
    uint64_t steps;
    size_t n;                   /* rows of the table when the optimizer was made */
    slot *slot;                 // [n]
    xr_deferred *vocabulary;    /* the one that xr_optim_touch brings up to date; NULL if none */
    char *block;
    size_t block_bytes;
    xr_late late;
    xr_philox_key key;          /* of the moments' rounding */
    double norm;                /* of the last update's gradient */
};

static xr_status check_options(const xr_optim_options *o)
{
    if (!(o->learning_rate >= 0.0 && isfinite(o->learning_rate)))
        return xr_fail(XR_ECONFIG, "learning_rate: %g; expected a number >= 0; 2e-5 is usual for fine-tuning",
                       o->learning_rate);
    if (!(o->weight_decay >= 0.0 && isfinite(o->weight_decay)))
        return xr_fail(XR_ECONFIG, "weight_decay: %g; expected a number >= 0, such as 0.01", o->weight_decay);
    if (!(o->beta1 >= 0.0 && o->beta1 < 1.0 && o->beta2 >= 0.0 && o->beta2 < 1.0))
        return xr_fail(XR_ECONFIG, "adam_beta1, adam_beta2: %g and %g; expected 0 <= beta < 1, such as 0.9 and 0.999", o->beta1,
                       o->beta2);
    if (!((float)o->eps > 0.0f && isfinite(o->eps)))
        return xr_fail(XR_ECONFIG, "adam_epsilon: %g; expected a number > 0 that float32 can hold, such as 1e-8",
                       o->eps);
    if (!(o->layer_decay > 0.0 && o->layer_decay <= 1.0))
        return xr_fail(XR_ECONFIG, "layer_decay: %g; expected 0 < layer_decay <= 1 (1 = the same rate in all layers)",
                       o->layer_decay);
    if (!(o->lr_power >= 0.0 && isfinite(o->lr_power)))
        return xr_fail(XR_ECONFIG, "lr_power: %g; expected a number >= 0; 1 is a straight line", o->lr_power);
    if (!(o->lr_end >= 0.0 && o->lr_end <= o->learning_rate))
        return xr_fail(XR_ECONFIG, "lr_end: %g; expected a rate from 0 to the learning rate, %g", o->lr_end, o->learning_rate);
    return XR_OK;
}

/* bfloat16 without moments would say that something is saved. */
static xr_status check_moments(const xr_optim *o)
{
    return o->rule->update[o->opt.moments] ? XR_OK : xr_fail(XR_ECONFIG, "moments: bf16 needs a rule that has some; %s has none, leave --moments out",
                                                             o->rule->name);
}

size_t xr_moment_size(xr_moments kind) { return kind == XR_MOMENTS_BF16 ? sizeof(uint16_t) : sizeof(float); }

static int is_dense(const xr_param *p) { return !(p->flags & XR_PARAM_FROZEN) && !p->t.rowgrad; }

/* Of one moment. */
static size_t slice(const xr_optim *o, size_t i) { return xr_whole_lines(xr_numel(&o->ps->row[i]->t) * xr_moment_size(o->opt.moments)); }

static xr_status alloc_dense(xr_optim *o)
{
    for (size_t i = 0; i < o->n; i++)
        o->block_bytes += is_dense(o->ps->row[i]) ? (size_t)o->rule->n_moments * slice(o, i) : 0;
    if (!o->block_bytes)
        return XR_OK;
    o->block = xr_map_alloc(o->block_bytes, 1);
    if (!o->block)
        return xr_fail_context("optimizer state (%zu bytes)", o->block_bytes);
    char *next = o->block;
    for (int k = 0; k < o->rule->n_moments; k++)
        for (size_t i = 0; i < o->n; i++)
            if (is_dense(o->ps->row[i])) {
                o->slot[i].moment[k] = next;
                next += slice(o, i);
            }
    return XR_OK;
}

static xr_status alloc_deferred(xr_optim *o)
{
    for (size_t i = 0; i < o->n; i++) {
        const xr_param *p = o->ps->row[i];
        if ((p->flags & XR_PARAM_FROZEN) || !p->t.rowgrad)
            continue;
        xr_deferred *d = o->slot[i].deferred = xr_deferred_new(o->rule, o->opt.moments, p);
        if (!d)
            return xr_fail_context("optimizer state of %s", p->name);
        o->slot[i].moment[0] = d->x.x.m;
        o->slot[i].moment[1] = d->x.x.v;
        if (!o->vocabulary || d->rows > o->vocabulary->rows)
            o->vocabulary = d;
    }
    return XR_OK;
}

static double share(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

static xr_status init(xr_optim *o, xr_params *ps, const xr_optim_options *opt, int n_layers)
{
    XR_TRY(check_options(opt));
    for (size_t i = 0; i < ps->n; i++)
        XR_ASSERT(!ps->row[i]->late || opt->max_grad_norm <= 0.0, "clipping wants the norm of %s before the update", ps->row[i]->name);
    o->ps = ps;
    o->opt = *opt;
    o->plan = (xr_schedule_plan){opt->total_steps, opt->warmup_steps, opt->lr_power, share(opt->lr_end, opt->learning_rate)};
    o->n_layers = n_layers;
    o->key = xr_rng_key(opt->seed, XR_RNG_MOMENTS);
    o->n = ps->n;
    if (!(o->rule = xr_rule_find(opt->rule)) || !(o->schedule = xr_schedule_find(opt->schedule)))
        return xr_error_status();
    XR_TRY(check_moments(o));
    if (!(o->slot = xr_alloc(o->n, sizeof *o->slot)))
        return xr_error_status();
    XR_TRY(alloc_dense(o));
    return alloc_deferred(o);
}

xr_optim *xr_optim_new(xr_params *ps, const xr_optim_options *opt, int n_layers)
{
    xr_optim *o = xr_alloc(1, sizeof *o);
    if (o && init(o, ps, opt, n_layers) < 0) {
        xr_optim_free(o);
        return NULL;
    }
    return o;
}

void xr_optim_free(xr_optim *o)
{
    if (!o)
        return;
    for (size_t i = 0; o->slot && i < o->n; i++)
        xr_deferred_free(o->slot[i].deferred);
    if (o->block)
        xr_map_free(o->block, o->block_bytes);
    xr_late_free(&o->late);
    xr_free(o->slot);
    xr_free(o);
}

double xr_optim_lr(const xr_optim *o)
{
    return o->opt.learning_rate * o->schedule->factor(o->steps, &o->plan);
}

static void *moment(const xr_optim *o, size_t param, int k, xr_moments kind)
{
    XR_ASSERT(param < o->n && k >= 0, "moment %d of row %zu of %zu", k, param, o->n);
    return k < o->rule->n_moments && kind == o->opt.moments ? o->slot[param].moment[k] : NULL;
}

float *xr_optim_moment(xr_optim *o, size_t param, int k)
{
    return moment(o, param, k, XR_MOMENTS_F32);
}

uint16_t *xr_optim_moment_bf16(xr_optim *o, size_t param, int k)
{
    return moment(o, param, k, XR_MOMENTS_BF16);
}

double xr_optim_grad_norm(const xr_optim *o, double grad_scale)
{
    double sum = 0.0;
    for (size_t i = 0; i < o->n; i++) {
        const xr_param *p = o->ps->row[i];
        if ((p->flags & XR_PARAM_FROZEN) || p->late)
            continue;
        if (p->t.rowgrad)
            sum += xr_vec_sumsq(p->t.rowgrad->g, p->t.rowgrad->n * p->t.cols);
        else
            sum += xr_vec_sumsq(p->t.g, xr_numel(&p->t));
    }
    return fabs(grad_scale) * sqrt(sum);
}

static xr_status reserve(xr_optim *o)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->slot[i].deferred)
            XR_TRY(xr_deferred_reserve(o->slot[i].deferred));
        if (o->ps->row[i]->late)
            XR_TRY(xr_late_reserve(&o->late, o->ps->row[i]));
    }
    return XR_OK;
}

xr_status xr_optim_late_tiles(xr_optim *o, size_t param, xr_late_visit *visit, void *context)
{
    XR_TRY(xr_late_reserve(&o->late, o->ps->row[param]));
    xr_late_look(&o->late, o->ps->row[param], visit, context);
    return XR_OK;
}

/* Returns the sum of squares of a gradient that is known only now. */
static double step_row(xr_optim *o, size_t i, double lr, double clip)
{
    xr_param *p = o->ps->row[i];
    slot *sl = &o->slot[i];
    xr_hyper h = xr_group_hyper(&o->opt, o->n_layers, p, lr);
    xr_adamw_scalars s;
    xr_span_update update = o->rule->update[o->opt.moments];
    o->rule->scalars(&s, &h, o->steps + 1, clip);
    s.key = o->key;
    s.step = (uint32_t)o->steps;
    s.parameter = (uint32_t)i;
    xr_param_changed(p);
    if (p->late)
        return xr_late_step(&o->late, update, p, sl->moment, &s);
    if (!sl->deferred) {
        xr_span_step(update, &(xr_span){p->t.x, sl->moment[0], sl->moment[1]}, p->t.g, xr_numel(&p->t), &s);
        return 0.0;
    }
    xr_deferred_step(sl->deferred, p->t.rowgrad, &s);
    if (sl->deferred != o->vocabulary)
        xr_deferred_flush(sl->deferred);
    return 0.0;
}

xr_status xr_optim_step(xr_optim *o, double grad_scale, double norm)
{
    if (!isfinite(norm) || !isfinite(grad_scale))
        return xr_fail(XR_EDIVERGED, "update %llu: the norm of the gradient is %g (scale %g), not a finite number; lower "
                       "the learning rate, or look for NaN in the model with 'xlmr verify'",
                       (unsigned long long)o->steps + 1, norm, grad_scale);
    XR_TRY(reserve(o));
    double lr = xr_optim_lr(o), clip = grad_scale * xr_clip_factor(o->opt.max_grad_norm, norm), late = 0.0;
    for (size_t i = 0; i < o->n; i++)       /* first, while the parameters their gradients follow from are as they were */
        if (o->ps->row[i]->late)
            late += step_row(o, i, lr, clip);
    for (size_t i = 0; i < o->n; i++)
        if (!(o->ps->row[i]->flags & XR_PARAM_FROZEN) && !o->ps->row[i]->late)
            step_row(o, i, lr, clip);
    o->norm = late > 0.0 ? sqrt(norm * norm + grad_scale * grad_scale * late) : norm;
    o->steps++;
    return XR_OK;
}

double xr_optim_norm(const xr_optim *o) { return o->norm; }

void xr_optim_set_steps(xr_optim *o, uint64_t steps)
{
    o->steps = steps;
    for (size_t i = 0; i < o->n; i++)
        if (o->slot[i].deferred)
            xr_deferred_set_steps(o->slot[i].deferred, steps);
}

void xr_optim_touch(xr_optim *o, const int32_t *id, size_t n)
{
    if (o->vocabulary)
        xr_deferred_touch(o->vocabulary, id, n);
}

void xr_optim_flush(xr_optim *o)
{
    for (size_t i = 0; i < o->n; i++)
        if (o->slot[i].deferred)
            xr_deferred_flush(o->slot[i].deferred);
}
