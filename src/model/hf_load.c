/* Loading a model directory: the rows the configuration declares are matched with the tensors the files hold, by name.
 *
 * Order of work: plan the head (which rows there will be), link rows with tensors and refuse what does not fit, and only then allocate and
 * read. So a wrong file costs no memory, and what is read goes straight to its place. */
#include "model/hf.h"

#include <math.h>
#include <string.h>

#include "kernels/vec.h"
#include "model/head.h"
#include "model/hf_files.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/phase.h"
#include "util/str.h"

enum { LIST_CAP = 10 };

static const char encoder_prefix[] = "roberta.";

/* Up to ten names for a message. */
typedef struct name_list { xr_str text; size_t n; } name_list;

typedef struct load {
    const char *dir;
    xr_load_options o;
    xr_model *m;
    xr_config config;           /* of the directory, then as wanted */
    xr_hf_files files;
    const char *prefix;         /* of encoder tensors in the files: "roberta." or "" */
    xr_hf_tensor **source;      // [rows of m] NULL = freshly initialised
    int fresh_head;             /* the directory's head has other labels */
    int other_classifier;       /* the directory has another head, and classifier.* of the files is that one's */
    name_list missing, fresh, extra, ignored, non_finite;
} load;

static void list_add(name_list *l, const char *name)
{
    if (l->n++ < LIST_CAP)
        (void)xr_str_printf(&l->text, "%s%s", l->n > 1 ? ", " : "", name);
}

/* The list's text; call once. */
static const char *list_text(name_list *l)
{
    if (l->n > LIST_CAP)
        (void)xr_str_printf(&l->text, " and %zu more", l->n - LIST_CAP);
    return l->text.s ? l->text.s : "";
}

static int starts_with(const char *s, const char *start) { return !strncmp(s, start, strlen(start)); }

/* --- names -------------------------------------------------------------------------------------------------------- */

static xr_hf_tensor *find_prefixed(const load *l, const char *prefix, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return xr_hf_files_find(&l->files, full);
}

/* Files of the bare encoder have no prefix. The position table decides: it exists once, and no conversion ever dropped it as a tie. */
static xr_status find_prefix(load *l)
{
    static const char table[] = "embeddings.position_embeddings.weight";
    int with = find_prefixed(l, encoder_prefix, table) != NULL, without = find_prefixed(l, "", table) != NULL;
    if (with && without)
        return xr_fail(XR_EDATA, "%s: holds both %s%s and %s; two encoders in one directory are not supported: keep one", l->dir, encoder_prefix, table,
                       table);
    if (!with && !without)
        return xr_fail(XR_EDATA, "%s: holds neither %s%s nor %s (its first of %zu tensors is %s); this is no XLM-R encoder as transformers names it",
                       l->dir, encoder_prefix, table, table, l->files.n, l->files.n ? l->files.tensor[0].t->name : "absent");
    l->prefix = with ? encoder_prefix : "";
    return XR_OK;
}

static xr_hf_tensor *find_row(const load *l, const char *name)
{
    if (starts_with(name, encoder_prefix))
        return find_prefixed(l, l->prefix, name + strlen(encoder_prefix));
    return xr_hf_files_find(&l->files, name);
}

/* The other name of a tied tensor: conversions have kept either one (safetensors issue 265). */
static const char *tied_name(const char *row)
{
    if (!strcmp(row, "roberta.embeddings.word_embeddings.weight"))
        return "lm_head.decoder.weight";
    return strcmp(row, "lm_head.bias") == 0 ? "lm_head.decoder.bias" : NULL;
}

/* --- which head ------------------------------------------------------------------------------------------------------ */

static int has_head_tensors(const load *l, const char *start)
{
    for (size_t i = 0; i < l->m->params.n; i++) {
        const xr_param *p = l->m->params.row[i];
        if ((p->flags & XR_PARAM_HEAD) && starts_with(p->name, start) && find_row(l, p->name))
            return 1;
    }
    return 0;
}

static xr_status set_head(load *l, const char *head)
{
    char *copy = head ? xr_strdup(head) : NULL;
    if (head && !copy)
        return xr_error_status();
    xr_free(l->config.head);
    l->config.head = copy;
    if (xr_config_head_has_labels(head))
        return XR_OK;
    return xr_config_set_labels(&l->config, NULL, 0, xr_config_head_problem(head));
}

