/* config.json: as transformers writes it, byte for byte back; and what must be refused, with key and remedy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "model/config.h"
#include "model/model.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/str.h"

static char dir[256], path[300];

static int make_dir(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(dir, sizeof dir, "%s/xlmr-config-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/config.json", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return xr_remove_tree(dir);
}

static void write_text(const char *text)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* xlm-roberta-base as it was published. */
static const char *const base[][2] = {
    { "architectures", "[\"XLMRobertaForMaskedLM\"]" }, { "attention_probs_dropout_prob", "0.1" }, { "bos_token_id", "0" },
    { "eos_token_id", "2" }, { "hidden_act", "\"gelu\"" }, { "hidden_dropout_prob", "0.1" }, { "hidden_size", "768" },
    { "initializer_range", "0.02" }, { "intermediate_size", "3072" }, { "layer_norm_eps", "1e-05" }, { "max_position_embeddings", "514" },
    { "model_type", "\"xlm-roberta\"" }, { "num_attention_heads", "12" }, { "num_hidden_layers", "12" }, { "output_past", "true" },
    { "pad_token_id", "1" }, { "position_embedding_type", "\"absolute\"" }, { "transformers_version", "\"4.17.0.dev0\"" },
    { "type_vocab_size", "1" }, { "use_cache", "true" }, { "vocab_size", "250002" },
};
enum { N_BASE = sizeof base / sizeof *base };

/* The published file with keys changed, added (others) or, with a NULL value, left out: pairs of key and value. */
static void write_changed(const char *const (*change)[2], size_t n)
{
    xr_str b = { 0 };
    xr_str_puts(&b, "{");
    for (size_t i = 0; i < N_BASE; i++) {
        int changed = 0;
        for (size_t k = 0; k < n; k++)
            changed |= !strcmp(change[k][0], base[i][0]);
        if (!changed)
            xr_str_printf(&b, "%s\n  \"%s\": %s", b.len > 1 ? "," : "", base[i][0], base[i][1]);
    }
    for (size_t k = 0; k < n; k++)
        if (change[k][1])
            xr_str_printf(&b, "%s\n  \"%s\": %s", b.len > 1 ? "," : "", change[k][0], change[k][1]);
    xr_str_puts(&b, "\n}\n");
    write_text(b.s);
    xr_str_free(&b);
}

static void expect_refused(xr_status status, const char *message)
{
    xr_config c;
    xr_status got = xr_config_read(&c, path);
    if (got != status || !strstr(xr_error_message(), message) || !strstr(xr_error_message(), path))
        fail_msg("expected %d and \"%s\", got %d: %s", status, message, got, xr_error_message());
    xr_error_clear();
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_published(void **state)
{
    (void)state;
    xr_config c, again;
    write_changed(NULL, 0);
    assert_int_equal(xr_config_read(&c, path), XR_OK);
    assert_int_equal(c.vocab_size, 250002);
    assert_int_equal(c.hidden_size, 768);
    assert_int_equal(c.num_hidden_layers, 12);
    assert_int_equal(c.num_attention_heads, 12);
    assert_int_equal(c.intermediate_size, 3072);
    assert_int_equal(xr_config_max_tokens(&c), 512);
    assert_int_equal(c.bos_token_id, 0);
    assert_int_equal(c.pad_token_id, 1);
    assert_int_equal(c.eos_token_id, 2);
    assert_true(c.layer_norm_eps == 1e-5f && c.hidden_dropout_prob == 0.1f && c.initializer_range == 0.02f && c.classifier_dropout < 0);
    assert_string_equal(c.head, "masked_lm");
    assert_int_equal(c.num_labels, 0);
    assert_true(json_is_true(json_object_get(c.extra, "output_past")));
    assert_string_equal(json_string_value(json_object_get(c.extra, "transformers_version")), "4.17.0.dev0");
    assert_int_equal(xr_config_write(&c, path), XR_OK);
    assert_int_equal(xr_config_read(&again, path), XR_OK);
    assert_true(json_is_true(json_object_get(again.extra, "output_past")));
    assert_int_equal(again.vocab_size, 250002);
    xr_config_free(&c);
    xr_config_free(&again);
    assert_int_equal(xr_alloc_live(), 0);
}

/* Files of transformers 5.23 come back byte for byte. */
static void test_same_bytes(void **state)
{
    (void)state;
    static const char *const golden[] = { "tiny", "tiny-cls", "tiny-reg", "tiny-multi", "wide", "wide-cls" };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        char from[100];
        xr_config c;
        snprintf(from, sizeof from, "tests/golden/%s/config.json", golden[i]);
        assert_int_equal(xr_config_read(&c, from), XR_OK);
        assert_int_equal(xr_config_write(&c, path), XR_OK);
        xr_config_free(&c);
        size_t n, m;
        char *a = xr_file_read(from, 1 << 20, &n), *b = xr_file_read(path, 1 << 20, &m);
        assert_string_equal(a, b);
        xr_free(a);
        xr_free(b);
    }
}

