/* Reading questions: the file is parsed whole, then every question is checked before anything of it is kept. */
#include "data/squad.h"

#include <string.h>

#include "data/file_kind.h"
#include "data/text.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"
#include "util/utf8.h"

/* Bad questions shown per file; code points of a text shown; the largest file. */
enum { SHOWN = 5, SHOWN_POINTS = 40 };
static const size_t FILE_CAP = (size_t)1 << 30;
#define LAYOUTS "one JSON document in SQuAD's layout, {\"data\": [{\"paragraphs\": [{\"context\", \"qas\"}, …]}, …]}, or JSON lines of " \
                "{\"id\", \"context\", \"question\", \"answers\"}"

void xr_questions_free(xr_questions *q)
{
    for (size_t i = 0; i < q->n; i++) {
        xr_free(q->v[i].id);
        xr_free(q->v[i].text);
    }
    for (size_t i = 0; i < q->n_passages; i++)
        xr_free(q->passage[i].text);
    for (size_t i = 0; i < q->n_answers; i++)
        xr_free(q->answer[i].text);
    xr_free(q->v);
    xr_free(q->passage);
    xr_free(q->answer);
    memset(q, 0, sizeof *q);
}

/* ---- keeping ---- */

static xr_status add_passage(xr_questions *q, const char *text, size_t len)
{
    if (q->n_passages == UINT32_MAX)
        return xr_fail(XR_EDATA, "more than %u passages; split the file", UINT32_MAX);
    XR_TRY(xr_grow(&q->passage, &q->cap_passages, q->n_passages + 1, sizeof *q->passage));
    char *copy = xr_strndup(text, len);
    if (!copy)
        return xr_error_status();
    q->passage[q->n_passages++] = (xr_passage){ copy, len };
    return XR_OK;
}

static xr_status add_answer(xr_questions *q, const char *text, size_t begin, size_t end)
{
    XR_TRY(xr_grow(&q->answer, &q->cap_answers, q->n_answers + 1, sizeof *q->answer));
    char *copy = xr_strdup(text);
    if (!copy)
        return xr_error_status();
    q->answer[q->n_answers++] = (xr_gold_answer){ copy, begin, end };
    return XR_OK;
}

/* A question about the last passage; its answers are those from `answer` on. */
static xr_status add_question(xr_questions *q, const char *id, const char *text, size_t answer, int impossible)
{
    XR_TRY(xr_grow(&q->v, &q->cap, q->n + 1, sizeof *q->v));
    xr_squad_question *v = &q->v[q->n];
    *v = (xr_squad_question){ xr_strdup(id), NULL, (uint32_t)(q->n_passages - 1), impossible, answer, q->n_answers - answer };
    v->text = v->id ? xr_strdup(text) : NULL;
    if (!v->text) {
        xr_free(v->id);
        return xr_error_status();
    }
    q->n++;
    q->n_impossible += impossible != 0;
    q->n_unlabelled += !impossible && !v->n_answers;
    return XR_OK;
}

/* Unless it is the last one. */
static xr_status add_other_passage(xr_questions *q, const char *text, size_t len)
{
    const xr_passage *last = q->n_passages ? &q->passage[q->n_passages - 1] : NULL;
    return last && last->len == len && memcmp(last->text, text, len) == 0 ? XR_OK : add_passage(q, text, len);
}

xr_status xr_questions_add(xr_questions *q, const char *id, const char *question, const char *context)
{
    XR_TRY(add_other_passage(q, context, strlen(context)));
    return add_question(q, id, question, q->n_answers, 0);
}

/* ---- places ---- */

/* Bytes of the first code points of a text, for messages. */
static int shown(const char *s, size_t len)
{
    size_t at = 0, size;
    for (int k = 0; k < SHOWN_POINTS && at < len; k++, at += size)
        xr_utf8_decode(s + at, len - at, &size);
    return (int)at;
}

