#include "train/predict_parts.h"

#include <math.h>
#include <string.h>

#include "data/text.h"
#include "train/evaluate.h"
#include "train/score.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"

int xr_predict_json_line(xr_predicting *g, xr_status (*look)(const char *line, const char *where), xr_status (*take)(xr_predicting *g, const json_t *j))
{
    char *line;
    size_t len;
    int got;
    do
        got = xr_stream_line(g->stream, &line, &len);
    while (got > 0 && len == 0);
    g->broken = got < 0;
    if (got <= 0)
        return got;
    char *where = xr_asprintf("%s:%zu", xr_stream_path(g->stream), xr_stream_line_number(g->stream));
    int good = where && xr_line_check(g->stream, line, len) == XR_OK && (!look || look(line, where) == XR_OK);
    json_t *j = good ? xr_json_line(line, len, where) : NULL;
    xr_status status = j ? take(g, j) : xr_error_status();
    if (j && status < 0)
        status = xr_fail_context("%s", where);
    json_decref(j);
    xr_free(where);
    return status < 0 ? status : 1;
}

enum { SHOWN = 5 };         /* bad records shown per file */

/* ---- one answer ---- */

static xr_status put_key(xr_str *out, const char *name)
{
    XR_TRY(xr_str_json_string(out, name, strlen(name)));
    return xr_str_puts(out, ": ");
}

static xr_status put_pair(xr_str *out, const char *name, double value)
{
    XR_TRY(put_key(out, name));
    return xr_str_float(out, (float)value);
}

/* The best class not yet taken; the first of equals. */
static int next_best(const double *score, const uint8_t *taken, int n)
{
    int best = -1;
    for (int k = 0; k < n; k++)
        if (!taken[k] && (best < 0 || score[k] > score[best]))
            best = k;
    return best;
}

static xr_status put_scores(const xr_config *c, const double *score, uint8_t *taken, int top_k, xr_str *out)
{
    int n = top_k > 0 && top_k < c->num_labels ? top_k : c->num_labels;
    XR_TRY(xr_str_puts(out, "\"scores\": {"));
    for (int i = 0; i < n; i++) {
        int k = top_k > 0 ? next_best(score, taken, c->num_labels) : i;
        taken[k] = 1;
        XR_TRY(xr_str_puts(out, i ? ", " : ""));
        XR_TRY(put_pair(out, c->label[k], score[k]));
    }
    return xr_str_puts(out, "}}");
}

static void softmax(double *p, const float *z, int n)
{
    double max = (double)z[xr_argmax(z, n)], sum = 0.0;
    for (int k = 0; k < n; k++)
        sum += p[k] = exp((double)z[k] - max);
    for (int k = 0; k < n; k++)
        p[k] /= sum;
}

static xr_status put_class(const xr_config *c, const float *z, double *score, xr_str *out)
{
    int best = xr_argmax(z, c->num_labels);
    softmax(score, z, c->num_labels);
    XR_TRY(xr_str_puts(out, "{\"label\": "));
    XR_TRY(xr_str_json_string(out, c->label[best], strlen(c->label[best])));
    XR_TRY(xr_str_puts(out, ", "));
    XR_TRY(put_pair(out, "score", score[best]));
    return xr_str_puts(out, ", ");
}

static xr_status put_classes(const xr_config *c, const float *z, double *score, xr_str *out)
{
    int any = 0;
    XR_TRY(xr_str_puts(out, "{\"labels\": ["));
    for (int k = 0; k < c->num_labels; k++) {
        score[k] = 1.0 / (1.0 + exp(-(double)z[k]));
        if (z[k] <= 0.0f)
            continue;
        XR_TRY(xr_str_puts(out, any++ ? ", " : ""));
        XR_TRY(xr_str_json_string(out, c->label[k], strlen(c->label[k])));
    }
    return xr_str_puts(out, "], ");
}

