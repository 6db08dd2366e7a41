/* The report's page: well formed whatever the data say, right about what is missing, the same bytes every time. */
#include "memory.h"
#include "scratch.h"

#include <ctype.h>

#include "train/report.h"
#include "util/alloc.h"

/* ---- an XML checker for what the page uses: elements, attributes, five names of characters and numbers ---- */

static const char *page_at;     /* where the checker stands, for messages */

#define CHECK(cond, what)                                                    \
    do {                                                                     \
        if (!(cond))                                                         \
            fail_msg("%s at: %.60s", what, page_at);                         \
    } while (0)

static size_t name_length(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (n && strchr("-:_", s[n]) && s[n]))
        n++;
    return n;
}

static void check_reference(void)
{
    static const char *const known[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };
    size_t i = 0;
    while (i < 5 && strncmp(page_at, known[i], strlen(known[i])) != 0)
        i++;
    CHECK(i < 5, "a reference that is none");
}

static void check_attributes(void)
{
    while (isspace((unsigned char)*page_at)) {
        while (isspace((unsigned char)*page_at))
            page_at++;
        size_t n = name_length(page_at);
        if (n == 0)
            return;
        CHECK(strncmp(page_at, "on", 2) != 0, "an attribute that is a script");
        page_at += n;
        CHECK(page_at[0] == '=' && page_at[1] == '"', "an attribute without a value in quotes");
        for (page_at += 2; *page_at != '"'; page_at++) {
            CHECK(*page_at && *page_at != '<', "an attribute that does not end");
            if (*page_at == '&')
                check_reference();
        }
        page_at++;
    }
}

/* Elements open and close in order; returns their number. */
static size_t check_page(const char *page)
{
    static const char *const allowed = " html head meta title style body header h1 h2 h3 ul li a main section p span b i bdi div details summary pre "
                                       "table caption thead tbody tr th td figure figcaption svg text path circle rect footer small ";
    char open[64][16], word[24];
    size_t depth = 0, n = 0;
    page_at = page;
    assert_int_equal(strncmp(page, "<!DOCTYPE html>\n", 16), 0);
    for (page_at += 16; *page_at; page_at++) {
        CHECK((unsigned char)*page_at >= 0x20 || strchr("\n\t", *page_at), "a control");
        if (*page_at == '&')
            check_reference();
        CHECK(*page_at != '>' || depth, "text outside");
        if (*page_at != '<')
            continue;
        int end = page_at[1] == '/';
        size_t length = name_length(page_at += 1 + end);
        CHECK(length > 0 && length < 16, "a < that begins nothing");
        snprintf(word, sizeof word, " %.*s ", (int)length, page_at);
        CHECK(strstr(allowed, word), "an element that the report does not write");
        page_at += length;
        if (end) {
            CHECK(depth && strlen(open[depth - 1]) == length && strncmp(open[depth - 1], page_at - length, length) == 0, "an end of another element");
            depth--;
        } else {
            snprintf(open[depth++], sizeof open[0], "%.*s", (int)length, page_at - length);
            CHECK(depth < 64, "elements too deep");
            n++;
            check_attributes();
            if (*page_at == '/') {
                depth--;
                page_at++;
            }
        }
        CHECK(*page_at == '>', "an element that does not end");
    }
    assert_int_equal(depth, 0);
    return n;
}

/* ---- directories ---- */

#define EVIL "<xss a='b' c=\\\"d\\\">&amp;"       /* within JSON */
#define EVIL_HTML "&lt;xss a=&#39;b&#39; c=&quot;d&quot;&gt;&amp;amp;"

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", in_scratch(dir), name);
    assert_int_equal(xr_mkdirs(in_scratch(dir)), XR_OK);
    assert_int_equal(xr_file_write(path, text, strlen(text)), XR_OK);
}

