/* The loader's promises: every example once an epoch, order from (seed, epoch) alone, cuts that change nothing but the
 * cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "data/loader.h"
#include "util/alloc.h"
#include "util/rng.h"

/* n examples of 3 to `longest` tokens; the ids say which example and token they are. */
static xr_dataset *make_dataset(size_t n, size_t longest, size_t n_target)
{
    xr_dataset *d = xr_alloc(1, sizeof *d);
    xr_philox_key key = xr_rng_key(7, XR_RNG_TEST);

    d->n = n;
    d->n_target = n_target;
    d->offset = xr_alloc(n + 1, sizeof *d->offset);
    d->label = xr_alloc(n, sizeof *d->label);
    d->file = xr_alloc(n, sizeof *d->file);
    d->target = xr_alloc(n * n_target, sizeof *d->target);
    for (size_t i = 0; i < n; i++) {
        uint64_t len = 3 + xr_rng_below(key, 0, (uint32_t)i, 0, 0, longest - 2);
        d->offset[i + 1] = d->offset[i] + len;
        d->label[i] = (int32_t)(i % 3);
        for (size_t c = 0; c < n_target; c++)
            d->target[i * n_target + c] = (float)(i * 10 + c);
    }
    d->ids = xr_alloc(d->offset[n], sizeof *d->ids);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < xr_dataset_len(d, i); k++)
            d->ids[d->offset[i] + k] = (int32_t)(i * 1000 + k);
    return d;
}

static void drop_dataset(xr_dataset *d)
{
    xr_dataset_free(d);
    xr_free(d);
}

/* Everything a batch says must follow from the examples in it. */
static void check_batch(const xr_dataset *d, const xr_batch *b, const uint32_t *example, size_t n)
{
    size_t row = 0, longest = 0;

    assert_non_null(b);
    assert_int_equal(b->rows.n_seq, n);
    for (size_t s = 0; s < n; s++) {
        size_t len = xr_dataset_len(d, example[s]);
        assert_int_equal(b->rows.offset[s], row);
        assert_int_equal(b->rows.sample[s], example[s]);
        for (size_t k = 0; k < len; k++, row++) {
            assert_int_equal(b->id[row], d->ids[d->offset[example[s]] + k]);
            assert_int_equal(b->rows.index[row], k);
            assert_int_equal(b->rows.seq[row], s);
        }
        if (d->n_target)
            assert_memory_equal(b->target + s * d->n_target, d->target + example[s] * d->n_target,
                                d->n_target * sizeof(float));
        else
            assert_int_equal(b->label[s], d->label[example[s]]);
        longest = len > longest ? len : longest;
    }
    assert_int_equal(b->rows.offset[n], row);
    assert_int_equal(b->rows.n, row);
    assert_int_equal(b->max_len, longest);
    assert_int_equal(d->n_target ? b->label != NULL : b->target != NULL, 0);
}

/* Runs an epoch; order[] receives the examples. Returns how many. */
static size_t run_epoch(const xr_dataset *d, const xr_loader_options *o, uint32_t epoch, uint32_t *order)
{
    xr_loader *l = xr_loader_new(d, o);
    size_t n = 0;

    assert_non_null(l);
    for (size_t s = 0; s < xr_loader_steps(l); s++) {
        int micro = xr_loader_begin(l, epoch, s);
        size_t in_step = 0, tokens = 0;
        assert_true(micro > 0);
        for (int k = 0; k < micro; k++) {
            size_t m;
            const uint32_t *example = xr_loader_examples(l, k, &m);
            const xr_batch *b = xr_loader_batch(l, k);
            check_batch(d, b, example, m);
            assert_true(m >= 1 && m <= o->micro_size);
            assert_true(!o->token_budget || m == 1 || b->rows.n <= o->token_budget);
            assert_true(b->rows.n <= xr_loader_max_tokens(l));
            memcpy(order + n, example, m * sizeof *order);
            n += m;
            in_step += m;
            tokens += b->rows.n;
        }
        assert_int_equal(in_step, xr_loader_step_examples(l));
        assert_int_equal(tokens, xr_loader_step_tokens(l));
        assert_true(in_step == o->batch_size || s + 1 == xr_loader_steps(l));
    }
    xr_loader_free(l);
    return n;
}

