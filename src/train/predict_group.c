/* Entities grouped as transformers' TokenClassificationPipeline does (aggregation_strategy), with offsets into the input.
 *
 * Every piece is labelled; `none` gives these, `simple` joins neighbours of one type, and `first`, `average` and `max` first make the pieces of a word
 * agree. A word ends where a blank (U+0020) or an unknown piece stands, which is that pipeline's rule for tokenizers like ours: characters that are no
 * blanks, U+3000 among them, do not end one. Text stands for what it covers in the input, not for joined pieces. */
#include <math.h>
#include <string.h>

#include "data/tagged.h"
#include "train/metrics.h"
#include "train/predict_parts.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/utf8.h"

/* A piece, a word or an entity: bytes of the input, its label and how sure that is. */
typedef struct span {
    size_t begin, end;
    int label, subword;
    int32_t id;                 /* of a piece */
    double score;
    const double *scores;       // [C] of a piece
} span;

typedef struct grouping {
    const xr_predicting *g;
    const char *input; size_t input_len;
    span *v; size_t n, cap;
    double *scores;             // [rows, C]
    xr_tokens tokens;
} grouping;

/* ---- pieces ---- */

static void softmax(double *p, const float *z, int n)
{
    double best = (double)z[xr_argmax(z, n)], sum = 0.0;
    for (int k = 0; k < n; k++)
        sum += p[k] = exp((double)z[k] - best);
    for (int k = 0; k < n; k++)
        p[k] /= sum;
}

static int best_of(const double *p, int n)
{
    int best = 0;
    for (int k = 1; k < n; k++)
        best = p[k] > p[best] ? k : best;
    return best;
}

/* The mark of a word's beginning stands for the word's first character where it is a piece by itself. */
static size_t end_of(const grouping *a, size_t begin, size_t end)
{
    size_t size = 0;
    if (end == begin && begin < a->input_len)
        (void)xr_utf8_decode(a->input + begin, a->input_len - begin, &size);
    return end + size;
}

/* The tokenizer's offsets give the blank before a piece to it, the pipeline's do not; within a word that is a character such as U+200C. */
static size_t begin_of(const grouping *a, size_t begin, size_t end)
{
    size_t size;
    while (begin < end && xr_utf8_is_blank(xr_utf8_decode(a->input + begin, end - begin, &size)))
        begin += size;
    return begin;
}

static xr_status add_piece(grouping *a, const xr_token *t, size_t from, const double *scores)
{
    XR_TRY(xr_grow(&a->v, &a->cap, a->n + 1, sizeof *a->v));
    size_t begin = begin_of(a, from + t->begin, from + t->end);
    int label = best_of(scores, a->g->tags.n);
    int blank = begin == 0 || a->input[begin - 1] == ' ' || a->input[begin] == ' ';
    a->v[a->n++] = (span){ begin, end_of(a, begin, from + t->end), label, !blank && t->id != XR_ID_UNK, t->id, scores[label], scores };
    return XR_OK;
}

/* The pieces of the sentence's words; words without pieces (<unk> for their slot) have none here, as in transformers. */
static xr_status add_pieces(grouping *a, size_t sentence, const float *logits)
{
    const xr_predicting *g = a->g;
    const xr_words *w = &g->chunk.words;
    size_t C = (size_t)g->tags.n, row = 0;
    a->scores = xr_alloc(xr_words_rows(w, w->sentence[sentence], w->sentence[sentence + 1]) * C, sizeof *a->scores);
    if (!a->scores)
        return xr_error_status();
    for (uint64_t i = w->sentence[sentence]; i < w->sentence[sentence + 1]; row += w->len[i++]) {
        const char *word = g->words.s + g->word_at[i];
        a->tokens.n = 0;
        XR_TRY(xr_tokenizer_encode(g->c->tokenizer, word, strlen(word), 0, &a->tokens));
        for (size_t p = 0; p < a->tokens.n && p < w->len[i]; p++) {
            softmax(a->scores + (row + p) * C, logits + (row + p) * C, (int)C);
            XR_TRY(add_piece(a, &a->tokens.v[p], g->word_from[i], a->scores + (row + p) * C));
        }
    }
    return XR_OK;
}

/* ---- words ---- */

static void label_first(const span *v, size_t n, int C, span *out)
{
    (void)n;
    (void)C;
    out->label = v->label, out->score = v->score;
}

static void label_max(const span *v, size_t n, int C, span *out)
{
    size_t best = 0;
    (void)C;
    for (size_t i = 1; i < n; i++)
        best = v[i].score > v[best].score ? i : best;
    out->label = v[best].label, out->score = v[best].score;
}

static void label_average(const span *v, size_t n, int C, span *out)
{
    out->score = -1.0;
    for (int k = 0; k < C; k++) {
        double sum = 0.0;
        for (size_t i = 0; i < n; i++)
            sum += v[i].scores[k];
        if (sum / (double)n > out->score)
            out->label = k, out->score = sum / (double)n;
    }
}

