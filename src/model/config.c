/* An XLM-R configuration: the numbers as rows of a table, presets, copies. Reading and writing the JSON: config_json.c. */
#include "model/config.h"

#include <stdint.h>
#include <string.h>

#include "model/config_fields.h"
#include "util/alloc.h"

#define FIELD(member, required, low, high) { #member, offsetof(xr_config, member), required, low, high }

/* Limits far above any XLM-R, low enough that products fit 64 bits and a forged file cannot ask for a week of memory. Keys that
 * transformers' class defaults would set wrongly for XLM-R (xlmr-facts 1.1) are required. */
const xr_config_int xr_config_ints[] = {
    FIELD(vocab_size, 1, 5, 1 << 24),
    FIELD(hidden_size, 1, 1, 1 << 16),
    FIELD(num_hidden_layers, 1, 1, 1024),
    FIELD(num_attention_heads, 1, 1, 1 << 16),
    FIELD(intermediate_size, 1, 1, 1 << 20),
    FIELD(max_position_embeddings, 1, 3, 1 << 20),
    FIELD(type_vocab_size, 1, 1, 1),
    FIELD(bos_token_id, 0, 0, 1 << 24),
    FIELD(pad_token_id, 0, 1, 1),
    FIELD(eos_token_id, 0, 0, 1 << 24),
    { NULL, 0, 0, 0, 0 }
};

/* The highest values are excluded for probabilities: a dropout of 1 leaves nothing to learn from. */
const xr_config_real xr_config_reals[] = {
    FIELD(layer_norm_eps, 1, 1e-20, 0.1),
    FIELD(hidden_dropout_prob, 0, 0.0, 0.99),
    FIELD(attention_probs_dropout_prob, 0, 0.0, 0.99),
    FIELD(initializer_range, 0, 0.0, 10.0),
    { NULL, 0, 0, 0.0, 0.0 }
};

/* --- checks ------------------------------------------------------------------------------------------------------- */

static xr_status check_int(const xr_config_int *field, int value, const char *where)
{
    if (value >= field->low && value <= field->high)
        return XR_OK;
    if (!strcmp(field->name, "type_vocab_size"))
        return xr_fail(XR_EDATA, "%s: type_vocab_size: found %d, expected 1: XLM-R has one token type; is this another model's file?", where, value);
    if (!strcmp(field->name, "pad_token_id"))
        return xr_fail(XR_EDATA, "%s: pad_token_id: found %d, expected 1: positions of XLM-R start behind it; is this another model's file?", where,
                       value);
    return xr_fail(XR_EDATA, "%s: %s: found %d, expected a whole number from %d to %d; correct the file or get it from its source again", where,
                   field->name, value, field->low, field->high);
}

static xr_status check_real(const xr_config_real *field, float value, const char *where)
{
    if (value >= (float)field->low && value <= (float)field->high)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: %s: found %g, expected a number from %g to %g; correct the file or get it from its source again", where, field->name,
                   (double)value, field->low, field->high);
}

/* Attention dropout numbers the blocks of 8 scores of a text with 32 bits (kernels/dropout.h): beyond, masks would repeat. */
static xr_status check_blocks(const xr_config *c, const char *where)
{
    uint64_t heads = (uint64_t)c->num_attention_heads, tokens = (uint64_t)xr_config_max_tokens(c);
    if (heads * tokens * ((tokens + 7) / 8) <= UINT32_MAX)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: max_position_embeddings %d with num_attention_heads %d: heads x tokens x tokens / 8 is %llu, expected at most %lu, "
                   "what the counter of attention dropout holds; lower max_position_embeddings", where, c->max_position_embeddings,
                   c->num_attention_heads, (unsigned long long)(heads * tokens * ((tokens + 7) / 8)), (unsigned long)UINT32_MAX);
}

static xr_status check_sizes(const xr_config *c, const char *where)
{
    if (c->hidden_size % c->num_attention_heads)
        return xr_fail(XR_EDATA, "%s: hidden_size %d is not divisible by num_attention_heads %d; correct one of them", where, c->hidden_size,
                       c->num_attention_heads);
    if (c->bos_token_id >= c->vocab_size || c->eos_token_id >= c->vocab_size)
        return xr_fail(XR_EDATA, "%s: bos_token_id %d or eos_token_id %d is not below vocab_size %d; correct the ids (XLM-R: 0 and 2)", where,
                       c->bos_token_id, c->eos_token_id, c->vocab_size);
    return check_blocks(c, where);
}

/* Names must differ: predictions are reported by name. */
static xr_status check_labels(const xr_config *c, const char *where)
{
    json_t *seen = json_object();
    xr_status status = seen ? XR_OK : xr_fail(XR_ESYSTEM, "%s: out of memory for labels", where);
    for (int i = 0; i < c->num_labels && status == XR_OK; i++) {
        const json_t *before = json_object_get(seen, c->label[i]);
        if (before)
            status = xr_fail(XR_EDATA, "%s: id2label: %d and %d have the same name '%s'; every label needs its own: rename one", where,
                             (int)json_integer_value(before), i, c->label[i]);
        else if (json_object_set_new(seen, c->label[i], json_integer(i)) < 0)
            status = xr_fail(XR_EDATA, "%s: id2label: the name of %d is not valid UTF-8; correct it", where, i);
    }
    json_decref(seen);
    return status;
}

