/* Fine-tuning for questions with choices: --task choice. */
#include <math.h>
#include <string.h>

#include "data/choices.h"
#include "train/finetune.h"
#include "util/log.h"

static xr_status choose(xr_finetune *f)
{
    const xr_options *o = f->o;
    const char *odd = o->text_column ? "--text-column" : o->text_pair_column ? "--text-pair-column" : o->label_column ? "--label-column"
                      : o->label_map ? "--label-map" : strcmp(o->problem_type, "auto") != 0 ? "--problem-type"
                      : strcmp(o->format, "auto") != 0 && strcmp(o->format, "jsonl") != 0 ? "--format" : NULL;
    if (odd)
        return xr_fail(XR_EUSAGE, "%s: --task choice reads JSON lines of questions with their choices, and learns which one is right; leave it out", odd);
    if (o->classifier_dropout >= 0.0)
        return xr_fail(XR_EUSAGE, "--classifier-dropout: the head of a multiple-choice model uses --hidden-dropout, as in transformers; give that");
    f->problem = XR_PROBLEM_CHOICE;
    return XR_OK;
}

static xr_status read(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o)
{
    return xr_dataset_add_choices(d, path, f->tokenizer, o);
}

static xr_status check(const xr_finetune *f)
{
    (void)f;
    return XR_OK;
}

static const char *const *metrics(const xr_finetune *f)
{
    static const char *const choice[] = { "accuracy", "loss", NULL };
    (void)f;
    return choice;
}

static void figures(const xr_finetune *f, const xr_figures *g, json_t *j)
{
    (void)f;
    json_object_set_new(j, "accuracy", xr_json_number(g->accuracy));
    json_object_set_new(j, "chance", xr_json_number(g->chance));
}

/* A model that has learned nothing gives every choice the same share. */
static xr_status collapse(const xr_finetune *f, const xr_figures *g, xr_str *sign)
{
    (void)f;
    return fabs(g->loss + log(g->chance)) < 1e-3 ? xr_str_printf(sign, "the loss %.4f is that of equal scores for all choices", g->loss) : XR_OK;
}

static xr_status card(const xr_finetune *f, const xr_figures *g, xr_str *s)
{
    (void)f;
    return xr_str_printf(s, "| accuracy | %.4f |\n| chance | %.4f |\n", g->accuracy, g->chance);
}

const xr_finetune_task xr_finetune_choice = {
    "choice", "multiple_choice", "multiple-choice", "for multiple choice", "questions", "cut", choose, read, check, metrics, xr_finetune_score,
    figures, collapse, card,
};
