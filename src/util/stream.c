/* Lines and bytes from plain and compressed files. Formats are behind util/decode.h. */
#include "util/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/decode.h"
#include "util/log.h"

enum { CHUNK = 1 << 16, IN_MIN = 64 };      /* IN_MIN: more than any format needs to be told by */

#define RATIO_FREE ((uint64_t)64 << 20)     /* below this much output no ratio is suspicious */
#define RATIO_CAP 1000

typedef enum stage { SNIFF, MEMBER, BETWEEN, END } stage;

/* Between calls all text in `out` comes from member number `member`. */
struct xr_stream {
    char *path;
    int fd;                     /* -1 after close; 0 for standard input */
    stage stage;
    xr_status failed;           /* status of an earlier error; every later call repeats it */
    char *kept;                 /* message of an error that was met ahead of what was asked for */
    xr_status kept_status;
    int damaged;                /* the error lies in the compressed data: the next member may be whole */
    int cut;
    int by_member;
    int raw_eof;
    uint64_t raw_read;          /* bytes read from the file */
    uint64_t produced;          /* bytes after decompression */
    const xr_decoder *decoder;
    void *state;
    int noted;
    size_t member;              /* members begun */
    uint64_t member_at;         /* raw offset where the last one began */
    size_t chunk, in_cap, in_pos, in_len;
    unsigned char *in;          // [in_cap] raw bytes not yet decoded: [in_pos, in_len)
    char *out;                  // [out_cap] text not yet handed out: [out_pos, out_len)
    size_t out_cap, out_pos, out_len;
    int begun;                  /* the text's first bytes have been looked at */
    size_t line;
    int ended;
};

static size_t chunk_size = CHUNK;

/* The first that begins here is it; plain takes all. */
static const xr_decoder *const decoders[] = { &xr_decode_gzip, &xr_decode_xz, &xr_decode_zstd, &xr_decode_plain };
#define N_DECODERS (sizeof decoders / sizeof decoders[0])

/* First bytes that name a format we must not take for text. */
typedef struct magic { const char *bytes; size_t n; const char *what; } magic;

