/* ISO 639-3 as Common Crawl's WET headers use it, and the names of XLM-R's languages. */
#include "data/language.h"

#include <string.h>

/* Sorted by code. Besides the languages themselves, members of macrolanguages (arb, cmn, ekk, ...) that carry their name. */
static const struct { char iso3[4], name[3]; } table[] = {
    { "afr", "af" }, { "als", "sq" }, { "amh", "am" }, { "ara", "ar" }, { "arb", "ar" }, { "asm", "as" },
    { "aze", "az" }, { "azj", "az" }, { "bel", "be" }, { "ben", "bn" }, { "bos", "bs" }, { "bre", "br" },
    { "bul", "bg" }, { "cat", "ca" }, { "ces", "cs" }, { "cmn", "zh" }, { "cym", "cy" }, { "dan", "da" },
    { "deu", "de" }, { "ekk", "et" }, { "ell", "el" }, { "eng", "en" }, { "epo", "eo" }, { "est", "et" },
    { "eus", "eu" }, { "fas", "fa" }, { "fil", "tl" }, { "fin", "fi" }, { "fra", "fr" }, { "fry", "fy" },
    { "gaz", "om" }, { "gla", "gd" }, { "gle", "ga" }, { "glg", "gl" }, { "guj", "gu" }, { "hau", "ha" },
    { "heb", "he" }, { "hin", "hi" }, { "hrv", "hr" }, { "hun", "hu" }, { "hye", "hy" }, { "ind", "id" },
    { "isl", "is" }, { "ita", "it" }, { "jav", "jv" }, { "jpn", "ja" }, { "kan", "kn" }, { "kat", "ka" },
    { "kaz", "kk" }, { "khk", "mn" }, { "khm", "km" }, { "kir", "ky" }, { "kmr", "ku" }, { "kor", "ko" },
    { "kur", "ku" }, { "lao", "lo" }, { "lat", "la" }, { "lav", "lv" }, { "lit", "lt" }, { "lvs", "lv" },
    { "mal", "ml" }, { "mar", "mr" }, { "mkd", "mk" }, { "mlg", "mg" }, { "mon", "mn" }, { "msa", "ms" },
    { "mya", "my" }, { "nep", "ne" }, { "nld", "nl" }, { "nob", "no" }, { "nor", "no" }, { "npi", "ne" },
    { "ori", "or" }, { "orm", "om" }, { "ory", "or" }, { "pan", "pa" }, { "pbt", "ps" }, { "pes", "fa" },
    { "plt", "mg" }, { "pol", "pl" }, { "por", "pt" }, { "pus", "ps" }, { "ron", "ro" }, { "rus", "ru" },
    { "san", "sa" }, { "sin", "si" }, { "slk", "sk" }, { "slv", "sl" }, { "snd", "sd" }, { "som", "so" },
    { "spa", "es" }, { "sqi", "sq" }, { "srp", "sr" }, { "sun", "su" }, { "swa", "sw" }, { "swe", "sv" },
    { "swh", "sw" }, { "tam", "ta" }, { "tel", "te" }, { "tgl", "tl" }, { "tha", "th" }, { "tur", "tr" },
    { "uig", "ug" }, { "ukr", "uk" }, { "urd", "ur" }, { "uzb", "uz" }, { "uzn", "uz" }, { "vie", "vi" },
    { "xho", "xh" }, { "ydd", "yi" }, { "yid", "yi" }, { "zho", "zh" }, { "zsm", "ms" },
};

const char *xr_language_of_iso3(const char *code, size_t n)
{
    for (size_t i = 0; n == 3 && i < sizeof table / sizeof table[0]; i++)
        if (!memcmp(table[i].iso3, code, 3))
            return table[i].name;
    return NULL;
}
