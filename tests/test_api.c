/* The promises of include/xr.h: wrong arguments and unfit models are failures with a message, never a crash; class numbers mean the names that
 * were given; answers are those of the weights as they stand, also in the middle of training. */
#include "tiny_dir.h"

#include <math.h>
#include <pthread.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/context.h"
#include "util/alloc.h"
#include "xr.h"

static const char *const labels[] = { "left", "middle", "right" };
enum { C = 3 };

/* As scratch/NAME, with that tokenizer. */
static void make_golden_dir(const char *name, const char *golden)
{
    xr_model m;
    load_golden(&m, golden);
    save_tiny(&m, name);
}

static int make_everything(void **state)
{
    static const int same[] = { 0, 1, 2 };
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", labels, same, 10, NULL);
    make_tiny_dir("multi", "tiny-multi", NULL, NULL, 10, NULL);
    make_tiny_dir("value", "tiny-reg", NULL, NULL, 10, NULL);
    make_tiny_dir("tag", "tiny-tag", NULL, NULL, 10, NULL);
    make_golden_dir("lm", "tiny");
    make_golden_dir("qa", "tiny-qa");
    return 0;
}

static xr_context *open_dir(const char *name, xr_mode mode)
{
    xr_context *c = xr_open(in_scratch(name), mode);
    if (!c)
        fail_msg("%s", xr_error());
    return c;
}

static void fails(long status, long want, const char *part)
{
    if (status != want || !strstr(xr_error(), part))
        fail_msg("status %ld \"%s\"; expected %ld and \"%s\"", status, xr_error(), want, part);
}

/* What is saved is the tokenizer that the context works with, or nothing. */
static void saved_with_its_tokenizer(void **state)
{
    (void)state;
    char *from = xr_path_join(in_scratch("lm2"), "sentencepiece.bpe.model"), *away = xr_path_join(in_scratch("lm2"), "away");
    xr_model m;
    xr_load_options o = { .quiet = 1 };
    assert_int_equal(xr_model_load(&m, "tests/golden/tiny", &o), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("lm2")), XR_OK);
    assert_int_equal(xr_model_save(&m, in_scratch("lm2"), in_scratch("tok"), NULL), XR_OK);
    xr_model_free(&m);
    xr_context *c = open_dir("lm2", XR_READ);
    assert_int_equal(rename(from, away), 0);
    fails(xr_save(c, in_scratch("lm3"), 0), XR_ERR_NO_INPUT, "lm2/sentencepiece.bpe.model: is gone since it was opened");
    assert_int_equal(xr_file_write(from, "other", 5), XR_OK);
    fails(xr_save(c, in_scratch("lm3"), 0), XR_ERR_DATA, "lm2/sentencepiece.bpe.model: has changed since it was opened");
    assert_false(xr_path_exists(in_scratch("lm3")));
    assert_int_equal(rename(away, from), 0);
    assert_int_equal(xr_save(c, in_scratch("lm3"), 0), 0);
    xr_close(c);
    xr_free(from);
    xr_free(away);
}

