/* Names of languages: ISO 639-3 to the shorter ones, and where they stand in the names of files. */
#include "data/language.h"

#include <stdio.h>
#include <string.h>

/* ISO 639-3, with members of macrolanguages that corpora name, to ISO 639-1. Every two-letter name that is known stands behind a colon. */
static const char known[] =
    " aar:aa abk:ab afr:af aka:ak amh:am ara:ar arb:ar arg:an asm:as ava:av aym:ay aze:az azj:az bak:ba bam:bm bel:be ben:bn bih:bh bis:bi bod:bo bos:bs"
    " bre:br bul:bg cat:ca ces:cs cha:ch che:ce chu:cu chv:cv cmn:zh cor:kw cos:co cre:cr cym:cy dan:da deu:de div:dv dzo:dz ekk:et ell:el eng:en epo:eo"
    " est:et eus:eu ewe:ee fao:fo fas:fa fij:fj fin:fi fra:fr fry:fy ful:ff gla:gd gle:ga glg:gl glv:gv gaz:om grn:gn guj:gu hat:ht hau:ha heb:he her:hz"
    " hin:hi hmo:ho hrv:hr hun:hu hye:hy ibo:ig ido:io iii:ii iku:iu ile:ie ina:ia ind:id ipk:ik isl:is ita:it jav:jv jpn:ja kal:kl kan:kn kas:ks kat:ka"
    " kau:kr kaz:kk khk:mn khm:km kik:ki kin:rw kir:ky kmr:ku kom:kv kon:kg kor:ko kua:kj kur:ku lao:lo lat:la lav:lv lim:li lin:ln lit:lt ltz:lb lub:lu"
    " lug:lg lvs:lv mah:mh mal:ml mar:mr mkd:mk mlg:mg mlt:mt mon:mn mri:mi msa:ms mya:my nau:na nav:nv nbl:nr nde:nd ndo:ng nep:ne nld:nl nno:nn nob:no"
    " nor:no npi:ne nya:ny oci:oc oji:oj ori:or orm:om ory:or oss:os pan:pa pbt:ps pbu:ps pes:fa pli:pi plt:mg pol:pl por:pt pus:ps que:qu quy:qu roh:rm"
    " ron:ro run:rn rus:ru sag:sg san:sa sin:si slk:sk slv:sl sme:se smo:sm sna:sn snd:sd som:so sot:st spa:es sqi:sq als:sq srd:sc srp:sr ssw:ss sun:su"
    " swa:sw swe:sv swh:sw tah:ty tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tir:ti ton:to tsn:tn tso:ts tuk:tk tur:tr twi:tw uig:ug ukr:uk urd:ur uzb:uz"
    " uzn:uz ven:ve vie:vi vol:vo wln:wa wol:wo xho:xh ydd:yi yid:yi yor:yo zha:za zho:zh zsm:ms zul:zu ";

/* Scripts and regions that follow a language in names of files; dropped, since a language has mostly one of them. */
static const char suffixes[] = " latn cyrl arab deva hans hang hebr grek armn jpan thai ethi monotonic polytonic ";
static const char kept_suffixes[] = " hant rom zaw ";       /* zh-hant, hi_rom, my_zaw: CC-100 keeps these apart */

static int in_list(const char *list, const char *word)
{
    char spaced[24];
    return snprintf(spaced, sizeof spaced, " %s ", word) < (int)sizeof spaced && strstr(list, spaced);
}

static int is_letters(const char *s)
{
    return *s && s[strspn(s, "abcdefghijklmnopqrstuvwxyz")] == 0;
}

/* The two letters of a name of two or three that is known; 0 otherwise. */
static int find_known(const char *word, char out[XR_LANGUAGE_MAX])
{
    char key[8];
    size_t n = strlen(word);
    if (!is_letters(word) || n < 2 || n > 3)
        return 0;
    snprintf(key, sizeof key, n == 3 ? " %s:" : ":%s ", word);
    const char *at = strstr(known, key);
    if (at)
        snprintf(out, XR_LANGUAGE_MAX, "%.2s", at + (n == 3 ? 5 : 1));
    return at != NULL;
}

/* A copy in lower case, up to one of the bytes in `stop`. */
static void lower(const char *s, const char *stop, char *out, size_t size)
{
    size_t n = 0;
    for (; s[n] && !strchr(stop, s[n]) && n + 1 < size; n++)
        out[n] = (char)(s[n] >= 'A' && s[n] <= 'Z' ? s[n] + 32 : s[n]);
    out[n] = 0;
}

/* Keeps what follows the language at place i of the words, where that makes a language of its own. */
static void follow(char *const *word, const char *separator, size_t i, size_t n, char out[XR_LANGUAGE_MAX])
{
    if (i + 1 < n && in_list(kept_suffixes, word[i + 1])) {
        size_t len = strlen(out);
        snprintf(out + len, XR_LANGUAGE_MAX - len, "%c%s", separator[i + 1], word[i + 1]);
        /* one name for zh-Hant and cmn_hant */
        if (strcmp(word[i + 1], "hant") == 0)
            out[len] = '-';
    }
}

