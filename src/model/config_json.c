/* config.json in and out. Keys we interpret become members of xr_config; all others are kept and written back. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/config_fields.h"
#include "model/head.h"
#include "util/alloc.h"
#include "util/json.h"

enum { CONFIG_CAP = 16 << 20, LABEL_CAP = 1 << 20 };

static const char *const problem_name[] = {
    [XR_PROBLEM_SINGLE_LABEL] = "single_label_classification",
    [XR_PROBLEM_REGRESSION] = "regression",
    [XR_PROBLEM_MULTI_LABEL] = "multi_label_classification",
};
enum { N_PROBLEMS = sizeof problem_name / sizeof *problem_name };

/* What is being read, for messages. */
typedef struct reader {
    const char *path;
    json_t *root;
    xr_config *c;
} reader;

/* The value as people wrote it, short enough for a message. */
static xr_status refuse(const reader *r, const char *key, const json_t *found, const char *expected)
{
    char *text = found ? xr_json_dump(found, 0) : NULL;
    if (text && strlen(text) > 60)
        memcpy(text + 57, "...", 4);
    xr_fail(XR_EDATA, "%s: %s: found %s, expected %s", r->path, key, text ? text : "nothing", expected);
    xr_free(text);
    return xr_error_status();
}

/* NULL when the key is absent or null: transformers takes both as "not set". */
static const json_t *get(const reader *r, const char *key)
{
    const json_t *j = json_object_get(r->root, key);
    return json_is_null(j) ? NULL : j;
}

/* --- what must be so ---------------------------------------------------------------------------------------------- */

static xr_status check_model_type(const reader *r)
{
    const json_t *j = get(r, "model_type");
    if (!json_is_string(j) || strcmp(json_string_value(j), "xlm-roberta") != 0)
        return refuse(r, "model_type", j, "\"xlm-roberta\", the only supported one (RoBERTa, BERT, CamemBERT and XLM-RoBERTa-XL are other families)");
    return XR_OK;
}

static xr_status expect_string(const reader *r, const char *key, const char *value, const char *expected)
{
    const json_t *j = get(r, key);
    if (j && (!json_is_string(j) || strcmp(json_string_value(j), value) != 0))
        return refuse(r, key, j, expected);
    return XR_OK;
}

static xr_status expect_false(const reader *r, const char *key, const char *expected)
{
    const json_t *j = get(r, key);
    return j && !json_is_false(j) ? refuse(r, key, j, expected) : XR_OK;
}

