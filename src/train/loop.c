#include "train/loop.h"

#include <stdio.h>
#include <string.h>

#include "kernels/rate.h"
#include "train/checkpoint.h"
#include "train/metrics.h"
#include "train/nonfinite.h"
#include "train/step_check.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/phase.h"

enum { MAX_FAILED_SAVES = 3, LONG_ENOUGH_SECONDS = 20 };

/* --- evaluation ------------------------------------------------------------------------------------------------- */

static int signalled(const xr_loop *l)
{
    return l->hooks && l->hooks->stop && l->hooks->stop(l->hooks->context);
}

/* Before the first save: as long as writing the state at 100 MB/s. */
static double save_estimate(const xr_loop *l)
{
    double bytes = 0.0;
    if (l->save_seconds > 0.0)
        return l->save_seconds;
    for (size_t i = 0; i < l->trainer->state.n; i++)
        bytes += (double)l->trainer->state.row[i].n * (double)xr_state_size(l->trainer->state.row[i].type);
    return bytes / 100e6;
}

/* Time that is too short for anything still brings one update, so that repeating the command ends some day. */
static int out_of_time(const xr_loop *l)
{
    return l->max_seconds > 0.0 && l->updates > 0 && xr_clock() - l->began + save_estimate(l) + l->step_seconds > l->max_seconds;
}

int xr_loop_stopping(const xr_loop *l)
{
    return signalled(l) || out_of_time(l);
}

static int evaluation_due(const xr_loop *l)
{
    uint64_t step = l->trainer->step;
    if (!l->task->evaluate || step == 0 || l->eval_step == step)
        return 0;
    return step == l->total_steps || (l->eval_every > 0 && step % l->eval_every == 0);
}

static xr_status save_model(const xr_loop *l, const char *name)
{
    int phase = xr_phase_enter(XR_PHASE_SAVE);
    xr_status status = l->task->save_model(l->task->context, name);
    xr_phase_enter(phase);
    return status;
}

static xr_status keep_if_best(xr_loop *l, double value)
{
    int higher = xr_metric_higher_is_better(l->task->metric);
    int better = l->best_step == 0 || (higher ? value > l->best_value : value < l->best_value);
    l->evals++;
    l->eval_step = l->trainer->step;
    if (!better) {
        l->evals_since_best++;
        return XR_OK;
    }
    l->best_value = value;
    l->best_step = l->trainer->step;
    l->evals_since_best = 0;
    return save_model(l, "best");
}

static xr_status judge(xr_loop *l, json_t *line)
{
    double value, loss;
    XR_TRY(l->task->evaluate(l->task->context, line, &value));
    loss = json_number_value(json_object_get(line, "loss"));
    XR_TRY(xr_runlog_metrics(&l->log, json_incref(line)));
    XR_TRY(keep_if_best(l, value));
    xr_info("step %llu: validation loss %.4f, %s %.4f%s", (unsigned long long)l->trainer->step, loss, l->task->metric, value,
            l->evals_since_best == 0 ? " (best)" : "");
    return XR_OK;
}

static xr_status evaluate(xr_loop *l)
{
    double began = xr_clock();
    json_t *line = json_pack("{ss sI}", "event", "eval", "step", (json_int_t)l->trainer->step);
    if (!line)
        return xr_fail(XR_ESYSTEM, "step %llu: no memory for a line of metrics.jsonl", (unsigned long long)l->trainer->step);
    xr_trainer_show_average(l->trainer);
    xr_status status = judge(l, line);
    xr_trainer_show_weights(l->trainer);
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
    json_t *j = json_pack("{sI sf sI sI}", "step", (json_int_t)t->step, "epoch", l->task->epoch(l->task->context, t->step + l->data_ahead), "samples",
                          (json_int_t)t->samples, "tokens", (json_int_t)t->tokens);
    if (l->task->weight)
        json_object_set_new(j, l->task->weight, json_integer((json_int_t)l->weight));
    json_object_set_new(j, "loss", xr_json_number(window_loss(l)));
    json_object_set_new(j, "lr", xr_json_number(r->lr));
    json_object_set_new(j, "grad_norm", xr_json_number(r->grad_norm));
    XR_TRY(xr_runlog_metrics(&l->log, j));
    XR_TRY(xr_runlog_timing(&l->log, t->step, l->window_steps, l->window_tokens, l->window_flops));
    l->window_loss = l->window_weight = 0.0;
    l->window_steps = l->window_tokens = 0;
    l->window_flops = 0.0;
    return XR_OK;
}

