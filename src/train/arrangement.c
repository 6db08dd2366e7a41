#include "train/arrangement.h"

#include <stdlib.h>
#include <string.h>

#include "data/language.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

/* How a file is called without its endings; % is the language, a name without one is of `language`. */
typedef struct pattern { const char *name, *language; } pattern;

static const pattern train_names[] = {
    { "train-%", NULL }, { "multinli.train.%", NULL }, { "train.%", NULL }, { "%/train", NULL }, { "%/translated_train", NULL }, { "train-v1.1", "en" },
    { "squad.translate.train.en-%", NULL }, { "tydiqa.translate.train.en-%", NULL }, { "tydiqa.%.train", NULL }, { "tydiqa.goldp.%.train", NULL },
    { NULL, NULL },
};
static const pattern valid_names[] = {
    { "dev-%", NULL }, { "dev.%", NULL }, { "val.%", NULL }, { "%/dev_2k", NULL }, { "%/dev", NULL }, { "dev-v1.1", "en" },
    { "dev-context-%-question-%", NULL }, { "tydiqa.%.dev", NULL }, { "tydiqa.goldp.%.dev", NULL }, { NULL, NULL },
};

/* --- names ------------------------------------------------------------------------------------------------------ */

/* Bytes of `name` before its ending, with or without .gz; 0: not that of a data file. */
static size_t without_ending(const char *name)
{
    static const char *const ending[] = { ".tsv", ".csv", ".jsonl", ".json", ".txt", ".conll", ".conllu", NULL };
    size_t n = strlen(name);
    if (n > 3 && strcmp(name + n - 3, ".gz") == 0)
        n -= 3;
    for (const char *const *end = ending; *end; end++) {
        size_t m = strlen(*end);
        if (n > m && memcmp(name + n - m, *end, m) == 0)
            return n - m;
    }
    return 0;
}

/* The pattern with every % replaced is name[0 .. n). */
static int is_named(const char *form, const char *language, size_t len, const char *name, size_t n)
{
    size_t at = 0;
    for (; *form; form++) {
        const char *piece = *form == '%' ? language : form;
        size_t m = *form == '%' ? len : 1;
        if (at + m > n || memcmp(name + at, piece, m) != 0)
            return 0;
        at += m;
    }
    return at == n;
}

/* Two or three letters, and what may follow them: "de", "zh-Hant". */
static int is_language(const char *s, size_t n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    size_t head = strspn(s, letters);
    if (n == 3 && (memcmp(s, "all", 3) == 0 || memcmp(s, "dev", 3) == 0))      /* train-all.tsv */
        return 0;
    return n < XR_LANGUAGE_MAX && (head == 2 || head == 3) && head <= n && (head == n || s[head] == '-' || s[head] == '_');
}

/* The language of name[0 .. n) if it follows the pattern: where in the name and how long, or the pattern's own. 0: it does not. */
static int match(const pattern *p, const char *name, size_t n, char language[XR_LANGUAGE_MAX])
{
    const char *mark = strchr(p->name, '%');
    if (!mark) {
        if (!is_named(p->name, "", 0, name, n))
            return 0;
        strcpy(language, p->language);
        return 1;
    }
    size_t start = (size_t)(mark - p->name);
    for (size_t len = 2; start + len <= n; len++)
        if (is_language(name + start, len) && is_named(p->name, name + start, len, name, n)) {
            memcpy(language, name + start, len);
            language[len] = 0;
            return 1;
        }
    return 0;
}

/* --- what the folder has ------------------------------------------------------------------------------------------ */

typedef struct search {
    const pattern *p;
    const char *folder;         /* of a pattern with '/', the language's subfolder; NULL: the folder itself */
    const char *dir;
    xr_arranged **v; size_t *n, *cap;
} search;

static xr_arranged *find(xr_arranged *v, size_t n, const char *language)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i].language, language) == 0)
            return &v[i];
    return NULL;
}

static xr_status add(search *s, const char *language, const char *path)
{
    XR_TRY(xr_grow(s->v, s->cap, *s->n + 1, sizeof **s->v));
    xr_arranged *a = &(*s->v)[(*s->n)++];
    *a = (xr_arranged){ .language = xr_strdup(language), .path = xr_strdup(path), .option = xr_asprintf("%s=%s", language, path) };
    return a->language && a->path && a->option ? XR_OK : xr_error_status();
}