/* Two letters anywhere; three, among which are words like "run" and "vol", at either end or with a script behind them. */
static int may_name(char *const *word, size_t i, size_t n)
{
    return strlen(word[i]) == 2 || i == 0 || i + 1 == n || in_list(suffixes, word[i + 1]) || in_list(kept_suffixes, word[i + 1]);
}

/* A language that is not in the table: three letters that are the whole name, but for a script. */
static int lone_code(char *const *word, size_t n, char out[XR_LANGUAGE_MAX])
{
    if (n == 0 || n > 2 || strlen(word[0]) != 3 || !is_letters(word[0]) || (n == 2 && !in_list(suffixes, word[1])))
        return 0;
    snprintf(out, XR_LANGUAGE_MAX, "%s", word[0]);
    return 1;
}

/* Without the endings that say format and compression. */
static void strip_endings(char *name)
{
    static const char endings[] = " gz xz zst zstd bz2 txt json jsonl ndjson tsv csv conll conllu iob2 wet warc text ";
    for (char *dot; (dot = strrchr(name, '.')) && dot != name && in_list(endings, dot + 1);)
        *dot = 0;
}

/* The words of a file's name; separator[i] stands before word i. */
enum { WORDS = 16 };
typedef struct words { char name[256], *word[WORDS], separator[WORDS]; size_t n; } words;

static void split(words *w, const char *path)
{
    const char *slash = strrchr(path, '/');
    char before = 0;
    w->n = 0;
    lower(slash ? slash + 1 : path, "", w->name, sizeof w->name);
    strip_endings(w->name);
    for (char *at = w->name; *at && w->n < WORDS;) {
        size_t len = strcspn(at, "._-");
        w->separator[w->n] = before;
        w->word[w->n++] = at;
        before = at[len];
        if (!before)
            break;
        at[len] = 0;
        at += len + 1;
    }
}

/* "fra_Latn", "zho-Hant": a language and its script, as in the name of a file. */
static int with_script(const char *name, char out[XR_LANGUAGE_MAX])
{
    words w;
    split(&w, name);
    if (w.n != 2)
        return 0;
    if (!in_list(kept_suffixes, w.word[1]))
        return in_list(suffixes, w.word[1]) && (find_known(w.word[0], out) || lone_code(w.word, 2, out));
    if (!find_known(w.word[0], out))
        return 0;
    follow(w.word, w.separator, 0, 2, out);
    return 1;
}

int xr_language_parse(const char *name, char out[XR_LANGUAGE_MAX])
{
    char word[XR_LANGUAGE_MAX + 1];
    lower(name, ",; ", word, sizeof word);
    size_t n = strlen(word);
    if (n == 0 || n >= XR_LANGUAGE_MAX || word[strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-_")] || !is_letters((char[]){ word[0], 0 }))
        return 0;
    if (!find_known(word, out) && !with_script(word, out))
        memcpy(out, word, n + 1);
    return 1;
}

int xr_language_of_file(const char *path, char out[XR_LANGUAGE_MAX])
{
    words w;
    split(&w, path);
    for (size_t i = 0; i < w.n; i++)
        if (may_name(w.word, i, w.n) && find_known(w.word[i], out)) {
            follow(w.word, w.separator, i, w.n, out);
            return 1;
        }
    return lone_code(w.word, w.n, out);
}

static int has_word(const words *w, const char *name)
{
    for (size_t i = 1; i < w->n; i++)
        if (strcmp(w->word[i], name) == 0)
            return 1;
    return 0;
}

/* Abbreviations of train and test, and a word, which are Turkish, Telugu and Burmese, too. */
static int is_doubtful(const words *w, size_t i)
{
    return i == 0 && (w->n == 1 ? in_list(" tr te my ", w->word[0]) : strcmp(w->word[0], "my") == 0 && !has_word(w, "ud"));
}

int xr_language_is_code(const char *s, size_t n)
{
    static const char older[] = " iw jw mo nb sh ";     /* that corpora still have: Hebrew, Javanese, Moldavian, Norwegian, Serbo-Croatian */
    char word[3] = { 0 }, out[XR_LANGUAGE_MAX];
    if (n != 2)
        return 0;
    memcpy(word, s, n);
    return find_known(word, out) || in_list(older, word);
}

int xr_language_of_examples(const char *path, char out[XR_LANGUAGE_MAX])
{
    words w;
    split(&w, path);
    if (w.n == 0)
        return 0;
    size_t last = w.n - 1;
    if (last > 0 && (in_list(suffixes, w.word[last]) || in_list(kept_suffixes, w.word[last])))
        last--;
    if (find_known(w.word[last], out)) {
        follow(w.word, w.separator, last, w.n, out);
        return is_doubtful(&w, last) ? 2 : 1;
    }
    int split_next = w.n == 2 && w.separator[1] != '_' && in_list(" train dev test valid validation ", w.word[1]);
    if (!(split_next || has_word(&w, "ud")) || !find_known(w.word[0], out))
        return 0;
    return is_doubtful(&w, 0) ? 2 : 1;
}
