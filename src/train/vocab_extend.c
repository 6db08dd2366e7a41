/* A larger vocabulary: new pieces behind the old ones, each with the mean of the rows of the pieces that made it up before.
 *
 * A new piece is an ordinary one (NORMAL), scored so that the unigram encoder prefers it to what made it up: the sum of the scores of its parts and
 * something for each join that is saved, so that of two new pieces the longer one is preferred. It is not below the worst old piece, from which the
 * score of <unk> is taken, nor above the best. Text in which the new pieces do not occur has the same candidates with the same scores as before. */
#include <stdlib.h>
#include <string.h>

#include "data/spm.h"
#include "data/spm_check.h"
#include "data/spm_write.h"
#include "train/context.h"
#include "train/vocab_dir.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/stream.h"
#include "util/utf8.h"

enum { PIECE_BYTES = 256 };             /* longer ones are no words, and cost the encoder time at every place */

static const float join_bonus = 1.0f;   /* nats; the scores of XLM-R's pieces lie between -3.5 and -20.4 */
static const float unknown_penalty = 10.0f; /* sentencepiece's, below the worst piece */
static const char word_start[] = "\xE2\x96\x81";

typedef struct new_piece {
    char *text; size_t len;
    size_t line;
    float score;
    size_t begin, n;                    /* its parts: ids of the old vocabulary in `part` */
} new_piece;

typedef struct extend {
    const char *model, *path;
    xr_spm_file file;
    xr_spm *old, *plain;                /* plain: without normalisation */
    float worst, best;                  /* scores of the old pieces */
    xr_spm_entry **by_text;             // [file.n] the old pieces, sorted
    new_piece *piece;                   // [n]
    size_t n, cap;
    size_t known, first_known;          /* lines with an old piece; the first of them */
    uint32_t *part;                     // [n_part]
    size_t n_part, part_cap;
    xr_tokens tokens;
    xr_str text, known_text;            /* known_text: of the first known line */
} extend;

/* ---- old pieces ----------------------------------------------------------------------------------------------------- */

static int compare_text(const char *a, size_t n, const char *b, size_t m)
{
    int order = memcmp(a, b, n < m ? n : m);
    return order ? order : (n > m) - (n < m);
}

static int by_text(const void *a, const void *b)
{
    const xr_spm_entry *p = *(xr_spm_entry *const *)a, *q = *(xr_spm_entry *const *)b;
    return compare_text(p->text, p->len, q->text, q->len);
}

static xr_status open_model(extend *e)
{
    xr_context *c = xr_context_open(e->model, &(xr_load_options){ .map = 1, .quiet = 1 });
    if (!c)
        return xr_error_status();
    xr_status status = xr_spm_file_open(&e->file, xr_tokenizer_path(c->tokenizer));
    xr_context_free(c);
    return status;
}

static xr_status index_old(extend *e)
{
    e->by_text = xr_alloc(e->file.n, sizeof(xr_spm_entry *));
    if (!e->by_text)
        return xr_error_status();
    for (size_t i = 0, normal = 0; i < e->file.n; i++) {
        xr_spm_entry *p = e->by_text[i] = &e->file.piece[i];
        if (p->type != XR_SPM_NORMAL)
            continue;
        e->worst = normal == 0 || p->score < e->worst ? p->score : e->worst;
        e->best = normal == 0 || p->score > e->best ? p->score : e->best;
        normal++;
    }
    qsort(e->by_text, e->file.n, sizeof(xr_spm_entry *), by_text);
    return XR_OK;
}

static xr_spm *load_edited(const xr_spm_file *f, const xr_spm_edit *edit)
{
    xr_str bytes = { 0 };
    xr_spm *m = xr_spm_rewrite(f, edit, &bytes) == XR_OK ? xr_spm_load(bytes.s, bytes.len) : NULL;
    xr_str_free(&bytes);
    return m;
}

static xr_status open_old(extend *e)
{
    XR_TRY(open_model(e));
    XR_TRY(index_old(e));
    e->old = xr_spm_load(e->file.bytes, e->file.len);
    e->plain = e->old ? load_edited(&e->file, &(xr_spm_edit){ .plain = 1 }) : NULL;
    return e->plain ? XR_OK : xr_error_status();
}

