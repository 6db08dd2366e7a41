/* Answering questions with choices as they come: JSON lines as for training, whose labels are not looked at. */
#include <math.h>
#include <string.h>

#include "data/choices.h"
#include "train/metrics.h"
#include "train/predict_parts.h"
#include "util/alloc.h"
#include "util/json.h"

static xr_status check(xr_predicting *g)
{
    return g->data.format && strcmp(g->data.format, "jsonl") != 0 ? xr_predict_fail_option(g, "format") : XR_OK;
}

static xr_status open(xr_predicting *g, const char *path)
{
    XR_TRY(xr_questions_open(&g->questions, path));
    g->stream = g->questions.stream;
    return XR_OK;
}

static void close(xr_predicting *g)
{
    xr_questions_close(&g->questions);
    g->stream = NULL;
}

/* Keeps the texts of the choices for the answer, behind those of the chunk. */
static xr_status keep_texts(xr_predicting *g, const xr_question *q)
{
    size_t first = g->chunk.choices.n;
    XR_TRY(xr_grow(&g->word_at, &g->cap_word_at, first + q->n, sizeof *g->word_at));
    for (size_t k = 0; k < q->n; k++) {
        g->word_at[first + k] = g->words.len;
        XR_TRY(xr_str_append(&g->words, q->choice[k], strlen(q->choice[k]) + 1));
    }
    return XR_OK;
}

static int next(xr_predicting *g)
{
    xr_question q;
    int got = xr_questions_next(&g->questions, &q);
    g->broken = g->questions.broken;
    if (got <= 0)
        return got;
    XR_TRY(keep_texts(g, &q));
    xr_status status = xr_dataset_add_question(&g->chunk, g->c->tokenizer, &q, g->data.max_len);
    if (status == XR_EDATA)
        status = xr_fail_context("%s:%zu", xr_stream_path(g->stream), q.line);
    return status < 0 ? status : 1;
}

/* exp(z - log sum exp) of one choice. */
static double share(const float *z, size_t n, size_t k)
{
    double max = (double)z[xr_argmax(z, (int)n)], sum = 0.0;
    for (size_t j = 0; j < n; j++)
        sum += exp((double)z[j] - max);
    return exp((double)z[k] - max) / sum;
}

static xr_status answer(xr_predicting *g, size_t i, const float *logits)
{
    const xr_choices *c = &g->chunk.choices;
    size_t first = (size_t)c->example[i], n = (size_t)c->example[i + 1] - first;
    size_t best = (size_t)xr_argmax(logits + first, (int)n);
    const char *text = g->words.s + g->word_at[first + best];
    XR_TRY(xr_str_printf(&g->lines, "{\"label\": %zu, \"text\": ", best));
    XR_TRY(xr_str_json_string(&g->lines, text, strlen(text)));
    XR_TRY(xr_str_puts(&g->lines, ", \"score\": "));
    XR_TRY(xr_str_float(&g->lines, (float)share(logits + first, n, best)));
    XR_TRY(xr_str_puts(&g->lines, ", \"scores\": ["));
    for (size_t k = 0; k < n; k++) {
        XR_TRY(xr_str_puts(&g->lines, k ? ", " : ""));
        XR_TRY(xr_str_float(&g->lines, (float)share(logits + first, n, k)));
    }
    return xr_str_puts(&g->lines, "]}");
}

static const char *const options[] = { NULL };
const xr_predict_kind xr_predict_choice = {
    "a multiple-choice model reads JSON lines of questions and scores every choice", options, check, open, next, answer, close, NULL
};
