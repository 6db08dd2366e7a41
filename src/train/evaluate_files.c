/* Finding the files of an evaluation: {split}-{language}.tsv and the like; which languages, in which order. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "data/language.h"
#include "train/evaluate.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

/* As in the tables of the papers. */
static const char *const xnli_order[] = { "en", "fr", "es", "de", "el", "bg", "ru", "tr",
                                          "ar", "vi", "th", "zh", "hi", "sw", "ur" };
enum { N_XNLI = sizeof xnli_order / sizeof *xnli_order };

static const char *const endings[] = { ".tsv", ".csv", ".jsonl", ".json", ".txt", ".conllu", ".conll", ".iob2", NULL };

xr_status xr_evaluate_add(xr_evaluation *e, const char *language, size_t len, const char *path, int filter)
{
    XR_TRY(xr_grow(&e->v, &e->cap, e->n + 1, sizeof *e->v));
    xr_scored *s = &e->v[e->n++];
    memset(s, 0, sizeof *s);
    s->language = xr_strndup(language, len);
    s->path = s->language ? xr_strdup(path) : NULL;
    s->filter = filter;
    return s->path ? XR_OK : xr_error_status();
}

xr_scored *xr_evaluate_language(const xr_evaluation *e, const char *language, size_t len)
{
    for (size_t i = 0; i < e->n; i++)
        if (strlen(e->v[i].language) == len && memcmp(e->v[i].language, language, len) == 0)
            return &e->v[i];
    return NULL;
}

int xr_evaluate_translated(const xr_evaluation *e)
{
    return strcmp(e->o->protocol, "translate-test") == 0;
}

/* Bytes of `name` before a known ending, with or without .gz; 0 = none. */
static size_t stem(const char *name)
{
    size_t n = strlen(name);
    if (n > 3 && strcmp(name + n - 3, ".gz") == 0)
        n -= 3;
    for (const char *const *end = endings; *end; end++) {
        size_t m = strlen(*end);
        if (n > m && memcmp(name + n - m, *end, m) == 0)
            return n - m;
    }
    return 0;
}

/* A language tag (BCP 47): letters, then parts of 1 to 8 letters or digits. So test-fr-en-translated.tsv is none. */
int xr_evaluate_is_tag(const char *s, size_t len)
{
    size_t part = 0;
    for (size_t i = 0; i < len; i++) {
        int joint = s[i] == '-' || s[i] == '_';
        if (joint ? part == 0 : !isalnum((unsigned char)s[i]) || ++part > 8)
            return 0;
        part = joint ? 0 : part;
    }
    return part > 0 && isalpha((unsigned char)s[0]);
}

/* Takes the first name off a list such as "en, fr", *list, which is NULL behind the last; blanks around it are not part of it. */
static const char *next_name(const char **list, size_t *len)
{
    const char *name = *list + strspn(*list, " \t");
    size_t n = strcspn(name, ",");
    *list = name[n] ? name + n + 1 : NULL;
    while (n && strchr(" \t", name[n - 1]))
        n--;
    *len = n;
    return name;
}

/* A tag whose two letters are no language's, such as test-v2.tsv, is another file of the same language; but --languages may name it. */
static int is_strange(const xr_evaluation *e, const char *s, size_t len)
{
    size_t letters = 0, n;
    while (letters < len && s[letters] != '-' && s[letters] != '_')
        letters++;
    for (const char *list = e->o->languages; list;) {
        const char *name = next_name(&list, &n);
        if (n == len && memcmp(name, s, len) == 0)
            return 0;
    }
    return letters == 2 && !xr_language_is_code(s, letters);
}

/* Bytes of the language in what stands between split and ending; 0 = none. Under translate-test it is followed by XTREME's
 * "-en-translated", and English stands for itself. */
static size_t language_of(const xr_evaluation *e, const char *s, size_t len)
{
    static const char translated[] = "-en-translated";
    size_t n = sizeof translated - 1;
    int tag = xr_evaluate_is_tag(s, len);
    if (!xr_evaluate_translated(e) || (len == 2 && memcmp(s, "en", 2) == 0))
        return tag ? len : 0;
    return len > n && memcmp(s + len - n, translated, n) == 0 && xr_evaluate_is_tag(s, len - n) ? len - n : 0;
}

static xr_status take_file(xr_evaluation *e, const char *name, const char *language, size_t len)
{
    const xr_scored *twin = xr_evaluate_language(e, language, len);
    char *path = xr_path_join(e->o->data_dir, name);
    xr_status status = !path ? xr_error_status()
                       : twin ? xr_fail(XR_EDATA, "%s: language '%.*s' also has %s; expected one file a language; "
                                        "move one of them away", path, (int)len, language, twin->path)
                              : xr_evaluate_add(e, language, len, path, 0);
    xr_free(path);
    return status;
}

