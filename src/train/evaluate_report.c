/* What an evaluation says: the table, the JSON object, the files. */
#include <string.h>

#include "train/evaluate.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/utf8.h"

static const char selection[] = "model as given; no per-language selection";

const xr_report_column *xr_report_columns(xr_problem problem)
{
    static const xr_report_column single[] = { { "accuracy", "accuracy" }, { "f1_macro", "macro F1" }, { 0 } };
    static const xr_report_column value[] = { { "pearson", "Pearson" }, { "spearman", "Spearman" }, { 0 } };
    static const xr_report_column multi[] = { { "f1_micro", "micro F1" }, { "exact", "exact" }, { 0 } };
    static const xr_report_column tags[] = { { "f1", "F1" }, { "precision", "precision" }, { "recall", "recall" }, { 0 } };
    static const xr_report_column *const of[] = {
        [XR_PROBLEM_SINGLE_LABEL] = single, [XR_PROBLEM_REGRESSION] = value, [XR_PROBLEM_MULTI_LABEL] = multi, [XR_PROBLEM_TAGS] = tags
    };
    return of[problem];
}

static xr_problem problem_of(const xr_evaluation *e)
{
    return e->context->model.config.problem;
}

static double figure(const xr_scored *s, const char *metric)
{
    double value = 0.0;
    xr_status known = xr_figures_named(&s->figures, metric, &value, NULL);
    XR_ASSERT(known == XR_OK, "metric %s", metric);
    return value;
}

double xr_evaluation_mean(const xr_evaluation *e, const char *metric, size_t *n)
{
    double sum = 0.0;
    *n = 0;
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].labelled) {
            sum += figure(&e->v[i], metric);
            ++*n;
        }
    return *n ? sum / (double)*n : 0.0;
}

int xr_evaluation_gap(const xr_evaluation *e, const char *metric, double *gap)
{
    double english = 0.0, others = 0.0;
    size_t n_english = 0, n = 0;
    for (size_t i = 0; i < e->n; i++) {
        const xr_scored *s = &e->v[i];
        int en = strcmp(s->language, "en") == 0;
        *(en ? &english : &others) += s->labelled ? figure(s, metric) : 0.0;
        *(en ? &n_english : &n) += (size_t)(s->labelled != 0);
    }
    *gap = n ? english - others / (double)n : 0.0;
    return n_english && n;
}

/* ---- published figures ---- */

/* Accuracy in per cent, trained on English only: Conneau et al. 2020, table 1 (base: fairseq's XLM-R README). */
static const struct { const char *language; double base, large; } published[] = {
    { "en", 85.8, 89.1 }, { "fr", 79.7, 84.1 }, { "es", 80.7, 85.1 }, { "de", 78.7, 83.9 }, { "el", 77.5, 82.9 },
    { "bg", 79.6, 84.0 }, { "ru", 78.1, 81.2 }, { "tr", 74.2, 79.6 }, { "ar", 73.8, 79.8 }, { "vi", 76.5, 80.8 },
    { "th", 74.6, 78.1 }, { "zh", 76.7, 80.2 }, { "hi", 72.4, 76.9 }, { "sw", 66.5, 73.9 }, { "ur", 68.3, 73.8 },
};
enum { N_PUBLISHED = sizeof published / sizeof *published };

/* The published model that has this one's size; NULL = none, or other data. */
static const char *published_size(const xr_evaluation *e)
{
    const xr_config *c = &e->context->model.config;
    if (strcmp(e->o->task, "xnli") != 0 || strcmp(e->o->split, "test") != 0)
        return NULL;
    return c->num_hidden_layers == 12 && c->hidden_size == 768    ? "base"
           : c->num_hidden_layers == 24 && c->hidden_size == 1024 ? "large"
                                                                  : NULL;
}

static double published_figure(const char *size, const char *language)
{
    for (int i = 0; i < N_PUBLISHED; i++)
        if (strcmp(published[i].language, language) == 0)
            return strcmp(size, "base") == 0 ? published[i].base : published[i].large;
    return 0.0;
}

/* ---- table ---- */

/* Appends text as it may be shown, filled up with blanks to `width` characters; width < 0: blanks before it. */
static xr_status put_cell(xr_str *out, const char *text, int width)
{
    size_t n = xr_utf8_count(text, strlen(text)), wide = (size_t)(width < 0 ? -width : width);
    int blanks = wide > n ? (int)(wide - n) : 0;
    XR_TRY(xr_str_printf(out, "%*s", width < 0 ? blanks : 0, ""));
    XR_TRY(xr_utf8_printable(out, text, strlen(text)));
    return xr_str_printf(out, "%*s", width < 0 ? 0 : blanks, "");
}

