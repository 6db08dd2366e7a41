/* Vocabularies made smaller and whole again: bytes of the sentencepiece model, rows, ids of a corpus, hidden states to the last bit, refusals. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>
#include <sys/stat.h>

#include "data/spm.h"
#include "data/spm_write.h"
#include "data/store.h"
#include "kernels/gemm.h"
#include "model/safetensors.h"
#include "train/features.h"
#include "train/vocab.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/stream.h"

enum { VOCAB = 120, HIDDEN = 64 };

/* scratch/NAME: a masked-LM model of random weights, with the tokenizer of scratch/TOKENIZER. */
static void make_model(const char *name, const char *tokenizer, int vocab)
{
    xr_config c;
    xr_model m;
    assert_int_equal(xr_config_preset(&c, "nano", vocab), XR_OK);
    assert_int_equal(xr_model_declare(&m, &c), XR_OK);
    assert_int_equal(xr_model_init(&m, 7), XR_OK);
    for (size_t i = 0; i < (size_t)vocab; i++)
        xr_params_find(&m.params, "lm_head.bias")->t.x[i] = (float)i;
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    if (xr_model_save(&m, in_scratch(name), in_scratch(tokenizer), NULL) < 0)
        fail_msg("%s", xr_error_message());
    xr_model_free(&m);
    xr_config_free(&c);
}

/* A corpus of a few words, and one character that no piece has. */
static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_model("full", "tok", VOCAB);
    xr_str text = { 0 };
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(xr_str_printf(&text, "%s\n\n", tiny_sentence(i)), XR_OK);
    assert_int_equal(xr_str_puts(&text, "ba\xE2\x82\xAC" "de lo\n"), XR_OK);
    write_scratch("some.txt", text.s);
    xr_str_free(&text);
    return 0;
}

/* ---- helpers ---- */

typedef xr_status verb(const xr_options *o, xr_vocab_report *report);

/* Runs with pairs of option and value up to NULL; values of known options that are paths are in the scratch folder. */
static xr_status run(verb *f, unsigned bit, const char *const *pairs, xr_vocab_report *report)
{
    xr_options o;
    xr_vocab_report unused;
    assert_int_equal(xr_options_init(&o, bit), XR_OK);
    for (; *pairs; pairs += 2) {
        int path = strcmp(pairs[1], "true") != 0 && pairs[1][0] != '/';
        assert_int_equal(xr_options_set(&o, pairs[0], path ? in_scratch(pairs[1]) : pairs[1]), XR_OK);
    }
    xr_status status = f(&o, report ? report : &unused);
    xr_options_free(&o);
    return status;
}

#define TRIM(report, ...) run(xr_vocab_trim, XR_V_TRIM, (const char *const[]){ __VA_ARGS__, NULL }, report)
#define EXPORT(report, ...) run(xr_vocab_export, XR_V_EXPORT, (const char *const[]){ __VA_ARGS__, NULL }, report)

static void expect_ok(xr_status status)
{
    if (status < 0)
        fail_msg("%d: %s", status, xr_error_message());
}

static void trim_to(const char *name)
{
    expect_ok(TRIM(NULL, "model", "full", "corpus", "some.txt", "output_dir", name));
}

static const char *in_dir(const char *dir, const char *name)
{
    static char paths[4][320];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", in_scratch(dir), name);
    return path;
}

static int exists(const char *dir, const char *name)
{
    struct stat st;
    return stat(in_dir(dir, name), &st) == 0;
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    char *x = xr_file_read(in_dir(a, name), (size_t)1 << 30, &n), *y = xr_file_read(in_dir(b, name), (size_t)1 << 30, &m);
    assert_non_null(x);
    assert_non_null(y);
    if (n != m || memcmp(x, y, n) != 0)
        fail_msg("%s of %s and %s differ", name, a, b);
    xr_free(x);
    xr_free(y);
}

static void replace_in(const char *dir, const char *name, const char *old, const char *new)
{
    size_t n;
    char *text = xr_file_read(in_dir(dir, name), (size_t)1 << 24, &n), *at = text ? strstr(text, old) : NULL;
    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(new));
    memcpy(at, new, strlen(new));
    assert_int_equal(xr_file_write(in_dir(dir, name), text, n), XR_OK);
    xr_free(text);
}

static json_t *read_json(const char *dir, const char *name)
{
    json_t *j = xr_json_file(in_dir(dir, name), (size_t)1 << 24);
    assert_non_null(j);
    return j;
}

/* ---- the sentencepiece model ---- */

static xr_spm_file open_spm(const char *path)
{
    xr_spm_file f;
    expect_ok(xr_spm_file_open(&f, path));
    return f;
}