static xr_status put_values(const xr_config *c, const float *z, xr_str *out)
{
    XR_TRY(xr_str_puts(out, c->num_labels == 1 ? "{" : "{\"values\": {"));
    for (int k = 0; k < c->num_labels; k++) {
        XR_TRY(xr_str_puts(out, k ? ", " : ""));
        XR_TRY(put_pair(out, c->num_labels == 1 ? "value" : c->label[k], (double)z[k]));
    }
    return xr_str_puts(out, c->num_labels == 1 ? "}" : "}}");
}

xr_status xr_predict_line(const xr_config *c, const float *logits, int top_k, xr_str *out)
{
    if (c->problem == XR_PROBLEM_REGRESSION)
        return put_values(c, logits, out);
    double *score = xr_alloc((size_t)c->num_labels, sizeof *score);
    uint8_t *taken = score ? xr_alloc((size_t)c->num_labels, sizeof *taken) : NULL;
    xr_status status = !taken                                   ? xr_error_status()
                       : c->problem == XR_PROBLEM_MULTI_LABEL   ? put_classes(c, logits, score, out)
                                                                : put_class(c, logits, score, out);
    if (status == XR_OK)
        status = put_scores(c, score, taken, top_k, out);
    xr_free(score);
    xr_free(taken);
    return status;
}

/* ---- one chunk ---- */

static xr_status put_error(const char *message, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "{\"error\": "));
    XR_TRY(xr_str_json_string(out, message, strlen(message)));
    return xr_str_puts(out, "}");
}

/* Lines of the chunk: answers and errors in the order of the records. */
static xr_status put_lines(xr_predicting *g, const float *logits)
{
    const char *error = g->errors.s;
    size_t answered = 0;
    xr_str_clear(&g->lines);
    for (size_t i = 0; i < g->n; i++) {
        if (g->bad[i]) {
            XR_TRY(put_error(error, &g->lines));
            error += strlen(error) + 1;
        } else {
            XR_TRY(g->kind->answer(g, answered++, logits));
        }
        XR_TRY(xr_str_putc(&g->lines, '\n'));
    }
    return g->p->write(g->p->context, g->lines.s, g->lines.len);
}

static xr_status answer_chunk(xr_predicting *g)
{
    float *logits = NULL;
    xr_status status = XR_OK;
    if (g->chunk.n) {
        xr_scoring how = { &g->c->model, g->c->dir, (size_t)g->p->o->batch_tokens, NULL, NULL };
        logits = xr_score_logits(&how, &g->chunk);
        status = logits ? XR_OK : xr_error_status();
    }
    if (status == XR_OK && g->n)
        status = put_lines(g, logits);
    xr_free(logits);
    xr_dataset_free(&g->chunk);
    xr_str_clear(&g->errors);
    xr_str_clear(&g->words);
    xr_str_clear(&g->inputs);
    g->p->n += g->n;
    g->n = 0;
    if (status == XR_OK && g->p->progress)
        g->p->progress(g->p->context, g->p->n);
    return status;
}

/* ---- one file ---- */

/* A bad record: the end, or an error in its place. */
static xr_status bad_record(xr_predicting *g)
{
    xr_status status = xr_error_status();
    char *message = NULL;
    if (!g->data.skip_bad || status != XR_EDATA || g->broken)
        return status;
    message = xr_strdup(xr_error_message());
    if (g->n_bad++ < SHOWN)
        xr_warn("answered with an error: %s", xr_error_message());
    xr_error_clear();
    status = message ? xr_str_append(&g->errors, message, strlen(message) + 1) : xr_fail(XR_ESYSTEM, "out of memory");
    xr_free(message);
    g->bad[g->n] = 1;
    return status;
}

static xr_status read_records(xr_predicting *g)
{
    for (;;) {
        int got = g->kind->next(g);
        if (got == 0)
            return answer_chunk(g);
        g->n_records++;
        g->bad[g->n] = 0;
        if (got < 0)
            XR_TRY(bad_record(g));
        if (++g->n == XR_PREDICT_CHUNK)
            XR_TRY(answer_chunk(g));
    }
}

