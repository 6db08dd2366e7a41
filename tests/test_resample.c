/* Intervals and tests by resampling, against numpy with a Philox of its own (golden/resample.h) and against all possible resamples of few units. */
#include "scratch.h"

#include "golden/resample.h"
#include "stats.h"
#include "train/resample.h"

enum { PARTS = 3 };

static double f1(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    (void)n_units;
    return sum[0] + sum[1] > 0 ? 2 * sum[2] / (sum[0] + sum[1]) : 0;
}

static double mean(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    return sum[0] / (double)n_units;
}

/* As units() of scripts/golden_resample.py. */
static xr_units golden_units(double part[GOLD_N][PARTS], int salt)
{
    for (int i = 0; i < GOLD_N; i++) {
        int gold = (i * 7 + 3) % 4, predicted = (i * 5 + salt) % 4;
        part[i][0] = gold;
        part[i][1] = predicted;
        part[i][2] = (i + salt) % 3 != 0 ? (gold < predicted ? gold : predicted) : 0;
    }
    return (xr_units){ part[0], GOLD_N, PARTS, f1, GOLD_STREAM };
}

static void as_numpy(void **state)
{
    (void)state;
    double first[GOLD_N][PARTS], second[GOLD_N][PARTS], drawn[GOLD_ROUNDS];
    xr_units a = golden_units(first, 1), b = golden_units(second, 2);
    assert_true(fabs(xr_units_figure(&a) - gold_observed[0]) < 1e-15 && fabs(xr_units_figure(&b) - gold_observed[1]) < 1e-15);
    xr_bootstrap(&a, GOLD_SEED, GOLD_ROUNDS, drawn);
    for (int r = 0; r < GOLD_ROUNDS; r++)
        assert_true(fabs(drawn[r] - gold_figures[r]) < 1e-15);
    assert_true(fabs(xr_quantile(drawn, GOLD_ROUNDS, 0.025) - gold_quantiles[0]) < 1e-15);
    assert_true(fabs(xr_quantile(drawn, GOLD_ROUNDS, 0.5) - gold_quantiles[1]) < 1e-15);
    assert_true(fabs(xr_quantile(drawn, GOLD_ROUNDS, 0.975) - gold_quantiles[2]) < 1e-15);
    xr_exchange(&a, &b, GOLD_SEED, GOLD_ROUNDS, drawn);
    for (int r = 0; r < GOLD_ROUNDS; r++)
        assert_true(fabs(drawn[r] - gold_differences[r]) < 1e-15);
    assert_true(fabs(xr_exchange_p(gold_observed[2], drawn, GOLD_ROUNDS) - gold_p[0]) < 1e-15);
}

/* Five units have 3125 resamples. */
static void as_all_resamples(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    static double drawn[ROUNDS];
    static const double part[5] = { 0, 0.1, 0.3, 0.5, 1 };
    static const double at[] = { 0.15, 0.25, 0.38, 0.5, 0.7 };
    xr_units u = { part, 5, 1, mean, 7 };
    xr_bootstrap(&u, 1, ROUNDS, drawn);
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
        double below = 0, seen = 0;
        for (int i = 0; i < 3125; i++) {
            double sum = part[i % 5] + part[i / 5 % 5] + part[i / 25 % 5] + part[i / 125 % 5] + part[i / 625];
            below += sum / 5 <= at[k] + 1e-9;
        }
        for (int r = 0; r < ROUNDS; r++)
            seen += drawn[r] <= at[k] + 1e-9;
        double p = below / 3125;
        assert_true(plausible(seen, ROUNDS * p, ROUNDS * p * (1 - p)));
    }
}

/* Ten units have 1024 exchanges. */
static void as_all_exchanges(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    static double drawn[ROUNDS];
    static const double x[10] = { 1, 1, 1, 0, 1, 1, 0, 1, 1, 1 }, y[10] = { 0, 1, 0, 0, 1, 0, 1, 0, 1, 0 };
    xr_units a = { x, 10, 1, mean, 3 }, b = { y, 10, 1, mean, 3 };
    double observed = xr_units_figure(&a) - xr_units_figure(&b), as_far = 0;
    for (int i = 0; i < 1024; i++) {
        double sum = 0;
        for (int k = 0; k < 10; k++)
            sum += (i >> k & 1 ? -1 : 1) * (x[k] - y[k]);
        as_far += fabs(sum / 10) >= observed - 1e-9;
    }
    xr_exchange(&a, &b, 5, ROUNDS, drawn);
    double p = as_far / 1024, got = xr_exchange_p(observed, drawn, ROUNDS) * (ROUNDS + 1) - 1;
    assert_true(p > 0.05 && p < 0.5 && plausible(got, ROUNDS * p, ROUNDS * p * (1 - p)));
    assert_true(xr_exchange_p(0, drawn, ROUNDS) == 1);
}

/* The same stream: the same draws for another model; another stream or seed: others. */
static void draws_are_shared_by_stream(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    double first[GOLD_N][PARTS], one[ROUNDS], two[ROUNDS], other[ROUNDS];
    xr_units a = golden_units(first, 1), b = a;
    xr_bootstrap(&a, 9, ROUNDS, one);
    xr_bootstrap(&b, 9, ROUNDS, two);
    assert_memory_equal(one, two, sizeof one);
    b.stream = xr_stream_of("sw");
    assert_true(b.stream != xr_stream_of("ur"));
    xr_bootstrap(&b, 9, ROUNDS, other);
    assert_memory_not_equal(one, other, sizeof one);
    xr_bootstrap(&a, 10, ROUNDS, other);
    assert_memory_not_equal(one, other, sizeof one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_numpy),
        cmocka_unit_test(as_all_resamples),
        cmocka_unit_test(as_all_exchanges),
        cmocka_unit_test(draws_are_shared_by_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
