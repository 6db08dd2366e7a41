/* Token stores for tests: made-up sentences in three languages. Needs make_scratch and train_tiny_tokenizer first. */
#ifndef XR_TESTS_TINY_STORE_H
#define XR_TESTS_TINY_STORE_H

#include "data/store.h"
#include "tiny_dir.h"
#include "util/json.h"

static inline void tiny_store_sentence(xr_store_writer *w, xr_tokenizer *t, const char *text)
{
    int32_t id[256];
    xr_tokens tokens = { 0 };
    assert_int_equal(xr_tokenizer_encode(t, text, strlen(text), 0, &tokens), XR_OK);
    assert_true(tokens.n <= 256);
    for (size_t k = 0; k < tokens.n; k++)
        id[k] = tokens.v[k].id;
    assert_int_equal(xr_store_sentence(w, id, tokens.n), XR_OK);
    xr_tokens_free(&tokens);
}

/* A store scratch/NAME of 3 languages: n sentences, the made-up ones [first, first + distinct) again and again, in documents of 5, and behind them a
 * document of `last` (may be NULL). */
static inline void make_tiny_store(const char *name, unsigned first, unsigned n, unsigned distinct, const char *last)
{
    static const char *const language[] = { "aa", "bb", "cc" };
    char path[320];
    json_t *facts = NULL, *shards = json_array();
    xr_tokenizer *t = xr_tokenizer_open(in_scratch("tok"));
    assert_non_null(t);
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    snprintf(path, sizeof path, "%s/shard-00000.h5", in_scratch(name));
    xr_store_writer *w = xr_store_create(path, 0);
    assert_non_null(w);
    for (unsigned i = 0; i < n; i++) {
        tiny_store_sentence(w, t, tiny_sentence(first + i % distinct));
        if (i % 5 == 4 || i + 1 == n)
            assert_int_equal(xr_store_end_document(w, language[i / 5 % 8 < 5 ? 0 : i / 5 % 8 < 7 ? 1 : 2]), XR_OK);
    }
    if (last) {
        tiny_store_sentence(w, t, last);
        assert_int_equal(xr_store_end_document(w, language[0]), XR_OK);
    }
    assert_int_equal(xr_store_commit(w, &facts), XR_OK);
    json_array_append_new(shards, facts);
    if (xr_store_write_manifest(in_scratch(name), xr_tokenizer_sha256(t), xr_tokenizer_vocab_size(t), shards, NULL) < 0)
        fail_msg("%s", xr_error_message());
    json_decref(shards);
    xr_tokenizer_free(t);
}

#endif
