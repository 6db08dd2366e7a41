#include "train/estimate.h"

#include <math.h>
#include <string.h>

#include "kernels/packed.h"
#include "kernels/rate.h"
#include "train/runlog.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/str.h"

/* Updates that are looked at, and tokens after which no more are. Without data the vocabulary's rows that will be touched are a guess: what the
 * English training set of XNLI uses. */
enum { MOST_UPDATES = 100, MOST_TOKENS = 1 << 20, ROWS_GUESSED = 30000 };

/* Code and buffers of logs and of saving a model, which an estimate never runs: seen as the difference of runs of `nano`. */
enum { SAVING_BYTES = 2 << 20 };

const char *xr_memory_name(xr_memory_class c)
{
    static const char *const name[] = { "weights", "packed_weights", "gradients", "moments", "activations", "activation_gradients", "scratch",
                                        "evaluation", "data", "program" };
    return name[c];
}

/* --- the updates of the run --------------------------------------------------------------------------------------- */

typedef struct survey {
    xr_estimate *e;
    const xr_estimate_run *run;
    xr_batch_buffer largest;    /* shape of the micro-batch with most tokens */
    uint8_t *touched;           // [V] of the updates looked at
    size_t rows, most_rows;     /* touched by the update now, and by any */
    uint32_t *seen;             // [V] the update that touched a row last, from 1
    uint64_t updates;
    int all;                    /* every update of the run was looked at */
} survey;

static void touch(survey *s, const xr_batch *b)
{
    for (size_t i = 0; i < b->rows.n; i++) {
        size_t id = (size_t)b->id[i];
        s->rows += s->seen[id] != (uint32_t)s->updates + 1;
        s->seen[id] = (uint32_t)s->updates + 1;
        s->touched[id] = 1;
    }
}

static void add_flops(xr_flops *sum, const xr_flops *f)
{
    sum->encoder += f->encoder;
    sum->attention += f->attention;
    sum->head += f->head;
    sum->again += f->again;
}

static xr_status look_at_batch(survey *s, const xr_batch *b)
{
    xr_flops f = xr_model_flops(s->run->model, b, 1);
    add_flops(&s->e->flops, &f);
    s->e->tokens += (double)b->rows.n;
    s->e->sequences += (double)b->rows.n_seq;
    s->e->micro_batches += 1.0;
    touch(s, b);
    return b->rows.n > s->largest.view.rows.n ? xr_estimate_batch(&s->largest, b, b->rows.n_seq, s->run->model) : XR_OK;
}

static xr_status look_at_update(survey *s, uint64_t step)
{
    int n = s->run->begin_step(s->run->context, step);
    s->rows = 0;
    for (int k = 0; k < n; k++) {
        const xr_batch *b = s->run->micro_batch(s->run->context, k);
        XR_TRY(b ? look_at_batch(s, b) : xr_error_status());
    }
    s->most_rows = s->rows > s->most_rows ? s->rows : s->most_rows;
    s->updates++;
    return n < 0 ? (xr_status)n : XR_OK;
}

/* Updates spread over the run, or over an epoch if that is shorter. */
static xr_status look_at_updates(survey *s)
{
    const xr_estimate_run *r = s->run;
    uint64_t of = r->steps;
    if (r->steps_per_epoch > 0 && (of == 0 || r->steps_per_epoch < of))
        of = r->steps_per_epoch;
    uint64_t n = of == 0 ? 1 : of < MOST_UPDATES ? of : MOST_UPDATES;
    for (uint64_t k = 0; k < n && s->e->tokens < MOST_TOKENS; k++)
        XR_TRY(look_at_update(s, k * (of ? of : 1) / n));
    s->all = s->updates == r->steps;
    return XR_OK;
}

static void divide(xr_estimate *e, double n)
{
    e->tokens /= n;
    e->sequences /= n;
    e->micro_batches /= n;
    e->flops = (xr_flops){ e->flops.encoder / n, e->flops.attention / n, e->flops.head / n, e->flops.again / n };
}