/* Byte at which code point `start` begins; SIZE_MAX beyond the text. */
static size_t byte_of_point(const char *s, size_t len, json_int_t start)
{
    size_t at = 0, size;
    for (; start > 0 && at < len; start--, at += size)
        xr_utf8_decode(s + at, len - at, &size);
    return start > 0 ? SIZE_MAX : at;
}

/* The same of a UTF-16 unit, as programs in Java or JavaScript count. */
static size_t byte_of_unit(const char *s, size_t len, json_int_t start)
{
    size_t at = 0, size;
    for (; start > 0 && at < len; at += size)
        start -= xr_utf8_decode(s + at, len - at, &size) > 0xFFFF ? 2 : 1;
    return start != 0 ? SIZE_MAX : at;
}

static int stands_at(const xr_passage *p, size_t at, const char *text, size_t n)
{
    return at <= p->len && p->len - at >= n && memcmp(p->text + at, text, n) == 0;
}

/* What the offset may have been meant as, or where the text is. */
static void describe_miss(const xr_passage *p, const char *text, json_int_t start, char *out, size_t cap)
{
    size_t n = strlen(text);
    const char *found = memmem(p->text, p->len, text, n);
    if (stands_at(p, (size_t)start, text, n))
        snprintf(out, cap, "it stands at this byte: the offsets count bytes");
    else if (stands_at(p, byte_of_unit(p->text, p->len, start), text, n))
        snprintf(out, cap, "it stands at this UTF-16 unit: the offsets count these");
    else if (found)
        snprintf(out, cap, "it stands at %zu", xr_utf8_count(p->text, (size_t)(found - p->text)));
    else
        snprintf(out, cap, "it stands nowhere in the context");
}

static xr_status find_place(const xr_passage *p, const char *text, json_int_t start, size_t *begin, size_t *end)
{
    static const char remedy[] = "correct answer_start, which counts code points, or leave such questions out with --on-bad-record skip";
    size_t n = strlen(text), at;
    char miss[96];
    if (start < 0)
        return xr_fail(XR_EDATA, "answer_start is %" JSON_INTEGER_FORMAT "; expected where '%.*s' begins in the context; %s", start, shown(text, n), text,
                       remedy);
    at = byte_of_point(p->text, p->len, start);
    if (stands_at(p, at, text, n)) {
        *begin = at;
        *end = at + n;
        return XR_OK;
    }
    describe_miss(p, text, start, miss, sizeof miss);
    if (at >= p->len)
        return xr_fail(XR_EDATA, "answer_start is %" JSON_INTEGER_FORMAT ", beyond the context of %zu code points; expected where '%.*s' begins (%s); %s",
                       start, xr_utf8_count(p->text, p->len), shown(text, n), text, miss, remedy);
    return xr_fail(XR_EDATA, "at answer_start %" JSON_INTEGER_FORMAT " the context has '%.*s'; expected the answer '%.*s' (%s); %s", start,
                   shown(p->text + at, p->len - at), p->text + at, shown(text, n), text, miss, remedy);
}

/* ---- one question ---- */

typedef struct reading {
    xr_questions *q;
    const xr_squad_options *o;
    const char *path;
    json_t *ids;                        /* of this file: id -> anything */
    size_t article, paragraph, item;    /* where we are */
    int flat;                           /* data[article] is a question itself */
    size_t line;                        /* of JSON lines, which have no data; else 0 */
    size_t first;                       /* questions there were before */
    uint64_t n_read, n_bad, n_repeated;
} reading;

static const char *string_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Answers that are all empty texts say that there is no label. */
static int has_answers(const json_t *answers)
{
    for (size_t i = 0; i < json_array_size(answers); i++) {
        const char *text = string_of(json_array_get(answers, i), "text");
        if (!text || *text)
            return 1;
    }
    return 0;
}

