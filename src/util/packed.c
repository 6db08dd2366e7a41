/* Files before they were compressed. Formats are behind util/decode.h. */
#include "util/packed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

enum { SNIFF, MEMBER, BETWEEN, END };       /* stages */
enum { CHUNK = 1 << 16, PORTION = 1 << 14 };

#define RATIO_FREE ((uint64_t)64 << 20)     /* below this much output no ratio is suspicious */
#define RATIO_CAP 1000

static size_t chunk_size = CHUNK;

/* The first that begins here is it; plain takes all. */
static const xr_decoder *const decoders[] = { &xr_decode_gzip, &xr_decode_xz, &xr_decode_zstd, &xr_decode_plain };
#define N_DECODERS (sizeof decoders / sizeof decoders[0])

/* Known and not read. */
static const xr_magic raw_magics[] = {
    { "BZh91AY&SY", 10, "bzip2-compressed, which is not read here; decompress it first (bunzip2)" },
    { "PK\x03\x04", 4, "a zip archive, not text; unpack it first (unzip)" },
};
#define N_RAW (sizeof raw_magics / sizeof raw_magics[0])

const xr_magic *xr_magic_find(const xr_magic *table, size_t n_magics, const void *bytes, size_t n, int *undecided)
{
    for (size_t i = 0; i < n_magics; i++) {
        int begins = xr_decode_magic(bytes, n, table[i].bytes, table[i].n);
        if (begins == 1)
            return &table[i];
        *undecided |= begins < 0;
    }
    return NULL;
}

const xr_decoder *xr_packed_format(const void *bytes, size_t n, int *undecided)
{
    for (size_t i = 0; i < N_DECODERS; i++) {
        int begins = decoders[i]->begins(bytes, n, 0);
        if (begins == 1)
            return decoders[i];
        *undecided |= begins < 0;
    }
    return NULL;
}

int xr_packed_is_plain(const xr_packed *p)
{
    return p->decoder == &xr_decode_plain;
}

static unsigned long long offset_of(const xr_packed *p)
{
    return p->raw_read - (p->in_len - p->in_pos);
}

/* Every error that ends a file goes through here. */
xr_status xr_packed_fail(xr_packed *p, xr_status status, const char *what)
{
    p->failed = xr_fail(status, "%s:%zu: byte %llu: %s", p->path, p->line + 1, offset_of(p), what);
    return p->failed;
}

/* A member that cannot be decoded; another may follow it. */
static xr_status fail_member(xr_packed *p, const char *what, const char *why, const char *remedy)
{
    p->damaged = 1;
    p->failed = xr_fail(XR_EDATA, "%s:%zu: byte %llu: %s%s %s %zu%s%s%s", p->path, p->line + 1, offset_of(p), what, p->decoder->name,
                        p->decoder->unit, p->member, why, remedy ? "; " : "", remedy ? remedy : "");
    return p->failed;
}

static xr_status open_file(xr_packed *p, const char *path)
{
    struct stat st;
    if (strcmp(path, "-")) {
        p->fd = xr_file_open(path, O_RDONLY);
        if (p->fd < 0)
            return xr_fail_open(path);
    } else {
        p->fd = STDIN_FILENO;
    }
    if (fstat(p->fd, &st) == 0 && S_ISDIR(st.st_mode))
        return xr_fail(XR_ENOINPUT, "%s: is a directory; a file was expected; name one", path);
    return XR_OK;
}

void xr_packed_chunk(size_t bytes)
{
    chunk_size = bytes ? bytes : CHUNK;
}

xr_packed *xr_packed_open(const char *path)
{
    xr_packed *p = xr_alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->fd = -1;
    p->chunk = chunk_size;
    p->in_cap = p->chunk > PORTION ? p->chunk : PORTION;
    p->path = xr_strdup(strcmp(path, "-") ? path : "<stdin>");
    p->in = xr_alloc(p->in_cap, 1);
    if (!p->path || !p->in || open_file(p, path) < 0) {
        xr_packed_close(p);
        return NULL;
    }
    return p;
}

void xr_packed_close(xr_packed *p)
{
    if (!p)
        return;
    if (p->decoder)
        p->decoder->close(p->state);
    if (p->fd > STDIN_FILENO)
        close(p->fd);
    xr_free(p->kept);
    xr_free(p->path);
    xr_free(p->in);
    xr_free(p->decoded);
    xr_free(p);
}

/* Adds bytes of the file to the raw window (one read, so that a terminal is answered at once). */
static xr_status fill(xr_packed *p)
{
    size_t held = p->in_len - p->in_pos, room = p->in_cap - held;
    memmove(p->in, p->in + p->in_pos, held);
    p->in_pos = 0;
    p->in_len = held;
    ssize_t n;
    do
        n = read(p->fd, p->in + held, room < p->chunk ? room : p->chunk);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return xr_packed_fail(p, XR_EIO, strerror(errno));
    p->raw_eof = n == 0;
    p->raw_read += (uint64_t)n;
    p->in_len += (size_t)n;
    return XR_OK;
}

