#include "train/evaluate_qa.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "train/qa_options.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

enum { PREDICTIONS_CAP = 1 << 28 };

/* Of one language. */
typedef struct qa_scored {
    const xr_qa_rules *rules;
    xr_qa_predictions predicted;    /* by the model; empty with --predictions */
    char **answer; size_t n;        // [n] to each question, "" = none, NULL = not predicted; of the model: borrowed from `predicted`
    double *null_odds;              // [n]; NULL where none are known
    double *f1;                     // [n] of each question; < 0: without a label
    size_t n_missing;
    xr_qa_totals totals;
    xr_qa_best best;                /* with null odds and questions without an answer */
} qa_scored;

static const xr_questions *questions(const xr_scored *s)
{
    return &s->data.windows.questions;
}

/* ---- files ---- */

/* Bytes of the language between prefix and suffix; 0 = another file. */
static size_t language_len(const char *name, const char *prefix, const char *suffix)
{
    size_t n = strlen(name), before = strlen(prefix), after = strlen(suffix);
    if (n > 3 && strcmp(name + n - 3, ".gz") == 0)
        n -= 3;
    if (n <= before + after || strncmp(name, prefix, before) != 0 || memcmp(name + n - after, suffix, after) != 0)
        return 0;
    return n - before - after;
}

static xr_status take_file(xr_evaluation *e, const char *folder, const char *name, const char *language, size_t len)
{
    if (memchr(language, '.', len) || xr_evaluate_language(e, language, len))
        return XR_OK;
    char *path = xr_path_join(folder, name);
    xr_status status = path ? xr_evaluate_add(e, language, len, path, 0) : xr_error_status();
    xr_free(path);
    return status;
}

xr_status xr_qa_find(xr_evaluation *e, const char *folder, const char *prefix, const char *suffix)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return xr_fail(XR_ENOINPUT, "%s: cannot open the folder (%s); expected one with files %s{language}%s; check --data-dir", folder, strerror(errno),
                       prefix, suffix);
    xr_status status = XR_OK;
    for (struct dirent *d; status == XR_OK && (d = xr_dir_next(dir, folder, &status));) {
        size_t len = language_len(d->d_name, prefix, suffix);
        status = len ? take_file(e, folder, d->d_name, d->d_name + strlen(prefix), len) : XR_OK;
    }
    closedir(dir);
    return status;
}

/* ---- model and data ---- */

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int is_default(const xr_options *o, const char *key)
{
    return xr_options_origin(o, key).kind == XR_FROM_DEFAULT;
}

xr_status xr_qa_open(xr_evaluation *e)
{
    const xr_config *c = &e->context->model.config;
    if (!c->head || strcmp(c->head, "question_answering") != 0)
        return xr_fail(XR_EDATA, "%s/config.json: the model has no head that finds answers; train one with: xlmr finetune --model %s --task qa "
                       "--train-file …", e->context->dir, e->context->dir);
    if (e->o->max_seq_length < 0)       /* auto */
        e->max_len = at_most(XR_QA_MAX_LENGTH, (size_t)xr_config_max_tokens(c));
    return XR_OK;
}

const char *const xr_qa_options[] = { "doc_stride", "max_query_length", "max_answer_length", "n_best", "unanswerable", "null_threshold",
                                      "on_bad_record", "max_bad_fraction", NULL };

/* Unless it is told otherwise, a short model shares and asks less. */
static xr_status read_questions(xr_evaluation *e, xr_scored *s)
{
    xr_data_options d;
    xr_evaluate_data_options(e, &d);
    d.unique_ids = 1;
    if (e->o->predictions) {
        const xr_squad_options o = { .max_questions = d.max_samples, .unique_ids = 1, .skip_bad = d.skip_bad, .max_bad_fraction = d.max_bad_fraction };
        return xr_questions_read(&s->data.windows.questions, s->path, &o);
    }
    xr_qa_data_options(e->o, &d);
    if (is_default(e->o, "doc_stride"))
        d.doc_stride = at_most(d.doc_stride, e->max_len / 3);
    if (is_default(e->o, "max_query_length"))
        d.max_query = at_most(d.max_query, e->max_len / 4);
    return xr_dataset_add_squad(&s->data, s->path, e->context->tokenizer, &d);
}