static xr_status take_answer(reading *g, const json_t *answer)
{
    xr_questions *q = g->q;
    const char *text = string_of(answer, "text");
    const json_t *start = json_object_get(answer, "answer_start");
    size_t begin = 0, end = 0;
    if (!text || !*text || (start && !json_is_integer(start)) || (!start && g->o->need_place))
        return xr_fail(XR_EDATA, "an answer is not {\"text\": \"…\", \"answer_start\": N}, with a text that is not empty; correct it");
    xr_status status = start ? find_place(&q->passage[q->n_passages - 1], text, json_integer_value(start), &begin, &end) : XR_OK;
    if (status == XR_EDATA && !g->o->need_place) {
        xr_error_clear();
        status = XR_OK;
    }
    q->n_unplaced += begin == end;
    return status < 0 ? status : add_answer(q, text, begin, end);
}

/* {"text": […], "answer_start": […]} as a list of answers, and a list as it stands; the caller's. NULL with the error set: neither, or no memory. */
static json_t *list_of(json_t *answers)
{
    const json_t *text = json_object_get(answers, "text"), *start = json_object_get(answers, "answer_start");
    size_t n = json_array_size(text), i = 0;
    if (json_is_array(answers))
        return json_incref(answers);
    if (!json_is_array(text) || !json_is_array(start) || json_array_size(start) != n) {
        xr_fail(XR_EDATA, "\"answers\" is no list; expected [{\"text\": \"…\", \"answer_start\": N}, …], or {\"text\": [\"…\", …], "
                "\"answer_start\": [N, …]}; correct it");
        return NULL;
    }
    json_t *list = json_array();
    while (i < n && json_array_append_new(list, json_pack("{sO sO}", "text", json_array_get(text, i), "answer_start", json_array_get(start, i))) == 0)
        i++;
    if (list && i == n)
        return list;
    json_decref(list);
    xr_fail(XR_ESYSTEM, "out of memory for %zu answers", n);
    return NULL;
}

static xr_status take_list(reading *g, const json_t *answers, int impossible)
{
    int any = has_answers(answers);
    if (impossible && any)
        return xr_fail(XR_EDATA, "is_impossible is true, but there are answers; which holds cannot be known: take one of them away");
    if (!any && !impossible && g->o->need_label)
        return xr_fail(XR_EDATA, "there is no answer; expected at least one, or \"is_impossible\": true; complete it, or give a labelled file");
    for (size_t i = 0; any && i < json_array_size(answers); i++)
        XR_TRY(take_answer(g, json_array_get(answers, i)));
    return XR_OK;
}

static xr_status take_answers(reading *g, json_t *answers, int impossible)
{
    if (!answers)
        return take_list(g, NULL, impossible);
    json_t *list = list_of(answers);
    xr_status status = list ? take_list(g, list, impossible) : xr_error_status();
    json_decref(list);
    return status;
}

/* Hugging Face's squad_v2 has lists without anything in them where there is no answer, and no mark. */
static int is_impossible(const json_t *mark, const json_t *answers)
{
    const json_t *text = json_object_get(answers, "text");
    return json_is_true(mark) || (!mark && json_is_array(text) && json_array_size(text) == 0);
}

static xr_status check_id(reading *g, const char *id)
{
    int known = json_object_get(g->ids, id) != NULL;
    if (known && g->o->unique_ids)
        return xr_fail(XR_EDATA, "another question of the file has the same id; predictions are told apart by their ids: give each its own");
    g->n_repeated += (uint64_t)known;
    return json_object_set_new(g->ids, id, json_true()) == 0 ? XR_OK : xr_fail(XR_ESYSTEM, "out of memory for the ids of %s", g->path);
}

