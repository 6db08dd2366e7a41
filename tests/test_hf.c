/* Model directories: what loads, to which values, with which notes; what is refused; what is saved.
 *
 * Fixtures are the directories transformers wrote for tests/golden, taken apart and put together again with one thing changed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "model/head.h"
#include "model/hf.h"
#include "model/safetensors.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/str.h"

#define TINY "tests/golden/tiny"
#define CLS "tests/golden/tiny-cls"

enum { ITEM_CAP = 100 };

/* A tensor on its way into a fixture. */
typedef struct item {
    char name[128];
    const char *dtype;
    int rank;
    uint64_t shape[3];
    float *data;                /* owned; `bytes` of it are written, whatever they mean */
    size_t bytes;
} item;

static char base[256], dir[300];
static item items[ITEM_CAP];
static size_t n_items;
static char said[8192];         /* what was noted and warned of */

static void sink(xr_level level, const char *message)
{
    size_t n = strlen(said);
    snprintf(said + n, sizeof said - n, "%s%s\n", level == XR_LOG_WARN ? "warning: " : "", message);
}

static int make_dir(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(base, sizeof base, "%s/xlmr-hf-XXXXXX", tmp ? tmp : "/tmp");
    xr_log_set_sink(sink);
    if (!mkdtemp(base))
        return -1;
    snprintf(dir, sizeof dir, "%s/model", base);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    xr_log_set_sink(NULL);
    return xr_remove_tree(base);
}

static const char *in_dir(const char *name)
{
    static char path[600];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    assert_int_equal(xr_file_write(in_dir(name), text, strlen(text)), XR_OK);
}

/* --- fixtures ----------------------------------------------------------------------------------------------------- */

static void clear_items(void)
{
    for (size_t i = 0; i < n_items; i++)
        free(items[i].data);
    n_items = 0;
}

static item *add_item(const char *name, const char *dtype, int rank, uint64_t rows, uint64_t cols, size_t bytes)
{
    assert_true(n_items < ITEM_CAP);
    item *it = &items[n_items++];
    *it = (item){ .dtype = dtype, .rank = rank, .shape = { rows, cols }, .bytes = bytes };
    snprintf(it->name, sizeof it->name, "%s", name);
    it->data = calloc(1, bytes + 4);
    assert_non_null(it->data);
    return it;
}

static item *find_item(const char *name)
{
    for (size_t i = 0; i < n_items; i++)
        if (!strcmp(items[i].name, name))
            return &items[i];
    fail_msg("no item %s", name);
    return NULL;
}

static void drop_item(const char *name)
{
    item *it = find_item(name);
    free(it->data);
    *it = items[--n_items];
}

/* Starts a fixture from a golden directory: its config.json is copied, its tensors are taken apart. */
static void start(const char *golden)
{
    char path[300];
    size_t len;
    clear_items();
    assert_int_equal(xr_remove_tree(dir), XR_OK);
    assert_int_equal(xr_mkdirs(dir), XR_OK);
    snprintf(path, sizeof path, "%s/config.json", golden);
    char *config = xr_file_read(path, 1 << 20, &len);
    assert_non_null(config);
    write_text("config.json", config);
    xr_free(config);
    snprintf(path, sizeof path, "%s/model.safetensors", golden);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(f);
    for (size_t i = 0; i < xr_st_count(f); i++) {
        const xr_st_tensor *t = xr_st_at(f, i);
        item *it = add_item(t->name, "F32", t->rank, t->shape[0], t->shape[1], (size_t)(t->end - t->begin));
        assert_int_equal(xr_st_read_f32(f, t, it->data), XR_OK);
    }
    xr_st_close(f);
    said[0] = 0;
}

