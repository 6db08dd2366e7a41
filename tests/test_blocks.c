/* Packing: blocks of hand-made documents against a model of fairseq's rules (scripts/golden_blocks.py), and the index file. */
#include "scratch.h"

#include <sys/stat.h>
#include <unistd.h>

#include "data/mlm_loader.h"
#include "fake_store.h"
#include "golden/blocks.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/rng.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
static const char some_digest[] = "0123456789abcdef0123456789abcdef", other_digest[] = "0123456789abcdef0123456789abcdee";
static char cache[300];
static int warnings;

static void count_warnings(xr_level level, const char *message)
{
    (void)message;
    warnings += level == XR_LOG_WARN;
}

static xr_store store_of(const struct block_corpus *c)
{
    return (xr_store){ .path = scratch, .digest = some_digest, .languages = c->languages, .n_documents = c->n_documents, .token = c->token,
                       .offset = c->offset, .lang = c->lang, .fail_after = -1 };
}

static xr_blocks *opened(xr_store *s, xr_break_mode mode, size_t length, const char *cache_dir)
{
    xr_blocks *b = xr_blocks_open(&s, 1, mode, length, cache_dir);
    if (!b)
        fail_msg("%s", xr_error_message());
    return b;
}

/* A folder of its own for an index, empty. */
static const char *fresh_cache(void)
{
    snprintf(cache, sizeof cache, "%s/cache", scratch);
    assert_int_equal(xr_remove_tree(cache), XR_OK);
    return cache;
}

/* ---- packing ---- */

static void check_blocks(xr_blocks *b, const struct block_case *c, size_t length)
{
    static int32_t id[128];
    const int32_t *expected = c->blocks;
    assert_int_equal(xr_blocks_count(b, c->lang), c->n_blocks);
    assert_true(xr_blocks_length(b) == length && length <= COUNT(id));
    for (uint64_t k = 0; k < c->n_blocks; k++) {
        assert_int_equal(xr_blocks_read(b, c->lang, k, id), *expected);
        assert_memory_equal(id, expected + 1, (size_t)*expected * sizeof *id);
        expected += 1 + *expected;
    }
}

static void fairseq_rules(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(block_cases); k++) {
        const struct block_case *c = &block_cases[k];
        xr_store s = store_of(&block_corpora[c->corpus]);
        s.path = "/dev/null/nowhere";       /* the index stays in memory */
        xr_blocks *b = opened(&s, (xr_break_mode)xr_break_mode_find(c->mode), block_corpora[c->corpus].length, NULL);
        check_blocks(b, c, block_corpora[c->corpus].length);
        xr_blocks_close(b);
    }
    assert_int_equal(xr_break_mode_find("complete-doc"), -1);
}

/* The same from a mapped index, the second time without reading the store. */
static void fairseq_rules_from_the_file(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t k = 0; k < COUNT(block_cases); k++) {
            const struct block_case *c = &block_cases[k];
            char dir[320];
            xr_store s = store_of(&block_corpora[c->corpus]);
            snprintf(dir, sizeof dir, "%s/corpus-%zu", scratch, c->corpus);
            xr_blocks *b = opened(&s, (xr_break_mode)xr_break_mode_find(c->mode), block_corpora[c->corpus].length, dir);
            assert_true(round == 0 || s.reads == 0);
            check_blocks(b, c, block_corpora[c->corpus].length);
            xr_blocks_close(b);
        }
}

