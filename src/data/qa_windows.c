/* Cutting passages into windows, and answers to pieces. */
#include "data/qa_windows.h"

#include <string.h>

#include "util/alloc.h"
#include "util/utf8.h"

enum { SPECIALS = 4 };      /* <s>, </s></s>, </s> */

/* ---- bytes and pieces ---- */

/* Moves both ends over characters of a kind. */
static void trim(const char *text, size_t *begin, size_t *end, int (*is_kind)(uint32_t c))
{
    size_t size;
    while (*begin < *end && is_kind(xr_utf8_decode(text + *begin, *end - *begin, &size)))
        *begin += size;
    while (*begin < *end) {
        size_t last = *end - 1;
        while (last > *begin && ((unsigned char)text[last] & 0xC0) == 0x80)
            last--;
        if (!is_kind(xr_utf8_decode(text + last, *end - last, &size)))
            return;
        *end = last;
    }
}

int xr_windows_cover(const char *text, const xr_token *piece, size_t n, size_t begin, size_t end, size_t *first, size_t *last)
{
    trim(text, &begin, &end, xr_utf8_is_space);
    size_t a = 0, b = n;
    while (a < n && piece[a].end <= begin)
        a++;
    while (b > a && (piece[b - 1].begin >= end || piece[b - 1].begin == piece[b - 1].end))
        b--;
    *first = a;
    *last = b ? b - 1 : 0;
    return begin < end && b > a;
}

void xr_windows_cut(const xr_windows *w, uint32_t passage, size_t first, size_t last, size_t *begin, size_t *end)
{
    const xr_token *piece = w->piece + w->passage[passage];
    *begin = piece[first].begin;
    *end = piece[last].end;
    trim(w->questions.passage[passage].text, begin, end, xr_utf8_is_blank);
}

int xr_windows_is_best(const xr_windows *w, size_t window, size_t piece)
{
    const xr_window *own = &w->window[window];
    uint64_t best = UINT64_MAX;
    size_t most = 0;
    for (uint64_t k = w->first[own->question]; k < w->first[own->question + 1]; k++) {
        const xr_window *v = &w->window[k];
        if (piece < v->piece || piece >= v->piece + v->n)
            continue;
        size_t before = piece - v->piece, behind = v->piece + v->n - 1 - piece;
        size_t score = 100 * (before < behind ? before : behind) + v->n;
        if (best == UINT64_MAX || score > most) {
            best = k;
            most = score;
        }
    }
    return best == window;
}

/* ---- one question ---- */

typedef struct windowing {
    xr_dataset *d;
    const xr_tokenizer *tok;
    const xr_data_options *o;
    xr_tokens query, example;
} windowing;

static void put(xr_tokens *t, int32_t id) { t->v[t->n++] = (xr_token){ id, 0, 0 }; }

/* <s> question </s></s>, the same for all windows of the question. */
static xr_status encode_query(windowing *g, const char *text)
{
    size_t size, len = strlen(text);
    while (len && xr_utf8_is_space(xr_utf8_decode(text, len, &size))) {
        text += size;
        len -= size;
    }
    g->query.n = 0;
    XR_TRY(xr_tokenizer_encode(g->tok, text, len, 0, &g->query));
    if (g->query.n > g->o->max_query)
        g->query.n = g->o->max_query;
    XR_TRY(xr_grow(&g->example.v, &g->example.cap, g->o->max_len, sizeof *g->example.v));
    return XR_OK;
}

static int has_place(const xr_windows *all, const xr_squad_question *q)
{
    return q->n_answers && all->questions.answer[q->answer].begin < all->questions.answer[q->answer].end;
}

/* Rows of the label: the answer's pieces [first, last] of the passage, if there is an answer and the window holds them all. */
static void label_window(const xr_windows *all, xr_window *w, int found, size_t first, size_t last)
{
    const xr_squad_question *q = &all->questions.v[w->question];
    int labelled = q->impossible || has_place(all, q);
    int inside = found && first >= w->piece && last < (size_t)w->piece + w->n;
    w->start = inside ? (int32_t)(w->row + (uint32_t)first - w->piece) : labelled ? 0 : -1;
    w->end = inside ? (int32_t)(w->row + (uint32_t)last - w->piece) : labelled ? 0 : -1;
}

/* n may be 0, and `from` NULL then: a passage without pieces. */
static void put_all(xr_tokens *t, const xr_token *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        t->v[t->n++] = from[i];
}

static xr_status put_window(windowing *g, const xr_window *w)
{
    xr_windows *all = &g->d->windows;
    const xr_token *piece = all->piece + all->passage[all->questions.v[w->question].passage] + w->piece;
    xr_tokens *t = &g->example;
    t->n = 0;
    put(t, XR_ID_BOS);
    put_all(t, g->query.v, g->query.n);
    put(t, XR_ID_EOS);
    put(t, XR_ID_EOS);
    put_all(t, piece, w->n);
    put(t, XR_ID_EOS);
    XR_TRY(xr_grow(&all->window, &all->cap, g->d->n + 1, sizeof *all->window));
    all->window[g->d->n] = *w;
    return xr_dataset_add_tokens(g->d, t->v, t->n);
}

