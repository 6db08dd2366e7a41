#include "train/naming.h"

#include <stdio.h>
#include <string.h>

const xr_param *xr_tensor_param(const xr_model *m, const xr_tensor *n)
{
    for (size_t i = 0; i < m->params.n; i++)
        if (&m->params.row[i]->t == n)
            return m->params.row[i];
    return NULL;
}

/* The first parameter a node reads; *layer: the highest of those of its parameters. */
static const xr_param *first_param(const xr_model *m, const xr_tensor *n, int *layer)
{
    const xr_param *first = NULL;
    *layer = 0;
    for (int k = 0; k < XR_MAX_INPUTS; k++) {
        const xr_param *p = n->in[k] ? xr_tensor_param(m, n->in[k]) : NULL;
        first = first ? first : p;
        *layer = p && p->layer > *layer ? p->layer : *layer;
    }
    return first;
}

/* A node without parameters is in the layer of its inputs; a segment is one layer. */
static int layer_of(const xr_model *m, const xr_tensor *n)
{
    int layer, of_input;
    if (first_param(m, n, &layer))
        return layer;
    for (int k = 0; k < XR_MAX_INPUTS; k++) {
        of_input = n->in[k] && n->in[k]->op ? layer_of(m, n->in[k]) : 0;
        layer = of_input > layer ? of_input : layer;
    }
    return layer + (n->op && strcmp(n->op->name, "segment") == 0);
}

static void place_name(char name[XR_TENSOR_NAME], const xr_model *m, const char *what, int layer)
{
    if (layer == 0)
        snprintf(name, XR_TENSOR_NAME, "%s of roberta.embeddings", what);
    else if (layer > m->config.num_hidden_layers)
        snprintf(name, XR_TENSOR_NAME, "%s of the head", what);
    else
        snprintf(name, XR_TENSOR_NAME, "%s of roberta.encoder.layer.%d", what, layer - 1);
}

void xr_tensor_name(char name[XR_TENSOR_NAME], const xr_model *m, const xr_tensor *n, const xr_tensor *of)
{
    int layer;
    const xr_param *p = xr_tensor_param(m, n);
    if (p) {
        snprintf(name, XR_TENSOR_NAME, "%s", p->name);
        return;
    }
    if (!n->op) {
        place_name(name, m, "input", of ? layer_of(m, of) : 0);
        return;
    }
    p = first_param(m, n, &layer);
    if (!p) {
        place_name(name, m, n->op->name, layer_of(m, n));
        return;
    }
    const char *end = strrchr(p->name, '.');        /* ".weight", ".bias" */
    snprintf(name, XR_TENSOR_NAME, "%s of %.*s", n->op->name, end ? (int)(end - p->name) : (int)strlen(p->name), p->name);
}
