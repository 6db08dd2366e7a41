/* Finding translations: neighbours, mined pairs and the threshold against numpy (golden/retrieval.h, made by scripts/golden_retrieval.py); files. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>

#include "golden/retrieval.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/retrieval.h"
#include "util/alloc.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static xr_tokenizer *tok;

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    tok = xr_tokenizer_open(in_scratch("tok"));
    return tok ? 0 : -1;
}

static int drop_everything(void **state)
{
    xr_tokenizer_free(tok);
    return remove_scratch(state);
}

/* ---- numbers ---- */

static void same_neighbours(const xr_neighbours *b, size_t n, const int *index, const double *product)
{
    assert_int_equal(b->n, n);
    assert_int_equal(b->k, RETRIEVAL_K);
    for (size_t i = 0; i < n * RETRIEVAL_K; i++) {
        assert_int_equal(b->index[i], index[i]);
        assert_true(fabs((double)b->product[i] - product[i]) < 1e-5);
    }
}

static void neighbours(void **state)
{
    (void)state;
    xr_neighbours of_x, of_y;
    assert_int_equal(xr_knn(&of_x, &of_y, retrieval_x, RETRIEVAL_N, retrieval_y, RETRIEVAL_M, RETRIEVAL_D, RETRIEVAL_K, NULL, NULL), XR_OK);
    same_neighbours(&of_x, RETRIEVAL_N, retrieval_index_x, retrieval_product_x);
    same_neighbours(&of_y, RETRIEVAL_M, retrieval_index_y, retrieval_product_y);
    xr_neighbours_free(&of_x);
    xr_neighbours_free(&of_y);
    /* fewer rows than neighbours */
    assert_int_equal(xr_knn(&of_x, &of_y, retrieval_x, 2, retrieval_y, 3, RETRIEVAL_D, RETRIEVAL_K, NULL, NULL), XR_OK);
    assert_true(of_x.k == 3 && of_y.k == 2);
    xr_neighbours_free(&of_x);
    xr_neighbours_free(&of_y);
}

/* Several blocks in both directions: whole numbers, whose products are exact, against a plain search; the same for every number of threads. */
static void blocks(void **state)
{
    (void)state;
    enum { N = 700, M = 2500, D = 5, K = 3 };
    float *x = xr_alloc(N * D, sizeof *x), *y = xr_alloc(M * D, sizeof *y);
    uint32_t r = 1;
    for (size_t i = 0; i < N * D; i++)
        x[i] = (float)((r = r * 1664525u + 1013904223u) >> 28) - 7.0f;
    for (size_t i = 0; i < M * D; i++)
        y[i] = (float)((r = r * 1664525u + 1013904223u) >> 28) - 7.0f;
    for (int threads = 1; threads <= 3; threads++) {
        xr_neighbours of_x, of_y;
        xr_threads_set(threads);
        assert_int_equal(xr_knn(&of_x, &of_y, x, N, y, M, D, K, NULL, NULL), XR_OK);
        for (int side = 0; side < 2; side++) {
            const xr_neighbours *b = side ? &of_y : &of_x;
            for (size_t i = 0; i < b->n; i += 7) {
                size_t others = side ? N : M, found = 0;
                for (float want = 1000.0f; want > -1000.0f && found < K; want -= 1.0f)
                    for (size_t j = 0; j < others && found < K; j++) {
                        float dot = 0.0f;
                        for (size_t c = 0; c < D; c++)
                            dot += side ? x[j * D + c] * y[i * D + c] : x[i * D + c] * y[j * D + c];
                        if (dot != want)
                            continue;
                        assert_int_equal(b->index[i * K + found], j);
                        assert_true(b->product[i * K + found++] == want);
                    }
            }
        }
        xr_neighbours_free(&of_x);
        xr_neighbours_free(&of_y);
    }
    xr_threads_set(0);
    xr_free(x);
    xr_free(y);
}

static void mining(void **state)
{
    (void)state;
    xr_mined *pair;
    size_t n;
    uint8_t gold[COUNT(retrieval_pair_gold)];
    assert_int_equal(xr_retrieval_mine(&pair, &n, retrieval_x, RETRIEVAL_N, retrieval_y, RETRIEVAL_M, RETRIEVAL_D, RETRIEVAL_K, NULL, NULL), XR_OK);
    assert_int_equal(n, COUNT(retrieval_pair_a));
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(pair[i].a, retrieval_pair_a[i]);
        assert_int_equal(pair[i].b, retrieval_pair_b[i]);
        assert_true(fabs(pair[i].score - retrieval_pair_score[i]) < 1e-6);
        gold[i] = (uint8_t)retrieval_pair_gold[i];
    }
    assert_true(fabs(xr_retrieval_threshold(pair, gold, n, RETRIEVAL_GOLD) - retrieval_threshold) < 1e-6);
    /* all right, then none: the last score, and nothing */
    memset(gold, 1, sizeof gold);
    assert_true(xr_retrieval_threshold(pair, gold, n, n) == pair[n - 1].score);
    memset(gold, 0, sizeof gold);
    assert_true(xr_retrieval_threshold(pair, gold, n, 5) == 0.0);
    xr_free(pair);
}

