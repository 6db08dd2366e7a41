/* The tape's engine: memory, node creation, backward. Interface and lifetimes in tape.h. */
#include "autograd/tape.h"

#include <string.h>

#include "kernels/vec.h"
#include "util/alloc.h"

/* Gradients of activations are short-lived: a buffer goes back when its node's backward has run, and the next node of the
 * same size takes it. Which buffer serves which node depends on shapes alone. */
typedef struct grad_buffer {
    float *p;
    size_t bytes;
    int used;
} grad_buffer;

struct xr_tape {
    xr_arena meta;          /* nodes, args, row sets: real memory even on a dry tape */
    xr_arena acts;          /* values and saved data */
    xr_arena grads;         /* backing of the buffers */
    xr_arena scratch;       /* of the op that is running */
    void *scratch_now;
    grad_buffer *buffer;
    size_t n_buffer, cap_buffer;
    xr_tensor **node;       // [n_node] in creation order
    size_t n_node, cap_node;
    int dry, train, grad, poisoned;
    uint64_t seed;
    uint32_t step;
    xr_tape_watcher watcher;
    void *watcher_context;
};

enum { META_BYTES = 1 << 28 };

xr_tape *xr_tape_new(size_t reserve)
{
    xr_tape *t = xr_alloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->dry = reserve == 0;
    if (xr_arena_init(&t->meta, META_BYTES) < 0 || xr_arena_init(&t->acts, reserve) < 0 ||
        xr_arena_init(&t->grads, reserve) < 0 || xr_arena_init(&t->scratch, reserve) < 0) {
        xr_tape_free(t);
        return NULL;
    }
    return t;
}

void xr_tape_free(xr_tape *t)
{
    if (!t)
        return;
    xr_arena_free(&t->meta);
    xr_arena_free(&t->acts);
    xr_arena_free(&t->grads);
    xr_arena_free(&t->scratch);
    xr_free(t->buffer);
    xr_free(t->node);
    xr_free(t);
}

void xr_tape_reset(xr_tape *t)
{
    t->n_node = 0;
    t->n_buffer = 0;
    t->poisoned = 0;
    xr_arena_release(&t->meta, 0);
    xr_arena_release(&t->acts, 0);
    xr_arena_release(&t->grads, 0);
    xr_arena_release(&t->scratch, 0);
}

void xr_tape_begin(xr_tape *t, int train, int grad, uint64_t seed, uint32_t step)
{
    xr_tape_reset(t);
    t->train = train;
    t->grad = grad;
    t->seed = seed;
    t->step = step;
}

int xr_tape_train(const xr_tape *t) { return t->train; }
int xr_tape_grad(const xr_tape *t) { return t->grad; }
uint64_t xr_tape_seed(const xr_tape *t) { return t->seed; }
uint32_t xr_tape_step(const xr_tape *t) { return t->step; }
void xr_tape_poison(xr_tape *t) { t->poisoned = 1; }

void xr_tape_watch(xr_tape *t, xr_tape_watcher watcher, void *context)
{
    t->watcher = watcher;
    t->watcher_context = context;
}

xr_status xr_tape_status(const xr_tape *t)
{
    return t->poisoned ? (xr_error_status() < 0 ? xr_error_status() : XR_ESOFTWARE) : XR_OK;
}

size_t xr_tape_peak(const xr_tape *t)
{
    return t->meta.peak + t->acts.peak + t->grads.peak + t->scratch.peak;
}

xr_tape_bytes xr_tape_peaks(const xr_tape *t)
{
    return (xr_tape_bytes){ t->meta.peak, t->acts.peak, t->grads.peak, t->scratch.peak };
}

void *xr_tape_get(xr_tape *t, size_t n, size_t size)
{
    if (t->poisoned)
        return NULL;
    void *p = xr_arena_get(&t->meta, n, size);
    if (!p)
        t->poisoned = 1;
    return p;
}

void *xr_tape_scratch(xr_tape *t) { return t->scratch_now; }

/* Data memory: NULL is right on a dry tape, fatal otherwise. */
static float *data_get(xr_tape *t, size_t bytes)
{
    float *p = xr_arena_get(&t->acts, bytes, 1);
    if (!p && !t->dry)
        t->poisoned = 1;
    return p;
}

xr_tensor *xr_input(xr_tape *t, float *x, size_t rows, size_t cols, int needs_grad)
{
    xr_tensor *n = xr_tape_get(t, 1, sizeof *n);
    if (!n)
        return NULL;
    memset(n, 0, sizeof *n);
    n->rows = rows;
    n->cols = cols;
    n->x = x;
    n->needs = needs_grad;
    return n;
}

