/* Mixtures of training files: sizes by hand, every example as often as any other of its file, an order from (seed, epoch, place) alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "data/apportion.h"
#include "data/loader.h"
#include "util/alloc.h"

static xr_mixture make(const uint64_t *n, const double *weight, const size_t *language, size_t parts, double alpha)
{
    xr_mixture m;
    xr_mixture_part p[8];
    uint64_t first = 0;
    for (size_t i = 0; i < parts; i++) {
        p[i] = (xr_mixture_part){ .first = first, .n = n[i], .weight = weight ? weight[i] : 1.0, .language = language ? language[i] : i };
        first += n[i];
    }
    assert_int_equal(xr_mixture_init(&m, p, parts, alpha, 42), XR_OK);
    return m;
}

static void expect_sizes(const uint64_t *n, const double *weight, const size_t *language, size_t parts, double alpha, const uint64_t *size)
{
    xr_mixture m = make(n, weight, language, parts, alpha);
    for (size_t i = 0; i < parts; i++)
        if (m.part[i].size != size[i])
            fail_msg("part %zu: %llu draws, expected %llu", i, (unsigned long long)m.part[i].size, (unsigned long long)size[i]);
    xr_mixture_free(&m);
}

/* By hand; 900^0.5 : 90^0.5 : 10^0.5 is 30 : 9.487 : 3.162, whose running sums of 1,000 are 703.4 and 925.9. */
static void sizes(void **state)
{
    (void)state;
    expect_sizes((uint64_t[]){ 100, 100 }, (double[]){ 3, 1 }, NULL, 2, 1.0, (uint64_t[]){ 150, 50 });
    expect_sizes((uint64_t[]){ 300, 100 }, (double[]){ 1, 3 }, NULL, 2, 1.0, (uint64_t[]){ 200, 200 });
    expect_sizes((uint64_t[]){ 300, 100 }, NULL, NULL, 2, 0.0, (uint64_t[]){ 200, 200 });
    expect_sizes((uint64_t[]){ 900, 90, 10 }, NULL, NULL, 3, 0.5, (uint64_t[]){ 703, 223, 74 });
    /* one language in two files, the other in one: half each, and within the first three to one by weight and number */
    expect_sizes((uint64_t[]){ 100, 100, 200 }, (double[]){ 3, 1, 1 }, (size_t[]){ 0, 0, 2 }, 3, 0.0, (uint64_t[]){ 150, 50, 200 });
    /* a share below one half is one draw all the same; no examples, no draws */
    expect_sizes((uint64_t[]){ 1000, 2, 0 }, (double[]){ 1, 0.001, 5 }, NULL, 3, 1.0, (uint64_t[]){ 1001, 1, 0 });
}

static void equal_weights_are_no_mixture(void **state)
{
    (void)state;
    xr_mixture m = make((uint64_t[]){ 70, 30 }, (double[]){ 2, 2 }, NULL, 2, 1.0);
    assert_true(m.plain);
    xr_mixture_free(&m);
    m = make((uint64_t[]){ 70, 30 }, (double[]){ 2, 1 }, NULL, 2, 1.0);
    assert_false(m.plain);
    xr_mixture_free(&m);
}

/* In every epoch exactly size draws of each part; after every epoch all examples of a part equally often, or once more. */
static void exact_and_uniform(void **state)
{
    (void)state;
    enum { N = 103 };
    const uint64_t n[] = { 60, 40, 3 };
    xr_mixture m = make(n, (double[]){ 0.37, 1.9, 4.1 }, NULL, 3, 0.7);
    uint32_t seen[N] = { 0 };
    assert_true(m.part[0].size < 60 && m.part[1].size > 40 && m.part[2].size > 6);
    for (uint32_t epoch = 0; epoch < 40; epoch++) {
        uint32_t once[N] = { 0 };
        uint64_t drawn[3] = { 0 };
        for (uint64_t at = 0; at < m.total; at++) {
            uint64_t e = xr_mixture_at(&m, epoch, at);
            assert_true(e < N);
            seen[e]++;
            once[e]++;
            drawn[e < 60 ? 0 : e < 100 ? 1 : 2]++;
        }
        for (size_t i = 0; i < 3; i++) {
            uint32_t least = UINT32_MAX, most = 0;
            assert_int_equal(drawn[i], m.part[i].size);
            for (uint64_t e = m.part[i].first; e < m.part[i].first + n[i]; e++) {
                least = seen[e] < least ? seen[e] : least;
                most = seen[e] > most ? seen[e] : most;
                assert_true(once[e] <= xr_mixture_repeats(&m, i));
            }
            assert_true(most - least <= 1);
        }
    }
    xr_mixture_free(&m);
}

