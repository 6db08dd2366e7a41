/* Lines and looks ahead over files that util/packed.h decompresses. */
#include "util/stream.h"

#include <string.h>

#include "util/alloc.h"
#include "util/packed.h"

/* Between calls all text in `out` comes from the last member begun. */
struct xr_stream {
    xr_packed *file;
    char *out;                  // [out_cap] text not yet handed out: [out_pos, out_len)
    size_t out_cap, out_pos, out_len;
    int begun;                  /* the text's first bytes have been looked at */
    int ended;
};

static const xr_magic text_magics[] = {
    { "\xef\xbb\xbf", 3, NULL },    /* UTF-8 byte order mark: dropped */
    { "\xff\xfe", 2, "UTF-16 (little-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
    { "\xfe\xff", 2, "UTF-16 (big-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
    { "PAR1\x15", 5, "a Parquet table, not text; write its rows as JSON lines first (pandas: read_parquet, then to_json with lines=True)" },
};
#define N_TEXT (sizeof text_magics / sizeof text_magics[0])

void xr_stream_chunk(size_t bytes)
{
    xr_packed_chunk(bytes);
}

xr_stream *xr_stream_open(const char *path)
{
    xr_stream *s = xr_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->file = xr_packed_open(path);
    if (!s->file || xr_grow(&s->out, &s->out_cap, s->file->chunk + 1, 1) < 0) {
        xr_stream_close(s);
        return NULL;
    }
    return s;
}

void xr_stream_close(xr_stream *s)
{
    if (!s)
        return;
    xr_packed_close(s->file);
    xr_free(s->out);
    xr_free(s);
}

/* Moving what is held to the front must be worth it: someone who looks far ahead and takes little would have it moved for every byte. */
static int move_pays(const xr_stream *s)
{
    return s->out_pos > 0 && (s->out_pos == s->out_len || (s->out_len + 1 >= s->out_cap && s->out_pos >= s->out_cap / 8));
}

/* More text behind what is in the buffer; *got = 0 at the end. One byte stays free for a line's NUL. */
static xr_status refill(xr_stream *s, size_t *got)
{
    if (move_pays(s)) {
        memmove(s->out, s->out + s->out_pos, s->out_len - s->out_pos);
        s->out_len -= s->out_pos;
        s->out_pos = 0;
    }
    if (s->out_len + 1 >= s->out_cap && (s->file->failed = xr_grow(&s->out, &s->out_cap, s->out_len + 2, 1)) < 0)
        return s->file->failed;
    XR_TRY(xr_packed_read(s->file, s->out + s->out_len, s->out_cap - s->out_len - 1, got));
    s->out_len += *got;
    return XR_OK;
}

/* A compressed file inside a compressed file. */
static xr_status check_inner(xr_stream *s, int *undecided)
{
    const xr_decoder *inner = s->file->decoder && !xr_packed_is_plain(s->file) ? xr_packed_format(s->out, s->out_len, undecided) : NULL;
    if (!inner || inner == &xr_decode_plain)
        return XR_OK;
    s->file->failed = xr_fail(XR_EDATA, "%s: the file is %s inside %s; decompress it once (%s)", s->file->path, inner->name, s->file->decoder->name,
                        s->file->decoder->undo);
    return s->file->failed;
}

/* Looks at the text's first bytes: drops a UTF-8 byte order mark, refuses what is no UTF-8 text. */
static xr_status begin_text(xr_stream *s)
{
    int undecided = 1;
    size_t got = 1;
    const xr_magic *m = NULL;
    while (undecided && got && !m) {
        undecided = 0;
        XR_TRY(refill(s, &got));
        m = xr_magic_find(text_magics, N_TEXT, s->out, s->out_len, &undecided);
        XR_TRY(check_inner(s, &undecided));
    }
    s->begun = 1;
    if (m && m->what) {
        s->file->failed = xr_fail(XR_EDATA, "%s: the file is %s", s->file->path, m->what);
        return s->file->failed;
    }
    if (m)
        s->out_pos = m->n;
    return XR_OK;
}

static xr_status ready(xr_stream *s)
{
    if (s->file->failed < 0)
        return xr_fail(s->file->failed, "%s: reading was given up after an earlier error", s->file->path);
    return s->begun ? XR_OK : begin_text(s);
}

/* Hands out [out_pos, out_pos + n) as a line; skip counts the bytes of its end. */
static int take_line(xr_stream *s, size_t n, size_t skip, char **line, size_t *len)
{
    char *start = s->out + s->out_pos;
    s->out_pos += n + skip;
    s->ended = skip > 0;
    s->file->line++;
    if (skip && n && start[n - 1] == '\r')
        n--;
    start[n] = 0;
    *line = start;
    *len = n;
    return 1;
}

int xr_stream_line(xr_stream *s, char **line, size_t *len)
{
    XR_TRY(ready(s));
    for (size_t searched = 0;;) {
        size_t held = s->out_len - s->out_pos;
        const char *start = s->out + s->out_pos;
        const char *lf = memchr(start + searched, '\n', held - searched);
        size_t n = lf ? (size_t)(lf - start) : held;
        if (n > XR_LINE_CAP)
            return xr_packed_fail(s->file, XR_EDATA, "a line of more than 16 MiB; lines end in LF or CRLF; is this a text file?");
        if (lf)
            return take_line(s, n, 1, line, len);
        searched = held;
        size_t got;
        XR_TRY(refill(s, &got));
        if (got == 0)
            return held ? take_line(s, held, 0, line, len) : 0;
    }
}

long xr_stream_read(xr_stream *s, void *buffer, size_t n)
{
    XR_TRY(ready(s));
    size_t held = s->out_len - s->out_pos, got = 0;
    if (held == 0) {
        XR_TRY(refill(s, &got));
        held = s->out_len - s->out_pos;
    }
    if (n > held)
        n = held;
    memcpy(buffer, s->out + s->out_pos, n);
    s->out_pos += n;
    return (long)n;
}

long xr_stream_peek(xr_stream *s, size_t want, const char **text)
{
    XR_TRY(ready(s));
    for (size_t got = 1; got && s->out_len - s->out_pos < want;)
        XR_TRY(refill(s, &got));
    *text = s->out + s->out_pos;
    return (long)(s->out_len - s->out_pos);
}

long xr_stream_head(xr_stream *s, size_t want, const char **text)
{
    XR_TRY(ready(s));
    for (size_t got = 1; got && s->out_len - s->out_pos < want;)
        if (refill(s, &got) < 0)
            got = xr_packed_keep_error(s->file) > 0;
    *text = s->out + s->out_pos;
    return (long)(s->out_len - s->out_pos);
}

void xr_stream_skip(xr_stream *s, size_t n)
{
    XR_ASSERT(n <= s->out_len - s->out_pos, "%zu bytes skipped, %zu held", n, s->out_len - s->out_pos);
    xr_packed_pass_lines(s->file, s->out + s->out_pos, n);
    s->out_pos += n;
}

void xr_stream_by_member(xr_stream *s, int on)
{
    s->file->by_member = on;
}

size_t xr_stream_member(const xr_stream *s)
{
    return s->file->decoder && !xr_packed_is_plain(s->file) ? s->file->member : 0;
}

int xr_stream_cut(const xr_stream *s)
{
    return s->file->cut;
}

int xr_stream_damaged(const xr_stream *s)
{
    return s->file->damaged;
}

int xr_stream_next_member(xr_stream *s)
{
    if (s->file->failed < 0 && !s->file->damaged)
        return ready(s);
    XR_ASSERT(s->file->by_member && s->file->decoder, "member %zu", s->file->member);
    xr_stream_skip(s, s->out_len - s->out_pos);
    s->out_pos = s->out_len = 0;
    return xr_packed_next_member(s->file);
}

size_t xr_stream_line_number(const xr_stream *s)
{
    return s->file->line;
}

int xr_stream_line_ended(const xr_stream *s)
{
    return s->ended;
}

unsigned long long xr_stream_offset(const xr_stream *s)
{
    return s->file->raw_read - (s->file->in_len - s->file->in_pos);
}

const char *xr_stream_path(const xr_stream *s)
{
    return s->file->path;
}
