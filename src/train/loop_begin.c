/* How a run begins or goes on: the directory, its lock, the checkpoint, the logs. */
#include "train/loop.h"

#include <gnu/libc-version.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/checkpoint.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/manifest.h"
#include "util/str.h"
#include "util/xxh.h"

#define SHORTEST 1e-6           /* seconds that --max-time may be */

/* --- before anything is read ------------------------------------------------------------------------------------ */

/* Without the option the time is 0. */
static xr_status read_time(double *seconds, const char *option, const char *s, double least)
{
    *seconds = s ? xr_parse_time(s) : 0.0;
    if (!s || *seconds >= least)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "--%s %s: expected a time such as 90s, 30m, 2h or 11:30 (hours:minutes)", option, s);
}

static int names_a_checkpoint(const xr_options *o)
{
    return strcmp(o->resume, "auto") != 0 && strcmp(o->resume, "never") != 0;
}

xr_status xr_loop_check(xr_loop *l)
{
    l->began = xr_clock();
    XR_TRY(read_time(&l->max_seconds, "max-time", l->o->max_time, SHORTEST));
    XR_TRY(read_time(&l->save_time, "save-time", l->o->save_time, 0.0));
    if (names_a_checkpoint(l->o) && !xr_path_is_dir(l->o->resume))
        return xr_fail(XR_ENOINPUT, "--resume %s: is no directory; expected auto, never, or a checkpoint such as RUN/checkpoints/step-00001000", l->o->resume);
    XR_TRY(xr_rundir_look(l->o, &l->kind));
    if (names_a_checkpoint(l->o) && l->kind == XR_RUNDIR_NEW)
        XR_TRY(xr_rundir_check_input(l->o->output_dir, l->o->resume));
    if (l->kind == XR_RUNDIR_FINISHED)
        xr_info("%s: this run is finished, so there is nothing to do; --overwrite-output-dir would begin it again", l->o->output_dir);
    return XR_OK;
}

json_t *xr_loop_finished(const xr_loop *l)
{
    json_t *end = xr_rundir_end(l->o->output_dir), *j = NULL;
    if (end)
        j = json_pack("{ss sO sO sb}", "output_dir", l->o->output_dir, "steps", json_object_get(end, "step"), "state_xxh3", json_object_get(end, "state_xxh3"),
                      "finished", 1);
    if (j && json_object_get(end, "best")) {
        json_object_set(j, "metric", json_object_get(end, "metric"));
        json_object_set(j, "best", json_object_get(end, "best"));
        json_object_set(j, "best_step", json_object_get(end, "best_step"));
    }
    json_decref(end);
    if (!j)
        xr_fail(XR_EDATA, "%s: the last line of metrics.jsonl cannot be read", l->o->output_dir);
    return j;
}

/* --- what must be the same when a run goes on --------------------------------------------------------------------- */

/* Without --max-steps, which may be raised, and folders, which may be moved. */
static xr_status digest_recipe(const xr_options *o, char hex[33])
{
    json_t *j = xr_rundir_recipe(o);
    json_object_del(j, "max_steps");
    xr_status status = j ? xr_json_digest(j, hex) : xr_error_status();
    json_decref(j);
    return status;
}

/* The weights the run starts from, and what config.json says about their use. */
static xr_status digest_weights(const xr_loop *l, char hex[33])
{
    const xr_params *ps = &l->trainer->model->params;
    const xr_config *c = &l->trainer->model->config;
    char use[256];
    snprintf(use, sizeof use, "%d heads, eps %.9g, dropout %.9g, %.9g, %.9g, problem %d", c->num_attention_heads, (double)c->layer_norm_eps,
             (double)c->hidden_dropout_prob, (double)c->attention_probs_dropout_prob, (double)c->classifier_dropout, (int)c->problem);
    xr_xxh *h = xr_xxh_new();
    if (!h)
        return xr_error_status();
    xr_xxh_update(h, use, strlen(use));
    for (size_t i = 0; i < ps->n; i++) {
        xr_xxh_update(h, ps->row[i]->name, strlen(ps->row[i]->name) + 1);
        xr_xxh_update(h, ps->row[i]->t.x, xr_numel(&ps->row[i]->t) * sizeof(float));
    }
    xr_xxh_final(h, hex);
    return XR_OK;
}

/* What the last bits of a run depend on and its recipe does not name. */
static const char *const fingerprint[] = { "kernels", "build" };

static int is_fingerprint(const char *key)
{
    return strcmp(key, fingerprint[0]) == 0 || strcmp(key, fingerprint[1]) == 0;
}

