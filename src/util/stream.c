/* Lines and bytes from plain or gzip files. The inflate loop is our own: gzread reports success on lost members. */
#include "util/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "util/alloc.h"
#include "util/log.h"

enum { IN_CAP = 1 << 16, OUT_MIN = 1 << 16 };

#define RATIO_FREE ((uint64_t)64 << 20)     /* below this much output no ratio is suspicious */
#define RATIO_CAP 1000

typedef enum stage { SNIFF, PLAIN, MEMBER, BETWEEN, PADDING, END } stage;

struct xr_stream {
    char *path;
    int fd;                     /* -1 after close; 0 for standard input */
    stage stage;
    xr_status failed;           /* status of an earlier error; every later call repeats it */
    int raw_eof;
    uint64_t raw_read;          /* bytes read from the file */
    uint64_t produced;          /* bytes after decompression */
    size_t member;              /* gzip members begun */
    z_stream z;                 /* next_in / avail_in are the raw window in every stage */
    int z_ready;
    unsigned char *in;          // [IN_CAP]
    char *out;                  // [out_cap] decompressed, not yet handed out: [out_pos, out_len)
    size_t out_cap, out_pos, out_len;
    int begun;                  /* the text's first bytes have been looked at */
    size_t line;
    int ended;
};

/* First bytes that name a format we must not take for text. */
typedef struct magic { const char *bytes; size_t n; const char *what; } magic;

