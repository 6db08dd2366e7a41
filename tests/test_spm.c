/* Our encoder of sentencepiece models against the library itself: ids and offsets, over models made by chance, a trained one with the library's
 * character map, and real text in many languages. */
#include <zlib.h>

#include "data/spm.h"
#include "data/spm_check.h"
#include "naive/spm_library.h"
#include "scratch.h"
#include "util/alloc.h"
#include "util/stream.h"
#include "util/utf8.h"

static uint32_t state_of_chance;
static uint32_t chance(uint32_t below)
{
    state_of_chance = state_of_chance * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)state_of_chance * below >> 32);
}

/* Both encoders on one text. */
static void same(const xr_spm *ours, const naive_spm *theirs, const char *text, size_t len, xr_tokens *k, naive_piece **want, size_t *cap)
{
    size_t n = naive_spm_encode(theirs, text, len, *want, *cap);
    if (n != SIZE_MAX && n > *cap) {
        *want = realloc(*want, n * sizeof **want);
        *cap = n;
        n = naive_spm_encode(theirs, text, len, *want, *cap);
    }
    k->n = 0;
    assert_int_equal(xr_spm_encode(ours, text, len, 7, k), XR_OK);
    int equal = n == k->n;
    for (size_t i = 0; equal && i < n; i++)
        equal = k->v[i].id == ((*want)[i].id == 0 ? 3 : (*want)[i].id + 1) && k->v[i].begin == 7 + (*want)[i].begin && k->v[i].end == 7 + (*want)[i].end;
    for (size_t i = 0; !equal && (i < n || i < k->n); i++)
        print_error("  ours %d [%u, %u)  library %d [%u, %u)\n", i < k->n ? k->v[i].id - 1 : -1, i < k->n ? k->v[i].begin - 7 : 0,
                    i < k->n ? k->v[i].end - 7 : 0, i < n ? (*want)[i].id : -1, i < n ? (*want)[i].begin : 0, i < n ? (*want)[i].end : 0);
    if (!equal)
        fail_msg("encoded differently: '%.*s'", (int)(len < 300 ? len : 300), text);
}

/* ---- models made by chance ---- */

typedef struct bytes { uint8_t b[1 << 14]; size_t n; } bytes;

static void put(bytes *o, const void *p, size_t n) { memcpy(o->b + o->n, p, n); o->n += n; }
static void put_byte(bytes *o, unsigned c) { o->b[o->n++] = (uint8_t)c; }
static void put_message(bytes *o, unsigned field, const bytes *m)
{
    put_byte(o, field << 3 | 2);
    put_byte(o, (unsigned)m->n & 0x7F);         /* messages here are shorter than 128 bytes */
    put(o, m->b, m->n);
}

static void put_piece(bytes *o, const char *text, float score, unsigned type)
{
    static bytes m, s;
    m.n = s.n = 0;
    put(&s, text, strlen(text));
    put_message(&m, 1, &s);
    put_byte(&m, 2 << 3 | 5);
    put(&m, &score, 4);
    put_byte(&m, 3 << 3);
    put_byte(&m, type);
    put_message(o, 1, &m);
}

static const char *const letters[] = {"a", "b", "c", "\u2581", "\u00e9", "\u4f60", "\U0001F600"};

static void word_of_chance(char *out)
{
    *out = 0;
    for (uint32_t n = 1 + chance(4); n > 0; n--)
        strcat(out, letters[chance(7)]);
}