static const magic raw_magics[] = {
    { "BZh91AY&SY", 10, "bzip2-compressed, which is not read here; decompress it first (bunzip2)" },
    { "PK\x03\x04", 4, "a zip archive, not text; unpack it first (unzip)" },
};
static const magic text_magics[] = {
    { "\xef\xbb\xbf", 3, NULL },    /* UTF-8 byte order mark: dropped */
    { "\xff\xfe", 2, "UTF-16 (little-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
    { "\xfe\xff", 2, "UTF-16 (big-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
};
#define N_RAW (sizeof raw_magics / sizeof raw_magics[0])
#define N_TEXT (sizeof text_magics / sizeof text_magics[0])

/* The format that the bytes begin with; *undecided tells that more bytes could still make it one. */
static const magic *find_magic(const magic *table, size_t n_magics, const void *bytes, size_t n, int *undecided)
{
    for (size_t i = 0; i < n_magics; i++) {
        int begins = xr_decode_magic(bytes, n, table[i].bytes, table[i].n);
        if (begins == 1)
            return &table[i];
        *undecided |= begins < 0;
    }
    return NULL;
}

static const xr_decoder *find_decoder(const void *bytes, size_t n, int *undecided)
{
    for (size_t i = 0; i < N_DECODERS; i++) {
        int begins = decoders[i]->begins(bytes, n, 0);
        if (begins == 1)
            return decoders[i];
        *undecided |= begins < 0;
    }
    return NULL;
}

static unsigned long long offset_of(const xr_stream *s)
{
    return s->raw_read - (s->in_len - s->in_pos);
}

/* Every error of a stream goes through here, so that the stream stays failed. */
static xr_status fail_at(xr_stream *s, xr_status status, const char *what)
{
    s->failed = xr_fail(status, "%s:%zu: byte %llu: %s", s->path, s->line + 1, offset_of(s), what);
    return s->failed;
}

/* A member that cannot be decoded; another may follow it. */
static xr_status fail_member(xr_stream *s, const char *what, const char *why, const char *remedy)
{
    s->damaged = 1;
    s->failed = xr_fail(XR_EDATA, "%s:%zu: byte %llu: %s%s %s %zu%s%s%s", s->path, s->line + 1, offset_of(s), what, s->decoder->name,
                        s->decoder->unit, s->member, why, remedy ? "; " : "", remedy ? remedy : "");
    return s->failed;
}

static xr_status open_file(xr_stream *s, const char *path)
{
    struct stat st;
    if (strcmp(path, "-")) {
        s->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (s->fd < 0)
            return xr_fail(XR_ENOINPUT, "%s: cannot be opened: %s", path, strerror(errno));
    } else {
        s->fd = STDIN_FILENO;
    }
    if (fstat(s->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return xr_fail(XR_ENOINPUT, "%s: is a directory; a file was expected", path);
    return XR_OK;
}

void xr_stream_chunk(size_t bytes)
{
    chunk_size = bytes ? bytes : CHUNK;
}

xr_stream *xr_stream_open(const char *path)
{
    xr_stream *s = xr_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->fd = -1;
    s->chunk = chunk_size;
    s->in_cap = s->chunk > IN_MIN ? s->chunk : IN_MIN;
    s->path = xr_strdup(strcmp(path, "-") ? path : "<stdin>");
    s->in = xr_alloc(s->in_cap, 1);
    if (!s->path || !s->in || xr_grow(&s->out, &s->out_cap, s->chunk + 1, 1) < 0 || open_file(s, path) < 0) {
        xr_stream_close(s);
        return NULL;
    }
    return s;
}

void xr_stream_close(xr_stream *s)
{
    if (!s)
        return;
    if (s->decoder)
        s->decoder->close(s->state);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    xr_free(s->kept);
    xr_free(s->path);
    xr_free(s->in);
    xr_free(s->out);
    xr_free(s);
}

/* Adds bytes of the file to the raw window (one read, so that a terminal is answered at once). */
static xr_status fill(xr_stream *s)
{
    size_t held = s->in_len - s->in_pos, room = s->in_cap - held;
    memmove(s->in, s->in + s->in_pos, held);
    s->in_pos = 0;
    s->in_len = held;
    ssize_t n;
    do
        n = read(s->fd, s->in + held, room < s->chunk ? room : s->chunk);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_at(s, XR_EIO, strerror(errno));
    s->raw_eof = n == 0;
    s->raw_read += (uint64_t)n;
    s->in_len += (size_t)n;
    return XR_OK;
}

static xr_status need_raw(xr_stream *s)
{
    return s->in_pos == s->in_len && !s->raw_eof ? fill(s) : XR_OK;
}

static xr_status begin_member(xr_stream *s)
{
    s->member++;
    s->member_at = offset_of(s);
    s->stage = MEMBER;
    if (s->decoder->begin(s->state) == XR_DECODE_NO_MEMORY)
        return fail_at(s, XR_ESYSTEM, "out of memory for decompression");
    return XR_OK;
}

/* What kind of file is it? The name says nothing. */
static xr_status sniff(xr_stream *s)
{
    int undecided = 1;
    const magic *m = NULL;
    const xr_decoder *d = NULL;
    while (undecided && !s->raw_eof) {
        undecided = 0;
        XR_TRY(fill(s));
        m = find_magic(raw_magics, N_RAW, s->in, s->in_len, &undecided);
        d = find_decoder(s->in, s->in_len, &undecided);
        undecided = undecided && !m && d == &xr_decode_plain;
    }
    if (s->raw_read == 0)
        xr_warn("%s: the file is empty (0 bytes)", s->path);
    if (m)
        return fail_at(s, XR_EDATA, m->what);
    s->state = d->open();
    if (!s->state)
        return fail_at(s, XR_ESYSTEM, "out of memory for decompression");
    s->decoder = d;
    return begin_member(s);
}

static xr_status fail_decoded(xr_stream *s, xr_decoded verdict, const char *why)
{
    if (verdict == XR_DECODE_NO_MEMORY)
        return fail_at(s, XR_ESYSTEM, "out of memory for decompression");
    char reason[200];
    snprintf(reason, sizeof reason, verdict == XR_DECODE_BAD ? " is damaged (%s)" : " is not read here: %s", why);
    fail_member(s, "", reason, verdict == XR_DECODE_BAD ? "copy or download the file again" : NULL);
    s->damaged = verdict == XR_DECODE_BAD;
    return s->failed;
}

/* The error just met is raised when what was decoded before it has been handed out. */
static xr_status keep_error(xr_stream *s)
{
    s->kept = xr_strdup(xr_error_message());
    s->kept_status = s->failed;
    s->failed = XR_OK;
    xr_error_clear();
    return XR_OK;
}

/* One call of the decoder. What it gives before it finds damage does not depend on how much it was given. */
static xr_status decode_some(xr_stream *s, char *to, size_t room, size_t *got)
{
    XR_TRY(need_raw(s));
    xr_decode d = { s->in + s->in_pos, s->in_len - s->in_pos, to, room < s->chunk ? room : s->chunk, s->raw_eof, NULL, NULL };
    xr_decoded verdict = s->decoder->run(s->state, &d);
    *got = (size_t)(d.out - to);
    s->in_pos = s->in_len - d.n_in;
    if (d.note && !s->noted++)
        xr_info("%s: %s", s->path, d.note);
    if (verdict == XR_DECODE_END)
        s->stage = BETWEEN;
    else if (verdict != XR_DECODE_MORE) {
        xr_status status = fail_decoded(s, verdict, d.why);
        return *got && s->damaged ? keep_error(s) : status;
    }
    else if (*got == 0 && d.n_in == 0 && s->raw_eof) {
        /* At the end of the file a decoder may still hold output; the member is cut when none comes. */
        s->cut = 1;
        return fail_member(s, "the file is cut off inside ", "", "copy or download it again");
    }
    return XR_OK;
}

/* Zero bytes behind a member; *n tells how many. */
static xr_status skip_padding(xr_stream *s, size_t *n)
{
    for (*n = 0;; ++*n, s->in_pos++) {
        XR_TRY(need_raw(s));
        if (s->in_pos == s->in_len || s->in[s->in_pos])
            return XR_OK;
    }
}

/* After a member: another one, zero padding, or the end. */
static xr_status next_member(xr_stream *s)
{
    size_t zeros;
    int begins;
    XR_TRY(skip_padding(s, &zeros));
    while ((begins = s->decoder->begins(s->in + s->in_pos, s->in_len - s->in_pos, 0)) < 0 && !s->raw_eof)
        XR_TRY(fill(s));
    size_t left = s->in_len - s->in_pos, unit = s->decoder->padding;
    if (left == 0 || !s->decoder->name) {
        s->stage = END;
        return XR_OK;
    }
    if (begins == 1 && (zeros == 0 || (unit > 1 && zeros % unit == 0)))
        return begin_member(s);
    s->member++;
    s->stage = MEMBER;
    s->member_at = offset_of(s);
    if (begins == 1 || begins == 0)
        return fail_member(s, "garbage where ", " could begin (a damaged member, or not part of the file)",
                           "copy or download it again");
    s->in_pos = s->in_len;
    s->cut = 1;
    return fail_member(s, "the file is cut off inside ", "", "copy or download it again");
}

static xr_status check_ratio(xr_stream *s)
{
    if (s->produced > RATIO_FREE && s->produced / RATIO_CAP > offset_of(s))
        return fail_at(s, XR_EDATA, "the data grow more than 1000 times when decompressed, as in an archive bomb; "
                       "decompress the file by hand if it is right");
    return XR_OK;
}

static xr_status raise_kept(xr_stream *s)
{
    s->failed = xr_fail(s->kept_status, "%s", s->kept ? s->kept : "out of memory");
    s->kept_status = XR_OK;
    xr_free(s->kept);
    s->kept = NULL;
    return s->failed;
}

/* Decompressed bytes into `to`: *got > 0, or 0 at the end of the file, or of the member when reading by member. */
static xr_status produce(xr_stream *s, char *to, size_t room, size_t *got)
{
    *got = 0;
    if (s->kept_status < 0)
        return raise_kept(s);
    while (*got == 0 && s->stage != END && !(s->by_member && s->stage == BETWEEN)) {
        if (s->stage == SNIFF)
            XR_TRY(sniff(s));
        else if (s->stage == MEMBER)
            XR_TRY(decode_some(s, to, room, got));
        else
            XR_TRY(next_member(s));
    }
    s->produced += *got;
    return s->decoder && s->decoder->name ? check_ratio(s) : XR_OK;
}

/* More text behind what is in the buffer; *got = 0 at the end. One byte stays free for a line's NUL. */
static xr_status refill(xr_stream *s, size_t *got)
{
    if (s->out_pos > 0 && (s->out_pos == s->out_len || s->out_len + 1 >= s->out_cap)) {
        memmove(s->out, s->out + s->out_pos, s->out_len - s->out_pos);
        s->out_len -= s->out_pos;
        s->out_pos = 0;
    }
    if (s->out_len + 1 >= s->out_cap && (s->failed = xr_grow(&s->out, &s->out_cap, s->out_len + 2, 1)) < 0)
        return s->failed;
    XR_TRY(produce(s, s->out + s->out_len, s->out_cap - s->out_len - 1, got));
    s->out_len += *got;
    return XR_OK;
}

/* A compressed file inside a compressed file. */
static xr_status check_inner(xr_stream *s, int *undecided)
{
    const xr_decoder *inner = s->decoder && s->decoder->name ? find_decoder(s->out, s->out_len, undecided) : NULL;
    if (!inner || !inner->name)
        return XR_OK;
    s->failed = xr_fail(XR_EDATA, "%s: the file is %s inside %s; decompress it once (%s)", s->path, inner->name, s->decoder->name,
                        s->decoder->undo);
    return s->failed;
}

/* Looks at the text's first bytes: drops a UTF-8 byte order mark, refuses what is no UTF-8 text. */
static xr_status begin_text(xr_stream *s)
{
    int undecided = 1;
    size_t got = 1;
    const magic *m = NULL;
    while (undecided && got && !m) {
        undecided = 0;
        XR_TRY(refill(s, &got));
        m = find_magic(text_magics, N_TEXT, s->out, s->out_len, &undecided);
        XR_TRY(check_inner(s, &undecided));
    }
    s->begun = 1;
    if (m && m->what) {
        s->failed = xr_fail(XR_EDATA, "%s: the file is %s", s->path, m->what);
        return s->failed;
    }
    if (m)
        s->out_pos = m->n;
    return XR_OK;
}

static xr_status ready(xr_stream *s)
{
    if (s->failed < 0)
        return xr_fail(s->failed, "%s: reading was given up after an earlier error", s->path);
    return s->begun ? XR_OK : begin_text(s);
}

/* Hands out [out_pos, out_pos + n) as a line; skip counts the bytes of its end. */
static int take_line(xr_stream *s, size_t n, size_t skip, char **line, size_t *len)
{
    char *start = s->out + s->out_pos;
    s->out_pos += n + skip;
    s->ended = skip > 0;
    s->line++;
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
            return fail_at(s, XR_EDATA, "a line of more than 16 MiB; lines end in LF or CRLF; is this a text file?");
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
            got = keep_error(s) > 0;
    *text = s->out + s->out_pos;
    return (long)(s->out_len - s->out_pos);
}

void xr_stream_skip(xr_stream *s, size_t n)
{
    XR_ASSERT(n <= s->out_len - s->out_pos, "%zu bytes skipped, %zu held", n, s->out_len - s->out_pos);
    const char *at = s->out + s->out_pos, *end = at + n;
    s->out_pos += n;
    for (; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        s->line++;
}

void xr_stream_by_member(xr_stream *s, int on)
{
    s->by_member = on;
}

size_t xr_stream_member(const xr_stream *s)
{
    return s->decoder && s->decoder->name ? s->member : 0;
}

int xr_stream_cut(const xr_stream *s)
{
    return s->cut;
}

int xr_stream_damaged(const xr_stream *s)
{
    return s->damaged;
}

/* Puts the raw window to the byte behind the beginning of a damaged member: its end is not known. A pipe goes on where it is. */
static void rewind_member(xr_stream *s)
{
    uint64_t from = s->member_at + 1, held = s->raw_read - s->in_len;
    if (from >= held) {
        s->in_pos = (size_t)(from - held);
        return;
    }
    if (lseek(s->fd, (off_t)from, SEEK_SET) < 0)
        return;
    s->raw_read = from;
    s->raw_eof = 0;
    s->in_pos = s->in_len = 0;
}

/* Searches the raw bytes for the next beginning of a member; without one the stream is at its end. */
static xr_status find_member(xr_stream *s)
{
    rewind_member(s);
    for (int begins;; s->in_pos += begins == 0) {
        begins = s->in_pos < s->in_len ? s->decoder->begins(s->in + s->in_pos, s->in_len - s->in_pos, 1) : -1;
        if (begins == 1)
            return begin_member(s);
        if (begins < 0 && s->raw_eof) {
            s->stage = END;
            return XR_OK;
        }
        if (begins < 0)
            XR_TRY(fill(s));
    }
}

/* Reads on to the end of the member, for its checksum. */
static xr_status finish_member(xr_stream *s)
{
    for (size_t got = 1; got;) {
        s->out_pos = s->out_len = 0;
        XR_TRY(refill(s, &got));
    }
    return XR_OK;
}

int xr_stream_next_member(xr_stream *s)
{
    if (s->failed < 0 && !s->damaged)
        return ready(s);
    XR_ASSERT(s->by_member && s->decoder, "member %zu", s->member);
    if (s->failed < 0) {
        s->failed = XR_OK;
        s->damaged = 0;
        s->out_pos = s->out_len = 0;
        XR_TRY(find_member(s));
        s->cut = s->cut && s->stage == END;
    } else {
        XR_TRY(finish_member(s));
        if (s->stage == BETWEEN)
            XR_TRY(next_member(s));
    }
    return s->stage == MEMBER;
}

size_t xr_stream_line_number(const xr_stream *s)
{
    return s->line;
}

int xr_stream_line_ended(const xr_stream *s)
{
    return s->ended;
}

const char *xr_stream_path(const xr_stream *s)
{
    return s->path;
}
