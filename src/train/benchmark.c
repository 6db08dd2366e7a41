/* The registry of benchmarks, generated from benchmarks/, and what papers report of them. */
#include "train/benchmark.h"

#include <string.h>

#define XR_REG(name) extern const xr_benchmark xr_benchmark_##name;
#include "benchmarks.inc"
#undef XR_REG
#define XR_REG(name) &xr_benchmark_##name,
const xr_benchmark *const xr_benchmarks[] = {
#include "benchmarks.inc"
    NULL
};

const xr_benchmark *xr_benchmark_find(const char *name)
{
    for (const xr_benchmark *const *b = xr_benchmarks; *b; b++)
        if (strcmp((*b)->name, name) == 0)
            return *b;
    return NULL;
}

/* The published model that has this one's size; NULL = none. */
static const char *size_of(const xr_config *c)
{
    return c->num_hidden_layers == 12 && c->hidden_size == 768    ? "base"
           : c->num_hidden_layers == 24 && c->hidden_size == 1024 ? "large"
                                                                  : NULL;
}

/* "zero-shot" and "zero-shot transfer" are one. */
static int same_protocol(const char *a, const char *b)
{
    static const char zero_shot[] = "zero-shot";
    size_t n = sizeof zero_shot - 1;
    return strcmp(a, b) == 0 || (strncmp(a, zero_shot, n) == 0 && strncmp(b, zero_shot, n) == 0);
}

static const xr_published *find(const xr_evaluation *e, const char *metric, const char *size, const char *protocol)
{
    for (const xr_published *p = e->benchmark->published; p && p->size; p++)
        if (strcmp(p->size, size) == 0 && same_protocol(p->protocol, protocol) && strcmp(p->split, e->o->split) == 0 && strcmp(p->metric, metric) == 0)
            return p;
    return NULL;
}

const xr_published *xr_published_find(const xr_evaluation *e, const char *metric)
{
    const char *size = size_of(&e->context->model.config);
    const xr_published *same = size ? find(e, metric, size, e->o->protocol) : NULL;
    return same || !size ? same : find(e, metric, size, "zero-shot");
}

int xr_published_value(const xr_published *p, const char *language, double *value)
{
    for (const xr_published_row *r = p->row; r->language; r++)
        if (strcmp(r->language, language) == 0) {
            *value = r->value;
            return 1;
        }
    return 0;
}
