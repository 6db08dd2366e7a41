#include "train/pretrain.h"

#include <math.h>
#include <string.h>

#include "model/head.h"
#include "model/hf.h"
#include "train/rundir.h"
#include "train/setup.h"
#include "train/vocab.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

/* Tokens computed at once by default: enough rows for the products to run at full speed, and few enough for a base model in a few GB. */
enum { DEFAULT_MICRO_TOKENS = 4096 };

/* --- plan: everything that can be refused before training --------------------------------------------------------- */

static xr_status check_inputs(const xr_options *o, const xr_strs *path)
{
    for (size_t i = 0; i < path->n; i++) {
        if (!xr_path_exists(path->v[i]))
            return xr_fail(XR_ENOINPUT, "%s: does not exist", path->v[i]);
        XR_TRY(xr_rundir_check_input(o->output_dir, path->v[i]));
        XR_TRY(xr_path_check_output(o->dump_batches, path->v[i]));
    }
    return XR_OK;
}

static xr_status check_directories(const xr_options *o)
{
    XR_TRY(xr_rundir_check_input(o->output_dir, o->model));
    if (o->extend_vocab)
        XR_TRY(xr_rundir_check_input(o->output_dir, o->extend_vocab));
    XR_TRY(check_inputs(o, &o->train_data));
    return check_inputs(o, &o->validation_data);
}

static xr_status check_options(const xr_options *o)
{
    if (o->mask_share + o->random_share > 1.0)
        return xr_fail(XR_EUSAGE, "--mask-share %g and --random-share %g are more than 1 together", o->mask_share, o->random_share);
    if (o->total_batch_tokens > 0 && o->total_batch_tokens < o->block_length)
        return xr_fail(XR_EUSAGE, "--total-batch-tokens %lld: not one block of %lld tokens (--block-length)", o->total_batch_tokens, o->block_length);
    if (o->early_stopping_patience > 0 && o->validation_data.n == 0)
        return xr_fail(XR_EUSAGE, "--early-stopping-patience needs --validation-data");
    if (o->eval_steps > 0 && o->validation_data.n == 0)
        xr_warn("--eval-steps %lld has no effect without --validation-data: there is nothing to evaluate on", o->eval_steps);
    return XR_OK;
}

/* --extend-vocab: the model to start from is made in the run directory, from the two inputs alone; a run that goes on makes it again. */
static xr_status extend_vocabulary(xr_pretrain *p)
{
    const xr_options *o = p->o;
    xr_vocab_report r;
    if (!o->extend_vocab)
        return XR_OK;
    if (o->dry_run)
        return xr_fail(XR_EUSAGE, "--dry-run does not go with --extend-vocab: the model with the new pieces has to be written first; leave out "
                       "--extend-vocab for the plan of the same run with the old vocabulary");
    p->extended = xr_asprintf("%s/data/extended-model", o->output_dir);
    if (!p->extended)
        return xr_error_status();
    XR_TRY(xr_vocab_extend(o->model, o->extend_vocab, p->extended, &r));
    xr_info("%s: vocabulary of %d instead of %d ids", p->extended, r.size_after, r.size_before);
    p->dir = p->extended;
    return XR_OK;
}

static xr_status load_model(xr_pretrain *p)
{
    const xr_options *o = p->o;
    xr_load_options l = { .head = "masked_lm", .seed = (uint64_t)o->seed, .sizes = p->sizes };
    p->tokenizer = p->dir ? xr_tokenizer_open(p->dir) : NULL;
    if (p->dir && !p->tokenizer)
        return xr_error_status();
    XR_TRY(xr_model_load(&p->model, p->dir ? p->dir : p->o->preset, &l));
    if (p->tokenizer)
        XR_TRY(xr_setup_check_vocabulary(p->tokenizer, &p->model.config));
    int most = xr_config_max_tokens(&p->model.config);
    if (o->block_length > most)
        return xr_fail(XR_EUSAGE, "--block-length %lld: the model has positions for %d tokens; give at most %d", o->block_length, most, most);
    xr_setup_dropout(&p->model.config, o);
    p->model.recompute = o->recompute;
    XR_TRY(xr_setup_precision(&p->model, o->precision));
    return xr_setup_freeze(&p->model, o);
}