/* Keeping everything gives the same bytes, of a model we train and of XLM-R's own. */
static void rewrite_is_identity(void **state)
{
    (void)state;
    const char *data = getenv("XLMR_DATA");
    char real[512] = "";
    if (data)
        snprintf(real, sizeof real, "%s/spm/sentencepiece.bpe.rebuilt.model", data);
    const char *paths[] = { in_scratch("tok/sentencepiece.bpe.model"), real };
    for (size_t i = 0; i < 2; i++) {
        if (!xr_path_exists(paths[i]))
            continue;
        xr_spm_file f = open_spm(paths[i]);
        uint32_t *all = xr_alloc(f.n, sizeof *all);
        for (size_t k = 0; k < f.n; k++)
            all[k] = (uint32_t)k;
        xr_spm_edit edits[] = { { 0 }, { .keep = all, .n_keep = f.n } };
        for (size_t e = 0; e < 2; e++) {
            xr_str out = { 0 };
            expect_ok(xr_spm_rewrite(&f, &edits[e], &out));
            assert_int_equal(out.len, f.len);
            assert_memory_equal(out.s, f.bytes, f.len);
            xr_str_free(&out);
        }
        xr_free(all);
        xr_spm_file_close(&f);
    }
}

/* Pieces, scores and types as the library reads them from what was written. */
static void rewrite_keeps_and_adds(void **state)
{
    (void)state;
    xr_spm_file f = open_spm(in_scratch("tok/sentencepiece.bpe.model")), g;
    const uint32_t keep[] = { 0, 1, 2, 5, 9, 40 };
    const xr_spm_new add[] = { { "\xE2\x96\x81zz", 5, -3.5f }, { "\xE2\x82\xAC", 3, -7.25f } };
    xr_spm_edit edit = { keep, 6, add, 2, 0 };
    xr_str out = { 0 };
    expect_ok(xr_spm_rewrite(&f, &edit, &out));
    assert_int_equal(xr_file_write(in_scratch("edited.model"), out.s, out.len), XR_OK);
    g = open_spm(in_scratch("edited.model"));
    assert_int_equal(g.n, 8);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(g.piece[i].len, f.piece[keep[i]].len);
        assert_memory_equal(g.piece[i].text, f.piece[keep[i]].text, g.piece[i].len);
        assert_memory_equal(&g.piece[i].score, &f.piece[keep[i]].score, sizeof(float));
        assert_int_equal(g.piece[i].type, f.piece[keep[i]].type);
    }
    xr_spm *m = xr_spm_load(out.s, out.len);
    assert_non_null(m);
    assert_int_equal(xr_spm_size(m), 8);
    assert_string_equal(xr_spm_piece(m, 6), "\xE2\x96\x81zz");
    xr_tokens t = { 0 };
    expect_ok(xr_spm_encode(m, "zz\xE2\x82\xAC", 5, 0, &t));
    assert_int_equal(t.n, 2);
    assert_int_equal(t.v[0].id, 7);
    assert_int_equal(t.v[1].id, 8);
    xr_tokens_free(&t);
    xr_spm_free(m);
    xr_str_free(&out);
    xr_spm_file_close(&f);
    xr_spm_file_close(&g);
}

/* ---- trim ---- */

static void rows_move_with_their_pieces(void **state)
{
    (void)state;
    xr_vocab_report r;
    expect_ok(TRIM(&r, "model", "full", "corpus", "some.txt", "output_dir", "small"));
    assert_int_equal(r.size_before, VOCAB);
    assert_true(r.size_after > 20 && r.size_after < 110);
    assert_int_equal(r.unknown, 1);
    assert_int_equal(r.parameters_before - r.parameters_after, (uint64_t)(VOCAB - r.size_after) * (HIDDEN + 1));
    assert_int_equal(r.bytes_before - r.bytes_after, 4 * (r.parameters_before - r.parameters_after));
    xr_model full, small;
    xr_load_options o = { .quiet = 1 };
    expect_ok(xr_model_load(&full, in_scratch("full"), &o));
    expect_ok(xr_model_load(&small, in_scratch("small"), &o));
    xr_tokenizer *a = xr_tokenizer_open(in_scratch("full")), *b = xr_tokenizer_open(in_scratch("small"));
    assert_true(a && b);
    assert_int_equal(small.config.vocab_size, r.size_after);
    assert_int_equal(xr_tokenizer_vocab_size(b), r.size_after);
    const float *x = full.word->t.x, *y = small.word->t.x;
    const float *p = xr_params_find(&full.params, "lm_head.bias")->t.x, *q = xr_params_find(&small.params, "lm_head.bias")->t.x;
    for (int32_t i = 0, old = 0; i < r.size_after; i++, old++) {
        while (strcmp(xr_tokenizer_piece(a, old), xr_tokenizer_piece(b, i)) != 0)
            assert_true(++old < VOCAB);
        assert_memory_equal(y + (size_t)i * HIDDEN, x + (size_t)old * HIDDEN, HIDDEN * sizeof *x);
        assert_true(q[i] == p[old]);
        assert_true(i < r.size_after - 1 || old == VOCAB - 1);
    }
    for (size_t i = 0; i < full.params.n; i++) {
        const xr_param *from = full.params.row[i], *to = xr_params_find(&small.params, from->name);
        assert_non_null(to);
        if (to->t.cols * to->t.rows == from->t.cols * from->t.rows)
            assert_memory_equal(to->t.x, from->t.x, xr_numel(&from->t) * sizeof(float));
    }
    xr_tokenizer_free(a);
    xr_tokenizer_free(b);
    xr_model_free(&full);
    xr_model_free(&small);
}

