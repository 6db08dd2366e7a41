#include "train/evaluate_choice.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "data/choices.h"
#include "train/evaluate_errors.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/stream.h"

/* ---- files ---- */

static const char *const *names_of_split(const xr_evaluation *e)
{
    static const char *const dev[] = { "val", "dev", NULL }, *const test[] = { "test", NULL };
    return strcmp(e->o->split, "dev") == 0 ? dev : test;
}

/* The language in "test.et.jsonl", "test-et.jsonl.gz"; *len 0 = not such a name. */
static const char *language_in(const xr_evaluation *e, const char *name, size_t *len)
{
    static const char *const ending[] = { ".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.zst", NULL };
    *len = 0;
    for (const char *const *split = names_of_split(e); *split; split++) {
        size_t n = strlen(*split), whole = strlen(name);
        if (strncmp(name, *split, n) != 0 || !strchr(".-", name[n]))
            continue;
        for (const char *const *end = ending; *end; end++) {
            size_t m = strlen(*end);
            if (whole > n + 1 + m && strcmp(name + whole - m, *end) == 0 && !memchr(name + n + 1, '.', whole - n - 1 - m))
                *len = whole - n - 1 - m;
        }
        if (*len)
            return name + n + 1;
    }
    return NULL;
}

static xr_status take_file(xr_evaluation *e, const char *folder, const char *name)
{
    size_t len;
    const char *language = language_in(e, name, &len);
    if (!language)
        return XR_OK;
    const xr_scored *twin = xr_evaluate_language(e, language, len);
    char *path = xr_path_join(folder, name);
    xr_status status = !path ? xr_error_status()
                       : twin ? xr_fail(XR_EDATA, "%s: language '%.*s' also has %s; expected one file a language; move one of them away", path, (int)len,
                                        language, twin->path)
                              : xr_evaluate_add(e, language, len, path, 0);
    xr_free(path);
    return status;
}

static xr_status read_folder(xr_evaluation *e, const char *folder, int deep)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return xr_fail(XR_ENOINPUT, "%s: cannot open the folder (%s); expected one with %s-{language}.jsonl or XCOPA's own files; check --data-dir",
                       folder, strerror(errno), names_of_split(e)[0]);
    xr_status status = XR_OK;
    for (struct dirent *d; status == XR_OK && (d = xr_dir_next(dir, folder, &status));) {
        char *path = d->d_name[0] == '.' ? NULL : xr_path_join(folder, d->d_name);
        if (path && deep && xr_path_is_dir(path))
            status = read_folder(e, path, 0);
        else if (path)
            status = take_file(e, folder, d->d_name);
        xr_free(path);
    }
    closedir(dir);
    return status;
}

xr_status xr_choice_find(xr_evaluation *e)
{
    XR_TRY(read_folder(e, e->o->data_dir, 1));
    return xr_evaluate_choose(e, strcmp(e->o->split, "dev") == 0 ? "val.{language}.jsonl" : "test.{language}.jsonl");
}

/* ---- questions ---- */

const char *const xr_choice_options[] = { "on_bad_record", "max_bad_fraction", NULL };

xr_status xr_choice_open(xr_evaluation *e)
{
    if (e->o->label_map)
        return xr_fail(XR_EUSAGE, "--label-map: --task %s chooses by number and has no names of labels; leave it out", e->o->task);
    if (e->context->model.config.problem == XR_PROBLEM_CHOICE)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "--task %s: %s has no head for multiple choice; train one with: xlmr finetune --task choice", e->o->task, e->context->dir);
}

xr_status xr_choice_read(xr_evaluation *e, xr_scored *s)
{
    xr_data_options d;
    xr_evaluate_data_options(e, &d);
    XR_TRY(xr_dataset_add_choices(&s->data, s->path, e->context->tokenizer, &d));
    s->n_rows = s->data.n;
    for (size_t i = 0; i < s->data.n; i++)
        s->n += s->data.label[i] >= 0;
    s->labelled = s->n > 0;
    return XR_OK;
}

/* {"label": N} a line: that choice's score is 1, those of the others 0. */
static xr_status take_label(xr_scored *s, const char *line, size_t len, const char *where, size_t i)
{
    json_t *j = xr_json_parse(line, len, where);
    const json_t *label = json_object_get(j, "label");
    if (!j)
        return xr_error_status();
    const uint64_t *first = s->data.choices.example + (i < s->data.n ? i : 0);
    json_int_t n = (json_int_t)(first[1] - first[0]), value = json_is_integer(label) ? json_integer_value(label) : -1;
    json_decref(j);
    if (i >= s->data.n)
        return XR_OK;
    if (value < 0 || value >= n)
        return xr_fail(XR_EDATA, "%s: no choice of the %lld; expected {\"label\": 0} to %lld; is this file of other data?", where, (long long)n,
                       (long long)n - 1);
    s->logits[first[0] + (uint64_t)value] = 1.0f;
    return XR_OK;
}

static xr_status take_labels(xr_scored *s, xr_stream *f)
{
    char *line;
    size_t len, n = 0;
    int got;
    while ((got = xr_stream_line(f, &line, &len)) > 0) {
        char *where = xr_asprintf("%s:%zu", xr_stream_path(f), xr_stream_line_number(f));
        xr_status status = where ? take_label(s, line, len, where, n++) : xr_error_status();
        xr_free(where);
        XR_TRY(status);
    }
    XR_TRY(got);
    return n == s->data.n ? XR_OK : xr_fail(XR_EDATA, "%s: %zu predictions; %s has %zu questions; expected one a line, in that file's order",
                                            xr_stream_path(f), n, s->path, s->data.n);
}

xr_status xr_choice_predicted(xr_evaluation *e, xr_scored *s, const char *path)
{
    xr_stream *f = xr_stream_open(path);
    (void)e;
    s->logits = f ? xr_alloc(s->data.choices.n, sizeof *s->logits) : NULL;
    xr_status status = s->logits ? take_labels(s, f) : xr_error_status();
    xr_stream_close(f);
    return status;
}

static int answer(const xr_scored *s, size_t i)
{
    const uint64_t *first = s->data.choices.example + i;
    return xr_argmax(s->logits + first[0], (int)(first[1] - first[0]));
}

xr_status xr_choice_score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    xr_figures f;
    size_t unit = 0;
    XR_TRY(e->o->predictions ? XR_OK : xr_evaluate_logits(e, s, h));
    if (!s->labelled)
        return XR_OK;
    const xr_config choice = { .problem = XR_PROBLEM_CHOICE };
    XR_TRY(xr_figures_compute(&f, &choice, &s->data, s->logits));
    xr_scored_set(s, "accuracy", f.accuracy);
    xr_scored_set(s, "chance", f.chance);
    xr_scored_set(s, "loss", f.loss);
    XR_TRY(xr_scored_parts(s, s->n, 1));
    for (size_t i = 0; i < s->data.n; i++)
        if (s->data.label[i] >= 0)
            s->part[unit++] = answer(s, i) == s->data.label[i];
    return XR_OK;
}

double xr_choice_main_figure(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    return n_units ? sum[0] / (double)n_units : 0.0;
}

const xr_report_column *xr_choice_columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "accuracy", "accuracy" }, { "chance", "chance" }, { "loss", NULL }, { 0 } };
    (void)e;
    return shown;
}

/* As XTREME-R's evaluate.py reads them. */
xr_status xr_choice_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    (void)e;
    for (size_t i = 0; i < s->data.n; i++)
        XR_TRY(xr_str_printf(out, "{\"label\": %d}\n", answer(s, i)));
    return XR_OK;
}
