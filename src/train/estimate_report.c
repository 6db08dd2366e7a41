#include "kernels/cpu.h"
#include "train/estimate.h"

static double mib(double bytes) { return bytes / 1048576.0; }

static json_t *memory_json(const xr_estimate *e)
{
    json_t *j = json_object();
    for (int c = 0; c < XR_N_MEMORY; c++)
        json_object_set_new(j, xr_memory_name((xr_memory_class)c), json_real(mib(e->memory[c])));
    json_object_set_new(j, "total", json_real(mib(e->memory_total)));
    return j;
}

static json_t *flops_json(const xr_flops *f)
{
    return json_pack("{sf sf sf sf sf}", "encoder", f->encoder * 1e-9, "attention", f->attention * 1e-9, "head", f->head * 1e-9, "again", f->again * 1e-9,
                     "all", xr_flops_all(f) * 1e-9);
}

static json_t *machine_json(const xr_estimate *e)
{
    const xr_machine *m = &e->machine;
    return json_pack("{sf sf si sf sf}", "memory_mb", mib(xr_machine_memory(m)), "available_mb", mib(m->available), "threads", xr_threads(), "gemm_gflops",
                     e->gemm_gflops, "memory_gb_per_s", e->memory_gbs);
}

static json_t *expected_json(const xr_estimate *e, const xr_estimate_run *r)
{
    json_t *j = json_pack("{sf sf sf sf}", "tokens_per_s", e->tokens_per_s, "update_s", e->update_s, "gflops", xr_flops_all(&e->flops) * 1e-9 / e->update_s,
                          "gemm_share", xr_flops_all(&e->flops) * 1e-9 / e->update_s / e->gemm_gflops);
    if (j && r->steps > 0) {
        json_object_set_new(j, "training_s", json_real(e->train_s));
        json_object_set_new(j, "evaluation_s", json_real(e->evaluation_s));
    }
    return j;
}

static json_t *remedy_json(const xr_estimate *e)
{
    const xr_estimate_remedy *m = &e->remedy;
    return json_pack("{sI sb sf sb}", "micro_batch_size", (json_int_t)m->micro, "recompute", m->recompute, "memory_mb", mib(m->memory), "fits",
                     m->memory <= xr_machine_memory(&e->machine));
}

json_t *xr_estimate_json(const xr_estimate *e, const xr_estimate_run *r)
{
    json_t *j = json_pack("{ss sI ss s{sf sf sf} so so sf so so s{sf sf sf} sb}", "command", xr_verb_name(r->o->verb & XR_V_TRAIN), "parameters",
                          (json_int_t)xr_params_count(&r->model->params), "lengths", r->lengths, "update", "tokens", e->tokens, "sequences", e->sequences,
                          "micro_batches", e->micro_batches, "memory_mb", memory_json(e), "gflop", flops_json(&e->flops), "optimizer_mb",
                          mib(e->optimizer_bytes), "machine", machine_json(e), "expected", expected_json(e, r), "disk_mb", "checkpoint",
                          mib(e->checkpoint_bytes), "model", mib(e->model_bytes), "all", mib(e->disk_bytes), "fits", e->fits);
    if (j && r->steps > 0)
        json_object_set_new(json_object_get(j, "update"), "in_all", json_integer((json_int_t)r->steps));
    if (j && !e->fits)
        json_object_set_new(j, "remedy", remedy_json(e));
    if (!j)
        xr_fail(XR_ESYSTEM, "no memory for the estimate");
    return j;
}
