/* Questions with choices: lines to texts, texts to groups of sequences that stay together, the score of a group. */
#include "tiny_dir.h"

#include <math.h>
#include <stdio.h>

#include "data/choices.h"
#include "data/loader.h"
#include "kernels/gemm.h"
#include "train/predict.h"
#include "train/score.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"

static xr_tokenizer *tok;

static xr_status add(xr_dataset *d, const char *text, const xr_data_options *o)
{
    write_scratch("questions.jsonl", text);
    return xr_dataset_add_choices(d, in_scratch("questions.jsonl"), tok, o);
}

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    tok = xr_tokenizer_open(in_scratch("tok"));
    make_tiny_dir("choice", "wide-choice", NULL, NULL, 3, NULL);
    return tok ? 0 : -1;
}

static int drop_everything(void **state)
{
    xr_tokenizer_free(tok);
    return remove_scratch(state);
}

/* ---- reading ---- */

/* The first question of the text, as given and choices joined by '|', and its label. */
static void reads(const char *line, const char *expected, int label)
{
    xr_question_reader r;
    xr_question q;
    xr_str text = { 0 };
    write_scratch("one.jsonl", line);
    assert_int_equal(xr_questions_open(&r, in_scratch("one.jsonl")), XR_OK);
    if (xr_questions_next(&r, &q) != 1)
        fail_msg("%s", xr_error_message());
    assert_int_equal(xr_str_puts(&text, q.given), XR_OK);
    for (size_t k = 0; k < q.n; k++)
        assert_int_equal(xr_str_printf(&text, "|%s", q.choice[k]), XR_OK);
    assert_string_equal(text.s, expected);
    assert_int_equal(q.label, label);
    assert_int_equal(xr_questions_next(&r, &q), 0);
    xr_str_free(&text);
    xr_questions_close(&r);
}

/* Lines as the data sets distribute them; pairs as XTREME-R's run_xcopa.py and transformers' run_swag.py make them. */
static void formats(void **state)
{
    (void)state;
    reads("{\"premise\": \"The item was packaged.\", \"choice1\": \"It was fragile.\", \"choice2\": \"It was small.\", \"question\": \"cause\", "
          "\"label\": 0, \"idx\": 0, \"changed\": false}\n", "The item was packaged. What was the cause?|It was fragile.|It was small.", 0);
    reads("{\"premise\": \"Mvua.\", \"choice1\": \"a\", \"choice2\": \"b\", \"question\": \"effect\", \"label\": 1}\n",
          "Mvua. What was the effect?|a|b", 1);
    reads("{\"sent1\": \"Members carry horns.\", \"sent2\": \"A drum line\", \"ending0\": \"passes by.\", \"ending1\": \"has heard.\", "
          "\"ending2\": \"arrives.\", \"ending3\": \"turns.\", \"label\": 2}\n",
          "Members carry horns.|A drum line passes by.|A drum line has heard.|A drum line arrives.|A drum line turns.", 2);
    reads("{\"ctx_a\": \"A man sits.\", \"ctx_b\": \"he\", \"endings\": [\"rips.\", \"puts.\"], \"label\": \"1\"}\n", "A man sits.|he rips.|he puts.", 1);
    reads("{\"context\": \"Sydney wept.\", \"question\": \"How does she feel?\", \"answerA\": \"sad\", \"answerB\": \"fine\", \"answerC\": \"tall\", "
          "\"correct\": \"C\"}\n", "Sydney wept. How does she feel?|sad|fine|tall", 2);
    reads("\n{\"premise\": \"x\", \"choices\": [\"a\", \"b\"]}\n", "x|a|b", -1);
    reads("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": -1}\n", "x|a|b", -1);
    reads("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": null}\n", "x|a|b", -1);
}

static void refuse(const char *line, const char *part)
{
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1, .max_len = 64 };
    char text[512];
    snprintf(text, sizeof text, "{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": 0}\n%s\n", line);
    assert_int_equal(add(&d, text, &o), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "questions.jsonl:2"));
    expect_error(XR_EDATA, part);
    assert_int_equal(d.n, 1);
    xr_dataset_free(&d);
}

