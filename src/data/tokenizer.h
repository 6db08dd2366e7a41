/* XLM-R's tokenizer: sentencepiece unigram with fairseq's ids (XLMRobertaTokenizer).
 *
 * <s> 0, <pad> 1, </s> 2, <unk> 3, any other piece = sentencepiece id + 1, <mask> last = sentencepiece size + 1.
 * A tokenizer is immutable after opening and safe to share between threads. */
#ifndef XR_DATA_TOKENIZER_H
#define XR_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

typedef struct xr_tokenizer xr_tokenizer;

enum { XR_ID_BOS = 0, XR_ID_PAD = 1, XR_ID_EOS = 2, XR_ID_UNK = 3 };

/* One token: id and the bytes of the original text it stands for, as sentencepiece counts them: a piece that begins
 * a word has the white space before it; where one character is written out as several pieces (U+FDFA), all but the
 * last are empty (begin = end), as are <s> and </s> that were added. Never decreasing within a text. */
typedef struct xr_token { int32_t id; uint32_t begin, end; } xr_token;

typedef struct xr_tokens { xr_token *v; size_t n, cap; } xr_tokens;     /* zero-initialise; xr_tokens_free */
void xr_tokens_free(xr_tokens *t);

/* PATH: a sentencepiece model, or a directory holding sentencepiece.bpe.model. The file is validated before the
 * library sees it (catalogue 41-44). NULL with the error set. */
xr_tokenizer *xr_tokenizer_open(const char *path);
void xr_tokenizer_free(xr_tokenizer *t);

int xr_tokenizer_vocab_size(const xr_tokenizer *t);         /* sentencepiece size + 2 */
int32_t xr_tokenizer_mask_id(const xr_tokenizer *t);
const char *xr_tokenizer_piece(const xr_tokenizer *t, int32_t id);  /* borrowed; NULL if out of range */
const char *xr_tokenizer_sha256(const xr_tokenizer *t);     /* of the model file, 64 hex digits */
const char *xr_tokenizer_path(const xr_tokenizer *t);       /* of the sentencepiece file */

/* Appends the pieces of text[0..len) without <s> and </s>. specials = 1: "<s>", "</s>", "<pad>", "<unk>", "<mask>"
 * in the text become those ids as in transformers (<mask> swallows the white space before it); 0: they are plain
 * text. Bad UTF-8 is XR_EDATA with the byte offset. */
xr_status xr_tokenizer_encode(const xr_tokenizer *t, const char *text, size_t len, int specials, xr_tokens *out);

/* <s> A </s>, or <s> A </s></s> B </s> when pair is given; truncated longest-first to max_len tokens in all (0 = no
 * limit). ids appended to out; `truncated` (may be NULL) receives the tokens cut. Token offsets of B are relative to
 * B. */
xr_status xr_tokenizer_encode_pair(const xr_tokenizer *t, const char *text, const char *pair, size_t max_len,
                                   int specials, xr_tokens *out, size_t *truncated);

/* The same for texts that may hold NUL bytes. */
xr_status xr_tokenizer_encode_spans(const xr_tokenizer *t, const char *text, size_t text_len, const char *pair,
                                    size_t pair_len, size_t max_len, int specials, xr_tokens *out, size_t *truncated);

/* How many tokens longest-first truncation takes from each side of a pair: one at a time from the longer, from the
 * second when they are equal (transformers' truncate_sequences). remove <= len_a + len_b. */
void xr_truncate_longest_first(size_t len_a, size_t len_b, size_t remove, size_t *cut_a, size_t *cut_b);

/* Text of ids: pieces joined, U+2581 to space, leading space dropped (as transformers' decode). skip_specials leaves
 * out ids 0-3 and <mask>. Caller frees; NULL with the error set. */
char *xr_tokenizer_decode(const xr_tokenizer *t, const int32_t *id, size_t n, int skip_specials);

/* Trains a unigram model with XLM-R's settings (nmt_nfkc, dummy prefix, <unk> 0, <s> 1, </s> 2) from text files
 * (plain, WET, JSON lines) and writes PATH atomically: the same bytes for the same input at any number of threads. nmt_nfkc
 * is that of the library: 0.1.97's leaves U+200D alone, which XLM-R's own model turns into a space, and knows 14
 * newer characters. */
typedef struct xr_tokenizer_training {
    int vocab_size;             /* of the model as used: pieces + <mask> and <pad> */
    const char *const *input; int n_input;
    long max_sentences;         /* 0 = all */
    int threads;                /* 0 = all; the model does not depend on it */
    uint64_t seed;              /* of the choice of max_sentences lines */
    const struct xr_text_options *text;     /* of raw text (data/text.h); NULL = formats by content, a bad record is an error */
    double character_coverage;  /* 0 = 0.999995; XLM-R's own model, of 250,000 pieces, had 0.999995 */
} xr_tokenizer_training;
xr_status xr_tokenizer_train(const xr_tokenizer_training *how, const char *output);

#endif
