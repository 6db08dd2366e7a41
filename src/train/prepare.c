/* xlmr prepare from beginning to end: look at what is there, lock it, do what is missing, join. */
#include "train/prepare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "data/language.h"
#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/lock.h"
#include "util/log.h"

enum { LOCK_TRIES = 100 };      /* 2 s */
#define PLAN_CAP ((size_t)1 << 30)

/* Names of a store and of what leads to one; blocks-*: indexes that training leaves there. */
static const char *const own[] = {
    "shard-*.h5", "shard-*.h5.tmp-*", XR_STORE_MANIFEST, XR_STORE_MANIFEST ".tmp-*", XR_PREPARE_PLAN_FILE, XR_PREPARE_PLAN_FILE ".tmp-*",
    "part-*-of-*", "blocks-*", NULL
};

/* ---- the folder ---- */

/* Calls visit(path) for every entry that is not hidden by "." and ".."; the first failure ends it. */
static xr_status each_entry(const char *dir, xr_status (*visit)(void *context, const char *path, const char *name), void *context)
{
    DIR *d = opendir(dir);
    xr_status status = XR_OK;
    if (!d)
        return xr_fail(XR_ECANTCREAT, "%s: the directory cannot be read: %s", dir, strerror(errno));
    for (struct dirent *e; status == XR_OK && (e = xr_dir_next(d, dir, &status));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = xr_path_join(dir, e->d_name);
        status = path ? visit(context, path, e->d_name) : xr_error_status();
        xr_free(path);
    }
    closedir(d);
    return status;
}

static int is_own(const char *name)
{
    for (size_t i = 0; own[i]; i++)
        if (fnmatch(own[i], name, 0) == 0)
            return 1;
    return 0;
}

static xr_status refuse_foreign(void *context, const char *path, const char *name)
{
    (void)name;
    return is_own(name) ? XR_OK : xr_fail(XR_ECANTCREAT, "%s: holds %s, which is no part of a token store; choose another --output-dir", (const char *)context,
                                          path);
}

static xr_status remove_entry(void *context, const char *path, const char *name)
{
    (void)context;
    (void)name;
    return xr_remove_tree(path);
}

/* Of a run that was killed before it had a plan, only the plan's beginning can be left. */
static xr_status found_entry(void *context, const char *path, const char *name)
{
    (void)path;
    if (strncmp(name, XR_PREPARE_PLAN_FILE ".tmp-", sizeof XR_PREPARE_PLAN_FILE ".tmp-" - 1) != 0)
        *(int *)context = 1;
    return XR_OK;
}

/* For good before there is a plan: a disk without power could else have kept records of the old one, which would be taken for records of the new. */
static xr_status clear(const char *dir)
{
    XR_TRY(each_entry(dir, refuse_foreign, (void *)(uintptr_t)dir));
    XR_TRY(each_entry(dir, remove_entry, NULL));
    return xr_path_sync(dir);
}

/* Held by this process and its children, so as long as any of them lives; those of a process that was just killed need a moment to go. */
static int is_taken(int fd, int kind, const char *dir)
{
    const struct timespec moment = { 0, 20000000 };
    for (int tries = 0; !xr_lock_take(fd, kind, dir); tries++) {
        if (tries == LOCK_TRIES)
            return 1;
        nanosleep(&moment, NULL);
    }
    return 0;
}

static int lock(const char *dir, int kind, xr_status *status)
{
    int fd = xr_file_open(dir, O_RDONLY | O_DIRECTORY);
    *status = XR_OK;
    if (fd < 0)
        *status = xr_fail(XR_ECANTCREAT, "%s: the directory cannot be opened: %s", dir, strerror(errno));
    else if (is_taken(fd, kind, dir))
        *status = xr_fail(XR_ETEMPFAIL, "%s: another xlmr is at work in it; wait for it to end", dir);
    return fd;
}

static json_t *read_json(const char *dir, const char *name)
{
    char *path = xr_path_join(dir, name);
    json_t *j = path && xr_path_exists(path) ? xr_json_file(path, PLAN_CAP) : NULL;
    xr_free(path);
    return j;
}

/* ---- what is there already ---- */

typedef enum found { NOTHING, SAME_PLAN, SAME_STORE } found;

static xr_status compare(const xr_prepare_plan *p, const char *file, found same, found *f)
{
    json_t *j = read_json(p->dir, file);
    if (!j)
        return xr_error_status();
    xr_status status = xr_prepare_plan_compare(p, j);
    json_decref(j);
    if (status == XR_OK)
        *f = same;
    return status;
}