/* <unk> scores ten below the worst piece. Here "€zw" is €z + w (-39) rather than <unk> + zw (-40); were ¶, which the corpus does not have, not kept,
 * <unk> + zw would be worth -35. */
static void the_worst_piece_is_kept(void **state)
{
    (void)state;
    xr_spm_file f = open_spm(in_scratch("tok/sentencepiece.bpe.model"));
    const xr_spm_new add[] = { { "\xE2\x82\xACz", 4, -20 }, { "w", 1, -19 }, { "zw", 2, -5 }, { "\xC2\xB6", 2, -25 } };
    xr_spm_edit edit = { .add = add, .n_add = 4 };
    xr_str out = { 0 };
    expect_ok(xr_spm_rewrite(&f, &edit, &out));
    assert_int_equal(xr_mkdirs(in_scratch("edge-tok")), XR_OK);
    assert_int_equal(xr_file_write(in_dir("edge-tok", "sentencepiece.bpe.model"), out.s, out.len), XR_OK);
    xr_str_free(&out);
    xr_spm_file_close(&f);
    make_model("edge", "edge-tok", VOCAB + 4);
    write_scratch("edge.txt", "\xE2\x82\xACzw\nzw ba\n");
    expect_ok(TRIM(NULL, "model", "edge", "corpus", "edge.txt", "output_dir", "edge-small"));
    xr_tokenizer *t = xr_tokenizer_open(in_scratch("edge-small"));
    xr_tokens k = { 0 };
    expect_ok(xr_tokenizer_encode(t, "\xE2\x82\xACzw", 5, 0, &k));
    assert_int_equal(k.n, 3);
    assert_string_equal(xr_tokenizer_piece(t, k.v[1].id), "\xE2\x82\xACz");
    xr_tokens_free(&k);
    xr_tokenizer_free(t);
}

/* The same pieces and the same hidden states for every line of a corpus. */
static void expect_same_answers(const char *dir_a, const char *dir_b, const char *const *line, size_t n)
{
    xr_context *a = xr_context_open(dir_a, NULL), *b = xr_context_open(dir_b, NULL);
    if (!a || !b)
        fail_msg("%s", xr_error_message());
    size_t hidden = (size_t)a->model.config.hidden_size;
    for (size_t i = 0; i < n; i++) {
        expect_ok(xr_context_encode(a, line[i], NULL, 0, 0));
        expect_ok(xr_context_encode(b, line[i], NULL, 0, 0));
        assert_int_equal(a->tokens.n, b->tokens.n);
        for (size_t k = 0; k < a->tokens.n; k++)
            assert_string_equal(xr_tokenizer_piece(a->tokenizer, a->tokens.v[k].id), xr_tokenizer_piece(b->tokenizer, b->tokens.v[k].id));
        xr_batch_clear(&a->batch);
        xr_batch_clear(&b->batch);
        expect_ok(xr_context_push(a, 0));
        expect_ok(xr_context_push(b, 0));
        const float *x = xr_features_batch(a, xr_batch_finish(&a->batch), -1, XR_FEATURES_NONE);
        const float *y = xr_features_batch(b, xr_batch_finish(&b->batch), -1, XR_FEATURES_NONE);
        assert_true(x && y);
        assert_memory_equal(x, y, a->tokens.n * hidden * sizeof *x);
    }
    xr_context_free(a);
    xr_context_free(b);
}

static void answers_stay(void **state)
{
    (void)state;
    char dir[320], small[320];
    const char *line[] = { tiny_sentence(0), tiny_sentence(1), "ba\xE2\x82\xAC" "de lo" };
    trim_to("answers");
    snprintf(dir, sizeof dir, "%s", in_scratch("full"));
    snprintf(small, sizeof small, "%s", in_scratch("answers"));
    expect_same_answers(dir, small, line, 3);
}

static void goes_back_byte_for_byte(void **state)
{
    (void)state;
    static const char *const name[] = { "config.json", "model.safetensors", "sentencepiece.bpe.model", "special_tokens_map.json", "tokenizer_config.json" };
    trim_to("there");
    expect_ok(EXPORT(NULL, "from", "there", "restore_vocab", "full", "output_dir", "back"));
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        expect_same_file("full", "back", name[i]);
    assert_false(exists("back", "trim.json"));
    expect_ok(EXPORT(NULL, "from", "there", "output_dir", "copy"));
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        expect_same_file("there", "copy", name[i]);
    expect_same_file("there", "copy", "trim.json");
}