/* The same names, in any order. Names are unique on both sides (xr_config_check), so inclusion and equal counts are enough. */
static int same_labels(const load *l)
{
    const xr_config *c = &l->config;
    if (c->num_labels != l->o.num_labels || c->problem != l->o.problem)
        return 0;
    for (int i = 0; i < l->o.num_labels; i++) {
        int found = 0;
        for (int j = 0; j < c->num_labels && !found; j++)
            found = !strcmp(l->o.label[i], c->label[j]);
        if (!found)
            return 0;
    }
    return 1;
}

static xr_status plan_labels(load *l, int same_head, int trained)
{
    if (!l->o.label && same_head)
        return XR_OK;
    if (!l->o.label)
        return xr_fail(XR_EDATA, "%s: has no head for %s classification, and no labels are given for a new one; fine-tune the model first", l->dir,
                       !strcmp(l->o.head, "token_cls") ? "token" : "sequence");
    if (same_head && same_labels(l))
        return XR_OK;
    l->fresh_head = same_head && trained;
    return xr_config_set_labels(&l->config, l->o.label, l->o.num_labels, l->o.problem);
}

/* Decides head and labels; on entry l->m is declared as the directory's config.json says. */
static xr_status plan_head(load *l)
{
    const char *have = l->config.head, *want = l->o.head;
    int trained = has_head_tensors(l, "");
    if (!want && have && !trained) {
        if (!l->o.quiet)
            xr_info("%s: config.json names a head (%s), but its tensors are not there; loaded without a head", l->dir, have);
        return set_head(l, NULL);
    }
    if (!want)
        return XR_OK;
    if (!xr_head_find(want))
        return xr_fail(XR_ESOFTWARE, "no head named '%s'", want);
    int same = have && !strcmp(have, want);
    l->other_classifier = have && !same && has_head_tensors(l, "classifier.");
    if (xr_config_head_has_labels(want))
        XR_TRY(plan_labels(l, same, trained));
    return set_head(l, want);
}

/* Declares twice: as the directory says, to see which head it has, and as wanted. Declaring takes no storage. */
static xr_status plan(load *l)
{
    XR_TRY(xr_model_declare(l->m, &l->config));
    XR_TRY(plan_head(l));
    XR_TRY(xr_config_check(&l->config, l->dir));
    xr_model_free(l->m);
    return xr_model_declare(l->m, &l->config);
}

/* --- linking rows with tensors ---------------------------------------------------------------------------------------- */

