#include "train/finetune.h"

#include <math.h>
#include <string.h>

#include "model/hf.h"
#include "train/rundir.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/xxh.h"

enum { DEFAULT_MICRO = 32 };

/* --- plan: everything that can be refused before the run directory exists ----------------------------------------- */

static xr_status load_model(xr_finetune *f)
{
    static const char *const value[] = { "LABEL_0" };
    int regression = f->problem == XR_PROBLEM_REGRESSION;
    xr_load_options l = { 0 };
    l.head = f->task->head;
    l.seed = (uint64_t)f->o->seed;
    l.problem = f->problem;
    l.sizes = f->sizes;
    if (!f->keep_head) {
        l.label = regression ? value : (const char *const *)f->labels.name;
        l.num_labels = regression ? 1 : f->labels.n;
    }
    XR_TRY(xr_model_load(&f->model, f->o->model ? f->o->model : f->o->preset, &l));
    xr_setup_dropout(&f->model.config, f->o);
    if (f->o->classifier_dropout >= 0.0)
        f->model.config.classifier_dropout = (float)f->o->classifier_dropout;
    f->model.recompute = f->o->recompute;
    XR_TRY(xr_setup_precision(&f->model, f->o->precision));
    return XR_OK;
}

/* Sequences at once: a question has several; windows are several times as long as other sequences. */
static size_t default_micro(const xr_finetune *f)
{
    size_t choices = f->train.choices.most ? f->train.choices.most : f->task == &xr_finetune_choice ? 2 : 1;
    size_t most = f->task == &xr_finetune_qa ? 4 : choices, micro = DEFAULT_MICRO / most ? DEFAULT_MICRO / most : 1;
    return (size_t)f->o->batch_size < micro ? (size_t)f->o->batch_size : micro;
}

size_t xr_finetune_micro(const xr_finetune *f)
{
    return f->o->micro_batch_size > 0 ? (size_t)f->o->micro_batch_size : default_micro(f);
}

static xr_status make_loader(xr_finetune *f)
{
    const xr_options *o = f->o;
    xr_loader_options l = { 0 };
    l.batch_size = (size_t)o->batch_size;
    l.micro_size = xr_finetune_micro(f);
    l.token_budget = (size_t)o->batch_tokens;
    l.shuffle = 1;
    l.group_by_length = o->group_by_length;
    l.mixture = &f->mixture;
    l.seed = (uint64_t)o->seed;
    f->loader = xr_loader_new(&f->train, &l);
    return f->loader ? XR_OK : xr_error_status();
}

static xr_status plan_steps(xr_finetune *f)
{
    const xr_options *o = f->o;
    f->steps_per_epoch = xr_loader_steps(f->loader);
    f->total_steps = o->max_steps > 0 ? (uint64_t)o->max_steps : (uint64_t)ceil(o->num_epochs * (double)f->steps_per_epoch);
    if (f->total_steps == 0)
        return xr_fail(XR_EUSAGE, "--num-epochs %g: nothing to do; give more epochs or --max-steps", o->num_epochs);
    return xr_setup_warmup(o, f->total_steps, &f->warmup_steps);
}

static xr_status check_watching(const xr_finetune *f)
{
    if (f->o->early_stopping_patience > 0 && f->n_valid == 0)
        return xr_fail(XR_EUSAGE, "--early-stopping-patience needs --validation-file");
    if (f->o->eval_steps > 0 && f->n_valid == 0)
        xr_warn("--eval-steps %lld has no effect without --validation-file: there is nothing to evaluate on", f->o->eval_steps);
    return XR_OK;
}

static xr_status make_trainer(xr_finetune *f)
{
    const xr_options *o = f->o;
    xr_optim_options p = xr_setup_optim(o, f->total_steps, f->warmup_steps);
    size_t tokens = xr_loader_max_tokens(f->loader);
    size_t most = f->train.choices.most ? f->train.choices.most : 1;
    xr_batch_bound bound = { tokens, (size_t)o->batch_size * most, (size_t)f->max_len, f->train.words.n_sentences ? tokens : 0, 0 };
    XR_TRY(xr_trainer_init(&f->trainer, &f->model, &p, (uint64_t)o->seed, &bound));
    return o->ema > 0.0 ? xr_trainer_average(&f->trainer, o->ema) : XR_OK;
}

