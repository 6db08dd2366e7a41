/* The option table: its rows, values by schema, flags, the YAML entries 1-10 and 15 of the bad-input catalogue, round
 * trips. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "train/options.h"
#include "util/alloc.h"
#include "util/fs.h"

static char config_path[] = "/tmp/xr-options-XXXXXX";

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(config_path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(config_path);
}

static void write_config(const char *text, size_t len)
{
    FILE *f = fopen(config_path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

/* Parses the arguments behind `verb`, up to NULL. The caller frees o. */
static xr_status parse(xr_options *o, unsigned verb, char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    assert_int_equal(xr_options_init(o, verb), XR_OK);
    return xr_options_parse(o, argc, argv);
}
#define ARGS(...) (char *[]){ __VA_ARGS__, NULL }

/* Arguments that finetune accepts, with room for more. */
#define REQUIRED "--model", "m", "--train-file", "a.tsv", "--output-dir", "out"

static void assert_message(const char *part)
{
    if (!strstr(xr_error_message(), part))
        fail_msg("message \"%s\" lacks \"%s\"", xr_error_message(), part);
    xr_error_clear();
}

static void refused(unsigned verb, char **argv, xr_status code, const char *a, const char *b)
{
    xr_options o;
    assert_int_equal(parse(&o, verb, argv), code);
    if (!strstr(xr_error_message(), b))
        fail_msg("message \"%s\" lacks \"%s\"", xr_error_message(), b);
    assert_message(a);
    xr_options_free(&o);
}

static void refused_yaml(const char *text, size_t len, const char *a, const char *b)
{
    xr_options o;
    assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
    if (xr_options_yaml(&o, text, len, "c.yaml") != XR_ECONFIG)
        fail_msg("\"%.60s\" was not refused with 78 (%s)", text, xr_error_message());
    if (!strstr(xr_error_message(), b))
        fail_msg("message \"%s\" lacks \"%s\"", xr_error_message(), b);
    assert_message(a);
    xr_options_free(&o);
}
#define REFUSED_YAML(text, a, b) refused_yaml(text, sizeof(text) - 1, a, b)