static xr_status plan_masks(xr_pretrain *p)
{
    const xr_options *o = p->o;
    p->word_start = o->whole_word ? xr_mask_word_starts(p->tokenizer) : NULL;
    if (o->whole_word && !p->word_start)
        return xr_error_status();
    p->masking = (xr_masking){ .policy = (xr_mask_policy)xr_mask_policy_find(o->mask_policy), .share = o->mlm_probability,
                               .mask_share = o->mask_share, .random_share = o->random_share, .whole_word = o->whole_word, .seed = (uint64_t)o->seed,
                               .vocab_size = xr_tokenizer_vocab_size(p->tokenizer), .mask_id = xr_tokenizer_mask_id(p->tokenizer),
                               .word_start = p->word_start };
    p->valid_masking = p->masking;
    p->valid_masking.seed = 0;      /* runs of different seeds are measured on the same masks */
    return XR_OK;
}

static void plan_batch(xr_pretrain *p)
{
    const xr_options *o = p->o;
    size_t by_default = DEFAULT_MICRO_TOKENS / (size_t)o->block_length;
    p->batch_size = (size_t)(o->total_batch_tokens > 0 ? o->total_batch_tokens / o->block_length : o->batch_size);
    p->micro_size = (size_t)o->micro_batch_size;
    if (p->micro_size == 0)
        p->micro_size = by_default > 0 ? by_default : 1;
    if (p->micro_size > p->batch_size)
        p->micro_size = p->batch_size;
}

static xr_status make_loaders(xr_pretrain *p)
{
    xr_corpus *t = &p->train, *v = &p->valid;
    XR_TRY(xr_sampling_init(&p->sampling, t->count, t->n_languages, p->o->lang_alpha, (uint64_t)p->o->seed, xr_blocks_digest(t->blocks)));
    p->loader = xr_mlm_loader_new(t->blocks, &p->sampling, &p->masking, p->batch_size, p->micro_size);
    if (p->loader && v->blocks)
        p->valid_loader = xr_mlm_loader_new(v->blocks, NULL, &p->valid_masking, p->micro_size, p->micro_size);
    return xr_error_status();
}

static xr_status plan_steps(xr_pretrain *p)
{
    const xr_options *o = p->o;
    double by_epochs = ceil(o->num_epochs * (double)p->sampling.total / (double)p->batch_size);
    p->total_steps = o->max_steps > 0 ? (uint64_t)o->max_steps : (uint64_t)by_epochs;
    if (p->total_steps == 0)
        return xr_fail(XR_EUSAGE, "--num-epochs %g: nothing to do; give more epochs or --max-steps", o->num_epochs);
    return xr_setup_warmup(o, p->total_steps, &p->warmup_steps);
}

/* Most positions that masking can choose in a micro-batch: known when an exact share of single tokens is drawn. */
static size_t most_masked(const xr_pretrain *p)
{
    size_t block = (size_t)p->o->block_length;
    if (p->masking.policy == XR_MASK_FAIRSEQ && !p->masking.whole_word) {
        size_t drawn = (size_t)(p->masking.share * (double)block) + 1;
        block = drawn < block ? drawn : block;
    }
    return p->micro_size * block;
}

static xr_status declare_losses(xr_pretrain *p)
{
    xr_mlm_losses *l = &p->losses;
    xr_state *s = &p->trainer.state;
    size_t n = p->valid.n_languages;
    l->sum = xr_alloc(n, sizeof *l->sum);
    l->masked = xr_alloc(n, sizeof *l->masked);
    l->blocks = xr_alloc(n, sizeof *l->blocks);
    if (!l->sum || !l->masked || !l->blocks)
        return xr_error_status();
    XR_TRY(xr_state_add(s, XR_STATE_F64, l->sum, n, "validation/loss_sum"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, l->masked, n, "validation/masked_tokens"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, l->blocks, n, "validation/blocks"));
    XR_TRY(xr_state_add(s, XR_STATE_U64, &l->step, 1, "validation/step"));
    return xr_state_add(s, XR_STATE_U64, &l->made, 1, "validation/evaluations");
}

static xr_status make_trainer(xr_pretrain *p)
{
    xr_optim_options optim = xr_setup_optim(p->o, p->total_steps, p->warmup_steps);
    xr_batch_bound bound = { p->micro_size * (size_t)p->o->block_length, p->micro_size, (size_t)p->o->block_length, most_masked(p),
                             p->micro_size == p->batch_size };
    XR_TRY(xr_trainer_init(&p->trainer, &p->model, &optim, (uint64_t)p->o->seed, &bound));
    if (p->o->ema > 0.0)
        XR_TRY(xr_trainer_average(&p->trainer, p->o->ema));
    return p->valid.blocks ? declare_losses(p) : XR_OK;
}

