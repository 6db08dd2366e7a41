/* Bounded reading of protobuf bytes: what spm_check.c and spm_write.c know of the format. */
#ifndef XR_DATA_SPM_WIRE_H
#define XR_DATA_SPM_WIRE_H

#include <stdint.h>

enum { XR_WIRE_VARINT = 0, XR_WIRE_64 = 1, XR_WIRE_BYTES = 2, XR_WIRE_32 = 5 };

typedef struct xr_wire { const uint8_t *p, *end; } xr_wire;

typedef struct xr_wire_field {
    uint64_t number, wire, value;   /* value: of a varint or of the fixed types */
    xr_wire bytes;                  /* of XR_WIRE_BYTES */
    xr_wire all;                    /* the field with its tag and length */
} xr_wire_field;

/* Takes the next field of a message that has bytes left. NULL, or what is wrong at s->p. */
const char *xr_wire_next(xr_wire *s, xr_wire_field *f);
/* The same of a message that has been checked, so that nothing can be wrong. */
xr_wire_field xr_wire_take(xr_wire *s);

#endif