static xr_status check_digests(const char *dir)
{
    json_t *m = xr_store_read_manifest(dir);
    xr_status status = m ? xr_store_check_shards(dir, m) : xr_error_status();
    json_decref(m);
    return status;
}

static xr_status check_sizes(const char *dir)
{
    xr_store *s = xr_store_open(dir, NULL);
    xr_store_close(s);
    return s ? XR_OK : xr_error_status();
}

/* Nothing is made where a store is, so it has to be whole: by the sizes of its files, or by their digests for one who asks for it to be replaced. Pretraining
 * asks whenever it begins, and should not read all of its data for that. */
static xr_status check_store(const xr_prepare_plan *p)
{
    char why[1024];
    int asked = p->job->overwrite && p->job->o->verb == XR_V_PREPARE;
    xr_status status = asked ? check_digests(p->dir) : check_sizes(p->dir);
    if (status != XR_EDATA && status != XR_ENOINPUT)
        return status;
    snprintf(why, sizeof why, "%s", xr_error_message());
    xr_error_clear();
    return xr_fail(XR_EDATA, "%s (xlmr prepare does that with --overwrite-output-dir)", why);
}

static xr_status look_for_own(const xr_prepare_plan *p, found *f)
{
    *f = NOTHING;
    XR_TRY(compare(p, XR_STORE_MANIFEST, SAME_STORE, f));
    return *f == NOTHING ? compare(p, XR_PREPARE_PLAN_FILE, SAME_PLAN, f) : check_store(p);
}

/* Jobs of an array begin together: what was not there a moment ago may be the plan of another, so that a folder with something in it is looked at
 * again. */
static xr_status look_at(const xr_prepare_plan *p, found *f)
{
    int any = 0;
    XR_TRY(look_for_own(p, f));
    if (*f == NOTHING)
        XR_TRY(each_entry(p->dir, found_entry, &any));
    if (any)
        XR_TRY(look_for_own(p, f));
    if (!any || *f != NOTHING)
        return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: is not empty; choose another --output-dir, or give --overwrite-output-dir to replace the store in it", p->dir);
}

static xr_status make_plan_file(const xr_prepare_plan *p)
{
    char *path = xr_path_join(p->dir, XR_PREPARE_PLAN_FILE);
    xr_status status = path ? xr_json_write(path, p->json, 1) : xr_error_status();
    xr_free(path);
    return status;
}

/* The folder is of this plan, or becomes so. */
static xr_status settle(const xr_prepare_plan *p, found *f)
{
    xr_status status = look_at(p, f);
    if (status < 0) {
        if (!p->job->overwrite || status == XR_EIO || status == XR_ESYSTEM)    /* which say nothing of what is there */
            return status;
        xr_debug("%s", xr_error_message());
        xr_error_clear();
        XR_TRY(clear(p->dir));
        *f = NOTHING;
    }
    return *f == SAME_STORE ? XR_OK : make_plan_file(p);
}

/* ---- what a killed run left ---- */

/* Files of inputs of this part without a record: nobody else writes them. */
static xr_status remove_leftover(void *context, const char *path, const char *name)
{
    const xr_prepare_plan *p = context;
    char *end;
    if (strncmp(name, "shard-", 6) != 0)
        return XR_OK;
    unsigned long long i = strtoull(name + 6, &end, 10);
    if (end == name + 6 || i >= p->n_input || !xr_prepare_is_mine(p, i) || (p->input[i].done && !strstr(name, ".tmp-")))
        return XR_OK;
    return xr_remove_tree(path);
}

static xr_status find_done(xr_prepare_plan *p)
{
    size_t done = 0, mine = 0;
    for (size_t i = 0; i < p->n_input; i++) {
        if (!xr_prepare_is_mine(p, i))
            continue;
        json_t *r = xr_prepare_record_find(p, i);
        XR_TRY(r ? XR_OK : xr_error_status());
        done += r != NULL;
        p->input[i].done = r != NULL;
        json_decref(r);
        mine++;
    }
    if (done)
        xr_info("%s: %zu of %zu inputs were done before", p->dir, done, mine);
    return each_entry(p->dir, remove_leftover, p);
}

/* ---- a part ---- */

/* Without a word about it, a language would be missing later, and nobody would know why. */
static void warn_no_language(const json_t *list)
{
    const json_t *record, *first = NULL;
    size_t i;
    json_int_t n = 0;
    json_array_foreach(list, i, record) {
        json_int_t here = json_integer_value(json_object_get(json_object_get(record, "noted"), xr_text_reason_name(XR_TEXT_NO_LANGUAGE)));
        first = here && !first ? record : first;
        n += here;
    }
    if (n)
        xr_warn("%lld documents, the first in %s, do not say their language, nor does the name of the file: kept as \"%s\"; --lang or --lang-map names it",
                (long long)n, json_string_value(json_object_get(first, "name")), XR_LANGUAGE_UNKNOWN);
}

