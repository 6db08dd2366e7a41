/* Column names, numbers and conventions. */
#include <string.h>
#include <strings.h>
#include "data/columns.h"
#include "util/str.h"

const xr_text_names xr_conventional_texts[] = {
    { "sentence1", "sentence2" }, { "premise", "hypothesis" }, { "premise", "hypo" }, { "question1", "question2" },
    { "question", "sentence" }, { "#1 String", "#2 String" }, { "text_a", "text_b" }, { "text1", "text2" },
    { "text", "text_pair" }, { "sentence", NULL }, { "text", NULL }, { NULL, NULL }
};
const char *const xr_conventional_labels[] = {
    "gold_label", "label", "labels", "score", "is_duplicate", "Quality", NULL
};
const char *const xr_conventional_languages[] = { "language", "lang", NULL };

/* Index of the cell with this name, -1 = none. */
static int find(char *const *cell, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(cell[i], name))
            return (int)i;
    return -1;
}

static int find_any(char *const *cell, size_t n, const char *const *names)
{
    int at = -1;
    for (; *names && at < 0; names++)
        at = find(cell, n, *names);
    return at;
}

static const xr_text_names *find_texts(char *const *cell, size_t n)
{
    for (const xr_text_names *c = xr_conventional_texts; c->text; c++)
        if (find(cell, n, c->text) >= 0 && (!c->text_pair || find(cell, n, c->text_pair) >= 0))
            return c;
    return NULL;
}

/* Is one of the cells between separators this one, in quotes or not? */
static int has_cell(const char *line, size_t n, char separator, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = line, *end = line + n, *stop; p <= end; p = stop + 1) {
        stop = memchr(p, separator, (size_t)(end - p));
        stop = stop ? stop : end;
        int quoted = stop - p >= 2 && *p == '"' && stop[-1] == '"';
        if ((size_t)(stop - p) == len + 2 * (size_t)quoted && !strncasecmp(p + quoted, name, len))
            return 1;
    }
    return 0;
}

static int has_texts(const char *line, size_t n, char separator)
{
    for (const xr_text_names *c = xr_conventional_texts; c->text; c++)
        if (has_cell(line, n, separator, c->text) && (!c->text_pair || has_cell(line, n, separator, c->text_pair)))
            return 1;
    return 0;
}

int xr_columns_header(const char *line, size_t n, char separator)
{
    return memchr(line, separator, n) && has_texts(line, n, separator);
}

const char *xr_columns_remedy(const xr_columns *c)
{
    return c->label && !*c->label ? "name the right ones with --text-column and --text-pair-column"
                                  : "name the right ones with --text-column, --text-pair-column and --label-column";
}

static int is_number(const char *s)
{
    return s && *s && strspn(s, "0123456789") == strlen(s);
}

static int is_name(const char *s)
{
    return s && *s && !is_number(s);
}

/* "'a', 'b', …" of at most 20 cells, each cut at 40 bytes; b is empty when memory is out. */
static const char *quote(xr_str *b, char *const *cell, size_t n)
{
    for (size_t i = 0; i < n && i < 20; i++) {
        size_t len = strlen(cell[i]);
        size_t cut = len > 40 ? 40 : len;
        while (cut < len && cut && ((unsigned char)cell[i][cut] & 0xC0) == 0x80)
            cut--;
        if (xr_str_printf(b, "%s'%.*s%s'", i ? ", " : "", (int)cut, cell[i], cut < len ? "…" : "") < 0)
            return "";
    }
    if (n > 20 && xr_str_puts(b, ", …") < 0)
        return "";
    return b->s ? b->s : "";
}

/* What to do about a row of one cell that was written with another separator; NULL: it was not. */
static const char *other_separator(const xr_source_reader *r, char *const *cell, size_t n)
{
    int commas = !strcmp(r->source->name, "csv");

    if (n != 1)
        return NULL;
    if (strchr(cell[0], commas ? '\t' : ','))
        return commas ? "the row has TABs and no comma: give --format tsv" : "the row has commas and no TAB: give --format csv";
    return strchr(cell[0], ';') ? "the row has semicolons, as Excel writes in many countries; expected commas or TABs: save the file with one of these "
                                  "between its columns" : NULL;
}

static xr_status fail_columns(const xr_source_reader *r, char *const *cell, size_t n, const char *what,
                              const char *name)
{
    xr_str list = { 0 };
    const char *columns = quote(&list, cell, n), *other = other_separator(r, cell, n);
    xr_status status = xr_fail(XR_EDATA, "%s:%zu: %s%s%s%s; the columns found are %s; %s%s", xr_stream_path(r->stream), xr_stream_line_number(r->stream),
                               what, name ? " '" : "", name ? name : "", name ? "'" : "", columns, other ? other : xr_columns_remedy(&r->columns),
                               other ? "" : " (a name, or a number from 1)");
    xr_str_free(&list);
    return status;
}

