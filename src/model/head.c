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