/* What was trained comes back in its row, what was trimmed as it was. */
static void trained_rows_come_back(void **state)
{
    (void)state;
    xr_model m, full;
    xr_load_options o = { .quiet = 1 };
    trim_to("before");
    expect_ok(xr_model_load(&m, in_scratch("before"), &o));
    for (size_t i = 0; i < xr_numel(&m.word->t); i++)
        m.word->t.x[i] += 1.0f;
    m.norm_w->t.x[0] = 0.5f;
    assert_int_equal(xr_mkdirs(in_scratch("run/best")), XR_OK);
    expect_ok(xr_model_save(&m, in_scratch("run/best"), in_scratch("before"), NULL));
    xr_model_free(&m);
    expect_ok(EXPORT(NULL, "from", "run", "restore_vocab", "full", "output_dir", "trained"));
    expect_ok(xr_model_load(&full, in_scratch("full"), &o));
    expect_ok(xr_model_load(&m, in_scratch("trained"), &o));
    assert_true(m.norm_w->t.x[0] == 0.5f);
    json_t *map = read_json("before", "trim.json"), *ids = json_object_get(map, "source_ids");
    size_t kept = 0;
    for (size_t i = 0; i < VOCAB; i++) {
        int trained = (size_t)json_integer_value(json_array_get(ids, kept)) == i;
        float expected = full.word->t.x[i * HIDDEN] + (trained ? 1.0f : 0.0f);
        assert_true(m.word->t.x[i * HIDDEN] == expected);
        kept += (size_t)trained;
    }
    assert_int_equal(kept, json_array_size(ids));
    json_decref(map);
    xr_model_free(&m);
    xr_model_free(&full);
}

/* scratch/NAME: the full model in 16 bits and two shards, in transformers' older tensor names without the prefix. */
static void make_shards(const char *name)
{
    xr_model m;
    xr_load_options o = { .quiet = 1 };
    expect_ok(xr_model_load(&m, in_scratch("full"), &o));
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    expect_ok(xr_model_save(&m, in_scratch(name), in_scratch("tok"), NULL));
    assert_int_equal(remove(in_dir(name, "model.safetensors")), 0);
    json_t *index = json_object(), *map = json_object();
    json_object_set_new(index, "weight_map", map);
    for (size_t shard = 0; shard < 2; shard++) {
        xr_st_tensor t[64];
        const xr_param *p[64];
        size_t n = 0;
        char file[64];
        snprintf(file, sizeof file, "model-%05zu-of-00002.safetensors", shard + 1);
        for (size_t i = shard; i < m.params.n; i += 2, n++) {
            p[n] = m.params.row[i];
            t[n] = (xr_st_tensor){ .name = p[n]->name, .dtype = XR_BF16, .rank = p[n]->rank,
                                   .shape = { p[n]->rank == 1 ? p[n]->t.cols : p[n]->t.rows, p[n]->t.cols } };
            json_object_set_new(map, p[n]->name, json_string(file));
        }
        xr_st_writer *w = xr_st_writer_begin(in_dir(name, file), t, n);
        assert_non_null(w);
        for (size_t i = 0; i < n; i++)
            for (size_t k = 0; k < xr_numel(&p[i]->t); k++)
                expect_ok(xr_st_writer_put(w, (const char *)&p[i]->t.x[k] + 2, 2));
        expect_ok(xr_st_writer_commit(w));
    }
    expect_ok(xr_json_write(in_dir(name, "model.safetensors.index.json"), index, 2));
    json_decref(index);
    xr_model_free(&m);
}

static void shards_and_16_bits(void **state)
{
    (void)state;
    char full[320], small[320];
    make_shards("shards");
    expect_ok(TRIM(NULL, "model", "shards", "corpus", "some.txt", "output_dir", "short"));
    xr_st_file *f = xr_st_open(in_dir("short", "model.safetensors"));
    assert_non_null(f);
    for (size_t i = 0; i < xr_st_count(f); i++)
        assert_int_equal(xr_st_at(f, i)->dtype, XR_BF16);
    xr_st_close(f);
    const char *line[] = { tiny_sentence(0), tiny_sentence(1) };
    snprintf(full, sizeof full, "%s", in_scratch("shards"));
    snprintf(small, sizeof small, "%s", in_scratch("short"));
    expect_same_answers(full, small, line, 2);
    expect_ok(EXPORT(NULL, "from", "short", "restore_vocab", "shards", "output_dir", "long"));
    expect_ok(EXPORT(NULL, "from", "shards", "output_dir", "joined"));
    expect_same_file("joined", "long", "model.safetensors");
}

/* Files that would say something else than the model are not left beside it. */
static void nothing_stale(void **state)
{
    (void)state;
    expect_ok(EXPORT(NULL, "from", "full", "output_dir", "old"));
    write_scratch("old/tokenizer.json", "{\"model\": {\"vocab\": []}}\n");
    write_scratch("old/tokenizer_config.json", "{\"added_tokens_decoder\": {\"119\": {\"content\": \"<mask>\"}}, \"model_max_length\": 512}\n");
    write_scratch("old/config.json.note", "");
    expect_ok(TRIM(NULL, "model", "old", "corpus", "some.txt", "output_dir", "fresh"));
    assert_false(exists("fresh", "tokenizer.json"));
    json_t *j = read_json("fresh", "tokenizer_config.json");
    assert_null(json_object_get(j, "added_tokens_decoder"));
    assert_int_equal(json_integer_value(json_object_get(j, "model_max_length")), 512);
    json_decref(j);
    expect_ok(EXPORT(NULL, "from", "fresh", "restore_vocab", "old", "output_dir", "old-again"));
    expect_same_file("old", "old-again", "tokenizer.json");
    expect_same_file("old", "old-again", "tokenizer_config.json");
}

