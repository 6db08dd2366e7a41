/* From the options of a sweep to its runs. */
#include <string.h>

#include "kernels/cpu.h"
#include "train/options_set.h"
#include "train/sweep.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { MOST_RUNS = 10000 };

/* --- the command line: [finetune|pretrain] OPTIONS [-- OPTIONS of evaluate] ---------------------------------------- */

static xr_status read_verb(xr_sweep *s, const char ***rest, size_t *n)
{
    s->verb = XR_V_FINETUNE;
    if (*n == 0 || (*rest)[0][0] == '-')
        return XR_OK;
    if (strcmp((*rest)[0], "pretrain") == 0)
        s->verb = XR_V_PRETRAIN;
    else if (strcmp((*rest)[0], "finetune") != 0)
        return xr_fail(XR_EUSAGE, "%s: expected finetune or pretrain, and the options of the runs behind --, as in: xlmr sweep --grid seed=1,2,3 "
                       "--output-dir DIR -- --model DIR --train-file FILE", (*rest)[0]);
    (*rest)++;
    (*n)--;
    return XR_OK;
}

static xr_status split_arguments(xr_sweep *s)
{
    const char **rest = s->o->args;
    size_t n = s->o->n_args, k = 0;
    XR_TRY(read_verb(s, &rest, &n));
    while (k < n && strcmp(rest[k], "--") != 0)
        k++;
    s->train = rest;
    s->n_train = k;
    if (k == n)
        return XR_OK;
    s->test = rest + k + 1;
    s->n_test = n - k - 1;
    if (s->verb == XR_V_PRETRAIN || s->n_test == 0)
        return xr_fail(XR_EUSAGE, "behind the second -- stand options of evaluate, which scores what finetune has trained; leave it out");
    return XR_OK;
}

/* What the sweep itself decides for every run. */
static xr_status check_own(const xr_options *run, const char *where)
{
    char flag[XR_KEY_MAX];
    static const char *const own[] = { "output_dir", "dry_run" };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (xr_options_origin(run, own[i]).kind == XR_FROM_FLAG)
            return xr_fail(XR_EUSAGE, "--%s: %s; give it before the --", xr_option_flag(own[i], flag), where);
    return run->help ? xr_fail(XR_EUSAGE, "--help: %s; see xlmr %s --help", where, xr_verb_name(run->verb)) : XR_OK;
}

/* The options behind -- by themselves; nothing is required of them yet. */
static xr_status check_given(unsigned verb, const char **args, size_t n, const char *where)
{
    xr_options o;
    char **argv = xr_alloc(n + 2, sizeof *argv);
    xr_status status = argv ? xr_options_init(&o, verb) : xr_error_status();
    if (!argv)
        return status;
    for (size_t i = 0; i < n; i++)
        argv[i] = (char *)args[i];
    argv[n] = "--print-config";
    if (status == XR_OK)
        status = xr_options_parse(&o, (int)n + 1, argv);
    if (status == XR_OK && o.n_args)
        status = xr_fail(XR_EUSAGE, "%s: unexpected among the options of %s", o.args[0], xr_verb_name(verb));
    if (status == XR_OK)
        status = check_own(&o, where);
    xr_options_free(&o);
    xr_free(argv);
    return status;
}

static xr_status check_arguments(const xr_sweep *s)
{
    if (xr_options_origin(s->o, "seed").kind == XR_FROM_FLAG)
        return xr_fail(XR_EUSAGE, "--seed: is an option of the runs; give it behind the --, or several as --grid seed=1,2,3");
    XR_TRY(check_given(s->verb, s->train, s->n_train, "is an option of the sweep, not of its runs"));
    return s->n_test ? check_given(XR_V_EVALUATE, s->test, s->n_test, "is an option of the sweep, not of its evaluations") : XR_OK;
}

/* --- the grid ----------------------------------------------------------------------------------------------------- */

static xr_status add_value(xr_sweep_axis *a, const char *value, size_t n, const char *text)
{
    if (n == 0)
        return xr_fail(XR_EUSAGE, "--grid %s: a value is empty; expected KEY=VALUE,VALUE, such as seed=1,2,3", text);
    XR_TRY(xr_grow(&a->value, &a->cap, a->n + 1, sizeof *a->value));
    char *copy = xr_strndup(value, n);
    if (!copy)
        return xr_error_status();
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->value[i], copy) == 0) {
            xr_free(copy);
            return xr_fail(XR_EUSAGE, "--grid %s: %s stands there twice", text, a->value[i]);
        }
    a->value[a->n++] = copy;
    return XR_OK;
}

static xr_status add_values(xr_sweep_axis *a, const char *values, const char *text)
{
    for (;; values++) {
        size_t n = strcspn(values, ",");
        XR_TRY(add_value(a, values, n, text));
        values += n;
        if (!*values)
            return XR_OK;
    }
}