static void refusals(void **state)
{
    (void)state;
    refuse("{\"choices\": [\"a\", \"b\"], \"label\": 0}", "no text of the question");
    refuse("{\"premise\": \" \", \"choices\": [\"a\", \"b\"], \"label\": 0}", "no text of the question");
    refuse("{\"premise\": \"x\", \"question\": 3, \"choices\": [\"a\", \"b\"], \"label\": 0}", "'question' is no string");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\"], \"label\": 0}", "only one choice");
    refuse("{\"premise\": \"x\", \"label\": 0}", "there are no choices");
    refuse("{\"premise\": \"x\", \"choices\": \"ab\", \"label\": 0}", "are no list");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \" \"], \"label\": 0}", "choice 2 is empty");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"\\u00a0\"], \"label\": 0}", "choice 2 is empty");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", 7], \"label\": 0}", "choice 2 is no string");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": 2}", "the label is 2; expected the number of the right choice, 0 to 1");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": \"C\"}", "the label is \"C\"");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": -2}", "the label is -2");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": 0.5}", "the label is 0.5");
    refuse("{\"premise\": \"x\", \"choices\": [\"a\", \"b\"]}", "has no label");
    refuse("[1]", "no JSON object");
    refuse("{\n\"choices\": [\"a\", \"b\"]\n}", "a JSON object over several lines; expected JSON lines");
    refuse("[{\"choices\": [\"a\", \"b\"]},\n{}]", "jq -c '.[]'");
    refuse("id,premise,choice1", "is no JSON; expected JSON lines");
    refuse("{\"premise\": \"x\"", "");
}

static void skipping(void **state)
{
    (void)state;
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1, .max_len = 64, .skip_bad = 1, .max_bad_fraction = 0.5 };
    const char *text = "{\"premise\": \"x\", \"choices\": [\"a\", \"b\"], \"label\": 0}\n{}\n{\"premise\": \"y\", \"choices\": [\"a\", \"b\"], \"label\": 1}\n";
    assert_int_equal(add(&d, text, &o), XR_OK);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.n_bad, 1);
    o.max_bad_fraction = 0.1;
    assert_int_equal(add(&d, text, &o), XR_EDATA);
    expect_error(XR_EDATA, "1 of 3 questions are bad");
    assert_int_equal(add(&d, "", &o), XR_EDATA);
    expect_error(XR_EDATA, "no questions");
    xr_dataset_free(&d);
}

/* ---- examples ---- */

/* N questions of 2, 3, 4, 2, … choices. */
static xr_str many(unsigned n)
{
    xr_str s = { 0 };
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(xr_str_printf(&s, "{\"premise\": \"%s\", \"choices\": [\"%s\"", tiny_sentence(i), tiny_sentence(1000 + i)), XR_OK);
        for (unsigned k = 1; k < 2 + i % 3; k++)
            assert_int_equal(xr_str_printf(&s, ", \"%s\"", tiny_sentence(1000 * (k + 1) + i)), XR_OK);
        assert_int_equal(xr_str_printf(&s, "], \"label\": %u}\n", i % 2), XR_OK);
    }
    return s;
}

static void fill(xr_dataset *d, unsigned n, size_t max_len)
{
    xr_data_options o = { .need_label = 1, .max_len = max_len };
    xr_str s = many(n);
    memset(d, 0, sizeof *d);
    if (add(d, s.s, &o) < 0)
        fail_msg("%s", xr_error_message());
    xr_str_free(&s);
}