/* One file; what an earlier pattern found stays, and two files of one pattern are one too many. */
static xr_status take(search *s, const char *name, size_t n, const char *path, size_t first)
{
    char language[XR_LANGUAGE_MAX];
    if (!match(s->p, name, n, language))
        return XR_OK;
    const xr_arranged *twin = find(*s->v, *s->n, language);
    if (!twin)
        return add(s, language, path);
    return twin < *s->v + first ? XR_OK : xr_fail(XR_EDATA, "%s: language '%s' also has %s; expected one file a language; move one of them away", path,
                                                  language, twin->path);
}

typedef struct visiting { search *s; size_t first; } visiting;

static xr_status visit(const char *path, const char *name, void *context)
{
    visiting *v = context;
    size_t n = without_ending(name);
    if (n == 0)
        return XR_OK;
    char *whole = v->s->folder ? xr_asprintf("%s/%.*s", v->s->folder, (int)n, name) : xr_strndup(name, n);
    xr_status status = whole ? take(v->s, whole, strlen(whole), path, v->first) : xr_error_status();
    xr_free(whole);
    return status;
}

static xr_status visit_folder(const char *path, const char *name, void *context)
{
    visiting *v = context;
    v->s->folder = name;
    return is_language(name, strlen(name)) && xr_path_is_dir(path) ? xr_dir_each(path, visit, v) : XR_OK;
}

static int by_language(const void *a, const void *b)
{
    const char *x = ((const xr_arranged *)a)->language, *y = ((const xr_arranged *)b)->language;
    int first = (strcmp(y, "en") == 0) - (strcmp(x, "en") == 0);
    return first ? first : strcmp(x, y);
}

static xr_status find_all(const char *dir, const pattern *names, xr_arranged **v, size_t *n, size_t *cap)
{
    for (const pattern *p = names; p->name; p++) {
        search s = { p, NULL, dir, v, n, cap };
        visiting at = { &s, *n };
        XR_TRY(xr_dir_each(dir, strchr(p->name, '/') ? visit_folder : visit, &at));
    }
    if (*n)
        qsort(*v, *n, sizeof **v, by_language);
    return XR_OK;
}

/* --- what the protocol takes of it ---------------------------------------------------------------------------------- */

static void arranged_free(xr_arranged *a)
{
    xr_free(a->language);
    xr_free(a->path);
    xr_free(a->option);
}

/* "en, fr" in the list `languages`. */
static int is_listed(const char *languages, const char *language)
{
    for (const char *at = languages; *at;) {
        at += strspn(at, ", ");
        size_t n = strcspn(at, ", ");
        if (n > 0 && strlen(language) == n && memcmp(at, language, n) == 0)
            return 1;
        at += n;
    }
    return 0;
}

static size_t count_listed(const char *languages)
{
    size_t n = 0;
    for (const char *at = languages; *(at += strspn(at, ", ")); n++)
        at += strcspn(at, ", ");
    return n;
}

/* Drops what is not in the list. */
static void keep_listed(xr_arranged *v, size_t *n, const char *languages)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (is_listed(languages, v[i].language))
            v[kept++] = v[i];
        else
            arranged_free(&v[i]);
    }
    *n = kept;
}

static void keep_trained(xr_arrangement *a)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->n_valid; i++) {
        if (find(a->train, a->n_train, a->valid[i].language))
            a->valid[kept++] = a->valid[i];
        else
            arranged_free(&a->valid[i]);
    }
    a->n_valid = kept;
}

/* XNLI-1.0 has one dev file of all languages, whose rows say which. */
static xr_status add_xnli(xr_arrangement *a, const char *dir)
{
    search s = { .v = &a->valid, .n = &a->n_valid, .cap = &a->cap_valid };
    char *plain = xr_path_join(dir, "xnli.dev.tsv"), *packed = plain ? xr_asprintf("%s.gz", plain) : NULL;
    xr_status status = packed ? XR_OK : xr_error_status();
    const char *path = !packed ? NULL : xr_path_exists(plain) ? plain : xr_path_exists(packed) ? packed : NULL;
    for (size_t i = 0; path && status == XR_OK && i < a->n_train; i++)
        if (!find(a->valid, a->n_valid, a->train[i].language))
            status = add(&s, a->train[i].language, path);
    if (a->n_valid)
        qsort(a->valid, a->n_valid, sizeof *a->valid, by_language);
    xr_free(plain);
    xr_free(packed);
    return status;
}

