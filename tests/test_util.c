/* The bottom layer: errors, memory, strings, numbers, UTF-8, random numbers, digests, notes. */
#include "scratch.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <sys/mman.h>

#include "kernels/init.h"
#include "util/alloc.h"
#include "util/arena.h"
#include "util/half.h"
#include "util/json.h"
#include "util/log.h"
#include "util/rng.h"
#include "util/str.h"
#include "util/utf8.h"
#include "util/xxh.h"

static void test_first_cause_wins(void **state)
{
    (void)state;
    char big[6000];
    assert_int_equal(xr_error_status(), XR_OK);
    assert_string_equal(xr_error_message(), "");
    assert_int_equal(xr_fail_context("nothing is pending"), XR_OK);
    assert_int_equal(xr_fail(XR_EDATA, "first %d", 1), XR_EDATA);
    assert_int_equal(xr_fail(XR_EIO, "second"), XR_EDATA);
    assert_int_equal(xr_fail_context("file %s", "f"), XR_EDATA);
    assert_string_equal(xr_error_message(), "file f: first 1");
    xr_error_clear();
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    xr_fail(XR_EIO, "%s", big);
    assert_int_equal(strlen(xr_error_message()), 4095);
    assert_string_equal(xr_error_message() + 4092, "...");
    xr_fail_context("%s", big);
    assert_int_equal(strlen(xr_error_message()), 4095);
    assert_string_equal(xr_error_message() + 4092, "...");
}

static void test_allocation(void **state)
{
    (void)state;
    long before = xr_alloc_live();
    unsigned char *p = xr_alloc(1000, 3);
    for (size_t i = 0; i < 3000; i++)
        assert_int_equal(p[i], 0);
    assert_non_null(p = xr_realloc(p, 5000, 3));
    assert_int_equal(xr_alloc_live(), before + 1);
    void *nothing = xr_alloc(0, 8);
    assert_non_null(nothing);
    xr_free(nothing);
    xr_free(NULL);
    assert_null(xr_alloc(SIZE_MAX / 2, 3));
    expect_error(XR_ESYSTEM, "out of memory");
    assert_null(xr_realloc(p, SIZE_MAX, 1));
    expect_error(XR_ESYSTEM, "out of memory");
    xr_free(p);
    assert_int_equal(xr_alloc_live(), before);
}

static void test_failure_hook(void **state)
{
    (void)state;
    xr_alloc_fail_after(1);
    void *p = xr_alloc(1, 1), *q = xr_alloc(1, 1), *m = xr_map_alloc(1, 0);
    char *s = xr_strdup("s");
    xr_alloc_fail_after(-1);
    assert_non_null(p);
    assert_null(q);
    assert_null(m);
    assert_null(s);
    xr_free(p);
    expect_error(XR_ESYSTEM, "out of memory");
}

static void test_grow_and_map(void **state)
{
    (void)state;
    long before = xr_alloc_live();
    int *array = NULL;
    size_t cap = 0, big = (5u << 20) + 1;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(xr_grow(&array, &cap, (size_t)i + 1, sizeof *array), XR_OK);
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    assert_int_equal(xr_grow(&array, &cap, SIZE_MAX / 2, sizeof *array), XR_ESYSTEM);
    assert_int_equal(array[999], 999);
    xr_free(array);
    for (int huge = 0; huge < 2; huge++) {
        unsigned char *p = xr_map_alloc(big, huge);
        assert_int_equal((uintptr_t)p % (2u << 20), 0);
        assert_int_equal(p[0] | p[big / 2] | p[big - 1], 0);
        p[big - 1] = 1;
        xr_map_free(p, big);
    }
    assert_int_equal(xr_alloc_live(), before);
}

static void test_arena(void **state)
{
    (void)state;
    xr_arena a, dry;
    assert_int_equal(xr_arena_init(&a, 1000), XR_OK);
    assert_int_equal(a.reserved, 1024);
    char *first = xr_arena_get(&a, 1, 1), *second = xr_arena_get(&a, 13, 5);
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_int_equal(second - first, 64);
    size_t mark = xr_arena_mark(&a);
    assert_int_equal(mark, 192);
    char *third = xr_arena_get(&a, 832, 1);
    assert_non_null(third);
    assert_null(xr_arena_get(&a, 1, 1));
    expect_error(XR_ESYSTEM, "arena of 1024");
    xr_arena_release(&a, mark);
    assert_ptr_equal(xr_arena_get(&a, 1, 1), third);
    assert_int_equal(a.peak, 1024);
    assert_null(xr_arena_get(&a, SIZE_MAX, 2));
    expect_error(XR_ESYSTEM, "out of memory");
    xr_arena_free(&a);

    assert_int_equal(xr_arena_init(&dry, 0), XR_OK);
    assert_null(xr_arena_get(&dry, 65, 1));
    assert_int_equal(xr_error_status(), XR_OK);
    assert_int_equal(dry.peak, 128);
    xr_arena_free(&dry);
}