/* What was kept of a question that turned out bad goes again. */
static xr_status take_question(reading *g, const json_t *item, const char *id)
{
    xr_questions *q = g->q;
    const char *text = string_of(item, "question");
    const json_t *mark = json_object_get(item, "is_impossible");
    json_t *answers = json_object_get(item, "answers");
    int impossible = is_impossible(mark, answers);
    size_t answer = q->n_answers, unplaced = q->n_unplaced;
    if (!id || !*id)
        return xr_fail(XR_EDATA, "the question has no \"id\"; expected a string; give it one");
    if (xr_text_is_missing(text))
        return xr_fail(XR_EDATA, "\"question\" is missing or empty; expected a text; complete it");
    if (mark && !json_is_boolean(mark) && !json_is_null(mark))
        return xr_fail(XR_EDATA, "\"is_impossible\" is neither true nor false; correct it");
    xr_status status = take_answers(g, answers, impossible);
    if (status == XR_OK)
        status = check_id(g, id);
    if (status == XR_OK)
        status = add_question(q, id, text, answer, impossible);
    while (status < 0 && q->n_answers > answer)
        xr_free(q->answer[--q->n_answers].text);
    if (status < 0)
        q->n_unplaced = unplaced;
    return status;
}

/* Where we are, in front of a message. */
static xr_status say_where(const reading *g, const char *id)
{
    const char *comma = id ? ", id " : "";
    id = id ? id : "";
    if (g->line)
        return xr_fail_context("%s:%zu%s%.80s", g->path, g->line, comma, id);
    if (g->flat)
        return xr_fail_context("%s: data[%zu]%s%.80s", g->path, g->article, comma, id);
    return xr_fail_context("%s: data[%zu].paragraphs[%zu].qas[%zu]%s%.80s", g->path, g->article, g->paragraph, g->item, comma, id);
}

/* An id may be a number, and an error names it where there is one. */
static xr_status take_item(reading *g, const json_t *item)
{
    const json_t *j = json_object_get(item, "id");
    char number[32];
    const char *id = json_string_value(j);
    if (json_is_integer(j)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(j));
        id = number;
    }
    xr_status status = take_question(g, item, id);
    return status == XR_EDATA ? say_where(g, id) : status;
}

/* ---- a document ---- */

/* A bad question: the end, or left out and counted. */
static xr_status bad_question(reading *g)
{
    xr_status status = xr_error_status();
    if (!g->o->skip_bad || status != XR_EDATA)
        return status;
    if (g->n_bad++ < SHOWN)
        xr_warn("question left out: %s", xr_error_message());
    xr_error_clear();
    return XR_OK;
}

static int full(const reading *g)
{
    return g->o->max_questions > 0 && g->q->n - g->first >= (size_t)g->o->max_questions;
}

static xr_status check_context(const json_t *of)
{
    const char *context = string_of(of, "context");
    if (xr_text_is_missing(context))
        return xr_fail(XR_EDATA, "\"context\" is %s; expected the text that the questions are about; complete it", context ? "empty" : "missing");
    return XR_OK;
}

static xr_status check_paragraph(const json_t *paragraph)
{
    XR_TRY(check_context(paragraph));
    if (!json_is_array(json_object_get(paragraph, "qas")))
        return xr_fail(XR_EDATA, "\"qas\" is missing or no list; expected the questions about the context; complete it");
    return XR_OK;
}

static xr_status take_paragraph(reading *g, const json_t *paragraph)
{
    const json_t *items = json_object_get(paragraph, "qas"), *context = json_object_get(paragraph, "context");
    if (check_paragraph(paragraph) < 0) {
        g->n_read++;
        xr_fail_context("%s: data[%zu].paragraphs[%zu]", g->path, g->article, g->paragraph);
        return bad_question(g);
    }
    if (json_array_size(items) == 0)
        return XR_OK;
    XR_TRY(add_passage(g->q, json_string_value(context), json_string_length(context)));
    for (g->item = 0; g->item < json_array_size(items) && !full(g); g->item++) {
        g->n_read++;
        if (take_item(g, json_array_get(items, g->item)) < 0)
            XR_TRY(bad_question(g));
    }
    return XR_OK;
}

