#include "train/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/hf.h"
#include "model/hf_digests.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/leftover.h"
#include "util/lock.h"
#include "util/log.h"

/* What --overwrite-output-dir removes, in this order: checkpoints never lie beside another run's log, an end of a run beside half a model. config.yaml is
 * replaced at one stroke: who is killed in between leaves a run that has only begun. */
static const char *const run_entry[] = { "checkpoints", "metrics.jsonl", "timing.jsonl", "best", "final", "tensorboard", "nonfinite", "config.yaml" };
enum { N_ENTRIES = sizeof run_entry / sizeof *run_entry, IN_ORDER = 2 };   /* so many are gone for good before the next */
#define ENTRY_CAP ((size_t)1 << 32)
#define LOCK "lock"
#define DATA "data"     /* token stores that pretrain prepares before the run proper begins */

/* NAME.tmp-PID and NAME.was-PID, NAME being an entry of a run or a checkpoint. */
static int is_leftover(const char *name)
{
    const char *tail = xr_leftover_tail(name);
    if (!tail)
        return 0;
    size_t n = (size_t)(tail - name);
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (strlen(run_entry[i]) == n && strncmp(run_entry[i], name, n) == 0)
            return 1;
    return strncmp(name, "step-", 5) == 0;
}

static xr_status filled_entry(const char *path, const char *name, void *context)
{
    (void)path;
    (void)context;
    return strcmp(name, LOCK) != 0 && strcmp(name, DATA) != 0 && !is_leftover(name);
}

static xr_status foreign_entry(const char *path, const char *name, void *context)
{
    if (filled_entry(path, name, context) == 0)
        return XR_OK;
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (strcmp(run_entry[i], name) == 0)
            return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: holds %s, which is no part of a run; choose another --output-dir, or move that away first",
                   *(const char *const *)context, name);
}

/* What pretraining reads are directories, easily given for the output by mistake: a run is not mixed into one. finetune keeps what else is there. */
static xr_status check_foreign(const xr_options *o)
{
    const char *dir = o->output_dir;
    return o->verb == XR_V_PRETRAIN ? xr_dir_each(dir, foreign_entry, &dir) : XR_OK;
}

/* The text of a file of the run; NULL, without an error, when there is none. */
static char *read_entry(const char *dir, const char *name, size_t *len)
{
    char *path = xr_path_join(dir, name), *text = path && xr_path_exists(path) ? xr_file_read(path, ENTRY_CAP, len) : NULL;
    xr_free(path);
    return text;
}

/* One line for every key that differs: "key there, here". */
static xr_status add_difference(xr_str *s, const char *key, const json_t *there, const json_t *here)
{
    if (json_equal(there, here))
        return XR_OK;
    char *a = xr_json_dump(there, 0), *b = xr_json_dump(here, 0);
    xr_status status = a && b ? xr_str_printf(s, "%s%s is %s there and %s here", s->len ? "; " : "", key, a, b) : xr_error_status();
    xr_free(a);
    xr_free(b);
    return status;
}

/* More updates than the run was to have: it goes on, which the loop writes down. */
static int is_longer(const xr_options *there, const xr_options *here)
{
    return there->max_steps > 0 && here->max_steps > there->max_steps;
}

/* "de=/data/xnli/train.tsv:2" is "de=train.tsv:2" wherever that is. */
static json_t *without_folder(const json_t *value)
{
    const char *s = json_string_value(value), *slash = strchr(s, '/'), *equals = slash ? memchr(s, '=', (size_t)(slash - s)) : NULL;
    size_t n = strlen(s), language = equals ? (size_t)(equals - s) + 1 : 0, from;
    while (n > language && s[n - 1] == '/')
        n--;
    for (from = n; from > language && s[from - 1] != '/';)
        from--;
    return json_sprintf("%.*s%.*s", (int)language, s, (int)(n - from), s + from);
}

static json_t *without_folders(const json_t *value)
{
    if (json_is_string(value))
        return without_folder(value);
    size_t i;
    json_t *one, *all = json_array();
    json_array_foreach(value, i, one)
        json_array_append_new(all, without_folder(one));
    return all;
}