static xr_status find_key(const xr_sweep *s, const char *text, size_t n, const char **key)
{
    char name[XR_KEY_MAX];
    if (n == 0 || n >= sizeof name || text[n] != '=')
        return xr_fail(XR_EUSAGE, "--grid %s: expected KEY=VALUE,VALUE, such as learning_rate=1e-5,2e-5", text);
    memcpy(name, text, n);
    name[n] = 0;
    const xr_option *r = xr_option_find(s->verb, name);
    if (!r) {
        const xr_options of_runs = { .verb = s->verb };
        xr_option_unknown(&of_runs, name, (xr_origin){ XR_FROM_FLAG, NULL, 0 });
        return xr_fail_context("--grid");
    }
    if ((r->flags & XR_ONCE) || strcmp(r->key, "output_dir") == 0)
        return xr_fail(XR_EUSAGE, "--grid %s: is not for runs to differ in", text);
    for (size_t i = 0; i < s->n_axes; i++)
        if (strcmp(s->axis[i].key, r->key) == 0)
            return xr_fail(XR_EUSAGE, "--grid %s: %s has its values already; put all into one --grid", text, r->key);
    *key = r->key;
    return XR_OK;
}

static xr_status read_axes(xr_sweep *s)
{
    for (size_t i = 0; i < s->o->grid.n; i++) {
        const char *text = s->o->grid.v[i], *key = NULL;
        size_t n = strcspn(text, "=");
        XR_TRY(find_key(s, text, n, &key));
        XR_TRY(xr_grow(&s->axis, &s->cap_axes, s->n_axes + 1, sizeof *s->axis));
        xr_sweep_axis *a = &s->axis[s->n_axes++];
        *a = (xr_sweep_axis){ .key = key };
        XR_TRY(add_values(a, text + n + 1, text));
    }
    return XR_OK;
}

/* --- the runs ----------------------------------------------------------------------------------------------------- */

/* The last axis turns fastest. */
static xr_status place(xr_sweep *s, size_t number)
{
    xr_sweep_run *r = &s->run[number];
    r->at = xr_alloc(s->n_axes, sizeof *r->at);
    if (!r->at)
        return xr_error_status();
    for (size_t i = s->n_axes; i-- > 0; number /= s->axis[i].n)
        r->at[i] = number % s->axis[i].n;
    for (size_t i = 0; i < s->n_axes; i++)
        if (strcmp(s->axis[i].key, "seed") != 0)
            r->setting = r->setting * s->axis[i].n + r->at[i];
    return XR_OK;
}

/* As the name of a folder: what may mean something to a shell or a path becomes _. */
static xr_status name_run(const xr_sweep *s, xr_sweep_run *r)
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    xr_str name = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < s->n_axes && status == XR_OK; i++) {
        status = xr_str_printf(&name, "%s%s=", i ? "," : "", s->axis[i].key);
        for (const char *p = s->axis[i].value[r->at[i]]; *p && status == XR_OK; p++)
            status = xr_str_putc(&name, strchr(safe, *p) ? *p : '_');
    }
    if (status < 0) {
        xr_str_free(&name);
        return status;
    }
    r->name = name.s;
    r->dir = xr_asprintf("%s/runs/%s", s->o->output_dir, r->name);
    return r->dir ? XR_OK : xr_error_status();
}

static xr_status check_names(const xr_sweep *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(s->run[i].name, s->run[k].name) == 0)
                return xr_fail(XR_EUSAGE, "--grid: two runs would both be %s/runs/%s; their values differ in marks only that a folder's name cannot have",
                               s->o->output_dir, s->run[i].name);
    return XR_OK;
}

/* Takes `text` over. */
static xr_status put(xr_sweep_args *a, char *text)
{
    xr_status status = text ? xr_grow(&a->v, &a->cap, a->n + 2, sizeof *a->v) : xr_error_status();
    if (status < 0) {
        xr_free(text);
        return status;
    }
    a->v[a->n++] = text;
    a->v[a->n] = NULL;
    return XR_OK;
}

static xr_status put_all(xr_sweep_args *a, const char *const *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        XR_TRY(put(a, xr_strdup(text[i])));
    return XR_OK;
}

/* The sweep's threads first, so that what the user says behind -- wins. */
static xr_status put_begin(const xr_sweep *s, xr_sweep_args *a, unsigned verb)
{
    XR_TRY(put(a, xr_strdup("xlmr")));
    XR_TRY(put(a, xr_strdup(xr_verb_name(verb))));
    return s->threads ? put(a, xr_asprintf("--threads=%lld", s->threads)) : XR_OK;
}

static xr_status write_training(const xr_sweep *s, xr_sweep_run *r)
{
    char flag[XR_KEY_MAX];
    XR_TRY(put_begin(s, &r->train, s->verb));
    XR_TRY(put_all(&r->train, s->train, s->n_train));
    for (size_t i = 0; i < s->n_axes; i++)
        XR_TRY(put(&r->train, xr_asprintf("--%s=%s", xr_option_flag(s->axis[i].key, flag), s->axis[i].value[r->at[i]])));
    return put(&r->train, xr_asprintf("--output-dir=%s", r->dir));
}

