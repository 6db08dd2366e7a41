/* Checkpoints by the protocol of reliability.md A.2: written beside, digested, synced, renamed. */
#include "train/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/h5.h"
#include "util/log.h"
#include "util/manifest.h"

#define MANIFEST "MANIFEST.json"
#define STATE "state.h5"
#define FORMAT "xlmr-checkpoint"
enum { FORMAT_VERSION = 2, ROW_OVERHEAD = 4096 };
#define PART_BYTES ((size_t)1 << 20)

/* --- state.h5 --------------------------------------------------------------------------------------------------- */

static xr_h5_type h5_type(xr_state_type type)
{
    static const xr_h5_type types[] = { [XR_STATE_F32] = XR_H5_F32, [XR_STATE_F64] = XR_H5_F64, [XR_STATE_U64] = XR_H5_U64, [XR_STATE_BF16] = XR_H5_U16 };
    return types[type];
}

/* Where a row lies in the file: its name with a group for every dot. */
static void dataset_name(const xr_state_row *r, char out[256])
{
    snprintf(out, 256, "%s", r->name);
    for (char *s = out; *s; s++)
        if (*s == '.')
            *s = '/';
}

static size_t bytes_needed(const xr_state *s)
{
    size_t bytes = 0;
    for (size_t i = 0; i < s->n; i++)
        bytes += xr_h5_stored(h5_type(s->row[i].type), s->row[i].data, s->row[i].n) + ROW_OVERHEAD;
    return bytes;
}

static xr_status check_room(const char *dir, size_t bytes)
{
    struct statvfs v;
    if (statvfs(dir, &v) < 0)
        return XR_OK;       /* then the writing will tell */
    unsigned long long room = (unsigned long long)v.f_bavail * v.f_frsize;
    if (room >= bytes)
        return XR_OK;
    return xr_fail(XR_EIO, "%s: a checkpoint takes %zu bytes, the disk has %llu: %llu bytes are missing; make room, or keep fewer with --save-total-limit", dir,
                   bytes, room, (unsigned long long)bytes - room);
}

static xr_status write_rows(xr_h5_out *h, const xr_state *s)
{
    char name[256];
    XR_TRY(xr_h5_attribute(h, "/", "format", "xlmr-state"));
    XR_TRY(xr_h5_attribute(h, "/", "format_version", "1"));
    for (size_t i = 0; i < s->n; i++) {
        const xr_state_row *r = &s->row[i];
        dataset_name(r, name);
        XR_TRY(xr_h5_write(h, name, h5_type(r->type), r->data, r->n));
        XR_TRY(xr_h5_attribute(h, name, "name", r->name));
        if (r->type == XR_STATE_BF16)       /* HDF5 has no such type */
            XR_TRY(xr_h5_attribute(h, name, "element", "bf16"));
    }
    return XR_OK;
}

static xr_status write_state(const char *path, const xr_state *s, size_t bytes)
{
    xr_h5_out *h = xr_h5_create(path);
    if (!h)
        return xr_error_status();
    xr_status status = xr_h5_reserve(h, bytes);
    if (status == XR_OK)
        status = write_rows(h, s);
    if (status == XR_OK)
        return xr_h5_commit(h);
    xr_h5_abort(h);
    return status;
}

/* Through a small buffer: rows of moments that are still zero stay untouched pages. */
static xr_status read_parts(xr_h5_in *h, int dataset, const xr_state_row *r, char *buffer)
{
    size_t size = xr_state_size(r->type), most = PART_BYTES / size;
    for (size_t at = 0; at < r->n; at += most) {
        size_t part = r->n - at < most ? r->n - at : most;
        char *to = (char *)r->data + at * size;
        XR_TRY(xr_h5_rows(h, dataset, at, part, buffer));
        if (memcmp(to, buffer, part * size) != 0)
            memcpy(to, buffer, part * size);
    }
    return XR_OK;
}

static xr_status read_row(xr_h5_in *h, const char *path, const xr_state_row *r, char *buffer)
{
    char name[256];
    uint64_t rows;
    size_t cols;
    dataset_name(r, name);
    int dataset = xr_h5_find(h, name, h5_type(r->type), &rows, &cols);
    XR_TRY(dataset);
    xr_status status;
    if (rows == r->n && cols == 1)
        status = read_parts(h, dataset, r, buffer);
    else
        status = xr_fail(XR_EDATA, "%s: row %s has %llu elements, this run has %zu", path, r->name, (unsigned long long)rows * cols, r->n);
    xr_h5_forget(h);
    return status;
}

