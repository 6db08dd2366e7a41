/* Questions as examples: windows over their passages, which share --doc-stride pieces, with the question before each.
 *
 *   <s> question </s></s> pieces of the passage </s>
 *
 * The question loses white space at its start, and pieces beyond max_query; only the passage is cut into windows, as transformers' tokenizer does by
 * truncation="only_second", stride and return_overflowing_tokens. The label of a window is the smallest run of pieces that covers the characters of
 * the question's first answer, when the window holds all of it, else <s>. */
#ifndef XR_DATA_QA_WINDOWS_H
#define XR_DATA_QA_WINDOWS_H

#include "data/dataset.h"

/* Appends one file's questions. Of `o` it reads max_len, max_samples (questions), need_label, skip_bad, max_bad_fraction, doc_stride, max_query, need_place
 * and unique_ids. */
xr_status xr_dataset_add_squad(xr_dataset *d, const char *path, const xr_tokenizer *tok, const xr_data_options *o);
/* Appends one question without a label from memory. */
xr_status xr_dataset_ask(xr_dataset *d, const xr_tokenizer *tok, const char *id, const char *question, const char *context,
                                  const xr_data_options *o);
/* Whether the lengths leave a window more pieces than two windows share; XR_EUSAGE naming the options otherwise. */
xr_status xr_windows_check(const xr_data_options *o);

/* The smallest run of pieces that covers bytes [begin, end) of their text, white space at its ends aside: [*first, *last], both included. 0 when no piece
 * stands for any of them. */
int xr_windows_cover(const char *text, const xr_token *piece, size_t n, size_t begin, size_t end, size_t *first, size_t *last);

/* Bytes [*begin, *end) of the passage that pieces [first, last] stand for, without blanks (xr_utf8_is_blank) at either end: what an answer is cut by. */
void xr_windows_cut(const xr_windows *w, uint32_t passage, size_t first, size_t last, size_t *begin, size_t *end);

/* Whether window `w` of the question shows most of what stands around a piece of its passage: most on the poorer side, a hundredth of the window's length
 * added, the first of equals (as BERT's run_squad chooses). */
int xr_windows_is_best(const xr_windows *w, size_t window, size_t piece);

#endif