/* The model stands first: which of best and final there is, is known when the run has ended (sweep.c). */
static xr_status write_test(const xr_sweep *s, xr_sweep_run *r)
{
    if (!s->n_test)
        return XR_OK;
    XR_TRY(put_begin(s, &r->test, XR_V_EVALUATE));
    XR_TRY(put(&r->test, xr_asprintf("--model=%s/best", r->dir)));
    XR_TRY(put_all(&r->test, s->test, s->n_test));
    XR_TRY(put(&r->test, xr_strdup("--overwrite-output-dir")));
    return put(&r->test, xr_asprintf("--output-dir=%s/eval/%s", s->o->output_dir, r->name));
}

/* A mistake in an option, or a folder that holds another recipe, is told before the first run begins. */
static xr_status check_command(unsigned verb, const xr_sweep_args *a, xr_rundir_kind *kind)
{
    xr_options o;
    if (a->n == 0)
        return XR_OK;
    xr_status status = xr_options_init(&o, verb);
    if (status == XR_OK)
        status = xr_options_parse(&o, (int)a->n - 2, a->v + 2);
    if (status == XR_OK && kind)
        status = xr_rundir_look(&o, kind);
    xr_options_free(&o);
    return status;
}

static xr_status make_run(xr_sweep *s, size_t number)
{
    xr_sweep_run *r = &s->run[number];
    XR_TRY(place(s, number));
    XR_TRY(name_run(s, r));
    XR_TRY(write_training(s, r));
    XR_TRY(write_test(s, r));
    if (check_command(s->verb, &r->train, &r->kind) < 0)
        return xr_fail_context("run %s", r->name);
    return check_command(XR_V_EVALUATE, &r->test, NULL) < 0 ? xr_fail_context("evaluation of the runs") : XR_OK;
}

static xr_status make_runs(xr_sweep *s)
{
    size_t n = 1, settings = 1;
    for (size_t i = 0; i < s->n_axes; i++) {
        n *= s->axis[i].n;
        settings *= strcmp(s->axis[i].key, "seed") != 0 ? s->axis[i].n : 1;
        if (n > MOST_RUNS)
            return xr_fail(XR_EUSAGE, "--grid: more than %d runs; leave some values out", MOST_RUNS);
    }
    s->run = xr_alloc(n, sizeof *s->run);
    if (!s->run)
        return xr_error_status();
    s->n_runs = n;
    s->n_settings = settings;
    for (size_t i = 0; i < n; i++)
        XR_TRY(make_run(s, i));
    return check_names(s);
}

/* A folder of something else is not mixed with runs. */
static xr_status other_entry(const char *path, const char *name, void *context)
{
    static const char *const known[] = { "runs", "logs", "eval", "lock", "results.json", "results.tsv" };
    (void)path;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(name, known[i]) == 0)
            return XR_OK;
    return strstr(name, ".tmp-") ? XR_OK : xr_fail(XR_ECANTCREAT, "%s: holds %s, which is no part of a sweep; choose another --output-dir",
                                                    (const char *)context, name);
}

static xr_status check_directory(const char *dir)
{
    if (!xr_path_exists(dir))
        return XR_OK;
    if (!xr_path_is_dir(dir))
        return xr_fail(XR_ECANTCREAT, "%s: is not a directory; choose another --output-dir", dir);
    return xr_dir_each(dir, other_entry, (void *)dir);
}

xr_status xr_sweep_plan(xr_sweep *s, const xr_options *o)
{
    *s = (xr_sweep){ .o = o };
    if (o->jobs > 1 || o->threads > 0)
        s->threads = xr_threads() / o->jobs > 0 ? xr_threads() / o->jobs : 1;
    XR_TRY(split_arguments(s));
    XR_TRY(check_arguments(s));
    XR_TRY(check_directory(o->output_dir));
    XR_TRY(read_axes(s));
    return make_runs(s);
}

static void free_args(xr_sweep_args *a)
{
    for (size_t i = 0; i < a->n; i++)
        xr_free(a->v[i]);
    xr_free(a->v);
}

static void free_run(xr_sweep_run *r)
{
    free_args(&r->train);
    free_args(&r->test);
    xr_free(r->at);
    xr_free(r->name);
    xr_free(r->dir);
    xr_free(r->message);
    xr_free(r->best.metric);
    xr_free(r->tested.metric);
}

void xr_sweep_free(xr_sweep *s)
{
    for (size_t i = 0; i < s->n_runs; i++)
        free_run(&s->run[i]);
    for (size_t i = 0; i < s->n_axes; i++) {
        for (size_t k = 0; k < s->axis[i].n; k++)
            xr_free(s->axis[i].value[k]);
        xr_free(s->axis[i].value);
    }
    xr_free(s->run);
    xr_free(s->axis);
    *s = (xr_sweep){ 0 };
}
