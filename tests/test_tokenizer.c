/* The tokenizer against published ids and against transformers, with the 250,000-piece model from XLMR_DATA.
 *
 * Expected ids of special strings, pairs and decoding were printed by transformers 4.49's XLMRobertaTokenizer (the
 * slow one, on sentencepiece 0.2.0) with the rebuilt model. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/stream.h"

static const char *data_path(const char *name)
{
    static char path[1024];
    const char *root = getenv("XLMR_DATA");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared/data", name);
    return path;
}

/* The 250,000-piece model, opened once; NULL when the data is absent. */
static xr_tokenizer *xlmr(void)
{
    static xr_tokenizer *t;
    const char *path = data_path("spm/sentencepiece.bpe.rebuilt.model");
    if (!t && xr_path_exists(path)) {
        t = xr_tokenizer_open(path);
        if (!t)
            fail_msg("%s", xr_error_message());
    }
    if (!t)
        print_message("no %s: set XLMR_DATA to the folder of test data\n", path);
    return t;
}

static void assert_fails(xr_status got, xr_status want, const char *with)
{
    if (got != want || !strstr(xr_error_message(), with))
        fail_msg("status %d, message \"%s\"; expected %d with \"%s\"", got, xr_error_message(), want, with);
    xr_error_clear();
}

static void assert_ids(const char *what, const xr_tokens *k, const int32_t *want, size_t n)
{
    int same = k->n == n;
    for (size_t i = 0; same && i < n; i++)
        same = k->v[i].id == want[i];
    if (same)
        return;
    print_error("%s: got", what);
    for (size_t i = 0; i < k->n; i++)
        print_error(" %d", k->v[i].id);
    print_error(", expected");
    for (size_t i = 0; i < n; i++)
        print_error(" %d", want[i]);
    fail_msg("ids differ");
}

/* ---- ids ---- */

static void real_files_of_other_kinds(void **state)
{
    (void)state;
    if (!xlmr())
        skip();
    assert_null(xr_tokenizer_open(data_path("spm/barthez-bpe-50002.model")));
    assert_fails(xr_error_status(), XR_EDATA, "model type BPE");
    const char *const good[] = {"spm/xlmr-trimmed-31996.model", "spm/xlmr-trimmed-2427.model"};
    for (size_t i = 0; i < 2; i++) {
        xr_tokenizer *t = xr_tokenizer_open(data_path(good[i]));
        assert_non_null(t);
        assert_int_equal(xr_tokenizer_vocab_size(t), i ? 2429 : 31998);
        xr_tokenizer_free(t);
    }
}

static void published_ids(void **state)
{
    (void)state;
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    json_t *all = xr_json_file(data_path("spm/xlmr-reference-ids.json"), 1 << 20), *entry;
    assert_non_null(all);
    size_t i, right = 0;
    json_array_foreach(all, i, entry) {
        const char *text = json_string_value(json_object_get(entry, "text"));
        const json_t *ids = json_object_get(entry, "ids");
        int32_t want[256];
        size_t n = json_array_size(ids);
        xr_tokens k = {0};
        for (size_t j = 0; j < n; j++)
            want[j] = (int32_t)json_integer_value(json_array_get(ids, j));
        /* One text holds "<unk>", which its ids spell out as text. */
        assert_int_equal(xr_tokenizer_encode_pair(t, text, NULL, 0, !strstr(text, "<unk>"), &k, NULL), XR_OK);
        assert_ids(text, &k, want, n);
        right++;
        xr_tokens_free(&k);
    }
    assert_int_equal(right, 16);
    json_decref(all);
}

static void every_id_has_its_piece(void **state)
{
    (void)state;
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    assert_int_equal(xr_tokenizer_vocab_size(t), 250002);
    assert_int_equal(xr_tokenizer_mask_id(t), 250001);
    assert_string_equal(xr_tokenizer_sha256(t), "259376199f0d171c5dce65c7d022575a14f00f94a27f6f2511c21eb40cc18933");
    for (int32_t id = 0; id < 250002; id++)
        assert_non_null(xr_tokenizer_piece(t, id));
    static const char *const known[] = {"<s>", "<pad>", "</s>", "<unk>", ",", ".", "\xE2\x96\x81", "s"};
    for (int32_t id = 0; id < 8; id++)
        assert_string_equal(xr_tokenizer_piece(t, id), known[id]);
    assert_string_equal(xr_tokenizer_piece(t, 250001), "<mask>");
    assert_null(xr_tokenizer_piece(t, -1));
    assert_null(xr_tokenizer_piece(t, 250002));
}

typedef struct sample { const char *text; int32_t id[16]; } sample;     /* ids end at the </s> that closes them */