static const char metrics[] =
    "{\"event\":\"start\",\"total_steps\":40,\"parameters\":1234567,\"languages\":{\"" EVIL "\":{\"tokens\":9000,\"data_share\":0.25,\"batch_share\":0.5,"
    "\"epochs\":1.5,\"unk_share\":0.01}}}\n"
    "{\"event\":\"eval\",\"step\":0,\"loss\":10.0,\"perplexity\":22026.0,\"languages\":{\"" EVIL "\":{\"loss\":10.0,\"perplexity\":22026.0}}}\n"
    "{\"step\":10,\"epoch\":0.5,\"tokens\":100,\"loss\":9.5,\"lr\":1e-05,\"grad_norm\":2.5}\n"
    "{\"step\":20,\"epoch\":1.0,\"tokens\":200,\"loss\":\"nan\",\"lr\":2e-05,\"grad_norm\":\"inf\"}\n"
    "{\"event\":\"skip\",\"step\":21,\"loss\":\"nan\",\"grad_norm\":\"nan\"}\n"
    "{\"event\":\"eval\",\"step\":30,\"loss\":7.0,\"perplexity\":1096.0,\"languages\":{\"" EVIL "\":{\"loss\":7.0,\"perplexity\":1096.0}}}\n"
    "{\"step\":30,\"epoch\":1.5,\"tokens\":300,\"loss\":7.5,\"lr\":1e-05,\"grad_norm\":1.5}\n";
static const char timing[] =
    "{\"step\":10,\"wall_s\":100.0,\"step_ms\":1000.0,\"tokens_per_s\":50.0,\"rss_mb\":100.0,\"peak_rss_mb\":123.0}\n"
    "{\"step\":20,\"wall_s\":30.0,\"step_ms\":1000.0,\"tokens_per_s\":150.0,\"rss_mb\":100.0,\"peak_rss_mb\":120.0}\n";     /* gone on after 100 s */
static const char config[] = "# pretrain: what decides the result\nmodel: \"a <xss> & 'b'\"\ntrain_data: [x, y]\nlearning_rate: 0.001\nmax_steps: 40\n"
                             "hidden_dropout: 0\n\n# pretrain: where it runs and what it says\noutput_dir: r\n";

static void make_run(const char *dir)
{
    write_file(dir, "metrics.jsonl", metrics);
    write_file(dir, "timing.jsonl", timing);
    write_file(dir, "config.yaml", config);
}

static const char results[] =
    "{\"task\":\"" EVIL "\",\"split\":\"test\",\"model\":\"" EVIL "\",\"protocol\":\"" EVIL "\",\"selection\":\"" EVIL "\",\"labels\":[\"" EVIL "\",\"b\"],"
    "\"metric\":\"accuracy\",\"max_eval_samples\":5,\"languages\":{\"en\":{\"n\":4,\"examples\":4,\"accuracy\":0.75,\"confusion\":[[2,1],[0,1]],\"tokens\":100,"
    "\"unk\":2,\"truncated\":1,\"interval\":{\"low\":0.5,\"high\":0.9,\"p\":0.25},"
    "\"published\":[{\"size\":\"base\",\"protocol\":\"zero-shot transfer\",\"metric\":"
    "\"accuracy\",\"source\":\"" EVIL "\",\"value\":0.858}]},\"" EVIL "\":{\"n\":2,\"examples\":2,\"accuracy\":0.5,\"confusion\":[[1,0],[1,0]],"
    "\"published\":[{\"metric\":\"accuracy\",\"value\":0.9225}]},"
    "\"sw\":{\"n\":0,\"examples\":3,\"accuracy\":null,\"confusion\":null}},\"average\":{\"accuracy\":0.625,\"interval\":{\"low\":0.5},"
    "\"published\":[],\"languages\":2},\"transfer_gap\":0.25,"
    "\"options\":{\"task\":\"xnli\",\"model\":\"" EVIL "\",\"max_eval_samples\":5},\"version\":\"" EVIL "\"}";
static const char errors[] =
    "{\"language\":\"en\",\"row\":3,\"gold\":\"" EVIL "\",\"predicted\":\"b\",\"probability\":0.98765,\"loss\":4.5,\"text\":\"" EVIL "\","
    "\"" EVIL "\":\"\\u05e9\\u05dc\"}\n"
    "{\"language\":\"" EVIL "\",\"row\":1,\"id\":\"" EVIL "\",\"gold\":[\"x\",\"" EVIL "\"],\"predicted\":\"\",\"f1\":0.0,\"question\":\"?\\u0001\"}\n"
    "{\"language\":\"" EVIL "\",\"row\":2,\"words\":[[\"" EVIL "\",\"B-" EVIL "\",\"O\"],[\"x\",\"I-LOC\",\"I-LOC\"],[7]]}\n";

