/* inspect and verify: figures computed by hand, differences where they were put, and damage of every kind, which is found and crashes nothing. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>
#include <unistd.h>

#include "data/store.h"
#include "model/hf_digests.h"
#include "train/checkpoint.h"
#include "train/inspect.h"
#include "train/verify.h"
#include "util/alloc.h"

#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* --- things to look at ----------------------------------------------------------------------------------------------- */

enum { MANY = 20000 };
static float weight[4], many[MANY];
static double best;
static uint64_t step;

static void save(const char *run, uint64_t at)
{
    xr_state s = { 0 };
    json_t *facts = json_pack("{ss}", "tokenizer_sha256", SHA);
    step = at;
    assert_int_equal(xr_state_add(&s, XR_STATE_F32, weight, 4, "param/layer.0.weight"), XR_OK);
    assert_int_equal(xr_state_add(&s, XR_STATE_F32, many, MANY, "moment0/layer.0.weight"), XR_OK);
    assert_int_equal(xr_state_add(&s, XR_STATE_F64, &best, 1, "run/best_value"), XR_OK);
    assert_int_equal(xr_state_add(&s, XR_STATE_U64, &step, 1, "run/step"), XR_OK);
    if (xr_checkpoint_save(in_scratch(run), at, &s, facts, &(xr_checkpoint_keep){ 0 }) < 0)
        fail_msg("%s", xr_error_message());
    json_decref(facts);
    xr_state_free(&s);
}

static void save_plain(const char *run, uint64_t at)
{
    memcpy(weight, (float[]){ 3, -4, 0, 0 }, sizeof weight);
    for (int i = 0; i < MANY; i++)
        many[i] = (float)(i % 100) / 7.0f;
    best = 0.5;
    save(run, at);
}

static const char *checkpoint(const char *run, uint64_t at, const char *file)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/checkpoints/step-%08llu%s%s", in_scratch(run), (unsigned long long)at, *file ? "/" : "", file);
    return p;
}

static void make_store(const char *name)
{
    char path[400];
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    json_t *shards = json_array();
    for (int k = 0; k < 2; k++) {
        json_t *facts;
        snprintf(path, sizeof path, "%s/shard-%05d.h5", in_scratch(name), k);
        xr_store_writer *w = xr_store_create(path, 0);
        assert_non_null(w);
        for (int i = 0; i < 300; i++) {
            int32_t id[] = { 7 + i % 50, 8, 9 + k };
            assert_int_equal(xr_store_sentence(w, id, 3), XR_OK);
            assert_int_equal(xr_store_end_document(w, i % 2 ? "en" : "de"), XR_OK);
        }
        assert_int_equal(xr_store_commit(w, &facts), XR_OK);
        json_array_append_new(shards, facts);
    }
    assert_int_equal(xr_store_write_manifest(in_scratch(name), SHA, 100, shards, NULL), XR_OK);
    json_decref(shards);
}

static int make_all(void **state)
{
    if (make_scratch(state) < 0)
        return -1;
    save_plain("run", 4);
    save_plain("same", 4);
    make_store("store");
    train_tiny_tokenizer();
    make_tiny_dir("model", "tiny-cls", NULL, NULL, 0, NULL);
    make_tiny_dir("sealed", "tiny-cls", NULL, NULL, 0, NULL);
    return xr_model_seal(in_scratch("sealed"));
}

/* --- inspect --------------------------------------------------------------------------------------------------------- */

static json_t *inspect(const char *path)
{
    json_t *j = xr_inspect(path);
    if (!j)
        fail_msg("%s", xr_error_message());
    return j;
}

static const json_t *tensor(const json_t *j, const char *name)
{
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(j, "tensors"), i, t)
        if (strcmp(json_string_value(json_object_get(t, "name")), name) == 0)
            return t;
    fail_msg("no tensor %s", name);
    return NULL;
}

static double real(const json_t *j, const char *key)
{
    assert_true(json_is_real(json_object_get(j, key)));
    return json_real_value(json_object_get(j, key));
}