typedef void (*label_rule)(const span *v, size_t n, int C, span *out);

/* The pieces of each word become one span. */
static void join_words(grouping *a, label_rule rule)
{
    size_t n = 0;
    for (size_t i = 0, end; i < a->n; i = end) {
        for (end = i + 1; end < a->n && a->v[end].subword; end++)
            ;
        span word = a->v[i];
        rule(a->v + i, end - i, a->g->tags.n, &word);
        word.end = a->v[end - 1].end;
        a->v[n++] = word;
    }
    a->n = n;
}

/* ---- entities ---- */

static const char *name_of(const grouping *a, int label) { return a->g->c->model.config.label[label]; }
static int has_prefix(const char *name) { return strncmp(name, "B-", 2) == 0 || strncmp(name, "I-", 2) == 0; }
static const char *bare(const char *name) { return has_prefix(name) ? name + 2 : name; }

static int goes_on(const grouping *a, const span *last, const span *s)
{
    const char *name = name_of(a, s->label);
    return strcmp(bare(name_of(a, last->label)), bare(name)) == 0 && strncmp(name, "B-", 2) != 0;
}

/* Neighbours of one type become one span with their mean score; its label is the first one's. */
static void join_entities(grouping *a)
{
    size_t n = 0;
    for (size_t i = 0, end; i < a->n; i = end) {
        double sum = a->v[i].score;
        for (end = i + 1; end < a->n && goes_on(a, &a->v[end - 1], &a->v[end]); end++)
            sum += a->v[end].score;
        span entity = a->v[i];
        entity.end = a->v[end - 1].end;
        entity.score = sum / (double)(end - i);
        a->v[n++] = entity;
    }
    a->n = n;
}

/* ---- the answer ---- */

xr_status xr_predict_offsets(const char *input, size_t begin, size_t end, xr_str *out)
{
    size_t first = xr_utf8_count(input, begin);
    return xr_str_printf(out, ", \"start_char\": %zu, \"end_char\": %zu, \"start_byte\": %zu, \"end_byte\": %zu", first,
                         first + xr_utf8_count(input + begin, end - begin), begin, end);
}

static xr_status put_text(const char *key, const char *s, size_t len, xr_str *out)
{
    XR_TRY(xr_str_puts(out, key));
    return xr_str_json_string(out, s, len);
}

static xr_status put_span(const grouping *a, const span *s, int pieces, xr_str *out)
{
    const char *name = name_of(a, s->label), *dash = strchr(name, '-'), *piece = xr_tokenizer_piece(a->g->c->tokenizer, s->id);
    const char *label = pieces || !dash ? name : dash + 1;
    XR_TRY(put_text(pieces ? "{\"entity\": " : "{\"entity_group\": ", label, strlen(label), out));
    XR_TRY(put_text(", \"text\": ", a->input + s->begin, s->end - s->begin, out));
    if (pieces && piece)
        XR_TRY(put_text(", \"piece\": ", piece, strlen(piece), out));
    XR_TRY(xr_str_puts(out, ", \"score\": "));
    XR_TRY(xr_str_float(out, (float)s->score));
    XR_TRY(xr_predict_offsets(a->input, s->begin, s->end, out));
    return xr_str_putc(out, '}');
}

static xr_status put_entities(grouping *a, xr_str *out)
{
    static const struct { const char *name; label_rule rule; } rules[] = { { "first", label_first }, { "average", label_average }, { "max", label_max } };
    const char *how = a->g->p->o->grouping, *comma = "";
    int pieces = strcmp(how, "none") == 0;
    for (size_t k = 0; k < sizeof rules / sizeof *rules; k++)
        if (strcmp(how, rules[k].name) == 0)
            join_words(a, rules[k].rule);
    if (!pieces)
        join_entities(a);
    XR_TRY(xr_str_puts(out, "{\"entities\": ["));
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(name_of(a, a->v[i].label), "O") == 0)
            continue;
        XR_TRY(xr_str_puts(out, comma));
        XR_TRY(put_span(a, &a->v[i], pieces, out));
        comma = ", ";
    }
    return xr_str_puts(out, "]}");
}

xr_status xr_predict_grouped(xr_predicting *g, size_t sentence, const float *logits)
{
    const xr_words *w = &g->chunk.words;
    grouping a = { .g = g, .input = g->inputs.s + g->input_at[sentence] };
    a.input_len = strlen(a.input);
    xr_status status = add_pieces(&a, sentence, logits + xr_words_rows(w, 0, w->sentence[sentence]) * (size_t)g->tags.n);
    if (status == XR_OK)
        status = put_entities(&a, &g->lines);
    xr_tokens_free(&a.tokens);
    xr_free(a.scores);
    xr_free(a.v);
    return status;
}
