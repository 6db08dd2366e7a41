/* Parts to a store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/lock.h"

#define PART_CAP ((size_t)1 << 30)

typedef struct parts {
    const char *dir;
    json_t **part; int n;       /* manifests of the parts */
    json_t *plan;               /* as last written: --allow-truncated and the like may have come later */
} parts;

static xr_status out_of_memory(void)
{
    return xr_fail(XR_ESYSTEM, "out of memory for a manifest");
}

/* N of the folders part-I-of-N; 0 when there is none. */
static int count_parts(const char *dir, xr_status *status)
{
    int n = 0, i, of, end;
    DIR *d = opendir(dir);
    *status = d ? XR_OK : xr_fail(XR_ENOINPUT, "%s: the directory cannot be read: %s", dir, strerror(errno));
    for (struct dirent *e; d && (e = xr_dir_next(d, dir, status));) {
        if (sscanf(e->d_name, "part-%d-of-%d%n", &i, &of, &end) != 2 || e->d_name[end] || of < 1 || of > 1000000)
            continue;
        if (n && n != of)
            *status = xr_fail(XR_EDATA, "%s: holds parts of %d and of %d; start again in another folder, with one N in --shard I/N", dir, n, of);
        n = of;
    }
    if (d)
        closedir(d);
    return n;
}

static json_t *read_part(const char *dir, int i, int n)
{
    char *path = xr_asprintf("%s/part-%d-of-%d/" XR_STORE_MANIFEST, dir, i, n);
    json_t *j = path && xr_path_exists(path) ? xr_json_file(path, PART_CAP) : NULL;
    xr_free(path);
    return j;
}

static xr_status missing(const char *dir, const int *absent, int n_absent, int n)
{
    xr_str list = { 0 };
    for (int k = 0; k < n_absent && k < 10; k++)
        (void)xr_str_printf(&list, "%s%d/%d", k ? ", " : "", absent[k], n);
    xr_status status = xr_fail(XR_EDATA, "%s: not all parts are done: missing %s%s; run xlmr prepare --shard with these, then --merge again", dir,
                               list.s ? list.s : "", n_absent > 10 ? ", …" : "");
    xr_str_free(&list);
    return status;
}

static xr_status read_parts(parts *p)
{
    xr_status status;
    p->n = count_parts(p->dir, &status);
    XR_TRY(status);
    if (p->n == 0)
        return xr_fail(XR_ENOINPUT, "%s: holds no parts; xlmr prepare --shard I/N --output-dir %s makes them", p->dir, p->dir);
    p->part = xr_alloc((size_t)p->n, sizeof *p->part);
    int *absent = xr_alloc((size_t)p->n, sizeof *absent), n_absent = 0;
    for (int i = 0; p->part && absent && i < p->n; i++)
        if (!(p->part[i] = read_part(p->dir, i + 1, p->n)))
            absent[n_absent++] = i + 1;
    if (!p->part || !absent || xr_error_status() < 0)
        status = xr_error_status();
    else if (n_absent)
        status = missing(p->dir, absent, n_absent, p->n);
    xr_free(absent);
    return status;
}

static json_t *read_plan(const char *dir)
{
    char *path = xr_path_join(dir, XR_PREPARE_PLAN_FILE);
    json_t *plan = path ? xr_json_file(path, PART_CAP) : NULL;
    xr_free(path);
    return plan;
}

static int same_recipe(const json_t *a, const json_t *b)
{
    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(a, "recipe"), key, value)
        if (!json_equal(value, json_object_get(json_object_get(b, "recipe"), key)) && strcmp(key, "allow_truncated") != 0 &&
            strcmp(key, "on_bad_record") != 0 && strcmp(key, "max_bad_fraction") != 0)
            return 0;
    return json_equal(json_object_get(a, "tokenizer"), json_object_get(b, "tokenizer")) &&
           json_equal(json_object_get(a, "inputs"), json_object_get(b, "inputs"));
}

