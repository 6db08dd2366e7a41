/* xlmr trim: a smaller model that keeps the pieces of a corpus (train/vocab_trim.c). */
#include "cli/cmd.h"
#include "train/vocab.h"

static double share(uint64_t part, uint64_t all)
{
    return all ? (double)part / (double)all : 0.0;
}

static xr_status print_json(const xr_options *o, const xr_vocab_report *r)
{
    json_t *j = json_pack("{s:s, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "output_dir", o->output_dir, "vocab_size_before", r->size_before,
                          "vocab_size", r->size_after, "parameters_before", (json_int_t)r->parameters_before, "parameters",
                          (json_int_t)r->parameters_after, "bytes_before", (json_int_t)r->bytes_before, "bytes", (json_int_t)r->bytes_after, "texts",
                          (json_int_t)r->texts, "tokens", (json_int_t)r->tokens, "unknown", (json_int_t)r->unknown, "unverified",
                          (json_int_t)r->unverified, "dry_run", o->dry_run);
    xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "trim: out of memory for JSON");
    json_decref(j);
    return status;
}

static xr_status print_text(const xr_options *o, const xr_vocab_report *r)
{
    XR_TRY(xr_out("%llu texts, %llu tokens, %.4f %% <unk>, as before: encoded again with the new tokenizer, every piece is the same\n",
                  (unsigned long long)r->texts, (unsigned long long)r->tokens, 100 * share(r->unknown, r->tokens)));
    if (r->unverified)
        XR_TRY(xr_out("%llu sentences of token stores hold <unk> and could not be encoded again, since a store has no text\n",
                      (unsigned long long)r->unverified));
    return xr_out("%s: %d of %d ids (%.1f %%), %.1f of %.1f million parameters, %.1f of %.1f MB%s\n", o->output_dir, r->size_after, r->size_before,
                  100.0 * r->size_after / r->size_before, (double)r->parameters_after * 1e-6, (double)r->parameters_before * 1e-6,
                  (double)r->bytes_after * 1e-6, (double)r->bytes_before * 1e-6, o->dry_run ? "; nothing written (--dry-run)" : "");
}

static xr_status run(const xr_options *o)
{
    xr_vocab_report r;
    XR_TRY(xr_vocab_trim(o, &r));
    return o->json ? print_json(o, &r) : print_text(o, &r);
}

const xr_cmd xr_cmd_trim = {
    "trim", XR_V_TRIM, "a smaller model directory that keeps only the pieces a corpus uses", NULL,
    "xlmr trim --model xlm-roberta-base --corpus en.txt.gz --corpus sw.txt.gz --output-dir base-en-sw\n"
    "xlmr trim --model xlm-roberta-base --corpus store --output-dir base-trimmed\n"
    "xlmr trim --model DIR --corpus text.txt --output-dir OUT --dry-run\n",
    run,
};