/* Each choice is the pair the tokenizer makes of the two texts, and a question is all of them. */
static void pairs(void **state)
{
    (void)state;
    xr_dataset d;
    fill(&d, 9, 20);
    size_t k = 0, longest = 0;
    assert_int_equal(d.choices.n, 3 * (2 + 3 + 4));
    assert_int_equal(d.choices.most, 4);
    for (unsigned i = 0; i < 9; i++) {
        size_t sum = 0;
        assert_int_equal(d.choices.example[i], k);
        for (unsigned c = 0; c < 2 + i % 3; c++, k++) {
            xr_tokens t = { 0 };
            size_t n;
            const int32_t *id = xr_dataset_choice(&d, k, &n);
            assert_int_equal(xr_tokenizer_encode_pair(tok, tiny_sentence(i), tiny_sentence(1000 * (c + 1) + i), 20, 0, &t, NULL), XR_OK);
            assert_int_equal(n, t.n);
            for (size_t j = 0; j < n; j++)
                assert_int_equal(id[j], t.v[j].id);
            sum += n;
            longest = n > longest ? n : longest;
            xr_tokens_free(&t);
        }
        assert_int_equal(xr_dataset_len(&d, i), sum);
        assert_int_equal(d.label[i], i % 2);
    }
    assert_int_equal(d.choices.example[9], k);
    assert_int_equal(xr_dataset_longest(&d), longest);
    assert_true(d.n_truncated > 0 && d.n_truncated <= 9);
    xr_dataset_free(&d);
}

/* Every question once an epoch, in the same micro-batch with all its choices and its own label, whatever the micro-batches are. */
static void loading(void **state)
{
    (void)state;
    xr_dataset d;
    fill(&d, 31, 0);
    const size_t micro[] = { 1, 3, 8 };
    for (int m = 0; m < 3; m++) {
        xr_loader_options o = { .batch_size = 8, .micro_size = micro[m], .shuffle = 1, .seed = 3, .group_by_length = m == 2 };
        xr_loader *l = xr_loader_new(&d, &o);
        size_t seen[31] = { 0 }, n;
        for (size_t step = 0; step < xr_loader_steps(l); step++)
            for (int k = 0, of = xr_loader_begin(l, 0, step); k < of; k++) {
                const xr_batch *b = xr_loader_batch(l, k);
                const uint32_t *example = xr_loader_examples(l, k, &n);
                assert_int_equal(b->n_group, n);
                assert_int_equal(b->group[n], b->rows.n_seq);
                for (size_t g = 0; g < n; g++) {
                    uint64_t first = d.choices.example[example[g]];
                    seen[example[g]]++;
                    assert_int_equal(b->label[g], d.label[example[g]]);
                    assert_int_equal(b->group[g + 1] - b->group[g], d.choices.example[example[g] + 1] - first);
                    for (uint32_t s = b->group[g]; s < b->group[g + 1]; s++) {
                        size_t len;
                        const int32_t *id = xr_dataset_choice(&d, (size_t)first + s - b->group[g], &len);
                        assert_int_equal(b->rows.offset[s + 1] - b->rows.offset[s], len);
                        assert_memory_equal(b->id + b->rows.offset[s], id, len * sizeof *id);
                        assert_int_equal(b->rows.sample[s], 4 * example[g] + s - b->group[g]);
                    }
                }
            }
        for (int i = 0; i < 31; i++)
            assert_int_equal(seen[i], 1);
        xr_loader_free(l);
    }
    xr_dataset_free(&d);
}

/* ---- scores ---- */

static void figures(void **state)
{
    (void)state;
    xr_dataset d;
    xr_figures f;
    xr_config c = { .problem = XR_PROBLEM_CHOICE };
    fill(&d, 3, 0);
    d.label[2] = -1;
    /* softmax of (0, ln 3) is (1/4, 3/4), of (0, 0, ln 2) is (1/4, 1/4, 1/2); labels 0 and 1; the third has none */
    const float logits[] = { 0.0f, logf(3.0f), 0.0f, 0.0f, logf(2.0f), 9.0f, 0.0f, 0.0f, 0.0f };
    assert_int_equal(xr_figures_compute(&f, &c, &d, logits), XR_OK);
    assert_int_equal(f.n, 2);
    assert_true(fabs(f.loss - log(4.0)) < 1e-6 && f.accuracy == 0.0 && fabs(f.chance - (1.0 / 2 + 1.0 / 3) / 2) < 1e-12);
    d.label[0] = 1;
    assert_int_equal(xr_figures_compute(&f, &c, &d, logits), XR_OK);
    assert_true(fabs(f.loss - (log(4.0 / 3.0) + log(4.0)) / 2) < 1e-6 && f.accuracy == 0.5);
    xr_dataset_free(&d);
}