static xr_status need_raw(xr_packed *p)
{
    return p->in_pos == p->in_len && !p->raw_eof ? fill(p) : XR_OK;
}

static xr_status begin_member(xr_packed *p)
{
    p->member++;
    p->member_at = offset_of(p);
    p->stage = MEMBER;
    if (p->decoder->begin(p->state) == XR_DECODE_NO_MEMORY)
        return xr_packed_fail(p, XR_ESYSTEM, "out of memory for decompression");
    return XR_OK;
}

/* What kind of file is it? The name says nothing. */
static xr_status sniff(xr_packed *p)
{
    int undecided = 1;
    const xr_magic *m = NULL;
    const xr_decoder *d = NULL;
    while (undecided && !p->raw_eof) {
        undecided = 0;
        XR_TRY(fill(p));
        m = xr_magic_find(raw_magics, N_RAW, p->in, p->in_len, &undecided);
        d = xr_packed_format(p->in, p->in_len, &undecided);
        undecided = undecided && !m && d == &xr_decode_plain;
    }
    if (p->raw_read == 0)
        xr_warn("%s: the file is empty (0 bytes)", p->path);
    if (m)
        return xr_packed_fail(p, XR_EDATA, m->what);
    p->state = d->open();
    p->decoded = p->state ? xr_alloc(CHUNK, 1) : NULL;
    if (!p->decoded && p->state)
        d->close(p->state);
    if (!p->decoded)
        return xr_packed_fail(p, XR_ESYSTEM, "out of memory for decompression");
    p->decoder = d;
    return begin_member(p);
}

static xr_status fail_decoded(xr_packed *p, xr_decoded verdict, const char *why)
{
    if (verdict == XR_DECODE_NO_MEMORY)
        return xr_packed_fail(p, XR_ESYSTEM, "out of memory for decompression");
    char reason[200];
    snprintf(reason, sizeof reason, verdict == XR_DECODE_BAD ? " is damaged (%s)" : " is not read here: %s", why);
    fail_member(p, "", reason, verdict == XR_DECODE_BAD ? "copy or download the file again" : NULL);
    p->damaged = verdict == XR_DECODE_BAD;
    return p->failed;
}

/* The error just met is raised when what was decoded before it has been handed out. */
xr_status xr_packed_keep_error(xr_packed *p)
{
    p->kept = xr_strdup(xr_error_message());
    p->kept_status = p->failed;
    p->failed = XR_OK;
    xr_error_clear();
    return XR_OK;
}

/* Raw bytes up to the end of a portion, or of the file. */
static xr_status need_portion(xr_packed *p, size_t *n)
{
    *n = PORTION - (size_t)((offset_of(p) - p->member_at) % PORTION);
    while (p->in_len - p->in_pos < *n && !p->raw_eof)
        XR_TRY(fill(p));
    if (*n > p->in_len - p->in_pos)
        *n = p->in_len - p->in_pos;
    return XR_OK;
}

