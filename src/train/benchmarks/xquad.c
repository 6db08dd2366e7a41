/* XQuAD: 240 paragraphs of SQuAD's dev set with 1,190 questions, translated into each language. */
#include "train/evaluate_qa.h"

static xr_status find(xr_evaluation *e)
{
    XR_TRY(xr_qa_find(e, e->o->data_dir, "xquad.", ".json"));
    XR_TRY(e->n ? XR_OK : xr_evaluate_folder(e));
    return xr_evaluate_choose(e, "xquad.{language}.json");
}

const xr_benchmark xr_benchmark_xquad = {
    .name = "xquad", .title = "XQuAD", .units = "questions", .ending = ".json", .parallel = 1,
    .scorer = "SQuAD 1.1's rules (English articles, ASCII punctuation), as XTREME",
    .options = xr_qa_options,
    .find = find, .open = xr_qa_open, .read = xr_qa_read, .predicted = xr_qa_predicted, .score = xr_qa_score_squad1, .columns = xr_qa_columns,
    .main_figure = xr_qa_main_figure, .predictions = xr_qa_predictions_text, .more_files = xr_qa_more_files, .details = xr_qa_details,
    .error = xr_qa_error, .free = xr_qa_free,
};