static xr_status survey_init(survey *s)
{
    size_t v = (size_t)s->run->model->config.vocab_size;
    s->touched = xr_alloc(v, sizeof *s->touched);
    s->seen = s->touched ? xr_alloc(v, sizeof *s->seen) : NULL;
    return s->seen ? XR_OK : xr_error_status();
}

static void survey_free(survey *s)
{
    xr_batch_free(&s->largest);
    xr_free(s->touched);
    xr_free(s->seen);
}

/* --- memory of the parameters -------------------------------------------------------------------------------------- */

static double bytes_of(const xr_param *p) { return (double)xr_numel(&p->t) * sizeof(float); }

static int is_list(const xr_param *p) { return (p->flags & XR_PARAM_ROW_GRAD) != 0; }

/* Moments of a row that is never touched stay pages that nobody touches; others are paged in whole. */
static double pages_touched(const survey *s, const xr_param *p)
{
    enum { PAGE = 4096 };
    size_t row = p->t.cols * sizeof(float), last = SIZE_MAX, n = 0;
    for (size_t r = 0; r < p->t.rows; r++)
        for (size_t page = r * row / PAGE; s->touched[r] && page <= ((r + 1) * row - 1) / PAGE; page++) {
            n += page != last;
            last = page;
        }
    return (double)n * PAGE;
}

/* All rows of the data, unless the updates looked at were all there are. */
static void complete_touched(survey *s, int is_made_up)
{
    const xr_estimate_run *r = s->run;
    size_t v = (size_t)r->model->config.vocab_size, guessed = ROWS_GUESSED < v ? ROWS_GUESSED : v;
    for (uint64_t i = 0; !s->all && i < r->n_ids; i++)
        s->touched[r->ids[i]] = 1;
    for (size_t k = 0; is_made_up && k < guessed; k++)
        s->touched[k * v / guessed] = 1;
}

static void add_list(const survey *s, const xr_param *p, double n_moments)
{
    double per_row = sizeof(uint8_t) + sizeof(uint32_t);     /* of the deferred updates: live, last */
    s->e->memory[XR_MEMORY_GRADIENTS] += (double)p->t.rows * sizeof(int32_t) + (double)s->most_rows * (double)p->t.cols * sizeof(float);
    s->e->memory[XR_MEMORY_MOMENTS] += (double)p->t.rows * per_row + n_moments * pages_touched(s, p);
}

/* Numbers that an update changes; with each its moments are read and written, and its gradient read twice, for the norm too, and set to zero. */
static double moved(const survey *s, const xr_param *p)
{
    return is_list(p) ? (double)s->most_rows * (double)p->t.cols : (double)xr_numel(&p->t);
}

static void add_parameters(survey *s)
{
    xr_estimate *e = s->e;
    const xr_params *ps = &s->run->model->params;
    double n_moments = xr_rule_find(s->run->o->optimizer)->n_moments * (xr_setup_moments(s->run->o) == XR_MOMENTS_BF16 ? 0.5 : 1.0);   /* of f32 */
    for (size_t i = 0; i < ps->n; i++) {
        const xr_param *p = ps->row[i];
        e->memory[XR_MEMORY_WEIGHTS] += bytes_of(p);
        if (p->pack && p != s->run->model->word)        /* the head's kernels round the vocabulary's rows as they go */
            e->memory[XR_MEMORY_PACKED] += (double)p->pack->bytes(p->t.rows, p->t.cols);
        if (!p->t.needs)
            continue;
        int late = (p->flags & XR_PARAM_LATE_GRAD) != 0;
        if (s->run->o->ema > 0.0)
            e->memory[XR_MEMORY_MOMENTS] += bytes_of(p);        /* the average of the weights is the optimizer's too */
        e->optimizer_bytes += moved(s, p) * sizeof(float) * (2.0 * (1 + n_moments) + (late ? 0.0 : 3.0));
        if (is_list(p)) {
            add_list(s, p, n_moments);
        } else {
            e->memory[XR_MEMORY_GRADIENTS] += late ? 0.0 : bytes_of(p);
            e->memory[XR_MEMORY_MOMENTS] += n_moments * bytes_of(p);
        }
    }
}

