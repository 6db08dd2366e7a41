/* xlmr train-tokenizer: a sentencepiece model with XLM-R's settings. */
#include "cli/cmd.h"
#include "data/tokenizer.h"
#include "train/prepare.h"

static xr_status report(const xr_options *o)
{
    xr_tokenizer *t = xr_tokenizer_open(o->output);
    if (!t)
        return xr_error_status();
    int size = xr_tokenizer_vocab_size(t);
    const char *sha = xr_tokenizer_sha256(t);
    xr_status status;
    if (o->json) {
        json_t *j = json_pack("{s:s, s:i, s:s}", "output", o->output, "vocab_size", size, "sha256", sha);
        status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "out of memory");
        json_decref(j);
    } else {
        status = xr_out("%s: %d tokens, sha256 %s\n", o->output, size, sha);
    }
    xr_tokenizer_free(t);
    return status;
}

static xr_status run(const xr_options *o)
{
    xr_text_options text = xr_prepare_text_options(o);
    xr_tokenizer_training how = {
        .vocab_size = (int)o->vocab_size, .input = o->args, .n_input = (int)o->n_args,
        .max_sentences = (long)o->max_sentences, .threads = (int)o->threads, .seed = (uint64_t)o->seed,
        .text = &text,
    };
    if (o->n_args == 0)
        return xr_fail(XR_EUSAGE, "no training text; name one or more files of plain text, WET or JSON lines, or - for standard input");
    XR_TRY(xr_tokenizer_train(&how, o->output));
    return report(o);
}

const xr_cmd xr_cmd_train_tokenizer = {
    "train-tokenizer", XR_V_TRAIN_TOKENIZER, "train a sentencepiece model with XLM-R's settings", "FILE ...",
    "xlmr train-tokenizer --vocab-size 32000 --output my/sentencepiece.bpe.model text/*.txt.gz\n"
    "xlmr train-tokenizer --vocab-size 8000 --max-sentences 100000 --output spm.model corpus.txt\n",
    run,
};