/* The page of these directories; the caller frees it. */
static char *page_of(const char *const *dirs, size_t n)
{
    xr_options o;
    xr_report_counts counts;
    size_t len;
    assert_int_equal(xr_options_init(&o, XR_V_REPORT), XR_OK);
    assert_string_equal(o.output, "report.html");
    o.args = (const char **)dirs;
    o.n_args = n;
    o.output = in_scratch("page.html");
    xr_status status = xr_report_write(&o, &counts);
    char *page = status == XR_OK ? xr_file_read(o.output, 1 << 24, &len) : NULL;
    o.args = NULL;
    xr_options_free(&o);
    if (!page)
        return NULL;
    assert_int_equal(counts.bytes, len);
    return page;
}

static char *page_of_one(const char *name)
{
    char path[300];
    const char *dirs[] = { path };
    snprintf(path, sizeof path, "%s", in_scratch(name));
    return page_of(dirs, 1);
}

static void expect(const char *page, const char *part)
{
    if (!strstr(page, part))
        fail_msg("the page lacks: %s", part);
}

/* ---- tests ---- */

static void run_page(void **state)
{
    (void)state;
    make_run("run");
    char *page = page_of_one("run");
    assert_non_null(page);
    check_page(page);
    assert_null(strstr(page, "<xss"));
    expect(page, "<h1>Pretraining: run</h1>");
    expect(page, EVIL_HTML);
    expect(page, "step 30 of 40, epoch 1.50");
    expect(page, "1,096");                                  /* perplexity: of the best, not of the start */
    expect(page, "<b><bdi>2 min</bdi></b>");
    expect(page, "<b><bdi>100</bdi></b><span>without evaluations</span>");     /* tokens a second of two windows of 10 s */
    expect(page, "123 MB");
    expect(page, "1.2 million");
    expect(page, "updates left out");
    expect(page, "The run has not ended");
    expect(page, "xlmr pretrain --model &#39;a &lt;xss&gt; &amp; &#39;\\&#39;&#39;b&#39;\\&#39;&#39;&#39; --train-data x --train-data y --output-dir r "
                 "--max-steps 40 --learning-rate 0.001 --hidden-dropout 0</pre>");
    assert_null(strstr(page, "nan"));
    xr_free(page);
}

/* Languages that were not trained on have no part in the choice: their mean would name step 20. */
#define EVALS_OF_TWO \
    "{\"step\":10,\"loss\":0.9}\n" \
    "{\"event\":\"eval\",\"step\":10,\"loss\":0.61,\"accuracy\":0.6,\"examples\":80," \
    "\"languages\":{\"en\":{\"loss\":0.5,\"accuracy\":0.8},\"sw\":{\"loss\":0.72,\"accuracy\":0.4}},\"selected\":0.8}\n" \
    "{\"event\":\"eval\",\"step\":20,\"loss\":0.56,\"accuracy\":0.695,\"examples\":80," \
    "\"languages\":{\"en\":{\"loss\":0.51,\"accuracy\":0.79},\"sw\":{\"loss\":0.61,\"accuracy\":0.6}},\"selected\":0.79}\n"
#define EVALS_BY_LOSS \
    "{\"event\":\"eval\",\"step\":10,\"loss\":0.61,\"accuracy\":0.6,\"languages\":{\"en\":{\"loss\":0.5},\"sw\":{\"loss\":0.72}},\"selected\":0.72}\n" \
    "{\"event\":\"eval\",\"step\":20,\"loss\":0.62,\"accuracy\":0.5,\"languages\":{\"en\":{\"loss\":0.6},\"sw\":{\"loss\":0.64}},\"selected\":0.64}\n"
#define EVALS_OF_NUMBERS \
    "{\"event\":\"eval\",\"step\":10,\"loss\":0.25,\"pearson\":0.5,\"spearman\":0.4,\"examples\":80}\n" \
    "{\"event\":\"eval\",\"step\":20,\"loss\":0.75,\"pearson\":0.9,\"spearman\":0.8,\"examples\":80}\n"
#define EVALS_OF_LABELS \
    "{\"event\":\"eval\",\"step\":10,\"loss\":0.25,\"f1_micro\":0.5,\"f1_macro\":0.4,\"examples\":80}\n" \
    "{\"event\":\"eval\",\"step\":20,\"loss\":0.75,\"f1_micro\":0.9,\"f1_macro\":0.8,\"examples\":80}\n"
