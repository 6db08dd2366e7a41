/* Finding and opening the weight files of a directory; a sharded model is checked against its index both ways. */
#include "model/hf_files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"

#define WHOLE "model.safetensors"
#define INDEX "model.safetensors.index.json"

enum { INDEX_CAP = 64 << 20, SHARD_CAP = 1000 };

static xr_status add_file(xr_hf_files *f, const char *path)
{
    XR_TRY(xr_grow(&f->file, &f->file_cap, f->n_files + 1, sizeof(xr_st_file *)));
    f->file[f->n_files] = xr_st_open(path);
    if (!f->file[f->n_files])
        return xr_error_status();
    f->n_files++;
    return XR_OK;
}

/* --- the index ---------------------------------------------------------------------------------------------------- */

/* A shard lies in the directory itself: no folders, nothing hidden, nothing above. */
static int is_plain_name(const char *s)
{
    static const char ending[] = ".safetensors";
    size_t n = strlen(s), k = sizeof ending - 1;
    return n > k && n < 256 && s[0] != '.' && !strchr(s, '/') && !strchr(s, '\\') && !strcmp(s + n - k, ending);
}

static xr_status add_shard(xr_hf_files *f, const char *dir, const char *index, const char *name)
{
    if (f->n_files == SHARD_CAP)
        return xr_fail(XR_EDATA, "%s: names more than %d shards; no model of this family has that many: get the file again", index, SHARD_CAP);
    char *path = xr_path_join(dir, name);
    xr_status status = path ? XR_OK : xr_error_status();
    if (path && !xr_path_exists(path))
        status = xr_fail(XR_ENOINPUT, "%s: shard is missing; %s names it; download the directory completely", path, index);
    if (status == XR_OK)
        status = add_file(f, path);
    xr_free(path);
    return status;
}

/* Opens every shard once; *shards maps its name to its number. */
static xr_status open_shards(xr_hf_files *f, const char *dir, const char *index, json_t *map, json_t *shards)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !is_plain_name(name))
            return xr_fail(XR_EDATA, "%s: weight_map: the shard of '%.200s' is '%.200s'; expected the plain name of a .safetensors file in this "
                           "directory", index, tensor, name ? name : "not a string");
        if (json_object_get(shards, name))
            continue;
        XR_TRY(add_shard(f, dir, index, name));
        json_object_set_new(shards, name, json_integer((json_int_t)f->n_files - 1));
    }
    return XR_OK;
}

/* Each tensor of the map in its shard, each tensor of a shard in the map. */
static xr_status check_map(const xr_hf_files *f, const char *index, json_t *map, json_t *shards)
{
    const char *name;
    json_t *shard;
    json_object_foreach(map, name, shard) {
        json_int_t k = json_integer_value(json_object_get(shards, json_string_value(shard)));
        if (!xr_st_find(f->file[k], name))
            return xr_fail(XR_EDATA, "%s: weight_map: tensor '%.200s' is not in %s; index and shards do not belong together: get all files again",
                           index, name, json_string_value(shard));
    }
    for (size_t k = 0; k < f->n_files; k++) {
        for (size_t i = 0; i < xr_st_count(f->file[k]); i++) {
            const json_t *owner = json_object_get(map, xr_st_at(f->file[k], i)->name);
            if (json_integer_value(json_object_get(shards, owner ? json_string_value(owner) : "")) != (json_int_t)k || !owner)
                return xr_fail(XR_EDATA, "%s: tensor '%s' is not in the weight_map of %s for this shard; index and shards do not belong together: "
                               "get all files again", xr_st_path(f->file[k]), xr_st_at(f->file[k], i)->name, index);
        }
    }
    return XR_OK;
}

static xr_status check_total(const xr_hf_files *f, const char *index, const json_t *total)
{
    if (!total)
        return XR_OK;
    uint64_t bytes = 0;
    for (size_t k = 0; k < f->n_files; k++)
        for (size_t i = 0; i < xr_st_count(f->file[k]); i++)
            bytes += xr_st_at(f->file[k], i)->end - xr_st_at(f->file[k], i)->begin;
    if (json_is_number(total) && json_number_value(total) == (double)bytes)
        return XR_OK;
    char *found = xr_json_dump(total, 0);
    xr_fail(XR_EDATA, "%s: metadata.total_size is %.40s, the tensors of the shards have %llu bytes; get the shards and the index again", index,
            found ? found : "?", (unsigned long long)bytes);
    xr_free(found);
    return xr_error_status();
}