int xr_config_head_has_labels(const char *head)
{
    return head && (!strcmp(head, "sequence_cls") || !strcmp(head, "token_cls"));
}

xr_problem xr_config_head_problem(const char *head)
{
    return head && !strcmp(head, "multiple_choice") ? XR_PROBLEM_CHOICE : XR_PROBLEM_SINGLE_LABEL;
}

xr_status xr_config_check(const xr_config *c, const char *where)
{
    for (const xr_config_int *field = xr_config_ints; field->name; field++)
        XR_TRY(check_int(field, xr_config_int_get(c, field), where));
    for (const xr_config_real *field = xr_config_reals; field->name; field++)
        XR_TRY(check_real(field, xr_config_real_get(c, field), where));
    if (!(c->classifier_dropout <= 0.99f))
        return xr_fail(XR_EDATA, "%s: classifier_dropout: found %g, expected null or a number from 0 to 0.99; correct it", where,
                       (double)c->classifier_dropout);
    XR_TRY(check_sizes(c, where));
    if (xr_config_head_has_labels(c->head) && c->num_labels < 1)
        return xr_fail(XR_EDATA, "%s: id2label: a model for classification needs at least one label; add id2label", where);
    return check_labels(c, where);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void free_labels(char **label, int n)
{
    for (int i = 0; label && i < n; i++)
        xr_free(label[i]);
    xr_free(label);
}

void xr_config_free(xr_config *c)
{
    free_labels(c->label, c->num_labels);
    xr_free(c->head);
    json_decref(c->extra);
    memset(c, 0, sizeof *c);
}

xr_status xr_config_set_labels(xr_config *c, const char *const *label, int n, xr_problem problem)
{
    XR_ASSERT(n >= 0, "%d labels", n);
    char **copy = xr_alloc((size_t)n, sizeof *copy);
    if (!copy)
        return xr_error_status();
    for (int i = 0; i < n; i++) {
        copy[i] = xr_strdup(label[i]);
        if (!copy[i]) {
            free_labels(copy, n);
            return xr_error_status();
        }
    }
    free_labels(c->label, c->num_labels);
    c->label = copy;
    c->num_labels = n;
    c->problem = problem;
    return XR_OK;
}

xr_status xr_config_copy(xr_config *dst, const xr_config *src)
{
    *dst = *src;
    dst->head = NULL;
    dst->label = NULL;
    dst->num_labels = 0;
    dst->extra = src->extra ? json_deep_copy(src->extra) : NULL;
    if (src->extra && !dst->extra)
        xr_fail(XR_ESYSTEM, "out of memory while copying a configuration");
    else if (src->head && !(dst->head = xr_strdup(src->head)))
        xr_fail_context("copying a configuration");
    else if (xr_config_set_labels(dst, (const char *const *)src->label, src->num_labels, src->problem) == XR_OK)
        return XR_OK;
    xr_config_free(dst);
    return xr_error_status();
}

/* --- presets ------------------------------------------------------------------------------------------------------ */

static const struct preset { const char *name; int layers, hidden, heads, ffn; } presets[] = {
    { "nano", 2, 64, 2, 128 },
    { "mini", 6, 384, 6, 1536 },
    { "base", 12, 768, 12, 3072 },
    { "large", 24, 1024, 16, 4096 },
};
enum { N_PRESETS = sizeof presets / sizeof *presets };

void xr_config_defaults(xr_config *c)
{
    memset(c, 0, sizeof *c);
    c->pad_token_id = 1;
    c->eos_token_id = 2;
    c->hidden_dropout_prob = c->attention_probs_dropout_prob = 0.1f;
    c->initializer_range = 0.02f;
    c->classifier_dropout = -1.0f;
}

xr_status xr_config_preset(xr_config *c, const char *name, int vocab_size)
{
    const struct preset *p = presets;
    while (p < presets + N_PRESETS && strcmp(p->name, name) != 0)
        p++;
    xr_config_defaults(c);
    if (p == presets + N_PRESETS) {
        memset(c, 0, sizeof *c);
        return xr_fail(XR_EUSAGE, "preset '%s': expected one of nano, mini, base, large", name);
    }
    c->vocab_size = vocab_size;
    c->num_hidden_layers = p->layers;
    c->hidden_size = p->hidden;
    c->num_attention_heads = p->heads;
    c->intermediate_size = p->ffn;
    c->max_position_embeddings = 514;
    c->type_vocab_size = 1;
    c->layer_norm_eps = 1e-5f;
    c->head = xr_strdup("masked_lm");
    c->extra = json_object();
    if (c->head && c->extra && xr_config_check(c, name) == XR_OK)
        return XR_OK;
    xr_fail(XR_ESYSTEM, "out of memory for the preset '%s'", name);
    xr_config_free(c);
    return xr_error_status();
}
