/* Small model directories for tests: a golden model (vocabulary 120) with a tokenizer trained on made-up words, and
 * sentences of these words. Needs make_scratch first. */
#ifndef XR_TESTS_TINY_DIR_H
#define XR_TESTS_TINY_DIR_H

#include "data/tokenizer.h"
#include "model/hf.h"
#include "scratch.h"
#include "util/str.h"

/* The i-th sentence, words of two or three syllables: a function of i. */
static inline const char *tiny_sentence(unsigned i)
{
    static char text[4][256];
    static unsigned turn;
    char *s = text[turn++ % 4];
    uint32_t x = 2654435761u * (i + 1);
    size_t at = 0, n = 4 + 3 * (i % 4);
    for (size_t k = 0; k < n; k++) {
        x = x * 1664525u + 1013904223u;
        if (k && (x >> 8) % 5 < 2)
            s[at++] = ' ';
        s[at++] = "bdfgklmnprst"[(x >> 16) % 12];
        s[at++] = "aeiou"[(x >> 24) % 5];
    }
    s[at] = '\0';
    return s;
}

static inline void write_scratch(const char *name, const char *text)
{
    assert_int_equal(xr_file_write(in_scratch(name), text, strlen(text)), XR_OK);
}

/* scratch/tok/sentencepiece.bpe.model */
static inline void train_tiny_tokenizer(void)
{
    xr_str corpus = { 0 };
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(xr_str_printf(&corpus, "%s\n", tiny_sentence(i)), XR_OK);
    write_scratch("corpus.txt", corpus.s);
    xr_str_free(&corpus);
    assert_int_equal(xr_mkdirs(in_scratch("tok")), XR_OK);
    const char *input[] = { in_scratch("corpus.txt") };
    xr_tokenizer_training how = { .vocab_size = 120, .input = input, .n_input = 1, .threads = 1 };
    if (xr_tokenizer_train(&how, in_scratch("tok/sentencepiece.bpe.model")) < 0)
        fail_msg("%s", xr_error_message());
}

static inline void load_golden(xr_model *m, const char *golden)
{
    char path[128];
    xr_load_options quiet = { .quiet = 1 };
    snprintf(path, sizeof path, "tests/golden/%s", golden);
    if (xr_model_load(m, path, &quiet) < 0)
        fail_msg("%s", xr_error_message());
}

/* As scratch/NAME, with that tokenizer; frees the model. */
static inline void save_tiny(xr_model *m, const char *name)
{
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    if (xr_model_save(m, in_scratch(name), in_scratch("tok"), NULL) < 0)
        fail_msg("%s", xr_error_message());
    xr_model_free(m);
}

/* scratch/NAME: tests/golden/GOLDEN with that tokenizer. label: new names of its classes in another order, class k of
 * the new model being class from[k] of the old; NULL: as they are. spread > 0 stretches the logits, and shift (by old
 * class, may be NULL) is added to them, so that answers vary. */
static inline void make_tiny_dir(const char *name, const char *golden, const char *const *label, const int *from,
                                 float spread, const float *shift)
{
    xr_model m;
    load_golden(&m, golden);
    size_t last = m.head_param[2] ? 2 : 0;          /* the output layer: the second of a classifier, the only one of a tagger */
    xr_tensor *w = &m.head_param[last]->t, *b = &m.head_param[last + 1]->t;
    float old_w[8 * 64], old_b[8];
    assert_true(w->rows * w->cols <= 8 * 64 && w->rows <= 8);
    memcpy(old_w, w->x, w->rows * w->cols * sizeof *old_w);
    for (size_t k = 0; k < w->rows; k++)
        b->x[k] = old_b[k] = b->x[k] + (shift ? shift[k] : 0.0f);
    for (size_t k = 0; label && k < w->rows; k++) {
        size_t old = (size_t)from[k];
        for (size_t j = 0; j < w->cols; j++)
            w->x[k * w->cols + j] = old_w[old * w->cols + j];
        b->x[k] = old_b[old];
    }
    for (size_t i = 0; spread > 0 && i < w->rows * w->cols; i++)
        w->x[i] *= spread;
    if (label)
        assert_int_equal(xr_config_set_labels(&m.config, label, m.config.num_labels, m.config.problem), XR_OK);
    save_tiny(&m, name);
}

/* scratch/NAME: n sentences with labels; `foreign`: the number of one with a character that the tokenizer does not know, or n. The labels follow no rule that
 * could be learned: what is learned of the shares of both makes the loss of others' labels better, what is learned by heart makes it worse. */
static inline void write_labelled(const char *name, unsigned from, unsigned n, unsigned foreign)
{
    xr_str s = { 0 };
    assert_int_equal(xr_str_puts(&s, "text\tlabel\n"), XR_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(xr_str_printf(&s, "%s%s\t%s\n", tiny_sentence(from + i), i == foreign ? " \xe4\xbd\xa0" : "", i % 3 ? "yes" : "no"), XR_OK);
    write_scratch(name, s.s);
    xr_str_free(&s);
}

/* scratch/NAME: the golden model with one row of its embeddings so large that what looks it up overflows: of the unknown word, or of a position. */
static inline void make_overflowing_dir(const char *name, const char *golden, int position)
{
    xr_model m;
    load_golden(&m, golden);
    xr_tensor *t = position ? &m.position->t : &m.word->t;
    for (size_t j = 0; j < t->cols; j++)
        t->x[(size_t)(position ? position : XR_ID_UNK) * t->cols + j] = 3e38f;
    save_tiny(&m, name);
}

#endif