/* The parts stand mixed everywhere in the epoch, and each epoch is another order. */
static void is_shuffled(void **state)
{
    (void)state;
    xr_mixture m = make((uint64_t[]){ 5000, 5000 }, (double[]){ 3, 1 }, NULL, 2, 1.0);
    size_t same = 0;
    for (size_t tenth = 0; tenth < 10; tenth++) {
        size_t second = 0;
        for (uint64_t at = tenth * 1000; at < (tenth + 1) * 1000; at++) {
            second += xr_mixture_at(&m, 3, at) >= 5000;
            same += xr_mixture_at(&m, 3, at) == xr_mixture_at(&m, 4, at);
        }
        assert_in_range(second, 190, 310);      /* 250, standard deviation 13 */
    }
    assert_in_range(same, 0, 10);
    xr_mixture_free(&m);
}

/* --- in the loader ---------------------------------------------------------------------------------------------- */

enum { EXAMPLES = 200 };

/* Example i has 3 + i % 7 tokens, and its number in every one. */
static void make_dataset(xr_dataset *d)
{
    memset(d, 0, sizeof *d);
    d->n = EXAMPLES;
    d->offset = xr_alloc(EXAMPLES + 1, sizeof *d->offset);
    d->label = xr_alloc(EXAMPLES, sizeof *d->label);
    d->file = xr_alloc(EXAMPLES, sizeof *d->file);
    d->ids = xr_alloc(EXAMPLES * 9, sizeof *d->ids);
    for (size_t i = 0; i < EXAMPLES; i++) {
        d->offset[i + 1] = d->offset[i] + 3 + i % 7;
        for (uint64_t k = d->offset[i]; k < d->offset[i + 1]; k++)
            d->ids[k] = (int32_t)i;
    }
}

/* Two copies of an example in one step are two samples; the cut into micro-batches changes neither examples nor samples. */
static void samples_of_a_step(void **state)
{
    (void)state;
    xr_dataset d;
    make_dataset(&d);
    xr_mixture m = make((uint64_t[]){ 190, 10 }, (double[]){ 1, 19 }, NULL, 2, 1.0);
    uint32_t sample_of[2][EXAMPLES];
    for (int turn = 0; turn < 2; turn++) {
        xr_loader_options o = { .batch_size = 64, .micro_size = turn ? 7 : 64, .shuffle = 1, .mixture = &m, .seed = 42 };
        xr_loader *l = xr_loader_new(&d, &o);
        size_t at = 0, most = 0;
        assert_non_null(l);
        int n = xr_loader_begin(l, 1, 2);
        for (int k = 0; k < n; k++) {
            const xr_batch *b = xr_loader_batch(l, k);
            for (size_t s = 0; s < b->rows.n_seq; s++) {
                uint32_t sample = b->rows.sample[s];
                assert_int_equal(xr_mixture_at(&m, 1, sample), (uint64_t)b->id[b->rows.offset[s]]);
                sample_of[turn][at++] = sample;
            }
            most = b->rows.n > most ? b->rows.n : most;
        }
        assert_int_equal(at, 64);
        assert_true(most <= xr_loader_max_tokens(l));
        xr_loader_free(l);
    }
    for (size_t i = 0; i < 64; i++)
        assert_in_range(sample_of[0][i], 128, 191);
    assert_memory_equal(sample_of[0], sample_of[1], 64 * sizeof sample_of[0][0]);
    xr_mixture_free(&m);
    xr_dataset_free(&d);
}

/* One example of nine tokens among short ones, drawn so often that a micro-batch holds several: the bound, by which memory is reserved, knows. */
static void repeated_long_example(void **state)
{
    (void)state;
    xr_dataset d;
    make_dataset(&d);
    for (size_t i = 0; i < EXAMPLES; i++)           /* all of one token, but the last */
        d.offset[i + 1] = d.offset[i] + (i + 1 < EXAMPLES ? 1 : 9);
    xr_mixture m = make((uint64_t[]){ EXAMPLES - 1, 1 }, (double[]){ 1, 199 }, NULL, 2, 1.0);
    xr_loader_options o = { .batch_size = 50, .micro_size = 10, .shuffle = 1, .mixture = &m, .seed = 42 };
    xr_loader *l = xr_loader_new(&d, &o);
    assert_int_equal(xr_loader_begin(l, 0, 0), 5);
    size_t rows = xr_loader_batch(l, 0)->rows.n;     /* longest first: about half of the 50 are the long one */
    assert_int_equal(rows, 90);
    assert_int_equal(xr_loader_max_tokens(l), 90);
    xr_loader_free(l);
    xr_mixture_free(&m);
    xr_dataset_free(&d);
}

