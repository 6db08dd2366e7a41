/* A task head is one file in heads/: which rows it declares, what it computes on the encoder's output, its loss. */
#ifndef XR_MODEL_HEAD_H
#define XR_MODEL_HEAD_H

#include "model/model.h"

/* Rows of the last layer that a head reads, so that no others need be computed: all, the first of each sequence, those with a target. */
typedef enum xr_head_reads { XR_READS_ALL, XR_READS_FIRST, XR_READS_TARGETS } xr_head_reads;

typedef struct xr_head {
    const char *name;                                   /* file name = symbol = value of config.head */
    const char *architecture;                           /* "XLMRobertaForMaskedLM" … */
    xr_status (*declare)(xr_model *m);                  /* adds rows, fills m->head_param */
    /* Logits for the batch: sequence_cls [B, C]; multiple_choice [B, 1]; at `batch->mask_row` masked_lm [M, V], token_cls [M, C]; of every row
     * question_answering [N, 2]. */
    xr_tensor *(*forward)(xr_tape *t, xr_model *m, const xr_batch *batch);
    /* What the sum of losses over a batch is divided by: masked tokens, examples or words, sum of class weights. */
    double (*weight)(const xr_batch *batch, int n_labels);
    /* 1 x 1 sum of the losses for the batch's targets. *logits (may be NULL) receives the logits node, NULL where they never exist whole. */
    xr_tensor *(*loss)(xr_tape *t, xr_model *m, const xr_batch *batch, xr_tensor **logits);
    xr_head_reads reads;
} xr_head;

/* Declares n rows, kept in m->head_param in this order. */
typedef struct xr_head_row { const char *name; int rank; size_t rows, cols; xr_init init; unsigned flags; } xr_head_row;
xr_status xr_head_declare(xr_model *m, const xr_head_row *row, size_t n);

extern const xr_head *const xr_heads[];                 /* generated from heads/, NULL-terminated */
const xr_head *xr_head_find(const char *name);          /* NULL if unknown */
const xr_head *xr_head_of_architecture(const char *architecture);

#endif