/* ---- new pieces ----------------------------------------------------------------------------------------------------- */

static size_t prefix_of(const char *s, size_t len)
{
    return len >= 3 && memcmp(s, word_start, 3) == 0 ? 3 : 0;
}

static int is_known(const extend *e, const char *s, size_t len)
{
    static const char *const specials[] = { "<s>", "<pad>", "</s>", "<unk>", "<mask>" };
    xr_spm_entry wanted = { .text = s, .len = len }, *key = &wanted;
    for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
        if (strlen(specials[i]) == len && memcmp(specials[i], s, len) == 0)
            return 1;
    return bsearch(&key, e->by_text, e->file.n, sizeof key, by_text) != NULL;
}

static int has_space(const char *s, size_t len)
{
    size_t size;
    for (size_t i = 0; i < len; i += size)
        if (xr_utf8_is_space(xr_utf8_decode(s + i, len - i, &size)))
            return 1;
    return 0;
}

/* What can be said of the bytes alone; at: "FILE:LINE". */
static xr_status check_bytes(const char *at, const char *s, size_t len)
{
    size_t good = xr_utf8_check(s, len), prefix = prefix_of(s, len);
    if (len == 0)
        return xr_fail(XR_EDATA, "%s: the line is empty; expected one piece a line: remove it", at);
    if (len > PIECE_BYTES)
        return xr_fail(XR_EDATA, "%s: the piece has %zu bytes; at most %d are allowed: add its words one by one", at, len, PIECE_BYTES);
    if (good < len)
        return xr_fail(XR_EDATA, "%s: byte %zu of the line (0x%02X) is not UTF-8; convert the file (iconv) or mend it", at, good, (unsigned char)s[good]);
    if (memchr(s, 0, len))
        return xr_fail(XR_EDATA, "%s: a NUL byte; expected text", at);
    if (has_space(s, len))
        return xr_fail(XR_EDATA, "%s: white space in the piece; write U+2581 (%s) in front of one that begins a word, and nothing else", at, word_start);
    if (len == prefix || memmem(s + prefix, len - prefix, word_start, 3))
        return xr_fail(XR_EDATA, "%s: U+2581 (%s) stands only in front of a piece, for the space before a word; a piece is within one word", at, word_start);
    return XR_OK;
}

/* A piece that normalisation would change can never be found in normalised text. */
static xr_status check_normal(extend *e, const char *at, const char *s, size_t len)
{
    size_t prefix = prefix_of(s, len);
    xr_str_clear(&e->text);
    XR_TRY(xr_spm_normalize(e->old, s + prefix, len - prefix, &e->text));
    size_t skip = e->text.len ? prefix_of(e->text.s, e->text.len) : 0;
    if (e->text.len - skip == len - prefix && memcmp(e->text.s + skip, s + prefix, len - prefix) == 0)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: the tokenizer normalises this to \"%s\" before it looks for pieces; write it so", at, e->text.len ? e->text.s + skip : "");
}

/* The parts the old vocabulary writes the piece in, and its score. */
static xr_status score_piece(extend *e, new_piece *p)
{
    double sum = 0;
    e->tokens.n = 0;
    XR_TRY(xr_spm_encode(e->plain, p->text, p->len, 0, &e->tokens));
    p->begin = e->n_part;
    p->n = e->tokens.n;
    XR_TRY(xr_grow(&e->part, &e->part_cap, e->n_part + p->n, sizeof *e->part));
    for (size_t i = 0; i < p->n; i++) {
        int32_t id = e->tokens.v[i].id;
        sum += (double)(id == XR_ID_UNK ? e->worst - unknown_penalty : e->file.piece[id - 1].score);
        e->part[e->n_part++] = (uint32_t)id;
    }
    p->score = (float)sum + join_bonus * (float)(p->n ? p->n - 1 : 0);
    p->score = p->score < e->worst ? e->worst : p->score > e->best ? e->best : p->score;
    return XR_OK;
}

