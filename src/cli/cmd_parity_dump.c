/* xlmr parity-dump: what one batch gives in this program, number by number, for scripts/parity.py to compare. Not for people: no flags, its
 * arguments are KEY=VALUE, and help does not list it.
 *
 * The batch file (safetensors, float32): ids [N], offsets [B+1]; for masked LM mask_row [M] and mask_target [M]; for classification
 * labels [B] or target [B,C], and if wanted class_weight [C], smoothing [1]; for multiple choice group [Q+1], first sequences, and labels
 * [Q]; for questions span [B,2]. The result, dropout off: hidden.0 .. hidden.L [N,D], logits, loss [1] (mean), grad.NAME of the mean loss;
 * then losses [steps], norms [steps] (before clipping) and weights.NAME after `steps`
 * updates by the trainer on this batch. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/cmd.h"
#include "kernels/gemm.h"
#include "model/hf.h"
#include "model/safetensors.h"
#include "train/trainer.h"
#include "util/alloc.h"

/* A bit outside XR_V_ALL: no row of the option table belongs to this command. */
enum { VERB = 1u << 20, MAX_ID = 1 << 24 };

typedef struct job {
    const char *model, *batch, *output;
    long long steps, warmup_steps, passes;
    double learning_rate, weight_decay, max_grad_norm;
} job;

static xr_status set_number(const char *word, const char *value, long long *i, double *d)
{
    if (i ? xr_parse_int(value, i) && *i >= 0 : xr_parse_double(value, d))
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: \"%s\" is not a number this key takes; expected %s", word, value, i ? "an integer from 0" : "a number");
}

static xr_status set_word(job *j, const char *word)
{
    const struct { const char *key; const char **s; long long *i; double *d; } row[] = {
        { "model", &j->model, NULL, NULL }, { "batch", &j->batch, NULL, NULL }, { "output", &j->output, NULL, NULL },
        { "steps", NULL, &j->steps, NULL }, { "warmup_steps", NULL, &j->warmup_steps, NULL }, { "passes", NULL, &j->passes, NULL },
        { "learning_rate", NULL, NULL, &j->learning_rate }, { "weight_decay", NULL, NULL, &j->weight_decay },
        { "max_grad_norm", NULL, NULL, &j->max_grad_norm },
    };
    const char *eq = strchr(word, '=');
    for (size_t k = 0; eq && k < sizeof row / sizeof *row; k++) {
        if (strlen(row[k].key) != (size_t)(eq - word) || strncmp(word, row[k].key, (size_t)(eq - word)) != 0)
            continue;
        if (!row[k].s)
            return set_number(word, eq + 1, row[k].i, row[k].d);
        *row[k].s = eq + 1;
        return XR_OK;
    }
    return xr_fail(XR_EUSAGE, "%s: not an argument of parity-dump; expected model=DIR batch=FILE output=FILE and steps=N, learning_rate=X, "
                   "warmup_steps=N, weight_decay=X, max_grad_norm=X, passes=0|1", word);
}

/* ---- the batch ---- */

typedef struct input {
    xr_batch_buffer buffer;
    float *class_weight;        // [C] or NULL
    const xr_batch *batch;
} input;

/* Values of `name`, owned by the caller; NULL without an error when the file has none. */
static float *read_tensor(xr_st_file *f, const char *name, size_t *n)
{
    const xr_st_tensor *t = xr_st_find(f, name);
    *n = 0;
    if (!t)
        return NULL;
    size_t count = 1;
    for (int d = 0; d < t->rank; d++)
        count *= (size_t)t->shape[d];
    float *x = xr_alloc(count, sizeof *x);
    if (x && xr_st_read_f32(f, t, x) < 0) {
        xr_free(x);
        return NULL;
    }
    *n = count;
    return x;
}

