/* Reading labelled files into packed ids: every example is tokenised once. */
#include <float.h>
#include <math.h>
#include <string.h>
#include "data/dataset.h"
#include "data/file_kind.h"
#include "data/language.h"
#include "data/text.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/str.h"

enum { SHOWN = 5 };         /* bad records shown per file */

/* One file on its way into the dataset. */
typedef struct reading {
    xr_dataset *d;
    const xr_tokenizer *tok;
    xr_labels *labels;
    const xr_data_options *o;
    const char *path;
    xr_tokens tokens;
    xr_str label;           /* of the record, trimmed */
    xr_str languages;       /* met and not wanted, for the message */
    size_t first;           /* example of the dataset */
    uint64_t n_records, n_bad, n_trimmed, n_alias, n_no_gold, n_other_language;
    char *alias_from, *alias_to;
} reading;

/* ---- growing ---- */

static int keeps_text(const xr_dataset *d, const xr_data_options *o)
{
    return o->keep_text || d->text;
}

static xr_status grow_examples(xr_dataset *d, const xr_data_options *o)
{
    size_t cap = d->cap ? 2 * d->cap : 1024;
    uint64_t *offset;
    int32_t *label;
    uint32_t *file, *line;

    XR_ASSERT(!o->keep_text || d->text || !d->n, "texts kept from example %zu on only", d->n);
    if (d->n >= UINT32_MAX)
        return xr_fail(XR_EDATA, "more than %u examples; use fewer (--max-samples)", UINT32_MAX);
    if (d->n < d->cap)
        return XR_OK;
    if (!(offset = xr_realloc(d->offset, cap + 1, sizeof *offset)))
        return xr_error_status();
    d->offset = offset;
    if (!(label = xr_realloc(d->label, cap, sizeof *label)))
        return xr_error_status();
    d->label = label;
    if (!(file = xr_realloc(d->file, cap, sizeof *file)))
        return xr_error_status();
    d->file = file;
    if (!(line = xr_realloc(d->line, cap, sizeof *line)))
        return xr_error_status();
    d->line = line;
    if (keeps_text(d, o)) {
        char **text = xr_realloc(d->text, cap, sizeof *text);
        d->text = text ? text : d->text;
        char **pair = text ? xr_realloc(d->text_pair, cap, sizeof *pair) : NULL;
        d->text_pair = pair ? pair : d->text_pair;
        if (!pair)
            return xr_error_status();
    }
    d->cap = cap;
    d->offset[0] = 0;
    return XR_OK;
}

/* Gives every example room for C targets; the new ones are 0. */
static xr_status widen_targets(xr_dataset *d, size_t C)
{
    size_t old = d->n_target;

    if (old == C)
        return XR_OK;
    XR_TRY(xr_grow(&d->target, &d->cap_target, d->n * C, sizeof *d->target));
    for (size_t i = d->n; i-- > 0;) {
        memmove(d->target + i * C, d->target + i * old, old * sizeof *d->target);
        memset(d->target + i * C + old, 0, (C - old) * sizeof *d->target);
    }
    d->n_target = C;
    return XR_OK;
}

/* ---- one example ---- */

/* Ids behind the last example, for which there is room. */
static void put_tokens(xr_dataset *d, const xr_token *token, size_t n)
{
    size_t start = (size_t)d->offset[d->n];

    for (size_t i = 0; i < n; i++) {
        d->ids[start + i] = token[i].id;
        d->n_unk += token[i].id == XR_ID_UNK;
    }
    d->offset[d->n + 1] = start + n;
    d->label[d->n] = -1;
    d->line[d->n] = (uint32_t)d->line_now;
    d->n_tokens += n;
}

xr_status xr_dataset_add_tokens(xr_dataset *d, const xr_token *token, size_t n)
{
    const xr_data_options plain = { 0 };

    XR_TRY(grow_examples(d, &plain));
    XR_TRY(xr_grow(&d->ids, &d->cap_ids, (size_t)d->offset[d->n] + n, sizeof *d->ids));
    put_tokens(d, token, n);
    d->file[d->n++] = (uint32_t)d->n_files - 1;
    return XR_OK;
}

