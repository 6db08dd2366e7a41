/* Model files: those that are none, damaged ones, and those that training makes.
 *
 * Small models are written by hand (protobuf bytes) or trained on a text made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#include "data/spm_check.h"
#include "data/tokenizer.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/str.h"

static char dir[512];           /* of this run's files */
static char trained[600];       /* a small model made by the library's trainer */
static char corpus[600];

static void assert_fails(xr_status got, xr_status want, const char *with)
{
    if (got != want || !strstr(xr_error_message(), with))
        fail_msg("status %d, message \"%s\"; expected %d with \"%s\"", got, xr_error_message(), want, with);
    xr_error_clear();
}

/* ---- models written by hand ---- */

typedef struct buffer { uint8_t b[1 << 16]; size_t n; } buffer;

static void put(buffer *o, const void *p, size_t n) { memcpy(o->b + o->n, p, n); o->n += n; }
static void put_byte(buffer *o, unsigned c) { o->b[o->n++] = (uint8_t)c; }
static void put_varint(buffer *o, uint64_t v)
{
    for (; v > 0x7F; v >>= 7)
        put_byte(o, (unsigned)(v & 0x7F) | 0x80);
    put_byte(o, (unsigned)v);
}
static void put_bytes(buffer *o, unsigned number, const void *p, size_t n)
{
    put_byte(o, number << 3 | 2);
    put_varint(o, n);
    put(o, p, n);
}
static void put_piece(buffer *o, const void *text, size_t n, float score, unsigned type)
{
    static buffer piece;
    piece.n = 0;
    put_bytes(&piece, 1, text, n);
    put_byte(&piece, 2 << 3 | 5);
    put(&piece, &score, 4);
    put_byte(&piece, 3 << 3);
    put_varint(&piece, type);
    put_bytes(o, 1, piece.b, piece.n);
}
static void put_word(buffer *o, const char *s, float score) { put_piece(o, s, strlen(s), score, 1); }
static void put_heads(buffer *o)
{
    o->n = 0;
    put_piece(o, "<unk>", 5, 0, 2);
    put_piece(o, "<s>", 3, 0, 3);
    put_piece(o, "</s>", 4, 0, 3);
}
/* Ids 4 to 9: ▁ a b ab ▁a ▁ab */
static void put_small(buffer *o)
{
    static const char *const words[] = {"\xE2\x96\x81", "a", "b", "ab", "\xE2\x96\x81" "a", "\xE2\x96\x81" "ab"};
    put_heads(o);
    for (size_t i = 0; i < 6; i++)
        put_word(o, words[i], -1.0f - (float)i / 8);
}
static void put_model_type(buffer *o, unsigned type, unsigned byte_fallback)
{
    buffer *t = calloc(1, sizeof *t);
    put_byte(t, 3 << 3);
    put_varint(t, type);
    put_varint(t, 35 << 3);
    put_varint(t, byte_fallback);
    put_bytes(o, 2, t->b, t->n);
    free(t);
}

static void refuse(const void *bytes, size_t len, const char *with)
{
    char path[600];
    snprintf(path, sizeof path, "%s/bad.model", dir);
    assert_int_equal(xr_file_write(path, bytes, len), XR_OK);
    long live = xr_alloc_live();
    assert_null(xr_tokenizer_open(path));
    if (!strstr(xr_error_message(), path))
        fail_msg("message does not name the file: %s", xr_error_message());
    assert_fails(xr_error_status(), XR_EDATA, with);
    assert_int_equal(xr_alloc_live(), live);
}
static void refuse_text(const char *s, const char *with) { refuse(s, strlen(s), with); }

