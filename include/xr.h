/* xr.h: the public interface of libxlmr, which trains and runs XLM-RoBERTa on CPUs.
 *
 *   xr_context *c = xr_open("my-run/best", XR_READ);       // as `xlmr finetune` leaves it, here with 3 labels
 *   float logits[2 * 3];                                   // n x xr_label_count(c)
 *   const char *a[] = { "It rains.", "Er schläft." }, *b[] = { "It is wet outside.", "Er ist wach." };
 *   if (!c || xr_classify(c, a, b, 2, logits) < 0)
 *       fprintf(stderr, "%s\n", xr_error());
 *   xr_close(c);
 *
 * Rules that hold for every function:
 *  - Nothing here prints, exits or aborts on bad input; failures come back as a negative status (XR_ERR_…) or NULL, with a message for people in
 *    xr_error(), which names the file, or the number of the text (the first, or the only one, is text 0, its pair text_pair 0), and what to do. Out of
 *    memory is such a failure. A wrong argument (NULL, index out of range) is a failure too.
 *  - Where there is nothing to answer, n = 0 is fine, also with NULL for the arrays: xr_sentence_features writes nothing, xr_decode_ids gives "", the
 *    xr_free_… functions free what they are given. xr_classify and xr_train_step want 1 text or more, xr_open_classifier 2 labels or more: fewer are
 *    XR_ERR_USAGE.
 *  - Text is UTF-8, NUL-terminated. "<mask>", "</s>" and the like are read as special tokens by xr_encode_text, xr_guess_masks and
 *    xr_sentence_features, as in transformers; in texts to classify or train on they are ordinary characters, as for `xlmr predict`.
 *  - Matrices are float, row-major, in the caller's memory. Sizes in comments: n texts, H hidden size, C labels, V vocabulary.
 *  - A context is used by one thread at a time; different contexts may be used by different threads, except that all share one pool of OpenMP
 *    threads (xr_set_threads). The error message is per thread.
 *  - Results do not depend on the number of threads.
 *  - fork(): a child hangs in its first call if its parent had opened a context, since the threads of libgomp's pool do not survive a fork. Fork before the
 *    first call, or let the child exec, or call xr_set_threads(1) before the first context is opened, which leaves the pool without threads.
 *  - What nothing here can catch: a model.safetensors that is cut short or written over in its place while a context of XR_READ has it open, which ends the
 *    program by SIGBUS or changes its answers. Put another file in its place by renaming, as xr_save does, or open with XR_TRAIN.
 *  - Nor a number of threads that the system refuses (ulimit -u, no memory for their stacks). libgomp then prints a message and ends the program. The
 *    number is that of the cores (or OMP_NUM_THREADS) until xr_set_threads: choose one that is granted. */
#ifndef XR_H
#define XR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XR_API __attribute__((visibility("default")))
#else
#define XR_API
#endif

/* Status codes; the negated exit codes of the command line. */
enum {
    XR_ERR_USAGE = -2,          /* wrong argument, or not possible with this model */
    XR_ERR_DATA = -65,          /* a file or text is not what it should be */
    XR_ERR_NO_INPUT = -66,      /* a file does not exist or cannot be opened */
    XR_ERR_UNAVAILABLE = -69,   /* a library is missing or unfit (serial OpenBLAS) */
    XR_ERR_SOFTWARE = -70,      /* a bug in this library */
    XR_ERR_SYSTEM = -71,        /* out of memory or another resource */
    XR_ERR_CREATE = -73,        /* output cannot be created */
    XR_ERR_IO = -74,            /* reading or writing failed midway */
    XR_ERR_CONFIG = -78,        /* configuration */
    XR_ERR_DIVERGED = -80       /* loss or gradient not finite; weights untouched by that step */
};

typedef struct xr_context xr_context;

/* --- the library --------------------------------------------------------------------------------------------- */