/* Column `at` of the header is the only one of its name, which the user may have written otherwise (`given`); -1: there is none to ask about. */
static xr_status check_only(const xr_source_reader *r, char *const *cell, size_t n, int at, const char *given)
{
    if (at < 0 || find(cell + at + 1, n - (size_t)at - 1, cell[at]) < 0)
        return XR_OK;
    return fail_columns(r, cell, n, "two columns are called", given ? given : cell[at]);
}

/* A column that the user named: by header name first, then by number. */
static xr_status find_given(const xr_source_reader *r, char *const *cell, size_t n, int is_header, const char *given,
                            int *at)
{
    long long number;

    *at = -1;
    if (!*given)
        return XR_OK;
    if (is_header && (*at = find(cell, n, given)) >= 0)
        return check_only(r, cell, n, *at, given);
    if (!is_number(given))
        return fail_columns(r, cell, n, "there is no column", given);
    if (!xr_parse_int(given, &number) || number < 1 || (unsigned long long)number > n)
        return fail_columns(r, cell, n, "there is no column number", given);
    *at = (int)number - 1;
    return XR_OK;
}

/* Columns that were found by convention; of two that have one name a number may choose. */
static xr_status check_header(const xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n)
{
    const xr_columns *c = &r->columns;
    XR_TRY(check_only(r, cell, n, c->text ? -1 : m->text, NULL));
    XR_TRY(check_only(r, cell, n, c->text_pair ? -1 : m->text_pair, NULL));
    XR_TRY(check_only(r, cell, n, c->label ? -1 : m->label, NULL));
    return check_only(r, cell, n, c->language ? -1 : m->language, NULL);
}

static xr_status map_header(xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n)
{
    const xr_columns *c = &r->columns;
    const xr_text_names *names = find_texts(cell, n);

    if (c->text)
        XR_TRY(find_given(r, cell, n, 1, c->text, &m->text));
    else if (names)
        m->text = find(cell, n, names->text);
    else
        return fail_columns(r, cell, n,
                            "no column of the header is a known text column (sentence1 and sentence2, premise and "
                            "hypothesis, text, sentence)",
                            NULL);
    if (c->text_pair)
        XR_TRY(find_given(r, cell, n, 1, c->text_pair, &m->text_pair));
    else if (!c->text && names->text_pair)
        m->text_pair = find(cell, n, names->text_pair);
    if (c->label)
        XR_TRY(find_given(r, cell, n, 1, c->label, &m->label));
    else
        m->label = find_any(cell, n, xr_conventional_labels);
    if (c->language)
        XR_TRY(find_given(r, cell, n, 1, c->language, &m->language));
    else
        m->language = find_any(cell, n, xr_conventional_languages);
    return check_header(m, r, cell, n);
}

static int in_use(const xr_column_map *m, size_t i)
{
    int k = (int)i;
    return m->text == k || m->text_pair == k || m->label == k || m->language == k;
}

/* SNLI and MultiNLI leave out the columns of annotators who were not asked (label2 to label5). */
static size_t without_annotators(const xr_column_map *m, char *const *cell, size_t n)
{
    while (n > 1 && !strncmp(cell[n - 1], "label", 5) && is_number(cell[n - 1] + 5) && !in_use(m, n - 1))
        n--;
    return n;
}

static xr_status map_by_position(xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n)
{
    switch (n) {
    case 1:
        m->text = 0;
        if (r->columns.labelled && other_separator(r, cell, n))
            return fail_columns(r, cell, n, "one column, and no label in it", NULL);
        return XR_OK;
    case 2:
        m->text = 0;
        *(r->columns.labelled ? &m->label : &m->text_pair) = 1;
        return XR_OK;
    case 3:
        m->text = 0;
        m->text_pair = 1;
        m->label = 2;
        return XR_OK;
    default:
        return fail_columns(r, cell, n,
                            "more columns than the three (text, second text, label) of a file without header", NULL);
    }
}

static xr_status map_numbers(xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n)
{
    const xr_columns *c = &r->columns;

    if (!c->text || !*c->text)
        return xr_fail(XR_EUSAGE,
                       "%s:%zu: the file has no header, and columns are given by number without the first text; "
                       "add --text-column",
                       xr_stream_path(r->stream), xr_stream_line_number(r->stream));
    XR_TRY(find_given(r, cell, n, 0, c->text, &m->text));
    XR_TRY(find_given(r, cell, n, 0, c->text_pair ? c->text_pair : "", &m->text_pair));
    XR_TRY(find_given(r, cell, n, 0, c->label ? c->label : "", &m->label));
    return find_given(r, cell, n, 0, c->language ? c->language : "", &m->language);
}

