/* Planning the run that an estimate is about, and telling the estimate. */
#include <math.h>
#include <string.h>

#include "kernels/cpu.h"
#include "model/head.h"
#include "train/estimate.h"
#include "train/finetune.h"
#include "train/pretrain.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

/* --- the model's sizes ---------------------------------------------------------------------------------------------- */

static xr_status read_sizes(const xr_options *o, xr_config *c)
{
    int given = (o->model != NULL) + (o->preset != NULL) + (o->config_json != NULL);
    if (given != 1)
        return xr_fail(XR_EUSAGE, "estimate needs one of --model DIR (its config.json is enough), --preset nano|mini|base|large and --config-json FILE; "
                       "found %s", given ? "several" : "none");
    if (o->preset)
        return xr_config_preset(c, o->preset, (int)o->vocab_size);
    if (o->config_json)
        return xr_config_read(c, o->config_json);
    char *path = xr_path_join(o->model, "config.json");
    xr_status status = path ? xr_config_read(c, path) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status need_tokenizer(const xr_options *o, const char *flag)
{
    return o->model ? XR_OK : xr_fail(XR_EUSAGE, "%s: reading data needs the tokenizer of a model directory; give --model DIR in place of --preset or "
                                      "--config-json, or leave the data out", flag);
}

/* --- made-up updates, where there are no data ------------------------------------------------------------------------ */

typedef struct made_up {
    xr_batch_buffer whole, rest;
    int n_micro;
} made_up;

static int made_up_begin(void *context, uint64_t step)
{
    (void)step;
    return ((made_up *)context)->n_micro;
}

static const xr_batch *made_up_micro(void *context, int k)
{
    made_up *u = context;
    return k == u->n_micro - 1 && u->rest.n_seq ? &u->rest.view : &u->whole.view;
}

/* A sequence of a micro-batch, with its share of rows with targets; every `group` of them are the choices of a question. */
static xr_status add_sequence(xr_batch_buffer *b, size_t s, size_t len, double masked, size_t group)
{
    int32_t *id = xr_alloc(len, sizeof *id);
    size_t n = (size_t)ceil(masked * (double)len), at = b->n;
    xr_status status = id ? xr_batch_add(b, id, len, (uint32_t)s) : xr_error_status();
    for (size_t k = 0; status == XR_OK && k < n && k < len; k++)
        status = xr_batch_add_mask(b, (uint32_t)(at + k * len / n), 0);
    if (status == XR_OK && group > 1 && (s + 1) % group == 0)
        status = xr_batch_end_group(b);
    xr_free(id);
    return status;
}

static xr_status fill(xr_batch_buffer *b, size_t n_seq, size_t len, double masked, size_t group)
{
    xr_status status = XR_OK;
    for (size_t s = 0; s < n_seq && status == XR_OK; s++)
        status = add_sequence(b, s, len, masked, group);
    return status == XR_OK && !xr_batch_finish(b) ? xr_error_status() : status;
}

/* group: sequences of an example. */
static xr_status make_up(made_up *u, xr_estimate_run *r, size_t len, double masked, size_t group)
{
    u->n_micro = (int)((r->batch + r->micro - 1) / r->micro);
    r->context = u;
    r->begin_step = made_up_begin;
    r->micro_batch = made_up_micro;
    XR_TRY(fill(&u->whole, r->micro * group, len, masked, group));
    return r->batch % r->micro ? fill(&u->rest, r->batch % r->micro * group, len, masked, group) : XR_OK;
}

static size_t length_of(const xr_options *o, size_t most)
{
    return o->mean_length > 0 && (size_t)o->mean_length < most ? (size_t)o->mean_length : most;
}

static xr_status tell(const xr_estimate_run *r, json_t **summary)
{
    xr_estimate e;
    XR_TRY(xr_estimate_make(&e, r));
    *summary = xr_estimate_json(&e, r);
    return *summary ? XR_OK : xr_error_status();
}

/* --- pretrain --------------------------------------------------------------------------------------------------------- */

static int pretrain_begin(void *context, uint64_t step) { return xr_mlm_loader_begin(((xr_pretrain *)context)->loader, step); }
static const xr_batch *pretrain_micro(void *context, int k) { return xr_mlm_loader_batch(((xr_pretrain *)context)->loader, k); }

static uint64_t validation_blocks(const xr_pretrain *p)
{
    uint64_t n = 0, most = (uint64_t)p->o->max_eval_samples;
    for (size_t i = 0; i < p->valid.n_languages; i++)
        n += most > 0 && most < p->valid.count[i] ? most : p->valid.count[i];
    return n;
}

static uint64_t evaluations(uint64_t steps, uint64_t every) { return every > 0 && steps > 0 ? (steps + every - 1) / every : 1; }

static xr_status plan_pretrain(xr_pretrain *p, made_up *u, xr_estimate_run *r)
{
    const xr_options *o = r->o;
    size_t block = (size_t)o->block_length;
    if (o->train_data.n > 0)
        XR_TRY(need_tokenizer(o, "--train-data"));
    XR_TRY(xr_pretrain_plan(p));
    r->model = &p->model;
    r->batch = p->batch_size;
    r->micro = p->micro_size;
    r->steps = p->total_steps;
    if (!p->loader && o->train_data.n > 0)
        xr_info("%s: is raw text, which an estimate does not read: blocks are taken to be full; xlmr prepare makes a store of it", o->train_data.v[0]);
    if (!p->loader) {
        r->lengths = o->mean_length > 0 ? "--mean-length" : "--block-length";
        return make_up(u, r, length_of(o, block), o->mlm_probability, 1);
    }
    r->lengths = "the training data";
    r->context = p;
    r->begin_step = pretrain_begin;
    r->micro_batch = pretrain_micro;
    if (p->valid.blocks) {
        r->eval_tokens = validation_blocks(p) * block;
        r->evaluations = 1 + evaluations(p->total_steps, (uint64_t)o->eval_steps);
        r->eval_batch_tokens = p->micro_size * block;
    }
    return XR_OK;
}

static xr_status pretrain(const xr_options *o, const xr_config *sizes, xr_estimate_run *r, json_t **summary)
{
    xr_pretrain p;
    made_up u = { 0 };
    memset(&p, 0, sizeof p);
    p.o = o;
    p.dir = o->model && (o->train_data.n > 0 || xr_dir_has(o->model, "sentencepiece.bpe.model")) ? o->model : NULL;
    p.sizes = sizes;
    xr_status status = plan_pretrain(&p, &u, r);
    r->data = xr_rss_mb(0) * 1048576.0 - r->program;
    if (status == XR_OK)
        status = tell(r, summary);
    xr_batch_free(&u.whole);
    xr_batch_free(&u.rest);
    xr_pretrain_free(&p);
    return status;
}

/* --- finetune --------------------------------------------------------------------------------------------------------- */

static int finetune_begin(void *context, uint64_t step)
{
    xr_finetune *f = context;
    return xr_loader_begin(f->loader, (uint32_t)(step / f->steps_per_epoch), (size_t)(step % f->steps_per_epoch));
}

static const xr_batch *finetune_micro(void *context, int k) { return xr_loader_batch(((xr_finetune *)context)->loader, k); }

/* Where nothing is known: a tag for half of the pieces, two choices of a question. */
static xr_status plan_without_data(xr_finetune *f, made_up *u, xr_estimate_run *r)
{
    size_t group = f->problem == XR_PROBLEM_CHOICE ? 2 : 1;
    r->batch = (size_t)r->o->batch_size;
    r->micro = xr_finetune_micro(f);
    r->lengths = r->o->mean_length > 0 ? "--mean-length" : "--max-seq-length";
    return make_up(u, r, length_of(r->o, (size_t)f->max_len), f->problem == XR_PROBLEM_TAGS ? 0.5 : 0.0, group);
}

static void plan_with_data(xr_finetune *f, xr_estimate_run *r)
{
    enum { EVAL_BATCH_TOKENS = 4096 };      /* of xr_score_logits */
    r->batch = (size_t)r->o->batch_size;
    r->micro = xr_finetune_micro(f);
    r->lengths = "the training data";
    r->context = f;
    r->begin_step = finetune_begin;
    r->micro_batch = finetune_micro;
    r->ids = f->train.ids;
    r->n_ids = f->train.n_tokens;
    r->steps_per_epoch = f->steps_per_epoch;
    for (size_t i = 0; i < f->n_valid; i++)
        r->eval_tokens += f->valid[i].data.n_tokens;
    r->eval_batch_tokens = EVAL_BATCH_TOKENS;
    if (f->n_valid > 0)
        r->evaluations = evaluations(f->total_steps, r->o->eval_steps > 0 ? (uint64_t)r->o->eval_steps : f->steps_per_epoch);
}

static xr_status plan_finetune(xr_finetune *f, made_up *u, xr_estimate_run *r)
{
    if (r->o->data_dir || r->o->train_file.n > 0)
        XR_TRY(need_tokenizer(r->o, r->o->data_dir ? "--data-dir" : "--train-file"));
    XR_TRY(xr_finetune_plan(f));
    r->model = &f->model;
    r->steps = f->total_steps;
    if (!f->loader)
        return plan_without_data(f, u, r);
    plan_with_data(f, r);
    return XR_OK;
}

static xr_status finetune(const xr_options *o, const xr_config *sizes, xr_estimate_run *r, json_t **summary)
{
    xr_finetune f;
    made_up u = { 0 };
    memset(&f, 0, sizeof f);
    f.o = o;
    f.sizes = sizes;
    xr_status status = plan_finetune(&f, &u, r);
    r->data = xr_rss_mb(0) * 1048576.0 - r->program;
    if (status == XR_OK)
        status = tell(r, summary);
    xr_batch_free(&u.whole);
    xr_batch_free(&u.rest);
    xr_finetune_free_all(&f);
    return status;
}

xr_status xr_estimate_command(const xr_options *o, json_t **summary)
{
    xr_config sizes;
    xr_estimate_run r = { .o = o, .program = xr_rss_mb(0) * 1048576.0 };
    if (!(o->verb & XR_V_TRAIN) || o->n_args != 1)
        return xr_fail(XR_EUSAGE, "estimate: first name the command that it is about, then give that command's options: xlmr estimate finetune|pretrain "
                       "OPTIONS");
    memset(&sizes, 0, sizeof sizes);
    XR_TRY(read_sizes(o, &sizes));
    xr_status status = o->verb & XR_V_PRETRAIN ? pretrain(o, &sizes, &r, summary) : finetune(o, &sizes, &r, summary);
    xr_config_free(&sizes);
    return status;
}
