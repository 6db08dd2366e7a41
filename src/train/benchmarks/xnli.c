/* XNLI: pairs of sentences in 15 languages. */
#include <string.h>

#include "data/source.h"
#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_predictions.h"
#include "util/alloc.h"
#include "util/fs.h"

/* ---- XNLI-1.0's one file of all languages ---- */

static xr_status read_languages(xr_evaluation *e, const char *path)
{
    static const xr_columns conventional = { 0 };
    xr_source_reader r;
    xr_record record;
    int got;
    XR_TRY(xr_source_open(&r, path, NULL, &conventional));
    while ((got = xr_source_next(&r, &record)) > 0) {
        const char *language = record.language;
        if (!language)
            got = xr_fail(XR_EDATA, "%s:%zu: no language; expected XNLI-1.0's file with a column 'language'; give a "
                          "folder of %s-{language}.tsv files, or XNLI's own file", path, record.line, e->o->split);
        else if (!xr_evaluate_language(e, language, strlen(language)))
            got = xr_evaluate_add(e, language, strlen(language), path, 1);
        if (got < 0)
            break;
    }
    xr_source_close(&r);
    return got;
}

static xr_status read_xnli_file(xr_evaluation *e)
{
    xr_status status = XR_OK;
    for (int gz = 0; status == XR_OK && gz < 2; gz++) {
        char *path = xr_asprintf("%s/xnli.%s.tsv%s", e->o->data_dir, e->o->split, gz ? ".gz" : "");
        if (!path)
            return xr_error_status();
        if (e->n == 0 && xr_path_exists(path))
            status = read_languages(e, path);
        xr_free(path);
    }
    return status;
}

static xr_status find(xr_evaluation *e)
{
    XR_TRY(xr_evaluate_folder(e));
    if (e->n == 0 && !xr_evaluate_translated(e))
        XR_TRY(read_xnli_file(e));
    char *also = xr_asprintf("xnli.%s.tsv", e->o->split);
    xr_status status = also ? xr_evaluate_choose(e, also) : xr_error_status();
    xr_free(also);
    return status;
}

static xr_status open_model(xr_evaluation *e)
{
    static const char *const nli[] = { "entailment", "neutral", "contradiction" };
    XR_TRY(xr_classes_open(e));
    return xr_classes_need(e, nli, 3, "XNLI", "entailment, neutral and contradiction");
}

/* ---- what was published ---- */

static const xr_published_row base[] = {
    { "en", 85.8 }, { "fr", 79.7 }, { "es", 80.7 }, { "de", 78.7 }, { "el", 77.5 }, { "bg", 79.6 }, { "ru", 78.1 }, { "tr", 74.2 },
    { "ar", 73.8 }, { "vi", 76.5 }, { "th", 74.6 }, { "zh", 76.7 }, { "hi", 72.4 }, { "sw", 66.5 }, { "ur", 68.3 }, { "average", 76.2 }, { 0 }
};
static const xr_published_row large[] = {
    { "en", 89.1 }, { "fr", 84.1 }, { "es", 85.1 }, { "de", 83.9 }, { "el", 82.9 }, { "bg", 84.0 }, { "ru", 81.2 }, { "tr", 79.6 },
    { "ar", 79.8 }, { "vi", 80.8 }, { "th", 78.1 }, { "zh", 80.2 }, { "hi", 76.9 }, { "sw", 73.9 }, { "ur", 73.8 }, { "average", 80.9 }, { 0 }
};
static const xr_published_row base_all[] = {
    { "en", 85.4 }, { "fr", 81.4 }, { "es", 82.2 }, { "de", 80.3 }, { "el", 80.4 }, { "bg", 81.3 }, { "ru", 79.7 }, { "tr", 78.6 },
    { "ar", 77.3 }, { "vi", 79.7 }, { "th", 77.9 }, { "zh", 80.2 }, { "hi", 76.1 }, { "sw", 73.1 }, { "ur", 73.0 }, { "average", 79.1 }, { 0 }
};
static const xr_published_row large_all[] = {
    { "en", 89.1 }, { "fr", 85.1 }, { "es", 86.6 }, { "de", 85.7 }, { "el", 85.3 }, { "bg", 85.9 }, { "ru", 83.5 }, { "tr", 83.2 },
    { "ar", 83.1 }, { "vi", 83.7 }, { "th", 81.5 }, { "zh", 83.7 }, { "hi", 81.6 }, { "sw", 78.0 }, { "ur", 78.1 }, { "average", 83.6 }, { 0 }
};
static const xr_published published[] = {
    { "base", "zero-shot transfer", "test", "accuracy", "Conneau et al. 2020, as ERNIE-M's README repeats it", base },
    { "large", "zero-shot transfer", "test", "accuracy", "Conneau et al. 2020, table 1", large },
    { "base", "translate-train-all", "test", "accuracy", "Conneau et al. 2020, as ERNIE-M's README repeats it", base_all },
    { "large", "translate-train-all", "test", "accuracy", "fairseq's README of XLM-R", large_all },
    { 0 }
};

const xr_benchmark xr_benchmark_xnli = {
    .name = "xnli", .title = "XNLI", .units = "pairs", .ending = ".tsv",
    .options = xr_classes_options,
    .find = find, .open = open_model, .read = xr_classes_read_pairs,
    .predicted = xr_predicted_classes, .score = xr_classes_score, .columns = xr_classes_columns,
    .main_figure = xr_classes_main_figure, .parallel = 1, .translated = 1, .predictions = xr_classes_predictions, .details = xr_classes_details,
    .error = xr_classes_error,
    .confusion = xr_classes_confusion, .published = published, .free = xr_classes_free,
};
