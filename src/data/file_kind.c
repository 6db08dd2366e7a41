/* Which kind a file is: JSON by its first keys, lines by the separators that the first of them have in common. */
#include "data/file_kind.h"

#include <string.h>

#include "data/columns.h"
#include "data/squad.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"
#include "util/utf8.h"

enum { HEAD = 1 << 16, LINES = 50, WORD = 20 };     /* bytes and lines looked at; code points that a word hardly has on average */

typedef enum kind { UNKNOWN, SQUAD, QUESTION_LINES, CHOICES, TEXT_LINES, TAG_LINES, CONLLU, TAGGED, TEXTS, COMMAS, SEMICOLONS } kind;

/* What each is called, and the task that reads it. */
static const struct { const char *name; xr_file_task task; } known[] = {
    [SQUAD] = { "SQuAD's JSON, questions about passages", XR_FILE_QA },
    [QUESTION_LINES] = { "JSON lines of questions about passages", XR_FILE_QA },
    [CHOICES] = { "JSON lines of questions with choices", XR_FILE_CHOICE },
    [TEXT_LINES] = { "JSON lines of texts", XR_FILE_CLASSIFY },
    [TAG_LINES] = { "JSON lines of tagged words", XR_FILE_TAG },
    [CONLLU] = { "CoNLL-U, words with their parts of speech", XR_FILE_TAG },
    [TAGGED] = { "tagged words, one a line, an empty line behind each sentence", XR_FILE_TAG },
    [TEXTS] = { "a table of texts between TABs", XR_FILE_CLASSIFY },
    [COMMAS] = { "a table between commas", XR_FILE_CLASSIFY },
    [SEMICOLONS] = { "a table between semicolons", XR_FILE_CLASSIFY },
};
static const struct { const char *value, *expected; } tasks[] = {
    [XR_FILE_CLASSIFY] = { "classify", "rows of texts and a label between TABs or commas, or JSON lines of them" },
    [XR_FILE_TAG] = { "tag", "a word and its tag a line, or JSON lines of \"tokens\" and \"tags\"" },
    [XR_FILE_QA] = { "qa", "SQuAD's JSON, or JSON lines of \"context\", \"question\" and \"answers\"" },
    [XR_FILE_CHOICE] = { "choice", "JSON lines of questions with their choices" },
};

/* The lines at the beginning of a file; n counts those that are neither empty nor comments. */
typedef struct survey {
    size_t n, first;                /* its number */
    size_t empty;                   /* lines between others */
    size_t tabs, blanks, commas, semicolons;        /* in each line; SIZE_MAX: not in all the same number */
    size_t phrases;                 /* lines with two blanks or more within a field between TABs */
    size_t points;                  /* code points of the longest field of each line that may be prose, summed */
    int numbered;                   /* the first has ten columns between TABs, and a number first */
} survey;

/* ---- lines ---- */

static size_t count(const char *s, size_t n, char c)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += s[i] == c;
    return found;
}

/* A number that all lines share so far; one that begins with the separator has an empty column, as a word that is a comma has. */
static void share(const survey *v, size_t *shared, const char *s, size_t n, char c)
{
    size_t found = *s == c ? SIZE_MAX : count(s, n, c);
    *shared = v->n == 0 || *shared == found ? found : SIZE_MAX;
}

/* Code points, where it may be prose: Case=Nom|Gender=Fem is as long as a sentence, but has no blanks, and Chinese is not ASCII. */
static size_t prose(const char *s, size_t n)
{
    size_t points = xr_utf8_count(s, n);
    return points < n || memchr(s, ' ', n) ? points : 0;
}

/* The fields of a line but the last, which is the label. */
static void measure_fields(survey *v, const char *s, size_t n)
{
    size_t longest = 0, phrase = 0;
    for (const char *end = s + n, *tab; (tab = memchr(s, '\t', (size_t)(end - s))); s = tab + 1) {
        size_t points = prose(s, (size_t)(tab - s));
        longest = points > longest ? points : longest;
        phrase |= count(s, (size_t)(tab - s), ' ') >= 2;
    }
    v->points += longest;
    v->phrases += phrase;
}

static void take_line(survey *v, const char *s, size_t n, size_t number)
{
    share(v, &v->tabs, s, n, '\t');
    share(v, &v->blanks, s, n, ' ');
    share(v, &v->commas, s, n, ',');
    share(v, &v->semicolons, s, n, ';');
    measure_fields(v, s, n);
    if (v->n++ == 0) {
        v->first = number;
        v->numbered = v->tabs == 9 && strspn(s, "0123456789-.") > 0 && s[strspn(s, "0123456789-.")] == '\t';
    }
}

static void take_lines(survey *v, const char *s, size_t n)
{
    size_t number = 0, empty = 0;
    for (const char *end = s + n, *next; s < end && v->n < LINES; s = next) {
        const char *stop = memchr(s, '\n', (size_t)(end - s));
        size_t len = (size_t)((stop ? stop : end) - s);
        next = stop ? stop + 1 : end;
        number++;
        len -= len && s[len - 1] == '\r';
        if (len == 0)
            empty += v->n > 0;
        else if (*s != '#' || memchr(s, '\t', len)) {
            v->empty += empty;
            empty = 0;
            take_line(v, s, len, number);
        }
    }
}

