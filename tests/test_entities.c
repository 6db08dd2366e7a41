/* What tags spell, and the scores of entities, against seqeval (golden/tags.h, made by scripts/golden_tags.py). */
#include "scratch.h"

#include "data/tag_scheme.h"
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

/* The figures of one type as seqeval gives them. */
static void equal_type(const char *name, const xr_entity_counts *c, double precision, double recall, double f1, int support)
{
    equal(name, xr_entities_precision(c), precision);
    equal(name, xr_entities_recall(c), recall);
    equal(name, xr_entities_f1(c), f1);
    assert_int_equal(c->gold, support);
}

/* Sum of a set's types with this name. */
static xr_entity_counts of_name(const xr_tagset *s, const xr_entity_counts *c, const char *name)
{
    xr_entity_counts sum = { 0 };
    for (int k = 0; k < s->n; k++)
        if (strcmp(name, "micro") == 0 || strcmp(s->type[k], name) == 0)
            sum.gold += c[k].gold, sum.predicted += c[k].predicted, sum.right += c[k].right;
    return sum;
}

/* Mean F1 of the types that occur; the types of these sets come in the order of their names. */
static double macro(const xr_tagset *s, const xr_entity_counts *c, const char *const *order, size_t n)
{
    double sum = 0.0;
    for (size_t k = 0; k < n; k++) {
        xr_entity_counts one = of_name(s, c, order[k]);
        sum += xr_entities_f1(&one);
    }
    return sum / (double)n;
}

static void by_type(void **state)
{
    (void)state;
    static const char *const order[] = { "A-B", "LOC", "PER", "_" };
    size_t at = 0, sentence = 0;
    int32_t gold[WORDS], predicted[WORDS];
    xr_entity_counts c[N_NAMES] = { 0 };
    for (size_t k = 0; k < N_CASES; k++)
        for (int i = 0; i < tag_cases[k].sentences; i++) {
            size_t n = (size_t)tag_lengths[sentence++];
            take(tag_gold, at, n, gold);
            take(tag_predicted, at, n, predicted);
            if (strcmp(tag_cases[k].name, "random of all") == 0)
                xr_entities_count_types(c, &set, gold, predicted, n);
            at += n;
        }
    for (size_t k = 0; k < COUNT(tag_types); k++) {
        xr_entity_counts sum = of_name(&set, c, tag_types[k].name);
        if (strcmp(tag_types[k].name, "macro") == 0)
            equal("macro", macro(&set, c, order, COUNT(order)), tag_types[k].f1);
        else
            equal_type(tag_types[k].name, &sum, tag_types[k].precision, tag_types[k].recall, tag_types[k].f1, tag_types[k].support);
    }
}

static xr_scheme scheme_named(const char *name)
{
    for (int k = XR_SCHEME_IOB1; k <= XR_SCHEME_BILOU; k++)
        if (strcmp(xr_scheme_name((xr_scheme)k), name) == 0)
            return (xr_scheme)k;
    fail_msg("no scheme %s", name);
    return XR_SCHEME_PLAIN;
}

/* Every scheme's rules against seqeval's strict mode, and the scheme found from the gold tags that keep to it. */
static void strict(void **state)
{
    (void)state;
    static const char *const order[] = { "LOC", "PER" };
    enum { SENTENCES = 60, REGULAR = 50, N = COUNT(strict_names) };
    size_t at = 0, sentence = 0, row = 0;
    for (size_t k = 0; k < COUNT(strict_schemes); k++) {
        xr_scheme scheme = scheme_named(strict_schemes[k]);
        xr_entity_counts c[N] = { 0 };
        xr_tag_survey survey = { 0 };
        xr_tagset s;
        /* L and U are what tells BILOU from IOBES */
        const char *name[N];
        for (size_t i = 0; i < N; i++)
            name[i] = scheme != XR_SCHEME_BILOU && strchr("LU", strict_names[i][0]) ? "O" : strict_names[i];
        assert_int_equal(xr_tagset_init(&s, name, N, "here"), XR_OK);
        for (int i = 0; i < SENTENCES; i++) {
            int32_t gold[WORDS], predicted[WORDS];
            size_t n = (size_t)strict_lengths[sentence++];
            take(strict_gold, at, n, gold);
            take(strict_predicted, at, n, predicted);
            if (i < REGULAR)
                xr_tag_survey_add(&survey, &s, gold, n);
            xr_entities_count_strict(c, &s, scheme, gold, predicted, n);
            at += n;
        }
        assert_string_equal(xr_scheme_name(xr_tag_survey_scheme(&survey, &s)), strict_schemes[k]);
        for (; row < COUNT(tag_reports) && (size_t)tag_reports[row].set == k; row++) {
            xr_entity_counts sum = of_name(&s, c, tag_reports[row].name);
            if (strcmp(tag_reports[row].name, "macro") == 0)
                equal("macro", macro(&s, c, order, COUNT(order)), tag_reports[row].f1);
            else
                equal_type(tag_reports[row].name, &sum, tag_reports[row].precision, tag_reports[row].recall, tag_reports[row].f1,
                           tag_reports[row].support);
        }
        xr_tagset_free(&s);
    }
    assert_int_equal(row, COUNT(tag_reports));
    assert_int_equal(at, COUNT(strict_gold));
}