static int stop(size_t done, size_t total, void *context)
{
    (void)context;
    return done == total;
}

static void stopped_or_out_of_memory(void **state)
{
    (void)state;
    xr_mined *pair;
    size_t n;
    long live = xr_alloc_live(), k = 0;
    assert_int_equal(xr_retrieval_mine(&pair, &n, retrieval_x, RETRIEVAL_N, retrieval_y, RETRIEVAL_M, RETRIEVAL_D, RETRIEVAL_K, stop, NULL), XR_ETEMPFAIL);
    expect_error(XR_ETEMPFAIL, "stopped after 23 of 23 rows");
    assert_int_equal(xr_alloc_live(), live);
    for (xr_status status = XR_ESYSTEM; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = xr_retrieval_mine(&pair, &n, retrieval_x, RETRIEVAL_N, retrieval_y, RETRIEVAL_M, RETRIEVAL_D, RETRIEVAL_K, NULL, NULL);
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || (status == XR_ESYSTEM && !pair));
        xr_free(pair);
        assert_int_equal(xr_alloc_live(), live);
        xr_error_clear();
    }
    assert_true(k > 8);
}

/* ---- files ---- */

static void lines(void **state)
{
    (void)state;
    xr_lines l;
    write_scratch("ids", "x-1\tbado gedi\nx-2\t fuka \nx-3\tbado gedi\r\nx-4\tmo\n");
    if (xr_lines_read(&l, in_scratch("ids"), 1, tok, 0, 0) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(l.n, 4);
    assert_int_equal(l.data.n, 3);
    assert_string_equal(l.bytes.s + l.id[1], "x-2");
    assert_string_equal(l.bytes.s + l.text[1], "fuka");
    assert_true(l.vector[0] == 0 && l.vector[1] == 1 && l.vector[2] == 0 && l.vector[3] == 2);
    assert_true(l.line[0] == 0 && l.line[1] == 1 && l.line[2] == 3);
    assert_true(l.repeated[0] && !l.repeated[1] && !l.repeated[2]);
    xr_lines_free(&l);
    assert_int_equal(xr_lines_read(&l, in_scratch("ids"), 0, tok, 0, 2), XR_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.bytes.s + l.text[0], "x-1\tbado gedi");
    xr_lines_free(&l);
    write_scratch("bad", "x-1\tbado\nfuka\n");
    assert_int_equal(xr_lines_read(&l, in_scratch("bad"), 1, tok, 0, 0), XR_EDATA);
    expect_error(XR_EDATA, "bad:2: no TAB");
    xr_lines_free(&l);
    write_scratch("bad", "");
    assert_int_equal(xr_lines_read(&l, in_scratch("bad"), 0, tok, 0, 0), XR_EDATA);
    expect_error(XR_EDATA, "no lines");
    xr_lines_free(&l);
    long live = xr_alloc_live(), k = 0;
    for (xr_status status = XR_ESYSTEM; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = xr_lines_read(&l, in_scratch("ids"), 1, tok, 0, 0);
        xr_alloc_fail_after(-1);
        xr_lines_free(&l);
        assert_int_equal(xr_alloc_live(), live);
        xr_error_clear();
    }
    assert_true(k > 8);
}

/* Which names are pairs, what they are called, and the path of the other file. */
static void names(void **state)
{
    (void)state;
    static const char *const name[] = { "de-en.de", "de-en.en", "tatoeba.afr-eng.afr.gz", "tatoeba.afr-eng.eng", "de-fr.de", "zh-en.test.zh", "readme.txt",
                                        "a-b", "-.", "sw-en.sw.txt" };
    xr_options o;
    char *path;
    assert_int_equal(xr_mkdirs(in_scratch("pairs")), XR_OK);
    for (size_t i = 0; i < COUNT(name); i++) {
        char at[64];
        snprintf(at, sizeof at, "pairs/%s", name[i]);
        write_scratch(at, "x\n");
    }
    assert_int_equal(xr_options_init(&o, XR_V_EVALUATE), XR_OK);
    assert_int_equal(xr_options_set(&o, "data_dir", in_scratch("pairs")), XR_OK);
    xr_evaluation e = { .o = &o };
    assert_int_equal(xr_retrieval_find(&e, ""), XR_OK);
    assert_int_equal(e.n, 3);
    assert_string_equal(e.v[0].language, "de");
    assert_string_equal(e.v[1].language, "afr");
    assert_string_equal(e.v[2].language, "de-fr");
    assert_int_equal(xr_retrieval_path(&e.v[0], "", "B", &path), XR_OK);
    assert_string_equal(path + strlen(path) - 8, "de-en.en");
    xr_free(path);
    assert_int_equal(xr_retrieval_path(&e.v[1], "", "B", &path), XR_OK);
    assert_string_equal(path + strlen(path) - 19, "tatoeba.afr-eng.eng");
    xr_free(path);
    assert_int_equal(xr_retrieval_path(&e.v[1], "", NULL, &path), XR_OK);
    assert_string_equal(path, e.v[1].path);
    xr_free(path);
    assert_int_equal(xr_retrieval_path(&e.v[2], "", "B", &path), XR_OK);
    assert_null(path);
    for (size_t i = 0; i < e.n; i++) {
        xr_free(e.v[i].language);
        xr_free(e.v[i].path);
    }
    e.n = 0;
    assert_int_equal(xr_retrieval_find(&e, ".test"), XR_OK);
    assert_int_equal(e.n, 1);
    assert_string_equal(e.v[0].language, "zh");
    assert_int_equal(xr_retrieval_path(&e.v[0], ".dev", NULL, &path), XR_OK);
    assert_null(path);
    xr_free(e.v[0].language);
    xr_free(e.v[0].path);
    xr_free(e.v);
    e = (xr_evaluation){ .o = &o };
    assert_int_equal(xr_retrieval_find(&e, ".other"), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "pair of files such as de-en.other.de");
    xr_options_free(&o);
}

/* ---- whole evaluations ---- */

/* Parallel lines, two texts with ids, and questions, in one folder. */
static void make_data(void)
{
    static const char *const name[] = { "de-en.de", "de-en.en", "de-en.test.de", "de-en.test.en", "de-en.dev.de", "de-en.dev.en" };
    xr_str s = { 0 };
    assert_int_equal(xr_mkdirs(in_scratch("all")), XR_OK);
    for (size_t f = 0; f < COUNT(name); f++) {
        char at[64];
        snprintf(at, sizeof at, "all/%s", name[f]);
        xr_str_clear(&s);
        for (unsigned i = 0; i < 12; i++)
            assert_int_equal(f < 2 ? xr_str_printf(&s, "%s\n", tiny_sentence(i)) : xr_str_printf(&s, "%zu-%u\t%s\n", f % 2, i, tiny_sentence(i)), XR_OK);
        write_scratch(at, s.s);
    }
    write_scratch("all/de-en.test.gold", "0-3\t1-3\n0-4\t1-4\n");
    write_scratch("all/de-en.dev.gold", "0-3\t1-3\n0-5\t1-5\n");
    write_scratch("all/test-et.jsonl", "{\"premise\": \"bado\", \"choices\": [\"gedi\", \"fuka\"], \"label\": 1}\n");
    xr_str_free(&s);
}

/* Out of memory anywhere is a status, and nothing stays behind. */
static void evaluations_out_of_memory(void **state)
{
    (void)state;
    static const char *const task[] = { "tatoeba", "bucc2018", "xcopa" };
    make_data();
    make_tiny_dir("choice", "wide-choice", NULL, NULL, 3, NULL);
    for (size_t t = 0; t < COUNT(task); t++) {
        xr_options o;
        xr_evaluation e;
        xr_status status = XR_ESYSTEM;
        assert_int_equal(xr_options_init(&o, XR_V_EVALUATE), XR_OK);
        assert_int_equal(xr_options_set(&o, "task", task[t]), XR_OK);
        assert_int_equal(xr_options_set(&o, "model", in_scratch("choice")), XR_OK);
        assert_int_equal(xr_options_set(&o, "data_dir", in_scratch("all")), XR_OK);
        assert_int_equal(xr_options_set(&o, "output_dir", in_scratch("all-out")), XR_OK);
        assert_int_equal(xr_options_set(&o, "overwrite_output_dir", "true"), XR_OK);
        long live = xr_alloc_live();
        for (long k = 0; status == XR_ESYSTEM; k = next_failure(k, 8)) {
            xr_alloc_fail_after(k);
            status = xr_evaluate_run(&e, &o, NULL);
            xr_alloc_fail_after(-1);
            xr_evaluation_free(&e);
            assert_int_equal(xr_alloc_live(), live);
            if (status != XR_OK && status != XR_ESYSTEM)
                fail_msg("%s", xr_error_message());
            xr_error_clear();
        }
        assert_int_equal(status, XR_OK);
        xr_options_free(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours), cmocka_unit_test(blocks), cmocka_unit_test(mining), cmocka_unit_test(stopped_or_out_of_memory),
        cmocka_unit_test(lines), cmocka_unit_test(names), cmocka_unit_test(evaluations_out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_everything, drop_everything);
}
