/* Compressed files: gzip, xz, zstd, of several members. The first byte is the size of buffers. */
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "fuzz.h"

enum { MOST = 1 << 22 };    /* of what a small input may grow to */

/* Lines, as a number that stands for them; *errors counts what was damaged. */
static uint64_t read_lines(const char *path, size_t chunk)
{
    char *line;
    size_t len, total = 0;
    uint64_t sum = 0;
    int rc = 0;
    xr_stream_chunk(chunk);
    xr_stream *s = xr_stream_open(path);
    xr_stream_chunk(0);
    while (s && total < MOST && (rc = xr_stream_line(s, &line, &len)) == 1) {
        sum = sum * 31 + xr_xxh64(line, len);
        total += len + 1;
    }
    xr_stream_close(s);
    xr_error_clear();
    return sum * 31 + (uint64_t)-rc;
}

/* Bytes member by member, going on behind damage. */
static uint64_t read_members(const char *path, size_t chunk)
{
    const char *text;
    size_t total = 0;
    uint64_t sum = 0;
    long held;
    int more = 1;
    xr_stream_chunk(chunk);
    xr_stream *s = xr_stream_open(path);
    xr_stream_chunk(0);
    xr_stream_by_member(s, 1);
    while (more && total < MOST) {
        while ((held = xr_stream_peek(s, 1, &text)) > 0 && total < MOST) {
            for (long i = 0; i < held; i++)
                sum = sum * 31 + (unsigned char)text[i];
            total += (size_t)held;
            xr_stream_skip(s, (size_t)held);
        }
        more = held < 0 ? -1 : xr_stream_next_member(s);
        sum = sum * 31 + 1;
        while (more < 0) {
            int go_on = xr_stream_damaged(s);
            xr_error_clear();
            more = go_on ? xr_stream_next_member(s) : 0;
            sum = sum * 31 + 2;
        }
    }
    sum = total < MOST ? sum * 31 + (uint64_t)xr_stream_cut(s) : 0;
    xr_error_clear();
    xr_stream_close(s);
    return sum;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    fuzz_both(read_lines, data + 1, n - 1, 1 + data[0] % 70u);
    fuzz_both(read_members, data + 1, n - 1, 1 + data[0] % 70u);
}

static const char text[] = "one\ntwo, and more, and more, and more\nthree\n";

static size_t gzip_member(unsigned char *to, size_t room)
{
    z_stream z = { 0 };
    if (deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_in = (Bytef *)(uintptr_t)text;
    z.avail_in = sizeof text - 1;
    z.next_out = to;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    deflateEnd(&z);
    return room - z.avail_out;
}

static size_t xz_stream(unsigned char *to, size_t room)
{
    size_t n = 0;
    if (lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, (const uint8_t *)text, sizeof text - 1, to, &n, room) != LZMA_OK)
        abort();
    return n;
}

static size_t zstd_frame(unsigned char *to, size_t room)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, to, room, text, sizeof text - 1);
    ZSTD_freeCCtx(c);
    return n;
}

static void fuzz_seeds(char **argv)
{
    static size_t (*const packers[])(unsigned char *, size_t) = { gzip_member, xz_stream, zstd_frame };
    static const char *const names[] = { "gzip", "xz", "zstd" };
    for (int k = 0; k < 3; k++) {
        unsigned char seed[1200] = { 3 };
        size_t n = 1 + packers[k](seed + 1, 500);
        n += packers[k](seed + n, 500);
        fuzz_seed(argv, names[k], seed, n);
    }
}