#define END(metric, best, step) "{\"event\":\"end\",\"step\":20,\"metric\":\"" metric "\",\"best\":" best ",\"best_step\":" step "}\n"
#define CARD(label, value, more) "<div><span>" label "</span><b><bdi>" value "</bdi></b><span>" more "</span></div>"

/* The best step is that of the model in best/: as the last line of the log says, or as it is chosen before there is one. */
static void best_step(void **state)
{
    (void)state;
    static const char at_10[] = CARD("best validation loss", "0.2500", "at step 10");
    static const struct { const char *metrics, *metric, *said[3]; } cases[] = {
        { EVALS_OF_TWO END("accuracy of en", "0.8", "10"), "auto",
          { CARD("best validation accuracy", "0.8000", "at step 10, chosen by accuracy of en"),
            CARD("validation loss", "0.6100", "of the same step, mean of all sets"),
            "<th scope=\"row\">sw</th><td class=\"n\">0.4000</td><td class=\"n\">0.4000</td><td class=\"n\">0.6000</td>" } },
        { EVALS_OF_TWO, "auto",
          { CARD("best validation accuracy", "0.8000", "at step 10, chosen by the sets of --select-by"),
            "accuracy: first</th><th class=\"n\">at the best step</th>" } },
        { EVALS_BY_LOSS END("worst loss of en, sw", "0.64", "20"), "loss",
          { CARD("best validation loss", "0.6400", "at step 20, chosen by worst loss of en, sw"), "loss: first</th>" } },
        { EVALS_BY_LOSS, "loss", { CARD("best validation loss", "0.6400", "at step 20, chosen by the sets of --select-by") } },
        { EVALS_OF_NUMBERS END("loss", "0.25", "10"), "auto",
          { at_10, CARD("validation Pearson", "0.5000", "of the same step"), "<figcaption>Validation Pearson</figcaption>" } },
        { EVALS_OF_NUMBERS, "auto", { at_10, CARD("validation Pearson", "0.5000", "of the same step") } },
        { EVALS_OF_NUMBERS, "mse", { at_10 } },
        { EVALS_OF_NUMBERS, "spearman",
          { CARD("best validation Spearman", "0.8000", "at step 20"), CARD("validation loss", "0.7500", "of the same step") } },
        { EVALS_OF_LABELS, "auto", { at_10, CARD("validation micro F1", "0.5000", "of the same step") } },
        { EVALS_OF_LABELS END("f1_macro", "0.8", "20"), "f1_macro", { CARD("best validation macro F1", "0.8000", "at step 20") } },
        { EVALS_OF_LABELS END("a figure to come", "1", "20"), "auto", { "<span>at step 20, chosen by a figure to come</span>" } },
        { EVALS_OF_LABELS END("loss", "0.5", "15"), "auto", { at_10 } },        /* a log with a hole */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[100];
        snprintf(text, sizeof text, "# finetune: what decides the result\ntask: classify\nmetric: %s\n", cases[i].metric);
        write_file("chosen", "metrics.jsonl", cases[i].metrics);
        write_file("chosen", "config.yaml", text);
        char *page = page_of_one("chosen");
        assert_non_null(page);
        check_page(page);
        for (size_t k = 0; k < 3 && cases[i].said[k]; k++)
            expect(page, cases[i].said[k]);
        xr_free(page);
    }
}

/* What chose the runs stands beside its value where they are compared; the last line says it too, where config.yaml is not there. */
static void best_steps_compared(void **state)
{
    (void)state;
    char one[300], two[300], three[300];
    const char *dirs[] = { one, two, three };
    write_file("by-en", "metrics.jsonl", EVALS_OF_TWO END("accuracy of en", "0.8", "10"));
    write_file("by-loss", "metrics.jsonl", EVALS_OF_NUMBERS END("loss", "0.25", "10"));
    snprintf(one, sizeof one, "%s", in_scratch("by-en"));
    write_file("by-macro", "metrics.jsonl", EVALS_OF_LABELS END("f1_macro", "0.8", "20"));
    snprintf(two, sizeof two, "%s", in_scratch("by-loss"));
    snprintf(three, sizeof three, "%s", in_scratch("by-macro"));
    char *page = page_of(dirs, 3);
    assert_non_null(page);
    check_page(page);
    expect(page, "<td>accuracy of en</td><td class=\"n\">0.8000</td><td class=\"n\">10</td>");
    expect(page, "<td>loss</td><td class=\"n\">0.2500</td><td class=\"n\">10</td>");
    expect(page, "<td>macro F1</td><td class=\"n\">0.8000</td><td class=\"n\">20</td>");
    xr_free(page);
}