static void each_once(const uint32_t *order, size_t n)
{
    uint8_t *seen = xr_alloc(n, 1);
    for (size_t i = 0; i < n; i++) {
        assert_true(order[i] < n);
        assert_int_equal(seen[order[i]]++, 0);
    }
    xr_free(seen);
}

static void test_every_example_once(void **state)
{
    static const size_t sizes[] = { 1, 2, 31, 32, 33, 997, 1000 };
    uint32_t order[1000];
    (void)state;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int mode = 0; mode < 12; mode++) {
            xr_dataset *d = make_dataset(sizes[i], 60, mode % 2 ? 3 : 0);
            xr_loader_options o = { .batch_size = 32,
                                    .micro_size = mode % 3 == 2 ? 5 : 32,
                                    .token_budget = mode % 3 == 1 ? 100 : 0,
                                    .shuffle = mode < 8,
                                    .group_by_length = mode >= 4 && mode < 8,
                                    .sort_by_length = mode >= 8,
                                    .seed = 3 };
            assert_int_equal(run_epoch(d, &o, 2, order), sizes[i]);
            each_once(order, sizes[i]);
            drop_dataset(d);
        }
}

static void test_order_depends_on_seed_and_epoch_only(void **state)
{
    xr_dataset *d = make_dataset(500, 40, 0);
    uint32_t a[500], b[500], c[500];
    xr_loader_options o = { .batch_size = 20, .micro_size = 20, .shuffle = 1, .seed = 11 };
    (void)state;

    for (o.group_by_length = 0; o.group_by_length < 2; o.group_by_length++) {
        run_epoch(d, &o, 0, a);
        run_epoch(d, &o, 0, b);
        assert_memory_equal(a, b, sizeof a);
        run_epoch(d, &o, 1, b);
        assert_memory_not_equal(a, b, sizeof a);
        o.seed = 12;
        run_epoch(d, &o, 0, c);
        assert_memory_not_equal(a, c, sizeof a);
        o.seed = 11;
    }
    drop_dataset(d);
}

/* Steps in any order, epochs mixed: each is what it is in a run from the start. */
static void test_steps_are_pure(void **state)
{
    xr_dataset *d = make_dataset(4000, 40, 0);
    xr_loader_options o = { .batch_size = 16, .micro_size = 16, .shuffle = 1, .group_by_length = 1, .seed = 5 };
    xr_loader *l = xr_loader_new(d, &o), *fresh;
    size_t n, m;
    (void)state;

    assert_int_equal(xr_loader_steps(l), 250);
    for (uint32_t k = 0; k < 40; k++) {
        size_t step = k / 6 * 97 % 250;     /* the same mega-batch in epochs 0 1 2 0 1 2 */
        uint32_t epoch = k % 3;
        fresh = xr_loader_new(d, &o);
        assert_int_equal(xr_loader_begin(l, epoch, step), 1);
        assert_int_equal(xr_loader_begin(fresh, epoch, step), 1);
        const uint32_t *x = xr_loader_examples(l, 0, &n), *y = xr_loader_examples(fresh, 0, &m);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n * sizeof *x);
        xr_loader_free(fresh);
    }
    xr_loader_free(l);
    drop_dataset(d);
}

/* 1 x 32, 4 x 8, 7s and a token budget: the same examples in the same order, step by step. */
static void test_cut_changes_only_the_cut(void **state)
{
    xr_dataset *d = make_dataset(333, 50, 0);
    uint32_t whole[333], cut[333];
    static const size_t micro[] = { 8, 7, 1, 32 }, budget[] = { 0, 0, 0, 90 };
    xr_loader_options o = { .batch_size = 32, .micro_size = 32, .shuffle = 1, .seed = 1 };
    (void)state;

    for (o.group_by_length = 0; o.group_by_length < 2; o.group_by_length++) {
        o.micro_size = 32, o.token_budget = 0;
        run_epoch(d, &o, 4, whole);
        for (int i = 0; i < 4; i++) {
            o.micro_size = micro[i], o.token_budget = budget[i];
            run_epoch(d, &o, 4, cut);
            assert_memory_equal(whole, cut, sizeof whole);
        }
    }
    drop_dataset(d);
}