static xr_status read_index(xr_hf_files *f, const char *dir, const char *index, json_t *root)
{
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        return xr_fail(XR_EDATA, "%s: has no weight_map; expected {\"metadata\": …, \"weight_map\": {tensor: file}}; get the file again", index);
    json_t *shards = json_object();
    xr_status status = shards ? open_shards(f, dir, index, map, shards) : xr_fail(XR_ESYSTEM, "%s: out of memory", index);
    if (status == XR_OK)
        status = check_map(f, index, map, shards);
    if (status == XR_OK)
        status = check_total(f, index, json_object_get(json_object_get(root, "metadata"), "total_size"));
    json_decref(shards);
    return status;
}

static xr_status open_index(xr_hf_files *f, const char *dir, const char *index)
{
    json_t *root = xr_json_file(index, INDEX_CAP);
    if (!root)
        return xr_error_status();
    xr_status status = read_index(f, dir, index, root);
    json_decref(root);
    return status;
}

/* --- nothing there ------------------------------------------------------------------------------------------------ */

static int dir_has(const char *dir, const char *name)
{
    char *path = xr_path_join(dir, name);
    int there = path && xr_path_exists(path);
    xr_free(path);
    return there;
}

static xr_status refuse_without_weights(const char *dir)
{
    static const char *const pickles[] = { "pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "checkpoint_best.pt" };
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++)
        if (dir_has(dir, pickles[i]))
            return xr_fail(XR_EDATA, "%s: has %s but no " WHOLE "; pickles are never read, since they can run code; convert it once with: "
                           "python3 scripts/convert_hf.py %s %s-safetensors", dir, pickles[i], dir, dir);
    if (dir_has(dir, "tf_model.h5") || dir_has(dir, "flax_model.msgpack"))
        return xr_fail(XR_EDATA, "%s: has weights for TensorFlow or Flax only; expected " WHOLE "; get the PyTorch version of the model", dir);
    return xr_fail(XR_ENOINPUT, "%s: has no " WHOLE " and no " INDEX "; download the model's weights into it", dir);
}

static xr_status open_found(xr_hf_files *f, const char *dir)
{
    char *whole = xr_path_join(dir, WHOLE), *index = xr_path_join(dir, INDEX);
    xr_status status = whole && index ? XR_OK : xr_error_status();
    if (status == XR_OK && xr_path_exists(whole))
        status = add_file(f, whole);
    else if (status == XR_OK && xr_path_exists(index))
        status = open_index(f, dir, index);
    else if (status == XR_OK)
        status = refuse_without_weights(dir);
    xr_free(whole);
    xr_free(index);
    return status;
}

/* --- all tensors -------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const xr_hf_tensor *)a)->t->name, ((const xr_hf_tensor *)b)->t->name);
}

static xr_status collect(xr_hf_files *f)
{
    size_t total = 0;
    for (size_t k = 0; k < f->n_files; k++)
        total += xr_st_count(f->file[k]);
    f->tensor = xr_alloc(total, sizeof *f->tensor);
    if (!f->tensor)
        return xr_error_status();
    for (size_t k = 0; k < f->n_files; k++)
        for (size_t i = 0; i < xr_st_count(f->file[k]); i++)
            f->tensor[f->n++] = (xr_hf_tensor){ xr_st_at(f->file[k], i), f->file[k], 0 };
    qsort(f->tensor, f->n, sizeof *f->tensor, by_name);
    return XR_OK;
}

xr_status xr_hf_files_open(xr_hf_files *f, const char *dir)
{
    *f = (xr_hf_files){ 0 };
    xr_status status = open_found(f, dir);
    if (status == XR_OK)
        status = collect(f);
    if (status < 0)
        xr_hf_files_close(f);
    return status;
}

void xr_hf_files_close(xr_hf_files *f)
{
    for (size_t k = 0; k < f->n_files; k++)
        xr_st_close(f->file[k]);
    xr_free(f->file);
    xr_free(f->tensor);
    *f = (xr_hf_files){ 0 };
}

xr_hf_tensor *xr_hf_files_find(const xr_hf_files *f, const char *name)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, f->tensor[middle].t->name);
        if (order == 0)
            return &f->tensor[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