static void figures_of_a_tensor(void **state)
{
    (void)state;
    memcpy(weight, (float[]){ 3, -4, NAN, INFINITY }, sizeof weight);
    save("nan", 12);
    json_t *j = inspect(checkpoint("nan", 12, ""));
    const json_t *t = tensor(j, "param/layer.0.weight");
    assert_true(real(t, "norm") == 5.0);
    assert_true(real(t, "min") == -4.0);
    assert_true(real(t, "max") == 3.0);
    assert_int_equal(json_integer_value(json_object_get(t, "non_finite")), 2);
    assert_string_equal(json_string_value(json_object_get(t, "type")), "F32");
    assert_int_equal(json_integer_value(json_object_get(j, "step")), 12);
    assert_string_equal(json_string_value(json_object_get(j, "tokenizer_sha256")), SHA);
    const json_t *totals = json_object_get(j, "totals");
    assert_int_equal(json_integer_value(json_object_get(totals, "tensors")), 4);
    assert_int_equal(json_integer_value(json_object_get(totals, "elements")), 4 + MANY + 2);
    assert_int_equal(json_integer_value(json_object_get(totals, "bytes")), 4 * (4 + MANY) + 16);
    assert_int_equal(json_integer_value(json_object_get(totals, "non_finite")), 2);
    json_decref(j);
}

static void other_kinds(void **state)
{
    (void)state;
    json_t *j = inspect(in_scratch("store"));
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "token store");
    assert_true(real(tensor(j, "shard-00001.h5/tokens"), "max") == 56.0);
    json_decref(j);
    j = inspect(in_scratch("model"));
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "model directory");
    assert_int_equal(json_array_size(json_object_get(tensor(j, "roberta.embeddings.word_embeddings.weight"), "shape")), 2);
    assert_non_null(json_object_get(json_object_get(j, "config"), "vocab_size"));
    json_decref(j);
    assert_null(xr_inspect(in_scratch("corpus.txt")));
    expect_error(XR_EDATA, "is no HDF5 file");
    assert_null(xr_inspect(in_scratch("tok/none")));
    expect_error(XR_ENOINPUT, "does not exist");
}

/* --- diff ------------------------------------------------------------------------------------------------------------ */

static json_t *diff(const char *a, const char *b)
{
    json_t *j;
    if (xr_inspect_diff(a, b, &j) < 0)
        fail_msg("%s", xr_error_message());
    return j;
}

static void equal_things(void **state)
{
    (void)state;
    json_t *j = diff(checkpoint("run", 4, ""), checkpoint("same", 4, ""));
    assert_true(json_is_true(json_object_get(j, "equal")));
    assert_null(json_object_get(j, "first"));
    json_decref(j);
    j = diff(in_scratch("model"), in_scratch("model/model.safetensors"));
    assert_int_equal(json_array_size(json_object_get(j, "differing")), 0);
    json_decref(j);
}

static void place_of_a_difference(void **state)
{
    (void)state;
    save_plain("other", 4);
    weight[1] = -4.5f;          /* 0.5 of 4.5 */
    many[70001 % MANY] += 0.25f;
    many[9] = 16;               /* from 9/7 */
    xr_remove_tree(checkpoint("other", 4, ""));
    save("other", 4);
    json_t *j = diff(checkpoint("run", 4, ""), checkpoint("other", 4, ""));
    assert_true(json_is_false(json_object_get(j, "equal")));
    const json_t *first = json_object_get(j, "first"), *largest = json_object_get(j, "largest");
    assert_string_equal(json_string_value(json_object_get(first, "name")), "moment0/layer.0.weight");
    assert_int_equal(json_integer_value(json_object_get(first, "element")), 9);
    assert_true(real(first, "b") == 16.0);
    assert_int_equal(json_integer_value(json_object_get(largest, "element")), 9);
    assert_true(real(largest, "absolute") == 16.0 - (double)(9.0f / 7.0f));
    assert_true(real(json_object_get(j, "largest_relative"), "relative") == (16.0 - (double)(9.0f / 7.0f)) / 16.0);
    assert_int_equal(json_array_size(json_object_get(j, "differing")), 2);
    const json_t *second = json_array_get(json_object_get(j, "differing"), 1);
    assert_true(real(second, "absolute") == 0.5);
    assert_true(real(second, "relative") == 0.5 / 4.5);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(j, "differing"), 0), "elements")), 2);
    json_decref(j);
}

