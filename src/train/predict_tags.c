/* Tagging sentences as they come: JSON lines of words, or of text whose words stand between white space. */
#include <math.h>
#include <string.h>

#include "data/tagged.h"
#include "train/metrics.h"
#include "train/predict_parts.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/utf8.h"

/* All pieces are labelled and grouped, rather than words. */
static int is_grouped(const xr_predicting *g)
{
    return strcmp(g->p->o->grouping, "words") != 0;
}

static xr_status check(xr_predicting *g)
{
    const xr_config *c = &g->c->model.config;
    if (g->data.format && strcmp(g->data.format, "csv") == 0)
        return xr_predict_fail_option(g, "format csv");
    return xr_tagset_init(&g->tags, (const char *const *)c->label, c->num_labels, g->c->dir);
}

/* Lines of words as in training files, rather than JSON lines: only when asked for, since a text of blanks and words would pass for one. */
static int is_columns(const xr_predicting *g)
{
    return g->data.format && strcmp(g->data.format, "tsv") == 0;
}

static xr_status open(xr_predicting *g, const char *path)
{
    if (is_columns(g)) {
        XR_TRY(xr_tagged_open(&g->tagged, path));
        g->stream = g->tagged.stream;
        return XR_OK;
    }
    g->stream = xr_stream_open(path);
    return g->stream ? XR_OK : xr_error_status();
}

static void close(xr_predicting *g)
{
    if (is_columns(g))
        xr_tagged_close(&g->tagged);
    else
        xr_stream_close(g->stream);
    g->stream = NULL;
}

/* ---- records ---- */

/* Keeps one more word behind those of the chunk, which begins at `from` in the record's text; *n counts them all. */
static xr_status put_word(xr_predicting *g, const char *s, size_t len, size_t from, size_t *n)
{
    XR_TRY(xr_grow(&g->word_at, &g->cap_word_at, *n + 1, sizeof *g->word_at));
    XR_TRY(xr_grow(&g->word_from, &g->cap_word_from, *n + 1, sizeof *g->word_from));
    g->word_from[*n] = from;
    g->word_at[(*n)++] = g->words.len;
    XR_TRY(xr_str_append(&g->words, s, len));
    return xr_str_append(&g->words, "", 1);
}

/* One of a list of words; the record's text is the words joined by blanks, as transformers joins them. */
static xr_status put_listed(xr_predicting *g, const char *s, size_t len, size_t start, size_t *n)
{
    XR_TRY(g->inputs.len > start || (*n > g->chunk.words.n) ? xr_str_putc(&g->inputs, ' ') : XR_OK);
    XR_TRY(put_word(g, s, len, g->inputs.len - start, n));
    return xr_str_append(&g->inputs, s, len);
}

static xr_status put_tokens(xr_predicting *g, const json_t *list, size_t *n)
{
    size_t start = g->inputs.len;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *word = json_array_get(list, i);
        if (!json_is_string(word))
            return xr_fail(XR_EDATA, "\"tokens\" holds something that is no string; expected [\"word\", …]; put it in quotes");
        XR_TRY(put_listed(g, json_string_value(word), json_string_length(word), start, n));
    }
    return xr_str_append(&g->inputs, "", 1);
}

static xr_status put_text(xr_predicting *g, const char *text, size_t len, size_t *n)
{
    size_t begin = 0, size;
    for (size_t at = 0; at <= len; at += size) {
        int space = at == len || xr_utf8_is_space(xr_utf8_decode(text + at, len - at, &size));
        size = at == len ? 1 : size;
        if (!space)
            continue;
        if (at > begin)
            XR_TRY(put_word(g, text + begin, at - begin, begin, n));
        begin = at + size;
    }
    return xr_str_append(&g->inputs, text, len + 1);
}

/* The words [first, n) kept behind those of the chunk become a record, whose text begins at `input`. */
static xr_status add_sentence(xr_predicting *g, size_t n, size_t input)
{
    size_t first = g->chunk.words.n, k = g->chunk.words.n_sentences;
    XR_TRY(xr_grow(&g->word, &g->cap_word, n - first, sizeof *g->word));
    XR_TRY(xr_grow(&g->input_at, &g->cap_input_at, k + 1, sizeof *g->input_at));
    g->input_at[k] = input;
    g->chunk.words.all_pieces = is_grouped(g);
    for (size_t i = first; i < n; i++)
        g->word[i - first] = g->words.s + g->word_at[i];
    return xr_dataset_add_words(&g->chunk, g->c->tokenizer, g->word, NULL, n - first, g->data.max_len, g->data.stride);
}

static xr_status take_record(xr_predicting *g, const json_t *j)
{
    const json_t *tokens = json_object_get(j, "tokens"), *text = json_object_get(j, "text");
    size_t first = g->chunk.words.n, n = first, input = g->inputs.len;
    if (json_is_array(tokens) == json_is_string(text))
        return xr_fail(XR_EDATA, "%s; expected {\"tokens\": [\"word\", …]} or {\"text\": \"…\"}; give one of them",
                       tokens && text ? "both \"tokens\" and \"text\"" : "neither a list \"tokens\" nor a string \"text\"");
    XR_TRY(tokens ? put_tokens(g, tokens, &n) : put_text(g, json_string_value(text), json_string_length(text), &n));
    if (n == first)
        return xr_fail(XR_EDATA, "there are no words; expected at least one; remove the line, or answer it with an error by --on-bad-record skip");
    return add_sentence(g, n, input);
}