/* The answer that training aims at: the first, if its place is known. */
static int find_answer(const xr_windows *all, const xr_squad_question *q, size_t *first, size_t *last)
{
    const xr_gold_answer *a = has_place(all, q) ? &all->questions.answer[q->answer] : NULL;
    uint64_t at = all->passage[q->passage];
    size_t n = (size_t)(all->passage[q->passage + 1] - at);
    return a && xr_windows_cover(all->questions.passage[q->passage].text, all->piece + at, n, a->begin, a->end, first, last);
}

/* Windows begin `room - doc_stride` pieces apart; the first that reaches the end is the last. */
static xr_status add_windows(windowing *g, size_t i)
{
    xr_windows *all = &g->d->windows;
    const xr_squad_question *q = &all->questions.v[i];
    size_t n = (size_t)(all->passage[q->passage + 1] - all->passage[q->passage]), first = 0, last = 0, at = 0, take;
    int inside = 0;
    XR_TRY(encode_query(g, q->text));
    int found = find_answer(all, q, &first, &last);
    size_t room = g->o->max_len - SPECIALS - g->query.n;
    for (;; at += room - g->o->doc_stride) {
        take = n - at < room ? n - at : room;
        xr_window w = { (uint32_t)i, (uint32_t)(g->query.n + SPECIALS - 1), (uint32_t)at, (uint32_t)take, 0, 0 };
        label_window(all, &w, found, first, last);
        inside |= w.start > 0;
        XR_TRY(put_window(g, &w));
        if (at + take == n)
            break;
    }
    all->n_outside += has_place(all, q) && !inside;
    g->d->n_truncated += n > room;
    return XR_OK;
}

/* ---- all ---- */

xr_status xr_windows_check(const xr_data_options *o)
{
    if (o->max_query >= 1 && o->max_len > SPECIALS + o->max_query + o->doc_stride)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "--max-seq-length %zu: %d specials, --max-query-length %zu and --doc-stride %zu, which windows share, leave nothing; "
                   "give more than %zu, or lower the others", o->max_len, SPECIALS, o->max_query, o->doc_stride, SPECIALS + o->max_query + o->doc_stride);
}

/* Pieces of the passages that came since. */
static xr_status add_pieces(windowing *g)
{
    xr_windows *all = &g->d->windows;
    XR_TRY(xr_grow(&all->passage, &all->cap_passage, all->questions.n_passages + 1, sizeof *all->passage));
    for (; all->n_pieced < all->questions.n_passages; all->n_pieced++) {
        const xr_passage *p = &all->questions.passage[all->n_pieced];
        uint64_t at = all->n_pieced ? all->passage[all->n_pieced] : 0;
        xr_tokens t = { all->piece, (size_t)at, all->cap_piece };
        xr_status status = xr_tokenizer_encode(g->tok, p->text, p->len, 0, &t);
        all->piece = t.v;
        all->cap_piece = t.cap;
        XR_TRY(status);
        all->passage[0] = 0;
        all->passage[all->n_pieced + 1] = t.n;
    }
    return XR_OK;
}

static xr_status add_questions(windowing *g, size_t from)
{
    xr_windows *all = &g->d->windows;
    XR_TRY(add_pieces(g));
    XR_TRY(xr_grow(&all->first, &all->cap_first, all->questions.n + 1, sizeof *all->first));
    for (size_t i = from; i < all->questions.n; i++) {
        all->first[i] = g->d->n;
        XR_TRY(add_windows(g, i));
        all->first[i + 1] = g->d->n;
    }
    return XR_OK;
}

static xr_status window_questions(xr_dataset *d, size_t from, const xr_tokenizer *tok, const xr_data_options *o)
{
    windowing g = { .d = d, .tok = tok, .o = o };
    xr_status status = add_questions(&g, from);
    xr_tokens_free(&g.query);
    xr_tokens_free(&g.example);
    return status;
}

xr_status xr_dataset_add_squad(xr_dataset *d, const char *path, const xr_tokenizer *tok, const xr_data_options *o)
{
    const xr_squad_options how = { o->max_samples, o->need_label, o->need_place, o->unique_ids, o->skip_bad, o->max_bad_fraction };
    xr_questions *q = &d->windows.questions;
    uint64_t bad = q->n_bad;
    size_t from = q->n;
    XR_TRY(xr_windows_check(o));
    XR_TRY(xr_dataset_add_file(d, path));
    XR_TRY(xr_questions_read(q, path, &how));
    d->n_bad += q->n_bad - bad;
    return window_questions(d, from, tok, o);
}

xr_status xr_dataset_ask(xr_dataset *d, const xr_tokenizer *tok, const char *id, const char *question, const char *context,
                                  const xr_data_options *o)
{
    size_t from = d->windows.questions.n;
    XR_TRY(xr_windows_check(o));
    XR_TRY(xr_questions_add(&d->windows.questions, id, question, context));
    return window_questions(d, from, tok, o);
}