static void small_model_works(void **state)
{
    (void)state;
    buffer *o = calloc(1, sizeof *o);
    char path[600];
    xr_tokens k = {0};
    put_small(o);
    put_model_type(o, 1, 0);
    snprintf(path, sizeof path, "%s/sentencepiece.bpe.model", dir);
    assert_int_equal(xr_file_write(path, o->b, o->n), XR_OK);
    xr_tokenizer *t = xr_tokenizer_open(dir);       /* a directory holds it under its usual name */
    if (!t)
        fail_msg("%s", xr_error_message());
    assert_int_equal(xr_tokenizer_vocab_size(t), 11);
    assert_int_equal(xr_tokenizer_mask_id(t), 10);
    assert_string_equal(xr_tokenizer_path(t), path);
    assert_int_equal(strlen(xr_tokenizer_sha256(t)), 64);
    assert_int_equal(xr_tokenizer_encode(t, "ab aZ", 5, 1, &k), XR_OK);
    assert_int_equal(k.n, 3);
    assert_int_equal(k.v[0].id, 9);
    assert_int_equal(k.v[1].id, 8);
    assert_int_equal(k.v[2].id, XR_ID_UNK);
    assert_int_equal(k.v[2].begin, 4);
    assert_int_equal(k.v[2].end, 5);
    xr_tokens_free(&k);
    xr_tokenizer_free(t);
    free(o);
}

static void not_a_model(void **state)
{
    (void)state;
    refuse_text("", "empty");
    refuse_text("version https://git-lfs.github.com/spec/v1\noid sha256:cfc8\nsize 5069051\n", "Git LFS pointer");
    refuse_text("<!DOCTYPE html>\n<html><body>404</body></html>", "HTML");
    refuse_text("<html>", "HTML");
    refuse_text("{\"version\": \"1.0\"}", "JSON");
    refuse_text("This is plain text.\n", "\"This is plain text.?\"");
    refuse_text("\n\nThis is text that starts like a protobuf.\n", "byte ");
    refuse("\x1f\x8b\x08\x00\x00\x00\x00\x00", 8, "compressed");
    char path[600];
    snprintf(path, sizeof path, "%s/none.model", dir);
    assert_null(xr_tokenizer_open(path));
    assert_fails(xr_error_status(), XR_ENOINPUT, path);
}

static void too_large_or_damaged(void **state)
{
    (void)state;
    buffer *o = calloc(1, sizeof *o);
    put_small(o);
    size_t n = o->n;
    for (size_t cut = 1; cut < n; cut++) {          /* every truncation is refused, or is a model with fewer pieces */
        xr_status st = xr_spm_check("cut.model", o->b, cut);
        assert_true(st == XR_OK || st == XR_EDATA);
        xr_error_clear();
    }
    refuse(o->b, n - 1, "runs past the end");
    refuse(o->b, 30, "");
    static char big[(64 << 20) + 1] = {0x0A};
    refuse(big, sizeof big, "");
    free(o);
}

static void bad_pieces(void **state)
{
    (void)state;
    buffer *o = calloc(1, sizeof *o);
    static char a[XR_SPM_PIECE_CAP + 1];
    memset(a, 'a', sizeof a);
    put_small(o); put_piece(o, a, sizeof a - 1, 0, 1);
    assert_int_equal(xr_spm_check("fits.model", o->b, o->n), XR_OK);
    put_small(o); put_piece(o, a, sizeof a, 0, 1); refuse(o->b, o->n, "piece 9 has 4097 bytes");
    put_small(o); put_piece(o, "x\0y", 3, 0, 1); refuse(o->b, o->n, "piece 9 contains a NUL");
    put_small(o); put_piece(o, "x\xC3(", 3, 0, 1); refuse(o->b, o->n, "piece 9 is not UTF-8 at its byte 1");
    put_small(o); put_piece(o, "\xED\xA0\x80", 3, 0, 1); refuse(o->b, o->n, "not UTF-8");
    put_small(o); put_piece(o, "", 0, 0, 1); refuse(o->b, o->n, "piece 9 is empty");
    put_small(o); put_word(o, "ab", -2); refuse(o->b, o->n, "piece 9 (\"ab\") occurs twice");
    put_small(o); put_word(o, "c", (float)(1e308 * 10)); refuse(o->b, o->n, "not a finite number");
    put_small(o); put_word(o, "c", strtof("nan", NULL)); refuse(o->b, o->n, "not a finite number");
    put_small(o); put_piece(o, "c", 1, 0, 7); refuse(o->b, o->n, "type 7");
    put_small(o); put_piece(o, "<0x41>", 6, 0, 6); refuse(o->b, o->n, "piece 9 is of type BYTE");
    put_heads(o); put_piece(o, "<x>", 3, 0, 3); refuse(o->b, o->n, "none of its 4 pieces is one for text");
    put_small(o); put_piece(o, "c", 1, 0, 2); refuse(o->b, o->n, "2 pieces of type UNKNOWN");
    o->n = 0; put_word(o, "a", 0); put_word(o, "b", 0); put_word(o, "c", 0); put_word(o, "d", 0);
    refuse(o->b, o->n, "0 pieces of type UNKNOWN");
    o->n = 0; put_piece(o, "<pad>", 5, 0, 3); put_piece(o, "</s>", 4, 0, 3); put_piece(o, "<unk>", 5, 0, 2);
    put_word(o, "a", 0);
    refuse(o->b, o->n, "pieces 0, 1, 2");
    put_small(o); put_model_type(o, 2, 0); refuse(o->b, o->n, "model type BPE");
    put_small(o); put_model_type(o, 3, 0); refuse(o->b, o->n, "model type WORD");
    put_small(o); put_model_type(o, 1, 1); refuse(o->b, o->n, "byte_fallback");
    free(o);
}