xr_status xr_qa_read(xr_evaluation *e, xr_scored *s)
{
    s->private = xr_alloc(1, sizeof(qa_scored));
    XR_TRY(s->private ? read_questions(e, s) : xr_error_status());
    s->n_rows = questions(s)->n;
    s->n = s->n_rows - questions(s)->n_unlabelled;
    s->labelled = s->n > 0;
    return XR_OK;
}

/* ---- predictions from a file ---- */

static xr_status fail_ids(const xr_scored *s, const char *path, size_t missing, size_t unknown, const char *example)
{
    return xr_fail(XR_EDATA, "%s: %zu of the %zu questions of %s have no prediction, and %zu ids are of no question of it (such as '%s'); expected one for "
                   "each id%s", path, missing, s->n_rows, s->path, unknown, example,
                   unknown ? "; take the others out" : "; --missing-predictions wrong counts those left out as wrong, as the reference scripts do");
}

static const char *unknown_id(const xr_scored *s, json_t *file)
{
    const char *id;
    json_t *value;
    json_object_foreach(file, id, value) {
        size_t i = 0;
        while (i < s->n_rows && strcmp(questions(s)->v[i].id, id) != 0)
            i++;
        if (i == s->n_rows)
            return id;
    }
    return "";
}

static xr_status take_answer(qa_scored *q, const xr_scored *s, json_t *file, size_t i, const char *path)
{
    const char *id = questions(s)->v[i].id;
    json_t *value = json_object_get(file, id);
    if (!value) {
        q->n_missing++;
        return XR_OK;
    }
    if (!json_is_string(value))
        return xr_fail(XR_EDATA, "%s: the prediction of '%s' is no string; expected {\"id\": \"answer\", …}", path, id);
    q->answer[i] = xr_strdup(json_string_value(value));
    return q->answer[i] ? XR_OK : xr_error_status();
}

static xr_status take_answers(const xr_evaluation *e, qa_scored *q, const xr_scored *s, json_t *file, const char *path)
{
    if (!json_is_object(file))
        return xr_fail(XR_EDATA, "%s: the document is no object; expected {\"id\": \"answer\", …}", path);
    q->n = s->n_rows;
    for (size_t i = 0; i < q->n; i++)
        XR_TRY(take_answer(q, s, file, i, path));
    size_t known = q->n - q->n_missing, unknown = json_object_size(file) - known;
    int lenient = strcmp(e->o->missing_predictions, "wrong") == 0;
    if (unknown || (q->n_missing && !lenient))
        return fail_ids(s, path, q->n_missing, unknown, unknown ? unknown_id(s, file) : "none");
    if (q->n_missing)
        xr_warn("%s: %zu of the %zu questions of %s have no prediction and count as wrong", path, q->n_missing, q->n, s->path);
    return XR_OK;
}

/* null_odds-NAME beside the file NAME, if it is there. */
static char *odds_path(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return xr_asprintf("%.*snull_odds-%s", (int)(name - path), path, name);
}

static xr_status take_odds(qa_scored *q, const xr_scored *s, json_t *file, const char *path)
{
    q->null_odds = xr_alloc(q->n, sizeof *q->null_odds);
    if (!q->null_odds)
        return xr_error_status();
    for (size_t i = 0; i < q->n; i++) {
        json_t *value = json_object_get(file, questions(s)->v[i].id);
        if (q->answer[i] && !json_is_number(value))
            return xr_fail(XR_EDATA, "%s: no null odds of '%s'; expected {\"id\": number, …}, or no such file", path, questions(s)->v[i].id);
        q->null_odds[i] = json_number_value(value);
    }
    return XR_OK;
}

static xr_status read_odds(qa_scored *q, const xr_scored *s, const char *predictions)
{
    char *path = odds_path(predictions);
    xr_status status = path ? XR_OK : xr_error_status();
    if (path && xr_path_exists(path)) {
        json_t *file = xr_json_file(path, PREDICTIONS_CAP);
        status = file ? take_odds(q, s, file, path) : xr_error_status();
        json_decref(file);
    }
    xr_free(path);
    return status;
}

xr_status xr_qa_predicted(xr_evaluation *e, xr_scored *s, const char *path)
{
    qa_scored *q = s->private;
    json_t *file = xr_json_file(path, PREDICTIONS_CAP);
    q->answer = file ? xr_alloc(s->n_rows, sizeof *q->answer) : NULL;
    xr_status status = q->answer ? take_answers(e, q, s, file, path) : xr_error_status();
    json_decref(file);
    return status < 0 ? status : read_odds(q, s, path);
}