/* All of one plan, each with all of its inputs. */
static xr_status check_parts(parts *p)
{
    p->plan = read_plan(p->dir);
    if (!p->plan)
        return xr_error_status();
    size_t total = json_array_size(json_object_get(p->plan, "inputs")), n = (size_t)p->n;
    for (size_t i = 0; i < n; i++) {
        size_t want = total / n + (i < total % n);
        if (!same_recipe(p->plan, json_object_get(p->part[i], "plan")))
            return xr_fail(XR_EDATA, "%s: part %zu/%zu is of other inputs or options than plan.json; remove its folder and run it again", p->dir, i + 1, n);
        if (json_array_size(json_object_get(p->part[i], "inputs")) != want)
            return xr_fail(XR_EDATA, "%s: part %zu/%zu has %zu inputs, not %zu; remove its folder and run it again", p->dir, i + 1, n,
                           json_array_size(json_object_get(p->part[i], "inputs")), want);
    }
    return XR_OK;
}

static xr_status check_shard(const char *dir, const json_t *facts)
{
    struct stat st;
    const char *file = json_string_value(json_object_get(facts, "file"));
    char *path = file ? xr_path_join(dir, file) : NULL;
    if (!path)
        return xr_fail(XR_EDATA, "%s: a shard without a name in a part", dir);
    xr_status status = XR_OK;
    if (stat(path, &st) < 0)
        status = xr_fail(XR_EDATA, "%s: cannot be reached: %s; remove the folder of its part and run that again", path, strerror(errno));
    else if (st.st_size != json_integer_value(json_object_get(facts, "bytes")))
        status = xr_fail(XR_EDATA, "%s: of another size than when it was written; remove the folder of its part and run that again", path);
    xr_free(path);
    return status;
}

static int add_reasons(json_t *to, json_t *from)
{
    const char *key;
    json_t *n;
    json_object_foreach(from, key, n)
        if (json_object_set_new(to, key, json_integer(json_integer_value(n) + json_integer_value(json_object_get(to, key)))) < 0)
            return -1;
    return 0;
}

/* What became of one input: its own counts, and the names of its shards, whose entries go to `shards`. */
static json_t *input_entry(const parts *p, const json_t *record, json_t *shards)
{
    static const char *const sums[] = { "documents", "sentences", "tokens", "text_bytes" };
    json_t *entry = json_object(), *names = json_array(), *facts;
    size_t i;
    int bad = !entry || !names;
    const char *const copied[] = { "name", "bytes", "xxh3_128", "format", "records" };
    for (size_t k = 0; k < sizeof copied / sizeof *copied && !bad; k++)
        bad = json_object_set(entry, copied[k], json_object_get(record, copied[k])) < 0;
    for (size_t k = 0; k < sizeof sums / sizeof *sums && !bad; k++)
        bad = json_object_set_new(entry, sums[k], json_integer(0)) < 0;
    json_array_foreach(json_object_get(record, "shards"), i, facts) {
        bad = bad || check_shard(p->dir, facts) < 0 || json_array_append(shards, facts) < 0 || json_array_append(names, json_object_get(facts, "file")) < 0;
        for (size_t k = 0; k < sizeof sums / sizeof *sums && !bad; k++)
            bad = json_object_set_new(entry, sums[k], json_integer(json_integer_value(json_object_get(entry, sums[k])) +
                                                                   json_integer_value(json_object_get(facts, sums[k])))) < 0;
    }
    bad = bad || json_object_set(entry, "skipped", json_object_get(record, "skipped")) < 0 ||
          json_object_set(entry, "noted", json_object_get(record, "noted")) < 0 || json_object_set(entry, "shards", names) < 0;
    json_decref(names);
    if (!bad)
        return entry;
    json_decref(entry);
    out_of_memory();
    return NULL;
}

