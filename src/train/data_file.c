#include "train/data_file.h"

#include <string.h>

#include "data/language.h"
#include "util/alloc.h"
#include "util/fs.h"

/* Where a text may be cut: the path is [path, path + len). */
typedef struct parts { const char *path; size_t len; const char *weight; } parts;

static int is_file(const char *s, size_t n)
{
    char path[4096];
    if (n >= sizeof path)
        return 0;
    memcpy(path, s, n);
    path[n] = 0;
    return strcmp(path, "-") == 0 || xr_path_exists(path);
}

/* Behind "LANG=", or the text itself when it does not begin so. */
static const char *behind_language(const char *text, char language[XR_LANGUAGE_MAX])
{
    char name[XR_LANGUAGE_MAX];
    size_t n = strcspn(text, "=");
    if (!text[n] || n >= sizeof name)
        return text;
    memcpy(name, text, n);
    name[n] = 0;
    return xr_language_parse(name, language) ? text + n + 1 : text;
}

/* ":WEIGHT" at the end, when what stands there is a number of any value; else the end. */
static const char *at_weight(const char *text)
{
    double value;
    const char *colon = strrchr(text, ':');
    return colon && xr_parse_double(colon + 1, &value) ? colon : text + strlen(text);
}

/* The first reading that names a file; where none does, the one with every part cut off. */
static parts cut(const char *text, int weighted, char language[XR_LANGUAGE_MAX])
{
    const char *rest = behind_language(text, language), *end = text + strlen(text), *weight = weighted ? at_weight(text) : end;
    const parts reading[] = {
        { text, (size_t)(end - text), NULL }, { text, (size_t)(weight - text), weight }, { rest, (size_t)(end - rest), NULL },
    };
    for (size_t i = 0; i < sizeof reading / sizeof *reading; i++)
        if (is_file(reading[i].path, reading[i].len))
            return reading[i];
    return weight < rest ? reading[0] : (parts){ rest, (size_t)(weight - rest), weight };
}

/* The file's name without folders and what stands behind its first dot. */
static char *stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash && slash[1] ? slash + 1 : path;
    size_t n = strcspn(name, ".");
    return n ? xr_strndup(name, n) : xr_strdup(name);
}

static xr_status parse(xr_data_file *f, const char *text, int weighted, const char *flag)
{
    char language[XR_LANGUAGE_MAX];
    parts p = cut(text, weighted, language);
    f->weight = 1.0;
    if (p.weight && *p.weight && (!xr_parse_double(p.weight + 1, &f->weight) || !(f->weight > 0.0 && f->weight <= 1e9)))
        return xr_fail(XR_EUSAGE, "%s %s: the weight %s is not above 0 and at most 1e9; give how often its examples are drawn compared with those of a file "
                       "without a weight, or leave the file out", flag, text, p.weight + 1);
    f->path = xr_strndup(p.path, p.len);
    if (!f->path)
        return xr_error_status();
    f->given = p.path > text;
    int named = f->given ? 1 : xr_language_of_examples(f->path, language);
    f->language = named == 1;
    f->doubtful = named == 2;
    f->name = named ? xr_strdup(language) : stem(f->path);
    return f->name ? XR_OK : xr_error_status();
}

/* A name that may mean something else is a language's where another file of the option is named for one. */
static void settle_doubts(xr_data_file *f, size_t n)
{
    int some = 0;
    for (size_t i = 0; i < n; i++)
        some |= f[i].language;
    for (size_t i = 0; i < n; i++)
        f[i].language |= some & f[i].doubtful;
}

xr_status xr_data_files_parse(xr_data_file **out, const xr_strs *given, int weighted, const char *flag)
{
    *out = NULL;
    if (given->n == 0)
        return XR_OK;
    *out = xr_alloc(given->n, sizeof **out);
    if (!*out)
        return xr_error_status();
    for (size_t i = 0; i < given->n; i++)
        XR_TRY(parse(&(*out)[i], given->v[i], weighted, flag));
    settle_doubts(*out, given->n);
    return XR_OK;
}

void xr_data_files_free(xr_data_file *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++) {
        xr_free(v[i].path);
        xr_free(v[i].name);
    }
    xr_free(v);
}
