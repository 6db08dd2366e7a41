/* A smaller vocabulary: the pieces that a corpus uses.
 *
 * Why encodings of that corpus stay as they are. The unigram encoder takes the best sum of scores over all ways to write a text as pieces. Taking away
 * pieces that are in no best way takes away candidates that lost; it can add one, <unk> where a single character is a piece no more, and that
 * scores ten below the worst piece, so less than what it stands for. The worst piece itself is kept, since <unk> is scored by it. Of equal
 * candidates the first one wins, and the order of pieces is kept. It is tried all the same: the corpus is encoded again with the result. */
#include <string.h>

#include "data/spm.h"
#include "data/spm_write.h"
#include "train/context.h"
#include "train/vocab_corpus.h"
#include "train/vocab_dir.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { N_SPECIAL = 4 };                 /* <s>, <pad>, </s>, <unk>: the same ids in every vocabulary */

typedef struct trim {
    const xr_options *o;
    xr_vocab_report *report;
    char sha256[65];                    /* of the source's sentencepiece model */
    xr_spm_file file;
    xr_spm *old, *new;
    xr_spm *new_plain;                  /* without normalisation: for sentences of stores */
    unsigned char *used;                // [file.n] by sentencepiece id
    uint32_t *keep;                     // [n_keep]
    size_t n_keep;
    uint32_t *old_id;                   // [n_keep + 2] the source's id of each new one
    xr_str bytes;                       /* the new sentencepiece model */
    xr_tokens a, b;
} trim;

/* ---- which pieces --------------------------------------------------------------------------------------------------- */

static xr_status mark(trim *t, int32_t id)
{
    if (id < 0 || (size_t)id > t->file.n)
        return xr_fail(XR_EDATA, "the corpus holds id %d, which no text of this tokenizer gives; prepare the store again", id);
    t->report->tokens++;
    t->report->unknown += id == XR_ID_UNK;
    if (id >= N_SPECIAL)
        t->used[id - 1] = 1;
    return XR_OK;
}

static xr_status count_text(void *context, const char *text, size_t len)
{
    trim *t = context;
    t->a.n = 0;
    XR_TRY(xr_spm_encode(t->old, text, len, 0, &t->a));
    t->report->texts++;
    for (size_t i = 0; i < t->a.n; i++)
        XR_TRY(mark(t, t->a.v[i].id));
    return XR_OK;
}

static xr_status count_ids(void *context, const int32_t *id, size_t n)
{
    trim *t = context;
    t->report->texts++;
    for (size_t i = 0; i < n; i++)
        XR_TRY(mark(t, id[i]));
    return XR_OK;
}

/* <unk> scores ten less than the worst piece, a user-defined one by the best: both stay, and so does all that is no ordinary piece. */
static void mark_fixed(trim *t)
{
    size_t worst = SIZE_MAX, best = SIZE_MAX;
    for (size_t i = 0; i < t->file.n; i++) {
        const xr_spm_entry *p = &t->file.piece[i];
        if (p->type != XR_SPM_NORMAL) {
            t->used[i] = 1;
            continue;
        }
        if (worst == SIZE_MAX || p->score < t->file.piece[worst].score)
            worst = i;
        if (best == SIZE_MAX || p->score > t->file.piece[best].score)
            best = i;
    }
    if (worst != SIZE_MAX)
        t->used[worst] = t->used[best] = 1;
}

static xr_status list_kept(trim *t)
{
    t->keep = xr_alloc(t->file.n, sizeof *t->keep);
    t->old_id = xr_alloc(t->file.n + 2, sizeof *t->old_id);
    if (!t->keep || !t->old_id)
        return xr_error_status();
    for (size_t i = 0; i < t->file.n; i++)
        if (t->used[i])
            t->keep[t->n_keep++] = (uint32_t)i;
    for (size_t i = 0; i < N_SPECIAL; i++)
        t->old_id[i] = (uint32_t)i;
    for (size_t i = N_SPECIAL; i <= t->n_keep; i++)
        t->old_id[i] = t->keep[i - 1] + 1;
    t->old_id[t->n_keep + 1] = (uint32_t)t->file.n + 1;     /* <mask> */
    return XR_OK;
}

