/* What a path leads to, before its tensors are looked at: manifests, configurations, digests. */
#include "train/inspect.h"

#include <math.h>
#include <string.h>

#include "data/store.h"
#include "train/checkpoint.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { CONFIG_CAP = 16 << 20 };

static xr_status put(json_t *to, const char *key, json_t *value)
{
    return value && json_object_set_new(to, key, value) == 0 ? XR_OK : xr_fail(XR_ESYSTEM, "out of memory for %s", key);
}

/* --- options and tokenizers ------------------------------------------------------------------------------------------ */

static xr_status put_options(json_t *about, const char *run)
{
    xr_options o;
    xr_status status = xr_run_options(run, &o);
    json_t *j = status == XR_OK ? xr_options_to_json(&o, XR_RECIPE) : NULL;
    xr_options_free(&o);
    return j ? put(about, "options", j) : xr_error_status();
}

static xr_status put_tokenizer(json_t *about, const char *dir)
{
    char hex[65];
    char *path = xr_path_join(dir, "sentencepiece.bpe.model");
    xr_status status = path ? XR_OK : xr_error_status();
    if (path && xr_path_exists(path)) {
        status = xr_file_sha256(path, hex);
        if (status == XR_OK)
            status = put(about, "tokenizer_sha256", json_string(hex));
    }
    xr_free(path);
    return status;
}

/* --- each kind ------------------------------------------------------------------------------------------------------- */

static xr_status copy(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_t *value = json_object_get(from, from_key);
    return value ? put(to, key, json_incref(value)) : XR_OK;
}

static xr_status about_checkpoint(xr_subject *s)
{
    json_t *m = xr_checkpoint_verify(s->path);
    if (!m)
        return xr_error_status();
    xr_status status = copy(s->about, "step", m, "step");
    if (status == XR_OK)
        status = copy(s->about, "facts", m, "facts");
    if (status == XR_OK)
        status = copy(s->about, "tokenizer_sha256", json_object_get(m, "facts"), "tokenizer_sha256");
    json_decref(m);
    char *run = status == XR_OK ? xr_run_of_checkpoint(s->path) : NULL;
    if (run && xr_dir_has(run, "config.yaml"))
        status = put_options(s->about, run);
    xr_free(run);
    return status == XR_OK ? xr_error_status() : status;
}

/* The digests are checked here, so that nothing of HDF5 meets a damaged shard. */
static xr_status about_store(xr_subject *s)
{
    size_t i;
    json_t *m = xr_store_read_manifest(s->path), *shard;
    if (!m)
        return xr_error_status();
    XR_TRY(put(s->about, "manifest", m));
    XR_TRY(xr_store_check_shards(s->path, m));
    s->shards = json_array();
    json_array_foreach(json_object_get(m, "shards"), i, shard)
        if (json_array_append(s->shards, json_object_get(shard, "file")) != 0)
            return xr_fail(XR_ESYSTEM, "%s: out of memory for the list of shards", s->path);
    return copy(s->about, "tokenizer_sha256", json_object_get(m, "tokenizer"), "sha256");
}

static xr_status about_model(xr_subject *s)
{
    char *path = xr_path_join(s->path, "config.json");
    json_t *config = path && xr_path_exists(path) ? xr_json_file(path, CONFIG_CAP) : NULL;
    xr_status status = config ? put(s->about, "config", config) : xr_error_status();
    xr_free(path);
    return status == XR_OK ? put_tokenizer(s->about, s->path) : status;
}

/* --- runs ------------------------------------------------------------------------------------------------------------ */

/* NULL without an error when the run has nothing to show. */
static char *choose(const char *run)
{
    char *path = NULL;
    if (xr_dir_has(run, "final"))   /* or an error, which is noted */
        return xr_path_join(run, "final");
    if (xr_dir_has(run, "checkpoints") && (xr_checkpoint_find(run, UINT64_MAX, &path) < 0 || path))
        return path;
    return xr_dir_has(run, "best") ? xr_path_join(run, "best") : NULL;
}

static xr_status about_thing(xr_subject *s)
{
    if (s->kind == XR_ART_CHECKPOINT)
        return about_checkpoint(s);
    if (s->kind == XR_ART_STORE)
        return about_store(s);
    return s->kind == XR_ART_MODEL ? about_model(s) : XR_OK;
}

