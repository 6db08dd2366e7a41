/* Reading sentences of tagged words, one at a time. */
#include <string.h>

#include "data/source.h"
#include "data/tagged.h"
#include "util/alloc.h"

static const char BLANKS[] = " \t";

xr_status xr_tagged_open(xr_tagged_reader *r, const char *path)
{
    memset(r, 0, sizeof *r);
    r->stream = xr_stream_open(path);
    return r->stream ? XR_OK : xr_error_status();
}

void xr_tagged_close(xr_tagged_reader *r)
{
    xr_stream_close(r->stream);
    xr_str_free(&r->lines);
    xr_free(r->line_at);
    xr_free(r->line_number);
    xr_str_free(&r->bytes);
    xr_free(r->word);
    memset(r, 0, sizeof *r);
}

const char *xr_tagged_format_name(xr_tagged_format format)
{
    static const char *const name[] = {
        "unknown", "columns between TABs", "columns between blanks", "words without tags", "Universal NER's iob2", "CoNLL-U", "JSON lines",
    };
    return name[format];
}

/* ---- words ---- */

xr_status xr_tagged_put(xr_tagged_reader *r, const char *word, size_t len, const char *tag, size_t tag_len, size_t line)
{
    XR_TRY(xr_grow(&r->word, &r->cap, r->n + 1, sizeof *r->word));
    xr_tagged_word *w = &r->word[r->n];
    *w = (xr_tagged_word){ .line = line, .text_at = r->bytes.len, .tag_at = SIZE_MAX };
    XR_TRY(xr_str_append(&r->bytes, word, len));
    XR_TRY(xr_str_append(&r->bytes, "", 1));
    if (tag) {
        w->tag_at = r->bytes.len;
        XR_TRY(xr_str_append(&r->bytes, tag, tag_len));
        XR_TRY(xr_str_append(&r->bytes, "", 1));
    }
    r->n++;
    return XR_OK;
}

/* Pointers, now that the bytes stay where they are. */
static void point(xr_tagged_reader *r)
{
    for (size_t i = 0; i < r->n; i++) {
        xr_tagged_word *w = &r->word[i];
        w->text = r->bytes.s + w->text_at;
        w->tag = w->tag_at == SIZE_MAX ? NULL : r->bytes.s + w->tag_at;
    }
}

/* ---- lines ---- */

/* One field of a line. */
typedef struct field { const char *s; size_t len; } field;
enum { MAX_FIELDS = 12 };

/* Fields between TABs; how many there are, of which the first MAX_FIELDS - 1 and the last are kept. */
static size_t split_tabs(const char *line, size_t len, field *f)
{
    size_t n = 0, begin = 0;
    for (size_t i = 0; i <= len; i++)
        if (i == len || line[i] == '\t') {
            f[n < MAX_FIELDS ? n : MAX_FIELDS - 1] = (field){ line + begin, i - begin };
            begin = i + 1;
            n++;
        }
    return n;
}

/* The same between blanks and TABs. */
static size_t split_blanks(const char *line, size_t len, field *f)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        i += strspn(line + i, BLANKS);
        size_t size = strcspn(line + i, BLANKS);
        if (i < len && size)
            f[n++ < MAX_FIELDS ? n - 1 : MAX_FIELDS - 1] = (field){ line + i, size };
        i += size;
    }
    return n;
}

static field last_of(const field *f, size_t n) { return f[n < MAX_FIELDS ? n - 1 : MAX_FIELDS - 1]; }

static int has_blank(field f)
{
    return memchr(f.s, ' ', f.len) != NULL || memchr(f.s, '\t', f.len) != NULL;
}

static field trimmed(field f)
{
    for (; f.len && strchr(BLANKS, f.s[f.len - 1]); f.len--)
        ;
    for (; f.len && strchr(BLANKS, *f.s); f.s++)
        f.len--;
    return f;
}

static int is_comment(const char *line) { return line[0] == '#' && !strchr(line, '\t'); }
static int is_document(const char *line) { return strncmp(line, "-DOCSTART-", 10) == 0; }
static int is_number(field f) { return f.len && strspn(f.s, "0123456789-.") >= f.len; }

/* first: of the line, or of the one that it is compared with. */
static xr_status fail_columns(const xr_tagged_reader *r, size_t line, size_t n, char first)
{
    int comment = first == '#' || r->columns_hash;
    return xr_fail(XR_EDATA, "%s:%zu: %zu column%s; expected %zu as in line %zu, the word first and its tag last; %s", xr_stream_path(r->stream), line, n,
                   n == 1 ? "" : "s", r->columns, r->columns_line,
                   comment ? "complete the line, or take out lines that begin with # where these are comments (grep -v '^#')"
                           : "complete the line, or keep two columns in the whole file (cut -f)");
}