/* A question with its passage and its answers, as Hugging Face's data sets have them: {"id", "context", "question", "answers"}. */
static xr_status take_flat(reading *g, const json_t *record)
{
    const json_t *context = json_object_get(record, "context");
    g->flat = 1;
    g->n_read++;
    xr_status status = check_context(record);
    if (status < 0)
        say_where(g, NULL);
    if (status == XR_OK)
        status = add_other_passage(g->q, json_string_value(context), json_string_length(context));
    if (status == XR_OK)
        status = take_item(g, record);
    return status < 0 ? bad_question(g) : XR_OK;
}

static xr_status take_article(reading *g, const json_t *article)
{
    const json_t *paragraphs = json_object_get(article, "paragraphs");
    g->flat = 0;
    if (!paragraphs && json_object_get(article, "question"))
        return take_flat(g, article);
    if (!json_is_array(paragraphs)) {
        g->n_read++;
        xr_fail(XR_EDATA, "%s: data[%zu]: \"paragraphs\" is missing or no list; expected [{\"context\", \"qas\"}, …]; complete it", g->path, g->article);
        return bad_question(g);
    }
    for (g->paragraph = 0; g->paragraph < json_array_size(paragraphs) && !full(g); g->paragraph++)
        XR_TRY(take_paragraph(g, json_array_get(paragraphs, g->paragraph)));
    return XR_OK;
}

static xr_status take_document(reading *g, const json_t *root)
{
    const json_t *data = json_object_get(root, "data");
    if (!json_is_array(data))
        return xr_fail(XR_EDATA, "%s: there is no list \"data\"; expected " LAYOUTS "; convert the file", g->path);
    for (g->article = 0; g->article < json_array_size(data) && !full(g); g->article++)
        XR_TRY(take_article(g, json_array_get(data, g->article)));
    return XR_OK;
}

static xr_status read_bytes(xr_str *out, xr_stream *s)
{
    char buffer[1 << 16];
    long got;
    while ((got = xr_stream_read(s, buffer, sizeof buffer)) > 0) {
        XR_TRY(xr_str_append(out, buffer, (size_t)got));
        if (out->len > FILE_CAP)
            return xr_fail(XR_EDATA, "%s: more than %zu MiB; expected a smaller file of questions; split it", xr_stream_path(s), FILE_CAP >> 20);
    }
    return got < 0 ? (xr_status)got : XR_OK;
}

/* ---- JSON lines ---- */

static xr_status take_line(reading *g, const char *line, size_t n)
{
    char where[4096];
    snprintf(where, sizeof where, "%s:%zu", g->path, g->line);
    json_t *j = xr_json_parse(line, n, where);
    if (!j) {
        g->n_read++;
        return bad_question(g);
    }
    xr_status status = take_flat(g, j);
    json_decref(j);
    return status;
}

static xr_status take_lines(reading *g, const char *text, size_t n)
{
    for (const char *end = text + n, *stop; text < end && !full(g); text = stop + 1) {
        stop = memchr(text, '\n', (size_t)(end - text));
        stop = stop ? stop : end;
        g->line++;
        size_t blank = strspn(text, " \t\r");
        if (text + blank < stop)
            XR_TRY(take_line(g, text, (size_t)(stop - text)));
    }
    return XR_OK;
}

/* A line is an object, and another one follows or it is a question itself. */
static int is_json_lines(const char *at, size_t len)
{
    size_t n = strcspn(at, "\n"), next = n + strspn(at + n, " \t\r\n");
    while (n > 0 && strchr(" \t\r", at[n - 1]))
        n--;
    return n > 0 && at[n - 1] == '}' && (at[next] == '{' || (next == len && memmem(at, len, "\"question\"", 10) && !memmem(at, len, "\"data\"", 6)));
}

/* ---- either ---- */

