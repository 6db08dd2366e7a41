/* What went wrong in an evaluation: the confusion by class, and the worst errors with their texts. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "train/report_parts.h"
#include "util/utf8.h"

/* ---- confusion ---- */

static double count(const json_t *confusion, size_t gold, size_t predicted)
{
    double n = json_number_value(json_array_get(json_array_get(confusion, gold), predicted));
    return n > 0.0 ? n : 0.0;
}

/* The darker, the larger the share of the gold class. */
static xr_status put_count(const json_t *confusion, size_t gold, size_t k, size_t n, xr_str *out)
{
    double sum = 0.0, own = count(confusion, gold, k);
    for (size_t i = 0; i < n; i++)
        sum += count(confusion, gold, i);
    double share = sum > 0.0 ? own / sum : 0.0;
    XR_TRY(xr_str_printf(out, "<td class=\"%s\" style=\"background:rgba(0,114,178,%.2f)\">", share > 0.55 ? "dark" : "light", 0.04 + 0.9 * share));
    return xr_markup_put(out, "%s</td>", xr_number_count(own).s);
}

static xr_status put_matrix(const char *language, const json_t *labels, const json_t *confusion, xr_str *out)
{
    size_t n = json_array_size(labels);
    XR_TRY(xr_markup_put(out, "<div class=\"scroll\"><table class=\"matrix\"><caption>%s</caption><thead><tr><td></td>", language));
    for (size_t k = 0; k < n; k++)
        XR_TRY(xr_markup_put(out, "<th class=\"n\"><bdi>%s</bdi></th>", json_string_value(json_array_get(labels, k))));
    XR_TRY(xr_str_puts(out, "</tr></thead><tbody>\n"));
    for (size_t gold = 0; gold < n; gold++) {
        XR_TRY(xr_markup_put(out, "<tr><th scope=\"row\"><bdi>%s</bdi></th>", json_string_value(json_array_get(labels, gold))));
        for (size_t k = 0; k < n; k++)
            XR_TRY(put_count(confusion, gold, k, n, out));
        XR_TRY(xr_str_puts(out, "</tr>\n"));
    }
    return xr_str_puts(out, "</tbody></table></div>\n");
}

/* Adds counts of a language to those of all. */
static void add_counts(json_t *sum, const json_t *confusion, size_t n)
{
    for (size_t gold = 0; gold < n; gold++) {
        json_t *row = json_array_get(sum, gold);
        if (!row)
            json_array_append_new(sum, row = json_array());
        for (size_t k = 0; k < n; k++) {
            json_t *both = json_real(count(sum, gold, k) + count(confusion, gold, k));
            if (json_array_set(row, k, both) < 0)
                json_array_append(row, both);
            json_decref(both);
        }
    }
}

static xr_status put_matrices(const json_t *results, const json_t *labels, xr_str *out)
{
    const char *name;
    json_t *language;
    XR_TRY(xr_str_puts(out, "<div class=\"matrices\">\n"));
    json_object_foreach(json_object_get(results, "languages"), name, language)
        if (json_is_array(json_object_get(language, "confusion")))
            XR_TRY(put_matrix(name, labels, json_object_get(language, "confusion"), out));
    return xr_str_puts(out, "</div>\n");
}

/* Of more than a few languages the sum is shown, and each of them folded. */
static xr_status put_confusions(const json_t *results, const json_t *labels, const json_t *sum, size_t n, xr_str *out)
{
    enum { FEW = 3 };
    XR_TRY(xr_str_puts(out, "<h3>Confusion</h3>\n<p class=\"soft\">Rows are gold labels, columns predictions; the shade is the share of the row.</p>\n"));
    if (n <= FEW)
        return put_matrices(results, labels, out);
    XR_TRY(put_matrix("all languages", labels, sum, out));
    XR_TRY(xr_markup_put(out, "<details><summary>each of %s languages</summary>\n", xr_number_count((double)n).s));
    XR_TRY(put_matrices(results, labels, out));
    return xr_str_puts(out, "</details>\n");
}

xr_status xr_report_put_confusions(const json_t *results, xr_str *out)
{
    const json_t *labels = json_object_get(results, "labels");
    const char *name;
    json_t *language, *sum = json_array();
    size_t n = 0;
    json_object_foreach(json_object_get(results, "languages"), name, language) {
        const json_t *confusion = json_object_get(language, "confusion");
        n += json_is_array(confusion);
        add_counts(sum, confusion, json_is_array(confusion) ? json_array_size(labels) : 0);
    }
    xr_status status = n && json_array_size(labels) ? put_confusions(results, labels, sum, n, out) : XR_OK;
    json_decref(sum);
    return status;
}

/* ---- errors ---- */

/* A text of the data in its own direction, cut if it is very long. */
static xr_status put_text(const char *text, xr_str *out)
{
    enum { MOST = 4000 };
    size_t n = strlen(text), shown = n;
    if (n > MOST) {
        shown = MOST;
        while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
            shown--;
    }
    XR_TRY(xr_markup_text(out, text, shown));
    return shown < n ? xr_str_puts(out, " …") : XR_OK;
}

static xr_status put_field(const char *key, const char *text, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "<span class=\"key\">"));
    for (; *key; key++)
        XR_TRY(xr_markup_text(out, *key == '_' ? " " : key, 1));
    XR_TRY(xr_str_puts(out, "</span><span class=\"text\" dir=\"auto\">"));
    XR_TRY(put_text(text, out));
    return xr_str_puts(out, "</span>\n");
}

