/* The registry of heads, generated from heads/. */
#include "model/head.h"

#include <string.h>

#define XR_REG(name) extern const xr_head xr_head_##name;
#include "heads.inc"
#undef XR_REG
#define XR_REG(name) &xr_head_##name,
const xr_head *const xr_heads[] = {
#include "heads.inc"
    NULL
};

xr_status xr_head_declare(xr_model *m, const xr_head_row *row, size_t n)
{
    XR_ASSERT(n <= sizeof m->head_param / sizeof *m->head_param, "a head of %zu rows", n);
    for (size_t i = 0; i < n; i++) {
        m->head_param[i] = xr_params_add(&m->params, row[i].name, row[i].rank, row[i].rows, row[i].cols, row[i].init, row[i].flags | XR_PARAM_HEAD,
                                         m->config.num_hidden_layers + 1);
        if (!m->head_param[i])
            return xr_error_status();
    }
    return XR_OK;
}

const xr_head *xr_head_find(const char *name)
{
    for (const xr_head *const *h = xr_heads; *h; h++)
        if (strcmp((*h)->name, name) == 0)
            return *h;
    return NULL;
}

const xr_head *xr_head_of_architecture(const char *architecture)
{
    for (const xr_head *const *h = xr_heads; *h; h++)
        if (strcmp((*h)->architecture, architecture) == 0)
            return *h;
    return NULL;
}