static void wrong_arguments(void **state)
{
    (void)state;
    const char *holes[] = { "left", NULL, "right" };
    const char *text[] = { "ba", NULL };
    float logits[2 * C];
    xr_guess *guess;
    assert_null(xr_open(NULL, XR_READ));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_open");
    assert_null(xr_open_classifier(in_scratch("cls"), holes, C, 1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_open_classifier");
    assert_null(xr_open("", XR_READ));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_open: dir is empty; give the name of a directory");
    assert_null(xr_open_classifier("", labels, C, 1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_open_classifier: dir is empty");
    xr_context *c = open_dir("cls", XR_READ);
    fails(xr_save(c, "", 1), XR_ERR_USAGE, "xr_save: dir is empty");
    fails(xr_save(c, NULL, 0), XR_ERR_USAGE, "xr_save: an argument is NULL");
    fails(xr_classify(c, text, NULL, 2, logits), XR_ERR_USAGE, "xr_classify: text 1: is NULL");
    fails(xr_classify(c, text, text + 1, 1, logits), XR_ERR_USAGE, "xr_classify: text_pair 0: is NULL");
    fails(xr_classify(NULL, text, NULL, 1, logits), XR_ERR_USAGE, "xr_classify");
    fails(xr_encode_text(c, NULL, NULL, NULL, 0), XR_ERR_USAGE, "xr_encode_text");
    fails(xr_sentence_features(c, text, 1, 99, XR_POOL_MEAN, logits), XR_ERR_USAGE, "layer 99");
    fails(xr_sentence_features(c, text, 2, 0, XR_POOL_MEAN, logits), XR_ERR_USAGE, "xr_sentence_features");
    fails(xr_guess_masks(c, "ba <mask>", 3, &guess), XR_ERR_USAGE, "masked-LM");
    xr_close(c);
    xr_close(NULL);
}

/* The array holds exactly masks * top_k guesses, so that more candidates than pieces cannot be asked for. */
static void guesses(void **state)
{
    (void)state;
    xr_guess *guess;
    xr_context *c = open_dir("lm", XR_READ);
    int V = xr_vocabulary_size(c);
    guess = (xr_guess *)&c;     /* what failed leaves nothing that looks like guesses */
    fails(xr_guess_masks(c, "ba <mask>", V + 1, &guess), XR_ERR_USAGE, "xr_guess_masks");
    assert_null(guess);
    guess = (xr_guess *)&c;
    fails(xr_guess_masks(c, "ba", 1, &guess), XR_ERR_DATA, "no <mask> in the text");
    assert_null(guess);
    xr_free_guesses(guess, -1);
    assert_int_equal(xr_guess_masks(c, "ba <mask> be <mask>", V, &guess), 2);
    for (int m = 0; m < 2; m++) {
        double sum = 0.0;
        for (int i = 0; i < V; i++)
            sum += (double)guess[m * V + i].score;
        assert_true(fabs(sum - 1.0) < 1e-4);
    }
    xr_free_guesses(guess, 2 * V);
    xr_close(c);
}

static void only_classifiers_in_own_memory_are_trained(void **state)
{
    (void)state;
    xr_recipe recipe = xr_recipe_default(5);
    xr_context *c = open_dir("cls", XR_READ);
    fails(xr_train_begin(c, &recipe), XR_ERR_USAGE, "XR_READ");
    xr_close(c);
    c = open_dir("value", XR_TRAIN);
    fails(xr_train_begin(c, &recipe), XR_ERR_USAGE, "single-label");
    xr_close(c);
    c = open_dir("multi", XR_TRAIN);
    fails(xr_train_begin(c, &recipe), XR_ERR_USAGE, "single-label");
    xr_close(c);
    c = open_dir("lm", XR_TRAIN);
    fails(xr_train_begin(c, &recipe), XR_ERR_USAGE, "classification head");
    xr_close(c);
}

/* Labels are those of texts: heads that xr_classify refuses have none, whatever their config.json lists. */
static void heads_say_what_they_answer(void **state)
{
    (void)state;
    static const struct { const char *dir; xr_answer_kind answer; int labels; } head[] = {
        { "cls", XR_ANSWER_ONE_LABEL, C }, { "multi", XR_ANSWER_ANY_LABELS, 4 }, { "value", XR_ANSWER_VALUES, 1 },
        { "tag", XR_ANSWER_NONE, 0 },      { "qa", XR_ANSWER_NONE, 0 },          { "lm", XR_ANSWER_NONE, 0 },
    };
    const char *text[] = { "ba" };
    float logits[8];
    for (size_t k = 0; k < sizeof head / sizeof *head; k++) {
        xr_context *c = open_dir(head[k].dir, XR_READ);
        assert_int_equal(xr_answer(c), head[k].answer);
        assert_int_equal(xr_label_count(c), head[k].labels);
        assert_int_equal(xr_label_name(c, 0) != NULL, head[k].labels > 0);
        if (head[k].labels)
            assert_int_equal(xr_classify(c, text, NULL, 1, logits), 0);
        else
            fails(xr_classify(c, text, NULL, 1, logits), XR_ERR_USAGE, "no classification head for texts");
        xr_close(c);
    }
}

/* What is out of range, or called out of order, is named with what to do. */
static void messages_say_what_to_do(void **state)
{
    (void)state;
    const char *text[] = { "ba", "tu" };
    int32_t label[] = { 1, C };
    float logits[C];
    xr_guess *guess;
    assert_null(xr_open_classifier(in_scratch("cls"), labels, 1, 1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "n is 1; a classifier needs 2 labels or more");
    xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
    xr_recipe good = xr_recipe_default(5);
    fails(xr_train_step(c, text, NULL, label, 1, NULL), XR_ERR_USAGE, "call xr_train_begin before xr_train_step");
    assert_int_equal(xr_train_begin(c, &good), 0);
    fails(xr_train_begin(c, &good), XR_ERR_USAGE, "being trained already; to begin anew, open it again");
    fails(xr_train_step(c, text, NULL, label, 0, NULL), XR_ERR_USAGE, "n is 0; expected 1 to 1073741823");
    fails(xr_train_step(c, text, NULL, label, 2, NULL), XR_ERR_USAGE, "label 1: is 3; expected 0 to 2");
    fails(xr_classify(c, text, NULL, 0, logits), XR_ERR_USAGE, "n is 0; give 1 text or more");
    fails(xr_guess_masks(c, "ba", 0, &guess), XR_ERR_USAGE, "top_k is 0; expected 1 to the size of the vocabulary, 120");
    assert_null(xr_decode_ids(c, (const int32_t[]){ 5, 120 }, 2));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "id 1: is 120; expected 0 to 119");
    xr_close(c);
}

static void refuses_recipe(const xr_recipe *recipe, const char *part)
{
    xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
    assert_non_null(c);
    fails(xr_train_begin(c, recipe), XR_ERR_USAGE, part);
    xr_close(c);
}

static void recipes_out_of_range(void **state)
{
    (void)state;
    xr_recipe r = xr_recipe_default(0);
    refuses_recipe(&r, "total_steps is 0; give the number of updates");
    r = xr_recipe_default(5);
    r.warmup_steps = 6;
    refuses_recipe(&r, "warmup_steps is 6, more than total_steps, 5");
    r = xr_recipe_default(5);
    r.schedule = "Linear";
    refuses_recipe(&r, "schedule is \"Linear\"; expected one of \"constant\", \"cosine\", \"linear\", \"polynomial\"");
    r = xr_recipe_default(5);
    r.learning_rate = -1.0;
    refuses_recipe(&r, "learning_rate is -1;");
    r = xr_recipe_default(5);
    r.weight_decay = (double)INFINITY;
    refuses_recipe(&r, "weight_decay is inf;");
    r = xr_recipe_default(5);
    r.max_grad_norm = (double)NAN;
    refuses_recipe(&r, "max_grad_norm is ");
}

/* Whether an update changes anything: not once the rate is 0. */
static int step_moves(xr_context *c)
{
    const char *text[] = { "ba" };
    const int32_t label[] = { 1 };
    float before[C], after[C];
    assert_int_equal(xr_classify(c, text, NULL, 1, before), 0);
    assert_int_equal(xr_train_step(c, text, NULL, label, 1, NULL), 0);
    assert_int_equal(xr_classify(c, text, NULL, 1, after), 0);
    return memcmp(before, after, sizeof before) != 0;
}

/* As xr.h says of xr_recipe. */
static void steps_beyond_the_schedule(void **state)
{
    (void)state;
    static const struct { const char *name; int moves[4]; } schedule[] = {
        { "linear", { 1, 1, 0, 0 } }, { "polynomial", { 1, 1, 0, 0 } }, { "cosine", { 1, 1, 0, 1 } }, { "constant", { 1, 1, 1, 1 } }
    };
    for (size_t k = 0; k < sizeof schedule / sizeof *schedule; k++) {
        xr_recipe recipe = xr_recipe_default(2);
        recipe.schedule = schedule[k].name;
        recipe.learning_rate = 1e-3;
        xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
        assert_int_equal(xr_train_begin(c, &recipe), 0);
        for (int step = 0; step < 4; step++)
            if (step_moves(c) != schedule[k].moves[step])
                fail_msg("%s, update %d: moves the weights or not, other than xr.h says", schedule[k].name, step);
        xr_close(c);
    }
}

static void class_numbers_mean_the_names_given(void **state)
{
    (void)state;
    const char *const turned[] = { "right", "left", "middle" }, *const other[] = { "yes", "no" };
    assert_null(xr_open_classifier(in_scratch("cls"), turned, C, 1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "left, middle, right");
    xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
    for (int k = 0; k < C; k++)
        assert_string_equal(xr_label_name(c, k), labels[k]);
    xr_close(c);
    c = xr_open_classifier(in_scratch("cls"), other, 2, 1);
    assert_int_equal(xr_label_count(c), 2);
    assert_string_equal(xr_label_name(c, 1), "no");
    xr_close(c);
}

/* Any number of texts; their answers do not depend on their neighbours beyond rounding. */
static void many_texts(void **state)
{
    (void)state;
    enum { N = 100 };
    const char *text[N];
    char copy[N][256];
    float all[N * C], one[C];
    for (unsigned i = 0; i < N; i++)
        text[i] = strcpy(copy[i], tiny_sentence(i));
    xr_context *c = open_dir("cls", XR_READ);
    assert_int_equal(xr_classify(c, text, NULL, N, all), 0);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(xr_classify(c, text + i, NULL, 1, one), 0);
        for (size_t k = 0; k < C; k++)
            assert_true(fabsf(all[i * C + k] - one[k]) < 1e-4f);
    }
    xr_close(c);
}

static xr_context *in_training(void)
{
    xr_recipe recipe = xr_recipe_default(50);
    recipe.learning_rate = 1e-3;
    recipe.weight_decay = 5.0;      /* rows that no text touches move too */
    xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
    if (!c || xr_train_begin(c, &recipe) < 0)
        fail_msg("%s", xr_error());
    return c;
}

/* Vectors in the middle of training are those of the model as it would be saved, for words that training did not touch as well. */
static void answers_are_of_the_newest_weights(void **state)
{
    (void)state;
    const char *trained[] = { "ba" }, *asked[] = { "tu nogi", "pesado" };
    const int32_t label[] = { 1 };
    xr_context *c = in_training();
    float *before = malloc(2 * (size_t)xr_hidden_size(c) * sizeof *before), *after = malloc(2 * (size_t)xr_hidden_size(c) * sizeof *after);
    for (int k = 0; k < 5; k++)
        assert_int_equal(xr_train_step(c, trained, NULL, label, 1, NULL), 0);
    assert_int_equal(xr_sentence_features(c, asked, 2, 0, XR_POOL_MEAN, before), 0);
    assert_int_equal(xr_save(c, in_scratch("trained"), 1), 0);
    xr_context *saved = open_dir("trained", XR_READ);
    assert_int_equal(xr_sentence_features(saved, asked, 2, 0, XR_POOL_MEAN, after), 0);
    assert_memory_equal(before, after, 2 * (size_t)xr_hidden_size(c) * sizeof *before);
    free(before);
    free(after);
    xr_close(saved);
    xr_close(c);
}

static void set_precision(xr_context *c, const char *precision)
{
    if (xr_set_precision(c, precision) < 0)
        fail_msg("%s", xr_error());
}

/* Largest difference of n numbers in terms of the largest of them. */
static float apart(const float *a, const float *b, size_t n)
{
    float most = 0.0f, size = 0.0f;
    for (size_t i = 0; i < n; i++) {
        most = fmaxf(most, fabsf(a[i] - b[i]));
        size = fmaxf(size, fabsf(a[i]));
    }
    return most / size;
}

enum { MANY = 400, H = 32, AT_ONCE = 1024 };

typedef struct texts {
    const char *text[MANY];
    char copy[MANY][256];
} texts;

/* More than three batches take; text 200 is longer than the model takes. */
static void fill_texts(texts *t)
{
    for (unsigned i = 0; i < MANY; i++)
        t->text[i] = strcpy(t->copy[i], tiny_sentence(i));
    for (size_t i = 0; i < 50; i++)
        strcpy(t->copy[200] + 3 * i, "ba ");
}

/* All vectors at once are each text's vector alone: to the bit, or but for rounding; out[MANY, H]. */
static void at_once_as_alone(xr_context *c, const texts *t, int layer, xr_pooling pooling, int to_the_bit, float *out)
{
    float one[H];
    assert_int_equal(xr_hidden_size(c), H);
    assert_int_equal(xr_sentence_features(c, t->text, MANY, layer, pooling, out), 0);
    for (size_t i = 0; i < MANY; i++) {
        assert_int_equal(xr_sentence_features(c, t->text + i, 1, layer, pooling, one), 0);
        int same = to_the_bit ? memcmp(one, out + i * H, sizeof one) == 0 : apart(one, out + i * H, H) < 1e-4f;
        if (!same)
            fail_msg("layer %d, pooling %d: text %zu is %g apart from itself alone", layer, (int)pooling, i, (double)apart(one, out + i * H, H));
    }
}

/* f32 products for training, or by portable kernels, take other kernels for few rows than for many. */
static void vectors_of_many_texts(void **state)
{
    (void)state;
    static const char *const precision[] = { "f32", "bf16", "int8" };
    static texts t;
    static float out[MANY * H];
    fill_texts(&t);
    for (xr_mode mode = XR_READ; mode <= XR_TRAIN; mode++) {
        xr_context *c = open_dir("cls", mode);
        for (size_t k = 0; k < 3; k++) {
            int to_the_bit = k > 0 || (mode == XR_READ && xr_cpu_isa() != XR_ISA_PORTABLE);
            set_precision(c, precision[k]);
            for (int layer = -1; layer <= 0; layer++) {
                at_once_as_alone(c, &t, layer, XR_POOL_FIRST, to_the_bit, out);
                at_once_as_alone(c, &t, layer, XR_POOL_MEAN, to_the_bit, out);
            }
        }
        xr_close(c);
    }
}

/* Memory is that of 1,024 tokens, which are made use of, however many texts there are. */
static void vectors_take_bounded_memory(void **state)
{
    (void)state;
    static texts t;
    static float out[MANY * H];
    size_t tokens = 0;
    fill_texts(&t);
    xr_context *c = open_dir("cls", XR_READ);
    for (size_t i = 0; i < MANY; i++)
        tokens += (size_t)xr_encode_text(c, t.text[i], NULL, NULL, 0);
    assert_true(tokens > 3 * AT_ONCE);
    assert_int_equal(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_MEAN, out), 0);
    assert_in_range(c->bound.tokens, AT_ONCE - (size_t)xr_max_tokens(c), AT_ONCE);
    xr_close(c);
}

/* A text that cannot be used, behind a batch and amid another: nothing of the texts that waited comes into the next answer. */
static void vectors_after_a_failure(void **state)
{
    (void)state;
    static texts t;
    static float want[MANY * H], got[MANY * H];
    fill_texts(&t);
    xr_context *c = open_dir("cls", XR_READ);
    assert_int_equal(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_FIRST, want), 0);
    const char *good = t.text[MANY / 2];
    t.text[MANY / 2] = NULL;
    fails(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_FIRST, got), XR_ERR_USAGE, "xr_sentence_features");
    t.text[MANY / 2] = "\xff";
    fails(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_FIRST, got), XR_ERR_DATA, "UTF-8");
    t.text[MANY / 2] = good;
    assert_int_equal(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_FIRST, got), 0);
    assert_memory_equal(want, got, sizeof want);
    assert_int_equal(xr_sentence_features(c, t.text, 0, -1, XR_POOL_FIRST, got), 0);
    xr_close(c);
}

