/* Validation: every block of each language, with masks that never change; loss as a sum over masked tokens. */
#include <math.h>

#include "model/head.h"
#include "train/context.h"
#include "train/pretrain.h"

static uint64_t blocks_of(const xr_pretrain *p, size_t lang)
{
    uint64_t n = p->valid.count[lang], most = (uint64_t)p->o->max_eval_samples;
    return most > 0 && most < n ? most : n;
}

static uint64_t blocks_in_all(const xr_pretrain *p)
{
    uint64_t n = 0;
    for (size_t i = 0; i < p->valid.n_languages; i++)
        n += blocks_of(p, i);
    return n;
}

/* Tells how far it has come; XR_ETEMPFAIL when the run is to stop. */
static xr_status progress(const xr_pretrain *p, uint64_t done, uint64_t total)
{
    const xr_loop_hooks *h = p->hooks;
    if (h && h->evaluating)
        h->evaluating(h->context, (size_t)done, (size_t)total);
    if (xr_loop_stopping(&p->loop))
        return xr_fail(XR_ETEMPFAIL, "stopped after %llu of %llu validation blocks", (unsigned long long)done, (unsigned long long)total);
    return XR_OK;
}

static xr_status add_batch(xr_pretrain *p, xr_tape *t, const xr_batch *batch, size_t lang)
{
    xr_model *m = &p->model;
    xr_tape_begin(t, 0, 0, 0, 0);
    xr_tensor *loss = m->head->loss(t, m, batch, NULL);
    XR_TRY(xr_tape_status(t));
    XR_TRY(xr_check_finite(loss->x, 1, p->dir));
    p->losses.sum[lang] += (double)loss->x[0];
    p->losses.masked[lang] += (uint64_t)batch->n_mask;
    return XR_OK;
}

static xr_status score_language(xr_pretrain *p, xr_tape *t, size_t lang, uint64_t *done, uint64_t total)
{
    uint64_t n = blocks_of(p, lang);
    p->losses.sum[lang] = 0.0;
    p->losses.masked[lang] = 0;
    p->losses.blocks[lang] = n;
    for (uint64_t first = 0; first < n; first += p->micro_size) {
        size_t some = n - first < p->micro_size ? (size_t)(n - first) : p->micro_size;
        const xr_batch *batch = xr_mlm_loader_validation(p->valid_loader, lang, first, some);
        XR_TRY(batch ? add_batch(p, t, batch, lang) : xr_error_status());
        XR_TRY(progress(p, *done += some, total));
    }
    return XR_OK;
}

static xr_status score_all(xr_pretrain *p, xr_tape *t)
{
    uint64_t done = 0, total = blocks_in_all(p);
    for (size_t i = 0; i < p->valid.n_languages; i++)
        XR_TRY(score_language(p, t, i, &done, total));
    return XR_OK;
}

xr_status xr_pretrain_evaluate(xr_pretrain *p)
{
    size_t block = (size_t)p->o->block_length, tokens = p->micro_size * block;
    xr_optim_flush(p->trainer.optim);
    size_t reserve = xr_model_reserve(&p->model, tokens, p->micro_size, block, tokens, 0);
    xr_tape *t = reserve ? xr_tape_new(reserve) : NULL;
    xr_status status = t ? score_all(p, t) : xr_error_status();
    xr_tape_free(t);
    if (status < 0)
        return xr_fail_context("step %llu: validation", (unsigned long long)p->trainer.step);
    p->losses.step = p->trainer.step;
    p->losses.made++;
    return XR_OK;
}

double xr_pretrain_loss(const xr_pretrain *p, size_t lang)
{
    uint64_t masked = p->losses.masked[lang];
    return masked ? p->losses.sum[lang] / (double)masked : (double)NAN;
}

double xr_pretrain_mean_loss(const xr_pretrain *p)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < p->valid.n_languages; i++)       /* a language may have text, but no block of the chosen kind */
        if (p->losses.masked[i] > 0) {
            sum += xr_pretrain_loss(p, i);
            n++;
        }
    return n ? sum / (double)n : (double)NAN;
}

/* Loss in nats, perplexity e^loss, bits a token: as transformers and as fairseq print them. */
static json_t *figures(double loss)
{
    json_t *j = json_object();
    json_object_set_new(j, "loss", xr_json_number(loss));
    json_object_set_new(j, "perplexity", xr_json_number(exp(loss)));
    json_object_set_new(j, "bits_per_token", xr_json_number(loss / M_LN2));
    return j;
}

xr_status xr_pretrain_add_figures(const xr_pretrain *p, json_t *line)
{
    json_t *languages = json_object(), *mean = figures(xr_pretrain_mean_loss(p));
    for (size_t i = 0; i < p->valid.n_languages; i++) {
        json_t *j = figures(xr_pretrain_loss(p, i));
        json_object_set_new(j, "masked_tokens", json_integer((json_int_t)p->losses.masked[i]));
        json_object_set_new(j, "blocks", json_integer((json_int_t)p->losses.blocks[i]));
        json_object_set_new(languages, xr_blocks_language(p->valid.blocks, i), j);
    }
    int bad = json_object_update(line, mean) < 0 || json_object_set(line, "languages", languages) < 0;
    json_decref(mean);
    json_decref(languages);
    return bad ? xr_fail(XR_ESYSTEM, "no memory for the figures of an evaluation") : XR_OK;
}
