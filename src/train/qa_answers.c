/* Choosing answers. */
#include "train/qa_answers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"

/* ---- one window ---- */

typedef struct best_rows { uint32_t *row; size_t n; } best_rows;

/* Rows of the n greatest logits of a column, greatest first, of equals the later, as numpy's argsort read backwards. */
static void find_best(best_rows *best, const float *logits, size_t len, size_t column, size_t n)
{
    best->n = 0;
    for (size_t r = 0; r < len; r++) {
        size_t at = best->n < n ? best->n++ : n;
        if (at == n && logits[2 * r + column] < logits[2 * best->row[n - 1] + column])
            continue;
        at = at == n ? n - 1 : at;
        for (; at > 0 && logits[2 * best->row[at - 1] + column] <= logits[2 * r + column]; at--)
            best->row[at] = best->row[at - 1];
        best->row[at] = (uint32_t)r;
    }
}

typedef struct finding {
    xr_answers *a;
    const xr_dataset *d;
    const float *logits;
    const xr_answer_options *o;
    best_rows start, end;
    xr_answer none;                 /* the least likely "no answer" so far */
    int any;                        /* a window has been seen */
} finding;

static double score(const xr_answer *a) { return (double)a->start_logit + (double)a->end_logit; }

static xr_status put_answer(finding *f, xr_answer answer)
{
    xr_answers *a = f->a;
    XR_TRY(xr_grow(&a->v, &a->cap, a->n + 1, sizeof *a->v));
    a->v[a->n++] = answer;
    return XR_OK;
}

static xr_status take_pair(finding *f, size_t window, uint32_t start, uint32_t end)
{
    const xr_windows *all = &f->d->windows;
    const xr_window *w = &all->window[window];
    const float *z = f->logits + 2 * f->d->offset[window];
    xr_answer a = { 0, 0, z[2 * start], z[2 * end + 1], 0.0 };
    if (start < w->row || end >= w->row + w->n || end < start || end - start + 1 > f->o->max_tokens)
        return XR_OK;
    size_t first = w->piece + (start - w->row), last = w->piece + (end - w->row);
    if (!xr_windows_is_best(all, window, first))
        return XR_OK;
    xr_windows_cut(all, all->questions.v[w->question].passage, first, last, &a.begin, &a.end);
    return a.begin < a.end ? put_answer(f, a) : XR_OK;
}

static xr_status take_window(finding *f, size_t window)
{
    const float *z = f->logits + 2 * f->d->offset[window];
    size_t len = xr_dataset_len(f->d, window);
    xr_answer none = { 0, 0, z[0], z[1], 0.0 };
    if (!f->any || score(&f->none) > score(&none))
        f->none = none;
    f->any = 1;
    find_best(&f->start, z, len, 0, f->o->n_best);
    find_best(&f->end, z, len, 1, f->o->n_best);
    for (size_t s = 0; s < f->start.n; s++)
        for (size_t e = 0; e < f->end.n; e++)
            XR_TRY(take_pair(f, window, f->start.row[s], f->end.row[e]));
    return XR_OK;
}

/* ---- one question ---- */

