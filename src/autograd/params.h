/* Parameters are rows of one table: name, shape, init, flags, storage. Initialisation, freezing, decay groups, clipping, checkpoint,
 * import, export and inspection all read it. */
#ifndef XR_AUTOGRAD_PARAMS_H
#define XR_AUTOGRAD_PARAMS_H

#include <stddef.h>
#include <stdint.h>
#include "autograd/tensor.h"
#include "util/error.h"

typedef enum xr_init { XR_INIT_NORMAL, XR_INIT_ZERO, XR_INIT_ONE } xr_init; /* N(0, initializer_range) / 0 / 1 */

enum {
    XR_PARAM_NO_DECAY = 1,      /* bias or LayerNorm: outside the decay group (HF Trainer, XTREME) */
    XR_PARAM_HEAD = 2,          /* belongs to a task head: may be absent in a pretrained directory */
    XR_PARAM_FROZEN = 4,
    XR_PARAM_PAD_ROW = 8,       /* row 1 (<pad>) starts at zero and gets no gradient (padding_idx) */
    XR_PARAM_ROW_GRAD = 16,     /* gradient is a list of rows (an embedding used for look-up only) */
    XR_PARAM_LATE_GRAD = 32     /* gradient is made while the optimizer uses it (the vocabulary tied to a masked-LM head) */
};

/* Gradient of an embedding as the list of rows touched in a step, in order of first touch. */
typedef struct xr_rowgrad {
    size_t rows, cols;          /* of the parameter */
    int32_t *slot;              // [rows] position in the list, -1 if untouched
    uint32_t *row;              // [cap] touched rows
    float *g;                   // [cap, cols]
    size_t n, cap;
} xr_rowgrad;

/* A gradient that is nowhere in memory as a whole: masked_lm leaves behind what it follows from, embedding what is added to the rows that
 * were looked up, and the optimizer makes it tile by tile. Everything it points to lives on the tape until that begins anew, so there is
 * one pass between two updates. */
typedef struct xr_late_grad {
    void (*begin)(const void *context, void *scratch);      /* before the tiles */
    /* Rows [i width, (i + 1) width) of the gradient, as many as there are, into g; on one of `workers` threads. NULL: no gradient. */
    void (*tile)(const void *context, size_t i, int worker, float *g, void *scratch);
    const void *context;
    size_t n, width, scratch;   /* tiles, rows of each; bytes for all workers */
    int workers;
    double work;                /* operations for all of it */
    const int32_t *id;          // [n_ids] rows that were looked up, in order; -1: its gradient is not wanted
    const float *dy;            // [n_ids, cols]
    size_t n_ids;
} xr_late_grad;

/* A copy of a row's values, packed for a kernel, and what it was made from. */
typedef struct xr_packed {
    const struct xr_pack_kind *kind;
    void *data;
    size_t bytes;
    const float *values;
    uint64_t version;
} xr_packed;

/* Storage belongs to the row: x may lie in the table's own block, in a mapped file, or apart. */
typedef struct xr_param {
    xr_tensor t;                /* leaf: t.x values, t.g gradient or t.rowgrad */
    char *name;                 /* Hugging Face name, e.g. "roberta.encoder.layer.0.attention.self.query.weight" */
    int rank;                   /* 1 or 2: the shape in the file is [cols] or [rows, cols] */
    int layer;                  /* 0 embeddings, 1..L encoder layers, L+1 head: for layer-wise rates and freezing */
    xr_init init;
    unsigned flags;
    uint64_t version;           /* of the values: whoever writes them calls xr_param_changed */
    const struct xr_pack_kind *pack;    /* what linear layers multiply by; NULL: the f32 values as they are */
    xr_packed packed;           /* kept by xr_param_packed */
    uint64_t met;               /* one more than the version that a product was made with */
    int mapped;                 /* values lie in a read-only mapping of a file */
    xr_late_grad *late;         /* with XR_PARAM_LATE_GRAD, once gradients are allocated */
} xr_param;

static inline void xr_param_changed(xr_param *p) { p->version++; }

typedef struct xr_params {
    xr_param **row;             // [n] in order of declaration; the order of the Hugging Face state dict
    size_t n, cap;
    float *values;              /* one block, 64-byte aligned slices; NULL while values live elsewhere (mapped) */
    float *grads;               /* one block of the dense gradients */
    size_t values_bytes, grads_bytes;
    float **own;                // [n] separately owned storage of a row, or NULL
} xr_params;

/* Declares a row and returns it (stable address); NULL with the error set. rank 1: rows = 1. */
xr_param *xr_params_add(xr_params *ps, const char *name, int rank, size_t rows, size_t cols, xr_init init, unsigned flags, int layer);
xr_param *xr_params_find(const xr_params *ps, const char *name);
size_t xr_params_count(const xr_params *ps);                        /* scalars in all rows */
xr_status xr_params_alloc(xr_params *ps);                           /* storage for every row that has none */
xr_status xr_params_alloc_grads(xr_params *ps);                     /* per flags: dense block and row lists; none for frozen rows */
void xr_param_init(xr_param *p, float std, uint64_t seed);          /* a function of (seed, name): independent of the order of rows */
/* The values packed as p->pack wants them, made when first asked for and again when they have changed; NULL with the error set. One thread
 * at a time. */
const void *xr_param_packed(xr_param *p);
int xr_param_first_product(xr_param *p);                            /* whether no product was made with its values yet, which is one now */
void xr_params_changed(xr_params *ps);                              /* all rows */
void xr_params_zero_grads(xr_params *ps);
void xr_params_free(xr_params *ps);

/* The gradient row for `row`, zeroed on first touch in a step; NULL with the error set when memory is out. */
float *xr_rowgrad_at(xr_rowgrad *rg, uint32_t row);
void xr_rowgrad_clear(xr_rowgrad *rg);

/* What `linear` multiplies by: the f32 master values, or the copy that the row's kind of packing makes of them. Adapters are added here
 * without touching any op's signature. */
typedef struct xr_weight {
    xr_param *master;           // [out, in]
} xr_weight;

#endif
