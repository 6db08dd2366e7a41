/* Masked batches from a token store on disk: what each sequence is, and that nothing but its number decides it. */
#include "scratch.h"

#include "data/mlm_loader.h"
#include "util/alloc.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
enum { VOCAB = 1000, LENGTH = 40, BATCH = 12 };

static xr_store *store;
static xr_blocks *blocks;
static xr_sampling sampling;
static uint64_t count[3];

/* Documents of a language: sentences of 1 to `longest` tokens, any ids. */
static void write_documents(xr_store_writer *w, const char *language, size_t documents, uint32_t longest, int32_t least)
{
    static uint32_t roll = 1;
    int32_t id[100];
    for (size_t d = 0; d < documents; d++) {
        for (int s = 0; s < 5; s++) {
            size_t n = 1 + (roll = roll * 1664525u + 1013904223u) / 65536 % longest;
            for (size_t i = 0; i < n; i++)
                id[i] = least + (int32_t)((roll = roll * 1664525u + 1013904223u) / 65536 % (VOCAB - 1 - (uint32_t)least));
            assert_int_equal(xr_store_sentence(w, id, n), XR_OK);
        }
        assert_int_equal(xr_store_end_document(w, language), XR_OK);
    }
}

static void finish_store(xr_store_writer *w, const char *name)
{
    json_t *facts = NULL, *shards = json_array();
    assert_int_equal(xr_store_commit(w, &facts), XR_OK);
    json_array_append_new(shards, facts);
    assert_int_equal(xr_store_write_manifest(in_scratch(name), SHA, VOCAB, shards, NULL), XR_OK);
    json_decref(shards);
}

static xr_store_writer *begin_store(const char *name)
{
    char path[400];
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    snprintf(path, sizeof path, "%s/%s/shard-00000.h5", scratch, name);
    xr_store_writer *w = xr_store_create(path, 0);
    assert_non_null(w);
    return w;
}

static int make_store(void **state)
{
    if (make_scratch(state) < 0)
        return -1;
    xr_store_writer *w = begin_store("store");
    write_documents(w, "en", 300, 60, 3);
    write_documents(w, "sw", 20, 20, 3);
    write_documents(w, "en", 10, 60, 3);
    write_documents(w, "de", 60, 90, 3);
    finish_store(w, "store");
    store = xr_store_open(in_scratch("store"), SHA);
    blocks = store ? xr_blocks_open(&store, 1, XR_BREAK_COMPLETE, LENGTH, NULL) : NULL;
    for (size_t i = 0; blocks && i < 3; i++)
        count[i] = xr_blocks_count(blocks, i);
    return blocks ? xr_sampling_init(&sampling, count, 3, 0.3, 5, xr_blocks_digest(blocks)) : -1;
}

static int drop_store(void **state)
{
    xr_sampling_free(&sampling);
    xr_blocks_close(blocks);
    xr_store_close(store);
    return remove_scratch(state);
}

static xr_masking masking(xr_mask_policy policy)
{
    return (xr_masking){ .policy = policy, .share = 0.15, .mask_share = 0.8, .random_share = 0.1, .seed = 5, .vocab_size = VOCAB, .mask_id = VOCAB - 1 };
}

static xr_mlm_loader *loader(xr_mask_policy policy, size_t micro)
{
    xr_masking m = masking(policy);
    xr_mlm_loader *l = xr_mlm_loader_new(blocks, &sampling, &m, BATCH, micro);
    assert_non_null(l);
    return l;
}

/* ---- what a batch holds ---- */

/* Rows [offset, end) of sequence s are a block, masked as masking.h says; `at` counts the masks seen so far. */
static void check_sequence(const xr_batch *b, size_t s, const xr_masking *m, size_t lang, uint64_t block, uint32_t epoch, uint64_t sample, size_t *at)
{
    int32_t id[LENGTH], target[LENGTH];
    uint32_t position[LENGTH];
    size_t row = b->rows.offset[s];
    long n = xr_blocks_read(blocks, lang, block, id);
    long masked = xr_mask_block(m, epoch, sample, id, (size_t)n, position, target);
    assert_int_equal(b->rows.offset[s + 1] - row, n);
    assert_memory_equal(b->id + row, id, (size_t)n * sizeof *id);
    assert_true(masked >= m->at_least_one);
    for (long i = 0; i < masked; i++, ++*at) {
        assert_int_equal(b->mask_row[*at], row + position[i]);
        assert_int_equal(b->mask_target[*at], target[i]);
    }
}