/* A file that ends exactly between two of its members looks whole, and whether it is one nobody but its maker can tell. */
static void note_members(const json_t *list)
{
    const json_t *record, *first = NULL;
    size_t i, n = 0;
    json_array_foreach(list, i, record) {
        if (json_integer_value(json_object_get(record, "members")) < 2)
            continue;
        first = first ? first : record;
        n++;
    }
    if (n)
        xr_info("%zu of %zu inputs, the first %s, are compressed in several members: one that was cut exactly between two of them would look whole; "
                "compare the sizes with the list of where they come from", n, json_array_size(list), json_string_value(json_object_get(first, "name")));
}

/* The option that leaves out records for this reason; "" where no option does, but the text itself. */
static const char *culprit(const xr_options *o, const char *reason)
{
    if (strcmp(reason, xr_text_reason_name(XR_TEXT_FILTERED)) == 0)
        return (o->buckets != NULL) + (o->min_language_score > 0) + (o->max_perplexity > 0) > 1
               ? " by --buckets, --min-language-score or --max-perplexity"
               : o->buckets ? " by --buckets" : o->min_language_score > 0 ? " by --min-language-score" : " by --max-perplexity";
    return strcmp(reason, xr_text_reason_name(XR_TEXT_SHORT)) == 0 ? " by --min-length"
           : strcmp(reason, xr_text_reason_name(XR_TEXT_DUPLICATE)) == 0 ? " by --dedup" : "";
}

static json_int_t count_skipped(const json_t *list, const char *reason)
{
    const json_t *record;
    size_t i;
    json_int_t n = 0;
    json_array_foreach(list, i, record)
        n += json_integer_value(json_object_get(json_object_get(record, "skipped"), reason));
    return n;
}

/* A store of nothing is one that training refuses much later. */
static void warn_nothing_kept(const xr_options *o, const json_t *list)
{
    const json_t *record;
    const char *most = "";
    size_t i;
    json_int_t n = 0;
    json_array_foreach(list, i, record)
        if (json_array_size(json_object_get(record, "shards")) > 0)
            return;
    for (int r = 1; r < XR_TEXT_N_REASONS; r++) {
        json_int_t here = count_skipped(list, xr_text_reason_name((xr_text_reason)r));
        most = here > n ? xr_text_reason_name((xr_text_reason)r) : most;
        n = here > n ? here : n;
    }
    if (n)
        xr_warn("no document was kept: the store is empty; most were left out as %s%s (%lld)", most, culprit(o, most), (long long)n);
    else
        xr_warn("no document was kept: the store is empty, for there is no text in the input");
}

static xr_status gather_records(const xr_prepare_plan *p, json_t *list)
{
    for (size_t i = 0; i < p->n_input; i++) {
        if (!xr_prepare_is_mine(p, i))
            continue;
        json_t *r = xr_prepare_record_find(p, i);
        if (!r)
            return xr_fail(XR_EIO, "%s: the record of input %zu vanished; start again", p->part_dir, i + 1);
        json_object_del(r, "mtime_ns");
        json_object_del(r, "plan");
        if (json_array_append_new(list, r) < 0)
            return xr_fail(XR_ESYSTEM, "out of memory for a manifest");
    }
    return XR_OK;
}

static xr_status write_part(const xr_prepare_plan *p)
{
    json_t *list = json_array(), *part = list ? json_pack("{si sO sO}", "part", p->part, "plan", p->json, "inputs", list) : NULL;
    char *path = xr_path_join(p->part_dir, XR_STORE_MANIFEST);
    xr_status status = !part ? xr_fail(XR_ESYSTEM, "out of memory for a manifest") : path ? gather_records(p, list) : xr_error_status();
    if (status == XR_OK)
        status = xr_json_write(path, part, 1);
    if (status == XR_OK) {
        warn_no_language(list);
        warn_nothing_kept(p->job->o, list);
        note_members(list);
    }
    json_decref(list);
    json_decref(part);
    xr_free(path);
    return status;
}

static xr_status do_part(xr_prepare_plan *p, const xr_prepare_hooks *hooks)
{
    xr_status status;
    XR_TRY(xr_mkdirs(p->part_dir));
    int fd = lock(p->part_dir, LOCK_EX, &status);
    if (status == XR_OK)
        status = find_done(p);
    if (status == XR_OK)
        status = xr_prepare_pool(p, hooks);
    if (status == XR_OK)
        status = write_part(p);
    if (fd >= 0)
        close(fd);
    return status;
}