/* Two stores that hold the two halves of a corpus give the blocks of the corpus. */
static void halves_in_two_stores(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(block_cases); k++) {
        const struct block_case *c = &block_cases[k];
        const struct block_corpus *all = &block_corpora[c->corpus];
        uint64_t rest[16], half = all->n_documents / 2;
        for (size_t d = half; d <= all->n_documents; d++)
            rest[d - half] = all->offset[d] - all->offset[half];
        xr_store a = store_of(all), b = a, *both[2] = { &a, &b };
        a.n_documents = half;
        b = (xr_store){ .path = scratch, .digest = other_digest, .languages = all->languages, .n_documents = all->n_documents - half,
                        .token = all->token + all->offset[half], .offset = rest, .lang = all->lang + half, .fail_after = -1 };
        xr_blocks *blocks = xr_blocks_open(both, 2, (xr_break_mode)xr_break_mode_find(c->mode), all->length, fresh_cache());
        assert_non_null(blocks);
        check_blocks(blocks, c, all->length);
        xr_blocks_close(blocks);
    }
}

/* A corpus of many documents in three languages, in two stores with other language lists; sentences up to three blocks long. */
enum { DOCUMENTS = 9000, TOKENS = 1200000, LENGTH = 32 };
static int32_t token[TOKENS];
static uint64_t offset[2][DOCUMENTS + 1];
static uint16_t lang[2][DOCUMENTS];

static void make_corpus(xr_store pair[2])
{
    xr_philox_key key = xr_rng_key(1, XR_RNG_TEST);
    size_t n = 0;
    uint32_t draw = 0;
    for (int s = 0; s < 2; s++) {
        size_t base = n;
        for (size_t d = 0; d < DOCUMENTS; d++) {
            lang[s][d] = (uint16_t)xr_rng_below(key, draw++, 0, 0, 0, 3);
            for (uint64_t sentences = xr_rng_below(key, draw++, 0, 0, 0, 6); sentences > 0; sentences--) {
                uint64_t longest = xr_rng_below(key, draw++, 0, 0, 0, 8) ? 20 : 100;
                uint64_t size = 1 + xr_rng_below(key, draw++, 0, 0, 0, longest);
                for (uint64_t i = 1; i < size; i++, n++)
                    token[n] = 10 + (int32_t)n;
                token[n++] = 2;
            }
            offset[s][d + 1] = n - base;
            assert_true(n < TOKENS - 1000);
        }
        pair[s] = (xr_store){ .path = scratch, .digest = s ? other_digest : some_digest, .languages = s ? "en,sw,zh" : "de,en,sw",
                              .n_documents = DOCUMENTS, .token = token + base, .offset = offset[s], .lang = lang[s], .fail_after = -1 };
    }
}

/* Blocks of a language, one after another, are its documents in order, and nothing else but separators. */
static void check_cover(xr_blocks *b, const xr_store pair[2], size_t l, int separators)
{
    int32_t id[LENGTH];
    uint64_t k = 0, tokens = 0, blocks = xr_blocks_count(b, l);
    long n = 0, i = 0;
    int first = 1;
#define NEXT() (i == n ? (n = xr_blocks_read(b, l, k++, id), assert_true(n >= 2 && n <= LENGTH && id[0] == 0), i = 1) : 0, id[i++])
    for (int s = 0; s < 2; s++)
        for (size_t d = 0; d < DOCUMENTS; d++) {
            if (strcmp(xr_store_language(&pair[s], pair[s].lang[d]), xr_blocks_language(b, l)) != 0 || offset[s][d + 1] == offset[s][d])
                continue;
            if (!first && separators)
                assert_int_equal(NEXT(), 2);
            first = 0;
            for (uint64_t t = offset[s][d]; t < offset[s][d + 1]; t++, tokens++)
                assert_int_equal(NEXT(), pair[s].token[t]);
        }
    assert_true(k == blocks && i == n);
    assert_int_equal(xr_blocks_tokens(b, l), tokens);
}

static void every_token_once(void **state)
{
    static xr_store pair[2];
    xr_store *both[2] = { &pair[0], &pair[1] };
    (void)state;
    make_corpus(pair);
    for (int mode = XR_BREAK_COMPLETE; mode <= XR_BREAK_EOS; mode++) {
        if (mode == XR_BREAK_COMPLETE_DOC)
            continue;       /* drops blocks of one token */
        xr_blocks *b = xr_blocks_open(both, 2, (xr_break_mode)mode, LENGTH, fresh_cache());
        assert_non_null(b);
        assert_int_equal(xr_blocks_n_languages(b), 4);
        assert_string_equal(xr_blocks_language(b, 3), "zh");
        for (size_t l = 0; l < 4; l++)
            check_cover(b, pair, l, mode != XR_BREAK_EOS);
        xr_blocks_close(b);
    }
}

