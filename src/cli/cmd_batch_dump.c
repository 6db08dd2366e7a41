/* xlmr batch-dump: the masked batches that pretraining takes at given steps, for scripts that train on the same in another system. Not for
 * people: no flags, its arguments are KEY=VALUE with the names and defaults of pretrain's options, and help does not list it.
 *
 * One JSON line a micro-batch: {"step": 0-based, "micro": k, "epoch": before the step, "ids": [[…], …], "masked": [[…], …], "targets": [[…], …]}:
 * of each sequence the ids as the model sees them, the positions to predict, and the ids that stood there. */
#include <string.h>

#include "cli/cmd.h"
#include "data/mlm_loader.h"
#include "util/alloc.h"

/* A bit outside XR_V_ALL: no row of the option table belongs to this command. */
enum { VERB = 1u << 21, STORES = 64 };

typedef struct job {
    const char *store[STORES], *tokenizer, *break_mode, *mask_policy;
    size_t n_stores;
    long long block_length, batch_size, micro_batch_size, seed, whole_word, from, steps;
    double lang_alpha, mlm_probability, mask_share, random_share;
} job;

typedef struct source {
    xr_store *store[STORES];
    size_t n_stores;
    xr_blocks *blocks;
    uint64_t *count;            // [languages]
    xr_sampling sampling;
    uint8_t *word_start;        // [vocab] with whole_word=1
    xr_mlm_loader *loader;
} source;

/* ---- the arguments ---- */

static xr_status add_store(job *j, const char *dir)
{
    if (j->n_stores == STORES)
        return xr_fail(XR_EUSAGE, "batch-dump: more than %d stores", STORES);
    j->store[j->n_stores++] = dir;
    return XR_OK;
}

static xr_status set_word(job *j, const char *word)
{
    const struct { const char *key; const char **s; long long *i; double *d; } row[] = {
        { "tokenizer", &j->tokenizer, NULL, NULL }, { "break_mode", &j->break_mode, NULL, NULL }, { "mask_policy", &j->mask_policy, NULL, NULL },
        { "block_length", NULL, &j->block_length, NULL }, { "batch_size", NULL, &j->batch_size, NULL },
        { "micro_batch_size", NULL, &j->micro_batch_size, NULL }, { "seed", NULL, &j->seed, NULL }, { "whole_word", NULL, &j->whole_word, NULL },
        { "from", NULL, &j->from, NULL }, { "steps", NULL, &j->steps, NULL }, { "lang_alpha", NULL, NULL, &j->lang_alpha },
        { "mlm_probability", NULL, NULL, &j->mlm_probability }, { "mask_share", NULL, NULL, &j->mask_share },
        { "random_share", NULL, NULL, &j->random_share },
    };
    const char *eq = strchr(word, '=');
    if (strncmp(word, "train_data=", 11) == 0)
        return add_store(j, word + 11);
    for (size_t k = 0; eq && k < sizeof row / sizeof *row; k++) {
        if (strlen(row[k].key) != (size_t)(eq - word) || strncmp(word, row[k].key, (size_t)(eq - word)) != 0)
            continue;
        if (row[k].s)
            return *row[k].s = eq + 1, XR_OK;
        if (row[k].i ? xr_parse_int(eq + 1, row[k].i) && *row[k].i >= 0 : xr_parse_double(eq + 1, row[k].d) && *row[k].d >= 0.0)
            return XR_OK;
        return xr_fail(XR_EUSAGE, "%s: not a number this key takes; expected %s", word, row[k].i ? "an integer from 0" : "a number from 0");
    }
    return xr_fail(XR_EUSAGE, "%s: not an argument of batch-dump; expected train_data=STORE …, from=N, steps=N, tokenizer=DIR (with whole_word=1), or an "
                   "option of pretrain that decides its batches, such as block_length=512", word);
}

static xr_status check_job(const job *j)
{
    if (!j->n_stores)
        return xr_fail(XR_EUSAGE, "batch-dump: train_data=STORE is needed");
    if (xr_break_mode_find(j->break_mode) < 0 || xr_mask_policy_find(j->mask_policy) < 0)
        return xr_fail(XR_EUSAGE, "batch-dump: break_mode=%s and mask_policy=%s; expected names that pretrain knows", j->break_mode, j->mask_policy);
    if (j->block_length < 4 || j->block_length > 100000 || j->batch_size < 1 || j->batch_size > 1000000)
        return xr_fail(XR_EUSAGE, "batch-dump: block_length=%lld, batch_size=%lld; expected 4 to 100000 and 1 to 1000000", j->block_length, j->batch_size);
    if (j->whole_word && !j->tokenizer)
        return xr_fail(XR_EUSAGE, "batch-dump: whole_word=1 needs tokenizer=DIR");
    return XR_OK;
}

/* ---- the batches ---- */