/* Appends ids and texts; the caller adds label and target. Nothing counts until it raises d->n. */
static xr_status add_example(xr_dataset *d, const xr_tokenizer *tok, xr_tokens *tokens, const char *text,
                             const char *pair, const xr_data_options *o)
{
    size_t truncated = 0;

    tokens->n = 0;
    XR_TRY(grow_examples(d, o));
    if (tok)
        XR_TRY(xr_tokenizer_encode_pair(tok, text, pair, o->max_len, 0, tokens, &truncated));
    XR_TRY(xr_grow(&d->ids, &d->cap_ids, (size_t)d->offset[d->n] + tokens->n, sizeof *d->ids));
    if (keeps_text(d, o)) {
        d->text_pair[d->n] = NULL;
        if (!(d->text[d->n] = xr_strdup(text)))
            return xr_error_status();
        if (pair && !(d->text_pair[d->n] = xr_strdup(pair))) {
            xr_free(d->text[d->n]);
            return xr_error_status();
        }
    }
    put_tokens(d, tokens->v, tokens->n);
    d->n_truncated += truncated > 0;
    d->n_empty_pair += pair && xr_text_is_missing(pair);
    return XR_OK;
}

/* A zeroed row of targets for the example about to be counted. */
static xr_status add_target_row(xr_dataset *d)
{
    if (!d->n_target)       /* no label has been met yet */
        return XR_OK;
    XR_TRY(xr_grow(&d->target, &d->cap_target, (d->n + 1) * d->n_target, sizeof *d->target));
    memset(d->target + d->n * d->n_target, 0, d->n_target * sizeof *d->target);
    return XR_OK;
}

xr_status xr_dataset_add_text(xr_dataset *d, const xr_tokenizer *tok, const char *text, const char *pair,
                              const xr_data_options *o)
{
    xr_tokens tokens = { 0 };
    xr_status status = add_example(d, tok, &tokens, text, pair, o);

    xr_tokens_free(&tokens);
    XR_TRY(status);
    if (d->n_target)
        XR_TRY(add_target_row(d));
    d->line[d->n] = 0;
    d->file[d->n++] = UINT32_MAX;
    return XR_OK;
}

/* ---- labels ---- */

/* Bytes of the label to show in a message: whole characters of the first 80. */
static int shown(const reading *g)
{
    size_t n = g->label.len;

    if (n > 80)
        for (n = 80; n && ((unsigned char)g->label.s[n] & 0xC0) == 0x80;)
            n--;
    return (int)n;
}

static xr_status unknown_label(const reading *g, size_t line, const char *name)
{
    char *known = xr_labels_list(g->labels);
    int renamed = strcmp(name, g->label.s) != 0;
    const char *remedy =
        g->label.len > 80 ? "is it a text? name the columns with --text-column, --text-pair-column and --label-column"
                          : "correct it, or give it one of these names with --label-map FROM=TO";
    xr_status status = known ? xr_fail(XR_EDATA, "%s:%zu: unknown label '%.*s'%s%s%s; the known labels are: %s; %s",
                                       g->path, line, shown(g), g->label.s, renamed ? " (mapped to '" : "",
                                       renamed ? name : "", renamed ? "')" : "", known, remedy)
                             : xr_error_status();
    xr_free(known);
    return status;
}

/* Trims what stands in g->label, and counts it when there was a trailing space. */
static xr_status take_label(reading *g, const char *text, size_t n)
{
    const char *start = text;
    while (n && strchr(" \t\r\n", *start)) {
        start++;
        n--;
    }
    size_t whole = n;
    while (n && strchr(" \t\r\n", start[n - 1]))
        n--;
    g->n_trimmed += n < whole;
    xr_str_clear(&g->label);
    XR_TRY(xr_str_append(&g->label, start, n));
    return xr_str_puts(&g->label, "");
}