/* A loader that begins in the middle sees what one that came there sees, grouped by length or not; no batch is larger than was said. */
static void resumed_in_the_middle(void **state)
{
    (void)state;
    xr_dataset d;
    make_dataset(&d);
    xr_mixture m = make((uint64_t[]){ 120, 80 }, (double[]){ 1, 5 }, NULL, 2, 1.0);
    for (int grouped = 0; grouped < 2; grouped++) {
        xr_loader_options o = { .batch_size = 16, .micro_size = 5, .shuffle = 1, .group_by_length = grouped, .mixture = &m, .seed = 7 };
        xr_loader *all = xr_loader_new(&d, &o);
        size_t drawn = 0;
        for (uint32_t epoch = 0; epoch < 2; epoch++)
            for (size_t step = 0; step < xr_loader_steps(all); step++) {
                xr_loader *fresh = xr_loader_new(&d, &o);
                int n = xr_loader_begin(all, epoch, step);
                assert_int_equal(xr_loader_begin(fresh, epoch, step), n);
                for (int k = 0; k < n; k++) {
                    size_t a, b;
                    const uint32_t *x = xr_loader_examples(all, k, &a), *y = xr_loader_examples(fresh, k, &b);
                    assert_int_equal(a, b);
                    assert_memory_equal(x, y, a * sizeof *x);
                    assert_true(xr_loader_batch(all, k)->rows.n <= xr_loader_max_tokens(all));
                    drawn += epoch == 0 ? a : 0;
                }
                xr_loader_free(fresh);
            }
        assert_int_equal(drawn, EXAMPLES);
        xr_loader_free(all);
    }
    xr_mixture_free(&m);
    xr_dataset_free(&d);
}

/* Without weights the order is the one there always was: compared with a loader that knows of no mixture. */
static void plain_is_the_old_order(void **state)
{
    (void)state;
    xr_dataset d;
    make_dataset(&d);
    xr_mixture m = make((uint64_t[]){ 120, 80 }, NULL, NULL, 2, 1.0);
    xr_loader_options o = { .batch_size = 16, .micro_size = 5, .shuffle = 1, .seed = 7 }, with = o;
    with.mixture = &m;
    xr_loader *a = xr_loader_new(&d, &o), *b = xr_loader_new(&d, &with);
    assert_int_equal(xr_loader_max_tokens(a), xr_loader_max_tokens(b));
    for (size_t step = 0; step < xr_loader_steps(a); step++) {
        int n = xr_loader_begin(a, 1, step);
        assert_int_equal(xr_loader_begin(b, 1, step), n);
        for (int k = 0; k < n; k++) {
            const xr_batch *x = xr_loader_batch(a, k), *y = xr_loader_batch(b, k);
            assert_int_equal(x->rows.n, y->rows.n);
            assert_memory_equal(x->id, y->id, x->rows.n * sizeof *x->id);
            assert_memory_equal(x->rows.sample, y->rows.sample, x->rows.n_seq * sizeof *x->rows.sample);
        }
    }
    xr_loader_free(a);
    xr_loader_free(b);
    xr_mixture_free(&m);
    xr_dataset_free(&d);
}

static void no_memory(void **state)
{
    (void)state;
    xr_mixture_part p[2] = { { .first = 0, .n = 5, .weight = 1.0 }, { .first = 5, .n = 5, .weight = 2.0, .language = 1 } };
    long before = xr_alloc_live();
    for (long k = 0;; k++) {
        xr_mixture m;
        xr_alloc_fail_after(k);
        xr_status status = xr_mixture_init(&m, p, 2, 1.0, 1);
        xr_alloc_fail_after(-1);
        xr_mixture_free(&m);
        assert_int_equal(xr_alloc_live(), before);
        if (status == XR_OK) {
            assert_int_equal(k, 3);
            return;
        }
        assert_int_equal(status, XR_ESYSTEM);
        xr_error_clear();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(equal_weights_are_no_mixture),
        cmocka_unit_test(exact_and_uniform),
        cmocka_unit_test(is_shuffled),
        cmocka_unit_test(samples_of_a_step),
        cmocka_unit_test(repeated_long_example),
        cmocka_unit_test(resumed_in_the_middle),
        cmocka_unit_test(plain_is_the_old_order),
        cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