static const magic raw_magics[] = {
    { "\x1f\x8b", 2, NULL },    /* gzip: read */
    { "\xfd" "7zXZ\0", 6, "xz-compressed, which is not read here; decompress it first (xz -d)" },
    { "\x28\xb5\x2f\xfd", 4, "zstd-compressed, which is not read here; decompress it first (zstd -d)" },
    { "BZh91AY&SY", 10, "bzip2-compressed, which is not read here; decompress it first (bunzip2)" },
    { "PK\x03\x04", 4, "a zip archive, not text; unpack it first (unzip)" },
};
static const magic text_magics[] = {
    { "\xef\xbb\xbf", 3, NULL },    /* UTF-8 byte order mark: dropped */
    { "\xff\xfe", 2, "UTF-16 (little-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
    { "\xfe\xff", 2, "UTF-16 (big-endian byte order mark), not UTF-8; convert it first (iconv -f UTF-16 -t UTF-8)" },
    { "\x1f\x8b", 2, "gzip inside gzip; decompress it once (gzip -d)" },
};
#define N_RAW (sizeof raw_magics / sizeof raw_magics[0])
#define N_TEXT (sizeof text_magics / sizeof text_magics[0])

/* The format that the bytes begin with; *undecided tells that more bytes could still make it one. */
static const magic *find_magic(const magic *table, size_t n_magics, const void *bytes, size_t n, int *undecided)
{
    *undecided = 0;
    for (size_t i = 0; i < n_magics; i++) {
        if (n >= table[i].n && !memcmp(bytes, table[i].bytes, table[i].n))
            return &table[i];
        if (n < table[i].n && !memcmp(bytes, table[i].bytes, n))
            *undecided = 1;
    }
    return NULL;
}

static unsigned long long offset_of(const xr_stream *s)
{
    return s->raw_read - s->z.avail_in;
}

/* Every error of a stream goes through here, so that the stream stays failed. */
static xr_status fail_at(xr_stream *s, xr_status status, const char *what)
{
    s->failed = xr_fail(status, "%s:%zu: byte %llu: %s", s->path, s->line + 1, offset_of(s), what);
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

xr_stream *xr_stream_open(const char *path)
{
    xr_stream *s = xr_alloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->fd = -1;
    s->path = xr_strdup(strcmp(path, "-") ? path : "<stdin>");
    s->in = xr_alloc(IN_CAP, 1);
    if (!s->path || !s->in || xr_grow(&s->out, &s->out_cap, OUT_MIN, 1) < 0 || open_file(s, path) < 0) {
        xr_stream_close(s);
        return NULL;
    }
    s->z.next_in = s->in;
    return s;
}

void xr_stream_close(xr_stream *s)
{
    if (!s)
        return;
    if (s->z_ready)
        inflateEnd(&s->z);
    if (s->fd > STDIN_FILENO)
        close(s->fd);
    xr_free(s->path);
    xr_free(s->in);
    xr_free(s->out);
    xr_free(s);
}

/* Adds bytes of the file to the raw window (one read, so that a terminal is answered at once). */
static xr_status fill(xr_stream *s)
{
    if (s->z.avail_in && s->z.next_in != s->in)
        memmove(s->in, s->z.next_in, s->z.avail_in);
    s->z.next_in = s->in;
    ssize_t n;
    do
        n = read(s->fd, s->in + s->z.avail_in, IN_CAP - s->z.avail_in);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail_at(s, XR_EIO, strerror(errno));
    s->raw_eof = n == 0;
    s->raw_read += (uint64_t)n;
    s->z.avail_in += (uInt)n;
    return XR_OK;
}

static void *zlib_alloc(void *opaque, uInt n, uInt size)
{
    (void)opaque;
    return xr_alloc(n, size);
}

static void zlib_free(void *opaque, void *p)
{
    (void)opaque;
    xr_free(p);
}

static xr_status begin_gzip(xr_stream *s)
{
    s->z.zalloc = zlib_alloc;
    s->z.zfree = zlib_free;
    /* 16 + 15: gzip header and trailer only, with zlib checking CRC and size. */
    if (inflateInit2(&s->z, 16 + 15) != Z_OK)
        return fail_at(s, XR_ESYSTEM, "out of memory for decompression");
    s->z_ready = 1;
    s->member = 1;
    s->stage = MEMBER;
    return XR_OK;
}

/* What kind of file is it? The name says nothing. */
static xr_status sniff(xr_stream *s)
{
    int undecided = 1;
    const magic *m = NULL;
    while (undecided && !s->raw_eof) {
        XR_TRY(fill(s));
        m = find_magic(raw_magics, N_RAW, s->z.next_in, s->z.avail_in, &undecided);
        if (m)
            break;
    }
    if (s->raw_read == 0)
        xr_warn("%s: the file is empty (0 bytes)", s->path);
    if (m && m->what)
        return fail_at(s, XR_EDATA, m->what);
    s->stage = PLAIN;
    return m ? begin_gzip(s) : XR_OK;
}

static xr_status copy_plain(xr_stream *s, char *to, size_t room, size_t *got)
{
    if (s->z.avail_in == 0 && !s->raw_eof)
        XR_TRY(fill(s));
    size_t n = s->z.avail_in < room ? s->z.avail_in : room;
    memcpy(to, s->z.next_in, n);
    s->z.next_in += n;
    s->z.avail_in -= (uInt)n;
    *got = n;
    if (n == 0)
        s->stage = END;
    return XR_OK;
}

/* One call of inflate. A member's CRC and length are checked by zlib when it ends. */
static xr_status inflate_some(xr_stream *s, char *to, size_t room, size_t *got)
{
    if (s->z.avail_in == 0 && !s->raw_eof)
        XR_TRY(fill(s));
    s->z.next_out = (Bytef *)to;
    s->z.avail_out = room < UINT32_MAX ? (uInt)room : UINT32_MAX;
    uInt before = s->z.avail_out;
    int rc = inflate(&s->z, Z_NO_FLUSH);
    *got = before - s->z.avail_out;
    if (rc == Z_STREAM_END) {
        s->stage = BETWEEN;
        return XR_OK;
    }
    if (rc == Z_MEM_ERROR)
        return fail_at(s, XR_ESYSTEM, "out of memory for decompression");
    if (rc != Z_OK && rc != Z_BUF_ERROR) {
        s->failed = xr_fail(XR_EDATA, "%s:%zu: byte %llu: gzip member %zu is damaged (%s); "
                            "copy or download the file again",
                            s->path, s->line + 1, offset_of(s), s->member, s->z.msg ? s->z.msg : "bad data");
        return s->failed;
    }
    /* At the end of the file zlib may still hold output; the member is cut when none comes. */
    if (*got == 0 && s->z.avail_in == 0 && s->raw_eof)
        return fail_at(s, XR_EDATA, "the file is cut off inside a gzip member; copy or download it again");
    return XR_OK;
}

/* After a member: another one, zero padding to the end, or the end. */
static xr_status next_member(xr_stream *s)
{
    if (s->z.avail_in == 0 && !s->raw_eof)
        XR_TRY(fill(s));
    if (s->z.avail_in == 0) {
        s->stage = END;
    } else if (s->z.next_in[0] == 0) {
        s->stage = PADDING;
        s->z.next_in++;
        s->z.avail_in--;
    } else if (s->stage == BETWEEN && s->z.next_in[0] == 0x1f) {
        inflateReset(&s->z);
        s->member++;
        s->stage = MEMBER;
    } else {
        return fail_at(s, XR_EDATA, "garbage after the last gzip member (a damaged member, or not part of the file); "
                       "copy or download it again");
    }
    return XR_OK;
}

static xr_status check_ratio(xr_stream *s)
{
    if (s->produced > RATIO_FREE && s->produced / RATIO_CAP > s->raw_read - s->z.avail_in)
        return fail_at(s, XR_EDATA, "the data grow more than 1000 times when decompressed, as in an archive bomb; "
                       "decompress the file by hand if it is right");
    return XR_OK;
}

/* Decompressed bytes into `to`: *got > 0, or 0 at the end. */
static xr_status produce(xr_stream *s, char *to, size_t room, size_t *got)
{
    *got = 0;
    while (*got == 0 && s->stage != END) {
        if (s->stage == SNIFF)
            XR_TRY(sniff(s));
        else if (s->stage == PLAIN)
            XR_TRY(copy_plain(s, to, room, got));
        else if (s->stage == MEMBER)
            XR_TRY(inflate_some(s, to, room, got));
        else
            XR_TRY(next_member(s));
    }
    s->produced += *got;
    return s->z_ready ? check_ratio(s) : XR_OK;
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

/* Looks at the text's first bytes: drops a UTF-8 byte order mark, refuses what is no UTF-8 text. */
static xr_status begin_text(xr_stream *s)
{
    int undecided = 1;
    size_t got = 1;
    const magic *m = NULL;
    while (undecided && got && !m) {
        XR_TRY(refill(s, &got));
        m = find_magic(text_magics, N_TEXT, s->out, s->out_len, &undecided);
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