/* ---- which kind ---- */

static int has_any(const json_t *j, const char *const *key)
{
    for (; *key; key++)
        if (json_object_get(j, *key))
            return 1;
    return 0;
}

/* By the keys of the first record. */
static kind of_record(const json_t *j)
{
    static const char *const choices[] = { "choices", "endings", "choice1", "ending0", "answerA", NULL };
    if (json_is_array(json_object_get(j, "tokens")))
        return TAG_LINES;
    if (json_object_get(j, "context") && json_object_get(j, "question") && json_object_get(j, "answers"))
        return QUESTION_LINES;
    if (has_any(j, choices))
        return CHOICES;
    for (const xr_text_names *t = xr_conventional_texts; t->text; t++)
        if (json_is_string(json_object_get(j, t->text)) && (!t->text_pair || json_is_string(json_object_get(j, t->text_pair))))
            return TEXT_LINES;
    return UNKNOWN;
}

static kind of_json(const char *head, size_t n, const char *path)
{
    const char *stop = memchr(head, '\n', n);
    if (xr_questions_detect(head, n))
        return memmem(head, n, "\"paragraphs\"", strlen("\"paragraphs\"")) ? SQUAD : UNKNOWN;
    json_t *j = xr_json_parse(head, stop ? (size_t)(stop - head) : n, path);
    kind k = j ? of_record(j) : UNKNOWN;
    json_decref(j);
    return k;
}

static int in_all(const survey *v, size_t shared) { return v->n >= 2 && shared > 0 && shared != SIZE_MAX; }

static kind of_lines(const survey *v, const char *path)
{
    int tabs = v->tabs > 0, texts = v->points > WORD * v->n || 2 * v->phrases > v->n;
    if (v->n == 0)
        return UNKNOWN;
    if (v->numbered)
        return CONLLU;
    if (v->empty)
        return (in_all(v, v->tabs) || in_all(v, v->blanks)) && !texts ? TAGGED : UNKNOWN;
    if (tabs)
        return in_all(v, v->tabs) && texts ? TEXTS : UNKNOWN;
    if (in_all(v, v->semicolons) && !in_all(v, v->commas))
        return SEMICOLONS;
    return in_all(v, v->commas) || (v->commas && xr_source_named(path, ".csv")) ? COMMAS : UNKNOWN;
}

/* Without the line that the end of the head cuts. */
static size_t whole_lines(const char *head, size_t n)
{
    const char *last = n >= HEAD ? memrchr(head, '\n', n) : NULL;
    return last ? (size_t)(last - head) : n;
}

static kind kind_of(const char *head, size_t n, const char *path, int failed, size_t *line)
{
    survey v = { 0 };
    *line = 1;
    if (*head == '{')       /* nothing of JSON is read as words */
        return failed ? of_json(head, n, path) : UNKNOWN;
    take_lines(&v, head, whole_lines(head, n));
    *line = v.first;
    return of_lines(&v, path);
}

/* ---- telling ---- */

static xr_status tell(const char *path, size_t line, kind k, xr_file_task wanted)
{
    return xr_fail(XR_EDATA, "%s:%zu: looks like %s; expected %s; give --task %s", path, line, known[k].name, tasks[wanted].expected,
                   tasks[known[k].task].value);
}

/* Questions come as tables as well, which their readers tell how to convert. */
static int says_more(kind k, xr_file_task wanted)
{
    int table = k == TEXTS || k == COMMAS || k == SEMICOLONS, questions = wanted == XR_FILE_QA || wanted == XR_FILE_CHOICE;
    return k != UNKNOWN && !(table && questions) && known[k].task != wanted;
}

static int is_regular(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static kind look(const char *path, int failed, size_t *line)
{
    const char *head;
    xr_stream *s = is_regular(path) ? xr_stream_open(path) : NULL;
    long n = s ? xr_stream_head(s, HEAD, &head) : 0;
    kind k = n > 0 ? kind_of(head, (size_t)n, path, failed, line) : UNKNOWN;
    xr_stream_close(s);
    return k;
}

/* Looking into the file may set errors, and so waits until the pending one is kept. */
static xr_status check_failed(const char *path, xr_file_task wanted, xr_status before)
{
    size_t line = 0;
    char *said = xr_strdup(xr_error_message());
    if (!said)
        return before;
    xr_error_clear();
    kind k = look(path, 1, &line);
    xr_error_clear();
    xr_status status = says_more(k, wanted) ? tell(path, line, k, wanted) : xr_fail(before, "%s", said);
    xr_free(said);
    return status;
}

xr_status xr_file_kind_check(const char *path, xr_file_task wanted)
{
    size_t line = 0;
    if (xr_error_status() < 0)
        return check_failed(path, wanted, xr_error_status());
    kind k = look(path, 0, &line);
    return says_more(k, wanted) ? tell(path, line, k, wanted) : xr_error_status();
}