static void batches_follow_from_the_sample(void **state)
{
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = masking((xr_mask_policy)policy);
        xr_mlm_loader *l = loader((xr_mask_policy)policy, 5);
        for (uint64_t n = 0; n < 80; n++) {
            uint64_t step = n < 40 ? n : n * 1000;      /* later epochs too */
            assert_int_equal(xr_mlm_loader_begin(l, step), 3);
            for (size_t k = 0, g = step * BATCH; k < 3; k++) {
                const xr_batch *b = xr_mlm_loader_batch(l, (int)k);
                size_t at = 0;
                assert_int_equal(b->rows.n_seq, k < 2 ? 5 : 2);
                for (size_t s = 0; s < b->rows.n_seq; s++, g++) {
                    xr_sample x = xr_sampling_at(&sampling, g);
                    assert_int_equal(b->rows.sample[s], g % BATCH);
                    check_sequence(b, s, &m, x.language, x.block, x.epoch, g % sampling.total, &at);
                }
                assert_int_equal(b->n_mask, at);
                for (size_t i = 1; i < at; i++)
                    assert_true(b->mask_row[i] > b->mask_row[i - 1]);
                assert_true(b->max_len <= LENGTH && !b->label && !b->target);
            }
        }
        xr_mlm_loader_free(l);
    }
}

/* The sequences of a step, put together from its micro-batches. */
typedef struct whole { size_t n, n_mask; int32_t id[BATCH * LENGTH], target[BATCH * LENGTH]; uint32_t row[BATCH * LENGTH], sample[BATCH]; } whole;

static void gather(whole *w, xr_mlm_loader *l, uint64_t step)
{
    int micro = xr_mlm_loader_begin(l, step);
    memset(w, 0, sizeof *w);
    for (int k = 0, s = 0; k < micro; k++) {
        const xr_batch *b = xr_mlm_loader_batch(l, k);
        assert_non_null(b);
        memcpy(w->id + w->n, b->id, b->rows.n * sizeof *b->id);
        for (size_t i = 0; i < b->n_mask; i++) {
            w->row[w->n_mask] = (uint32_t)w->n + b->mask_row[i];
            w->target[w->n_mask++] = b->mask_target[i];
        }
        for (size_t i = 0; i < b->rows.n_seq; i++)
            w->sample[s++] = b->rows.sample[i];
        w->n += b->rows.n;
    }
}

static void micro_size_changes_no_sample(void **state)
{
    static whole a, b;
    static const size_t micro[] = { 1, 5, 11, BATCH, 1000, 0 };
    (void)state;
    for (size_t i = 0; i < sizeof micro / sizeof *micro; i++) {
        xr_mlm_loader *one = loader(XR_MASK_FAIRSEQ, BATCH), *cut = loader(XR_MASK_FAIRSEQ, micro[i]);
        for (uint64_t step = 0; step < 20; step++) {
            gather(&a, one, step);
            gather(&b, cut, step);
            assert_memory_equal(&a, &b, sizeof a);
        }
        xr_mlm_loader_free(one);
        xr_mlm_loader_free(cut);
    }
}

/* Steps in any order are what they are in a run from the start; the same step of the next epoch is another. */
static void steps_are_pure(void **state)
{
    static whole a, b;
    xr_mlm_loader *l = loader(XR_MASK_HF, 4);
    (void)state;
    for (uint64_t k = 0; k < 30; k++) {
        uint64_t step = k * 7919 % 1000003;
        xr_mlm_loader *fresh = loader(XR_MASK_HF, 4);
        gather(&a, l, step);
        gather(&b, fresh, step);
        assert_memory_equal(&a, &b, sizeof a);
        gather(&b, l, step + sampling.total);
        assert_memory_not_equal(&a, &b, sizeof a);
        xr_mlm_loader_free(fresh);
    }
    assert_true(xr_mlm_loader_epoch(l, sampling.total) == BATCH);
    xr_mlm_loader_free(l);
}

/* ---- validation ---- */

static void validation_is_fixed(void **state)
{
    xr_masking m = masking(XR_MASK_FAIRSEQ);
    m.at_least_one = 1;
    xr_mlm_loader *l = xr_mlm_loader_new(blocks, NULL, &m, 1, 1);
    (void)state;
    for (int round = 0; round < 2; round++)
        for (size_t lang = 0; lang < 3; lang++)
            for (uint64_t first = 0; first < count[lang]; first += 6) {
                size_t n = count[lang] - first < 6 ? (size_t)(count[lang] - first) : 6, at = 0;
                const xr_batch *b = xr_mlm_loader_validation(l, lang, first, n);
                assert_int_equal(b->rows.n_seq, n);
                for (size_t s = 0; s < n; s++)
                    check_sequence(b, s, &m, lang, first + s, UINT32_MAX, first + s, &at);
                assert_int_equal(b->n_mask, at);
            }
    xr_mlm_loader_free(l);
}

