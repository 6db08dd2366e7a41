/* What the files of prepare share: which inputs there are, how they are read, and what is kept of each. */
#ifndef XR_TRAIN_PREPARE_PLAN_H
#define XR_TRAIN_PREPARE_PLAN_H

#include "data/text.h"
#include "train/prepare.h"

#define XR_PREPARE_PLAN_FILE "plan.json"

typedef struct xr_prepare_input {
    const char *path;           /* borrowed */
    const char *name;           /* the path without the folders that all inputs share: in manifests */
    uint64_t bytes;
    int64_t mtime_ns;
    uint64_t device, inode;
    int done;
} xr_prepare_input;

/* --lang-map: patterns of file names with their language. */
typedef struct xr_language_map { char **pattern, **language; size_t n, cap_pattern, cap_language; char digest[33]; } xr_language_map;

typedef struct xr_prepare_plan {
    const xr_prepare_job *job;
    const char *dir;
    char *part_dir;
    int part, n_parts;
    xr_prepare_input *input; size_t n_input;
    xr_language_map map;
    xr_text_options text;
    json_t *json;               /* {"format", "format_version", "parts", "tokenizer", "recipe", "inputs": [names]}, in plan.json */
    char digest[33];            /* of tokenizer and recipe, less what becomes more lenient: records say by which they were made */
} xr_prepare_plan;

/* Zero-initialised plan; what was made is freed by xr_prepare_plan_free in any case. */
xr_status xr_prepare_plan_make(xr_prepare_plan *p, const xr_prepare_job *job);
void xr_prepare_plan_free(xr_prepare_plan *p);
int xr_prepare_is_mine(const xr_prepare_plan *p, size_t input);     /* of this part? */
/* XR_OK, or XR_ECANTCREAT naming what differs between a plan or manifest found in DIR and this one. */
xr_status xr_prepare_plan_compare(const xr_prepare_plan *p, const json_t *found);

/* One input: its store shards and then its record, DIR/PART/00012.json. `tick` is called now and then with what came since its last call; 1: give
 * up with XR_ETEMPFAIL. */
typedef struct xr_prepare_tick {
    void *context;
    int (*tick)(void *context, uint64_t bytes, uint64_t text_bytes, uint64_t documents, uint64_t tokens);
} xr_prepare_tick;
xr_status xr_prepare_one(const xr_prepare_plan *p, size_t input, const xr_prepare_tick *tick);
char *xr_prepare_record_path(const xr_prepare_plan *p, size_t input);
/* The record, if the input is done and still what it was; NULL without an error when it is to be done (again). */
json_t *xr_prepare_record_find(const xr_prepare_plan *p, size_t input);
/* Test hook: tokens after which a shard is full; 0 = as usual. */
void xr_prepare_shard_tokens(uint64_t tokens);

/* All inputs of the part that are not done. */
xr_status xr_prepare_pool(const xr_prepare_plan *p, const xr_prepare_hooks *hooks);

/* Parts of DIR to a store. Of a store that is there already, what its making left behind is removed. */
xr_status xr_prepare_join(const char *dir, json_t **manifest);

#endif
