/* What pretraining says: the table of languages before it begins, the figures of an evaluation, the card of a saved model. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/card.h"
#include "train/pretrain.h"
#include "util/alloc.h"
#include "util/log.h"

enum { MUCH_UNK = 1 };      /* percent: a tokenizer that knows the characters has far less */

static xr_sampling_row part_of(const xr_pretrain *p, size_t lang)
{
    return xr_sampling_describe(&p->sampling, lang, p->total_steps * (uint64_t)p->batch_size);
}

static uint64_t tokens_of(const xr_pretrain *p, size_t lang)
{
    return xr_blocks_tokens(p->train.blocks, lang);
}

static void say_table(const xr_pretrain *p)
{
    xr_info("%-10s %10s %13s %9s %11s %9s %8s", "language", "blocks", "tokens", "of data", "of batches", "epochs", "<unk>");
    for (size_t i = 0; i < p->train.n_languages; i++) {
        xr_sampling_row r = part_of(p, i);
        xr_info("%-10s %10llu %13llu %7.2f %% %9.2f %% %9.3g %6.2f %%", xr_blocks_language(p->train.blocks, i), (unsigned long long)r.blocks,
                (unsigned long long)tokens_of(p, i), 100.0 * r.data_share, 100.0 * r.batch_share, r.epochs, 100.0 * p->train.unk[i]);
    }
}

static xr_status warn_unknown(const xr_corpus *c, const char *what)
{
    xr_str list = { 0 };
    xr_status status = XR_OK;
    for (size_t i = 0; i < c->n_languages && status == XR_OK; i++)
        if (100.0 * c->unk[i] > MUCH_UNK)
            status = xr_str_printf(&list, "%s%s %.1f %%", list.len ? ", " : "", xr_blocks_language(c->blocks, i), 100.0 * c->unk[i]);
    if (status == XR_OK && list.len)
        xr_warn("%s: tokens that are <unk>: %s; the tokenizer has no piece for some of their characters, which the model does not see; add pieces with "
                "--extend-vocab, or train a tokenizer on such text (xlmr train-tokenizer)", what, list.s);
    xr_str_free(&list);
    return status;
}

/* A language that is measured but not trained on is zero-shot, or a slip in a file name. */
static void warn_untrained(const xr_pretrain *p)
{
    for (size_t i = 0; i < p->valid.n_languages; i++) {
        const char *name = xr_blocks_language(p->valid.blocks, i);
        size_t k = 0;
        while (k < p->train.n_languages && strcmp(xr_blocks_language(p->train.blocks, k), name) != 0)
            k++;
        if (k == p->train.n_languages)
            xr_warn("validation language %s is not among the training data", name);
    }
}

xr_status xr_pretrain_say_plan(const xr_pretrain *p)
{
    const xr_options *o = p->o;
    say_table(p);
    xr_info("%llu blocks an epoch; %zu blocks an update (at most %zu tokens), %zu at once; %llu updates, warm-up %llu: %.3g epochs",
            (unsigned long long)p->sampling.total, p->batch_size, p->batch_size * (size_t)o->block_length, p->micro_size,
            (unsigned long long)p->total_steps, (unsigned long long)p->warmup_steps,
            (double)p->total_steps * (double)p->batch_size / (double)p->sampling.total);
    warn_untrained(p);
    XR_TRY(warn_unknown(&p->train, "training data"));
    return warn_unknown(&p->valid, "validation data");
}

static json_t *languages_json(const xr_pretrain *p)
{
    json_t *all = json_object();
    for (size_t i = 0; i < p->train.n_languages; i++) {
        xr_sampling_row r = part_of(p, i);
        json_t *j = json_pack("{sI sI sf sf sf sf}", "blocks", (json_int_t)r.blocks, "tokens", (json_int_t)tokens_of(p, i), "data_share", r.data_share,
                              "batch_share", r.batch_share, "epochs", r.epochs, "unk_share", p->train.unk[i]);
        json_object_set_new(all, xr_blocks_language(p->train.blocks, i), j);
    }
    return all;
}

static uint64_t tokens_in_all(const xr_corpus *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n_languages; i++)
        n += xr_blocks_tokens(c->blocks, i);
    return n;
}

static uint64_t blocks_in_all(const xr_corpus *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n_languages; i++)
        n += c->count[i];
    return n;
}