static int by_score(const void *a, const void *b)
{
    const xr_answer *x = a, *y = b;
    double p = score(x), q = score(y);
    if (p != q)
        return p < q ? 1 : -1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int is_none(const xr_answer *a) { return a->begin == a->end; }

/* The best n_best, "no answer" among them when there may be none, though it be the last. */
static xr_status keep_best(finding *f)
{
    xr_answers *a = f->a;
    int kept = 0;
    if (f->o->may_be_none)
        XR_TRY(put_answer(f, f->none));
    if (a->n)
        qsort(a->v, a->n, sizeof *a->v, by_score);
    a->n = a->n < f->o->n_best ? a->n : f->o->n_best;
    for (size_t i = 0; i < a->n; i++)
        kept |= is_none(&a->v[i]);
    if ((f->o->may_be_none && !kept) || a->n == 0)
        return put_answer(f, f->none);
    return XR_OK;
}

static void set_probabilities(xr_answers *a)
{
    double best = score(&a->v[0]), sum = 0.0;
    for (size_t i = 1; i < a->n; i++)
        best = score(&a->v[i]) > best ? score(&a->v[i]) : best;
    for (size_t i = 0; i < a->n; i++)
        sum += a->v[i].probability = exp(score(&a->v[i]) - best);
    for (size_t i = 0; i < a->n; i++)
        a->v[i].probability /= sum;
}

/* Without any answer "no answer" is chosen, as unlikely as it may be. */
static void choose(finding *f)
{
    xr_answers *a = f->a;
    size_t best = 0, none = 0;
    while (best < a->n && is_none(&a->v[best]))
        best++;
    while (none < a->n && !is_none(&a->v[none]))
        none++;
    a->null_odds = best < a->n ? score(&f->none) - score(&a->v[best]) : 0.0;
    a->chosen = best == a->n || (f->o->may_be_none && a->null_odds > f->o->null_threshold) ? none : best;
}

static xr_status find(finding *f, size_t question)
{
    const xr_windows *all = &f->d->windows;
    f->start.row = xr_alloc(f->o->n_best, sizeof *f->start.row);
    f->end.row = f->start.row ? xr_alloc(f->o->n_best, sizeof *f->end.row) : NULL;
    if (!f->end.row)
        return xr_error_status();
    for (uint64_t w = all->first[question]; w < all->first[question + 1]; w++)
        XR_TRY(take_window(f, (size_t)w));
    XR_TRY(keep_best(f));
    set_probabilities(f->a);
    choose(f);
    return XR_OK;
}

xr_status xr_answers_find(xr_answers *a, const xr_dataset *d, const float *logits, size_t question, const xr_answer_options *o)
{
    finding f = { .a = a, .d = d, .logits = logits, .o = o };
    a->n = 0;
    xr_status status = find(&f, question);
    xr_free(f.start.row);
    xr_free(f.end.row);
    return status;
}

void xr_answers_free(xr_answers *a)
{
    xr_free(a->v);
    memset(a, 0, sizeof *a);
}

/* ---- a whole set ---- */

/* "\n    ID: " of the next key of an object written with an indent of four. */
static xr_status put_key(xr_str *out, const char *id, int later)
{
    XR_TRY(xr_str_puts(out, later ? ",\n    " : "{\n    "));
    XR_TRY(xr_str_json_string(out, id, strlen(id)));
    return xr_str_puts(out, ": ");
}

static xr_status put_number(xr_str *out, const char *name, double x)
{
    XR_TRY(xr_str_printf(out, "            \"%s\": ", name));
    return xr_str_double(out, x);
}

static xr_status put_one(xr_str *out, const char *passage, const xr_answer *a)
{
    XR_TRY(xr_str_puts(out, "        {\n"));
    XR_TRY(put_number(out, "start_logit", (double)a->start_logit));
    XR_TRY(xr_str_puts(out, ",\n"));
    XR_TRY(put_number(out, "end_logit", (double)a->end_logit));
    XR_TRY(xr_str_puts(out, ",\n            \"text\": "));
    XR_TRY(xr_str_json_string(out, passage + a->begin, a->end - a->begin));
    XR_TRY(xr_str_puts(out, ",\n"));
    XR_TRY(put_number(out, "probability", a->probability));
    return xr_str_puts(out, "\n        }");
}

static xr_status put_nbest(xr_str *out, const char *passage, const xr_answers *a)
{
    XR_TRY(xr_str_puts(out, "[\n"));
    for (size_t i = 0; i < a->n; i++) {
        XR_TRY(put_one(out, passage, &a->v[i]));
        XR_TRY(xr_str_puts(out, i + 1 < a->n ? ",\n" : "\n"));
    }
    return xr_str_puts(out, "    ]");
}

static xr_status put_text(xr_qa_predictions *p, const char *text, size_t len, double null_odds)
{
    XR_TRY(xr_grow(&p->text, &p->cap, p->n + 1, sizeof *p->text));
    XR_TRY(xr_grow(&p->null_odds, &p->cap_odds, p->n + 1, sizeof *p->null_odds));
    p->text[p->n] = xr_strndup(text, len);
    if (!p->text[p->n])
        return xr_error_status();
    p->null_odds[p->n++] = null_odds;
    return XR_OK;
}

xr_status xr_qa_put(xr_qa_predictions *p, const xr_dataset *d, size_t question, const xr_answers *a)
{
    const xr_squad_question *q = &d->windows.questions.v[question];
    const char *passage = d->windows.questions.passage[q->passage].text;
    const xr_answer *chosen = &a->v[a->chosen];
    size_t len = chosen->end - chosen->begin;
    int later = p->n > 0;
    XR_TRY(put_text(p, passage + chosen->begin, len, a->null_odds));
    XR_TRY(put_key(&p->predictions, q->id, later));
    XR_TRY(xr_str_json_string(&p->predictions, passage + chosen->begin, len));
    XR_TRY(put_key(&p->nbest, q->id, later));
    XR_TRY(put_nbest(&p->nbest, passage, a));
    XR_TRY(put_key(&p->odds, q->id, later));
    return xr_str_double(&p->odds, a->null_odds);
}

xr_status xr_qa_finish(xr_qa_predictions *p)
{
    xr_str *texts[] = { &p->predictions, &p->nbest, &p->odds };
    for (size_t k = 0; k < 3; k++)
        XR_TRY(xr_str_puts(texts[k], p->n ? "\n}\n" : "{}\n"));
    return XR_OK;
}

static xr_status predict_all(xr_qa_predictions *p, const xr_dataset *d, const float *logits, const xr_answer_options *o, xr_answers *a)
{
    for (size_t i = 0; i < d->windows.questions.n; i++) {
        XR_TRY(xr_answers_find(a, d, logits, i, o));
        XR_TRY(xr_qa_put(p, d, i, a));
    }
    return xr_qa_finish(p);
}

xr_status xr_qa_predict(xr_qa_predictions *p, const xr_dataset *d, const float *logits, const xr_answer_options *o)
{
    xr_answers a = { 0 };
    memset(p, 0, sizeof *p);
    xr_status status = predict_all(p, d, logits, o, &a);
    xr_answers_free(&a);
    if (status < 0)
        xr_qa_predictions_free(p);
    return status;
}

static xr_status write_one(const char *dir, const char *name, const xr_str *text)
{
    char *path = xr_path_join(dir, name);
    xr_status status = path ? xr_file_write(path, text->s, text->len) : xr_error_status();
    xr_free(path);
    return status;
}

xr_status xr_qa_predictions_write(const xr_qa_predictions *p, const char *dir, int may_be_none)
{
    XR_TRY(xr_mkdirs(dir));
    XR_TRY(write_one(dir, "predictions.json", &p->predictions));
    XR_TRY(write_one(dir, "nbest_predictions.json", &p->nbest));
    return may_be_none ? write_one(dir, "null_odds.json", &p->odds) : XR_OK;
}

void xr_qa_predictions_free(xr_qa_predictions *p)
{
    for (size_t i = 0; i < p->n; i++)
        xr_free(p->text[i]);
    xr_free(p->text);
    xr_free(p->null_odds);
    xr_str_free(&p->predictions);
    xr_str_free(&p->nbest);
    xr_str_free(&p->odds);
    memset(p, 0, sizeof *p);
}
