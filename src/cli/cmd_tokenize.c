/* xlmr tokenize: ids, pieces and byte offsets of every line, as one JSON object a line. */
#include <string.h>
#include "cli/cmd.h"
#include "data/source.h"
#include "data/tokenizer.h"
#include "util/log.h"

typedef struct job {
    const xr_options *o;
    xr_tokenizer *t;
    xr_tokens tokens;
    xr_str line;
} job;

static xr_status print_tokens(job *j)
{
    xr_str *b = &j->line;
    const xr_tokens *k = &j->tokens;
    xr_str_clear(b);
    XR_TRY(xr_str_puts(b, "{\"ids\":["));
    for (size_t i = 0; i < k->n; i++)
        XR_TRY(xr_str_printf(b, "%s%d", i ? "," : "", k->v[i].id));
    XR_TRY(xr_str_puts(b, "],\"pieces\":["));
    for (size_t i = 0; i < k->n; i++) {
        const char *piece = xr_tokenizer_piece(j->t, k->v[i].id);
        XR_TRY(xr_str_puts(b, i ? "," : ""));
        XR_TRY(xr_str_json_string(b, piece, strlen(piece)));
    }
    XR_TRY(xr_str_puts(b, "],\"offsets\":["));
    for (size_t i = 0; i < k->n; i++)
        XR_TRY(xr_str_printf(b, "%s[%u,%u]", i ? "," : "", k->v[i].begin, k->v[i].end));
    XR_TRY(xr_str_puts(b, "]}\n"));
    return xr_out_bytes(b->s, b->len);
}

/* Pieces only: what stands in the text is text, and nothing is added. */
static xr_status encode_plain(job *j, const char *text, size_t len, const char *pair, size_t pair_len, size_t max_len)
{
    xr_tokens *k = &j->tokens;
    size_t cut_a, cut_b;
    XR_TRY(xr_tokenizer_encode(j->t, text, len, 0, k));
    size_t n = k->n;
    if (pair)
        XR_TRY(xr_tokenizer_encode(j->t, pair, pair_len, 0, k));
    if (max_len == 0 || k->n <= max_len)
        return XR_OK;
    xr_truncate_longest_first(n, k->n - n, k->n - max_len, &cut_a, &cut_b);
    memmove(k->v + n - cut_a, k->v + n, (k->n - n) * sizeof *k->v);
    k->n = max_len;
    return XR_OK;
}

static xr_status tokenize_line(job *j, const char *text, size_t len)
{
    const xr_options *o = j->o;
    const char *pair = NULL;
    size_t pair_len = 0, max_len = (size_t)o->max_seq_length;
    if (o->pair) {
        const char *tab = memchr(text, '\t', len);
        if (!tab)
            return xr_fail(XR_EDATA, "no tab in the line; --pair expects two texts separated by one");
        pair = tab + 1;
        pair_len = len - (size_t)(pair - text);
        len = (size_t)(tab - text);
    }
    j->tokens.n = 0;
    XR_TRY(o->specials ? xr_tokenizer_encode_spans(j->t, text, len, pair, pair_len, max_len, 1, &j->tokens, NULL)
                       : encode_plain(j, text, len, pair, pair_len, max_len));
    return print_tokens(j);
}

/* Offsets are those of the line, so that a line is a text here whatever it looks like. Pairs are a TSV without a header, whatever its name. */
static void warn_of_table(const job *j, const xr_stream *s, const char *line, size_t len)
{
    const char *path = xr_stream_path(s), *format = xr_source_detect(j->o->pair ? "" : path, line, len, 1)->name;
    if (strcmp(format, "plain") != 0)
        xr_warn("%s: looks like %s by its name or first line, but every line is tokenized as it stands; to have the texts alone, take them out first "
                "(jq -r .text, cut -f 1)", path, format);
}

static xr_status tokenize_file(job *j, const char *path)
{
    xr_stream *s = xr_stream_open(path);
    xr_status status = XR_OK;
    char *line;
    size_t len;
    int got = 0, seen = 0;
    if (!s)
        return xr_error_status();
    while (status == XR_OK && (got = xr_stream_line(s, &line, &len)) > 0) {
        if (len > 0 && !seen)
            warn_of_table(j, s, line, len);
        seen = seen || len > 0;
        if ((status = tokenize_line(j, line, len)) < 0)
            xr_fail_context("%s:%zu", xr_stream_path(s), xr_stream_line_number(s));
    }
    xr_stream_close(s);
    return status < 0 ? status : got;
}

static xr_status run(const xr_options *o)
{
    job j = {.o = o, .t = xr_tokenizer_open(o->model)};
    xr_status status = XR_OK;
    if (!j.t)
        return xr_error_status();
    if (o->n_args == 0)
        status = tokenize_file(&j, "-");
    for (size_t i = 0; status == XR_OK && i < o->n_args; i++)
        status = tokenize_file(&j, o->args[i]);
    xr_str_free(&j.line);
    xr_tokens_free(&j.tokens);
    xr_tokenizer_free(j.t);
    return status;
}

const xr_cmd xr_cmd_tokenize = {
    "tokenize", XR_V_TOKENIZE, "ids, pieces and byte offsets of each line, as JSON lines", "[FILE ...]",
    "echo 'Hello world!' | xlmr tokenize --model DIR\n"
    "xlmr tokenize --model sentencepiece.bpe.model --pair pairs.tsv\n"
    "xlmr tokenize --model DIR --no-specials untrusted.txt.gz\n",
    run,
};
