/* The public interface (include/xr.h) over the context. Arguments are checked here; everything behind may assert. */
#include "xr.h"

#include <float.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "model/hf_digests.h"
#include "train/context.h"
#include "train/features.h"
#include "train/fill_mask.h"
#include "train/rundir.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

_Static_assert((int)XR_ERR_DATA == (int)XR_EDATA && (int)XR_ERR_DIVERGED == (int)XR_EDIVERGED, "public and internal codes agree");

enum {
    TRAIN_PART = 8,         /* examples computed at once, so that any number fits */
    CLASSIFY_PART = 32,
    FEATURES_TOKENS = 1024, /* computed at once, as by `xlmr features` */
    MAX_EXAMPLES = (1 << 30) - 1,
    MAX_THREADS = 4096      /* as --threads; OpenMP would end the program over what it cannot start */
};

static void (*user_log)(int level, const char *message);

static void forward_log(xr_level level, const char *message)
{
    if (user_log)
        user_log((int)level, message);
}

/* Every call begins here: the previous failure is forgotten, the pointers are looked at. */
static xr_status begin(int none_is_null, const char *function)
{
    xr_error_clear();
    return none_is_null ? XR_OK : xr_fail(XR_EUSAGE, "%s: an argument is NULL that may not be; see xr.h", function);
}

/* The same of a directory's name, which may not be empty either. */
static xr_status begin_dir(const char *dir, int none_is_null, const char *function)
{
    XR_TRY(begin(dir && none_is_null, function));
    return *dir ? XR_OK : xr_fail(XR_EUSAGE, "%s: dir is empty; give the name of a directory", function);
}

/* None of n strings may be NULL; `what` they are. */
static xr_status check_strings(const char *function, const char *what, const char *const *string, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!string[i])
            return xr_fail(XR_EUSAGE, "%s: %s %zu: is NULL; give a string", function, what, i);
    return XR_OK;
}

/* An enumeration of the two values 0 and 1, by name. */
static xr_status check_choice(const char *function, const char *what, int value, const char *zero, const char *one)
{
    if (value == 0 || value == 1)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: %s %d is not known; give %s or %s", function, what, value, zero, one);
}

/* n numbers from 0 to below `end`; `what` they are. */
static xr_status check_ids(const char *function, const char *what, const int32_t *id, size_t n, int end)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= end)
            return xr_fail(XR_EUSAGE, "%s: %s %zu: is %" PRId32 "; expected 0 to %d", function, what, i, id[i], end - 1);
    return XR_OK;
}

/* After a failure at example i: names the text that cannot be encoded, if one of the two it is. The first message stays. */
static xr_status name_text(xr_context *c, size_t i, const char *text, const char *pair)
{
    if (xr_error_status() != XR_EDATA)
        return xr_error_status();
    if (xr_context_encode(c, text, NULL, 0, 0) < 0)
        return xr_fail_context("text %zu", i);
    return pair && xr_context_encode(c, pair, NULL, 0, 0) < 0 ? xr_fail_context("text_pair %zu", i) : xr_error_status();
}

const char *xr_version(void) { return XR_VERSION; }
const char *xr_error(void) { return xr_error_message(); }

int xr_set_threads(int n)
{
    xr_threads_set(n < MAX_THREADS ? n : MAX_THREADS);
    return xr_threads();
}

void xr_set_log(void (*f)(int level, const char *message))
{
    user_log = f;
    xr_log_set_sink(f ? forward_log : NULL);
}

/* --- a model directory ----------------------------------------------------------------------------------------- */

xr_context *xr_open(const char *dir, xr_mode mode)
{
    xr_load_options o = { 0 };
    o.map = mode == XR_READ;
    if (begin_dir(dir, 1, "xr_open") < 0 || check_choice("xr_open", "mode", (int)mode, "XR_READ", "XR_TRAIN") < 0 || xr_blas_start() < 0)
        return NULL;
    return xr_context_open(dir, &o);
}

