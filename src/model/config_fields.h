/* The numbers of a configuration as rows, read by its checks, its reader and its writer. */
#ifndef XR_MODEL_CONFIG_FIELDS_H
#define XR_MODEL_CONFIG_FIELDS_H

#include <stddef.h>
#include "model/config.h"

typedef struct xr_config_int { const char *name; size_t offset; int required, low, high; } xr_config_int;
typedef struct xr_config_real { const char *name; size_t offset; int required; double low, high; } xr_config_real;

extern const xr_config_int xr_config_ints[];        /* both end with a NULL name */
extern const xr_config_real xr_config_reals[];

static inline int *xr_config_int_at(xr_config *c, const xr_config_int *f)
{
    return (int *)(void *)((char *)c + f->offset);
}

static inline float *xr_config_real_at(xr_config *c, const xr_config_real *f)
{
    return (float *)(void *)((char *)c + f->offset);
}

static inline int xr_config_int_get(const xr_config *c, const xr_config_int *f)
{
    return *(const int *)(const void *)((const char *)c + f->offset);
}

static inline float xr_config_real_get(const xr_config *c, const xr_config_real *f)
{
    return *(const float *)(const void *)((const char *)c + f->offset);
}

/* Zero, then what may be absent from a file: ids 0, 1, 2, dropouts 0.1, deviation 0.02. */
void xr_config_defaults(xr_config *c);

#endif