static size_t n_examples(const xr_scored *s)
{
    return s->data.words.n_sentences ? s->data.words.n_sentences : s->data.n;
}

static size_t n_labelled(const xr_scored *s)
{
    return s->labelled ? s->figures.n : n_examples(s);
}

enum { NAME = 14, COLUMN = 10 };

static xr_status put_row(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const char *size = published_size(e);
    XR_TRY(put_cell(out, s->language, NAME));
    XR_TRY(xr_str_printf(out, "%7zu", n_labelled(s)));
    for (const xr_report_column *c = xr_report_columns(problem_of(e)); c->metric; c++)
        XR_TRY(s->labelled ? xr_str_printf(out, "%*.2f", COLUMN, 100.0 * figure(s, c->metric))
                           : xr_str_printf(out, "%*s", COLUMN, "-"));
    double known = size ? published_figure(size, s->language) : 0.0;
    if (known > 0.0)
        XR_TRY(xr_str_printf(out, "%*.1f", COLUMN + 14, known));
    return xr_str_putc(out, '\n');
}

static xr_status put_heading(const xr_evaluation *e, xr_str *out)
{
    const char *size = published_size(e);
    const char *task = e->o->task, *what = strcmp(task, "xnli") == 0 ? "XNLI" : strcmp(task, "panx") == 0 ? "PAN-X" : e->o->data_dir;
    XR_TRY(xr_str_printf(out, "%s, %s: %s\n\n", what, e->o->split, e->o->model));
    XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "language", "n"));
    for (const xr_report_column *c = xr_report_columns(problem_of(e)); c->metric; c++)
        XR_TRY(xr_str_printf(out, "%*s", COLUMN, c->title));
    if (size)
        XR_TRY(xr_str_printf(out, "%*s", COLUMN + 14, size[0] == 'b' ? "(published, base)" : "(published, large)"));
    return xr_str_putc(out, '\n');
}

static xr_status put_summary(const xr_evaluation *e, xr_str *out)
{
    const xr_report_column *c = xr_report_columns(problem_of(e));
    double gap;
    size_t n = 0;
    (void)xr_evaluation_mean(e, c->metric, &n);
    if (n > 0) {
        XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "average", ""));
        for (; c->metric; c++)
            XR_TRY(xr_str_printf(out, "%*.2f", COLUMN, 100.0 * xr_evaluation_mean(e, c->metric, &n)));
        XR_TRY(xr_str_printf(out, "   of %zu language%s\n", n, n == 1 ? "" : "s"));
    }
    if (!xr_evaluation_gap(e, xr_report_columns(problem_of(e))->metric, &gap))
        return XR_OK;
    XR_TRY(xr_str_printf(out, "%-*s%7s", NAME, "transfer gap", ""));
    for (c = xr_report_columns(problem_of(e)); c->metric && xr_evaluation_gap(e, c->metric, &gap); c++)
        XR_TRY(xr_str_printf(out, "%*.2f", COLUMN, 100.0 * gap));
    return xr_str_printf(out, "   en minus the mean of the other%s\n", n > 2 ? "s" : "");
}

static xr_status put_footer(const xr_evaluation *e, xr_str *out)
{
    size_t unlabelled = 0;
    for (size_t i = 0; i < e->n; i++)
        unlabelled += !e->v[i].labelled;
    XR_TRY(xr_str_puts(out, "\nprotocol: "));
    XR_TRY(xr_utf8_printable(out, e->o->protocol, strlen(e->o->protocol)));
    XR_TRY(xr_str_printf(out, "\nselection: %s\n", selection));
    if (e->o->max_eval_samples > 0)
        XR_TRY(xr_str_printf(out, "only the first %lld rows of each language\n", e->o->max_eval_samples));
    if (unlabelled)
        XR_TRY(xr_str_printf(out, "-: %zu file%s without gold labels; predictions only\n", unlabelled,
                             unlabelled == 1 ? "" : "s"));
    return XR_OK;
}

static xr_status put_confusion(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_confusion *m = &s->figures.confusion;
    int widest = 8;
    for (int k = 0; k < m->n; k++) {
        int n = (int)xr_utf8_count(e->labels.name[k], strlen(e->labels.name[k]));
        widest = n > widest ? n : widest;
    }
    XR_TRY(xr_str_printf(out, "\n%s: gold label (row) and prediction (column)\n%*s", s->language, widest, ""));
    for (int k = 0; k < m->n; k++)
        XR_TRY(put_cell(out, e->labels.name[k], -(widest + 2)));
    for (int g = 0; g < m->n; g++) {
        XR_TRY(xr_str_putc(out, '\n'));
        XR_TRY(put_cell(out, e->labels.name[g], widest));
        for (int k = 0; k < m->n; k++)
            XR_TRY(xr_str_printf(out, "%*llu", widest + 2, (unsigned long long)m->count[g * m->n + k]));
    }
    return xr_str_putc(out, '\n');
}

