/* Masking: both policies against a model of their rules (scripts/golden_masking.py), and chance against what it should be. */
#include "scratch.h"
#include "stats.h"

#include "data/masking.h"
#include "golden/masking.h"
#include "util/alloc.h"

enum { LONGEST = 512, VOCAB = 250002 };
#define COUNT(a) (sizeof(a) / sizeof *(a))

static int32_t id[LONGEST], target[LONGEST];
static uint32_t position[LONGEST];

static xr_masking standard(xr_mask_policy policy)
{
    return (xr_masking){ .policy = policy, .share = 0.15, .mask_share = 0.8, .random_share = 0.1, .seed = 42, .vocab_size = VOCAB, .mask_id = VOCAB - 1 };
}

/* <s>, n - 2 tokens from 1000 on, </s>. */
static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++)
        id[i] = i == 0 ? 0 : i == n - 1 ? 2 : (int32_t)(1000 + i);
}

static size_t mask(const xr_masking *m, uint32_t epoch, uint64_t sample, size_t n)
{
    fill(n);
    long masked = xr_mask_block(m, epoch, sample, id, n, position, target);
    assert_true(masked >= 0);
    return (size_t)masked;
}

static void check_case(const struct mask_case *c)
{
    uint8_t start[200] = { 0 };
    for (size_t i = 0; i < sizeof start; i++)
        start[i] = i % 3 == 0;
    xr_masking m = { .policy = (xr_mask_policy)xr_mask_policy_find(c->policy), .share = c->share, .mask_share = c->mask_share,
                     .random_share = c->random_share, .whole_word = c->whole_word, .seed = c->seed, .vocab_size = 200, .mask_id = 199,
                     .word_start = start, .at_least_one = c->at_least_one };
    memcpy(id, c->in, c->n * sizeof *id);
    assert_int_equal(xr_mask_block(&m, c->epoch, c->sample, id, c->n, position, target), c->n_masked);
    assert_memory_equal(id, c->out, c->n * sizeof *id);
    for (size_t i = 0; i < c->n_masked; i++) {
        assert_int_equal(position[i], c->at[i]);
        assert_int_equal(target[i], c->in[c->at[i]]);
    }
}

static void rules(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(mask_cases); k++)
        check_case(&mask_cases[k]);
    assert_int_equal(xr_mask_policy_find("bert"), -1);
}

/* 0.15 x 509 = 76.35: 76 or 77 positions, 77 in 35 % of the samples. */
static void fairseq_counts(void **state)
{
    enum { SAMPLES = 20000 };
    xr_masking m = standard(XR_MASK_FAIRSEQ);
    size_t more = 0;
    (void)state;
    for (uint64_t s = 0; s < SAMPLES; s++) {
        size_t n = mask(&m, 3, s, 509);
        assert_true(n == 76 || n == 77);
        more += n == 77;
    }
    assert_true(plausible((double)more, SAMPLES * 0.35, SAMPLES * 0.35 * 0.65));
    m.share = 1.0;
    assert_int_equal(mask(&m, 0, 0, 100), 100);
    m.share = 0.0;
    assert_int_equal(mask(&m, 0, 0, 100), 0);
}

/* Coins: number and spread are binomial. */
static void hf_counts(void **state)
{
    enum { SAMPLES = 20000, N = 102 };
    xr_masking m = standard(XR_MASK_HF);
    double sum = 0.0, squares = 0.0, trials = N - 2, mean = 0.15 * trials, variance = mean * 0.85;
    (void)state;
    for (uint64_t s = 0; s < SAMPLES; s++) {
        double n = (double)mask(&m, 0, s, N);
        sum += n;
        squares += (n - mean) * (n - mean);
    }
    assert_true(plausible(sum, SAMPLES * mean, SAMPLES * variance));
    assert_true(plausible_chi2(squares / variance, SAMPLES));
}

/* Mask, random and kept of all chosen; a random token that happens to be <mask> or the old one counts there. */
static void check_split(xr_masking m)
{
    double count[3] = { 0 }, all = 0.0, chi2 = 0.0;
    double same = 1.0 / (VOCAB - (m.policy == XR_MASK_FAIRSEQ ? 4 : 0)), keep = 1.0 - m.mask_share - m.random_share;
    double expected[3] = { m.mask_share + m.random_share * same, m.random_share * (1.0 - 2.0 * same), keep + m.random_share * same };
    for (uint64_t s = 0; s < 4000; s++) {
        size_t n = mask(&m, 1, s, LONGEST);
        for (size_t i = 0; i < n; i++)
            if (target[i] >= 4)
                count[id[position[i]] == m.mask_id ? 0 : id[position[i]] == target[i] ? 2 : 1]++, all++;
    }
    for (int k = 0; k < 3; k++)
        chi2 += (count[k] - all * expected[k]) * (count[k] - all * expected[k]) / (all * expected[k]);
    assert_true(plausible_chi2(chi2, 2));
}