static void count(xr_loop *l, const xr_step_result *r)
{
    l->weight += r->weight;
    l->window_loss += l->task->weight ? r->loss * r->weight : r->loss;
    l->window_weight += r->weight;
    l->window_steps++;
    l->window_tokens += r->tokens;
    l->window_flops += r->flops;
    l->skipped_in_row = 0;
}

/* An update whose loss or gradient is not finite is left out and written down, up to --max-skipped of them in a row. */
static xr_status skip(xr_loop *l, const xr_step_result *r)
{
    json_t *j = json_pack("{ss sI}", "event", "skip", "step", (json_int_t)l->trainer->step + 1);
    json_object_set_new(j, "loss", xr_json_number(r->loss));
    json_object_set_new(j, "grad_norm", xr_json_number(r->grad_norm));
    if (l->skipped_in_row == (uint64_t)l->o->max_skipped) {
        json_decref(j);
        return xr_fail_context("%llu updates in a row were left out (--max-skipped)", (unsigned long long)l->skipped_in_row);
    }
    xr_warn("%s (--on-nonfinite skip: the update is left out)", xr_error_message());
    xr_error_clear();
    xr_trainer_skip(l->trainer, r);
    l->skipped++;
    l->skipped_in_row++;
    return xr_runlog_metrics(&l->log, j);
}

/* The newest step at which a checkpoint was due by --save-steps; 0: none was. */
static uint64_t last_due_save(const xr_loop *l)
{
    uint64_t every = (uint64_t)l->o->save_steps;
    return every ? l->trainer->step / every * every : 0;
}

/* The checkpoint to go back to: the last that was due by steps, not one that a stop or --save-time has made since, so that they do not change what a run
 * learns. NULL with the cause of the trouble and what is missing. Caller frees. */
static char *checkpoint_to_return_to(const xr_loop *l)
{
    char why[2048], *path = last_due_save(l) ? xr_checkpoint_path(l->o->output_dir, last_due_save(l)) : NULL;
    snprintf(why, sizeof why, "%s", xr_error_message());
    xr_error_clear();
    if (path && xr_path_is_dir(path))
        return path;
    xr_free(path);
    path = NULL;
    if (xr_checkpoint_find(l->o->output_dir, l->trainer->step, &path) < 0)
        xr_fail_context("%s; --on-nonfinite rollback", why);
    else if (!path)
        xr_fail(XR_EDIVERGED, "%s; --on-nonfinite rollback: there is no checkpoint yet to go back to (--save-steps makes them)", why);
    return path;
}

/* What came after the checkpoint leaves the log, which says instead that it was left out. */
static xr_status note_return(xr_loop *l, uint64_t failed, const xr_step_result *r)
{
    json_t *j = json_pack("{ss sI sI sI}", "event", "rollback", "step", (json_int_t)l->trainer->step, "from", (json_int_t)failed, "data_ahead",
                          (json_int_t)l->data_ahead);
    json_object_set_new(j, "loss", xr_json_number(r->loss));
    json_object_set_new(j, "grad_norm", xr_json_number(r->grad_norm));
    if (l->best_step > l->trainer->step) {
        json_object_set_new(j, "best", xr_json_number(l->best_value));
        json_object_set_new(j, "best_step", json_integer((json_int_t)l->best_step));
    }
    xr_warn("update %llu was not finite (loss %g, gradient norm %g): back to the checkpoint after update %llu; the data of %llu updates are left out "
            "(--on-nonfinite rollback)", (unsigned long long)failed, r->loss, r->grad_norm, (unsigned long long)l->trainer->step,
            (unsigned long long)(failed - l->trainer->step + (uint64_t)l->o->rollback_skip));
    xr_status status = xr_runlog_cut(&l->log, l->metrics_bytes, l->trainer->step);
    if (status == XR_OK && l->o->tensorboard)
        status = xr_runlog_tensorboard(&l->log, l->o->output_dir, 1, l->trainer->step);
    if (status == XR_OK && evaluation_due(l))       /* a stop has saved that step before its evaluation */
        status = evaluate(l);
    if (l->best_step > l->trainer->step)
        l->evals_since_best = 0;                    /* none behind that of best/ */
    if (status == XR_OK)
        return xr_runlog_metrics(&l->log, j);
    json_decref(j);
    return status;
}

