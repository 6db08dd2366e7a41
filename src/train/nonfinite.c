#include "train/nonfinite_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "util/alloc.h"
#include "util/fs.h"

static const char *const kind_name[] = { "parameter", "activation", "loss", "gradient" };

/* --- the file ------------------------------------------------------------------------------------------------------- */

static json_t *magnitudes_json(const xr_magnitudes *f, double scale)
{
    return json_pack("{so so sI sI sI}", "norm", xr_json_number(sqrt(f->sumsq) * scale), "max_abs", xr_json_number(f->max * scale), "nan", (json_int_t)f->nan,
                     "inf", (json_int_t)f->inf, "minus_inf", (json_int_t)f->minus_inf);
}

/* 1: done; 0: no memory, or there was none for the value. Takes the value. */
static int put(json_t *object, const char *key, json_t *value) { return json_object_set_new(object, key, value) == 0; }

static json_t *finding_json(xr_finding *d, xr_finding_kind kind)
{
    json_t *of_it = magnitudes_json(&d->m, 1.0);
    json_t *j = json_pack("{ss ss s[II] s[II]}", "kind", kind_name[kind], "name", d->name, "shape", (json_int_t)d->rows, (json_int_t)d->cols, "first",
                          (json_int_t)d->row, (json_int_t)d->col);
    int ok = j && of_it && json_object_update(j, of_it) == 0 &&
             (d->micro < 0 || (put(j, "micro", json_integer(d->micro)) && json_object_set(j, "sequences", d->sequences) == 0));
    json_decref(of_it);
    if (ok)
        return j;
    json_decref(j);
    return NULL;
}

static json_t *findings_json(xr_examination *e)
{
    json_t *all = json_array();
    for (int k = 0; all && k < XR_BAD_KINDS; k++)
        if (e->found[k].name[0] && json_array_append_new(all, finding_json(&e->found[k], (xr_finding_kind)k)) < 0) {
            json_decref(all);
            all = NULL;
        }
    return all;
}

static json_t *numbers(const uint32_t *v, size_t n, int differences)
{
    json_t *all = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(all, json_integer(differences ? v[i + 1] - v[i] : v[i]));
    return all;
}

static json_t *batch_json(const xr_examination *e, const xr_batch *b, int k)
{
    const xr_loop *l = e->l;
    uint64_t step = l->trainer->step;
    json_t *j = xr_batch_json(b, (size_t)l->trainer->model->config.num_labels, step, k, l->task->epoch(l->task->context, step + l->data_ahead));
    int ok = j && put(j, "lengths", numbers(b->rows.offset, b->rows.n_seq, 1)) && put(j, "samples", numbers(b->rows.sample, b->rows.n_seq, 0)) &&
             (!l->task->origin || put(j, "origin", l->task->origin(l->task->context, k)));
    if (ok)
        return j;
    json_decref(j);
    return NULL;
}

/* The micro-batch on its way to the trainer, remembered and written down. */
static const xr_batch *watched_batch(void *context, int k)
{
    xr_examination *e = context;
    e->micro = k;
    e->backward = 0;
    e->batch = e->l->task->micro_batch(e->l->task->context, k);
    if (e->batch && json_array_append_new(e->batches, batch_json(e, e->batch, k)) < 0)
        xr_fail(XR_ESYSTEM, "no memory for micro-batch %d of the diagnosis", k);
    return xr_error_status() == XR_OK ? e->batch : NULL;
}

static void measure_tile(void *context, size_t i, const float *g, size_t n) { xr_magnitudes_add((xr_magnitudes *)context + i, g, n); }

static void add_figures(xr_magnitudes *sum, const xr_magnitudes *part)
{
    sum->nan += part->nan;
    sum->inf += part->inf;
    sum->minus_inf += part->minus_inf;
    sum->sumsq += part->sumsq;
    sum->max = part->max > sum->max ? part->max : sum->max;
}

static xr_status measure_late(xr_magnitudes *f, const xr_trainer *t, size_t i)
{
    size_t n = t->model->params.row[i]->late->n;
    xr_magnitudes *part = xr_alloc(n, sizeof *part);
    xr_status status = part ? xr_optim_late_tiles(t->optim, i, measure_tile, part) : xr_error_status();
    for (size_t k = 0; status == XR_OK && k < n; k++)
        add_figures(f, &part[k]);
    xr_free(part);
    return status;
}