/* A failure says which text it was; a NULL is found before anything is computed. */
static void failures_name_the_text(void **state)
{
    (void)state;
    enum { N = 100, BAD = 77 };
    static const float untouched[N * C];
    const char *text[N], *good[N];
    int32_t label[N] = { 0 };
    float logits[N * C] = { 0 }, vectors[2 * H];
    for (size_t i = 0; i < N; i++)
        text[i] = good[i] = "ba";
    xr_context *c = open_dir("cls", XR_READ), *t = in_training();
    text[BAD] = NULL;
    fails(xr_classify(c, text, NULL, N, logits), XR_ERR_USAGE, "xr_classify: text 77: is NULL");
    fails(xr_classify(c, good, text, N, logits), XR_ERR_USAGE, "xr_classify: text_pair 77: is NULL");
    fails(xr_sentence_features(c, text, N, -1, XR_POOL_FIRST, vectors), XR_ERR_USAGE, "xr_sentence_features: text 77: is NULL");
    fails(xr_train_step(t, text, NULL, label, N, NULL), XR_ERR_USAGE, "xr_train_step: text 77: is NULL");
    assert_memory_equal(logits, untouched, sizeof logits);
    text[BAD] = "\xff";
    fails(xr_classify(c, text, NULL, N, logits), XR_ERR_DATA, "text 77: byte 0 (0xFF) is not UTF-8");
    fails(xr_classify(c, good, text, N, logits), XR_ERR_DATA, "text_pair 77: byte 0 (0xFF) is not UTF-8");
    fails(xr_train_step(t, text, good, label, N, NULL), XR_ERR_DATA, "text 77: byte 0 (0xFF)");
    fails(xr_train_step(t, good, text, label, N, NULL), XR_ERR_DATA, "text_pair 77: byte 0 (0xFF)");
    fails(xr_sentence_features(c, text + BAD - 1, 2, -1, XR_POOL_FIRST, vectors), XR_ERR_DATA, "text 1: byte 0 (0xFF)");
    xr_close(c);
    xr_close(t);
}

