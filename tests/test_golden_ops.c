/* Every op against PyTorch: values and gradients within 1e-5 of each tensor's largest value (tests/golden/ops.safetensors). A finite-difference
 * check cannot see a wrong function, such as the tanh form of GELU; this one can. */
#include <string.h>

#include "golden.h"

#include "autograd/ops.h"
#include "autograd/sample.h"

static const double BOUND = 1e-5;

typedef struct op_case {
    golden g;
    xr_tape *t;
    const char *name;
    const char *input[4];       /* golden names of the inputs that have gradients */
    xr_tensor *leaf[4];
    int n;
} op_case;

static const char *key(const op_case *c, const char *what)
{
    static char text[2][96];
    static int turn;
    turn ^= 1;
    snprintf(text[turn], sizeof text[turn], "%s.%s", c->name, what);
    return text[turn];
}

static void start(op_case *c, const char *name)
{
    memset(c, 0, sizeof *c);
    golden_open(&c->g, "tests/golden/ops.safetensors");
    c->name = name;
    c->t = xr_tape_new((size_t)64 << 20);
    assert_non_null(c->t);
    xr_tape_begin(c->t, 0, 1, 0, 0);
}

static xr_tensor *input(op_case *c, const char *what)
{
    size_t rows, cols;
    float *x = golden_get(&c->g, key(c, what), &rows, &cols);
    c->input[c->n] = what;
    return c->leaf[c->n++] = xr_input(c->t, x, rows, cols, 1);
}

static xr_param *param(op_case *c, const char *what)
{
    size_t rows, cols;
    if (!golden_has(&c->g, key(c, what)))
        return NULL;
    float *x = golden_get(&c->g, key(c, what), &rows, &cols);
    xr_param *p = xr_sample_param(c->t, rows, cols, 0);
    p->t.x = x;
    c->input[c->n] = what;
    c->leaf[c->n++] = &p->t;
    return p;
}

static int32_t *ints(op_case *c, const char *what, size_t *n) { return golden_ints(&c->g, key(c, what), n); }
static float *values(op_case *c, const char *what) { return golden_get(&c->g, key(c, what), NULL, NULL); }
static float *values_if_there(op_case *c, const char *what) { return golden_has(&c->g, key(c, what)) ? values(c, what) : NULL; }

static void compare(op_case *c, const char *what, const float *x)
{
    double largest = golden_largest(&c->g, key(c, what));
    golden_near(&c->g, key(c, what), x, BOUND * fmax(largest, 1e-3));
}

/* Output, then the gradient of every input for the stored upstream gradient. */
static void finish(op_case *c, xr_tensor *y)
{
    char d[32];
    if (!y)
        fail_msg("%s: %s", c->name, xr_error_message());
    compare(c, "out", y->x);
    assert_int_equal(xr_backward(c->t, y, values(c, "dout")), XR_OK);
    for (int i = 0; i < c->n; i++) {
        snprintf(d, sizeof d, "d%s", c->input[i]);
        assert_non_null(c->leaf[i]->g);
        compare(c, d, c->leaf[i]->g);
    }
    xr_tape_free(c->t);
    golden_close(&c->g);
}

static const xr_rowset *rows_of(op_case *c)
{
    size_t n;
    const int32_t *offset = ints(c, "offsets", &n);
    uint32_t len[16];
    assert_true(n > 1 && n <= 16);
    for (size_t b = 0; b + 1 < n; b++)
        len[b] = (uint32_t)(offset[b + 1] - offset[b]);
    return xr_sample_rows(c->t, len, n - 1);
}

/* The packed rows `row` of all, as a row set. */
static const xr_rowset *pick(op_case *c, const xr_rowset *all, const int32_t *row, size_t n)
{
    xr_rowset *r = xr_tape_get(c->t, 1, sizeof *r);
    uint32_t *a = xr_tape_get(c->t, all->n_seq + 1 + 2 * n, sizeof *a);
    uint32_t *index = a + all->n_seq + 1, *seq = index + n;
    size_t k = 0;
    for (size_t b = 0; b < all->n_seq; b++)
        for (a[b] = (uint32_t)k; k < n && (uint32_t)row[k] < all->offset[b + 1]; k++) {
            index[k] = all->index[row[k]];
            seq[k] = (uint32_t)b;
        }
    a[all->n_seq] = (uint32_t)n;
    *r = (xr_rowset){ n, all->n_seq, a, all->sample, index, seq };
    return r;
}

static void embedding(void **state)
{
    (void)state;
    op_case c;
    size_t n;
    start(&c, "embedding");
    xr_param *word = param(&c, "word"), *position = param(&c, "position"), *type = param(&c, "type");
    word->flags = position->flags = XR_PARAM_PAD_ROW;
    const int32_t *id = ints(&c, "id", &n), *pos = ints(&c, "pos", NULL);
    finish(&c, xr_embedding(c.t, word, position, type, id, pos, n));
}

