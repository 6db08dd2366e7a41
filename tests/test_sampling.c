/* Sampling of languages and blocks: sizes of an epoch, draws with and without replacement, a pure function of the place in the run. */
#include "scratch.h"
#include "stats.h"

#include "data/sampling.h"
#include "golden/sampling.h"
#include "util/alloc.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
static const char digest[] = "0123456789abcdef0123456789abcdef";

static xr_sampling made(const uint64_t *count, size_t n, double alpha, uint64_t seed)
{
    xr_sampling s;
    assert_int_equal(xr_sampling_init(&s, count, n, alpha, seed, digest), XR_OK);
    uint64_t sum = 0, blocks = 0;
    for (size_t i = 0; i < n; i++) {
        sum += s.size[i];
        blocks += count[i];
        assert_int_equal(s.end[i], sum);
        assert_int_equal(s.size[i] == 0, count[i] == 0);
    }
    assert_int_equal(sum, blocks);
    assert_int_equal(s.total, blocks);
    return s;
}

/* q N as numpy computes it for fairseq's task; fairseq rounds each up, here they are rounded so that they add up. */
static void sizes(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(sampling_cases); k++) {
        const struct sampling_case *c = &sampling_cases[k];
        xr_sampling s = made(c->count, c->n, c->alpha, 1);
        for (size_t i = 0; i < c->n; i++)
            assert_true(fabs((double)s.size[i] - c->exact[i]) <= 1.0 + 1e-12 * c->exact[i]);
        xr_sampling_free(&s);
    }
}

static void alpha_one_keeps_the_data(void **state)
{
    static const uint64_t count[] = { 3, 1, 999983, 0, 17, UINT64_C(1) << 40, 12345678901 };
    (void)state;
    xr_sampling s = made(count, COUNT(count), 1.0, 1);
    assert_memory_equal(s.size, count, sizeof count);
    xr_sampling_free(&s);
}