static void say_plan(const xr_finetune *f)
{
    const xr_options *o = f->o;
    char *labels = f->problem == XR_PROBLEM_REGRESSION ? xr_strdup("one value")
                   : f->problem == XR_PROBLEM_CHOICE   ? xr_strdup("the right one of the choices")
                   : f->task == &xr_finetune_qa        ? xr_strdup("where answers begin and end")
                                                       : xr_labels_list(&f->labels);
    xr_info("%zu examples, %lld an update, %llu updates an epoch, %llu in all, warm-up %llu; labels: %s", f->train.n, o->batch_size,
            (unsigned long long)f->steps_per_epoch, (unsigned long long)f->total_steps, (unsigned long long)f->warmup_steps, labels ? labels : "");
    xr_free(labels);
    if (f->keep_head)
        xr_info("%s: keeps its head, trained on the same labels", o->model);
}

static xr_status check_inputs(const xr_options *o, const xr_data_file *file, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        XR_TRY(xr_rundir_check_input(o->output_dir, file[i].path));
        XR_TRY(xr_path_check_output(o->dump_batches, file[i].path));
    }
    return XR_OK;
}

static xr_status check_directories(const xr_finetune *f)
{
    XR_TRY(xr_rundir_check_input(f->o->output_dir, f->o->model));
    XR_TRY(check_inputs(f->o, f->train_file, f->n_train_file));
    return check_inputs(f->o, f->valid_file, f->n_valid_file);
}

static xr_status plan(xr_finetune *f)
{
    XR_TRY(xr_finetune_read(f));
    XR_TRY(xr_finetune_plan_choice(f));
    XR_TRY(check_watching(f));
    XR_TRY(load_model(f));
    XR_TRY(xr_setup_freeze(&f->model, f->o));
    XR_TRY(xr_finetune_mix(f));
    XR_TRY(make_loader(f));
    return plan_steps(f);
}

xr_status xr_finetune_plan(xr_finetune *f)
{
    if (f->o->data_dir || f->o->train_file.n > 0)
        return plan(f);
    XR_TRY(xr_finetune_choose(f));
    XR_TRY(load_model(f));
    f->total_steps = (uint64_t)f->o->max_steps;
    return xr_setup_freeze(&f->model, f->o);
}

static xr_status prepare(xr_finetune *f)
{
    XR_TRY(xr_finetune_files(f));
    XR_TRY(check_directories(f));
    XR_TRY(plan(f));
    say_plan(f);
    XR_TRY(xr_finetune_say_mix(f));
    return xr_finetune_say_sets(f);
}

/* --- evaluation ------------------------------------------------------------------------------------------------- */

static xr_status evaluate(void *context, json_t *line, double *value)
{
    xr_finetune *f = context;
    XR_TRY(xr_finetune_validate(f));
    XR_TRY(xr_finetune_figures(f, line));
    return xr_finetune_value(f, value);
}

static int scored_now(const xr_finetune *f)
{
    return f->loop.evals > 0 && f->figures_step == f->trainer.step;
}

/* A run that went on between its last evaluation and the final model has lost the figures. */
static xr_status score_again(xr_finetune *f)
{
    return f->loop.evals > 0 && f->loop.eval_step == f->trainer.step && !scored_now(f) ? xr_finetune_validate(f) : XR_OK;
}

static xr_status save_model(void *context, const char *name)
{
    xr_finetune *f = context;
    XR_TRY(score_again(f));
    char *card = xr_finetune_card(f, f->trainer.step, scored_now(f));
    xr_status status = card ? xr_rundir_save_model(f->o->output_dir, name, &f->model, f->o->model, xr_tokenizer_sha256(f->tokenizer), card)
                            : xr_error_status();
    xr_free(card);
    return status;
}

/* --- training --------------------------------------------------------------------------------------------------- */