/* Inputs in the order of the plan: part after part, the first of each, then the second. */
static xr_status gather(const parts *p, json_t *inputs, json_t *shards, json_t *skipped, json_t *noted)
{
    size_t total = json_array_size(json_object_get(p->plan, "inputs")), n = (size_t)p->n;
    for (size_t i = 0; i < total; i++) {
        const json_t *record = json_array_get(json_object_get(p->part[i % n], "inputs"), i / n);
        json_t *entry = input_entry(p, record, shards);
        if (!entry)
            return xr_error_status();
        if (json_array_append_new(inputs, entry) < 0 || add_reasons(skipped, json_object_get(record, "skipped")) < 0 ||
            add_reasons(noted, json_object_get(record, "noted")) < 0)
            return out_of_memory();
    }
    return XR_OK;
}

static xr_status write_store(const parts *p)
{
    const json_t *tokenizer = json_object_get(p->plan, "tokenizer");
    json_t *inputs = json_array(), *shards = json_array(), *skipped = json_object(), *noted = json_object();
    json_t *more = json_pack("{sO sO sO sO}", "recipe", json_object_get(p->plan, "recipe"), "skipped", skipped, "noted", noted, "inputs", inputs);
    xr_status status = more && shards ? gather(p, inputs, shards, skipped, noted) : out_of_memory();
    if (status == XR_OK)
        status = xr_store_write_manifest(p->dir, json_string_value(json_object_get(tokenizer, "sha256")),
                                         (int)json_integer_value(json_object_get(tokenizer, "vocab_size")), shards, more);
    json_decref(inputs);
    json_decref(shards);
    json_decref(skipped);
    json_decref(noted);
    json_decref(more);
    return status;
}

/* The manifest holds all that these held; it is there, so whoever is killed here leaves a store. */
static xr_status remove_parts(const char *dir)
{
    static const char *const made[] = { "part-*-of-*", XR_PREPARE_PLAN_FILE, "*.json.tmp-*" };
    DIR *d = opendir(dir);
    xr_status status = d ? XR_OK : xr_fail(XR_EIO, "%s: the directory cannot be read: %s", dir, strerror(errno));
    for (struct dirent *e; status == XR_OK && (e = xr_dir_next(d, dir, &status));)
        for (size_t i = 0; i < sizeof made / sizeof *made && status == XR_OK; i++) {
            char *path = fnmatch(made[i], e->d_name, 0) == 0 ? xr_path_join(dir, e->d_name) : NULL;
            status = path ? xr_remove_tree(path) : xr_error_status();
            xr_free(path);
        }
    if (d)
        closedir(d);
    return status;
}

static xr_status look_at_parts(parts *p)
{
    XR_TRY(read_parts(p));
    return check_parts(p);
}

static void parts_free(parts *p)
{
    for (int i = 0; p->part && i < p->n; i++)
        json_decref(p->part[i]);
    xr_free(p->part);
    json_decref(p->plan);
}

xr_status xr_prepare_join(const char *dir, json_t **manifest)
{
    parts p = { .dir = dir };
    xr_status status = xr_store_is(dir) ? XR_OK : look_at_parts(&p);
    if (status == XR_OK && p.n > 0)
        status = write_store(&p);
    if (status == XR_OK)
        status = remove_parts(dir);
    parts_free(&p);
    if (status == XR_OK && manifest && !(*manifest = xr_store_read_manifest(dir)))
        status = xr_error_status();
    return status;
}

xr_status xr_prepare_look_at_parts(const char *dir, int *n)
{
    parts p = { .dir = dir };
    xr_status status = look_at_parts(&p);
    *n = p.n;
    parts_free(&p);
    return status;
}

xr_status xr_prepare_merge(const char *dir, json_t **manifest)
{
    int fd = xr_file_open(dir, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return xr_fail(XR_ENOINPUT, "%s: the directory cannot be opened: %s", dir, strerror(errno));
    xr_status status = xr_lock_take(fd, LOCK_EX, dir) ? xr_prepare_join(dir, manifest)
                                                      : xr_fail(XR_ETEMPFAIL, "%s: a part is still being made; wait for it to end", dir);
    close(fd);
    return status;
}