/* With alpha near 0 languages are equal; those rounded to nothing still get one. */
static void small_languages_are_not_lost(void **state)
{
    static const uint64_t count[] = { 1, 1, 1, 1, 1000000, 0 };
    (void)state;
    xr_sampling s = made(count, COUNT(count), 10.0, 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(s.size[i], 1);
    assert_int_equal(s.size[4], 1000000);
    xr_sampling_free(&s);
    s = made(count, COUNT(count), 0.0, 1);
    assert_true(s.size[0] >= 200000 && s.size[0] <= 200001 && s.size[5] == 0);
    xr_sampling_free(&s);
}

/* Every epoch holds size_i draws of language i; those below n_i are all different, those above are uniform draws. */
static void epochs(void **state)
{
    static const uint64_t count[] = { 40, 5000, 300, 1 };
    enum { N = 5341 };
    static double drawn[N];
    (void)state;
    xr_sampling s = made(count, COUNT(count), 0.3, 7);
    double small[40] = { 0 };
    for (uint32_t epoch = 0; epoch < 20; epoch++) {
        uint64_t taken[4] = { 0 };
        memset(drawn, 0, sizeof drawn);
        for (uint64_t i = 0; i < s.total; i++) {
            xr_sample x = xr_sampling_at(&s, epoch * s.total + i);
            assert_int_equal(x.epoch, epoch);
            assert_true(x.language < 4 && x.block < count[x.language]);
            taken[x.language]++;
            if (x.language == 1)
                assert_true(drawn[x.block]++ == 0.0);
            if (x.language == 0)
                small[x.block]++;
        }
        assert_memory_equal(taken, s.size, sizeof taken);
    }
    assert_true(s.size[0] > count[0] && s.size[1] < count[1]);
    assert_true(plausible_chi2(chi2_even(small, 40), 39));
    xr_sampling_free(&s);
}

/* A ratio of exactly 1 is drawn with replacement, as in fairseq: of 1000 blocks an epoch meets about 1000 (1 - 1/e). */
static void ratio_one_is_with_replacement(void **state)
{
    static const uint64_t count[] = { 1000 };
    uint8_t seen[1000] = { 0 };
    double different = 0.0;
    (void)state;
    xr_sampling s = made(count, 1, 0.3, 3);
    for (uint64_t g = 0; g < 1000; g++)
        different += !seen[xr_sampling_at(&s, g).block]++;
    assert_true(plausible(different, 1000 * (1 - exp(-1.0)), 1000 * (exp(-1.0) - 2 * exp(-2.0))));
    xr_sampling_free(&s);
}

/* Two languages of one size: other blocks, in an order that is another in the next epoch. */
static void languages_and_epochs_are_independent(void **state)
{
    static const uint64_t count[] = { 2000, 2000 };
    static uint8_t drawn[2][2000], order[2][4000];
    double same_draws = 0.0, same_order = 0.0;
    (void)state;
    xr_sampling s = made(count, 2, 0.3, 3);
    for (uint64_t g = 0; g < 8000; g++) {
        xr_sample x = xr_sampling_at(&s, g);
        order[x.epoch][g % 4000] = (uint8_t)x.language;
        drawn[x.language][x.block] |= x.epoch == 0;
    }
    for (size_t i = 0; i < 2000; i++)
        same_draws += drawn[0][i] == drawn[1][i];
    for (size_t i = 0; i < 4000; i++)
        same_order += order[0][i] == order[1][i];
    double p = 1 - exp(-1.0), agree = p * p + (1 - p) * (1 - p);
    assert_true(plausible(same_draws, 2000 * agree, 2000 * agree * (1 - agree)));
    assert_true(plausible(same_order, 2000, 1000));
    xr_sampling_free(&s);
}

/* Without replacement every block has the same chance in the long run, and epochs choose independently. */
static void drawn_without_replacement(void **state)
{
    static const uint64_t count[] = { 1000, 10 };
    enum { EPOCHS = 400 };
    static double drawn[1000];
    static uint32_t last[1000];
    double again = 0.0, chi2 = 0.0;
    (void)state;
    xr_sampling s = made(count, 2, 0.3, 3);
    memset(drawn, 0, sizeof drawn);
    for (uint64_t g = 0; g < EPOCHS * s.total; g++) {
        xr_sample x = xr_sampling_at(&s, g);
        if (x.language)
            continue;
        drawn[x.block]++;
        again += x.epoch && last[x.block] == x.epoch;
        last[x.block] = x.epoch + 1;
    }
    double p = (double)s.size[0] / 1000.0, variance = EPOCHS * p * (1.0 - p);
    for (size_t i = 0; i < 1000; i++)
        chi2 += (drawn[i] - EPOCHS * p) * (drawn[i] - EPOCHS * p) / variance;
    assert_true(plausible_chi2(chi2 * 999.0 / 1000.0, 999));
    assert_true(plausible(again, (EPOCHS - 1) * 1000 * p * p, (EPOCHS - 1) * 1000 * p * p * (1 - p) * (1 - p)));
    xr_sampling_free(&s);
}

/* The place of an element is uniform and unrelated to its neighbour's, for sizes that are small, odd and just above a power of two. */
static void permutations(void **state)
{
    static const uint64_t size[] = { 2, 3, 5, 7, 9, 64, 65, 100, 129, 1000 };
    enum { EPOCHS = 20000 };
    static double place[1000], step[1000];
    xr_philox_key key = xr_rng_key(5, XR_RNG_SAMPLE);
    (void)state;
    for (size_t k = 0; k < COUNT(size); k++) {
        uint64_t n = size[k];
        memset(place, 0, sizeof place);
        memset(step, 0, sizeof step);
        for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
            uint64_t a = xr_rng_permute(key, epoch, 0, n), b = xr_rng_permute(key, epoch, 1, n);
            place[a]++;
            step[(b + n - a) % n]++;    /* never 0 */
        }
        assert_true(plausible_chi2(chi2_even(place, n), (double)(n - 1)));
        assert_true(step[0] == 0.0);
        if (n > 2)
            assert_true(plausible_chi2(chi2_even(step + 1, n - 1), (double)(n - 2)));
    }
}

/* All orders of four elements, and all places of three out of nine, come up equally often. From five to eight elements the network's rounds are too few
 * for that: some orders are a third more frequent than others, which matters to nobody who has eight blocks. */
static void orders(void **state)
{
    enum { EPOCHS = 100000 };
    static double four[256], nine[729], count[504];
    size_t n = 0;
    xr_philox_key key = xr_rng_key(6, XR_RNG_SAMPLE);
    (void)state;
    for (uint32_t epoch = 0; epoch < EPOCHS; epoch++) {
        size_t a = 0, b = 0;
        for (uint64_t i = 0; i < 4; i++)
            a = a * 4 + (size_t)xr_rng_permute(key, epoch, i, 4);
        for (uint64_t i = 0; i < 3; i++)
            b = b * 9 + (size_t)xr_rng_permute(key, epoch, i * 4, 9);
        four[a]++, nine[b]++;
    }
    for (size_t i = 0; i < COUNT(four); i++)
        if (four[i] > 0.0 && n < 24)
            count[n++] = four[i];
    assert_true(n == 24 && plausible_chi2(chi2_even(count, 24), 23));
    n = 0;
    for (size_t i = 0; i < COUNT(nine); i++)
        if (nine[i] > 0.0 && n < 504)
            count[n++] = nine[i];
    assert_true(n == 504 && plausible_chi2(chi2_even(count, 504), 503));
}