json_t *xr_rundir_recipe(const xr_options *o)
{
    static const char *const place[] = { "model", "train_file", "validation_file", "data_dir", "train_data", "validation_data", "extend_vocab", "lang_map" };
    json_t *j = xr_options_to_json(o, XR_RECIPE);
    int bad = 0;
    for (size_t i = 0; j && i < sizeof place / sizeof *place; i++) {
        const json_t *value = json_object_get(j, place[i]);
        if (json_is_string(value) || json_is_array(value))
            bad |= json_object_set_new(j, place[i], without_folders(value)) != 0;
    }
    if (!bad)
        return j;
    json_decref(j);
    xr_fail(XR_ESYSTEM, "no memory for the options of a run");
    return NULL;
}

/* Nothing is read to go on with a run that is finished: it is the same one only with the same paths. */
static xr_status compare(const xr_options *there, const xr_options *here, int finished, xr_str *differences)
{
    const char *key;
    json_t *value, *a = finished ? xr_options_to_json(there, XR_RECIPE) : xr_rundir_recipe(there);
    json_t *b = !a ? NULL : finished ? xr_options_to_json(here, XR_RECIPE) : xr_rundir_recipe(here);
    xr_status status = a && b ? XR_OK : xr_error_status();
    json_object_foreach(a, key, value)
        if (status == XR_OK && !(strcmp(key, "max_steps") == 0 && is_longer(there, here)))
            status = add_difference(differences, key, value, json_object_get(b, key));
    json_decref(a);
    json_decref(b);
    return status;
}

static xr_status check_recipe(const xr_options *o, const char *yaml, size_t len, int finished, int *longer)
{
    xr_options there;
    xr_str s = { 0 };
    char *path = xr_path_join(o->output_dir, "config.yaml");
    xr_status status = xr_options_init(&there, o->verb);
    if (status == XR_OK)
        status = path ? xr_options_yaml(&there, yaml, len, path) : xr_error_status();
    if (status == XR_OK)
        status = compare(&there, o, finished && !is_longer(&there, o), &s);
    *longer = status == XR_OK && is_longer(&there, o);
    if (status == XR_OK && s.len)
        status = xr_fail(XR_ECONFIG, "%s: holds a run of another recipe: %s; give the same options, choose another --output-dir, or give "
                         "--overwrite-output-dir to replace that run", o->output_dir, s.s);
    xr_options_free(&there);
    xr_str_free(&s);
    xr_free(path);
    return status;
}

/* A run of this very command wrote config.yaml; its first line says so. */
static int is_run(const xr_options *o, const char *yaml)
{
    const char *verb = xr_verb_name(o->verb);
    size_t n = strlen(verb);
    return yaml && strncmp(yaml, "# ", 2) == 0 && strncmp(yaml + 2, verb, n) == 0 && yaml[2 + n] == ':';
}

