/* config.json of a Hugging Face XLM-R directory: read without guessing, written as transformers 4 and 5 read it. */
#ifndef XR_MODEL_CONFIG_H
#define XR_MODEL_CONFIG_H

#include <jansson.h>
#include "util/error.h"

typedef enum xr_problem {
    XR_PROBLEM_SINGLE_LABEL,    /* "single_label_classification": cross-entropy */
    XR_PROBLEM_REGRESSION,      /* "regression": squared error */
    XR_PROBLEM_MULTI_LABEL,     /* "multi_label_classification": binary cross-entropies */
    XR_PROBLEM_TAGS,            /* token classification, by the head alone: cross-entropy of every word */
    XR_PROBLEM_CHOICE           /* multiple choice, by the head alone: cross-entropy over the choices of a question */
} xr_problem;

typedef struct xr_config {
    int vocab_size, hidden_size, num_hidden_layers, num_attention_heads, intermediate_size;
    int max_position_embeddings;            /* rows of the position table; usable tokens = this - pad_token_id - 1 */
    int type_vocab_size;
    int bos_token_id, pad_token_id, eos_token_id;
    float layer_norm_eps, hidden_dropout_prob, attention_probs_dropout_prob, initializer_range;
    float classifier_dropout;               /* < 0: null, meaning hidden_dropout_prob */
    char *head;                             /* registry name of the head: "masked_lm", "sequence_cls", "token_cls", …; NULL = bare encoder */
    int num_labels;                         /* of heads with labels; 0 otherwise */
    char **label;                           /* [num_labels] names by id (id2label) */
    xr_problem problem;
    json_t *extra;                          /* keys we do not interpret, kept for saving; object */
} xr_config;

/* The functions that fill a config take one whose contents mean nothing yet, and leave it empty (all zero) on failure. */

/* Reads and validates PATH (a config.json). Refuses with file, key and remedy: other model types, missing fields, sizes that do not
 * divide, type_vocab_size != 1, pad id != 1, other activations, id2label that is not 0..n-1 or disagrees with label2id. */
xr_status xr_config_read(xr_config *c, const char *path);
xr_status xr_config_write(const xr_config *c, const char *path);
/* nano, mini, base, large (design.md part 5), with a masked-LM head. XR_EUSAGE with the names otherwise. */
xr_status xr_config_preset(xr_config *c, const char *name, int vocab_size);
xr_status xr_config_check(const xr_config *c, const char *where);
/* Whether the head named so has labels of its own: sequence_cls, token_cls. head may be NULL. */
int xr_config_head_has_labels(const char *head);
/* What a head without labels is trained for, as far as the head alone says it. */
xr_problem xr_config_head_problem(const char *head);
/* Copies n label names; sets num_labels. */
xr_status xr_config_set_labels(xr_config *c, const char *const *label, int n, xr_problem problem);
xr_status xr_config_copy(xr_config *dst, const xr_config *src);
void xr_config_free(xr_config *c);
static inline int xr_config_max_tokens(const xr_config *c) { return c->max_position_embeddings - c->pad_token_id - 1; }

#endif