/* Class numbers are positions in the caller's list: a head that has the same names in another order would be trained on the wrong ones. */
static xr_status check_order(const xr_context *c, const char *const *label)
{
    const xr_config *config = &c->model.config;
    xr_labels have = { .name = config->label, .n = config->num_labels };
    for (int k = 0; k < config->num_labels; k++)
        if (strcmp(config->label[k], label[k]) != 0) {
            char *names = xr_labels_list(&have);
            xr_fail(XR_EUSAGE, "%s: has a head for these labels in another order: %s; give them in that order", c->dir, names ? names : "");
            xr_free(names);
            return xr_error_status();
        }
    return XR_OK;
}

static xr_status check_labels(const char *const *label, int n)
{
    if (n < 2)
        return xr_fail(XR_EUSAGE, "xr_open_classifier: n is %d; a classifier needs 2 labels or more", n);
    return check_strings("xr_open_classifier", "label", label, (size_t)n);
}

xr_context *xr_open_classifier(const char *dir, const char *const *label, int n, uint64_t seed)
{
    xr_load_options o = { 0 };
    o.head = "sequence_cls";
    o.label = label;
    o.num_labels = n;
    o.problem = XR_PROBLEM_SINGLE_LABEL;
    o.seed = seed;
    if (begin_dir(dir, label != NULL, "xr_open_classifier") < 0 || check_labels(label, n) < 0 || xr_blas_start() < 0)
        return NULL;
    xr_context *c = xr_context_open(dir, &o);
    if (c && check_order(c, label) < 0) {
        xr_context_free(c);
        c = NULL;
    }
    return c;
}

void xr_close(xr_context *c)
{
    xr_context_free(c);
}

int xr_set_precision(xr_context *c, const char *precision)
{
    XR_TRY(begin(c && precision, "xr_set_precision"));
    if (c->trainer)
        return xr_fail(XR_EUSAGE, "%s: is being trained; set its precision before xr_train_begin", c->dir);
    return xr_context_set_precision(c, precision);
}

/* Training leaves rows of the embedding behind until they are read: brings all up to date. */
static void catch_up(xr_context *c)
{
    if (c->trainer)
        xr_optim_flush(c->trainer->optim);
}

static xr_status save(const xr_context *c, const char *dir, int replace)
{
    xr_outdir out = { 0 };
    XR_TRY(replace ? xr_model_dir_check(dir) : XR_OK);
    XR_TRY(xr_outdir_begin(&out, dir, replace, "replace = 1"));
    xr_status status = xr_model_save(&c->model, out.tmp, c->dir, xr_tokenizer_sha256(c->tokenizer));
    if (status == XR_OK)
        status = xr_model_seal(out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}

/* One at a time: what is not complete yet has the name of the process in its own, and another thread may save in the same place. */
int xr_save(xr_context *c, const char *dir, int replace)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    XR_TRY(begin_dir(dir, c != NULL, "xr_save"));
    catch_up(c);
    pthread_mutex_lock(&one_at_a_time);
    xr_status status = save(c, dir, replace);
    pthread_mutex_unlock(&one_at_a_time);
    return status;
}

/* What a context is asked for changes no message: it may be asked for while one is being told. */
static xr_status need_context(const xr_context *c, const char *function)
{
    return c ? XR_OK : begin(0, function);
}

int xr_hidden_size(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_hidden_size"));
    return c->model.config.hidden_size;
}

int xr_layer_count(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_layer_count"));
    return c->model.config.num_hidden_layers;
}

int xr_vocabulary_size(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_vocabulary_size"));
    return c->model.config.vocab_size;
}

int xr_max_tokens(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_max_tokens"));
    return xr_config_max_tokens(&c->model.config);
}

int xr_answer(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_answer"));
    if (!c->model.head || c->model.config.num_labels == 0)
        return XR_ANSWER_NONE;
    switch (c->model.config.problem) {
    case XR_PROBLEM_SINGLE_LABEL: return XR_ANSWER_ONE_LABEL;
    case XR_PROBLEM_MULTI_LABEL: return XR_ANSWER_ANY_LABELS;
    case XR_PROBLEM_REGRESSION: return XR_ANSWER_VALUES;
    case XR_PROBLEM_TAGS:
    case XR_PROBLEM_CHOICE: break;
    }
    return XR_ANSWER_NONE;
}