static json_t *gradient_json(const xr_trainer *t, size_t i, double scale)
{
    const xr_param *p = t->model->params.row[i];
    xr_magnitudes f = { 0 };
    if (p->flags & XR_PARAM_FROZEN)
        return json_null();
    if (p->late && measure_late(&f, t, i) < 0)
        return NULL;
    if (p->t.rowgrad)
        xr_magnitudes_add(&f, p->t.rowgrad->g, p->t.rowgrad->n * p->t.cols);
    else if (!p->late)
        xr_magnitudes_add(&f, p->t.g, xr_numel(&p->t));
    return magnitudes_json(&f, scale);
}

static json_t *parameter_json(const xr_trainer *t, size_t i, double scale)
{
    const xr_param *p = t->model->params.row[i];
    xr_magnitudes f = { 0 };
    xr_magnitudes_add(&f, p->t.x, xr_numel(&p->t));
    json_t *shape = p->rank == 1 ? json_pack("[I]", (json_int_t)p->t.cols) : json_pack("[II]", (json_int_t)p->t.rows, (json_int_t)p->t.cols);
    return json_pack("{ss so sb so so}", "name", p->name, "shape", shape, "frozen", (p->flags & XR_PARAM_FROZEN) != 0, "value", magnitudes_json(&f, 1.0),
                     "gradient", gradient_json(t, i, scale));
}

static json_t *parameters_json(const xr_trainer *t, double scale)
{
    json_t *all = json_array();
    for (size_t i = 0; all && i < t->model->params.n; i++)
        if (json_array_append_new(all, parameter_json(t, i, scale)) < 0) {
            json_decref(all);
            all = NULL;
        }
    return all;
}

/* All of it, while the gradients of the second computation stand. */
static json_t *examination_json(xr_examination *e, const xr_step_result *r)
{
    const xr_loop *l = e->l;
    uint64_t step = l->trainer->step;
    return json_pack("{sI sf ss so so so so so sO so}", "step", (json_int_t)step + 1, "epoch", l->task->epoch(l->task->context, step + l->data_ahead),
                     "policy", l->o->on_nonfinite, "loss", xr_json_number(r->loss), "grad_norm", xr_json_number(r->grad_norm), "lr",
                     xr_json_number(r->lr), "weight", xr_json_number(r->weight), "not_finite", findings_json(e), "batches", e->batches, "parameters",
                     parameters_json(l->trainer, 1.0 / r->weight));
}

/* --- both computations ----------------------------------------------------------------------------------------------- */

static int same(double a, double b) { return (isnan(a) && isnan(b)) || (a <= b && a >= b); }

static xr_status write_down(xr_examination *e, const xr_step_result *r, const char *path)
{
    json_t *j = examination_json(e, r);
    xr_status status = j                            ? XR_OK
                       : xr_error_status() < 0 ? xr_error_status()
                                               : xr_fail(XR_ESYSTEM, "no memory for the diagnosis");
    if (status == XR_OK)
        status = xr_json_write(path, j, 0);
    json_decref(j);
    return status;
}

/* *again: 1 when the second computation gave what the first gave. */
static xr_status compute_again(xr_examination *e, int n_micro, const char *path, int *again)
{
    xr_trainer *t = e->l->trainer;
    xr_step_result r;
    *again = 1;
    xr_optim_flush(t->optim);       /* so that all parameters are as the update would find them */
    xr_examine_parameters(e);
    xr_tape_watch(t->tape, xr_examine_tensors, e);
    xr_status status = xr_trainer_pass(t, n_micro, watched_batch, e, &r);
    xr_tape_watch(t->tape, NULL, NULL);
    XR_TRY(status);
    *again = same(r.loss, e->r->loss) && same(xr_optim_grad_norm(t->optim, 1.0 / r.weight), e->r->grad_norm);
    status = write_down(e, e->r, path);
    xr_params_zero_grads(&t->model->params);
    return status;
}

