/* The zlib border: gzip, member by member (RFC 1952). zlib checks CRC and length when a member ends. */
#include <stdint.h>
#include <zlib.h>
#include "util/alloc.h"
#include "util/decode.h"

static int begins(const unsigned char *p, size_t n, int strict)
{
    int magic = xr_decode_magic(p, n, strict ? "\x1f\x8b\x08" : "\x1f\x8b", strict ? 3 : 2);
    if (magic != 1 || !strict)
        return magic;
    if (n < 10)
        return -1;
    /* Reserved flags are zero, the extra flags 0, 2 or 4, the system one of those listed. */
    return !(p[3] & 0xE0) && !(p[8] & ~6u) && p[8] != 6 && (p[9] <= 13 || p[9] == 255);
}

static void *allocate(void *opaque, uInt n, uInt size)
{
    (void)opaque;
    return xr_alloc(n, size);
}

static void release(void *opaque, void *p)
{
    (void)opaque;
    xr_free(p);
}

static void *start(void)
{
    z_stream *z = xr_alloc(1, sizeof *z);
    if (!z)
        return NULL;
    z->zalloc = allocate;
    z->zfree = release;
    /* 16 + 15: gzip header and trailer only. */
    if (inflateInit2(z, 16 + 15) == Z_OK)
        return z;
    xr_free(z);
    return NULL;
}

static xr_decoded begin(void *state)
{
    inflateReset(state);
    return XR_DECODE_MORE;
}

static uInt at_most(size_t n)
{
    return n < UINT32_MAX ? (uInt)n : UINT32_MAX;
}

static xr_decoded run(void *state, xr_decode *d)
{
    z_stream *z = state;
    uInt n_in = at_most(d->n_in), n_out = at_most(d->n_out);
    z->next_in = (Bytef *)(uintptr_t)d->in;
    z->avail_in = n_in;
    z->next_out = (Bytef *)d->out;
    z->avail_out = n_out;
    int rc = inflate(z, Z_NO_FLUSH);
    d->in += n_in - z->avail_in;
    d->n_in -= n_in - z->avail_in;
    d->out += n_out - z->avail_out;
    d->n_out -= n_out - z->avail_out;
    if (rc == Z_STREAM_END)
        return XR_DECODE_END;
    if (rc == Z_MEM_ERROR)
        return XR_DECODE_NO_MEMORY;
    d->why = z->msg ? z->msg : "bad data";
    return rc == Z_OK || rc == Z_BUF_ERROR ? XR_DECODE_MORE : XR_DECODE_BAD;
}

static void stop(void *state)
{
    if (state)
        inflateEnd(state);
    xr_free(state);
}

const xr_decoder xr_decode_gzip = { "gzip", "member", "gzip -d", 1, begins, start, begin, run, stop };