/* A store of the same text keeps the same pieces as the text, and is checked without it. */
static void a_store_is_a_corpus(void **state)
{
    (void)state;
    char sha256[65];
    json_t *shards = json_array(), *facts;
    xr_vocab_report a, b;
    xr_tokenizer *t = xr_tokenizer_open(in_scratch("full"));
    assert_int_equal(xr_mkdirs(in_scratch("store")), XR_OK);
    xr_store_writer *w = xr_store_create(in_dir("store", "shard-00000.h5"), 0);
    assert_non_null(w);
    for (unsigned i = 0; i < 7; i++) {
        const char *text = i < 6 ? tiny_sentence(i) : "ba\xE2\x82\xAC" "de lo";
        xr_tokens k = { 0 };
        int32_t id[256];
        expect_ok(xr_tokenizer_encode(t, text, strlen(text), 0, &k));
        for (size_t j = 0; j < k.n; j++)
            id[j] = k.v[j].id;
        expect_ok(xr_store_sentence(w, id, k.n));
        xr_tokens_free(&k);
    }
    expect_ok(xr_store_end_document(w, "xx"));
    expect_ok(xr_store_commit(w, &facts));
    json_array_append_new(shards, facts);
    snprintf(sha256, sizeof sha256, "%s", xr_tokenizer_sha256(t));
    expect_ok(xr_store_write_manifest(in_scratch("store"), sha256, VOCAB, shards, NULL));
    json_decref(shards);
    xr_tokenizer_free(t);
    expect_ok(TRIM(&a, "model", "full", "corpus", "store", "output_dir", "by-store"));
    expect_ok(TRIM(&b, "model", "full", "corpus", "some.txt", "output_dir", "by-text"));
    expect_same_file("by-store", "by-text", "trim.json");
    expect_same_file("by-store", "by-text", "model.safetensors");
    assert_int_equal(a.tokens, b.tokens);
    assert_int_equal(a.unverified, 1);
    assert_int_equal(b.unverified, 0);
    TRIM(NULL, "model", "by-text", "corpus", "store", "output_dir", "no");
    expect_error(XR_EDATA, sha256);
}

static void a_dry_run_writes_nothing(void **state)
{
    (void)state;
    xr_vocab_report dry, wet;
    expect_ok(TRIM(&dry, "model", "full", "corpus", "some.txt", "output_dir", "dry", "dry_run", "true"));
    assert_false(xr_path_exists(in_scratch("dry")));
    expect_ok(TRIM(&wet, "model", "full", "corpus", "some.txt", "output_dir", "dry"));
    assert_memory_equal(&dry, &wet, sizeof dry);
}

/* ---- extend ---- */

#define WORD "\xE2\x96\x81"

static xr_status extend(const char *model, const char *lines, const char *output, xr_vocab_report *report)
{
    xr_vocab_report unused;
    write_scratch("pieces.txt", lines);
    return xr_vocab_extend(in_scratch(model), in_scratch("pieces.txt"), in_scratch(output), report ? report : &unused);
}

/* Rows of the parts, by the library's own segmentation of the same word, averaged by hand. */
static void new_rows_are_means(void **state)
{
    (void)state;
    xr_vocab_report r;
    xr_model a, b;
    xr_load_options o = { .quiet = 1 };
    expect_ok(extend("full", WORD "balodi\n" WORD "kemu\n", "large", &r));
    assert_int_equal(r.size_after, VOCAB + 2);
    assert_int_equal(r.parameters_after - r.parameters_before, 2 * (HIDDEN + 1));
    expect_ok(xr_model_load(&a, in_scratch("full"), &o));
    expect_ok(xr_model_load(&b, in_scratch("large"), &o));
    xr_tokenizer *t = xr_tokenizer_open(in_scratch("full")), *u = xr_tokenizer_open(in_scratch("large"));
    const float *p = xr_params_find(&a.params, "lm_head.bias")->t.x, *q = xr_params_find(&b.params, "lm_head.bias")->t.x;
    static const char *const word[] = { "balodi", "kemu" };
    assert_memory_equal(a.word->t.x, b.word->t.x, (VOCAB - 1) * HIDDEN * sizeof *p);
    assert_memory_equal(p, q, (VOCAB - 1) * sizeof *p);
    assert_memory_equal(a.word->t.x + (VOCAB - 1) * HIDDEN, b.word->t.x + (VOCAB + 1) * HIDDEN, HIDDEN * sizeof *p);
    assert_true(p[VOCAB - 1] == q[VOCAB + 1]);
    assert_int_equal(xr_tokenizer_mask_id(u), VOCAB + 1);
    for (size_t w = 0; w < 2; w++) {
        xr_tokens parts = { 0 }, one = { 0 };
        double bias = 0, row[HIDDEN] = { 0 };
        expect_ok(xr_tokenizer_encode(t, word[w], strlen(word[w]), 0, &parts));
        expect_ok(xr_tokenizer_encode(u, word[w], strlen(word[w]), 0, &one));
        assert_true(parts.n > 1);
        assert_int_equal(one.n, 1);
        assert_int_equal(one.v[0].id, VOCAB - 1 + (int)w);
        for (size_t k = 0; k < parts.n; k++) {
            bias += (double)p[parts.v[k].id] / (double)parts.n;
            for (size_t i = 0; i < HIDDEN; i++)
                row[i] += (double)a.word->t.x[(size_t)parts.v[k].id * HIDDEN + i] / (double)parts.n;
        }
        assert_true(fabsf(q[VOCAB - 1 + w] - (float)bias) <= 1e-4f);
        for (size_t i = 0; i < HIDDEN; i++)
            assert_true(fabsf(b.word->t.x[(VOCAB - 1 + w) * HIDDEN + i] - (float)row[i]) <= 1e-7f);
        xr_tokens_free(&parts);
        xr_tokens_free(&one);
    }
    xr_tokenizer_free(t);
    xr_tokenizer_free(u);
    xr_model_free(&a);
    xr_model_free(&b);
}