/* A run being written, killed or damaged. */
static void broken_runs(void **state)
{
    (void)state;
    static const struct { const char *metrics, *said; } cases[] = {
        { "", "no steps yet" },
        { "{\"event\":\"start\",\"total_steps\":40}\n", "step 0 of 40" },
        { "{\"step\":10,\"loss\":9.5,\"lr\":1e-05}\n{\"step\":20,\"lo", "metrics.jsonl: the last line is cut and was left out" },
        { "{\"step\":10,\"loss\":9.5}\n{oops\n[1]\n{\"step\":20,\"loss\":9}\n",
          "metrics.jsonl: 2 lines that are no JSON objects were left out, the first is line 2" },
        { "{\"step\":10,\"loss\":9.5}\n\xff\xfe\n", "1 line that" },
        { "{\"step\":10,\"loss\":9.5,\"lr\":1e-05}\n", "There is no evaluation on validation data yet." },
        { "{\"step\":10,\"loss\":9.5,\"lr\":1e-05}\n", "timing.jsonl: not there" },
        { "{\"step\":10,\"loss\":9.5,\"lr\":1e-05}\n", "config.yaml: not there" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_file("part", "metrics.jsonl", cases[i].metrics);
        char *page = page_of_one("part");
        assert_non_null(page);
        check_page(page);
        expect(page, cases[i].said);
        xr_free(page);
    }
    write_file("begun", "config.yaml", "# finetune: what decides the result\nno_such_option: 1\n");
    char *page = page_of_one("begun");
    assert_non_null(page);
    check_page(page);
    expect(page, "Fine-tuning: begun");
    expect(page, "metrics.jsonl: not there");
    expect(page, "no_such_option: 1");
    xr_free(page);
}

static void evaluation_page(void **state)
{
    (void)state;
    write_file("eval", "results.json", results);
    write_file("eval", "errors.jsonl", errors);
    char *page = page_of_one("eval");
    assert_non_null(page);
    check_page(page);
    assert_null(strstr(page, "<xss"));
    expect(page, "<b><bdi>62.50</bdi></b><span>per cent, of 2 languages</span>");
    expect(page, "<td class=\"n\">85.8</td><td class=\"n\">-10.8</td>");        /* published, difference */
    expect(page, "<td class=\"n\">92.25</td><td class=\"n\">-42.25</td>");      /* as CoNLL's are printed */
    expect(page, "<td class=\"n\">2.00</td><td class=\"n\">1</td>");            /* <unk>, cut */
    assert_null(strstr(page, "interval, %"));               /* of the average, no figure */
    expect(page, "Only the first 5 rows of each language were scored.");
    expect(page, "style=\"background:rgba(0,114,178,0.64)\">2</td>");           /* two of three */
    expect(page, "<summary>en: 1</summary>");
    expect(page, "dir=\"auto\">" EVIL_HTML "</span>");
    expect(page, "dir=\"auto\">\xD7\xA9\xD7\x9C</span>");
    expect(page, "<span class=\"word\">" EVIL_HTML "<small class=\"gold\" dir=\"ltr\">B-" EVIL_HTML "</small>"
                 "<small class=\"wrong\" dir=\"ltr\">O</small></span>");
    expect(page, "(no answer)");
    expect(page, "row 3 \xC2\xB7 probability 0.9877 \xC2\xB7 loss 4.500");
    expect(page, "--max-eval-samples 5</pre>");
    xr_free(page);
}

/* The gap is that of the language of the training data. */
static void transfer_gap(void **state)
{
    (void)state;
    static const struct { const char *options, *said; } cases[] = {
        { ",\"options\":{\"training_language\":\"de\"}", CARD("transfer gap", "25.00", "de minus the mean of the others") },
        { ",\"options\":{\"training_language\":\"" EVIL "\"}", CARD("transfer gap", "25.00", EVIL_HTML " minus the mean of the others") },
        { "", CARD("transfer gap", "25.00", "en minus the mean of the others") },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"metric\":\"accuracy\",\"languages\":{},\"transfer_gap\":0.25%s}", cases[i].options);
        write_file("gap", "results.json", text);
        char *page = page_of_one("gap");
        assert_non_null(page);
        check_page(page);
        expect(page, cases[i].said);
        xr_free(page);
    }
}

