/* Reading questions with choices, one at a time. */
#include <string.h>

#include "data/choices.h"
#include "data/source.h"
#include "data/text.h"
#include "util/alloc.h"
#include "util/json.h"

static const char *const given_keys[] = { "premise", "context", "sent1", "ctx_a", NULL };
static const char *const before_keys[] = { "sent2", "ctx_b", NULL };
static const char *const list_keys[] = { "choices", "endings", NULL };
static const char *const label_keys[] = { "label", "correct", NULL };
/* Keys that count: from the given character on. */
static const struct { const char *name; char from; } counted[] = { { "choice", '1' }, { "ending", '0' }, { "answer", 'A' } };
enum { N_COUNTED = sizeof counted / sizeof *counted };

static const json_t *first_of(const json_t *j, const char *const *key)
{
    for (; *key; key++)
        if (json_object_get(j, *key))
            return json_object_get(j, *key);
    return NULL;
}

/* ---- texts ---- */

/* Where each text begins in r->text, since it moves while it grows. */
typedef struct places { size_t at[XR_MAX_CHOICES + 1], n; } places;

static xr_status put_text(xr_question_reader *r, places *p, const char *before, const char *text)
{
    p->at[p->n++] = r->text.len;
    XR_TRY(xr_str_puts(&r->text, before ? before : ""));
    XR_TRY(before && *before && *text ? xr_str_putc(&r->text, ' ') : XR_OK);
    XR_TRY(xr_str_puts(&r->text, text));
    return xr_str_append(&r->text, "", 1);
}

static xr_status put_given(xr_question_reader *r, places *p, const json_t *j)
{
    const json_t *given = first_of(j, given_keys), *question = json_object_get(j, "question");
    const char *ask = json_is_string(question) ? json_string_value(question) : "";
    if (xr_text_is_missing(json_string_value(given)))
        return xr_fail(XR_EDATA, "there is no text of the question; expected a string under 'premise', 'context' or 'sent1'; name the key so");
    if (question && !json_is_string(question))
        return xr_fail(XR_EDATA, "'question' is no string; expected a text, or \"cause\" or \"effect\"; correct it");
    ask = strcmp(ask, "cause") == 0 ? "What was the cause?" : strcmp(ask, "effect") == 0 ? "What was the effect?" : ask;
    return put_text(r, p, json_string_value(given), ask);
}

static xr_status put_choice(xr_question_reader *r, places *p, const char *before, const json_t *choice)
{
    if (xr_text_is_missing(json_string_value(choice)))
        return xr_fail(XR_EDATA, "choice %zu is %s; expected a text; complete it, or remove the line", p->n,
                       json_is_string(choice) ? "empty" : "no string");
    if (p->n > XR_MAX_CHOICES)
        return xr_fail(XR_EDATA, "more than %d choices; expected 2 to %d; leave some out", XR_MAX_CHOICES, XR_MAX_CHOICES);
    return put_text(r, p, before, json_string_value(choice));
}

static const json_t *counted_choice(const json_t *j, int family, size_t k)
{
    char key[16];
    snprintf(key, sizeof key, "%s%c", counted[family].name, (char)(counted[family].from + (int)k));
    return json_object_get(j, key);
}

static xr_status put_counted(xr_question_reader *r, places *p, const char *before, const json_t *j)
{
    int family = 0;
    while (family < N_COUNTED && !counted_choice(j, family, 0))
        family++;
    for (size_t k = 0; family < N_COUNTED && k < 9 && counted_choice(j, family, k); k++)
        XR_TRY(put_choice(r, p, before, counted_choice(j, family, k)));
    return XR_OK;
}