/* Parts of speech as both versions of seqeval count them. */
static void raw(void **state)
{
    (void)state;
    enum { SENTENCES = 40 };
    size_t at = 0, sentence = 0;
    for (size_t k = 0; k < COUNT(raw_cases); k++) {
        int32_t gold[16 * SENTENCES], predicted[16 * SENTENCES];
        uint64_t first[SENTENCES + 1] = { 0 };
        xr_entity_counts c[2] = { { 0 } };
        for (int i = 0; i < SENTENCES; i++)
            first[i + 1] = first[i] + (uint64_t)raw_lengths[sentence++];
        for (size_t i = 0; i < first[SENTENCES]; i++, at++)
            gold[i] = raw_gold[at], predicted[i] = raw_predicted[at];
        for (int v = XR_RAW_SEQEVAL_0; v <= XR_RAW_SEQEVAL_1; v++)
            assert_int_equal(xr_entities_count_raw(&c[v], raw_names, COUNT(raw_names), (xr_raw_version)v, gold, predicted, first, SENTENCES), XR_OK);
        equal("seqeval 1", xr_entities_f1(&c[XR_RAW_SEQEVAL_1]), raw_cases[k].seqeval_1);
        equal("seqeval 0", xr_entities_f1(&c[XR_RAW_SEQEVAL_0]), raw_cases[k].seqeval_0);
    }
    assert_int_equal(at, COUNT(raw_gold));
}

static void names(void **state)
{
    (void)state;
    static const char *const plain[] = { "NOUN", "B_PER", "b-per", "B-", "-PER", "X-PER", "OO", "O-PER" };
    static const char *const pos[] = { "O", "NOUN", "SYM", "X", "I" }, *const mixed[] = { "O", "B-PER", "NOUN" }, *const bare[] = { "O", "B", "I" };
    static const char *const bilou[] = { "O", "U-PER", "L-PER" };
    xr_tagset s;
    for (int k = 0; k < N_NAMES; k++)
        assert_true(xr_tag_kind_of(tag_names[k]) != XR_TAG_PLAIN);
    for (size_t k = 0; k < COUNT(plain); k++)
        assert_int_equal(xr_tag_kind_of(plain[k]), XR_TAG_PLAIN);
    assert_int_equal(xr_tag_kind_of(""), XR_TAG_PLAIN);
    assert_true(xr_tags_plain(pos, COUNT(pos)));
    assert_false(xr_tags_plain(mixed, COUNT(mixed)) || xr_tags_plain(bare, COUNT(bare)) || xr_tags_plain(bilou, COUNT(bilou)));
    assert_int_equal(xr_tagset_init(&s, mixed, COUNT(mixed), "dir/config.json"), XR_EDATA);
    expect_error(XR_EDATA, "dir/config.json: the label 'NOUN' is no tag of an entity, but others are");
    assert_int_equal(xr_tagset_init(&s, pos, COUNT(pos), "here"), XR_OK);
    assert_true(s.plain && s.tag[4].prefix == 'O');
    xr_tagset_free(&s);
    assert_int_equal(xr_tagset_init(&s, bilou, COUNT(bilou), "here"), XR_OK);
    assert_true(s.bilou && s.tag[1].prefix == 'S' && s.tag[2].prefix == 'E' && s.tag[1].type == s.tag[2].type);
    xr_tagset_free(&s);
    assert_string_equal(set.type[9], "A-B");
    assert_string_equal(set.type[11], "_");
}

/* Tags by letter: b B-X, i I-X, j I-Y, o O. */
static xr_scheme scheme_of_tags(const char *tags)
{
    static const char *const name[] = { "O", "B-X", "I-X", "I-Y" };
    xr_tag_survey v = { 0 };
    xr_tagset s;
    int32_t tag[WORDS];
    size_t n = strlen(tags);
    for (size_t i = 0; i < n; i++)
        tag[i] = (int32_t)(strchr("obij", tags[i]) - "obij");
    assert_int_equal(xr_tagset_init(&s, name, COUNT(name), "here"), XR_OK);
    xr_tag_survey_add(&v, &s, tag, n);
    xr_scheme scheme = xr_tag_survey_scheme(&v, &s);
    xr_tagset_free(&s);
    return scheme;
}

static void schemes(void **state)
{
    (void)state;
    assert_int_equal(scheme_of_tags("obiobo"), XR_SCHEME_IOB2);
    assert_int_equal(scheme_of_tags("oiioibi"), XR_SCHEME_IOB1);
    assert_int_equal(scheme_of_tags("oijo"), XR_SCHEME_IOB1);
    assert_int_equal(scheme_of_tags("obioio"), XR_SCHEME_IOB2);     /* a slip in IOB2 */
    assert_int_equal(scheme_of_tags("ooo"), XR_SCHEME_IOB2);
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
        cmocka_unit_test(by_type),
        cmocka_unit_test(strict),
        cmocka_unit_test(raw),
        cmocka_unit_test(names),
        cmocka_unit_test(schemes),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, make_set, free_set);
}