static xr_status collect(void *context, const char *lines, size_t len) { return xr_str_append(context, lines, len); }

/* Each answer is the softmax of the scores that the head gives the choices; bad lines keep their place. */
static void predictions(void **state)
{
    (void)state;
    xr_options o;
    xr_str out = { 0 }, text = many(40);
    xr_dataset d;
    xr_context *c = xr_context_open(in_scratch("choice"), NULL);
    assert_non_null(c);
    fill(&d, 40, 0);
    xr_scoring how = { &c->model, "choice", 0, NULL, NULL };
    float *logits = xr_score_logits(&how, &d);
    assert_non_null(logits);
    assert_int_equal(xr_str_puts(&text, "{}\n"), XR_OK);
    write_scratch("ask.jsonl", text.s);
    const char *args[] = { in_scratch("ask.jsonl"), NULL };
    assert_int_equal(xr_options_init(&o, XR_V_PREDICT), XR_OK);
    assert_int_equal(xr_options_set(&o, "model", in_scratch("choice")), XR_OK);
    assert_int_equal(xr_options_set(&o, "on_bad_record", "skip"), XR_OK);
    assert_int_equal(xr_options_set(&o, "max_bad_fraction", "0.5"), XR_OK);
    o.args = args;
    o.n_args = 1;
    xr_predict p = { .o = &o, .context = &out, .write = collect };
    if (xr_predict_run(&p) < 0)
        fail_msg("%s", xr_error_message());
    const char *line = out.s;
    int answers[4] = { 0 };
    for (unsigned i = 0; i < 40; i++) {
        size_t len = strcspn(line, "\n"), first = (size_t)d.choices.example[i], n = (size_t)d.choices.example[i + 1] - first;
        json_t *j = xr_json_parse(line, len, "answer"), *scores = json_object_get(j, "scores");
        assert_int_equal(json_array_size(scores), n);
        size_t best = 0;
        for (size_t k = 0; k < n; k++) {
            double sum = 0.0;
            for (size_t m = 0; m < n; m++)
                sum += exp((double)logits[first + m] - (double)logits[first + k]);
            assert_true(fabs(json_number_value(json_array_get(scores, k)) - 1.0 / sum) < 1e-6);
            best = logits[first + k] > logits[first + best] ? k : best;
        }
        assert_int_equal(json_integer_value(json_object_get(j, "label")), best);
        assert_string_equal(json_string_value(json_object_get(j, "text")), tiny_sentence(1000 * ((unsigned)best + 1) + i));
        assert_true(json_number_value(json_object_get(j, "score")) == json_number_value(json_array_get(scores, best)));
        answers[best]++;
        json_decref(j);
        line += len + 1;
    }
    assert_true(answers[0] && answers[1]);      /* they differ, so the comparison says something */
    assert_non_null(strstr(line, "{\"error\": "));
    o.args = NULL;
    xr_options_free(&o);
    xr_str_free(&out);
    xr_str_free(&text);
    xr_free(logits);
    xr_dataset_free(&d);
    xr_context_free(c);
}

/* ---- memory ---- */

static void out_of_memory(void **state)
{
    (void)state;
    xr_data_options o = { .need_label = 1 };
    xr_str s = many(8);
    write_scratch("questions.jsonl", s.s);
    xr_str_free(&s);
    long live = xr_alloc_live(), k = 0;
    for (xr_status status = XR_ESYSTEM; status < 0; k++) {
        xr_dataset d = { 0 };
        xr_alloc_fail_after(k);
        status = xr_dataset_add_choices(&d, in_scratch("questions.jsonl"), tok, &o);
        xr_alloc_fail_after(-1);
        xr_dataset_free(&d);
        assert_int_equal(xr_alloc_live(), live);
        assert_true(status == XR_OK || status == XR_ESYSTEM);
        assert_true(k < 500);
        xr_error_clear();
    }
    assert_true(k > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats), cmocka_unit_test(refusals), cmocka_unit_test(skipping), cmocka_unit_test(pairs),
        cmocka_unit_test(loading), cmocka_unit_test(figures), cmocka_unit_test(predictions), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_everything, drop_everything);
}