static xr_status check_kind(const reader *r)
{
    if (!json_is_object(r->root))
        return xr_fail(XR_EDATA, "%s: is not a JSON object; expected a config.json as transformers writes it", r->path);
    XR_TRY(check_model_type(r));
    XR_TRY(expect_string(r, "hidden_act", "gelu", "\"gelu\": XLM-R's activation (the erf form), the only supported one"));
    XR_TRY(expect_string(r, "position_embedding_type", "absolute", "\"absolute\": relative positions are not supported"));
    XR_TRY(expect_false(r, "is_decoder", "false: decoders are not supported"));
    XR_TRY(expect_false(r, "add_cross_attention", "false: cross-attention is not supported"));
    const json_t *pruned = get(r, "pruned_heads"), *quantised = get(r, "quantization_config");
    if (json_object_size(pruned))
        return refuse(r, "pruned_heads", pruned, "none: models with pruned heads are not supported");
    if (quantised)
        return refuse(r, "quantization_config", quantised, "no quantisation: get the full-precision model");
    return XR_OK;
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static xr_status missing(const reader *r, const char *key)
{
    return xr_fail(XR_EDATA, "%s: %s is missing; it is never guessed (defaults differ between models): add it, or get the file from its source again",
                   r->path, key);
}

static xr_status read_ints(const reader *r)
{
    for (const xr_config_int *field = xr_config_ints; field->name; field++) {
        const json_t *j = get(r, field->name);
        if (!j && field->required)
            return missing(r, field->name);
        if (!j)
            continue;
        if (!json_is_integer(j))
            return refuse(r, field->name, j, "a whole number");
        json_int_t value = json_integer_value(j);
        if (value > INT32_MAX || value < INT32_MIN)
            return refuse(r, field->name, j, "a number that fits 32 bits");
        *xr_config_int_at(r->c, field) = (int)value;
    }
    return XR_OK;
}

static xr_status read_real(const reader *r, const char *key, int required, float *out)
{
    const json_t *j = get(r, key);
    if (!j)
        return required ? missing(r, key) : XR_OK;
    if (!json_is_number(j) || !isfinite((float)json_number_value(j)))
        return refuse(r, key, j, "a number");
    *out = (float)json_number_value(j);
    return XR_OK;
}

static xr_status read_reals(const reader *r)
{
    for (const xr_config_real *field = xr_config_reals; field->name; field++)
        XR_TRY(read_real(r, field->name, field->required, xr_config_real_at(r->c, field)));
    XR_TRY(read_real(r, "classifier_dropout", 0, &r->c->classifier_dropout));
    if (get(r, "classifier_dropout") && r->c->classifier_dropout < 0.0f)
        return refuse(r, "classifier_dropout", get(r, "classifier_dropout"), "null or a number from 0 to 0.99");
    return XR_OK;
}

/* --- head and labels ---------------------------------------------------------------------------------------------- */

static xr_status read_head(const reader *r)
{
    const json_t *list = get(r, "architectures"), *first = json_array_get(list, 0);
    if (list && (!json_is_array(list) || (first && !json_is_string(first))))
        return refuse(r, "architectures", list, "a list of class names, such as [\"XLMRobertaForMaskedLM\"]");
    const xr_head *head = first ? xr_head_of_architecture(json_string_value(first)) : NULL;
    if (head && !(r->c->head = xr_strdup(head->name)))
        return xr_error_status();
    r->c->problem = xr_config_head_problem(r->c->head);
    return XR_OK;
}

static int has_labels(const xr_config *c) { return xr_config_head_has_labels(c->head); }

static int is_tagger(const xr_config *c) { return c->head && !strcmp(c->head, "token_cls"); }

/* Keys "0" .. "n-1", each once (the parser has refused duplicates), strings as values. */
static xr_status parse_labels(const reader *r, const json_t *map, const char **name)
{
    static const char *const expected = "{\"0\": \"name\", \"1\": \"name\", …}: ids 0 to n-1, each with a name";
    size_t n = json_object_size(map);
    char key[24];
    for (size_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%zu", i);
        const json_t *value = json_object_get(map, key);
        if (!json_is_string(value)) {
            char what[160];
            snprintf(what, sizeof what, "%s; %s: %s", expected, value ? "not a string" : "missing", key);
            return refuse(r, "id2label", map, what);
        }
        name[i] = json_string_value(value);
    }
    return XR_OK;
}

static xr_status check_label2id(const reader *r, const char *const *name, size_t n)
{
    const json_t *map = get(r, "label2id");
    if (!map)
        return XR_OK;
    if (!json_is_object(map) || json_object_size(map) != n)
        return refuse(r, "label2id", map, "the same labels as in id2label; correct one of the two");
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_object_get(map, name[i]);
        if (!json_is_integer(id) || json_integer_value(id) != (json_int_t)i)
            return xr_fail(XR_EDATA, "%s: label2id disagrees with id2label about '%s' (id %zu there); which class is which cannot be known: correct "
                           "one of the two", r->path, name[i], i);
    }
    return XR_OK;
}

static xr_status read_problem(const reader *r, xr_problem *problem)
{
    const json_t *j = get(r, "problem_type");
    if (!j)
        return XR_OK;
    for (int i = 0; i < N_PROBLEMS; i++) {
        if (json_is_string(j) && !strcmp(json_string_value(j), problem_name[i])) {
            *problem = (xr_problem)i;
            return XR_OK;
        }
    }
    return refuse(r, "problem_type", j, "null, \"single_label_classification\", \"regression\" or \"multi_label_classification\"");
}

