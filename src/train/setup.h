/* What the options say about training, where finetune and pretrain say it alike. */
#ifndef XR_TRAIN_SETUP_H
#define XR_TRAIN_SETUP_H

#include "data/tokenizer.h"
#include "model/model.h"
#include "train/options.h"
#include "train/trainer.h"

/* Refuses a tokenizer whose ids are not the rows of the model's word embedding, with all three numbers. */
xr_status xr_setup_check_vocabulary(const xr_tokenizer *t, const xr_config *c);
/* --hidden-dropout and --attention-dropout over those of config.json. */
void xr_setup_dropout(xr_config *c, const xr_options *o);
/* Makes the model compute in the precision of this name from now on; warns where this CPU is slow at it. XR_EUSAGE for an unknown name, and for
 * layers too wide for int8. */
xr_status xr_setup_precision(xr_model *m, const char *name);
int xr_setup_trains(const xr_model *m);     /* whether that precision has gradients */
/* --freeze-embeddings, --freeze-layers. */
xr_status xr_setup_freeze(xr_model *m, const xr_options *o);
/* Updates of warm-up, by --warmup-steps or --warmup-ratio; XR_EUSAGE when there are more than the run has. */
xr_status xr_setup_warmup(const xr_options *o, uint64_t total_steps, uint64_t *warmup);
xr_moments xr_setup_moments(const xr_options *o);
xr_optim_options xr_setup_optim(const xr_options *o, uint64_t total_steps, uint64_t warmup);
/* Weights, gradients and moments, and the most that the tape may take, in MiB. word_rows: rows of the vocabulary that are ever touched, where the
 * gradient is a list of rows. */
double xr_setup_memory_mb(const xr_trainer *t, const xr_options *o, size_t word_rows);

#endif
