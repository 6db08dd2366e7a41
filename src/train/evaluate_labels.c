/* Whether a model can classify, and what its classes are called. */
#include "train/evaluate.h"
#include "train/qa_options.h"
#include "util/log.h"

xr_status xr_evaluate_check_head(const xr_context *c)
{
    const char *head = c->model.config.head;
    if (xr_config_head_has_labels(head))
        return XR_OK;
    return xr_fail(XR_EDATA, "%s/config.json: the model has %s%s; expected a classifier of texts or words "
                   "(XLMRobertaForSequenceClassification, …ForTokenClassification); train one with: xlmr finetune --task classify|tag --model %s", c->dir,
                   head ? "another head, " : "no head", head ? head : "", c->dir);
}

xr_status xr_evaluate_labels(xr_evaluation *e)
{
    const xr_config *c = &e->context->model.config;
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
    return XR_OK;
}

size_t xr_evaluate_max_len(const xr_context *c, const xr_options *o)
{
    int most = xr_config_max_tokens(&c->model.config);
    long long wanted = o->max_seq_length;
    if (wanted < 0)         /* auto */
        return (size_t)(most < XR_TEXT_MAX_LENGTH ? most : XR_TEXT_MAX_LENGTH);
    if (wanted == 0)
        return (size_t)most;
    if (wanted <= most)
        return (size_t)wanted;
    xr_fail(XR_EUSAGE, "--max-seq-length %lld: the model has positions for %d tokens; give at most %d", wanted, most,
            most);
    return 0;
}

void xr_evaluate_tell_cut(const char *path, uint64_t n_cut, uint64_t n, size_t max_len)
{
    if (n_cut > 0)
        xr_info("%s: %llu of %llu records are longer than %zu tokens; what is behind that was not read", path, (unsigned long long)n_cut,
                (unsigned long long)n, max_len);
}
