/* A Hugging Face directory of a run's model, and the way back from a trimmed vocabulary: rows of the full model for the pieces that were left out,
 * trained rows for those that were kept. */
#include <string.h>

#include "model/hf_digests.h"
#include "train/context.h"
#include "train/export_checkpoint.h"
#include "train/vocab_dir.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { MAP_CAP = 64 << 20 };

/* What trim.json says. */
typedef struct trim_map {
    const char *path;
    size_t source_size;
    const char *source_sha256, *source_rows, *sha256;
    json_t *ids;
} trim_map;

/* One directory opened and checked as every command does, for its sizes and digests. */
typedef struct facts { int size; char sha256[65]; } facts;

static xr_status look(const char *dir, facts *f)
{
    xr_context *c = xr_context_open(dir, &(xr_load_options){ .map = 1, .quiet = 1 });
    if (!c)
        return xr_error_status();
    f->size = c->model.config.vocab_size;
    memcpy(f->sha256, xr_tokenizer_sha256(c->tokenizer), sizeof f->sha256);
    xr_context_free(c);
    return XR_OK;
}

/* ---- the map -------------------------------------------------------------------------------------------------------- */

static xr_status parse_map(trim_map *m, json_t *root)
{
    const char *format;
    json_error_t error;
    json_int_t size;
    if (json_unpack_ex(root, &error, 0, "{s:s, s:{s:I, s:s, s:s}, s:s, s:o}", "format", &format, "source", "vocab_size", &size, "tokenizer_sha256",
                       &m->source_sha256, "rows_xxh3", &m->source_rows, "tokenizer_sha256", &m->sha256, "source_ids", &m->ids) != 0 ||
        strcmp(format, "xlmr-trim") != 0 || size < 1 || size > INT32_MAX)
        return xr_fail(XR_EDATA, "%s: is not as xlmr trim wrote it (%s); take the file of the trimmed model", m->path,
                       error.text[0] ? error.text : "another format");
    m->source_size = (size_t)size;
    return XR_OK;
}

/* Ids of the full model, ascending, one for each of the trimmed one. */
static xr_status fill_source(const trim_map *m, const facts *own, xr_row_source *source)
{
    json_int_t last = -1;
    if (json_array_size(m->ids) != (size_t)own->size)
        return xr_fail(XR_EDATA, "%s: lists %zu ids, the model has %d; take the file of the trimmed model", m->path, json_array_size(m->ids), own->size);
    for (size_t i = 0; i < m->source_size; i++)
        source[i] = (xr_row_source){ 1, (uint32_t)i };
    for (size_t k = 0; k < (size_t)own->size; k++) {
        json_t *j = json_array_get(m->ids, k);
        json_int_t id = json_integer_value(j);
        if (!json_is_integer(j) || id <= last || (size_t)id >= m->source_size)
            return xr_fail(XR_EDATA, "%s: source_ids: entry %zu is not larger than the one before it and below %zu; take the file of the trimmed model",
                           m->path, k, m->source_size);
        source[id] = (xr_row_source){ 0, (uint32_t)k };
        last = id;
    }
    return XR_OK;
}

static xr_status expect_digest(const char *what, const char *found, const char *expected, const char *remedy)
{
    if (strcmp(found, expected) == 0)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: found %s, " XR_TRIM_MAP " has %s; %s", what, found, expected, remedy);
}

static xr_status check_digests(const trim_map *m, const char *from, const facts *own, const char *full, const facts *whole)
{
    char rows[33];
    XR_TRY(xr_vocab_dir_digest(full, rows));
    xr_status status = expect_digest("SHA-256 of the tokenizer", own->sha256, m->sha256, "its vocabulary has changed since it was trimmed");
    if (status < 0)
        return xr_fail_context("%s", from);
    status = expect_digest("SHA-256 of the tokenizer", whole->sha256, m->source_sha256, "give the model that was trimmed");
    if (status == XR_OK)
        status = expect_digest("XXH3 of the rows of the vocabulary", rows, m->source_rows, "give the model that was trimmed, not one trained further");
    if (status == XR_OK && (size_t)whole->size != m->source_size)
        status = xr_fail(XR_EDATA, "has %d ids, " XR_TRIM_MAP " says %zu; give the model that was trimmed", whole->size, m->source_size);
    return status < 0 ? xr_fail_context("%s", full) : XR_OK;
}

/* ---- the two kinds of export ---------------------------------------------------------------------------------------- */

static xr_status restore_rows(const xr_options *o, const char *from, const trim_map *m, const facts *own, xr_vocab_report *r)
{
    xr_row_source *source = xr_alloc(m->source_size, sizeof *source);
    xr_row_plan plan = { .rows = m->source_size, .source = source };
    xr_vocab_dir d = { .model = from, .full = o->restore_vocab, .plan = &plan, .tokenizer_dir = o->restore_vocab };
    xr_status status = source ? fill_source(m, own, source) : xr_error_status();
    if (status == XR_OK)
        status = xr_vocab_dir_size(from, &plan, &r->parameters_after, &r->bytes_after);
    if (status == XR_OK)
        status = xr_vocab_dir_create(&d, o->output_dir, o->overwrite_output_dir);
    r->size_after = (int)plan.rows;
    xr_free(source);
    return status;
}

