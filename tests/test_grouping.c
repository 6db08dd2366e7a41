/* Entities of predict --grouping against transformers' pipeline (golden/grouping.h, made by scripts/golden_grouping.py), and their offsets.
 *
 * With the argument "model" the program only makes that script's model and prints its folder. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>

#include "golden/grouping.h"
#include "kernels/gemm.h"
#include "train/predict.h"
#include "util/alloc.h"
#include "util/json.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { N_ENTITIES = COUNT(grouping_entities) };

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("tag", "tiny-tag", NULL, NULL, 10, NULL);
    return 0;
}

static xr_status collect(void *context, const char *lines, size_t len)
{
    return xr_str_append(context, lines, len);
}

static long fail_after = -1;        /* allocations of the prediction until one fails */

/* Answers to scratch/in.jsonl. */
static xr_status predict(xr_str *out, const char *grouping, const char *max_len)
{
    xr_options o;
    const char *args[] = { in_scratch("in.jsonl"), NULL };
    xr_str_clear(out);
    assert_int_equal(xr_options_init(&o, XR_V_PREDICT), XR_OK);
    assert_int_equal(xr_options_set(&o, "model", in_scratch("tag")), XR_OK);
    assert_int_equal(xr_options_set(&o, "grouping", grouping), XR_OK);
    assert_int_equal(xr_options_set(&o, "max_seq_length", max_len), XR_OK);
    o.args = args;
    o.n_args = 1;
    xr_predict p = { .o = &o, .context = out, .write = collect };
    xr_alloc_fail_after(fail_after);
    xr_status status = xr_predict_run(&p);
    xr_alloc_fail_after(-1);
    o.args = NULL;          /* the options own theirs */
    xr_options_free(&o);
    return status;
}

static json_t *line_at(const xr_str *s, size_t i)
{
    const char *line = s->s;
    while (i--)
        line = strchr(line, '\n') + 1;
    json_t *j = xr_json_parse(line, strcspn(line, "\n"), "line");
    assert_non_null(j);
    return j;
}

static size_t number(const json_t *j, const char *key) { return (size_t)json_integer_value(json_object_get(j, key)); }
static const char *string(const json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }

/* The text of an input: its own, or its tokens joined by blanks. */
static void input_text(size_t k, xr_str *out)
{
    json_t *j = xr_json_parse(grouping_inputs[k], strlen(grouping_inputs[k]), "input"), *tokens = json_object_get(j, "tokens");
    xr_str_clear(out);
    if (!tokens)
        assert_int_equal(xr_str_puts(out, string(j, "text")), XR_OK);
    for (size_t i = 0; i < json_array_size(tokens); i++)
        assert_int_equal(xr_str_printf(out, "%s%s", i ? " " : "", json_string_value(json_array_get(tokens, i))), XR_OK);
    json_decref(j);
}

/* Bytes and characters name the same stretch of the input, which is the entity's text. */
static void check_offsets(const json_t *e, const char *input)
{
    size_t begin = number(e, "start_byte"), end = number(e, "end_byte"), characters = 0;
    const char *text = string(e, "text");
    assert_true(begin <= end && end <= strlen(input));
    assert_int_equal(strlen(text), end - begin);
    assert_memory_equal(text, input + begin, end - begin);
    for (size_t i = 0; i < end; i++) {
        if (i == begin)
            assert_int_equal(characters, number(e, "start_char"));
        characters += ((unsigned char)input[i] & 0xC0) != 0x80;
    }
    assert_int_equal(characters, number(e, "end_char"));
}

static void check_entity(const json_t *e, size_t row, const char *input)
{
    int none = strcmp(grouping_entities[row].grouping, "none") == 0;
    const char *label = string(e, none ? "entity" : "entity_group");
    double score = json_number_value(json_object_get(e, "score"));
    if (!label || strcmp(label, grouping_entities[row].label) != 0 || fabs(score - grouping_entities[row].score) > 2e-5 ||
        number(e, "start_char") != (size_t)grouping_entities[row].start || number(e, "end_char") != (size_t)grouping_entities[row].end)
        fail_msg("input %d, %s: %s %.7f [%zu, %zu); transformers has %s %.7f [%d, %d)", grouping_entities[row].input, grouping_entities[row].grouping,
                 label ? label : "?", score, number(e, "start_char"), number(e, "end_char"), grouping_entities[row].label, grouping_entities[row].score,
                 grouping_entities[row].start, grouping_entities[row].end);
    if (none && strcmp(string(e, "piece"), "<unk>") != 0)
        assert_string_equal(string(e, "piece"), grouping_entities[row].word);
    check_offsets(e, input);
}