static void special_strings(void **state)
{
    (void)state;
    static const sample samples[] = {
        {"Hello I'm a <mask> model.", {0, 35378, 87, 25, 39, 10, 250001, 3299, 5, 2}},
        {"Hello I'm a  <mask>model. <mask>.", {0, 35378, 87, 25, 39, 10, 250001, 3299, 5, 250001, 6, 5, 2}},
        {"<mask>", {0, 250001, 2}},
        {"a</s>b <unk> c", {0, 10, 2, 876, 3, 501, 2}},
        {" <pad>", {0, 1, 2}},
        {"x\u3000\u00a0\u2003<mask>\u3000y", {0, 1022, 250001, 113, 2}},
        {"<s> <s>", {0, 0, 0, 2}},
        {"<mask><mask> <mask>", {0, 250001, 250001, 250001, 2}},
        {"a\t\n<mask>", {0, 10, 250001, 2}},
        {"< mask> <<mask>>", {0, 4426, 7021, 2740, 4426, 250001, 977, 2}},
        {"<MASK> <mask", {0, 4426, 40639, 605, 2740, 4426, 1510, 92, 2}},
        {"x\u200b<mask>", {0, 1022, 250001, 2}},
        {"x\ufeff <mask>", {0, 1022, 250001, 2}},
        {"你好<mask>世界", {0, 6, 124084, 250001, 6, 3221, 2}},
        {"x\x1c\xC2\x85<mask>", {0, 1022, 250001, 2}},
        {"ก <mask> ข", {0, 11070, 250001, 84586, 2}},
        {"  two  spaces <unk>  end  ", {0, 6626, 32628, 7, 3, 3564, 2}},
    };
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        xr_tokens k = {0};
        size_t n = 16;
        while (samples[i].id[n - 1] != 2)
            n--;
        assert_int_equal(xr_tokenizer_encode_pair(t, samples[i].text, NULL, 0, 1, &k, NULL), XR_OK);
        assert_ids(samples[i].text, &k, samples[i].id, n);
        xr_tokens_free(&k);
    }
    /* As plain text no special id can come out, whatever the text says. */
    static const char hostile[] = "<s> </s> <pad> <mask> a</s><mask>";
    xr_tokens k = {0};
    assert_int_equal(xr_tokenizer_encode(t, hostile, sizeof hostile - 1, 0, &k), XR_OK);
    for (size_t i = 0; i < k.n; i++)
        assert_true(k.v[i].id > 3 && k.v[i].id < 250001);
    xr_tokens_free(&k);
}

static void offsets_of_specials(void **state)
{
    (void)state;
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    xr_tokens k = {0};
    /* bytes:                 0123456789012345678901234 */
    static const char text[] = "Hello  <mask> model.</s>";
    static const uint32_t want[][2] = {{0, 5}, {7, 13}, {14, 19}, {19, 20}, {20, 24}};
    assert_int_equal(xr_tokenizer_encode(t, text, sizeof text - 1, 1, &k), XR_OK);
    assert_int_equal(k.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(k.v[i].begin, want[i][0]);
        assert_int_equal(k.v[i].end, want[i][1]);
    }
    xr_tokens_free(&k);
}

/* ---- pairs ---- */

static void truncation_of_pairs(void **state)
{
    (void)state;
    /* All (a, b, remove) with a, b < 8: the digest of "a,b,remove,cut_a,cut_b;…" as transformers' truncate_sequences
     * cuts. */
    xr_str all = {0};
    char hex[65];
    for (size_t a = 0; a < 8; a++)
        for (size_t b = 0; b < 8; b++)
            for (size_t r = 0; r < 16 && r <= a + b; r++) {
                size_t ca, cb, la = a, lb = b;
                xr_truncate_longest_first(a, b, r, &ca, &cb);
                for (size_t k = 0; k < r; k++)      /* the same by its definition */
                    *(la > lb ? &la : &lb) -= 1;
                assert_int_equal(la, a - ca);
                assert_int_equal(lb, b - cb);
                xr_str_printf(&all, "%s%zu,%zu,%zu,%zu,%zu", all.len ? ";" : "", a, b, r, ca, cb);
            }
    xr_sha256_hex(all.s, all.len, hex);
    assert_string_equal(hex, "c04d40febb7c3ed67819c599c87b42938ab8209bd22d5e1024ccc14ccfee6d3c");
    xr_str_free(&all);
}

