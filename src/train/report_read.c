/* What the report is about: runs, evaluations and sweeps from their directories. */
#include <string.h>

#include "train/report_parts.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { MOST_BYTES = 64 << 20 };

/* ---- runs ---- */

/* The whole file, NULL without an error if it is not there. */
static xr_status read_text(const char *dir, const char *name, char **text)
{
    size_t len;
    char *path = xr_path_join(dir, name);
    *text = NULL;
    if (path && xr_path_exists(path))
        *text = xr_file_read(path, MOST_BYTES, &len);
    xr_free(path);
    return xr_error_status();
}

/* "# pretrain: what decides the result" */
static unsigned verb_of(const char *config)
{
    static const unsigned verbs[] = { XR_V_PRETRAIN, XR_V_FINETUNE };
    for (size_t i = 0; config && i < 2; i++) {
        const char *name = xr_verb_name(verbs[i]);
        size_t n = strlen(name);
        if (strncmp(config, "# ", 2) == 0 && strncmp(config + 2, name, n) == 0 && config[n + 2] == ':')
            return verbs[i];
    }
    return 0;
}

/* The model card says "with this file (xlmr 0.1.0)". */
static xr_status read_version(xr_report_run *run)
{
    static const char before[] = "(xlmr ";
    static const char *const cards[] = { "best/README.md", "final/README.md" };
    for (int i = 0; i < 2 && !run->version; i++) {
        char *card;
        XR_TRY(read_text(run->path, cards[i], &card));
        const char *at = card ? strstr(card, before) : NULL;
        if (at)
            run->version = xr_strndup(at + strlen(before), strcspn(at + strlen(before), ")\n"));
        xr_free(card);
    }
    return xr_error_status();
}

/* Seconds of the process become seconds of the run: a run that went on counts from zero again. */
static void count_on(json_t *timing)
{
    double before = 0.0, last = 0.0;
    size_t i;
    json_t *line;
    json_array_foreach(timing, i, line) {
        double wall = json_number_value(json_object_get(line, "wall_s"));
        if (wall < last)
            before += last;
        last = wall;
        json_object_set_new(line, "at", json_real(before + wall));
    }
}

static void sort_lines(xr_report_run *run, const json_t *lines)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) {
        const char *event = xr_report_string(line, "event");
        if (!event)
            json_array_append(run->steps, line);
        else if (strcmp(event, "eval") == 0)
            json_array_append(run->evals, line);
        else if (strcmp(event, "skip") == 0)
            json_array_append(run->skips, line);
        else if (strcmp(event, "start") == 0 || strcmp(event, "end") == 0) {
            json_t **where = event[0] == 's' ? &run->start : &run->end;
            json_decref(*where);
            *where = json_incref(line);
        }
    }
}

static xr_status read_metrics(xr_report_run *run)
{
    json_t *lines = NULL;
    run->steps = json_array();
    run->evals = json_array();
    run->skips = json_array();
    xr_status status = xr_report_lines(run->path, "metrics.jsonl", &lines, &run->notes);
    if (status == XR_OK)
        sort_lines(run, lines);
    json_decref(lines);
    return status;
}

static xr_status read_run(xr_report *r, const char *path)
{
    XR_TRY(xr_grow(&r->run, &r->cap_runs, r->n_runs + 1, sizeof *r->run));
    xr_report_run *run = &r->run[r->n_runs++];
    memset(run, 0, sizeof *run);
    run->path = xr_strdup(path);
    XR_TRY(run->path ? read_metrics(run) : xr_error_status());
    XR_TRY(xr_report_lines(path, "timing.jsonl", &run->timing, &run->notes));
    count_on(run->timing);
    XR_TRY(read_text(path, "config.yaml", &run->config));
    run->verb = verb_of(run->config);
    XR_TRY(run->config ? XR_OK : xr_str_puts(&run->notes, "config.yaml: not there\n"));
    return read_version(run);
}

/* ---- evaluations ---- */

static xr_status read_errors(xr_report_evaluation *e)
{
    if (xr_dir_has(e->path, "errors.jsonl"))
        return xr_report_lines(e->path, "errors.jsonl", &e->errors, &e->notes);
    return XR_OK;
}