static xr_status complete_facts(xr_loop *l)
{
    char recipe[33], weights[33], kernels[256], build[256];
    XR_TRY(digest_recipe(l->o, recipe));
    XR_TRY(digest_weights(l, weights));
    snprintf(kernels, sizeof kernels, "%s, OpenBLAS %s", xr_isa_name(xr_cpu_isa()), xr_blas_core());
    snprintf(build, sizeof build, "xlmr " XR_VERSION ", compiler " __VERSION__ ", glibc %s, %s", gnu_get_libc_version(), xr_blas_config());
    if (!l->facts)
        l->facts = json_object();
    json_t *own = json_pack("{ss ss ss ss}", "recipe_xxh3", recipe, "start_weights_xxh3", weights, fingerprint[0], kernels, fingerprint[1], build);
    int bad = !own || json_object_update(l->facts, own) != 0;
    json_decref(own);
    return bad ? xr_fail(XR_ESYSTEM, "no memory for the facts of a checkpoint") : XR_OK;
}

/* Other bits, no other run. */
static xr_status check_fingerprint(const xr_loop *l, const char *path, const char *key, const char *here, const char *there)
{
    if (l->o->require_exact)
        return xr_fail(XR_EDATA, "%s: was saved with other %s (%s; here %s), so what follows would not be the same to the last bit; go on where it was saved, "
                       "or without --require-exact", path, key, there, here);
    xr_warn("%s: was saved with other %s (%s; here %s): what follows agrees up to rounding, not to the bit", path, key, there, here);
    return XR_OK;
}

/* Anything but the fingerprint would be another run. */
static xr_status check_fact(const xr_loop *l, const char *path, const char *key, const json_t *here, const json_t *there)
{
    const char *a = json_string_value(there), *b = json_string_value(here);
    if (json_equal(here, there))
        return XR_OK;
    if (is_fingerprint(key))
        return check_fingerprint(l, path, key, b ? b : "", a ? a : "not said");
    return xr_fail(XR_EDATA, "%s: belongs to another run: %s is %s there and %s here; give the same data, model and options", path, key, a ? a : "not said",
                   b ? b : "not a word");
}

static xr_status check_facts(const xr_loop *l, const char *path, const json_t *manifest)
{
    const char *key;
    json_t *here, *facts = json_object_get(manifest, "facts");
    json_object_foreach(l->facts, key, here)
        XR_TRY(check_fact(l, path, key, here, json_object_get(facts, key)));
    return XR_OK;
}

/* --- begin ------------------------------------------------------------------------------------------------------ */

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
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->data_ahead, 1, "run/data_ahead"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->returned_to, 1, "run/returned_to"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->returns, 1, "run/returns"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->planned_steps, 1, "run/planned_steps"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->weight, 1, "run/weight"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->window_loss, 1, "log/loss"));
    XR_TRY(xr_state_add(s, XR_STATE_F64, &l->window_weight, 1, "log/weight"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->window_steps, 1, "log/steps"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->window_tokens, 1, "log/tokens"));
    return xr_state_add(s, XR_STATE_U64, &l->metrics_bytes, 1, "log/metrics_bytes");
}

static xr_status begin_new(xr_loop *l, json_t *start)
{
    XR_TRY(xr_rundir_create(l->o->output_dir, l->o));
    XR_TRY(xr_runlog_open(&l->log, l->o->output_dir));
    if (l->o->tensorboard)
        XR_TRY(xr_runlog_tensorboard(&l->log, l->o->output_dir, 0, 0));
    return xr_runlog_metrics(&l->log, json_incref(start));
}

xr_status xr_loop_load(xr_loop *l, const char *path)
{
    json_t *manifest = NULL;
    xr_trainer *t = l->trainer;
    xr_status status = xr_checkpoint_load(path, &t->state, &manifest);
    if (status == XR_OK)
        status = check_facts(l, path, manifest);
    json_decref(manifest);
    XR_TRY(status);
    xr_params_changed(&t->model->params);
    xr_optim_set_steps(t->optim, t->step - l->skipped);
    l->saved_step = t->step;
    l->failed_saves = 0;        /* what was loaded is saved */
    return XR_OK;
}

static xr_status load(xr_loop *l, const char *path)
{
    XR_TRY(xr_loop_load(l, path));
    if (l->trainer->step > l->total_steps)
        return xr_fail(XR_ECONFIG, "%s: is of update %llu, and this run ends after %llu; give --max-steps %llu or more, or an earlier checkpoint", path,
                       (unsigned long long)l->trainer->step, (unsigned long long)l->total_steps, (unsigned long long)l->trainer->step);
    xr_info("%s: the run goes on after update %llu of %llu", path, (unsigned long long)l->trainer->step, (unsigned long long)l->total_steps);
    return XR_OK;
}