/* --- memory of a pass ---------------------------------------------------------------------------------------------- */

/* The tape's arenas ask for huge pages, each of which is there as a whole. */
static double huge_pages(size_t bytes)
{
    const size_t huge = (size_t)2 << 20;
    return (double)((bytes + huge - 1) / huge * huge);
}

static xr_status add_tape(survey *s)
{
    xr_tape_bytes t;
    double *memory = s->e->memory;
    XR_TRY(xr_estimate_tape(&t, s->run->model, &s->largest.view, 1));
    memory[XR_MEMORY_ACTIVATIONS] = huge_pages(t.activations) + huge_pages(t.nodes);
    memory[XR_MEMORY_FLOW] = huge_pages(t.gradients);
    memory[XR_MEMORY_SCRATCH] = huge_pages(t.scratch);
    return XR_OK;
}

/* Evaluation has a tape of its own beside that of training, over batches like the largest of training. */
static xr_status add_evaluation(survey *s)
{
    xr_tape_bytes t;
    const xr_estimate_run *r = s->run;
    double largest = (double)s->largest.view.rows.n;
    if (r->evaluations == 0)
        return XR_OK;
    XR_TRY(xr_estimate_tape(&t, r->model, &s->largest.view, 0));
    double tokens = (double)(r->eval_tokens < r->eval_batch_tokens ? r->eval_tokens : r->eval_batch_tokens);
    double part = tokens > 0.0 ? tokens / largest : 1.0;
    s->e->memory[XR_MEMORY_EVALUATION] = huge_pages((size_t)(part * (double)t.activations)) + huge_pages((size_t)(part * (double)t.nodes)) +
                                         huge_pages((size_t)(part * (double)t.scratch));
    return XR_OK;
}

static double total(const double *memory)
{
    double sum = 0.0;
    for (int c = 0; c < XR_N_MEMORY; c++)
        sum += memory[c];
    return sum;
}

/* --- what would fit ------------------------------------------------------------------------------------------------ */

static xr_status try_remedy(survey *s, xr_batch_buffer *b, size_t n_seq, int recompute, xr_estimate_remedy *out)
{
    xr_tape_bytes t;
    xr_model *m = s->run->model;
    const double *memory = s->e->memory;
    int before = m->recompute;
    XR_TRY(xr_estimate_batch(b, &s->largest.view, n_seq, m));
    m->recompute = recompute;
    xr_status status = xr_estimate_tape(&t, m, &b->view, 1);
    m->recompute = before;
    XR_TRY(status);
    double rest = s->e->memory_total - memory[XR_MEMORY_ACTIVATIONS] - memory[XR_MEMORY_FLOW] - memory[XR_MEMORY_SCRATCH];
    size_t examples = s->run->micro * b->view.rows.n_seq / s->largest.view.rows.n_seq;
    *out = (xr_estimate_remedy){ examples > 0 ? examples : 1, recompute, rest + (double)(t.activations + t.nodes + t.gradients + t.scratch) };
    return XR_OK;
}

/* Fewer sequences at once first, since that costs least time; then layers computed again; the least there is when nothing fits. */
static xr_status find_remedy(survey *s)
{
    xr_batch_buffer b = { 0 };
    xr_estimate_remedy *r = &s->e->remedy;
    double most = xr_machine_memory(&s->e->machine);
    xr_status status = XR_OK;
    for (int recompute = s->run->model->recompute; recompute <= 1 && status == XR_OK; recompute++)
        for (size_t n = s->largest.view.rows.n_seq; n >= 1 && status == XR_OK; n /= 2) {
            status = try_remedy(s, &b, n, recompute, r);
            if (status == XR_OK && r->memory <= most) {
                xr_batch_free(&b);
                return XR_OK;
            }
        }
    xr_batch_free(&b);
    return status;
}

/* --- time and disk ------------------------------------------------------------------------------------------------- */

