/* Token stores: what is written reads back in any order and through any cache; damage of every kind is found. */
#include "scratch.h"

#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/store.h"
#include "util/alloc.h"
#include "util/h5.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

enum { SHARDS = 5, VOCAB = 1000, PAGE = 4096 };

/* What went into the stores of a test. */
static int32_t *expected;
static size_t n_expected, cap_expected;
static uint64_t ends[100000];
static char languages[100000][4];
static size_t n_documents;

static uint32_t seed;

static uint32_t roll(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void note(int32_t id)
{
    assert_int_equal(xr_grow(&expected, &cap_expected, n_expected + 1, sizeof *expected), XR_OK);
    expected[n_expected++] = id;
}

static xr_status add_document(xr_store_writer *w, const char *language, size_t sentences)
{
    int32_t id[300];
    for (size_t k = 0; k < sentences; k++) {
        size_t n = 1 + roll(299);
        for (size_t i = 0; i < n; i++)
            note(id[i] = 3 + (int32_t)roll(VOCAB - 3));
        note(2);
        XR_TRY(xr_store_sentence(w, id, n));
    }
    if (sentences) {
        ends[n_documents] = n_expected;
        strcpy(languages[n_documents++], language);
    }
    return xr_store_end_document(w, language);
}

static xr_status add_documents(xr_store_writer *w, size_t n)
{
    static const char *const names[] = { "sw", "en", "zh", "ab" };
    xr_status status = XR_OK;
    for (size_t i = 0; i < n && status == XR_OK; i++)
        status = add_document(w, names[roll(4)], roll(5));
    return status == XR_OK ? add_document(w, "de", 1) : status;
}

/* scratch/NAME: SHARDS shards of different sizes; the same for the same `from`. */
static xr_status write_store(const char *name, int deflate, uint32_t from, size_t size)
{
    char path[400];
    json_t *shards = json_array(), *facts = NULL;
    xr_status status = xr_mkdirs(in_scratch(name));
    seed = from;
    n_expected = n_documents = 0;
    for (int k = 0; k < SHARDS && status == XR_OK; k++) {
        snprintf(path, sizeof path, "%s/%s/shard-%05d.h5", scratch, name, k);
        xr_store_writer *w = xr_store_create(path, deflate);
        status = w ? add_documents(w, size * (size_t)(1 + k % 3)) : xr_error_status();
        status = status < 0 ? (xr_store_abort(w), status) : xr_store_commit(w, &facts);
        if (status == XR_OK)
            json_array_append_new(shards, facts);
    }
    if (status == XR_OK)
        status = xr_store_write_manifest(in_scratch(name), SHA, VOCAB, shards, NULL);
    json_decref(shards);
    return status;
}

static int free_all(void **state)
{
    xr_free(expected);
    return remove_scratch(state);
}

static xr_store *open_good(const char *name)
{
    xr_store *s = xr_store_open(in_scratch(name), SHA);
    if (!s)
        fail_msg("%s", xr_error_message());
    return s;
}

static void check_random_reads(xr_store *s, int rounds)
{
    static int32_t id[3 * PAGE];
    for (int k = 0; k < rounds; k++) {
        size_t n = roll(k % 10 ? 700 : 3 * PAGE);
        uint64_t begin = roll((uint32_t)(n_expected - n));
        if (xr_store_read(s, begin, n, id) < 0)
            fail_msg("%s", xr_error_message());
        assert_memory_equal(id, expected + begin, n * sizeof *id);
    }
}

static void check_documents(xr_store *s)
{
    static uint64_t offset[100001];
    static uint16_t language[100000];
    assert_int_equal(xr_store_document_table(s, 0, n_documents, offset, language), XR_OK);
    for (size_t i = 0; i < n_documents; i++) {
        assert_true(offset[i] == (i ? ends[i - 1] : 0) && offset[i + 1] == ends[i]);
        assert_string_equal(xr_store_language(s, language[i]), languages[i]);
    }
    uint64_t part[18];
    for (size_t first = 0; first + 17 < n_documents; first += 1 + first / 3) {
        assert_int_equal(xr_store_document_table(s, first, 17, part, language), XR_OK);
        assert_memory_equal(part, offset + first, sizeof part);
    }
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (int deflate = 0; deflate <= 6; deflate += 3) {
        assert_int_equal(write_store("s", deflate, 7, 120), XR_OK);
        xr_store *s = open_good("s");
        assert_true(xr_store_is(in_scratch("s")) && !xr_store_is(scratch));
        assert_true(xr_store_tokens(s) == n_expected && xr_store_documents(s) == n_documents && n_expected > 8 * PAGE);
        assert_int_equal(xr_store_vocab_size(s), VOCAB);
        assert_int_equal(xr_store_n_languages(s), 5);
        assert_string_equal(xr_store_language(s, 0), "ab");
        assert_string_equal(xr_store_language(s, 4), "zh");
        assert_string_equal(xr_store_path(s), in_scratch("s"));
        check_documents(s);
        check_random_reads(s, 500);
        xr_store_close(s);
    }
}

/* Pages are thrown out and shards closed all the time. */
static void test_small_limits(void **state)
{
    (void)state;
    assert_int_equal(write_store("small", 0, 8, 120), XR_OK);
    for (size_t pages = 0; pages <= 3; pages++) {
        xr_store *s = open_good("small");
        xr_store_limits(s, pages * PAGE * 4, pages);
        check_random_reads(s, 500);
        check_documents(s);
        xr_store_close(s);
    }
}

static void test_manifest(void **state)
{
    (void)state;
    assert_int_equal(write_store("m", 0, 9, 30), XR_OK);
    xr_store *s = open_good("m");
    uint64_t documents = 0, tokens = 0, sentences = 0, stored_sentences = 0;
    const char *name;
    json_t *counts;
    json_object_foreach(json_object_get(xr_store_manifest(s), "languages"), name, counts) {
        documents += (uint64_t)json_integer_value(json_object_get(counts, "documents"));
        tokens += (uint64_t)json_integer_value(json_object_get(counts, "tokens"));
        sentences += (uint64_t)json_integer_value(json_object_get(counts, "sentences"));
    }
    for (size_t i = 0; i < n_expected; i++)
        stored_sentences += expected[i] == 2;
    assert_true(documents == n_documents && tokens == n_expected && sentences == stored_sentences);
    xr_store_close(s);
}

/* Twice the same bytes; the digest knows the contents and nothing else. */
static void test_same_bytes(void **state)
{
    (void)state;
    char a[65], b[65], digest[3][33];
    assert_int_equal(write_store("a", 4, 10, 30), XR_OK);
    sleep(1);       /* times of objects would differ */
    assert_int_equal(write_store("b", 4, 10, 30), XR_OK);
    assert_int_equal(write_store("c", 4, 11, 30), XR_OK);
    for (int k = 0; k < SHARDS + 1; k++) {
        char name[2][40];
        for (int i = 0; i < 2; i++)
            snprintf(name[i], sizeof name[i], k == SHARDS ? "%c/manifest.json" : "%c/shard-%05d.h5", "ab"[i], k);
        assert_int_equal(xr_file_sha256(in_scratch(name[0]), a), XR_OK);
        assert_int_equal(xr_file_sha256(in_scratch(name[1]), b), XR_OK);
        assert_string_equal(a, b);
    }
    for (int i = 0; i < 3; i++) {
        xr_store *s = open_good((const char *const[]){ "a", "b", "c" }[i]);
        snprintf(digest[i], sizeof digest[i], "%s", xr_store_digest(s));
        xr_store_close(s);
    }
    assert_string_equal(digest[0], digest[1]);
    assert_string_not_equal(digest[0], digest[2]);
}

static void test_wrong_tokenizer(void **state)
{
    (void)state;
    static const char other[] = "ffff456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    assert_int_equal(write_store("t", 0, 12, 10), XR_OK);
    assert_null(xr_store_open(in_scratch("t"), other));
    assert_non_null(strstr(xr_error_message(), other));
    expect_error(XR_EDATA, SHA);
    xr_store *s = xr_store_open(in_scratch("t"), NULL);
    assert_non_null(s);
    xr_store_close(s);
}

static void bad_language(const char *name)
{
    static const int32_t id[] = { 5 };
    xr_store_writer *w = xr_store_create(in_scratch("l.h5"), 0);
    assert_int_equal(xr_store_sentence(w, id, 1), XR_OK);
    assert_int_equal(xr_store_end_document(w, name), XR_EDATA);
    expect_error(XR_EDATA, "no name of a language");
    xr_store_abort(w);
    assert_false(xr_path_exists(in_scratch("l.h5")));
}

static void test_language_names(void **state)
{
    (void)state;
    bad_language("");
    bad_language("en,fr");
    bad_language("e n");
    bad_language("abcdefghijklmnopqrstuvwxyz012345");
}

/* ---- damage ---- */

static char *read_file(const char *name, size_t *len)
{
    char *bytes = xr_file_read(in_scratch(name), 1u << 28, len);
    assert_non_null(bytes);
    return bytes;
}

static void put_file(const char *name, const char *bytes, size_t len)
{
    assert_int_equal(xr_file_write(in_scratch(name), bytes, len), XR_OK);
}

/* All tokens and documents; the first failure. */
static xr_status read_whole(const char *name)
{
    xr_store *s = xr_store_open(in_scratch(name), SHA);
    if (!s)
        return xr_error_status();
    size_t n = (size_t)xr_store_tokens(s), d = (size_t)xr_store_documents(s);
    int32_t *id = xr_alloc(n, sizeof *id);
    uint64_t *offset = xr_alloc(d + 1, sizeof *offset);
    uint16_t *language = xr_alloc(d, sizeof *language);
    xr_status status = id && offset && language ? xr_store_document_table(s, 0, d, offset, language) : xr_error_status();
    if (status == XR_OK)
        status = xr_store_read(s, 0, n, id);
    xr_free(id);
    xr_free(offset);
    xr_free(language);
    xr_store_close(s);
    return status;
}

static void test_damaged_shards(void **state)
{
    (void)state;
    size_t len;
    assert_int_equal(write_store("d", 0, 13, 60), XR_OK);
    char *bytes = read_file("d/shard-00001.h5", &len);
    put_file("d/shard-00001.h5", bytes, len - 1);
    assert_int_equal(read_whole("d"), XR_EDATA);
    expect_error(XR_EDATA, "in the manifest");
    unlink(in_scratch("d/shard-00001.h5"));
    assert_int_equal(read_whole("d"), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "shard-00001.h5: missing");
    /* the tokens of the third page, wherever they lie: a flipped bit, and all of the chunk zero with the checksum */
    put_file("d/shard-00001.h5", bytes, len);
    assert_int_equal(read_whole("d"), XR_OK);
    json_t *m = xr_store_read_manifest(in_scratch("d"));
    size_t before = (size_t)json_integer_value(json_object_get(json_array_get(json_object_get(m, "shards"), 0), "tokens"));
    json_decref(m);
    char *at = memmem(bytes, len, expected + before + PAGE, PAGE * 4);
    assert_non_null(at);
    at[5000] ^= 4;
    put_file("d/shard-00001.h5", bytes, len);
    assert_int_equal(read_whole("d"), XR_EDATA);
    expect_error(XR_EDATA, "shard-00001.h5: reading a dataset failed");
    memset(at, 0, PAGE * 4 + 4);
    put_file("d/shard-00001.h5", bytes, len);
    assert_int_equal(read_whole("d"), XR_EDATA);
    expect_error(XR_EDATA, "shard-00001.h5: a token has id 0");
    xr_free(bytes);
}

/* Whatever bit flips and whatever page is lost: it is refused or was of no account, never a crash and never other tokens. */
static void test_random_damage(void **state)
{
    (void)state;
    size_t len;
    assert_int_equal(write_store("r", 0, 14, 10), XR_OK);
    char *bytes = read_file("r/shard-00000.h5", &len);
    int refused = 0;
    for (int k = 0; k < 300; k++) {
        size_t at = roll((uint32_t)len), n = k % 10 ? 1 : 4096;
        char *copy = xr_alloc(len, 1);
        memcpy(copy, bytes, len);
        if (n == 1)
            copy[at] = (char)(copy[at] ^ (1 << k % 8));
        else
            memset(copy + at / n * n, 0, at / n * n + n < len ? n : len - at / n * n);
        put_file("r/shard-00000.h5", copy, len);
        xr_store *s = open_good("r");
        int32_t *id = xr_alloc(n_expected, sizeof *id);
        if (xr_store_read(s, 0, n_expected, id) == XR_OK)
            assert_memory_equal(id, expected, n_expected * sizeof *id);
        else
            refused++;
        xr_error_clear();
        xr_free(id);
        xr_store_close(s);
        xr_free(copy);
    }
    assert_true(refused > 100);
    xr_free(bytes);
}

static void with_manifest(const char *from, const char *to, const char *message)
{
    size_t len;
    char *bytes = read_file("e/manifest.json", &len), *at = strstr(bytes, from);
    assert_non_null(at);
    xr_str b = { 0 };
    xr_str_append(&b, bytes, (size_t)(at - bytes));
    xr_str_puts(&b, to);
    xr_str_puts(&b, at + strlen(from));
    put_file("e/manifest.json", b.s, b.len);
    assert_null(xr_store_open(in_scratch("e"), NULL));
    expect_error(XR_EDATA, message);
    put_file("e/manifest.json", bytes, len);
    xr_str_free(&b);
    xr_free(bytes);
}

static void test_edited_manifest(void **state)
{
    (void)state;
    size_t len;
    assert_int_equal(write_store("e", 0, 15, 5), XR_OK);
    with_manifest("\"xlmr-store\"", "\"other\"", "not the manifest of a token store");
    with_manifest("\"format_version\": 1", "\"format_version\": 2", "format version 2; this program reads version 1");
    with_manifest("shard-00001.h5", "../shard-0001.h5", "shard 2 is not described");
    with_manifest("\"vocab_size\": 1000", "\"vocab_size\": 1001", "damaged or edited");
    with_manifest("\"sentences\": ", "\"sentences\": 1", "damaged or edited");
    with_manifest("\"xxh3_128\": \"", "\"xxh3_128\": \"0", "not described");
    with_manifest("\"sha256\": \"0", "\"sha256\": \"1", "damaged or edited");
    char *bytes = read_file("e/manifest.json", &len);
    put_file("e/manifest.json", bytes, len / 2);
    assert_null(xr_store_open(in_scratch("e"), NULL));
    expect_error(XR_EDATA, "not valid JSON");
    put_file("e/manifest.json", "[1]", 3);
    assert_null(xr_store_open(in_scratch("e"), NULL));
    expect_error(XR_EDATA, "not the manifest");
    unlink(in_scratch("e/manifest.json"));
    assert_null(xr_store_open(in_scratch("e"), NULL));
    expect_error(XR_ENOINPUT, "no token store");
    xr_free(bytes);
}

/* ---- files of strangers (catalogue 100) ---- */

typedef struct strange {
    int link, contiguous, wide, is_signed, big_endian, huge, filter;
    const char *message;        /* NULL: read as it is */
} strange;

static void make_strange(const char *path, const strange *o)
{
    hsize_t n = o->huge ? (hsize_t)1 << 45 : 8, unlimited = H5S_UNLIMITED, chunk = 8;
    hid_t type = o->wide ? H5T_STD_U64LE : o->is_signed ? H5T_STD_I32LE : o->big_endian ? H5T_STD_U32BE : H5T_STD_U32LE;
    static const uint32_t values[8] = { 3, 4, 5, 6, 7, 8, 9, 2 };
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), create = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, &n, o->contiguous ? NULL : &unlimited);
    if (!o->contiguous)
        H5Pset_chunk(create, 1, &chunk);
    if (o->filter)
        H5Pset_nbit(create);
    hid_t set = H5Dcreate2(file, "values", type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    assert_true(set >= 0);
    if (!o->huge)
        assert_true(H5Dwrite(set, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    if (o->link == 1)
        H5Lcreate_soft("/values", file, "tokens", H5P_DEFAULT, H5P_DEFAULT);
    else if (o->link == 2)
        H5Lcreate_external("other.h5", "/values", file, "tokens", H5P_DEFAULT, H5P_DEFAULT);
    else
        H5Lcreate_hard(file, "values", file, "tokens", H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(create);
    H5Fclose(file);
}

static void test_strangers(void **state)
{
    (void)state;
    static const strange cases[] = {
        { .message = NULL }, { .big_endian = 1 },
        { .link = 1, .message = "a link that leads elsewhere" }, { .link = 2, .message = "a link that leads elsewhere" },
        { .contiguous = 1, .message = "not stored in chunks" }, { .wide = 1, .message = "another type" }, { .is_signed = 1, .message = "another type" },
        { .huge = 1, .message = "which the file cannot hold" }, { .filter = 1, .message = "a filter other than" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_strange(in_scratch("strange.h5"), &cases[i]);
        uint64_t rows = 0;
        size_t cols = 0;
        xr_h5_in *h = xr_h5_open(in_scratch("strange.h5"));
        assert_non_null(h);
        int number = xr_h5_find(h, "tokens", XR_H5_U32, &rows, &cols);
        if (cases[i].message) {
            assert_true(number < 0);
            expect_error(XR_EDATA, cases[i].message);
        } else {
            uint32_t id[4];
            assert_true(number >= 0 && rows == 8 && cols == 1);
            assert_int_equal(xr_h5_rows(h, number, 4, 4, id), XR_OK);
            assert_true(id[0] == 7 && id[3] == 2);
        }
        xr_h5_close(h);
    }
}

static void test_out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(write_store("o", 0, 16, 3), XR_OK);
    long before = xr_alloc_live();
    for (long k = 0, status = -1; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = read_whole("o");
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || xr_error_status() == XR_ESYSTEM);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), before);
    }
    static const int32_t id[] = { 5, 6 };
    for (long k = 0, status = -1; status < 0; k++) {
        json_t *facts = NULL;
        xr_alloc_fail_after(k);
        xr_store_writer *w = xr_store_create(in_scratch("o.h5"), 0);
        status = w ? xr_store_sentence(w, id, 2) : xr_error_status();
        if (status == XR_OK)
            status = xr_store_end_document(w, "en");
        if (status == XR_OK)
            status = xr_store_commit(w, &facts);
        else
            xr_store_abort(w);
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || xr_error_status() == XR_ESYSTEM);
        xr_error_clear();
        json_decref(facts);
        assert_int_equal(xr_alloc_live(), before);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back), TEST(test_small_limits), TEST(test_manifest), TEST(test_same_bytes), TEST(test_wrong_tokenizer),
        TEST(test_language_names), TEST(test_damaged_shards), TEST(test_random_damage), TEST(test_edited_manifest), TEST(test_strangers),
        TEST(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, free_all);
}
