/* XLM-R's tokenizer over the sentencepiece border: special strings, pairs, truncation, decoding. */
#include "data/tokenizer.h"

#include <string.h>

#include "data/spm.h"
#include "data/spm_check.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/phase.h"
#include "util/str.h"
#include "util/utf8.h"

struct xr_tokenizer {
    xr_spm *spm;
    char *path;
    int32_t mask;
    char sha256[65];
};

static const char *const SPECIAL[] = {"<s>", "<pad>", "</s>", "<unk>", "<mask>"};
enum { N_SPECIAL = 5, FIRST_IDS = 4 };      /* the first four are ids 0 to 3; <mask> is the last id */

/* Tokens of <s> A </s> and of <s> A </s></s> B </s> that are not text. */
enum { SINGLE_SPECIALS = 2, PAIR_SPECIALS = 4 };

void xr_tokens_free(xr_tokens *t)
{
    xr_free(t->v);
    *t = (xr_tokens){0};
}

static xr_status push(xr_tokens *t, int32_t id, size_t begin, size_t end)
{
    XR_TRY(xr_grow(&t->v, &t->cap, t->n + 1, sizeof *t->v));
    t->v[t->n++] = (xr_token){id, (uint32_t)begin, (uint32_t)end};
    return XR_OK;
}

/* ---- opening ---- */

static xr_status load(xr_tokenizer *t, const char *path)
{
    size_t len;
    if (xr_path_is_dir(path) && !xr_path_exists(t->path) && xr_dir_has(path, "config.yaml"))
        return xr_fail(XR_ENOINPUT, "%s: cannot be opened; %s is a run: give %s/best or %s/final", t->path, path, path, path);
    char *bytes = xr_file_read(t->path, XR_SPM_FILE_CAP, &len);
    if (!bytes)
        return xr_error_status();
    if (xr_spm_check(t->path, bytes, len) == XR_OK) {
        xr_sha256_hex(bytes, len, t->sha256);
        t->spm = xr_spm_load(bytes, len);
    }
    xr_free(bytes);
    if (!t->spm)
        return xr_error_status();
    t->mask = xr_spm_size(t->spm) + 1;
    return XR_OK;
}

xr_tokenizer *xr_tokenizer_open(const char *path)
{
    xr_tokenizer *t = xr_alloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->path = xr_path_is_dir(path) ? xr_path_join(path, "sentencepiece.bpe.model") : xr_strdup(path);
    if (!t->path || load(t, path) < 0) {
        xr_tokenizer_free(t);
        return NULL;
    }
    return t;
}

void xr_tokenizer_free(xr_tokenizer *t)
{
    if (!t)
        return;
    if (t->spm)
        xr_spm_free(t->spm);
    xr_free(t->path);
    xr_free(t);
}

int xr_tokenizer_vocab_size(const xr_tokenizer *t) { return t->mask + 1; }
int32_t xr_tokenizer_mask_id(const xr_tokenizer *t) { return t->mask; }
const char *xr_tokenizer_sha256(const xr_tokenizer *t) { return t->sha256; }
const char *xr_tokenizer_path(const xr_tokenizer *t) { return t->path; }

static int32_t special_id(const xr_tokenizer *t, size_t i)
{
    return i < FIRST_IDS ? (int32_t)i : t->mask;
}

const char *xr_tokenizer_piece(const xr_tokenizer *t, int32_t id)
{
    if (id < 0 || id > t->mask)
        return NULL;
    if (id < FIRST_IDS)
        return SPECIAL[id];
    return id == t->mask ? SPECIAL[N_SPECIAL - 1] : xr_spm_piece(t->spm, id - 1);
}

/* ---- text to ids ---- */

