/* Bounded scan of a sentencepiece ModelProto: field 1 = pieces, 2 = trainer settings, 3 and 5 = normaliser and
 * denormaliser. */
#include "data/spm_check.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "data/spm_wire.h"
#include "util/alloc.h"
#include "util/utf8.h"

enum { PIECE_UNKNOWN = 2, PIECE_CONTROL = 3, PIECE_BYTE = 6 };
enum { MODEL_UNIGRAM = 1 };

/* A probe sequence this long does not happen with honest pieces at half load: the file was made to be slow. */
enum { PROBE_CAP = 4096 };

typedef xr_wire span;
typedef xr_wire_field field;
typedef struct slot { uint32_t at; uint16_t len, tag; } slot;       /* of a piece's text: byte of the file (0: none), size, bits of its hash */

typedef struct check {
    const char *path;
    const uint8_t *base;
    slot *slot;                     // [mask+1] open addressing, at most half full
    size_t mask;
    size_t n;                       /* pieces so far */
    size_t n_unknown, n_text;       /* of them; n_text: those that text can be cut into */
    uint64_t type[3];               /* of the first three pieces */
    uint64_t model_type, byte_fallback;
} check;

static xr_status damaged(const check *c, const uint8_t *at, const char *what)
{
    return xr_fail(XR_EDATA, "%s: byte %zu: %s; the file is cut, damaged or not a sentencepiece model: copy it again "
                   "and compare its SHA-256",
                   c->path, (size_t)(at - c->base), what);
}

static xr_status next_field(const check *c, span *s, field *f)
{
    const char *wrong = xr_wire_next(s, f);
    return wrong ? damaged(c, s->p, wrong) : XR_OK;
}

static xr_status expect_wire(const check *c, span s, const field *f, uint64_t wire)
{
    return f->wire == wire ? XR_OK : damaged(c, s.p, "protobuf field of the wrong type");
}

/* ---- pieces ---- */

static uint64_t fnv1a(span s)
{
    uint64_t h = 0xCBF29CE484222325u;
    while (s.p < s.end)
        h = (h ^ *s.p++) * 0x100000001B3u;
    return h ^ h >> 32;
}

/* Bytes the wrong way round or a whole page must not reach a terminal: the first bytes, others than ASCII as '?'. */
static const char *printable(span s, char out[33])
{
    size_t n = 0;
    for (; n < 32 && s.p + n < s.end; n++)
        out[n] = isprint(s.p[n]) ? (char)s.p[n] : '?';
    out[n] = '\0';
    return out;
}

static xr_status remember_piece(check *c, span text)
{
    size_t len = (size_t)(text.end - text.p);
    uint64_t hash = fnv1a(text);
    size_t at = (size_t)hash & c->mask;
    slot mine = {(uint32_t)(text.p - c->base), (uint16_t)len, (uint16_t)(hash >> 48)};
    for (size_t probe = 0; c->slot[at].at; probe++, at = (at + 1) & c->mask) {
        char shown[33];
        const slot *other = &c->slot[at];
        if (other->tag == mine.tag && other->len == mine.len && memcmp(c->base + other->at, text.p, len) == 0)
            return xr_fail(XR_EDATA, "%s: piece %zu (\"%s\") occurs twice; pieces must differ: the file is damaged or "
                           "was edited",
                           c->path, c->n, printable(text, shown));
        if (probe == PROBE_CAP)
            return xr_fail(XR_EDATA, "%s: piece %zu: thousands of pieces collide in one hash; the file was made to be "
                           "slow",
                           c->path, c->n);
    }
    c->slot[at] = mine;
    return XR_OK;
}

static xr_status check_piece_text(check *c, span text)
{
    size_t len = (size_t)(text.end - text.p), good = xr_utf8_check((const char *)text.p, len);
    if (len == 0)
        return xr_fail(XR_EDATA, "%s: piece %zu is empty; expected text", c->path, c->n);
    if (len > XR_SPM_PIECE_CAP)
        return xr_fail(XR_EDATA, "%s: piece %zu has %zu bytes; at most %zu are allowed: not a model to trust",
                       c->path, c->n, len, XR_SPM_PIECE_CAP);
    if (memchr(text.p, 0, len))
        return xr_fail(XR_EDATA, "%s: piece %zu contains a NUL byte; expected text", c->path, c->n);
    if (good < len)
        return xr_fail(XR_EDATA, "%s: piece %zu is not UTF-8 at its byte %zu; the file is damaged", c->path, c->n,
                       good);
    return remember_piece(c, text);
}