static void too_many_pieces(void **state)
{
    (void)state;
    size_t n = XR_SPM_PIECES_CAP + 1;
    uint8_t *b = calloc(n, 2);
    for (size_t i = 0; i < n; i++)
        b[2 * i] = 0x0A;                            /* an empty piece each */
    refuse(b, 2 * n, "at most 1048576");
    free(b);
}

/* The bytes of field `number` in the message b[0..*n), *n becomes their length. */
static uint8_t *find_field(uint8_t *b, size_t *n, unsigned number)
{
    uint8_t *end = b + *n;
    while (b < end) {
        unsigned tag = *b++, shift = 0;
        size_t v = 0;
        do v |= (size_t)(*b & 0x7F) << (7 * shift++); while (*b++ & 0x80);
        if (tag == (number << 3 | 2)) {
            *n = v;
            return b;
        }
        if ((tag & 7) == 2)
            b += v;
    }
    fail_msg("no field %u", number);
    return NULL;
}

static void damaged_character_map(void **state)
{
    (void)state;
    size_t len, n;
    uint8_t *b = (uint8_t *)xr_file_read(trained, 1 << 24, &len);
    assert_non_null(b);
    n = len;
    uint8_t *spec = find_field(b, &n, 3);
    uint8_t *map = find_field(spec, &n, 2), save;
    uint32_t trie = (uint32_t)map[0] | (uint32_t)map[1] << 8 | (uint32_t)map[2] << 16;
    assert_int_equal(trie, 177152);                 /* nmt_nfkc: as large as in XLM-R's own model */
    save = map[3]; map[3] = 0x7F; refuse(b, len, "does not fit"); map[3] = save;
    save = map[0]; map[0] ^= 1; refuse(b, len, "does not fit"); map[0] = save;
    save = map[n - 1]; map[n - 1] = 'x'; refuse(b, len, "does not end in NUL"); map[n - 1] = save;
    save = map[6]; map[4 + 3] = 0x7F; map[4 + 1] |= 2; refuse(b, len, "points out of its table"); map[6] = save;
    save = map[7]; map[7] |= 0x80; refuse(b, len, "begins with a value"); map[7] = save;    /* the library takes the root's offset all the same */
    xr_free(b);
    /* Every single-bit flip of the table: refused, or harmless to the library under the same text. */
    b = (uint8_t *)xr_file_read(trained, 1 << 24, &len);
    n = len;
    spec = find_field(b, &n, 3);
    map = find_field(spec, &n, 2);
    static const char text[] = "Ｈｅｌｌｏ ﬁne ① ㍿ Ａ ½ ﷺ \xEF\xBD\xA7 \xE2\x84\xA2";
    int refused = 0, loaded = 0;
    for (size_t i = 0; i < 300; i++) {
        size_t bit = (i * 7919u + 13) % (8 * (size_t)trie);
        uint8_t *at = map + 4 + bit / 8, flip = (uint8_t)(1u << bit % 8);
        char path[600];
        snprintf(path, sizeof path, "%s/flip.model", dir);
        *at ^= flip;
        if (xr_spm_check("flip", b, len) == XR_OK && loaded < 20) {
            xr_tokens k = {0};
            assert_int_equal(xr_file_write(path, b, len), XR_OK);
            xr_tokenizer *t = xr_tokenizer_open(path);
            if (t)
                assert_int_equal(xr_tokenizer_encode(t, text, sizeof text - 1, 1, &k), XR_OK);
            xr_tokens_free(&k);
            xr_tokenizer_free(t);
            loaded++;
        } else {
            refused++;
        }
        xr_error_clear();
        *at ^= flip;
    }
    assert_true(refused > 0 && loaded > 0);
    xr_free(b);
}

