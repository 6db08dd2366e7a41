/* Tagged words of the user's own: entities, or plain tags, as the model's labels are. */
#include "train/evaluate_classes.h"
#include "train/evaluate_predictions.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_words.h"

static xr_status open(xr_evaluation *e)
{
    return xr_words_open(e, XR_WORDS_ANY);
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    return xr_words_score(e, s, XR_WORDS_ANY, h);
}

const xr_benchmark xr_benchmark_tag = {
    .name = "tag", .units = "sentences", .ending = ".tsv",
    .options = xr_words_options,
    .find = xr_evaluate_find, .open = open, .read = xr_words_read, .predicted = xr_predicted_tags, .score = score,
    .columns = xr_words_columns, .main_figure = xr_words_main_figure, .predictions = xr_words_predictions,
    .details = xr_words_details,
    .error = xr_words_error, .by_type = xr_words_by_type, .confusion = xr_classes_confusion, .free = xr_classes_free,
};