/* Evaluation is forward alone: a third of the operations of training. */
static void add_time(survey *s)
{
    xr_estimate *e = s->e;
    double forward = (e->flops.encoder + e->flops.attention + e->flops.head) / 3.0 / e->tokens;
    e->update_s = xr_flops_all(&e->flops) * 1e-9 / e->step_gflops + e->optimizer_bytes * 1e-9 / e->memory_gbs;
    e->tokens_per_s = e->tokens / e->update_s;
    e->train_s = e->update_s * (double)s->run->steps;
    e->evaluation_s = (double)s->run->evaluations * (double)s->run->eval_tokens * forward * 1e-9 / e->step_gflops;
}

/* Every one of these is also kept for good: those whose step is a multiple of both. */
static double kept_for_good(const xr_options *o, uint64_t steps)
{
    uint64_t a = (uint64_t)o->save_steps, b = (uint64_t)o->keep_every;
    if (a == 0 || b == 0)
        return 0.0;
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return floor((double)steps / ((double)o->save_steps / (double)a * (double)o->keep_every));
}

static void add_disk(survey *s)
{
    xr_estimate *e = s->e;
    const xr_options *o = s->run->o;
    double time = xr_parse_time(o->save_time);
    double by_steps = o->save_steps > 0 ? floor((double)s->run->steps / (double)o->save_steps) : 0.0;
    double by_time = time > 0.0 ? floor((e->train_s + e->evaluation_s) / time) : 0.0;
    double saves = fmax(1.0, by_steps + by_time);
    double newest = o->save_total_limit > 0 ? (double)o->save_total_limit : saves, best = s->run->evaluations > 0 ? 1.0 : 0.0;
    double kept = fmin(saves, newest + best + kept_for_good(o, s->run->steps));
    e->model_bytes = e->memory[XR_MEMORY_WEIGHTS];
    e->checkpoint_bytes = e->memory[XR_MEMORY_WEIGHTS] + e->memory[XR_MEMORY_MOMENTS];
    e->disk_bytes = (kept + 1.0) * e->checkpoint_bytes + e->model_bytes * (s->run->evaluations > 0 ? 2.0 : 1.0);  /* one more while it is written */
}

static xr_status measure(survey *s)
{
    xr_estimate *e = s->e;
    double before = xr_rss_mb(0);
    XR_TRY(xr_estimate_speed(&e->step_gflops, s->run->model, &s->largest.view));
    e->gemm_gflops = xr_rate_gemm(s->run->model->layer[0].query_w->pack, 0.2);
    e->memory_gbs = e->gemm_gflops > 0.0 ? xr_rate_memory(0.2) : 0.0;
    double grown = (xr_rss_mb(0) - before) * 1048576.0;     /* buffers of libraries, which a run has too */
    e->memory[XR_MEMORY_PROGRAM] = s->run->program + (grown > 0.0 ? grown : 0.0) + (double)SAVING_BYTES;
    return e->memory_gbs > 0.0 ? XR_OK : xr_error_status();
}

static xr_status make(survey *s)
{
    xr_estimate *e = s->e;
    XR_TRY(survey_init(s));
    xr_trainer_choose_gradients(s->run->model, s->run->o->max_grad_norm, s->run->micro >= s->run->batch);
    XR_TRY(look_at_updates(s));
    divide(e, (double)s->updates);
    complete_touched(s, s->run->n_ids == 0);
    add_parameters(s);
    XR_TRY(add_tape(s));
    XR_TRY(add_evaluation(s));
    XR_TRY(measure(s));
    e->memory[XR_MEMORY_DATA] = s->run->data;
    e->memory_total = total(e->memory);
    e->machine = xr_machine_look();
    e->fits = e->memory_total <= xr_machine_memory(&e->machine);
    add_time(s);
    add_disk(s);
    return e->fits ? XR_OK : find_remedy(s);
}

xr_status xr_estimate_make(xr_estimate *e, const xr_estimate_run *run)
{
    survey s = { .e = e, .run = run };
    memset(e, 0, sizeof *e);
    xr_status status = make(&s);
    survey_free(&s);
    return status;
}
