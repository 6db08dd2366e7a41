/* Answering questions about texts as they come: JSON lines, or a file in SQuAD's layout. */
#include <string.h>

#include "data/qa_windows.h"
#include "data/text.h"
#include "train/predict_parts.h"
#include "train/qa_options.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/utf8.h"

enum { HEAD = 4096 };       /* bytes that tell the layout */

static xr_status check(xr_predicting *g)
{
    const xr_options *o = g->p->o;
    if (g->data.format && strcmp(g->data.format, "jsonl") != 0)
        return xr_predict_fail_option(g, "format");
    if (o->output_dir && o->n_args > 1)
        return xr_fail(XR_EUSAGE, "--output-dir: its files tell questions apart by their ids, which hold within one file; give one file");
    if (xr_options_origin(o, "max_seq_length").kind == XR_FROM_DEFAULT && g->data.max_len > XR_QA_MAX_LENGTH)
        g->data.max_len = XR_QA_MAX_LENGTH;
    xr_qa_data_options(o, &g->data);
    return xr_windows_check(&g->data);
}

static void close(xr_predicting *g)
{
    xr_stream_close(g->stream);
    xr_questions_free(&g->asked);
    g->stream = NULL;
}

/* All questions of a file in SQuAD's layout are read at once; one that is bad is left out, not answered. */
static xr_status read_layout(xr_predicting *g, const char *path)
{
    const xr_squad_options how = { .unique_ids = 1, .skip_bad = g->data.skip_bad, .max_bad_fraction = g->data.max_bad_fraction };
    const char *head;
    long n = xr_stream_head(g->stream, HEAD, &head);
    XR_TRY(n < 0 ? (xr_status)n : XR_OK);
    if (xr_questions_detect(head, (size_t)n))
        return xr_questions_read_stream(&g->asked, g->stream, &how);
    if (!g->p->o->output_dir)
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: is no file in SQuAD's layout, whose ids the files of --output-dir need; leave the option out", path);
}

static xr_status open(xr_predicting *g, const char *path)
{
    g->next_asked = 0;
    g->stream = xr_stream_open(path);
    if (!g->stream)
        return xr_error_status();
    xr_status status = read_layout(g, path);
    if (status < 0)
        close(g);
    xr_qa_answer_options(g->p->o, g->asked.n_impossible > 0, &g->how);
    return status;
}

/* ---- records ---- */

static int next_asked(xr_predicting *g)
{
    if (g->next_asked == g->asked.n)
        return 0;
    const xr_squad_question *q = &g->asked.v[g->next_asked++];
    xr_status status = xr_dataset_ask(&g->chunk, g->c->tokenizer, q->id, q->text, g->asked.passage[q->passage].text, &g->data);
    return status < 0 ? status : 1;
}

static xr_status take_record(xr_predicting *g, const json_t *j)
{
    const char *question = json_string_value(json_object_get(j, "question")), *context = json_string_value(json_object_get(j, "context"));
    const json_t *id = json_object_get(j, "id");
    char number[32] = "";
    if (xr_text_is_missing(question) || xr_text_is_missing(context))
        return xr_fail(XR_EDATA, "\"question\" or \"context\" is missing, empty or no text; expected {\"question\": \"…\", \"context\": \"…\"}; complete "
                       "the line, or answer it with an error by --on-bad-record skip");
    if (json_is_integer(id))
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(id));
    return xr_dataset_ask(&g->chunk, g->c->tokenizer, json_is_string(id) ? json_string_value(id) : number, question, context, &g->data);
}

/* A table would be told as a JSON error. */
static xr_status looks_like_record(const char *line, const char *where)
{
    line += strncmp(line, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    return line[strspn(line, " \t")] == '{' ? XR_OK
           : xr_fail(XR_EDATA, "%s: is no JSON object; expected a line {\"question\": \"…\", \"context\": \"…\"}, or a file in SQuAD's layout; "
                     "convert the file", where);
}

static int next(xr_predicting *g)
{
    return g->asked.n ? next_asked(g) : xr_predict_json_line(g, looks_like_record, take_record);
}

/* ---- answers ---- */

static xr_status put_place(const xr_passage *p, const xr_answer *a, xr_str *out)
{
    size_t start = xr_utf8_count(p->text, a->begin), n = xr_utf8_count(p->text + a->begin, a->end - a->begin);
    XR_TRY(xr_str_json_string(out, p->text + a->begin, a->end - a->begin));
    XR_TRY(xr_str_puts(out, ", \"score\": "));
    XR_TRY(xr_str_float(out, (float)a->probability));
    return xr_str_printf(out, ", \"start\": %zu, \"end\": %zu, \"start_byte\": %zu, \"end_byte\": %zu", start, start + n, a->begin, a->end);
}

/* How many answers are shown beside the one: --top-k, or --n-best where that was asked for. */
static size_t shown(const xr_options *o)
{
    return o->top_k > 0 ? (size_t)o->top_k : xr_options_origin(o, "n_best").kind != XR_FROM_DEFAULT ? (size_t)o->n_best : 0;
}

/* The best, best first. */
static xr_status put_others(const xr_predicting *g, const xr_passage *p, xr_str *out)
{
    size_t most = shown(g->p->o);
    XR_TRY(xr_str_puts(out, ", \"answers\": ["));
    for (size_t i = 0; i < g->answers.n && i < most; i++) {
        XR_TRY(xr_str_puts(out, i ? ", {\"answer\": " : "{\"answer\": "));
        XR_TRY(put_place(p, &g->answers.v[i], out));
        XR_TRY(xr_str_puts(out, "}"));
    }
    return xr_str_puts(out, "]");
}

static xr_status put_line(const xr_predicting *g, const xr_squad_question *q, xr_str *out)
{
    const xr_passage *p = &g->chunk.windows.questions.passage[q->passage];
    XR_TRY(xr_str_puts(out, "{"));
    if (*q->id) {
        XR_TRY(xr_str_puts(out, "\"id\": "));
        XR_TRY(xr_str_json_string(out, q->id, strlen(q->id)));
        XR_TRY(xr_str_puts(out, ", "));
    }
    XR_TRY(xr_str_puts(out, "\"answer\": "));
    XR_TRY(put_place(p, &g->answers.v[g->answers.chosen], out));
    XR_TRY(xr_str_puts(out, ", \"null_odds\": "));
    XR_TRY(xr_str_float(out, (float)g->answers.null_odds));
    if (shown(g->p->o) > 0)
        XR_TRY(put_others(g, p, out));
    return xr_str_puts(out, "}");
}

static xr_status answer(xr_predicting *g, size_t i, const float *logits)
{
    XR_TRY(xr_answers_find(&g->answers, &g->chunk, logits, i, &g->how));
    if (g->p->o->output_dir)
        XR_TRY(xr_qa_put(&g->files, &g->chunk, i, &g->answers));
    return put_line(g, &g->chunk.windows.questions.v[i], &g->lines);
}

static xr_status finish(xr_predicting *g)
{
    if (!g->p->o->output_dir)
        return XR_OK;
    XR_TRY(xr_qa_finish(&g->files));
    return xr_qa_predictions_write(&g->files, g->p->o->output_dir, g->how.may_be_none);
}

static const char *const options[] = { "top_k", "n_best", "doc_stride", "max_query_length", "max_answer_length", "unanswerable", "null_threshold", "output_dir",
                                       NULL };
const xr_predict_kind xr_predict_qa = {
    "a model that answers questions reads JSON lines, {\"question\": …, \"context\": …}, or a file in SQuAD's layout", options, check, open, next, answer,
    close, finish
};
