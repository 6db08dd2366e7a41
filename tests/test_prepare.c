/* prepare: the tokens are those of the tokenizer, and neither workers, kills, parts nor damage on the way can be seen in the store. */
#include "memory.h"
#include "tiny_dir.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "data/dedup.h"
#include "data/language.h"
#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"

enum { FILES = 9 };

static xr_tokenizer *tokenizer;
static char paths[FILES][320];
static const char *inputs[FILES];

/* Documents of a few lines; file k has its own. The languages are those of the names. */
static void write_input(int k, unsigned documents)
{
    static const char *const names[FILES] = { "en.txt", "de_head_0000.txt", "cc_fr_head-0091.txt", "uzn_latn.txt", "cmn_hant.txt",
                                              "hi_rom.txt", "ckb.txt", "zh-Hant.txt.xz", "b/en.txt" };
    xr_str text = { 0 };
    for (unsigned d = 0; d < documents; d++) {
        for (unsigned i = 0; i < 1 + d % 4; i++)
            xr_str_printf(&text, "%s\n", tiny_sentence(1000u * (unsigned)k + 7 * d + i));
        xr_str_puts(&text, d % 3 ? "\n" : "\n\n");
    }
    snprintf(paths[k], sizeof paths[k], "%s/in/%s", scratch, names[k]);
    assert_int_equal(xr_file_write(paths[k], text.s, text.len), XR_OK);
    inputs[k] = paths[k];
    xr_str_free(&text);
}

static int make_all(void **state)
{
    if (make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    assert_int_equal(xr_mkdirs(in_scratch("in/b")), XR_OK);
    for (int k = 0; k < FILES; k++)
        write_input(k, 20 + 15 * (unsigned)k);
    tokenizer = xr_tokenizer_open(in_scratch("tok"));
    return tokenizer ? 0 : -1;
}

static int free_all(void **state)
{
    xr_tokenizer_free(tokenizer);
    return remove_scratch(state);
}

/* ---- running ---- */

typedef struct setting { const char *key, *value; } setting;

typedef struct call {
    const char *dir;
    const char *const *input; size_t n_input;
    int part, n_parts, overwrite;
    setting set[4];
    const xr_prepare_hooks *hooks;
    json_t *manifest;
} call;

static xr_status prepare(call *c)
{
    xr_options o;
    char dir[320];
    snprintf(dir, sizeof dir, "%s/%s", scratch, c->dir);
    assert_int_equal(xr_options_init(&o, XR_V_PREPARE), XR_OK);
    for (size_t i = 0; i < 4 && c->set[i].key; i++)
        assert_int_equal(xr_options_set(&o, c->set[i].key, c->set[i].value), XR_OK);
    xr_prepare_job job = { .o = &o, .tokenizer = tokenizer, .input = c->input ? c->input : inputs, .n_input = c->input ? c->n_input : FILES, .output_dir = dir,
                           .part = c->part, .n_parts = c->n_parts, .overwrite = c->overwrite };
    json_decref(c->manifest);
    c->manifest = NULL;
    xr_status status = xr_prepare_run(&job, c->hooks, &c->manifest);
    xr_options_free(&o);
    return status;
}

static void good(call *c)
{
    if (prepare(c) < 0)
        fail_msg("%s", xr_error_message());
}

/* The files of two folders are the same, and there are no others. */
static void same_trees(const char *a, const char *b)
{
    char command[1200];
    snprintf(command, sizeof command, "diff -r '%s/%s' '%s/%s' >&2", scratch, a, scratch, b);
    assert_int_equal(system(command), 0);
}

static size_t count_files(const char *dir, const char *part)
{
    size_t n = 0;
    DIR *d = opendir(in_scratch(dir));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        n += strstr(e->d_name, part) != NULL;
    closedir(d);
    return n;
}

static long long number(const json_t *j, const char *key)
{
    return (long long)json_integer_value(json_object_get(j, key));
}

/* ---- tests ---- */

static void test_languages(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "en.txt.gz", "en" }, { "a/b/en_head_0000.json.gz", "en" }, { "cc_en_head-0091.jsonl.gz", "en" }, { "uzn_latn.txt", "uz" }, { "deu_1996.txt", "de" },
        { "ell_monotonic.txt", "el" }, { "hau_NG.txt", "ha" }, { "por_PT.txt", "pt" }, { "pes_1.txt", "fa" }, { "zh-hant.txt.gz", "zh-hant" },
        { "zh-Hans.txt.xz", "zh" }, { "cmn_hant.txt", "zh-hant" }, { "cmn_hans.txt", "zh" }, { "hi_rom.txt.xz", "hi_rom" }, { "my_zaw.txt", "my_zaw" },
        { "ckb.txt", "ckb" }, { "ydd.txt", "yi" }, { "train.de.txt", "de" }, { "corpus-swa.zst", "sw" }, { "srp_cyrl.txt", "sr" }, { "de/x.txt", NULL },
        { "fragment3.wet.gz", NULL }, { "cc_net-sample.warc.txt", NULL }, { "whirlwind.warc.wet", NULL }, { "corpus.txt", NULL }, { "", NULL },
        { "wet-00001.wet.gz", NULL }, { "sample-run-2.txt", NULL }, { "...", NULL },
    };
    char out[XR_LANGUAGE_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = xr_language_of_file(cases[i][0], out);
        if (got != (cases[i][1] != NULL) || (got && strcmp(out, cases[i][1]) != 0))
            fail_msg("%s: %s", cases[i][0], got ? out : "none");
    }
    static const char *const written[][2] = {
        { "eng,fra", "en" }, { "DE", "de" }, { "nds", "nds" }, { "fra_Latn", "fr" }, { "nds-Latn", "nds" }, { "zh-Hans", "zh" }, { "zho_Hant", "zh-hant" },
        { "hin_rom", "hi_rom" }, { "eng_Latn,fra_Latn", "en" }, { "en-us", "en-us" }, { "xx_rom", "xx_rom" }, { "abcd_latn", "abcd_latn" },
    };
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (!xr_language_parse(written[i][0], out) || strcmp(out, written[i][1]) != 0)
            fail_msg("%s: %s", written[i][0], out);
    assert_false(xr_language_parse("", out) || xr_language_parse("ü", out) || xr_language_parse("1", out) || xr_language_parse("a/b", out));
    assert_false(xr_language_parse("abcdefghijklmnopqrstuvwxyzabcdefghijkl", out));
}

