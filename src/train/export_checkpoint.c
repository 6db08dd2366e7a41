#include "train/export_checkpoint.h"

#include <string.h>

#include "data/tokenizer.h"
#include "model/hf.h"
#include "train/artefact.h"
#include "train/checkpoint.h"
#include "train/tensors.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

/* ---- the run it belongs to ------------------------------------------------------------------------------------------ */

static char *find_run(const char *checkpoint)
{
    char *run = xr_run_of_checkpoint(checkpoint);
    if (!run && xr_error_status() == XR_OK)
        xr_fail(XR_EDATA, "%s: does not lie in a run directory, RUN/checkpoints/step-…; move it back there", checkpoint);
    return run;
}

/* The directory pretraining began from; caller frees. */
static char *pretrained_from(const char *run, const xr_options *o)
{
    if (o->extend_vocab)
        return xr_path_join(run, "data/extended-model");
    if (o->model)
        return xr_run_input(run, o, o->model);
    xr_fail(XR_EDATA, "%s/config.yaml: names no model", run);
    return NULL;
}

static char *tuned_from(const char *run)
{
    char *base = xr_path_join(run, "best");
    if (!base || xr_path_is_dir(base))
        return base;
    xr_fail(XR_EDATA, "%s: is not there; a checkpoint does not name the labels, which the best model does: it is written at the first evaluation", base);
    xr_free(base);
    return NULL;
}

/* Caller frees. */
static char *find_base(const char *run, const char **head)
{
    xr_options o;
    char *base = NULL;
    *head = NULL;
    if (xr_run_options(run, &o) == XR_OK) {
        *head = o.verb == XR_V_PRETRAIN ? "masked_lm" : NULL;
        base = o.verb == XR_V_PRETRAIN ? pretrained_from(run, &o) : tuned_from(run);
    }
    xr_options_free(&o);
    return base;
}

/* ---- which checkpoints ---------------------------------------------------------------------------------------------- */

typedef struct chosen {
    char *path[XR_AVERAGE_MOST]; size_t n;
    json_t *manifest;           /* of the newest */
} chosen;

static void chosen_free(chosen *c)
{
    for (size_t i = 0; i < c->n; i++)
        xr_free(c->path[i]);
    json_decref(c->manifest);
}

/* Takes over `path` if the checkpoint is good. */
static xr_status choose(chosen *c, char *path)
{
    json_t *m = xr_checkpoint_verify(path);
    if (!m) {
        xr_free(path);
        return xr_error_status();
    }
    if (c->n == 0)
        c->manifest = json_incref(m);
    json_decref(m);
    c->path[c->n++] = path;
    return XR_OK;
}

/* The newest good ones of `run` from before step `below`, until there are `want`. */
static xr_status choose_newest(chosen *c, const char *run, uint64_t below, size_t want)
{
    uint64_t *step;
    size_t n;
    xr_status status = xr_checkpoint_steps(run, &step, &n);
    for (size_t i = 0; i < n && c->n < want && status == XR_OK; i++) {
        char *path = step[i] < below ? xr_checkpoint_path(run, step[i]) : NULL;
        if (path && choose(c, path) < 0 && xr_error_status() != XR_ESYSTEM) {
            xr_warn("%s; step %llu is left out", xr_error_message(), (unsigned long long)step[i]);
            xr_error_clear();
        }
        status = xr_error_status();
    }
    xr_free(step);
    if (status == XR_OK && c->n < want && n == 0)
        return xr_fail(XR_ENOINPUT, "%s: holds no model and no checkpoint; wait for the first one (--save-steps)", run);
    if (status == XR_OK && c->n < want)
        return xr_fail(XR_EDATA, "%s: has %zu good checkpoint%s to take, not %zu; give a smaller --average, and train with a larger --save-total-limit", run,
                       c->n, c->n == 1 ? "" : "s", want);
    return status;
}

static xr_status choose_from(chosen *c, const char *from, const char *run, size_t want)
{
    int step = xr_dir_has(from, "MANIFEST.json");
    if (step <= 0)
        return step < 0 ? step : choose_newest(c, run, UINT64_MAX, want);
    char *path = xr_strdup(from);
    XR_TRY(path ? choose(c, path) : xr_error_status());
    return want == 1 ? XR_OK : choose_newest(c, run, (uint64_t)json_integer_value(json_object_get(c->manifest, "step")), want);
}

/* ---- its rows ------------------------------------------------------------------------------------------------------- */

static xr_status check_tokenizer(const char *checkpoint, const char *base, const json_t *manifest)
{
    const char *sha256 = json_string_value(json_object_get(json_object_get(manifest, "facts"), "tokenizer_sha256"));
    xr_tokenizer *t = xr_tokenizer_open(base);
    if (!t)
        return xr_error_status();
    xr_status status = XR_OK;
    if (!sha256 || strcmp(sha256, xr_tokenizer_sha256(t)) != 0)
        status = xr_fail(XR_EDATA, "%s: belongs to the tokenizer of sha256 %s, %s has %s; put the model there that the run began with", checkpoint,
                         sha256 ? sha256 : "unknown", base, xr_tokenizer_sha256(t));
    xr_tokenizer_free(t);
    return status;
}

