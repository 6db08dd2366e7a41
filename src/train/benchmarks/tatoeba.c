/* Tatoeba, and users' own parallel lines: for each line of A-B.B its nearest line of A-B.A, as XTREME searches; reverse is the same from A to B.
 *
 * What is right: numbers of lines of A, one for each line of B, in {split}-{A}.tsv; without that file line i belongs to line i, unless B is
 * sorted as XTREME sorts it, whose answers are not published. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/source.h"
#include "train/benchmark.h"
#include "train/retrieval.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

typedef struct parallel {
    xr_lines a, b;
    uint32_t *gold;             // [b.n] lines of a; NULL: not known
    uint32_t *found;            // [b.n] lines of a
    float *found_product, *gold_product;        // [b.n] products with the line found, and with the right one; NULL: not known
} parallel;

static xr_status find(xr_evaluation *e)
{
    if (strcmp(e->o->split, "test") != 0)
        return xr_fail(XR_EUSAGE, "--split %s: Tatoeba has one set of lines, test; leave it out", e->o->split);
    return xr_retrieval_find(e, "");
}

static xr_status open_model(xr_evaluation *e)
{
    if (e->o->label_map)
        return xr_fail(XR_EUSAGE, "--label-map: --task %s has no labels; leave it out", e->o->task);
    return xr_retrieval_layer(e->context, e->o) < 0 ? xr_error_status() : XR_OK;
}

/* ---- what is right ---- */

/* Python sorts by code points, which is the order of UTF-8's bytes. */
static int is_sorted(const xr_lines *l)
{
    size_t i = 1;
    while (i < l->n && strcmp(l->bytes.s + l->text[i - 1], l->bytes.s + l->text[i]) <= 0)
        i++;
    return l->n > 9 && i == l->n;
}

static xr_status take_numbers(const parallel *p, xr_stream *s, const char *path, uint32_t *out)
{
    char *line;
    size_t len, n = 0;
    int got;
    while ((got = xr_stream_line(s, &line, &len)) > 0) {
        long long value;
        if (!xr_parse_int(line, &value) || value < 0 || (unsigned long long)value >= p->a.n)
            return xr_fail(XR_EDATA, "%s:%zu: '%.40s' is no line of the %zu; expected their numbers from 0; is this file of other data?", path, n + 1, line,
                           p->a.n);
        if (n < p->b.n)
            out[n] = (uint32_t)value;
        n++;
    }
    XR_TRY(got);
    return n == p->b.n ? XR_OK : xr_fail(XR_EDATA, "%s: %zu numbers for %zu lines; expected one for each; is this file of other data?", path, n, p->b.n);
}

static xr_status read_numbers(const parallel *p, const char *path, uint32_t *out)    // [p->b.n]
{
    xr_stream *s = xr_stream_open(path);
    if (!s)
        return xr_error_status();
    xr_status status = take_numbers(p, s, path, out);
    xr_stream_close(s);
    return status;
}

static xr_status line_by_line(const xr_evaluation *e, const xr_scored *s, parallel *p)
{
    if (is_sorted(&p->b) && e->o->max_eval_samples == 0) {
        xr_info("%s: the other language's lines are sorted, so they are not parallel (XTREME's copy): predictions only", s->path);
        xr_free(p->gold);
        p->gold = NULL;
        return XR_OK;
    }
    if (p->a.n != p->b.n)
        return xr_fail(XR_EDATA, "%s: %zu lines, and %zu in the other language; expected as many, line i the translation of line i; or give the right "
                       "lines in %s-%s.tsv", s->path, p->a.n, p->b.n, e->o->split, s->language);
    for (size_t i = 0; i < p->b.n; i++)
        p->gold[i] = (uint32_t)i;
    return XR_OK;
}

