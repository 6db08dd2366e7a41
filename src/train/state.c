#include "train/state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/alloc.h"
#include "util/xxh.h"

size_t xr_state_size(xr_state_type type)
{
    return type == XR_STATE_F32 ? sizeof(float) : type == XR_STATE_BF16 ? sizeof(uint16_t) : 8;
}

xr_status xr_state_add(xr_state *s, xr_state_type type, void *data, size_t n, const char *format, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    XR_ASSERT(!xr_state_find(s, name), "state row '%s' declared twice", name);
    XR_TRY(xr_grow(&s->row, &s->cap, s->n + 1, sizeof *s->row));
    char *copy = xr_strdup(name);
    if (!copy)
        return xr_error_status();
    s->row[s->n++] = (xr_state_row){ copy, type, n, data };
    return XR_OK;
}

const xr_state_row *xr_state_find(const xr_state *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->row[i].name, name) == 0)
            return &s->row[i];
    return NULL;
}

void xr_state_free(xr_state *s)
{
    for (size_t i = 0; i < s->n; i++)
        xr_free(s->row[i].name);
    xr_free(s->row);
    memset(s, 0, sizeof *s);
}

xr_status xr_state_digest(const xr_state *s, char hex[33])
{
    xr_xxh *h = xr_xxh_new();
    if (!h)
        return xr_error_status();
    for (size_t i = 0; i < s->n; i++) {
        const xr_state_row *r = &s->row[i];
        if (strncmp(r->name, "log/", 4) == 0)
            continue;
        uint64_t head[2] = { (uint64_t)r->type, r->n };
        xr_xxh_update(h, r->name, strlen(r->name) + 1);
        xr_xxh_update(h, head, sizeof head);
        xr_xxh_update(h, r->data, r->n * xr_state_size(r->type));
    }
    xr_xxh_final(h, hex);
    return XR_OK;
}