static const xr_batch *micro_batch(void *context, int k)
{
    xr_finetune *f = context;
    const xr_batch *batch = xr_loader_batch(f->loader, k);
    if (!batch)
        return NULL;
    f->batch = *batch;
    f->batch.class_weight = f->class_weight;
    f->batch.smoothing = (float)f->o->label_smoothing;
    return &f->batch;
}

static int begin_step(void *context, uint64_t step)
{
    xr_finetune *f = context;
    uint64_t at = f->o->overfit_batch ? 0 : step;
    return xr_loader_begin(f->loader, (uint32_t)(at / f->steps_per_epoch), (size_t)(at % f->steps_per_epoch));
}

static double epoch(void *context, uint64_t step)
{
    const xr_finetune *f = context;
    return (double)step / (double)f->steps_per_epoch;
}

/* Of sequence `choice` of example i. */
static json_t *origin_of(const xr_dataset *d, uint32_t i, size_t choice)
{
    const xr_windows *w = &d->windows;
    json_t *j = json_pack("{sI ss*}", "example", (json_int_t)i, "file", d->file[i] < d->n_files ? d->files[d->file[i]] : NULL);
    if (j && d->line[i] > 0)
        json_object_set_new(j, "line", json_integer(d->line[i]));
    if (j && d->choices.n > 0)
        json_object_set_new(j, "choice", json_integer((json_int_t)choice));
    if (j && w->questions.n > 0)
        json_object_set_new(j, "question", json_string(w->questions.v[w->window[i].question].id));
    return j;
}

static json_t *origin(void *context, int k)
{
    const xr_finetune *f = context;
    const xr_dataset *d = &f->train;
    size_t n;
    const uint32_t *example = xr_loader_examples(f->loader, k, &n);
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++) {
        uint64_t sequences = d->choices.n > 0 ? d->choices.example[example[i] + 1] - d->choices.example[example[i]] : 1;
        for (uint64_t c = 0; c < sequences; c++)
            json_array_append_new(all, origin_of(d, example[i], (size_t)c));
    }
    return all;
}

static json_t *start_line(const xr_finetune *f)
{
    json_t *j = json_pack("{ss sI sI sI sI sI sI}", "event", "start", "train_examples", (json_int_t)f->train.n, "train_tokens", (json_int_t)f->train.n_tokens,
                          "validation_examples", (json_int_t)xr_finetune_valid_examples(f), "steps_per_epoch", (json_int_t)f->steps_per_epoch,
                          "total_steps", (json_int_t)f->total_steps, "parameters", (json_int_t)xr_params_count(&f->model.params));
    if (j && f->n_train_file > 1)
        json_object_set_new(j, "train_files", xr_finetune_mix_json(f));
    return j;
}

/* Of the examples as they are trained on. */
static void digest_data(xr_xxh *h, const xr_dataset *d)
{
    if (d->n == 0)
        return;
    xr_xxh_update(h, d->offset, (d->n + 1) * sizeof *d->offset);
    xr_xxh_update(h, d->ids, d->n_tokens * sizeof *d->ids);
    xr_xxh_update(h, d->label, d->n * sizeof *d->label);
    xr_xxh_update(h, d->target, d->n * d->n_target * sizeof *d->target);
    xr_xxh_update(h, d->choices.end, d->choices.n * sizeof *d->choices.end);
    xr_xxh_update(h, d->words.row, d->words.n * sizeof *d->words.row);
    xr_xxh_update(h, d->words.tag, d->words.n * sizeof *d->words.tag);
    xr_xxh_update(h, d->windows.window, d->windows.questions.n ? d->n * sizeof *d->windows.window : 0);
}

static xr_status make_facts(xr_finetune *f)
{
    char train[33], valid[33];
    xr_xxh *h = xr_xxh_new(), *v = h ? xr_xxh_new() : NULL;
    if (h)
        digest_data(h, &f->train);
    for (size_t i = 0; v && i < f->n_valid; i++)
        digest_data(v, &f->valid[i].data);
    if (h)
        xr_xxh_final(h, train);
    if (!v)
        return xr_error_status();
    xr_xxh_final(v, valid);
    f->loop.facts = json_pack("{ss ss ss}", "tokenizer_sha256", xr_tokenizer_sha256(f->tokenizer), "train_xxh3", train, "validation_xxh3", valid);
    return f->loop.facts ? XR_OK : xr_fail(XR_ESYSTEM, "no memory for the facts of a checkpoint");
}