static void test_strings(void **state)
{
    (void)state;
    xr_str b = { 0 };
    assert_int_equal(xr_str_append(&b, "", 0), XR_OK);
    assert_string_equal(b.s, "");
    for (int i = 0; i < 300; i++)
        assert_int_equal(xr_str_printf(&b, "%d,", i), XR_OK);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 200 * 4);
    assert_string_equal(b.s + b.len - 4, "299,");
    xr_str_clear(&b);
    xr_str_puts(&b, "a");
    xr_str_putc(&b, 'b');
    assert_string_equal(b.s, "ab");
    xr_str_free(&b);
    assert_null(b.s);
    char *s = xr_asprintf("%s-%03d", "x", 7);
    assert_string_equal(s, "x-007");
    xr_free(s);
    s = xr_strndup("abcdef", 3);
    assert_string_equal(s, "abc");
    xr_free(s);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const names[] = { "learning_rate", "epochs", "seed", "batch_size", "output_dir", "lr" };
    assert_string_equal(xr_nearest("learning_rte", names, 6), "learning_rate");
    assert_string_equal(xr_nearest("epoch", names, 6), "epochs");
    assert_string_equal(xr_nearest("sede", names, 6), "seed");
    assert_string_equal(xr_nearest("bacth_size", names, 6), "batch_size");
    assert_string_equal(xr_nearest("lt", names, 6), "lr");
    assert_null(xr_nearest("dropout", names, 6));
    assert_null(xr_nearest("", names, 6));
    assert_null(xr_nearest("xy", names, 6));
}

static void test_parse(void **state)
{
    (void)state;
    static const char *const bad_ints[] = { "", " 1", "1 ", "1.0", "0x10", "-", "+", "9223372036854775808", "ten", "1_000" };
    static const char *const bad_doubles[] = { "", ".", "e5", "1e", "1e+", "nan", "inf", "0x1p3", "1,5", "1e999", " 1", "1 ", "--1" };
    static const struct { const char *s; double x; } good[] = {
        { "1e-4", 1e-4 }, { "1e4", 1e4 }, { ".1", .1 }, { "1.", 1 }, { "-0.5E+2", -50 }, { "+3", 3 }, { "1e-310", 1e-310 },
    };
    static const struct { const char *s; double x; } times[] = {
        { "90s", 90 }, { "30m", 1800 }, { "1.5h", 5400 }, { "0s", 0 }, { "11:30", 41400 }, { "0:00", 0 },
        { "90", -1 }, { "s", -1 }, { "-1s", -1 }, { "1:60", -1 }, { "1:", -1 }, { "1d", -1 }, { "", -1 }, { "1e10s", -1 },
    };
    long long i;
    double x;
    for (size_t k = 0; k < sizeof times / sizeof *times; k++)
        assert_true(xr_parse_time(times[k].s) == times[k].x);
    assert_true(xr_parse_int("-9223372036854775808", &i) && i == INT64_MIN);
    assert_true(xr_parse_int("+007", &i) && i == 7);
    for (size_t k = 0; k < sizeof bad_ints / sizeof *bad_ints; k++)
        assert_false(xr_parse_int(bad_ints[k], &i));
    for (size_t k = 0; k < sizeof bad_doubles / sizeof *bad_doubles; k++)
        assert_false(xr_parse_double(bad_doubles[k], &x));
    for (size_t k = 0; k < sizeof good / sizeof *good; k++)
        assert_true(xr_parse_double(good[k].s, &x) && x == good[k].x);
}

static void expect_float(float x, const char *want)
{
    xr_str b = { 0 };
    assert_int_equal(xr_str_float(&b, x), XR_OK);
    assert_string_equal(b.s, want);
    xr_str_free(&b);
}

