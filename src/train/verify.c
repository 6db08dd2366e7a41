/* Every check is a function that fails as functions here do; its message becomes a line, and the next check is made. HDF5 opens only what has its digest. */
#include "train/verify.h"

#include <string.h>

#include "data/store.h"
#include "data/tokenizer.h"
#include "model/hf.h"
#include "model/hf_digests.h"
#include "train/checkpoint.h"
#include "train/inspect.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { NAMES = 5, TOKENS = 1 << 16, DOCUMENTS = 4096 };
#define LOG_CAP ((size_t)1 << 32)
#define RESULTS_CAP ((size_t)1 << 28)

/* --- lines ----------------------------------------------------------------------------------------------------------- */

static xr_status add(xr_verdict *v, const char *what, int ok, const char *message)
{
    json_t *line = json_pack("{ss sb ss}", "what", what, "ok", ok, "message", message);
    if (!line)                  /* bytes that are no UTF-8 cannot stand in JSON */
        line = json_pack("{ss sb ss}", "what", "a path that is no UTF-8", "ok", ok, "message", "the files are named in this order: see the line before");
    v->n++;
    v->n_bad += !ok;
    return line && json_array_append_new(v->checks, line) == 0 ? XR_OK : xr_fail(XR_ESYSTEM, "out of memory for the list of checks");
}

/* The result of a check of DIR/NAME as a line; only memory that is out ends the work. *good (may be NULL): whether it passed. */
static xr_status line(xr_verdict *v, const char *dir, const char *name, xr_status status, const char *seen, int *good)
{
    if (good)
        *good = status == XR_OK;
    if (status == XR_ESYSTEM)
        return status;
    char *message = xr_strdup(status == XR_OK ? seen : xr_error_message()), *what = message ? *name ? xr_path_join(dir, name) : xr_strdup(dir) : NULL;
    xr_error_clear();
    xr_status done = what ? add(v, what, status == XR_OK, message) : xr_fail(XR_ESYSTEM, "out of memory for the list of checks");
    xr_free(what);
    xr_free(message);
    return done;
}

static xr_status with_path(const char *dir, const char *name, xr_status (*check)(const char *path))
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? check(path) : xr_error_status();
    xr_free(path);
    return status;
}

/* --- numbers --------------------------------------------------------------------------------------------------------- */

/* Of tensors of floats: up to five names of those that hold NaN or infinity. */
typedef struct bad_list { xr_str names; size_t n; uint64_t elements, tensors; } bad_list;

/* Figures of a run that has not been evaluated yet need not be finite. */
static int must_be_finite(const char *name)
{
    return strncmp(name, "run/", 4) != 0 && strncmp(name, "log/", 4) != 0 && strncmp(name, "validation/", 11) != 0;
}

static xr_status measure_all(const xr_tensors *t, bad_list *bad)
{
    for (size_t i = 0; i < t->n; i++) {
        xr_tensor_stats s;
        if (!t->v[i].known)
            continue;
        XR_TRY(xr_tensor_measure(&t->v[i], &s));
        if (!must_be_finite(t->v[i].name))
            continue;
        bad->tensors++;
        bad->elements += s.non_finite;
        if (s.non_finite > 0 && bad->n++ < NAMES)
            XR_TRY(xr_str_printf(&bad->names, "%s%s (%llu)", bad->n > 1 ? ", " : "", t->v[i].name, (unsigned long long)s.non_finite));
    }
    return XR_OK;
}

/* Reads everything, so that chunk checksums are checked too. */
static xr_status check_finite(const char *path, const xr_tensors *t)
{
    bad_list bad = { 0 };
    xr_status status = measure_all(t, &bad);
    if (status == XR_OK && bad.n > 0)
        status = xr_fail(XR_EDATA, "%s: NaN or infinity in %zu of %llu tensors, %llu elements: %s%s; use an earlier checkpoint or model", path,
                         bad.n, (unsigned long long)bad.tensors, (unsigned long long)bad.elements, bad.names.s, bad.n > NAMES ? ", …" : "");
    xr_str_free(&bad.names);
    return status;
}

static xr_status check_numbers(const char *path, xr_status (*open)(xr_tensors *t, const char *path))
{
    xr_tensors t = { 0 };
    xr_status status = open(&t, path);
    if (status == XR_OK)
        status = check_finite(path, &t);
    xr_tensors_close(&t);
    return status;
}

/* --- checkpoints ----------------------------------------------------------------------------------------------------- */

