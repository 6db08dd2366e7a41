/* Parts of speech of the Universal Dependencies: tags of words as classes, and XTREME's own score beside them.
 *
 * XTREME's evaluate.py hands the tags to seqeval's entity F1, which takes their first letter for a prefix, so that neighbours with the same tag are one
 * entity. It asks for no version of seqeval. f1_xtreme is what version 1.2.2 gives, f1_xtreme_2020 what 0.0.12 gives, the newest when XTREME's
 * paper appeared; they differ where the rest of two tags is the same (SCONJ, CCONJ). */
#include "train/evaluate_classes.h"
#include "train/evaluate_predictions.h"
#include "train/evaluate_errors.h"
#include "train/evaluate_words.h"
#include "util/alloc.h"

static xr_status open(xr_evaluation *e)
{
    return xr_words_open(e, XR_WORDS_PLAIN);
}

static xr_status raw_f1(const xr_evaluation *e, const xr_scored *s, const int32_t *predicted, xr_raw_version version, double *f1)
{
    const xr_words *w = &s->data.words;
    xr_entity_counts c = { 0 };
    XR_TRY(xr_entities_count_raw(&c, (const char *const *)e->labels.name, e->labels.n, version, w->tag, predicted, w->sentence, w->n_sentences));
    *f1 = xr_entities_f1(&c);
    return XR_OK;
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    double now = 0.0, then = 0.0;
    XR_TRY(xr_words_score(e, s, XR_WORDS_PLAIN, h));
    if (!s->labelled)
        return XR_OK;
    int32_t *predicted = xr_words_predicted(e, s);
    xr_status status = predicted ? raw_f1(e, s, predicted, XR_RAW_SEQEVAL_1, &now) : xr_error_status();
    if (status == XR_OK)
        status = raw_f1(e, s, predicted, XR_RAW_SEQEVAL_0, &then);
    xr_free(predicted);
    XR_TRY(status);
    xr_scored_set(s, "f1_xtreme", now);
    xr_scored_set(s, "f1_xtreme_2020", then);
    return XR_OK;
}

static const xr_report_column *columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "accuracy", "accuracy" }, { "f1_macro", "macro F1" }, { "f1_xtreme", "XTREME F1" },
                                              { "f1_xtreme_2020", NULL }, { "loss", NULL }, { 0 } };
    (void)e;
    return shown;
}

const xr_benchmark xr_benchmark_udpos = {
    .name = "udpos", .title = "UDPOS", .units = "sentences", .ending = ".tsv",
    .options = xr_words_options,
    .find = xr_evaluate_find, .open = open, .read = xr_words_read, .predicted = xr_predicted_tags, .score = score, .columns = columns,
    .main_figure = xr_words_main_figure, .predictions = xr_words_predictions, .details = xr_words_details,
    .error = xr_words_error, .by_type = xr_words_by_type,
    .confusion = xr_classes_confusion, .free = xr_classes_free,
};