static xr_status find_gold(const xr_evaluation *e, const xr_scored *s, parallel *p)
{
    char *path = xr_asprintf("%s/%s-%s.tsv", e->o->data_dir, e->o->split, s->language);
    p->gold = path ? xr_alloc(p->b.n, sizeof *p->gold) : NULL;
    xr_status status = !p->gold ? xr_error_status() : xr_path_exists(path) ? read_numbers(p, path, p->gold) : line_by_line(e, s, p);
    xr_free(path);
    return status;
}

static xr_status read_pair(xr_evaluation *e, xr_scored *s)
{
    parallel *p = s->private = xr_alloc(1, sizeof *p);
    const xr_tokenizer *tok = e->context->tokenizer;
    size_t max = (size_t)e->o->max_eval_samples;
    char *other = NULL;
    XR_TRY(p ? xr_lines_read(&p->a, s->path, 0, tok, e->max_len, max) : xr_error_status());
    XR_TRY(xr_retrieval_path(s, "", "B", &other));
    xr_status status = other ? xr_lines_read(&p->b, other, 0, tok, e->max_len, max)
                             : xr_fail(XR_ENOINPUT, "%s: the file of the other language is not beside it; expected both; add it", s->path);
    xr_free(other);
    XR_TRY(status);
    xr_lines_count(s, &p->a);
    xr_lines_count(s, &p->b);
    XR_TRY(find_gold(e, s, p));
    s->n_rows = p->b.n;
    s->n = p->gold ? p->b.n : 0;
    s->labelled = s->n > 0;
    return XR_OK;
}

static xr_status predicted(xr_evaluation *e, xr_scored *s, const char *path)
{
    parallel *p = s->private;
    (void)e;
    p->found = xr_alloc(p->b.n, sizeof *p->found);
    return p->found ? read_numbers(p, path, p->found) : xr_error_status();
}

/* ---- search ---- */

static xr_status count_right(xr_scored *s)
{
    const parallel *p = s->private;
    size_t right = 0;
    if (!s->labelled)
        return XR_OK;
    XR_TRY(xr_scored_parts(s, p->b.n, 1));
    for (size_t i = 0; i < p->b.n; i++) {
        s->part[i] = p->found[i] == p->gold[i];
        right += p->found[i] == p->gold[i];
    }
    xr_scored_set(s, "accuracy", (double)right / (double)p->b.n);
    return XR_OK;
}

static xr_status put_found(xr_scored *s, const xr_neighbours *of_a, const xr_neighbours *of_b)
{
    parallel *p = s->private;
    size_t back = 0;
    p->found = xr_alloc(p->b.n, sizeof *p->found);
    p->found_product = p->found ? xr_alloc(p->b.n, sizeof *p->found_product) : NULL;
    XR_TRY(p->found_product ? XR_OK : xr_error_status());
    for (size_t i = 0; i < p->b.n; i++) {
        p->found[i] = p->a.line[of_b->index[p->b.vector[i]]];
        p->found_product[i] = of_b->product[p->b.vector[i]];
    }
    XR_TRY(count_right(s));
    for (size_t i = 0; i < p->a.n && s->labelled; i++)
        back += p->gold[p->b.line[of_a->index[p->a.vector[i]]]] == i;
    if (s->labelled)
        xr_scored_set(s, "reverse", (double)back / (double)p->a.n);
    return XR_OK;
}

/* How near the right lines are, for the list of errors. */
static xr_status measure_right(parallel *p, const float *a, const float *b, size_t H)    // [a.data.n, H], [b.data.n, H]
{
    p->gold_product = p->gold ? xr_alloc(p->b.n, sizeof *p->gold_product) : NULL;
    if (p->gold && !p->gold_product)
        return xr_error_status();
    for (size_t i = 0; p->gold && i < p->b.n; i++) {
        const float *x = a + p->a.vector[p->gold[i]] * H, *y = b + p->b.vector[i] * H;
        for (size_t j = 0; j < H; j++)
            p->gold_product[i] += x[j] * y[j];
    }
    return XR_OK;
}

