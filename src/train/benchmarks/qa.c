/* Users' own questions in SQuAD's layout, versions 1.1 and 2.0. */
#include "train/evaluate_qa.h"

/* One set of rules for all languages, or their average would mean nothing. */
static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    size_t impossible = 0;
    for (size_t i = 0; i < e->n; i++)
        impossible += e->v[i].data.windows.questions.n_impossible;
    return xr_qa_score_by(e, s, h, impossible ? xr_qa_rules_squad2() : xr_qa_rules_squad1());
}

const xr_benchmark xr_benchmark_qa = {
    .name = "qa", .title = NULL, .units = "questions", .ending = ".json",
    .scorer = "SQuAD 1.1's rules (English articles, ASCII punctuation), or 2.0's where questions have no answer",
    .options = xr_qa_options,
    .find = xr_evaluate_find, .open = xr_qa_open, .read = xr_qa_read, .predicted = xr_qa_predicted, .score = score, .columns = xr_qa_columns,
    .main_figure = xr_qa_main_figure, .predictions = xr_qa_predictions_text, .more_files = xr_qa_more_files, .details = xr_qa_details,
    .error = xr_qa_error, .free = xr_qa_free,
};