/* As Python 3.11 with cc_net's normalize_for_dedup. */
static void test_normalisation(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "  Hello, World!  2024 ", "hello, world!  0000" },
        { "\xc3\x84\xc3\x96\xc3\x9c \xc3\x89\xc3\x80 \xc5\xa0\xc5\xbd", "\xc3\xa4\xc3\xb6\xc3\xbc \xc3\xa9\xc3\xa0 \xc5\xa1\xc5\xbe" },
        { "\xce\x91\xce\x92\xce\x93 \xce\x94\xce\x95\xce\x96 \xcf\x89\xce\xa9k", "\xce\xb1\xce\xb2\xce\xb3 \xce\xb4\xce\xb5\xce\xb6 \xcf\x89\xcf\x89k" },
        { "\xd0\x9f\xd0\xa0\xd0\x98\xd0\x92\xd0\x95\xd0\xa2, \xd0\x9c\xd0\x98\xd0\xa0 \xe2\x80\x94 12\xe2\x80\xa6",
          "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xbc\xd0\xb8\xd1\x80  00" },
        { "\xe2\x80\x9cQuoted\xe2\x80\x9d \xc2\xabtext\xc2\xbb \xef\xbc\x88" "full\xef\xbc\x89\xef\xbc\x91\xef\xbc\x92\xef\xbc\x93", "quoted text full000" },
        { "\xd9\xa3\xd9\xa4\xd9\xa5 and \xe0\xa5\xa6\xe0\xa5\xa7\xe0\xa5\xa8", "000 and 000" },
        { "\xe3\x80\x80wide\xe3\x80\x80space\xe3\x80\x80", "wide\xe3\x80\x80space" },
        { "tab\there\xc2\x85x\xc2\xa0y\xc2\xa0", "tabherex\xc2\xa0y" },
        { "\xc7\x85 \xe1\xba\x9e \xe2\x85\xa7 \xef\xbc\xa1", "\xc7\x86 \xc3\x9f \xe2\x85\xb7 \xef\xbd\x81" },
        { "\xe2\x80\xa6", "" },
        { "\xf0\x90\x90\x80\xf0\x90\x90\x81 \xf0\x9e\xa4\x80", "\xf0\x90\x90\xa8\xf0\x90\x90\xa9 \xf0\x9e\xa4\xa2" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        xr_str b = { 0 };
        assert_int_equal(xr_dedup_normal(cases[i][0], strlen(cases[i][0]), &b), XR_OK);
        assert_string_equal(b.s ? b.s : "", cases[i][1]);
        xr_str_free(&b);
    }
}