static xr_status read_evaluation(xr_report *r, const char *path)
{
    XR_TRY(xr_grow(&r->evaluation, &r->cap_evaluations, r->n_evaluations + 1, sizeof *r->evaluation));
    xr_report_evaluation *e = &r->evaluation[r->n_evaluations++];
    memset(e, 0, sizeof *e);
    e->path = xr_strdup(path);
    char *file = e->path ? xr_path_join(path, "results.json") : NULL;
    e->results = file ? xr_json_file(file, MOST_BYTES) : NULL;
    if (e->results && !json_is_object(json_object_get(e->results, "languages")))
        xr_fail(XR_EDATA, "%s: no languages; expected what xlmr evaluate --output-dir writes; evaluate again", file);
    xr_free(file);
    XR_TRY(xr_error_status());
    return read_errors(e);
}

/* A comparison has a directory for each of its models. */
static xr_status read_models(xr_report *r, const char *path)
{
    xr_status status = XR_OK;
    int there = 1;
    for (size_t k = 1; there && status == XR_OK; k++) {
        char *dir = xr_asprintf("%s/model-%zu", path, k);
        there = dir && xr_path_is_dir(dir);
        status = !dir ? xr_error_status() : there ? read_evaluation(r, dir) : XR_OK;
        xr_free(dir);
    }
    return status;
}

/* ---- sweeps ---- */

/* Runs that were not begun have no directory. */
static xr_status read_sweep_run(xr_report *r, const char *path, const char *name)
{
    name = name && !strchr(name, '/') ? name : NULL;        /* nothing outside the sweep */
    char *dir = name ? xr_asprintf("%s/runs/%s", path, name) : NULL;
    xr_status status = name && !dir ? xr_error_status() : dir && xr_dir_has(dir, "metrics.jsonl") ? read_run(r, dir) : XR_OK;
    xr_free(dir);
    return status;
}

/* Takes over the results. Slashes at the end of the path are left out, so that the paths of runs begin with it. */
static xr_status read_sweep(xr_report *r, const char *path, json_t *results)
{
    size_t n = strlen(path), i;
    json_t *run;
    if (xr_grow(&r->sweep, &r->cap_sweeps, r->n_sweeps + 1, sizeof *r->sweep) < 0) {
        json_decref(results);
        return xr_error_status();
    }
    while (n > 1 && path[n - 1] == '/')
        n--;
    xr_report_sweep *s = &r->sweep[r->n_sweeps++];
    *s = (xr_report_sweep){ xr_strndup(path, n), NULL, results };
    if (!s->path)
        return xr_error_status();
    json_array_foreach(json_object_get(results, "runs"), i, run)
        XR_TRY(read_sweep_run(r, s->path, xr_report_string(run, "name")));
    return XR_OK;
}

/* *results stays NULL when that is something else. */
static xr_status sweep_results(const char *path, json_t **results)
{
    char *file = xr_path_join(path, "results.json");
    json_t *j = file ? xr_json_file(file, MOST_BYTES) : NULL;
    int is_sweep = json_is_array(json_object_get(j, "settings")) && json_is_array(json_object_get(j, "runs"));
    xr_free(file);
    *results = is_sweep ? json_incref(j) : NULL;
    xr_status status = j ? XR_OK : xr_error_status();
    json_decref(j);
    return status;
}

/* ---- a path ---- */

static xr_status fail_other(const char *path)
{
    if (!xr_path_exists(path))
        return xr_fail(XR_ENOINPUT, "%s: no such directory; name a directory of pretrain, finetune or sweep, or what evaluate --output-dir wrote", path);
    if (!xr_path_is_dir(path))
        return xr_fail(XR_ENOINPUT, "%s: is a file; name the directory it stands in", path);
    if (xr_dir_has(path, "config.json") || xr_dir_has(path, "MANIFEST.json"))
        return xr_fail(XR_ENOINPUT, "%s: a model or checkpoint, without logs; name the run directory it was saved in", path);
    return xr_fail(XR_ENOINPUT, "%s: neither a run (metrics.jsonl, config.yaml) nor an evaluation or a sweep (results.json); name a directory of "
                   "pretrain, finetune or sweep, or what evaluate --output-dir wrote", path);
}