/* As in a resumed run: the same bytes, over what is there. */
static void extending_again_gives_the_same(void **state)
{
    (void)state;
    expect_ok(extend("full", WORD "balodi\n", "one", NULL));
    expect_ok(extend("full", WORD "balodi\n", "two", NULL));
    /* pieces that are there already are passed over */
    expect_ok(extend("full", "b\n" WORD "balodi\n<mask>\n", "two", NULL));
    expect_same_file("one", "two", "model.safetensors");
    expect_same_file("one", "two", "sentencepiece.bpe.model");
    expect_same_file("one", "two", "config.json");
}

static void expect_pieces(const char *dir, const char *text, const char *expected)
{
    xr_tokenizer *t = xr_tokenizer_open(in_scratch(dir));
    xr_tokens k = { 0 };
    xr_str found = { 0 };
    assert_non_null(t);
    expect_ok(xr_tokenizer_encode(t, text, strlen(text), 0, &k));
    for (size_t i = 0; i < k.n; i++)
        expect_ok(xr_str_printf(&found, "%s%s", i ? " " : "", xr_tokenizer_piece(t, k.v[i].id)));
    assert_string_equal(found.s, expected);
    xr_str_free(&found);
    xr_tokens_free(&k);
    xr_tokenizer_free(t);
}

/* The longer of two new pieces; a piece within a word; one whose characters were unknown. */
static void new_pieces_are_used(void **state)
{
    (void)state;
    expect_ok(extend("full", WORD "tadomi\n" WORD "tadomipulo\ngeru\n\xE2\x82\xAC\n", "used", NULL));
    expect_pieces("used", "tadomi", WORD "tadomi");
    expect_pieces("used", "tadomipulo tadomi", WORD "tadomipulo " WORD "tadomi");
    expect_pieces("used", "tadomigeru\xE2\x82\xAC", WORD "tadomi geru \xE2\x82\xAC");
    for (unsigned i = 0; i < 200; i++) {
        const char *s = tiny_sentence(i);
        if (strstr(s, "tadomi") || strstr(s, "geru"))
            continue;
        xr_tokenizer *a = xr_tokenizer_open(in_scratch("full")), *b = xr_tokenizer_open(in_scratch("used"));
        xr_tokens x = { 0 }, y = { 0 };
        expect_ok(xr_tokenizer_encode(a, s, strlen(s), 0, &x));
        expect_ok(xr_tokenizer_encode(b, s, strlen(s), 0, &y));
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.v, y.v, x.n * sizeof *x.v);
        xr_tokens_free(&x);
        xr_tokens_free(&y);
        xr_tokenizer_free(a);
        xr_tokenizer_free(b);
    }
}

