/* Reading sentences of tagged words, one at a time. */
#include <string.h>

#include "data/source.h"
#include "data/tagged.h"
#include "util/alloc.h"

xr_status xr_tagged_open(xr_tagged_reader *r, const char *path)
{
    memset(r, 0, sizeof *r);
    r->stream = xr_stream_open(path);
    return r->stream ? XR_OK : xr_error_status();
}

void xr_tagged_close(xr_tagged_reader *r)
{
    xr_stream_close(r->stream);
    xr_str_free(&r->bytes);
    xr_free(r->word);
    memset(r, 0, sizeof *r);
}

/* ---- one line ---- */

static int ends_sentence(const char *line, size_t len)
{
    return strspn(line, " ") == len;
}

static xr_status fail_columns(const xr_tagged_reader *r, const char *line)
{
    size_t n = 1, at = xr_stream_line_number(r->stream);
    for (const char *tab = line; (tab = strchr(tab, '\t')); tab++)
        n++;
    return xr_fail(XR_EDATA, "%s:%zu: %zu columns; expected the word, a TAB and its tag; keep these two columns (cut -f)", xr_stream_path(r->stream),
                   at, n);
}

/* The tag stands behind the word's NUL, where the TAB was. */
static xr_status take_line(xr_tagged_reader *r, char *line, size_t len)
{
    XR_TRY(xr_line_check(r->stream, line, len));
    char *tab = strchr(line, '\t');
    if (tab && strchr(tab + 1, '\t'))
        return fail_columns(r, line);
    while (tab && len && line[len - 1] == ' ')
        len--;
    XR_TRY(xr_grow(&r->word, &r->cap, r->n + 1, sizeof *r->word));
    xr_tagged_word *w = &r->word[r->n];
    memset(w, 0, sizeof *w);
    w->line = xr_stream_line_number(r->stream);
    w->text_at = r->bytes.len;
    XR_TRY(xr_str_append(&r->bytes, line, len));
    XR_TRY(xr_str_append(&r->bytes, "", 1));
    r->n++;
    return XR_OK;
}

/* Pointers, now that the bytes stay where they are. */
static void point(xr_tagged_reader *r)
{
    for (size_t i = 0; i < r->n; i++) {
        xr_tagged_word *w = &r->word[i];
        char *text = r->bytes.s + w->text_at, *tab = strchr(text, '\t');
        w->text = text;
        if (tab)
            *tab = '\0';
        w->tag = tab && tab[1] ? tab + 1 : NULL;
    }
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
    size_t n = prefix_length(r->word[0].text);
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

/* Reads up to a blank line behind at least one word; a bad line makes the sentence bad and the rest of it is passed over. */
static xr_status read_lines(xr_tagged_reader *r)
{
    char *line;
    size_t len, seen = 0;
    xr_status status = XR_OK;
    int got;
    while ((got = xr_stream_line(r->stream, &line, &len)) > 0) {
        if (ends_sentence(line, len) && seen)
            return status;
        if (ends_sentence(line, len))
            continue;
        seen++;
        if (status == XR_OK)
            status = take_line(r, line, len);
        if (status < 0 && status != XR_EDATA)
            return status;
    }
    r->broken = got < 0;
    return got < 0 ? got : status;
}

int xr_tagged_next(xr_tagged_reader *r)
{
    r->n = 0;
    xr_str_clear(&r->bytes);
    XR_TRY(read_lines(r));
    if (r->n == 0)
        return 0;
    point(r);
    if (!r->started)
        find_prefix(r);
    r->started = 1;
    drop_prefix(r);
    return 1;
}
