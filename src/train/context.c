#include "train/context.h"

#include <math.h>
#include <string.h>

#include "kernels/packed.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/phase.h"

/* Weights that nothing will change are worth keeping packed, but for the vocabulary's, which a few masks meet once. */
static xr_status choose_kernels(xr_context *c, const char *precision)
{
    XR_TRY(xr_setup_precision(&c->model, precision));
    if (c->read_only && !c->model.layer[0].query_w->pack) {
        xr_model_pack(&c->model, &xr_pack_f32_kept);
        c->model.word->pack = NULL;
    }
    return XR_OK;
}

static xr_status open_parts(xr_context *c, const char *dir, const xr_load_options *options)
{
    static const xr_load_options mapped = { .map = 1 };
    c->dir = xr_strdup(dir);
    if (!c->dir)
        return xr_error_status();
    options = options ? options : &mapped;
    c->read_only = options->map;
    XR_TRY(xr_model_load(&c->model, dir, options));
    XR_TRY(choose_kernels(c, "f32"));
    c->tokenizer = xr_tokenizer_open(dir);
    return c->tokenizer ? xr_setup_check_vocabulary(c->tokenizer, &c->model.config) : xr_error_status();
}

xr_context *xr_context_open(const char *dir, const xr_load_options *options)
{
    int phase = xr_phase_enter(XR_PHASE_LOAD);
    xr_context *c = xr_alloc(1, sizeof *c);
    if (c && open_parts(c, dir, options) < 0) {
        xr_context_free(c);
        c = NULL;
    }
    xr_phase_enter(phase);
    return c;
}

xr_context *xr_context_for(const xr_options *o)
{
    xr_context *c = xr_context_open(o->model, NULL);
    if (c && choose_kernels(c, o->precision) < 0) {
        xr_context_free(c);
        c = NULL;
    }
    return c;
}

void xr_context_free(xr_context *c)
{
    if (!c)
        return;
    if (c->trainer)
        xr_trainer_free(c->trainer);
    xr_free(c->trainer);
    xr_tape_free(c->tape);
    xr_tokenizer_free(c->tokenizer);
    xr_model_free(&c->model);
    xr_batch_free(&c->batch);
    xr_tokens_free(&c->tokens);
    xr_free(c->dir);
    xr_free(c);
}

xr_status xr_context_set_precision(xr_context *c, const char *name)
{
    XR_TRY(choose_kernels(c, name));
    xr_tape_free(c->tape);      /* sized for the scratch of other kernels */
    c->tape = NULL;
    return XR_OK;
}

xr_status xr_context_encode(xr_context *c, const char *text, const char *pair, size_t max_len, int specials)
{
    size_t most = (size_t)xr_config_max_tokens(&c->model.config);
    if (max_len == 0 || max_len > most)
        max_len = most;
    c->tokens.n = 0;
    return xr_tokenizer_encode_pair(c->tokenizer, text, pair, max_len, specials, &c->tokens, &c->cut);
}

xr_status xr_context_push(xr_context *c, uint32_t sample)
{
    int32_t *id = xr_alloc(c->tokens.n, sizeof *id);
    if (!id)
        return xr_error_status();
    for (size_t i = 0; i < c->tokens.n; i++)
        id[i] = c->tokens.v[i].id;
    xr_status status = xr_batch_add(&c->batch, id, c->tokens.n, sample);
    xr_free(id);
    return status;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

xr_tape *xr_context_tape(xr_context *c, const xr_batch *batch)
{
    xr_batch_bound *b = &c->bound;
    int fits = c->tape && batch->rows.n <= b->tokens && batch->rows.n_seq <= b->sequences && batch->max_len <= b->max_len &&
               batch->n_mask <= b->masked;
    if (!fits) {
        *b = (xr_batch_bound){ larger(b->tokens, batch->rows.n), larger(b->sequences, batch->rows.n_seq), larger(b->max_len, batch->max_len),
                               larger(b->masked, batch->n_mask), 0 };
        xr_tape_free(c->tape);
        size_t reserve = xr_model_reserve(&c->model, b->tokens, b->sequences, b->max_len, b->masked, 0);
        c->tape = reserve ? xr_tape_new(reserve) : NULL;
        if (!c->tape)
            memset(b, 0, sizeof *b);
    }
    if (c->tape)
        xr_tape_begin(c->tape, 0, 0, 0, 0);
    return c->tape;
}

xr_status xr_check_finite(const float *x, size_t n, const char *from)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return xr_fail(XR_EDATA, "%s: the model's answer is %s, not a number; its weights are damaged or its training diverged: take another copy",
                           from, isnan(x[i]) ? "NaN" : "infinite");
    return XR_OK;
}
