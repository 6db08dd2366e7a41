/* digests.json of a model directory. */
#include "model/hf_digests.h"

#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/fs.h"

#define FORMAT "xlmr-model"
enum { FORMAT_VERSION = 1 };

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* By name, since the order of a directory's entries is no part of what is in it. */
typedef struct names { char **v; size_t n, cap; } names;

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(names *l)
{
    for (size_t i = 0; i < l->n; i++)
        xr_free(l->v[i]);
    xr_free(l->v);
}

static xr_status list_file(const char *path, const char *name, void *context)
{
    names *l = context;
    struct stat st;
    int there = xr_path_look(path, &st);
    if (there <= 0 || S_ISDIR(st.st_mode) || !xr_model_has_digest(name))
        return there < 0 ? there : XR_OK;
    XR_TRY(xr_grow(&l->v, &l->cap, l->n + 1, sizeof *l->v));
    l->v[l->n] = xr_strdup(name);
    return l->v[l->n] ? (l->n++, XR_OK) : xr_error_status();
}

static xr_status digest_all(const char *dir, json_t *files)
{
    names l = { 0 };
    xr_status status = xr_dir_each(dir, list_file, &l);
    if (l.n > 0)
        qsort(l.v, l.n, sizeof *l.v, by_name);
    for (size_t i = 0; i < l.n && status == XR_OK; i++)
        status = xr_manifest_add(files, dir, l.v[i]);
    free_names(&l);
    return status;
}

xr_status xr_model_seal(const char *dir)
{
    char *path = xr_path_join(dir, XR_MODEL_DIGESTS);
    json_t *files = json_object(), *j = json_pack("{ss si sO*}", "format", FORMAT, "format_version", FORMAT_VERSION, "files", files);
    xr_status status = !path ? xr_error_status() : files && j ? digest_all(dir, files) : xr_fail(XR_ESYSTEM, "%s: no memory for the digests", dir);
    if (status == XR_OK)
        status = xr_manifest_write(path, j);
    json_decref(j);
    json_decref(files);
    xr_free(path);
    return status;
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

int xr_model_has_digest(const char *name)
{
    return strcmp(name, XR_MODEL_DIGESTS) != 0 && strcmp(name, "README.md") != 0;
}

json_t *xr_model_digests(const char *dir)
{
    char *path = xr_path_join(dir, XR_MODEL_DIGESTS);
    json_t *j = path ? xr_manifest_read(path, FORMAT, FORMAT_VERSION) : NULL;
    xr_free(path);
    return j;
}

xr_status xr_model_check_digest(const char *dir, const char *name, const json_t *entry)
{
    return xr_manifest_check(dir, name, entry, "; put the file back, or remove " XR_MODEL_DIGESTS " if you changed it yourself");
}