/* ---- small and bad data ---- */

/* Updates of two short blocks: one that has a target is as chance made it; where none has, each block gets one. */
static void updates_have_a_target(xr_blocks *b, uint64_t n, const xr_masking *m)
{
    xr_sampling s;
    size_t by_chance = 0, given = 0;
    assert_int_equal(xr_sampling_init(&s, &n, 1, 1.0, 3, xr_blocks_digest(b)), XR_OK);
    xr_mlm_loader *l = xr_mlm_loader_new(b, &s, m, 2, 1);
    for (uint64_t step = 0; step < 300; step++) {
        size_t masked[2];
        assert_int_equal(xr_mlm_loader_begin(l, step), 2);
        for (int k = 0; k < 2; k++)
            masked[k] = xr_mlm_loader_batch(l, k)->n_mask;
        assert_true(masked[0] + masked[1] >= 1);
        by_chance += masked[0] + masked[1] == 1;
        given += masked[0] == 1 && masked[1] == 1;
    }
    assert_true(by_chance > 60 && given > 60);
    xr_mlm_loader_free(l);
    xr_sampling_free(&s);
}

/* One sentence a block, of one or two pieces, many of them <unk>: every validation sequence still has a target, and every update. */
static void short_blocks_have_a_target(void **state)
{
    (void)state;
    xr_store_writer *w = begin_store("short");
    int32_t unk[2] = { 3, 3 };
    for (int i = 0; i < 20; i++)
        assert_int_equal(xr_store_sentence(w, unk, 2), XR_OK);
    write_documents(w, "en", 10, 2, 3);
    finish_store(w, "short");
    xr_store *s = xr_store_open(in_scratch("short"), NULL);
    xr_blocks *b = xr_blocks_open(&s, 1, XR_BREAK_EOS, LENGTH, NULL);
    uint64_t n = xr_blocks_count(b, 0);
    assert_true(n >= 60);
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = masking((xr_mask_policy)policy);
        xr_mlm_loader *l = xr_mlm_loader_new(b, NULL, &m, 1, 1);
        for (uint64_t k = 0; k < n; k++)
            assert_true(xr_mlm_loader_validation(l, 0, k, 1)->n_mask >= 1);
        xr_mlm_loader_free(l);
        updates_have_a_target(b, n, &m);
    }
    xr_blocks_close(b);
    xr_store_close(s);
}

static void mask_in_the_store(void **state)
{
    int32_t bad[3] = { 10, VOCAB - 1, 11 };
    (void)state;
    xr_store_writer *w = begin_store("masked");
    assert_int_equal(xr_store_sentence(w, bad, 3), XR_OK);
    assert_int_equal(xr_store_end_document(w, "en"), XR_OK);
    finish_store(w, "masked");
    xr_store *s = xr_store_open(in_scratch("masked"), NULL);
    xr_blocks *b = xr_blocks_open(&s, 1, XR_BREAK_COMPLETE, LENGTH, NULL);
    xr_masking m = masking(XR_MASK_FAIRSEQ);
    xr_mlm_loader *l = xr_mlm_loader_new(b, NULL, &m, 1, 1);
    assert_null(xr_mlm_loader_validation(l, 0, 0, 1));
    expect_error(XR_EDATA, "block 0 of language en: token 2 of a block is <mask>");
    xr_mlm_loader_free(l);
    xr_blocks_close(b);
    xr_store_close(s);
}

static void out_of_memory(void **state)
{
    long live = xr_alloc_live(), k = 0;
    xr_masking m = masking(XR_MASK_FAIRSEQ);
    (void)state;
    for (int done = 0; !done; k++) {
        xr_alloc_fail_after(k);
        xr_mlm_loader *l = xr_mlm_loader_new(blocks, &sampling, &m, BATCH, 4);
        done = l && xr_mlm_loader_begin(l, 0) == 3 && xr_mlm_loader_batch(l, 0);
        xr_alloc_fail_after(-1);
        assert_int_equal(done ? XR_OK : XR_ESYSTEM, xr_error_status());
        xr_error_clear();
        xr_mlm_loader_free(l);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_follow_from_the_sample), cmocka_unit_test(micro_size_changes_no_sample), cmocka_unit_test(steps_are_pure),
        cmocka_unit_test(validation_is_fixed), cmocka_unit_test(short_blocks_have_a_target), cmocka_unit_test_teardown(mask_in_the_store, clear_error),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_store, drop_store);
}