/* What a return does not undo: how often there was one, and best/, whose figure stays the one to beat where that is newer than the checkpoint. */
static void carry_over(xr_loop *l, const xr_loop *before)
{
    l->returns = before->returned_to == l->trainer->step ? before->returns + 1 : 1;
    l->returned_to = l->trainer->step;
    if (before->best_step <= l->trainer->step)
        return;
    l->best_value = before->best_value;
    l->best_step = before->best_step;
}

/* Back to the newest checkpoint, and on with the data behind the update that was not finite. A run that is stopped before its next checkpoint meets that
 * update again and goes back again, to the same bits. */
static xr_status roll_back(xr_loop *l, const xr_step_result *r)
{
    uint64_t failed = l->trainer->step + 1, behind = failed + l->data_ahead + (uint64_t)l->o->rollback_skip;
    const xr_loop before = *l;
    char *path = checkpoint_to_return_to(l);
    xr_status status = path ? xr_loop_load(l, path) : xr_error_status();
    xr_free(path);
    XR_TRY(status);
    carry_over(l, &before);
    l->went_back = 1;
    l->data_ahead = behind - l->trainer->step;
    if (l->returns > (uint64_t)l->o->max_skipped)
        return xr_fail(XR_EDIVERGED, "update %llu: loss %g, gradient norm %g: not finite, after %llu returns to the checkpoint after update %llu "
                       "(--max-skipped); lower --learning-rate, or look for broken input", (unsigned long long)failed, r->loss, r->grad_norm,
                       (unsigned long long)(l->returns - 1), (unsigned long long)l->returned_to);
    return note_return(l, failed, r);
}

/* --- checkpoints ------------------------------------------------------------------------------------------------ */

static xr_status write_checkpoint(xr_loop *l)
{
    xr_optim_flush(l->trainer->optim);
    XR_TRY(xr_runlog_sync(&l->log, &l->metrics_bytes));
    const xr_checkpoint_keep keep = { (size_t)l->o->save_total_limit, (uint64_t)l->o->keep_every, l->best_step, last_due_save(l), l->went_back };
    return xr_checkpoint_save(l->o->output_dir, l->trainer->step, &l->trainer->state, l->facts, &keep);
}

static xr_status save(xr_loop *l)
{
    double began = xr_clock();
    int phase = xr_phase_enter(XR_PHASE_SAVE);
    xr_status status = write_checkpoint(l);
    xr_phase_enter(phase);
    double seconds = xr_clock() - began;
    l->save_seconds = seconds > l->save_seconds ? seconds : l->save_seconds;
    l->log.last += seconds;     /* saving is not training time */
    l->saved_step = l->trainer->step;
    l->saved_at = xr_clock();
    l->failed_saves = status < 0 ? l->failed_saves + 1 : 0;
    l->went_back &= status < 0;
    return status;
}

static int is_saved(const xr_loop *l)
{
    return l->saved_step == l->trainer->step && l->failed_saves == 0;
}

static int due_by_time(const xr_loop *l)
{
    return l->save_time > 0.0 && l->updates > 0 && xr_clock() - l->saved_at >= l->save_time;
}

/* A save that fails is tried again when the next is due. The third failure in a row ends the run, unless nobody asked for it: what is due by time alone
 * may fail for ever on a disk that has no room for checkpoints. */