static void pieces_that_cannot_be(void **state)
{
    (void)state;
    static const struct { const char *lines, *message; } bad[] = {
        { "", "the file is empty" },
        { WORD "balodi\n\n", "pieces.txt:2: the line is empty" },
        { WORD "balodi\n" WORD "kemu\n" WORD "balodi\n", "pieces.txt:3: \"" WORD "balodi\" stands on line 1 already" },
        { "b\n<mask>\n", "pieces.txt: every piece in it, such as \"b\", is in the vocabulary already" },
        { "</s>\n", "already" },
        { "ba\xFFlo\n", "pieces.txt:1: byte 2 of the line (0xFF) is not UTF-8" },
        { "ba lodi\n", "white space" },
        { WORD "\n", "U+2581" },
        { WORD "ba" WORD "lodi\n", "U+2581" },
        { WORD "ba\xEF\xAC\x81lo\n", "normalises this to \"bafilo\"" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        extend("full", bad[i].lines, "no", NULL);
        expect_error(XR_EDATA, bad[i].message);
    }
    char long_line[300];
    memset(long_line, 'b', sizeof long_line);
    long_line[sizeof long_line - 1] = '\0';
    extend("full", long_line, "no", NULL);
    expect_error(XR_EDATA, "pieces.txt:1: the piece has 299 bytes; at most 256");
    assert_int_equal(xr_file_write(in_scratch("nul.txt"), "ba\0lo\n", 6), XR_OK);
    xr_vocab_report r;
    xr_vocab_extend(in_scratch("full"), in_scratch("nul.txt"), in_scratch("no"), &r);
    expect_error(XR_EDATA, "nul.txt:1: a NUL byte");
    extend("tok", "ba\n", "no", NULL);
    expect_error(XR_ENOINPUT, "config.json");
    assert_false(xr_path_exists(in_scratch("no")));
}

/* ---- XLM-R's own tokenizer ---- */

/* Trimmed by its first users to 31,996 pieces, with the scores of the original. */
static void real_pieces(void **state)
{
    (void)state;
    const char *data = getenv("XLMR_DATA");
    char path[512], line[4096];
    snprintf(path, sizeof path, "%s/spm/xlmr-trimmed-31996.model", data ? data : "");
    if (!data || !xr_path_exists(path)) {
        print_message("XLMR_DATA has no spm/xlmr-trimmed-31996.model\n");
        skip();
    }
    size_t len;
    char *bytes = xr_file_read(path, (size_t)1 << 26, &len);
    assert_int_equal(xr_mkdirs(in_scratch("real-tok")), XR_OK);
    assert_int_equal(xr_file_write(in_dir("real-tok", "sentencepiece.bpe.model"), bytes, len), XR_OK);
    xr_free(bytes);
    make_model("real", "real-tok", 31998);
    expect_ok(extend("real", WORD "Kubernetes\n" WORD "hydroxychloroquine\nverschr\xC3\xA4nkte\n" WORD "Quantenverschr\xC3\xA4nkung\n", "real-large", NULL));
    expect_pieces("real-large", "Kubernetes, hydroxychloroquine!", WORD "Kubernetes , " WORD "hydroxychloroquine !");
    expect_pieces("real-large", "Quantenverschr\xC3\xA4nkungen", WORD "Quantenverschr\xC3\xA4nkung en");
    xr_tokenizer *a = xr_tokenizer_open(in_scratch("real")), *b = xr_tokenizer_open(in_scratch("real-large"));
    assert_true(a && b);
    snprintf(line, sizeof line, "%s/text/common-voice/de.txt.gz", data);
    xr_stream *s = xr_stream_open(line);
    char *text;
    for (int i = 0; i < 2000 && xr_stream_line(s, &text, &len) > 0; i++) {
        xr_tokens x = { 0 }, y = { 0 };
        expect_ok(xr_tokenizer_encode(a, text, len, 0, &x));
        expect_ok(xr_tokenizer_encode(b, text, len, 0, &y));
        assert_int_equal(x.n, y.n);
        assert_memory_equal(x.v, y.v, x.n * sizeof *x.v);
        xr_tokens_free(&x);
        xr_tokens_free(&y);
    }
    xr_stream_close(s);
    xr_tokenizer_free(a);
    xr_tokenizer_free(b);
}

/* ---- refusals ---- */

static void refused(void **state)
{
    (void)state;
    trim_to("cut");
    write_scratch("empty.txt", "\n\n");
    TRIM(NULL, "model", "full", "corpus", "empty.txt", "output_dir", "no");
    expect_error(XR_EDATA, "no text in the corpus");
    TRIM(NULL, "model", "full", "corpus", "missing.txt", "output_dir", "no");
    expect_error(XR_ENOINPUT, "missing.txt");
    TRIM(NULL, "model", "full", "corpus", "some.txt", "output_dir", "cut");
    expect_error(XR_ECANTCREAT, "--overwrite-output-dir");
    TRIM(NULL, "model", "full", "corpus", "some.txt", "output_dir", "full", "overwrite_output_dir", "true");
    expect_error(XR_ECANTCREAT, "is the model that is to be read");
    TRIM(NULL, "model", "full", "corpus", "some.txt", "output_dir", "tok/..", "overwrite_output_dir", "true");
    expect_error(XR_ECANTCREAT, "which is no part of a model");
    EXPORT(NULL, "from", "tok", "output_dir", "no");
    expect_error(XR_ENOINPUT, "holds no model");
    EXPORT(NULL, "from", "full", "restore_vocab", "full", "output_dir", "no");
    expect_error(XR_EDATA, "has no trim.json");
    EXPORT(NULL, "from", "cut", "restore_vocab", "cut", "output_dir", "no");
    expect_error(XR_EDATA, "give the model that was trimmed");
    assert_false(xr_path_exists(in_scratch("no")));
}

static void maps_that_do_not_fit(void **state)
{
    (void)state;
    xr_model m;
    xr_load_options o = { .quiet = 1 };
    expect_ok(xr_model_load(&m, in_scratch("full"), &o));
    m.word->t.x[5 * HIDDEN] += 1.0f;
    assert_int_equal(xr_mkdirs(in_scratch("other")), XR_OK);
    expect_ok(xr_model_save(&m, in_scratch("other"), in_scratch("tok"), NULL));
    xr_model_free(&m);
    trim_to("map");
    EXPORT(NULL, "from", "map", "restore_vocab", "other", "output_dir", "no");
    expect_error(XR_EDATA, "not one trained further");
    replace_in("map", "trim.json", "[0,1,2", "[0,2,1");
    EXPORT(NULL, "from", "map", "restore_vocab", "full", "output_dir", "no");
    expect_error(XR_EDATA, "source_ids: entry 2");
    replace_in("map", "trim.json", "[0,2,1", "[0,1,x");
    EXPORT(NULL, "from", "map", "restore_vocab", "full", "output_dir", "no");
    expect_error(XR_EDATA, "trim.json:");
    replace_in("map", "trim.json", "[0,1,x", "[0,1,2");
    replace_in("map", "trim.json", "source_ids", "source_idz");
    EXPORT(NULL, "from", "map", "restore_vocab", "full", "output_dir", "no");
    expect_error(XR_EDATA, "trim.json");
    assert_false(xr_path_exists(in_scratch("no")));
}

static xr_status trim_memory(xr_vocab_report *r)
{
    xr_options o;
    xr_status status = xr_options_init(&o, XR_V_TRIM);
    status = status < 0 ? status : xr_options_set(&o, "model", in_scratch("full"));
    status = status < 0 ? status : xr_options_set(&o, "corpus", in_scratch("some.txt"));
    status = status < 0 ? status : xr_options_set(&o, "output_dir", in_scratch("memory"));
    status = status < 0 ? status : xr_vocab_trim(&o, r);
    xr_options_free(&o);
    return status;
}

static xr_status extend_memory(xr_vocab_report *r)
{
    return xr_vocab_extend(in_scratch("full"), in_scratch("pieces.txt"), in_scratch("memory"), r);
}

static xr_status export_memory(xr_vocab_report *r)
{
    xr_options o;
    xr_status status = xr_options_init(&o, XR_V_EXPORT);
    status = status < 0 ? status : xr_options_set(&o, "from", in_scratch("small-memory"));
    status = status < 0 ? status : xr_options_set(&o, "restore_vocab", in_scratch("full"));
    status = status < 0 ? status : xr_options_set(&o, "output_dir", in_scratch("memory"));
    status = status < 0 ? status : xr_vocab_export(&o, r);
    xr_options_free(&o);
    return status;
}

static void out_of_memory(void **state)
{
    (void)state;
    static xr_status (*const functions[])(xr_vocab_report *) = { trim_memory, extend_memory, export_memory };
    trim_to("small-memory");
    write_scratch("pieces.txt", WORD "balodi\n" WORD "kemu\n");
    for (size_t i = 0; i < 3; i++) {
        long live = xr_alloc_live();
        xr_status status = XR_ESYSTEM;
        for (long k = 0; status == XR_ESYSTEM; k = next_failure(k, 6)) {
            xr_vocab_report r;
            xr_alloc_fail_after(k);
            status = functions[i](&r);
            xr_alloc_fail_after(-1);
            assert_int_equal(xr_alloc_live(), live);
            assert_true(status == XR_OK || !xr_path_exists(in_scratch("memory")));
            xr_error_clear();
        }
        assert_int_equal(status, XR_OK);
        assert_int_equal(xr_remove_tree(in_scratch("memory")), XR_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(rewrite_is_identity, clear_error),
        cmocka_unit_test_teardown(rewrite_keeps_and_adds, clear_error),
        cmocka_unit_test_teardown(rows_move_with_their_pieces, clear_error),
        cmocka_unit_test_teardown(the_worst_piece_is_kept, clear_error),
        cmocka_unit_test_teardown(answers_stay, clear_error),
        cmocka_unit_test_teardown(goes_back_byte_for_byte, clear_error),
        cmocka_unit_test_teardown(trained_rows_come_back, clear_error),
        cmocka_unit_test_teardown(shards_and_16_bits, clear_error),
        cmocka_unit_test_teardown(nothing_stale, clear_error),
        cmocka_unit_test_teardown(a_store_is_a_corpus, clear_error),
        cmocka_unit_test_teardown(a_dry_run_writes_nothing, clear_error),
        cmocka_unit_test_teardown(new_rows_are_means, clear_error),
        cmocka_unit_test_teardown(extending_again_gives_the_same, clear_error),
        cmocka_unit_test_teardown(new_pieces_are_used, clear_error),
        cmocka_unit_test_teardown(pieces_that_cannot_be, clear_error),
        cmocka_unit_test_teardown(real_pieces, clear_error),
        cmocka_unit_test_teardown(refused, clear_error),
        cmocka_unit_test_teardown(maps_that_do_not_fit, clear_error),
        cmocka_unit_test_teardown(out_of_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
