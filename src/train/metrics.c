#include "train/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"

xr_status xr_confusion_init(xr_confusion *c, int n)
{
    c->n = n;
    c->count = xr_alloc((size_t)n * (size_t)n, sizeof *c->count);
    return c->count ? XR_OK : xr_error_status();
}

void xr_confusion_free(xr_confusion *c)
{
    xr_free(c->count);
    c->count = NULL;
}

void xr_confusion_add(xr_confusion *c, int gold, int predicted)
{
    XR_ASSERT(gold >= 0 && gold < c->n && predicted >= 0 && predicted < c->n, "gold %d, predicted %d of %d", gold, predicted, c->n);
    c->count[gold * c->n + predicted]++;
}

static uint64_t gold_count(const xr_confusion *c, int k)
{
    uint64_t sum = 0;
    for (int j = 0; j < c->n; j++)
        sum += c->count[k * c->n + j];
    return sum;
}

static uint64_t predicted_count(const xr_confusion *c, int k)
{
    uint64_t sum = 0;
    for (int i = 0; i < c->n; i++)
        sum += c->count[i * c->n + k];
    return sum;
}

static uint64_t right_count(const xr_confusion *c)
{
    uint64_t sum = 0;
    for (int k = 0; k < c->n; k++)
        sum += c->count[k * c->n + k];
    return sum;
}

uint64_t xr_confusion_total(const xr_confusion *c)
{
    uint64_t sum = 0;
    for (int k = 0; k < c->n; k++)
        sum += gold_count(c, k);
    return sum;
}

double xr_confusion_accuracy(const xr_confusion *c)
{
    uint64_t total = xr_confusion_total(c);
    return total ? (double)right_count(c) / (double)total : 0.0;
}

double xr_confusion_majority(const xr_confusion *c)
{
    uint64_t total = xr_confusion_total(c), most = 0;
    for (int k = 0; k < c->n; k++)
        if (gold_count(c, k) > most)
            most = gold_count(c, k);
    return total ? (double)most / (double)total : 0.0;
}

double xr_confusion_macro_f1(const xr_confusion *c)
{
    double sum = 0.0;
    int classes = 0;
    for (int k = 0; k < c->n; k++) {
        uint64_t either = gold_count(c, k) + predicted_count(c, k);
        if (either == 0)
            continue;
        sum += 2.0 * (double)c->count[k * c->n + k] / (double)either;
        classes++;
    }
    return classes ? sum / classes : 0.0;
}

double xr_confusion_mcc(const xr_confusion *c)
{
    double total = (double)xr_confusion_total(c), right = (double)right_count(c);
    double gp = 0.0, gg = 0.0, pp = 0.0;
    for (int k = 0; k < c->n; k++) {
        double g = (double)gold_count(c, k), p = (double)predicted_count(c, k);
        gp += g * p;
        gg += g * g;
        pp += p * p;
    }
    double denominator = (total * total - pp) * (total * total - gg);
    return denominator > 0.0 ? (right * total - gp) / sqrt(denominator) : 0.0;
}

int xr_confusion_single_answer(const xr_confusion *c)
{
    uint64_t total = xr_confusion_total(c);
    for (int k = 0; k < c->n; k++)
        if (total > 0 && predicted_count(c, k) == total)
            return k;
    return -1;
}

int xr_argmax(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* Asked of the values, not of their deviations: the mean of equal numbers is rounded, and what that leaves on both sides correlates perfectly. */
static int is_constant(const float *x, size_t n)
{
    size_t i = 1;
    while (i < n && x[i] == x[0])
        i++;
    return i >= n;
}

double xr_pearson(const float *x, const float *y, size_t n)
{
    if (is_constant(x, n) || is_constant(y, n))
        return 0.0;
    double mx = 0.0, my = 0.0, xx = 0.0, yy = 0.0, xy = 0.0;
    for (size_t i = 0; i < n; i++) {
        mx += (double)x[i] / (double)n;
        my += (double)y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double dx = (double)x[i] - mx, dy = (double)y[i] - my;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    return xx > 0.0 && yy > 0.0 ? xy / sqrt(xx * yy) : 0.0;
}

typedef struct ranked { float value; size_t at; } ranked;

static int by_value(const void *a, const void *b)
{
    float x = ((const ranked *)a)->value, y = ((const ranked *)b)->value;
    return (x > y) - (x < y);
}

/* rank[i] = average rank of x[i], from 1. */
static xr_status average_ranks(const float *x, size_t n, float *rank)
{
    ranked *r = xr_alloc(n, sizeof *r);
    if (!r)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        r[i] = (ranked){ x[i], i };
    qsort(r, n, sizeof *r, by_value);
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && r[j].value == r[i].value; j++)
            ;
        for (size_t k = i; k < j; k++)
            rank[r[k].at] = (float)(i + 1 + j) / 2.0f;
    }
    xr_free(r);
    return XR_OK;
}

typedef struct scored { double score; int gold; } scored;

static int by_score(const void *a, const void *b)
{
    double x = ((const scored *)a)->score, y = ((const scored *)b)->score;
    return (x > y) - (x < y);
}

/* Pairs in the right order, in halves: of a run of equal scores each 1 stands above all 0 before the run and beside those within. */
static double right_pairs(const scored *r, size_t n)
{
    double below = 0.0, halves = 0.0;
    for (size_t i = 0, j; i < n; i = j) {
        double ones = 0.0, zeros = 0.0;
        for (j = i; j < n && r[j].score == r[i].score; j++)
            *(r[j].gold ? &ones : &zeros) += 1.0;
        halves += ones * (2.0 * below + zeros);
        below += zeros;
    }
    return halves;
}

double xr_auc(const double *score, const uint8_t *gold, size_t n, int *defined, xr_status *status)
{
    scored *r = xr_alloc(n, sizeof *r);
    double ones = 0.0;
    *status = r ? XR_OK : xr_error_status();
    for (size_t i = 0; r && i < n; i++) {
        r[i] = (scored){ score[i], gold[i] != 0 };
        ones += r[i].gold;
    }
    double pairs = ones * ((double)n - ones);
    if (defined)
        *defined = pairs > 0.0;
    if (r)
        qsort(r, n, sizeof *r, by_score);
    double auc = r && pairs > 0.0 ? right_pairs(r, n) / (2.0 * pairs) : 0.5;
    xr_free(r);
    return auc;
}

double xr_spearman(const float *x, const float *y, size_t n, xr_status *status)
{
    float *rank = xr_alloc(2 * n, sizeof *rank);
    double rho = 0.0;
    *status = rank ? average_ranks(x, n, rank) : xr_error_status();
    if (*status == XR_OK)
        *status = average_ranks(y, n, rank + n);
    if (*status == XR_OK)
        rho = xr_pearson(rank, rank + n, n);
    xr_free(rank);
    return rho;
}

const char *xr_metric_name(const char *choice, size_t *n)
{
    static const char *const of_several[] = { "mean ", "worst " };
    for (size_t i = 0; i < sizeof of_several / sizeof *of_several; i++)
        if (strncmp(choice, of_several[i], strlen(of_several[i])) == 0)
            choice += strlen(of_several[i]);
    *n = strcspn(choice, " ");
    return choice;
}

int xr_metric_higher_is_better(const char *choice)
{
    static const char *const lower[] = { "loss", "mse", "perplexity" };
    size_t n;
    const char *name = xr_metric_name(choice, &n);
    for (size_t i = 0; i < sizeof lower / sizeof *lower; i++)
        if (strlen(lower[i]) == n && strncmp(lower[i], name, n) == 0)
            return 0;
    return 1;
}