static void test_longest_first_within_a_step(void **state)
{
    xr_dataset *d = make_dataset(100, 50, 0);
    xr_loader_options o = { .batch_size = 100, .micro_size = 9, .seed = 1 };
    uint32_t order[100];
    (void)state;

    for (o.shuffle = 0; o.shuffle < 2; o.shuffle++) {
        run_epoch(d, &o, 0, order);
        for (size_t i = 1; i < 100; i++)
            assert_true(xr_dataset_len(d, order[i - 1]) >= xr_dataset_len(d, order[i]));
    }
    o = (xr_loader_options){ .batch_size = 7, .micro_size = 7, .sort_by_length = 1 };
    run_epoch(d, &o, 0, order);
    for (size_t i = 1; i < 100; i++) {
        size_t before = xr_dataset_len(d, order[i - 1]), here = xr_dataset_len(d, order[i]);
        assert_true(before > here || (before == here && order[i - 1] < order[i]));
    }
    drop_dataset(d);
}

/* Without shuffling a step holds the next examples of the file. */
static void test_file_order(void **state)
{
    xr_dataset *d = make_dataset(10, 50, 0);
    xr_loader_options o = { .batch_size = 4, .micro_size = 4 };
    uint32_t order[10];
    (void)state;

    run_epoch(d, &o, 9, order);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(order[i] / 4, i / 4);
    drop_dataset(d);
}

/* Tokens that padding to the longest of each step would add. */
static double padding(const xr_dataset *d, const uint32_t *order, size_t n, size_t batch)
{
    double padded = 0, real = 0;
    for (size_t i = 0; i < n; i += batch) {
        size_t longest = 0, m = n - i < batch ? n - i : batch;
        for (size_t k = i; k < i + m; k++) {
            size_t len = xr_dataset_len(d, order[k]);
            longest = len > longest ? len : longest;
            real += (double)len;
        }
        padded += (double)(m * longest);
    }
    return padded / real - 1.0;
}

static void test_group_by_length(void **state)
{
    enum { N = 5000 };
    xr_dataset *d = make_dataset(N, 100, 0);
    xr_loader_options o = { .batch_size = 32, .micro_size = 32, .shuffle = 1, .seed = 2 };
    static uint32_t plain[N], grouped[N];
    double early = 0, late = 0;
    (void)state;

    run_epoch(d, &o, 0, plain);
    o.group_by_length = 1;
    run_epoch(d, &o, 0, grouped);
    each_once(grouped, N);
    assert_true(padding(d, plain, N, 32) > 0.5);
    assert_true(padding(d, grouped, N, 32) < 0.05);
    for (size_t i = 0; i < 1600; i++)       /* the first mega-batch does not go from long to short */
        *(i < 800 ? &early : &late) += (double)xr_dataset_len(d, grouped[i]);
    assert_true(early / late > 0.8 && early / late < 1.25);
    drop_dataset(d);
}

static void test_last_step(void **state)
{
    xr_dataset *d = make_dataset(70, 100, 0);
    xr_loader_options o = { .batch_size = 32, .micro_size = 32, .shuffle = 1, .group_by_length = 1, .seed = 2 };
    uint32_t order[70], full[70];
    (void)state;

    assert_int_equal(run_epoch(d, &o, 0, full), 70);
    o.drop_last = 1;
    assert_int_equal(run_epoch(d, &o, 0, order), 64);
    assert_memory_equal(full, order, 64 * sizeof *order);
    o.batch_size = 71;
    assert_null(xr_loader_new(d, &o));
    assert_int_equal(xr_error_status(), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "70 examples do not fill one step of 71"));
    xr_error_clear();
    drop_dataset(d);
}

