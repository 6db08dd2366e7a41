/* Masked-LM pretraining, from random weights or continued: what `xlmr pretrain` does.
 *
 * Order of events: check options and model, prepare raw text into the run directory, open the stores and cut them into blocks, say what will be
 * done (the table of languages), then train (loop.h). */
#ifndef XR_TRAIN_PRETRAIN_H
#define XR_TRAIN_PRETRAIN_H

#include "data/mlm_loader.h"
#include "data/tokenizer.h"
#include "train/loop.h"
#include "train/prepare.h"

/* Token stores and the blocks they are cut into. */
typedef struct xr_corpus {
    xr_store **store;
    size_t n_stores;
    xr_blocks *blocks;          /* NULL: none was given */
    size_t n_languages;
    uint64_t *count;            // [n_languages] blocks
    double *unk;                // [n_languages] share of <unk> among the tokens, of blocks spread over the language
} xr_corpus;

/* The newest evaluation, by language. Part of the run's state, so that a resumed run writes the same model cards. */
typedef struct xr_mlm_losses {
    double *sum;                // [n_languages] of the losses at masked tokens
    uint64_t *masked, *blocks;  // [n_languages]
    uint64_t step;              /* the update it was made after */
    uint64_t made;              /* evaluations so far; 0: the rest means nothing */
} xr_mlm_losses;

typedef struct xr_pretrain {
    const xr_options *o;
    const xr_loop_hooks *hooks;
    const xr_prepare_hooks *preparing;
    const char *dir;                        /* of the model that training starts from: --model, or the extended one */
    char *extended;
    const xr_config *sizes;                 /* of an estimate: the model has these, and no weights; NULL in a run */
    xr_tokenizer *tokenizer;
    xr_model model;
    xr_corpus train, valid;
    xr_sampling sampling;
    xr_masking masking, valid_masking;
    uint8_t *word_start;                    // [vocab_size] with --whole-word
    xr_mlm_loader *loader, *valid_loader;
    xr_trainer trainer;
    xr_loop loop;
    size_t batch_size, micro_size;          /* blocks of an update, and of a micro-batch */
    uint64_t total_steps, warmup_steps;
    xr_mlm_losses losses;
} xr_pretrain;

/* Runs everything. `hooks` while it trains, `preparing` while raw text is prepared; both may be NULL. *summary (may be NULL) receives an object
 * with the figures, owned by the caller. */
xr_status xr_pretrain_run(const xr_options *o, const xr_loop_hooks *hooks, const xr_prepare_hooks *preparing, json_t **summary);

/* For an estimate: p->o, p->dir and p->sizes are set, the rest is zero. Everything up to the trainer, with the data as far as they are token stores;
 * p->loader is NULL, and p->total_steps what --max-steps says, where there are none. */
xr_status xr_pretrain_plan(xr_pretrain *p);
void xr_pretrain_free(xr_pretrain *p);

/* pretrain_data.c: opens --train-data and --validation-data, preparing what is raw text into the run directory. */
xr_status xr_pretrain_read(xr_pretrain *p);
void xr_corpus_free(xr_corpus *c);

/* pretrain_eval.c: scores the validation blocks into p->losses. XR_ETEMPFAIL when the stop hook asked. */
xr_status xr_pretrain_evaluate(xr_pretrain *p);
double xr_pretrain_loss(const xr_pretrain *p, size_t lang);     /* mean over its masked tokens */
/* Mean over the languages of their mean losses, which chooses the best model: small languages count as much as large ones. */
double xr_pretrain_mean_loss(const xr_pretrain *p);
xr_status xr_pretrain_add_figures(const xr_pretrain *p, json_t *line);

/* pretrain_report.c: what is said at the start, and the model card. */
xr_status xr_pretrain_say_plan(const xr_pretrain *p);
json_t *xr_pretrain_start_line(const xr_pretrain *p);
/* As a table shows it; that of a model that diverged would have hundreds of digits. */
enum { XR_PERPLEXITY_TEXT = 32 };
const char *xr_perplexity_text(double perplexity, int decimals, char out[XR_PERPLEXITY_TEXT]);
void xr_pretrain_say_figures(const xr_pretrain *p);
char *xr_pretrain_card(const xr_pretrain *p);       /* caller frees; NULL with the error set */

#endif