/* Runs one direction of an op with the scratch it asked for. */
static void run_op(xr_tape *t, xr_tensor *n, void (*direction)(xr_tape *t, xr_tensor *n))
{
    size_t mark = xr_arena_mark(&t->scratch);
    void *outer = t->scratch_now;
    int phase = xr_phase_enter((int)n->op->phase);
    t->scratch_now = n->scratch ? xr_arena_get(&t->scratch, n->scratch, 1) : NULL;
    if (n->scratch && !t->scratch_now)
        t->poisoned = 1;
    else
        direction(t, n);
    t->scratch_now = outer;
    xr_arena_release(&t->scratch, mark);
    xr_phase_enter(phase);
}

static void show(const xr_tape *t, const xr_tensor *n, xr_direction direction)
{
    if (t->watcher && !t->poisoned)
        t->watcher(t->watcher_context, n, direction);
}

static void run_forward(xr_tape *t, xr_tensor *n)
{
    if (t->dry || t->poisoned)
        return;
    run_op(t, n, n->op->forward);
    show(t, n, XR_FORWARD);
}

static xr_status node_sizes(xr_tape *t, xr_tensor *n)
{
    xr_shape shape = { 0, 0, 0, 0 };
    XR_TRY(n->op->shape(n, &shape));
    n->rows = shape.rows;
    n->cols = shape.cols;
    n->scratch = shape.scratch;
    n->x = data_get(t, xr_numel(n) * sizeof(float));
    n->saved = shape.saved ? data_get(t, shape.saved) : NULL;
    if (t->dry)         /* count what forward will take */
        xr_arena_get(&t->scratch, n->scratch, 1), xr_arena_release(&t->scratch, 0);
    return xr_tape_status(t);
}

xr_tensor *xr_node(xr_tape *t, const xr_op *op, xr_tensor *const *in, int n_in, const void *args, size_t args_size)
{
    XR_ASSERT(n_in <= XR_MAX_INPUTS, "%s has %d inputs", op->name, n_in);
    xr_tensor *n = xr_tape_get(t, 1, sizeof *n);
    void *copy = args_size ? xr_tape_get(t, args_size, 1) : NULL;
    if (t->poisoned || xr_grow(&t->node, &t->cap_node, t->n_node + 1, sizeof *t->node) < 0) {
        t->poisoned = 1;
        return NULL;
    }
    memset(n, 0, sizeof *n);
    n->op = op;
    for (int k = 0; k < n_in; k++) {
        n->in[k] = in[k];
        n->needs |= t->grad && in[k] && in[k]->needs;
    }
    if (args_size)
        n->args = memcpy(copy, args, args_size);
    if (node_sizes(t, n) < 0) {
        xr_fail_context("%s", op->name);
        t->poisoned = 1;
        return NULL;
    }
    t->node[t->n_node++] = n;
    run_forward(t, n);
    return t->poisoned ? NULL : n;
}

/* --- backward ------------------------------------------------------------------------------------------------- */

/* Of no values too it has an address of its own, by which it is given back. */
static float *buffer_take(xr_tape *t, size_t floats, size_t *slot)
{
    size_t bytes = (floats > 0 ? floats : 1) * sizeof(float);
    for (size_t i = 0; i < t->n_buffer; i++)
        if (!t->buffer[i].used && t->buffer[i].bytes == bytes) {
            t->buffer[i].used = 1;
            *slot = i;
            return t->buffer[i].p;
        }
    if (xr_grow(&t->buffer, &t->cap_buffer, t->n_buffer + 1, sizeof *t->buffer) < 0)
        return NULL;
    float *p = xr_arena_get(&t->grads, bytes, 1);
    if (!p && !t->dry)
        return NULL;
    t->buffer[t->n_buffer] = (grad_buffer){ p, bytes, 1 };
    *slot = t->n_buffer++;
    return p;
}

static void buffer_give(xr_tape *t, const float *p)
{
    for (size_t i = 0; p && i < t->n_buffer; i++)
        if (t->buffer[i].p == p)
            t->buffer[i].used = 0;
}

float *xr_grad(xr_tape *t, xr_tensor *in, int *acc)
{
    size_t slot;
    *acc = 1;
    if (!in || !in->needs || t->poisoned)
        return NULL;
    if (in->g)
        return in->g;
    *acc = 0;
    in->g = buffer_take(t, xr_numel(in), &slot);
    if (!in->g)
        t->poisoned = 1;
    return in->g;
}

