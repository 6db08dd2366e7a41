/* The libzstd border: zstd, frame by frame; skippable frames decode to nothing. */
#include <zstd.h>
#include <zstd_errors.h>
#include "util/alloc.h"
#include "util/decode.h"

enum { WINDOW_LOG = 27, DESCRIPTOR = 4, CHECKSUM_FLAG = 4 };     /* RFC 8878, 3.1.1.1.1 */

typedef struct frame {
    ZSTD_DCtx *z;
    size_t at;              /* header bytes seen so far */
    int data;               /* 0 = a skippable frame */
    int no_checksum;
} frame;

static int begins(const unsigned char *p, size_t n, int strict)
{
    (void)strict;
    int data = xr_decode_magic(p, n, "\x28\xb5\x2f\xfd", 4);
    if (data || n == 0)
        return data;
    return (p[0] & 0xF0) == 0x50 ? xr_decode_magic(p + 1, n - 1, "\x2a\x4d\x18", 3) : 0;
}

static void *start(void)
{
    frame *f = xr_alloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->z = ZSTD_createDCtx();
    if (f->z && !ZSTD_isError(ZSTD_DCtx_setParameter(f->z, ZSTD_d_windowLogMax, WINDOW_LOG)))
        return f;
    ZSTD_freeDCtx(f->z);
    xr_free(f);
    return NULL;
}

static xr_decoded begin(void *state)
{
    frame *f = state;
    ZSTD_DCtx_reset(f->z, ZSTD_reset_session_only);
    f->at = 0;
    f->no_checksum = 0;
    return XR_DECODE_MORE;
}

/* Looks at the frame's first five bytes as they pass. */
static void look_at_header(frame *f, const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n && f->at <= DESCRIPTOR; i++, f->at++) {
        if (f->at == 0)
            f->data = p[i] == 0x28;
        if (f->at == DESCRIPTOR)
            f->no_checksum = f->data && !(p[i] & CHECKSUM_FLAG);
    }
}

static xr_decoded verdict(size_t rc, const char **why)
{
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_memory_allocation:
        return XR_DECODE_NO_MEMORY;
    case ZSTD_error_frameParameter_windowTooLarge:
        *why = "it needs a window of more than 128 MiB; decompress it by hand (zstd -d --long=31)";
        return XR_DECODE_REFUSED;
    case ZSTD_error_dictionary_wrong:
        *why = "it needs a dictionary; decompress it by hand (zstd -d -D FILE)";
        return XR_DECODE_REFUSED;
    default:
        *why = ZSTD_getErrorName(rc);
        return XR_DECODE_BAD;
    }
}

static xr_decoded run(void *state, xr_decode *d)
{
    frame *f = state;
    ZSTD_inBuffer in = { d->in, d->n_in, 0 };
    ZSTD_outBuffer out = { d->out, d->n_out, 0 };
    size_t rc = ZSTD_decompressStream(f->z, &out, &in);
    look_at_header(f, d->in, in.pos);
    d->in += in.pos;
    d->n_in -= in.pos;
    d->out += out.pos;
    d->n_out -= out.pos;
    if (ZSTD_isError(rc))
        return verdict(rc, &d->why);
    if (f->no_checksum)
        d->note = "compressed without a checksum (zstd --check writes one), so damage may go unseen";
    return rc ? XR_DECODE_MORE : XR_DECODE_END;
}

static void stop(void *state)
{
    frame *f = state;
    if (f)
        ZSTD_freeDCtx(f->z);
    xr_free(f);
}

const xr_decoder xr_decode_zstd = { "zstd", "frame", "zstd -d", 1, begins, start, begin, run, stop };