/* Rows that came with a format version. Checkpoints of an older one are without them, which is as if they were zero, or have them already: the number was
 * raised a day later than the rows came. */
static const struct { const char *name; int since; } late_row[] = { { "run/returned_to", 2 }, { "run/returns", 2 } };

static int is_late(const xr_state_row *r, int version)
{
    for (size_t i = 0; i < sizeof late_row / sizeof *late_row; i++)
        if (strcmp(late_row[i].name, r->name) == 0)
            return late_row[i].since > version;
    return 0;
}

/* `without`: the rows are missing that came after format `version`. */
static xr_status read_state(const char *path, xr_state *s, int version, int without)
{
    char *buffer = xr_alloc(PART_BYTES, 1);
    xr_h5_in *h = buffer ? xr_h5_open(path) : NULL;
    xr_status status = h ? XR_OK : xr_error_status();
    for (size_t i = 0; i < s->n && status == XR_OK; i++) {
        xr_state_row *r = &s->row[i];
        if (without && is_late(r, version))
            memset(r->data, 0, r->n * xr_state_size(r->type));
        else
            status = read_row(h, path, r, buffer);
    }
    xr_h5_close(h);
    xr_free(buffer);
    return status;
}

/* *without: see read_state. */
static xr_status count_rows(const char *path, const json_t *manifest, const xr_state *s, int version, int *without)
{
    json_int_t rows = json_integer_value(json_object_get(manifest, "rows")), late = 0;
    for (size_t i = 0; i < s->n; i++)
        late += is_late(&s->row[i], version);
    *without = late > 0 && rows == (json_int_t)s->n - late;
    if (*without || rows == (json_int_t)s->n)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: has %lld rows, this run has %zu: it belongs to another model, optimizer or version of xlmr", path, (long long)rows, s->n);
}

/* --- manifest --------------------------------------------------------------------------------------------------- */

static xr_status write_manifest(const char *dir, uint64_t step, const xr_state *s, const json_t *facts)
{
    json_t *files = json_object(), *j = NULL;
    char *path = xr_path_join(dir, MANIFEST);
    xr_status status = path ? xr_manifest_add(files, dir, STATE) : xr_error_status();
    if (status == XR_OK) {
        j = json_pack("{ss si sI sO sI sO*}", "format", FORMAT, "format_version", FORMAT_VERSION, "step", (json_int_t)step, "files", files, "rows",
                      (json_int_t)s->n, "facts", facts);
        status = j ? xr_manifest_write(path, j) : xr_fail(XR_ESYSTEM, "%s: no memory for the manifest", dir);
    }
    json_decref(j);
    json_decref(files);
    xr_free(path);
    return status;
}

/* The step must be that of the directory's name, where it has such a name. */
static xr_status check_step(const char *path, const char *dir, const json_t *j)
{
    const char *slash = strrchr(dir, '/'), *name = slash ? slash + 1 : dir;
    unsigned long long step;
    if (sscanf(name, "step-%llu", &step) == 1 && (json_int_t)step != json_integer_value(json_object_get(j, "step")))
        return xr_fail(XR_EDATA, "%s: is the manifest of step %lld", path, (long long)json_integer_value(json_object_get(j, "step")));
    return XR_OK;
}

static xr_status known_entry(const char *path, const char *name, void *context)
{
    if (strcmp(name, MANIFEST) == 0 || json_object_get(context, name))
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: is no part of this checkpoint; move it away", path);
}

/* All that is listed is there and as it was written, and nothing else. */
static xr_status check_files(const char *dir, const char *path, json_t *files)
{
    json_t *entry;
    const char *name;
    if (!json_object_get(files, STATE))
        return xr_fail(XR_EDATA, "%s: names no " STATE, path);
    XR_TRY(xr_dir_each(dir, known_entry, files));
    json_object_foreach(files, name, entry)
        XR_TRY(xr_manifest_check(dir, name, entry, ""));
    return XR_OK;
}

json_t *xr_checkpoint_verify(const char *dir)
{
    json_t *j = NULL;
    char *path = xr_path_join(dir, MANIFEST);
    if (path && xr_path_is_dir(dir) && !xr_path_exists(path))
        xr_fail(XR_EDATA, "%s: is not a checkpoint: it has no " MANIFEST, dir);
    else
        j = path ? xr_manifest_read(path, FORMAT, FORMAT_VERSION) : NULL;
    xr_status status = j ? check_step(path, dir, j) : xr_error_status();
    if (status == XR_OK)
        status = check_files(dir, path, json_object_get(j, "files"));
    xr_free(path);
    if (status == XR_OK)
        return j;
    json_decref(j);
    return NULL;
}

