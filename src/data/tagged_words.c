/* Words to examples: pieces of the words, where each word begins, and its tag; long sentences in windows. */
#include <string.h>

#include "data/tagged.h"
#include "util/alloc.h"

enum { SPECIALS = 2 };      /* <s> and </s> */

/* A sentence on its way into the dataset. */
typedef struct sentence {
    xr_dataset *d;
    const xr_tokenizer *tok;
    size_t n, room, stride;     /* words; pieces an example may have, and share with the next */
    xr_tokens pieces;           /* of all words */
    size_t *at, cap_at;         // [n + 1] first piece of each word
    xr_tokens example;
} sentence;

static xr_status put(xr_tokens *t, const xr_token *v, size_t n)
{
    XR_TRY(xr_grow(&t->v, &t->cap, t->n + n, sizeof *t->v));
    memcpy(t->v + t->n, v, n * sizeof *v);
    t->n += n;
    return XR_OK;
}

static xr_status put_special(xr_tokens *t, int32_t id)
{
    const xr_token special = { id, 0, 0 };
    return put(t, &special, 1);
}

static xr_status encode(sentence *s, const char *const *word)
{
    XR_TRY(xr_grow(&s->at, &s->cap_at, s->n + 1, sizeof *s->at));
    for (size_t i = 0; i < s->n; i++) {
        s->at[i] = s->pieces.n;
        if (s->tok)
            XR_TRY(xr_tokenizer_encode(s->tok, word[i], strlen(word[i]), 0, &s->pieces));
        if (s->pieces.n - s->at[i] > s->room)
            s->pieces.n = s->at[i] + s->room;
        if (s->pieces.n > s->at[i])
            continue;
        s->d->words.n_empty++;
        XR_TRY(put_special(&s->pieces, XR_ID_UNK));
    }
    s->at[s->n] = s->pieces.n;
    return XR_OK;
}

static xr_status grow_words(xr_words *w, size_t n)
{
    if (w->n + n <= w->cap)
        return XR_OK;
    size_t cap = 2 * w->cap + n + 1024;
    uint32_t *row = xr_realloc(w->row, cap, sizeof *row);
    w->row = row ? row : w->row;
    uint32_t *len = row ? xr_realloc(w->len, cap, sizeof *len) : NULL;
    w->len = len ? len : w->len;
    int32_t *tag = len ? xr_realloc(w->tag, cap, sizeof *tag) : NULL;
    w->tag = tag ? tag : w->tag;
    if (!tag)
        return xr_error_status();
    w->cap = cap;
    return XR_OK;
}

/* An example of words [begin, end), of which [first, last) are predicted. */
static xr_status add_example(sentence *s, size_t begin, size_t end, size_t first, size_t last, const int32_t *tag)
{
    xr_dataset *d = s->d;
    xr_words *w = &d->words;
    s->example.n = 0;
    XR_TRY(put_special(&s->example, XR_ID_BOS));
    XR_TRY(put(&s->example, s->pieces.v + s->at[begin], s->at[end] - s->at[begin]));
    XR_TRY(put_special(&s->example, XR_ID_EOS));
    XR_TRY(grow_words(w, last - first));
    XR_TRY(xr_grow(&w->example, &w->cap_example, d->n + 2, sizeof *w->example));
    XR_TRY(xr_dataset_add_tokens(d, s->example.v, s->example.n));
    for (size_t i = first; i < last; i++) {
        w->row[w->n] = (uint32_t)(1 + s->at[i] - s->at[begin]);
        w->len[w->n] = (uint32_t)(s->at[i + 1] - s->at[i]);
        w->tag[w->n++] = tag ? tag[i] : -1;
    }
    w->example[0] = 0;
    w->example[d->n] = w->n;
    return XR_OK;
}

/* ---- windows ---- */

/* Words of a window that begins with this one. */
static size_t window_end(const sentence *s, size_t begin)
{
    size_t end = begin;
    while (end < s->n && s->at[end + 1] - s->at[begin] <= s->room)
        end++;
    return end;
}

/* Where the window behind [begin, end) begins: it shares at most `stride` pieces and has room for a word more. The last one reaches back
 * as far as it has room. */
static size_t next_begin(const sentence *s, size_t begin, size_t end)
{
    size_t next = begin + 1;
    while (next < end && (s->at[end] - s->at[next] > s->stride || s->at[end + 1] - s->at[next] > s->room))
        next++;
    if (s->stride && s->at[s->n] - s->at[next] <= s->room)
        while (next > begin + 1 && s->at[s->n] - s->at[next - 1] <= s->room)
            next--;
    return next;
}

/* The first word with more context in the later of two windows. In what they share each word has less on the left in the later one and less on the
 * right in the earlier, so it is the one behind the middle. */
static size_t cut_between(const sentence *s, size_t next, size_t end)
{
    size_t cut = next;
    while (cut < end && s->at[end] - s->at[cut + 1] >= s->at[cut] - s->at[next])
        cut++;
    return cut;
}

static xr_status add_windows(sentence *s, const int32_t *tag)
{
    for (size_t begin = 0, done = 0; done < s->n;) {
        size_t end = window_end(s, begin), next = end < s->n ? next_begin(s, begin, end) : end;
        size_t cut = end < s->n ? cut_between(s, next, end) : end;
        if (cut > done) {
            XR_TRY(add_example(s, begin, end, done, cut, tag));
            done = cut;
        }
        begin = next;
    }
    return XR_OK;
}

static xr_status add_sentence(sentence *s, const char *const *word, const int32_t *tag)
{
    xr_words *w = &s->d->words;
    size_t before = s->d->n;
    XR_TRY(xr_grow(&w->sentence, &w->cap_sentence, w->n_sentences + 2, sizeof *w->sentence));
    XR_TRY(encode(s, word));
    XR_TRY(add_windows(s, tag));
    w->sentence[0] = 0;
    w->sentence[++w->n_sentences] = w->n;
    s->d->n_truncated += s->d->n > before + 1;
    return XR_OK;
}

xr_status xr_dataset_add_words(xr_dataset *d, const xr_tokenizer *tok, const char *const *word, const int32_t *tag,
                               size_t n, size_t max_len, size_t stride)
{
    if (max_len && max_len <= SPECIALS)
        return xr_fail(XR_EUSAGE, "max length %zu; <s>, a piece and </s> need %d", max_len, SPECIALS + 1);
    sentence s = { .d = d, .tok = tok, .n = n, .room = max_len ? max_len - SPECIALS : SIZE_MAX / 2 };
    s.stride = stride < s.room / 2 ? stride : s.room / 2;
    xr_status status = add_sentence(&s, word, tag);
    xr_tokens_free(&s.pieces);
    xr_tokens_free(&s.example);
    xr_free(s.at);
    return status;
}

size_t xr_words_rows(const xr_words *w, uint64_t first, uint64_t last)
{
    size_t n = 0;
    if (!w->all_pieces)
        return (size_t)(last - first);
    for (uint64_t i = first; i < last; i++)
        n += w->len[i];
    return n;
}