static void split(void **state)
{
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        check_split(m);
        m.mask_share = 0.3, m.random_share = 0.5;
        check_split(m);
    }
}

/* How often each position is chosen. Without replacement the counts repel each other a little: one degree of freedom and a factor less. */
static void positions(void **state)
{
    enum { SAMPLES = 40000, N = 64 };
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        double count[N] = { 0 }, chi2 = 0.0, variance = SAMPLES * 0.15 * 0.85;
        for (uint64_t s = 0; s < SAMPLES; s++)
            for (size_t n = mask(&m, 0, s, N); n > 0; n--)
                count[position[n - 1]]++;
        size_t first = policy == XR_MASK_HF, last = N - first;
        for (size_t i = first; i < last; i++)
            chi2 += (count[i] - SAMPLES * 0.15) * (count[i] - SAMPLES * 0.15) / variance;
        if (policy == XR_MASK_HF)
            assert_true(count[0] == 0.0 && count[N - 1] == 0.0);
        assert_true(policy == XR_MASK_HF ? plausible_chi2(chi2, N - 2) : plausible_chi2(chi2 * (N - 1) / N, N - 1));
    }
}

/* Neighbours are chosen together as often as chance has it: choices are independent (hf), or drawn without replacement (fairseq). */
static void neighbours(void **state)
{
    enum { SAMPLES = 40000, N = 66 };
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        m.share = 10.0 / N;     /* fairseq: exactly 10 */
        double pairs = 0.0, p = policy == XR_MASK_HF ? m.share * m.share : 10.0 * 9.0 / (N * (N - 1.0)), n_pairs = N - 3;
        for (uint64_t s = 0; s < SAMPLES; s++)
            for (size_t n = mask(&m, 0, s, N), i = 1; i < n; i++)
                pairs += position[i] == position[i - 1] + 1 && position[i - 1] > 0 && position[i] < N - 1;
        /* Pairs that share a position are correlated: variance at most three times that of independent ones. */
        assert_true(plausible(pairs, SAMPLES * n_pairs * p, 3.0 * SAMPLES * n_pairs * p));
    }
}

/* With every token replaced at random, ids are uniform; fairseq leaves out the first four. */
static void vocabulary(void **state)
{
    enum { SMALL = 1005 };
    static double count[SMALL];
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = { .policy = (xr_mask_policy)policy, .share = 1.0, .random_share = 1.0, .seed = 1, .vocab_size = SMALL, .mask_id = SMALL - 1 };
        memset(count, 0, sizeof count);
        for (uint64_t s = 0; s < 1000; s++) {
            for (size_t i = 0; i < LONGEST; i++)
                id[i] = 10;
            assert_int_equal(xr_mask_block(&m, 0, s, id, LONGEST, position, target), LONGEST);
            for (size_t i = 0; i < LONGEST; i++)
                count[id[i]]++;
        }
        size_t least = policy == XR_MASK_FAIRSEQ ? 4 : 0;
        for (size_t i = 0; i < least; i++)
            assert_true(count[i] == 0.0);
        assert_true(plausible_chi2(chi2_even(count + least, SMALL - least), (double)(SMALL - least - 1)));
    }
}

/* Positions chosen both times, over many samples; independent draws of 15 % share 15 %. */
static void check_overlap(const xr_masking *a, uint32_t epoch_a, const xr_masking *b, uint32_t epoch_b, uint64_t shift)
{
    enum { SAMPLES = 2000, N = 500 };
    double both = 0.0, a_n = 0.0, b_n = 0.0;
    for (uint64_t s = 0; s < SAMPLES; s++) {
        uint8_t first[N] = { 0 };
        for (size_t n = mask(a, epoch_a, s, N); n > 0; n--)
            first[position[n - 1]] = 1, a_n++;
        for (size_t n = mask(b, epoch_b, s + shift, N); n > 0; n--)
            both += first[position[n - 1]], b_n++;
    }
    double mean = a_n * b_n / (SAMPLES * (double)N);
    assert_true(plausible(both, mean, mean * 0.85 * 0.85));
}

static void epochs_samples_and_seeds_differ(void **state)
{
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy), other = m;
        other.seed = 43;
        check_overlap(&m, 0, &m, 1, 0);
        check_overlap(&m, 0, &m, UINT32_MAX, 0);
        check_overlap(&m, 0, &m, 0, 1);
        check_overlap(&m, 0, &m, 0, UINT64_C(1) << 32);
        check_overlap(&m, 0, &other, 0, 0);
    }
}