static void minus_zero_and_nan_are_differences(void **state)
{
    (void)state;
    save_plain("zero", 8);
    json_t *j;
    weight[3] = -0.0f;
    save("zero", 9);
    j = diff(checkpoint("zero", 8, "state.h5"), checkpoint("zero", 9, "state.h5"));
    assert_true(json_is_false(json_object_get(j, "equal")));
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "first"), "name")), "param/layer.0.weight");
    json_decref(j);
    weight[3] = NAN;
    save("zero", 10);
    j = diff(checkpoint("zero", 8, ""), checkpoint("zero", 10, ""));
    assert_string_equal(json_string_value(json_object_get(json_object_get(j, "largest"), "absolute")), "inf");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "step"), "b")), 10);
    json_decref(j);
}

/* --- verify ---------------------------------------------------------------------------------------------------------- */

/* Number of checks that failed. */
static size_t verify(const char *path)
{
    xr_verdict v;
    if (xr_verify(path, &v) < 0)
        fail_msg("%s: %s", path, xr_error_message());
    assert_true(v.n > 0);
    assert_int_equal(json_array_size(v.checks), v.n);
    assert_int_equal(xr_error_status(), XR_OK);
    size_t bad = v.n_bad;
    json_decref(v.checks);
    return bad;
}

static void whole_things_pass(void **state)
{
    (void)state;
    assert_int_equal(verify(checkpoint("run", 4, "")), 0);
    assert_int_equal(verify(checkpoint("run", 4, "state.h5")), 0);
    assert_int_equal(verify(in_scratch("store")), 0);
    assert_int_equal(verify(in_scratch("model")), 0);
    assert_int_equal(verify(in_scratch("model/model.safetensors")), 0);
}

typedef struct file { char path[512]; char *bytes; size_t len; } file;

static file take(const char *path)
{
    file f;
    snprintf(f.path, sizeof f.path, "%s", path);
    f.bytes = xr_file_read(path, 1 << 26, &f.len);
    assert_non_null(f.bytes);
    return f;
}

/* In place: the tests are of what is read, not of how it is written. */
static void put(const file *f, size_t len)
{
    FILE *out = fopen(f->path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->bytes, 1, len, out), len);
    fclose(out);
}

static uint32_t seed = 1;
static uint32_t roll(uint32_t n)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)seed * n) >> 32);
}

/* Flips single bits of a file, one at a time, and cuts it; returns how often `thing` still passed. */
static size_t damage(const char *thing, const char *path, size_t flips, size_t every)
{
    file f = take(path);
    size_t passed = 0;
    for (size_t k = 0; k < flips; k++) {
        size_t at = roll((uint32_t)f.len);
        char bit = (char)(1 << roll(8));
        f.bytes[at] ^= bit;
        put(&f, f.len);
        passed += verify(thing) == 0;
        f.bytes[at] ^= bit;
    }
    for (size_t len = 0; len < f.len; len += every) {
        put(&f, len);
        passed += verify(thing) == 0;
    }
    put(&f, f.len);
    assert_int_equal(verify(thing), 0);
    xr_free(f.bytes);
    return passed;
}

static void damaged_checkpoints(void **state)
{
    (void)state;
    char dir[512];
    snprintf(dir, sizeof dir, "%s", checkpoint("run", 4, ""));
    assert_int_equal(damage(dir, checkpoint("run", 4, "state.h5"), 600, 4096), 0);
    assert_int_equal(damage(dir, checkpoint("run", 4, "MANIFEST.json"), 600, 7), 0);
}

/* A file by itself has only HDF5's own checksums: a flip that they do not see is in bytes that nothing uses, and changes no number. */
static void damaged_files_without_a_manifest(void **state)
{
    (void)state;
    file f = take(checkpoint("run", 4, "state.h5"));
    size_t seen = 0;
    for (int k = 0; k < 300; k++) {
        size_t at = roll((uint32_t)f.len);
        char bit = (char)(1 << roll(8));
        f.bytes[at] ^= bit;
        put(&f, f.len);
        if (verify(f.path) == 0) {
            json_t *j = diff(f.path, checkpoint("same", 4, "state.h5"));
            assert_true(json_is_true(json_object_get(j, "equal")));
            json_decref(j);
        } else {
            seen++;
        }
        f.bytes[at] ^= bit;
    }
    assert_true(seen > 250);
    put(&f, f.len);
    xr_free(f.bytes);
}

