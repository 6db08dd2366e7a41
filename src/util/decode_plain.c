/* Files that are not compressed: one member to the end of the file, which needs no decoding. */
#include <string.h>
#include "util/decode.h"

int xr_decode_magic(const unsigned char *p, size_t n, const void *magic, size_t n_magic)
{
    if (memcmp(p, magic, n < n_magic ? n : n_magic))
        return 0;
    return n < n_magic ? -1 : 1;
}

static int begins(const unsigned char *p, size_t n, int strict)
{
    (void)p, (void)n;
    return !strict;
}

static void *start(void)
{
    static char nothing;
    return &nothing;
}

static xr_decoded begin(void *state)
{
    (void)state;
    return XR_DECODE_MORE;
}

static void stop(void *state)
{
    (void)state;
}

const xr_decoder xr_decode_plain = { NULL, "file", NULL, 0, begins, start, begin, NULL, stop };