/* The same of functions that take one text, or one pair. */
static void failures_name_the_one_text(void **state)
{
    (void)state;
    int32_t id[8];
    xr_guess *guess;
    xr_context *c = open_dir("lm", XR_READ);
    fails(xr_encode_text(c, "ba\xff", NULL, id, 8), XR_ERR_DATA, "text 0: byte 2 (0xFF) is not UTF-8");
    fails(xr_encode_text(c, "b\xff", "ba\xff", id, 8), XR_ERR_DATA, "text 0: byte 1 (0xFF) is not UTF-8");
    fails(xr_encode_text(c, "ba", "ba be\xff", id, 8), XR_ERR_DATA, "text_pair 0: byte 5 (0xFF) is not UTF-8");
    fails(xr_guess_masks(c, "ba <mask>\xff", 1, &guess), XR_ERR_DATA, "text 0: byte 9 (0xFF) is not UTF-8");
    fails(xr_guess_masks(c, "ba", 1, &guess), XR_ERR_DATA, "no <mask> in the text 'ba'");
    assert_null(strstr(xr_error(), "text 0"));
    xr_close(c);
}

/* Texts that are computed when the next one finds no room: damaged weights are not that one's fault. */
static void failures_of_the_model_name_no_text(void **state)
{
    (void)state;
    static texts t;
    static float out[MANY * H];
    fill_texts(&t);
    make_overflowing_dir("damaged", "tiny-cls", 3);
    xr_context *c = open_dir("damaged", XR_READ);
    fails(xr_sentence_features(c, t.text, MANY, -1, XR_POOL_FIRST, out), XR_ERR_DATA, "weights are damaged");
    assert_null(strstr(xr_error(), "text "));
    xr_close(c);
}

