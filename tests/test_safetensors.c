/* Reading and writing safetensors: real files, values of other writers, and every way a header can lie. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "model/safetensors.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/rng.h"
#include "util/str.h"

static char dir[256], path[300];

static int make_dir(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/xlmr-st-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/x.safetensors", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return xr_remove_tree(dir);
}

static void write_bytes(const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* A file of the given header text and n_data bytes of zeros. */
static void write_header(const char *header, size_t len, size_t n_data)
{
    uint64_t n = len;
    char *bytes = calloc(1, 8 + len + n_data + 1);
    assert_non_null(bytes);
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, len);
    write_bytes(bytes, 8 + len + n_data);
    free(bytes);
}

static void expect_refused(xr_status status, const char *message)
{
    long live = xr_alloc_live();
    xr_st_file *f = xr_st_open(path);
    if (f || xr_error_status() != status || !strstr(xr_error_message(), message) || !strstr(xr_error_message(), path))
        fail_msg("expected %d and \"%s\", got %d: %s", status, message, xr_error_status(), xr_error_message());
    assert_null(f);
    xr_error_clear();
    assert_int_equal(xr_alloc_live(), live);
}

static void test_too_short(void **state)
{
    (void)state;
    write_bytes("", 0);
    expect_refused(XR_EDATA, "too short");
    write_bytes("\2\0\0\0\0\0\0", 7);
    expect_refused(XR_EDATA, "too short");
    unlink(path);
    expect_refused(XR_ENOINPUT, "cannot be opened");
}

static void test_header_length(void **state)
{
    (void)state;
    static const uint64_t lengths[] = { 0, 3, 100, 26 << 20, 100000000, (uint64_t)1 << 63, UINT64_MAX };
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char bytes[10] = "????????{}";
        memcpy(bytes, &lengths[i], 8);
        write_bytes(bytes, sizeof bytes);
        expect_refused(XR_EDATA, "header length");
    }
    /* Larger than the cap although the file is large enough. */
    uint64_t n = 26 << 20;
    write_bytes(&n, 8);
    assert_int_equal(truncate(path, 30 << 20), 0);
    expect_refused(XR_EDATA, "header length");
}

static void test_other_kinds(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        { "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1115567652\n", "git lfs pull" },
        { "PK\003\004\0\0\0\0\0\0archive/data.pkl", "convert_hf.py" },
        { "\200\002}q\001X\001\0\0\0a", "convert_hf.py" },
        { "<!DOCTYPE html><html><head>", "HTML" },
        { "<html><body>404</body></html>", "HTML" },
        { "\211HDF\r\n\032\n\0\0\0\0", "HDF5" },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        write_bytes(kinds[i][0], 11);
        if (i == 0 || i == 4)
            write_bytes(kinds[i][0], strlen(kinds[i][0]));
        expect_refused(XR_EDATA, kinds[i][1]);
    }
}

#define T(rest) "{\"a\":{" rest "}}"
#define TAIL "\"dtype\":\"F32\",\"shape\":[2]"