static xr_status fail_missing(const char *dir, const char *protocol, const char *wanted, const char *there)
{
    return xr_fail(XR_ENOINPUT, "%s: no training file%s%s, as --protocol %s needs; there are those of: %s; names that count are train-{lang}.tsv and those of "
                   "XNLI, PAWS-X, SQuAD, MLQA and TyDi (docs/decisions.md, Protocols)", dir, *wanted ? " in " : "", wanted, protocol, *there ? there : "none");
}

static xr_status list(const xr_arranged *v, size_t n, xr_str *out)
{
    XR_TRY(xr_str_puts(out, ""));
    for (size_t i = 0; i < n; i++)
        XR_TRY(xr_str_printf(out, "%s%s", i ? ", " : "", v[i].language));
    return XR_OK;
}

/* The training files that the protocol takes; `there` lists what the folder has. */
static xr_status keep_wanted(xr_arrangement *a, const char *dir, const char *protocol, const char *languages, const char *there)
{
    if (languages)
        keep_listed(a->train, &a->n_train, languages);
    if (a->n_train < (languages ? count_listed(languages) : 1))
        return fail_missing(dir, protocol, languages ? languages : "", there);
    if (strcmp(protocol, "translate-train-all") == 0 && a->n_train < 2)
        return xr_fail(XR_ENOINPUT, "%s: one training file, of %s; --protocol translate-train-all trains on several languages; give --protocol %s, or add the "
                       "translated files", dir, a->train[0].language, strcmp(a->train[0].language, "en") == 0 ? "zero-shot" : "translate-train");
    return XR_OK;
}

static xr_status check_protocol(const char *protocol, const char **languages)
{
    int all = strcmp(protocol, "translate-train-all") == 0, one = strcmp(protocol, "translate-train") == 0;
    if (!all && !one && strcmp(protocol, "zero-shot") != 0)
        return xr_fail(XR_EUSAGE, "--protocol %s: not an arrangement of training data; expected zero-shot, translate-train or translate-train-all", protocol);
    if (*languages && count_listed(*languages) == 0)
        return xr_fail(XR_EUSAGE, "--languages %s: no name in it; expected a list such as en,fr", *languages);
    if (!all && *languages && count_listed(*languages) > 1)
        return xr_fail(XR_EUSAGE, "--languages %s: --protocol %s trains on one language; name one, or give --protocol translate-train-all", *languages,
                       protocol);
    if (one && !*languages)
        return xr_fail(XR_EUSAGE, "--protocol translate-train: trains one model a language; say which with --languages");
    if (!all && !*languages)
        *languages = "en";
    return XR_OK;
}

xr_status xr_arrange(xr_arrangement *a, const char *dir, const char *protocol, const char *languages)
{
    xr_str there = { 0 };
    memset(a, 0, sizeof *a);
    XR_TRY(check_protocol(protocol, &languages));
    if (!xr_path_is_dir(dir))
        return xr_fail(XR_ENOINPUT, "%s: no such folder; expected the folder of one task's data, as --protocol %s reads it", dir, protocol);
    XR_TRY(find_all(dir, train_names, &a->train, &a->n_train, &a->cap_train));
    XR_TRY(find_all(dir, valid_names, &a->valid, &a->n_valid, &a->cap_valid));
    xr_status status = list(a->train, a->n_train, &there);
    if (status == XR_OK)
        status = keep_wanted(a, dir, protocol, languages, there.s);
    xr_str_free(&there);
    XR_TRY(status);
    keep_trained(a);
    XR_TRY(add_xnli(a, dir));
    if (a->n_valid == 0)
        xr_info("%s: no dev file of a language that is trained on: nothing chooses the best model", dir);
    return XR_OK;
}

void xr_arrangement_free(xr_arrangement *a)
{
    for (size_t i = 0; i < a->n_train; i++)
        arranged_free(&a->train[i]);
    for (size_t i = 0; i < a->n_valid; i++)
        arranged_free(&a->valid[i]);
    xr_free(a->train);
    xr_free(a->valid);
    memset(a, 0, sizeof *a);
}