static void test_seen(void **state)
{
    (void)state;
    xr_dedup d = { 0 };
    char text[32];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 20000; i++) {
            /* letters, since all digits are one */
            snprintf(text, sizeof text, "%c%c%c%c", 'a' + i % 26, 'a' + i / 26 % 26, 'a' + i / 676 % 26, 'a' + i / 17576);
            assert_int_equal(xr_dedup_seen(&d, text, strlen(text)), round);
        }
    assert_int_equal(xr_dedup_seen(&d, "", 0), 0);
    assert_int_equal(xr_dedup_seen(&d, "\xe2\x80\xa6", 3), 1);
    xr_dedup_free(&d);
}

/* Reads the first input by itself and compares document by document. */
static void test_tokens(void **state)
{
    (void)state;
    call c = { .dir = "t" };
    good(&c);
    assert_int_equal(json_array_size(json_object_get(c.manifest, "inputs")), FILES);
    xr_store *s = xr_store_open(in_scratch("t"), xr_tokenizer_sha256(tokenizer));
    assert_non_null(s);
    uint64_t at = 0, document = 0, offset[2];
    uint16_t language;
    for (unsigned d = 0; d < 20; d++, document++) {
        uint64_t begin = at;
        for (unsigned i = 0; i < 1 + d % 4; i++) {
            xr_tokens tokens = { 0 };
            int32_t id[600];
            const char *text = tiny_sentence(7 * d + i);
            assert_int_equal(xr_tokenizer_encode(tokenizer, text, strlen(text), 0, &tokens), XR_OK);
            assert_int_equal(xr_store_read(s, at, tokens.n + 1, id), XR_OK);
            for (size_t k = 0; k < tokens.n; k++)
                assert_int_equal(id[k], tokens.v[k].id);
            assert_int_equal(id[tokens.n], XR_ID_EOS);
            at += tokens.n + 1;
            xr_tokens_free(&tokens);
        }
        assert_int_equal(xr_store_document_table(s, document, 1, offset, &language), XR_OK);
        assert_true(offset[0] == begin && offset[1] == at);
        assert_string_equal(xr_store_language(s, language), "en");
    }
    const json_t *languages = json_object_get(c.manifest, "languages");
    static const char *const names[] = { "ckb", "de", "en", "fr", "hi_rom", "uz", "zh-hant" };
    assert_int_equal(json_object_size(languages), 7);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(xr_store_language(s, i), names[i]);
        assert_non_null(json_object_get(languages, names[i]));
    }
    assert_int_equal(number(json_object_get(languages, "en"), "documents"), 20 + 140);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(c.manifest, "inputs"), 8), "name")), "b/en.txt");
    xr_store_close(s);
    json_decref(c.manifest);
}

static void test_workers(void **state)
{
    (void)state;
    call one = { .dir = "w1", .set = { { "workers", "1" } } }, three = { .dir = "w3", .set = { { "workers", "3" } } };
    good(&one);
    good(&three);
    same_trees("w1", "w3");
    assert_true(json_equal(one.manifest, three.manifest));
    json_decref(one.manifest);
    json_decref(three.manifest);
}