static xr_status note_alias(reading *g, const char *to)
{
    if (g->n_alias++)
        return XR_OK;
    g->alias_from = xr_strdup(g->label.s);
    g->alias_to = g->alias_from ? xr_strdup(to) : NULL;
    return g->alias_to ? XR_OK : xr_error_status();
}

static int is_mapped(const xr_labels *l, const char *text)
{
    for (int i = 0; i < l->n_map; i++)
        if (!strcmp(l->from[i], text))
            return 1;
    return 0;
}

/* Class of the label in g->label: >= 0, -2 = no gold label, other values < 0 = error. */
static int class_of(reading *g, size_t line)
{
    const char *name = xr_labels_resolve(g->labels, g->label.s);
    int id = xr_labels_find(g->labels, g->label.s);

    if (id == -2)
        return id;
    if (id == -1) {
        if (!g->o->grow_labels)
            return unknown_label(g, line, name);
        if (g->label.len > 200)
            return xr_fail(
                XR_EDATA,
                "%s:%zu: a label of %zu bytes ('%.*s…'); expected a name of at most 200; is it a text? name the "
                "columns with --text-column and --label-column",
                g->path, line, g->label.len, shown(g), g->label.s);
        id = xr_labels_add(g->labels, name);
        if (id < 0)
            return id;
    }
    if (strcmp(name, g->label.s) && !is_mapped(g->labels, g->label.s))
        XR_TRY(note_alias(g, name));
    return id;
}

static xr_status read_value(const reading *g, size_t line, float *out)
{
    double value;

    if (!xr_parse_double(g->label.s, &value) || !(fabs(value) <= (double)FLT_MAX))
        return xr_fail(
            XR_EDATA,
            "%s:%zu: the value '%.*s' is not a finite number; expected one for a regression, with a decimal point; "
            "correct or remove the row",
            g->path, line, shown(g), g->label.s);
    *out = (float)value;
    return XR_OK;
}

/* "0", "1" and "0": not names, of which none comes twice, but a place for each class. */
static int is_vector(const char *label, char separator)
{
    size_t count[2] = { 0, 0 };

    for (; *label; label += label[1] ? 2 : 1) {
        if ((*label != '0' && *label != '1') || (label[1] && label[1] != separator))
            return 0;
        count[*label - '0']++;
    }
    return count[0] > 1 || count[1] > 1;
}

/* The names of a multi-label cell; each sets its column to 1. `chosen` collects the classes. */
static xr_status read_classes(reading *g, const char *label, size_t line, xr_str *chosen)
{
    char separator = strchr(label, XR_LABEL_SEPARATOR) ? XR_LABEL_SEPARATOR : ',';

    if (is_vector(label, separator))
        return xr_fail(XR_EDATA, "%s:%zu: the labels are zeros and ones, as in a vector with a place for each class; expected the names of the classes "
                       "that hold; write these, such as [\"sport\", \"politics\"]", g->path, line);
    while (*label) {
        const char *stop = strchr(label, separator);
        size_t n = stop ? (size_t)(stop - label) : strlen(label);
        XR_TRY(take_label(g, label, n));
        if (g->label.len) {
            int id = class_of(g, line);
            if (id == -2)
                id = unknown_label(g, line, "-");
            if (id < 0)
                return id;
            XR_TRY(xr_str_append(chosen, (const char *)&id, sizeof id));
        }
        label += n + (stop != NULL);
    }
    return XR_OK;
}

static xr_status read_multi(reading *g, const xr_record *rec)
{
    xr_dataset *d = g->d;
    xr_str chosen = { 0 };
    xr_status status = rec->label ? read_classes(g, rec->label, rec->line, &chosen) : XR_OK;

    if (status >= 0)
        status = widen_targets(d, (size_t)g->labels->n);
    if (status >= 0)
        status = add_target_row(d);
    for (size_t i = 0; status >= 0 && i < chosen.len; i += sizeof(int)) {
        int id;
        memcpy(&id, chosen.s + i, sizeof id);
        d->target[d->n * d->n_target + (size_t)id] = 1.0f;
    }
    xr_str_free(&chosen);
    d->label[d->n] = rec->label ? 0 : -1;
    return status;
}

