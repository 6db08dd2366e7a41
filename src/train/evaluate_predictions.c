#include "train/evaluate_predictions.h"

#include <string.h>

#include "data/source.h"
#include "data/tagged.h"
#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/stream.h"

/* ---- in place of a model ---- */

xr_status xr_predictions_open(xr_evaluation *e)
{
    const xr_options *o = e->o;
    if (o->model)
        return xr_fail(XR_EUSAGE, "--model and --predictions: the one is scored or the other; leave one out");
    if (!e->benchmark->predicted)
        return xr_fail(XR_EUSAGE, "--predictions: files of --task %s cannot be scored; give the model: --model DIR", o->task);
    e->context = xr_alloc(1, sizeof *e->context);
    if (e->context)
        e->context->dir = xr_strdup(o->predictions);
    return e->context && e->context->dir ? XR_OK : xr_error_status();
}

/* The configuration gets the names that were found in the data. */
static xr_status name_classes(xr_evaluation *e)
{
    xr_config *c = &e->context->model.config;
    return c->num_labels == e->labels.n ? XR_OK : xr_config_set_labels(c, (const char *const *)e->labels.name, e->labels.n, c->problem);
}

xr_status xr_predictions_logits(xr_evaluation *e, xr_scored *s)
{
    size_t C = (size_t)e->labels.n, rows = s->data.words.n_sentences ? s->data.words.n : s->data.n;
    XR_TRY(name_classes(e));
    s->logits = xr_alloc(rows * C, sizeof *s->logits);
    if (!s->logits)
        return xr_error_status();
    for (size_t i = 0; i < rows; i++)
        s->logits[i * C + (size_t)s->predicted[i]] = 1.0f;
    return XR_OK;
}

void xr_predictions_forget_shares(xr_scored *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->n_figures; i++)
        if (strcmp(s->figure[i].name, "loss") != 0 && strcmp(s->figure[i].name, "auc") != 0)
            s->figure[kept++] = s->figure[i];
    s->n_figures = kept;
}

/* ---- which file ---- */

static char *in_folder(const xr_evaluation *e, const xr_scored *s, int in_task)
{
    const char *p = e->o->predictions, *task = in_task ? e->o->task : "", *slash = in_task ? "/" : "";
    return xr_asprintf("%s/%s%s%s-%s%s", p, task, slash, e->o->split, s->language, e->benchmark->ending);
}

static char *path_of(const xr_evaluation *e, const xr_scored *s)
{
    const char *p = e->o->predictions;
    if (!xr_path_is_dir(p)) {
        if (e->n == 1)
            return xr_strdup(p);
        xr_fail(XR_EUSAGE, "--predictions %s: one file for %zu languages; name its language with --languages, or give a folder", p, e->n);
        return NULL;
    }
    for (int in_task = 1; in_task >= 0; in_task--) {
        char *path = in_folder(e, s, in_task);
        if (!path || xr_path_exists(path))
            return path;
        xr_free(path);
    }
    xr_fail(XR_ENOINPUT, "%s: no file %s-%s%s in it or in its folder %s; expected a file for every language of %s; name those that are there with "
            "--languages", p, e->o->split, s->language, e->benchmark->ending, e->o->task, e->o->data_dir);
    return NULL;
}

xr_status xr_predictions_read(xr_evaluation *e, xr_scored *s)
{
    char *path = path_of(e, s);
    xr_status status = path ? e->benchmark->predicted(e, s, path) : xr_error_status();
    xr_free(path);
    s->data.n_tokens = s->data.n_unk = s->data.n_truncated = 0;    /* nothing was cut into pieces */
    return status;
}

/* ---- files of lines ---- */

typedef struct line_reader {
    xr_evaluation *e;
    xr_scored *s;
    const char *path;
    size_t rows, n, cap;        /* expected; read */
    size_t sentence, at;        /* tags: the sentence being read and its first word's place among those read */
} line_reader;

/* The name without white space around it, as the labels know it. */
static xr_status take_name(line_reader *r, char *line, size_t len, size_t number)
{
    char *name = line + strspn(line, " \t");
    while (len > (size_t)(name - line) && strchr(" \t\r", line[len - 1]))
        line[--len] = '\0';
    if (!*name)
        return xr_fail(XR_EDATA, "%s:%zu: an empty line; expected a class; write one prediction a line", r->path, number);
    int id = xr_labels_add(&r->e->labels, xr_labels_resolve(&r->e->labels, name));
    XR_TRY(id < 0 ? (xr_status)id : xr_grow(&r->s->predicted, &r->cap, r->n + 1, sizeof *r->s->predicted));
    r->s->predicted[r->n++] = id;
    return XR_OK;
}

static xr_status each_line(line_reader *r, xr_status (*take)(line_reader *r, char *line, size_t len, size_t number))
{
    char *line;
    size_t len;
    int got;
    xr_stream *f = xr_stream_open(r->path);
    if (!f)
        return xr_error_status();
    while ((got = xr_stream_line(f, &line, &len)) > 0) {
        xr_status status = xr_line_check(f, line, len);
        if (status == XR_OK)
            status = take(r, line, len, xr_stream_line_number(f));
        if (status < 0) {
            got = status;
            break;
        }
    }
    xr_stream_close(f);
    return got;
}

xr_status xr_predicted_classes(xr_evaluation *e, xr_scored *s, const char *path)
{
    line_reader r = { .e = e, .s = s, .path = path };
    XR_TRY(each_line(&r, take_name));
    if (r.n == s->data.n)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: %zu predictions; %s has %zu %s; expected one a line, in that file's order", path, r.n, s->path, s->data.n,
                   e->benchmark->units);
}

/* ---- tags ---- */

static size_t words_of(const xr_words *w, size_t sentence)
{
    return sentence < w->n_sentences ? (size_t)(w->sentence[sentence + 1] - w->sentence[sentence]) : 0;
}

static xr_status end_sentence(line_reader *r, size_t number)
{
    const xr_words *w = &r->s->data.words;
    size_t n = r->n - r->at;
    if (n == 0)
        return XR_OK;
    if (r->sentence < w->n_sentences && n != words_of(w, r->sentence))
        return xr_fail(XR_EDATA, "%s:%zu: %zu tags in sentence %zu; %s has %zu words there; expected a tag a line for every word, and an empty line between "
                       "sentences", r->path, number, n, r->sentence + 1, r->s->path, words_of(w, r->sentence));
    r->sentence++;
    r->at = r->n;
    return XR_OK;
}

static xr_status take_tag(line_reader *r, char *line, size_t len, size_t number)
{
    return strspn(line, " \t") == len ? end_sentence(r, number) : take_name(r, line, len, number);
}

xr_status xr_predicted_tags(xr_evaluation *e, xr_scored *s, const char *path)
{
    line_reader r = { .e = e, .s = s, .path = path };
    XR_TRY(each_line(&r, take_tag));
    XR_TRY(end_sentence(&r, r.n + r.sentence));
    if (r.sentence == s->data.words.n_sentences)
        return xr_words_meet(&s->data.words, &e->labels, s->predicted, path);
    return xr_fail(XR_EDATA, "%s: %zu sentences with %zu tags; %s has %zu sentences with %zu words; expected as many of both", path, r.sentence, r.n, s->path,
                   s->data.words.n_sentences, s->data.words.n);
}