/* Questions about no context are failures too; an answered one leaves the message of the failure before it. */
static void questions_with_wrong_arguments(void **state)
{
    (void)state;
    static const struct { const char *name; int (*ask)(const xr_context *c); } question[] = {
        { "xr_hidden_size", xr_hidden_size }, { "xr_layer_count", xr_layer_count }, { "xr_vocabulary_size", xr_vocabulary_size },
        { "xr_max_tokens", xr_max_tokens },   { "xr_answer", xr_answer },           { "xr_label_count", xr_label_count },
    };
    xr_context *c = open_dir("cls", XR_READ);
    for (size_t k = 0; k < sizeof question / sizeof *question; k++) {
        fails(question[k].ask(NULL), XR_ERR_USAGE, question[k].name);
        assert_true(question[k].ask(c) > 0);
        fails(XR_ERR_USAGE, XR_ERR_USAGE, question[k].name);
    }
    assert_null(xr_label_name(NULL, 0));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_label_name: an argument is NULL");
    assert_null(xr_label_name(c, C));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_label_name: k is 3; the model has 3 labels");
    assert_null(xr_label_name(c, -1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "k is -1");
    xr_close(c);
}

static void unknown_modes_and_poolings(void **state)
{
    (void)state;
    const char *text[] = { "ba" };
    float out[H];
    assert_null(xr_open(in_scratch("cls"), (xr_mode)17));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "xr_open: mode 17 is not known; give XR_READ or XR_TRAIN");
    xr_context *c = open_dir("cls", XR_READ);
    fails(xr_sentence_features(c, text, 1, -1, (xr_pooling)7, out), XR_ERR_USAGE, "pooling 7 is not known; give XR_POOL_FIRST or XR_POOL_MEAN");
    xr_close(c);
}