static xr_status put_choices(xr_question_reader *r, places *p, const json_t *j)
{
    const json_t *before = first_of(j, before_keys), *list = first_of(j, list_keys);
    const char *start = json_is_string(before) ? json_string_value(before) : NULL;
    if (list && !json_is_array(list))
        return xr_fail(XR_EDATA, "the choices are no list; expected [\"…\", \"…\"]; correct the line");
    for (size_t k = 0; k < json_array_size(list); k++)
        XR_TRY(put_choice(r, p, start, json_array_get(list, k)));
    if (!list)
        XR_TRY(put_counted(r, p, start, j));
    if (p->n < 3)
        return xr_fail(XR_EDATA, "%s; expected at least two, as a list under 'choices', or under 'choice1', 'choice2', …; complete the line",
                       p->n == 1 ? "there are no choices" : "there is only one choice");
    return XR_OK;
}

/* ---- the right one ---- */

static xr_status take_label(xr_question *q, const json_t *j)
{
    const json_t *found = first_of(j, label_keys);
    const char *s = json_is_string(found) ? json_string_value(found) : NULL;
    long long number = json_is_integer(found) ? (long long)json_integer_value(found) : -1;
    q->label = -1;
    if (!found || json_is_null(found) || (s && !*s))
        return XR_OK;
    int good = json_is_integer(found) || (s && (xr_parse_int(s, &number) || (strlen(s) == 1 && *s >= 'A' && *s <= 'Z' && (number = *s - 'A') >= 0)));
    if (good && number >= -1 && number < (long long)q->n) {
        q->label = (int)number;
        return XR_OK;
    }
    char *text = xr_json_dump(found, 0);
    xr_fail(XR_EDATA, "the label is %.40s; expected the number of the right choice, 0 to %zu, or its letter from A; correct it", text ? text : "?", q->n - 1);
    xr_free(text);
    return xr_error_status();
}

static xr_status take_record(xr_question_reader *r, xr_question *q, const json_t *j)
{
    places p = { .n = 0 };
    xr_str_clear(&r->text);
    if (!json_is_object(j))
        return xr_fail(XR_EDATA, "the line is no JSON object; expected one question a line; convert a JSON list with: jq -c '.[]'");
    XR_TRY(put_given(r, &p, j));
    XR_TRY(put_choices(r, &p, j));
    q->given = r->text.s + p.at[0];
    q->n = p.n - 1;
    for (size_t k = 0; k < q->n; k++)
        q->choice[k] = r->text.s + p.at[k + 1];
    return take_label(q, j);
}

/* ---- lines ---- */

xr_status xr_questions_open(xr_question_reader *r, const char *path)
{
    memset(r, 0, sizeof *r);
    r->stream = xr_stream_open(path);
    return r->stream ? XR_OK : xr_error_status();
}

void xr_questions_close(xr_question_reader *r)
{
    xr_stream_close(r->stream);
    xr_str_free(&r->text);
    memset(r, 0, sizeof *r);
}

/* A table is the likeliest slip: SWAG comes as CSV too. */
static json_t *parse(const xr_question_reader *r, const char *line, size_t len, const char *where)
{
    const char *start = line + (strncmp(line, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0);
    if (xr_line_check(r->stream, line, len) < 0)
        return NULL;
    if (strchr("{[", start[strspn(start, " \t")]))
        return xr_json_line(start, len - (size_t)(start - line), where);
    xr_fail(XR_EDATA, "%s: is no JSON; expected JSON lines of questions with their choices; convert a table with: "
            "python3 -c 'import csv,json,sys; [print(json.dumps(r)) for r in csv.DictReader(sys.stdin)]'", where);
    return NULL;
}

int xr_questions_next(xr_question_reader *r, xr_question *q)
{
    char *line;
    size_t len;
    int got;
    memset(q, 0, sizeof *q);
    do
        got = xr_stream_line(r->stream, &line, &len);
    while (got > 0 && strspn(line, " \t\r") == len);
    r->broken = got < 0;
    if (got <= 0)
        return got;
    q->line = xr_stream_line_number(r->stream);
    char *where = xr_asprintf("%s:%zu", xr_stream_path(r->stream), q->line);
    json_t *j = where ? parse(r, line, len, where) : NULL;
    xr_status status = j ? take_record(r, q, j) : xr_error_status();
    if (j && status < 0)
        status = xr_fail_context("%s", where);
    json_decref(j);
    xr_free(where);
    return status < 0 ? status : 1;
}