static xr_status word_starts(const job *j, source *s)
{
    xr_tokenizer *t = xr_tokenizer_open(j->tokenizer);
    if (!t)
        return xr_error_status();
    s->word_start = xr_mask_word_starts(t);
    xr_tokenizer_free(t);
    return s->word_start ? XR_OK : xr_error_status();
}

static xr_status open_source(const job *j, source *s)
{
    for (; s->n_stores < j->n_stores; s->n_stores++)
        if (!(s->store[s->n_stores] = xr_store_open(j->store[s->n_stores], NULL)))
            return xr_error_status();
    s->blocks = xr_blocks_open(s->store, s->n_stores, (xr_break_mode)xr_break_mode_find(j->break_mode), (size_t)j->block_length, NULL);
    size_t n = s->blocks ? xr_blocks_n_languages(s->blocks) : 0;
    s->count = s->blocks ? xr_alloc(n, sizeof *s->count) : NULL;
    if (!s->count)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        s->count[i] = xr_blocks_count(s->blocks, i);
    if (j->whole_word)
        XR_TRY(word_starts(j, s));
    XR_TRY(xr_sampling_init(&s->sampling, s->count, n, j->lang_alpha, (uint64_t)j->seed, xr_blocks_digest(s->blocks)));
    int vocab = xr_store_vocab_size(s->store[0]);
    xr_masking m = { .policy = (xr_mask_policy)xr_mask_policy_find(j->mask_policy), .share = j->mlm_probability, .mask_share = j->mask_share,
                     .random_share = j->random_share, .whole_word = j->whole_word != 0, .seed = (uint64_t)j->seed, .vocab_size = vocab,
                     .mask_id = vocab - 1, .word_start = s->word_start };
    s->loader = xr_mlm_loader_new(s->blocks, &s->sampling, &m, (size_t)j->batch_size, (size_t)j->micro_batch_size);
    return s->loader ? XR_OK : xr_error_status();
}

static void close_source(source *s)
{
    xr_mlm_loader_free(s->loader);
    xr_sampling_free(&s->sampling);
    xr_free(s->word_start);
    xr_free(s->count);
    xr_blocks_close(s->blocks);
    for (size_t i = 0; i < s->n_stores; i++)
        xr_store_close(s->store[i]);
}

/* One array a sequence: its ids, the positions to predict, their targets. */
static json_t *line_of(const xr_batch *b, double epoch, long long step, int micro)
{
    json_t *ids = json_array(), *masked = json_array(), *targets = json_array();
    size_t at = 0;
    for (size_t s = 0; s < b->rows.n_seq; s++) {
        json_t *id = json_array(), *position = json_array(), *target = json_array();
        for (uint32_t row = b->rows.offset[s]; row < b->rows.offset[s + 1]; row++) {
            json_array_append_new(id, json_integer(b->id[row]));
            if (at == b->n_mask || b->mask_row[at] != row)
                continue;
            json_array_append_new(position, json_integer(row - b->rows.offset[s]));
            json_array_append_new(target, json_integer(b->mask_target[at++]));
        }
        json_array_append_new(ids, id);
        json_array_append_new(masked, position);
        json_array_append_new(targets, target);
    }
    return json_pack("{sI si sf so so so}", "step", (json_int_t)step, "micro", micro, "epoch", epoch, "ids", ids, "masked", masked, "targets", targets);
}

static xr_status dump_step(xr_mlm_loader *l, long long step)
{
    int n = xr_mlm_loader_begin(l, (uint64_t)step);
    for (int k = 0; k < n; k++) {
        const xr_batch *b = xr_mlm_loader_batch(l, k);
        if (!b)
            return xr_error_status();
        json_t *line = line_of(b, xr_mlm_loader_epoch(l, (uint64_t)step), step, k);
        if (!line)
            return xr_fail(XR_ESYSTEM, "out of memory while a batch was written");
        xr_status status = xr_out_json(line);
        json_decref(line);
        XR_TRY(status);
    }
    return n < 0 ? n : XR_OK;
}

static xr_status run(const xr_options *o)
{
    job j = { .break_mode = "complete", .mask_policy = "fairseq", .block_length = 512, .batch_size = 32, .seed = 42, .steps = 1, .lang_alpha = 0.3,
              .mlm_probability = 0.15, .mask_share = 0.8, .random_share = 0.1 };
    source s = { .n_stores = 0 };
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(set_word(&j, o->args[i]));
    XR_TRY(check_job(&j));
    xr_status status = open_source(&j, &s);
    for (long long step = j.from; status == XR_OK && step < j.from + j.steps; step++)
        status = dump_step(s.loader, step);
    close_source(&s);
    return status;
}

const xr_cmd xr_cmd_batch_dump = {
    "batch-dump", VERB, "masked batches of pretraining, for scripts", "KEY=VALUE ...",
    "xlmr batch-dump train_data=store batch_size=8 micro_batch_size=4 from=0 steps=100\n",
    run
};