static xr_status read_single(reading *g, const xr_record *rec)
{
    xr_dataset *d = g->d;

    if (g->o->kind == XR_LABEL_VALUE) {
        d->n_target = 1;
        XR_TRY(add_target_row(d));
    }
    if (!rec->label)
        return XR_OK;
    if (strchr(rec->label, XR_LABEL_SEPARATOR))
        return xr_fail(XR_EDATA,
                       "%s:%zu: the label is a list; expected one label; use the multi-label task, or name another key",
                       g->path, rec->line);
    if (g->o->kind == XR_LABEL_VALUE) {
        d->label[d->n] = 0;
        return read_value(g, rec->line, d->target + d->n);
    }
    int id = class_of(g, rec->line);
    d->label[d->n] = id >= 0 ? id : -1;
    return id >= 0 || id == -2 ? XR_OK : id;
}

/* ---- one file ---- */

/* Wanted is a name as xlmr writes it; the file may say "eng" or "fra_Latn". */
static int is_language(const char *name, const char *wanted)
{
    char parsed[XR_LANGUAGE_MAX];
    return strcmp(name, wanted) == 0 || (xr_language_parse(name, parsed) && strcmp(parsed, wanted) == 0);
}

static int wanted_language(reading *g, const xr_record *rec)
{
    if (!g->o->language || (rec->language ? is_language(rec->language, g->o->language) : g->o->language_optional))
        return 1;
    g->n_other_language++;
    const char *name = rec->language ? rec->language : "(none)";
    if (g->languages.len < 200 && !(g->languages.s && strstr(g->languages.s, name)))
        (void)xr_str_printf(&g->languages, "%s%.20s", g->languages.len ? ", " : "", name);
    return 0;
}

/* 1 = there is no gold label and the row is to be left out. */
static int without_gold(reading *g, const xr_record *rec)
{
    if (g->o->kind != XR_LABEL_CLASS || !rec->label || xr_labels_find(g->labels, rec->label) != -2)
        return 0;
    g->n_no_gold++;
    return g->o->need_label;
}

static xr_status add_record(reading *g, const xr_record *rec)
{
    xr_dataset *d = g->d;
    xr_record r = *rec;

    if (!wanted_language(g, rec) || without_gold(g, rec))
        return XR_OK;
    if (xr_text_is_missing(r.text))
        return xr_fail(XR_EDATA,
                       "%s:%zu: the text is empty; expected at least one word; remove the row, or skip bad rows with "
                       "--on-bad-record skip",
                       g->path, r.line);
    if (r.label)
        XR_TRY(take_label(g, r.label, strlen(r.label)));
    if (r.label && !g->label.len && g->o->kind != XR_LABEL_MULTI)
        r.label = NULL;
    if (!r.label && g->o->need_label)
        return xr_fail(
            XR_EDATA,
            "%s:%zu: the row has no label; expected one; name the label column with --label-column, or remove the row",
            g->path, r.line);
    d->line_now = r.line;
    uint64_t tokens = d->n_tokens, truncated = d->n_truncated, unk = d->n_unk, empty = d->n_empty_pair;
    int n_labels = g->labels ? g->labels->n : 0;
    xr_status status = add_example(d, g->tok, &g->tokens, r.text, r.text_pair, g->o);
    if (status < 0)
        return xr_error_status() == XR_EDATA ? xr_fail_context("%s:%zu", g->path, r.line) : status;
    status = g->o->kind == XR_LABEL_MULTI ? read_multi(g, &r) : read_single(g, &r);
    if (status < 0) {
        d->n_tokens = tokens, d->n_truncated = truncated, d->n_unk = unk, d->n_empty_pair = empty;
        if (g->labels)
            xr_labels_cut(g->labels, n_labels);
        if (keeps_text(d, g->o)) {
            xr_free(d->text[d->n]);
            xr_free(d->text_pair[d->n]);
        }
        return status;
    }
    d->file[d->n++] = (uint32_t)(d->n_files - 1);
    return XR_OK;
}