/* A label, or several as a list. */
static xr_status put_answer(const json_t *answer, const char *class, xr_str *out)
{
    size_t n = json_is_array(answer) ? json_array_size(answer) : 1;
    XR_TRY(n == 0 ? xr_markup_put(out, "<i>none</i>") : XR_OK);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(answer) ? json_array_get(answer, i) : answer;
        const char *text = json_string_value(one);
        XR_TRY(i ? xr_str_puts(out, " / ") : XR_OK);
        XR_TRY(xr_markup_put(out, "<bdi class=\"%s\">%s</bdi>", class,
                             !text ? xr_number_short(json_number_value(one)).s : *text ? text : "(no answer)"));
    }
    return XR_OK;
}

/* [word, gold, predicted]: tags other than O stand below, both where they differ. */
static xr_status put_word(const json_t *word, xr_str *out)
{
    const char *text = json_string_value(json_array_get(word, 0)), *gold = json_string_value(json_array_get(word, 1));
    const char *predicted = json_string_value(json_array_get(word, 2));
    if (!text || !gold || !predicted)
        return XR_OK;
    XR_TRY(xr_markup_put(out, "<span class=\"word\">%s", text));
    if (strcmp(gold, predicted) != 0)
        XR_TRY(xr_markup_put(out, "<small class=\"gold\" dir=\"ltr\">%s</small><small class=\"wrong\" dir=\"ltr\">%s</small>", gold, predicted));
    else if (strcmp(gold, "O") != 0)
        XR_TRY(xr_markup_put(out, "<small dir=\"ltr\">%s</small>", gold));
    return xr_str_puts(out, "</span> ");
}

/* The direction of a sentence is that of its first word with one: a browser that looks for it passes over tags and other elements with a direction of
 * their own, so words have none. */
static xr_status put_words(const json_t *words, xr_str *out)
{
    XR_TRY(xr_str_puts(out, "<div class=\"text\" dir=\"auto\">"));
    for (size_t i = 0; i < json_array_size(words); i++)
        XR_TRY(put_word(json_array_get(words, i), out));
    return xr_str_puts(out, "</div>\n");
}

static xr_status put_figures(const json_t *error, xr_str *out)
{
    static const char *const keys[] = { "probability", "loss", "f1", "exact_match", "right", "gold_entities", "predicted_entities", "similarity",
                                        "gold_similarity", "margin" };
    const char *id = xr_report_string(error, "id");
    double row = xr_report_number(error, "row");
    XR_TRY(xr_str_puts(out, "<p class=\"said\">"));
    if (isfinite(row))
        XR_TRY(xr_markup_put(out, "row %s", xr_number_count(row).s));
    if (id)
        XR_TRY(xr_markup_put(out, " <bdi>%s</bdi>", id));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double value = xr_report_number(error, keys[i]);
        if (isfinite(value))
            XR_TRY(xr_markup_put(out, " · %s %s", xr_report_title(keys[i]), xr_number_short(value).s));
    }
    return xr_str_puts(out, "</p>\n");
}

static xr_status put_error(const json_t *error, xr_str *out)
{
    static const char *const known[] = { "language", "id", "gold", "predicted" };
    const json_t *gold = json_object_get(error, "gold"), *predicted = json_object_get(error, "predicted");
    const char *key;
    json_t *value;
    XR_TRY(xr_str_puts(out, "<div class=\"error\">\n"));
    XR_TRY(put_figures(error, out));
    if (gold && predicted) {
        XR_TRY(xr_str_puts(out, "<p>gold "));
        XR_TRY(put_answer(gold, "gold", out));
        XR_TRY(xr_str_puts(out, ", predicted "));
        XR_TRY(put_answer(predicted, "wrong", out));
        XR_TRY(xr_str_puts(out, "</p>\n"));
    }
    XR_TRY(put_words(json_object_get(error, "words"), out));
    json_object_foreach((json_t *)error, key, value) {
        size_t i = 0;
        while (i < 4 && strcmp(known[i], key) != 0)
            i++;
        if (i == 4 && json_is_string(value))
            XR_TRY(put_field(key, json_string_value(value), out));
    }
    return xr_str_puts(out, "</div>\n");
}

/* The errors of a language follow each other; the first language is open. */
static xr_status put_language(const json_t *errors, size_t *i, int open, xr_str *out)
{
    const char *language = xr_report_string(json_array_get(errors, *i), "language");
    size_t first = *i, n = json_array_size(errors);
    while (*i < n) {
        const char *other = xr_report_string(json_array_get(errors, *i), "language");
        if (!other || !language ? other != language : strcmp(other, language) != 0)
            break;
        ++*i;
    }
    XR_TRY(xr_markup_put(out, "<details%h><summary>%s: %s</summary>\n", open ? " open=\"open\"" : "", language ? language : "no language named",
                         xr_number_count((double)(*i - first)).s));
    for (size_t k = first; k < *i; k++)
        XR_TRY(put_error(json_array_get(errors, k), out));
    return xr_str_puts(out, "</details>\n");
}

xr_status xr_report_put_errors(const xr_report_evaluation *e, xr_str *out)
{
    size_t n = json_array_size(e->errors);
    if (n == 0)
        return XR_OK;
    XR_TRY(xr_str_puts(out, "<h3>Worst errors</h3>\n<p class=\"soft\">Of each language, the worst first.</p>\n"));
    for (size_t i = 0; i < n;) {
        int first = i == 0;
        XR_TRY(put_language(e->errors, &i, first, out));
    }
    return XR_OK;
}