static void linear(void **state)
{
    (void)state;
    const char *const name[] = { "linear", "linear_nobias" };
    for (int k = 0; k < 2; k++) {
        op_case c;
        start(&c, name[k]);
        xr_tensor *x = input(&c, "x");
        xr_weight w = { param(&c, "w") };
        finish(&c, xr_linear(c.t, x, w, param(&c, "b")));
    }
}

static void bias_gelu(void **state)
{
    (void)state;
    const char *const name[] = { "bias_gelu", "bias_gelu_nobias" };
    for (int k = 0; k < 2; k++) {
        op_case c;
        start(&c, name[k]);
        xr_tensor *x = input(&c, "x");
        finish(&c, xr_bias_gelu(c.t, x, param(&c, "b")));
    }
}

static void tanh_op(void **state)
{
    (void)state;
    op_case c;
    start(&c, "tanh");
    finish(&c, xr_tanh(c.t, input(&c, "x")));
}

static void add_norm(void **state)
{
    (void)state;
    const char *const name[] = { "add_norm", "add_norm_noresidual" };
    for (int k = 0; k < 2; k++) {
        op_case c;
        start(&c, name[k]);
        xr_tensor *x = input(&c, "x"), *residual = k == 0 ? input(&c, "residual") : NULL;
        xr_param *gamma = param(&c, "gamma"), *beta = param(&c, "beta");
        uint32_t len = (uint32_t)x->rows;
        finish(&c, xr_add_norm(c.t, x, residual, gamma, beta, values(&c, "eps")[0], 0.0f, 0, xr_sample_rows(c.t, &len, 1)));
    }
}

static void attention(void **state)
{
    (void)state;
    const char *const name[] = { "attention", "attention_wide", "attention_pruned" };
    for (int i = 0; i < 3; i++) {
        op_case c;
        size_t n;
        start(&c, name[i]);
        xr_tensor *q = input(&c, "q"), *k = input(&c, "k"), *v = input(&c, "v");
        const xr_rowset *all = rows_of(&c), *some = all;
        if (i == 2) {
            const int32_t *row = ints(&c, "q_row", &n);
            some = pick(&c, all, row, n);
        }
        finish(&c, xr_attention(c.t, q, k, v, ints(&c, "heads", NULL)[0], 0.0f, 0, some, all, 0));
    }
}

static void select_op(void **state)
{
    (void)state;
    op_case c;
    size_t n;
    start(&c, "select");
    xr_tensor *x = input(&c, "x");
    const int32_t *index = ints(&c, "index", &n);
    finish(&c, xr_select(c.t, x, (const uint32_t *)index, n));
}

static void masked_lm(void **state)
{
    (void)state;
    for (int recompute = 0; recompute < 2; recompute++) {
        op_case c;
        start(&c, "masked_lm");
        xr_tensor *h = input(&c, "h");
        xr_weight w = { param(&c, "w") };
        xr_param *b = param(&c, "b");
        finish(&c, xr_masked_lm(c.t, h, w, b, ints(&c, "target", NULL), recompute));
    }
}

static void cross_entropy(void **state)
{
    (void)state;
    const char *const name[] = { "cross_entropy", "cross_entropy_weight", "cross_entropy_smooth", "cross_entropy_weight_smooth" };
    for (int k = 0; k < 4; k++) {
        op_case c;
        start(&c, name[k]);
        xr_tensor *z = input(&c, "logits");
        const float *smoothing = values_if_there(&c, "smoothing");
        finish(&c, xr_cross_entropy(c.t, z, ints(&c, "target", NULL), values_if_there(&c, "class_weight"), smoothing ? smoothing[0] : 0.0f));
    }
}

static void value_losses(void **state)
{
    (void)state;
    op_case c;
    start(&c, "mse");
    xr_tensor *x = input(&c, "x");
    finish(&c, xr_mse(c.t, x, values(&c, "target")));
    start(&c, "bce");
    x = input(&c, "x");
    finish(&c, xr_bce(c.t, x, values(&c, "target")));
}

static void choice_entropy(void **state)
{
    (void)state;
    op_case c;
    size_t n;
    start(&c, "choice_entropy");
    xr_tensor *z = input(&c, "logits");
    const int32_t *group = ints(&c, "group", &n);
    finish(&c, xr_choice_entropy(c.t, z, (const uint32_t *)group, n - 1, ints(&c, "target", NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedding), cmocka_unit_test(linear), cmocka_unit_test(bias_gelu), cmocka_unit_test(tanh_op),
        cmocka_unit_test(add_norm), cmocka_unit_test(attention), cmocka_unit_test(select_op), cmocka_unit_test(masked_lm),
        cmocka_unit_test(cross_entropy), cmocka_unit_test(value_losses), cmocka_unit_test(choice_entropy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
