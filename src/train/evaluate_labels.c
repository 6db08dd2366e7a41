/* Whether a model can classify, and what its classes are called. */
#include <string.h>

#include "train/evaluate.h"
#include "util/alloc.h"

static const char *const nli[] = { "entailment", "neutral", "contradiction" };
enum { N_NLI = sizeof nli / sizeof *nli };

xr_status xr_evaluate_check_head(const xr_context *c)
{
    const char *head = c->model.config.head;
    if (xr_config_head_has_labels(head))
        return XR_OK;
    return xr_fail(XR_EDATA, "%s/config.json: the model has %s%s; expected a classifier of texts or words "
                   "(XLMRobertaForSequenceClassification, …ForTokenClassification); train one with: xlmr finetune --model %s", c->dir,
                   head ? "another head, " : "no head", head ? head : "", c->dir);
}

static xr_status fail_not_nli(const xr_evaluation *e)
{
    char *names = xr_labels_list(&e->labels);
    const char *first = e->context->model.config.label[0];
    xr_fail(XR_EDATA, "%s/config.json: the model's labels (id2label) are: %s; XNLI needs exactly entailment, neutral "
            "and contradiction; if they mean these, say which is which, as the model was trained: "
            "--label-map %s=NAME,…", e->context->dir, names ? names : "?", first);
    xr_free(names);
    return xr_error_status();
}

static int is_nli(const xr_labels *l)
{
    int found = 0;
    for (int k = 0; k < N_NLI; k++)
        found += xr_labels_find(l, nli[k]) >= 0;
    return found == N_NLI && l->n == N_NLI;
}

/* A tagger for panx, a classifier for the other tasks. */
static xr_status check_task(const xr_evaluation *e)
{
    int tagger = e->context->model.config.problem == XR_PROBLEM_TAGS, panx = strcmp(e->o->task, "panx") == 0;
    if (panx && e->o->confusion)
        return xr_fail(XR_EUSAGE, "--confusion: --task panx counts entities, which are no classes; leave it out");
    if (tagger == panx)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "--task %s: %s has a head that classifies %s; %s", e->o->task, e->context->dir, tagger ? "words" : "texts",
                   tagger ? "score it with --task panx" : "train a tagger with: xlmr finetune --task tag");
}

xr_status xr_evaluate_labels(xr_evaluation *e)
{
    const xr_config *c = &e->context->model.config;
    XR_TRY(check_task(e));
    if (e->o->label_map)
        XR_TRY(xr_labels_map(&e->labels, e->o->label_map));
    for (int k = 0; k < c->num_labels; k++) {
        const char *name = xr_labels_resolve(&e->labels, c->label[k]);
        int id = xr_labels_add(&e->labels, name);
        if (id >= 0 && id < k)
            return xr_fail(XR_EDATA, "%s/config.json: the labels '%s' and '%s' are both read as '%s'; expected "
                           "different names; correct --label-map, or id2label", e->context->dir, c->label[id],
                           c->label[k], name);
        XR_TRY(id < 0 ? (xr_status)id : XR_OK);
    }
    if (strcmp(e->o->task, "xnli") == 0 && (c->problem != XR_PROBLEM_SINGLE_LABEL || !is_nli(&e->labels)))
        return fail_not_nli(e);
    return XR_OK;
}

size_t xr_evaluate_max_len(const xr_context *c, const xr_options *o)
{
    int most = xr_config_max_tokens(&c->model.config);
    long long wanted = o->max_seq_length;
    if (wanted == 0 || (wanted > most && xr_options_origin(o, "max_seq_length").kind == XR_FROM_DEFAULT))
        return (size_t)most;
    if (wanted <= most)
        return (size_t)wanted;
    xr_fail(XR_EUSAGE, "--max-seq-length %lld: the model has positions for %d tokens; give at most %d", wanted, most,
            most);
    return 0;
}
