/* sentencepiece models that pass the check, and texts cut by them. The first byte says how many bytes at the end are text; the rest is the model. */
#include "data/spm.h"
#include "data/spm_check.h"
#include "fuzz.h"
#include "util/utf8.h"

/* Pieces stand in order, within the text, on no id that is not there. */
static void check_tokens(const xr_spm *m, const xr_tokens *k, size_t len)
{
    uint32_t at = 0;
    for (size_t i = 0; i < k->n; i++) {
        const xr_token *t = &k->v[i];
        if (t->begin < at || t->end < t->begin || t->end > len || t->id < 0 || t->id > xr_spm_size(m) + 1)
            abort();
        at = t->end;
    }
}

static void encode(const xr_spm *m, const char *text, size_t len)
{
    xr_tokens once = { 0 }, twice = { 0 };
    xr_str s = { 0 };
    if (xr_spm_encode(m, text, len, 0, &once) == XR_OK)
        check_tokens(m, &once, len);
    if (xr_spm_encode(m, text, len, 0, &twice) != XR_OK || twice.n != once.n || (once.n && memcmp(once.v, twice.v, once.n * sizeof *once.v)))
        abort();
    if (xr_spm_normalize(m, text, len, &s) != XR_OK || xr_utf8_check(s.s ? s.s : "", s.len) != s.len)
        abort();
    xr_str_free(&s);
    xr_tokens_free(&once);
    xr_tokens_free(&twice);
}

static void load_and_encode(const uint8_t *model, size_t n, const char *text, size_t len)
{
    if (xr_spm_check("model", model, n) < 0) {
        xr_error_clear();
        return;
    }
    uint8_t *copy = malloc(n);          /* its end is where the sanitizer looks; it goes before the model is used */
    memcpy(copy, model, n);
    xr_spm *m = xr_spm_load(copy, n);
    free(copy);
    if (!m)
        abort();
    encode(m, text, len);
    xr_spm_free(m);
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    size_t text = data[0] < n ? data[0] : n - 1;
    const char *at = (const char *)data + n - text;
    if (xr_utf8_check(at, text) == text)
        load_and_encode(data + 1, n - 1 - text, at, text);
}

/* ModelProto: pieces <unk>, <s>, </s>, U+2581 a, a, b; trainer and normaliser without a character map. */
#define PIECE(length, text_length, text, type) "\n" length "\n" text_length text "\x15\0\0\x80\xbf\x18" type
static void fuzz_seeds(char **argv)
{
    static const char plain[] = "\x09" PIECE("\x0e", "\x05", "<unk>", "\x02") PIECE("\x0c", "\x03", "<s>", "\x03") PIECE("\x0d", "\x04", "</s>", "\x03")
        PIECE("\x0d", "\x04", "\xe2\x96\x81" "a", "\x01") PIECE("\x0a", "\x01", "a", "\x01") PIECE("\x0a", "\x01", "b", "\x04")
        "\x12\x03\xc0\x01\x00" "\x1a\x06\x18\x01\x20\x01\x28\x01" "a b  q" "\xc3\xa9\x7a";
    static const char mapped[] = "\x04" PIECE("\x0e", "\x05", "<unk>", "\x02") PIECE("\x0c", "\x03", "<s>", "\x03") PIECE("\x0d", "\x04", "</s>", "\x03")
        PIECE("\x0a", "\x01", "b", "\x01")
        "\x1a\x13\x12\x0f\x08\0\0\0\1\2\3\4\5\6\7\10ab\0\x18\1" "abba";
    FUZZ_SEED(argv, "plain", plain);
    FUZZ_SEED(argv, "mapped", mapped);
}