static xr_status check_piece(check *c, span s)
{
    span text = {s.p, s.p};
    uint64_t type = 1, bits = 0;
    float score;
    while (s.p < s.end) {
        field f;
        span here = s;
        XR_TRY(next_field(c, &s, &f));
        if (f.number == 1) { XR_TRY(expect_wire(c, here, &f, XR_WIRE_BYTES)); text = f.bytes; }
        if (f.number == 2) { XR_TRY(expect_wire(c, here, &f, XR_WIRE_32)); bits = f.value; }
        if (f.number == 3) { XR_TRY(expect_wire(c, here, &f, XR_WIRE_VARINT)); type = f.value; }
    }
    XR_TRY(check_piece_text(c, text));
    memcpy(&score, &(uint32_t){(uint32_t)bits}, sizeof score);
    if (!isfinite(score))
        return xr_fail(XR_EDATA, "%s: piece %zu has a score that is not a finite number; the file is damaged", c->path,
                       c->n);
    if (type == PIECE_BYTE)
        return xr_fail(XR_EDATA, "%s: piece %zu is of type BYTE, which XLM-R's ids have no place for; train without byte_fallback", c->path, c->n);
    if (type < 1 || type > PIECE_BYTE)
        return xr_fail(XR_EDATA, "%s: piece %zu has type %llu; types are 1 to %d", c->path, c->n,
                       (unsigned long long)type,
                       PIECE_BYTE);
    c->n_unknown += type == PIECE_UNKNOWN;
    c->n_text += type != PIECE_UNKNOWN && type != PIECE_CONTROL;
    if (c->n < 3)
        c->type[c->n] = type;
    c->n++;
    return XR_OK;
}

/* ---- settings ---- */

static xr_status check_trainer(check *c, span s)
{
    while (s.p < s.end) {
        field f;
        span here = s;
        XR_TRY(next_field(c, &s, &f));
        if (f.number == 3) { XR_TRY(expect_wire(c, here, &f, XR_WIRE_VARINT)); c->model_type = f.value; }
        if (f.number == 35) { XR_TRY(expect_wire(c, here, &f, XR_WIRE_VARINT)); c->byte_fallback = f.value; }
    }
    return XR_OK;
}

static uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Units of the double array (darts-clone): a set top bit marks a value, otherwise bits 10-30 are the offset to the
 * block of the children (times 256 if bit 9 is set) and bit 8 says that the block starts with a value. The library
 * follows offsets without looking; here every block that any unit names must lie inside, whether or not it can be
 * reached. */
static xr_status check_trie(const check *c, span trie, size_t n_text)
{
    size_t n = (size_t)(trie.end - trie.p) / 4;
    for (size_t i = 0; i < n; i++) {
        uint32_t unit = load32(trie.p + 4 * i);
        if (unit >> 31) {
            if (i == 0)
                return damaged(c, trie.p, "character map begins with a value");
            continue;
        }
        size_t block = i ^ (size_t)((unit >> 10) << ((unit & 0x200) >> 6));
        if ((block | 0xFF) >= n)
            return damaged(c, trie.p + 4 * i, "character map points out of its table");
        if ((unit & 0x100) && (load32(trie.p + 4 * block) & 0x7FFFFFFF) >= n_text)
            return damaged(c, trie.p + 4 * i, "character map points behind its texts");
    }
    return XR_OK;
}

/* Layout: length of the trie (4 bytes, little endian), the trie, then replacement texts that each end in NUL. */
static xr_status check_charsmap(const check *c, span s)
{
    size_t len = (size_t)(s.end - s.p);
    if (len == 0)
        return XR_OK;
    if (len <= 4)
        return damaged(c, s.p, "character map is too short");
    uint32_t size = load32(s.p);
    if (size % 4 || size < 1024 || size >= len - 4)
        return damaged(c, s.p, "character map's table does not fit into it");
    if (s.end[-1] != 0)
        return damaged(c, s.end - 1, "character map does not end in NUL");
    return check_trie(c, (span){s.p + 4, s.p + 4 + size}, len - 4 - size);
}

static xr_status check_normalizer(const check *c, span s)
{
    while (s.p < s.end) {
        field f;
        span here = s;
        XR_TRY(next_field(c, &s, &f));
        if (f.number != 2)
            continue;
        XR_TRY(expect_wire(c, here, &f, XR_WIRE_BYTES));
        XR_TRY(check_charsmap(c, f.bytes));
    }
    return XR_OK;
}

/* ---- the whole ---- */

static int starts(span s, const char *with)
{
    for (; *with; with++, s.p++)
        if (s.p == s.end || tolower(*s.p) != tolower((unsigned char)*with))
            return 0;
    return 1;
}