/* In complete_doc a block's tokens stand in the store as they stand in the block. */
static void documents_are_not_crossed(void **state)
{
    static xr_store pair[2];
    static uint32_t document_of[TOKENS];
    xr_store *both[2] = { &pair[0], &pair[1] };
    int32_t id[LENGTH];
    uint64_t seen = 0, dropped = 0;
    (void)state;
    make_corpus(pair);
    for (int s = 0; s < 2; s++)
        for (uint32_t d = 0; d < DOCUMENTS; d++)
            for (uint64_t t = offset[s][d]; t < offset[s][d + 1]; t++)
                document_of[pair[s].token - token + (ptrdiff_t)t] = (uint32_t)s * DOCUMENTS + d;
    xr_blocks *b = xr_blocks_open(both, 2, XR_BREAK_COMPLETE_DOC, LENGTH, fresh_cache());
    for (size_t l = 0; l < 4; l++) {
        for (uint64_t k = 0; k < xr_blocks_count(b, l); k++) {
            long n = xr_blocks_read(b, l, k, id);
            assert_true(n >= 3);
            seen += (uint64_t)n - 1;
            size_t known = id[1] == 2 ? 2 : 1;      /* an ordinary token says where it stands */
            for (long i = 1; i < n && id[known] != 2; i++)
                if (id[i] != 2)
                    assert_int_equal(document_of[id[i] - 10], document_of[id[known] - 10]);
        }
        dropped += xr_blocks_tokens(b, l);
    }
    assert_true(seen < dropped && dropped - seen < 1000);
    xr_blocks_close(b);
}

/* ---- finding ---- */

/* A million blocks: the last is found with as little reading as the first, and the index takes 8 bytes a block. */
static void the_millionth_block(void **state)
{
    xr_store s = { .path = scratch, .digest = some_digest, .languages = "en", .n_documents = 100, .rule = 150000, .fail_after = -1 };
    int32_t id[16];
    struct stat st;
    (void)state;
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE_DOC, 16, fresh_cache());
    assert_int_equal(xr_blocks_count(b, 0), 1000000);
    assert_int_equal(s.read_tokens, 15000000);
    static const uint64_t k[] = { 0, 999999, 500000 };
    for (size_t i = 0; i < COUNT(k); i++) {
        s.reads = s.read_tokens = 0;
        assert_int_equal(xr_blocks_read(b, 0, k[i], id), 16);
        assert_int_equal(id[1], 10 + k[i] * 15 % 1000);
        assert_true(s.reads == 1 && s.read_tokens == 15);
    }
    char path[400];
    snprintf(path, sizeof path, "%s/blocks-complete_doc-16-%s.idx", cache, xr_blocks_digest(b));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 8 * 1000000 + 16 * 101 + 300);
    xr_blocks_close(b);
    s.reads = 0;
    b = opened(&s, XR_BREAK_COMPLETE_DOC, 16, cache);
    assert_int_equal(s.reads, 0);
    xr_blocks_close(b);
}

/* A step is found without those before it, and reads its own blocks and nothing else: no read-ahead, no replay. Its first
 * block is read once more, to see that the update has a target. */