static xr_status save_when_due(xr_loop *l)
{
    uint64_t every = (uint64_t)l->o->save_steps, step = l->trainer->step;
    int by_steps = every > 0 && step % every == 0;
    if (step == 0 || l->saved_step == step || (!by_steps && !due_by_time(l)) || save(l) == XR_OK)
        return XR_OK;
    char why[1024];
    snprintf(why, sizeof why, "%s", xr_error_message());
    xr_error_clear();
    if (by_steps && l->failed_saves >= MAX_FAILED_SAVES)
        return xr_fail(XR_EIO, "step %llu: %d checkpoints in a row could not be written: %s", (unsigned long long)step, l->failed_saves, why);
    xr_warn("step %llu: no checkpoint was written: %s; training goes on", (unsigned long long)step, why);
    return XR_OK;
}

/* --- an update --------------------------------------------------------------------------------------------------- */

/* The data of an update cannot be had: what was learned before it is kept, so that nothing is lost once they are mended. The first error stays that
 * of the run. */
static xr_status save_before_failing(xr_loop *l, xr_status status)
{
    char why[2048], also[1024];
    unsigned long long step = l->trainer->step;
    if (step == 0)
        return status;
    snprintf(why, sizeof why, "%s", xr_error_message());
    xr_error_clear();
    if (!is_saved(l) && save(l) < 0) {
        snprintf(also, sizeof also, "%s", xr_error_message());
        xr_error_clear();
        return xr_fail(status, "%s; nor could a checkpoint be written after update %llu: %s", why, step, also);
    }
    return xr_fail(status, "%s; once that is mended, the same command goes on from %s/checkpoints/step-%08llu", why, l->o->output_dir, step);
}

/* The task's micro-batch, written down on its way to the trainer. */
static const xr_batch *dumped_batch(void *context, int k)
{
    xr_loop *l = context;
    uint64_t step = l->trainer->step;
    const xr_batch *b = l->task->micro_batch(l->task->context, k);
    if (!b)
        return NULL;
    double epoch = l->task->epoch(l->task->context, step + l->data_ahead);
    xr_status status = xr_batch_dump_write(&l->dump, b, (size_t)l->trainer->model->config.num_labels, step, k, epoch);
    return status == XR_OK ? b : NULL;
}

static xr_status compute(xr_loop *l, int n_micro, xr_step_result *r)
{
    const xr_loop_task *task = l->task;
    uint64_t every = (uint64_t)l->o->check_steps;
    xr_micro_batch next = l->dump.file ? dumped_batch : task->micro_batch;
    void *context = l->dump.file ? l : task->context;
    if (every > 0 && (l->trainer->step + 1) % every == 0)
        return xr_step_check(l->trainer, n_micro, task->micro_batch, task->context, next, context, r);
    return xr_trainer_step(l->trainer, n_micro, next, context, r);
}

/* The first of a process is looked into, whatever is done about it. */
static xr_status not_finite(xr_loop *l, int n_micro, const xr_step_result *r)
{
    if (l->not_finite++ == 0 && xr_nonfinite_examine(l, n_micro, r) != XR_EDIVERGED)
        return xr_error_status();
    if (strcmp(l->o->on_nonfinite, "skip") == 0)
        return skip(l, r);
    return strcmp(l->o->on_nonfinite, "rollback") == 0 ? roll_back(l, r) : XR_EDIVERGED;
}

static xr_status update(xr_loop *l, xr_step_result *r)
{
    int phase = xr_phase_enter(XR_PHASE_DATA), n_micro = l->task->begin_step(l->task->context, l->trainer->step + l->data_ahead);
    xr_phase_enter(phase);
    xr_status status = n_micro < 0 ? (xr_status)n_micro : compute(l, n_micro, r);
    if (status == XR_OK)
        count(l, r);
    else if (status == XR_EDIVERGED)
        status = not_finite(l, n_micro, r);
    else if (status == XR_EDATA || status == XR_EIO)
        status = save_before_failing(l, status);
    return status;
}

/* The first update tells how long the run will be: a tenth of a second to learn the machine's rate is too much for a short one. */
static void measure_machine(xr_loop *l, double update_seconds)
{
    double began = xr_clock();
    if (update_seconds * (double)(l->total_steps - l->trainer->step) < LONG_ENOUGH_SECONDS)
        return;
    l->log.gemm_gflops = xr_rate_gemm(l->trainer->model->layer[0].query_w->pack, 0.1);
    xr_error_clear();                       /* no memory for it: no share is told */
    l->log.last += xr_clock() - began;      /* that was not training time */
}