static void several(void **state)
{
    (void)state;
    char one[300], two[300], eval[300];
    const char *dirs[] = { one, two, eval, eval };
    make_run("s1/run");
    make_run("s2/run");
    write_file("eval", "results.json", results);
    snprintf(one, sizeof one, "%s/", in_scratch("s1/run"));
    snprintf(two, sizeof two, "%s", in_scratch("s2/run"));
    snprintf(eval, sizeof eval, "%s", in_scratch("eval"));
    char *page = page_of(dirs, 4), *again = page_of(dirs, 4);
    assert_non_null(page);
    check_page(page);
    expect(page, "<h1>2 runs and 2 evaluations</h1>");
    expect(page, "<bdi>s1/run</bdi>");                      /* the shortest ends that differ */
    expect(page, "<bdi>s2/run</bdi>");
    expect(page, "accuracy compared</h2>");
    expect(page, "<th scope=\"row\">en</th><td class=\"n\">75.00 <span class=\"soft\">p 0.2500</span></td>");
    expect(page, "<th scope=\"row\">sw</th><td class=\"n\">-</td>");
    expect(page, "p: two-sided, of no difference from the first model");
    assert_string_equal(page, again);
    xr_free(page);
    xr_free(again);
}

/* Averages are of other languages: each has a row, and each average says of how many. */
static void other_languages(void **state)
{
    (void)state;
    char one[300], two[300];
    const char *dirs[] = { one, two };
    write_file("eval", "results.json", results);
    write_file("other", "results.json", "{\"task\":\"" EVIL "\",\"split\":\"test\",\"metric\":\"accuracy\",\"languages\":{\"de\":{\"n\":4,\"accuracy\":0.25}},"
               "\"average\":{\"accuracy\":0.25,\"languages\":1}}");
    snprintf(one, sizeof one, "%s", in_scratch("eval"));
    snprintf(two, sizeof two, "%s", in_scratch("other"));
    char *page = page_of(dirs, 2);
    assert_non_null(page);
    check_page(page);
    expect(page, "<th scope=\"row\">sw</th><td class=\"n\">-</td><td class=\"n\">-</td></tr>\n<tr><th scope=\"row\">de</th><td class=\"n\">-</td>"
                 "<td class=\"n\">25.00</td></tr>\n<tr class=\"sum\">");
    expect(page, "average</th><td class=\"n\">62.50 <span class=\"soft\">of 2</span></td><td class=\"n\">25.00 <span class=\"soft\">of 1</span></td></tr>");
    xr_free(page);
}

static const char sweep_results[] =
    "{\"verb\":\"finetune\",\"metric\":\"accuracy\",\"best_run\":\"seed=1,x=2\",\"runs\":["
    "{\"name\":\"seed=1,x=2\",\"values\":{\"seed\":\"1\",\"x\":\"2\"},\"state\":\"finished\",\"steps\":1234,\"best_step\":56,"
    "\"validation\":{\"metric\":\"accuracy\",\"value\":0.875},\"evaluate\":{\"metric\":\"f1\",\"value\":0.625}},"
    "{\"name\":\"seed=1,x=" EVIL "\",\"values\":{\"seed\":\"1\",\"x\":\"" EVIL "\"},\"state\":\"failed\",\"exit\":65,\"message\":\"" EVIL "\"}, 7],"
    "\"settings\":[{\"values\":{\"x\":\"2\"},\"validation\":{\"runs\":1,\"mean\":0.875,\"standard_deviation\":0.125,\"min\":0.75,\"max\":0.9375},"
    "\"evaluate\":{\"runs\":1,\"mean\":0.625,\"standard_deviation\":null,\"min\":0.5,\"max\":0.6875},\"best\":true},"
    "{\"values\":{\"x\":\"" EVIL "\"},\"validation\":null,\"best\":false}]}";