static xr_status check_rows(const char *path, json_int_t rows)
{
    xr_tensors t = { 0 };
    xr_status status = xr_tensors_h5(&t, path);
    if (status == XR_OK && rows != (json_int_t)t.n)
        status = xr_fail(XR_EDATA, "%s: has %zu rows, the manifest says %lld; use another checkpoint", path, t.n, (long long)rows);
    if (status == XR_OK)
        status = check_finite(path, &t);
    xr_tensors_close(&t);
    return status;
}

static xr_status verify_checkpoint(xr_verdict *v, const char *dir)
{
    json_t *m = xr_checkpoint_verify(dir);
    json_int_t rows = json_integer_value(json_object_get(m, "rows"));
    json_decref(m);
    XR_TRY(line(v, dir, "", m ? XR_OK : xr_error_status(), "manifest and digests", NULL));
    if (!m)
        return XR_OK;
    char *path = xr_path_join(dir, "state.h5");
    xr_status status = path ? check_rows(path, rows) : xr_error_status();
    xr_free(path);
    return line(v, dir, "state.h5", status, "all rows are read, all numbers finite", NULL);
}

/* --- token stores ---------------------------------------------------------------------------------------------------- */

static xr_status read_documents(xr_store *s, uint64_t *offset, uint16_t *language)
{
    for (uint64_t at = 0, n = xr_store_documents(s), part; at < n; at += part) {
        part = n - at < DOCUMENTS ? n - at : DOCUMENTS;
        XR_TRY(xr_store_document_table(s, at, (size_t)part, offset, language));
    }
    return XR_OK;
}

static xr_status read_tokens(xr_store *s, int32_t *id)
{
    for (uint64_t at = 0, n = xr_store_tokens(s), part; at < n; at += part) {
        part = n - at < TOKENS ? n - at : TOKENS;
        XR_TRY(xr_store_read(s, at, (size_t)part, id));
    }
    return XR_OK;
}

static xr_status read_store(const char *dir)
{
    uint64_t *offset = xr_alloc(DOCUMENTS + 1, sizeof *offset);
    uint16_t *language = offset ? xr_alloc(DOCUMENTS, sizeof *language) : NULL;
    int32_t *id = language ? xr_alloc(TOKENS, sizeof *id) : NULL;
    xr_store *s = id ? xr_store_open(dir, NULL) : NULL;
    xr_status status = s ? read_documents(s, offset, language) : xr_error_status();
    if (status == XR_OK)
        status = read_tokens(s, id);
    xr_store_close(s);
    xr_free(id);
    xr_free(language);
    xr_free(offset);
    return status;
}

typedef struct listed { const json_t *shards; } listed;

/* A shard that nothing lists would be forgotten, or is of another store. */
static xr_status check_extra(const char *path, const char *name, void *context)
{
    const listed *l = context;
    const json_t *shard;
    size_t i, n = strlen(name);
    if (n < 3 || strcmp(name + n - 3, ".h5") != 0)
        return XR_OK;
    json_array_foreach(l->shards, i, shard)
        if (strcmp(json_string_value(json_object_get(shard, "file")), name) == 0)
            return XR_OK;
    return xr_fail(XR_EDATA, "%s: is not in the manifest of the store; move it away, or prepare the store again", path);
}

static xr_status verify_shards(xr_verdict *v, const char *dir, const json_t *shards)
{
    const json_t *shard;
    size_t i;
    int good, all = 1;
    json_array_foreach(shards, i, shard) {
        XR_TRY(line(v, dir, json_string_value(json_object_get(shard, "file")), xr_store_check_shard(dir, shard), "digest", &good));
        all = all && good;
    }
    listed l = { shards };
    XR_TRY(line(v, dir, "", xr_dir_each(dir, check_extra, &l), "no other shards", NULL));
    return all ? line(v, dir, "", read_store(dir), "all documents and ids are read", NULL) : XR_OK;
}

static xr_status verify_store(xr_verdict *v, const char *dir)
{
    int good;
    json_t *m = xr_store_read_manifest(dir);
    xr_status status = line(v, dir, XR_STORE_MANIFEST, m ? XR_OK : xr_error_status(), "format, sums and digest", &good);
    if (status == XR_OK && good)
        status = verify_shards(v, dir, json_object_get(m, "shards"));
    json_decref(m);
    return status;
}

/* --- models ---------------------------------------------------------------------------------------------------------- */

typedef struct extra { xr_verdict *v; const char *dir; const json_t *files; } extra;

/* Whoever uses a model puts files beside it. */
static xr_status note_extra(const char *path, const char *name, void *context)
{
    const extra *e = context;
    if (xr_path_is_dir(path) || strcmp(name, XR_MODEL_DIGESTS) == 0 || json_object_get(e->files, name))
        return XR_OK;
    return line(e->v, e->dir, name, XR_OK, "is not in " XR_MODEL_DIGESTS ": its bytes are not checked", NULL);
}

