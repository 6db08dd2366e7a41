#include "train/trainer.h"

#include <math.h>
#include <string.h>

#include "model/flops.h"
#include "util/phase.h"

static xr_status declare_state(xr_trainer *t, int n_moments)
{
    const xr_params *ps = &t->model->params;
    for (size_t i = 0; i < ps->n; i++) {
        xr_param *p = ps->row[i];
        XR_TRY(xr_state_add(&t->state, XR_STATE_F32, p->t.x, xr_numel(&p->t), "param/%s", p->name));
        for (int k = 0; k < n_moments; k++) {
            float *moment = xr_optim_moment(t->optim, i, k);
            uint16_t *half = xr_optim_moment_bf16(t->optim, i, k);
            if (moment || half)
                XR_TRY(xr_state_add(&t->state, half ? XR_STATE_BF16 : XR_STATE_F32, half ? (void *)half : moment, xr_numel(&p->t), "moment%d/%s", k,
                                    p->name));
        }
    }
    XR_TRY(xr_state_add(&t->state, XR_STATE_U64, &t->step, 1, "run/step"));
    XR_TRY(xr_state_add(&t->state, XR_STATE_U64, &t->samples, 1, "run/samples"));
    return xr_state_add(&t->state, XR_STATE_U64, &t->tokens, 1, "run/tokens");
}

void xr_trainer_choose_gradients(xr_model *m, double max_grad_norm, int single)
{
    int tied = m->head && m->head->reads == XR_READS_TARGETS && !(m->word->flags & (XR_PARAM_ROW_GRAD | XR_PARAM_FROZEN));
    m->word->flags &= ~(unsigned)XR_PARAM_LATE_GRAD;
    if (tied && single && max_grad_norm <= 0.0)
        m->word->flags |= XR_PARAM_LATE_GRAD;
}

static xr_status trainer_init(xr_trainer *t, const xr_optim_options *optim, const xr_batch_bound *bound)
{
    xr_model *m = t->model;
    xr_trainer_choose_gradients(m, optim->max_grad_norm, bound->single);
    XR_TRY(xr_params_alloc_grads(&m->params));
    t->optim = xr_optim_new(&m->params, optim, m->config.num_hidden_layers);
    if (!t->optim)
        return xr_error_status();
    size_t reserve = xr_model_reserve(m, bound->tokens, bound->sequences, bound->max_len, bound->masked, 1);
    t->reserve = reserve;
    t->tape = reserve ? xr_tape_new(reserve) : NULL;
    if (!t->tape)
        return xr_error_status();
    return declare_state(t, xr_rule_find(optim->rule)->n_moments);
}

xr_status xr_trainer_init(xr_trainer *t, xr_model *m, const xr_optim_options *optim, uint64_t seed, const xr_batch_bound *bound)
{
    memset(t, 0, sizeof *t);
    t->model = m;
    t->comm = xr_comm_single();
    t->seed = seed;
    xr_status status = trainer_init(t, optim, bound);
    if (status < 0)
        xr_trainer_free(t);
    return status;
}

void xr_trainer_free(xr_trainer *t)
{
    xr_optim_free(t->optim);
    xr_ema_free(t->ema);
    xr_tape_free(t->tape);
    xr_state_free(&t->state);
    memset(t, 0, sizeof *t);
}

xr_status xr_trainer_average(xr_trainer *t, double decay)
{
    const xr_params *ps = &t->model->params;
    t->ema = xr_ema_new(&t->model->params, decay);
    if (!t->ema)
        return xr_error_status();
    for (size_t i = 0; i < ps->n; i++) {
        float *row = xr_ema_row(t->ema, i);
        if (row)
            XR_TRY(xr_state_add(&t->state, XR_STATE_F32, row, xr_numel(&ps->row[i]->t), "ema/%s", ps->row[i]->name));
    }
    return XR_OK;
}

void xr_trainer_show_average(xr_trainer *t)
{
    xr_optim_flush(t->optim);
    if (t->ema)
        xr_ema_swap(t->ema);
}

void xr_trainer_show_weights(xr_trainer *t)
{
    if (t->ema)
        xr_ema_swap(t->ema);
}

/* The average moves with every row, those that had no gradient too: so all have to be up to date. */
static void average(xr_trainer *t)
{
    if (!t->ema)
        return;
    xr_optim_flush(t->optim);
    xr_ema_update(t->ema, t->step);
}

