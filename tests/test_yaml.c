/* Configuration files: what is read, and everything that is refused with its place (bad-input catalogue 3, 7 to 10). */
#include "scratch.h"

#include <time.h>

#include "util/alloc.h"
#include "util/str.h"
#include "util/yaml.h"

static xr_status collect(const char *key, const char *value, size_t line, void *ctx)
{
    return xr_str_printf(ctx, "%zu %s=%s|", line, key, value);
}

static xr_status reject(const char *key, const char *value, size_t line, void *ctx)
{
    (void)line;
    (void)ctx;
    return xr_fail(XR_ECONFIG, "unknown key \"%s\" (%s)", key, value);
}

static void expect_read(const char *text, const char *want)
{
    xr_str got = { 0 };
    xr_str_puts(&got, "");
    if (xr_yaml_parse(text, strlen(text), "c.yaml", collect, &got) != XR_OK)
        fail_msg("refused: %s", xr_error_message());
    assert_string_equal(got.s, want);
    xr_str_free(&got);
}

static void expect_refused_bytes(const char *text, size_t len, const char *part)
{
    xr_str got = { 0 };
    assert_int_equal(xr_yaml_parse(text, len, "c.yaml", collect, &got), XR_ECONFIG);
    expect_error(XR_ECONFIG, part);
    xr_str_free(&got);
}

static void expect_refused(const char *text, const char *part)
{
    expect_refused_bytes(text, strlen(text), part);
}

static void test_read(void **state)
{
    (void)state;
    expect_read("", "");
    expect_read("# nothing\n", "");
    expect_read("---\n", "");
    expect_read("a: 1e-4\nb: .1\nc: yes\nd:\n", "1 a=1e-4|2 b=.1|3 c=yes|4 d=|");
    expect_read("\xEF\xBB\xBF" "a: x # note\r\nb: \"t\\t\xC3\xA4\"\r\n", "1 a=x|2 b=t\t\xC3\xA4|");
    expect_read("l: [en, sw]\nm:\n  - 1\n  - 2\n", "1 l=en|1 l=sw|3 m=1|4 m=2|");
    expect_read("train:\n  steps: 5\n  langs: [a]\nseed: 1\n", "2 steps=5|3 langs=a|4 seed=1|");
    expect_read("--- {a: 1, b: {c: 2}}\n...\n", "1 a=1|1 c=2|");
}

static void test_refused(void **state)
{
    (void)state;
    expect_refused("a: 1\nb: 2\na: 3\n", "c.yaml:3: the key \"a\" appears twice, first in line 1");
    expect_refused("a_b: 1\na-b: 2\n", "c.yaml:2: the key \"a-b\" appears twice, first in line 1");
    expect_refused("a: 1\ns:\n  a: 2\n", "c.yaml:3: the key \"a\" appears twice");
    expect_refused("s:\n  a: 1\ns:\n  b: 2\n", "c.yaml:3: the key \"s\" appears twice");
    expect_refused("a: &x 1\n", "c.yaml:1: an anchor");
    expect_refused("a: &x [1]\n", "c.yaml:1: an anchor");
    expect_refused("a: 1\nb: *x\n", "c.yaml:2: an alias");
    expect_refused("a: !!int 1\n", "c.yaml:1: a tag");
    expect_refused("a: !!set {b: 1}\n", "c.yaml:1: a tag");
    expect_refused("%YAML 1.1\n---\na: 1\n", "a directive");
    expect_refused("a: 1\n---\nb: 2\n", "c.yaml:2: a second document");
    expect_refused("a:\n  b:\n    c: 1\n", "c.yaml:3: nested too deeply");
    expect_refused("a: [1, [2]]\n", "c.yaml:1: a list may hold plain values only");
    expect_refused("a: [{b: 1}]\n", "c.yaml:1: a list may hold plain values only");
    expect_refused("a: []\n", "c.yaml:1: the list of \"a\" is empty");
    expect_refused("? [a]\n: 1\n", "c.yaml:1: a key must be a plain word");
    expect_refused("- 1\n", "c.yaml:1: the file must hold");
    expect_refused("just words\n", "c.yaml:1: the file must hold");
    expect_refused("a:\n\tb: 1\n", "c.yaml:2:1: not valid YAML");
    expect_refused("a: \"x\n", "not valid YAML");
    expect_refused("a: 1\nb: \xC3\x28\n", "c.yaml:2: byte 8 is not UTF-8 (0xc3)");
    expect_refused("a: \x01\n", "c.yaml: byte 3");
    expect_refused("a: \"x\\0y\"\n", "NUL");
    expect_refused_bytes("\xFF\xFE" "a\0:\0", 6, "byte 0 is not UTF-8");
    expect_refused_bytes("a: x\0y\n", 7, "c.yaml: byte 4");
}

