#include "kernels/attention.h"

#include <math.h>
#include <omp.h>

#include "kernels/cpu.h"
#include "kernels/isa/table.h"

enum {
    SERIAL = 1 << 16,   /* score multiply-adds below which one thread does it all */
    LINE = 16,          /* floats of a cache line */
    BF16_KEYS = 64      /* of a sequence at least: with fewer, making words of the operands costs more than their products save */
};

static size_t seq_rows(const xr_rowset *rows, size_t s) { return rows->offset[s + 1] - rows->offset[s]; }

static const xr_isa_attention *kernel_of(const xr_attn_shape *a, size_t s)
{
    return a->bf16 && seq_rows(a->kv, s) >= BF16_KEYS ? xr_kernels()->attention_bf16 : xr_kernels()->attention;
}

/* Floats one thread needs for the largest sequence. */
static size_t per_thread(const xr_attn_shape *a)
{
    size_t most = 0;
    for (size_t s = 0; s < a->kv->n_seq; s++) {
        size_t need = kernel_of(a, s)->scratch(seq_rows(a->q, s), seq_rows(a->kv, s), a->head_dim);
        most = need > most ? need : most;
    }
    return (most + LINE - 1) / LINE * LINE;
}

static int is_small(const xr_attn_shape *a)
{
    return a->q->n * a->heads * a->head_dim * (a->kv->n / (a->kv->n_seq ? a->kv->n_seq : 1)) < SERIAL;
}

/* Heads that one thread does in turn: all of a sequence, which it then meets as a whole, or one, where another thread would wait for the longest. */
static int together(const xr_attn_shape *a)
{
    double all = 0.0, most = 0.0;
    for (size_t s = 0; s < a->kv->n_seq; s++) {
        double work = (double)seq_rows(a->kv, s) * (double)seq_rows(a->kv, s);
        all += work;
        most = work > most ? work : most;
    }
    return 4.0 * xr_threads() * most <= all ? (int)a->heads : 1;
}

size_t xr_attention_scratch(const xr_attn_shape *a) { return per_thread(a) * (size_t)xr_threads(); }

/* Head h of sequence s; the pointers still stand at the whole matrices' starts. */
static xr_attn_head head_of(const xr_attn_shape *a, size_t s, size_t h)
{
    return (xr_attn_head){
        .m = seq_rows(a->q, s), .t = seq_rows(a->kv, s), .k = a->head_dim, .ld = a->heads * a->head_dim, .ld_lse = a->heads,
        .scale = 1.0f / sqrtf((float)a->head_dim), .index = a->q->index + a->q->offset[s], .drop = &a->drop,
        .sample = a->kv->sample[s], .head = (uint32_t)h,
    };
}

void xr_attention_forward(float *restrict o, float *restrict lse, const float *restrict q, const float *restrict k,
                          const float *restrict v, const xr_attn_shape *a, float *restrict scratch)
{
    size_t each = per_thread(a), pairs = a->kv->n_seq * a->heads;
    int chunk = together(a);
#pragma omp parallel for schedule(dynamic, chunk) num_threads(xr_threads()) if (!is_small(a))
    for (size_t i = 0; i < pairs; i++) {
        size_t s = i / a->heads, h = i % a->heads;
        xr_attn_head head = head_of(a, s, h);
        if (head.m == 0)
            continue;
        size_t at_q = a->q->offset[s] * head.ld + h * a->head_dim, at_kv = a->kv->offset[s] * head.ld + h * a->head_dim;
        head.q = q + at_q;
        head.key = k + at_kv;
        head.v = v + at_kv;
        head.o = o + at_q;
        head.lse = lse + a->q->offset[s] * a->heads + h;
        kernel_of(a, s)->forward(&head, scratch + (size_t)omp_get_thread_num() * each);
    }
}

void xr_attention_backward(float *restrict dq, float *restrict dk, float *restrict dv, int acc_q, int acc_k, int acc_v,
                           const float *restrict dout, const float *restrict o, const float *restrict lse, const float *restrict q,
                           const float *restrict k, const float *restrict v, const xr_attn_shape *a, float *restrict scratch)
{
    size_t each = per_thread(a), pairs = a->kv->n_seq * a->heads;
    int chunk = together(a);
#pragma omp parallel for schedule(dynamic, chunk) num_threads(xr_threads()) if (!is_small(a))
    for (size_t i = 0; i < pairs; i++) {
        size_t s = i / a->heads, h = i % a->heads;
        xr_attn_head head = head_of(a, s, h);
        size_t at_q = a->q->offset[s] * head.ld + h * a->head_dim, at_kv = a->kv->offset[s] * head.ld + h * a->head_dim;
        head.q = q + at_q;
        head.key = k + at_kv;
        head.v = v + at_kv;
        head.saved_o = o + at_q;
        head.dout = dout + at_q;
        head.saved_lse = lse + a->q->offset[s] * a->heads + h;
        head.dq = dq + at_q;
        head.dk = dk + at_kv;
        head.dv = dv + at_kv;
        head.acc_q = acc_q;
        head.acc_k = acc_k;
        head.acc_v = acc_v;
        kernel_of(a, s)->backward(&head, scratch + (size_t)omp_get_thread_num() * each);
    }
}
