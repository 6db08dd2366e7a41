/* MLQA: questions and passages in seven languages, also crossed. */
#include <string.h>

#include "train/evaluate_qa.h"
#include "util/alloc.h"
#include "util/fs.h"

/* {split}-context-{c}-question-{q}.json: "de" where both are German, else "de-en", the passage's language first. Crossed pairs are scored when
 * --languages is given, and so stay out of the average that papers give. */
static const char *const languages[] = { "en", "es", "de", "ar", "hi", "vi", "zh" };
enum { N = sizeof languages / sizeof *languages };

/* The data set has a folder for each split. */
static char *path_of(const xr_evaluation *e, const char *context, const char *question, int in_split, int packed)
{
    const char *split = e->o->split;
    return xr_asprintf("%s/%s%s%s-context-%s-question-%s.json%s", e->o->data_dir, in_split ? split : "", in_split ? "/" : "", split, context, question,
                       packed ? ".gz" : "");
}

static xr_status add_pair(xr_evaluation *e, const char *context, const char *question, const char *path)
{
    char name[8];
    int same = strcmp(context, question) == 0;
    snprintf(name, sizeof name, "%s%s%s", context, same ? "" : "-", same ? "" : question);
    return xr_evaluate_add(e, name, strlen(name), path, 0);
}

static xr_status find_pair(xr_evaluation *e, const char *context, const char *question)
{
    for (int form = 0; form < 4; form++) {
        char *path = path_of(e, context, question, form >= 2, form % 2);
        int there = path && xr_path_exists(path);
        xr_status status = !path ? xr_error_status() : there ? add_pair(e, context, question, path) : XR_OK;
        xr_free(path);
        if (there || status < 0)
            return status;
    }
    return XR_OK;
}

static xr_status find(xr_evaluation *e)
{
    for (int c = 0; c < N; c++)
        for (int q = 0; q < N; q++)
            if (c == q || e->o->languages)
                XR_TRY(find_pair(e, languages[c], languages[q]));
    XR_TRY(e->n ? XR_OK : xr_evaluate_folder(e));
    return xr_evaluate_choose(e, "{dev,test}-context-{language}-question-{language}.json");
}

/* By the language of the passage, which the answer is cut from. */
static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    char *language = xr_strndup(s->language, strcspn(s->language, "-"));
    const xr_qa_rules *rules = language ? xr_qa_rules_mlqa(language, s->path) : NULL;
    xr_free(language);
    return xr_qa_score_by(e, s, h, rules);
}

static const xr_published_row base_f1[] = {
    { "en", 77.1 }, { "es", 67.4 }, { "de", 60.9 }, { "ar", 54.9 }, { "hi", 59.4 }, { "vi", 64.5 }, { "zh", 61.8 }, { "average", 63.7 }, { 0 }
};
static const xr_published_row base_exact[] = {
    { "en", 64.6 }, { "es", 49.6 }, { "de", 46.7 }, { "ar", 36.6 }, { "hi", 42.9 }, { "vi", 44.7 }, { "zh", 39.3 }, { "average", 46.3 }, { 0 }
};
static const xr_published_row large_f1[] = {
    { "en", 80.6 }, { "es", 74.1 }, { "de", 68.5 }, { "ar", 63.1 }, { "hi", 69.2 }, { "vi", 71.3 }, { "zh", 68.0 }, { "average", 70.7 }, { 0 }
};
static const xr_published_row large_exact[] = {
    { "en", 67.8 }, { "es", 56.0 }, { "de", 53.6 }, { "ar", 43.5 }, { "hi", 51.6 }, { "vi", 50.9 }, { "zh", 45.4 }, { "average", 52.7 }, { 0 }
};
static const xr_published published[] = {
    { "base", "zero-shot transfer", "test", "f1", "fairseq's README of XLM-R", base_f1 },
    { "base", "zero-shot transfer", "test", "exact", "fairseq's README of XLM-R", base_exact },
    { "large", "zero-shot transfer", "test", "f1", "fairseq's README of XLM-R", large_f1 },
    { "large", "zero-shot transfer", "test", "exact", "fairseq's README of XLM-R", large_exact },
    { 0 }
};

const xr_benchmark xr_benchmark_mlqa = {
    .name = "mlqa", .title = "MLQA", .units = "questions", .ending = ".json",
    .scorer = "MLQA's rules for the passage's language (its articles, Unicode punctuation, zh by characters)",
    .options = xr_qa_options,
    .find = find, .open = xr_qa_open, .read = xr_qa_read, .predicted = xr_qa_predicted, .score = score, .columns = xr_qa_columns,
    .main_figure = xr_qa_main_figure, .predictions = xr_qa_predictions_text, .more_files = xr_qa_more_files, .details = xr_qa_details,
    .error = xr_qa_error,
    .published = published, .free = xr_qa_free,
};