static void test_rows(void **state)
{
    (void)state;
    size_t n;
    const xr_option *t = xr_option_table(&n);
    assert_true(n > 70);
    for (size_t i = 0; i < n; i++) {
        const xr_option *r = &t[i];
        int number = r->type == XR_OPT_INT || r->type == XR_OPT_FLOAT;
        assert_true(strlen(r->help) > 8);
        assert_true(r->help[strlen(r->help) - 1] != '.');
        assert_true(r->verbs && !(r->verbs & ~(unsigned)XR_V_ALL));
        assert_true(!(r->flags & XR_RECIPE) != !(r->flags & XR_RUNTIME));
        assert_true(strspn(r->key, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(r->key));
        assert_true(strlen(r->key) < 60);
        assert_true(strncmp(r->key, "no_", 3) != 0);
        assert_true((r->type == XR_OPT_BOOL) == (r->meta == NULL));
        assert_true(!number || (r->def && r->min < r->max));
        assert_true(r->type != XR_OPT_BOOL || r->def);
        assert_true(!(r->flags & XR_REQUIRED) || !r->def);
        for (size_t k = 0; k < i; k++) {
            if (strcmp(t[k].key, r->key) != 0)
                continue;
            assert_int_equal(t[k].verbs & r->verbs, 0);
            assert_int_equal(t[k].offset, r->offset);
            assert_int_equal(t[k].type, r->type);
        }
    }
}

/* Defaults are parsed like any other value, so that this also shows that each is in its range. */
static void test_defaults(void **state)
{
    (void)state;
    xr_options o;
    for (unsigned v = 1; v & XR_V_ALL; v <<= 1) {
        assert_string_not_equal(xr_verb_name(v), "");
        assert_int_equal(xr_options_init(&o, v), XR_OK);
        assert_int_equal(o.seed, 42);
        xr_options_free(&o);
    }
    assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
    assert_true(o.learning_rate == 2e-5);
    assert_true(o.adam_beta2 == 0.999 && o.adam_epsilon == 1e-8 && o.max_bad_fraction == 0.01);
    assert_true(o.hidden_dropout == -1 && o.classifier_dropout == -1);
    assert_int_equal(o.max_seq_length, -1);
    assert_int_equal(o.batch_tokens, 0);
    assert_null(o.model);
    xr_options_free(&o);
    assert_int_equal(xr_options_init(&o, XR_V_TOKENIZE), XR_OK);
    assert_int_equal(o.max_seq_length, 0);
    assert_true(o.specials);
    xr_options_free(&o);
    assert_int_equal(xr_options_init(&o, XR_V_FILL_MASK), XR_OK);
    assert_int_equal(o.top_k, 5);
    xr_options_free(&o);
}

static void test_flags(void **state)
{
    (void)state;
    xr_options o;
    char **a = ARGS("--model=m", "--train_file", "a.tsv", "--train-file", "b=c.tsv", "--output-dir", "out",
                    "--learning-rate", "1e-4", "--max_steps=1e3", "--recompute", "--group-by-length", "false",
                    "--no-decay-all", "--hidden-dropout", ".1", "--attention-dropout", "config",
                    "--early-stopping_patience", "2", "--class-weights", "-", "--seed", "1", "--seed", "2");
    assert_int_equal(parse(&o, XR_V_FINETUNE, a), XR_OK);
    assert_string_equal(o.model, "m");
    assert_int_equal(o.train_file.n, 2);
    assert_string_equal(o.train_file.v[0], "a.tsv");
    assert_string_equal(o.train_file.v[1], "b=c.tsv");
    assert_null(o.train_file.v[2]);
    assert_true(o.learning_rate == 1e-4);
    assert_int_equal(o.max_steps, 1000);
    assert_int_equal(o.recompute, 1);
    assert_int_equal(o.group_by_length, 0);
    assert_true(o.hidden_dropout == 0.1);
    assert_true(o.attention_dropout == -1);
    assert_int_equal(o.early_stopping_patience, 2);
    assert_string_equal(o.class_weights, "-");
    assert_int_equal(o.seed, 2);
    assert_int_equal(xr_options_origin(&o, "max-steps").kind, XR_FROM_FLAG);
    assert_int_equal(xr_options_origin(&o, "num-epochs").kind, XR_FROM_DEFAULT);
    xr_options_free(&o);

    a = ARGS("--model", "m", "--no-specials", "-", "x.txt", "--", "--pair", "-h");
    assert_int_equal(parse(&o, XR_V_TOKENIZE, a), XR_OK);
    assert_int_equal(o.specials, 0);
    assert_int_equal(o.pair, 0);
    assert_int_equal(o.n_args, 4);
    assert_string_equal(o.args[0], "-");
    assert_string_equal(o.args[2], "--pair");
    assert_null(o.args[4]);
    xr_options_free(&o);

    a = ARGS("--layer", "-1", "--model", "m", "--output", "o.h5", "--pair");
    refused(XR_V_FEATURES, a, XR_EUSAGE, "--pair", "option of tokenize, not of features");
}

static void test_help_needs_nothing(void **state)
{
    (void)state;
    xr_options o;
    assert_int_equal(parse(&o, XR_V_FINETUNE, ARGS("--help")), XR_OK);
    assert_true(o.help && !o.short_help);
    xr_options_free(&o);
    assert_int_equal(parse(&o, XR_V_FINETUNE, ARGS("--seed", "3", "-h", "--bogus")), XR_OK);
    assert_true(o.help && o.short_help);
    xr_options_free(&o);
    assert_int_equal(parse(&o, XR_V_FINETUNE, ARGS("--print-config")), XR_OK);
    xr_options_free(&o);
}

/* Catalogue 1, and wrong values of flags: 2. */
static void test_bad_flags(void **state)
{
    (void)state;
    const unsigned v = XR_V_FINETUNE;
    refused(v, ARGS(REQUIRED, "--learning-rat", "1"), XR_EUSAGE, "--learning-rat", "did you mean --learning-rate?");
    refused(v, ARGS(REQUIRED, "--zzzzzz", "1"), XR_EUSAGE, "--zzzzzz", "xlmr finetune --help");
    refused(v, ARGS(REQUIRED, "--pooling", "mean"), XR_EUSAGE, "--pooling", "features");
    refused(v, ARGS(REQUIRED, "-x"), XR_EUSAGE, "-x", "unknown option");
    refused(v, ARGS(REQUIRED, "--no-learning-rate"), XR_EUSAGE, "--no-learning-rate", "unknown option");
    refused(v, ARGS(REQUIRED, "--max-steps"), XR_EUSAGE, "--max-steps", "no value");
    refused(v, ARGS(REQUIRED, "--max-steps", "--json"), XR_EUSAGE, "--max-steps", "no value");
    refused(v, ARGS(REQUIRED, "--max-steps", "ten"), XR_EUSAGE, "\"ten\" is not an integer",
            "an integer from 0 to 1000000000000");
    refused(v, ARGS(REQUIRED, "--max-steps", "1.5"), XR_EUSAGE, "\"1.5\"", "not an integer");
    refused(v, ARGS(REQUIRED, "--max-steps", "0x10"), XR_EUSAGE, "\"0x10\"", "not an integer");
    refused(v, ARGS(REQUIRED, "--batch-size", "0"), XR_EUSAGE, "--batch-size", "out of range");
    refused(v, ARGS(REQUIRED, "--learning-rate", "nan"), XR_EUSAGE, "nan", "not a number");
    refused(v, ARGS(REQUIRED, "--learning-rate", "1e999"), XR_EUSAGE, "1e999", "expected a number from 0 to 10");
    refused(v, ARGS(REQUIRED, "--learning-rate", ""), XR_EUSAGE, "--learning-rate", "not a number");
    refused(v, ARGS(REQUIRED, "--lr-scheduler", "Linear "), XR_EUSAGE, "--lr-scheduler",
            "one of linear, cosine, constant");
    refused(v, ARGS(REQUIRED, "--recompute=maybe"), XR_EUSAGE, "--recompute", "true or false");
    refused(v, ARGS(REQUIRED, "--metric", "loss\xff"), XR_EUSAGE, "--metric", "expected");
    refused(v, ARGS(REQUIRED, "--label-map", "\xc3("), XR_EUSAGE, "--label-map", "UTF-8");
    refused(v, ARGS("--model", ""), XR_EUSAGE, "--model", "empty");
    refused(v, ARGS("--train-file", "t", "--output-dir", "o"), XR_EUSAGE, "finetune needs --model DIR",
            "xlmr finetune -h");
    refused(v, ARGS("--config", "a", "--config", "b"), XR_EUSAGE, "twice", "one file");
    refused(v, ARGS("--config", "/nonexistent/c.yaml"), XR_ENOINPUT, "--config", "/nonexistent/c.yaml");
}

static void test_bad_yaml(void **state)
{
    (void)state;
    /* 2, 3 */
    REFUSED_YAML("seed: 1\nlearning-rat: 2\n", "c.yaml:2: learning-rat", "did you mean learning_rate?");
    REFUSED_YAML("pooling: mean\n", "c.yaml:1: pooling", "features, evaluate, not of finetune");
    REFUSED_YAML("seed: 1\nmodel: m\nseed: 1\n", "c.yaml:3:", "first in line 1");
    REFUSED_YAML("max-steps: 1\nmax_steps: 1\n", "c.yaml:2", "first in line 1");
    REFUSED_YAML("config: other.yaml\n", "c.yaml:1: config", "only a flag");
    /* 4, 5, 6 */
    REFUSED_YAML("\nmax_steps: ten\n", "c.yaml:2: max_steps: \"ten\"", "an integer from 0 to 1000000000000");
    REFUSED_YAML("recompute: 7\n", "c.yaml:1: recompute", "true or false");
    REFUSED_YAML("model:\n", "c.yaml:1: model", "empty");
    REFUSED_YAML("model: []\n", "c.yaml:1", "empty");
    REFUSED_YAML("model: [a, b]\n", "c.yaml:1: model", "expected one value");
    REFUSED_YAML("train_file: [a, [b]]\n", "c.yaml:1:", "a list may hold plain values only");
    REFUSED_YAML("hidden_dropout: 1.5\n", "c.yaml:1: hidden_dropout", "a number from 0 to 0.99, or config");
    REFUSED_YAML("learning_rate: -1\n", "c.yaml:1: learning_rate", "out of range");
    REFUSED_YAML("learning_rate: .nan\n", "c.yaml:1: learning_rate", "not a number");
    REFUSED_YAML("seed: 4294967296\n", "c.yaml:1: seed", "0 to 4294967295");
    REFUSED_YAML("max_steps: 18446744073709551617\n", "c.yaml:1: max_steps", "out of range");
    REFUSED_YAML("max_steps: 99999999999999999999999999\n", "c.yaml:1: max_steps", "out of range");
    /* 8 */
    REFUSED_YAML("model: &a x\n", "c.yaml:1", "anchor");
    REFUSED_YAML("model: *a\n", "c.yaml:1", "alias");
    REFUSED_YAML("seed: !!int 1\n", "c.yaml:1", "tag");
    REFUSED_YAML("--- !x\nseed: 1\n", "c.yaml:1", "tag");
    REFUSED_YAML("seed: 1\n---\nseed: 2\n", "c.yaml:2", "second document");
    REFUSED_YAML("- a\n- b\n", "c.yaml:1", "key: value");
    REFUSED_YAML("just words\n", "c.yaml:1", "key: value");
    REFUSED_YAML("[a]: 1\n", "c.yaml:1", "a key must be");
    REFUSED_YAML("optimizer:\n  name: adamw\n", "c.yaml:2: name", "unknown option");
    REFUSED_YAML("a:\n  b:\n    seed: 1\n", "c.yaml:3", "nested");
    /* 10 */
    REFUSED_YAML("model:\n\tx\n", "c.yaml:2:1", "indent with spaces");
    REFUSED_YAML("# \xc3\xa9\xc3\xa9\nmodel:\n\tx\n", "c.yaml:3:1", "indent with spaces");
    REFUSED_YAML("seed: 1\nmodel: a\xff\n", "c.yaml:2: byte 16", "UTF-8");
    REFUSED_YAML("model: \"a\\0b\"\n", "c.yaml:1", "NUL");
    REFUSED_YAML("model: \"abc\n", "c.yaml:", "not valid YAML");
}

/* Catalogue 9: refused at once, in depth and in size. */
static void test_bombs(void **state)
{
    (void)state;
    size_t n = (1 << 20) - 8;
    char *text = malloc(n + 1);
    memcpy(text, "model: ", 7);
    memset(text + 7, '[', n - 7);
    text[n] = 0;
    refused_yaml(text, n, "c.yaml:1", "plain values only");
    memcpy(text, "train_file: ", 12);
    refused_yaml(text, n, "c.yaml:1", "plain values only");
    memset(text, '{', n);
    refused_yaml(text, n, "c.yaml:1", "a key must be");
    free(text);

    text = malloc(2 << 20);
    memset(text, '#', 2 << 20);
    write_config(text, 2 << 20);
    free(text);
    xr_options o;
    assert_int_equal(parse(&o, XR_V_FINETUNE, ARGS("--config", config_path)), XR_ECONFIG);
    assert_message(config_path);
    xr_options_free(&o);
}

/* Catalogue 7 and 15: the schema decides, the locale does not. */
static void test_numbers(void **state)
{
    (void)state;
    static const char *const forms[] = { "1e-4", "1E-4", ".0001", "0.0001", "1.0e-04", "'1e-4'" };
    xr_options o;
    const char *locale = setlocale(LC_ALL, "de_DE.UTF-8");
    if (!locale)
        print_message("no de_DE.UTF-8 locale here: numbers are read in the C locale\n");
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "learning_rate: %s\n", forms[i]);
        assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
        assert_int_equal(xr_options_yaml(&o, text, strlen(text), "c.yaml"), XR_OK);
        assert_true(o.learning_rate == 1e-4);
        xr_options_free(&o);
    }
    static const char text[] =
        "\xef\xbb\xbf# with a BOM\r\nmax-steps: 1e4\r\nmodel: 007\r\nhidden_dropout: .1\r\nnum_epochs: 2\r\n";
    assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
    assert_int_equal(xr_options_yaml(&o, text, sizeof text - 1, "c.yaml"), XR_OK);
    assert_int_equal(o.max_steps, 10000);
    assert_string_equal(o.model, "007");
    assert_true(o.hidden_dropout == 0.1 && o.num_epochs == 2.0);
    assert_int_equal(xr_options_origin(&o, "max_steps").line, 2);
    xr_options_free(&o);
    setlocale(LC_ALL, "C");
}

