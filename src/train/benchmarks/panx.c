/* PAN-X (WikiANN): entities of tagged words. */
#include "train/evaluate_classes.h"
#include "train/evaluate_words.h"

static xr_status open(xr_evaluation *e)
{
    return xr_words_open(e, XR_WORDS_ENTITIES);
}

const xr_benchmark xr_benchmark_panx = {
    .name = "panx", .title = "PAN-X", .units = "sentences", .ending = ".tsv",
    .find = xr_evaluate_find, .open = open, .read = xr_words_read, .score = xr_words_score, .columns = xr_words_columns,
    .main_figure = xr_words_main_figure, .predictions = xr_words_predictions, .details = xr_words_details, .by_type = xr_words_by_type,
    .free = xr_classes_free,
};
