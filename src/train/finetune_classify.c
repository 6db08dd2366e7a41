/* Fine-tuning as a classifier of texts: --task classify. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "data/file_kind.h"
#include "train/finetune.h"
#include "util/log.h"

/* --- data ------------------------------------------------------------------------------------------------------- */

/* Reading twice needs a file; a pipe would give its first lines to the guess and lose them. */
static xr_status check_rereadable(const char *path)
{
    struct stat st;
    if (strcmp(path, "-") != 0 && (stat(path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
        return XR_OK;       /* what cannot be opened is reported by opening it */
    return xr_fail(XR_EUSAGE, "--train-file %s: its labels cannot be looked at beforehand, since it can be read only once; give --problem-type "
                   "single_label, regression or multi_label", path);
}

typedef struct label_survey {
    int fractions, parts, lists, others, commas;    /* parts: fractions that are no whole number; commas: others such as 1,5 */
    size_t fraction_line, other_line;       /* the first of each */
    char other[64];
    int records, like_first;                /* like_first: of the label of line 1, when that is a record */
    char first[64];
} label_survey;

/* "0,25": a number with a decimal comma, or a set of two labels. */
static int has_comma(const char *label)
{
    static const char digits[] = "0123456789";
    label += *label == '-' || *label == '+';
    size_t whole = strspn(label, digits), part = label[whole] == ',' ? strspn(label + whole + 1, digits) : 0;
    return whole && part && label[whole + 1 + part] == '\0';
}

static void survey_label(label_survey *s, const xr_record *r)
{
    double value;
    if (!r->label || r->label[strspn(r->label, " \t\r")] == '\0')       /* the reading proper asks for one */
        return;
    if (s->records++ == 0 && r->line == 1)
        snprintf(s->first, sizeof s->first, "%s", r->label);
    s->like_first += *s->first && strncmp(r->label, s->first, sizeof s->first - 1) == 0;
    if (strchr(r->label, XR_LABEL_SEPARATOR)) {
        s->lists++;
    } else if (xr_parse_double(r->label, &value)) {
        s->parts += value != floor(value);
        if (strchr(r->label, '.') && s->fractions++ == 0)
            s->fraction_line = r->line;
    } else if (strcmp(r->label, "-") != 0) {
        s->commas += has_comma(r->label);
        if (s->others++ > 0)
            return;
        s->other_line = r->line;
        snprintf(s->other, sizeof s->other, "%s", r->label);
    }
}

/* What a user can have meant in more than one way: whichever were taken, the run would be about something else. */
static xr_status check_survey(const label_survey *s, const char *path)
{
    if (s->lists)
        return XR_OK;
    if (s->fractions && s->others)
        return xr_fail(XR_EDATA, "%s:%zu: the label '%s' is not a number, but that of line %zu is one with a fraction: values to predict, or names of "
                       "classes? Say which with --problem-type regression or single_label", path, s->other_line, s->other, s->fraction_line);
    if (s->others && s->commas == s->others)
        return xr_fail(XR_EDATA, "%s:%zu: the label '%s': a value with a decimal comma, a set of two labels, or the name of a class? Write values with a "
                       "decimal point, or give --problem-type multi_label or single_label", path, s->other_line, s->other);
    if (s->fractions && !s->parts)
        xr_warn("%s:%zu: labels such as this one, whole numbers written with a decimal point, are taken for values to predict; if they are classes, give "
                "--problem-type single_label", path, s->fraction_line);
    return XR_OK;
}

/* Regression if every label of the first records is a number and one has a fraction; multi-label if one is a list. */
static xr_status guess_problem(xr_finetune *f)
{
    xr_data_options d;
    xr_source_reader reader;
    xr_record record;
    label_survey s = { 0 };
    const char *path = f->train_file[0].path;
    int got = 0;
    xr_finetune_data_options(f, 1, &d);
    XR_TRY(check_rereadable(path));
    xr_status status = xr_source_open(&reader, path, d.format, &d.columns);
    if (status < 0)
        return status == XR_EDATA ? xr_file_kind_check(path, XR_FILE_CLASSIFY) : status;
    for (int i = 0; i < 200 && (got = xr_source_next(&reader, &record)) > 0; i++)
        survey_label(&s, &record);
    const char *reader_format = reader.source->name;
    xr_source_close(&reader);
    if (got < 0)            /* a bad record is reported by the reading proper */
        xr_error_clear();
    if (s.records > 4 && s.like_first == 1 && strcmp(reader_format, "jsonl") != 0)
        xr_warn("%s:1: the label '%s' of the first row comes only once: is this row a header? Then name the columns with --text-column and --label-column",
                path, s.first);
    XR_TRY(check_survey(&s, path));
    f->problem = s.lists ? XR_PROBLEM_MULTI_LABEL : s.fractions ? XR_PROBLEM_REGRESSION : XR_PROBLEM_SINGLE_LABEL;
    return XR_OK;
}

static xr_status choose(xr_finetune *f)
{
    static const char *const name[] = { "single_label", "regression", "multi_label" };
    const char *wanted = f->o->problem_type;
    if (strcmp(wanted, "auto") == 0)
        return guess_problem(f);
    for (int p = 0; p < 3; p++)
        if (strcmp(wanted, name[p]) == 0)
            f->problem = (xr_problem)p;
    return XR_OK;
}

static xr_status read(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o)
{
    return xr_dataset_add(d, path, f->tokenizer, &f->labels, o);
}

static xr_status check(const xr_finetune *f)
{
    const char *path = f->train_file[0].path;
    if (f->problem == XR_PROBLEM_SINGLE_LABEL && f->labels.n < 2)
        return xr_fail(XR_EDATA, "%s: all training examples have the label '%s'; a classifier needs at least two labels", path,
                       f->labels.n ? f->labels.name[0] : "");
    if (f->problem == XR_PROBLEM_MULTI_LABEL && f->labels.n < 1)
        return xr_fail(XR_EDATA, "%s: no training example has a label; name the label column with --label-column", path);
    return XR_OK;
}

/* --- figures ---------------------------------------------------------------------------------------------------- */

static const char *const *metrics(const xr_finetune *f)
{
    static const char *const single[] = { "accuracy", "f1_macro", "mcc", "auc", "loss", NULL };
    static const char *const value[] = { "loss", "mse", "pearson", "spearman", NULL };
    static const char *const multi[] = { "loss", "f1_micro", "f1_macro", "auc", "exact", NULL };
    return f->problem == XR_PROBLEM_REGRESSION ? value : f->problem == XR_PROBLEM_MULTI_LABEL ? multi : single;
}

/* Collapse: one answer for everything and a loss at ln C, what too high a rate does to XLM-R (xlmr-facts, pain 4). */
static xr_status collapse(const xr_finetune *f, const xr_figures *g, xr_str *sign)
{
    double chance = log((double)f->model.config.num_labels);
    int answer = f->problem == XR_PROBLEM_SINGLE_LABEL ? xr_confusion_single_answer(&g->confusion) : -1;
    if (answer < 0 || fabs(g->loss - chance) >= 0.05 * chance)
        return XR_OK;
    return xr_str_printf(sign, "every prediction is '%s' and the loss %.3f is near ln %d = %.3f", f->model.config.label[answer], g->loss,
                         f->model.config.num_labels, chance);
}

static void figures(const xr_finetune *f, const xr_figures *g, json_t *j)
{
    switch (f->problem) {
    case XR_PROBLEM_SINGLE_LABEL:
        json_object_set_new(j, "accuracy", xr_json_number(g->accuracy));
        json_object_set_new(j, "f1_macro", xr_json_number(g->f1_macro));
        json_object_set_new(j, "mcc", xr_json_number(g->mcc));
        json_object_set_new(j, "auc", xr_json_number(g->auc));
        json_object_set_new(j, "majority", xr_json_number(xr_confusion_majority(&g->confusion)));
        break;
    case XR_PROBLEM_REGRESSION:
        json_object_set_new(j, "pearson", xr_json_number(g->pearson));
        json_object_set_new(j, "spearman", xr_json_number(g->spearman));
        break;
    case XR_PROBLEM_MULTI_LABEL:
        json_object_set_new(j, "f1_micro", xr_json_number(g->f1_micro));
        json_object_set_new(j, "f1_macro", xr_json_number(g->f1_macro));
        json_object_set_new(j, "auc", xr_json_number(g->auc));
        json_object_set_new(j, "exact", xr_json_number(g->exact));
        break;
    case XR_PROBLEM_TAGS:
    case XR_PROBLEM_CHOICE: break;
    }
}

static xr_status card(const xr_finetune *f, const xr_figures *g, xr_str *s)
{
    switch (f->problem) {
    case XR_PROBLEM_SINGLE_LABEL:
        return xr_str_printf(s, "| accuracy | %.4f |\n| macro F1 | %.4f |\n| MCC | %.4f |\n| AUC | %.4f |\n| always the commonest label | %.4f |\n",
                             g->accuracy, g->f1_macro, g->mcc, g->auc, xr_confusion_majority(&g->confusion));
    case XR_PROBLEM_REGRESSION:
        return xr_str_printf(s, "| Pearson | %.4f |\n| Spearman | %.4f |\n", g->pearson, g->spearman);
    case XR_PROBLEM_MULTI_LABEL:
        return xr_str_printf(s, "| micro F1 | %.4f |\n| AUC | %.4f |\n| exact match | %.4f |\n", g->f1_micro, g->auc, g->exact);
    case XR_PROBLEM_TAGS:
    case XR_PROBLEM_CHOICE: break;
    }
    return XR_OK;
}

const xr_finetune_task xr_finetune_classify = {
    "classify", "sequence_cls", "text-classification", "classifier", "examples", "cut", choose, read, check, metrics,
    xr_finetune_score, figures, collapse, card,
};