static void test_precedence(void **state)
{
    (void)state;
    static const char text[] = "seed: 7\nlearning_rate: 1e-3\ntrain_file: [x.tsv, y.tsv]\nvalidation_file: v.tsv\n";
    xr_options o;
    write_config(text, sizeof text - 1);
    char **a =
        ARGS("--seed", "9", "--model", "m", "--output-dir", "o", "--train-file", "a.tsv", "--config", config_path);
    assert_int_equal(parse(&o, XR_V_FINETUNE, a), XR_OK);
    assert_int_equal(o.seed, 9);
    assert_true(o.learning_rate == 1e-3);
    assert_int_equal(o.train_file.n, 1);
    assert_string_equal(o.train_file.v[0], "a.tsv");
    assert_int_equal(o.validation_file.n, 1);
    assert_int_equal(xr_options_origin(&o, "learning_rate").kind, XR_FROM_CONFIG);
    assert_string_equal(xr_options_origin(&o, "learning_rate").path, config_path);
    assert_int_equal(xr_options_origin(&o, "learning_rate").line, 2);
    xr_options_free(&o);
}

static void test_round_trip(void **state)
{
    (void)state;
    xr_options a, b;
    xr_str first = { 0 }, second = { 0 };
    char **args = ARGS("--model", "dir with: \"odd\" #name\t\xc3\xa9", "--train-file", "a, b.tsv", "--train-file", "-",
                       "--output-dir", "null", "--learning-rate", "0.1", "--adam-epsilon", "1e-30", "--max-steps",
                       "999999999999", "--recompute", "--classifier-dropout", "0", "--label-map", "~", "--text-column",
                       " x ", "--class-weights", "true");
    assert_int_equal(parse(&a, XR_V_FINETUNE, args), XR_OK);
    assert_int_equal(xr_options_to_yaml(&a, 1, &first), XR_OK);
    assert_int_equal(xr_options_init(&b, XR_V_FINETUNE), XR_OK);
    if (xr_options_yaml(&b, first.s, first.len, "first.yaml") < 0)
        fail_msg("%s\n%s", xr_error_message(), first.s);
    assert_string_equal(a.model, b.model);
    assert_string_equal(b.output_dir, "null");
    assert_string_equal(b.text_column, " x ");
    assert_int_equal(b.train_file.n, 2);
    assert_true(b.learning_rate == 0.1 && b.adam_epsilon == 1e-30 && b.classifier_dropout == 0 &&
                b.hidden_dropout == -1);
    assert_non_null(strstr(first.s, "learning_rate: 0.1  # flag\n"));
    assert_non_null(strstr(first.s, "weight_decay: 0  # default\n"));
    assert_true(strstr(first.s, "learning_rate") < strstr(first.s, "output_dir"));

    json_t *ja = xr_options_to_json(&a, XR_RECIPE | XR_RUNTIME), *jb = xr_options_to_json(&b, XR_RECIPE | XR_RUNTIME);
    assert_true(json_equal(ja, jb));
    json_decref(ja);
    json_decref(jb);
    json_t *recipe = xr_options_to_json(&a, XR_RECIPE);
    assert_non_null(json_object_get(recipe, "seed"));
    assert_null(json_object_get(recipe, "threads"));
    json_decref(recipe);

    xr_str_clear(&first);
    assert_int_equal(xr_options_to_yaml(&a, 0, &first), XR_OK);
    assert_int_equal(xr_options_to_yaml(&b, 0, &second), XR_OK);
    assert_string_equal(first.s, second.s);
    xr_str_free(&first);
    xr_str_free(&second);
    xr_options_free(&a);
    xr_options_free(&b);
}