xr_status xr_evaluation_table(const xr_evaluation *e, xr_str *out)
{
    XR_TRY(put_heading(e, out));
    for (size_t i = 0; i < e->n; i++)
        XR_TRY(put_row(e, &e->v[i], out));
    XR_TRY(put_summary(e, out));
    XR_TRY(put_footer(e, out));
    for (size_t i = 0; i < e->n && e->o->confusion; i++)
        if (e->v[i].labelled && e->v[i].figures.confusion.count)
            XR_TRY(put_confusion(e, &e->v[i], out));
    return XR_OK;
}

/* ---- JSON ---- */

static json_t *confusion_json(const xr_confusion *m)
{
    json_t *rows = json_array();
    for (int g = 0; g < m->n; g++) {
        json_t *row = json_array();
        for (int k = 0; k < m->n; k++)
            json_array_append_new(row, json_integer((json_int_t)m->count[g * m->n + k]));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* Gold-label figures; null where there are none, so that the keys stay. */
static void add_figures(const xr_evaluation *e, const xr_scored *s, json_t *j)
{
    static const char *const single[] = { "accuracy", "f1_macro", "mcc", "loss", NULL };
    static const char *const value[] = { "pearson", "spearman", "mse", "loss", NULL };
    static const char *const multi[] = { "f1_micro", "exact", "loss", NULL };
    static const char *const tags[] = { "f1", "precision", "recall", "accuracy", "loss", NULL };
    static const char *const *const of[] = {
        [XR_PROBLEM_SINGLE_LABEL] = single, [XR_PROBLEM_REGRESSION] = value, [XR_PROBLEM_MULTI_LABEL] = multi, [XR_PROBLEM_TAGS] = tags
    };
    xr_problem p = problem_of(e);
    for (const char *const *name = of[p]; *name; name++)
        json_object_set_new(j, *name, s->labelled ? json_real(figure(s, *name)) : json_null());
    if (p != XR_PROBLEM_SINGLE_LABEL)
        return;
    const xr_confusion *m = &s->figures.confusion;
    json_object_set_new(j, "majority", s->labelled ? json_real(xr_confusion_majority(m)) : json_null());
    json_object_set_new(j, "confusion", s->labelled ? confusion_json(m) : json_null());
}

static json_t *language_json(const xr_evaluation *e, const xr_scored *s)
{
    json_t *j = json_pack("{ss sI sI}", "file", s->path, "examples", (json_int_t)n_examples(s), "n",
                          (json_int_t)(s->labelled ? s->figures.n : 0));
    if (!j)
        return NULL;
    add_figures(e, s, j);
    if (s->data.words.n_sentences) {
        const xr_entity_counts *c = &s->figures.entities;
        json_object_set_new(j, "words", json_integer((json_int_t)s->data.words.n));
        json_object_set_new(j, "entities", json_pack("{sI sI sI}", "gold", (json_int_t)c->gold, "predicted", (json_int_t)c->predicted, "right",
                                                     (json_int_t)c->right));
    }
    json_object_set_new(j, "tokens", json_integer((json_int_t)s->data.n_tokens));
    json_object_set_new(j, "unk", json_integer((json_int_t)s->data.n_unk));
    json_object_set_new(j, "truncated", json_integer((json_int_t)s->data.n_truncated));
    return j;
}

static json_t *labels_json(const xr_labels *l)
{
    json_t *names = json_array();
    for (int k = 0; k < l->n; k++)
        json_array_append_new(names, json_string(l->name[k]));
    return names;
}

static void add_averages(const xr_evaluation *e, json_t *j)
{
    json_t *average = json_object();
    double gap;
    size_t n = 0;
    const xr_report_column *c = xr_report_columns(problem_of(e));
    for (const xr_report_column *k = c; k->metric; k++) {
        double mean = xr_evaluation_mean(e, k->metric, &n);
        json_object_set_new(average, k->metric, n ? json_real(mean) : json_null());
    }
    json_object_set_new(average, "languages", json_integer((json_int_t)n));
    json_object_set_new(j, "average", average);
    int known = xr_evaluation_gap(e, c->metric, &gap);
    json_object_set_new(j, "transfer_gap", known ? json_real(gap) : json_null());
}

json_t *xr_evaluation_json(const xr_evaluation *e)
{
    const xr_options *o = e->o;
    json_t *j = json_pack("{ss ss ss ss ss sI sI so ss so}", "task", o->task, "split", o->split, "model", o->model,
                          "protocol", o->protocol, "selection", selection, "max_seq_length", (json_int_t)e->max_len,
                          "max_eval_samples", (json_int_t)o->max_eval_samples, "labels", labels_json(&e->labels),
                          "metric", xr_report_columns(problem_of(e))->metric, "languages", json_object());
    if (!j) {
        xr_fail(XR_ESYSTEM, "no memory for the results as JSON, or --protocol is not UTF-8");
        return NULL;
    }
    for (size_t i = 0; i < e->n; i++)
        json_object_set_new(json_object_get(j, "languages"), e->v[i].language, language_json(e, &e->v[i]));
    add_averages(e, j);
    return j;
}

/* ---- files ---- */

static xr_status put_classes(const xr_evaluation *e, const float *z, xr_str *out)
{
    int any = 0;
    for (int k = 0; k < e->labels.n; k++)
        if (z[k] > 0.0f)
            XR_TRY(xr_str_printf(out, "%s%s", any++ ? "," : "", e->labels.name[k]));
    return XR_OK;
}

static xr_status put_prediction(const xr_evaluation *e, const float *z, xr_str *out)
{
    switch (problem_of(e)) {
    case XR_PROBLEM_REGRESSION: XR_TRY(xr_str_float(out, z[0])); break;
    case XR_PROBLEM_MULTI_LABEL: XR_TRY(put_classes(e, z, out)); break;
    case XR_PROBLEM_TAGS:
    case XR_PROBLEM_CHOICE:
    case XR_PROBLEM_SINGLE_LABEL: XR_TRY(xr_str_puts(out, e->labels.name[xr_argmax(z, e->labels.n)])); break;
    }
    return xr_str_putc(out, '\n');
}

static xr_status write_str(const char *dir, const char *name, const xr_str *text)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_file_write(path, text->s ? text->s : "", text->len) : xr_error_status();
    xr_free(path);
    return status;
}

/* A prediction a line; of tagged sentences one a word, with an empty line between sentences. */
static xr_status put_predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const xr_words *w = &s->data.words;
    size_t C = (size_t)e->context->model.config.num_labels, sentence = 1;
    for (size_t i = 0; i < (w->n_sentences ? w->n : s->data.n); i++) {
        if (w->n_sentences && i == w->sentence[sentence]) {
            XR_TRY(xr_str_putc(out, '\n'));
            sentence++;
        }
        XR_TRY(put_prediction(e, s->logits + i * C, out));
    }
    return XR_OK;
}

