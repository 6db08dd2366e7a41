#include "train/step_check.h"

#include <stdio.h>
#include <string.h>

#include "train/naming.h"
#include "util/alloc.h"
#include "util/xxh.h"

/* Digests of all tensors in the order in which they are made: kept by the first computation, compared with by the second. */
typedef struct checker {
    xr_trainer *t;
    xr_micro_batch next;
    void *context;
    int micro, second;
    uint64_t *digest;
    size_t n, cap, at;              /* at: how many the second has compared */
    xr_status status;
    char first[2 * XR_TENSOR_NAME]; /* that differs; "": none so far */
} checker;

/* 1: this is the first that differs. */
static int differs(checker *c, const void *data, size_t bytes)
{
    uint64_t digest = xr_xxh64(data, bytes);
    if (c->second)
        return c->at++ < c->n && c->digest[c->at - 1] != digest && !c->first[0];
    if (c->status == XR_OK)
        c->status = xr_grow(&c->digest, &c->cap, c->n + 1, sizeof *c->digest);
    if (c->status == XR_OK)
        c->digest[c->n++] = digest;
    return 0;
}

/* --- on the tape -------------------------------------------------------------------------------------------------- */

static void name_value(checker *c, const xr_tensor *n)
{
    char name[XR_TENSOR_NAME];
    xr_tensor_name(name, c->t->model, n, NULL);
    snprintf(c->first, sizeof c->first, "%s, micro-batch %d", name, c->micro);
}

static void name_gradient(checker *c, const xr_tensor *of, const xr_tensor *by)
{
    char name[XR_TENSOR_NAME];
    xr_tensor_name(name, c->t->model, of, by);
    snprintf(c->first, sizeof c->first, "the gradient of %s, micro-batch %d", name, c->micro);
}

/* Gradients of parameters add up until the end, and are looked at then. */
static void watch(void *context, const xr_tensor *n, xr_direction direction)
{
    checker *c = context;
    if (direction == XR_FORWARD && differs(c, n->x, xr_numel(n) * sizeof *n->x))
        name_value(c, n);
    for (int k = 0; direction == XR_BACKWARD && k < XR_MAX_INPUTS; k++) {
        const xr_tensor *in = n->in[k];
        if (in && in->op && in->g && differs(c, in->g, xr_numel(in) * sizeof *in->g))
            name_gradient(c, in, n);
    }
}

static const xr_batch *watched_batch(void *context, int k)
{
    checker *c = context;
    c->micro = k;
    return c->next(c->context, k);
}

/* --- what is left in the parameters -------------------------------------------------------------------------------- */

static void digest_tile(void *context, size_t i, const float *g, size_t n)
{
    ((uint64_t *)context)[i] = xr_xxh64(g, n * sizeof *g);
}

static int late_differs(checker *c, size_t i)
{
    size_t n = c->t->model->params.row[i]->late->n;
    uint64_t *digest = xr_alloc(n, sizeof *digest);
    xr_status status = digest ? xr_optim_late_tiles(c->t->optim, i, digest_tile, digest) : xr_error_status();
    int other = status == XR_OK && differs(c, digest, n * sizeof *digest);
    c->status = status < 0 ? status : c->status;
    xr_free(digest);
    return other;
}

static int gradient_differs(checker *c, size_t i)
{
    const xr_param *p = c->t->model->params.row[i];
    const xr_rowgrad *rows = p->t.rowgrad;
    if (p->flags & XR_PARAM_FROZEN)
        return 0;
    if (p->late)
        return late_differs(c, i);
    if (!rows)
        return differs(c, p->t.g, xr_numel(&p->t) * sizeof *p->t.g);
    int order = differs(c, rows->row, rows->n * sizeof *rows->row);
    return differs(c, rows->g, rows->n * rows->cols * sizeof *rows->g) || order;
}

static void compare_gradients(checker *c)
{
    const xr_params *ps = &c->t->model->params;
    for (size_t i = 0; i < ps->n && c->status == XR_OK; i++)
        if (gradient_differs(c, i))
            snprintf(c->first, sizeof c->first, "the gradient of %s", ps->row[i]->name);
}

/* --- both computations --------------------------------------------------------------------------------------------- */

static xr_status compute(checker *c, int n_micro, xr_step_result *result)
{
    xr_tape_watch(c->t->tape, watch, c);
    xr_status status = xr_trainer_pass(c->t, n_micro, watched_batch, c, result);
    xr_tape_watch(c->t->tape, NULL, NULL);
    XR_TRY(status);
    compare_gradients(c);
    if (c->status == XR_OK && differs(c, &result->loss, sizeof result->loss))
        snprintf(c->first, sizeof c->first, "the loss");
    return c->status;
}

static xr_status compute_again(checker *c, int n_micro, xr_step_result *result)
{
    XR_TRY(compute(c, n_micro, result));
    if (!c->first[0] && c->at != c->n)
        snprintf(c->first, sizeof c->first, "the number of tensors, %zu and %zu", c->n, c->at);
    return c->first[0] ? xr_fail(XR_ESYSTEM, "update %llu was computed twice from the same state, and bits differ, first in %s. This program gives the same "
                                 "bits every time, at any number of threads: so the machine is faulty (memory, processor, cooling, overclocking). The update "
                                 "was not made. Test the machine, and repeat the command on another one: it goes on from the newest checkpoint, which may "
                                 "have been harmed as well (--check-steps)", (unsigned long long)c->t->step + 1, c->first)
                       : XR_OK;
}

static xr_status check(checker *c, int n_micro, xr_micro_batch next, void *context, xr_step_result *result)
{
    xr_params *ps = &c->t->model->params;
    xr_status status = compute(c, n_micro, result);
    xr_params_zero_grads(ps);
    XR_TRY(status);
    c->second = 1;
    c->next = next;
    c->context = context;
    status = compute_again(c, n_micro, result);
    if (status < 0)
        xr_params_zero_grads(ps);
    return status;
}

xr_status xr_step_check(xr_trainer *t, int n_micro, xr_micro_batch before, void *before_context, xr_micro_batch next, void *context,
                        xr_step_result *result)
{
    checker c = { .t = t, .next = before, .context = before_context };
    xr_status status = check(&c, n_micro, next, context, result);
    xr_free(c.digest);
    return status == XR_OK ? xr_trainer_update(t, result) : status;
}