static xr_status search(xr_evaluation *e, xr_scored *s, const float *a, const float *b, const xr_evaluate_hooks *h)
{
    parallel *p = s->private;
    size_t H = (size_t)e->context->model.config.hidden_size;
    xr_neighbours of_a, of_b;
    xr_retrieval_begin(s, p->a.data.n, h);
    XR_TRY(measure_right(p, a, b, H));
    XR_TRY(xr_knn(&of_a, &of_b, a, p->a.data.n, b, p->b.data.n, H, 1, h ? h->progress : NULL, h ? h->context : NULL));
    xr_status status = put_found(s, &of_a, &of_b);
    xr_neighbours_free(&of_a);
    xr_neighbours_free(&of_b);
    return status;
}

static xr_status score(xr_evaluation *e, xr_scored *s, const xr_evaluate_hooks *h)
{
    parallel *p = s->private;
    if (e->o->predictions)
        return count_right(s);
    float *a = xr_retrieval_vectors(e, s, &p->a.data, h), *b = a ? xr_retrieval_vectors(e, s, &p->b.data, h) : NULL;
    xr_status status = b ? search(e, s, a, b, h) : xr_fail_context("%s", s->path);
    xr_free(a);
    xr_free(b);
    return status;
}

static const xr_report_column *columns(const xr_evaluation *e)
{
    static const xr_report_column shown[] = { { "accuracy", "accuracy" }, { "reverse", "reverse" }, { 0 } };
    (void)e;
    return shown;
}

static double accuracy(const double *sum, size_t n_parts, size_t n_units)
{
    (void)n_parts;
    return n_units ? sum[0] / (double)n_units : 0.0;
}

static xr_status predictions(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    const parallel *p = s->private;
    (void)e;
    for (size_t i = 0; i < p->b.n; i++)
        XR_TRY(xr_str_printf(out, "%u\n", p->found[i]));
    return XR_OK;
}

static json_t *details(const xr_evaluation *e, const xr_scored *s)
{
    const parallel *p = s->private;
    if (e->o->predictions)
        return json_pack("{sI}", "lines", (json_int_t)p->a.n);
    return json_pack("{si ss sI sI}", "layer", xr_retrieval_layer(e->context, e->o), "pooling", e->o->pooling, "lines", (json_int_t)p->a.n, "distinct",
                     (json_int_t)p->a.data.n);
}

/* The further the found line is ahead of the right one, the worse. */
static xr_status error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const parallel *p = s->private;
    const xr_lines *a = &p->a, *b = &p->b;
    (void)e;
    int wrong = p->gold && p->found[i] != p->gold[i];
    *badness = !wrong ? 0.0 : p->gold_product ? fmax((double)(p->found_product[i] - p->gold_product[i]), DBL_MIN) : 1.0;
    if (!line || !p->gold)
        return XR_OK;
    json_object_set_new(line, "gold", json_string(a->bytes.s + a->text[p->gold[i]]));
    json_object_set_new(line, "predicted", json_string(a->bytes.s + a->text[p->found[i]]));
    json_object_set_new(line, "text", json_string(b->bytes.s + b->text[i]));
    if (p->gold_product) {
        json_object_set_new(line, "similarity", json_real((double)p->found_product[i]));
        json_object_set_new(line, "gold_similarity", json_real((double)p->gold_product[i]));
    }
    return XR_OK;
}

static void free_pair(xr_scored *s)
{
    parallel *p = s->private;
    if (!p)
        return;
    xr_lines_free(&p->a);
    xr_lines_free(&p->b);
    xr_free(p->gold);
    xr_free(p->found);
    xr_free(p->found_product);
    xr_free(p->gold_product);
    xr_free(p);
    s->private = NULL;
}

const xr_benchmark xr_benchmark_tatoeba = {
    .name = "tatoeba", .title = "Tatoeba", .units = "sentences", .ending = ".tsv",
    .options = xr_retrieval_options,
    .find = find, .open = open_model, .read = read_pair, .predicted = predicted, .score = score, .columns = columns, .main_figure = accuracy,
    .predictions = predictions, .details = details, .error = error, .free = free_pair,
};