int xr_label_count(const xr_context *c)
{
    XR_TRY(need_context(c, "xr_label_count"));
    return xr_answer(c) == XR_ANSWER_NONE ? 0 : c->model.config.num_labels;
}

const char *xr_label_name(const xr_context *c, int k)
{
    if (need_context(c, "xr_label_name") < 0)
        return NULL;
    int n = xr_label_count(c);
    if (k >= 0 && k < n)
        return c->model.config.label[k];
    xr_error_clear();
    xr_fail(XR_EUSAGE, "xr_label_name: k is %d; the model has %d labels, from 0 on", k, n);
    return NULL;
}

/* --- text and ids ---------------------------------------------------------------------------------------------- */

long xr_encode_text(xr_context *c, const char *text, const char *pair, int32_t *id, size_t cap)
{
    XR_TRY(begin(c && text && (id || cap == 0), "xr_encode_text"));
    if (xr_context_encode(c, text, pair, 0, 1) < 0)
        return name_text(c, 0, text, pair);
    for (size_t i = 0; i < c->tokens.n && i < cap; i++)
        id[i] = c->tokens.v[i].id;
    return (long)c->tokens.n;
}

char *xr_decode_ids(const xr_context *c, const int32_t *id, size_t n)
{
    if (begin(c && (id || n == 0), "xr_decode_ids") < 0 || check_ids("xr_decode_ids", "id", id, n, c->model.config.vocab_size) < 0)
        return NULL;
    return xr_tokenizer_decode(c->tokenizer, id, n, 1);
}

void xr_free_text(char *text)
{
    xr_free(text);
}

/* --- what models answer ---------------------------------------------------------------------------------------- */

typedef struct vectors {
    float *next;                // [n - those written, H]
    size_t width;               /* H */
} vectors;

static xr_status copy_vectors(void *context, const xr_batch *batch, const float *x, size_t rows)
{
    vectors *v = context;
    (void)batch;
    memcpy(v->next, x, rows * v->width * sizeof *x);
    v->next += rows * v->width;
    return XR_OK;
}

int xr_sentence_features(xr_context *c, const char *const *text, size_t n, int layer, xr_pooling pooling, float *out)
{
    XR_TRY(begin(c && (n == 0 || (text && out)), "xr_sentence_features"));
    XR_TRY(check_choice("xr_sentence_features", "pooling", (int)pooling, "XR_POOL_FIRST", "XR_POOL_MEAN"));
    XR_TRY(xr_features_layer(c, layer));
    XR_TRY(check_strings("xr_sentence_features", "text", text, n));
    catch_up(c);
    vectors v = { out, (size_t)c->model.config.hidden_size };
    xr_features_run r = { c, FEATURES_TOKENS, layer, pooling == XR_POOL_MEAN ? XR_FEATURES_MEAN : XR_FEATURES_FIRST, copy_vectors, &v };
    xr_batch_clear(&c->batch);
    for (size_t i = 0; i < n; i++)
        if (xr_features_add(&r, text[i], NULL, 0) < 0)
            return name_text(c, i, text[i], NULL);
    return xr_features_flush(&r);
}

int xr_guess_masks(xr_context *c, const char *text, int top_k, xr_guess **guess)
{
    xr_filled f;
    if (guess)
        *guess = NULL;      /* freed by callers that free whatever came back */
    XR_TRY(begin(c && text && guess, "xr_guess_masks"));
    if (top_k < 1 || top_k > xr_vocabulary_size(c))
        return xr_fail(XR_EUSAGE, "xr_guess_masks: top_k is %d; expected 1 to the size of the vocabulary, %d", top_k, xr_vocabulary_size(c));
    if (xr_fill_mask_text(c, text, top_k, &f) < 0)
        return name_text(c, 0, text, NULL);
    int n = f.n_masks * f.top_k, masks = f.n_masks;
    *guess = xr_alloc((size_t)n, sizeof **guess);
    for (int i = 0; *guess && i < n; i++) {     /* the strings change owner */
        (*guess)[i] = (xr_guess){ f.v[i].score, f.v[i].token, f.v[i].token_str, f.v[i].sequence };
        f.v[i].token_str = f.v[i].sequence = NULL;
    }
    xr_filled_free(&f);
    return *guess ? masks : xr_error_status();
}