static xr_status fail_blank(const xr_tagged_reader *r, size_t line)
{
    return xr_fail(XR_EDATA, "%s:%zu: nothing but TABs; expected a word and its tag, or an empty line where a sentence ends; empty such lines "
                   "(sed 's/^[[:blank:]]*$//')", xr_stream_path(r->stream), line);
}

/* ---- one line of each format ---- */

/* The word first, the tag last. */
static xr_status put_ends(xr_tagged_reader *r, const field *f, size_t n, size_t number)
{
    field tag = n > 1 ? trimmed(last_of(f, n)) : (field){ NULL, 0 };
    if (is_document(f[0].s) && f[0].len == 10)
        return XR_OK;
    if ((tag.len || n > r->columns) && n != r->columns && r->columns > 1)
        return fail_columns(r, number, n, *f[0].s);
    return xr_tagged_put(r, f[0].s, f[0].len, tag.len ? tag.s : NULL, tag.len, number);
}

static xr_status take_blank(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    field f[MAX_FIELDS];
    size_t n = split_blanks(line, len, f);
    return n == 0 ? fail_blank(r, number) : put_ends(r, f, n, number);
}

/* A line between blanks is taken, too, in a file whose first line has TABs. */
static xr_status take_tab(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    field f[MAX_FIELDS];
    if (strspn(line, BLANKS) == len)
        return fail_blank(r, number);
    size_t n = split_tabs(line, len, f);
    if (n == 1 ? has_blank(trimmed(f[0])) : has_blank(trimmed(last_of(f, n))))
        return take_blank(r, line, len, number);
    return put_ends(r, f, n, number);
}

static xr_status take_word(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    field f[MAX_FIELDS];
    if (strspn(line, BLANKS) == len)
        return fail_blank(r, number);
    size_t n = split_tabs(line, len, f);
    return put_ends(r, f, n, number);
}

/* Word and tag in columns of their own, behind a number. */
static xr_status take_numbered(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    field f[MAX_FIELDS];
    if (is_comment(line))
        return XR_OK;
    size_t n = split_tabs(line, len, f);
    int conllu = r->format == XR_TAGGED_CONLLU;
    if (n != r->columns)
        return fail_columns(r, number, n, *line);
    if (!is_number(f[0]))
        return xr_fail(XR_EDATA, "%s:%zu: the first column '%.*s' is no number; expected %s as in the lines before; correct the line",
                       xr_stream_path(r->stream), number, (int)(f[0].len < 40 ? f[0].len : 40), f[0].s, xr_tagged_format_name(r->format));
    if (conllu && (memchr(f[0].s, '-', f[0].len) || memchr(f[0].s, '.', f[0].len)))
        return XR_OK;
    field tag = f[conllu ? 3 : 2];
    int none = tag.len == 0 || (conllu && tag.len == 1 && *tag.s == '_');
    return xr_tagged_put(r, f[1].s, f[1].len, none ? NULL : tag.s, tag.len, number);
}

static xr_status take_line(xr_tagged_reader *r, const char *line, size_t len, size_t number)
{
    switch (r->format) {
    case XR_TAGGED_TAB: return take_tab(r, line, len, number);
    case XR_TAGGED_BLANK: return take_blank(r, line, len, number);
    case XR_TAGGED_JSONL: return xr_tagged_json(r, line, len, number);
    case XR_TAGGED_IOB2:
    case XR_TAGGED_CONLLU: return take_numbered(r, line, len, number);
    default: return take_word(r, line, len, number);
    }
}

/* ---- which format ---- */

