/* The liblzma border: xz, stream by stream. A stream that carries no check, or one that the library cannot compute, is
 * refused: damage in it would go unseen. */
#include <lzma.h>
#include "util/alloc.h"
#include "util/decode.h"

/* The library's own memory beside the dictionary is below this. */
enum { OVERHEAD = 8 << 20 };

static const char magic[6] = "\xfd" "7zXZ";

typedef struct stream {
    lzma_stream z;
    lzma_allocator memory;
} stream;

static int begins(const unsigned char *p, size_t n, int strict)
{
    (void)strict;
    return xr_decode_magic(p, n, magic, sizeof magic);
}

static void *allocate(void *opaque, size_t n, size_t size)
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
    stream *s = xr_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->memory = (lzma_allocator){ allocate, release, NULL };
    s->z = (lzma_stream)LZMA_STREAM_INIT;
    s->z.allocator = &s->memory;
    return s;
}

static xr_decoded begin(void *state)
{
    stream *s = state;
    lzma_ret rc = lzma_stream_decoder(&s->z, XR_WINDOW_CAP + OVERHEAD, LZMA_TELL_NO_CHECK | LZMA_TELL_UNSUPPORTED_CHECK);
    return rc == LZMA_OK ? XR_DECODE_MORE : XR_DECODE_NO_MEMORY;
}

static xr_decoded verdict(lzma_ret rc, const char **why)
{
    switch (rc) {
    case LZMA_OK:
    case LZMA_BUF_ERROR:
        return XR_DECODE_MORE;
    case LZMA_STREAM_END:
        return XR_DECODE_END;
    case LZMA_MEM_ERROR:
        return XR_DECODE_NO_MEMORY;
    case LZMA_NO_CHECK:
        *why = "it carries no checksum, so damage could not be seen; compress it again (xz --check=crc64)";
        return XR_DECODE_REFUSED;
    case LZMA_UNSUPPORTED_CHECK:
        *why = "it carries a checksum of an unknown kind; compress it again (xz --check=crc64)";
        return XR_DECODE_REFUSED;
    case LZMA_MEMLIMIT_ERROR:
        *why = "it needs more than 128 MiB of memory to read; compress it again (xz -9 or less)";
        return XR_DECODE_REFUSED;
    case LZMA_OPTIONS_ERROR:
        *why = "its filters are not known to this liblzma; decompress it with the tool that made it";
        return XR_DECODE_REFUSED;
    default:
        *why = rc == LZMA_FORMAT_ERROR ? "not the beginning of an xz stream" : "bad data or a wrong checksum";
        return XR_DECODE_BAD;
    }
}

static xr_decoded run(void *state, xr_decode *d)
{
    stream *s = state;
    s->z.next_in = d->in;
    s->z.avail_in = d->n_in;
    s->z.next_out = (uint8_t *)d->out;
    s->z.avail_out = d->n_out;
    lzma_ret rc = lzma_code(&s->z, LZMA_RUN);
    d->in = s->z.next_in;
    d->n_in = s->z.avail_in;
    d->out = (char *)s->z.next_out;
    d->n_out = s->z.avail_out;
    return verdict(rc, &d->why);
}

static void stop(void *state)
{
    stream *s = state;
    if (s)
        lzma_end(&s->z);
    xr_free(s);
}

const xr_decoder xr_decode_xz = { "xz", "stream", "xz -d", 4, begins, start, begin, run, stop };