void xr_free_guesses(xr_guess *guess, int n)
{
    for (int i = 0; guess && i < n; i++) {
        xr_free(guess[i].token_str);
        xr_free(guess[i].sequence);
    }
    xr_free(guess);
}

static xr_status need_classifier(const xr_context *c)
{
    if (xr_answer(c) != XR_ANSWER_NONE)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: has no classification head for texts; fine-tune it, or open it with xr_open_classifier", c->dir);
}

/* The texts of a call. */
typedef struct examples {
    xr_context *c;
    const char *const *text, *const *pair;      /* pair, label: may be NULL */
    const int32_t *label;
    size_t n;
} examples;

static xr_status check_examples(const char *function, const examples *e)
{
    XR_TRY(check_strings(function, "text", e->text, e->n));
    XR_TRY(e->pair ? check_strings(function, "text_pair", e->pair, e->n) : XR_OK);
    return e->label ? check_ids(function, "label", e->label, e->n, xr_label_count(e->c)) : XR_OK;
}

/* Fills the context's batch with the examples [from, to); samples are counted from `first`, that of example 0. */
static xr_status fill_batch(const examples *e, size_t from, size_t to, uint64_t first)
{
    xr_context *c = e->c;
    xr_batch_clear(&c->batch);
    for (size_t i = from; i < to; i++) {
        const char *pair = e->pair ? e->pair[i] : NULL;
        if (xr_context_encode(c, e->text[i], pair, 0, 0) < 0)
            return name_text(c, i, e->text[i], pair);
        XR_TRY(xr_context_push(c, (uint32_t)(first + i)));
        if (e->label)
            XR_TRY(xr_batch_add_label(&c->batch, e->label[i]));
    }
    return XR_OK;
}