json_t *xr_rundir_end(const char *path)
{
    size_t len;
    json_t *line = NULL;
    char *text = read_entry(path, "metrics.jsonl", &len);
    if (text && len > 1 && text[len - 1] == '\n') {
        text[len - 1] = 0;
        char *last = strrchr(text, '\n');
        line = json_loads(last ? last + 1 : text, 0, NULL);
    } else if (!text) {
        xr_error_clear();   /* a log that cannot be read: the run goes on from its checkpoint */
    }
    xr_free(text);
    const char *event = json_string_value(json_object_get(line, "event"));
    if (event && strcmp(event, "end") == 0)
        return line;
    json_decref(line);
    return NULL;
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

int xr_rundir_owns_checkpoint(const char *path, const char *checkpoint)
{
    return lies_in_entry(checkpoint, path, "checkpoints");
}

int xr_rundir_is_over(const char *dir)
{
    json_t *end = xr_rundir_end(dir);
    char *path = end ? xr_path_join(dir, "final") : NULL;
    int is = path && xr_path_is_dir(path);
    xr_free(path);
    json_decref(end);
    return is;
}

static xr_status look_inside(const xr_options *o, xr_rundir_kind *kind)
{
    size_t len;
    int longer = 0, finished = !xr_rundir_owns_checkpoint(o->output_dir, o->resume) && xr_rundir_is_over(o->output_dir);
    char *yaml = strcmp(o->resume, "never") != 0 ? read_entry(o->output_dir, "config.yaml", &len) : NULL;
    xr_status status;
    if (!yaml && xr_error_status() < 0)
        return xr_error_status();
    if (is_run(o, yaml))
        status = check_recipe(o, yaml, len, finished, &longer);
    else if ((status = check_foreign(o)) == XR_OK)
        status = xr_fail(XR_ECANTCREAT, "%s: is not empty; choose another --output-dir, or give --overwrite-output-dir to replace the run in it",
                         o->output_dir);
    xr_free(yaml);
    XR_TRY(status);
    *kind = finished && !longer ? XR_RUNDIR_FINISHED : XR_RUNDIR_RESUME;
    return XR_OK;
}

xr_status xr_rundir_look(const xr_options *o, xr_rundir_kind *kind)
{
    const char *path = o->output_dir;
    *kind = XR_RUNDIR_NEW;
    if (!xr_path_exists(path))
        return XR_OK;
    if (!xr_path_is_dir(path))
        return xr_fail(XR_ECANTCREAT, "%s: is not a directory; choose another --output-dir", path);
    xr_status filled = xr_dir_each(path, filled_entry, NULL);
    if (filled <= 0)
        return filled;
    if (o->overwrite_output_dir)
        return check_foreign(o);
    return look_inside(o, kind);
}

xr_status xr_rundir_check_input(const char *path, const char *input)
{
    char real[PATH_MAX], real_input[PATH_MAX];
    if (!path)
        return XR_OK;
    if (realpath(path, real) && realpath(input, real_input) && strcmp(real, real_input) == 0)
        return xr_fail(XR_ECANTCREAT, "%s: is also an input of this run; choose another --output-dir", path);
    for (size_t i = 0; i < N_ENTRIES; i++)
        if (lies_in_entry(input, path, run_entry[i]))
            return xr_fail(XR_ECANTCREAT, "%s: is part of the run in %s, which --overwrite-output-dir would remove; choose another --output-dir, or move it "
                           "away first", input, path);
    return XR_OK;
}

static int is_model_file(const char *name)
{
    static const char *const known[] = { ".", "..", "config.json", "generation_config.json", "model.safetensors.index.json", "sentencepiece.bpe.model",
                                         "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "trim.json", XR_MODEL_DIGESTS,
                                         "README.md" };
    size_t n = strlen(name), suffix = strlen(".safetensors");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return 1;
    return n > suffix && strcmp(name + n - suffix, ".safetensors") == 0;
}

xr_status xr_model_dir_check(const char *path)
{
    DIR *d = opendir(path);
    int absent = !d && (errno == ENOENT || errno == ENOTDIR);     /* a file: xr_outdir_begin refuses it */
    xr_status status = d || absent ? XR_OK : xr_fail(XR_EIO, "%s: the directory cannot be read: %s", path, strerror(errno));
    for (struct dirent *e; d && status == XR_OK && (e = xr_dir_next(d, path, &status));)
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

xr_status xr_rundir_write_config(const char *dir, const xr_options *o)
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
    for (size_t i = 0; i < N_ENTRIES - 1; i++) {
        XR_TRY(remove_entry(path, run_entry[i]));
        if (i < IN_ORDER)
            XR_TRY(xr_path_sync(path));
    }
    return xr_rundir_write_config(path, o);
}

static xr_status write_model(const char *dir, const xr_model *m, const char *tokenizer_dir, const char *sha256, const char *card)
{
    char *readme = xr_path_join(dir, "README.md");
    xr_status status = readme ? xr_model_save(m, dir, tokenizer_dir, sha256) : xr_error_status();
    if (status == XR_OK)
        status = xr_file_write(readme, card, strlen(card));
    if (status == XR_OK)
        status = xr_model_seal(dir);
    xr_free(readme);
    return status;
}

xr_status xr_rundir_save_model(const char *path, const char *name, const xr_model *m, const char *tokenizer_dir, const char *sha256, const char *card)
{
    xr_outdir out = { 0 };
    char *dir = xr_path_join(path, name);
    xr_status status = dir ? xr_outdir_begin(&out, dir, 1, "") : xr_error_status();
    xr_free(dir);
    XR_TRY(status);
    status = write_model(out.tmp, m, tokenizer_dir, sha256, card);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}

/* --- lock ------------------------------------------------------------------------------------------------------- */

static xr_status sweep_entry(const char *path, const char *name, void *context)
{
    (void)context;
    if (!is_leftover(name))
        return XR_OK;
    struct stat st;
    const char *tail = xr_leftover_tail(name);
    char *whole = xr_strndup(path, strlen(path) - strlen(tail));
    int there = !whole ? xr_error_status() : tail[1] == 't' ? 1 : xr_path_look(whole, &st);
    xr_status status = there < 0 ? (xr_status)there : XR_OK;
    if (there == 1)
        status = xr_remove_tree(path);
    else if (there == 0 && rename(path, whole) < 0)     /* killed between two renames: it is all there is */
        status = xr_fail(XR_EIO, "%s: cannot be renamed: %s", path, strerror(errno));
    xr_free(whole);
    return status;
}

/* RUN may be a folder that a person keeps data in: only names that this program makes there. */
static int is_of_data(const char *name)
{
    static const char *const made[] = { "train.", "validation.", "shard-", "blocks", "plan.json.", "manifest.json.", "extended-model." };
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        if (strncmp(name, made[i], strlen(made[i])) == 0)
            return 1;
    return 0;
}

/* What is in RUN/data is made before the lock is taken, perhaps by another process right now. */
static xr_status sweep_dead(const char *path, const char *name, void *context)
{
    (void)context;
    return is_of_data(name) && xr_leftover_is_dead(name) ? xr_remove_tree(path) : XR_OK;
}

/* Token stores have indexes of blocks in them, written when they are opened. */
static xr_status sweep_data_entry(const char *path, const char *name, void *context)
{
    return !xr_leftover_is_dead(name) && xr_path_is_dir(path) ? xr_dir_each(path, sweep_dead, NULL) : sweep_dead(path, name, context);
}

static xr_status sweep_inside(const char *path, const char *name, xr_status (*entry)(const char *path, const char *name, void *context))
{
    char *inside = xr_path_join(path, name);
    xr_status status = !inside ? xr_error_status() : xr_path_is_dir(inside) ? xr_dir_each(inside, entry, NULL) : XR_OK;
    xr_free(inside);
    return status;
}

static xr_status sweep(const char *path)
{
    XR_TRY(xr_dir_each(path, sweep_entry, NULL));
    XR_TRY(sweep_inside(path, "checkpoints", sweep_entry));
    XR_TRY(sweep_inside(path, "nonfinite", sweep_entry));
    return sweep_inside(path, DATA, sweep_data_entry);
}

static xr_status held_by_another(const char *dir, int fd)
{
    char who[256] = "";
    ssize_t n = pread(fd, who, sizeof who - 1, 0);
    who[n > 0 ? n : 0] = 0;
    who[strcspn(who, "\n")] = 0;
    return xr_fail(XR_ETEMPFAIL, "%s: another process writes to this run (%s); wait for its end, or choose another --output-dir", dir,
                   *who ? who : "it has not said which");
}

static void sign(int fd)
{
    char host[128] = "", who[256];
    gethostname(host, sizeof host - 1);
    int n = snprintf(who, sizeof who, "host %s, pid %ld\n", host, (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, who, (size_t)n, 0) < 0)
        xr_debug("the lock file cannot be written: %s", strerror(errno));
}

/* Is the file that was locked still the one of that name? The holder before removes it when done. */
static int still_there(int fd, const char *path)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static xr_status take(xr_rundir_lock *l, const char *dir)
{
    for (;;) {
        l->fd = xr_file_open(l->path, O_RDWR | O_CREAT);
        if (l->fd < 0)
            return xr_fail(XR_ECANTCREAT,
                           "%s: cannot be created: %s; make its folder one that you may write to, or choose another --output-dir", l->path, strerror(errno));
        if (!xr_lock_take(l->fd, LOCK_EX, l->path)) {
            held_by_another(dir, l->fd);
            close(l->fd);
            return xr_error_status();
        }
        if (still_there(l->fd, l->path))
            break;
        close(l->fd);
    }
    sign(l->fd);
    return XR_OK;
}

xr_status xr_rundir_lock_take(xr_rundir_lock *l, const char *path)
{
    XR_TRY(xr_mkdirs(path));
    char *name = xr_path_join(path, LOCK);
    if (!name)
        return xr_error_status();
    l->path = name;
    xr_status status = take(l, path);
    if (status < 0) {
        xr_free(l->path);
        l->path = NULL;
        return status;
    }
    status = sweep(path);
    if (status < 0)
        xr_rundir_lock_drop(l);
    return status;
}

/* Once more what could not be removed when it was replaced: nobody may come to this run again. */
static void sweep_again(const char *lock)
{
    char *path = xr_error_status() == XR_OK ? xr_strndup(lock, strlen(lock) - strlen("/" LOCK)) : NULL;
    if (path && sweep(path) < 0) {
        xr_warn("%s; it stays there", xr_error_message());
        xr_error_clear();
    }
    xr_free(path);
}

void xr_rundir_lock_drop(xr_rundir_lock *l)
{
    if (!l->path)
        return;
    sweep_again(l->path);
    unlink(l->path);
    close(l->fd);
    xr_free(l->path);
    l->path = NULL;
}