/* The table of its runs, which link to their sections; one of them was never begun. */
static void sweep_page(void **state)
{
    char path[300];
    const char *dirs[] = { path };
    (void)state;
    make_run("sweep/runs/seed=1,x=2");
    write_file("sweep", "results.json", sweep_results);
    snprintf(path, sizeof path, "%s//", in_scratch("sweep"));
    char *page = page_of(dirs, 1);
    assert_non_null(page);
    check_page(page);
    assert_null(strstr(page, "<xss"));
    expect(page, "<h1>Sweep: sweep</h1>");
    expect(page, "finished runs</span><b><bdi>1</bdi></b><span>of 3</span>");
    expect(page, "best setting</span><b><bdi>x=2</bdi></b><span>accuracy 0.8750 ± 0.1250</span>");
    expect(page, "<a href=\"#run1\"><bdi>seed=1,x=2</bdi></a></th><td class=\"n\">1</td><td class=\"n\">2</td><td>finished</td><td class=\"n\">1,234</td>"
                 "<td class=\"n\">0.8750</td><td class=\"n\">56</td><td class=\"n\">0.6250</td><td>best</td>");
    expect(page, "<th class=\"n\">evaluate: F1</th>");
    expect(page, "<h3>Settings, on the validation data: accuracy</h3>");
    expect(page, "<h3>Settings, by evaluate: F1</h3>");
    expect(page, "<td>failed (65): <span class=\"soft\">" EVIL_HTML "</span></td>");
    expect(page, "<td class=\"n\">1</td><td class=\"n\">0.6250</td><td class=\"n\">-</td><td class=\"n\">0.5000</td>");
    expect(page, "<section id=\"run1\">");
    expect(page, "<h2>Pretraining <bdi>seed=1,x=2</bdi></h2>");
    xr_free(page);
}

static void wrong_paths(void **state)
{
    (void)state;
    assert_null(page_of_one("nothing"));
    expect_error(XR_ENOINPUT, "no such directory; name a directory of pretrain, finetune or sweep");
    write_file("file", "x", "");
    assert_null(page_of_one("file/x"));
    expect_error(XR_ENOINPUT, "is a file; name the directory");
    assert_null(page_of_one("file"));
    expect_error(XR_ENOINPUT, "neither a run (metrics.jsonl, config.yaml) nor an evaluation or a sweep (results.json)");
    write_file("model", "config.json", "{}");
    assert_null(page_of_one("model"));
    expect_error(XR_ENOINPUT, "a model or checkpoint, without logs");
    write_file("bad", "results.json", "{\"task\":");
    assert_null(page_of_one("bad"));
    expect_error(XR_EDATA, "results.json");
    write_file("bad", "results.json", "{\"task\":\"xnli\"}");
    assert_null(page_of_one("bad"));
    expect_error(XR_EDATA, "results.json: no languages");
    assert_null(page_of(NULL, 0));
    expect_error(XR_EUSAGE, "nothing to report on");
}

/* Every allocation of ours that fails is a status, and leaves nothing. */
static void memory(void **state)
{
    (void)state;
    make_run("run");
    write_file("run", "results.json", results);             /* both in one directory */
    write_file("run", "errors.jsonl", errors);
    make_run("sweep/runs/seed=1,x=2");
    write_file("sweep", "results.json", sweep_results);
    long before = xr_alloc_live();
    char *page = NULL;
    for (long k = 0; !page; k = next_failure(k, 20)) {
        xr_options o;
        xr_report_counts counts;
        char path[300], sweep[300];
        const char *dirs[] = { path, sweep };
        snprintf(path, sizeof path, "%s", in_scratch("run"));
        snprintf(sweep, sizeof sweep, "%s", in_scratch("sweep"));
        assert_int_equal(xr_options_init(&o, XR_V_REPORT), XR_OK);
        o.args = dirs;
        o.n_args = 2;
        o.output = in_scratch("page.html");
        xr_alloc_fail_after(k);
        xr_status status = xr_report_write(&o, &counts);
        xr_alloc_fail_after(-1);
        o.args = NULL;
        xr_options_free(&o);
        assert_int_equal(xr_alloc_live(), before);
        assert_true(k < 1000000);
        if (status == XR_OK)
            page = "done";
        else
            expect_error(XR_ESYSTEM, "memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(run_page, clear_error), cmocka_unit_test_teardown(broken_runs, clear_error),
        cmocka_unit_test_teardown(evaluation_page, clear_error), cmocka_unit_test_teardown(several, clear_error),
        cmocka_unit_test_teardown(other_languages, clear_error),
        cmocka_unit_test_teardown(sweep_page, clear_error), cmocka_unit_test_teardown(best_step, clear_error),
        cmocka_unit_test_teardown(best_steps_compared, clear_error), cmocka_unit_test_teardown(transfer_gap, clear_error),
        cmocka_unit_test_teardown(wrong_paths, clear_error), cmocka_unit_test_teardown(memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