XR_API const char *xr_version(void);                /* "0.1.0" */
XR_API const char *xr_error(void);                  /* message of the last failure on this thread, "" if none; valid until the next call */
/* 0 = all cores, at most 4096; returns the number now used. Not while another thread is inside a call. */
XR_API int xr_set_threads(int n);
/* Notes and warnings go to f (level 0 debug, 1 note, 2 warning); NULL, the default: nowhere. */
XR_API void xr_set_log(void (*f)(int level, const char *message));

/* --- a model directory ----------------------------------------------------------------------------------------- */

typedef enum xr_mode {
    XR_READ,    /* weights stay in the mapped file: instant start, cannot be trained. With AVX2 or AVX-512 the second pass makes copies of the layers
                 * that are laid out anew (340 MB of base); with other precisions the first one does */
    XR_TRAIN    /* weights in memory of the library's own */
} xr_mode;

/* Opens a Hugging Face directory (config.json, model.safetensors, sentencepiece.bpe.model). NULL on failure. */
XR_API xr_context *xr_open(const char *dir, xr_mode mode);
/* For training: a classification head for these n labels (2 or more), whatever head the directory has. Label k is class k. A head for other labels is freshly
 * initialised by `seed`; one for the same labels in another order is refused (XR_ERR_USAGE), with the order to give. */
XR_API xr_context *xr_open_classifier(const char *dir, const char *const *label, int n, uint64_t seed);
XR_API void xr_close(xr_context *c);                /* NULL is fine */
/* What the matrix products of the encoder multiply from now on: "f32" (as opened), "bf16" (rounded, sums in f32; 1.6 to 1.9 times as fast with AVX512-BF16),
 * "int8" (answers only; about three times as fast with AVX512-VNNI, 1.6 to 1.9 times with AVX2, at a small cost in accuracy). As xlmr's --precision:
 * weights, files and training state stay f32, and a CPU without the instructions is slower but not refused (a warning goes to the log). Before
 * xr_train_begin, which takes f32 and bf16. */
XR_API int xr_set_precision(xr_context *c, const char *precision);
/* Writes the model and its tokenizer as a new Hugging Face directory; complete or absent. An existing one is replaced only when replace is 1. The
 * tokenizer's files are copied from the directory that was opened, which has to be there still (a relative name from the same working directory); one
 * whose pieces have changed since is an error. */
XR_API int xr_save(xr_context *c, const char *dir, int replace);

/* Of an open context. These six and xr_label_name leave the message of an earlier failure as it is, unless they fail: over NULL, with XR_ERR_USAGE. */
XR_API int xr_hidden_size(const xr_context *c);     /* H */
XR_API int xr_layer_count(const xr_context *c);
XR_API int xr_vocabulary_size(const xr_context *c);      /* V */
XR_API int xr_max_tokens(const xr_context *c);      /* of one text, with <s> and </s> */

/* What xr_classify's logits are, which makes them answers in different ways. */
typedef enum xr_answer_kind {
    XR_ANSWER_NONE,             /* there are none: no head, or one of another task (masked words, tags of words, question answering, multiple choice) */
    XR_ANSWER_ONE_LABEL,        /* the text has one label, the one of the largest logit; probabilities: softmax over the C logits */
    XR_ANSWER_ANY_LABELS,       /* the text has every label whose logit is above 0, if any; probability of each: 1 / (1 + exp(-logit)) */
    XR_ANSWER_VALUES            /* regression: the logits are the values themselves */
} xr_answer_kind;
XR_API int xr_answer(const xr_context *c);          /* an xr_answer_kind */
XR_API int xr_label_count(const xr_context *c);     /* C, also of values; 0 with XR_ANSWER_NONE */
XR_API const char *xr_label_name(const xr_context *c, int k);    /* name of label k, owned by the context; NULL, a failure, out of range */

/* --- text and ids ---------------------------------------------------------------------------------------------- */

/* Ids of <s> text </s>, or <s> text </s></s> pair </s> when pair is not NULL, cut longest-first to what the model takes. Returns how many there are and
 * writes at most cap of them; negative on failure. Of a text with "</s>" or the like in it these are not the ids that xr_classify and xr_train_step
 * see, for which such a string is ordinary characters. */
