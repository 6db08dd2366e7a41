/* XCOPA: the cause or the effect of a sentence, of two, translated into each language. */
#include "train/evaluate_choice.h"
#include "train/evaluate_errors.h"

const xr_benchmark xr_benchmark_xcopa = {
    .name = "xcopa", .title = "XCOPA", .units = "questions", .ending = ".jsonl", .parallel = 1,
    .options = xr_choice_options,
    .find = xr_choice_find, .open = xr_choice_open, .read = xr_choice_read, .predicted = xr_choice_predicted, .score = xr_choice_score,
    .columns = xr_choice_columns, .main_figure = xr_choice_main_figure, .predictions = xr_choice_predictions, .error = xr_choice_error,
};
