/* Users' own labelled texts or pairs: classes, several labels, or values. */
#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_predictions.h"

const xr_benchmark xr_benchmark_classify = {
    .name = "classify", .title = NULL, .units = "examples", .ending = ".tsv", .translated = 1,
    .options = xr_classes_options,
    .find = xr_evaluate_find, .open = xr_classes_open, .read = xr_classes_read,
    .predicted = xr_predicted_classes, .score = xr_classes_score, .columns = xr_classes_columns,
    .main_figure = xr_classes_main_figure, .predictions = xr_classes_predictions, .details = xr_classes_details,
    .error = xr_classes_error,
    .confusion = xr_classes_confusion, .free = xr_classes_free,
};