/* Logits of the examples [from, to) at once. */
static xr_status classify(const examples *e, size_t from, size_t to, float *logits)
{
    xr_context *c = e->c;
    XR_TRY(fill_batch(e, from, to, 0));
    const xr_batch *batch = xr_batch_finish(&c->batch);
    xr_tape *t = xr_context_tape(c, batch);
    if (!t)
        return xr_error_status();
    xr_tensor *z = c->model.head->forward(t, &c->model, batch);
    XR_TRY(xr_tape_status(t));
    XR_TRY(xr_check_finite(z->x, xr_numel(z), c->dir));
    memcpy(logits, z->x, xr_numel(z) * sizeof *logits);
    return XR_OK;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

int xr_classify(xr_context *c, const char *const *text, const char *const *pair, size_t n, float *logits)
{
    examples e = { c, text, pair, NULL, n };
    XR_TRY(begin(c && text && logits, "xr_classify"));
    if (n == 0)
        return xr_fail(XR_EUSAGE, "xr_classify: n is 0; give 1 text or more");
    XR_TRY(check_examples("xr_classify", &e));
    XR_TRY(need_classifier(c));
    catch_up(c);
    for (size_t i = 0; i < n; i += CLASSIFY_PART)
        XR_TRY(classify(&e, i, i + smaller(n - i, CLASSIFY_PART), logits + i * (size_t)xr_label_count(c)));
    return XR_OK;
}

/* --- training -------------------------------------------------------------------------------------------------- */

xr_recipe xr_recipe_default(uint64_t total_steps)
{
    return (xr_recipe){ 2e-5, 0.0, 1.0, "linear", total_steps, 0, 42 };
}

static xr_status check_schedule(const char *name)
{
    char known[256] = "";
    for (const xr_schedule *const *s = xr_schedules; *s; s++) {
        size_t n = strlen(known);
        if (strcmp((*s)->name, name) == 0)
            return XR_OK;
        snprintf(known + n, sizeof known - n, "%s\"%s\"", n ? ", " : "", (*s)->name);
    }
    return xr_fail(XR_EUSAGE, "xr_recipe: schedule is \"%s\"; expected one of %s", name, known);
}

static xr_status check_recipe(const xr_recipe *r)
{
    if (!(r->learning_rate >= 0.0 && r->learning_rate <= DBL_MAX))
        return xr_fail(XR_EUSAGE, "xr_recipe: learning_rate is %g; expected a number >= 0; 2e-5 is usual", r->learning_rate);
    if (!(r->weight_decay >= 0.0 && r->weight_decay <= DBL_MAX))
        return xr_fail(XR_EUSAGE, "xr_recipe: weight_decay is %g; expected a number >= 0, such as 0.01", r->weight_decay);
    if (!(r->max_grad_norm >= 0.0))
        return xr_fail(XR_EUSAGE, "xr_recipe: max_grad_norm is %g; expected a number >= 0; 0 is no clipping", r->max_grad_norm);
    if (r->total_steps == 0)
        return xr_fail(XR_EUSAGE, "xr_recipe: total_steps is 0; give the number of updates that will be made");
    if (r->warmup_steps > r->total_steps)
        return xr_fail(XR_EUSAGE, "xr_recipe: warmup_steps is %" PRIu64 ", more than total_steps, %" PRIu64 "; give at most that", r->warmup_steps,
                       r->total_steps);
    return check_schedule(r->schedule);
}

int xr_train_begin(xr_context *c, const xr_recipe *recipe)
{
    XR_TRY(begin(c && recipe && recipe->schedule, "xr_train_begin"));
    if (c->trainer)
        return xr_fail(XR_EUSAGE, "%s: is being trained already; to begin anew, open it again", c->dir);
    XR_TRY(check_recipe(recipe));
    XR_TRY(need_classifier(c));
    if (xr_answer(c) != XR_ANSWER_ONE_LABEL)
        return xr_fail(XR_EUSAGE, "%s: its head is for regression or several labels a text; only single-label classification is trained here: use "
                       "xlmr finetune", c->dir);
    if (c->read_only)
        return xr_fail(XR_EUSAGE, "%s: was opened with XR_READ; open it with XR_TRAIN to train it", c->dir);
    if (!xr_setup_trains(&c->model))
        return xr_fail(XR_EUSAGE, "%s: computes in int8, which gives answers only; set its precision to f32 or bf16 to train it", c->dir);
    xr_optim_options o = { "adamw", recipe->schedule, recipe->learning_rate, recipe->weight_decay, 0.9, 0.999, 1e-8, recipe->max_grad_norm, 1.0,
                           recipe->total_steps, recipe->warmup_steps, 0, 1.0, 0.0, XR_MOMENTS_F32, 0 };
    size_t most = (size_t)xr_config_max_tokens(&c->model.config);
    xr_batch_bound bound = { TRAIN_PART * most, TRAIN_PART, most, 0, 0 };
    c->trainer = xr_alloc(1, sizeof *c->trainer);
    if (!c->trainer)
        return xr_error_status();
    xr_status status = xr_trainer_init(c->trainer, &c->model, &o, recipe->seed, &bound);
    if (status < 0) {
        xr_free(c->trainer);
        c->trainer = NULL;
    }
    return status;
}

static const xr_batch *part(void *context, int k)
{
    const examples *e = context;
    size_t from = (size_t)k * TRAIN_PART;
    if (fill_batch(e, from, from + smaller(e->n - from, TRAIN_PART), e->c->trainer->samples) < 0)
        return NULL;
    return xr_batch_finish(&e->c->batch);
}

int xr_train_step(xr_context *c, const char *const *text, const char *const *pair, const int32_t *label, size_t n, double *loss)
{
    xr_step_result r;
    examples e = { c, text, pair, label, n };
    XR_TRY(begin(c && text && label, "xr_train_step"));
    if (!c->trainer)
        return xr_fail(XR_EUSAGE, "%s: training has not begun; call xr_train_begin before xr_train_step", c->dir);
    if (n < 1 || n > MAX_EXAMPLES)
        return xr_fail(XR_EUSAGE, "xr_train_step: n is %zu; expected 1 to %d examples", n, MAX_EXAMPLES);
    XR_TRY(check_examples("xr_train_step", &e));
    XR_TRY(xr_trainer_step(c->trainer, (int)((n + TRAIN_PART - 1) / TRAIN_PART), part, &e, &r));
    if (loss)
        *loss = r.loss;
    return XR_OK;
}
