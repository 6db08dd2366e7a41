/* Where the time of a run goes. At every moment the thread that called xr_phases_start is in one phase; entering another charges the time since the
 * last change to the one left, so that nested phases add up to the whole. On every other thread, and before xr_phases_start, the calls do nothing.
 * A change costs one reading of the clock, about 30 ns; a step of `base` makes under a thousand. */
#ifndef XR_UTIL_PHASE_H
#define XR_UTIL_PHASE_H

#include <stddef.h>

typedef enum xr_phase {
    XR_PHASE_OTHER,
    XR_PHASE_LOAD,          /* model and tokenizer */
    XR_PHASE_DATA,          /* text, tokens, batches */
    XR_PHASE_EMBEDDING,
    XR_PHASE_ATTENTION,
    XR_PHASE_ELEMENTWISE,   /* what an encoder layer does between its products: bias, GELU, dropout, residual, LayerNorm */
    XR_PHASE_HEAD,          /* losses; of masked LM also the products with the vocabulary */
    XR_PHASE_PACK,          /* weights laid out anew for the kernels */
    XR_PHASE_OPTIMIZER,
    XR_PHASE_SAVE,          /* checkpoints and models */
    XR_PHASE_PRODUCTS       /* of shapes beyond the XR_PHASE_SHAPES first; each of those is a phase of its own, behind this one */
} xr_phase;

enum { XR_PHASE_SHAPES = 48, XR_PHASE_ROWS = XR_PHASE_PRODUCTS + 1 + XR_PHASE_SHAPES };

/* Of a product with weights [o, i]: x W^T, its gradient to x, its gradient to W. */
typedef enum xr_product { XR_PRODUCT_FORWARD, XR_PRODUCT_INPUT, XR_PRODUCT_WEIGHT } xr_product;

typedef struct xr_phase_row {
    char name[64];
    double seconds, work;   /* work: floating-point operations counted, 0 if none were */
} xr_phase_row;

void xr_phases_start(void);                 /* from nothing, in XR_PHASE_OTHER, for the thread that calls */
void xr_phases_stop(void);
int xr_phases_watch(int on);                /* 0: nothing is counted, and time goes to the phase now, until 1 is given; returns what was before */
int xr_phase_enter(int phase);              /* returns the phase left, to be entered again */
/* Enters the phase of such products, [n, o] from [n, i], and counts their 2 n o i operations. kind: of numbers, such as "bf16"; a constant, compared by
 * its address; NULL: f32. */
int xr_phase_product(xr_product product, const char *kind, size_t n, size_t o, size_t i);
void xr_phase_work(double work);            /* operations of the phase now */
/* The rows so far: XR_PHASE_PRODUCTS and the classes before it, then shapes in order of first use. Returns their number, 0 when not started. */
size_t xr_phases(xr_phase_row row[XR_PHASE_ROWS]);

#endif