static xr_status take_document_text(reading *g, const char *text, size_t n)
{
    json_t *root = xr_json_parse(text, n, g->path);
    xr_status status = root ? take_document(g, root) : xr_error_status();
    json_decref(root);
    return status;
}

/* Files of other kinds would be told as a JSON error. */
static xr_status take_text(reading *g, const xr_str *bytes)
{
    const char *text = bytes->len ? bytes->s : "", *at = text + strspn(text, " \t\r\n");
    if (*at != '{' && *at != '[')
        return xr_fail(XR_EDATA, "%s: is %s; expected " LAYOUTS "; convert the file", g->path, *at ? "no JSON" : "empty");
    return is_json_lines(at, bytes->len - (size_t)(at - text)) ? take_lines(g, text, bytes->len) : take_document_text(g, text, bytes->len);
}

static xr_status check_file(reading *g)
{
    g->q->n_bad += g->n_bad;
    if (g->n_bad)
        xr_warn("%s: %llu of %llu questions left out because they are bad", g->path, (unsigned long long)g->n_bad, (unsigned long long)g->n_read);
    if (g->n_repeated)
        xr_info("%s: %llu questions have the id of another; ids are not used in training", g->path, (unsigned long long)g->n_repeated);
    if ((double)g->n_bad > g->o->max_bad_fraction * (double)g->n_read)
        return xr_fail(XR_EDATA, "%s: %llu of %llu questions are bad; at most a share of %g may be left out; correct the file, or raise --max-bad-fraction",
                       g->path, (unsigned long long)g->n_bad, (unsigned long long)g->n_read, g->o->max_bad_fraction);
    if (g->q->n == g->first)
        return xr_fail(XR_EDATA, "%s: there are no questions; expected some in data[].paragraphs[].qas, or one a line; give another file", g->path);
    return XR_OK;
}

xr_status xr_questions_read_stream(xr_questions *q, xr_stream *s, const xr_squad_options *o)
{
    reading g = { .q = q, .o = o, .path = xr_stream_path(s), .first = q->n, .ids = json_object() };
    xr_str bytes = { 0 };
    xr_status status = g.ids ? read_bytes(&bytes, s) : xr_fail(XR_ESYSTEM, "%s: out of memory", g.path);
    if (status == XR_OK)
        status = take_text(&g, &bytes);
    xr_str_free(&bytes);
    json_decref(g.ids);
    return status < 0 ? status : check_file(&g);
}

xr_status xr_questions_read(xr_questions *q, const char *path, const xr_squad_options *o)
{
    xr_stream *s = xr_stream_open(path);
    xr_status status = s ? xr_questions_read_stream(q, s, o) : xr_error_status();
    xr_stream_close(s);
    return status == XR_EDATA ? xr_file_kind_check(path, XR_FILE_QA) : status;
}

static size_t skip_white(const char *head, size_t n, size_t at)
{
    while (at < n && strchr(" \t\r\n", head[at]) && head[at])
        at++;
    return at;
}

static int is_key(const char *head, size_t n, size_t at, const char *key)
{
    return n - at >= strlen(key) && memcmp(head + at, key, strlen(key)) == 0;
}

/* Of the value behind the key at `at`: is it a list, as far as can be seen? */
static int is_list(const char *head, size_t n, size_t at, const char *key)
{
    at = skip_white(head, n, at + strlen(key));
    at = at < n && head[at] == ':' ? skip_white(head, n, at + 1) : at;
    return at == n || head[at] == '[';
}

/* An object that begins with the list "data", or with "version" and holds "data"; records of JSON lines begin with others. */
int xr_questions_detect(const char *head, size_t n)
{
    size_t at = skip_white(head, n, 0);
    if (at == n || head[at] != '{')
        return 0;
    at = skip_white(head, n, at + 1);
    if (is_key(head, n, at, "\"data\""))
        return is_list(head, n, at, "\"data\"");
    return is_key(head, n, at, "\"version\"") && memmem(head + at, n - at, "\"data\"", 6);
}