/* Whole numbers from 0 to `max`, not included, kept in floats. */
static xr_status check_whole(const char *name, const float *x, size_t n, double max)
{
    for (size_t i = 0; i < n; i++)
        if (!((double)x[i] >= 0.0 && (double)x[i] < max && x[i] == floorf(x[i])))
            return xr_fail(XR_EDATA, "batch: %s[%zu] is %g; expected a whole number from 0, below %.0f", name, i, (double)x[i], max);
    return XR_OK;
}

typedef struct parts { float *ids, *offsets, *rows, *targets, *labels, *target, *group, *span; size_t n, b, m, mt, l, t, g, s; } parts;

static xr_status check_parts(const parts *p)
{
    if (!p->ids || p->b < 2)
        return xr_fail(XR_EDATA, "batch: no ids or offsets; expected what scripts/parity.py writes");
    XR_TRY(check_whole("ids", p->ids, p->n, MAX_ID));
    XR_TRY(check_whole("offsets", p->offsets, p->b, (double)p->n + 1.0));
    for (size_t i = 1; i < p->b; i++)
        if (p->offsets[i] <= p->offsets[i - 1])
            return xr_fail(XR_EDATA, "batch: offsets[%zu] is not above the one before; expected ascending offsets", i);
    if (p->offsets[0] != 0.0f || (size_t)p->offsets[p->b - 1] != p->n)
        return xr_fail(XR_EDATA, "batch: offsets do not run from 0 to the %zu ids", p->n);
    size_t units = p->g ? p->g - 1 : p->b - 1;
    if (p->m != p->mt || (p->l && p->l != units) || p->t % (p->b - 1) || (p->s && p->s != 2 * (p->b - 1)))
        return xr_fail(XR_EDATA, "batch: %zu mask rows for %zu targets, %zu labels, %zu values and %zu ends of spans for %zu sequences", p->m, p->mt, p->l,
                       p->t, p->s, p->b - 1);
    XR_TRY(check_whole("span", p->span, p->s, MAX_ID));
    XR_TRY(check_whole("mask_target", p->targets, p->m, MAX_ID));
    XR_TRY(check_whole("labels", p->labels, p->l, MAX_ID));
    XR_TRY(check_whole("group", p->group, p->g, (double)p->b));
    for (size_t i = 1; i < p->g; i++)
        if (p->group[i] <= p->group[i - 1] || p->group[0] != 0.0f || (size_t)p->group[p->g - 1] != p->b - 1)
            return xr_fail(XR_EDATA, "batch: group does not ascend from 0 to the %zu sequences", p->b - 1);
    XR_TRY(check_whole("mask_row", p->rows, p->m, (double)p->n));
    for (size_t i = 1; i < p->m; i++)
        if (p->rows[i] <= p->rows[i - 1])
            return xr_fail(XR_EDATA, "batch: mask_row[%zu] is not above the one before; expected ascending rows", i);
    return XR_OK;
}

static xr_status fill_batch(xr_batch_buffer *b, const parts *p)
{
    size_t n_seq = p->b - 1, c = p->t / n_seq, group = 0;
    int32_t *id = xr_alloc(p->n, sizeof *id);
    if (!id)
        return xr_error_status();
    xr_status st = XR_OK;
    for (size_t i = 0; i < p->n; i++)
        id[i] = (int32_t)p->ids[i];
    for (size_t s = 0; s < n_seq && st >= 0; s++) {
        size_t begin = (size_t)p->offsets[s], end = (size_t)p->offsets[s + 1];
        st = xr_batch_add(b, id + begin, end - begin, (uint32_t)s);
        int ends = !p->group || s + 1 == (size_t)p->group[group + 1];
        if (st >= 0 && p->group && ends)
            st = xr_batch_end_group(b);
        if (st >= 0 && p->labels && ends)
            st = xr_batch_add_label(b, (int32_t)p->labels[p->group ? group : s]);
        group += (size_t)ends;
        if (st >= 0 && p->target)
            st = xr_batch_add_target(b, p->target + s * c, c);
        if (st >= 0 && p->span)
            st = xr_batch_add_span(b, (uint32_t)p->span[2 * s], (uint32_t)p->span[2 * s + 1]);
    }
    for (size_t i = 0; i < p->m && st >= 0; i++)
        st = xr_batch_add_mask(b, (uint32_t)p->rows[i], (int32_t)p->targets[i]);
    xr_free(id);
    return st;
}