static xr_status about_run(xr_subject *s)
{
    char *thing = choose(s->path);
    if (!thing && xr_error_status() == XR_OK)
        xr_fail(XR_EDATA, "%s: is a run that has saved nothing yet; wait for its first checkpoint (--save-steps)", s->path);
    xr_status status = thing ? put_options(s->about, s->path) : xr_error_status();
    if (status < 0) {
        xr_free(thing);
        return status;
    }
    xr_free(s->path);
    s->path = thing;
    XR_TRY(xr_artefact_find(thing, &s->kind));
    return about_thing(s);
}

static xr_status fail_sweep(const char *path)
{
    xr_sweep_runs r;
    xr_status status = xr_sweep_runs_find(path, &r);
    if (status == XR_OK && r.n == 0)
        xr_fail(XR_EDATA, "%s: is a sweep without runs yet; run xlmr sweep on it, and give one of its runs then", path);
    else if (status == XR_OK)
        xr_fail(XR_EDATA, "%s: is a sweep, of %zu run%s; give one, such as %s; xlmr verify checks them all, xlmr report shows them", path, r.n,
                r.n == 1 ? "" : "s", r.path[0]);
    xr_sweep_runs_free(&r);
    return xr_error_status();
}

xr_status xr_subject_open(xr_subject *s, const char *path)
{
    *s = (xr_subject){ .path = xr_strdup(path), .about = json_object() };
    xr_status status = s->path && s->about ? xr_artefact_find(path, &s->kind) : xr_fail(XR_ESYSTEM, "%s: out of memory", path);
    if (status == XR_OK)
        status = s->kind == XR_ART_SWEEP ? fail_sweep(path) : s->kind == XR_ART_RUN ? about_run(s) : about_thing(s);
    if (status < 0)
        xr_subject_close(s);
    return status;
}

void xr_subject_close(xr_subject *s)
{
    json_decref(s->about);
    json_decref(s->shards);
    xr_free(s->path);
    *s = (xr_subject){ 0 };
}

/* --- tensors --------------------------------------------------------------------------------------------------------- */

size_t xr_subject_parts(const xr_subject *s) { return s->shards ? json_array_size(s->shards) : 1; }

static xr_status open_file(xr_tensors *t, const char *dir, const char *name)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_tensors_h5(t, path) : xr_error_status();
    xr_free(path);
    return status;
}

xr_status xr_subject_tensors(const xr_subject *s, size_t i, xr_tensors *t, char **label)
{
    const char *shard = json_string_value(json_array_get(s->shards, i));
    xr_status status;
    *label = shard ? xr_asprintf("%s/", shard) : xr_strdup("");
    if (!*label)
        status = xr_error_status();
    else if (s->kind == XR_ART_STORE)
        status = open_file(t, s->path, shard);
    else if (s->kind == XR_ART_CHECKPOINT)
        status = open_file(t, s->path, "state.h5");
    else if (s->kind == XR_ART_MODEL)
        status = xr_tensors_model(t, s->path);
    else
        status = s->kind == XR_ART_H5 ? xr_tensors_h5(t, s->path) : xr_tensors_safetensors(t, s->path);
    if (status < 0) {
        xr_tensors_close(t);
        xr_free(*label);
        *label = NULL;
    }
    return status;
}

static void measure_part(xr_tensor_stats *s, const double *value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(value[i])) {
            s->non_finite++;
            continue;
        }
        s->min = s->finite == 0 || value[i] < s->min ? value[i] : s->min;
        s->max = s->finite == 0 || value[i] > s->max ? value[i] : s->max;
        s->sum_squares += value[i] * value[i];
        s->finite++;
    }
}

xr_status xr_tensor_measure(const xr_tensor_entry *e, xr_tensor_stats *s)
{
    xr_tensor_reader r;
    size_t n = 1;
    *s = (xr_tensor_stats){ 0 };
    xr_status status = xr_tensor_reader_open(&r, e, 0);
    while (status == XR_OK && n > 0) {
        status = xr_tensor_reader_next(&r, &n);
        if (status == XR_OK)
            measure_part(s, r.value, n);
    }
    xr_tensor_reader_close(&r);
    return status;
}