/* As xr.h says of n = 0. */
static void no_texts(void **state)
{
    (void)state;
    const char *text[] = { "ba" };
    const int32_t label[] = { 0 };
    float out[1];
    xr_context *c = in_training();
    assert_int_equal(xr_sentence_features(c, text, 0, -1, XR_POOL_FIRST, out), 0);
    assert_int_equal(xr_sentence_features(c, NULL, 0, -1, XR_POOL_FIRST, NULL), 0);
    fails(xr_sentence_features(c, NULL, 1, -1, XR_POOL_FIRST, out), XR_ERR_USAGE, "xr_sentence_features: an argument is NULL");
    fails(xr_sentence_features(c, text, 0, 99, XR_POOL_FIRST, out), XR_ERR_USAGE, "layer 99");
    char *nothing = xr_decode_ids(c, NULL, 0);
    assert_string_equal(nothing, "");
    xr_free_text(nothing);
    xr_free_guesses(NULL, 0);
    fails(xr_classify(c, text, NULL, 0, out), XR_ERR_USAGE, "n is 0");
    fails(xr_train_step(c, text, NULL, label, 0, NULL), XR_ERR_USAGE, "n is 0");
    assert_null(xr_open_classifier(in_scratch("cls"), labels, 0, 1));
    fails(XR_ERR_USAGE, XR_ERR_USAGE, "n is 0");
    xr_close(c);
}

/* Rounded products give other numbers, near those of f32, coarser with eight bits; f32 again gives the first ones. */
static void precisions_of_answers(void **state)
{
    (void)state;
    enum { N = 40 };
    static const struct { const char *name; float least, most; } kind[] = { { "bf16", 1e-5f, 0.03f }, { "int8", 1e-4f, 0.1f } };
    const char *text[N];
    char copy[N][256];
    float want[N * C], got[N * C];
    for (unsigned i = 0; i < N; i++)
        text[i] = strcpy(copy[i], tiny_sentence(i));
    xr_context *c = open_dir("cls", XR_READ);
    assert_int_equal(xr_classify(c, text, NULL, N, want), 0);
    for (int k = 0; k < 2; k++) {
        set_precision(c, kind[k].name);
        assert_int_equal(xr_classify(c, text, NULL, N, got), 0);
        float d = apart(want, got, N * C);
        if (d < kind[k].least || d > kind[k].most)
            fail_msg("%s: %g apart from f32", kind[k].name, (double)d);
    }
    fails(xr_set_precision(c, "fp16"), XR_ERR_USAGE, "give f32, bf16 or int8");
    set_precision(c, "f32");
    assert_int_equal(xr_classify(c, text, NULL, N, got), 0);
    assert_memory_equal(want, got, sizeof want);
    fails(xr_set_precision(c, NULL), XR_ERR_USAGE, "xr_set_precision");
    fails(xr_set_precision(NULL, "f32"), XR_ERR_USAGE, "xr_set_precision");
    xr_close(c);
}

