/* Fine-tuning as a tagger of words: --task tag. */
#include <string.h>

#include "data/tagged.h"
#include "train/finetune.h"
#include "util/alloc.h"
#include "util/log.h"

static xr_status choose(xr_finetune *f)
{
    const xr_options *o = f->o;
    const char *odd = o->text_column ? "--text-column" : o->text_pair_column ? "--text-pair-column" : o->label_column ? "--label-column"
                      : strcmp(o->format, "auto") != 0 ? "--format" : strcmp(o->problem_type, "auto") != 0 ? "--problem-type" : NULL;
    if (odd)
        return xr_fail(XR_EUSAGE, "%s: --task tag reads lines of a word and its tag, or JSON lines, and predicts one tag a word; leave it out", odd);
    f->problem = XR_PROBLEM_TAGS;
    return XR_OK;
}

static xr_status read(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *o)
{
    return xr_dataset_add_tagged(d, path, f->tokenizer, &f->labels, o);
}

static const char *const *names(const xr_finetune *f) { return (const char *const *)f->labels.name; }
static int is_plain(const xr_finetune *f) { return xr_tags_plain(names(f), f->labels.n); }

/* Names of the model directory's head may be of another kind than those of the data. */
static xr_status check(const xr_finetune *f)
{
    xr_tagset s;
    if (f->labels.n < 2)
        return xr_fail(XR_EDATA, "%s: every word of the training data has the tag '%s'; a tagger needs at least two", f->train_file[0].path,
                       f->labels.n ? f->labels.name[0] : "");
    XR_TRY(xr_tagset_init(&s, names(f), f->labels.n, f->train_file[0].path));
    xr_tagset_free(&s);
    return XR_OK;
}

/* The further pieces of a word with B-TYPE have I-TYPE where there is one, as with transformers' label_all_tokens. */
xr_status xr_finetune_all_pieces(xr_finetune *f)
{
    xr_words *w = &f->train.words;
    if (w->n_sentences == 0)
        return xr_fail(XR_EUSAGE, "--label-all-pieces: only --task tag labels words; leave it out");
    w->inside = xr_alloc((size_t)f->labels.n, sizeof *w->inside);
    if (!w->inside)
        return xr_error_status();
    w->all_pieces = 1;
    for (int k = 0; k < f->labels.n; k++) {
        const char *name = f->labels.name[k];
        w->inside[k] = k;
        for (int i = 0; i < f->labels.n && name[0] == 'B' && xr_tag_kind_of(name) != XR_TAG_PLAIN; i++)
            if (f->labels.name[i][0] == 'I' && strcmp(f->labels.name[i] + 1, name + 1) == 0)
                w->inside[k] = i;
    }
    return XR_OK;
}

static const char *const *metrics(const xr_finetune *f)
{
    static const char *const tags[] = { "f1", "f1_strict", "precision", "recall", "f1_macro", "accuracy", "loss", NULL };
    static const char *const plain[] = { "accuracy", "f1_macro", "loss", NULL };
    return is_plain(f) ? plain : tags;
}

static void put(json_t *j, const xr_figures *g, const char *name)
{
    double value;
    if (xr_figures_named(g, name, &value) == XR_OK)
        json_object_set_new(j, name, xr_json_number(value));
}

static void figures(const xr_finetune *f, const xr_figures *g, json_t *j)
{
    for (const char *const *name = metrics(f); strcmp(*name, "loss") != 0; name++)
        put(j, g, *name);
}

static xr_status collapse(const xr_finetune *f, const xr_figures *g, xr_str *sign)
{
    int only = g->confusion.count ? xr_confusion_single_answer(&g->confusion) : -1;
    if (g->entities.predicted == 0 && g->entities.gold > 0)
        return xr_str_puts(sign, "no entity is predicted, every word is O");
    return only >= 0 ? xr_str_printf(sign, "every word is predicted to be '%s'", f->labels.name[only]) : XR_OK;
}

static xr_status card(const xr_finetune *f, const xr_figures *g, xr_str *s)
{
    if (is_plain(f))
        return xr_str_printf(s, "| accuracy of words | %.4f |\n| macro F1 of tags | %.4f |\n", g->accuracy, g->f1_macro);
    XR_TRY(xr_str_printf(s, "| entity F1 | %.4f |\n| precision | %.4f |\n| recall | %.4f |\n| entity F1, strict (%s) | %.4f |\n| macro F1 of types | %.4f |\n"
                         "| accuracy of words | %.4f |\n", g->f1, g->precision, g->recall, xr_scheme_name(g->scheme), g->f1_strict, g->f1_macro, g->accuracy));
    for (int k = 0; k < g->n_types; k++)
        XR_TRY(xr_str_printf(s, "| F1 of %s (%llu entities) | %.4f |\n", g->type[k].name, (unsigned long long)g->type[k].counts.gold,
                             xr_entities_f1(&g->type[k].counts)));
    return XR_OK;
}

const xr_finetune_task xr_finetune_tag = {
    "tag", "token_cls", "token-classification", "tagger", "sentences", "split", choose, read, check, metrics, xr_finetune_score,
    figures, collapse, card,
};