/* A sample's masks do not depend on what was masked before it. */
static void pure(void **state)
{
    int32_t before[LONGEST];
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        mask(&m, 5, 77, LONGEST);
        memcpy(before, id, sizeof before);
        mask(&m, 6, 78, 30);
        mask(&m, 5, 77, LONGEST);
        assert_memory_equal(before, id, sizeof before);
    }
}

/* Words of three pieces: chosen as a whole, with one fate; the share counts words. */
static void whole_words(void **state)
{
    enum { N = 302, SAMPLES = 4000 };
    static uint8_t start[VOCAB];
    double words = 0.0;
    (void)state;
    for (size_t i = 1; i < N - 1; i += 3)
        start[1000 + i] = 1;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        m.whole_word = 1, m.word_start = start;
        words = 0.0;
        for (uint64_t s = 0; s < SAMPLES; s++) {
            size_t n = mask(&m, 0, s, N);
            for (size_t i = 0; i < n; i++) {
                if (target[i] < 4)
                    continue;
                assert_int_equal((position[i] - 1) % 3, 0);
                words++;
                int fate = id[position[i]] == m.mask_id ? 0 : id[position[i]] == target[i] ? 1 : 2;
                for (size_t k = 1; k < 3; k++) {
                    assert_int_equal(position[i + k], position[i] + k);
                    assert_int_equal(id[position[i + k]] == m.mask_id ? 0 : id[position[i + k]] == target[i + k] ? 1 : 2, fate);
                }
                i += 2;
            }
        }
        assert_true(plausible(words, SAMPLES * 100 * 0.15, SAMPLES * 100 * 0.15 * 0.85));
    }
}

/* Blocks for which chance chooses nothing. */
static void one_at_least(void **state)
{
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        m.share = 1e-9;
        assert_int_equal(mask(&m, 0, 0, 7), 0);
        m.at_least_one = 1;
        double count[7] = { 0 };
        for (uint64_t s = 0; s < 7000; s++) {
            assert_int_equal(mask(&m, 0, s, 7), 1);
            count[position[0]]++;
        }
        size_t first = policy == XR_MASK_HF;
        assert_true(plausible_chi2(chi2_even(count + first, 7 - 2 * first), (double)(6 - 2 * first)));
        assert_int_equal(mask(&m, 0, 0, 2), 1);     /* <s> </s>, which hf would never choose */
        assert_true(policy == XR_MASK_FAIRSEQ || position[0] == 1);
    }
}

static void mask_in_the_text(void **state)
{
    (void)state;
    for (int policy = 0; policy < 2; policy++) {
        xr_masking m = standard((xr_mask_policy)policy);
        fill(20);
        id[7] = m.mask_id;
        assert_int_equal(xr_mask_block(&m, 0, 0, id, 20, position, target), XR_EDATA);
        expect_error(XR_EDATA, "token 7 of a block is <mask> (id 250001)");
    }
}

/* Word starts of a tokenizer trained here. */
static void word_starts(void **state)
{
    const char *text = in_scratch("text"), *path = in_scratch("spm.model");
    (void)state;
    FILE *f = fopen(text, "w");
    assert_non_null(f);
    for (int i = 0; i < 300; i++)
        fprintf(f, "the cat sat on the mat and the dog number %d ran away\n", i);
    fclose(f);
    assert_int_equal(xr_tokenizer_train(&(xr_tokenizer_training){ .vocab_size = 40, .input = &text, .n_input = 1, .threads = 1 }, path), XR_OK);
    xr_tokenizer *t = xr_tokenizer_open(path);
    assert_non_null(t);
    uint8_t *start = xr_mask_word_starts(t);
    assert_non_null(start);
    size_t begin = 0, inside = 0;
    for (int32_t i = 0; i < xr_tokenizer_vocab_size(t); i++) {
        int expected = i < 4 || i == xr_tokenizer_mask_id(t) || strncmp(xr_tokenizer_piece(t, i), "\u2581", 3) == 0;
        assert_int_equal(start[i], expected);
        *(expected ? &begin : &inside) += 1;
    }
    assert_true(begin > 10 && inside > 10);
    xr_free(start);
    xr_alloc_fail_after(0);
    assert_null(xr_mask_word_starts(t));
    xr_alloc_fail_after(-1);
    assert_int_equal(xr_error_status(), XR_ESYSTEM);
    xr_error_clear();
    xr_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules), cmocka_unit_test(fairseq_counts), cmocka_unit_test(hf_counts), cmocka_unit_test(split), cmocka_unit_test(positions),
        cmocka_unit_test(neighbours), cmocka_unit_test(vocabulary), cmocka_unit_test(epochs_samples_and_seeds_differ), cmocka_unit_test(pure),
        cmocka_unit_test(whole_words), cmocka_unit_test(one_at_least), cmocka_unit_test_teardown(mask_in_the_text, clear_error),
        cmocka_unit_test_setup_teardown(word_starts, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