static xr_status choose(trim *t)
{
    xr_corpus_visitor count = { t, count_text, count_ids };
    t->used = xr_alloc(t->file.n, 1);
    if (!t->used)
        return xr_error_status();
    XR_TRY(xr_corpus_visit(t->o, t->sha256, 0, &count));
    if (t->report->tokens == 0)
        return xr_fail(XR_EDATA, "%s: no text in the corpus; name files with text whose pieces are to be kept", t->o->corpus.v[0]);
    mark_fixed(t);
    return list_kept(t);
}

/* ---- checking ------------------------------------------------------------------------------------------------------- */

static xr_spm *load_edited(const xr_spm_file *f, const xr_spm_edit *edit, xr_str *bytes)
{
    xr_str_clear(bytes);
    return xr_spm_rewrite(f, edit, bytes) == XR_OK ? xr_spm_load(bytes->s, bytes->len) : NULL;
}

static xr_status load_new(trim *t)
{
    xr_spm_edit edit = { .keep = t->keep, .n_keep = t->n_keep }, plain = edit;
    plain.plain = 1;
    t->new_plain = load_edited(&t->file, &plain, &t->bytes);
    t->new = t->new_plain ? load_edited(&t->file, &edit, &t->bytes) : NULL;
    return t->new ? XR_OK : xr_error_status();
}

static xr_status differs(const char *text, size_t len)
{
    return xr_fail(XR_ESOFTWARE, "the trimmed tokenizer writes \"%.*s\" in other pieces; nothing was written: please report this text",
                   (int)(len < 200 ? len : 200), text);
}

static xr_status compare(const trim *t, const char *text, size_t len)
{
    int same = t->a.n == t->b.n;
    for (size_t i = 0; same && i < t->a.n; i++) {
        const xr_token *a = &t->a.v[i], *b = &t->b.v[i];
        same = (uint32_t)a->id == t->old_id[b->id] && a->begin == b->begin && a->end == b->end;
    }
    return same ? XR_OK : differs(text, len);
}

static xr_status verify_text(void *context, const char *text, size_t len)
{
    trim *t = context;
    t->a.n = t->b.n = 0;
    XR_TRY(xr_spm_encode(t->old, text, len, 0, &t->a));
    XR_TRY(xr_spm_encode(t->new, text, len, 0, &t->b));
    return compare(t, text, len);
}

static int has_unknown(const int32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (id[i] < N_SPECIAL)
            return 1;
    return 0;
}

/* The pieces of a sentence joined are its normalised text. What <unk> stood for is not in a store. */
static xr_status verify_ids(void *context, const int32_t *id, size_t n)
{
    trim *t = context;
    xr_str text = { 0 };
    xr_status status = XR_OK;
    if (has_unknown(id, n)) {
        t->report->unverified++;
        return XR_OK;
    }
    t->b.n = 0;
    for (size_t i = 0; i < n && status == XR_OK; i++)
        status = xr_str_append(&text, t->file.piece[id[i] - 1].text, t->file.piece[id[i] - 1].len);
    if (status == XR_OK && n)
        status = xr_spm_encode(t->new_plain, text.s, text.len, 0, &t->b);
    int same = t->b.n == n;
    for (size_t i = 0; same && i < n; i++)
        same = (uint32_t)id[i] == t->old_id[t->b.v[i].id];
    if (status == XR_OK && !same)
        status = differs(text.s, text.len);
    xr_str_free(&text);
    return status;
}

