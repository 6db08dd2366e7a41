/* The tape: nodes in creation order, which is the topological order; backward walks them from last to first.
 *
 * Eager: a builder checks shapes, takes memory from the arena, runs forward, returns the node. Once anything has failed the tape is
 * poisoned: builders return NULL, accept NULL, and the step asks xr_tape_status once. So model code reads as a formula.
 *
 * Lifetimes: activations and args live in `acts` until xr_tape_reset (or a release to a mark); gradients of activations come
 * from a pool of their own and go back to it as soon as the node's backward has run. */
#ifndef XR_AUTOGRAD_TAPE_H
#define XR_AUTOGRAD_TAPE_H

#include <stddef.h>
#include <stdint.h>
#include "autograd/tensor.h"
#include "util/arena.h"
#include "util/error.h"
#include "util/phase.h"
#include "util/rowset.h"

typedef struct xr_tape xr_tape;

typedef struct xr_shape {
    size_t rows, cols;      /* of the output */
    size_t saved;           /* bytes to keep for backward */
    size_t scratch;         /* bytes needed during forward or backward only */
} xr_shape;

/* One op is one file in ops/ and one such struct; positional initialisers on purpose, so that a missing member warns. */
struct xr_op {
    const char *name;
    xr_status (*shape)(const xr_tensor *n, xr_shape *out);  /* check inputs, size the output */
    void (*forward)(xr_tape *t, xr_tensor *n);              /* n->x, n->saved are allocated */
    void (*backward)(xr_tape *t, xr_tensor *n);             /* n->g is set and may be overwritten; adds into the inputs' gradients */
    xr_tensor *(*sample)(xr_tape *t, int k);                /* k-th test case for the generic gradient check, NULL past the end */
    xr_phase phase;                                         /* what its time counts as, but for products with weights, which count by shape */
};

/* reserve: bytes of address space for activations; 0 makes a dry tape, which computes shapes and sizes and touches no data. */
xr_tape *xr_tape_new(size_t reserve);
void xr_tape_free(xr_tape *t);
void xr_tape_reset(xr_tape *t);             /* forget nodes and activations, clear the poison */

/* Random numbers of this pass. train = 0 switches dropout off. */
void xr_tape_begin(xr_tape *t, int train, int grad, uint64_t seed, uint32_t step);
int xr_tape_train(const xr_tape *t);
int xr_tape_grad(const xr_tape *t);         /* backward will be asked for: save what it needs */
uint64_t xr_tape_seed(const xr_tape *t);
uint32_t xr_tape_step(const xr_tape *t);

/* Who looks on: called after forward of every node, those of segments too, and after its backward, when the gradients of its inputs hold what it
 * added to them. One at most, until it is replaced; NULL: nobody. */
typedef enum xr_direction { XR_FORWARD, XR_BACKWARD } xr_direction;
typedef void (*xr_tape_watcher)(void *context, const xr_tensor *n, xr_direction direction);
void xr_tape_watch(xr_tape *t, xr_tape_watcher watcher, void *context);

xr_status xr_tape_status(const xr_tape *t);
void xr_tape_poison(xr_tape *t);            /* after xr_fail, from a builder */
size_t xr_tape_peak(const xr_tape *t);      /* bytes: high-water mark of activations and gradients together */
/* The same by what it is for; `nodes` is the graph itself. */
typedef struct xr_tape_bytes { size_t nodes, activations, gradients, scratch; } xr_tape_bytes;
xr_tape_bytes xr_tape_peaks(const xr_tape *t);

/* A leaf over the caller's memory (x may be NULL on a dry tape). */
xr_tensor *xr_input(xr_tape *t, float *x, size_t rows, size_t cols, int needs_grad);

/* For builders in ops/: a node with n_in inputs (NULL inputs poison) and a copy of *args; NULL when poisoned. */
xr_tensor *xr_node(xr_tape *t, const xr_op *op, xr_tensor *const *in, int n_in, const void *args, size_t args_size);
/* Memory that lives as long as the node's activations. NULL when exhausted (poisons) or dry. */
void *xr_tape_get(xr_tape *t, size_t n, size_t size);
/* The scratch asked for in shape, valid during forward/backward of the current node. */
void *xr_tape_scratch(xr_tape *t);

/* For backward: the gradient of `in` and whether it already holds something. *acc = 0: overwrite; 1: add.
 * NULL when `in` needs none. The first call per input marks it as written. */
float *xr_grad(xr_tape *t, xr_tensor *in, int *acc);
/* For backward of an elementwise op that has turned n->g into the gradient of `in` in place: hands the buffer over, or adds it. */
void xr_grad_pass(xr_tape *t, xr_tensor *n, xr_tensor *in);

/* Runs backward from root with d(loss)/d(root) = seed [rows, cols] of root, or ones when seed is NULL. Parameter gradients are added to what
 * their rows hold; gradients of inputs stay in their leaves until xr_tape_reset. On a dry tape only sizes are counted. */
xr_status xr_backward(xr_tape *t, xr_tensor *root, const float *seed);
/* Runs forward of every node again, after the caller changed the values of leaves (finite differences). */
void xr_tape_replay(xr_tape *t);
/* Calls f for every distinct leaf that wants a gradient, in order of first use. */
void xr_tape_leaves(xr_tape *t, void (*f)(xr_tensor *leaf, void *context), void *context);

/* A part of the graph, y = body(t, x, context), of which only y [rows, cols of y] is kept: its activations are released at once. When a
 * gradient is wanted, backward runs the body again (Chen et al. 2016). body must be a pure function of x, the context and the parameters. */
typedef xr_tensor *(*xr_segment_body)(xr_tape *t, xr_tensor *x, const void *context);
xr_tensor *xr_segment(xr_tape *t, xr_tensor *x, size_t rows, size_t cols, xr_segment_body body, const void *context, size_t context_size);

/* Registry, generated from the files in ops/. NULL-terminated. */
extern const xr_op *const xr_ops[];

#endif