static void damaged_stores(void **state)
{
    (void)state;
    char dir[400];
    snprintf(dir, sizeof dir, "%s", in_scratch("store"));
    assert_int_equal(damage(dir, in_scratch("store/shard-00001.h5"), 300, 1024), 0);
    damage(dir, in_scratch("store/manifest.json"), 300, 17);        /* a digit of what is only told may change unseen */
}

/* Says of what lies at `path`: so many checks failed, and this. */
static void expect_verdict(const char *path, size_t bad, const char *part)
{
    xr_verdict v;
    assert_int_equal(xr_verify(path, &v), XR_OK);
    char *said = xr_json_dump(v.checks, 0);
    if (v.n_bad != bad || !strstr(said, part))
        fail_msg("%zu failed, not %zu, or nothing said of \"%s\": %s", v.n_bad, bad, part, said);
    xr_free(said);
    json_decref(v.checks);
}

/* A model directory without digests: its structure is what can be checked, and nothing may crash. */
static void damaged_models(void **state)
{
    (void)state;
    char dir[400];
    snprintf(dir, sizeof dir, "%s", in_scratch("model"));
    damage(dir, in_scratch("model/config.json"), 150, 23);
    damage(dir, in_scratch("model/model.safetensors"), 100, 8192);
    damage(dir, in_scratch("model/sentencepiece.bpe.model"), 60, 60000);
    file f = take(in_scratch("model/model.safetensors"));
    for (size_t at = 0; at < 400; at++) {       /* length and header */
        f.bytes[at] ^= 0x10;
        put(&f, f.len);
        verify(dir);
        f.bytes[at] ^= 0x10;
    }
    memcpy(f.bytes + f.len - 4, "\0\0\300\177", 4);                 /* NaN */
    put(&f, f.len);
    expect_verdict(dir, 1, "NaN or infinity in 1 of");
    expect_verdict(dir, 1, "has no digests.json");
    memcpy(f.bytes + f.len - 4, "\0\0\0\0", 4);
    put(&f, f.len);
    xr_free(f.bytes);
}

/* With digests: one bit anywhere. */
static void damaged_models_with_digests(void **state)
{
    (void)state;
    static const char *const names[] = { "config.json", "model.safetensors", "sentencepiece.bpe.model", "special_tokens_map.json", "tokenizer_config.json",
                                         "digests.json" };
    char path[64], dir[400];
    snprintf(dir, sizeof dir, "%s", in_scratch("sealed"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "sealed/%s", names[i]);
        assert_int_equal(damage(dir, in_scratch(path), 100, 9973), 0);
    }
    file f = take(in_scratch("sealed/digests.json"));
    for (size_t at = 0; at < f.len; at++) {
        f.bytes[at] ^= (char)(1 << at % 8);
        put(&f, f.len);
        assert_int_not_equal(verify(dir), 0);
        f.bytes[at] ^= (char)(1 << at % 8);
    }
    put(&f, f.len);
    xr_free(f.bytes);
    expect_verdict(dir, 0, "digest");
}

/* A number that stays finite, which nothing but a digest tells; a configuration edited by hand, which is used all the same. */
static void edited_models(void **state)
{
    (void)state;
    char dir[400];
    xr_model m;
    snprintf(dir, sizeof dir, "%s", in_scratch("sealed"));
    file f = take(in_scratch("sealed/model.safetensors"));
    f.bytes[f.len - 3] ^= 1;
    put(&f, f.len);
    expect_verdict(dir, 1, "model.safetensors: digest mismatch: the contents are not those that were saved; put the file back");
    f.bytes[f.len - 3] ^= 1;
    put(&f, f.len);
    xr_free(f.bytes);
    file c = take(in_scratch("sealed/config.json"));
    file more = c;
    more.bytes = xr_asprintf("%s\n", c.bytes);
    put(&more, c.len + 1);
    expect_verdict(dir, 1, "config.json: has ");
    assert_int_equal(xr_model_load(&m, dir, &(xr_load_options){ .map = 1, .quiet = 1 }), XR_OK);
    xr_model_free(&m);
    put(&c, c.len);
    xr_free(more.bytes);
    xr_free(c.bytes);
    assert_int_equal(verify(dir), 0);
}