static xr_status verify_listed(xr_verdict *v, const char *dir, json_t *files)
{
    json_t *entry;
    const char *name;
    json_object_foreach(files, name, entry)
        XR_TRY(line(v, dir, name, xr_model_check_digest(dir, name, entry), "digest", NULL));
    return xr_dir_each(dir, note_extra, &(extra){ v, dir, files });
}

static xr_status verify_digests(xr_verdict *v, const char *dir)
{
    if (!xr_dir_has(dir, XR_MODEL_DIGESTS))
        return line(v, dir, "", XR_OK, "has no " XR_MODEL_DIGESTS ": a changed bit is seen only where it makes something invalid", NULL);
    json_t *j = xr_model_digests(dir);
    xr_status status = line(v, dir, XR_MODEL_DIGESTS, j ? XR_OK : xr_error_status(), "format and digest", NULL);
    if (status == XR_OK && j)
        status = verify_listed(v, dir, json_object_get(j, "files"));
    json_decref(j);
    return status;
}

static xr_status check_config(const char *path)
{
    xr_config c;
    XR_TRY(xr_config_read(&c, path));
    xr_config_free(&c);
    return XR_OK;
}

static xr_status check_tensors(const char *dir)
{
    xr_model m;
    XR_TRY(xr_model_load(&m, dir, &(xr_load_options){ .map = 1, .quiet = 1 }));
    xr_model_free(&m);
    return XR_OK;
}

static xr_status check_header(const char *dir)
{
    xr_tensors t = { 0 };
    xr_status status = xr_tensors_model(&t, dir);
    xr_tensors_close(&t);
    return status;
}

static xr_status check_vocabulary(const char *dir, int have_config)
{
    xr_config c = { 0 };
    char *path = xr_path_join(dir, "config.json");
    xr_tokenizer *t = path ? xr_tokenizer_open(dir) : NULL;
    xr_status status = t ? XR_OK : xr_error_status();
    if (status == XR_OK && have_config)
        status = xr_config_read(&c, path);
    if (status == XR_OK && have_config)
        status = xr_setup_check_vocabulary(t, &c);
    xr_tokenizer_free(t);
    xr_config_free(&c);
    xr_free(path);
    return status;
}

static xr_status verify_model(xr_verdict *v, const char *dir)
{
    int config, header;
    XR_TRY(verify_digests(v, dir));
    XR_TRY(line(v, dir, "config.json", with_path(dir, "config.json", check_config), "fields and sizes", &config));
    XR_TRY(line(v, dir, "model.safetensors", check_header(dir), "header", &header));
    if (header)
        XR_TRY(line(v, dir, "model.safetensors", check_numbers(dir, xr_tensors_model), "all numbers are finite", NULL));
    if (header && config)
        XR_TRY(line(v, dir, "", check_tensors(dir), "the tensors are those of the configuration", NULL));
    return line(v, dir, "sentencepiece.bpe.model", check_vocabulary(dir, config), "loads, and fits the embedding", NULL);
}

/* --- runs ------------------------------------------------------------------------------------------------------------ */

static xr_status check_options(const char *run)
{
    xr_options o;
    xr_status status = xr_run_options(run, &o);
    xr_options_free(&o);
    return status;
}

static xr_status check_log_lines(const char *path, const char *text, size_t len)
{
    size_t number = 1;
    for (const char *end = text + len, *at = text, *stop; at < end; at = stop + 1, number++) {
        stop = memchr(at, '\n', (size_t)(end - at));
        char *where = xr_asprintf("%s:%zu", path, number);
        json_t *j = !where ? NULL : stop ? xr_json_parse(at, (size_t)(stop - at), where) : NULL;
        if (where && !stop)
            xr_fail(XR_EDATA, "%s: the line is cut; go on with the run, which mends its log", where);
        xr_free(where);
        json_decref(j);
        if (!j)
            return xr_error_status();
    }
    return XR_OK;
}

static xr_status check_log(const char *path)
{
    size_t len;
    char *text = xr_file_read(path, LOG_CAP, &len);
    xr_status status = text ? check_log_lines(path, text, len) : xr_error_status();
    xr_free(text);
    return status;
}

static xr_status verify_checkpoints(xr_verdict *v, const char *run)
{
    uint64_t *step;
    size_t n;
    xr_status status = xr_checkpoint_steps(run, &step, &n);
    for (size_t i = n; i-- > 0 && status == XR_OK;) {
        char *path = xr_checkpoint_path(run, step[i]);
        status = path ? verify_checkpoint(v, path) : xr_error_status();
        xr_free(path);
    }
    xr_free(step);
    return status;
}