static void test_parts(void **state)
{
    (void)state;
    call whole = { .dir = "whole" };
    good(&whole);
    json_t *merged = NULL;
    for (int part = 3; part >= 1; part--) {
        assert_true(xr_prepare_merge(in_scratch("parts"), &merged) < 0);
        if (part == 3)
            expect_error(XR_ENOINPUT, "cannot be opened");
        else
            expect_error(XR_EDATA, part == 2 ? "missing 1/3, 2/3;" : "missing 1/3;");
        call c = { .dir = "parts", .part = part, .n_parts = 3, .set = { { "workers", part == 2 ? "2" : "1" } } };
        good(&c);
        assert_int_equal(number(c.manifest, "part"), part);
        json_decref(c.manifest);
    }
    if (xr_prepare_merge(in_scratch("parts"), &merged) < 0)
        fail_msg("%s", xr_error_message());
    same_trees("whole", "parts");
    json_decref(merged);
    json_decref(whole.manifest);
    call c = { .dir = "parts", .part = 1, .n_parts = 3 };   /* of a store that is there */
    good(&c);
    json_decref(c.manifest);
    same_trees("whole", "parts");
    c = (call){ .dir = "parts", .part = 1, .n_parts = 3, .overwrite = 1 };
    assert_int_equal(prepare(&c), XR_EUSAGE);
    expect_error(XR_EUSAGE, "remove each other's work");
}

static void test_split(void **state)
{
    (void)state;
    call whole = { .dir = "unsplit" }, split = { .dir = "split", .set = { { "workers", "2" } } };
    good(&whole);
    xr_prepare_shard_tokens(300);
    good(&split);
    xr_prepare_shard_tokens(0);
    assert_true(count_files("split", ".h5") > 2 * FILES);
    xr_store *a = xr_store_open(in_scratch("unsplit"), NULL), *b = xr_store_open(in_scratch("split"), NULL);
    assert_true(a && b && xr_store_tokens(a) == xr_store_tokens(b) && xr_store_documents(a) == xr_store_documents(b));
    size_t n = (size_t)xr_store_tokens(a);
    int32_t *x = xr_alloc(n, sizeof *x), *y = xr_alloc(n, sizeof *y);
    assert_int_equal(xr_store_read(a, 0, n, x), XR_OK);
    assert_int_equal(xr_store_read(b, 0, n, y), XR_OK);
    assert_memory_equal(x, y, n * sizeof *x);
    xr_free(x);
    xr_free(y);
    xr_store_close(a);
    xr_store_close(b);
    json_decref(whole.manifest);
    json_decref(split.manifest);
}

/* ---- stopped and killed ---- */

static int stops_left;

static int stop_now(void *context)
{
    (void)context;
    return --stops_left < 0;
}

static void test_stop_and_go_on(void **state)
{
    (void)state;
    xr_prepare_hooks hooks = { .stop = stop_now };
    call whole = { .dir = "undisturbed" }, c = { .dir = "stopped", .hooks = &hooks, .set = { { "workers", "1" } } };
    good(&whole);
    int runs = 0;
    struct stat first = { 0 }, st;
    for (xr_status status = -1; status < 0; runs++) {
        stops_left = 4;
        status = prepare(&c);
        if (status < 0)
            expect_error(XR_ETEMPFAIL, "the same command goes on");
        /* what is done is not done again */
        if (runs == 0)
            assert_int_equal(stat(in_scratch("stopped/shard-00008.h5"), &first), 0);
        assert_int_equal(stat(in_scratch("stopped/shard-00008.h5"), &st), 0);
        assert_true(st.st_ino == first.st_ino && st.st_mtim.tv_nsec == first.st_mtim.tv_nsec);
    }
    assert_true(runs > 2);
    same_trees("undisturbed", "stopped");
    json_decref(whole.manifest);
    json_decref(c.manifest);
}