static xr_status write_predictions(const xr_evaluation *e, const xr_scored *s, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = put_predictions(e, s, &text);
    char *name = xr_asprintf("%s-%s.tsv", e->o->split, s->language);
    if (status == XR_OK)
        status = name ? write_str(dir, name, &text) : xr_error_status();
    xr_free(name);
    xr_str_free(&text);
    return status;
}

static xr_status put_tsv(const xr_evaluation *e, xr_str *out)
{
    const xr_report_column *columns = xr_report_columns(problem_of(e));
    XR_TRY(xr_str_puts(out, "language\tn"));
    for (const xr_report_column *c = columns; c->metric; c++)
        XR_TRY(xr_str_printf(out, "\t%s", c->metric));
    XR_TRY(xr_str_putc(out, '\n'));
    for (size_t i = 0; i < e->n; i++) {
        XR_TRY(xr_str_printf(out, "%s\t%zu", e->v[i].language, n_labelled(&e->v[i])));
        for (const xr_report_column *c = columns; c->metric; c++) {
            XR_TRY(xr_str_putc(out, '\t'));
            if (e->v[i].labelled)
                XR_TRY(xr_str_double(out, figure(&e->v[i], c->metric)));
        }
        XR_TRY(xr_str_putc(out, '\n'));
    }
    return XR_OK;
}

static xr_status write_tables(const xr_evaluation *e, const char *dir)
{
    xr_str tsv = { 0 };
    json_t *j = xr_evaluation_json(e);
    char *path = j ? xr_path_join(dir, "results.json") : NULL;
    xr_status status = path ? xr_json_write(path, j, 2) : xr_error_status();
    if (status == XR_OK)
        status = put_tsv(e, &tsv);
    if (status == XR_OK)
        status = write_str(dir, "results.tsv", &tsv);
    xr_free(path);
    json_decref(j);
    xr_str_free(&tsv);
    return status;
}

xr_status xr_evaluation_write(const xr_evaluation *e, const char *dir)
{
    char *folder = xr_path_join(dir, e->o->task);
    xr_status status = folder ? xr_mkdirs(folder) : xr_error_status();
    for (size_t i = 0; i < e->n && status == XR_OK; i++)
        status = write_predictions(e, &e->v[i], folder);
    xr_free(folder);
    return status < 0 ? status : write_tables(e, dir);
}
