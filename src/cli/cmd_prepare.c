/* xlmr prepare: raw text to a token store (train/prepare.c). This file shows progress and the table of languages. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "train/prepare.h"
#include "util/log.h"

typedef struct view {
    xr_progress bar;
    double start;
    xr_prepare_progress last;
    int quiet, shown;
} view;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void on_begin(void *context, const xr_prepare_progress *p)
{
    view *v = context;
    xr_progress_start(&v->bar, "prepare", "kB", p->bytes_total / 1000, p->bytes_before / 1000, v->quiet);
    v->start = now();
    v->shown = 1;
}

static void on_progress(void *context, const xr_prepare_progress *p)
{
    view *v = context;
    double seconds = now() - v->start;
    v->last = *p;
    if (seconds > 0)
        xr_progress_postfix(&v->bar, "%zu/%zu files, %.1f MB text/s, %.0f tokens/s", p->inputs, p->inputs_total,
                            1e-6 * (double)p->text_bytes / seconds, (double)p->tokens / seconds);
    xr_progress_update(&v->bar, p->bytes / 1000);
}

static int on_stop(void *context)
{
    (void)context;
    return xr_signals_asked();
}

/* ---- what came of it ---- */

static long long integer(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

static xr_status print_row(const char *name, const json_t *counts)
{
    return xr_out("%-12s %12lld %14lld %16lld %16lld\n", name, integer(counts, "documents"), integer(counts, "sentences"), integer(counts, "tokens"),
                  integer(counts, "text_bytes"));
}

/* "skipped: 3 bad_utf8, 12 filtered" */
static xr_status print_reasons(const char *title, json_t *reasons)
{
    const char *name, *between = title;
    json_t *n;
    json_object_foreach(reasons, name, n) {
        XR_TRY(xr_out("%s%lld %s", between, (long long)json_integer_value(n), name));
        between = ", ";
    }
    return json_object_size(reasons) ? xr_out("\n") : XR_OK;
}

static xr_status print_store(const char *dir, const json_t *m)
{
    json_t *languages = json_object_get(m, "languages"), *counts;
    const char *name;
    XR_TRY(xr_out("%-12s %12s %14s %16s %16s\n", "language", "documents", "sentences", "tokens", "bytes of text"));
    json_object_foreach(languages, name, counts)
        XR_TRY(print_row(name, counts));
    XR_TRY(print_row("all", m));
    XR_TRY(print_reasons("skipped: ", json_object_get(m, "skipped")));
    XR_TRY(print_reasons("used, with a note: ", json_object_get(m, "noted")));
    return xr_out("%s: %zu inputs, %zu shards, digest %s\n", dir, json_array_size(json_object_get(m, "inputs")),
                  json_array_size(json_object_get(m, "shards")), json_string_value(json_object_get(m, "digest")));
}

static void print_rate(const view *v)
{
    double seconds = now() - v->start;
    if (v->shown && v->last.tokens && seconds > 0)
        xr_info("%.1f s, %.2f MB of text/s, %.0f tokens/s", seconds, 1e-6 * (double)v->last.text_bytes / seconds, (double)v->last.tokens / seconds);
}

static xr_status report(const xr_options *o, const json_t *m)
{
    if (o->json)
        return xr_out_json(m);
    if (o->shard)
        return xr_out("part %s: %zu inputs; when all are done: xlmr prepare --merge --output-dir %s\n", o->shard,
                      json_array_size(json_object_get(m, "inputs")), o->output_dir);
    return print_store(o->output_dir, m);
}

/* ---- running ---- */

/* "2/8" */
static xr_status parse_shard(const char *s, int *part, int *n)
{
    long long a, b;
    const char *slash = strchr(s, '/');
    char first[16] = "";
    if (slash && slash - s < (long)sizeof first)
        memcpy(first, s, (size_t)(slash - s));
    if (!slash || !xr_parse_int(first, &a) || !xr_parse_int(slash + 1, &b) || a < 1 || b < a || b > 100000)
        return xr_fail(XR_EUSAGE, "--shard %s: expected I/N with I from 1 to N, such as 2/8", s);
    *part = (int)a;
    *n = (int)b;
    return XR_OK;
}

static xr_status dry_run(const xr_options *o, const xr_prepare_job *job)
{
    json_t *plan = xr_prepare_look(job);
    if (!plan)
        return xr_error_status();
    xr_status status = o->json ? xr_out_json(plan)
                               : xr_out("%lld inputs, %lld bytes; %lld of them done before\nnothing was written (--dry-run)\n", integer(plan, "inputs"),
                                        integer(plan, "bytes"), integer(plan, "done"));
    json_decref(plan);
    return status;
}

static xr_status prepare(const xr_options *o, xr_prepare_job *job, json_t **m)
{
    view v = { .quiet = o->quiet };
    xr_prepare_hooks hooks = { &v, on_begin, on_progress, on_stop };
    xr_signals_catch();
    xr_status status = xr_prepare_run(job, &hooks, m);
    if (v.shown)
        xr_progress_end(&v.bar);
    if (status == XR_OK)
        print_rate(&v);
    return status;
}

static xr_status run_job(const xr_options *o)
{
    xr_prepare_job job = { .o = o, .input = o->args, .n_input = o->n_args, .output_dir = o->output_dir, .overwrite = o->overwrite_output_dir };
    json_t *m = NULL;
    if (!o->model)
        return xr_fail(XR_EUSAGE, "--model is required: whose tokenizer makes the ids");
    if (o->shard)
        XR_TRY(parse_shard(o->shard, &job.part, &job.n_parts));
    xr_tokenizer *t = xr_tokenizer_open(o->model);
    if (!t)
        return xr_error_status();
    job.tokenizer = t;
    xr_status status = o->dry_run ? dry_run(o, &job) : prepare(o, &job, &m);
    if (status == XR_OK && m)
        status = report(o, m);
    json_decref(m);
    xr_tokenizer_free(t);
    return status;
}

static xr_status dry_merge(const xr_options *o)
{
    int n;
    XR_TRY(xr_prepare_look_at_parts(o->output_dir, &n));
    return xr_out("%s: all %d parts are done and can be joined\nnothing was written (--dry-run)\n", o->output_dir, n);
}

static xr_status merge(const xr_options *o)
{
    json_t *m = NULL;
    xr_status status = xr_prepare_merge(o->output_dir, &m);
    if (status == XR_OK)
        status = report(o, m);
    json_decref(m);
    return status;
}

static xr_status run(const xr_options *o)
{
    if (!o->merge)
        return run_job(o);
    if (o->n_args || o->shard)
        return xr_fail(XR_EUSAGE, "--merge takes neither inputs nor --shard, only the --output-dir of the parts");
    return o->dry_run ? dry_merge(o) : merge(o);
}

const xr_cmd xr_cmd_prepare = {
    "prepare", XR_V_PREPARE, "tokenise raw text (also gzip, xz, zstd, told by content) into a store for pretraining", "[FILE ...]",
    "xlmr prepare --model DIR --output-dir store text/*.txt.gz\n"
    "xlmr prepare --model DIR --output-dir store --lang en --dedup --deflate 4 CC-MAIN-*.wet.gz\n"
    "xlmr prepare --model DIR --output-dir store --shard 3/100 text/*.txt.xz\n"
    "xlmr prepare --merge --output-dir store\n",
    run,
};