static xr_status verify_part(xr_verdict *v, const char *run, const char *name, xr_status (*verify)(xr_verdict *v, const char *dir))
{
    char *path = xr_dir_has(run, name) ? xr_path_join(run, name) : NULL;
    xr_status status = path ? verify(v, path) : xr_error_status();
    xr_free(path);
    return status;
}

/* RUN/data: stores that were prepared for this run. */
static xr_status verify_data(const char *path, const char *name, void *context)
{
    (void)name;
    return xr_path_is_dir(path) && xr_store_is(path) ? verify_store(context, path) : XR_OK;
}

static xr_status verify_stores(xr_verdict *v, const char *dir)
{
    return xr_path_is_dir(dir) ? xr_dir_each(dir, verify_data, v) : XR_OK;
}

static xr_status verify_run(xr_verdict *v, const char *run)
{
    XR_TRY(line(v, run, "config.yaml", check_options(run), "options", NULL));
    if (xr_dir_has(run, "metrics.jsonl"))
        XR_TRY(line(v, run, "metrics.jsonl", with_path(run, "metrics.jsonl", check_log), "every line is JSON", NULL));
    XR_TRY(verify_checkpoints(v, run));
    XR_TRY(verify_part(v, run, "best", verify_model));
    XR_TRY(verify_part(v, run, "final", verify_model));
    return verify_part(v, run, "data", verify_stores);
}

/* --- sweeps ---------------------------------------------------------------------------------------------------------- */

/* What is called finished by results.json has to be there. */
static xr_status check_result(const char *sweep, const json_t *run)
{
    const char *name = json_string_value(json_object_get(run, "name")), *state = json_string_value(json_object_get(run, "state"));
    if (!name || !state || strcmp(state, "finished") != 0)
        return XR_OK;
    char *path = xr_asprintf("%s/runs/%s", sweep, name);
    xr_status status = !path ? xr_error_status() : xr_path_exists(path) ? XR_OK
                     : xr_fail(XR_EDATA, "%s: is not there, and results.json says that it is finished; put it back, or repeat the sweep", path);
    xr_free(path);
    return status;
}

static xr_status check_results(const char *sweep)
{
    char *path = xr_path_join(sweep, "results.json");
    json_t *j = path ? xr_json_file(path, RESULTS_CAP) : NULL, *runs = json_object_get(j, "runs"), *run;
    xr_status status = j ? XR_OK : xr_error_status();
    size_t i;
    json_array_foreach(runs, i, run)
        status = status == XR_OK ? check_result(sweep, run) : status;
    json_decref(j);
    xr_free(path);
    return status;
}

static xr_status verify_runs(xr_verdict *v, const char *sweep, const xr_sweep_runs *r)
{
    if (r->n == 0)
        return line(v, sweep, "runs", XR_OK, "holds no run yet", NULL);
    for (size_t i = 0; i < r->n; i++)
        XR_TRY(verify_run(v, r->path[i]));
    return XR_OK;
}

static xr_status verify_sweep(xr_verdict *v, const char *sweep)
{
    xr_sweep_runs r;
    if (xr_dir_has(sweep, "results.json"))
        XR_TRY(line(v, sweep, "results.json", check_results(sweep), "the runs that are finished by it are there", NULL));
    xr_status status = xr_sweep_runs_find(sweep, &r);
    if (status == XR_OK)
        status = verify_runs(v, sweep, &r);
    xr_sweep_runs_free(&r);
    return status;
}

/* --- all ------------------------------------------------------------------------------------------------------------- */

xr_status xr_verify(const char *path, xr_verdict *v)
{
    xr_artefact kind;
    *v = (xr_verdict){ .checks = json_array() };
    if (!v->checks)
        return xr_fail(XR_ESYSTEM, "%s: out of memory for the list of checks", path);
    XR_TRY(xr_artefact_find(path, &kind));
    switch (kind) {
    case XR_ART_SWEEP: return verify_sweep(v, path);
    case XR_ART_RUN: return verify_run(v, path);
    case XR_ART_CHECKPOINT: return verify_checkpoint(v, path);
    case XR_ART_STORE: return verify_store(v, path);
    case XR_ART_MODEL: return verify_model(v, path);
    case XR_ART_H5: return line(v, path, "", check_numbers(path, xr_tensors_h5), "all tensors are read, all numbers finite", NULL);
    default: return line(v, path, "", check_numbers(path, xr_tensors_safetensors), "header sane, all numbers finite", NULL);
    }
}
