#include "train/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "model/hf.h"
#include "util/alloc.h"
#include "util/fs.h"

static const char *const run_entry[] = { "config.yaml", "metrics.jsonl", "timing.jsonl", "best", "final", "interrupted" };

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

xr_status xr_rundir_check(const char *path, int overwrite)
{
    if (!xr_path_exists(path))
        return XR_OK;
    if (!xr_path_is_dir(path))
        return xr_fail(XR_ECANTCREAT, "%s: is not a directory; choose another --output-dir", path);
    if (overwrite || is_empty(path))
        return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: is not empty; choose another --output-dir, or give --overwrite-output-dir to replace the run in it",
                   path);
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
    for (size_t i = 0; i < sizeof run_entry / sizeof *run_entry; i++)
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