/* Every recipe in configs/ is one that finetune takes, or pretrain, if its comment says so. The tests run in the root of the tree. */
static void test_recipes(void **state)
{
    (void)state;
    DIR *d = opendir("configs");
    int n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        char path[512];
        size_t len;
        xr_options o;
        if (!strstr(e->d_name, ".yaml"))
            continue;
        snprintf(path, sizeof path, "configs/%s", e->d_name);
        char *text = xr_file_read(path, 1 << 20, &len);
        assert_non_null(text);
        unsigned verb = strstr(text, "xlmr pretrain --config") ? XR_V_PRETRAIN : XR_V_FINETUNE;
        assert_int_equal(xr_options_init(&o, verb), XR_OK);
        if (xr_options_yaml(&o, text, len, path) < 0)
            fail_msg("%s", xr_error_message());
        xr_options_free(&o);
        xr_free(text);
        n++;
    }
    closedir(d);
    assert_true(n >= 5);
}

/* Out of memory anywhere is an error, never a crash and never a leak. */
static void test_memory(void **state)
{
    (void)state;
    static const char text[] = "train_file: [x.tsv, y.tsv]\nmodel: m\noutput_dir: o\nlr_scheduler: cosine\n";
    write_config(text, sizeof text - 1);
    const long before = xr_alloc_live();
    int failures = 0;
    for (long k = 0;; k++) {
        xr_options o;
        xr_alloc_fail_after(k);
        xr_status st = xr_options_init(&o, XR_V_FINETUNE);
        if (st >= 0)
            st = xr_options_parse(&o, 4, ARGS("--config", config_path, "--train-file", "z"));
        xr_alloc_fail_after(-1);
        xr_options_free(&o);
        assert_int_equal(xr_alloc_live(), before);
        if (st == XR_OK)
            break;
        assert_int_equal(st, XR_ESYSTEM);
        xr_error_clear();
        failures++;
    }
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),       cmocka_unit_test(test_defaults),           cmocka_unit_test(test_flags),
        cmocka_unit_test(test_bad_flags),  cmocka_unit_test(test_help_needs_nothing), cmocka_unit_test(test_bad_yaml),
        cmocka_unit_test(test_bombs),      cmocka_unit_test(test_numbers),            cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_recipes),            cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("options", tests, setup, teardown);
}
