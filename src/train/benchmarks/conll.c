/* CoNLL 2002 and 2003: entities in English, Dutch, Spanish and German. */
#include "train/evaluate_classes.h"
#include "train/evaluate_predictions.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_words.h"

static xr_status open(xr_evaluation *e)
{
    return xr_words_open(e, XR_WORDS_ENTITIES);
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    return xr_words_score(e, s, XR_WORDS_ENTITIES, h);
}

/* Trained on English alone, and on the training sets of all four. */
static const xr_published_row base[] = { { "en", 92.25 }, { "nl", 78.08 }, { "es", 76.53 }, { "de", 69.60 }, { "average", 79.11 }, { 0 } };
static const xr_published_row large[] = { { "en", 92.92 }, { "nl", 80.80 }, { "es", 78.64 }, { "de", 71.40 }, { "average", 80.94 }, { 0 } };
static const xr_published_row base_all[] = { { "en", 91.08 }, { "nl", 89.09 }, { "es", 87.28 }, { "de", 83.17 }, { "average", 87.66 }, { 0 } };
static const xr_published_row large_all[] = { { "en", 92.00 }, { "nl", 91.60 }, { "es", 89.52 }, { "de", 84.60 }, { "average", 89.43 }, { 0 } };
static const xr_published published[] = {
    { "base", "zero-shot transfer", "test", "f1", "Conneau et al. 2020, as ERNIE-M's README repeats it", base },
    { "large", "zero-shot transfer", "test", "f1", "Conneau et al. 2020, as ERNIE-M's README repeats it", large },
    { "base", "train-all", "test", "f1", "Conneau et al. 2020, as ERNIE-M's README repeats it", base_all },
    { "large", "train-all", "test", "f1", "Conneau et al. 2020, as ERNIE-M's README repeats it", large_all },
    { 0 }
};

const xr_benchmark xr_benchmark_conll = {
    .name = "conll", .title = "CoNLL NER", .units = "sentences", .ending = ".tsv",
    .options = xr_words_options,
    .find = xr_evaluate_find, .open = open, .read = xr_words_read, .predicted = xr_predicted_tags, .score = score, .columns = xr_words_columns,
    .main_figure = xr_words_main_figure, .predictions = xr_words_predictions, .details = xr_words_details,
    .error = xr_words_error, .by_type = xr_words_by_type,
    .published = published, .free = xr_classes_free,
};