/* ---- points ---- */

static xr_status predict(xr_evaluation *e, xr_scored *s, qa_scored *q, const xr_evaluate_hooks *h)
{
    xr_answer_options o = { 0 };
    xr_qa_answer_options(e->o, questions(s)->n_impossible > 0, &o);
    XR_TRY(xr_evaluate_logits(e, s, h));
    XR_TRY(xr_qa_predict(&q->predicted, &s->data, s->logits, &o));
    q->answer = q->predicted.text;
    q->null_odds = q->predicted.null_odds;
    q->n = q->predicted.n;
    return XR_OK;
}

static xr_status score_question(const xr_scored *s, const qa_scored *q, size_t i, const char **gold, xr_qa_points *p)
{
    const xr_questions *all = questions(s);
    const xr_squad_question *one = &all->v[i];
    *p = (xr_qa_points){ 0 };
    if (one->impossible && !q->rules->no_answer)
        return xr_fail(XR_EDATA, "%s: question '%s' has no answer, which the rules of %s do not know; score such files with --task qa", s->path, one->id,
                       q->rules->name);
    for (size_t k = 0; k < one->n_answers; k++)
        gold[k] = all->answer[one->answer + k].text;
    return q->answer[i] ? xr_qa_score(q->rules, q->answer[i], gold, one->n_answers, p) : XR_OK;
}

/* The points of every labelled question, in order, into the parts and `odds`. */
static xr_status score_questions(xr_scored *s, qa_scored *q, const char **gold, xr_qa_odds *odds)
{
    const xr_questions *all = questions(s);
    size_t unit = 0;
    for (size_t i = 0; i < all->n; i++) {
        xr_qa_points p;
        int answerable = all->v[i].n_answers > 0;
        q->f1[i] = -1.0;
        if (!answerable && !all->v[i].impossible)
            continue;
        XR_TRY(score_question(s, q, i, gold, &p));
        q->f1[i] = p.f1;
        xr_qa_add(&q->totals, p, answerable);
        s->part[2 * unit] = p.f1;
        s->part[2 * unit + 1] = p.exact;
        odds[unit++] = (xr_qa_odds){ q->null_odds ? q->null_odds[i] : 0.0, p, answerable, q->answer[i] && *q->answer[i] };
    }
    return q->null_odds && q->rules->no_answer ? xr_qa_best_threshold(odds, unit, &q->best) : XR_OK;
}

static size_t most_answers(const xr_questions *all)
{
    size_t most = 1;
    for (size_t i = 0; i < all->n; i++)
        most = all->v[i].n_answers > most ? all->v[i].n_answers : most;
    return most;
}

static void set_figures(xr_scored *s, const qa_scored *q)
{
    xr_scored_set(s, "f1", xr_qa_f1(&q->totals.all));
    xr_scored_set(s, "exact", xr_qa_exact(&q->totals.all));
}

xr_status xr_qa_score_by(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h, const xr_qa_rules *rules)
{
    qa_scored *q = s->private;
    if (!rules)
        return xr_error_status();
    q->rules = rules;
    if (!e->o->predictions)
        XR_TRY(predict(e, s, q, h));
    if (!s->labelled)
        return XR_OK;
    XR_TRY(xr_scored_parts(s, s->n, 2));
    q->f1 = xr_alloc(q->n, sizeof *q->f1);
    const char **gold = !q->f1 ? NULL : xr_alloc(most_answers(questions(s)), sizeof *gold);
    xr_qa_odds *odds = gold ? xr_alloc(s->n, sizeof *odds) : NULL;
    xr_status status = odds ? score_questions(s, q, gold, odds) : xr_error_status();
    xr_free(gold);
    xr_free(odds);
    set_figures(s, q);
    return status;
}

xr_status xr_qa_score_squad1(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    return xr_qa_score_by(e, s, h, xr_qa_rules_squad1());
}

const xr_report_column *xr_qa_columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "f1", "F1" }, { "exact", "EM" }, { 0 } };
    (void)e;
    return shown;
}

double xr_qa_main_figure(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    return n_units ? sum[0] / (double)n_units : 0.0;
}

/* ---- results ---- */

