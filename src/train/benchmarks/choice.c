/* Users' own questions with choices. */
#include "train/evaluate_choice.h"
#include "train/evaluate_errors.h"

const xr_benchmark xr_benchmark_choice = {
    .name = "choice", .title = NULL, .units = "questions", .ending = ".jsonl",
    .options = xr_choice_options,
    .find = xr_choice_find, .open = xr_choice_open, .read = xr_choice_read, .predicted = xr_choice_predicted, .score = xr_choice_score,
    .columns = xr_choice_columns, .main_figure = xr_choice_main_figure, .predictions = xr_choice_predictions, .error = xr_choice_error,
};
