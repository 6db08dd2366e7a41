/* PAN-X (WikiANN): entities of tagged words. */
#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_words.h"
#include "train/evaluate_predictions.h"

static xr_status open(xr_evaluation *e)
{
    return xr_words_open(e, XR_WORDS_ENTITIES);
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    return xr_words_score(e, s, XR_WORDS_ENTITIES, h);
}

const xr_benchmark xr_benchmark_panx = {
    .name = "panx", .title = "PAN-X", .units = "sentences", .ending = ".tsv",
    .options = xr_words_options,
    .find = xr_evaluate_find, .open = open, .read = xr_words_read, .predicted = xr_predicted_tags, .score = score,
    .columns = xr_words_columns, .main_figure = xr_words_main_figure, .predictions = xr_words_predictions,
    .details = xr_words_details,
    .error = xr_words_error, .by_type = xr_words_by_type, .free = xr_classes_free,
};