/* Where text[from..end) ends without the white space (Python's str.rstrip) behind it. */
static size_t strip_end(const char *text, size_t from, size_t end)
{
    while (end > from) {
        size_t at = end - 1, size;
        while (at > from && ((unsigned char)text[at] & 0xC0) == 0x80)
            at--;
        if (!xr_utf8_is_space(xr_utf8_decode(text + at, end - at, &size)))
            break;
        end = at;
    }
    return end;
}

/* The first special string in text[from..len): its index, place in *at and length in *n; N_SPECIAL when there is
 * none. */
static size_t find_special(const char *text, size_t from, size_t len, size_t *at, size_t *n)
{
    const char *p;
    while (from < len && (p = memchr(text + from, '<', len - from))) {
        *at = (size_t)(p - text);
        for (size_t i = 0; i < N_SPECIAL; i++) {
            *n = strlen(SPECIAL[i]);
            if (len - *at >= *n && memcmp(p, SPECIAL[i], *n) == 0)
                return i;
        }
        from = *at + 1;
    }
    return N_SPECIAL;
}

/* As transformers: the text between special strings is encoded by itself, so each part begins a word. */
static xr_status encode_specials(const xr_tokenizer *t, const char *text, size_t len, xr_tokens *out)
{
    size_t from = 0, at, n, i;
    while ((i = find_special(text, from, len, &at, &n)) < N_SPECIAL) {
        size_t end = special_id(t, i) == t->mask ? strip_end(text, from, at) : at;
        if (end > from)
            XR_TRY(xr_spm_encode(t->spm, text + from, end - from, (uint32_t)from, out));
        XR_TRY(push(out, special_id(t, i), at, at + n));
        from = at + n;
    }
    return len > from ? xr_spm_encode(t->spm, text + from, len - from, (uint32_t)from, out) : XR_OK;
}

static xr_status check_text(const char *text, size_t len)
{
    size_t good = xr_utf8_check(text, len);
    if (len > UINT32_MAX)
        return xr_fail(XR_EDATA, "text of %zu bytes; at most 4 GiB can be encoded at once: cut it", len);
    if (good == len)
        return XR_OK;
    unsigned bad = (unsigned char)text[good];
    return xr_fail(XR_EDATA, "byte %zu (0x%02X) is not UTF-8; expected UTF-8 text: %s", good, bad,
                   good == 0 && (bad == 0xFF || bad == 0xFE) ? "it looks like UTF-16, convert it (iconv)"
                                                             : "convert it (iconv) or mend it");
}

xr_status xr_tokenizer_encode(const xr_tokenizer *t, const char *text, size_t len, int specials, xr_tokens *out)
{
    size_t before = out->n;
    XR_TRY(check_text(text, len));
    if (len == 0)
        return XR_OK;
    xr_status status = specials ? encode_specials(t, text, len, out) : xr_spm_encode(t->spm, text, len, 0, out);
    if (status < 0)
        out->n = before;
    return status;
}

/* ---- pairs ---- */

void xr_truncate_longest_first(size_t len_a, size_t len_b, size_t remove, size_t *cut_a, size_t *cut_b)
{
    size_t gap = len_a > len_b ? len_a - len_b : len_b - len_a;
    /* from the longer until both are equal, then by turns, the second first */
    size_t level = remove < gap ? remove : gap;
    size_t rest = remove - level;
    *cut_a = rest / 2 + (len_a > len_b ? level : 0);
    *cut_b = rest - rest / 2 + (len_a > len_b ? 0 : level);
}

static void remove_tokens(xr_tokens *t, size_t at, size_t n)
{
    memmove(t->v + at, t->v + at + n, (t->n - at - n) * sizeof *t->v);
    t->n -= n;
}

/* Text and </s>; *n receives the tokens of the text. */
static xr_status encode_one(const xr_tokenizer *t, const char *text, size_t len, int specials, xr_tokens *out,
                            size_t *n)
{
    size_t start = out->n;
    XR_TRY(xr_tokenizer_encode(t, text, len, specials, out));
    *n = out->n - start;
    return push(out, XR_ID_EOS, len, len);
}