/* ---- the whole ---- */

/* When nothing came of it, the folder is as it was. */
static void leave_no_trace(const xr_prepare_plan *p)
{
    int done = xr_dir_has(p->dir, XR_STORE_MANIFEST) != 0;      /* then the parts with the records are gone; or it cannot be known */
    for (size_t i = 0; i < p->n_input; i++) {
        char *path = xr_prepare_record_path(p, i);
        done = done || !path || xr_path_exists(path);
        xr_free(path);
    }
    if (done || p->n_parts > 1)
        return;
    int pending = xr_error_status() < 0;
    (void)each_entry(p->dir, remove_leftover, (void *)(uintptr_t)p);     /* a shard may be whole, and its digest not known */
    (void)xr_remove_tree(p->part_dir);
    char *plan = xr_path_join(p->dir, XR_PREPARE_PLAN_FILE);
    if (plan)
        (void)remove(plan);
    xr_free(plan);
    if (!pending)
        xr_error_clear();
}

static xr_status take_manifest(const char *dir, json_t **manifest)
{
    json_t *m = xr_store_read_manifest(dir);
    if (m && manifest)
        *manifest = json_incref(m);
    json_decref(m);
    return m ? XR_OK : xr_error_status();
}

/* *mine: the folder is of this plan; before that, nothing in it is ours to remove. */
static xr_status run_locked(xr_prepare_plan *p, const xr_prepare_hooks *hooks, json_t **manifest, int *mine)
{
    found f;
    XR_TRY(settle(p, &f));
    *mine = f != SAME_STORE;
    if (f == SAME_STORE) {
        xr_info("%s: already there, of the same text and options; nothing to do", p->dir);
        return p->n_parts > 1 ? take_manifest(p->dir, manifest) : xr_prepare_join(p->dir, manifest);
    }
    XR_TRY(do_part(p, hooks));
    if (p->job->n_parts)
        return manifest && !(*manifest = read_json(p->part_dir, XR_STORE_MANIFEST)) ? xr_error_status() : XR_OK;
    return xr_prepare_join(p->dir, manifest);
}

static xr_status run(xr_prepare_plan *p, const xr_prepare_hooks *hooks, json_t **manifest)
{
    int made_dir = !xr_path_exists(p->dir), mine = 0;
    xr_status status;
    XR_TRY(xr_mkdirs(p->dir));
    int fd = lock(p->dir, p->n_parts > 1 ? LOCK_SH : LOCK_EX, &status);
    if (status == XR_OK) {
        status = run_locked(p, hooks, manifest, &mine);
        if (status < 0 && mine)
            leave_no_trace(p);
        if (status < 0 && made_dir)
            (void)rmdir(p->dir);        /* stays when something is in it */
    }
    if (fd >= 0)
        close(fd);
    return status;
}

xr_status xr_prepare_run(const xr_prepare_job *job, const xr_prepare_hooks *hooks, json_t **manifest)
{
    xr_prepare_plan p = { 0 };
    xr_status status = xr_prepare_plan_make(&p, job);
    if (status == XR_OK && p.n_parts > 1 && job->overwrite)
        status = xr_fail(XR_EUSAGE, "--overwrite-output-dir with --shard: the jobs would remove each other's work; remove %s before they start", p.dir);
    if (status == XR_OK)
        status = run(&p, hooks, manifest);
    xr_prepare_plan_free(&p);
    return status;
}

json_t *xr_prepare_look(const xr_prepare_job *job)
{
    xr_prepare_plan p = { 0 };
    json_t *plan = NULL;
    uint64_t bytes = 0;
    found f = NOTHING;
    size_t mine = 0, done = 0;
    xr_status status = xr_prepare_plan_make(&p, job);
    if (status == XR_OK && xr_path_exists(p.dir) && look_at(&p, &f) < 0 && job->overwrite)
        xr_error_clear();
    for (size_t i = 0; i < p.n_input && xr_error_status() == XR_OK; i++) {
        if (!xr_prepare_is_mine(&p, i))
            continue;
        json_t *r = f == SAME_PLAN ? xr_prepare_record_find(&p, i) : NULL;
        done += r != NULL || f == SAME_STORE;
        json_decref(r);
        bytes += p.input[i].bytes;
        mine++;
    }
    if (xr_error_status() == XR_OK && !(plan = json_pack("{sI sI sI}", "inputs", (json_int_t)mine, "bytes", (json_int_t)bytes, "done", (json_int_t)done)))
        xr_fail(XR_ESYSTEM, "out of memory while the work was planned");
    xr_prepare_plan_free(&p);
    return plan;
}
