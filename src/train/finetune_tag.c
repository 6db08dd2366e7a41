/* Fine-tuning as a tagger of words: --task tag. */
#include <string.h>

#include "data/tagged.h"
#include "train/finetune.h"
#include "util/log.h"

static xr_status choose(xr_finetune *f)
{
    const xr_options *o = f->o;
    const char *odd = o->text_column ? "--text-column" : o->text_pair_column ? "--text-pair-column" : o->label_column ? "--label-column"
                      : strcmp(o->format, "auto") != 0 ? "--format" : strcmp(o->problem_type, "auto") != 0 ? "--problem-type" : NULL;
    if (odd)
        return xr_fail(XR_EUSAGE, "%s: --task tag reads lines of a word, a TAB and its tag, and predicts one tag a word; leave it out", odd);
    f->problem = XR_PROBLEM_TAGS;
    return XR_OK;
}

static xr_status read(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o)
{
    return xr_dataset_add_tagged(d, path, f->tokenizer, &f->labels, o);
}

/* Names of the model directory's head may be no tags. */
static xr_status check(const xr_finetune *f)
{
    xr_tagset s;
    if (f->labels.n < 2)
        return xr_fail(XR_EDATA, "%s: every word of the training data has the tag '%s'; a tagger needs at least two", f->train_file[0].path,
                       f->labels.n ? f->labels.name[0] : "");
    XR_TRY(xr_tagset_init(&s, (const char *const *)f->labels.name, f->labels.n, f->train_file[0].path));
    xr_tagset_free(&s);
    return XR_OK;
}

static const char *const *metrics(const xr_finetune *f)
{
    static const char *const tags[] = { "f1", "precision", "recall", "accuracy", "loss", NULL };
    (void)f;
    return tags;
}

static void figures(const xr_finetune *f, const xr_figures *g, json_t *j)
{
    (void)f;
    json_object_set_new(j, "f1", xr_json_number(g->f1));
    json_object_set_new(j, "precision", xr_json_number(g->precision));
    json_object_set_new(j, "recall", xr_json_number(g->recall));
    json_object_set_new(j, "accuracy", xr_json_number(g->accuracy));
}

static void warn(const xr_finetune *f, const xr_figures *g)
{
    if (g->entities.predicted == 0 && g->entities.gold > 0)
        xr_warn("step %llu: no entity is predicted: every word is O; early in training that is usual, later the model has collapsed: try another "
                "--learning-rate (now %g) or --seed", (unsigned long long)f->trainer.step, f->o->learning_rate);
}

static xr_status card(const xr_finetune *f, const xr_figures *g, xr_str *s)
{
    (void)f;
    return xr_str_printf(s, "| entity F1 | %.4f |\n| precision | %.4f |\n| recall | %.4f |\n| accuracy of words | %.4f |\n", g->f1, g->precision, g->recall,
                         g->accuracy);
}

const xr_finetune_task xr_finetune_tag = {
    "tag", "token_cls", "token-classification", "tagger", "sentences", "split", choose, read, check, metrics, xr_finetune_score,
    figures, warn, card,
};
