/* xlmr estimate: what a run will take, before it is begun (train/estimate.h). This file lays it out. */
#include <string.h>

#include "cli/cmd.h"
#include "train/estimate.h"

static const json_t *at(const json_t *j, const char *part) { return json_object_get(j, part); }

static double number(const json_t *j, const char *part, const char *key)
{
    return json_number_value(at(part ? at(j, part) : j, key));
}

/* "3 h 20 min" */
static const char *duration(double s, char out[48])
{
    long minutes = (long)(s / 60.0);
    if (s < 120.0)
        snprintf(out, 48, "%.3g s", s);
    else if (minutes < 120)
        snprintf(out, 48, "%ld min", minutes);
    else if (minutes < 48 * 60)
        snprintf(out, 48, "%ld h %ld min", minutes / 60, minutes % 60);
    else
        snprintf(out, 48, "%ld days %ld h", minutes / 1440, minutes % 1440 / 60);
    return out;
}

static xr_status print_memory(const json_t *j)
{
    static const struct { const char *key, *text; } row[] = {
        { "weights", "weights" }, { "packed_weights", "packed copies of weights" }, { "gradients", "gradients" }, { "moments", "moments of the optimizer" },
        { "activations", "activations" }, { "activation_gradients", "gradients of activations" }, { "scratch", "scratch" },
        { "evaluation", "evaluation" }, { "data", "tokenizer and data" }, { "program", "program and libraries" }, { "total", "together" },
    };
    for (size_t k = 0; k < sizeof row / sizeof *row; k++)
        if (number(j, "memory_mb", row[k].key) >= 0.5)
            XR_TRY(xr_out("  %-28s%10.0f MiB\n", row[k].text, number(j, "memory_mb", row[k].key)));
    return XR_OK;
}

static xr_status print_work(const json_t *j)
{
    double all = number(j, "gflop", "all");
    XR_TRY(xr_out("an update: %.0f tokens of %.0f sequences in %.3g micro-batches; lengths by %s\n", number(j, "update", "tokens"),
                  number(j, "update", "sequences"), number(j, "update", "micro_batches"), json_string_value(at(j, "lengths"))));
    XR_TRY(xr_out("  %-28s%10.1f GFLOP: encoder %.1f, attention %.1f, head %.1f", "products", all, number(j, "gflop", "encoder"),
                  number(j, "gflop", "attention"), number(j, "gflop", "head")));
    XR_TRY(xr_out(", of these again in backward %.1f\n", number(j, "gflop", "again")));
    return xr_out("  %-28s%10.0f MiB read and written\n", "optimizer", number(j, NULL, "optimizer_mb"));
}

static xr_status print_time(const json_t *j)
{
    char text[2][48];
    XR_TRY(xr_out("expected on this machine, %.0f threads: products %.0f GFLOP/s, memory %.1f GB/s as measured now\n", number(j, "machine", "threads"),
                  number(j, "machine", "gemm_gflops"), number(j, "machine", "memory_gb_per_s")));
    XR_TRY(xr_out("  %-28s%10.0f tokens/s, %.0f GFLOP/s: %.0f %% of the machine's products\n", "training", number(j, "expected", "tokens_per_s"),
                  number(j, "expected", "gflops"), 100.0 * number(j, "expected", "gemm_share")));
    XR_TRY(xr_out("  %-28s%13s\n", "an update", duration(number(j, "expected", "update_s"), text[0])));
    if (!at(at(j, "expected"), "training_s"))
        return xr_out("  %-28s%13s\n", "the run", "not known without data or --max-steps");
    return xr_out("  %-28s%13s for %.0f updates, and %s for evaluation\n", "the run", duration(number(j, "expected", "training_s"), text[0]),
                  number(j, "update", "in_all"), duration(number(j, "expected", "evaluation_s"), text[1]));
}

static xr_status print_verdict(const json_t *j)
{
    double most = number(j, "machine", "memory_mb"), available = number(j, "machine", "available_mb"), total = number(j, "memory_mb", "total");
    int again = json_is_true(at(at(j, "remedy"), "recompute"));
    if (json_is_true(at(j, "fits")) && total <= available)
        return xr_out("fits: %.0f MiB of %.0f, %.0f available now\n", total, most, available);
    if (json_is_true(at(j, "fits")))
        return xr_out("fits %.0f MiB, but only %.0f are available now: other programs hold the rest\n", most, available);
    XR_TRY(xr_out("does not fit: the machine, or the limit of this control group, has %.0f MiB\n", most));
    if (json_is_true(at(at(j, "remedy"), "fits")))
        return xr_out("would fit: --micro-batch-size %.0f%s: %.0f MiB, the same updates\n", number(j, "remedy", "micro_batch_size"),
                      again ? " --recompute" : "", number(j, "remedy", "memory_mb"));
    return xr_out("even --micro-batch-size 1 --recompute takes %.0f MiB: take a smaller model (xlmr trim makes one of fewer pieces), freeze layers "
                  "(--freeze-layers) or another machine\n", number(j, "remedy", "memory_mb"));
}

static xr_status print_text(const json_t *j)
{
    XR_TRY(xr_out("%s of %.1f million parameters; memory when it is highest:\n", json_string_value(at(j, "command")), number(j, NULL, "parameters") * 1e-6));
    XR_TRY(print_memory(j));
    XR_TRY(print_work(j));
    XR_TRY(print_time(j));
    XR_TRY(xr_out("disk: %.0f MiB a checkpoint, %.0f a saved model, %.0f for all that is kept\n", number(j, "disk_mb", "checkpoint"),
                  number(j, "disk_mb", "model"), number(j, "disk_mb", "all")));
    return print_verdict(j);
}

static xr_status run(const xr_options *o)
{
    json_t *j = NULL;
    XR_TRY(xr_estimate_command(o, &j));
    xr_status status = o->json ? xr_out_json(j) : print_text(j);
    json_decref(j);
    return status;
}

const xr_cmd xr_cmd_estimate = {
    "estimate", XR_V_ESTIMATE, "memory, operations, time and disk space of a training run, before it is begun",
    "finetune|pretrain [--config FILE.yaml] [--KEY VALUE ...]",
    "xlmr estimate pretrain --preset large --batch-size 8 --recompute\n"
    "xlmr estimate finetune --config configs/xnli.yaml --model DIR --data-dir xnli\n"
    "xlmr estimate finetune --preset base --mean-length 45 --max-steps 1000 --json\n",
    run,
};