static xr_status restore(const xr_options *o, const char *from, json_t *root, trim_map *m, const facts *own, xr_vocab_report *r)
{
    facts whole;
    XR_TRY(parse_map(m, root));
    XR_TRY(look(o->restore_vocab, &whole));
    XR_TRY(check_digests(m, from, own, o->restore_vocab, &whole));
    return restore_rows(o, from, m, own, r);
}

static xr_status export_restored(const xr_options *o, const char *from, const facts *own, xr_vocab_report *r)
{
    char *path = xr_path_join(from, XR_TRIM_MAP);
    trim_map m = { .path = path };
    json_t *root = NULL;
    xr_status status = path ? XR_OK : xr_error_status();
    if (path && !xr_path_exists(path))
        status = xr_fail(XR_EDATA, "%s: has no " XR_TRIM_MAP ", which says what it was trimmed from; leave out --restore-vocab if it never was", from);
    if (status == XR_OK) {
        root = xr_json_file(path, MAP_CAP);
        status = root ? restore(o, from, root, &m, own, r) : xr_error_status();
    }
    json_decref(root);
    xr_free(path);
    return status;
}

static xr_status export_same(const xr_options *o, const char *from, xr_vocab_report *r)
{
    xr_vocab_dir d = { .model = from };
    r->size_after = r->size_before;
    r->parameters_after = r->parameters_before;
    r->bytes_after = r->bytes_before;
    return xr_vocab_dir_create(&d, o->output_dir, o->overwrite_output_dir);
}

/* ---- where the model is --------------------------------------------------------------------------------------------- */

/* A model directory itself, or the model a run left in one; NULL, without an error, when there is none. Caller frees. */
static char *find_model(const char *from)
{
    static const char *const in[] = { "", "best", "final" };
    for (size_t i = 0; i < sizeof in / sizeof *in; i++) {
        char *dir = *in[i] ? xr_path_join(from, in[i]) : xr_strdup(from);
        int there = dir ? xr_dir_has(dir, "config.json") : xr_error_status();
        if (there == 1)
            return dir;
        xr_free(dir);
        if (there < 0)
            break;
    }
    return NULL;
}

static xr_status export_from(const xr_options *o, const char *from, xr_vocab_report *r)
{
    facts own;
    XR_TRY(xr_vocab_output_check(o->output_dir, o->overwrite_output_dir, from));
    if (o->restore_vocab)
        XR_TRY(xr_vocab_output_check(o->output_dir, 0, o->restore_vocab));
    XR_TRY(look(from, &own));
    r->size_before = own.size;
    XR_TRY(xr_vocab_dir_size(from, NULL, &r->parameters_before, &r->bytes_before));
    return o->restore_vocab ? export_restored(o, from, &own, r) : export_same(o, from, r);
}

/* A checkpoint has no directory to take rows from until it is exported. */
static xr_status export_checkpoint(const xr_options *o, xr_vocab_report *r)
{
    xr_outdir out = { 0 };
    if (o->restore_vocab)
        return xr_fail(XR_EUSAGE, "%s: %s; export it without --restore-vocab first, then export that directory with it", o->from,
                       xr_dir_has(o->from, "MANIFEST.json") ? "is a checkpoint" : "weights come from its checkpoints");
    XR_TRY(xr_vocab_output_check(o->output_dir, o->overwrite_output_dir, o->from));
    XR_TRY(xr_outdir_begin(&out, o->output_dir, o->overwrite_output_dir, "--overwrite-output-dir"));
    xr_status status = xr_export_checkpoint(o->from, (size_t)o->average, out.tmp, &r->size_after);
    if (status == XR_OK)
        status = xr_vocab_dir_size(out.tmp, NULL, &r->parameters_after, &r->bytes_after);
    if (status == XR_OK)
        status = xr_model_seal(out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}

static xr_status export_model(const xr_options *o, xr_vocab_report *r)
{
    char *from = find_model(o->from);
    xr_status status = from ? export_from(o, from, r) : xr_error_status();
    xr_free(from);
    if (!from && status == XR_OK && xr_dir_has(o->from, "checkpoints"))
        return export_checkpoint(o, r);
    if (!from && status == XR_OK)
        return xr_fail(XR_ENOINPUT, "%s: %s; expected a model directory (config.json), a run directory, or a checkpoint", o->from,
                       xr_path_is_dir(o->from) ? "holds no model" : "is no directory");
    return status;
}

xr_status xr_vocab_export(const xr_options *o, xr_vocab_report *report)
{
    *report = (xr_vocab_report){ 0 };
    int checkpoint = xr_dir_has(o->from, "MANIFEST.json"), run = xr_dir_has(o->from, "checkpoints");
    if (checkpoint < 0 || run < 0)
        return xr_error_status();
    if (o->average > 1 && !checkpoint && !run)
        return xr_fail(XR_EUSAGE, "%s: --average takes a run that has checkpoints, or one of these; leave it out, or give the run", o->from);
    return checkpoint || o->average > 1 ? export_checkpoint(o, report) : export_model(o, report);
}
