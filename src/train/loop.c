#include "train/loop.h"

#include <string.h>

#include "util/log.h"

/* --- begin ------------------------------------------------------------------------------------------------------ */

xr_status xr_loop_check(xr_loop *l)
{
    l->began = xr_clock();
    return xr_rundir_look(l->o, &l->kind);
}

/* Names under log/ are where the logs stand: saved, but no part of the digest by which two runs are compared. */
static xr_status declare_rows(xr_loop *l)
{
    xr_state *s = &l->trainer->state;
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->best_value, 1, "run/best_value"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->best_step, 1, "run/best_step"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->evals, 1, "run/evaluations"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->evals_since_best, 1, "run/evaluations_since_best"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->eval_step, 1, "run/evaluated_step"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->skipped, 1, "run/skipped"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->skipped_in_row, 1, "run/skipped_in_row"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->weight, 1, "run/weight"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->window_loss, 1, "log/loss"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->window_weight, 1, "log/weight"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->window_steps, 1, "log/steps"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->window_tokens, 1, "log/tokens"));
    return xr_state_add(s, XR_STATE_U64, &l->metrics_bytes, 1, "log/metrics_bytes");
}

static xr_status begin_new(xr_loop *l, json_t *start)
{
    xr_status status = xr_rundir_create(l->o->output_dir, l->o);
    if (status == XR_OK)
        status = xr_runlog_open(&l->log, l->o->output_dir);
    if (status < 0) {
        json_decref(start);
        return status;
    }
    return xr_runlog_metrics(&l->log, start);
}

xr_status xr_loop_begin(xr_loop *l, json_t *start)
{
    xr_status status = declare_rows(l);
    if (status < 0) {
        json_decref(start);
        return status;
    }
    XR_TRY(begin_new(l, start));
    if (l->hooks && l->hooks->begin)
        l->hooks->begin(l->hooks->context, l->trainer->step, l->total_steps);
    return XR_OK;
}

void xr_loop_free(xr_loop *l)
{
    xr_runlog_close(&l->log);
    json_decref(l->facts);
    l->facts = NULL;
}

/* --- evaluation ------------------------------------------------------------------------------------------------- */

int xr_loop_stopping(const xr_loop *l)
{
    return l->hooks && l->hooks->stop && l->hooks->stop(l->hooks->context);
}

static int evaluation_due(const xr_loop *l)
{
    uint64_t step = l->trainer->step;
    if (!l->task->evaluate || step == 0 || l->eval_step == step)
        return 0;
    return step == l->total_steps || (l->eval_every > 0 && step % l->eval_every == 0);
}

static xr_status keep_if_best(xr_loop *l, double value, int higher)
{
    int better = l->evals == 0 || (higher ? value > l->best_value : value < l->best_value);
    l->evals++;
    l->eval_step = l->trainer->step;
    if (!better) {
        l->evals_since_best++;
        return XR_OK;
    }
    l->best_value = value;
    l->best_step = l->trainer->step;
    l->evals_since_best = 0;
    return l->task->save_model(l->task->context, "best");
}

static xr_status judge(xr_loop *l, json_t *line)
{
    double value, loss;
    int higher;
    XR_TRY(l->task->evaluate(l->task->context, line, &value, &higher));
    loss = json_number_value(json_object_get(line, "loss"));
    XR_TRY(xr_runlog_metrics(&l->log, json_incref(line)));
    XR_TRY(keep_if_best(l, value, higher));
    xr_info("step %llu: validation loss %.4f, %s %.4f%s", (unsigned long long)l->trainer->step, loss, l->task->metric, value,
            l->best_step == l->trainer->step ? " (best)" : "");
    return XR_OK;
}

static xr_status evaluate(xr_loop *l)
{
    double began = xr_clock();
    json_t *line = json_pack("{ss sI}", "event", "eval", "step", (json_int_t)l->trainer->step);
    if (!line)
        return xr_fail(XR_ESYSTEM, "step %llu: no memory for a line of metrics.jsonl", (unsigned long long)l->trainer->step);
    xr_optim_flush(l->trainer->optim);
    xr_status status = judge(l, line);
    json_decref(line);
    l->log.last += xr_clock() - began;      /* evaluation is not training time; the steps before it in this window are */
    return status;
}

/* --- updates ---------------------------------------------------------------------------------------------------- */

static double window_loss(const xr_loop *l)
{
    return l->window_loss / (l->task->weight ? l->window_weight : (double)l->window_steps);
}