static void test_token_bound_is_reached_at_most(void **state)
{
    xr_dataset *d = make_dataset(300, 64, 0);
    size_t longest = 0;
    xr_loader_options o = { .batch_size = 30, .micro_size = 1, .shuffle = 1 };
    xr_loader *l = xr_loader_new(d, &o);
    (void)state;

    for (size_t i = 0; i < d->n; i++)
        longest = xr_dataset_len(d, i) > longest ? xr_dataset_len(d, i) : longest;
    assert_int_equal(xr_loader_max_tokens(l), longest);
    xr_loader_free(l);
    o.micro_size = 300, o.batch_size = 300;
    l = xr_loader_new(d, &o);
    assert_int_equal(xr_loader_max_tokens(l), d->offset[300]);
    xr_loader_free(l);
    o.token_budget = 10;        /* below the longest example, which still goes alone */
    l = xr_loader_new(d, &o);
    assert_int_equal(xr_loader_max_tokens(l), longest);
    xr_loader_free(l);
    drop_dataset(d);
}

static void test_unlabelled(void **state)
{
    xr_dataset *d = make_dataset(5, 10, 0);
    xr_loader_options o = { .batch_size = 5, .micro_size = 5 };
    (void)state;

    d->label[3] = -1;
    xr_loader *l = xr_loader_new(d, &o);
    xr_loader_begin(l, 0, 0);
    assert_null(xr_loader_batch(l, 0)->label);
    xr_loader_free(l);
    drop_dataset(d);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A million examples start at once, grouped by length, in the middle of an epoch. */
static void test_starts_at_once(void **state)
{
    xr_dataset *d = make_dataset(1000000, 20, 0);
    xr_loader_options o = { .batch_size = 32, .micro_size = 32, .shuffle = 1, .group_by_length = 1 };
    (void)state;

    double start = seconds();
    xr_loader *l = xr_loader_new(d, &o);
    xr_loader_begin(l, 3, 20000);
    assert_non_null(xr_loader_batch(l, 0));
    double took = seconds() - start;
    print_message("1,000,000 examples: first batch after %.3f s\n", took);
    assert_true(took < 0.5);
    xr_loader_free(l);
    drop_dataset(d);
}

static void test_batch_masks_and_clear(void **state)
{
    xr_batch_buffer b = { 0 };
    static const int32_t ids[] = { 0, 7, 8, 2 };
    (void)state;

    for (uint32_t round = 0; round < 2; round++) {
        xr_batch_clear(&b);
        for (uint32_t i = 0; i < 200; i++) {
            assert_int_equal(xr_batch_add(&b, ids, 4, i), XR_OK);
            assert_int_equal(xr_batch_add_mask(&b, 4 * i + 1, 7), XR_OK);
        }
        const xr_batch *view = xr_batch_finish(&b);
        assert_int_equal(view->rows.n, 800);
        assert_int_equal(view->n_mask, 200);
        assert_int_equal(view->mask_row[199], 797);
        assert_int_equal(view->mask_target[199], 7);
        assert_null(view->label);
        assert_null(view->target);
    }
    xr_batch_clear(&b);
    assert_null(xr_batch_finish(&b)->mask_row);
    xr_batch_free(&b);
}

/* Every allocation fails once: an error each time, nothing lost, the next try works. */
static void test_out_of_memory(void **state)
{
    xr_dataset *d = make_dataset(200, 30, 0);
    xr_loader_options o = { .batch_size = 64, .micro_size = 64, .shuffle = 1, .group_by_length = 1 };
    long live = xr_alloc_live(), k = 0;
    int done = 0;
    (void)state;

    for (; !done; k++) {
        xr_alloc_fail_after(k);
        xr_loader *l = xr_loader_new(d, &o);
        done = l && xr_loader_begin(l, 0, 0) > 0 && xr_loader_batch(l, 0);
        xr_alloc_fail_after(-1);
        assert_int_equal(done ? XR_OK : XR_ESYSTEM, xr_error_status());
        xr_error_clear();
        xr_loader_free(l);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 5);
    drop_dataset(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_example_once),
        cmocka_unit_test(test_order_depends_on_seed_and_epoch_only),
        cmocka_unit_test(test_steps_are_pure),
        cmocka_unit_test(test_cut_changes_only_the_cut),
        cmocka_unit_test(test_longest_first_within_a_step),
        cmocka_unit_test(test_file_order),
        cmocka_unit_test(test_group_by_length),
        cmocka_unit_test(test_last_step),
        cmocka_unit_test(test_token_bound_is_reached_at_most),
        cmocka_unit_test(test_unlabelled),
        cmocka_unit_test(test_starts_at_once),
        cmocka_unit_test(test_batch_masks_and_clear),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