static xr_status prepare(xr_pretrain *p)
{
    XR_TRY(check_directories(p->o));
    XR_TRY(check_options(p->o));
    XR_TRY(extend_vocabulary(p));
    XR_TRY(load_model(p));
    XR_TRY(plan_masks(p));
    plan_batch(p);
    XR_TRY(xr_pretrain_read(p));
    XR_TRY(make_loaders(p));
    XR_TRY(plan_steps(p));
    return make_trainer(p);
}

/* --- the task of the loop ----------------------------------------------------------------------------------------- */

static int begin_step(void *context, uint64_t step)
{
    xr_pretrain *p = context;
    return xr_mlm_loader_begin(p->loader, p->o->overfit_batch ? 0 : step);
}

static const xr_batch *micro_batch(void *context, int k)
{
    xr_pretrain *p = context;
    return xr_mlm_loader_batch(p->loader, k);
}

static double epoch(void *context, uint64_t step)
{
    xr_pretrain *p = context;
    return xr_mlm_loader_epoch(p->loader, step);
}

static xr_status evaluate(void *context, json_t *line, double *value)
{
    xr_pretrain *p = context;
    XR_TRY(xr_pretrain_evaluate(p));
    *value = exp(xr_pretrain_mean_loss(p));
    xr_pretrain_say_figures(p);
    return xr_pretrain_add_figures(p, line);
}

static xr_status save_model(void *context, const char *name)
{
    xr_pretrain *p = context;
    char *card = xr_pretrain_card(p);
    xr_status status = card ? xr_rundir_save_model(p->o->output_dir, name, &p->model, p->dir, xr_tokenizer_sha256(p->tokenizer), card)
                            : xr_error_status();
    xr_free(card);
    return status;
}

static json_t *origin_of(const xr_pretrain *p, int k, size_t i)
{
    uint64_t number, token;
    xr_sample s = xr_mlm_loader_sample(p->loader, k, i, &number);
    xr_block_origin from = xr_blocks_origin(p->train.blocks, s.language, s.block);
    const char *shard = xr_store_shard(from.store, from.token, &token);
    return json_pack("{sI sI ss sI ss ss sI}", "sample", (json_int_t)number, "epoch", (json_int_t)s.epoch, "language",
                     xr_blocks_language(p->train.blocks, s.language), "block", (json_int_t)s.block, "store", xr_store_path(from.store), "shard", shard,
                     "token", (json_int_t)token);
}

static json_t *origin(void *context, int k)
{
    const xr_pretrain *p = context;
    size_t first = (size_t)k * p->micro_size, n = p->batch_size - first < p->micro_size ? p->batch_size - first : p->micro_size;
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, origin_of(p, k, i));
    return all;
}

static xr_status log_start_figures(xr_pretrain *p)
{
    double value;
    json_t *line = json_pack("{ss sI}", "event", "eval", "step", (json_int_t)0);
    xr_status status = evaluate(p, line, &value);
    if (status == XR_OK)
        return xr_runlog_metrics(&p->loop.log, line);
    json_decref(line);
    return status;
}

/* Where the run begins: what a continued model is worth before, and what training is measured against. Its time is not training time, neither for the
 * logs nor for who watches. */
static xr_status evaluate_start(xr_pretrain *p)
{
    const xr_loop_hooks *h = p->hooks;
    XR_TRY(log_start_figures(p));
    p->loop.log.last = xr_clock();
    if (h && h->begin)
        h->begin(h->context, 0, p->total_steps);
    return XR_OK;
}

static json_t *facts(const xr_pretrain *p)
{
    json_t *j = json_pack("{ss ss}", "tokenizer_sha256", xr_tokenizer_sha256(p->tokenizer), "train_data", xr_blocks_digest(p->train.blocks));
    if (j && p->valid.blocks)
        json_object_set_new(j, "validation_data", json_string(xr_blocks_digest(p->valid.blocks)));
    return j;
}

static xr_status train(xr_pretrain *p)
{
    xr_loop_task task = { p, "perplexity", "masked", begin_step, micro_batch, epoch, p->valid.blocks ? evaluate : NULL, save_model, origin };
    xr_loop *l = &p->loop;
    l->task = &task;
    l->trainer = &p->trainer;
    l->facts = facts(p);
    l->total_steps = p->total_steps;
    l->eval_every = (uint64_t)p->o->eval_steps;
    if (!l->facts)
        return xr_fail(XR_ESYSTEM, "no memory for the facts of a checkpoint");
    XR_TRY(xr_loop_begin(l, xr_pretrain_start_line(p)));
    if (p->valid.blocks && p->losses.made == 0)     /* a run can also go on from a checkpoint before its first update */
        XR_TRY(evaluate_start(p));
    return xr_loop_run(l);
}