/* Losses of bf16 are near those of f32 and are others; its rounded copies of the weights follow the updates, so that it answers as the saved model does. */
static void precisions_of_training(void **state)
{
    (void)state;
    const char *text[] = { "ba", "tu nogi", "pesado" };
    const int32_t label[] = { 1, 0, 2 };
    double loss[2];
    float now[3 * C], saved[3 * C];
    xr_recipe recipe = xr_recipe_default(20);
    recipe.learning_rate = 1e-3;
    xr_context *c[2];
    for (int k = 0; k < 2; k++) {
        c[k] = xr_open_classifier(in_scratch("cls"), labels, C, 1);
        assert_non_null(c[k]);
        set_precision(c[k], "int8");
        fails(xr_train_begin(c[k], &recipe), XR_ERR_USAGE, "answers only");
        set_precision(c[k], k ? "bf16" : "f32");
        assert_int_equal(xr_train_begin(c[k], &recipe), 0);
        fails(xr_set_precision(c[k], "bf16"), XR_ERR_USAGE, "before xr_train_begin");
        assert_int_equal(xr_classify(c[k], text, NULL, 3, now), 0);     /* rounded copies of the first weights */
        for (int step = 0; step < 5; step++)
            assert_int_equal(xr_train_step(c[k], text, NULL, label, 3, &loss[k]), 0);
    }
    assert_true(loss[0] != loss[1]);
    assert_true(fabs(loss[0] - loss[1]) < 0.05 * loss[0]);
    assert_int_equal(xr_classify(c[1], text, NULL, 3, now), 0);
    assert_int_equal(xr_save(c[1], in_scratch("bf16"), 1), 0);
    xr_close(c[0]);
    xr_close(c[1]);
    c[0] = open_dir("bf16", XR_READ);
    set_precision(c[0], "bf16");
    assert_int_equal(xr_classify(c[0], text, NULL, 3, saved), 0);
    assert_memory_equal(now, saved, sizeof now);
    xr_close(c[0]);
}

/* A text that cannot be used, in the second part of a step: nothing of the step stays. */
static void a_failed_step_changes_nothing(void **state)
{
    (void)state;
    enum { N = 12 };
    const char *text[N];
    char copy[N][256];
    int32_t label[N];
    double want, got;
    for (unsigned i = 0; i < N; i++) {
        text[i] = strcpy(copy[i], tiny_sentence(i));
        label[i] = (int32_t)(i % C);
    }
    xr_context *a = in_training(), *b = in_training();
    const char *good = text[N - 1];
    text[N - 1] = "\xff";
    fails(xr_train_step(a, text, NULL, label, N, &got), XR_ERR_DATA, "UTF-8");
    text[N - 1] = good;
    for (int k = 0; k < 3; k++) {
        assert_int_equal(xr_train_step(a, text, NULL, label, N, &got), 0);
        assert_int_equal(xr_train_step(b, text, NULL, label, N, &want), 0);
        assert_true(memcmp(&got, &want, sizeof got) == 0);
    }
    label[0] = C;
    fails(xr_train_step(a, text, NULL, label, N, &got), XR_ERR_USAGE, "xr_train_step: label 0");
    xr_close(a);
    xr_close(b);
}

/* The remedy is one that a program has: xr.h knows no options of the command line. */
static void divergence_is_told_to_programs(void **state)
{
    (void)state;
    const char *text[] = { "ba" };
    const int32_t label[] = { 1 };
    xr_recipe recipe = xr_recipe_default(50);
    recipe.learning_rate = 1e300;
    recipe.schedule = "constant";
    xr_context *c = xr_open_classifier(in_scratch("cls"), labels, C, 1);
    assert_int_equal(xr_train_begin(c, &recipe), 0);
    int status = 0;
    for (int step = 0; step < 50 && status == 0; step++)
        status = xr_train_step(c, text, NULL, label, 1, NULL);
    fails(status, XR_ERR_DIVERGED, "Lower the learning rate");
    assert_null(strstr(xr_error(), "--"));
    xr_close(c);
}

typedef struct user {
    const char *dir;
    const char *const *text;
    size_t n;
    int bad;
    float logits[20 * C];
    char message[256];
} user;

/* A thread of the program with a context and an error of its own. */
static void *use(void *context)
{
    user *u = context;
    xr_context *c = xr_open(u->dir, XR_READ);
    u->bad = !c;
    for (int k = 0; k < 10 && !u->bad; k++)
        u->bad = xr_classify(c, u->text, NULL, u->n, u->logits) < 0;
    xr_close(c);
    xr_open("no such directory", XR_READ);
    snprintf(u->message, sizeof u->message, "%s", xr_error());
    return NULL;
}