/* { alone begins an object over several lines, which the reading of it says. */
static int looks_json(const char *line)
{
    line += strncmp(line, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    size_t at = strspn(line, BLANKS);
    return line[at] == '{' && strchr("\"}", line[at + 1 + strspn(line + at + 1, BLANKS)]) && !strchr(line, '\t');
}

/* The first line that is no comment decides; comments alone, which precede the first sentence of a CoNLL-U file, decide nothing, nor does the
 * beginning of a document. */
static void detect(xr_tagged_reader *r)
{
    field f[MAX_FIELDS];
    size_t first = 0, explains = 0;
    for (; first < r->n_lines && is_document(r->lines.s + r->line_at[first]); first++)
        ;
    size_t k = first;
    for (; k < r->n_lines && is_comment(r->lines.s + r->line_at[k]); k++)
        explains += strchr(r->lines.s + r->line_at[k], '=') != NULL;
    if (first == r->n_lines || (k == r->n_lines && explains))
        return;
    k = k < r->n_lines ? k : first;
    const char *line = r->lines.s + r->line_at[k];
    size_t n = split_tabs(line, strlen(line), f);
    r->format = n == 10 && is_number(f[0]) ? XR_TAGGED_CONLLU : n == 5 && is_number(f[0]) ? XR_TAGGED_IOB2 : XR_TAGGED_TAB;
    if (r->format == XR_TAGGED_TAB && k > first) {      /* the lines before are words that begin with # */
        k = first;
        line = r->lines.s + r->line_at[k];
        n = split_tabs(line, strlen(line), f);
    }
    if (r->format == XR_TAGGED_TAB && (n == 1 || (n == 2 && trimmed(f[1]).len == 0) || has_blank(trimmed(last_of(f, n))))) {
        n = split_blanks(line, strlen(line), f);
        r->format = n > 1 ? XR_TAGGED_BLANK : XR_TAGGED_WORDS;
    }
    r->columns = n;
    r->columns_line = r->line_number[k];
    r->columns_hash = *line == '#';
}

/* ---- the language before each word ---- */

/* Bytes of "en:" or "zh-classical:" at the start of a word; 0 = there is no such thing. */
static size_t prefix_length(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz-");
    return n >= 2 && n < sizeof ((xr_tagged_reader *)0)->prefix - 1 && text[n] == ':' && text[0] != '-' ? n + 1 : 0;
}

static void find_prefix(xr_tagged_reader *r)
{
    size_t n = r->format == XR_TAGGED_TAB || r->format == XR_TAGGED_WORDS ? prefix_length(r->word[0].text) : 0;
    for (size_t i = 0; i < r->n && n; i++)
        if (strncmp(r->word[i].text, r->word[0].text, n) != 0)
            n = 0;
    memcpy(r->prefix, r->word[0].text, n);
}

static void drop_prefix(xr_tagged_reader *r)
{
    size_t n = strlen(r->prefix);
    for (size_t i = 0; i < r->n && n; i++)
        if (strncmp(r->word[i].text, r->prefix, n) == 0)
            r->word[i].text += n;
}

/* ---- one sentence ---- */

static xr_status keep_line(xr_tagged_reader *r, const char *line, size_t len)
{
    XR_TRY(xr_grow(&r->line_at, &r->cap_at, r->n_lines + 1, sizeof *r->line_at));
    XR_TRY(xr_grow(&r->line_number, &r->cap_number, r->n_lines + 1, sizeof *r->line_number));
    r->line_at[r->n_lines] = r->lines.len;
    r->line_number[r->n_lines++] = xr_stream_line_number(r->stream);
    XR_TRY(xr_str_append(&r->lines, line, len));
    return xr_str_append(&r->lines, "", 1);
}

/* The lines up to an empty one; of JSON lines, one. A bad line makes the sentence bad, the rest of which is passed over. */
static xr_status read_lines(xr_tagged_reader *r)
{
    char *line;
    size_t len;
    xr_status status = XR_OK;
    int got, seen = 0;
    while ((got = xr_stream_line(r->stream, &line, &len)) > 0) {
        int empty = strspn(line, " ") == len;
        if (empty && seen)
            return status;
        if (empty)
            continue;
        seen = 1;
        if (status == XR_OK)
            status = xr_line_check(r->stream, line, len);
        if (status == XR_OK)
            status = keep_line(r, line, len);
        if (status < 0 && status != XR_EDATA)
            return status;
        if (r->format == XR_TAGGED_UNKNOWN && r->n_lines == 1 && !r->started && looks_json(line))
            r->format = XR_TAGGED_JSONL;
        if (r->format == XR_TAGGED_JSONL)
            return status;
    }
    r->broken = got < 0;
    return got < 0 ? got : status;
}

static xr_status read_sentence(xr_tagged_reader *r)
{
    r->n = r->n_lines = 0;
    xr_str_clear(&r->bytes);
    xr_str_clear(&r->lines);
    XR_TRY(read_lines(r));
    if (r->n_lines && r->format == XR_TAGGED_UNKNOWN)
        detect(r);
    for (size_t k = 0; k < r->n_lines && r->format != XR_TAGGED_UNKNOWN; k++) {
        const char *line = r->lines.s + r->line_at[k];
        XR_TRY(take_line(r, line, strlen(line), r->line_number[k]));
    }
    return XR_OK;
}

int xr_tagged_next(xr_tagged_reader *r)
{
    do
        XR_TRY(read_sentence(r));
    while (r->n_lines && r->n == 0);
    if (r->n == 0)
        return 0;
    point(r);
    if (!r->started)
        find_prefix(r);
    r->started = 1;
    drop_prefix(r);
    return 1;
}