XR_API long xr_encode_text(xr_context *c, const char *text, const char *pair, int32_t *id, size_t cap);
/* Text of n ids, special tokens left out. Free with xr_free_text. NULL on failure. */
XR_API char *xr_decode_ids(const xr_context *c, const int32_t *id, size_t n);
XR_API void xr_free_text(char *text);

/* --- what models answer ---------------------------------------------------------------------------------------- */

typedef enum xr_pooling { XR_POOL_FIRST, XR_POOL_MEAN } xr_pooling;     /* vector of <s>; mean over all tokens */

/* One vector a text: out[n, H], in the order given, from hidden states of `layer` (0 = embeddings, -1 = last); a text is cut to xr_max_tokens. Texts are
 * computed together, at most 1,024 tokens at once, or one text that has more, which bounds the memory. In bf16 and int8, and in f32 with XR_READ and AVX2 or
 * AVX-512, the bits of a vector do not depend on the other texts; in f32 otherwise they may, by rounding. After a failure some of out may have been written,
 * but none over a NULL among the texts. */
XR_API int xr_sentence_features(xr_context *c, const char *const *text, size_t n, int layer, xr_pooling pooling, float *out);

typedef struct xr_guess { float score; int32_t token; char *token_str, *sequence; } xr_guess;

/* The top_k (1 to V) candidates for every <mask> of text, best first, as *guess[masks * top_k], NULL after a failure; returns the number of masks.
 * Free with xr_free_guesses, n = masks * top_k. */
XR_API int xr_guess_masks(xr_context *c, const char *text, int top_k, xr_guess **guess);
XR_API void xr_free_guesses(xr_guess *guess, int n);

/* Logits of the classification head: logits[n, C]; xr_answer says what they mean. pair may be NULL (single texts). After a failure some of
 * logits may have been written, but none over a NULL among the texts. */
XR_API int xr_classify(xr_context *c, const char *const *text, const char *const *pair, size_t n, float *logits);

/* --- training -------------------------------------------------------------------------------------------------- */

/* Ranges; what is out of them is XR_ERR_USAGE. The rate rises in a line from 0 in the first update to its peak in update warmup_steps (updates are counted
 * from 0), then the schedule brings it down to 0 in update total_steps, or not ("constant"). Steps beyond total_steps are not refused: "linear" and
 * "polynomial" stay at 0, so that nothing is learned any more; "constant" goes on; "cosine" rises again, as in transformers. */
typedef struct xr_recipe {
    double learning_rate;       /* peak, >= 0 and finite; 2e-5 */
    double weight_decay;        /* >= 0 and finite; decoupled; biases and LayerNorm excluded; 0 */
    double max_grad_norm;       /* >= 0; 0 = no clipping; 1.0 */
    const char *schedule;       /* "linear", "cosine", "constant", or "polynomial", which is of power 1 here and so as linear; "linear" */
    uint64_t total_steps;       /* 1 or more */
    uint64_t warmup_steps;      /* 0 to total_steps; 0 */
    uint64_t seed;              /* of dropout; 42 */
} xr_recipe;

/* The values above that stand last in their line, those that xlmr finetune has by default, for `total_steps` updates. */
XR_API xr_recipe xr_recipe_default(uint64_t total_steps);

/* Prepares AdamW for a context from xr_open_classifier (or xr_open with XR_TRAIN and a head for single-label classification); once a context. */
XR_API int xr_train_begin(xr_context *c, const xr_recipe *recipe);
/* One update on n (1 to 2^30 - 1) examples with class numbers `label`, after xr_train_begin; *loss (may be NULL) receives the mean loss before
 * the update. A step that fails changes nothing. */
XR_API int xr_train_step(xr_context *c, const char *const *text, const char *const *pair, const int32_t *label, size_t n, double *loss);

#ifdef __cplusplus
}
#endif

#endif
