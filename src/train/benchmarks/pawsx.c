/* PAWS-X: is one sentence a paraphrase of the other? Seven languages. */
#include <string.h>

#include "train/evaluate_classes.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_predictions.h"
#include "util/alloc.h"
#include "util/fs.h"

/* ---- PAWS-X's own folders: {language}/{split}_2k.tsv ---- */

static xr_status take_folder(const char *path, const char *name, void *context)
{
    xr_evaluation *e = context;
    xr_status status = XR_OK;
    if (!xr_evaluate_is_tag(name, strlen(name)))
        return XR_OK;
    for (int gz = 0; status == XR_OK && gz < 2; gz++) {
        char *file = xr_asprintf("%s/%s_2k.tsv%s", path, e->o->split, gz ? ".gz" : "");
        if (!file)
            return xr_error_status();
        if (xr_path_exists(file) && !xr_evaluate_language(e, name, strlen(name)))
            status = xr_evaluate_add(e, name, strlen(name), file, 0);
        xr_free(file);
    }
    return status;
}

static xr_status find(xr_evaluation *e)
{
    XR_TRY(xr_evaluate_folder(e));
    if (e->n == 0 && !xr_evaluate_translated(e))
        XR_TRY(xr_dir_each(e->o->data_dir, take_folder, e));
    char *also = xr_asprintf("{language}/%s_2k.tsv", e->o->split);
    xr_status status = also ? xr_evaluate_choose(e, also) : xr_error_status();
    xr_free(also);
    return status;
}

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
    .find = find, .open = open_model, .read = xr_classes_read_pairs,
    .predicted = xr_predicted_classes, .score = xr_classes_score, .columns = xr_classes_columns,
    .main_figure = xr_classes_main_figure, .parallel = 1, .translated = 1, .predictions = xr_classes_predictions, .details = xr_classes_details,
    .error = xr_classes_error,
    .confusion = xr_classes_confusion, .published = published, .free = xr_classes_free,
};
