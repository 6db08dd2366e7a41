#include "train/artefact.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/store.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"

enum { YAML_CAP = 1 << 24, RESULTS_CAP = 1 << 28 };

/* --- kinds -------------------------------------------------------------------------------------------------------- */

static int ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static xr_status is_shard(const char *path, const char *name, void *context)
{
    (void)path;
    (void)context;
    return strncmp(name, "shard-", 6) == 0 && ends_with(name, ".h5");
}

/* The name of a directory may end in slashes. */
static int is_called_step(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n > 0 && path[n - 1] != '/')
        n--;
    return strncmp(path + n, "step-", 5) == 0;
}

static int is_model(const char *path)
{
    static const char *const names[] = { "config.json", "model.safetensors", "model.safetensors.index.json", "sentencepiece.bpe.model", "pytorch_model.bin" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (xr_dir_has(path, names[i]))
            return 1;
    return 0;
}

/* `runs` alone may be anybody's. */
static int is_sweep(const char *path)
{
    return xr_dir_has(path, "runs") && (xr_dir_has(path, "logs") || xr_dir_has(path, "results.json"));
}

/* What evaluate wrote names its model, unless there were several, or none. */
static xr_status fail_evaluation(const char *path, const json_t *results)
{
    const char *model = json_string_value(json_object_get(results, "model"));
    return xr_fail(XR_EDATA, "%s: is what evaluate wrote, figures and predictions; xlmr report %s shows it; to look at the model that was scored, give %s",
                   path, path, model ? model : "its path");
}

static xr_status fail_dir(const char *path)
{
    char *file = xr_dir_has(path, "results.json") ? xr_path_join(path, "results.json") : NULL;
    json_t *results = file ? xr_json_file(file, RESULTS_CAP) : NULL;
    if (xr_error_status() == XR_EDATA)      /* somebody else's file */
        xr_error_clear();
    if (json_object_get(results, "task"))
        fail_evaluation(path, results);
    else
        xr_fail(XR_EDATA, "%s: is no run directory (config.yaml), checkpoint (MANIFEST.json), token store (manifest.json), model directory (config.json) or "
                "sweep (runs, logs); give the path of one", path);
    json_decref(results);
    xr_free(file);
    return xr_error_status();
}

/* What was lost must not make a thing of another kind of it, so any one of its parts is enough. */
static xr_status find_dir(const char *path, xr_artefact *kind)
{
    if (xr_dir_has(path, "MANIFEST.json") || xr_dir_has(path, "state.h5") || is_called_step(path))
        *kind = XR_ART_CHECKPOINT;
    else if (xr_dir_has(path, XR_STORE_MANIFEST) || xr_dir_each(path, is_shard, NULL) > 0)
        *kind = XR_ART_STORE;
    else if (xr_dir_has(path, "config.yaml") || xr_dir_has(path, "checkpoints") || xr_dir_has(path, "metrics.jsonl"))
        *kind = XR_ART_RUN;
    else if (is_model(path))
        *kind = XR_ART_MODEL;
    else if (is_sweep(path))
        *kind = XR_ART_SWEEP;
    else
        return fail_dir(path);
    return XR_OK;
}

static xr_status find_file(const char *path, xr_artefact *kind)
{
    char head[8] = "";
    struct stat st;
    errno = 0;
    FILE *f = stat(path, &st) == 0 && S_ISREG(st.st_mode) ? fopen(path, "rb") : NULL;
    if (!f)
        return xr_fail(XR_ENOINPUT, "%s: cannot be opened, or is no plain file (%s); give a file or directory that may be read", path,
                       errno ? strerror(errno) : "device, pipe or socket");
    size_t n = fread(head, 1, sizeof head, f);
    fclose(f);
    if (ends_with(path, ".safetensors"))
        *kind = XR_ART_SAFETENSORS;
    else if (ends_with(path, ".h5") || ends_with(path, ".hdf5") || (n == sizeof head && memcmp(head, "\211HDF\r\n\032\n", sizeof head) == 0))
        *kind = XR_ART_H5;
    else
        return xr_fail(XR_EDATA, "%s: is no HDF5 file (.h5) and no .safetensors file; give one of these, or a directory", path);
    return XR_OK;
}

xr_status xr_artefact_find(const char *path, xr_artefact *kind)
{
    if (!xr_path_exists(path))
        return xr_fail(XR_ENOINPUT, "%s: does not exist; give the path of a run, checkpoint, token store, model directory, .h5 or .safetensors file", path);
    xr_status status = xr_path_is_dir(path) ? find_dir(path, kind) : find_file(path, kind);
    return status == XR_OK ? xr_error_status() : status;    /* of what could not be looked at */
}

const char *xr_artefact_name(xr_artefact kind)
{
    static const char *const names[] = {
        [XR_ART_RUN] = "run directory", [XR_ART_CHECKPOINT] = "checkpoint", [XR_ART_STORE] = "token store", [XR_ART_MODEL] = "model directory",
        [XR_ART_H5] = "HDF5 file",      [XR_ART_SAFETENSORS] = "safetensors file", [XR_ART_SWEEP] = "sweep",
    };
    return names[kind];
}

/* --- sweeps ------------------------------------------------------------------------------------------------------- */

static xr_status add_run(const char *path, const char *name, void *context)
{
    xr_sweep_runs *r = context;
    (void)name;
    if (!xr_path_is_dir(path))
        return XR_OK;
    XR_TRY(xr_grow(&r->path, &r->cap, r->n + 1, sizeof *r->path));
    char *copy = xr_strdup(path);
    if (!copy)
        return xr_error_status();
    r->path[r->n++] = copy;
    return XR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

xr_status xr_sweep_runs_find(const char *sweep, xr_sweep_runs *r)
{
    *r = (xr_sweep_runs){ 0 };
    char *folder = xr_path_join(sweep, "runs");
    xr_status status = folder ? xr_dir_each(folder, add_run, r) : xr_error_status();
    xr_free(folder);
    if (r->n > 0)
        qsort(r->path, r->n, sizeof *r->path, by_name);
    return status;
}

void xr_sweep_runs_free(xr_sweep_runs *r)
{
    while (r->n > 0)
        xr_free(r->path[--r->n]);
    xr_free(r->path);
}

/* --- runs --------------------------------------------------------------------------------------------------------- */

/* The first line says which command wrote it: "# pretrain: …". */
static unsigned verb_of(const char *yaml)
{
    for (unsigned v = 1; v & XR_V_ALL; v <<= 1) {
        const char *name = xr_verb_name(v);
        size_t n = strlen(name);
        if (strncmp(yaml, "# ", 2) == 0 && strncmp(yaml + 2, name, n) == 0 && yaml[2 + n] == ':')
            return v;
    }
    return 0;
}

xr_status xr_run_options(const char *run, xr_options *o)
{
    size_t len = 0;
    char *path = xr_path_join(run, "config.yaml"), *yaml = path ? xr_file_read(path, YAML_CAP, &len) : NULL;
    unsigned verb = yaml ? verb_of(yaml) : 0;
    xr_status status = yaml ? XR_OK : xr_error_status();
    memset(o, 0, sizeof *o);
    if (yaml && !(verb & XR_V_TRAIN))
        status = xr_fail(XR_EDATA, "%s: its first line does not say which command wrote it; this is not as a run wrote it: put the file of the run back", path);
    if (status == XR_OK)
        status = xr_options_init(o, verb);
    if (status == XR_OK)
        status = xr_options_yaml(o, yaml, len, path);
    xr_free(yaml);
    xr_free(path);
    return status;
}

char *xr_run_of_checkpoint(const char *checkpoint)
{
    char real[PATH_MAX];
    char *slash = realpath(checkpoint, real) ? strrchr(real, '/') : NULL;
    for (int up = 0; slash && up < 2; up++) {
        *slash = '\0';
        slash = strrchr(real, '/');
        if (up == 0 && (!slash || strcmp(slash, "/checkpoints") != 0))
            return NULL;
    }
    return slash ? xr_strdup(real) : NULL;
}

/* Names in a relative path that only goes down; 0: it does not. */
static size_t depth(const char *path)
{
    size_t n = 0;
    for (size_t k; *(path += strspn(path, "/")); path += k) {
        k = strcspn(path, "/");
        if (k == 2 && strncmp(path, "..", 2) == 0)
            return 0;
        n += !(k == 1 && *path == '.');
    }
    return n;
}

/* Where the run was started: as far above it as its output directory, if that was given as a relative path, went down. The run may have been renamed.
 * NULL when that does not say. */
static char *started_in(const char *run, const char *output_dir)
{
    char real[PATH_MAX];
    size_t up = output_dir && output_dir[0] != '/' ? depth(output_dir) : 0;
    if (up == 0 || !realpath(run, real))
        return NULL;
    while (up-- > 0 && real[0])
        *strrchr(real, '/') = '\0';
    return xr_strdup(real[0] ? real : "/");
}

char *xr_run_input(const char *run, const xr_options *o, const char *path)
{
    char *start = path[0] == '/' ? NULL : started_in(run, o->output_dir), *there = start ? xr_path_join(start, path) : NULL;
    xr_free(start);
    if (there && xr_path_exists(there))
        return there;
    xr_free(there);
    if (xr_error_status() < 0)
        return NULL;
    if (xr_path_exists(path))
        return xr_strdup(path);
    if (path[0] == '/')
        xr_fail(XR_ENOINPUT, "%s: is not there, and %s needs it; put it back", path, run);
    else
        xr_fail(XR_ENOINPUT, "%s: is not there, and %s needs it: the path is relative to where the run was started; give the command in that directory", path,
                run);
    return NULL;
}
