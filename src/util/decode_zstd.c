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
    size_t hint;            /* bytes that the library would like next */
    int full;               /* it may hold output that found no room */
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
    f->no_checksum = f->full = 0;
    f->hint = 1;
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

/* When it meets an error, the library forgets to say what it gave in the same call. So that nothing is lost, and no more or less by the
 * size of buffers, it gets what ends at most one block: the hint is a block and the 3 bytes of the next one's header. */
static size_t portion(const frame *f, size_t n)
{
    size_t most = f->full ? 0 : f->hint > 8 ? f->hint - 3 : 1;
    return n < most ? n : most;
}

static xr_decoded run(void *state, xr_decode *d)
{
    frame *f = state;
    ZSTD_inBuffer in = { d->in, portion(f, d->n_in), 0 };
    ZSTD_outBuffer out = { d->out, d->n_out, 0 };
    size_t rc = ZSTD_decompressStream(f->z, &out, &in);
    look_at_header(f, d->in, in.pos);
    d->in += in.pos;
    d->n_in -= in.pos;
    d->out += out.pos;
    d->n_out -= out.pos;
    if (ZSTD_isError(rc))
        return verdict(rc, &d->why);
    f->hint = rc;
    f->full = d->n_out == 0;
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
