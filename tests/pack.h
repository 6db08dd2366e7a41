/* Compressed bytes for tests, made by the libraries themselves. */
#ifndef XR_TESTS_PACK_H
#define XR_TESTS_PACK_H

#include "scratch.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "util/str.h"

/* Puts bytes into the test's one file and gives its path. */
static inline const char *file_of(const void *bytes, size_t n)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/input", scratch);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

/* Appends one gzip member. */
static inline void add_member(xr_str *to, const void *bytes, size_t n, int level)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, n) + 64;
    char *room = malloc(bound);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(xr_str_append(to, room, bound - z.avail_out), XR_OK);
    deflateEnd(&z);
    free(room);
}

/* Appends one xz stream with a dictionary of so many bytes. */
static inline void add_xz_dict(xr_str *to, const void *bytes, size_t n, lzma_check check, uint32_t dict)
{
    lzma_options_lzma options;
    assert_false(lzma_lzma_preset(&options, 0));
    options.dict_size = dict;
    lzma_filter filters[] = { { LZMA_FILTER_LZMA2, &options }, { LZMA_VLI_UNKNOWN, NULL } };
    size_t bound = lzma_stream_buffer_bound(n), got = 0;
    uint8_t *room = malloc(bound);
    assert_int_equal(lzma_stream_buffer_encode(filters, check, NULL, bytes, n, room, &got, bound), LZMA_OK);
    assert_int_equal(xr_str_append(to, (char *)room, got), XR_OK);
    free(room);
}

static inline void add_xz(xr_str *to, const void *bytes, size_t n, lzma_check check)
{
    add_xz_dict(to, bytes, n, check, 1 << 16);
}

/* Appends one zstd frame. window_log 0 = by size. */
static inline void add_zstd_log(xr_str *to, const void *bytes, size_t n, int checksum, int window_log)
{
    size_t bound = ZSTD_compressBound(n) + 64;
    char *room = malloc(bound);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    if (window_log)
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
    ZSTD_inBuffer in = { bytes, n, 0 };
    ZSTD_outBuffer out = { room, bound, 0 };
    if (window_log)
        assert_false(ZSTD_isError(ZSTD_compressStream2(c, &out, &in, ZSTD_e_continue)));
    assert_int_equal(ZSTD_compressStream2(c, &out, &in, ZSTD_e_end), 0);
    assert_int_equal(xr_str_append(to, room, out.pos), XR_OK);
    ZSTD_freeCCtx(c);
    free(room);
}

static inline void add_zstd(xr_str *to, const void *bytes, size_t n)
{
    add_zstd_log(to, bytes, n, 1, 0);
}

#endif
