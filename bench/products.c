/* The products of XLM-R base's layers, forward and backward, one after another over the operands of several layers, so that weights and activations come
 * from where they come from in a step. One line a kind of product: median and best tenth of the calls, GFLOP/s. Run with OPENBLAS_CORETYPE unset.
 * usage: products [tokens] [f32|kept|bf16|int8] [rounds] [threads]      kept: f32 with packed weights, forward only, as int8 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "util/alloc.h"

enum { LAYERS = 8, WIDEST = 3072, SHAPES = 3, KINDS = 3 };

static const size_t shape[SHAPES][2] = {{768, 768}, {3072, 768}, {768, 3072}};     /* outputs, inputs */
static const char *const kind_name[KINDS] = {"forward", "input gradient", "weight gradient"};

static size_t tokens = 1245, rounds = 10;
static const xr_pack_kind *kind = &xr_pack_f32;
static float *x[LAYERS], *dy[LAYERS], *y[LAYERS], *dx, *bias;

/* The weights of one shape, of all layers, and what else its products take. */
typedef struct weights { size_t o, i, bytes; float *w, *dw; char *packed; void *scratch; } weights;

static void *mapped(size_t bytes)
{
    void *p = xr_map_alloc(bytes + 1, 1);
    if (!p) {
        fprintf(stderr, "products: no memory for %zu bytes; give fewer tokens\n", bytes);
        exit(1);
    }
    return p;
}

static float *numbers(size_t n)
{
    float *v = mapped(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)(i * 2654435761u % 8191u) / 4095.5f - 1.0f;
    return v;
}

static weights weights_make(const size_t *size)
{
    weights w = {.o = size[0], .i = size[1]};
    size_t n = w.o * w.i, forward = kind->scratch(tokens, w.o, w.i), backward = kind->grad_scratch ? kind->grad_scratch(tokens, w.o, w.i) : 0;
    w.w = numbers(n * LAYERS);
    w.dw = numbers(n * LAYERS);
    w.scratch = mapped(forward > backward ? forward : backward);
    w.bytes = kind->fill ? kind->bytes(w.o, w.i) : 0;
    w.packed = mapped(w.bytes * LAYERS);
    for (size_t l = 0; l < LAYERS && kind->fill; l++)
        kind->fill(w.packed + l * w.bytes, w.w + l * n, w.o, w.i);
    return w;
}

static double seconds_of(const weights *w, int which, size_t l)
{
    size_t n = w->o * w->i;
    const void *data = kind->fill ? (const void *)(w->packed + l * w->bytes) : w->w + l * n;
    double from = omp_get_wtime();
    if (which == 0)
        kind->multiply(y[l], x[l], data, bias, tokens, w->o, w->i, 0.0f, w->scratch);
    else if (which == 1)
        kind->input_grad(dx, dy[l], w->w + l * n, tokens, w->i, w->o, 0.0f, w->scratch);
    else
        kind->weight_grad(w->dw + l * n, dy[l], x[l], w->o, w->i, tokens, 0.0f, w->scratch);
    return omp_get_wtime() - from;
}

static int by_size(const void *a, const void *b)
{
    double x1 = *(const double *)a, x2 = *(const double *)b;
    return (x1 > x2) - (x1 < x2);
}

static void report(int which, const weights *w, double *seconds, size_t n)
{
    double work = 2e-9 * (double)tokens * (double)w->o * (double)w->i;
    qsort(seconds, n, sizeof *seconds, by_size);
    printf("%-16s %4zu x %4zu  %7.1f GFLOP/s, best tenth %7.1f\n", kind_name[which], w->o, w->i, work / seconds[n / 2], work / seconds[n / 10]);
}

static void run(void)
{
    int kinds = kind->input_grad ? KINDS : 1;
    size_t each = rounds * LAYERS;
    weights w[SHAPES];
    double *seconds = mapped(each * SHAPES * KINDS * sizeof *seconds);
    for (int s = 0; s < SHAPES; s++)
        w[s] = weights_make(shape[s]);
    for (size_t r = 0; r <= rounds; r++)        /* the first one meets new memory and is written over */
        for (int k = 0; k < kinds; k++)
            for (size_t l = 0; l < LAYERS; l++)
                for (int s = 0; s < SHAPES; s++)
                    seconds[(size_t)(k * SHAPES + s) * each + (r > 0 ? r - 1 : 0) * LAYERS + l] = seconds_of(&w[s], k, l);
    for (int k = 0; k < kinds; k++)
        for (int s = 0; s < SHAPES; s++)
            report(k, &w[s], seconds + (size_t)(k * SHAPES + s) * each, each);
}

static const xr_pack_kind *kind_named(const char *name)
{
    static const struct { const char *name; const xr_pack_kind *kind; } all[] = {
        {"f32", &xr_pack_f32}, {"kept", &xr_pack_f32_kept}, {"bf16", &xr_pack_bf16}, {"int8", &xr_pack_int8}};
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        if (strcmp(all[k].name, name) == 0)
            return all[k].kind;
    return NULL;
}

int main(int argc, char **argv)
{
    const char *name = argc > 2 ? argv[2] : "f32";
    tokens = argc > 1 ? strtoul(argv[1], NULL, 10) : tokens;
    rounds = argc > 3 ? strtoul(argv[3], NULL, 10) : rounds;
    kind = kind_named(name);
    if (!kind || tokens == 0 || rounds == 0 || xr_blas_start() != XR_OK) {
        fprintf(stderr, "usage: products [tokens] [f32|kept|bf16|int8] [rounds] [threads]\n");
        return 2;
    }
    xr_threads_set(argc > 4 ? atoi(argv[4]) : xr_threads());
    for (size_t l = 0; l < LAYERS; l++) {
        x[l] = numbers(tokens * WIDEST);
        dy[l] = numbers(tokens * WIDEST);
        y[l] = numbers(tokens * WIDEST);
    }
    dx = numbers(tokens * WIDEST);
    bias = numbers(WIDEST);
    printf("%s, %zu tokens, %d threads, kernels %s\n", name, tokens, xr_threads(), xr_isa_name(xr_cpu_isa()));
    run();
    return 0;
}
