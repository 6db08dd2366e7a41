/* Questions as examples: the pairs of texts of all choices, one after another. */
#include "data/choices.h"

#include <string.h>

#include "data/file_kind.h"
#include "util/alloc.h"
#include "util/log.h"

enum { SHOWN = 5 };         /* bad questions shown per file */

/* Ids of all choices into `all`, and where each ends, behind the dataset's. Nothing counts until the question is added whole. */
static xr_status encode(xr_dataset *d, const xr_tokenizer *tok, const xr_question *q, size_t max_len, xr_tokens *all)
{
    xr_choices *c = &d->choices;
    uint64_t base = d->n ? d->offset[d->n] : 0;
    int cut = 0;
    XR_TRY(xr_grow(&c->end, &c->cap_end, c->n + q->n, sizeof *c->end));
    XR_TRY(xr_grow(&c->example, &c->cap_example, d->n + 2, sizeof *c->example));
    for (size_t k = 0; k < q->n; k++) {
        size_t truncated = 0;
        if (tok)
            XR_TRY(xr_tokenizer_encode_pair(tok, q->given, q->choice[k], max_len, 0, all, &truncated));
        c->end[c->n + k] = base + all->n;
        cut |= truncated > 0;
    }
    XR_TRY(xr_dataset_add_tokens(d, all->v, all->n));
    d->n_truncated += (uint64_t)cut;
    c->n += q->n;
    c->most = q->n > c->most ? q->n : c->most;
    c->example[0] = 0;
    c->example[d->n] = c->n;
    d->label[d->n - 1] = q->label;
    return XR_OK;
}

xr_status xr_dataset_add_question(xr_dataset *d, const xr_tokenizer *tok, const xr_question *q, size_t max_len)
{
    xr_tokens all = { 0 };
    xr_status status = encode(d, tok, q, max_len, &all);
    xr_tokens_free(&all);
    return status;
}

/* ---- one file ---- */

typedef struct reading {
    xr_dataset *d;
    const xr_tokenizer *tok;
    const xr_data_options *o;
    xr_question_reader r;
    const char *path;
    size_t first;
    uint64_t n_records, n_bad, n_unlabelled;
} reading;

static xr_status add_question(reading *g, const xr_question *q)
{
    if (q->label < 0 && g->o->need_label)
        return xr_fail(XR_EDATA, "%s:%zu: the question has no label; expected the number of the right choice from 0 under 'label'; add it, or remove "
                       "the line", g->path, q->line);
    g->d->line_now = q->line;
    xr_status status = xr_dataset_add_question(g->d, g->tok, q, g->o->max_len);
    g->n_unlabelled += status == XR_OK && q->label < 0;
    return status == XR_EDATA ? xr_fail_context("%s:%zu", g->path, q->line) : status;
}

/* A bad question: the end of the file, or skipped and counted. */
static xr_status bad_question(reading *g)
{
    xr_status status = xr_error_status();
    if (!g->o->skip_bad || status != XR_EDATA || g->r.broken)
        return status;
    if (g->n_bad++ < SHOWN)
        xr_warn("question skipped: %s", xr_error_message());
    xr_error_clear();
    return xr_dataset_skip(g->d, g->n_records - 1);
}

static xr_status read_questions(reading *g)
{
    long max = g->o->max_samples;
    xr_question q;
    while (max <= 0 || g->d->n - g->first < (size_t)max) {
        int got = xr_questions_next(&g->r, &q);
        if (got == 0)
            break;
        g->n_records++;
        if (got > 0)
            got = add_question(g, &q);
        if (got < 0)
            XR_TRY(bad_question(g));
    }
    return XR_OK;
}

static xr_status check_file(const reading *g)
{
    if (g->n_bad)
        xr_warn("%s: %llu of %llu questions skipped because they are bad", g->path, (unsigned long long)g->n_bad, (unsigned long long)g->n_records);
    if ((double)g->n_bad > g->o->max_bad_fraction * (double)g->n_records)
        return xr_fail(XR_EDATA, "%s: %llu of %llu questions are bad; at most a share of %g may be skipped; correct the file, or raise "
                       "--max-bad-fraction", g->path, (unsigned long long)g->n_bad, (unsigned long long)g->n_records, g->o->max_bad_fraction);
    if (g->d->n == g->first)
        return xr_fail(XR_EDATA, "%s: no questions: the file is empty; expected one JSON object a line; give another file", g->path);
    if (g->n_unlabelled && g->n_unlabelled < g->d->n - g->first)
        xr_info("%s: %llu questions without a label", g->path, (unsigned long long)g->n_unlabelled);
    return XR_OK;
}

xr_status xr_dataset_add_choices(xr_dataset *d, const char *path, const xr_tokenizer *tok, const xr_data_options *o)
{
    reading g = { .d = d, .tok = tok, .o = o, .first = d->n };
    XR_TRY(xr_dataset_add_file(d, path));
    XR_TRY(xr_questions_open(&g.r, path));
    g.path = xr_stream_path(g.r.stream);
    xr_status status = read_questions(&g);
    if (status == XR_EDATA && d->n == g.first)
        status = xr_file_kind_check(path, XR_FILE_CHOICE);
    if (status == XR_OK) {
        d->n_bad += g.n_bad;
        d->n_no_gold += g.n_unlabelled;
        status = check_file(&g);
    }
    xr_questions_close(&g.r);
    return status;
}