/* The checkpoint is of a run that was to have fewer updates, or another run's that was to have more: rates follow the new schedule from here on, and the
 * log says since when. */
static xr_status note_schedule(xr_loop *l)
{
    const char *word = l->planned_steps < l->total_steps ? "longer" : "shorter";
    unsigned long long step = l->trainer->step, before = l->planned_steps, now = l->total_steps;
    if (l->planned_steps == l->total_steps)
        return XR_OK;
    xr_warn("--max-steps: %llu updates instead of %llu; from update %llu on the learning rate follows the %s schedule", now, before, step + 1, word);
    l->planned_steps = l->total_steps;
    XR_TRY(xr_rundir_write_config(l->o->output_dir, l->o));
    json_t *line = json_pack("{ss sI sI sI}", "event", word, "step", (json_int_t)step, "from", (json_int_t)before, "to", (json_int_t)now);
    return xr_runlog_metrics(&l->log, line);
}

/* From a checkpoint of this run. */
static xr_status go_on(xr_loop *l, const char *path)
{
    XR_TRY(load(l, path));
    XR_TRY(xr_runlog_resume(&l->log, l->o->output_dir, l->metrics_bytes, l->trainer->step));
    return l->o->tensorboard ? xr_runlog_tensorboard(&l->log, l->o->output_dir, 1, l->trainer->step) : XR_OK;
}

/* From nothing, or from a checkpoint of another run; the logs begin here. */
static xr_status begin_anew(xr_loop *l, json_t *start)
{
    if (l->kind == XR_RUNDIR_RESUME && xr_rundir_is_over(l->o->output_dir))
        return xr_fail(XR_ECANTCREAT, "%s: this run is finished and has kept no checkpoint to go on from (--save-steps makes them); to train longer, begin "
                       "with --model %s/final in another --output-dir", l->o->output_dir, l->o->output_dir);
    if (names_a_checkpoint(l->o))
        XR_TRY(load(l, l->o->resume));
    else if (l->kind == XR_RUNDIR_RESUME)
        xr_warn("%s: the run in it ended before its first checkpoint; it begins again (--save-time makes them sooner)", l->o->output_dir);
    l->saved_step = UINT64_MAX;
    return begin_new(l, start);
}

/* Repeating a command that names a checkpoint of another run goes on from what this run has saved since; one of its own is gone back to. */
static xr_status begin_or_go_on(xr_loop *l, json_t *start)
{
    char *found = NULL;
    if (l->kind == XR_RUNDIR_RESUME && xr_rundir_owns_checkpoint(l->o->output_dir, l->o->resume))
        return go_on(l, l->o->resume);
    if (l->kind == XR_RUNDIR_RESUME)
        XR_TRY(xr_checkpoint_find(l->o->output_dir, UINT64_MAX, &found));
    xr_status status = found ? go_on(l, found) : begin_anew(l, start);
    xr_free(found);
    return status;
}

static xr_status begin(xr_loop *l, json_t *start)
{
    l->planned_steps = l->total_steps;
    XR_TRY(xr_rundir_lock_take(&l->lock, l->o->output_dir));
    XR_TRY(xr_rundir_look(l->o, &l->kind));     /* another writer may have come first */
    if (l->kind == XR_RUNDIR_FINISHED)
        return xr_fail(XR_ETEMPFAIL, "%s: another process has finished this run in the meantime", l->o->output_dir);
    XR_TRY(declare_rows(l));
    XR_TRY(complete_facts(l));
    XR_TRY(begin_or_go_on(l, start));
    return note_schedule(l);
}

xr_status xr_loop_begin(xr_loop *l, json_t *start)
{
    l->saved_step = UINT64_MAX;
    xr_status status = begin(l, start);
    json_decref(start);
    XR_TRY(status);
    if (l->o->dump_batches)
        XR_TRY(xr_batch_dump_open(&l->dump, l->o->dump_batches, l->trainer->step > 0));
    if (l->hooks && l->hooks->begin)
        l->hooks->begin(l->hooks->context, l->trainer->step, l->total_steps);
    return XR_OK;
}

void xr_loop_free(xr_loop *l)
{
    xr_runlog_close(&l->log);
    xr_batch_dump_close(&l->dump);
    xr_rundir_lock_drop(&l->lock);
    json_decref(l->facts);
    l->facts = NULL;
}