static void pairs(void **state)
{
    (void)state;
    static const struct { const char *a, *b; size_t max; int32_t id[12]; size_t n, cut; } want[] = {
        {"Hello world!", "Bonjour le monde", 0, {0, 35378, 8999, 38, 2, 2, 84602, 95, 11146, 2}, 10, 0},
        {"Hello world! Hello world!", "Bonjour le monde", 8, {0, 35378, 8999, 2, 2, 84602, 95, 2}, 8, 5},
        {"Hello world!", "Bonjour le monde", 9, {0, 35378, 8999, 38, 2, 2, 84602, 95, 2}, 9, 1},
        {"Hello world! Bonjour", "Bonjour le monde", 7, {0, 35378, 8999, 2, 2, 84602, 2}, 7, 4},
        {"Hello world!", "", 6, {0, 35378, 8999, 2, 2, 2}, 6, 1},
        {"", "Hello world!", 5, {0, 2, 2, 35378, 2}, 5, 2},
        {"Hello world! Bonjour", NULL, 4, {0, 35378, 8999, 2}, 4, 2},
        {"Hello world!", NULL, 2, {0, 2}, 2, 3},
    };
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    xr_tokens k = {0};
    size_t cut;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        k.n = 0;
        assert_int_equal(xr_tokenizer_encode_pair(t, want[i].a, want[i].b, want[i].max, 1, &k, &cut), XR_OK);
        assert_ids(want[i].a, &k, want[i].id, want[i].n);
        assert_int_equal(cut, want[i].cut);
    }
    k.n = 1;                                        /* a failure leaves what was there */
    assert_fails(xr_tokenizer_encode_pair(t, "a", "b", 3, 1, &k, NULL), XR_EUSAGE, "need 4");
    assert_fails(xr_tokenizer_encode_pair(t, "a", "b\xFF", 0, 1, &k, NULL), XR_EDATA, "byte 1 (0xFF)");
    assert_int_equal(k.n, 1);
    xr_tokens_free(&k);
}

/* ---- decoding ---- */

static void decoding(void **state)
{
    (void)state;
    static const struct { int32_t id[5]; size_t n; const char *all, *text; } want[] = {
        {{0, 35378, 8999, 38, 2}, 5, "<s> Hello world!</s>", "Hello world!"},
        {{35378, 250001, 3299}, 3, "Hello<mask> model", "Hello model"},
        {{0, 3, 35378, 3, 2}, 5, "<s><unk> Hello<unk></s>", "Hello"},
        {{0, 250001, 250001, 8999, 2}, 5, "<s><mask><mask> world</s>", "world"},
        {{250001}, 1, "<mask>", ""},
        {{6}, 1, "", ""},
        {{0}, 0, "", ""},
    };
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        for (int skipping = 0; skipping < 2; skipping++) {
            char *got = xr_tokenizer_decode(t, want[i].id, want[i].n, skipping);
            assert_non_null(got);
            assert_string_equal(got, skipping ? want[i].text : want[i].all);
            xr_free(got);
        }
    assert_null(xr_tokenizer_decode(t, (const int32_t[]){5, 250002}, 2, 0));
    assert_fails(xr_error_status(), XR_EDATA, "token 1 is id 250002");
}

/* ---- real text ---- */

static void check_line(const xr_tokenizer *t, const char *text, size_t len, xr_tokens *k)
{
    uint32_t last = 0;
    k->n = 0;
    assert_int_equal(xr_tokenizer_encode(t, text, len, 0, k), XR_OK);
    for (size_t i = 0; i < k->n; i++) {
        const xr_token *v = &k->v[i];
        assert_true(v->begin >= last && v->begin <= v->end && v->end <= len);
        /* No token cuts a character: neither end is at a continuation byte. */
        assert_true(((unsigned char)text[v->begin] & 0xC0) != 0x80 && ((unsigned char)text[v->end] & 0xC0) != 0x80);
        last = v->end;
    }
}

/* A piece that normalisation did not change is the bytes that its offsets name. Returns 1 when it is. */
static int piece_is_text(const xr_tokenizer *t, const char *text, const xr_token *v)
{
    const char *piece = xr_tokenizer_piece(t, v->id);
    uint32_t begin = v->begin;
    if (strncmp(piece, "\xE2\x96\x81", 3) == 0) {
        piece += 3;
        begin += begin < v->end && text[begin] == ' ';
    }
    return strlen(piece) == v->end - begin && memcmp(piece, text + begin, v->end - begin) == 0;
}