/* --- what comes out ----------------------------------------------------------------------------------------------- */

static json_t *plan_json(const xr_pretrain *p)
{
    json_t *j = json_pack("{ss sI sI sI sI sf sb}", "output_dir", p->o->output_dir, "steps", (json_int_t)p->total_steps, "blocks_per_step",
                          (json_int_t)p->batch_size, "micro_batch_size", (json_int_t)p->micro_size, "parameters",
                          (json_int_t)xr_params_count(&p->model.params), "memory_mb", xr_setup_memory_mb(&p->trainer, p->o, 0), "dry_run", 1);
    json_t *start = xr_pretrain_start_line(p);
    json_object_set(j, "languages", json_object_get(start, "languages"));
    json_decref(start);
    return j;
}

static json_t *summarise(const xr_pretrain *p)
{
    json_t *j = json_pack("{ss sI sI sI ss}", "output_dir", p->o->output_dir, "steps", (json_int_t)p->trainer.step, "blocks",
                          (json_int_t)p->trainer.samples, "tokens", (json_int_t)p->trainer.tokens, "state_xxh3", p->loop.digest);
    if (p->loop.evals > 0) {
        json_object_set_new(j, "best", xr_json_number(p->loop.best_value));
        json_object_set_new(j, "best_step", json_integer((json_int_t)p->loop.best_step));
    }
    if (p->losses.made)
        xr_pretrain_add_figures(p, j);
    json_object_set_new(j, "peak_rss_mb", xr_json_number(xr_rss_mb(1)));
    return j;
}

static int all_stores(const xr_strs *path)
{
    for (size_t i = 0; i < path->n; i++)
        if (!xr_store_is(path->v[i]))
            return 0;
    return path->n > 0;
}

xr_status xr_pretrain_plan(xr_pretrain *p)
{
    XR_TRY(check_options(p->o));
    XR_TRY(check_inputs(p->o, &p->o->train_data));
    XR_TRY(check_inputs(p->o, &p->o->validation_data));
    XR_TRY(load_model(p));
    plan_batch(p);
    p->total_steps = (uint64_t)p->o->max_steps;
    if (!p->tokenizer || !all_stores(&p->o->train_data) || (p->o->validation_data.n > 0 && !all_stores(&p->o->validation_data)))
        return XR_OK;
    XR_TRY(plan_masks(p));
    XR_TRY(xr_pretrain_read(p));
    XR_TRY(make_loaders(p));
    return plan_steps(p);
}

void xr_pretrain_free(xr_pretrain *p)
{
    xr_loop_free(&p->loop);
    xr_trainer_free(&p->trainer);
    xr_mlm_loader_free(p->loader);
    xr_mlm_loader_free(p->valid_loader);
    xr_sampling_free(&p->sampling);
    xr_corpus_free(&p->train);
    xr_corpus_free(&p->valid);
    xr_model_free(&p->model);
    xr_tokenizer_free(p->tokenizer);
    xr_free(p->word_start);
    xr_free(p->extended);
    xr_free(p->losses.sum);
    xr_free(p->losses.masked);
    xr_free(p->losses.blocks);
}

static xr_status run(xr_pretrain *p)
{
    XR_TRY(prepare(p));
    XR_TRY(xr_pretrain_say_plan(p));
    return p->o->dry_run ? XR_OK : train(p);
}

xr_status xr_pretrain_run(const xr_options *o, const xr_loop_hooks *hooks, const xr_prepare_hooks *preparing, json_t **summary)
{
    xr_pretrain p;
    memset(&p, 0, sizeof p);
    p.o = p.loop.o = o;
    p.hooks = p.loop.hooks = hooks;
    p.dir = o->model;
    p.preparing = preparing;
    xr_status status = xr_loop_check(&p.loop);
    int finished = p.loop.kind == XR_RUNDIR_FINISHED && !o->dry_run;
    if (status == XR_OK && !finished)
        status = run(&p);
    if (status == XR_OK && summary) {
        *summary = finished ? xr_loop_finished(&p.loop) : o->dry_run ? plan_json(&p) : summarise(&p);
        status = *summary ? XR_OK : xr_error_status();
    }
    xr_pretrain_free(&p);
    return status;
}