static xr_status examine(xr_examination *e, int n_micro, const char *dir, const char *path, int *again)
{
    e->batches = json_array();
    if (!dir || !path || !e->batches)
        return xr_fail(XR_ESYSTEM, "no memory for the diagnosis");
    XR_TRY(xr_mkdirs(dir));
    return compute_again(e, n_micro, path, again);
}

/* "train.tsv:18", as far as the task says it. */
static void origin_text(const xr_examination *e, const xr_finding *d, char *text, size_t size)
{
    const json_t *batch = json_array_get(e->batches, d->micro >= 0 ? (size_t)d->micro : 0);
    const json_t *o = d->micro >= 0 && d->sequence >= 0 ? json_array_get(json_object_get(batch, "origin"), (size_t)d->sequence) : NULL;
    const char *file = json_string_value(json_object_get(o, "file")), *language = json_string_value(json_object_get(o, "language"));
    text[0] = 0;
    if (file && json_object_get(o, "line"))
        snprintf(text, size, ", %s:%lld", file, (long long)json_integer_value(json_object_get(o, "line")));
    else if (file)
        snprintf(text, size, ", %s", file);
    else if (language)
        snprintf(text, size, ", block %lld of language %s", (long long)json_integer_value(json_object_get(o, "block")), language);
}

static const xr_finding *first_finding(const xr_examination *e, xr_finding_kind *kind)
{
    for (*kind = XR_BAD_PARAMETER; *kind < XR_BAD_KINDS; (*kind)++)
        if (e->found[*kind].name[0])
            return &e->found[*kind];
    return NULL;
}

/* What is said of it: "the activation attention of roberta.encoder.layer.0 (3 NaN and 0 infinite of 512 values, train.tsv:18)". */
static void describe(const xr_examination *e, char *text, size_t size)
{
    static const char *const what[] = { "the parameter", "the activation", "the loss,", "the gradient of" };
    xr_finding_kind kind;
    char origin[512];
    const xr_finding *d = first_finding(e, &kind);
    snprintf(text, size, "the sum of the squares of its gradients");
    if (!d)
        return;
    origin_text(e, d, origin, sizeof origin);
    snprintf(text, size, "%s %s (%llu NaN and %llu infinite of %zu values%s)%s", what[kind], d->name, (unsigned long long)d->m.nan,
             (unsigned long long)(d->m.inf + d->m.minus_inf), d->rows * d->cols, origin,
             kind == XR_BAD_PARAMETER ? ", which was so before this update: xlmr verify finds it in the model or checkpoint that the run began with" : "");
}

static xr_status report(const xr_examination *e, const char *why, const char *path, const char *failed, int again)
{
    char what[XR_TENSOR_NAME + 1024];
    if (!again)
        return xr_fail(XR_ESYSTEM, "%s. But computed again from the same state it was not so. This program gives the same bits every time: so the machine is "
                       "faulty (memory, processor, cooling, overclocking). Test it, and repeat the command on another one", why);
    describe(e, what, sizeof what);
    return xr_fail(XR_EDIVERGED, "%s%s. Not finite first: %s. %s%s", why,
                   strcmp(e->l->o->on_nonfinite, "abort") == 0 ? ", or leave such updates out (--on-nonfinite skip or rollback)" : "", what,
                   failed[0] ? "No diagnosis was written: " : "Tensors, gradients and the batch: ", failed[0] ? failed : path);
}

xr_status xr_nonfinite_examine(xr_loop *l, int n_micro, const xr_step_result *r)
{
    xr_examination e = { .l = l, .r = r };
    char why[1024], failed[1024] = "";
    int again = 1;
    snprintf(why, sizeof why, "%s", xr_error_message());
    xr_error_clear();
    char *dir = xr_path_join(l->o->output_dir, "nonfinite");
    char *path = dir ? xr_asprintf("%s/step-%08llu.json", dir, (unsigned long long)l->trainer->step + 1) : NULL;
    if (examine(&e, n_micro, dir, path, &again) < 0)
        snprintf(failed, sizeof failed, "%s", xr_error_message());
    xr_error_clear();
    xr_status status = report(&e, why, path ? path : "", failed, again);
    for (int k = 0; k < XR_BAD_KINDS; k++)
        json_decref(e.found[k].sequences);
    json_decref(e.batches);
    xr_free(path);
    xr_free(dir);
    return status;
}