static void test_kill(void **state)
{
    (void)state;
    call whole = { .dir = "alive" };
    good(&whole);
    int kills = 0, done = 0;
    for (int k = 0; !done && k < 200; k++) {
        pid_t pid = fork();
        if (pid == 0) {
            call c = { .dir = "killed", .set = { { "workers", k % 2 ? "2" : "1" } } };
            if (prepare(&c) == XR_OK)
                _exit(0);
            if (xr_error_status() != XR_ETEMPFAIL)
                fprintf(stderr, "%s\n", xr_error_message());
            _exit(-xr_error_status());
        }
        int status;
        usleep((useconds_t)(2000 + 1500 * k % 40000));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        kills += WIFSIGNALED(status);
        /* the lock is free when the last worker has gone */
        done = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        assert_true(done || WIFSIGNALED(status) || WEXITSTATUS(status) == -XR_ETEMPFAIL);
    }
    assert_true(kills > 2);
    call c = { .dir = "killed" };
    good(&c);
    same_trees("alive", "killed");
    json_decref(c.manifest);
    json_decref(whole.manifest);
}

static pid_t parent;

static int die_in_child(void *context)
{
    (void)context;
    if (getpid() != parent && --stops_left < 0)
        raise(SIGKILL);
    return 0;
}

/* Workers that are killed take only their input with them. */
static void test_killed_workers(void **state)
{
    (void)state;
    parent = getpid();
    stops_left = 3;
    xr_prepare_hooks hooks = { .stop = die_in_child };
    call c = { .dir = "dead", .hooks = &hooks, .set = { { "workers", "2" } } }, whole = { .dir = "not-dead" };
    assert_int_equal(prepare(&c), XR_ESYSTEM);
    expect_error(XR_ESYSTEM, "ended by signal 9");
    c.hooks = NULL;
    good(&c);
    good(&whole);
    same_trees("dead", "not-dead");
    json_decref(c.manifest);
    json_decref(whole.manifest);
}

static int second_run(void *context)
{
    call c = { .dir = "busy" };
    if (*(int *)context == 0) {
        *(int *)context = 1;
        assert_int_equal(prepare(&c), XR_ETEMPFAIL);
        expect_error(XR_ETEMPFAIL, "another xlmr is at work");
    }
    return 0;
}

static void test_two_at_once(void **state)
{
    (void)state;
    int tried = 0;
    xr_prepare_hooks hooks = { .context = &tried, .stop = second_run };
    call c = { .dir = "busy", .hooks = &hooks, .set = { { "workers", "1" } } };
    good(&c);
    assert_true(tried);
    json_decref(c.manifest);
}

/* ---- what changed ---- */

static void refused(call *c, xr_status status, const char *message)
{
    assert_int_equal(prepare(c), status);
    expect_error(status, message);
}

/* A store that lost something is no reason to do nothing; who would have it replaced is believed only after a look at every byte. */
static void test_damaged_store(void **state)
{
    (void)state;
    char shard[320];
    call whole = { .dir = "sound" }, c = { .dir = "broken" };
    good(&whole);
    good(&c);
    snprintf(shard, sizeof shard, "%s", in_scratch("broken/shard-00003.h5"));
    assert_int_equal(truncate(shard, 100), 0);
    assert_int_equal(prepare(&c), XR_EDATA);
    expect_error(XR_EDATA, "shard-00003.h5: 100 bytes, ");
    assert_int_equal(unlink(shard), 0);
    assert_int_equal(prepare(&c), XR_EDATA);
    expect_error(XR_EDATA, "prepare the store again (xlmr prepare does that with --overwrite-output-dir)");
    c.overwrite = 1;
    good(&c);
    same_trees("sound", "broken");
    FILE *f = fopen(shard, "r+");
    assert_true(f && fseek(f, 3000, SEEK_SET) == 0 && fputc('!', f) == '!' && fclose(f) == 0);
    good(&c);
    same_trees("sound", "broken");
    json_decref(whole.manifest);
    json_decref(c.manifest);
}