/* A first row with one well-known column name but not enough of them is a header that we do not understand, not an
 * example. */
static int half_header(char *const *cell, size_t n)
{
    if (find_any(cell, n, xr_conventional_labels) >= 0 || find_any(cell, n, xr_conventional_languages) >= 0)
        return 1;
    for (const xr_text_names *c = xr_conventional_texts; c->text; c++)
        if (find(cell, n, c->text) >= 0 || (c->text_pair && find(cell, n, c->text_pair) >= 0))
            return 1;
    return 0;
}

/* Reads the meaning of the columns off the first row. need_header: a row of unknown names is an error and not data.
 * *is_header tells whether the row was a header. */
static xr_status map_read(xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n, int need_header,
                             int *is_header)
{
    const xr_columns *c = &r->columns;
    int named = is_name(c->text) || is_name(c->text_pair) || is_name(c->label) || is_name(c->language);
    int numbered = is_number(c->text) || is_number(c->text_pair) || is_number(c->label) || is_number(c->language);

    *m = (xr_column_map){ .n = n, .n_min = n, .text = -1, .text_pair = -1, .label = -1, .language = -1 };
    *is_header = named || find_texts(cell, n) || (need_header && !numbered);
    if (*is_header) {
        XR_TRY(map_header(m, r, cell, n));
        m->n_min = without_annotators(m, cell, n);
        return XR_OK;
    }
    if (numbered)
        return map_numbers(m, r, cell, n);
    if (half_header(cell, n))
        return fail_columns(r, cell, n, "the first row looks like a header, but not like one that is known", NULL);
    return map_by_position(m, r, cell, n);
}

/* Fills the record's texts from a row that starts at `line`. */
static xr_status map_apply(const xr_column_map *m, const xr_source_reader *r, char *const *cell, size_t n,
                              size_t line, xr_record *out)
{
    if (n < m->n_min || n > m->n)
        return xr_fail(XR_EDATA, "%s:%zu: the row has %zu column%s; expected %zu as in the first row; %s",
                       xr_stream_path(r->stream), line, n, n == 1 ? "" : "s", m->n,
                       n > m->n ? "a separator inside a text?" : "a separator missing, or the row cut?");
    out->line = line;
    out->text = m->text < 0 ? NULL : cell[m->text];
    out->text_pair = m->text_pair < 0 ? NULL : cell[m->text_pair];
    out->label = m->label < 0 ? NULL : cell[m->label];
    out->language = m->language < 0 ? NULL : cell[m->language];
    return XR_OK;
}

/* Next line that is not empty. *blank = number of the first empty line skipped, 0 = none: an error unless the file ends
 * there. */
static int full_line(xr_source_reader *r, char **line, size_t *len, size_t *blank)
{
    int rc;

    *blank = r->head ? r->head_blank : 0;
    while ((rc = xr_source_line(r, line, len)) > 0 && !*len)
        *blank = *blank ? *blank : xr_stream_line_number(r->stream);
    return rc;
}

static xr_status blank_line(const xr_source_reader *r, size_t line)
{
    return xr_fail(XR_EDATA,
                   "%s:%zu: an empty line among the rows; expected a row, or the end of the file; remove the line, or give --task tag "
                   "for a file of tagged words",
                   xr_stream_path(r->stream), line);
}

static int read_row(xr_source_reader *r, xr_rows *rows)
{
    char *line;
    size_t len, blank;
    int rc = full_line(r, &line, &len, &blank);

    if (rc <= 0)
        return rc;
    rows->line = xr_stream_line_number(r->stream);
    XR_TRY(rows->split(r, rows, line, len));
    rows->pending = 1;
    return blank ? blank_line(r, blank) : 1;
}

xr_status xr_rows_open(xr_source_reader *r, xr_rows *rows, int need_header)
{
    int is_header, rc = read_row(r, rows);

    if (rc <= 0)
        return rc;
    XR_TRY(map_read(&rows->map, r, rows->cell, rows->n, need_header, &is_header));
    rows->pending = !is_header;
    return XR_OK;
}

int xr_rows_next(xr_source_reader *r, xr_rows *rows, xr_record *out)
{
    if (!rows->pending) {
        int rc = read_row(r, rows);
        if (rc <= 0)
            return rc;
    }
    rows->pending = 0;
    XR_TRY(map_apply(&rows->map, r, rows->cell, rows->n, rows->line, out));
    return 1;
}