static xr_status read_parts(xr_st_file *f, input *in)
{
    size_t n_weight, n_smoothing;
    parts p = { 0 };
    p.ids = read_tensor(f, "ids", &p.n);
    p.offsets = read_tensor(f, "offsets", &p.b);
    p.rows = read_tensor(f, "mask_row", &p.m);
    p.targets = read_tensor(f, "mask_target", &p.mt);
    p.labels = read_tensor(f, "labels", &p.l);
    p.target = read_tensor(f, "target", &p.t);
    p.span = read_tensor(f, "span", &p.s);
    p.group = read_tensor(f, "group", &p.g);
    in->class_weight = read_tensor(f, "class_weight", &n_weight);
    float *smoothing = read_tensor(f, "smoothing", &n_smoothing);
    xr_status st = xr_error_status();
    if (st >= 0)
        st = check_parts(&p);
    if (st >= 0)
        st = fill_batch(&in->buffer, &p);
    if (st >= 0) {
        in->batch = xr_batch_finish(&in->buffer);
        in->buffer.view.class_weight = in->class_weight;
        in->buffer.view.smoothing = n_smoothing ? smoothing[0] : 0.0f;
    }
    float *all[] = { p.ids, p.offsets, p.rows, p.targets, p.labels, p.target, p.group, p.span, smoothing };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        xr_free(all[i]);
    return st;
}

static xr_status read_batch(input *in, const char *path)
{
    xr_st_file *f = xr_st_open(path);
    if (!f)
        return xr_error_status();
    xr_status st = read_parts(f, in);
    xr_st_close(f);
    return st;
}

/* What the model's head needs must be there. */
static xr_status check_batch(const xr_batch *b, const xr_model *m, size_t n_target)
{
    const xr_config *c = &m->config;
    size_t n_labels = (size_t)c->num_labels;
    if (!m->head)
        return xr_fail(XR_EDATA, "parity-dump: the model directory has no head; expected masked LM or sequence classification");
    if (strcmp(c->head, "masked_lm") == 0 || c->problem == XR_PROBLEM_TAGS)
        return b->n_mask ? XR_OK : xr_fail(XR_EDATA, "batch: no mask_row; a masked-LM model or a tagger needs mask_row and mask_target");
    if (strcmp(c->head, "question_answering") == 0)
        return b->span ? XR_OK : xr_fail(XR_EDATA, "batch: no span; a model that answers questions needs one");
    if (c->problem == XR_PROBLEM_CHOICE)
        return b->label && b->n_group ? XR_OK : xr_fail(XR_EDATA, "batch: no group or no labels; this model chooses");
    if (c->problem == XR_PROBLEM_SINGLE_LABEL && !b->label)
        return xr_fail(XR_EDATA, "batch: no labels; this model classifies");
    if (c->problem != XR_PROBLEM_SINGLE_LABEL && n_target != b->rows.n_seq * n_labels)
        return xr_fail(XR_EDATA, "batch: target has %zu values; expected %zu x %zu", n_target, b->rows.n_seq, n_labels);
    return XR_OK;
}

/* ---- the results ---- */

typedef struct sheet {
    xr_st_out *row;             // [n] names and, where owned, data
    float **owned;              // [n] or NULL entries
    size_t n, cap, cap_owned;
} sheet;

/* A row of rank 1 or 2 over `data`, borrowed until the sheet is written. */
static xr_status add_borrowed(sheet *s, const char *prefix, const char *name, int rank, size_t rows, size_t cols, const float *data)
{
    XR_TRY(xr_grow(&s->row, &s->cap, s->n + 1, sizeof *s->row));
    XR_TRY(xr_grow(&s->owned, &s->cap_owned, s->n + 1, sizeof *s->owned));
    char *full = xr_asprintf("%s%s", prefix, name);
    if (!full)
        return xr_error_status();
    s->row[s->n] = (xr_st_out){ full, rank, { rank == 1 ? cols : rows, cols }, data };
    s->owned[s->n++] = NULL;
    return XR_OK;
}

