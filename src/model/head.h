/* A task head is one file in heads/: which rows it declares, what it computes on the encoder's output, its loss. */
#ifndef XR_MODEL_HEAD_H
#define XR_MODEL_HEAD_H

#include "model/model.h"

typedef struct xr_head {
    const char *name;                                   /* file name = symbol = value of config.head */
    const char *architecture;                           /* "XLMRobertaForMaskedLM" … */
    xr_status (*declare)(xr_model *m);                  /* adds rows, fills m->head_param */
    /* Logits for the batch: sequence_cls [B, C]; masked_lm [M, V] at `batch->mask_row`. */
    xr_tensor *(*forward)(xr_tape *t, xr_model *m, const xr_batch *batch);
    /* 1 x 1 sum of losses for the batch's targets; *weight receives what to divide the step's sum by (examples, masked tokens, sum of class weights). */
    xr_tensor *(*loss)(xr_tape *t, xr_model *m, const xr_batch *batch, double *weight, xr_tensor **logits);
} xr_head;

extern const xr_head *const xr_heads[];                 /* generated from heads/, NULL-terminated */
const xr_head *xr_head_find(const char *name);          /* NULL if unknown */
const xr_head *xr_head_of_architecture(const char *architecture);

#endif
