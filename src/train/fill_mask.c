#include "train/fill_mask.h"

#include <string.h>

#include "kernels/rows.h"
#include "model/head.h"
#include "util/alloc.h"

static xr_status need_masked_lm(const xr_context *c)
{
    if (c->model.head && strcmp(c->model.head->name, "masked_lm") == 0)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: has no masked-LM head (architectures in config.json: %s); fill-mask needs a pretrained model", c->dir,
                   c->model.head ? c->model.head->architecture : "none");
}

/* One sequence with its masked rows; refuses text that would lose masks by truncation. */
static xr_status make_batch(xr_context *c, const char *text)
{
    int32_t mask = xr_tokenizer_mask_id(c->tokenizer);
    size_t most = (size_t)xr_config_max_tokens(&c->model.config), cut = 0;
    xr_batch_clear(&c->batch);
    c->tokens.n = 0;
    XR_TRY(xr_tokenizer_encode_pair(c->tokenizer, text, NULL, most, 1, &c->tokens, &cut));
    if (cut > 0)
        return xr_fail(XR_EDATA, "the text has %zu tokens, the model takes %zu: shorten it", c->tokens.n + cut, most);
    XR_TRY(xr_context_push(c, 0));
    for (size_t i = 0; i < c->tokens.n; i++)
        if (c->tokens.v[i].id == mask)
            XR_TRY(xr_batch_add_mask(&c->batch, (uint32_t)i, mask));
    if (c->batch.n_mask == 0)
        return xr_fail(XR_EDATA, "no <mask> in the text '%.60s': put one where a token is to be guessed", text);
    return XR_OK;
}

/* Whether id a comes before id b in the answer: the likelier, of equal ones the smaller. */
static int before(const float *p, int32_t a, int32_t b)
{
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

static void swap(int32_t *a, int32_t *b)
{
    int32_t held = *a;
    *a = *b;
    *b = held;
}

/* Mends a heap of n ids, whose root comes last in the answer, below `at`. */
static void sift_down(const float *p, int32_t *id, int n, int at)
{
    for (int child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && before(p, id[child], id[child + 1]);
        if (!before(p, id[at], id[child]))
            return;
        swap(&id[at], &id[child]);
    }
}

/* The k first ids of the answer, in order. */
static void top_ids(const float *p, int n, int32_t *id, int k)
{
    for (int32_t v = 0; v < k; v++)
        id[v] = v;
    for (int at = k / 2; at-- > 0;)
        sift_down(p, id, k, at);
    for (int32_t v = k; v < n; v++)
        if (before(p, v, id[0])) {
            id[0] = v;
            sift_down(p, id, k, 0);
        }
    for (int held = k; --held > 0;) {
        swap(&id[0], &id[held]);
        sift_down(p, id, held, 0);
    }
}

static char *sequence_with(xr_context *c, uint32_t row, int32_t id)
{
    int32_t *ids = xr_alloc(c->tokens.n, sizeof *ids);
    char *text = NULL;
    for (size_t i = 0; ids && i < c->tokens.n; i++)
        ids[i] = i == row ? id : c->tokens.v[i].id;
    /* <s> and </s> are ours; masks that are still open stay visible, as in transformers. */
    if (ids)
        text = xr_tokenizer_decode(c->tokenizer, ids + 1, c->tokens.n - 2, 0);
    xr_free(ids);
    return text;
}

static xr_status fill_one(xr_context *c, float *p, uint32_t row, int k, xr_candidate *out)
{
    int n = c->model.config.vocab_size;
    int32_t *id = xr_alloc((size_t)k, sizeof *id);
    if (!id)
        return xr_error_status();
    xr_softmax_row(p, p, (size_t)n);
    top_ids(p, n, id, k);
    for (int i = 0; i < k; i++) {
        out[i].score = p[id[i]];
        out[i].token = id[i];
        out[i].token_str = xr_tokenizer_decode(c->tokenizer, &id[i], 1, 0);
        out[i].sequence = sequence_with(c, row, id[i]);
        if (!out[i].token_str || !out[i].sequence)
            break;
    }
    xr_free(id);
    return xr_error_status();
}

static xr_status fill_all(xr_context *c, xr_filled *out)
{
    const xr_batch *batch = xr_batch_finish(&c->batch);
    xr_tape *t = xr_context_tape(c, batch);
    if (!t)
        return xr_error_status();
    xr_tensor *logits = c->model.head->forward(t, &c->model, batch);
    XR_TRY(xr_tape_status(t));
    XR_TRY(xr_check_finite(logits->x, xr_numel(logits), c->dir));
    for (int m = 0; m < out->n_masks; m++)
        XR_TRY(fill_one(c, logits->x + (size_t)m * logits->cols, batch->mask_row[m], out->top_k, out->v + (size_t)m * (size_t)out->top_k));
    return XR_OK;
}

xr_status xr_fill_mask_text(xr_context *c, const char *text, int top_k, xr_filled *out)
{
    memset(out, 0, sizeof *out);
    XR_TRY(need_masked_lm(c));
    XR_TRY(make_batch(c, text));
    out->n_masks = (int)c->batch.n_mask;
    out->top_k = top_k < c->model.config.vocab_size ? top_k : c->model.config.vocab_size;
    out->v = xr_alloc((size_t)out->n_masks * (size_t)out->top_k, sizeof *out->v);
    xr_status status = out->v ? fill_all(c, out) : xr_error_status();
    if (status < 0)
        xr_filled_free(out);
    return status;
}

void xr_filled_free(xr_filled *f)
{
    for (size_t i = 0; f->v && i < (size_t)f->n_masks * (size_t)f->top_k; i++) {
        xr_free(f->v[i].token_str);
        xr_free(f->v[i].sequence);
    }
    xr_free(f->v);
    memset(f, 0, sizeof *f);
}