void xr_grad_pass(xr_tape *t, xr_tensor *n, xr_tensor *in)
{
    XR_ASSERT(xr_numel(n) == xr_numel(in), "%s: %zu values for %zu", n->op->name, xr_numel(n), xr_numel(in));
    if (!in->needs || t->poisoned)
        return;
    if (in->g) {
        xr_vec_add(in->g, n->g, xr_numel(in));
    } else {
        in->g = n->g;
        n->g = NULL;
    }
}

static void run_backward(xr_tape *t, xr_tensor *n)
{
    run_op(t, n, n->op->backward);
    show(t, n, XR_BACKWARD);
    buffer_give(t, n->g);
    n->g = NULL;
}

/* Gives the node a gradient slot unless it has one; 0 when memory for the list of slots is out. */
static int dry_take(xr_tape *t, xr_tensor *n)
{
    size_t slot = SIZE_MAX;
    if (n->scratch)
        return 1;
    buffer_take(t, xr_numel(n), &slot);
    n->scratch = slot == SIZE_MAX ? 0 : slot + 1;
    t->poisoned |= slot == SIZE_MAX;
    return n->scratch != 0;
}

static void dry_give(xr_tape *t, xr_tensor *n)
{
    if (n->scratch)
        t->buffer[n->scratch - 1].used = 0;
}

extern const xr_op xr_op_segment;
static void dry_segment(xr_tape *t, xr_tensor *n);

/* Counts the buffers that backward over nodes [from, n_node) would hold, the way run_backward takes and gives them. On a dry tape `scratch` of a
 * node is free to carry the slot + 1 of its gradient. leaf: a segment's stand-in for its input, the one leaf whose gradient is a buffer; or NULL. */
static void dry_range(xr_tape *t, size_t from, const xr_tensor *leaf)
{
    for (size_t i = t->n_node; i-- > from && !t->poisoned;) {
        xr_tensor *n = t->node[i];
        if (!n->needs || !dry_take(t, n))
            continue;
        if (n->op == &xr_op_segment)
            dry_segment(t, n);
        for (int k = 0; k < XR_MAX_INPUTS; k++) {
            xr_tensor *in = n->in[k];
            if (in && in->needs && (in->op || in == leaf))
                dry_take(t, in);
        }
        dry_give(t, n);
    }
}

static void dry_backward(xr_tape *t)
{
    for (size_t i = 0; i < t->n_node; i++)
        t->node[i]->scratch = 0;
    dry_range(t, 0, NULL);
}

/* Nodes [from, n_node) in reverse. */
static void backward_range(xr_tape *t, size_t from)
{
    for (size_t i = t->n_node; i-- > from && !t->poisoned;)
        if (t->node[i]->g && t->node[i]->needs)
            run_backward(t, t->node[i]);
}

xr_status xr_backward(xr_tape *t, xr_tensor *root, const float *seed)
{
    int acc;
    if (t->poisoned || !root)
        return xr_tape_status(t);
    XR_ASSERT(t->grad, "backward on a tape that was begun without gradients");
    if (t->dry) {
        dry_backward(t);
        return xr_tape_status(t);
    }
    float *g = xr_grad(t, root, &acc);
    if (!g)
        return root->needs ? xr_tape_status(t) : XR_OK;
    for (size_t i = 0; i < xr_numel(root); i++)
        g[i] = (acc ? g[i] : 0.0f) + (seed ? seed[i] : 1.0f);
    backward_range(t, 0);
    return xr_tape_status(t);
}

void xr_tape_replay(xr_tape *t)
{
    size_t n = t->n_node;
    for (size_t i = 0; i < n; i++)
        run_forward(t, t->node[i]);
}

static int seen_before(const xr_tape *t, size_t i, int k)
{
    const xr_tensor *leaf = t->node[i]->in[k];
    for (size_t a = 0; a <= i; a++)
        for (int b = 0; b < (a == i ? k : XR_MAX_INPUTS); b++)
            if (t->node[a]->in[b] == leaf)
                return 1;
    return 0;
}

void xr_tape_leaves(xr_tape *t, void (*f)(xr_tensor *leaf, void *context), void *context)
{
    for (size_t i = 0; i < t->n_node; i++)
        for (int k = 0; k < XR_MAX_INPUTS; k++) {
            xr_tensor *leaf = t->node[i]->in[k];
            if (leaf && !leaf->op && leaf->needs && !seen_before(t, i, k))
                f(leaf, context);
        }
}