/* One call of the decoder, into the empty buffer. */
static xr_status decode_some(xr_packed *p)
{
    size_t n;
    XR_TRY(need_portion(p, &n));
    xr_decode d = { p->in + p->in_pos, n, p->decoded, CHUNK, NULL, NULL };
    xr_decoded verdict = p->decoder->run(p->state, &d);
    p->in_pos += n - d.n_in;
    p->decoded_pos = 0;
    p->decoded_len = CHUNK - d.n_out;
    if (d.note && !p->noted++)
        xr_info("%s: %s", p->path, d.note);
    if (verdict == XR_DECODE_END)
        p->stage = BETWEEN;
    else if (verdict != XR_DECODE_MORE) {
        xr_status status = fail_decoded(p, verdict, d.why);
        return p->decoded_len && p->damaged ? xr_packed_keep_error(p) : status;
    } else if (p->decoded_len == 0 && n == 0) {
        /* At the end of the file a decoder may still hold output; the member is cut when none comes. */
        p->cut = 1;
        return fail_member(p, "the file is cut off inside ", "", "copy or download it again");
    }
    return XR_OK;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t hand_out(xr_packed *p, char *to, size_t room)
{
    size_t n = least(least(p->decoded_len - p->decoded_pos, room), p->chunk);
    if (n == 0)
        return 0;
    memcpy(to, p->decoded + p->decoded_pos, n);
    p->decoded_pos += n;
    return n;
}

static xr_status copy_plain(xr_packed *p, char *to, size_t room, size_t *got)
{
    XR_TRY(need_raw(p));
    *got = least(p->in_len - p->in_pos, room);
    memcpy(to, p->in + p->in_pos, *got);
    p->in_pos += *got;
    if (*got == 0)
        p->stage = BETWEEN;
    return XR_OK;
}

/* Zero bytes behind a member; *n tells how many. */
static xr_status skip_padding(xr_packed *p, size_t *n)
{
    for (*n = 0;; ++*n, p->in_pos++) {
        XR_TRY(need_raw(p));
        if (p->in_pos == p->in_len || p->in[p->in_pos])
            return XR_OK;
    }
}

/* After a member: another one, zero padding, or the end. */
static xr_status next_member(xr_packed *p)
{
    size_t zeros;
    int begins;
    XR_TRY(skip_padding(p, &zeros));
    while ((begins = p->decoder->begins(p->in + p->in_pos, p->in_len - p->in_pos, 0)) < 0 && !p->raw_eof)
        XR_TRY(fill(p));
    size_t left = p->in_len - p->in_pos, unit = p->decoder->padding;
    if (left == 0 || xr_packed_is_plain(p)) {
        p->stage = END;
        return XR_OK;
    }
    if (begins == 1 && (zeros == 0 || (unit > 1 && zeros % unit == 0)))
        return begin_member(p);
    p->member++;
    p->stage = MEMBER;
    p->member_at = offset_of(p);
    if (begins == 1 || begins == 0)
        return fail_member(p, "garbage where ", " could begin (a damaged member, or not part of the file)",
                           "copy or download it again");
    p->in_pos = p->in_len;
    p->cut = 1;
    return fail_member(p, "the file is cut off inside ", "", "copy or download it again");
}

static xr_status check_ratio(xr_packed *p)
{
    if (p->produced > RATIO_FREE && p->produced / RATIO_CAP > offset_of(p))
        return xr_packed_fail(p, XR_EDATA, "the data grow more than 1000 times when decompressed, as in an archive bomb; "
                       "decompress the file by hand if it is right");
    return XR_OK;
}

static xr_status raise_kept(xr_packed *p)
{
    p->failed = xr_fail(p->kept_status, "%s", p->kept ? p->kept : "out of memory");
    p->kept_status = XR_OK;
    xr_free(p->kept);
    p->kept = NULL;
    return p->failed;
}

xr_status xr_packed_read(xr_packed *p, char *to, size_t room, size_t *got)
{
    *got = hand_out(p, to, room);
    if (*got == 0 && p->kept_status < 0)
        return raise_kept(p);
    while (*got == 0 && p->stage != END && !(p->by_member && p->stage == BETWEEN)) {
        if (p->stage == SNIFF)
            XR_TRY(sniff(p));
        else if (p->stage == BETWEEN)
            XR_TRY(next_member(p));
        else if (xr_packed_is_plain(p))
            XR_TRY(copy_plain(p, to, room, got));
        else
            XR_TRY(decode_some(p));
        *got += hand_out(p, to + *got, room - *got);
    }
    p->produced += *got;
    return p->decoder && !xr_packed_is_plain(p) ? check_ratio(p) : XR_OK;
}

/* Puts the raw window to the byte behind the beginning of a damaged member: its end is not known. A pipe goes on where it is. */
static void rewind_member(xr_packed *p)
{
    uint64_t from = p->member_at + 1, held = p->raw_read - p->in_len;
    if (from >= held) {
        p->in_pos = (size_t)(from - held);
        return;
    }
    if (lseek(p->fd, (off_t)from, SEEK_SET) < 0)
        return;
    p->raw_read = from;
    p->raw_eof = 0;
    p->in_pos = p->in_len = 0;
}

/* Searches the raw bytes for the next beginning of a member; without one the stream is at its end. */
static xr_status find_member(xr_packed *p)
{
    rewind_member(p);
    for (int begins;; p->in_pos += begins == 0) {
        begins = p->in_pos < p->in_len ? p->decoder->begins(p->in + p->in_pos, p->in_len - p->in_pos, 1) : -1;
        if (begins == 1)
            return begin_member(p);
        if (begins < 0 && p->raw_eof) {
            p->stage = END;
            return XR_OK;
        }
        if (begins < 0)
            XR_TRY(fill(p));
    }
}

void xr_packed_pass_lines(xr_packed *p, const char *text, size_t n)
{
    for (const char *at = text, *end = text + n; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        p->line++;
}

/* What was decoded and nobody will read; its lines count. */
static void drop_decoded(xr_packed *p)
{
    xr_packed_pass_lines(p, p->decoded + p->decoded_pos, p->decoded_len - p->decoded_pos);
    p->decoded_pos = p->decoded_len;
}

/* Decodes what is left of the member, for its checksum. */
static xr_status finish_member(xr_packed *p)
{
    drop_decoded(p);
    while (p->stage == MEMBER && p->kept_status == XR_OK) {
        if (xr_packed_is_plain(p)) {
            p->in_pos = p->in_len;
            XR_TRY(need_raw(p));
            p->stage = p->in_len ? MEMBER : BETWEEN;
            continue;
        }
        XR_TRY(decode_some(p));
        p->produced += p->decoded_len;
        drop_decoded(p);
        XR_TRY(check_ratio(p));
    }
    return p->kept_status < 0 ? raise_kept(p) : XR_OK;
}

int xr_packed_next_member(xr_packed *p)
{
    if (p->failed < 0) {
        p->failed = XR_OK;
        p->damaged = 0;
        p->decoded_pos = p->decoded_len = 0;
        XR_TRY(find_member(p));
        p->cut = p->cut && p->stage == END;
    } else {
        XR_TRY(finish_member(p));
        if (p->stage == BETWEEN)
            XR_TRY(next_member(p));
    }
    return p->stage == MEMBER;
}