static int next_columns(xr_predicting *g)
{
    int got = xr_tagged_next(&g->tagged);
    g->broken = g->tagged.broken;
    if (got <= 0)
        return got;
    size_t n = g->chunk.words.n, input = g->inputs.len;
    for (size_t i = 0; i < g->tagged.n; i++)
        XR_TRY(put_listed(g, g->tagged.word[i].text, strlen(g->tagged.word[i].text), input, &n));
    XR_TRY(xr_str_append(&g->inputs, "", 1));
    xr_status status = add_sentence(g, n, input);
    return status < 0 ? status : 1;
}

/* A file in the format of training, which is the likeliest slip. */
static xr_status looks_like_record(const char *line, const char *where)
{
    line += strncmp(line, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    if (line[strspn(line, " \t")] == '{')
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: is no JSON object; a tagger reads JSON lines, {\"tokens\": [\"word\", …]} or {\"text\": \"…\"}; "
                   "give --format tsv for a file with a word a line", where);
}

static int next(xr_predicting *g)
{
    return is_columns(g) ? next_columns(g) : xr_predict_json_line(g, looks_like_record, take_record);
}

/* ---- answers ---- */

/* The sentence being answered. */
typedef struct answered {
    xr_predicting *g;
    size_t first, n;            /* its words within the chunk */
    const float *logits;        // [n, C]
    const char *input;          /* the record's text */
    const size_t *from;         // [n] where the words begin in it
} answered;

static const char *word_of(const answered *a, size_t i) { return a->g->words.s + a->g->word_at[a->first + i]; }

static int label_of(const answered *a, size_t i)
{
    int C = a->g->tags.n;
    return xr_argmax(a->logits + i * (size_t)C, C);
}

/* Probability of the best label. */
static double probability(const answered *a, size_t i)
{
    int C = a->g->tags.n;
    const float *z = a->logits + i * (size_t)C;
    double best = (double)z[xr_argmax(z, C)], sum = 0.0;
    for (int k = 0; k < C; k++)
        sum += exp((double)z[k] - best);
    return 1.0 / sum;
}

static xr_status put_words(const answered *a, int tags, xr_str *out)
{
    char **label = a->g->c->model.config.label;
    XR_TRY(xr_str_puts(out, tags ? ", \"tags\": [" : "{\"tokens\": ["));
    for (size_t i = 0; i < a->n; i++) {
        const char *s = tags ? label[label_of(a, i)] : word_of(a, i);
        XR_TRY(xr_str_puts(out, i ? ", " : ""));
        XR_TRY(xr_str_json_string(out, s, strlen(s)));
    }
    return xr_str_puts(out, "]");
}

static xr_status join_words(const answered *a, const xr_entity *e, xr_str *out)
{
    xr_str text = { 0 };
    xr_status status = XR_OK;
    for (size_t i = e->begin; i < e->end && status == XR_OK; i++)
        status = xr_str_printf(&text, "%s%s", i > e->begin ? " " : "", word_of(a, i));
    if (status == XR_OK)
        status = xr_str_json_string(out, text.s ? text.s : "", text.len);
    xr_str_free(&text);
    return status;
}

static xr_status put_entity(const answered *a, const xr_entity *e, int later, xr_str *out)
{
    const char *type = a->g->tags.type[e->type];
    double sum = 0.0;
    for (size_t i = e->begin; i < e->end; i++)
        sum += probability(a, i);
    XR_TRY(xr_str_puts(out, later ? ", {\"type\": " : "{\"type\": "));
    XR_TRY(xr_str_json_string(out, type, strlen(type)));
    XR_TRY(xr_str_printf(out, ", \"begin\": %zu, \"end\": %zu, \"text\": ", e->begin, e->end));
    XR_TRY(join_words(a, e, out));
    XR_TRY(xr_predict_offsets(a->input, a->from[e->begin], a->from[e->end - 1] + strlen(word_of(a, e->end - 1)), out));
    XR_TRY(xr_str_puts(out, ", \"score\": "));
    XR_TRY(xr_str_float(out, (float)(sum / (double)(e->end - e->begin))));
    return xr_str_puts(out, "}");
}

static xr_status put_entities(const answered *a, xr_str *out)
{
    xr_entity_walk walk = XR_ENTITY_WALK;
    xr_entity e;
    int later = 0;
    if (a->g->tags.plain)
        return xr_str_putc(out, '}');
    XR_TRY(xr_str_puts(out, ", \"entities\": ["));
    for (size_t i = 0; i <= a->n; i++)
        if (i < a->n ? xr_entity_step(&walk, a->g->tags.tag[label_of(a, i)], i, &e) : xr_entity_finish(&walk, i, &e))
            XR_TRY(put_entity(a, &e, later++, out));
    return xr_str_puts(out, "]}");
}

static xr_status answer(xr_predicting *g, size_t i, const float *logits)
{
    const xr_words *w = &g->chunk.words;
    size_t first = (size_t)w->sentence[i];
    if (is_grouped(g))
        return xr_predict_grouped(g, i, logits);
    answered a = { g, first, (size_t)w->sentence[i + 1] - first, logits + first * (size_t)g->tags.n, g->inputs.s + g->input_at[i], g->word_from + first };
    XR_TRY(put_words(&a, 0, &g->lines));
    XR_TRY(put_words(&a, 1, &g->lines));
    return put_entities(&a, &g->lines);
}

static const char *const options[] = { "grouping", "tag_stride", NULL };
const xr_predict_kind xr_predict_tags = {
    "a tagger reads JSON lines, {\"tokens\": [...]} or {\"text\": ...}, or the files it was trained on (--format tsv), and gives every word one tag", options,
    check, open, next, answer, close, NULL
};