xr_status xr_checkpoint_load(const char *dir, xr_state *s, json_t **facts)
{
    json_t *j = xr_checkpoint_verify(dir);
    if (!j)
        return xr_error_status();
    int version = (int)json_integer_value(json_object_get(j, "format_version")), without = 0;
    char *path = xr_path_join(dir, STATE);
    xr_status status = path ? count_rows(path, j, s, version, &without) : xr_error_status();
    if (status == XR_OK)
        status = read_state(path, s, version, without);
    xr_free(path);
    if (status == XR_OK && facts)
        *facts = json_incref(j);
    json_decref(j);
    return status;
}

/* --- the folder of checkpoints ---------------------------------------------------------------------------------- */

typedef struct listing { uint64_t *step; size_t n, cap; } listing;

/* "step-" and at least eight digits, nothing else: temporaries and what was put aside are not looked at. */
static xr_status list_entry(const char *path, const char *name, void *context)
{
    listing *l = context;
    char *end;
    (void)path;
    if (strncmp(name, "step-", 5) != 0 || strspn(name + 5, "0123456789") < 8 || strlen(name) > 24)
        return XR_OK;
    unsigned long long step = strtoull(name + 5, &end, 10);
    if (*end)
        return XR_OK;
    XR_TRY(xr_grow(&l->step, &l->cap, l->n + 1, sizeof *l->step));
    l->step[l->n++] = step;
    return XR_OK;
}

static int newest_first(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static xr_status list(const char *folder, listing *l)
{
    *l = (listing){ 0 };
    if (!xr_path_is_dir(folder))
        return XR_OK;
    xr_status status = xr_dir_each(folder, list_entry, l);
    if (l->n > 0)
        qsort(l->step, l->n, sizeof *l->step, newest_first);
    return status;
}

xr_status xr_checkpoint_steps(const char *run_dir, uint64_t **step, size_t *n)
{
    listing l = { 0 };
    char *folder = xr_path_join(run_dir, "checkpoints");
    xr_status status = folder ? list(folder, &l) : xr_error_status();
    xr_free(folder);
    if (status < 0)
        xr_free(l.step);
    *step = status < 0 ? NULL : l.step;
    *n = status < 0 ? 0 : l.n;
    return status;
}

static char *step_path(const char *folder, uint64_t step)
{
    return xr_asprintf("%s/step-%08llu", folder, (unsigned long long)step);
}

char *xr_checkpoint_path(const char *run_dir, uint64_t step)
{
    char *folder = xr_path_join(run_dir, "checkpoints"), *path = folder ? step_path(folder, step) : NULL;
    xr_free(folder);
    return path;
}

static xr_status find(const char *folder, const listing *l, char **path)
{
    for (size_t i = 0; i < l->n; i++) {
        char *dir = step_path(folder, l->step[i]);
        json_t *j = dir ? xr_checkpoint_verify(dir) : NULL;
        json_decref(j);
        if (j || !dir) {
            *path = dir;
            return dir ? XR_OK : xr_error_status();
        }
        if (xr_error_status() == XR_ESYSTEM) {
            xr_free(dir);
            return XR_ESYSTEM;
        }
        xr_warn("%s; %s cannot be used", xr_error_message(), dir);
        xr_error_clear();
        xr_free(dir);
    }
    if (l->n == 0)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: none of the %zu checkpoints can be used; begin again with --overwrite-output-dir, or in another --output-dir", folder, l->n);
}

static void forget_later(listing *l, uint64_t last)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        if (l->step[i] <= last)
            l->step[n++] = l->step[i];
    l->n = n;
}

xr_status xr_checkpoint_find(const char *run_dir, uint64_t last, char **path)
{
    listing l = { 0 };
    char *folder = xr_path_join(run_dir, "checkpoints");
    *path = NULL;
    xr_status status = folder ? list(folder, &l) : xr_error_status();
    forget_later(&l, last);
    if (status == XR_OK)
        status = find(folder, &l, path);
    xr_free(l.step);
    xr_free(folder);
    return status;
}

/* Under another name first, so that one that is killed halfway leaves no half checkpoint. */
static xr_status remove_step(const char *folder, uint64_t step)
{
    char *path = step_path(folder, step), *tmp = path ? xr_asprintf("%s.tmp-%ld", path, (long)getpid()) : NULL;
    xr_status status = tmp ? XR_OK : xr_error_status();
    if (status == XR_OK && rename(path, tmp) < 0)
        status = xr_fail(XR_EIO, "%s: cannot be renamed: %s", path, strerror(errno));
    if (status == XR_OK)
        status = xr_remove_tree(tmp);
    xr_free(path);
    xr_free(tmp);
    return status;
}

