/* TyDi QA's gold passages. The dev files stand for the test set, as in XTREME, whose own test files have no other content. */
#include "train/evaluate_qa.h"
#include "util/alloc.h"
#include "util/fs.h"

/* As the data set is handed out, files lie in a folder by split. */
static xr_status find_split(xr_evaluation *e, const char *split)
{
    char *suffix = xr_asprintf(".%s.json", split), *folder = xr_asprintf("%s/tydiqa-goldp-v1.1-%s", e->o->data_dir, split);
    xr_status status = suffix && folder ? xr_qa_find(e, e->o->data_dir, "tydiqa.goldp.", suffix) : xr_error_status();
    if (status == XR_OK && e->n == 0 && xr_path_is_dir(folder))
        status = xr_qa_find(e, folder, "tydiqa.goldp.", suffix);
    xr_free(suffix);
    xr_free(folder);
    return status;
}

static xr_status find(xr_evaluation *e)
{
    XR_TRY(find_split(e, e->o->split));
    XR_TRY(e->n ? XR_OK : find_split(e, "dev"));
    XR_TRY(e->n ? XR_OK : xr_evaluate_folder(e));
    return xr_evaluate_choose(e, "tydiqa.goldp.{language}.dev.json");
}

const xr_benchmark xr_benchmark_tydiqa = {
    .name = "tydiqa", .title = "TyDi QA (gold passages)", .units = "questions", .ending = ".json",
    .scorer = "SQuAD 1.1's rules (English articles, ASCII punctuation), as XTREME",
    .options = xr_qa_options,
    .find = find, .open = xr_qa_open, .read = xr_qa_read, .predicted = xr_qa_predicted, .score = xr_qa_score_squad1, .columns = xr_qa_columns,
    .main_figure = xr_qa_main_figure, .predictions = xr_qa_predictions_text, .more_files = xr_qa_more_files, .details = xr_qa_details,
    .error = xr_qa_error, .free = xr_qa_free,
};
