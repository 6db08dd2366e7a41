/* What tags spell, and the scores of entities, against seqeval (golden/tags.h, made by scripts/golden_tags.py). */
#include "scratch.h"

#include "data/entities.h"
#include "golden/tags.h"
#include "util/alloc.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { N_NAMES = COUNT(tag_names), N_CASES = COUNT(tag_cases), WORDS = 16 };

static xr_tagset set;

static int make_set(void **state)
{
    (void)state;
    return xr_tagset_init(&set, tag_names, N_NAMES, "here");
}

static int free_set(void **state)
{
    (void)state;
    xr_tagset_free(&set);
    return 0;
}

/* Tags of the next sentence, whose first is number `at`. */
static void take(const int *from, size_t at, size_t n, int32_t *out)
{
    assert_true(n <= WORDS);
    for (size_t i = 0; i < n; i++)
        out[i] = from[at + i];
}

/* To the last bit. */
static void equal(const char *name, double got, double expected)
{
    if (memcmp(&got, &expected, sizeof got) != 0)
        fail_msg("%s: %.17g; expected %.17g", name, got, expected);
}

static void scores(void **state)
{
    (void)state;
    size_t at = 0, sentence = 0;
    int32_t gold[WORDS], predicted[WORDS];
    for (size_t c = 0; c < N_CASES; c++) {
        xr_entity_counts counts = { 0 };
        for (int k = 0; k < tag_cases[c].sentences; k++) {
            size_t n = (size_t)tag_lengths[sentence++];
            take(tag_gold, at, n, gold);
            take(tag_predicted, at, n, predicted);
            xr_entities_count(&counts, &set, gold, predicted, n);
            at += n;
        }
        equal(tag_cases[c].name, xr_entities_precision(&counts), tag_cases[c].precision);
        equal(tag_cases[c].name, xr_entities_recall(&counts), tag_cases[c].recall);
        equal(tag_cases[c].name, xr_entities_f1(&counts), tag_cases[c].f1);
    }
    assert_int_equal(at, COUNT(tag_gold));
    assert_int_equal(sentence, COUNT(tag_lengths));
}

/* The next row of tag_entities is this one. */
static void expect_entity(size_t *row, size_t c, int k, const xr_entity *e)
{
    const int *r = tag_entities + 5 * (*row)++;
    assert_true(5 * *row <= COUNT(tag_entities));
    assert_int_equal(r[0], c);
    assert_int_equal(r[1], k);
    assert_int_equal(r[2], e->begin);
    assert_int_equal(r[3], e->end - 1);
    assert_string_equal(set.type[e->type], set.type[r[4]]);
}

static void entities(void **state)
{
    (void)state;
    size_t at = 0, sentence = 0, row = 0;
    for (size_t c = 0; c < N_CASES; c++)
        for (int k = 0; k < tag_cases[c].sentences; k++) {
            xr_entity_walk walk = XR_ENTITY_WALK;
            xr_entity e;
            size_t n = (size_t)tag_lengths[sentence++];
            for (size_t i = 0; i < n; i++)
                if (xr_entity_step(&walk, set.tag[tag_gold[at + i]], i, &e))
                    expect_entity(&row, c, k, &e);
            if (xr_entity_finish(&walk, n, &e))
                expect_entity(&row, c, k, &e);
            at += n;
        }
    assert_int_equal(5 * row, COUNT(tag_entities));
}

static void names(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "NOUN", "B_PER", "b-per", "B-", "-PER", "X-PER", "OO", "O-PER" };
    xr_tagset s;
    for (int k = 0; k < N_NAMES; k++)
        assert_true(xr_tag_valid(tag_names[k]));
    for (size_t k = 0; k < COUNT(bad); k++) {
        assert_false(xr_tag_valid(bad[k]));
        assert_int_equal(xr_tagset_init(&s, bad + k, 1, "dir/config.json"), XR_EDATA);
        expect_error(XR_EDATA, "dir/config.json: '");
    }
    assert_string_equal(set.type[9], "A-B");
    assert_string_equal(set.type[11], "_");
}

static void memory(void **state)
{
    (void)state;
    xr_tagset s;
    long live = xr_alloc_live();
    for (long k = 0; k < 2; k++) {
        xr_alloc_fail_after(k);
        assert_int_equal(xr_tagset_init(&s, tag_names, N_NAMES, "here"), XR_ESYSTEM);
        xr_alloc_fail_after(-1);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), live);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores),
        cmocka_unit_test(entities),
        cmocka_unit_test(names),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, make_set, free_set);
}