xr_status xr_qa_predictions_text(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const qa_scored *q = s->private;
    int any = 0;
    (void)e;
    XR_TRY(xr_str_putc(out, '{'));
    for (size_t i = 0; i < q->n; i++) {
        const char *id = questions(s)->v[i].id;
        if (!q->answer[i])
            continue;
        XR_TRY(xr_str_puts(out, any++ ? ",\n " : "\n "));
        XR_TRY(xr_str_json_string(out, id, strlen(id)));
        XR_TRY(xr_str_puts(out, ": "));
        XR_TRY(xr_str_json_string(out, q->answer[i], strlen(q->answer[i])));
    }
    return xr_str_puts(out, "\n}\n");
}

/* Each once: people who answered alike are told once. */
static json_t *gold_json(const xr_questions *all, const xr_squad_question *one)
{
    json_t *list = json_array();
    for (size_t k = 0; k < one->n_answers; k++) {
        const char *text = all->answer[one->answer + k].text;
        size_t same = 0;
        while (same < json_array_size(list) && strcmp(json_string_value(json_array_get(list, same)), text) != 0)
            same++;
        if (same == json_array_size(list))
            json_array_append_new(list, json_string(text));
    }
    return list;
}

/* The further from every gold answer, the worse. */
xr_status xr_qa_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const qa_scored *q = s->private;
    const xr_questions *all = questions(s);
    (void)e;
    *badness = q->f1 && q->f1[i] >= 0.0 ? 1.0 - q->f1[i] : 0.0;
    if (!line)
        return XR_OK;
    json_object_set_new(line, "id", json_string(all->v[i].id));
    json_object_set_new(line, "gold", gold_json(all, &all->v[i]));
    json_object_set_new(line, "predicted", json_string(q->answer[i] ? q->answer[i] : ""));
    json_object_set_new(line, "f1", json_real(1.0 - *badness));
    json_object_set_new(line, "question", json_string(all->v[i].text));
    json_object_set_new(line, "passage", json_string(all->passage[all->v[i].passage].text));
    return XR_OK;
}

static xr_status write_one(const xr_evaluation *e, const xr_scored *s, const char *folder, const char *what, const xr_str *text)
{
    char *path = xr_asprintf("%s/%s-%s-%s.json", folder, what, e->o->split, s->language);
    xr_status status = path ? xr_file_write(path, text->s, text->len) : xr_error_status();
    xr_free(path);
    return status;
}

xr_status xr_qa_more_files(const xr_evaluation *e, const xr_scored *s, const char *folder)
{
    const qa_scored *q = s->private;
    if (e->o->predictions)
        return XR_OK;
    XR_TRY(write_one(e, s, folder, "nbest", &q->predicted.nbest));
    return write_one(e, s, folder, "null_odds", &q->predicted.odds);
}

static json_t *sum_json(const xr_qa_sum *s)
{
    return json_pack("{sI sf sf}", "n", (json_int_t)s->n, "exact_sum", s->exact, "f1_sum", s->f1);
}

json_t *xr_qa_details(const xr_evaluation *e, const xr_scored *s)
{
    const qa_scored *q = s->private;
    json_t *j = json_pack("{ss sI}", "rules", q->rules->name, "missing", (json_int_t)q->n_missing);
    (void)e;
    json_object_set_new(j, "all", sum_json(&q->totals.all));
    if (!q->rules->no_answer)
        return j;
    json_object_set_new(j, "answerable", sum_json(&q->totals.answerable));
    json_object_set_new(j, "unanswerable", sum_json(&q->totals.unanswerable));
    if (q->null_odds)
        json_object_set_new(j, "best", json_pack("{sf sf sf sf}", "exact_sum", q->best.exact, "exact_threshold", q->best.exact_threshold, "f1_sum",
                                                 q->best.f1, "f1_threshold", q->best.f1_threshold));
    return j;
}

void xr_qa_free(xr_scored *s)
{
    qa_scored *q = s->private;
    if (q && q->answer != q->predicted.text) {
        for (size_t i = 0; i < q->n; i++)
            xr_free(q->answer[i]);
        xr_free(q->answer);
        xr_free(q->null_odds);
    }
    if (q) {
        xr_qa_predictions_free(&q->predicted);
        xr_free(q->f1);
    }
    xr_free(q);
    s->private = NULL;
}