static void expect_double(double x, const char *want)
{
    xr_str b = { 0 };
    assert_int_equal(xr_str_double(&b, x), XR_OK);
    assert_string_equal(b.s, want);
    xr_str_free(&b);
}

static void test_shortest_numbers(void **state)
{
    (void)state;
    /* With a locale of comma decimals where the system has one: no effect. */
    const char *comma = setlocale(LC_ALL, "de_DE.UTF-8");
    if (!comma)
        print_message("no locale with decimal commas here; the rest of the test runs in \"C\"\n");
    double back;
    expect_float(0.1f, "0.1");
    expect_float(1e-5f, "1e-05");
    expect_float(1.0f / 3, "0.33333334");
    expect_float(16777216.0f, "16777216");
    expect_float(-0.0f, "-0");
    expect_float(FLT_MAX, "3.4028235e+38");
    expect_float(1e-45f, "1e-45");
    expect_float(NAN, "nan");
    expect_float(-INFINITY, "-inf");
    expect_double(0.1, "0.1");
    expect_double(0.1 + 0.2, "0.30000000000000004");
    expect_double(5e-324, "5e-324");
    expect_double(DBL_MAX, "1.7976931348623157e+308");
    assert_true(xr_parse_double("2.5", &back) && back == 2.5);
    setlocale(LC_ALL, "C");
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t r[4];
        xr_philox(r, xr_rng_key(1, XR_RNG_TEST), i, 0, 0, 0);
        float x = xr_float_of_bits(r[0]);
        if (!isfinite(x))
            continue;
        xr_str b = { 0 };
        xr_str_float(&b, x);
        assert_true(strtof(b.s, NULL) == x);
        xr_str_free(&b);
    }
}

/* Boundaries of Unicode's table 3-7. */
static void test_utf8(void **state)
{
    (void)state;
    static const char *const bad[] = { "\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC2", "\xE2\x82", "\xF0\x9F\x98", "\xE2\x28\xA1" };
    static const struct { const char *s; uint32_t c; } good[] = { { "\x7F", 0x7F }, { "\xC2\x80", 0x80 }, { "\xDF\xBF", 0x7FF },
        { "\xE0\xA0\x80", 0x800 }, { "\xED\x9F\xBF", 0xD7FF }, { "\xEE\x80\x80", 0xE000 }, { "\xEF\xBF\xBD", 0xFFFD },
        { "\xEF\xBF\xBF", 0xFFFF }, { "\xF0\x90\x80\x80", 0x10000 }, { "\xF4\x8F\xBF\xBF", 0x10FFFF } };
    size_t size;
    char text[64];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t before = 0; before < 20; before++) {
            memset(text, 'a', before);
            memcpy(text + before, bad[i], strlen(bad[i]) + 1);
            assert_int_equal(xr_utf8_check(text, strlen(text)), before);
            assert_int_equal(xr_utf8_decode(bad[i], strlen(bad[i]), &size), 0xFFFD);
            assert_int_equal(size, 1);
        }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        size_t n = strlen(good[i].s);
        assert_int_equal(xr_utf8_check(good[i].s, n), n);
        assert_int_equal(xr_utf8_decode(good[i].s, n, &size), good[i].c);
        assert_int_equal(size, n);
    }
    assert_int_equal(xr_utf8_count("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\xFFz", 12), 6);
    /* Python: sum(chr(c).isspace() for c in range(0x110000)) == 29, sum of those c == 141704. */
    uint32_t n = 0, sum = 0;
    for (uint32_t c = 0; c < 0x110000; c++)
        if (xr_utf8_is_space(c)) {
            n++;
            sum += c;
        }
    assert_int_equal(n, 29);
    assert_int_equal(sum, 141704);
    xr_str b = { 0 };
    assert_int_equal(xr_utf8_printable(&b, "a\tb\x1b[31m\xC2\x9B\xE2\x80\xAE\xFFz\xC3\xA4", 17), XR_OK);
    assert_string_equal(b.s, "a b\xEF\xBF\xBD[31m\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\xC3\xA4");
    xr_str_free(&b);
}

