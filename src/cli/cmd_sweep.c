/* xlmr sweep: a grid of training runs, each a process of this program (train/sweep.c). This file says what came of it. */
#include "cli/cmd.h"
#include "cli/signals.h"
#include "train/sweep.h"

static xr_status print_text(const xr_sweep *s, xr_status (*make)(const xr_sweep *s, xr_str *out))
{
    xr_str text = { 0 };
    xr_status status = make(s, &text);
    if (status == XR_OK)
        status = xr_out_bytes(text.s, text.len);
    xr_str_free(&text);
    return status;
}

static xr_status print_results(const xr_sweep *s)
{
    if (!s->o->json)
        return print_text(s, xr_sweep_table);
    json_t *j = xr_sweep_json(s);
    xr_status status = j ? xr_out_json(j) : xr_error_status();
    json_decref(j);
    return status;
}

static xr_status carry_out(xr_sweep *s)
{
    if (s->o->dry_run)
        return print_text(s, xr_sweep_plan_text);
    XR_TRY(xr_sweep_execute(s, "/proc/self/exe", xr_signals_asked));
    XR_TRY(print_results(s));
    return xr_sweep_verdict(s);
}

static xr_status run(const xr_options *o)
{
    xr_sweep s;
    xr_signals_catch();
    xr_status status = xr_sweep_plan(&s, o);
    if (status == XR_OK)
        status = carry_out(&s);
    xr_sweep_free(&s);
    return status;
}

const xr_cmd xr_cmd_sweep = {
    "sweep", XR_V_SWEEP, "train over a grid of seeds, rates or other options, and compare", "[finetune|pretrain] -- OPTIONS [-- OPTIONS of evaluate]",
    "xlmr sweep --grid seed=1,2,3 --grid learning_rate=1e-5,2e-5 --output-dir sweep -- --config configs/panx.yaml --model DIR --data-dir panx\n"
    "xlmr sweep --grid seed=1,2,3 --output-dir sweep -- --model DIR --train-file train-en.tsv --validation-file dev-en.tsv -- --task xnli --data-dir xnli\n"
    "xlmr sweep --grid learning_rate=3e-4,1e-3 --jobs 2 --output-dir sweep pretrain -- --config configs/mlm-mini.yaml --model mini --train-data store "
    "--validation-data held-out\n"
    "xlmr sweep --grid seed=1,2,3 --output-dir sweep --dry-run -- --model DIR --train-file train-en.tsv\n",
    run,
};