/* Where libyaml alone takes seconds to hours. */
static void test_bombs(void **state)
{
    (void)state;
    static const char *const unit[] = { "[", "{", "- ", "? ", "a: {", "- - [", "a: [", "{a: ", "&a ", "*a\n", "\"", "a:\n", "%", "!" };
    char *text = malloc(XR_YAML_CAP + 1);
    for (size_t u = 0; u < sizeof unit / sizeof *unit; u++) {
        size_t n = strlen(unit[u]);
        for (size_t i = 0; i + n <= XR_YAML_CAP; i += n)
            memcpy(text + i, unit[u], n);
        clock_t begin = clock();
        xr_str got = { 0 };
        assert_int_equal(xr_yaml_parse(text, XR_YAML_CAP / n * n, "c.yaml", collect, &got), XR_ECONFIG);
        xr_error_clear();
        xr_str_free(&got);
        if (clock() - begin > 2 * CLOCKS_PER_SEC)
            fail_msg("1 MiB of \"%s\" took %.1f s", unit[u], (double)(clock() - begin) / CLOCKS_PER_SEC);
    }
    memset(text, '#', XR_YAML_CAP + 1);
    expect_refused_bytes(text, XR_YAML_CAP + 1, "more than 1 MiB");
    xr_str keys = { 0 };
    for (int i = 0; i < 5000; i++)
        xr_str_printf(&keys, "k%d: 1\n", i);
    expect_refused_bytes(keys.s, keys.len, "c.yaml:4097: more than 4096 keys");
    xr_str_free(&keys);
    free(text);
}

static void test_files(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb: 2\n";
    char *big = calloc(1, XR_YAML_CAP + 1);
    assert_int_equal(xr_file_write(in_scratch("c.yaml"), text, sizeof text - 1), XR_OK);
    assert_int_equal(xr_yaml_read(in_scratch("c.yaml"), reject, NULL), XR_ECONFIG);
    expect_error(XR_ECONFIG, "c.yaml:1: unknown key \"a\" (1)");
    assert_int_equal(xr_yaml_read(in_scratch("missing"), reject, NULL), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "missing");
    assert_int_equal(xr_file_write(in_scratch("big"), big, XR_YAML_CAP + 1), XR_OK);
    assert_int_equal(xr_yaml_read(in_scratch("big"), reject, NULL), XR_ECONFIG);
    expect_error(XR_ECONFIG, "more than 1 MiB");
    free(big);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    static const char text[] = "a: 1\ns:\n  b: [1, 2]\n";
    long before = xr_alloc_live(), k = 0;
    for (xr_status status = -1; status < 0; k++) {
        xr_str got = { 0 };
        xr_alloc_fail_after(k);
        status = xr_yaml_parse(text, sizeof text - 1, "c.yaml", collect, &got);
        xr_alloc_fail_after(-1);
        xr_str_free(&got);
        if (status < 0)
            expect_error(XR_ESYSTEM, "out of memory");
        assert_int_equal(xr_alloc_live(), before);
    }
    assert_in_range(k, 4, 20);
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read), TEST(test_refused), TEST(test_bombs), TEST(test_files), TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