/* A bad record: the end of the file, or skipped and counted. */
static xr_status bad_record(reading *g, const xr_source_reader *r)
{
    xr_status status = xr_error_status();

    if (!g->o->skip_bad || status != XR_EDATA || r->broken)
        return status;
    if (g->n_bad++ < SHOWN)
        xr_warn("skipped: %s", xr_error_message());
    xr_error_clear();
    return XR_OK;
}

static xr_status read_records(reading *g, xr_source_reader *r)
{
    xr_record rec;
    long max = g->o->max_samples;

    while (max <= 0 || g->d->n - g->first < (size_t)max) {
        int rc = xr_source_next(r, &rec);
        if (rc == 0)
            break;
        g->n_records++;
        if (rc > 0)
            rc = add_record(g, &rec);
        if (rc < 0)
            XR_TRY(bad_record(g, r));
    }
    return XR_OK;
}

static int one_class(const reading *g)
{
    const xr_dataset *d = g->d;

    if (g->o->kind != XR_LABEL_CLASS || d->n < g->first + 2 || d->label[g->first] < 0)
        return -1;
    for (size_t i = g->first + 1; i < d->n; i++)
        if (d->label[i] != d->label[g->first])
            return -1;
    return d->label[g->first];
}

static void tell(const reading *g)
{
    int only = one_class(g);

    if (g->n_bad)
        xr_warn("%s: %llu of %llu rows skipped because they are bad%s", g->path, (unsigned long long)g->n_bad,
                (unsigned long long)g->n_records, g->n_bad > SHOWN ? "; the first 5 are shown above" : "");
    if (g->n_no_gold)
        xr_info("%s: %llu rows without gold label ('-')%s", g->path, (unsigned long long)g->n_no_gold,
                g->o->need_label ? " left out" : "");
    if (g->n_trimmed)
        xr_warn("%s: %llu labels end in white space; it is ignored", g->path, (unsigned long long)g->n_trimmed);
    if (g->n_alias)
        xr_info("%s: %llu labels read under another name ('%s' as '%s')", g->path, (unsigned long long)g->n_alias,
                g->alias_from, g->alias_to);
    if (only >= 0)
        xr_warn("%s: all %zu examples have the same label, '%s'", g->path, g->d->n - g->first, g->labels->name[only]);
}

static xr_status check_file(const reading *g)
{
    const xr_data_options *o = g->o;

    if ((double)g->n_bad > o->max_bad_fraction * (double)g->n_records)
        return xr_fail(XR_EDATA,
                       "%s: %llu of %llu rows are bad; at most a share of %g may be skipped; correct the file, or "
                       "raise --max-bad-fraction",
                       g->path, (unsigned long long)g->n_bad, (unsigned long long)g->n_records, o->max_bad_fraction);
    if (g->d->n > g->first)
        return XR_OK;
    if (g->n_other_language)
        return xr_fail(XR_EDATA, "%s: no examples in language '%s'; the file's languages are: %s; choose one of them",
                       g->path, o->language, g->languages.s ? g->languages.s : "");
    if (g->n_no_gold)
        return xr_fail(XR_EDATA,
                       "%s: no examples: all %llu rows lack a gold label ('-'); expected labels; give a labelled file",
                       g->path, (unsigned long long)g->n_no_gold);
    return xr_fail(
        XR_EDATA,
        "%s: no examples: the file is empty or holds only a header; expected one example a row; give another file",
        g->path);
}

xr_status xr_dataset_add_file(xr_dataset *d, const char *path)
{
    char **files = xr_realloc(d->files, d->n_files + 1, sizeof *files);

    if (!files)
        return xr_error_status();
    d->files = files;
    d->files[d->n_files] = xr_strdup(path);
    if (!d->files[d->n_files])
        return xr_error_status();
    d->n_files++;
    d->line_now = 0;
    return XR_OK;
}

