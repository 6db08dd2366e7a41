/* Files of two languages that belong together, and their lines. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "train/retrieval.h"
#include "util/alloc.h"
#include "util/fs.h"

static const char *const packed[] = { "", ".gz", ".xz", ".zst", NULL };

/* ---- names ---- */

/* "de-en.test.de.gz": a "de", b "en", middle ".test". */
typedef struct name_parts { const char *a, *b, *middle; size_t a_len, b_len, middle_len; } name_parts;

static size_t without_packing(const char *name)
{
    size_t n = strlen(name);
    for (const char *const *end = packed + 1; *end; end++) {
        size_t m = strlen(*end);
        if (n > m && strcmp(name + n - m, *end) == 0)
            return n - m;
    }
    return n;
}

/* 1 when the name is that of the first language's file. */
static int parse_name(const char *name, name_parts *p)
{
    const char *end = name + without_packing(name), *dash;
    p->a = name + (strncmp(name, "tatoeba.", 8) == 0 ? 8 : 0);
    dash = strchr(p->a, '-');
    p->a_len = dash ? (size_t)(dash - p->a) : 0;
    p->b = dash ? dash + 1 : p->a;
    p->b_len = strcspn(p->b, ".");
    p->middle = p->b + p->b_len;
    if (p->a_len == 0 || p->b_len == 0 || end < p->middle + 1 + p->a_len)
        return 0;
    const char *last = end - p->a_len;
    p->middle_len = (size_t)(last - 1 - p->middle);
    return last[-1] == '.' && strncmp(last, p->a, p->a_len) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static xr_status take_name(xr_evaluation *e, const char *name, const char *middle)
{
    name_parts p;
    if (!parse_name(name, &p) || p.middle_len != strlen(middle) || strncmp(p.middle, middle, p.middle_len) != 0)
        return XR_OK;
    int english = (p.b_len == 2 && strncmp(p.b, "en", 2) == 0) || (p.b_len == 3 && strncmp(p.b, "eng", 3) == 0);
    size_t len = english ? p.a_len : p.a_len + 1 + p.b_len;
    const xr_scored *twin = xr_evaluate_language(e, p.a, len);
    char *path = xr_path_join(e->o->data_dir, name);
    xr_status status = !path ? xr_error_status()
                       : twin ? xr_fail(XR_EDATA, "%s: '%.*s' also has %s; expected one pair of files each; move one of them away", path, (int)len, p.a,
                                        twin->path)
                              : xr_evaluate_add(e, p.a, len, path, 0);
    xr_free(path);
    return status;
}

xr_status xr_retrieval_find(xr_evaluation *e, const char *middle)
{
    char also[80];
    DIR *dir = opendir(e->o->data_dir);
    if (!dir)
        return xr_fail(XR_ENOINPUT, "%s: cannot open the folder (%s); expected files such as de-en%s.de and de-en%s.en; check --data-dir", e->o->data_dir,
                       strerror(errno), middle, middle);
    xr_status status = XR_OK;
    for (struct dirent *d; status == XR_OK && (d = xr_dir_next(dir, e->o->data_dir, &status));)
        status = take_name(e, d->d_name, middle);
    closedir(dir);
    XR_TRY(status);
    snprintf(also, sizeof also, "pair of files such as de-en%s.de and de-en%s.en", middle, middle);
    return xr_evaluate_choose(e, also);
}

xr_status xr_retrieval_path(const xr_scored *s, const char *middle, const char *last, char **path)
{
    name_parts p;
    int known = parse_name(base_name(s->path), &p);
    XR_ASSERT(known, "%s is no name of a pair", s->path);
    const char *tail = !last ? p.a : strcmp(last, "B") == 0 ? p.b : last;
    size_t n = !last ? p.a_len : strcmp(last, "B") == 0 ? p.b_len : strlen(last);
    *path = NULL;
    for (const char *const *end = packed; *end && !*path; end++) {
        char *candidate = xr_asprintf("%.*s%s.%.*s%s", (int)(p.middle - s->path), s->path, middle, (int)n, tail, *end);
        if (!candidate)
            return xr_error_status();
        if (xr_path_exists(candidate))
            *path = candidate;
        else
            xr_free(candidate);
    }
    return XR_OK;
}

/* ---- lines ---- */

static const char *trim(char *s, size_t *n)
{
    static const char space[] = " \t\r\n\v\f";
    while (*n && strchr(space, s[*n - 1]))
        --*n;
    s[*n] = '\0';
    size_t lead = strspn(s, space);
    *n -= lead;
    return s + lead;
}

static xr_status put_string(xr_str *bytes, size_t **at, size_t *cap, size_t i, const char *s, size_t n)
{
    XR_TRY(xr_grow(at, cap, i + 1, sizeof **at));
    (*at)[i] = bytes->len;
    XR_TRY(xr_str_append(bytes, s, n));
    return xr_str_append(bytes, "", 1);
}

static xr_status take_line(xr_lines *l, const xr_stream *s, char *line, size_t len, int ids)
{
    XR_TRY(xr_line_check(s, line, len));
    char *tab = ids ? strchr(line, '\t') : NULL, *text = tab ? tab + 1 : line;
    if (ids && !tab)
        return xr_fail(XR_EDATA, "%s:%zu: no TAB; expected an id, a TAB and a sentence; add the ids", xr_stream_path(s), xr_stream_line_number(s));
    if (ids)
        XR_TRY(put_string(&l->bytes, &l->id, &l->cap_id, l->n, line, (size_t)(tab - line)));
    size_t n = len - (size_t)(text - line);
    const char *start = trim(text, &n);
    XR_TRY(put_string(&l->bytes, &l->text, &l->cap_text, l->n, start, n));
    l->n++;
    return XR_OK;
}

static xr_status read_lines(xr_lines *l, xr_stream *s, int ids, size_t max)
{
    char *line;
    size_t len;
    int got = 0;
    while ((max == 0 || l->n < max) && (got = xr_stream_line(s, &line, &len)) > 0)
        XR_TRY(take_line(l, s, line, len, ids));
    XR_TRY(got);
    if (l->n == 0)
        return xr_fail(XR_EDATA, "%s: no lines; expected one sentence a line; give another file", xr_stream_path(s));
    return l->n < UINT32_MAX ? XR_OK : xr_fail(XR_EDATA, "%s: more than %u lines; cut it into parts", xr_stream_path(s), UINT32_MAX);
}

/* ---- distinct texts ---- */

typedef struct keyed { const char *text; uint32_t line; } keyed;

static int by_text(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    int c = strcmp(x->text, y->text);
    return c ? c : (x->line > y->line) - (x->line < y->line);
}

/* l->vector[i] = the first line with that text. */
static xr_status find_first(xr_lines *l)
{
    keyed *k = xr_alloc(l->n, sizeof *k);
    if (!k)
        return xr_error_status();
    for (size_t i = 0; i < l->n; i++)
        k[i] = (keyed){ l->bytes.s + l->text[i], (uint32_t)i };
    qsort(k, l->n, sizeof *k, by_text);
    for (size_t i = 0, first = 0; i < l->n; i++) {
        if (strcmp(k[i].text, k[first].text) != 0)
            first = i;
        l->vector[k[i].line] = k[first].line;
    }
    xr_free(k);
    return XR_OK;
}

/* First lines come before their repetitions: by the time those are met, vector of the first is its number within data. */
static xr_status tokenise(xr_lines *l, const xr_tokenizer *tok, size_t max_len)
{
    const xr_data_options o = { .max_len = max_len };
    for (size_t i = 0; i < l->n; i++) {
        if (l->vector[i] != i) {
            l->vector[i] = l->vector[l->vector[i]];
            l->repeated[l->vector[i]] = 1;
            continue;
        }
        l->line[l->data.n] = (uint32_t)i;
        l->vector[i] = (uint32_t)l->data.n;
        XR_TRY(xr_dataset_add_text(&l->data, tok, l->bytes.s + l->text[i], NULL, &o));
    }
    return XR_OK;
}

static xr_status number_texts(xr_lines *l, const xr_tokenizer *tok, size_t max_len)
{
    l->vector = xr_alloc(l->n, sizeof *l->vector);
    l->line = l->vector ? xr_alloc(l->n, sizeof *l->line) : NULL;
    l->repeated = l->line ? xr_alloc(l->n, 1) : NULL;
    XR_TRY(l->repeated ? find_first(l) : xr_error_status());
    return tokenise(l, tok, max_len);
}

xr_status xr_lines_read(xr_lines *l, const char *path, int ids, const xr_tokenizer *tok, size_t max_len, size_t max_lines)
{
    memset(l, 0, sizeof *l);
    xr_stream *s = xr_stream_open(path);
    if (!s)
        return xr_error_status();
    xr_status status = read_lines(l, s, ids, max_lines);
    xr_stream_close(s);
    XR_TRY(status);
    status = number_texts(l, tok, max_len);
    return status == XR_EDATA ? xr_fail_context("%s", path) : status;
}

void xr_lines_count(xr_scored *s, const xr_lines *l)
{
    s->data.n_tokens += l->data.n_tokens;
    s->data.n_unk += l->data.n_unk;
    s->data.n_truncated += l->data.n_truncated;
}

void xr_lines_free(xr_lines *l)
{
    xr_str_free(&l->bytes);
    xr_free(l->id);
    xr_free(l->text);
    xr_free(l->vector);
    xr_dataset_free(&l->data);
    xr_free(l->line);
    xr_free(l->repeated);
    memset(l, 0, sizeof *l);
}