static void offsets_on_real_text(void **state)
{
    (void)state;
    static const char *const files[] = {"cmn_hans", "tha", "arb", "hin", "jpn", "kor", "eng", "fra", "rus", "mya",
                                        "vie", "ydd"};
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    xr_tokens k = {0};
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        char name[64], *line;
        size_t len, tokens = 0, same = 0, unknown = 0;
        snprintf(name, sizeof name, "text/udhr/%s.txt", files[f]);
        xr_stream *s = xr_stream_open(data_path(name));
        assert_non_null(s);
        while (xr_stream_line(s, &line, &len) > 0) {
            check_line(t, line, len, &k);
            for (size_t i = 0; i < k.n; i++) {
                tokens++;
                unknown += k.v[i].id == XR_ID_UNK;
                same += k.v[i].id != XR_ID_UNK && (size_t)piece_is_text(t, line, &k.v[i]);
            }
        }
        xr_stream_close(s);
        assert_true(tokens > 1000);
        /* the rest is what nmt_nfkc rewrites: decomposed Vietnamese, Thai sara am, … */
        if (same + unknown < tokens * 3 / 4)
            fail_msg("%s: %zu of %zu pieces are the text their offsets name, %zu are unknown", files[f], same, tokens,
                     unknown);
    }
    xr_tokens_free(&k);
}

static void text_that_needs_care(void **state)
{
    (void)state;
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    xr_tokens k = {0};
    static const char nul[] = "a\0b", spaces[] = " \t\u3000 ";
    check_line(t, nul, 3, &k);
    assert_int_equal(k.v[k.n - 1].end, 3);
    check_line(t, spaces, sizeof spaces - 1, &k);
    assert_int_equal(k.n, 0);
    check_line(t, "", 0, &k);
    assert_int_equal(k.n, 0);
    check_line(t, "\uFDFA x", 5, &k);               /* one character written out as eighteen */
    assert_int_equal(k.v[0].end, 0);
    size_t big = 1 << 20;                           /* no space in a million bytes; ten thousand combining marks */
    char *a = malloc(big + 1);
    memset(a, 'a', big);
    a[big] = '\0';
    check_line(t, a, big, &k);
    assert_int_equal(k.v[k.n - 1].end, big);
    for (size_t i = 0; i < 10000; i++)
        memcpy(a + 1 + 2 * i, "\u0301", 2);
    a[20001] = '\0';
    check_line(t, a, 20001, &k);
    assert_int_equal(k.v[k.n - 1].end, 20001);
    free(a);
    assert_fails(xr_tokenizer_encode(t, "caf\xE9", 4, 1, &k), XR_EDATA, "byte 3 (0xE9) is not UTF-8");
    assert_fails(xr_tokenizer_encode(t, "\xFF\xFEh", 3, 1, &k), XR_EDATA, "UTF-16");
    assert_fails(xr_tokenizer_encode(t, "\xF4\x90\x80\x80", 4, 1, &k), XR_EDATA, "byte 0");
    xr_tokens_free(&k);
}

/* ---- threads ---- */

enum { N_THREADS = 4, N_LINES = 90 };
static char *shared_line[N_LINES];
static size_t n_shared;

static void *encode_all(void *model)
{
    xr_tokens *k = calloc(1, sizeof *k);
    for (int round = 0; round < 5; round++)
        for (size_t i = 0; i < n_shared; i++)
            if (xr_tokenizer_encode(model, shared_line[i], strlen(shared_line[i]), 1, k) < 0)
                k->n = 0;
    return k;
}

static void threads_share_one_handle(void **state)
{
    (void)state;
    xr_tokenizer *t = xlmr();
    if (!t)
        skip();
    char *line;
    size_t len;
    xr_stream *s = xr_stream_open(data_path("text/udhr/rus.txt"));
    assert_non_null(s);
    for (n_shared = 0; n_shared < N_LINES && xr_stream_line(s, &line, &len) > 0; n_shared++)
        shared_line[n_shared] = strdup(line);
    xr_stream_close(s);
    pthread_t id[N_THREADS];
    xr_tokens *got[N_THREADS];
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&id[i], NULL, encode_all, t), 0);
    for (size_t i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(id[i], (void **)&got[i]), 0);
    assert_true(got[0]->n > 5000);
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(got[i]->n, got[0]->n);
        assert_memory_equal(got[i]->v, got[0]->v, got[0]->n * sizeof *got[0]->v);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        xr_tokens_free(got[i]);
        free(got[i]);
    }
    for (size_t i = 0; i < n_shared; i++)
        free(shared_line[i]);
}

/* ---- running ---- */

static int tear_down(void **state)
{
    (void)state;
    xr_tokenizer_free(xlmr());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_files_of_other_kinds),
        cmocka_unit_test(published_ids),
        cmocka_unit_test(every_id_has_its_piece),
        cmocka_unit_test(special_strings),
        cmocka_unit_test(offsets_of_specials),
        cmocka_unit_test(truncation_of_pairs),
        cmocka_unit_test(pairs),
        cmocka_unit_test(decoding),
        cmocka_unit_test(offsets_on_real_text),
        cmocka_unit_test(text_that_needs_care),
        cmocka_unit_test(threads_share_one_handle),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, tear_down);
}