static void test_half(void **state)
{
    (void)state;
    /* IEEE 754 binary16 landmarks. */
    assert_true(xr_half_to_float(0x3C00) == 1.0f && xr_half_to_float(0xC000) == -2.0f);
    assert_true(xr_half_to_float(0x7BFF) == 65504.0f && xr_half_to_float(0x0400) == 0x1p-14f);
    assert_true(xr_half_to_float(0x0001) == 0x1p-24f && xr_half_to_float(0x83FF) == -0x1.ff8p-15f);
    assert_true(xr_half_to_float(0x3555) == 0.333251953125f);
    assert_true(isinf(xr_half_to_float(0xFC00)) && isnan(xr_half_to_float(0x7E00)));
    assert_true(signbit(xr_half_to_float(0x8000)));
    assert_true(xr_bf16_to_float(0x3F80) == 1.0f && xr_bf16_to_float(0xC049) == -3.140625f);
    assert_true(isinf(xr_bf16_to_float(0x7F80)) && xr_bf16_to_float(0x0001) == 0x1p-133f);
}

/* Known answers published with Random123 (kat_vectors, philox4x32 10). */
static void test_philox(void **state)
{
    (void)state;
    uint32_t r[4];
    xr_philox(r, (xr_philox_key){ { 0, 0 } }, 0, 0, 0, 0);
    assert_memory_equal(r, ((uint32_t[]){ 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 }), 16);
    xr_philox(r, (xr_philox_key){ { ~0u, ~0u } }, ~0u, ~0u, ~0u, ~0u);
    assert_memory_equal(r, ((uint32_t[]){ 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd }), 16);
    xr_philox(r, (xr_philox_key){ { 0xa4093822, 0x299f31d0 } }, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344);
    assert_memory_equal(r, ((uint32_t[]){ 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 }), 16);
    xr_philox_key a = xr_rng_key(42, XR_RNG_INIT), b = xr_rng_key(42, XR_RNG_DROPOUT);
    xr_philox_key c = xr_rng_key(42 + (UINT64_C(1) << 32), XR_RNG_INIT);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &c, sizeof a);
}

static void test_distributions(void **state)
{
    (void)state;
    enum { N = 200000 };
    xr_philox_key key = xr_rng_key(7, XR_RNG_TEST);
    float *normal = xr_alloc(N, sizeof *normal);
    double moment[5] = { 0 }, last = 0, product = 0;
    int bins[10] = { 0 };
    assert_non_null(normal);
    xr_fill_normal(normal, N, 1.0f, key, 3);
    for (uint32_t i = 0; i < N; i++) {
        double z = (double)normal[i], power = 1;
        for (int k = 1; k <= 4; k++)
            moment[k] += power *= z;
        product += z * last;
        last = z;
        bins[xr_rng_below(key, i, 0, 0, 0, 10)]++;
    }
    xr_free(normal);
    /* Standard errors: mean 0.0022, variance 0.0032, third 0.0087, fourth 0.022; limits at 4 of them. */
    assert_true(fabs(moment[1] / N) < 0.009 && fabs(moment[2] / N - 1) < 0.013);
    assert_true(fabs(moment[3] / N) < 0.035 && fabs(moment[4] / N - 3) < 0.09);
    assert_true(fabs(product / N) < 0.009);
    for (int k = 0; k < 10; k++)
        assert_in_range(bins[k], N / 10 - 540, N / 10 + 540);
    assert_int_equal(xr_rng_below(key, 0, 0, 0, 0, 1), 0);
    uint64_t high = 0;
    for (uint32_t i = 0; i < 1000; i++)
        high |= xr_rng_below(key, i, 1, 0, 0, UINT64_MAX);
    assert_true(high >> 60 == 15);
}

static void test_permutation(void **state)
{
    (void)state;
    xr_philox_key key = xr_rng_key(7, XR_RNG_SHUFFLE);
    static unsigned char taken[2000];
    for (uint64_t n = 1; n <= 2000; n = n < 300 ? n + 1 : n + 61) {
        memset(taken, 0, sizeof taken);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = xr_rng_permute(key, 1, i, n);
            assert_true(p < n && !taken[p]);
            taken[p] = 1;
        }
    }
    /* All orders of 4 about equally often over the epochs: chi-square with 23 degrees of freedom, 99.99 %
     * quantile 58. */
    int count[256] = { 0 };
    double chi = 0;
    for (uint32_t epoch = 0; epoch < 24000; epoch++) {
        int order = 0;
        for (uint64_t i = 0; i < 4; i++)
            order = order * 4 + (int)xr_rng_permute(key, epoch, i, 4);
        count[order]++;
    }
    for (int k = 0; k < 256; k++)
        chi += count[k] ? (count[k] - 1000.0) * (count[k] - 1000.0) / 1000 : 0;
    assert_true(chi < 58);
    /* Large n: distinct, in range, at both ends. */
    for (uint64_t n = UINT64_C(1) << 33; n != 0; n = n == UINT64_MAX ? 0 : UINT64_MAX)
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t p = xr_rng_permute(key, 0, i, n), q = xr_rng_permute(key, 0, n - 1 - i, n);
            assert_true(p < n && q < n && p != q);
        }
}

