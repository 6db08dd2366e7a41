/* Declaring XLM-R's parameters, under their Hugging Face names (xlmr-facts 1.3), and their life. */
#include "model/model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/init.h"
#include "model/head.h"
#include "util/alloc.h"

/* Declares rows; remembers the first failure, so that declarations read as a list. */
typedef struct declarer {
    xr_params *params;
    int layer;
    xr_status status;
} declarer;

static xr_param *declare(declarer *d, int rank, size_t rows, size_t cols, xr_init init, unsigned flags, const char *format, ...)
    __attribute__((format(printf, 7, 8)));

static xr_param *declare(declarer *d, int rank, size_t rows, size_t cols, xr_init init, unsigned flags, const char *format, ...)
{
    char name[160];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    if (d->status < 0)
        return NULL;
    xr_param *p = xr_params_add(d->params, name, rank, rows, cols, init, flags, d->layer);
    if (!p)
        d->status = xr_error_status();
    return p;
}

/* weight [out, in] and bias [out] of a linear layer. */
static void declare_linear(declarer *d, xr_param **w, xr_param **b, int out, int in, const char *name)
{
    *w = declare(d, 2, (size_t)out, (size_t)in, XR_INIT_NORMAL, 0, "%s.weight", name);
    *b = declare(d, 1, 1, (size_t)out, XR_INIT_ZERO, XR_PARAM_NO_DECAY, "%s.bias", name);
}

static void declare_norm(declarer *d, xr_param **w, xr_param **b, int size, const char *name)
{
    *w = declare(d, 1, 1, (size_t)size, XR_INIT_ONE, XR_PARAM_NO_DECAY, "%s.weight", name);
    *b = declare(d, 1, 1, (size_t)size, XR_INIT_ZERO, XR_PARAM_NO_DECAY, "%s.bias", name);
}

static void declare_embeddings(declarer *d, xr_model *m)
{
    const xr_config *c = &m->config;
    size_t hidden = (size_t)c->hidden_size;
    /* Only look-up touches the table unless the masked-LM head is tied to it. */
    int tied = c->head && strcmp(c->head, "masked_lm") == 0;
    unsigned word = XR_PARAM_PAD_ROW | (tied ? 0u : XR_PARAM_ROW_GRAD);
    m->word = declare(d, 2, (size_t)c->vocab_size, hidden, XR_INIT_NORMAL, word, "roberta.embeddings.word_embeddings.weight");
    m->position = declare(d, 2, (size_t)c->max_position_embeddings, hidden, XR_INIT_NORMAL, XR_PARAM_PAD_ROW,
                          "roberta.embeddings.position_embeddings.weight");
    m->type = declare(d, 2, (size_t)c->type_vocab_size, hidden, XR_INIT_NORMAL, 0, "roberta.embeddings.token_type_embeddings.weight");
    declare_norm(d, &m->norm_w, &m->norm_b, c->hidden_size, "roberta.embeddings.LayerNorm");
}

static void declare_layer(declarer *d, xr_layer *l, const xr_config *c, int index)
{
    char base[64], name[128];
    int hidden = c->hidden_size, ffn = c->intermediate_size;
    snprintf(base, sizeof base, "roberta.encoder.layer.%d", index);
    const struct { xr_param **w, **b; int out, in, norm; const char *name; } row[] = {
        { &l->query_w, &l->query_b, hidden, hidden, 0, "attention.self.query" },
        { &l->key_w, &l->key_b, hidden, hidden, 0, "attention.self.key" },
        { &l->value_w, &l->value_b, hidden, hidden, 0, "attention.self.value" },
        { &l->attn_out_w, &l->attn_out_b, hidden, hidden, 0, "attention.output.dense" },
        { &l->attn_norm_w, &l->attn_norm_b, hidden, 0, 1, "attention.output.LayerNorm" },
        { &l->ffn_in_w, &l->ffn_in_b, ffn, hidden, 0, "intermediate.dense" },
        { &l->ffn_out_w, &l->ffn_out_b, hidden, ffn, 0, "output.dense" },
        { &l->ffn_norm_w, &l->ffn_norm_b, hidden, 0, 1, "output.LayerNorm" },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        snprintf(name, sizeof name, "%s.%s", base, row[i].name);
        if (row[i].norm)
            declare_norm(d, row[i].w, row[i].b, row[i].out, name);
        else
            declare_linear(d, row[i].w, row[i].b, row[i].out, row[i].in, name);
    }
}

static xr_status declare_head(xr_model *m)
{
    if (!m->config.head)
        return XR_OK;
    m->head = xr_head_find(m->config.head);
    if (!m->head)
        return xr_fail(XR_ESOFTWARE, "no head named '%s'", m->config.head);
    return m->head->declare(m);
}

xr_status xr_model_declare(xr_model *m, const xr_config *config)
{
    memset(m, 0, sizeof *m);
    XR_TRY(xr_config_copy(&m->config, config));
    int n = config->num_hidden_layers;
    m->layer = xr_alloc((size_t)n, sizeof *m->layer);
    if (!m->layer)
        return xr_error_status();
    declarer d = { &m->params, 0, XR_OK };
    declare_embeddings(&d, m);
    for (int i = 0; i < n; i++) {
        d.layer = i + 1;
        declare_layer(&d, &m->layer[i], &m->config, i);
    }
    XR_TRY(d.status);
    return declare_head(m);
}

xr_status xr_model_init(xr_model *m, uint64_t seed)
{
    XR_TRY(xr_params_alloc(&m->params));
    for (size_t i = 0; i < m->params.n; i++)
        xr_param_init(m->params.row[i], m->config.initializer_range, seed);
    return XR_OK;
}

xr_status xr_model_init_positions(xr_model *m)
{
    const xr_config *c = &m->config;
    size_t first = (size_t)c->pad_token_id + 1, cols = (size_t)c->hidden_size;
    /* Root mean square over the word rows': louder, as positions have to be told apart before words mean anything (docs/decisions.md). */
    const float loud = 2.5f;
    if (cols % 2)
        return xr_fail(XR_EUSAGE, "hidden_size %d: sinusoidal positions need an even one; leave --position-init out", c->hidden_size);
    xr_fill_sinusoidal(m->position->t.x + first * cols, (size_t)c->max_position_embeddings - first, cols, loud * c->initializer_range * sqrtf(2.0f));
    return XR_OK;
}

void xr_model_pack(xr_model *m, const struct xr_pack_kind *kind)
{
    m->word->pack = kind;
    for (size_t i = 0; i < m->params.n; i++) {
        xr_param *p = m->params.row[i];
        if (p->rank == 2 && p->layer >= 1 && p->layer <= m->config.num_hidden_layers)
            p->pack = kind;
    }
}

void xr_model_free(xr_model *m)
{
    xr_params_free(&m->params);
    xr_config_free(&m->config);
    xr_free(m->layer);
    if (m->mapped)
        munmap(m->mapped, m->mapped_bytes);
    memset(m, 0, sizeof *m);
}