static xr_status add_piece(extend *e, const char *s, size_t len, size_t line)
{
    char *at = xr_asprintf("%s:%zu", e->path, line);
    xr_status status = at ? check_bytes(at, s, len) : xr_error_status();
    if (status == XR_OK && is_known(e, s, len)) {
        e->first_known = e->known++ ? e->first_known : line;
        xr_free(at);
        return e->known > 1 ? XR_OK : xr_str_append(&e->known_text, s, len);
    }
    if (status == XR_OK)
        status = check_normal(e, at, s, len);
    if (status == XR_OK && e->file.n + e->n >= XR_SPM_PIECES_CAP)
        status = xr_fail(XR_EDATA, "%s: with this piece the vocabulary has more than %zu; add fewer", at, XR_SPM_PIECES_CAP);
    xr_free(at);
    if (status == XR_OK)
        status = xr_grow(&e->piece, &e->cap, e->n + 1, sizeof *e->piece);
    XR_TRY(status);
    new_piece *p = &e->piece[e->n];
    *p = (new_piece){ .text = xr_strndup(s, len), .len = len, .line = line };
    if (!p->text)
        return xr_error_status();
    e->n++;
    return score_piece(e, p);
}

static xr_status read_lines(extend *e, xr_stream *s)
{
    char *line;
    size_t len;
    int got;
    while ((got = xr_stream_line(s, &line, &len)) > 0)
        XR_TRY(add_piece(e, line, len, xr_stream_line_number(s)));
    if (got == 0 && e->n == 0 && e->known)
        return xr_fail(XR_EDATA, "%s: every piece in it, such as \"%s\", is in the vocabulary already; leave out --extend-vocab", e->path, e->known_text.s);
    if (got == 0 && e->known)
        xr_info("%s: %zu of %zu pieces are in the vocabulary already and are left out, the first \"%s\" on line %zu", e->path, e->known, e->known + e->n,
                e->known_text.s, e->first_known);
    if (got == 0 && e->n == 0)
        return xr_fail(XR_EDATA, "%s: the file is empty; expected one piece a line", e->path);
    return got;
}

static int by_new_text(const void *a, const void *b)
{
    const new_piece *p = *(new_piece *const *)a, *q = *(new_piece *const *)b;
    int order = compare_text(p->text, p->len, q->text, q->len);
    return order ? order : (p->line > q->line) - (p->line < q->line);
}

static xr_status check_twice(const extend *e)
{
    xr_status status = XR_OK;
    new_piece **sorted = xr_alloc(e->n, sizeof(new_piece *));
    if (!sorted)
        return xr_error_status();
    for (size_t i = 0; i < e->n; i++)
        sorted[i] = &e->piece[i];
    qsort(sorted, e->n, sizeof(new_piece *), by_new_text);
    for (size_t i = 1; i < e->n && status == XR_OK; i++)
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0)
            status = xr_fail(XR_EDATA, "%s:%zu: \"%s\" stands on line %zu already; remove one of the two", e->path, sorted[i]->line, sorted[i]->text,
                             sorted[i - 1]->line);
    xr_free(sorted);
    return status;
}

