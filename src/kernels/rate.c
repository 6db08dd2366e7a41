#include "kernels/rate.h"

#include "kernels/gemm.h"
#include "kernels/init.h"
#include "kernels/packed.h"
#include "kernels/spans.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/phase.h"

/* Repeats `work` until `seconds` have passed since its first, untimed run; at least twice. The shortest time. */
static double shortest(void (*work)(void *context), void *context, double seconds)
{
    work(context);
    double began = xr_clock(), best = 0.0, now = began;
    for (int k = 0; k < 2 || now - began < seconds; k++) {
        double before = xr_clock();
        work(context);
        now = xr_clock();
        if (k == 0 || now - before < best)
            best = now - before;
    }
    return best;
}

enum { ROWS = 512, OUT = 3072, IN = 768 };

typedef struct operands {
    const xr_pack_kind *kind;   /* NULL: xr_gemm_nt */
    float *x, *w, *y;
    void *data, *scratch;
    size_t bytes;               /* of all, from x on */
} operands;

static void multiply(void *context)
{
    const operands *o = context;
    if (o->kind)
        o->kind->multiply(o->y, o->x, o->data, NULL, ROWS, OUT, IN, 0.0f, o->scratch);
    else
        xr_gemm_nt(o->y, o->x, o->w, NULL, ROWS, OUT, IN, 0.0f);
}

static int make_operands(operands *o)
{
    size_t x = ROWS * IN * sizeof(float), w = OUT * IN * sizeof(float), y = ROWS * OUT * sizeof(float);
    size_t data = o->kind && o->kind->fill ? xr_whole_lines(o->kind->bytes(OUT, IN)) : 0;
    o->bytes = x + w + y + data + (o->kind ? o->kind->scratch(ROWS, OUT, IN) : 0);
    o->x = xr_map_alloc(o->bytes, 1);
    if (!o->x)
        return 0;
    o->w = o->x + ROWS * IN;
    o->y = o->w + OUT * IN;
    o->data = data ? o->y + ROWS * OUT : o->w;
    o->scratch = (char *)(o->y + ROWS * OUT) + data;
    xr_fill(o->x, ROWS * IN + OUT * IN, 0.5f);
    if (data)
        o->kind->fill(o->data, o->w, OUT, IN);
    return 1;
}

double xr_rate_gemm(const xr_pack_kind *kind, double seconds)
{
    operands o = { .kind = xr_pack_for(kind, ROWS) };
    if (!make_operands(&o))
        return 0.0;
    int watched = xr_phases_watch(0);
    double best = shortest(multiply, &o, seconds);
    xr_phases_watch(watched);
    xr_map_free(o.x, o.bytes);
    return 2e-9 * ROWS * OUT * IN / best;
}

enum { PARAMETERS = 8 << 20 };

static void update(void *context)
{
    static const xr_adamw_scalars s = { .decay = 1.0f, .step_size = 1e-3f, .bias2_sqrt = 1.0f, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .clip = 1.0f,
                                        .rest1 = 0.1f, .rest2 = 0.001f };
    float *p = context;
    const xr_span x = { p, p + PARAMETERS, p + 2 * (size_t)PARAMETERS };
    xr_span_step(xr_span_adamw, &x, p + 3 * (size_t)PARAMETERS, PARAMETERS, &s);
}

double xr_rate_memory(double seconds)
{
    size_t bytes = 4 * (size_t)PARAMETERS * sizeof(float);
    float *memory = xr_map_alloc(bytes, 1);
    if (!memory)
        return 0.0;
    double best = shortest(update, memory, seconds);
    xr_map_free(memory, bytes);
    return 1e-9 * XR_RATE_ADAMW_BYTES * PARAMETERS / best;
}