/* Scores in quarters, so that ways tie; a few pieces user-defined, unused or positive; the flags at will. */
static void make_model(bytes *o)
{
    char word[40][64];
    bytes flags = {.n = 0}, trainer = {.n = 0};
    size_t n = 5 + chance(35), kept = 0;
    put_piece(o, "<unk>", 0, 2);
    put_piece(o, "<s>", 0, 3);
    put_piece(o, "</s>", 0, 3);
    for (size_t i = 0; i < n; i++) {
        int twice = 0;
        word_of_chance(word[kept]);
        for (size_t j = 0; j < kept; j++)
            twice = twice || strcmp(word[j], word[kept]) == 0;
        if (!twice)
            put_piece(o, word[kept++], 1.0f - (float)chance(40) / 4, chance(8) ? 1 : chance(2) ? 4 : 5);
    }
    put_piece(o, "z", -1, 1);
    for (unsigned field = 3; field <= 5; field++)
        if (chance(2)) {
            put_byte(&flags, field << 3);
            put_byte(&flags, chance(3) > 0);
        }
    put_message(o, 3, &flags);
    put_byte(&trainer, 0xC0), put_byte(&trainer, 1), put_byte(&trainer, chance(4) == 0);    /* field 24 */
    put_message(o, 2, &trainer);
}

static size_t text_of_chance(char *out)
{
    static const char *const more[] = {" ", "  ", "z", "q", "<s>", "<unk>", "\u3000", "x"};
    size_t n = 0;
    for (uint32_t k = chance(24); k > 0; k--) {
        const char *s = chance(3) ? letters[chance(7)] : more[chance(8)];
        memcpy(out + n, s, strlen(s));
        n += strlen(s);
    }
    return n;
}

static void models_of_chance(void **state)
{
    (void)state;
    static bytes o;
    xr_tokens k = {0};
    naive_piece *want = NULL;
    size_t cap = 0;
    for (uint32_t seed = 0; seed < 400; seed++) {
        char text[512];
        state_of_chance = seed;
        o.n = 0;
        make_model(&o);
        assert_int_equal(xr_spm_check("model", o.b, o.n), XR_OK);
        xr_spm *ours = xr_spm_load(o.b, o.n);
        naive_spm *theirs = naive_spm_load(o.b, o.n);
        assert_non_null(ours);
        assert_non_null(theirs);
        for (int i = 0; i < 60; i++)
            same(ours, theirs, text, text_of_chance(text), &k, &want, &cap);
        xr_spm_free(ours);
        naive_spm_free(theirs);
    }
    xr_tokens_free(&k);
    free(want);
}

/* ---- files ---- */

typedef struct both { char *bytes; size_t len; xr_spm *ours; naive_spm *theirs; xr_tokens k; naive_piece *want; size_t cap; } both;

static void both_open(both *m, const char *path)
{
    memset(m, 0, sizeof *m);
    m->bytes = xr_file_read(path, XR_SPM_FILE_CAP, &m->len);
    assert_non_null(m->bytes);
    assert_int_equal(xr_spm_check(path, m->bytes, m->len), XR_OK);
    m->ours = xr_spm_load(m->bytes, m->len);
    m->theirs = naive_spm_load(m->bytes, m->len);
    assert_non_null(m->ours);
    assert_non_null(m->theirs);
}

static void both_close(both *m)
{
    xr_free(m->bytes);
    xr_spm_free(m->ours);
    naive_spm_free(m->theirs);
    xr_tokens_free(&m->k);
    free(m->want);
}

static void both_encode(both *m, const char *text, size_t len) { same(m->ours, m->theirs, text, len, &m->k, &m->want, &m->cap); }

/* Characters of every kind, among them those that a character map drops, widens or turns into spaces. */
static void noise(both *m, int texts)
{
    static const uint32_t odd[] = {' ', 0x2581, 0x3000, 0xA0, 9, 0x200B, 0x200D, 0xFEFF, 0xFDFA, 0x1E9B, 0x323, 0xAD, 0, 0x7F, 0xFFFD, 0x10FFFF};
    xr_str s = {0};
    state_of_chance = 5;
    for (int i = 0; i < texts; i++) {
        xr_str_clear(&s);
        for (uint32_t n = chance(30); n > 0; n--) {
            static const uint32_t from[] = {32, 0x80, 0x3000, 0xE000, 0x10000}, size[] = {95, 0x2F80, 0xA800, 0x2000, 0x10000};
            uint32_t kind = chance(5);
            assert_int_equal(xr_utf8_append(&s, chance(3) ? from[kind] + chance(size[kind]) : odd[chance(16)]), XR_OK);
        }
        both_encode(m, s.s ? s.s : "", s.len);
    }
    xr_str_free(&s);
}