xr_status xr_report_add(xr_report *r, const char *path)
{
    int evaluation = xr_dir_has(path, "results.json"), run = xr_dir_has(path, "metrics.jsonl") || xr_dir_has(path, "config.yaml");
    if (!run && !evaluation)
        return fail_other(path);
    if (run)
        XR_TRY(read_run(r, path));
    if (!evaluation)
        return XR_OK;
    json_t *sweep;
    XR_TRY(sweep_results(path, &sweep));
    if (sweep)
        return read_sweep(r, path, sweep);
    return xr_dir_has(path, "model-1") ? read_models(r, path) : read_evaluation(r, path);
}

/* ---- names ---- */

/* The last `parts` parts of a path, without the slashes at its end. */
static char *tail(const char *path, int parts)
{
    size_t end = strlen(path), at;
    while (end > 1 && path[end - 1] == '/')
        end--;
    for (at = end; at > 0; at--)
        if (path[at - 1] == '/' && at != end && --parts == 0)
            break;
    return xr_strndup(path + at, end - at);
}

static xr_status rename_to(char **name, const char *path, int parts)
{
    xr_free(*name);
    *name = tail(path, parts);
    return *name ? XR_OK : xr_error_status();
}

/* One name for two directories. */
static int is_confusing(const char *name_a, const char *path_a, const char *name_b, const char *path_b)
{
    return strcmp(name_a, name_b) == 0 && strcmp(path_a, path_b) != 0;
}

static int is_distinct(const xr_report *r)
{
    for (size_t i = 0; i < r->n_runs; i++)
        for (size_t k = 0; k < i; k++)
            if (is_confusing(r->run[i].name, r->run[i].path, r->run[k].name, r->run[k].path))
                return 0;
    for (size_t i = 0; i < r->n_evaluations; i++)
        for (size_t k = 0; k < i; k++)
            if (is_confusing(r->evaluation[i].name, r->evaluation[i].path, r->evaluation[k].name, r->evaluation[k].path))
                return 0;
    return 1;
}

xr_status xr_report_name_all(xr_report *r)
{
    for (int parts = 1; parts < 20; parts++) {
        for (size_t i = 0; i < r->n_runs; i++)
            XR_TRY(rename_to(&r->run[i].name, r->run[i].path, parts));
        for (size_t i = 0; i < r->n_evaluations; i++)
            XR_TRY(rename_to(&r->evaluation[i].name, r->evaluation[i].path, parts));
        if (is_distinct(r))
            break;
    }
    for (size_t i = 0; i < r->n_sweeps; i++)
        XR_TRY(rename_to(&r->sweep[i].name, r->sweep[i].path, 1));
    return XR_OK;
}

static void run_free(xr_report_run *run)
{
    json_t *held[] = { run->start, run->end, run->steps, run->evals, run->skips, run->timing };
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        json_decref(held[i]);
    xr_free(run->path);
    xr_free(run->name);
    xr_free(run->config);
    xr_free(run->version);
    xr_str_free(&run->notes);
}

static void evaluation_free(xr_report_evaluation *e)
{
    json_decref(e->results);
    json_decref(e->errors);
    xr_free(e->path);
    xr_free(e->name);
    xr_str_free(&e->notes);
}

void xr_report_free(xr_report *r)
{
    for (size_t i = 0; i < r->n_sweeps; i++) {
        xr_free(r->sweep[i].path);
        xr_free(r->sweep[i].name);
        json_decref(r->sweep[i].results);
    }
    for (size_t i = 0; i < r->n_runs; i++)
        run_free(&r->run[i]);
    for (size_t i = 0; i < r->n_evaluations; i++)
        evaluation_free(&r->evaluation[i]);
    xr_free(r->sweep);
    xr_free(r->run);
    xr_free(r->evaluation);
    memset(r, 0, sizeof *r);
}