/* The same with room of its own, zero; NULL with the error set. */
static float *add_owned(sheet *s, const char *prefix, const char *name, int rank, size_t rows, size_t cols)
{
    float *x = xr_alloc(rows * cols, sizeof *x);
    if (!x)
        return NULL;
    if (add_borrowed(s, prefix, name, rank, rows, cols, x) < 0) {
        xr_free(x);
        return NULL;
    }
    return s->owned[s->n - 1] = x;
}

static xr_status add_node(sheet *s, const char *name, const xr_tensor *n)
{
    float *x = add_owned(s, "", name, 2, n->rows, n->cols);
    if (!x)
        return xr_error_status();
    memcpy(x, n->x, xr_numel(n) * sizeof *x);
    return XR_OK;
}

static void free_sheet(sheet *s)
{
    for (size_t i = 0; i < s->n; i++) {
        xr_free((char *)(uintptr_t)s->row[i].name);
        xr_free(s->owned[i]);
    }
    xr_free(s->row);
    xr_free(s->owned);
}

/* ---- the computation ---- */

static xr_status dump_hidden(sheet *s, xr_trainer *t, const xr_batch *batch)
{
    size_t n = (size_t)t->model->config.num_hidden_layers + 1;
    xr_tensor **hidden = xr_alloc(n, sizeof *hidden);
    if (!hidden)
        return xr_error_status();
    xr_tape_begin(t->tape, 0, 0, 0, 0);
    xr_encode(t->tape, t->model, batch, NULL, hidden);
    xr_status st = xr_tape_status(t->tape);
    for (size_t k = 0; k < n && st >= 0; k++) {
        char name[32];
        snprintf(name, sizeof name, "hidden.%zu", k);
        st = add_node(s, name, hidden[k]);
    }
    xr_free(hidden);
    return st;
}

static xr_status dump_logits(sheet *s, xr_trainer *t, const xr_batch *batch)
{
    xr_tape_begin(t->tape, 0, 0, 0, 0);
    xr_tensor *logits = t->model->head->forward(t->tape, t->model, batch);
    XR_TRY(xr_tape_status(t->tape));
    return add_node(s, "logits", logits);
}

/* The gradient of a row of the table as a dense matrix, times `scale`. */
static xr_status dump_gradient(sheet *s, const xr_param *p, float scale)
{
    const xr_rowgrad *rg = p->t.rowgrad;
    float *x = add_owned(s, "grad.", p->name, p->rank, p->t.rows, p->t.cols);
    if (!x)
        return xr_error_status();
    for (size_t i = 0; !rg && p->t.g && i < xr_numel(&p->t); i++)
        x[i] = p->t.g[i] * scale;
    for (size_t r = 0; rg && r < rg->n; r++)
        for (size_t j = 0; j < rg->cols; j++)
            x[(size_t)rg->row[r] * rg->cols + j] = rg->g[r * rg->cols + j] * scale;
    return XR_OK;
}

static xr_status dump_loss(sheet *s, xr_trainer *t, const xr_batch *batch)
{
    const xr_model *m = t->model;
    float scale = (float)(1.0 / m->head->weight(batch, m->config.num_labels));
    float *mean = add_owned(s, "", "loss", 1, 1, 1);
    if (!mean)
        return xr_error_status();
    xr_tape_begin(t->tape, 0, 1, 0, 0);
    xr_tensor *loss = m->head->loss(t->tape, t->model, batch, NULL);
    XR_TRY(xr_tape_status(t->tape));
    *mean = loss->x[0] * scale;
    XR_TRY(xr_backward(t->tape, loss, NULL));
    for (size_t i = 0; i < m->params.n; i++)
        XR_TRY(dump_gradient(s, m->params.row[i], scale));
    xr_params_zero_grads(&t->model->params);
    return XR_OK;
}