static void files_beside_a_model(void **state)
{
    (void)state;
    char dir[400], path[400];
    size_t n;
    snprintf(dir, sizeof dir, "%s", in_scratch("sealed"));
    char *before = xr_file_read(in_scratch("sealed/digests.json"), 1 << 20, &n);
    assert_null(strstr(before, scratch));
    write_scratch("sealed/README.md", "a card");
    assert_int_equal(xr_mkdirs(in_scratch("sealed/onnx")), XR_OK);
    expect_verdict(dir, 0, "README.md\",\"ok\":true,\"message\":\"is not in digests.json");
    assert_int_equal(xr_model_seal(dir), XR_OK);                    /* a card is not in it: the same bytes */
    char *after = xr_file_read(in_scratch("sealed/digests.json"), 1 << 20, &n);
    assert_string_equal(before, after);
    xr_free(before);
    xr_free(after);
    snprintf(path, sizeof path, "%s", in_scratch("sealed/tokenizer_config.json"));
    assert_int_equal(rename(path, in_scratch("away")), 0);
    expect_verdict(dir, 1, "tokenizer_config.json: cannot be opened");
    assert_int_equal(rename(in_scratch("sealed/special_tokens_map.json"), path), 0);
    expect_verdict(dir, 2, "tokenizer_config.json: has ");
    assert_int_equal(rename(path, in_scratch("sealed/special_tokens_map.json")), 0);
    assert_int_equal(rename(in_scratch("away"), path), 0);
    assert_int_equal(verify(dir), 0);
}

/* A manifest whose own digest is right, and that is none of ours. */
static void forged_digests(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        { "{\"../model/config.json\": {}}", "which is no name of a file beside it" }, { "{\"..\": {}}", "no name of a file" },
        { "{\"\": {}}", "no name of a file" }, { "[]", "lists no files" }, { "{\"config.json\": 3}", "config.json: has " } };
    write_scratch("sealed/keep", "");
    assert_int_equal(rename(in_scratch("sealed/digests.json"), in_scratch("sealed/keep")), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        json_t *j = json_pack("{ss si so}", "format", "xlmr-model", "format_version", 1, "files", json_loads(files[i][0], 0, NULL));
        assert_int_equal(xr_manifest_write(in_scratch("sealed/digests.json"), j), XR_OK);
        json_decref(j);
        expect_verdict(in_scratch("sealed"), 1, files[i][1]);
    }
    write_scratch("sealed/digests.json", "{\"format\": \"xlmr-model\", \"format_version\": 2}");
    expect_verdict(in_scratch("sealed"), 1, "is of format version 2; this program reads version 1");
    write_scratch("sealed/digests.json", "{\"format\": \"x\"}");
    expect_verdict(in_scratch("sealed"), 1, "is not a manifest of the format xlmr-model");
    assert_int_equal(rename(in_scratch("sealed/keep"), in_scratch("sealed/digests.json")), 0);
}

static void missing_and_extra_files(void **state)
{
    (void)state;
    save_plain("parts", 3);
    char dir[512];
    snprintf(dir, sizeof dir, "%s", checkpoint("parts", 3, ""));
    file extra = { .bytes = (char[]){ "x" } };
    snprintf(extra.path, sizeof extra.path, "%s", checkpoint("parts", 3, "more"));
    put(&extra, 1);
    assert_int_equal(verify(dir), 1);
    unlink(extra.path);
    assert_int_equal(verify(dir), 0);
    unlink(checkpoint("parts", 3, "MANIFEST.json"));
    assert_int_equal(verify(dir), 1);
    unlink(checkpoint("parts", 3, "state.h5"));
    assert_int_equal(verify(dir), 1);
    make_store("holes");
    rename(in_scratch("holes/shard-00001.h5"), in_scratch("holes/shard-00002.h5"));
    assert_int_equal(verify(in_scratch("holes")), 2);
    unlink(in_scratch("holes/manifest.json"));
    assert_int_equal(verify(in_scratch("holes")), 1);
    xr_verdict nothing = { 0 };
    assert_int_equal(xr_verify(in_scratch("nothing"), &nothing), XR_ENOINPUT);
    json_decref(nothing.checks);
    xr_error_clear();
}

