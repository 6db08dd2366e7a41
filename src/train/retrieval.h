/* Finding translations by sentence vectors: files of two languages that belong together, vectors of their lines, and mining of pairs by margin.
 * What the benchmarks tatoeba and bucc2018 are made of; any encoder will do, no head is used. */
#ifndef XR_TRAIN_RETRIEVAL_H
#define XR_TRAIN_RETRIEVAL_H

#include "kernels/knn.h"
#include "train/evaluate.h"
#include "util/str.h"

/* ---- retrieval_files.c ---- */

/* Fills e->v from names A-B.A and A-B.B in --data-dir, or A-B{middle}.A (".test"); LASER's "tatoeba." may stand before. The language is A, or
 * "A-B" where B is not English; the path is that of A. Then order and --languages. */
xr_status xr_retrieval_find(xr_evaluation *e, const char *middle);
/* The path that belongs to s->path with another middle and last part: "B" (the other language), "gold"; NULL as last: A itself. *path stays NULL when
 * there is no such file, packed or not. Caller frees. */
xr_status xr_retrieval_path(const xr_scored *s, const char *middle, const char *last, char **path);

/* The lines of a file, tokenised once for each distinct text. */
typedef struct xr_lines {
    size_t n;
    xr_str bytes;               /* ids and texts, each with its NUL */
    size_t *id, *text;          // [n] where they begin; ids where there are any
    uint32_t *vector;           // [n] the line's text within data
    xr_dataset data;            /* the distinct texts */
    uint32_t *line;             // [data.n] the first line with each
    uint8_t *repeated;          // [data.n] others have it too
    size_t cap_id, cap_text;
} xr_lines;
/* Reads a path: "text", or with ids "id TAB text"; white space at both ends is left out. max_lines 0: all. */
xr_status xr_lines_read(xr_lines *l, const char *path, int ids, const xr_tokenizer *tok, size_t max_len, size_t max_lines);
/* Adds tokens, <unk> and cut texts to the counts of s->data, which holds nothing else. */
void xr_lines_count(xr_scored *s, const xr_lines *l);
void xr_lines_free(xr_lines *l);

/* ---- retrieval.c ---- */

extern const char *const xr_retrieval_options[];    /* of benchmark.h */
/* --layer, or what XTREME takes where it is not given: 7 of 12 layers, 13 of 24, in proportion of others. < 0: XR_EUSAGE. */
int xr_retrieval_layer(const xr_context *c, const xr_options *o);
/* Shows that n units of work of this language come next. */
void xr_retrieval_begin(const xr_scored *s, size_t n, const xr_evaluate_hooks *h);
/* Vectors of length 1, [d->n, H], by --layer and --pooling. Caller frees; NULL with the error set. */
float *xr_retrieval_vectors(const xr_evaluation *e, const xr_scored *s, const xr_dataset *d, const xr_evaluate_hooks *h);

/* A pair of rows, by its margin: product / mean of the mean products with the k nearest of each. */
typedef struct xr_mined { uint32_t a, b; double score; } xr_mined;
/* The candidates that XTREME's mine_bitext gives (both directions, ratio margin, no row twice, scores above 0), best first. *pairs is the caller's. */
xr_status xr_retrieval_mine(xr_mined **pairs, size_t *n_pairs, const float *x, size_t n, const float *y, size_t m, size_t d, size_t k,    // [N,D] [M,D]
                            xr_knn_progress progress, void *context);
/* The score from which on pairs are kept so that F1 is the highest: between the last kept and the next, as XTREME's bucc_optimize. gold[i]: pair i is
 * right; n_gold: right pairs there are in all. */
double xr_retrieval_threshold(const xr_mined *pair, const uint8_t *gold, size_t n, size_t n_gold);

#endif