static void character_map(void **state)
{
    (void)state;
    char corpus[300], path[300];
    const char *const input[] = {corpus};
    xr_str text = {0};
    snprintf(corpus, sizeof corpus, "%s/corpus.txt", scratch);
    snprintf(path, sizeof path, "%s/trained.model", scratch);
    state_of_chance = 1;
    for (int line = 0; line < 300; line++) {
        for (int w = 0; w < 8; w++)
            for (uint32_t n = 1 + chance(5), c = chance(3); n > 0; n--)
                xr_utf8_append(&text, n == 1 ? ' ' : (c == 0 ? 'a' : c == 1 ? 0x430u : 0x4E00u) + chance(12));
        xr_str_putc(&text, '\n');
    }
    assert_int_equal(xr_file_write(corpus, text.s, text.len), XR_OK);
    xr_str_free(&text);
    if (xr_tokenizer_train(&(xr_tokenizer_training){.vocab_size = 120, .threads = 1, .input = input, .n_input = 1, .seed = 7}, path) < 0)
        fail_msg("%s", xr_error_message());
    both m;
    both_open(&m, path);
    noise(&m, 4000);
    both_close(&m);
}

static void real_file(both *m, const char *path, size_t lines)
{
    gzFile f = gzopen(path, "r");
    char *line = malloc(1 << 16);
    while (f && lines-- > 0 && gzgets(f, line, 1 << 16)) {
        size_t len = strcspn(line, "\n");
        if (xr_utf8_check(line, len) == len)
            both_encode(m, line, len);
    }
    free(line);
    if (f)
        gzclose(f);
}

/* The 250,000-piece model on 15 languages. */
static void real_text(void **state)
{
    (void)state;
    static const char *const language[] = {"ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"};
    const char *root = getenv("XLMR_DATA");
    char path[1024];
    snprintf(path, sizeof path, "%s/spm/sentencepiece.bpe.rebuilt.model", root ? root : "../shared/data");
    if (!xr_path_exists(path)) {
        print_message("no %s: set XLMR_DATA to the folder of test data\n", path);
        skip();
    }
    both m;
    both_open(&m, path);
    noise(&m, 3000);
    for (size_t i = 0; i < sizeof language / sizeof *language; i++) {
        snprintf(path, sizeof path, "%s/xnli/dev-%s.tsv.gz", root ? root : "../shared/data", language[i]);
        real_file(&m, path, 150);
    }
    both_close(&m);
}

/* ---- memory ---- */

static void memory_may_fail(void **state)
{
    (void)state;
    static bytes o;
    long live = xr_alloc_live();
    o.n = 0;
    state_of_chance = 3;
    make_model(&o);
    for (long k = 0;; k++) {
        xr_tokens t = {0};
        xr_str s = {0};
        xr_alloc_fail_after(k);
        xr_spm *m = xr_spm_load(o.b, o.n);
        xr_status status = m ? xr_spm_encode(m, "ab ca zz", 8, 0, &t) : XR_ESYSTEM;
        status = status < 0 ? status : xr_spm_normalize(m, "ab ca", 5, &s);
        xr_alloc_fail_after(-1);
        xr_spm_free(m);
        xr_tokens_free(&t);
        xr_str_free(&s);
        assert_int_equal(xr_alloc_live(), live);
        xr_error_clear();
        if (status == XR_OK) {
            assert_true(k > 8);
            return;
        }
        assert_int_equal(status, XR_ESYSTEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_of_chance),
        cmocka_unit_test_setup_teardown(character_map, make_scratch, remove_scratch),
        cmocka_unit_test(real_text),
        cmocka_unit_test(memory_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