static xr_status take_name(xr_evaluation *e, const char *name)
{
    const char *split = e->o->split;
    size_t n = strlen(split), end = stem(name);
    if (strncmp(name, split, n) != 0 || name[n] != '-' || end <= n + 1)
        return XR_OK;
    const char *language = name + n + 1;
    size_t between = end - n - 1, len = language_of(e, language, between);
    if (len && !is_strange(e, language, len))
        return take_file(e, name, language, len);
    if (len)
        xr_warn("%s/%s: left out; no language is called '%.*s'; to score it as one, name it with --languages", e->o->data_dir, name, (int)len, language);
    else if (!xr_evaluate_translated(e))
        xr_info("%s/%s: left out; '%.*s' is not a language tag", e->o->data_dir, name, (int)between, language);
    return XR_OK;
}

xr_status xr_evaluate_folder(xr_evaluation *e)
{
    const char *path = e->o->data_dir;
    DIR *dir = opendir(path);
    if (!dir)
        return xr_fail(XR_ENOINPUT, "%s: cannot open the folder (%s); expected a folder with %s-{language}.tsv files; "
                       "check --data-dir", path, strerror(errno), e->o->split);
    xr_status status = XR_OK;
    for (struct dirent *d; status == XR_OK && (d = xr_dir_next(dir, path, &status));)
        status = take_name(e, d->d_name);
    closedir(dir);
    return status;
}

static xr_status fail_none(const xr_evaluation *e, const char *also)
{
    const xr_options *o = e->o;
    if (xr_evaluate_translated(e))
        return xr_fail(XR_ENOINPUT, "%s: no files %s-{language}-en-translated.tsv, which --protocol translate-test reads; check --data-dir and --split",
                       o->data_dir, o->split);
    return xr_fail(XR_ENOINPUT, "%s: no files %s-{language}.tsv (or .csv, .jsonl, .json, .txt, each also .gz)%s%s; "
                   "check --data-dir and --split", o->data_dir, o->split, also ? ", and no " : "", also ? also : "");
}

/* ---- --languages and the order ---- */

static xr_status fail_missing(const xr_evaluation *e, const char *language, size_t len)
{
    xr_str there = { 0 };
    for (size_t i = 0; i < e->n && i < 100; i++)
        if (xr_str_printf(&there, "%s%s", i ? ", " : "", e->v[i].language) < 0)
            break;
    if (e->v[0].filter)
        xr_fail(XR_ENOINPUT, "%s: no rows in language '%.*s' (--languages); the file has: %s", e->v[0].path, (int)len,
                language, there.s ? there.s : "");
    else
        xr_fail(XR_ENOINPUT, "%s/%s-%.*s%s.tsv: no such file, nor one with .gz, for the language '%.*s' of --languages; the folder has: %s",
                e->o->data_dir, e->o->split, (int)len, language, xr_evaluate_translated(e) ? "-en-translated" : "", (int)len, language,
                there.s ? there.s : "");
    xr_str_free(&there);
    return xr_error_status();
}

static void scored_free(xr_scored *s)
{
    xr_free(s->language);
    xr_free(s->path);
}

/* Moves what --languages names to the front, in any order, and drops the rest. */
static xr_status choose(xr_evaluation *e)
{
    const char *list = e->o->languages;
    size_t kept = 0;
    while (list) {
        size_t len;
        const char *name = next_name(&list, &len);
        if (len == 0)
            return xr_fail(XR_EUSAGE, "--languages %s: an empty name; expected a list such as en,fr,sw",
                           e->o->languages);
        xr_scored *s = xr_evaluate_language(e, name, len);
        if (!s)
            return fail_missing(e, name, len);
        if (s < e->v + kept)
            return xr_fail(XR_EUSAGE, "--languages %s: '%s' is named twice", e->o->languages, s->language);
        xr_scored chosen = *s;
        *s = e->v[kept];
        e->v[kept++] = chosen;
    }
    while (e->n > kept)
        scored_free(&e->v[--e->n]);
    return XR_OK;
}

static int rank(const char *language)
{
    int k = 0;
    while (k < N_XNLI && strcmp(xnli_order[k], language) != 0)
        k++;
    return k;
}

static int by_rank(const void *a, const void *b)
{
    const char *x = ((const xr_scored *)a)->language, *y = ((const xr_scored *)b)->language;
    return rank(x) != rank(y) ? rank(x) - rank(y) : strcmp(x, y);
}

xr_status xr_evaluate_choose(xr_evaluation *e, const char *also)
{
    if (e->n == 0)
        return fail_none(e, also);
    qsort(e->v, e->n, sizeof *e->v, by_rank);
    if (e->o->languages) {
        XR_TRY(choose(e));
        qsort(e->v, e->n, sizeof *e->v, by_rank);
    }
    return XR_OK;
}

xr_status xr_evaluate_find(xr_evaluation *e)
{
    XR_TRY(xr_evaluate_folder(e));
    return xr_evaluate_choose(e, NULL);
}