/* Adds one micro-batch's gradients, loss and weight. */
static xr_status run_micro(xr_trainer *t, const xr_batch *batch, double *loss_sum, double *weight)
{
    const xr_head *head = t->model->head;
    int phase = xr_phase_enter(XR_PHASE_OPTIMIZER);
    xr_optim_touch(t->optim, batch->id, batch->rows.n);
    xr_phase_enter(phase);
    xr_tape_begin(t->tape, 1, 1, t->seed, (uint32_t)t->step);
    xr_tensor *loss = head->loss(t->tape, t->model, batch, NULL);
    XR_TRY(xr_tape_status(t->tape));
    *loss_sum += (double)loss->x[0];
    *weight += head->weight(batch, t->model->config.num_labels);
    return xr_backward(t->tape, loss, NULL);
}

static xr_status reduce(xr_trainer *t, double *loss_sum, double *weight)
{
    double sums[2] = { *loss_sum, *weight };
    XR_TRY(t->comm->sum_counts(t->comm, sums, 2));
    *loss_sum = sums[0];
    *weight = sums[1];
    return t->comm->sum_grads(t->comm, t->model->params.grads, t->model->params.grads_bytes / sizeof(float));
}

static void count(xr_trainer *t, const xr_step_result *result)
{
    t->step++;
    t->samples += result->examples;
    t->tokens += result->tokens;
}

static xr_status update(xr_trainer *t, xr_step_result *result)
{
    result->lr = xr_optim_lr(t->optim);
    result->grad_norm = xr_optim_grad_norm(t->optim, 1.0 / result->weight);
    if (!isfinite(result->loss) || !isfinite(result->grad_norm))
        return xr_fail(XR_EDIVERGED, "step %llu: loss %g, gradient norm %g: not finite; the weights were left as they were before the step. "
                       "Lower the learning rate, or look for broken input near this step", (unsigned long long)t->step + 1, result->loss,
                       result->grad_norm);
    XR_TRY(xr_optim_step(t->optim, 1.0 / result->weight, result->grad_norm));
    result->grad_norm = xr_optim_norm(t->optim);
    count(t, result);
    average(t);
    return XR_OK;
}

static double step_flops(const xr_model *m, const xr_batch *batch)
{
    xr_flops f = xr_model_flops(m, batch, 1);
    return xr_flops_all(&f);
}

static xr_status pass(xr_trainer *t, int n_micro, xr_micro_batch next, void *context, xr_step_result *result)
{
    double loss_sum = 0.0, weight = 0.0;
    memset(result, 0, sizeof *result);
    for (int k = 0; k < n_micro; k++) {
        int phase = xr_phase_enter(XR_PHASE_DATA);
        const xr_batch *batch = next(context, k);
        xr_phase_enter(phase);
        if (!batch)
            return xr_error_status();
        XR_TRY(run_micro(t, batch, &loss_sum, &weight));
        result->examples += batch->n_group ? batch->n_group : batch->rows.n_seq;
        result->tokens += batch->rows.n;
        result->flops += step_flops(t->model, batch);
    }
    XR_TRY(reduce(t, &loss_sum, &weight));
    result->loss = loss_sum / weight;
    result->weight = weight;
    return XR_OK;
}

/* What a failed step has summed up so far must not reach the next one. */
static xr_status end_half(xr_trainer *t, int phase, xr_status status)
{
    xr_phase_enter(phase);
    if (status < 0)
        xr_params_zero_grads(&t->model->params);
    return status;
}

xr_status xr_trainer_pass(xr_trainer *t, int n_micro, xr_micro_batch next, void *context, xr_step_result *result)
{
    int phase = xr_phase_enter(XR_PHASE_OTHER);
    return end_half(t, phase, pass(t, n_micro, next, context, result));
}

xr_status xr_trainer_update(xr_trainer *t, xr_step_result *result)
{
    int phase = xr_phase_enter(XR_PHASE_OPTIMIZER);
    return end_half(t, phase, update(t, result));
}

xr_status xr_trainer_step(xr_trainer *t, int n_micro, xr_micro_batch next, void *context, xr_step_result *result)
{
    XR_TRY(xr_trainer_pass(t, n_micro, next, context, result));
    return xr_trainer_update(t, result);
}

void xr_trainer_skip(xr_trainer *t, const xr_step_result *result)
{
    count(t, result);
}