static int is_kept(const xr_checkpoint_keep *keep, uint64_t step)
{
    return keep->newest == 0 || step == keep->best || step == keep->back || (keep->every > 0 && step % keep->every == 0);
}

/* A newer one is of a run that went on from an older one, and may be good, unless this run went back from it. */
static xr_status rotate(const char *folder, uint64_t step, const xr_checkpoint_keep *keep)
{
    listing l;
    size_t newest = 1;
    xr_status status = list(folder, &l);
    for (size_t i = 0; i < l.n && status == XR_OK; i++) {
        uint64_t other = l.step[i];
        if (other > step ? keep->went_back : other < step && newest++ >= keep->newest && !is_kept(keep, other))
            status = remove_step(folder, other);
    }
    xr_free(l.step);
    return status;
}

/* A step that is there already was saved by this run before: by a stop before that step's evaluation, or before the run went on from an older one. If it
 * is good, it stays until the new one takes its place; if not, it is put aside. */
static xr_status make_way(const char *path, int *there)
{
    *there = 0;
    if (!xr_path_exists(path))
        return XR_OK;
    json_t *j = xr_checkpoint_verify(path);
    json_decref(j);
    *there = j != NULL;
    if (j || xr_error_status() == XR_ESYSTEM)   /* no memory says nothing of the checkpoint */
        return xr_error_status();
    xr_warn("%s; %s is renamed", xr_error_message(), path);
    xr_error_clear();
    for (int n = 1; n < 1000; n++) {
        char *aside = xr_asprintf("%s.bad-%d", path, n);
        int taken = aside && xr_path_exists(aside), done = aside && !taken && rename(path, aside) == 0;
        xr_free(aside);
        if (!aside || done || !taken)
            return done ? XR_OK : aside ? xr_fail(XR_EIO, "%s: cannot be renamed: %s", path, strerror(errno)) : xr_error_status();
    }
    return xr_fail(XR_EIO, "%s: a thousand of that name have been put aside; remove them", path);
}

static xr_status fill(const char *tmp, uint64_t step, const xr_state *s, const json_t *facts)
{
    char *state = xr_path_join(tmp, STATE);
    size_t bytes = bytes_needed(s);
    xr_status status = state ? check_room(tmp, bytes) : xr_error_status();
    if (status == XR_OK)
        status = write_state(state, s, bytes);
    if (status == XR_OK)
        status = write_manifest(tmp, step, s, facts);
    xr_free(state);
    return status;
}

/* On failure the temporary goes; the first cause stays. `there`: a good one is replaced, and is the temporary then. */
static xr_status write_step(const char *path, const char *tmp, uint64_t step, const xr_state *s, const json_t *facts, int there)
{
    int renamed = 0;
    xr_status status = xr_remove_tree(tmp);
    if (status == XR_OK)
        status = xr_mkdirs(tmp);
    if (status == XR_OK)
        status = fill(tmp, step, s, facts);
    if (status == XR_OK)
        status = there ? xr_dir_exchange(tmp, path, &renamed) : xr_dir_commit(tmp, path, &renamed);
    if (status < 0 && renamed) {
        xr_warn("%s", xr_error_message());
        xr_error_clear();
        status = XR_OK;
    }
    if (status < 0) {
        (void)xr_remove_tree(tmp);
    } else if (there && xr_remove_tree(tmp) < 0) {
        xr_warn("%s; the checkpoint that was replaced stays there", xr_error_message());
        xr_error_clear();
    }
    return status;
}

xr_status xr_checkpoint_save(const char *run_dir, uint64_t step, const xr_state *s, const json_t *facts, const xr_checkpoint_keep *keep)
{
    int there = 0;
    char *folder = xr_path_join(run_dir, "checkpoints"), *path = folder ? step_path(folder, step) : NULL;
    char *tmp = path ? xr_asprintf("%s.tmp-%ld", path, (long)getpid()) : NULL;
    xr_status status = tmp ? xr_mkdirs(folder) : xr_error_status();
    if (status == XR_OK)
        status = make_way(path, &there);
    if (status == XR_OK)
        status = write_step(path, tmp, step, s, facts, there);
    if (status == XR_OK && rotate(folder, step, keep) < 0) {
        xr_warn("%s; an old checkpoint stays there", xr_error_message());
        xr_error_clear();
    }
    xr_free(folder);
    xr_free(path);
    xr_free(tmp);
    return status;
}