static xr_status verify(trim *t)
{
    xr_corpus_visitor again = { t, verify_text, verify_ids };
    return xr_corpus_visit(t->o, t->sha256, 1, &again);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

static xr_status put_map(const trim *t, xr_str *out)
{
    char rows[33], sha256[65];
    XR_TRY(xr_vocab_dir_digest(t->o->model, rows));
    xr_sha256_hex(t->bytes.s, t->bytes.len, sha256);
    XR_TRY(xr_str_printf(out, "{\n  \"format\": \"xlmr-trim\",\n  \"format_version\": 1,\n  \"source\": {\"vocab_size\": %zu, \"tokenizer_sha256\": \"%s\", "
                         "\"rows_xxh3\": \"%s\"},\n  \"vocab_size\": %zu,\n  \"tokenizer_sha256\": \"%s\",\n  \"source_ids\": [",
                         t->file.n + 2, t->sha256, rows, t->n_keep + 2, sha256));
    for (size_t i = 0; i < t->n_keep + 2; i++)
        XR_TRY(xr_str_printf(out, "%s%u", i ? "," : "", t->old_id[i]));
    return xr_str_puts(out, "]\n}\n");
}

static xr_status write_dir(const trim *t, const xr_row_source *source, const xr_str *map)
{
    xr_row_plan plan = { .rows = t->n_keep + 2, .source = source };
    xr_vocab_dir d = { .model = t->o->model, .plan = &plan, .spm = t->bytes.s, .spm_len = t->bytes.len, .map = map->s, .map_len = map->len };
    return xr_vocab_dir_create(&d, t->o->output_dir, t->o->overwrite_output_dir);
}

static xr_status write_output(const trim *t)
{
    xr_str map = { 0 };
    xr_row_source *source = xr_alloc(t->n_keep + 2, sizeof *source);
    xr_status status = source ? put_map(t, &map) : xr_error_status();
    for (size_t i = 0; status == XR_OK && i < t->n_keep + 2; i++)
        source[i].id = t->old_id[i];
    if (status == XR_OK)
        status = write_dir(t, source, &map);
    xr_str_free(&map);
    xr_free(source);
    return status;
}

/* ---- all ------------------------------------------------------------------------------------------------------------ */

static xr_status open_model(trim *t)
{
    xr_context *c = xr_context_open(t->o->model, &(xr_load_options){ .map = 1, .quiet = 1 });
    if (!c)
        return xr_error_status();
    memcpy(t->sha256, xr_tokenizer_sha256(c->tokenizer), sizeof t->sha256);
    xr_status status = xr_spm_file_open(&t->file, xr_tokenizer_path(c->tokenizer));
    xr_context_free(c);
    XR_TRY(status);
    t->old = xr_spm_load(t->file.bytes, t->file.len);
    return t->old ? XR_OK : xr_error_status();
}

static xr_status measure(const trim *t)
{
    xr_vocab_report *r = t->report;
    r->size_before = (int)t->file.n + 2;
    r->size_after = (int)t->n_keep + 2;
    XR_TRY(xr_vocab_dir_size(t->o->model, NULL, &r->parameters_before, &r->bytes_before));
    return xr_vocab_dir_size(t->o->model, &(xr_row_plan){ .rows = t->n_keep + 2 }, &r->parameters_after, &r->bytes_after);
}

static xr_status run(trim *t)
{
    XR_TRY(open_model(t));
    XR_TRY(choose(t));
    XR_TRY(load_new(t));
    XR_TRY(verify(t));
    XR_TRY(measure(t));
    return t->o->dry_run ? XR_OK : write_output(t);
}

static void release(trim *t)
{
    xr_spm_free(t->old);
    xr_spm_free(t->new);
    xr_spm_free(t->new_plain);
    xr_spm_file_close(&t->file);
    xr_free(t->used);
    xr_free(t->keep);
    xr_free(t->old_id);
    xr_str_free(&t->bytes);
    xr_tokens_free(&t->a);
    xr_tokens_free(&t->b);
}

xr_status xr_vocab_trim(const xr_options *o, xr_vocab_report *report)
{
    trim t = { .o = o, .report = report };
    *report = (xr_vocab_report){ 0 };
    XR_TRY(xr_vocab_output_check(o->output_dir, o->overwrite_output_dir, o->model));
    xr_status status = run(&t);
    release(&t);
    return status;
}