/* Without a problem_type, transformers takes one label as regression. Token classification has none, and whatever stands there is not read. */
static xr_status keep_labels(const reader *r, const char *const *name, size_t n)
{
    xr_problem problem = n == 1 ? XR_PROBLEM_REGRESSION : XR_PROBLEM_SINGLE_LABEL;
    if (is_tagger(r->c))
        problem = XR_PROBLEM_TAGS;
    else
        XR_TRY(read_problem(r, &problem));
    return has_labels(r->c) ? xr_config_set_labels(r->c, name, (int)n, problem) : XR_OK;
}

/* transformers leaves id2label out when it is its default: num_labels (or 2) names LABEL_0, LABEL_1, … */
static xr_status default_labels(const reader *r, json_int_t n)
{
    json_t *map = json_object();
    char key[24], value[32];
    for (json_int_t i = 0; i < n; i++) {
        snprintf(key, sizeof key, "%" JSON_INTEGER_FORMAT, i);
        snprintf(value, sizeof value, "LABEL_%" JSON_INTEGER_FORMAT, i);
        json_object_set_new(map, key, json_string(value));
    }
    const char **name = xr_alloc((size_t)n, sizeof *name);
    xr_status status = name ? parse_labels(r, map, name) : xr_error_status();
    if (status == XR_OK)
        status = keep_labels(r, name, (size_t)n);
    xr_free(name);
    json_decref(map);
    return status;
}

static xr_status read_labels(const reader *r)
{
    const json_t *map = get(r, "id2label"), *count = get(r, "num_labels");
    size_t n = json_object_size(map);
    if (count && (!json_is_integer(count) || json_integer_value(count) < 1 || json_integer_value(count) > LABEL_CAP))
        return refuse(r, "num_labels", count, "a whole number from 1 to 1048576");
    if (map && (!json_is_object(map) || n < 1 || n > LABEL_CAP))
        return refuse(r, "id2label", map, "an object of 1 to 1048576 labels");
    if (map && count && json_integer_value(count) != (json_int_t)n)
        return refuse(r, "num_labels", count, "as many as id2label has; correct one of the two");
    if (!map)
        return default_labels(r, count ? json_integer_value(count) : 2);
    const char **name = xr_alloc(n, sizeof *name);
    xr_status status = name ? parse_labels(r, map, name) : xr_error_status();
    if (status == XR_OK)
        status = keep_labels(r, name, n);
    if (status == XR_OK && has_labels(r->c))
        status = xr_config_check(r->c, r->path);    /* duplicates first: label2id cannot agree with them */
    if (status == XR_OK)
        status = check_label2id(r, name, n);
    xr_free(name);
    return status;
}

/* The decoder of a masked-LM model is the word embedding, always. */
static xr_status check_tie(const reader *r)
{
    const json_t *tie = get(r, "tie_word_embeddings");
    if (tie && !json_is_true(tie) && r->c->head && !strcmp(r->c->head, "masked_lm"))
        return refuse(r, "tie_word_embeddings", tie, "true: a decoder of its own beside the word embedding is not supported");
    return XR_OK;
}

/* --- keys kept and written ---------------------------------------------------------------------------------------- */

/* Interpreted above, or superseded by what the writer says. */
static const char *const own_keys[] = { "model_type", "architectures", "hidden_act", "position_embedding_type", "classifier_dropout", "id2label",
                                        "label2id", "num_labels", "problem_type", "dtype", "torch_dtype", "tie_word_embeddings", "pruned_heads",
                                        "_name_or_path" };

static xr_status keep_extra(reader *r)
{
    for (const xr_config_int *field = xr_config_ints; field->name; field++)
        json_object_del(r->root, field->name);
    for (const xr_config_real *field = xr_config_reals; field->name; field++)
        json_object_del(r->root, field->name);
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        json_object_del(r->root, own_keys[i]);
    r->c->extra = json_incref(r->root);
    return XR_OK;
}

static xr_status read_all(reader *r)
{
    XR_TRY(check_kind(r));
    XR_TRY(read_ints(r));
    XR_TRY(read_reals(r));
    XR_TRY(read_head(r));
    XR_TRY(read_labels(r));
    XR_TRY(check_tie(r));
    XR_TRY(xr_config_check(r->c, r->path));
    return keep_extra(r);
}