/* The runs are looked at in the order of their names, and an allocation that fails anywhere leaves nothing. */
static void sweeps(void **state)
{
    (void)state;
    static const char *const name[] = { "b", "c", "a" };
    xr_sweep_runs r;
    long k = 0, live = xr_alloc_live();
    assert_int_equal(xr_mkdirs(in_scratch("sweep/runs")), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("sweep/logs")), XR_OK);
    assert_int_equal(verify(in_scratch("sweep")), 0);
    assert_null(xr_inspect(in_scratch("sweep")));
    expect_error(XR_EDATA, "is a sweep without runs yet");
    for (size_t i = 0; i < 3; i++) {
        char *path = xr_path_join(in_scratch("sweep/runs"), name[i]);
        assert_int_equal(symlink(in_scratch("run"), path), 0);
        xr_free(path);
    }
    assert_int_equal(xr_sweep_runs_find(in_scratch("sweep"), &r), XR_OK);
    assert_int_equal(r.n, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r.path[i][strlen(r.path[i]) - 1], 'a' + (int)i);
    xr_sweep_runs_free(&r);
    size_t one = verify(in_scratch("run"));
    assert_int_equal(verify(in_scratch("sweep")), 3 * one);
    for (int failed = 1; failed; k = next_failure(k, 8)) {
        xr_verdict v = { 0 };
        xr_alloc_fail_after(k);
        failed = xr_verify(in_scratch("sweep"), &v) < 0;
        xr_alloc_fail_after(-1);
        xr_error_clear();
        json_decref(v.checks);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 10);
    assert_null(xr_inspect(in_scratch("sweep")));
    expect_error(XR_EDATA, "is a sweep, of 3 runs; give one, such as ");
}

/* Every allocation fails in turn: an error, and nothing is left. */
static void failing_memory(void **state)
{
    (void)state;
    const char *things[] = { checkpoint("run", 4, ""), in_scratch("store"), in_scratch("model"), in_scratch("sealed") };
    for (size_t i = 0; i < 4; i++) {
        long live = xr_alloc_live(), k = 0, failed = 1;
        for (; failed; k = next_failure(k, 8)) {
            xr_verdict v = { 0 };
            json_t *j = NULL, *d = NULL;
            xr_alloc_fail_after(k);
            failed = xr_verify(things[i], &v) < 0;
            xr_alloc_fail_after(-1);
            xr_error_clear();
            xr_alloc_fail_after(k);
            j = xr_inspect(things[i]);
            xr_alloc_fail_after(-1);
            failed |= !j;
            xr_error_clear();
            xr_alloc_fail_after(k);
            failed |= xr_inspect_diff(things[i], things[i], &d) < 0;
            xr_alloc_fail_after(-1);
            xr_error_clear();
            json_decref(v.checks);
            json_decref(j);
            json_decref(d);
            assert_int_equal(xr_alloc_live(), live);
        }
        assert_true(k > 10);
    }
    long live = xr_alloc_live(), k = 0;
    for (int failed = 1; failed; k++) {
        xr_alloc_fail_after(k);
        failed = xr_model_seal(things[3]) < 0;
        xr_alloc_fail_after(-1);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), live);
        assert_int_equal(verify(things[3]), 0);
    }
    assert_true(k > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_of_a_tensor),
        cmocka_unit_test(other_kinds),
        cmocka_unit_test(equal_things),
        cmocka_unit_test(place_of_a_difference),
        cmocka_unit_test(minus_zero_and_nan_are_differences),
        cmocka_unit_test(whole_things_pass),
        cmocka_unit_test(damaged_checkpoints),
        cmocka_unit_test(damaged_files_without_a_manifest),
        cmocka_unit_test(damaged_stores),
        cmocka_unit_test(damaged_models),
        cmocka_unit_test(damaged_models_with_digests),
        cmocka_unit_test(edited_models),
        cmocka_unit_test(files_beside_a_model),
        cmocka_unit_test(forged_digests),
        cmocka_unit_test(missing_and_extra_files),
        cmocka_unit_test(sweeps),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests(tests, make_all, remove_scratch);
}