/* Writes items[first .. last) as one file. */
static void finish_part(const char *name, size_t first, size_t last)
{
    xr_str b = { 0 };
    size_t at = 0;
    xr_str_puts(&b, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (size_t i = first; i < last; i++) {
        const item *it = &items[i];
        xr_str_printf(&b, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%llu", it->name, it->dtype, (unsigned long long)it->shape[0]);
        for (int k = 1; k < it->rank; k++)
            xr_str_printf(&b, ",%llu", (unsigned long long)it->shape[k]);
        xr_str_printf(&b, "],\"data_offsets\":[%zu,%zu]}", at, at + it->bytes);
        at += it->bytes;
    }
    xr_str_putc(&b, '}');
    while (b.len % 8)
        xr_str_putc(&b, ' ');
    uint64_t n = b.len;
    FILE *f = fopen(in_dir(name), "wb");
    assert_non_null(f);
    fwrite(&n, 8, 1, f);
    fwrite(b.s, 1, b.len, f);
    for (size_t i = first; i < last; i++)
        fwrite(items[i].data, 1, items[i].bytes, f);
    assert_int_equal(fclose(f), 0);
    xr_str_free(&b);
}

static void finish(void) { finish_part("model.safetensors", 0, n_items); }

static void change_config(const char *from, const char *to)
{
    size_t len;
    char *text = xr_file_read(in_dir("config.json"), 1 << 20, &len), *at = strstr(text, from);
    assert_non_null(at);
    char *changed = xr_asprintf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    write_text("config.json", changed);
    xr_free(changed);
    xr_free(text);
}

/* --- expectations ------------------------------------------------------------------------------------------------- */

static void load(xr_model *m, const xr_load_options *o)
{
    if (xr_model_load(m, dir, o) < 0)
        fail_msg("refused: %s", xr_error_message());
}

static void expect_refused(const xr_load_options *o, xr_status status, const char *message)
{
    xr_model m;
    xr_status got = xr_model_load(&m, dir, o);
    if (got != status || !strstr(xr_error_message(), message))
        fail_msg("expected %d and \"%s\", got %d: %s", status, message, got, xr_error_message());
    xr_error_clear();
    assert_int_equal(xr_alloc_live(), 0);
}

/* The row holds what the item of that name (or another) holds. */
static void expect_row(const xr_model *m, const char *row, const char *name)
{
    const xr_param *p = xr_params_find(&m->params, row);
    const item *it = find_item(name);
    assert_non_null(p);
    assert_int_equal(xr_numel(&p->t) * sizeof(float), it->bytes);
    assert_memory_equal(p->t.x, it->data, it->bytes);
}

static void expect_said(const char *text)
{
    if (!strstr(said, text))
        fail_msg("expected a note with \"%s\"; notes: %s", text, said);
}

static void expect_silence(void)
{
    if (said[0])
        fail_msg("expected no notes, got: %s", said);
}

static void done(xr_model *m)
{
    xr_model_free(m);
    assert_int_equal(xr_alloc_live(), 0);
}

/* --- loading ------------------------------------------------------------------------------------------------------ */

static void test_plain(void **state)
{
    (void)state;
    xr_model m;
    for (int map = 0; map <= 1; map++) {
        xr_load_options o = { .map = map };
        start(TINY);
        finish();
        load(&m, &o);
        assert_string_equal(m.head->name, "masked_lm");
        assert_int_equal(m.params.n, n_items);
        for (size_t i = 0; i < n_items; i++)
            expect_row(&m, items[i].name, items[i].name);
        assert_int_equal(m.mapped != NULL, map);
        expect_silence();
        done(&m);
    }
}

/* Names of the bare encoder; pooler and position_ids come and go without a word. */
static void test_bare(void **state)
{
    (void)state;
    xr_model m;
    start(CLS);
    for (size_t i = 0; i < n_items;) {
        if (!strncmp(items[i].name, "classifier", 10)) {
            drop_item(items[i].name);
        } else {
            memmove(items[i].name, items[i].name + 8, strlen(items[i].name) - 7);
            i++;
        }
    }
    change_config("XLMRobertaForSequenceClassification", "XLMRobertaModel");
    size_t n = n_items;
    add_item("pooler.dense.weight", "F32", 2, 32, 32, 4096);
    add_item("pooler.dense.bias", "F32", 1, 32, 0, 128);
    add_item("embeddings.position_ids", "I64", 2, 1, 40, 320);
    finish();
    load(&m, NULL);
    assert_null(m.head);
    assert_int_equal(m.params.n, n);
    expect_row(&m, "roberta.encoder.layer.1.attention.self.query.weight", "encoder.layer.1.attention.self.query.weight");
    expect_silence();
    xr_model_free(&m);
    /* A stray prefixed tensor does not change the verdict about the rest. */
    add_item("roberta.embeddings.LayerNorm.weight", "F32", 1, 32, 0, 128);
    finish();
    expect_refused(NULL, XR_EDATA, "no place in an XLM-R model of this config.json: roberta.embeddings.LayerNorm.weight");
    add_item("roberta.embeddings.position_embeddings.weight", "F32", 2, 40, 32, 5120);
    finish();
    expect_refused(NULL, XR_EDATA, "two encoders");
}

static void copy_item(const char *name, const char *as)
{
    const item *from = find_item(name);
    item *it = add_item(as, "F32", from->rank, from->shape[0], from->shape[1], from->bytes);
    memcpy(it->data, find_item(name)->data, it->bytes);
}

static void test_ties(void **state)
{
    (void)state;
    static const char word[] = "roberta.embeddings.word_embeddings.weight";
    xr_model m;
    start(TINY);
    copy_item(word, "lm_head.decoder.weight");
    copy_item("lm_head.bias", "lm_head.decoder.bias");
    add_item("roberta.embeddings.position_ids", "I64", 2, 1, 40, 320);
    finish();
    load(&m, NULL);
    expect_silence();
    done(&m);
    /* Only one of the tied names was kept. */
    drop_item(word);
    drop_item("lm_head.bias");
    finish();
    load(&m, NULL);
    expect_row(&m, word, "lm_head.decoder.weight");
    expect_row(&m, "lm_head.bias", "lm_head.decoder.bias");
    expect_silence();
    done(&m);
    copy_item("lm_head.decoder.weight", word);
    copy_item("lm_head.decoder.bias", "lm_head.bias");
    find_item("lm_head.decoder.weight")->data[120 * 32 - 1] += 1e-6f;
    finish();
    expect_refused(NULL, XR_EDATA, "lm_head.decoder.weight differs from roberta.embeddings.word_embeddings.weight");
    find_item("lm_head.decoder.weight")->data[120 * 32 - 1] = find_item(word)->data[120 * 32 - 1];
    find_item("lm_head.decoder.bias")->data[5] = 3.0f;
    finish();
    expect_refused(NULL, XR_EDATA, "lm_head.decoder.bias differs from lm_head.bias");
}

static void test_unfit(void **state)
{
    (void)state;
    static const char ffn[] = "roberta.encoder.layer.1.intermediate.dense.weight", norm[] = "roberta.encoder.layer.0.output.LayerNorm.bias";
    start(TINY);
    drop_item(ffn);
    drop_item(norm);
    finish();
    expect_refused(NULL, XR_EDATA, "2 tensors are missing that config.json asks for: roberta.encoder.layer.0.output.LayerNorm.bias, "
                   "roberta.encoder.layer.1.intermediate.dense.weight");
    start(TINY);
    add_item("roberta.encoder.layer.2.output.dense.bias", "F32", 1, 32, 0, 128);
    add_item("roberta.encoder.layer.0.attention.self.query.lora_A.weight", "F32", 2, 2, 32, 256);
    finish();
    expect_refused(NULL, XR_EDATA, "roberta.encoder.layer.0.attention.self.query.lora_A.weight, roberta.encoder.layer.2.output.dense.bias");
    start(TINY);
    find_item(ffn)->shape[0] = 32;
    find_item(ffn)->shape[1] = 64;
    finish();
    expect_refused(NULL, XR_EDATA, "shape [32, 64]; by config.json it must be [64, 32]; it is transposed");
    start(TINY);
    find_item(norm)->dtype = "I32";
    finish();
    expect_refused(NULL, XR_EDATA, "roberta.encoder.layer.0.output.LayerNorm.bias has dtype I32; expected F32, F16 or BF16");
    start(TINY);
    find_item(norm)->rank = 2;
    find_item(norm)->shape[1] = 1;
    finish();
    expect_refused(NULL, XR_EDATA, "shape [32, 1]; by config.json it must be [32]");
    start(TINY);
    finish();
    change_config("\"vocab_size\": 120", "\"vocab_size\": 121");
    expect_refused(NULL, XR_EDATA, "shape [120, 32]; by config.json it must be [121, 32]; vocab_size");
    start(TINY);
    finish();
    change_config("\"max_position_embeddings\": 40", "\"max_position_embeddings\": 514");
    expect_refused(NULL, XR_EDATA, "[514, 32]; max_position_embeddings");
    start(TINY);
    finish();
    change_config("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
    expect_refused(NULL, XR_EDATA, "16 tensors have no place");
    start(TINY);
    clear_items();
    add_item("bert.embeddings.word_embeddings.weight", "F32", 1, 1, 0, 4);
    finish();
    expect_refused(NULL, XR_EDATA, "bert.embeddings.word_embeddings.weight");
}

static void test_not_a_number(void **state)
{
    (void)state;
    xr_model m;
    start(TINY);
    find_item("lm_head.dense.bias")->data[3] = NAN;
    find_item("roberta.encoder.layer.0.output.dense.weight")->data[0] = INFINITY;
    find_item("roberta.encoder.layer.0.output.dense.weight")->data[9] = -INFINITY;
    finish();
    load(&m, &(xr_load_options){ .quiet = 1 });
    expect_said("warning: ");
    expect_said("roberta.encoder.layer.0.output.dense.weight (2 of 2048)");
    expect_said("lm_head.dense.bias (1 of 32)");
    done(&m);
}

/* --- heads -------------------------------------------------------------------------------------------------------- */

static const char *const abc[] = { "a", "b", "c" };
static const char *const tags[] = { "B-PER", "O" };
static const char *const nli[] = { "neutral", "contradiction", "entailment" };

static void test_new_head(void **state)
{
    (void)state;
    xr_model m, again;
    xr_load_options o = { .head = "sequence_cls", .label = abc, .num_labels = 3, .seed = 7 };
    start(TINY);
    finish();
    load(&m, &o);
    assert_string_equal(m.head->name, "sequence_cls");
    assert_int_equal(m.config.num_labels, 3);
    assert_string_equal(m.config.label[2], "c");
    expect_row(&m, "roberta.embeddings.word_embeddings.weight", "roberta.embeddings.word_embeddings.weight");
    expect_said("heads of other tasks: lm_head.bias, lm_head.dense.bias, lm_head.dense.weight");
    expect_said("freshly initialised, since the files hold no such head: classifier.dense.weight, classifier.dense.bias, "
                "classifier.out_proj.weight, classifier.out_proj.bias");
    load(&again, &o);
    const xr_param *p = xr_params_find(&m.params, "classifier.dense.weight"), *q = xr_params_find(&again.params, "classifier.dense.weight");
    assert_memory_equal(p->t.x, q->t.x, 32 * 32 * sizeof(float));
    assert_true(p->t.x[0] != 0.0f && fabsf(p->t.x[0]) < 0.2f);
    xr_model_free(&again);
    o.seed = 8;
    o.map = 1;          /* fresh rows beside mapped ones */
    load(&again, &o);
    q = xr_params_find(&again.params, "classifier.dense.weight");
    assert_true(memcmp(p->t.x, q->t.x, 32 * 32 * sizeof(float)) != 0);
    q = xr_params_find(&again.params, "roberta.embeddings.LayerNorm.weight");
    assert_memory_equal(q->t.x, find_item(q->name)->data, 128);
    xr_model_free(&again);
    done(&m);
    o.label = NULL;
    expect_refused(&o, XR_EDATA, "no head for sequence classification");
}

static void test_labels(void **state)
{
    (void)state;
    xr_model m;
    xr_load_options o = { .head = "sequence_cls", .label = nli, .num_labels = 3 };
    start(CLS);
    finish();
    load(&m, &o);       /* the same names in another order: the directory's head and order */
    expect_row(&m, "classifier.out_proj.weight", "classifier.out_proj.weight");
    assert_string_equal(m.config.label[0], "entailment");
    expect_silence();
    done(&m);
    o.label = NULL;
    load(&m, &o);
    expect_row(&m, "classifier.dense.weight", "classifier.dense.weight");
    assert_string_equal(m.config.label[2], "contradiction");
    done(&m);
    o.label = abc;
    load(&m, &o);       /* other names: a fresh head, said so */
    assert_string_equal(m.config.label[0], "a");
    const xr_param *p = xr_params_find(&m.params, "classifier.dense.weight");
    assert_true(memcmp(p->t.x, find_item("classifier.dense.weight")->data, 4096) != 0);
    expect_said("a head with other labels: classifier.dense.bias");
    expect_said("freshly initialised, since the files hold no such head for these labels: classifier.dense.weight");
    done(&m);
    o.num_labels = 2;
    o.label = nli;
    load(&m, &o);       /* a part of the names is another set; the shape follows */
    assert_int_equal(xr_params_find(&m.params, "classifier.out_proj.weight")->t.rows, 2);
    done(&m);
    o.num_labels = 3;
    o.problem = XR_PROBLEM_MULTI_LABEL;
    said[0] = 0;
    load(&m, &o);
    expect_said("a head with other labels");
    assert_int_equal(m.config.problem, XR_PROBLEM_MULTI_LABEL);
    done(&m);
    o.label = (const char *const[]){ "x", "x", "y" };
    expect_refused(&o, XR_EDATA, "same name 'x'");
}

static void test_other_heads(void **state)
{
    (void)state;
    xr_model m;
    start(CLS);         /* token classification: `classifier` is a matrix */
    drop_item("classifier.dense.weight");
    drop_item("classifier.dense.bias");
    drop_item("classifier.out_proj.weight");
    drop_item("classifier.out_proj.bias");
    add_item("classifier.weight", "F32", 2, 3, 32, 384);
    add_item("classifier.bias", "F32", 1, 3, 0, 12);
    finish();
    load(&m, NULL);     /* config.json still says sequence classification */
    assert_null(m.head);
    assert_int_equal(m.config.num_labels, 0);
    expect_said("its tensors are not there; loaded without a head");
    expect_said("classifier.bias, classifier.weight");
    done(&m);
    load(&m, &(xr_load_options){ .head = "sequence_cls", .label = nli, .num_labels = 3 });
    expect_said("freshly initialised");
    done(&m);
    start(CLS);         /* a new tagger from a classifier: nothing of the old head fits by accident */
    finish();
    load(&m, &(xr_load_options){ .head = "token_cls", .label = tags, .num_labels = 2, .problem = XR_PROBLEM_TAGS });
    assert_string_equal(m.head->name, "token_cls");
    assert_int_equal(m.config.problem, XR_PROBLEM_TAGS);
    assert_int_equal(xr_params_find(&m.params, "classifier.weight")->t.rows, 2);
    expect_said("heads of other tasks: classifier.dense.bias");
    expect_said("freshly initialised, since the files hold no such head: classifier.weight, classifier.bias");
    done(&m);
    expect_refused(&(xr_load_options){ .head = "token_cls" }, XR_EDATA, "no head for token classification");
    start(CLS);
    drop_item("classifier.out_proj.weight");
    finish();
    expect_refused(NULL, XR_EDATA, "1 tensor is missing that config.json asks for: classifier.out_proj.weight");
    start(CLS);
    finish();
    load(&m, &(xr_load_options){ .head = "masked_lm", .quiet = 1 });
    assert_string_equal(m.head->name, "masked_lm");
    assert_int_equal(m.config.num_labels, 0);
    expect_silence();
    done(&m);
}

/* --- files -------------------------------------------------------------------------------------------------------- */

static void write_index(size_t split, const char *second, size_t total)
{
    xr_str b = { 0 };
    xr_str_printf(&b, "{\"metadata\":{\"total_size\":%zu},\"weight_map\":{", total);
    for (size_t i = 0; i < n_items; i++)
        xr_str_printf(&b, "%s\"%s\":\"%s\"", i ? "," : "", items[i].name, i < split ? "model-00001-of-00002.safetensors" : second);
    xr_str_puts(&b, "}}");
    write_text("model.safetensors.index.json", b.s);
    xr_str_free(&b);
}

static void test_shards(void **state)
{
    (void)state;
    static const char two[] = "model-00002-of-00002.safetensors";
    xr_model m;
    size_t total = 0, split = 17;
    start(CLS);
    for (size_t i = 0; i < n_items; i++)
        total += items[i].bytes;
    finish_part("model-00001-of-00002.safetensors", 0, split);
    finish_part(two, split, n_items);
    for (int map = 0; map <= 1; map++) {
        write_index(split, two, total);
        load(&m, &(xr_load_options){ .map = map });
        for (size_t i = 0; i < n_items; i++)
            expect_row(&m, items[i].name, items[i].name);
        done(&m);
    }
    write_index(split, two, total + 1);
    expect_refused(NULL, XR_EDATA, "total_size");
    write_index(split + 1, two, total);
    expect_refused(NULL, XR_EDATA, "is not in model-00001-of-00002.safetensors");
    write_index(split, "../model-00002-of-00002.safetensors", total);
    expect_refused(NULL, XR_EDATA, "plain name");
    write_index(split, "sub/x.safetensors", total);
    expect_refused(NULL, XR_EDATA, "plain name");
    write_index(split, "pytorch_model-00002.bin", total);
    expect_refused(NULL, XR_EDATA, "plain name");
    write_index(split, "model-00003-of-00003.safetensors", total);
    expect_refused(NULL, XR_ENOINPUT, "model-00003-of-00003.safetensors: shard is missing");
    n_items--;          /* a tensor of a shard that the index does not know */
    write_index(split, two, total);
    n_items++;
    expect_refused(NULL, XR_EDATA, "is not in the weight_map");
    write_text("model.safetensors.index.json", "{\"metadata\":{}}");
    expect_refused(NULL, XR_EDATA, "weight_map");
}

static void test_no_weights(void **state)
{
    (void)state;
    start(TINY);
    expect_refused(NULL, XR_ENOINPUT, "no model.safetensors");
    write_text("pytorch_model.bin", "PK\003\004");
    char command[700];
    snprintf(command, sizeof command, "python3 scripts/convert_hf.py %s %s-safetensors", dir, dir);
    expect_refused(NULL, XR_EDATA, command);
    write_text("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    expect_refused(NULL, XR_EDATA, "git lfs pull");
    xr_remove_tree(dir);
    expect_refused(NULL, XR_ENOINPUT, "does not exist");
    assert_int_equal(xr_file_write(dir, "a file", 6), XR_OK);
    expect_refused(NULL, XR_ENOINPUT, "is not a directory");
    xr_remove_tree(dir);
}

/* --- saving ------------------------------------------------------------------------------------------------------- */

static void expect_same_file(const char *a, const char *b)
{
    size_t n, k;
    char *x = xr_file_read(a, 1 << 24, &n), *y = xr_file_read(b, 1 << 24, &k);
    assert_non_null(x);
    assert_non_null(y);
    assert_int_equal(n, k);
    assert_memory_equal(x, y, n);
    xr_free(x);
    xr_free(y);
}

static void test_save(void **state)
{
    (void)state;
    xr_model m;
    char out[400], again[400], a[500], b[500];
    snprintf(out, sizeof out, "%s/out", base);
    snprintf(again, sizeof again, "%s/again", base);
    assert_int_equal(xr_mkdirs(out), XR_OK);
    assert_int_equal(xr_mkdirs(again), XR_OK);
    start(CLS);
    finish();
    write_text("sentencepiece.bpe.model", "not really");
    write_text("tokenizer_config.json", "{\"mine\": 1}");
    load(&m, NULL);
    assert_int_equal(xr_model_save(&m, out, dir, NULL), XR_OK);
    xr_model_free(&m);
    assert_int_equal(xr_model_load(&m, out, &(xr_load_options){ .map = 1 }), XR_OK);
    for (size_t i = 0; i < n_items; i++)
        expect_row(&m, items[i].name, items[i].name);
    assert_int_equal(m.params.n, n_items);
    assert_int_equal(xr_model_save(&m, again, NULL, NULL), XR_OK);
    done(&m);
    snprintf(a, sizeof a, "%s/model.safetensors", out);
    snprintf(b, sizeof b, "%s/model.safetensors", again);
    expect_same_file(a, b);
    snprintf(a, sizeof a, "%s/config.json", out);
    expect_same_file(a, CLS "/config.json");
    snprintf(a, sizeof a, "%s/tokenizer_config.json", out);
    expect_same_file(a, in_dir("tokenizer_config.json"));
    snprintf(a, sizeof a, "%s/sentencepiece.bpe.model", out);
    expect_same_file(a, in_dir("sentencepiece.bpe.model"));
    snprintf(a, sizeof a, "%s/special_tokens_map.json", out);
    assert_true(xr_path_exists(a));
    snprintf(a, sizeof a, "%s/tokenizer_config.json", again);
    size_t n;
    char *text = xr_file_read(a, 1 << 20, &n);
    assert_non_null(strstr(text, "\"model_max_length\": 38"));
    xr_free(text);
    assert_int_equal(xr_alloc_live(), 0);
}

/* Without a head, the names are those of the bare encoder. */
static void test_save_bare(void **state)
{
    (void)state;
    xr_model m;
    char out[400], path[500];
    snprintf(out, sizeof out, "%s/bare", base);
    assert_int_equal(xr_mkdirs(out), XR_OK);
    start(TINY);
    finish();
    change_config("XLMRobertaForMaskedLM", "XLMRobertaModel");
    load(&m, NULL);
    assert_int_equal(xr_model_save(&m, out, NULL, NULL), XR_OK);
    xr_model_free(&m);
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    xr_st_file *f = xr_st_open(path);
    assert_non_null(xr_st_find(f, "embeddings.word_embeddings.weight"));
    assert_null(xr_st_find(f, "roberta.embeddings.word_embeddings.weight"));
    xr_st_close(f);
    assert_int_equal(xr_model_load(&m, out, NULL), XR_OK);
    expect_row(&m, "roberta.embeddings.word_embeddings.weight", "roberta.embeddings.word_embeddings.weight");
    done(&m);
}

static void test_no_memory(void **state)
{
    (void)state;
    xr_status status = XR_ESYSTEM;
    char out[400];
    snprintf(out, sizeof out, "%s/memory", base);
    start(CLS);
    finish();
    xr_mkdirs(out);
    for (long k = 0; status < 0; k++) {
        xr_model m;
        assert_true(k < 5000);
        assert_int_equal(xr_alloc_live(), 0);
        xr_alloc_fail_after(k);
        status = xr_model_load(&m, dir, &(xr_load_options){ .head = "sequence_cls", .label = abc, .num_labels = 3 });
        if (status == XR_OK)
            status = xr_model_save(&m, out, dir, NULL);
        xr_alloc_fail_after(-1);
        if (status < 0 && status != XR_ESYSTEM)
            fail_msg("allocation %ld: %d: %s", k, status, xr_error_message());
        xr_error_clear();
        xr_model_free(&m);
    }
}

static int forget(void **state)
{
    (void)state;
    clear_items();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_bare), cmocka_unit_test(test_ties), cmocka_unit_test(test_unfit),
        cmocka_unit_test(test_not_a_number), cmocka_unit_test(test_new_head), cmocka_unit_test(test_labels), cmocka_unit_test(test_other_heads),
        cmocka_unit_test(test_shards), cmocka_unit_test(test_no_weights), cmocka_unit_test(test_save), cmocka_unit_test(test_save_bare),
        cmocka_unit_test_teardown(test_no_memory, forget),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