static xr_status check_bad(xr_predicting *g)
{
    const char *path = xr_stream_path(g->stream);
    g->p->n_bad += g->n_bad;
    if (g->n_records == 0)
        return xr_fail(XR_EDATA, "%s: no records: the input is empty or holds only a header; expected one record a row",
                       path);
    if ((double)g->n_bad <= g->data.max_bad_fraction * (double)g->n_records)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: %llu of %llu records are bad; at most a share of %g may be; correct the input, or "
                   "raise --max-bad-fraction", path, (unsigned long long)g->n_bad, (unsigned long long)g->n_records,
                   g->data.max_bad_fraction);
}

/* A document in SQuAD's layout would be told as a line that is no JSON, and an object over several lines as one bad record after another where these are
 * skipped. Of texts the first line is read already; where its source took it, it is a row of a table, and to look further would overwrite its cells. */
static xr_status refuse_document(xr_predicting *g)
{
    enum { HEAD = 4096 };
    const char *head = g->reader.head, *path = xr_stream_path(g->stream);
    if (g->reader.stream && !head)
        return XR_OK;
    long n = head ? (long)g->reader.head_len : xr_stream_head(g->stream, HEAD, &head);
    XR_TRY(n < 0 ? (xr_status)n : XR_OK);
    if (xr_questions_detect(head, (size_t)n))
        return xr_fail(XR_EDATA, "%s: is a document in SQuAD's layout, but %s (%s); give --model one that finetune --task qa made, or another file", path,
                       g->kind->what, g->c->dir);
    const char *stop = n <= 0 ? NULL : memchr(head, '\n', (size_t)n);
    if (n > 0 && *head == '{' && xr_json_check_line(head, stop ? (size_t)(stop - head) : (size_t)n) < 0)
        return xr_fail_context("%s:1", path);
    return XR_OK;
}

static xr_status predict_file(xr_predicting *g, const char *path)
{
    g->n_records = g->n_bad = 0;
    g->broken = 0;
    XR_TRY(g->kind->open(g, path));
    xr_status status = g->kind == &xr_predict_qa ? XR_OK : refuse_document(g);
    if (status == XR_OK)
        status = read_records(g);
    if (status == XR_OK)
        status = check_bad(g);
    g->kind->close(g);
    return status;
}

/* ---- texts ---- */

static xr_status open_texts(xr_predicting *g, const char *path)
{
    XR_TRY(xr_source_open(&g->reader, path, g->data.format, &g->data.columns));
    g->stream = g->reader.stream;
    g->n_cut = 0;
    return XR_OK;
}

static xr_status add_text(xr_predicting *g, const xr_record *r)
{
    const char *path = xr_stream_path(g->stream);
    if (xr_text_is_missing(r->text))
        return xr_fail(XR_EDATA, "%s:%zu: the text is empty; expected at least one word; remove the row, or answer it "
                       "with an error by --on-bad-record skip", path, r->line);
    uint64_t cut = g->chunk.n_truncated;
    xr_status status = xr_dataset_add_text(&g->chunk, g->c->tokenizer, r->text, r->text_pair, &g->data);
    g->n_cut += g->chunk.n_truncated - cut;
    return status == XR_EDATA ? xr_fail_context("%s:%zu", path, r->line) : status;
}

static int next_text(xr_predicting *g)
{
    xr_record record;
    int got = xr_source_next(&g->reader, &record);
    g->broken = g->reader.broken;
    if (got <= 0)
        return got;
    xr_status status = add_text(g, &record);
    return status < 0 ? status : 1;
}

static xr_status answer_text(xr_predicting *g, size_t i, const float *logits)
{
    const xr_config *c = &g->c->model.config;
    return xr_predict_line(c, logits + i * (size_t)c->num_labels, (int)g->p->o->top_k, &g->lines);
}

static void close_texts(xr_predicting *g)
{
    xr_evaluate_tell_cut(xr_stream_path(g->stream), g->n_cut, g->n_records, g->data.max_len);
    xr_source_close(&g->reader);
}

static const char *const text_options[] = { "text_column", "text_pair_column", "top_k", NULL };
static const xr_predict_kind texts = {
    "a classifier reads texts or pairs, one record a line, and gives each its labels", text_options, NULL, open_texts, next_text, answer_text, close_texts, NULL
};