/* --- segment: the one op that needs the tape's insides -------------------------------------------------------- */

typedef struct segment_args {
    xr_segment_body body;
    size_t rows, cols;
    void *context;
} segment_args;

static xr_status segment_shape(const xr_tensor *n, xr_shape *out)
{
    const segment_args *a = n->args;
    out->rows = a->rows;
    out->cols = a->cols;
    return XR_OK;
}

typedef struct tape_mark { size_t node, meta, acts; } tape_mark;

static tape_mark mark_all(const xr_tape *t)
{
    return (tape_mark){ t->n_node, xr_arena_mark(&t->meta), xr_arena_mark(&t->acts) };
}

static void release_all(xr_tape *t, tape_mark m)
{
    t->n_node = m.node;
    xr_arena_release(&t->meta, m.meta);
    xr_arena_release(&t->acts, m.acts);
}

/* Runs the body on a stand-in for the input; *leaf is that stand-in. */
static xr_tensor *segment_run(xr_tape *t, const xr_tensor *n, xr_tensor **leaf)
{
    const segment_args *a = n->args;
    *leaf = xr_input(t, n->in[0]->x, n->in[0]->rows, n->in[0]->cols, n->in[0]->needs);
    xr_tensor *y = a->body(t, *leaf, a->context);
    XR_ASSERT(!y || (y->rows == a->rows && y->cols == a->cols), "segment declared %zu x %zu, body made %zu x %zu", a->rows, a->cols,
              y->rows, y->cols);
    return y;
}

static void segment_forward(xr_tape *t, xr_tensor *n)
{
    xr_tensor *leaf;
    tape_mark m = mark_all(t);
    int grad = t->grad;
    t->grad = 0;            /* nothing of this run is kept */
    xr_tensor *y = segment_run(t, n, &leaf);
    t->grad = grad;
    if (y && n->x)
        xr_vec_copy(n->x, y->x, xr_numel(n), 0);
    release_all(t, m);
}

static void segment_backward(xr_tape *t, xr_tensor *n)
{
    xr_tensor *leaf;
    tape_mark m = mark_all(t);
    xr_tensor *y = segment_run(t, n, &leaf);
    if (y) {
        y->g = n->g;
        n->g = NULL;
        backward_range(t, m.node);
    }
    if (leaf && leaf->g && !t->poisoned) {
        int acc;
        float *dx = xr_grad(t, n->in[0], &acc);
        xr_vec_copy(dx, leaf->g, xr_numel(leaf), acc);
        buffer_give(t, leaf->g);
    }
    release_all(t, m);
}

/* As segment_backward: the body's last node begins with the segment's own gradient. */
static void dry_segment(xr_tape *t, xr_tensor *n)
{
    xr_tensor *leaf;
    tape_mark m = mark_all(t);
    xr_tensor *y = segment_run(t, n, &leaf);
    for (size_t i = m.node; i < t->n_node; i++)
        t->node[i]->scratch = 0;
    if (y) {
        y->scratch = n->scratch;
        n->scratch = 0;
        dry_range(t, m.node, leaf);
        if (n->in[0]->needs && n->in[0]->op)
            dry_take(t, n->in[0]);
        dry_give(t, leaf);
    }
    release_all(t, m);
}

const xr_op xr_op_segment = { "segment", segment_shape, segment_forward, segment_backward, NULL, XR_PHASE_ELEMENTWISE };

xr_tensor *xr_segment(xr_tape *t, xr_tensor *x, size_t rows, size_t cols, xr_segment_body body, const void *context, size_t context_size)
{
    segment_args a = { body, rows, cols, xr_tape_get(t, context_size, 1) };
    if (t->poisoned)
        return NULL;
    memcpy(a.context, context, context_size);
    xr_tensor *n = xr_node(t, &xr_op_segment, &x, 1, &a, sizeof a);
    if (n && t->dry)        /* run_forward does nothing on a dry tape, but the body's needs count */
        segment_forward(t, n);
    if (n && t->grad)       /* parameters inside want gradients even when the input does not */
        n->needs = 1;
    return n;
}

#define XR_REG(name) extern const xr_op xr_op_##name;
#include "ops.inc"
#undef XR_REG
#define XR_REG(name) &xr_op_##name,
const xr_op *const xr_ops[] = {
#include "ops.inc"
    NULL
};