static void tell(xr_loop *l, const xr_step_result *r, double seconds)
{
    double gflops = r->flops * 1e-9 / seconds, machine = l->log.gemm_gflops;
    const xr_pace pace = { (double)r->tokens / seconds, gflops, machine > 0.0 ? gflops / machine : 0.0 };
    l->hooks->step(l->hooks->context, l->trainer->step, r->loss, &pace);
}

static xr_status one_step(xr_loop *l)
{
    xr_step_result r;
    double began = xr_clock();
    uint64_t before = l->trainer->step;
    XR_TRY(update(l, &r));
    if (l->trainer->step <= before)
        return XR_OK;           /* gone back */
    double seconds = xr_clock() - began;
    l->step_seconds = seconds > l->step_seconds ? seconds : l->step_seconds;
    if (l->updates++ == 0)
        measure_machine(l, seconds);
    if (l->hooks && l->hooks->step)
        tell(l, &r, seconds);
    uint64_t done = l->trainer->step;
    return done % (uint64_t)l->o->logging_steps == 0 || done == l->total_steps ? log_window(l, &r) : XR_OK;
}

/* --- the run ---------------------------------------------------------------------------------------------------- */

static xr_status stopped(xr_loop *l)
{
    const char *why = signalled(l) ? "a signal" : "--max-time";
    unsigned long long step = l->trainer->step;
    xr_error_clear();           /* an evaluation that was stopped says so */
    if (!is_saved(l) && save(l) < 0)
        return xr_fail_context("stopped by %s after update %llu of %llu, and the checkpoint could not be written", why, step,
                               (unsigned long long)l->total_steps);
    return xr_fail(XR_ETEMPFAIL, "stopped by %s after update %llu of %llu; the same command goes on from %s/checkpoints/step-%08llu", why, step,
                   (unsigned long long)l->total_steps, l->o->output_dir, step);
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
    if (evaluation_due(l)) {
        XR_TRY(evaluate(l));
        l->saved_step = UINT64_MAX;     /* a stop may have saved this step before it was evaluated: what is due is the state behind that */
    }
    XR_TRY(save_when_due(l));
    return l->trainer->step == l->total_steps || out_of_patience(l);
}

static xr_status run(xr_loop *l)
{
    int over = 0;
    while (over == 0 && (over = after_update(l)) == 0 && !xr_loop_stopping(l))
        over = one_step(l);
    if (over == 0 || over == XR_ETEMPFAIL)      /* an evaluation was stopped, perhaps that of a return */
        return stopped(l);
    return over < 0 ? over : XR_OK;
}

/* The last line says what the run came to: its best figure too, and for who compares runs which way is better. */
static json_t *end_line(const xr_loop *l)
{
    json_t *j = json_pack("{ss sI ss}", "event", "end", "step", (json_int_t)l->trainer->step, "state_xxh3", l->digest);
    if (j && l->evals > 0) {
        json_object_set_new(j, "metric", json_string(l->task->metric));
        json_object_set_new(j, "higher_is_better", json_boolean(xr_metric_higher_is_better(l->task->metric)));
        json_object_set_new(j, "best", xr_json_number(l->best_value));
        json_object_set_new(j, "best_step", json_integer((json_int_t)l->best_step));
    }
    return j;
}

/* final/, and the digest of weights, moments and counters, by which runs can be compared. */
static xr_status finish(xr_loop *l)
{
    xr_trainer_show_average(l->trainer);
    xr_status status = save_model(l, "final");
    xr_trainer_show_weights(l->trainer);
    XR_TRY(status);
    XR_TRY(xr_state_digest(&l->trainer->state, l->digest));
    XR_TRY(xr_runlog_metrics(&l->log, end_line(l)));
    XR_TRY(xr_runlog_sync(&l->log, &l->metrics_bytes));     /* without that line the run is not over */
    XR_TRY(xr_batch_dump_close(&l->dump));
    return xr_runlog_close(&l->log);
}

xr_status xr_loop_run(xr_loop *l)
{
    l->saved_at = xr_clock();
    XR_TRY(run(l));
    return finish(l);
}