static void test_changed(void **state)
{
    (void)state;
    call c = { .dir = "changed" };
    good(&c);
    good(&c);
    call deflate = { .dir = "changed", .set = { { "deflate", "3" } } }, fewer = { .dir = "changed", .input = inputs, .n_input = 3 };
    call other = { .dir = "changed", .input = inputs + 1, .n_input = FILES - 1 };
    refused(&deflate, XR_ECANTCREAT, "deflate was 0, now 3");
    refused(&fewer, XR_ECANTCREAT, "9 inputs, now 3");
    refused(&other, XR_ECANTCREAT, "9 inputs, now 8");
    deflate.overwrite = 1;
    good(&deflate);
    json_decref(deflate.manifest);
    refused(&c, XR_ECANTCREAT, "deflate was 3, now 0");
    assert_int_equal(xr_file_write(in_scratch("changed/mine.txt"), "x", 1), XR_OK);
    c.overwrite = 1;
    refused(&c, XR_ECANTCREAT, "mine.txt, which is no part of a token store");
    assert_int_equal(unlink(in_scratch("changed/mine.txt")), 0);
    /* an input that changed while the rest was not done yet */
    xr_prepare_hooks hooks = { .stop = stop_now };
    call part = { .dir = "grown", .hooks = &hooks, .set = { { "workers", "1" } } };
    stops_left = 4;
    refused(&part, XR_ETEMPFAIL, "goes on");
    write_input(8, 150);
    part.hooks = NULL;
    good(&part);
    call fresh = { .dir = "fresh" };
    good(&fresh);
    same_trees("fresh", "grown");
    write_input(8, 20 + 15 * 8);
    refused(&fresh, XR_ECANTCREAT, "b/en.txt had ");
    json_decref(part.manifest);
    json_decref(fresh.manifest);
    json_decref(c.manifest);
}

/* ---- inputs that cannot be used ---- */

static void test_bad_inputs(void **state)
{
    (void)state;
    const char *list[] = { inputs[0], in_scratch("in/none.txt"), inputs[1] };
    call c = { .dir = "bad", .input = list, .n_input = 3 };
    refused(&c, XR_ENOINPUT, "none.txt: does not exist");
    list[1] = in_scratch("in");
    refused(&c, XR_ENOINPUT, "is a directory");
    assert_false(xr_path_exists(in_scratch("bad")));
    char path[320];
    snprintf(path, sizeof path, "%s/in/broken.txt.gz", scratch);
    assert_int_equal(xr_file_write(path, "\x1f\x8b\x08garbage", 10), XR_OK);
    list[1] = path;
    refused(&c, XR_EDATA, "broken.txt.gz");
    c.set[0] = (setting){ "max_bad_fraction", "0.5" };     /* milder: what is done stays */
    refused(&c, XR_EDATA, "broken.txt.gz");
    c.set[0].value = "0.1";
    refused(&c, XR_ECANTCREAT, "max_bad_fraction was 0.5, now 0.1");
    c.set[0].value = "0.5";
    assert_int_equal(count_files("bad/part-1-of-1", ".json"), 2);       /* the others are done */
    assert_int_equal(count_files("bad", ".h5"), 2);
    call alone = { .dir = "alone", .input = list + 1, .n_input = 1 };
    refused(&alone, XR_EDATA, "broken.txt.gz");
    assert_false(xr_path_exists(in_scratch("alone")));
    write_scratch("in/broken.txt.gz", "mended\n");
    good(&c);
    json_decref(c.manifest);
    refused(&(call){ .dir = "none", .input = list, .n_input = 0 }, XR_EUSAGE, "no input");
    list[1] = inputs[0];
    call twice = { .dir = "twice", .input = list, .n_input = 3 };
    good(&twice);
    assert_int_equal(json_array_size(json_object_get(twice.manifest, "inputs")), 2);
    json_decref(twice.manifest);
}

static void test_language_options(void **state)
{
    (void)state;
    write_scratch("in/text.txt", "bada buda\n");
    write_scratch("map", "# comment\n\ntext.* sw\n*/b/en.txt deu\n");
    const char *list[] = { paths[8], strcpy((char[320]){ 0 }, in_scratch("in/text.txt")) };
    call c = { .dir = "l1", .input = list, .n_input = 2 };
    good(&c);
    assert_int_equal(number(json_object_get(json_object_get(c.manifest, "languages"), "und"), "documents"), 1);
    assert_int_equal(number(json_object_get(c.manifest, "noted"), "no_language"), 1);
    json_decref(c.manifest);
    call mapped = { .dir = "l2", .input = list, .n_input = 2, .set = { { "lang_map", in_scratch("map") } } };
    good(&mapped);
    const json_t *languages = json_object_get(mapped.manifest, "languages");
    assert_true(json_object_size(languages) == 2 && json_object_get(languages, "sw") && json_object_get(languages, "de"));
    json_decref(mapped.manifest);
    call given = { .dir = "l3", .input = list, .n_input = 2, .set = { { "lang", "fr" } } };
    good(&given);
    languages = json_object_get(given.manifest, "languages");
    assert_true(json_object_size(languages) == 1 && json_object_get(languages, "fr"));
    json_decref(given.manifest);
    write_scratch("map", "text.* sw\nonly-a-name\n");
    mapped.manifest = NULL;
    mapped.dir = "l4";
    refused(&mapped, XR_EDATA, "map:2: expected the name");
    given.manifest = NULL;
    given.set[0].value = "?";
    refused(&given, XR_EUSAGE, "no name of a language");
}