static xr_status read_pieces(extend *e)
{
    xr_stream *s = xr_stream_open(e->path);
    xr_status status = s ? read_lines(e, s) : xr_error_status();
    if (s)
        xr_stream_close(s);
    return status < 0 ? status : check_twice(e);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

/* Whether the encoder takes each new piece where it stands alone. */
static xr_status try_pieces(extend *e, const xr_spm_edit *edit)
{
    xr_spm_edit plain = *edit;
    size_t unused = 0, first = 0, unknown = 0;
    plain.plain = 1;
    xr_spm *m = load_edited(&e->file, &plain);
    xr_status status = m ? XR_OK : xr_error_status();
    for (size_t i = 0; i < e->n && status == XR_OK; i++) {
        e->tokens.n = 0;
        status = xr_spm_encode(m, e->piece[i].text, e->piece[i].len, 0, &e->tokens);
        if (e->tokens.n != 1 || (size_t)e->tokens.v[0].id != e->file.n + i + 1)
            first = unused++ ? first : i;
        unknown += e->piece[i].n == 1 && e->part[e->piece[i].begin] == XR_ID_UNK;
    }
    xr_spm_free(m);
    if (status == XR_OK && unused)
        xr_warn("%s:%zu: \"%s\" is still written as other pieces, and so are %zu more of the new ones", e->path, e->piece[first].line, e->piece[first].text,
                unused - 1);
    if (status == XR_OK && unknown)
        xr_warn("%s: %zu of the %zu new pieces were <unk> as a whole, so that their rows begin alike", e->path, unknown, e->n);
    return status;
}

/* Old ids as they are, new pieces behind them, <mask> last. */
static void fill_plan(const extend *e, size_t *offset, xr_row_source *source)
{
    size_t row = 0, at = 0;
    for (; row <= e->file.n; row++, at++) {
        offset[row] = at;
        source[at] = (xr_row_source){ 0, (uint32_t)row };
    }
    for (size_t i = 0; i < e->n; i++) {
        offset[row++] = at;
        for (size_t k = 0; k < e->piece[i].n; k++)
            source[at++] = (xr_row_source){ 0, e->part[e->piece[i].begin + k] };
    }
    offset[row++] = at;
    source[at++] = (xr_row_source){ 0, (uint32_t)e->file.n + 1 };
    offset[row] = at;
}

static xr_status write_rows(const extend *e, const xr_str *spm, const char *output)
{
    size_t rows = e->file.n + e->n + 2;
    size_t *offset = xr_alloc(rows + 1, sizeof *offset);
    xr_row_source *source = offset ? xr_alloc(e->file.n + e->n_part + 2, sizeof *source) : NULL;
    xr_row_plan plan = { .rows = rows, .offset = offset, .source = source, .f32 = 1 };
    xr_vocab_dir d = { .model = e->model, .plan = &plan, .spm = spm->s, .spm_len = spm->len };
    xr_status status = source ? XR_OK : xr_error_status();
    if (status == XR_OK) {
        fill_plan(e, offset, source);
        status = xr_vocab_dir_create(&d, output, 1);
    }
    xr_free(offset);
    xr_free(source);
    return status;
}

static xr_status write_with(extend *e, const xr_spm_new *add, const char *output)
{
    xr_str spm = { 0 };
    xr_spm_edit edit = { .add = add, .n_add = e->n };
    xr_status status = try_pieces(e, &edit);
    if (status == XR_OK)
        status = xr_spm_rewrite(&e->file, &edit, &spm);
    if (status == XR_OK)
        status = xr_spm_check(e->file.path, spm.s, spm.len);
    if (status == XR_OK)
        status = write_rows(e, &spm, output);
    xr_str_free(&spm);
    return status;
}

static xr_status write_all(extend *e, const char *output)
{
    xr_spm_new *add = xr_alloc(e->n, sizeof *add);
    if (!add)
        return xr_error_status();
    for (size_t i = 0; i < e->n; i++)
        add[i] = (xr_spm_new){ e->piece[i].text, e->piece[i].len, e->piece[i].score };
    xr_status status = write_with(e, add, output);
    xr_free(add);
    return status;
}

static xr_status run(extend *e, const char *output, xr_vocab_report *r)
{
    XR_TRY(open_old(e));
    XR_TRY(read_pieces(e));
    r->size_before = (int)e->file.n + 2;
    r->size_after = r->size_before + (int)e->n;
    XR_TRY(xr_vocab_dir_size(e->model, NULL, &r->parameters_before, &r->bytes_before));
    XR_TRY(xr_vocab_dir_size(e->model, &(xr_row_plan){ .rows = (size_t)r->size_after, .f32 = 1 }, &r->parameters_after, &r->bytes_after));
    return write_all(e, output);
}

static void release(extend *e)
{
    for (size_t i = 0; i < e->n; i++)
        xr_free(e->piece[i].text);
    xr_free(e->piece);
    xr_free(e->part);
    xr_free(e->by_text);
    xr_spm_free(e->old);
    xr_spm_free(e->plain);
    xr_spm_file_close(&e->file);
    xr_tokens_free(&e->tokens);
    xr_str_free(&e->text);
    xr_str_free(&e->known_text);
}

xr_status xr_vocab_extend(const char *model_dir, const char *pieces, const char *output_dir, xr_vocab_report *report)
{
    extend e = { .model = model_dir, .path = pieces };
    *report = (xr_vocab_report){ 0 };
    XR_TRY(xr_vocab_output_check(output_dir, 1, model_dir));
    xr_status status = run(&e, output_dir, report);
    release(&e);
    return status;
}