static xr_status encode_two(const xr_tokenizer *t, const char *text, size_t text_len, const char *pair,
                            size_t pair_len, int specials, xr_tokens *out, size_t *len_a, size_t *len_b)
{
    XR_TRY(push(out, XR_ID_BOS, 0, 0));
    XR_TRY(encode_one(t, text, text_len, specials, out, len_a));
    if (!pair)
        return XR_OK;
    XR_TRY(push(out, XR_ID_EOS, 0, 0));
    return encode_one(t, pair, pair_len, specials, out, len_b);
}

xr_status xr_tokenizer_encode_spans(const xr_tokenizer *t, const char *text, size_t text_len, const char *pair,
                                    size_t pair_len, size_t max_len, int specials, xr_tokens *out, size_t *truncated)
{
    size_t start = out->n, room = pair ? PAIR_SPECIALS : SINGLE_SPECIALS, len_a = 0, len_b = 0, cut_a = 0, cut_b = 0;
    if (max_len && max_len < room)
        return xr_fail(XR_EUSAGE, "max length %zu; <s> and </s> alone need %zu", max_len, room);
    int phase = xr_phase_enter(XR_PHASE_DATA);
    xr_status status = encode_two(t, text, text_len, pair, pair_len, specials, out, &len_a, &len_b);
    xr_phase_enter(phase);
    if (status < 0) {
        out->n = start;
        return xr_error_status();
    }
    if (max_len && len_a + len_b + room > max_len) {
        size_t remove = len_a + len_b + room - max_len;
        if (pair)
            xr_truncate_longest_first(len_a, len_b, remove, &cut_a, &cut_b);
        else
            cut_a = remove;
        if (cut_b)
            remove_tokens(out, out->n - 1 - cut_b, cut_b);
        if (cut_a)
            remove_tokens(out, start + 1 + len_a - cut_a, cut_a);
    }
    if (truncated)
        *truncated = cut_a + cut_b;
    return XR_OK;
}

xr_status xr_tokenizer_encode_pair(const xr_tokenizer *t, const char *text, const char *pair, size_t max_len,
                                   int specials, xr_tokens *out, size_t *truncated)
{
    return xr_tokenizer_encode_spans(t, text, strlen(text), pair, pair ? strlen(pair) : 0, max_len, specials, out,
                                     truncated);
}

/* ---- ids to text ---- */

/* Appends a piece with U+2581 as a space. */
static xr_status put_piece(xr_str *b, const char *piece)
{
    static const char meta[] = "\xE2\x96\x81";
    for (const char *at; (at = strstr(piece, meta)); piece = at + 3) {
        XR_TRY(xr_str_append(b, piece, (size_t)(at - piece)));
        XR_TRY(xr_str_putc(b, ' '));
    }
    return xr_str_puts(b, piece);
}

static xr_status decode(const xr_tokenizer *t, const int32_t *id, size_t n, int skip_specials, xr_str *b)
{
    for (size_t i = 0; i < n; i++) {
        const char *piece = xr_tokenizer_piece(t, id[i]);
        if (!piece)
            return xr_fail(XR_EDATA, "token %zu is id %d; ids of this tokenizer (%s) are 0 to %d", i, id[i], t->path,
                           t->mask);
        if (skip_specials && (id[i] < FIRST_IDS || id[i] == t->mask))
            continue;
        XR_TRY(put_piece(b, piece));
    }
    return XR_OK;
}

char *xr_tokenizer_decode(const xr_tokenizer *t, const int32_t *id, size_t n, int skip_specials)
{
    xr_str b = {0};
    char *text = NULL;
    if (decode(t, id, n, skip_specials, &b) == XR_OK) {
        size_t lead = b.len && b.s[0] == ' ';
        text = xr_strndup(b.len ? b.s + lead : "", b.len - lead);
    }
    xr_str_free(&b);
    return text;
}