/* What people really have in the place of a model. */
static xr_status check_kind(const char *path, span s)
{
    size_t len = (size_t)(s.end - s.p);
    char shown[33];
    if (len == 0)
        return xr_fail(XR_EDATA, "%s: the file is empty; expected a sentencepiece model: copy it again", path);
    if (len > XR_SPM_FILE_CAP)
        return xr_fail(XR_EDATA, "%s: %zu bytes; a sentencepiece model of more than %zu is not accepted", path, len,
                       XR_SPM_FILE_CAP);
    if (starts(s, "version https://git-lfs"))
        return xr_fail(XR_EDATA, "%s: a Git LFS pointer, not the file itself; run `git lfs pull` where it was cloned",
                       path);
    if (starts(s, "<!doctype") || starts(s, "<html") || starts(s, "<?xml"))
        return xr_fail(XR_EDATA, "%s: an HTML or XML page; expected a sentencepiece model: the download brought an "
                       "error page", path);
    if (starts(s, "\x1f\x8b") || starts(s, "PK\x03\x04"))
        return xr_fail(XR_EDATA, "%s: a compressed file; expected a sentencepiece model: unpack it first", path);
    if (starts(s, "{"))
        return xr_fail(XR_EDATA, "%s: looks like JSON; expected a sentencepiece model (sentencepiece.bpe.model, not "
                       "tokenizer.json)", path);
    if (s.p[0] != 0x0A && s.p[0] != 0x12 && s.p[0] != 0x1A)
        return xr_fail(XR_EDATA, "%s: starts with \"%s\"; expected a sentencepiece model", path, printable(s, shown));
    return XR_OK;
}

static xr_status count_pieces(const check *c, span s, size_t *n)
{
    for (*n = 0; s.p < s.end;) {
        field f;
        span here = s;
        XR_TRY(next_field(c, &s, &f));
        if (f.number <= 5)
            XR_TRY(expect_wire(c, here, &f, XR_WIRE_BYTES));
        *n += f.number == 1;
    }
    if (*n < 4)
        return xr_fail(XR_EDATA, "%s: %zu pieces; expected <unk>, <s>, </s> and at least one more: not a "
                       "sentencepiece model",
                       c->path, *n);
    if (*n > XR_SPM_PIECES_CAP)
        return xr_fail(XR_EDATA, "%s: %zu pieces; at most %zu are accepted", c->path, *n, XR_SPM_PIECES_CAP);
    return XR_OK;
}

static xr_status check_fields(check *c, span s)
{
    while (s.p < s.end) {
        field f;
        XR_TRY(next_field(c, &s, &f));
        if (f.number == 1)
            XR_TRY(check_piece(c, f.bytes));
        else if (f.number == 2)
            XR_TRY(check_trainer(c, f.bytes));
        else if (f.number == 3 || f.number == 5)
            XR_TRY(check_normalizer(c, f.bytes));
    }
    return XR_OK;
}

static xr_status check_settings(const check *c)
{
    static const char *const name[] = {"", "UNIGRAM", "BPE", "WORD", "CHAR"};
    if (c->model_type != MODEL_UNIGRAM)
        return xr_fail(XR_EDATA, "%s: model type %s; expected UNIGRAM, which XLM-R uses: this is another model's "
                       "tokenizer", c->path,
                       c->model_type < 5 ? name[c->model_type] : "unknown");
    if (c->byte_fallback)
        return xr_fail(XR_EDATA, "%s: trained with byte_fallback, which XLM-R's ids have no place for; train without "
                       "it", c->path);
    if (c->n_unknown != 1)
        return xr_fail(XR_EDATA, "%s: %zu pieces of type UNKNOWN; expected exactly one", c->path, c->n_unknown);
    if (c->n_text == 0)
        return xr_fail(XR_EDATA, "%s: none of its %zu pieces is one for text; the file is damaged or was edited", c->path, c->n);
    if (c->type[0] != PIECE_UNKNOWN || c->type[1] != PIECE_CONTROL || c->type[2] != PIECE_CONTROL)
        return xr_fail(XR_EDATA, "%s: pieces 0, 1, 2 are not <unk>, <s>, </s>, on which XLM-R's ids rest; "
                       "train with unk_id 0, bos_id 1, eos_id 2", c->path);
    return XR_OK;
}

xr_status xr_spm_check(const char *path, const void *bytes, size_t len)
{
    span all = {bytes, (const uint8_t *)bytes + len};
    check c = {.path = path, .base = bytes, .model_type = MODEL_UNIGRAM};
    size_t n, size = 1024;
    XR_TRY(check_kind(path, all));
    XR_TRY(count_pieces(&c, all, &n));
    while (size < 2 * n)
        size *= 2;
    c.slot = xr_alloc(size, sizeof *c.slot);
    if (!c.slot)
        return xr_error_status();
    c.mask = size - 1;
    xr_status status = check_fields(&c, all);
    xr_free(c.slot);
    return status < 0 ? status : check_settings(&c);
}