static xr_status log_window(xr_loop *l, const xr_step_result *r)
{
    const xr_trainer *t = l->trainer;
    json_t *j = json_pack("{sI sf sI sI}", "step", (json_int_t)t->step, "epoch", l->task->epoch(l->task->context, t->step), "samples",
                          (json_int_t)t->samples, "tokens", (json_int_t)t->tokens);
    if (l->task->weight)
        json_object_set_new(j, l->task->weight, json_integer((json_int_t)l->weight));
    json_object_set_new(j, "loss", xr_json_number(window_loss(l)));
    json_object_set_new(j, "lr", xr_json_number(r->lr));
    json_object_set_new(j, "grad_norm", xr_json_number(r->grad_norm));
    XR_TRY(xr_runlog_metrics(&l->log, j));
    XR_TRY(xr_runlog_timing(&l->log, t->step, l->window_steps, l->window_tokens));
    l->window_loss = l->window_weight = 0.0;
    l->window_steps = l->window_tokens = 0;
    return XR_OK;
}

static void count(xr_loop *l, const xr_step_result *r, double seconds)
{
    l->weight += r->weight;
    l->window_loss += l->task->weight ? r->loss * r->weight : r->loss;
    l->window_weight += r->weight;
    l->window_steps++;
    l->window_tokens += r->tokens;
    if (l->hooks && l->hooks->step)
        l->hooks->step(l->hooks->context, l->trainer->step, r->loss, (double)r->tokens / seconds);
}

static xr_status one_step(xr_loop *l)
{
    xr_step_result r;
    double began = xr_clock();
    int n_micro = l->task->begin_step(l->task->context, l->trainer->step);
    XR_TRY(n_micro < 0 ? (xr_status)n_micro : XR_OK);
    XR_TRY(xr_trainer_step(l->trainer, n_micro, l->task->micro_batch, l->task->context, &r));
    count(l, &r, xr_clock() - began);
    uint64_t done = l->trainer->step;
    return done % (uint64_t)l->o->logging_steps == 0 || done == l->total_steps ? log_window(l, &r) : XR_OK;
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

static xr_status stopped(xr_loop *l)
{
    xr_error_clear();           /* an evaluation that was stopped says so */
    xr_optim_flush(l->trainer->optim);
    XR_TRY(l->task->save_model(l->task->context, "interrupted"));
    return xr_fail(XR_ETEMPFAIL, "stopped by a signal after update %llu of %llu; the weights are in %s/interrupted, which --model can start from",
                   (unsigned long long)l->trainer->step, (unsigned long long)l->total_steps, l->o->output_dir);
}

static int out_of_patience(const xr_loop *l)
{
    uint64_t patience = (uint64_t)l->o->early_stopping_patience;
    if (patience == 0 || l->evals_since_best < patience)
        return 0;
    xr_info("step %llu: no better %s in %llu evaluations: stopping early", (unsigned long long)l->trainer->step, l->task->metric,
            (unsigned long long)l->evals_since_best);
    return 1;
}

/* What is due after an update is decided from the state alone, so that a run that goes on from a checkpoint takes up in the middle of it. 1: the run
 * is over. */
static int after_update(xr_loop *l)
{
    if (evaluation_due(l))
        XR_TRY(evaluate(l));
    return l->trainer->step == l->total_steps || out_of_patience(l);
}

static xr_status run(xr_loop *l)
{
    for (;;) {
        int over = after_update(l);
        if (over == XR_ETEMPFAIL || (over == 0 && xr_loop_stopping(l)))
            return stopped(l);
        if (over != 0)
            return over < 0 ? over : XR_OK;
        XR_TRY(one_step(l));
    }
}

/* final/, and the digest of weights, moments and counters, by which runs can be compared. */
static xr_status finish(xr_loop *l)
{
    xr_optim_flush(l->trainer->optim);
    XR_TRY(l->task->save_model(l->task->context, "final"));
    XR_TRY(xr_state_digest(&l->trainer->state, l->digest));
    XR_TRY(xr_runlog_metrics(&l->log, json_pack("{ss sI ss}", "event", "end", "step", (json_int_t)l->trainer->step, "state_xxh3", l->digest)));
    return xr_runlog_close(&l->log);
}

xr_status xr_loop_run(xr_loop *l)
{
    XR_TRY(run(l));
    return finish(l);
}