/* FIPS 180-4 examples, and every length around the block edges against the digest of all digests (Python hashlib). */
static void test_sha256(void **state)
{
    (void)state;
    char hex[65], all[65 * 200 + 1];
    xr_sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    xr_sha256_hex("", 0, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    xr_sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    assert_int_equal(xr_file_write(in_scratch("million"), million, 1000000), XR_OK);
    assert_int_equal(xr_file_sha256(in_scratch("million"), hex), XR_OK);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    for (size_t n = 0; n < 200; n++)
        xr_sha256_hex(million, n, all + 64 * n);
    xr_sha256_hex(all, 64 * 200, hex);
    assert_string_equal(hex, "019f2b9f1af27a53a1f046da7e98af2c179f431e4b5bebb000e74040917a4123");
    free(million);
    assert_int_equal(xr_file_sha256(in_scratch("missing"), hex), XR_ENOINPUT);
}

/* In pieces of `piece` bytes, which divides len. */
static void digest(const char *text, size_t len, size_t piece, char hex[33])
{
    xr_xxh *h = xr_xxh_new();
    assert_non_null(h);
    for (size_t i = 0; i < len; i += piece)
        xr_xxh_update(h, text + i, piece);
    xr_xxh_final(h, hex);
}

/* XXH3-128 of the empty input (published test vector), and in pieces against the whole. */
static void test_xxh(void **state)
{
    (void)state;
    char hex[33], streamed[33], text[5000];
    digest("", 0, 1, hex);
    assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * i);
    digest(text, sizeof text, sizeof text, hex);
    digest(text, sizeof text, 50, streamed);
    assert_string_equal(hex, streamed);
}

static char last_note[100];
static void keep_note(xr_level level, const char *message)
{
    snprintf(last_note, sizeof last_note, "%d %s", (int)level, message);
}

static void test_log(void **state)
{
    (void)state;
    xr_warn("nobody listens");
    assert_string_equal(last_note, "");
    xr_log_set_sink(keep_note);
    xr_warn("%s %d", "rows", 3);
    xr_log_set_sink(NULL);
    xr_info("nobody again");
    assert_string_equal(last_note, "2 rows 3");
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

/* Of files, also those of a file system in memory; 0 where the kernel does not say. */
static long resident_file_kb(void)
{
    char line[256];
    long kb, sum = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "RssFile: %ld", &kb) == 1 || sscanf(line, "RssShmem: %ld", &kb) == 1)
            sum += kb;
    if (f)
        fclose(f);
    return sum;
}

/* Pages that were dropped are gone from the process and come back with the file's bytes; those a part shares with its neighbours stay. */
static void test_map_drop(void **state)
{
    (void)state;
    enum { BYTES = 8 << 20 };
    FILE *f = tmpfile();
    assert_non_null(f);
    for (uint32_t k = 0; k < BYTES / sizeof k; k++)
        assert_int_equal(fwrite(&k, sizeof k, 1, f), 1);
    assert_int_equal(fflush(f), 0);
    char *map = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fileno(f), 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    long before = resident_file_kb();
    xr_map_drop(map + 100, 200);
    xr_map_drop(map + 4000, BYTES - 5000);
    if (before > 0 && resident_file_kb() > before - BYTES / 1024 * 3 / 4)
        fail_msg("%ld KiB of files resident, before %ld", resident_file_kb(), before);
    for (uint32_t k = 0; k < BYTES / sizeof k; k++)
        assert_memory_equal(map + k * sizeof k, &k, sizeof k);
    munmap(map, BYTES);
    fclose(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_cause_wins), TEST(test_allocation), TEST(test_failure_hook), TEST(test_grow_and_map), TEST(test_map_drop), TEST(test_arena),
        TEST(test_strings), TEST(test_nearest), TEST(test_parse), TEST(test_shortest_numbers), TEST(test_utf8), TEST(test_half),
        TEST(test_philox), TEST(test_distributions), TEST(test_permutation), TEST(test_sha256), TEST(test_xxh), TEST(test_log),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