json_t *xr_pretrain_start_line(const xr_pretrain *p)
{
    json_t *j = json_pack("{ss sI sI sI sI sI sI sI}", "event", "start", "train_blocks", (json_int_t)blocks_in_all(&p->train), "train_tokens",
                          (json_int_t)tokens_in_all(&p->train), "validation_blocks", (json_int_t)blocks_in_all(&p->valid), "blocks_per_step",
                          (json_int_t)p->batch_size, "micro_batch_size", (json_int_t)p->micro_size, "total_steps", (json_int_t)p->total_steps,
                          "parameters", (json_int_t)xr_params_count(&p->model.params));
    if (j)
        json_object_set_new(j, "languages", languages_json(p));
    return j;
}

const char *xr_perplexity_text(double perplexity, int decimals, char out[XR_PERPLEXITY_TEXT])
{
    if (perplexity > 1e6)
        snprintf(out, XR_PERPLEXITY_TEXT, "%.4g", perplexity);
    else
        snprintf(out, XR_PERPLEXITY_TEXT, "%.*f", decimals, perplexity);
    return out;
}

void xr_pretrain_say_figures(const xr_pretrain *p)
{
    char text[XR_PERPLEXITY_TEXT];
    xr_str list = { 0 };
    for (size_t i = 0; i < p->valid.n_languages; i++)
        if (xr_str_printf(&list, "%s%s %s", i ? ", " : "", xr_blocks_language(p->valid.blocks, i),
                          xr_perplexity_text(exp(xr_pretrain_loss(p, i)), 1, text)) < 0)
            break;
    xr_info("step %llu: validation perplexity: %s", (unsigned long long)p->trainer.step, list.s ? list.s : "");
    xr_str_free(&list);
}

/* --- the model card ----------------------------------------------------------------------------------------------- */

static xr_status add_data(xr_str *s, const xr_pretrain *p)
{
    XR_TRY(xr_str_puts(s, "| language | blocks | tokens | share of data | share of batches | epochs |\n|---|---|---|---|---|---|\n"));
    for (size_t i = 0; i < p->train.n_languages; i++) {
        xr_sampling_row r = part_of(p, i);
        XR_TRY(xr_str_printf(s, "| %s | %llu | %llu | %.2f %% | %.2f %% | %.3g |\n", xr_blocks_language(p->train.blocks, i),
                             (unsigned long long)r.blocks, (unsigned long long)tokens_of(p, i), 100.0 * r.data_share, 100.0 * r.batch_share, r.epochs));
    }
    return XR_OK;
}

static xr_status add_figures(xr_str *s, const xr_pretrain *p)
{
    char text[XR_PERPLEXITY_TEXT];
    if (!p->valid.blocks)
        return xr_str_puts(s, "No validation data were given.\n");
    if (!p->losses.made || p->losses.step != p->trainer.step)
        return xr_str_puts(s, "This state of the model was not evaluated.\n");
    XR_TRY(xr_str_puts(s, "Masked-LM loss on held-out blocks with fixed masks, natural logarithm; the best model is the one with the smallest mean of the "
                       "languages' losses.\n\n| language | loss | perplexity | bits a token | masked tokens |\n|---|---|---|---|---|\n"));
    for (size_t i = 0; i < p->valid.n_languages; i++) {
        double loss = xr_pretrain_loss(p, i);
        XR_TRY(xr_str_printf(s, "| %s | %.4f | %s | %.3f | %llu |\n", xr_blocks_language(p->valid.blocks, i), loss,
                             xr_perplexity_text(exp(loss), 2, text), loss / M_LN2, (unsigned long long)p->losses.masked[i]));
    }
    double mean = xr_pretrain_mean_loss(p);
    return xr_str_printf(s, "| mean | %.4f | %s | %.3f | |\n", mean, xr_perplexity_text(exp(mean), 2, text), mean / M_LN2);
}

static xr_status write_card(xr_str *s, const xr_pretrain *p)
{
    XR_TRY(xr_str_printf(s, "---\nlibrary_name: transformers\npipeline_tag: fill-mask\n---\n\n# XLM-RoBERTa masked language model\n\n"
                         "Pretrained by xlmr from `%s`, %llu of %llu updates of %zu blocks of at most %lld tokens.\n\n## Data\n\n", p->o->model,
                         (unsigned long long)p->trainer.step, (unsigned long long)p->total_steps, p->batch_size, p->o->block_length));
    XR_TRY(add_data(s, p));
    XR_TRY(xr_str_puts(s, "\n## Figures\n\n"));
    XR_TRY(add_figures(s, p));
    XR_TRY(xr_str_putc(s, '\n'));
    return xr_card_command(s, p->o);
}

char *xr_pretrain_card(const xr_pretrain *p)
{
    xr_str s = { 0 };
    if (write_card(&s, p) < 0) {
        xr_str_free(&s);
        return NULL;
    }
    return s.s;     /* the string's memory is the caller's now */
}