static void test_dedup(void **state)
{
    (void)state;
    write_scratch("in/en-dup.txt", "Bada buda 12.\nbada\n\nbada buda 34.\nfresh one\n\nBADA\n\nbada\xe2\x80\xa6\nlast\n");
    const char *list[] = { strcpy((char[320]){ 0 }, in_scratch("in/en-dup.txt")) };
    call all = { .dir = "dup0", .input = list, .n_input = 1 }, c = { .dir = "dup1", .input = list, .n_input = 1, .set = { { "dedup", "true" } } };
    good(&all);
    good(&c);
    assert_int_equal(number(all.manifest, "sentences"), 7);
    assert_int_equal(number(c.manifest, "sentences"), 4);
    assert_int_equal(number(c.manifest, "documents"), 3);               /* one has nothing left */
    assert_int_equal(number(json_object_get(c.manifest, "skipped"), "duplicate"), 3);
    json_decref(all.manifest);
    json_decref(c.manifest);
}

/* ---- no room, no memory ---- */

static void test_out_of_memory(void **state)
{
    (void)state;
    long before = xr_alloc_live();
    int failures = 0;
    for (long k = 0, status = -1; status < 0; k = next_failure(k, 8), failures++) {
        call c = { .dir = "oom", .input = inputs, .n_input = 2, .set = { { "workers", "1" } } };
        xr_options o;
        assert_int_equal(xr_options_init(&o, XR_V_PREPARE), XR_OK);
        assert_int_equal(xr_options_set(&o, "workers", "1"), XR_OK);
        long live = xr_alloc_live();
        char dir[320];
        snprintf(dir, sizeof dir, "%s/oom", scratch);
        xr_prepare_job job = { .o = &o, .tokenizer = tokenizer, .input = inputs, .n_input = 2, .output_dir = dir };
        xr_alloc_fail_after(k);
        status = xr_prepare_run(&job, NULL, &c.manifest);
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || xr_error_status() == XR_ESYSTEM);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), live);
        xr_options_free(&o);
        json_decref(c.manifest);
    }
    assert_true(failures > 20);
    assert_int_equal(xr_alloc_live(), before);
    call fresh = { .dir = "no-oom", .input = inputs, .n_input = 2 };
    good(&fresh);
    same_trees("oom", "no-oom");
    json_decref(fresh.manifest);
}

static void test_no_room(void **state)
{
    (void)state;
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ 2000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    call c = { .dir = "full", .set = { { "workers", "2" } } };
    setrlimit(RLIMIT_FSIZE, &small);
    xr_status status = prepare(&c);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, XR_EIO);
    expect_error(XR_EIO, "shard-0000");
    assert_false(xr_path_exists(in_scratch("full")));
    good(&c);           /* once there is room */
    json_decref(c.manifest);
    c = (call){ .dir = "in/en.txt" };
    refused(&c, XR_ECANTCREAT, "en.txt");
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_languages), TEST(test_normalisation), TEST(test_seen), TEST(test_tokens), TEST(test_workers), TEST(test_parts), TEST(test_split),
        TEST(test_stop_and_go_on), TEST(test_kill), TEST(test_killed_workers), TEST(test_two_at_once), TEST(test_damaged_store),
        TEST(test_changed), TEST(test_bad_inputs),
        TEST(test_language_options), TEST(test_dedup), TEST(test_out_of_memory), TEST(test_no_room),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