static void the_millionth_step(void **state)
{
    xr_store s = { .path = scratch, .digest = some_digest, .languages = "en", .n_documents = 100, .rule = 150000, .fail_after = -1 };
    xr_masking m = { .share = 0.15, .mask_share = 0.8, .random_share = 0.1, .vocab_size = 2000, .mask_id = 1999 };
    xr_sampling q;
    (void)state;
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE_DOC, 16, cache);
    uint64_t count = xr_blocks_count(b, 0);
    assert_int_equal(xr_sampling_init(&q, &count, 1, 0.3, 1, xr_blocks_digest(b)), XR_OK);
    static const uint64_t step[] = { 0, 1, 1000000, UINT64_C(1) << 40 };
    for (size_t i = 0; i < COUNT(step); i++) {
        xr_mlm_loader *l = xr_mlm_loader_new(b, &q, &m, 8, 4);
        s.reads = s.read_tokens = 0;
        assert_int_equal(xr_mlm_loader_begin(l, step[i]), 2);
        assert_true(s.reads == 1 && s.read_tokens == 15);
        for (int k = 0; k < 2; k++) {
            assert_non_null(xr_mlm_loader_batch(l, k));
            assert_true(s.reads == 1 + 4 * ((uint64_t)k + 1) && s.read_tokens == 15 + 60 * ((uint64_t)k + 1));
        }
        xr_mlm_loader_free(l);
    }
    xr_sampling_free(&q);
    xr_blocks_close(b);
}

static void digest_tells_data_mode_and_length(void **state)
{
    xr_store s = store_of(&block_corpora[4]), t = s;
    xr_store *twice[2] = { &s, &t };
    char digest[33];
    (void)state;
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE, 9, fresh_cache());
    strcpy(digest, xr_blocks_digest(b));
    xr_blocks_close(b);
    t.digest = other_digest;
    xr_blocks *others[] = { opened(&t, XR_BREAK_COMPLETE, 9, cache), opened(&s, XR_BREAK_NONE, 9, cache), opened(&s, XR_BREAK_COMPLETE, 10, cache),
                            xr_blocks_open(twice, 2, XR_BREAK_COMPLETE, 9, cache) };
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_string_not_equal(xr_blocks_digest(others[i]), digest);
        xr_blocks_close(others[i]);
    }
    b = opened(&s, XR_BREAK_COMPLETE, 9, NULL);     /* where it lies does not matter */
    assert_string_equal(xr_blocks_digest(b), digest);
    xr_blocks_close(b);
}

/* ---- damage ---- */

/* Opens corpus 4 with the index in `cache`; returns how often the store was read for it. */
static uint64_t reads_to_open(const char *dir)
{
    xr_store s = store_of(&block_corpora[4]);
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE, block_corpora[4].length, dir);
    uint64_t reads = s.reads;
    for (size_t k = 0; k < COUNT(block_cases); k++)
        if (block_cases[k].corpus == 4 && strcmp(block_cases[k].mode, "complete") == 0)
            check_blocks(b, &block_cases[k], block_corpora[4].length);
    xr_blocks_close(b);
    return reads;
}

static void index_path(char path[400])
{
    xr_store s = store_of(&block_corpora[4]);
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE, block_corpora[4].length, cache);
    snprintf(path, 400, "%s/blocks-complete-%zu-%s.idx", cache, block_corpora[4].length, xr_blocks_digest(b));
    xr_blocks_close(b);
}

/* Every byte flipped in turn, every length cut: noticed, said, made again, right. */
static void damaged_index(void **state)
{
    char path[400];
    size_t len;
    (void)state;
    fresh_cache();
    index_path(path);
    char *good = xr_file_read(path, 1 << 20, &len);
    assert_non_null(good);
    xr_log_set_sink(count_warnings);
    for (size_t i = 0; i < 2 * len; i++) {
        if (i < len)
            good[i] ^= 0x10;
        assert_int_equal(xr_file_write(path, good, i < len ? len : i - len), XR_OK);
        if (i < len)
            good[i] ^= 0x10;
        warnings = 0;
        assert_true(reads_to_open(cache) > 0);
        assert_int_equal(warnings, 1);
        assert_int_equal(reads_to_open(cache), 0);
    }
    xr_log_set_sink(NULL);
    size_t again;
    char *made = xr_file_read(path, 1 << 20, &again);
    assert_true(again == len && memcmp(made, good, len) == 0);      /* two builds, the same bytes */
    xr_free(good);
    xr_free(made);
}