static void shape_text(char *out, size_t cap, const uint64_t *shape, int rank)
{
    size_t n = (size_t)snprintf(out, cap, "[");
    for (int i = 0; i < rank && n < cap; i++)
        n += (size_t)snprintf(out + n, cap - n, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    if (n < cap)
        snprintf(out + n, cap - n, "]");
}

/* What of config.json to look at when a shape does not fit. */
static const char *shape_hint(const xr_param *p, const xr_st_tensor *t)
{
    if (strstr(p->name, "word_embeddings") || !strcmp(p->name, "lm_head.bias"))
        return "vocab_size and the word embedding differ (a vocabulary has the sentencepiece model's pieces and 2 more): take config.json and "
               "weights from one source";
    if (strstr(p->name, "position_embeddings"))
        return "max_position_embeddings and the position table differ: take config.json and weights from one source";
    if (p->rank == 2 && t->rank == 2 && p->t.rows != p->t.cols && t->shape[0] == p->t.cols && t->shape[1] == p->t.rows)
        return "it is transposed; weights are stored [out, in]: transpose it in the program that wrote it";
    return "config.json and the weights do not belong together: take both from one source";
}

static xr_status check_fit(const xr_param *p, const xr_hf_tensor *found)
{
    const xr_st_tensor *t = found->t;
    uint64_t want[2] = { p->rank == 1 ? p->t.cols : p->t.rows, p->t.cols };
    if (!xr_st_is_float(t->dtype))
        return xr_fail(XR_EDATA, "%s: tensor %s has dtype %s; expected F32, F16 or BF16; get the original model", xr_st_path(found->file), t->name,
                       xr_st_dtype_name(t->dtype));
    if (t->rank == p->rank && t->shape[0] == want[0] && (p->rank == 1 || t->shape[1] == want[1]))
        return XR_OK;
    char have[200], need[64];
    shape_text(have, sizeof have, t->shape, t->rank);
    shape_text(need, sizeof need, want, p->rank);
    return xr_fail(XR_EDATA, "%s: tensor %s has shape %s; by config.json it must be %s; %s", xr_st_path(found->file), t->name, have, need,
                   shape_hint(p, t));
}

static xr_status link_row(load *l, size_t i)
{
    const xr_param *p = l->m->params.row[i];
    int head = (p->flags & XR_PARAM_HEAD) != 0;
    if (head && (l->fresh_head || (l->other_classifier && starts_with(p->name, "classifier.")))) {
        list_add(&l->fresh, p->name);
        return XR_OK;
    }
    xr_hf_tensor *found = find_row(l, p->name);
    if (!found && tied_name(p->name))
        found = xr_hf_files_find(&l->files, tied_name(p->name));
    if (!found) {
        list_add(head && l->o.head ? &l->fresh : &l->missing, p->name);
        return XR_OK;
    }
    found->used = 1;
    l->source[i] = found;
    return check_fit(p, found);
}

static int is_masked_lm(const load *l) { return l->m->head && !strcmp(l->m->head->name, "masked_lm"); }

static int is_decoder(const char *name) { return !strcmp(name, "lm_head.decoder.weight") || !strcmp(name, "lm_head.decoder.bias"); }

/* Buffers and the pooler say nothing about the task and are dropped without a word. */
static int is_silent(const load *l, const char *name)
{
    static const char *const silent[] = { "embeddings.position_ids", "embeddings.token_type_ids", "pooler.dense.weight", "pooler.dense.bias" };
    if (!starts_with(name, l->prefix))
        return 0;
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        if (!strcmp(name + strlen(l->prefix), silent[i]))
            return 1;
    return 0;
}

static int is_other_head(const char *name)
{
    return starts_with(name, "lm_head.") || starts_with(name, "classifier.") || starts_with(name, "qa_outputs.");
}

static void sort_unused(load *l)
{
    for (size_t i = 0; i < l->files.n; i++) {
        const char *name = l->files.tensor[i].t->name;
        if (l->files.tensor[i].used || is_silent(l, name) || (is_masked_lm(l) && is_decoder(name)))
            continue;
        list_add(is_other_head(name) ? &l->ignored : &l->extra, name);
    }
}

static xr_status link_rows(load *l)
{
    l->source = xr_alloc(l->m->params.n, sizeof(xr_hf_tensor *));
    if (!l->source)
        return xr_error_status();
    for (size_t i = 0; i < l->m->params.n; i++)
        XR_TRY(link_row(l, i));
    sort_unused(l);
    if (l->missing.n)
        return xr_fail(XR_EDATA, "%s: %zu tensor%s missing that config.json asks for: %s; the weights are incomplete or of another size: get them again",
                       l->dir, l->missing.n, l->missing.n == 1 ? " is" : "s are", list_text(&l->missing));
    if (l->extra.n)
        return xr_fail(XR_EDATA, "%s: %zu tensor%s no place in an XLM-R model of this config.json: %s; is num_hidden_layers right, and is the "
                       "model an adapter or another architecture?", l->dir, l->extra.n, l->extra.n == 1 ? " has" : "s have", list_text(&l->extra));
    return XR_OK;
}

/* --- values ----------------------------------------------------------------------------------------------------------- */

/* Only one whole file is mapped; values of shards, and of 16-bit files, are read. */
static void map_rows(load *l)
{
    if (!l->o.map || l->files.n_files != 1)
        return;
    for (size_t i = 0; i < l->m->params.n; i++) {
        const float *x = l->source[i] ? xr_st_map_f32(l->source[i]->file, l->source[i]->t) : NULL;
        l->m->params.row[i]->t.x = (float *)(uintptr_t)x;
    }
    l->m->mapped = xr_st_take_map(l->files.file[0], &l->m->mapped_bytes);
}

static void look_for_non_finite(load *l, const xr_param *p)
{
    size_t n = 0, numel = xr_numel(&p->t);
    if (xr_vec_finite(p->t.x, numel))
        return;
    for (size_t i = 0; i < numel; i++)
        n += isfinite(p->t.x[i]) ? 0 : 1;
    char what[320];
    snprintf(what, sizeof what, "%.256s (%zu of %zu)", p->name, n, numel);
    list_add(&l->non_finite, what);
}

static xr_status read_rows(load *l)
{
    xr_params *params = &l->m->params;
    for (size_t i = 0; i < params->n; i++) {
        xr_param *p = params->row[i];
        const xr_hf_tensor *source = l->source[i];
        const char *map = (const char *)l->m->mapped, *x = (const char *)p->t.x;
        if (!source) {
            xr_param_init(p, l->config.initializer_range, l->o.seed);
        } else if (!map || x < map || x >= map + l->m->mapped_bytes) {
            XR_TRY(xr_st_read_f32(source->file, source->t, p->t.x));
            xr_param_changed(p);
            look_for_non_finite(l, p);
        } else {
            p->mapped = 1;
        }
    }
    return XR_OK;
}

/* --- ties ------------------------------------------------------------------------------------------------------------- */

static xr_status compare_tied(const xr_hf_tensor *copy, const xr_param *p)
{
    float chunk[2048];
    enum { CHUNK = sizeof chunk / sizeof *chunk };
    XR_TRY(check_fit(p, copy));
    size_t numel = xr_numel(&p->t);
    for (size_t at = 0; at < numel; at += CHUNK) {
        size_t n = numel - at < CHUNK ? numel - at : CHUNK;
        XR_TRY(xr_st_read_part(copy->file, copy->t, at, n, chunk));
        if (memcmp(chunk, p->t.x + at, n * sizeof *chunk) != 0)
            return xr_fail(XR_EDATA, "%s: tensor %s differs from %s, to which XLM-R ties it; a decoder of its own is not supported: get the original model",
                           xr_st_path(copy->file), copy->t->name, p->name);
    }
    return XR_OK;
}

static xr_status check_ties(load *l)
{
    for (size_t i = 0; is_masked_lm(l) && i < l->m->params.n; i++) {
        const xr_param *p = l->m->params.row[i];
        const xr_hf_tensor *copy = tied_name(p->name) ? xr_hf_files_find(&l->files, tied_name(p->name)) : NULL;
        if (copy && copy != l->source[i])
            XR_TRY(compare_tied(copy, p));
    }
    return XR_OK;
}

/* --- all -------------------------------------------------------------------------------------------------------------- */

static void report(load *l)
{
    if (l->non_finite.n)
        xr_warn("%s: NaN or infinity in the weights: %s; the model is damaged: its predictions will mean nothing", l->dir, list_text(&l->non_finite));
    if (l->o.quiet)
        return;
    if (l->ignored.n)
        xr_info("%s: not used, since they belong to %s: %s", l->dir, l->fresh_head ? "a head with other labels" : "the heads of other tasks",
                list_text(&l->ignored));
    if (l->fresh.n)
        xr_info("%s: freshly initialised, since the files hold no such head%s: %s", l->dir, l->fresh_head ? " for these labels" : "",
                list_text(&l->fresh));
}

static xr_status read_config(load *l)
{
    if (!xr_path_is_dir(l->dir))
        return xr_fail(XR_ENOINPUT, "%s: %s; expected a directory with config.json and model.safetensors (nothing is downloaded: get the model "
                       "from its source first)", l->dir, xr_path_exists(l->dir) ? "is not a directory" : "does not exist");
    if (!xr_dir_has(l->dir, "config.json") && xr_dir_has(l->dir, "config.yaml"))
        return xr_fail(XR_ENOINPUT, "%s/config.json: cannot be opened; %s is a run: give %s/best or %s/final", l->dir, l->dir, l->dir, l->dir);
    char *path = xr_path_join(l->dir, "config.json");
    xr_status status = path ? xr_config_read(&l->config, path) : xr_error_status();
    xr_free(path);
    return status;
}

static xr_status declare_only(load *l)
{
    l->prefix = encoder_prefix;
    XR_TRY(xr_config_copy(&l->config, l->o.sizes));
    return plan(l);
}

static xr_status run(load *l)
{
    if (l->o.sizes)
        return declare_only(l);
    XR_TRY(read_config(l));
    XR_TRY(xr_hf_files_open(&l->files, l->dir));
    XR_TRY(find_prefix(l));
    XR_TRY(plan(l));
    XR_TRY(link_rows(l));
    map_rows(l);
    XR_TRY(xr_params_alloc(&l->m->params));
    XR_TRY(read_rows(l));
    XR_TRY(check_ties(l));
    report(l);
    return XR_OK;
}

static void load_free(load *l)
{
    name_list *lists[] = { &l->missing, &l->fresh, &l->extra, &l->ignored, &l->non_finite };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        xr_str_free(&lists[i]->text);
    xr_free(l->source);
    xr_hf_files_close(&l->files);
    xr_config_free(&l->config);
}

xr_status xr_model_load(xr_model *m, const char *dir, const xr_load_options *options)
{
    memset(m, 0, sizeof *m);
    load l = { .dir = dir, .m = m };
    if (options)
        l.o = *options;
    int phase = xr_phase_enter(XR_PHASE_LOAD);
    xr_status status = run(&l);
    xr_phase_enter(phase);
    load_free(&l);
    if (status < 0)
        xr_model_free(m);
    return status;
}
