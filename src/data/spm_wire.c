#include "data/spm_wire.h"

#include <stddef.h>

#include "util/error.h"

static const char *varint(xr_wire *s, uint64_t *out)
{
    const uint8_t *p = s->p;
    *out = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (p == s->end)
            return "number runs past the end";
        *out |= (uint64_t)(*p & 0x7F) << shift;
        if (!(*p++ & 0x80)) {
            s->p = p;
            return NULL;
        }
    }
    return "number of more than 64 bits";
}

static const char *fixed(xr_wire *s, size_t n, uint64_t *out)
{
    if ((size_t)(s->end - s->p) < n)
        return "value runs past the end";
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out |= (uint64_t)s->p[i] << (8 * i);
    s->p += n;
    return NULL;
}

static const char *bytes(xr_wire *s, xr_wire *out)
{
    uint64_t len;
    const char *wrong = varint(s, &len);
    if (wrong)
        return wrong;
    if (len > (uint64_t)(s->end - s->p))
        return "field runs past the end";
    *out = (xr_wire){s->p, s->p + len};
    s->p += len;
    return NULL;
}

static const char *value(xr_wire *s, xr_wire_field *f)
{
    switch (f->wire) {
    case XR_WIRE_VARINT: return varint(s, &f->value);
    case XR_WIRE_64: return fixed(s, 8, &f->value);
    case XR_WIRE_32: return fixed(s, 4, &f->value);
    case XR_WIRE_BYTES: return bytes(s, &f->bytes);
    default: return "unknown protobuf wire type";
    }
}

const char *xr_wire_next(xr_wire *s, xr_wire_field *f)
{
    const uint8_t *start = s->p;
    uint64_t tag;
    const char *wrong = varint(s, &tag);
    if (wrong)
        return wrong;
    *f = (xr_wire_field){.number = tag >> 3, .wire = tag & 7};
    if (f->number == 0 || f->number > 0x1FFFFFFF) {
        s->p = start;
        return "no such protobuf field";
    }
    wrong = value(s, f);
    f->all = (xr_wire){start, s->p};
    return wrong;
}

xr_wire_field xr_wire_take(xr_wire *s)
{
    xr_wire_field f;
    const char *wrong = xr_wire_next(s, &f);
    XR_ASSERT(!wrong, "a checked sentencepiece model: %s", wrong);
    return f;
}