/* The same row of every checkpoint, being read. */
typedef struct rows { xr_tensors file[XR_AVERAGE_MOST]; xr_tensor_reader reader[XR_AVERAGE_MOST]; size_t n, n_readers; double *sum; } rows;

static xr_status open_row(rows *r, const chosen *c, size_t k, const xr_param *p, const char *name)
{
    const xr_tensor_entry *e = xr_tensors_find(&r->file[k], name);
    if (!e || !e->known || e->element != XR_EL_F32 || e->n != xr_numel(&p->t))
        return xr_fail(XR_EDATA, "%s: has no row %s of %zu numbers; it belongs to another model", c->path[k], name, xr_numel(&p->t));
    r->n_readers = k + 1;
    return xr_tensor_reader_open(&r->reader[k], e, 0);
}

/* The mean in double precision, rounded once; of one checkpoint that is its own bits. */
static xr_status average_parts(rows *r, float *x)
{
    for (size_t n = 1; n > 0; x += n) {
        for (size_t k = 0; k < r->n; k++) {
            XR_TRY(xr_tensor_reader_next(&r->reader[k], &n));
            for (size_t i = 0; i < n; i++)
                r->sum[i] = (k ? r->sum[i] : 0) + r->reader[k].value[i];
        }
        for (size_t i = 0; i < n; i++)
            x[i] = (float)(r->n == 1 ? r->reader[0].value[i] : r->sum[i] / (double)r->n);
    }
    return XR_OK;
}

/* Of a run with --ema what its best and final models are too: the moving average, which frozen rows have none of. Caller frees. */
static char *row_name(const rows *r, const xr_param *p)
{
    char *name = xr_asprintf("ema/%s", p->name);
    if (!name || xr_tensors_find(&r->file[0], name))
        return name;
    xr_free(name);
    return xr_asprintf("param/%s", p->name);
}

static xr_status average_row(rows *r, const chosen *c, xr_param *p)
{
    char *name = row_name(r, p);
    xr_status status = name ? XR_OK : xr_error_status();
    for (size_t k = 0; k < r->n && status == XR_OK; k++)
        status = open_row(r, c, k, p, name);
    if (status == XR_OK && !(r->sum = xr_alloc(r->reader[0].most, sizeof *r->sum)))
        status = xr_error_status();
    if (status == XR_OK)
        status = average_parts(r, p->t.x);
    for (; r->n_readers > 0; r->n_readers--)
        xr_tensor_reader_close(&r->reader[r->n_readers - 1]);
    xr_free(r->sum);
    r->sum = NULL;
    xr_free(name);
    return status;
}

static xr_status open_file(rows *r, const char *checkpoint)
{
    char *path = xr_path_join(checkpoint, "state.h5");
    xr_status status = path ? xr_tensors_h5(&r->file[r->n++], path) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status load_rows(const chosen *c, xr_model *m)
{
    rows *r = xr_alloc(1, sizeof *r);
    xr_status status = r ? XR_OK : xr_error_status();
    for (size_t k = 0; k < c->n && status == XR_OK; k++)
        status = open_file(r, c->path[k]);
    for (size_t i = 0; i < m->params.n && status == XR_OK; i++)
        status = average_row(r, c, m->params.row[i]);
    for (size_t k = 0; r && k < r->n; k++)
        xr_tensors_close(&r->file[k]);
    xr_free(r);
    return status;
}

static xr_status export_from(const chosen *c, const char *base, const char *head, const char *out, int *vocab_size)
{
    xr_model m;
    xr_load_options options = { .head = head, .quiet = 1 };
    XR_TRY(xr_model_load(&m, base, &options));
    xr_status status = check_tokenizer(c->path[0], base, c->manifest);
    if (status == XR_OK)
        status = load_rows(c, &m);
    if (status == XR_OK)
        status = xr_model_save(&m, out, base, NULL);
    *vocab_size = m.config.vocab_size;
    xr_model_free(&m);
    return status;
}

xr_status xr_export_checkpoint(const char *from, size_t average, const char *out, int *vocab_size)
{
    const char *head = NULL;
    chosen c = { .n = 0 };
    int step = xr_dir_has(from, "MANIFEST.json");
    char *run = step < 0 ? NULL : step ? find_run(from) : xr_strdup(from), *base = NULL;
    xr_status status = run ? choose_from(&c, from, run, average) : xr_error_status();
    if (status == XR_OK) {
        base = find_base(run, &head);
        status = base ? export_from(&c, base, head, out, vocab_size) : xr_error_status();
    }
    chosen_free(&c);
    xr_free(base);
    xr_free(run);
    return status;
}