static void test_bad_headers(void **state)
{
    (void)state;
    static const struct { const char *header; size_t data; const char *message; } bad[] = {
        /* text */
        { "not json", 0, "'{' first" },
        { " {}", 0, "'{' first" },
        { "{}\n", 0, "'{' first" },
        { "\xEF\xBB\xBF{}", 0, "'{' first" },
        { "[]", 0, "'{' first" },
        { "{\"a\":}", 0, ": header: not valid JSON" },
        { "{\"a\":1}{}", 0, "not valid JSON" },
        { "{\"\xff\xfe\":{}}", 0, "not valid JSON" },
        { "{\"a\xc3\":{}}", 0, "not valid JSON" },
        /* duplicates */
        { "{\"a\":{" TAIL ",\"data_offsets\":[0,8]},\"a\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "duplicate" },
        { T(TAIL ",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "duplicate" },
        { "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "duplicate" },
        { "{\"__metadata__\":{\"k\":\"v\",\"k\":\"v\"}}", 0, "duplicate" },
        { "{\"\\u0061\":{" TAIL ",\"data_offsets\":[0,8]},\"a\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "duplicate" },
        /* metadata */
        { "{\"__metadata__\":{\"format\":1}}", 0, "__metadata__" },
        { "{\"__metadata__\":\"pt\"}", 0, "__metadata__" },
        { "{\"__metadata__\":{\"a\":{}}}", 0, "nested" },
        { "{\"__metadata__\":{\"a\":{\"b\":{}}}}", 0, "nested" },
        /* form */
        { "{\"a\":1}", 0, "'a'" },
        { "{\"a\":[1]}", 0, "list" },
        { T(TAIL), 8, "exactly" },
        { T(TAIL ",\"data_offsets\":[0,8],\"more\":1"), 8, "exactly" },
        { T(TAIL ",\"data_offset\":[0,8]"), 8, "'a'" },
        /* dtype */
        { T("\"dtype\":\"F31\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "F31" },
        { T("\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "upper case" },
        { T("\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]"), 8, "F64" },
        { T("\"dtype\":\"F8_E4M3\",\"shape\":[8],\"data_offsets\":[0,8]"), 8, "F8_E4M3" },
        { T("\"dtype\":\"F4\",\"shape\":[16],\"data_offsets\":[0,8]"), 8, "F4" },
        { T("\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]"), 8, "dtype" },
        { T("\"dtype\":\"\\u001b[31m\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "dtype" },
        /* offsets */
        { T(TAIL ",\"data_offsets\":[-8,0]"), 8, "data_offsets" },
        { T(TAIL ",\"data_offsets\":[0.0,8.0]"), 8, "data_offsets" },
        { T(TAIL ",\"data_offsets\":[8,0]"), 8, "reversed" },
        { T(TAIL ",\"data_offsets\":[0,16]"), 8, "16" },
        { T(TAIL ",\"data_offsets\":[0]"), 8, "data_offsets" },
        { T(TAIL ",\"data_offsets\":[0,8,8]"), 8, "data_offsets" },
        { T(TAIL ",\"data_offsets\":\"0-8\""), 8, "data_offsets" },
        { T(TAIL ",\"data_offsets\":[0,18446744073709551615]"), 8, "not valid JSON" },
        { T(TAIL ",\"data_offsets\":[0,9223372036854775807]"), 8, "'a'" },
        { "{\"a\":{" TAIL ",\"data_offsets\":[0,8]},\"b\":{" TAIL ",\"data_offsets\":[4,12]}}", 12, "'b'" },
        { "{\"a\":{" TAIL ",\"data_offsets\":[0,8]},\"b\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "overlap" },
        { "{\"a\":{" TAIL ",\"data_offsets\":[0,8]},\"b\":{" TAIL ",\"data_offsets\":[12,20]}}", 20, "gap" },
        { T(TAIL ",\"data_offsets\":[4,12]"), 12, "gap" },
        { T(TAIL ",\"data_offsets\":[0,8]"), 9, "1 bytes follow" },
        { "{}", 4, "4 bytes follow" },
        /* shape */
        { T("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8, "need 12" },
        { T("\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "need 4" },
        { T("\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]"), 8, "shape" },
        { T("\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]"), 8, "shape" },
        { T("\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]"), 8, "shape" },
        { T("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]"), 0, "overflow" },
        { T("\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]"), 0, "overflow" },
        { T("\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,0]"), 0, "overflow" },
        { T("\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]"), 1, "more than 8" },
        /* names */
        { "{\"\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "empty" },
        { "{\"../../etc/passwd\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "path" },
        { "{\"a\\u0007b\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "control" },
        { "{\"a\\u202eb\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "control" },
        { "{\"a\\u0000b\":{" TAIL ",\"data_offsets\":[0,8]}}", 8, "not valid JSON" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_header(bad[i].header, strlen(bad[i].header), bad[i].data);
        expect_refused(XR_EDATA, bad[i].message);
    }
    write_header("{}\0\0", 4, 0);
    expect_refused(XR_EDATA, "'{' first");
}

/* Of the processor, which a busy machine does not lengthen. */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Five seconds, or as many times that as whoever watches the program slows it down (make valgrind). */
static double limit(void)
{
    const char *slower = getenv("XLMR_SLOWER");
    return 5.0 * (slower ? strtod(slower, NULL) : 1.0);
}

/* Headers made to cost time and memory. */
static void test_huge_headers(void **state)
{
    (void)state;
    xr_str b = { 0 };
    double began = seconds();
    xr_str_puts(&b, "{\"a\":{\"dtype\":\"U8\",\"shape\":[1");
    for (int i = 0; i < 1000000; i++)
        xr_str_puts(&b, ",1");
    xr_str_puts(&b, "],\"data_offsets\":[0,1]}}");
    write_header(b.s, b.len, 1);
    expect_refused(XR_EDATA, "more than 8");

    xr_str_clear(&b);
    for (int i = 0; i < 1000000; i++)
        xr_str_putc(&b, i == 0 ? '{' : i == 999999 ? '}' : '[');
    write_header(b.s, b.len, 0);
    expect_refused(XR_EDATA, "list");

    xr_str_clear(&b);
    xr_str_puts(&b, "{\"");
    for (int i = 0; i < 100000; i++)
        xr_str_putc(&b, 'n');
    xr_str_puts(&b, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    write_header(b.s, b.len, 1);
    expect_refused(XR_EDATA, "longer than 512");

    xr_str_clear(&b);
    xr_str_putc(&b, '{');
    for (int i = 0; i < 300000; i++)
        xr_str_printf(&b, "%s\"%d\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[%d,%d]}", i ? "," : "", i, i, i + 1);
    xr_str_putc(&b, '}');
    write_header(b.s, b.len, 300000);
    expect_refused(XR_EDATA, "100000 tensors");

    xr_str_clear(&b);
    xr_str_puts(&b, "{\"__metadata__\":{\"0\":\"\"");
    for (int i = 1; i < 900000; i++)
        xr_str_printf(&b, ",\"%d\":\"\"", i);
    xr_str_puts(&b, "}}");
    write_header(b.s, b.len, 0);
    expect_refused(XR_EDATA, "entries");
    xr_str_free(&b);
    assert_true(seconds() - began < limit());
}

static void test_many_tensors(void **state)
{
    (void)state;
    xr_str b = { 0 };
    double began = seconds();
    xr_str_putc(&b, '{');
    for (int i = 0; i < 100000; i++)
        xr_str_printf(&b, "%s\"t%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}", i ? "," : "", i, 99999 - i, 100000 - i);
    xr_str_putc(&b, '}');
    write_header(b.s, b.len, 100000);
    xr_str_free(&b);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    assert_int_equal(xr_st_count(f), 100000);
    assert_string_equal(xr_st_at(f, 0)->name, "t99999");
    assert_int_equal(xr_st_find(f, "t777")->begin, 99999 - 777);
    xr_st_close(f);
    assert_true(seconds() - began < limit());
}

/* Values by IEEE 754 and the definition of bfloat16; zero-size tensors and scalars; spaces as padding; escaped names. */
static void test_values(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"half\":{\"dtype\":\"F16\",\"shape\":[3,2],\"data_offsets\":[4,16]},"
        "\"one\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
        "\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[4,4]},"
        "\"bf\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[16,24]},"
        "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[24,32]},"
        "\"caf\\u00e9\":{\"dtype\":\"BOOL\",\"shape\":[1],\"data_offsets\":[32,33]}}   ";
    static const uint16_t data[] = { 0x0000, 0x4020, 0x3C00, 0xC000, 0x7BFF, 0x0001, 0x8000, 0xFC00, 0x3F80, 0x4049, 0xFF80, 0x0001 };
    char bytes[1000];
    uint64_t n = sizeof header - 1;
    memcpy(bytes, &n, 8);
    memcpy(bytes + 8, header, n);
    memset(bytes + 8 + n, 0, 33);
    memcpy(bytes + 8 + n, data, sizeof data);
    write_bytes(bytes, 8 + n + 33);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    assert_int_equal(xr_st_count(f), 6);
    float x[6];
    assert_int_equal(xr_st_find(f, "one")->rank, 0);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "one"), x), XR_OK);
    assert_true(x[0] == 2.5f);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "half"), x), XR_OK);
    assert_true(x[0] == 1.0f && x[1] == -2.0f && x[2] == 65504.0f && x[3] == 0x1p-24f && x[4] == 0.0f && signbit(x[4]) && x[5] == -INFINITY);
    assert_int_equal(xr_st_read_part(f, xr_st_find(f, "half"), 2, 2, x), XR_OK);
    assert_true(x[0] == 65504.0f && x[1] == 0x1p-24f);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "bf"), x), XR_OK);
    assert_true(x[0] == 1.0f && x[1] == 3.140625f && x[2] == -INFINITY && x[3] == 0x1p-133f);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "none"), x), XR_OK);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "ids"), x), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "I64"));
    xr_error_clear();
    assert_non_null(xr_st_find(f, "caf\xC3\xA9"));
    assert_null(xr_st_find(f, "tw"));
    assert_null(xr_st_map_f32(f, xr_st_find(f, "half")));
    xr_st_close(f);
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_write_and_map(void **state)
{
    (void)state;
    float a[6] = { 1, -2, 3.5f, 0x1p-149f, INFINITY, 6 }, b[1] = { 7 };
    xr_st_out out[] = { { "z.weight", 2, { 2, 3 }, a }, { "a \"quoted\"\\", 1, { 1, 99 }, b } };
    assert_int_equal(xr_st_write(path, out, 2), XR_OK);
    size_t len, n_header = 0;
    char *bytes = xr_file_read(path, 1 << 20, &len);
    assert_non_null(bytes);
    memcpy(&n_header, bytes, 8);
    assert_int_equal(n_header % 8, 0);
    assert_int_equal(len, 8 + n_header + sizeof a + sizeof b);
    assert_memory_equal(bytes + 8, "{\"__metadata__\":{\"format\":\"pt\"},\"z.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},", 95);
    assert_memory_equal(bytes + 8 + n_header, a, sizeof a);
    xr_free(bytes);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    assert_string_equal(xr_st_at(f, 0)->name, "z.weight");
    assert_string_equal(xr_st_at(f, 1)->name, "a \"quoted\"\\");
    const float *map = xr_st_map_f32(f, xr_st_at(f, 0));
    assert_non_null(map);
    assert_memory_equal(map, a, sizeof a);
    size_t mapped;
    void *taken = xr_st_take_map(f, &mapped);
    assert_int_equal(mapped, len);
    xr_st_close(f);
    assert_memory_equal(map, a, sizeof a);
    assert_int_equal(munmap(taken, mapped), 0);
    assert_int_equal(xr_st_write("/proc/nowhere/x.safetensors", out, 2), XR_ECANTCREAT);
    xr_error_clear();
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_changing_file(void **state)
{
    (void)state;
    float a[1000] = { 0 }, back[1000];
    xr_st_out out = { "a", 1, { 1000, 0 }, a };
    assert_int_equal(xr_st_write(path, &out, 1), XR_OK);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    assert_int_equal(truncate(path, 2000), 0);
    assert_int_equal(xr_st_read_f32(f, xr_st_at(f, 0), back), XR_EIO);
    assert_non_null(strstr(xr_error_message(), "changed while"));
    xr_error_clear();
    assert_null(xr_st_map_f32(f, xr_st_at(f, 0)));
    xr_st_close(f);
}

/* Offsets beyond 4 GiB, in a sparse file. */
static void test_large_file(void **state)
{
    (void)state;
    static const char header[] = "{\"pad\":{\"dtype\":\"U8\",\"shape\":[5000000000],\"data_offsets\":[0,5000000000]},"
                                 "\"x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[5000000000,5000000004]}}";
    write_header(header, strlen(header), 0);
    int fd = open(path, O_WRONLY);
    float x = 0.0f, y = 42.0f;
    off_t end = 8 + (off_t)strlen(header) + 5000000000;
    int written = pwrite(fd, &y, sizeof y, end) == sizeof y;
    close(fd);
    if (!written) {
        puts("no files over 4 GiB here: skipped");
        skip();
    }
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    assert_int_equal(xr_st_read_f32(f, xr_st_find(f, "x"), &x), XR_OK);
    assert_true(x == 42.0f);
    xr_st_close(f);
    unlink(path);
}

static void test_real_files(void **state)
{
    (void)state;
    const char *data = getenv("XLMR_DATA");
    char file[400];
    snprintf(file, sizeof file, "%s/safetensors/bert-lora-adapter.safetensors", data ? data : "../shared/data");
    if (!xr_path_exists(file)) {
        puts("real safetensors files are absent (XLMR_DATA): skipped");
        skip();
    }
    xr_st_file *f = xr_st_open(file);
    assert_non_null(f);
    assert_int_equal(xr_st_count(f), 50);
    uint64_t n = 0;
    for (size_t i = 0; i < xr_st_count(f); i++) {
        const xr_st_tensor *t = xr_st_at(f, i);
        float *x = calloc(xr_st_numel(t), sizeof *x);
        assert_int_equal(xr_st_read_f32(f, t, x), XR_OK);
        for (uint64_t k = 0; k < xr_st_numel(t); k++)
            assert_true(isfinite(x[k]));
        free(x);
        n += xr_st_numel(t);
    }
    xr_st_close(f);
    assert_int_equal(n, 296450);
    snprintf(file, sizeof file, "%s/safetensors/tiny-mlp.safetensors", data ? data : "../shared/data");
    f = xr_st_open(file);
    assert_non_null(f);
    assert_int_equal(xr_st_count(f), 4);
    xr_st_close(f);
}

/* Mutations of a valid file: each is refused with a message or is a file that can be read whole. */
static void test_fuzz(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[24,32]},\"i\":{\"dtype\":\"I32\",\"shape\":[2],\"data_offsets\":[32,40]}} ";
    static const char tokens[] = "{}[],:\"\\0123456789-.eEFBIu \n\0\xff\xc3tfn";
    enum { N = sizeof header - 1, SIZE = 8 + N + 40 };
    xr_philox_key key = xr_rng_key(1, XR_RNG_TEST);
    int accepted = 0, rounds = 100000;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);     /* a disk would make this slow */
    assert_true(fd >= 0);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    for (int round = 0; round < rounds; round++) {
        uint32_t r[4];
        char bytes[SIZE] = { 0 };
        uint64_t n = N;
        memcpy(bytes, &n, 8);
        memcpy(bytes + 8, header, N);
        xr_philox(r, key, (uint32_t)round, 0, 0, 0);
        int edits = 1 + (int)(r[0] % 3);
        for (int e = 0; e < edits; e++) {
            xr_philox(r, key, (uint32_t)round, 1, 0, (uint32_t)e);
            size_t at = r[0] % (8 + N), from = 8 + r[1] % N, len = r[2] % 12;
            if (r[3] % 4 == 0)
                bytes[at] = (char)(bytes[at] ^ (1 << r[2] % 8));
            else if (r[3] % 4 == 1 && at + len < 8 + N && from + len < 8 + N)
                memmove(bytes + at, bytes + from, len);
            else
                bytes[at < 8 && r[1] % 8 ? 8 + at : at] = tokens[r[2] % (sizeof tokens - 1)];
        }
        size_t size = r[3] % 16 == 2 ? r[1] % SIZE : SIZE;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, bytes, size, 0), size);
        xr_st_file *f = xr_st_open(name);
        if (!f) {
            assert_int_equal(xr_error_status(), XR_EDATA);
            assert_non_null(strstr(xr_error_message(), name));
            xr_error_clear();
            continue;
        }
        accepted++;
        for (size_t i = 0; i < xr_st_count(f); i++) {
            float x[64];
            assert_true(xr_st_at(f, i)->end <= 40);
            if (xr_st_is_float(xr_st_at(f, i)->dtype))
                assert_int_equal(xr_st_read_f32(f, xr_st_at(f, i), x), XR_OK);
        }
        xr_st_close(f);
    }
    close(fd);
    assert_int_equal(xr_alloc_live(), 0);
    /* Names and metadata may change harmlessly; most changes must not. */
    assert_in_range(accepted, rounds / 100, rounds / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_too_short), cmocka_unit_test(test_header_length), cmocka_unit_test(test_other_kinds),
        cmocka_unit_test(test_bad_headers), cmocka_unit_test(test_huge_headers), cmocka_unit_test(test_many_tensors),
        cmocka_unit_test(test_values), cmocka_unit_test(test_write_and_map), cmocka_unit_test(test_changing_file),
        cmocka_unit_test(test_large_file), cmocka_unit_test(test_real_files), cmocka_unit_test(test_fuzz),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