/* ---- training ---- */

static void write_corpus(void)
{
    static const char *const word[] = {"river", "rivers", "stone", "stones", "walk", "walking", "walked", "house",
                                       "река", "реки",
                                       "камень", "камни", "дом", "дома", "水", "河水", "石头", "房子", "น้ำ", "บ้าน"};
    xr_str b = {0};
    uint32_t x = 1;
    for (int i = 0; i < 400; i++) {
        for (int k = 0; k < 8; k++) {
            x = x * 1664525u + 1013904223u;
            xr_str_printf(&b, "%s%s%u", k ? " " : "", word[(x >> 16) % 20], (x >> 8) % 10);
        }
        xr_str_putc(&b, '\n');
    }
    snprintf(corpus, sizeof corpus, "%s/corpus.txt", dir);
    assert_int_equal(xr_file_write(corpus, b.s, b.len), XR_OK);
    xr_str_free(&b);
}

static xr_tokenizer_training recipe(int size, int threads, const char *const *input)
{
    return (xr_tokenizer_training){.vocab_size = size, .threads = threads, .input = input, .n_input = 1, .seed = 7};
}

static void digest_of_training(xr_tokenizer_training how, char hex[65])
{
    char path[600];
    snprintf(path, sizeof path, "%s/again.model", dir);
    if (xr_tokenizer_train(&how, path) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(xr_file_sha256(path, hex), XR_OK);
}

static void training_is_repeatable(void **state)
{
    (void)state;
    const char *const input[] = {corpus};
    char first[65], other[65];
    assert_int_equal(xr_file_sha256(trained, first), XR_OK);
    digest_of_training(recipe(70, 2, input), other);
    assert_string_equal(first, other);
    digest_of_training(recipe(70, 0, input), other);
    assert_string_equal(first, other);
    xr_tokenizer_training some = recipe(66, 1, input);
    some.max_sentences = 200;
    digest_of_training(some, first);
    digest_of_training(some, other);
    assert_string_equal(first, other);
    some.seed = 8;
    digest_of_training(some, other);
    assert_string_not_equal(first, other);
}

static void trained_model_has_xlmr_settings(void **state)
{
    (void)state;
    xr_tokenizer *t = xr_tokenizer_open(trained);
    assert_non_null(t);
    assert_int_equal(xr_tokenizer_vocab_size(t), 70);
    xr_tokens k = {0};
    char *text;
    int32_t id[64];
    static const char line[] = "  ｒｉｖｅｒ  walking дома 水";     /* full width, double spaces: both normalised */
    assert_int_equal(xr_tokenizer_encode(t, line, sizeof line - 1, 0, &k), XR_OK);
    assert_true(k.n > 0 && k.n < 64);
    for (size_t i = 0; i < k.n; i++) {
        id[i] = k.v[i].id;
        assert_int_not_equal(id[i], XR_ID_UNK);
    }
    text = xr_tokenizer_decode(t, id, k.n, 1);
    assert_string_equal(text, "river walking дома 水");
    xr_free(text);
    xr_tokens_free(&k);
    xr_tokenizer_free(t);
}

static void refuse_training(const char *bytes, int size, const char *with)
{
    char path[600], out[600];
    const char *const input[] = {path};
    snprintf(path, sizeof path, "%s/input.txt", dir);
    snprintf(out, sizeof out, "%s/never.model", dir);
    assert_int_equal(xr_file_write(path, bytes, strlen(bytes)), XR_OK);
    xr_tokenizer_training how = recipe(size, 1, input);
    assert_fails(xr_tokenizer_train(&how, out), XR_EDATA, with);
    assert_false(xr_path_exists(out));
}

static void training_on_bad_input(void **state)
{
    (void)state;
    refuse_training("one two three\nfour five\n", 5000, "too large for this text, which gives at most");
    refuse_training("abcdefghijklmnopqrstuvwxyz0123456789\n", 12, "too small: the characters of this text alone need");
    refuse_training("", 100, "no line with text");
    refuse_training("  \n\t\n\xE2\x80\x8B\xC2\xA0\n\xE2\x96\x81\xE2\x96\x81\n", 100, "no line with text");
    refuse_training("good\nb\xFF" "d\n", 100, "input.txt:2: byte 1 of the line (0xFF) is not UTF-8");
    const char *const none[] = {"/nonexistent/corpus.txt"}, *const input[] = {corpus};
    xr_tokenizer_training how = recipe(100, 1, none);
    assert_fails(xr_tokenizer_train(&how, trained), XR_ENOINPUT, none[0]);
    how = recipe(66, 1, input);
    how.character_coverage = 0.5;
    assert_fails(xr_tokenizer_train(&how, trained), XR_EUSAGE, "coverage");
    how = recipe(66, 1, input);
    assert_fails(xr_tokenizer_train(&how, "/nonexistent/spm.model"), XR_ECANTCREAT, "/nonexistent/spm.model");
    assert_fails(xr_tokenizer_train(&how, dir), XR_ECANTCREAT, "is a directory");
}

/* ---- memory ---- */

/* Every allocation of ours fails once, from the first on: an error each time, nothing lost. */
static void out_of_memory(void **state)
{
    (void)state;
    long live = xr_alloc_live(), k = 0;
    for (int done = 0; !done; k++) {
        xr_tokens got = {0};
        char *text = NULL;
        xr_alloc_fail_after(k);
        xr_tokenizer *t = xr_tokenizer_open(trained);
        if (t && xr_tokenizer_encode_pair(t, "river <mask> stone", "walk", 8, 1, &got, NULL) == XR_OK)
            text = xr_tokenizer_decode(t, (const int32_t[]){0, 5, 6, 7}, 4, 0);
        xr_alloc_fail_after(-1);
        done = text != NULL;
        if (!done)
            assert_fails(xr_error_status(), XR_ESYSTEM, "");
        xr_free(text);
        xr_tokens_free(&got);
        xr_tokenizer_free(t);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 5);
}

/* ---- running ---- */

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR"), *const input[] = {corpus};
    snprintf(dir, sizeof dir, "%s/xr-tokenizer-XXXXXX", tmp && strlen(tmp) < 400 ? tmp : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    write_corpus();
    snprintf(trained, sizeof trained, "%s/trained.model", dir);
    xr_tokenizer_training how = recipe(70, 1, input);
    if (xr_tokenizer_train(&how, trained) == XR_OK)
        return 0;
    print_error("%s\n", xr_error_message());
    return -1;
}

static int tear_down(void **state)
{
    (void)state;
    return xr_remove_tree(dir) == XR_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_model_works),
        cmocka_unit_test(not_a_model),
        cmocka_unit_test(too_large_or_damaged),
        cmocka_unit_test(bad_pieces),
        cmocka_unit_test(too_many_pieces),
        cmocka_unit_test(damaged_character_map),
        cmocka_unit_test(training_is_repeatable),
        cmocka_unit_test(trained_model_has_xlmr_settings),
        cmocka_unit_test(training_on_bad_input),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests_name("tokenizer files", tests, set_up, tear_down);
}