#define READ(...)                                                                               \
    do {                                                                                        \
        static const char *const change_[][2] = { __VA_ARGS__ };                                \
        write_changed(change_, sizeof change_ / sizeof *change_);                               \
        if (xr_config_read(&c, path) < 0)                                                       \
            fail_msg("refused: %s", xr_error_message());                                        \
    } while (0)

#define CLS { "architectures", "[\"XLMRobertaForSequenceClassification\"]" }

static void test_labels(void **state)
{
    (void)state;
    xr_config c;
    READ(CLS);                                          /* transformers leaves its default out: two labels */
    assert_int_equal(c.num_labels, 2);
    assert_string_equal(c.label[1], "LABEL_1");
    assert_int_equal(c.problem, XR_PROBLEM_SINGLE_LABEL);
    xr_config_free(&c);
    READ(CLS, { "num_labels", "1" });                   /* one label without a problem_type: regression */
    assert_int_equal(c.num_labels, 1);
    assert_int_equal(c.problem, XR_PROBLEM_REGRESSION);
    xr_config_free(&c);
    READ(CLS, { "id2label", "{\"2\": \"c\", \"0\": \"a\", \"1\": \"b\"}" }, { "label2id", "{\"b\": 1, \"c\": 2, \"a\": 0}" },
         { "problem_type", "\"multi_label_classification\"" }, { "classifier_dropout", "0.25" }, { "torch_dtype", "\"float16\"" });
    assert_int_equal(c.num_labels, 3);
    assert_string_equal(c.label[0], "a");
    assert_string_equal(c.label[2], "c");
    assert_int_equal(c.problem, XR_PROBLEM_MULTI_LABEL);
    assert_true(c.classifier_dropout == 0.25f);
    xr_config copy;
    assert_int_equal(xr_config_copy(&copy, &c), XR_OK);
    xr_config_free(&c);
    assert_string_equal(copy.label[2], "c");
    assert_int_equal(xr_config_write(&copy, path), XR_OK);
    xr_config_free(&copy);
    size_t n;
    char *text = xr_file_read(path, 1 << 20, &n);
    assert_null(strstr(text, "float16"));
    assert_non_null(strstr(text, "\"dtype\": \"float32\""));
    assert_non_null(strstr(text, "\"classifier_dropout\": 0.25"));
    xr_free(text);
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_heads(void **state)
{
    (void)state;
    xr_config c;
    READ({ "architectures", "[\"XLMRobertaModel\"]" });
    assert_null(c.head);
    xr_config_free(&c);
    READ({ "architectures", "[\"XLMRobertaForCausalLM\"]" }, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" });
    assert_null(c.head);
    assert_int_equal(c.num_labels, 0);
    xr_config_free(&c);
    READ({ "architectures", "[\"XLMRobertaForQuestionAnswering\"]" }, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" });
    assert_string_equal(c.head, "question_answering");
    assert_int_equal(c.num_labels, 0);
    xr_config_free(&c);
    READ({ "architectures", "[\"XLMRobertaForTokenClassification\"]" }, { "id2label", "{\"0\": \"O\", \"1\": \"B-PER\"}" },
         { "problem_type", "\"regression\"" });
    assert_string_equal(c.head, "token_cls");
    assert_int_equal(c.num_labels, 2);
    assert_string_equal(c.label[1], "B-PER");
    assert_int_equal(c.problem, XR_PROBLEM_TAGS);
    assert_int_equal(xr_config_write(&c, path), XR_OK);
    xr_config_free(&c);
    size_t n;
    char *text = xr_file_read(path, 1 << 20, &n);
    assert_non_null(strstr(text, "\"XLMRobertaForTokenClassification\""));
    assert_null(strstr(text, "problem_type"));
    xr_free(text);
    READ({ "architectures", NULL });
    assert_null(c.head);
    xr_config_free(&c);
    READ({ "architectures", "null" }, { "classifier_dropout", "null" }, { "bos_token_id", "null" }, { "pruned_heads", "{}" },
         { "layer_norm_eps", "1e-12" }, { "num_attention_heads", "1" });
    assert_true(c.layer_norm_eps == 1e-12f);
    assert_int_equal(c.bos_token_id, 0);
    xr_config_free(&c);
    READ({ "hidden_dropout_prob", "0" }, { "num_attention_heads", "768" });
    assert_true(c.hidden_dropout_prob == 0.0f);
    xr_config_free(&c);
    READ({ "hidden_dropout_prob", "0.99" }, { "layer_norm_eps", "0.1" });   /* the limits themselves, as floats */
    xr_config_free(&c);
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct { const char *change[3][2]; const char *message; } bad[] = {
        { { { "model_type", "\"bert\"" } }, "model_type: found \"bert\"" },
        { { { "model_type", "\"xlm-roberta-xl\"" } }, "only supported" },
        { { { "model_type", NULL } }, "model_type: found nothing" },
        { { { "vocab_size", NULL } }, "vocab_size is missing" },
        { { { "hidden_size", NULL } }, "hidden_size is missing" },
        { { { "num_hidden_layers", "null" } }, "num_hidden_layers is missing" },
        { { { "max_position_embeddings", NULL } }, "max_position_embeddings is missing" },
        { { { "layer_norm_eps", NULL } }, "layer_norm_eps is missing" },
        { { { "type_vocab_size", NULL } }, "type_vocab_size is missing" },
        { { { "type_vocab_size", "2" } }, "type_vocab_size: found 2, expected 1" },
        { { { "pad_token_id", "0" } }, "pad_token_id: found 0, expected 1" },
        { { { "num_attention_heads", "7" } }, "hidden_size 768 is not divisible by num_attention_heads 7" },
        { { { "num_attention_heads", "0" } }, "num_attention_heads: found 0" },
        { { { "vocab_size", "0" } }, "vocab_size: found 0" },
        { { { "vocab_size", "-5" } }, "vocab_size: found -5" },
        { { { "vocab_size", "4294967298" } }, "32 bits" },
        { { { "hidden_size", "9223372036854775807" } }, "32 bits" },
        { { { "hidden_size", "18446744073709551616" } }, "not valid JSON" },
        { { { "hidden_size", "768.0" } }, "hidden_size: found 768.0, expected a whole number" },
        { { { "hidden_size", "\"768\"" } }, "whole number" },
        { { { "num_hidden_layers", "2000000000" } }, "num_hidden_layers: found 2000000000" },
        { { { "max_position_embeddings", "53510" } }, "heads x tokens x tokens / 8 is 4294980144, expected at most 4294967295" },
        { { { "max_position_embeddings", "2" } }, "max_position_embeddings: found 2" },
        { { { "layer_norm_eps", "NaN" } }, "not valid JSON" },
        { { { "layer_norm_eps", "1e999" } }, "not valid JSON" },
        { { { "layer_norm_eps", "0" } }, "layer_norm_eps: found 0" },
        { { { "layer_norm_eps", "-1e-5" } }, "layer_norm_eps" },
        { { { "layer_norm_eps", "1e-300" } }, "layer_norm_eps" },
        { { { "layer_norm_eps", "\"1e-5\"" } }, "a number" },
        { { { "initializer_range", "1e300" } }, "initializer_range" },
        { { { "hidden_dropout_prob", "1.5" } }, "hidden_dropout_prob: found 1.5" },
        { { { "classifier_dropout", "-1" } }, "classifier_dropout" },
        { { { "classifier_dropout", "1" } }, "classifier_dropout" },
        { { { "eos_token_id", "250002" } }, "eos_token_id 250002" },
        { { { "hidden_act", "\"relu\"" } }, "hidden_act: found \"relu\"" },
        { { { "hidden_act", "\"gelu_new\"" } }, "erf" },
        { { { "position_embedding_type", "\"relative_key\"" } }, "position_embedding_type" },
        { { { "is_decoder", "true" } }, "is_decoder" },
        { { { "add_cross_attention", "true" } }, "add_cross_attention" },
        { { { "pruned_heads", "{\"0\": [1]}" } }, "pruned_heads" },
        { { { "quantization_config", "{\"load_in_8bit\": true}" } }, "quantization_config" },
        { { { "tie_word_embeddings", "false" } }, "tie_word_embeddings" },
        { { { "architectures", "\"XLMRobertaModel\"" } }, "architectures" },
        { { { "architectures", "[1]" } }, "architectures" },
        { { CLS, { "num_labels", "0" } }, "num_labels" },
        { { CLS, { "num_labels", "100000000000" } }, "num_labels" },
        { { CLS, { "num_labels", "3" }, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" } }, "num_labels: found 3" },
        { { CLS, { "id2label", "{}" } }, "id2label" },
        { { CLS, { "id2label", "[\"a\", \"b\"]" } }, "id2label" },
        { { CLS, { "id2label", "{\"1\": \"a\", \"2\": \"b\"}" } }, "missing: 0" },
        { { CLS, { "id2label", "{\"0\": \"a\", \"01\": \"b\"}" } }, "missing: 1" },
        { { CLS, { "id2label", "{\"0\": \"a\", \"1\": 1}" } }, "not a string: 1" },
        { { CLS, { "id2label", "{\"0\": \"a\", \"0\": \"b\"}" } }, "duplicate" },
        { { CLS, { "id2label", "{\"0\": \"same\", \"1\": \"same\"}" } }, "0 and 1 have the same name 'same'" },
        { { CLS, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" }, { "label2id", "{\"a\": 1, \"b\": 0}" } }, "disagrees" },
        { { CLS, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" }, { "label2id", "{\"a\": 0}" } }, "label2id" },
        { { CLS, { "problem_type", "\"ranking\"" } }, "problem_type" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = 0;
        while (n < 3 && bad[i].change[n][0])
            n++;
        write_changed(bad[i].change, n);
        expect_refused(XR_EDATA, bad[i].message);
    }
}

static void test_not_a_config(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        { "", "not valid JSON" }, { "[]", "not a JSON object" }, { "{}", "model_type" }, { "{\"a\": 1, \"a\": 2}", "duplicate" },
        { "{ // comment\n}", "not valid JSON" }, { "version https://git-lfs", "not valid JSON" }, { "{\"model_type\": \"xlm-roberta\"} x", "not valid JSON" },
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text(texts[i][0]);
        expect_refused(XR_EDATA, texts[i][1]);
    }
    xr_str b = { 0 };
    for (int i = 0; i < 1000000; i++)
        xr_str_puts(&b, "[");
    write_text(b.s);
    xr_str_free(&b);
    expect_refused(XR_EDATA, "not valid JSON");
    unlink(path);
    expect_refused(XR_ENOINPUT, "cannot be opened");
}

/* Parameter counts of the published models (xlmr-facts 1.1). */
static void test_presets(void **state)
{
    (void)state;
    static const struct { const char *name; size_t parameters; } sizes[] = { { "base", 278295186 }, { "large", 560142482 } };
    xr_config c;
    for (size_t i = 0; i < 2; i++) {
        xr_model m;
        assert_int_equal(xr_config_preset(&c, sizes[i].name, 250002), XR_OK);
        assert_string_equal(c.head, "masked_lm");
        assert_int_equal(xr_config_max_tokens(&c), 512);
        assert_int_equal(xr_model_declare(&m, &c), XR_OK);
        assert_int_equal(xr_params_count(&m.params), sizes[i].parameters);
        xr_model_free(&m);
        xr_config_free(&c);
    }
    assert_int_equal(xr_config_preset(&c, "huge", 250002), XR_EUSAGE);
    assert_non_null(strstr(xr_error_message(), "nano, mini, base, large"));
    xr_error_clear();
    assert_int_equal(xr_config_preset(&c, "nano", 0), XR_EDATA);
    xr_error_clear();
    assert_int_equal(xr_alloc_live(), 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const change[][2] = { CLS, { "id2label", "{\"0\": \"a\", \"1\": \"b\"}" }, { "label2id", "{\"a\": 0, \"b\": 1}" } };
    write_changed(change, 3);
    xr_status status = XR_ESYSTEM;
    for (long k = 0; status < 0; k++) {
        xr_config c, copy = { 0 };
        assert_true(k < 1000);
        xr_alloc_fail_after(k);
        status = xr_config_read(&c, path);
        if (status == XR_OK)
            status = xr_config_copy(&copy, &c);
        xr_alloc_fail_after(-1);
        if (status < 0)
            assert_int_equal(status, XR_ESYSTEM);
        xr_error_clear();
        xr_config_free(&copy);
        xr_config_free(&c);
        assert_int_equal(xr_alloc_live(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_same_bytes), cmocka_unit_test(test_labels), cmocka_unit_test(test_heads),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_not_a_config), cmocka_unit_test(test_presets), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