static void write_inputs(void)
{
    xr_str text = { 0 };
    for (size_t k = 0; k < COUNT(grouping_inputs); k++)
        assert_int_equal(xr_str_printf(&text, "%s\n", grouping_inputs[k]), XR_OK);
    write_scratch("in.jsonl", text.s);
    xr_str_free(&text);
}

static void like_transformers(void **state)
{
    (void)state;
    static const char *const strategies[] = { "none", "simple", "first", "average", "max" };
    xr_str out = { 0 }, input = { 0 };
    size_t compared = 0;
    write_inputs();
    for (size_t s = 0; s < COUNT(strategies); s++) {
        if (predict(&out, strategies[s], "0") < 0)
            fail_msg("%s", xr_error_message());
        for (size_t k = 0; k < COUNT(grouping_inputs); k++) {
            json_t *j = line_at(&out, k), *entities = json_object_get(j, "entities");
            size_t at = 0;
            input_text(k, &input);
            for (size_t row = 0; row < N_ENTITIES; row++)
                if (grouping_entities[row].input == (int)k && strcmp(grouping_entities[row].grouping, strategies[s]) == 0) {
                    assert_true(at < json_array_size(entities));
                    check_entity(json_array_get(entities, at++), row, input.s);
                    compared++;
                }
            assert_int_equal(at, json_array_size(entities));
            json_decref(j);
        }
    }
    assert_int_equal(compared, N_ENTITIES);
    xr_str_free(&out);
    xr_str_free(&input);
}

/* The entities of words have offsets, too; and a text in windows has as many labelled pieces as a whole one. */
static void words_and_windows(void **state)
{
    (void)state;
    xr_str out = { 0 }, input = { 0 };
    size_t seen = 0;
    write_inputs();
    assert_int_equal(predict(&out, "words", "0"), XR_OK);
    for (size_t k = 0; k < COUNT(grouping_inputs); k++) {
        json_t *j = line_at(&out, k), *entities = json_object_get(j, "entities");
        input_text(k, &input);
        for (size_t i = 0; i < json_array_size(entities); i++, seen++) {
            json_t *e = json_array_get(entities, i);
            size_t begin = number(e, "start_byte"), end = number(e, "end_byte");
            const char *first = json_string_value(json_array_get(json_object_get(j, "tokens"), number(e, "begin")));
            assert_true(begin <= end && end <= strlen(input.s));
            assert_memory_equal(input.s + begin, first, strlen(first));
        }
        json_decref(j);
    }
    assert_true(seen > 10);
    write_scratch("in.jsonl", "{\"text\": \"babo nulu ti sasa gebi rodilu tane pogi fumasi re babo nulu ti\"}\n");
    assert_int_equal(predict(&out, "none", "8"), XR_OK);
    json_t *j = line_at(&out, 0), *entities = json_object_get(j, "entities");
    size_t last = 0;
    for (size_t i = 0; i < json_array_size(entities); i++) {
        json_t *e = json_array_get(entities, i);
        assert_true(number(e, "start_byte") >= last);
        last = number(e, "start_byte");
        check_offsets(e, "babo nulu ti sasa gebi rodilu tane pogi fumasi re babo nulu ti");
    }
    assert_true(json_array_size(entities) > 15);
    json_decref(j);
    xr_str_free(&out);
    xr_str_free(&input);
}

static void out_of_memory(void **state)
{
    (void)state;
    long live = xr_alloc_live(), k = 0;
    xr_str out = { 0 };
    write_inputs();
    for (xr_status status = -1; status < 0; k = next_failure(k, 20)) {
        fail_after = k;
        status = predict(&out, "average", "0");
        fail_after = -1;
        assert_true(status == XR_OK || status == XR_ESYSTEM);
        xr_error_clear();
        xr_str_free(&out);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 50);
}

int main(int argc, char **argv)
{
    void *state = NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_transformers),
        cmocka_unit_test(words_and_windows),
        cmocka_unit_test(out_of_memory),
    };
    if (argc == 2 && strcmp(argv[1], "model") == 0) {
        if (make_everything(&state) < 0)
            return 1;
        printf("%s\n", in_scratch("tag"));
        return 0;
    }
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
