#include "train/setup.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/packed.h"
#include "util/log.h"

xr_status xr_setup_check_vocabulary(const xr_tokenizer *t, const xr_config *c)
{
    int ids = xr_tokenizer_vocab_size(t);
    if (ids == c->vocab_size)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: the tokenizer has %d ids (%d sentencepiece pieces and 2), the model has vocab_size %d, the rows of its word embedding; "
                   "they do not belong together: take the tokenizer that the model was made with", xr_tokenizer_path(t), ids, ids - 2, c->vocab_size);
}

void xr_setup_dropout(xr_config *c, const xr_options *o)
{
    if (o->hidden_dropout >= 0.0)
        c->hidden_dropout_prob = (float)o->hidden_dropout;
    if (o->attention_dropout >= 0.0)
        c->attention_probs_dropout_prob = (float)o->attention_dropout;
}

/* Other CPUs can give the same bits (docs/decisions.md), so a run may go on elsewhere: slow is no reason to refuse. */
static void warn_slow(const xr_pack_kind *kind)
{
    if (kind == &xr_pack_bf16 && xr_cpu_isa() > xr_cpu_best())
        xr_warn("precision bf16: no AMX on this CPU, whose sums XR_ISA asks for: the results are the same as there, but f32 is faster here");
    else if (kind == &xr_pack_bf16 && (!xr_cpu_has_bf16() || xr_cpu_isa() < XR_ISA_AVX512))
        xr_warn("precision bf16: no AVX512-BF16 %s: the results are the same, but f32 is faster here",
                xr_cpu_has_bf16() ? "in the kernels that XR_ISA asks for" : "on this CPU");
    if (kind == &xr_pack_int8 && xr_cpu_isa() == XR_ISA_PORTABLE)
        xr_warn("precision int8: the portable kernels are the reference for others; the results are the same, but f32 is faster here");
}

/* The kind of that name; NULL with `known` 1 is plain f32. */
static const xr_pack_kind *find_kind(const char *name, int *known)
{
    static const xr_pack_kind *const kinds[] = {NULL, &xr_pack_bf16, &xr_pack_int8};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (strcmp(name, kinds[k] ? kinds[k]->name : "f32") == 0) {
            *known = 1;
            return kinds[k];
        }
    *known = 0;
    return NULL;
}

/* The decoder of masked words stays f32 in int8: a copy of 250,002 rows takes longer than their product with a few masks. */
xr_status xr_setup_precision(xr_model *m, const char *name)
{
    int known;
    const xr_pack_kind *kind = find_kind(name, &known);
    if (!known)
        return xr_fail(XR_EUSAGE, "precision \"%s\" is not known; give f32, bf16 or int8", name);
    int widest = m->config.intermediate_size > m->config.hidden_size ? m->config.intermediate_size : m->config.hidden_size;
    if (kind == &xr_pack_int8 && widest > XR_INT8_MOST)
        return xr_fail(XR_EUSAGE, "precision int8: sums over %d numbers, of layers this wide, may not fit 32 bits; %d at most do; "
                       "take f32 or bf16", widest, XR_INT8_MOST);
    xr_model_pack(m, kind);
    if (kind == &xr_pack_int8)
        m->word->pack = NULL;
    warn_slow(kind);
    return XR_OK;
}

int xr_setup_trains(const xr_model *m)
{
    const xr_pack_kind *kind = m->layer[0].query_w->pack;
    return !kind || kind->weight_grad;
}

xr_status xr_setup_freeze(xr_model *m, const xr_options *o)
{
    int layers = m->config.num_hidden_layers;
    if (o->freeze_layers > layers)
        return xr_fail(XR_EUSAGE, "--freeze-layers %lld: the model has %d layers", o->freeze_layers, layers);
    for (size_t i = 0; i < m->params.n; i++) {
        xr_param *p = m->params.row[i];
        int embedding = p->layer == 0 && (o->freeze_embeddings || o->freeze_layers > 0);
        if (embedding || (p->layer >= 1 && p->layer <= o->freeze_layers)) {
            p->flags |= XR_PARAM_FROZEN;
            p->t.needs = 0;
        }
    }
    return XR_OK;
}

xr_status xr_setup_warmup(const xr_options *o, uint64_t total_steps, uint64_t *warmup)
{
    *warmup = o->warmup_steps > 0 ? (uint64_t)o->warmup_steps : (uint64_t)ceil(o->warmup_ratio * (double)total_steps);
    if (*warmup > total_steps)
        return xr_fail(XR_EUSAGE, "--warmup-steps %llu is more than the %llu updates of the run", (unsigned long long)*warmup,
                       (unsigned long long)total_steps);
    return XR_OK;
}

xr_moments xr_setup_moments(const xr_options *o) { return strcmp(o->moments, "bf16") == 0 ? XR_MOMENTS_BF16 : XR_MOMENTS_F32; }

xr_optim_options xr_setup_optim(const xr_options *o, uint64_t total_steps, uint64_t warmup)
{
    return (xr_optim_options){ .rule = o->optimizer, .schedule = o->lr_scheduler, .learning_rate = o->learning_rate, .weight_decay = o->weight_decay,
                               .beta1 = o->adam_beta1, .beta2 = o->adam_beta2, .eps = o->adam_epsilon, .max_grad_norm = o->max_grad_norm,
                               .layer_decay = o->layer_decay, .total_steps = total_steps, .warmup_steps = warmup, .decay_all = o->decay_all,
                               .lr_power = o->lr_power, .lr_end = o->lr_end, .moments = xr_setup_moments(o),
                               .seed = (uint64_t)o->seed };
}

double xr_setup_memory_mb(const xr_trainer *t, const xr_options *o, size_t word_rows)
{
    const xr_params *ps = &t->model->params;
    double floats = (double)xr_params_count(ps), moments = xr_rule_find(o->optimizer)->n_moments;
    moments *= xr_setup_moments(o) == XR_MOMENTS_BF16 ? 0.5 : 1.0;
    for (size_t i = 0; i < ps->n; i++) {
        const xr_tensor *p = &ps->row[i]->t;
        size_t rows = p->rowgrad && t->model->word == ps->row[i] ? word_rows : p->rows;
        if (p->needs)
            floats += (double)(rows * p->cols) * (1.0 + moments);
    }
    return (floats * sizeof(float) + (double)t->reserve) / 1048576.0;
}