/* ---- options ---- */

xr_status xr_predict_fail_option(const xr_predicting *g, const char *option)
{
    char flag[64];
    size_t n = 0;
    for (; option[n] && n + 1 < sizeof flag; n++)
        flag[n] = option[n] == '_' ? '-' : option[n];
    flag[n] = '\0';
    return xr_fail(XR_EUSAGE, "--%s has no effect with %s: %s; leave it out", flag, g->c->dir, g->kind->what);
}

static int has_option(const xr_predict_kind *k, const char *key)
{
    for (const char *const *known = k->options; *known; known++)
        if (strcmp(*known, key) == 0)
            return 1;
    return 0;
}

/* Flags that only models of other kinds know; a configuration may serve several. */
static xr_status check_options(const xr_predicting *g)
{
    static const xr_predict_kind *const kinds[] = { &texts, &xr_predict_tags, &xr_predict_choice, &xr_predict_qa };
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (const char *const *key = kinds[k]->options; *key; key++)
            if (!has_option(g->kind, *key) && xr_options_origin(g->p->o, *key).kind == XR_FROM_FLAG)
                return xr_predict_fail_option(g, *key);
    return XR_OK;
}

/* ---- all files ---- */

/* Two columns without a header are a pair: labels are not looked at. */
static void data_options(const xr_options *o, size_t max_len, xr_data_options *d)
{
    memset(d, 0, sizeof *d);
    d->columns = (xr_columns){ o->text_column, o->text_pair_column, "", "", 0, 0 };
    d->format = strcmp(o->format, "auto") == 0 ? NULL : o->format;
    d->max_len = max_len;
    d->stride = (size_t)o->tag_stride;
    d->skip_bad = strcmp(o->on_bad_record, "skip") == 0;
    d->max_bad_fraction = o->max_bad_fraction;
}

static xr_status predict_files(xr_predicting *g)
{
    const xr_options *o = g->p->o;
    xr_problem problem = g->c->model.config.problem;
    int answers = g->c->model.config.head && strcmp(g->c->model.config.head, "question_answering") == 0;
    if (problem != XR_PROBLEM_CHOICE && !answers)
        XR_TRY(xr_evaluate_check_head(g->c));
    size_t max_len = xr_evaluate_max_len(g->c, o);
    if (max_len == 0)
        return xr_error_status();
    data_options(o, max_len, &g->data);
    g->kind = answers ? &xr_predict_qa : problem == XR_PROBLEM_TAGS ? &xr_predict_tags : problem == XR_PROBLEM_CHOICE ? &xr_predict_choice : &texts;
    XR_TRY(check_options(g));
    XR_TRY(g->kind->check ? g->kind->check(g) : XR_OK);
    if (g->p->progress)
        g->p->progress(g->p->context, 0);
    if (o->n_args == 0)
        XR_TRY(predict_file(g, "-"));
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(predict_file(g, o->args[i]));
    return g->kind->finish ? g->kind->finish(g) : XR_OK;
}

xr_status xr_predict_run(xr_predict *p)
{
    xr_predicting g = { .p = p };
    p->n = p->n_bad = 0;
    g.bad = xr_alloc(XR_PREDICT_CHUNK, sizeof *g.bad);
    g.c = g.bad ? xr_context_for(p->o) : NULL;
    xr_status status = g.c ? predict_files(&g) : xr_error_status();
    xr_context_free(g.c);
    xr_dataset_free(&g.chunk);
    xr_str_free(&g.errors);
    xr_str_free(&g.lines);
    xr_str_free(&g.words);
    xr_tagset_free(&g.tags);
    xr_str_free(&g.inputs);
    xr_free(g.input_at);
    xr_free(g.word_from);
    xr_questions_free(&g.asked);
    xr_answers_free(&g.answers);
    xr_qa_predictions_free(&g.files);
    xr_free(g.word_at);
    xr_free(g.word);
    xr_free(g.bad);
    return status;
}