xr_status xr_config_read(xr_config *c, const char *path)
{
    xr_config_defaults(c);
    reader r = { path, xr_json_file(path, CONFIG_CAP), c };
    xr_status status = r.root ? read_all(&r) : xr_error_status();
    json_decref(r.root);
    if (status < 0)
        xr_config_free(c);
    return status;
}

/* Shortest decimal of a float as a JSON number: 1e-05, not 9.999999747378752e-06. */
static json_t *real_of(float x)
{
    xr_str text = { 0 };
    double value = (double)x;
    if (xr_str_float(&text, x) == XR_OK)
        (void)xr_parse_double(text.s, &value);
    xr_str_free(&text);
    return json_real(value);
}

static int by_key(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keys in byte order, as transformers writes them, whatever order they were read in; NULL when memory is out. */
static json_t *sorted(json_t *j)
{
    const char *key;
    json_t *value, *out = json_object();
    size_t n = 0;
    const char **keys = xr_alloc(json_object_size(j), sizeof *keys);
    int bad = !keys || !out;
    if (!bad) {
        json_object_foreach(j, key, value)
            keys[n++] = key;
        qsort(keys, n, sizeof *keys, by_key);
    }
    for (size_t i = 0; i < n; i++)
        bad |= json_object_set(out, keys[i], json_object_get(j, keys[i])) < 0;
    xr_free(keys);
    if (!bad)
        return out;
    json_decref(out);
    return NULL;
}

/* 1 when memory is out, as of those below: a value that could not be made cannot be put. */
static int put(json_t *out, const char *key, json_t *value)
{
    return json_object_set_new(out, key, value) < 0;
}

static int put_labels(json_t *out, const xr_config *c)
{
    json_t *names = json_object(), *ids = json_object();
    char key[24];
    int bad = 0;
    for (int i = 0; i < c->num_labels; i++) {
        snprintf(key, sizeof key, "%d", i);
        bad |= put(names, key, json_string(c->label[i])) | put(ids, c->label[i], json_integer(i));
    }
    bad |= put(out, "id2label", names) | put(out, "label2id", ids ? sorted(ids) : NULL);
    json_decref(ids);
    if (!is_tagger(c))
        bad |= put(out, "problem_type", json_string(problem_name[c->problem]));
    return bad;
}

static int put_all(json_t *out, const xr_config *c)
{
    const xr_head *head = c->head ? xr_head_find(c->head) : NULL;
    int bad = put(out, "architectures", json_pack("[s]", head ? head->architecture : "XLMRobertaModel"));
    for (const xr_config_int *field = xr_config_ints; field->name; field++)
        bad |= put(out, field->name, json_integer(xr_config_int_get(c, field)));
    for (const xr_config_real *field = xr_config_reals; field->name; field++)
        bad |= put(out, field->name, real_of(xr_config_real_get(c, field)));
    bad |= put(out, "classifier_dropout", c->classifier_dropout < 0.0f ? json_null() : real_of(c->classifier_dropout));
    bad |= put(out, "dtype", json_string("float32"));
    bad |= put(out, "hidden_act", json_string("gelu"));
    bad |= put(out, "model_type", json_string("xlm-roberta"));
    bad |= put(out, "tie_word_embeddings", json_true());
    return has_labels(c) ? bad | put_labels(out, c) : bad;
}

/* NULL when memory is out. */
static json_t *describe(const xr_config *c)
{
    json_t *all = c->extra ? json_deep_copy(c->extra) : json_object();
    json_t *out = all && !put_all(all, c) ? sorted(all) : NULL;
    json_decref(all);
    return out;
}

xr_status xr_config_write(const xr_config *c, const char *path)
{
    XR_TRY(xr_config_check(c, path));
    json_t *j = describe(c);
    xr_status status = j ? xr_json_write(path, j, 2) : xr_fail(XR_ESYSTEM, "%s: out of memory", path);
    json_decref(j);
    return status;
}
