#include "train/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "model/hf.h"
#include "util/alloc.h"
#include "util/fs.h"

static const char *const run_entry[] = { "config.yaml", "metrics.jsonl", "timing.jsonl", "best", "final", "interrupted" };
enum { N_ENTRIES = sizeof run_entry / sizeof *run_entry };

static int is_empty(const char *path)
{
    DIR *d = opendir(path);
    int entries = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return entries == 0;
}

xr_status xr_rundir_look(const xr_options *o, xr_rundir_kind *kind)
{
    const char *path = o->output_dir;
    *kind = XR_RUNDIR_NEW;
    if (!xr_path_exists(path))
        return XR_OK;
    if (!xr_path_is_dir(path))
        return xr_fail(XR_ECANTCREAT, "%s: is not a directory; choose another --output-dir", path);
    if (o->overwrite_output_dir || is_empty(path))
        return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: is not empty; choose another --output-dir, or give --overwrite-output-dir to replace the run in it",
                   path);
}

/* Whether `path` is, or lies in, the entry `name` of the run directory; both by their real names. */
static int lies_in_entry(const char *path, const char *dir, const char *name)
{
    char real[PATH_MAX], inside[PATH_MAX];
    char *entry = xr_path_join(dir, name);
    int known = entry && realpath(entry, inside) && realpath(path, real);
    size_t n = known ? strlen(inside) : 0;
    xr_free(entry);
    return known && strncmp(real, inside, n) == 0 && (real[n] == 0 || real[n] == '/');
}

xr_status xr_rundir_check_input(const char *path, const char *input)
{
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (lies_in_entry(input, path, run_entry[i]))
            return xr_fail(XR_ECANTCREAT, "%s: is part of the run in %s, which --overwrite-output-dir would remove; choose another --output-dir, or move it "
                           "away first", input, path);
    return XR_OK;
}

static int is_model_file(const char *name)
{
    static const char *const known[] = { ".", "..", "config.json", "generation_config.json", "model.safetensors.index.json", "sentencepiece.bpe.model",
                                         "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "trim.json", "README.md" };
    size_t n = strlen(name), suffix = strlen(".safetensors");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return 1;
    return n > suffix && strcmp(name + n - suffix, ".safetensors") == 0;
}

xr_status xr_model_dir_check(const char *path)
{
    DIR *d = opendir(path);
    xr_status status = XR_OK;
    for (struct dirent *e; d && status == XR_OK && (e = readdir(d));)
        if (!is_model_file(e->d_name))
            status = xr_fail(XR_ECANTCREAT, "%s: holds %s, which is no part of a model and would be lost; choose another directory, or move that away first",
                             path, e->d_name);
    if (d)
        closedir(d);
    return status;
}

static xr_status remove_entry(const char *dir, const char *name)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_remove_tree(path) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status write_config(const char *dir, const xr_options *o)
{
    xr_str yaml = { 0 };
    char *path = xr_path_join(dir, "config.yaml");
    xr_status status = path ? xr_options_to_yaml(o, 0, &yaml) : xr_error_status();
    if (status == XR_OK)
        status = xr_file_write(path, yaml.s, yaml.len);
    xr_str_free(&yaml);
    xr_free(path);
    return status;
}

xr_status xr_rundir_create(const char *path, const xr_options *o)
{
    XR_TRY(xr_mkdirs(path));
    for (size_t i = 0; i < N_ENTRIES; i++)
        XR_TRY(remove_entry(path, run_entry[i]));
    return write_config(path, o);
}

static xr_status write_model(const char *dir, const xr_model *m, const char *tokenizer_dir, const char *card)
{
    char *readme = xr_path_join(dir, "README.md");
    xr_status status = readme ? xr_model_save(m, dir, tokenizer_dir) : xr_error_status();
    if (status == XR_OK)
        status = xr_file_write(readme, card, strlen(card));
    xr_free(readme);
    return status;
}

xr_status xr_rundir_save_model(const char *path, const char *name, const xr_model *m, const char *tokenizer_dir, const char *card)
{
    xr_outdir out = { 0 };
    char *dir = xr_path_join(path, name);
    xr_status status = dir ? xr_outdir_begin(&out, dir, 1, "") : xr_error_status();
    xr_free(dir);
    XR_TRY(status);
    status = write_model(out.tmp, m, tokenizer_dir, card);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}