static const xr_batch *same_batch(void *context, int k)
{
    (void)k;
    return context;
}

static xr_status dump_steps(sheet *s, xr_trainer *t, input *in, long long steps)
{
    xr_params *ps = &t->model->params;
    float *losses = add_owned(s, "", "losses", 1, 1, (size_t)steps);
    float *norms = losses ? add_owned(s, "", "norms", 1, 1, (size_t)steps) : NULL;
    if (!norms)
        return xr_error_status();
    for (long long k = 0; k < steps; k++) {
        xr_step_result r;
        XR_TRY(xr_trainer_step(t, 1, same_batch, &in->buffer.view, &r));
        losses[k] = (float)r.loss;
        norms[k] = (float)r.grad_norm;
    }
    xr_optim_flush(t->optim);
    for (size_t i = 0; i < ps->n; i++)
        XR_TRY(add_borrowed(s, "weights.", ps->row[i]->name, ps->row[i]->rank, ps->row[i]->t.rows, ps->row[i]->t.cols, ps->row[i]->t.x));
    return XR_OK;
}

static xr_status dump(const job *j, xr_trainer *t, input *in)
{
    sheet s = { 0 };
    xr_status st = XR_OK;
    if (j->passes) {
        st = dump_hidden(&s, t, in->batch);
        st = st < 0 ? st : dump_logits(&s, t, in->batch);
        st = st < 0 ? st : dump_loss(&s, t, in->batch);
    }
    if (st >= 0 && j->steps)
        st = dump_steps(&s, t, in, j->steps);
    if (st >= 0)
        st = xr_st_write(j->output, s.row, s.n);
    free_sheet(&s);
    return st;
}

static xr_status run_model(const job *j, xr_model *m, input *in)
{
    const xr_batch *b = in->batch;
    const xr_batch_bound bound = { b->rows.n, b->rows.n_seq, b->max_len, b->n_mask, 0 };
    const xr_optim_options optim = { "adamw", "linear", j->learning_rate, j->weight_decay, 0.9, 0.999, 1e-8, j->max_grad_norm, 1.0,
                                     (uint64_t)j->steps, (uint64_t)j->warmup_steps, 0, 1.0, 0.0, XR_MOMENTS_F32, 0 };
    xr_trainer t;
    m->config.hidden_dropout_prob = m->config.attention_probs_dropout_prob = m->config.classifier_dropout = 0.0f;
    XR_TRY(check_batch(b, m, in->buffer.n_target));
    XR_TRY(xr_trainer_init(&t, m, &optim, 0, &bound));
    xr_status st = dump(j, &t, in);
    xr_trainer_free(&t);
    return st;
}

static xr_status run(const xr_options *o)
{
    job j = { .steps = 0, .warmup_steps = 0, .passes = 1, .learning_rate = 2e-5, .weight_decay = 0.01, .max_grad_norm = 1.0 };
    input in = { 0 };
    xr_model m = { 0 };
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(set_word(&j, o->args[i]));
    if (!j.model || !j.batch || !j.output)
        return xr_fail(XR_EUSAGE, "parity-dump: model=DIR, batch=FILE and output=FILE are all needed");
    XR_TRY(xr_blas_start());
    xr_status st = read_batch(&in, j.batch);
    if (st >= 0)
        st = xr_model_load(&m, j.model, &(xr_load_options){ 0 });
    if (st >= 0)
        st = run_model(&j, &m, &in);
    xr_model_free(&m);
    xr_batch_free(&in.buffer);
    xr_free(in.class_weight);
    return st;
}

const xr_cmd xr_cmd_parity_dump = {
    "parity-dump", VERB, "numbers of one batch, for scripts/parity.py", "KEY=VALUE ...",
    "xlmr parity-dump model=DIR batch=batch.safetensors output=xlmr.safetensors steps=10\n",
    run
};
