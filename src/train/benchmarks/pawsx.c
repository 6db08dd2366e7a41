/* PAWS-X: is one sentence a paraphrase of the other? Seven languages. */
#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_predictions.h"

static xr_status open_model(xr_evaluation *e)
{
    static const char *const binary[] = { "0", "1" };
    XR_TRY(xr_classes_open(e));
    return xr_classes_need(e, binary, 2, "PAWS-X", "0 (no paraphrase) and 1");
}

static const xr_published_row large[] = { { "average", 86.4 }, { 0 } };
static const xr_published published[] = {
    { "large", "zero-shot transfer", "test", "accuracy", "Hu et al. 2020 (XTREME)", large },
    { 0 }
};

const xr_benchmark xr_benchmark_pawsx = {
    .name = "pawsx", .title = "PAWS-X", .units = "pairs", .ending = ".tsv",
    .options = xr_classes_options,
    .find = xr_evaluate_find, .open = open_model, .read = xr_classes_read_pairs,
    .predicted = xr_predicted_classes, .score = xr_classes_score, .columns = xr_classes_columns,
    .main_figure = xr_classes_main_figure, .parallel = 1, .translated = 1, .predictions = xr_classes_predictions, .details = xr_classes_details,
    .error = xr_classes_error,
    .confusion = xr_classes_confusion, .published = published, .free = xr_classes_free,
};
