/* xlmr fill-mask: candidates for every <mask>, as the model card of xlm-roberta-large shows them. Texts come as arguments or by standard input
 * (train/text_file.h). */
#include <string.h>

#include "cli/cmd.h"
#include "train/fill_mask.h"
#include "train/text_file.h"
#include "util/fs.h"

static const xr_candidate *candidate(const xr_filled *f, int mask, int k)
{
    return &f->v[(size_t)mask * (size_t)f->top_k + (size_t)k];
}

static json_t *candidate_json(const xr_candidate *v)
{
    return json_pack("{sf sI ss ss}", "score", (double)v->score, "token", (json_int_t)v->token, "token_str", v->token_str, "sequence", v->sequence);
}

/* Like transformers: a list of candidates, or a list of such lists when the text has several masks. */
static xr_status print_json(const xr_filled *f)
{
    json_t *all = json_array();
    for (int m = 0; m < f->n_masks; m++) {
        json_t *one = json_array();
        for (int k = 0; k < f->top_k; k++)
            json_array_append_new(one, candidate_json(candidate(f, m, k)));
        json_array_append_new(all, one);
    }
    xr_status status = xr_out_json(f->n_masks == 1 ? json_array_get(all, 0) : all);
    json_decref(all);
    return status;
}

static xr_status print_table(const xr_filled *f)
{
    for (int m = 0; m < f->n_masks; m++) {
        if (f->n_masks > 1)
            XR_TRY(xr_out("mask %d of %d\n", m + 1, f->n_masks));
        for (int k = 0; k < f->top_k; k++) {
            const xr_candidate *v = candidate(f, m, k);
            XR_TRY(xr_out("%.6f  %6d  %-16s  %s\n", (double)v->score, v->token, v->token_str, v->sequence));
        }
    }
    return XR_OK;
}

static xr_status answer(xr_context *c, const xr_options *o, const char *text)
{
    xr_filled f;
    XR_TRY(xr_fill_mask_text(c, text, (int)o->top_k, &f));
    xr_status status = o->json ? print_json(&f) : print_table(&f);
    xr_filled_free(&f);
    return status;
}

static xr_status answer_record(xr_context *c, const xr_options *o, const xr_record *r)
{
    if (r->text_pair)
        return xr_fail(XR_EDATA, "the record has two texts, and masks are guessed in one; name it with --text-column");
    return *r->text ? answer(c, o, r->text) : XR_OK;
}

static xr_status answer_texts(xr_context *c, const xr_options *o)
{
    xr_text_file f;
    xr_record record;
    int got = 0;
    XR_TRY(xr_text_file_open(&f, "-", o));
    xr_status status = XR_OK;
    while (status == XR_OK && (got = xr_text_file_next(&f, &record)) > 0)
        if ((status = answer_record(c, o, &record)) < 0)
            xr_fail_context("%s:%zu", xr_stream_path(f.reader.stream), record.line);
    xr_text_file_close(&f);
    return status < 0 ? status : got;
}

/* A file's name would be answered as a text without a mask. */
static xr_status answer_argument(xr_context *c, const xr_options *o, const char *text)
{
    if (!strstr(text, "<mask>") && xr_path_exists(text) && !xr_path_is_dir(text))
        return xr_fail(XR_EUSAGE, "%s: is a file, and arguments are texts; give its texts by standard input: xlmr fill-mask --model %s < %s", text, o->model,
                       text);
    return answer(c, o, text);
}

static xr_status run(const xr_options *o)
{
    xr_context *c = xr_context_for(o);
    if (!c)
        return xr_error_status();
    xr_status status = o->n_args ? XR_OK : answer_texts(c, o);
    for (size_t i = 0; status == XR_OK && i < o->n_args; i++)
        status = answer_argument(c, o, o->args[i]);
    xr_context_free(c);
    return status;
}

const xr_cmd xr_cmd_fill_mask = {
    "fill-mask", XR_V_FILL_MASK, "guess the tokens behind <mask>", "[TEXT ...]",
    "xlmr fill-mask --model DIR \"Hello I'm a <mask> model.\"\n"
    "xlmr fill-mask --model DIR --top-k 3 --json < texts.txt\n",
    run,
};