xr_status xr_dataset_add(xr_dataset *d, const char *path, const xr_tokenizer *tok, xr_labels *labels,
                         const xr_data_options *o)
{
    reading g = { .d = d, .tok = tok, .labels = labels, .o = o, .path = path, .first = d->n };
    xr_source_reader r;
    xr_columns columns = o->columns;
    xr_status status;

    columns.labelled = columns.labelled || o->need_label;
    XR_TRY(xr_dataset_add_file(d, path));
    status = xr_source_open(&r, path, o->format, &columns);
    if (status < 0)
        return status == XR_EDATA ? xr_file_kind_check(path, XR_FILE_CLASSIFY) : status;
    g.path = xr_stream_path(r.stream);
    status = read_records(&g, &r);
    if (status == XR_EDATA && d->n == g.first)
        status = xr_file_kind_check(path, XR_FILE_CLASSIFY);
    if (status >= 0 && o->kind == XR_LABEL_MULTI)
        status = widen_targets(d, (size_t)labels->n);
    if (status >= 0) {
        d->n_bad += g.n_bad;
        d->n_no_gold += g.n_no_gold;
        tell(&g);
        status = check_file(&g);
    }
    xr_source_close(&r);
    xr_tokens_free(&g.tokens);
    xr_str_free(&g.label);
    xr_str_free(&g.languages);
    xr_free(g.alias_from);
    xr_free(g.alias_to);
    return status;
}

xr_status xr_dataset_skip(xr_dataset *d, uint64_t record)
{
    XR_TRY(xr_grow(&d->skipped, &d->cap_skipped, d->n_skipped + 1, sizeof *d->skipped));
    d->skipped[d->n_skipped++] = record;
    return XR_OK;
}

uint64_t xr_dataset_record(const xr_dataset *d, uint64_t i)
{
    for (size_t k = 0; k < d->n_skipped && d->skipped[k] <= i; k++)
        i++;
    return i;
}

void xr_dataset_free(xr_dataset *d)
{
    for (size_t i = 0; d->text && i < d->n; i++) {
        xr_free(d->text[i]);
        xr_free(d->text_pair[i]);
    }
    for (size_t i = 0; i < d->n_files; i++)
        xr_free(d->files[i]);
    xr_free(d->skipped);
    xr_free(d->offset);
    xr_free(d->ids);
    xr_free(d->label);
    xr_free(d->target);
    xr_free(d->file);
    xr_free(d->line);
    xr_free(d->text);
    xr_free(d->text_pair);
    xr_free(d->files);
    xr_free(d->words.example);
    xr_free(d->words.sentence);
    xr_free(d->words.row);
    xr_free(d->words.len);
    xr_free(d->words.inside);
    xr_free(d->words.tag);
    xr_questions_free(&d->windows.questions);
    xr_free(d->windows.first);
    xr_free(d->windows.window);
    xr_free(d->windows.passage);
    xr_free(d->windows.piece);
    xr_free(d->choices.example);
    xr_free(d->choices.end);
    memset(d, 0, sizeof *d);
}

size_t xr_dataset_len(const xr_dataset *d, size_t i)
{
    return (size_t)(d->offset[i + 1] - d->offset[i]);
}

const int32_t *xr_dataset_choice(const xr_dataset *d, size_t k, size_t *n)
{
    size_t begin = k ? (size_t)d->choices.end[k - 1] : 0;
    *n = (size_t)d->choices.end[k] - begin;
    return d->ids + begin;
}

size_t xr_dataset_longest(const xr_dataset *d)
{
    size_t most = 1, len;
    for (size_t i = 0; i < (d->choices.n ? d->choices.n : d->n); i++) {
        if (d->choices.n)
            xr_dataset_choice(d, i, &len);
        else
            len = xr_dataset_len(d, i);
        most = len > most ? len : most;
    }
    return most;
}