static void contexts_in_different_threads(void **state)
{
    (void)state;
    enum { N = 20, USERS = 3 };
    const char *text[N];
    char copy[N][256];
    static user u[USERS + 1];
    pthread_t thread[USERS];
    for (unsigned i = 0; i < N; i++)
        text[i] = strcpy(copy[i], tiny_sentence(i));
    for (int k = 0; k <= USERS; k++)
        u[k] = (user){ .dir = in_scratch("cls"), .text = text, .n = N };
    for (int k = 0; k < USERS; k++)
        assert_int_equal(pthread_create(&thread[k], NULL, use, &u[k]), 0);
    for (int k = 0; k < USERS; k++)
        assert_int_equal(pthread_join(thread[k], NULL), 0);
    assert_string_equal(xr_error(), "");
    use(&u[USERS]);
    for (int k = 0; k < USERS; k++) {
        assert_false(u[k].bad);
        assert_memory_equal(u[k].logits, u[USERS].logits, sizeof u[k].logits);
        assert_non_null(strstr(u[k].message, "no such directory"));
    }
}

static const char *often;       /* where they save; in_scratch is for one thread */

/* Saves its model ten times over what others save there. */
static void *save_often(void *context)
{
    user *u = context;
    xr_context *c = xr_open(u->dir, XR_READ);
    u->bad = !c;
    for (int k = 0; k < 10 && !u->bad; k++)
        if (xr_save(c, often, 1) < 0) {
            snprintf(u->message, sizeof u->message, "%s", xr_error());
            u->bad = 1;
        }
    xr_close(c);
    return NULL;
}

/* In one place by two threads: each save is whole, and what lies there in the end is one of them. */
static void saved_by_different_threads(void **state)
{
    (void)state;
    static user u[2];
    pthread_t thread[2];
    u[0].dir = in_scratch("cls");
    u[1].dir = in_scratch("multi");
    often = in_scratch("often");
    for (int k = 0; k < 2; k++)
        assert_int_equal(pthread_create(&thread[k], NULL, save_often, &u[k]), 0);
    for (int k = 0; k < 2; k++)
        assert_int_equal(pthread_join(thread[k], NULL), 0);
    for (int k = 0; k < 2; k++)
        if (u[k].bad)
            fail_msg("thread %d: %s", k, u[k].message);
    xr_close(open_dir("often", XR_READ));
}

static void threads_are_bounded(void **state)
{
    (void)state;
    int before = xr_threads();
    assert_int_equal(xr_set_threads(3), 3);
    assert_true(xr_set_threads(1 << 30) <= 4096);
    assert_true(xr_set_threads(0) >= 1);
    assert_true(xr_set_threads(-5) >= 1);
    xr_threads_set(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(saved_with_its_tokenizer, clear_error), cmocka_unit_test_setup(wrong_arguments, clear_error),
        cmocka_unit_test_setup(guesses, clear_error),
        cmocka_unit_test_setup(only_classifiers_in_own_memory_are_trained, clear_error),
        cmocka_unit_test_setup(heads_say_what_they_answer, clear_error),
        cmocka_unit_test_setup(messages_say_what_to_do, clear_error),
        cmocka_unit_test_setup(recipes_out_of_range, clear_error),
        cmocka_unit_test_setup(steps_beyond_the_schedule, clear_error),
        cmocka_unit_test_setup(class_numbers_mean_the_names_given, clear_error),
        cmocka_unit_test_setup(many_texts, clear_error),
        cmocka_unit_test_setup(answers_are_of_the_newest_weights, clear_error),
        cmocka_unit_test_setup(vectors_of_many_texts, clear_error),
        cmocka_unit_test_setup(vectors_take_bounded_memory, clear_error),
        cmocka_unit_test_setup(vectors_after_a_failure, clear_error),
        cmocka_unit_test_setup(failures_name_the_text, clear_error),
        cmocka_unit_test_setup(failures_name_the_one_text, clear_error),
        cmocka_unit_test_setup(failures_of_the_model_name_no_text, clear_error),
        cmocka_unit_test_setup(questions_with_wrong_arguments, clear_error),
        cmocka_unit_test_setup(unknown_modes_and_poolings, clear_error),
        cmocka_unit_test_setup(no_texts, clear_error),
        cmocka_unit_test_setup(precisions_of_answers, clear_error),
        cmocka_unit_test_setup(precisions_of_training, clear_error),
        cmocka_unit_test_setup(a_failed_step_changes_nothing, clear_error),
        cmocka_unit_test_setup(divergence_is_told_to_programs, clear_error),
        cmocka_unit_test_setup(contexts_in_different_threads, clear_error),
        cmocka_unit_test_setup(saved_by_different_threads, clear_error),
        cmocka_unit_test_setup(threads_are_bounded, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
