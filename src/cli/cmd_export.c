/* xlmr export: a model directory out of a run, also with the full vocabulary again (train/vocab_export.c). */
#include "cli/cmd.h"
#include "train/vocab.h"

static xr_status print_json(const xr_options *o, const xr_vocab_report *r)
{
    json_t *j = json_pack("{s:s, s:i, s:i, s:I, s:I}", "output_dir", o->output_dir, "vocab_size_before", r->size_before, "vocab_size", r->size_after,
                          "parameters", (json_int_t)r->parameters_after, "bytes", (json_int_t)r->bytes_after);
    xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "export: out of memory for JSON");
    json_decref(j);
    return status;
}

static xr_status run(const xr_options *o)
{
    xr_vocab_report r;
    XR_TRY(xr_vocab_export(o, &r));
    if (o->json)
        return print_json(o, &r);
    XR_TRY(xr_out("%s: %d ids, %.1f million parameters, %.1f MB", o->output_dir, r.size_after, (double)r.parameters_after * 1e-6,
                  (double)r.bytes_after * 1e-6));
    return o->restore_vocab ? xr_out("; %d of the ids as in %s, the others as in %s\n", r.size_before, o->from, o->restore_vocab) : xr_out("\n");
}

const xr_cmd xr_cmd_export = {
    "export", XR_V_EXPORT, "a model directory out of a run; a trimmed vocabulary can be made whole again", NULL,
    "xlmr export --from run --output-dir my-model\n"
    "xlmr export --from run --restore-vocab xlm-roberta-base --output-dir my-model\n",
    run,
};