/* Without a folder given, a store that cannot be written to is no obstacle; a folder that was asked for is. */
static void nowhere_to_write(void **state)
{
    xr_store s = store_of(&block_corpora[4]), *one = &s;
    (void)state;
    s.path = "/dev/null/nowhere";
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE, block_corpora[4].length, NULL);
    assert_true(s.reads > 0);
    assert_int_equal(xr_error_status(), XR_OK);
    xr_blocks_close(b);
    assert_null(xr_blocks_open(&one, 1, XR_BREAK_COMPLETE, 9, "/dev/null/nowhere"));
    expect_error(XR_ECANTCREAT, "/dev/null/nowhere: the directory cannot be created: /dev/null: a file with that name is in the way");
}

/* An index that is there is used from a folder that cannot be written to. */
static void read_only_cache(void **state)
{
    (void)state;
    fresh_cache();
    assert_true(reads_to_open(cache) > 0);
    assert_int_equal(chmod(cache, 0555), 0);
    assert_int_equal(reads_to_open(cache), 0);
    assert_int_equal(chmod(cache, 0755), 0);
}

static void failing_reads(void **state)
{
    int32_t id[128];
    xr_store s = store_of(&block_corpora[4]), *one = &s;
    (void)state;
    s.fail_after = 0;
    assert_null(xr_blocks_open(&one, 1, XR_BREAK_COMPLETE, 9, fresh_cache()));
    expect_error(XR_EDATA, "a bad chunk");
    s.fail_after = -1;
    xr_blocks *b = opened(&s, XR_BREAK_COMPLETE, 9, cache);
    s.fail_after = 0;
    assert_int_equal(xr_blocks_read(b, 0, 0, id), XR_EDATA);
    expect_error(XR_EDATA, "a bad chunk");
    xr_blocks_close(b);
    s.languages = "de,en,fr-a-name-that-is-longer-than-any-name-of-a-language-or-a-script-or-both-should-be";
    s.digest = other_digest;
    assert_null(xr_blocks_open(&one, 1, XR_BREAK_COMPLETE, 9, cache));
    expect_error(XR_EDATA, "longer than 63 bytes");
}

/* Every allocation fails once: an error each time, or an index in memory, nothing lost. */
static void out_of_memory(void **state)
{
    xr_store s = store_of(&block_corpora[8]), *one = &s;
    long live = xr_alloc_live(), k = 0;
    (void)state;
    for (int done = 0; !done; k++) {
        for (int round = 0; round < 2 && !done; round++) {
            const char *dir = round ? cache : fresh_cache();
            if (round) {
                xr_blocks *made = opened(&s, XR_BREAK_COMPLETE, 9, dir);
                xr_blocks_close(made);
            }
            xr_alloc_fail_after(k);
            xr_blocks *b = xr_blocks_open(&one, 1, XR_BREAK_COMPLETE, 9, dir);
            xr_alloc_fail_after(-1);
            assert_int_equal(b ? XR_OK : XR_ESYSTEM, xr_error_status());
            done = b && !round;
            xr_error_clear();
            xr_blocks_close(b);
            assert_int_equal(xr_alloc_live(), live);
        }
    }
    assert_true(k > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fairseq_rules), cmocka_unit_test(fairseq_rules_from_the_file), cmocka_unit_test(halves_in_two_stores),
        cmocka_unit_test(every_token_once),
        cmocka_unit_test(documents_are_not_crossed), cmocka_unit_test(the_millionth_block), cmocka_unit_test(the_millionth_step),
        cmocka_unit_test(digest_tells_data_mode_and_length),
        cmocka_unit_test(damaged_index), cmocka_unit_test_teardown(nowhere_to_write, clear_error), cmocka_unit_test(read_only_cache),
        cmocka_unit_test_teardown(failing_reads, clear_error), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