/* Languages are mixed through the epoch: each tenth of it has its share of each. */
static void mixed(void **state)
{
    static const uint64_t count[] = { 100000, 1000, 20000 };
    double taken[10][3] = { { 0 } };
    (void)state;
    xr_sampling s = made(count, 3, 0.5, 9);
    uint64_t tenth = s.total / 10;
    for (uint64_t i = 0; i < 10 * tenth; i++)
        taken[i / tenth][xr_sampling_at(&s, i).language]++;
    for (int t = 0; t < 10; t++)
        for (int l = 0; l < 3; l++) {
            double p = (double)s.size[l] / (double)s.total, n = (double)tenth;
            assert_true(plausible(taken[t][l], n * p, n * p * (1 - p) * 0.9));
        }
    xr_sampling_free(&s);
}

/* How many of the first 1000 samples are the same. */
static size_t equal_samples(const xr_sampling *a, uint64_t from_a, const xr_sampling *b, uint64_t from_b)
{
    size_t equal = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        xr_sample x = xr_sampling_at(a, from_a + i), y = xr_sampling_at(b, from_b + i);
        equal += x.language == y.language && x.block == y.block;
    }
    return equal;
}

static void seed_data_and_epoch_decide(void **state)
{
    static const uint64_t count[] = { 300000, 200000 };
    xr_sampling b;
    (void)state;
    xr_sampling a = made(count, 2, 0.3, 1), same = made(count, 2, 0.3, 1), c = made(count, 2, 0.3, 2);
    assert_int_equal(equal_samples(&a, 7, &same, 7), 1000);
    assert_true(equal_samples(&a, 0, &c, 0) < 10);
    assert_true(equal_samples(&a, 0, &a, a.total) < 10);
    assert_int_equal(xr_sampling_init(&b, count, 2, 0.3, 1, "0123456789abcdef0123456789abcdee"), XR_OK);
    assert_true(equal_samples(&a, 0, &b, 0) < 10);
    xr_sampling_free(&a);
    xr_sampling_free(&same);
    xr_sampling_free(&b);
    xr_sampling_free(&c);
}

/* Data and places far beyond 2^32. */
static void large(void **state)
{
    static const uint64_t count[] = { UINT64_C(1) << 45, UINT64_C(1) << 50, 5 };
    double half[2] = { 0 };
    (void)state;
    xr_sampling s = made(count, 3, 0.3, 1);
    for (uint64_t i = 0; i < 20000; i++) {
        xr_sample x = xr_sampling_at(&s, (UINT64_C(1) << 62) + i);
        assert_true(x.block < count[x.language]);
        half[x.block >= count[x.language] / 2]++;
    }
    assert_true(plausible(half[0], 10000, 5000));
    xr_sampling_free(&s);
}

static void table(void **state)
{
    static const uint64_t count[] = { 900, 100, 0 };
    (void)state;
    xr_sampling s = made(count, 3, 0.3, 1);
    xr_sampling_row big = xr_sampling_describe(&s, 0, 5000), small = xr_sampling_describe(&s, 1, 5000), none = xr_sampling_describe(&s, 2, 5000);
    double q = pow(0.9, 0.3) / (pow(0.9, 0.3) + pow(0.1, 0.3));
    assert_int_equal(big.blocks, 900);
    assert_true(big.data_share == 0.9 && small.data_share == 0.1 && none.data_share == 0.0 && none.epochs == 0.0);
    assert_true(fabs(big.batch_share - q) <= 1e-3 && fabs(small.batch_share - (1 - q)) <= 1e-3);
    assert_true(fabs(big.epochs - 5000 * big.batch_share / 900) < 1e-9);
    xr_sampling_free(&s);
}

static void errors(void **state)
{
    static const uint64_t none[] = { 0, 0 }, many[] = { INT64_MAX, INT64_MAX }, some[] = { 1, 2 };
    xr_sampling s;
    (void)state;
    assert_int_equal(xr_sampling_init(&s, none, 2, 0.3, 1, digest), XR_EDATA);
    expect_error(XR_EDATA, "hold no block");
    assert_int_equal(xr_sampling_init(&s, many, 2, 0.3, 1, digest), XR_EDATA);
    expect_error(XR_EDATA, "more than 2^63 blocks");
    xr_alloc_fail_after(0);
    assert_int_equal(xr_sampling_init(&s, some, 2, 0.3, 1, digest), XR_ESYSTEM);
    xr_alloc_fail_after(-1);
    xr_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes), cmocka_unit_test(alpha_one_keeps_the_data),
        cmocka_unit_test(small_languages_are_not_lost), cmocka_unit_test(epochs),
        cmocka_unit_test(ratio_one_is_with_replacement), cmocka_unit_test(languages_and_epochs_are_independent),
        cmocka_unit_test(drawn_without_replacement), cmocka_unit_test(permutations), cmocka_unit_test(orders),
        cmocka_unit_test(mixed), cmocka_unit_test(seed_data_and_epoch_decide), cmocka_unit_test(large),
        cmocka_unit_test(table),
        cmocka_unit_test_teardown(errors, clear_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