static xr_status train(xr_finetune *f)
{
    const xr_loop_task task = { f, f->choice.s, NULL, begin_step, micro_batch, epoch, f->n_valid > 0 ? evaluate : NULL, save_model, origin };
    XR_TRY(make_trainer(f));
    f->loop.hooks = f->hooks;
    f->loop.task = &task;
    f->loop.trainer = &f->trainer;
    f->loop.total_steps = f->total_steps;
    f->loop.eval_every = f->o->eval_steps > 0 ? (uint64_t)f->o->eval_steps : f->steps_per_epoch;
    XR_TRY(make_facts(f));
    XR_TRY(xr_loop_begin(&f->loop, start_line(f)));
    return xr_loop_run(&f->loop);
}

/* Rows of the vocabulary that the training data use: only their moments are ever touched. */
static size_t distinct_ids(const xr_finetune *f)
{
    size_t n = 0, vocabulary = (size_t)f->model.config.vocab_size;
    char *seen = xr_alloc(vocabulary, 1);
    for (uint64_t i = 0; seen && i < f->train.n_tokens; i++) {
        n += !seen[f->train.ids[i]];
        seen[f->train.ids[i]] = 1;
    }
    xr_free(seen);
    return n;
}

static json_t *plan_json(const xr_finetune *f)
{
    return json_pack("{ss sI sI sI sI sI sf sb}", "output_dir", f->o->output_dir, "train_examples", (json_int_t)f->train.n, "validation_examples",
                     (json_int_t)xr_finetune_valid_examples(f), "steps_per_epoch", (json_int_t)f->steps_per_epoch, "steps", (json_int_t)f->total_steps,
                     "parameters", (json_int_t)xr_params_count(&f->model.params), "memory_mb", xr_setup_memory_mb(&f->trainer, f->o, distinct_ids(f)),
                     "dry_run", 1);
}

static json_t *summarise(const xr_finetune *f)
{
    json_t *j = json_pack("{ss sI sI sI ss}", "output_dir", f->o->output_dir, "steps", (json_int_t)f->trainer.step, "samples",
                          (json_int_t)f->trainer.samples, "tokens", (json_int_t)f->trainer.tokens, "state_xxh3", f->loop.digest);
    if (f->loop.evals > 0) {
        json_object_set_new(j, "metric", json_string(f->choice.s));
        json_object_set_new(j, "best", xr_json_number(f->loop.best_value));
        json_object_set_new(j, "best_step", json_integer((json_int_t)f->loop.best_step));
    }
    json_object_set_new(j, "peak_rss_mb", xr_json_number(xr_rss_mb(1)));
    return j;
}

void xr_finetune_free_all(xr_finetune *f)
{
    xr_loop_free(&f->loop);
    xr_trainer_free(&f->trainer);
    xr_loader_free(f->loader);
    xr_model_free(&f->model);
    xr_finetune_free(f);
    xr_mixture_free(&f->mixture);
    xr_str_free(&f->choice);
}

xr_status xr_finetune_run(const xr_options *o, const xr_loop_hooks *hooks, json_t **summary)
{
    xr_finetune f;
    memset(&f, 0, sizeof f);
    f.o = f.loop.o = o;
    f.hooks = hooks;
    xr_status status = xr_loop_check(&f.loop);
    int finished = f.loop.kind == XR_RUNDIR_FINISHED && !o->dry_run;
    if (status == XR_OK && !finished)
        status = prepare(&f);
    if (status == XR_OK && !finished)
        status = o->dry_run ? make_trainer(&f) : train(&f);
    if (status == XR_OK && summary) {
        *summary = finished ? xr_loop_finished(&f.loop) : o->dry_run ? plan_json(&f) : summarise(&f);
        status = *summary ? XR_OK : xr_error_status();
    }
    xr_finetune_free_all(&f);
    return status;
}
