/* Event files: the checksum's published values, records read back by a reader of the test's own, and what a resumed run leaves of them. That the real
 * TensorBoard reads the same is the business of scripts/check_tensorboard.py. */
#include "scratch.h"

#include <dirent.h>
#include <math.h>
#include <unistd.h>

#include "train/runlog.h"
#include "train/tensorboard.h"
#include "util/alloc.h"
#include "util/crc32c.h"

/* By table, unlike the one that is tested. */
static uint32_t naive_crc(const unsigned char *p, size_t n)
{
    uint32_t table[256], crc = 0xffffffffu;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int k = 0; k < 8; k++)
            table[i] = table[i] & 1 ? (table[i] >> 1) ^ 0x82f63b78u : table[i] >> 1;
    }
    while (n--)
        crc = table[(crc ^ *p++) & 255] ^ (crc >> 8);
    return ~crc;
}

static uint32_t masked(const void *p, size_t n)
{
    uint32_t crc = naive_crc(p, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/* RFC 3720, appendix B.4, and the record in TensorBoard's own test. */
static void test_checksum(void **state)
{
    (void)state;
    unsigned char bytes[32];
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(xr_crc32c(bytes, 32), 0x8a9136aau);
    memset(bytes, 255, sizeof bytes);
    assert_int_equal(xr_crc32c(bytes, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    assert_int_equal(xr_crc32c(bytes, 32), 0x46dd794eu);
    assert_int_equal(xr_crc32c("123456789", 9), 0xe3069283u);
    assert_int_equal(masked("\x1a\x11" "CRC test, one two", 19), 0x5794d08au);
}

/* --- a reader ---------------------------------------------------------------------------------------------------- */

typedef struct scalar { long long step; char tag[64]; float value; } scalar;
typedef struct board {          /* as TensorBoard has it after reading */
    scalar v[512];
    size_t n;
    char version[32];
    double wall;
} board;

typedef struct span { const unsigned char *p, *end; } span;

static uint64_t little(span *b, int n)
{
    uint64_t x = 0;
    assert_true(b->end - b->p >= n);
    for (int i = 0; i < n; i++)
        x |= (uint64_t)*b->p++ << (8 * i);
    return x;
}

static uint64_t varint(span *b)
{
    uint64_t x = 0;
    for (int shift = 0;; shift += 7) {
        assert_true(b->p < b->end && shift < 64);
        x |= (uint64_t)(*b->p & 127) << shift;
        if (!(*b->p++ & 128))
            return x;
    }
}

static span piece(span *b)
{
    uint64_t n = varint(b);
    assert_true((uint64_t)(b->end - b->p) >= n);
    span inner = { b->p, b->p + n };
    b->p += n;
    return inner;
}

static void read_value(board *d, long long step, span b)
{
    scalar *s = &d->v[d->n++];
    assert_true(d->n <= sizeof d->v / sizeof *d->v);
    s->step = step;
    assert_int_equal(varint(&b), 1 << 3 | 2);
    span tag = piece(&b);
    snprintf(s->tag, sizeof s->tag, "%.*s", (int)(tag.end - tag.p), (const char *)tag.p);
    assert_int_equal(varint(&b), 2 << 3 | 5);
    uint32_t bits = (uint32_t)little(&b, 4);
    memcpy(&s->value, &bits, 4);
    assert_ptr_equal(b.p, b.end);
}

static void forget(board *d, long long step)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].step < step)
            d->v[n++] = d->v[i];
    d->n = n;
}

static void read_event(board *d, span b)
{
    assert_int_equal(varint(&b), 1 << 3 | 1);
    uint64_t bits = little(&b, 8);
    double wall;
    memcpy(&wall, &bits, 8);
    assert_true(wall >= d->wall);
    d->wall = wall;
    assert_int_equal(varint(&b), 2 << 3 | 0);
    long long step = (long long)varint(&b);
    uint64_t key = varint(&b);
    span inner = piece(&b);
    assert_ptr_equal(b.p, b.end);
    if (key == (3 << 3 | 2))
        snprintf(d->version, sizeof d->version, "%.*s", (int)(inner.end - inner.p), (const char *)inner.p);
    else if (key == (7 << 3 | 2))
        forget(d, step);
    else
        assert_int_equal(key, 5 << 3 | 2);
    while (key == (5 << 3 | 2) && inner.p < inner.end) {
        assert_int_equal(varint(&inner), 1 << 3 | 2);
        read_value(d, step, piece(&inner));
    }
}

static void read_board_file(board *d, const char *path)
{
    size_t len;
    char *text = xr_file_read(path, 1 << 24, &len);
    assert_non_null(text);
    span b = { (unsigned char *)text, (unsigned char *)text + len };
    d->version[0] = 0;
    while (b.p < b.end) {
        const unsigned char *head = b.p;
        uint64_t n = little(&b, 8);
        assert_int_equal(little(&b, 4), masked(head, 8));
        assert_true((uint64_t)(b.end - b.p) >= n);
        span event = { b.p, b.p + n };
        b.p += n;
        assert_int_equal(little(&b, 4), masked(event.p, n));
        read_event(d, event);
        assert_string_equal(d->version, "brain.Event:2");      /* the first record */
    }
    xr_free(text);
}

/* All files of RUN/tensorboard, in the order of their names; how many there are. */
static int read_board(board *d, const char *run)
{
    struct dirent **name;
    char dir[512], path[1024];
    memset(d, 0, sizeof *d);
    snprintf(dir, sizeof dir, "%s/tensorboard", in_scratch(run));
    int n = scandir(dir, &name, NULL, alphasort), files = 0;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]->d_name);
        if (strstr(name[i]->d_name, "tfevents")) {
            read_board_file(d, path);
            files++;
        }
        (free)(name[i]);
    }
    if (n >= 0)
        (free)(name);
    return files;
}

/* The one value of a tag at a step; NAN and a failure when there are more; NAN when there is none. */
static float value_of(const board *d, const char *tag, long long step)
{
    float value = NAN;
    int found = 0;
    for (size_t i = 0; i < d->n; i++)
        if (d->v[i].step == step && strcmp(d->v[i].tag, tag) == 0) {
            value = d->v[i].value;
            found++;
        }
    assert_true(found <= 1);
    return value;
}

/* --- logs -------------------------------------------------------------------------------------------------------- */

static json_t *train_line(int step, double loss)
{
    return json_pack("{si sf si sf sf sf}", "step", step, "epoch", 0.5, "samples", 8 * step, "loss", loss, "lr", 1e-3, "grad_norm", 2.5);
}

static json_t *eval_line(int step, double f1)
{
    return json_pack("{ss si sf sf si s{s{sf si} s{sf ss}}}", "event", "eval", "step", step, "loss", 0.5, "f1", f1, "examples", 7, "languages", "en", "f1", f1,
                     "examples", 4, "sw", "f1", f1 / 2, "loss", "nan");
}

static void test_lines(void **state)
{
    (void)state;
    static board d;
    xr_runlog log;
    const char *run = in_scratch("lines");
    assert_int_equal(xr_mkdirs(run), XR_OK);
    assert_int_equal(xr_runlog_open(&log, run), XR_OK);
    assert_int_equal(xr_runlog_tensorboard(&log, run, 0, 0), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, json_pack("{ss si}", "event", "start", "steps", 3)), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, train_line(200, 1.75)), XR_OK);
    assert_int_equal(xr_runlog_timing(&log, 200, 200, 1000, 2e9), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, eval_line(200, 0.8)), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, json_pack("{ss si ss}", "event", "skip", "step", 201, "loss", "nan")), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, json_pack("{si ss}", "step", 202, "loss", "inf")), XR_OK);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
    assert_int_equal(read_board(&d, "lines"), 1);
    assert_true(value_of(&d, "train/loss", 200) == 1.75f);
    assert_true(value_of(&d, "train/lr", 200) == 1e-3f);
    assert_true(value_of(&d, "train/grad_norm", 200) == 2.5f);
    assert_true(value_of(&d, "train/tokens_per_s", 200) > 0.0f);
    assert_true(value_of(&d, "train/rss_mb", 200) > 0.0f);
    assert_true(value_of(&d, "eval/loss", 200) == 0.5f);
    assert_true(value_of(&d, "eval/f1", 200) == 0.8f);
    assert_true(value_of(&d, "eval/f1/en", 200) == 0.8f);
    assert_true(value_of(&d, "eval/f1/sw", 200) == 0.4f);
    assert_true(isinf(value_of(&d, "train/loss", 202)));
    assert_int_equal(d.n, 11);      /* and eval/loss/sw, which is NaN; no counts, nothing of the skipped update */
}

/* Writes steps from..to, each with an evaluation behind it, and notes where metrics.jsonl stood after the line of `mark`, before its evaluation. */
static uint64_t write_steps(xr_runlog *log, int from, int to, int mark, double f1)
{
    uint64_t bytes = 0;
    for (int step = from; step <= to; step++) {
        assert_int_equal(xr_runlog_metrics(log, train_line(step, 1.0 / step)), XR_OK);
        assert_int_equal(xr_runlog_timing(log, (uint64_t)step, 1, 100, 1e9), XR_OK);
        if (step == mark)
            assert_int_equal(xr_runlog_sync(log, &bytes), XR_OK);
        assert_int_equal(xr_runlog_metrics(log, eval_line(step, f1)), XR_OK);
    }
    return bytes;
}

static void expect_steps(const board *d, int n)
{
    for (int step = 1; step <= n; step++) {
        assert_true(value_of(d, "train/loss", step) == (float)(1.0 / step));
        assert_true(value_of(d, "train/tokens_per_s", step) >= 0.0f);
        assert_true(value_of(d, "eval/f1", step) == (step < 3 ? 0.25f : 0.75f));
    }
    assert_int_equal(d->n, n * 10);
}

/* A run that got to step 5, goes on from a checkpoint after step 3, between that step's line and its evaluation: the board shows every step once,
 * the evaluation of step 3 being the second. */
static void test_resume(void **state)
{
    (void)state;
    static board d;
    xr_runlog log;
    const char *run = in_scratch("resume");
    assert_int_equal(xr_mkdirs(run), XR_OK);
    assert_int_equal(xr_runlog_open(&log, run), XR_OK);
    assert_int_equal(xr_runlog_tensorboard(&log, run, 0, 0), XR_OK);
    uint64_t bytes = write_steps(&log, 1, 5, 3, 0.25);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
    for (int time = 2; time <= 3; time++) {     /* twice, as one who goes back does */
        assert_int_equal(xr_runlog_resume(&log, run, bytes, 3), XR_OK);
        assert_int_equal(xr_runlog_tensorboard(&log, run, 1, 3), XR_OK);
        assert_int_equal(xr_runlog_metrics(&log, eval_line(3, 0.75)), XR_OK);
        write_steps(&log, 4, 6, 0, 0.75);
        assert_int_equal(xr_runlog_close(&log), XR_OK);
        assert_int_equal(read_board(&d, "resume"), time);
        expect_steps(&d, 6);
    }
}

/* Asked for when the run goes on, it shows the run from its beginning. */
static void test_begun_later(void **state)
{
    (void)state;
    static board d;
    xr_runlog log;
    const char *run = in_scratch("later");
    assert_int_equal(xr_mkdirs(run), XR_OK);
    assert_int_equal(xr_runlog_open(&log, run), XR_OK);
    write_steps(&log, 1, 2, 0, 0.25);
    uint64_t bytes = write_steps(&log, 3, 3, 3, 0.25);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
    assert_int_equal(read_board(&d, "later"), 0);
    assert_int_equal(xr_runlog_resume(&log, run, bytes, 3), XR_OK);
    assert_int_equal(xr_runlog_tensorboard(&log, run, 1, 3), XR_OK);
    assert_int_equal(xr_runlog_metrics(&log, eval_line(3, 0.75)), XR_OK);
    write_steps(&log, 4, 4, 0, 0.75);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
    assert_int_equal(read_board(&d, "later"), 1);
    expect_steps(&d, 4);
}

static void test_failures(void **state)
{
    (void)state;
    xr_tensorboard b;
    FILE *f = fopen(in_scratch("file"), "w");
    assert_non_null(f);
    fclose(f);
    assert_true(xr_tensorboard_open(&b, in_scratch("file"), 0, 0) < 0);
    expect_error(XR_ECANTCREAT, "a file with that name is in the way");
    assert_int_equal(xr_tensorboard_close(&b), XR_OK);
    if (access("/dev/full", W_OK) == 0) {
        json_t *line = train_line(1, 1.0);
        b = (xr_tensorboard){ fopen("/dev/full", "w"), xr_strdup("full") };
        assert_int_equal(xr_tensorboard_metrics(&b, line), XR_EIO);
        expect_error(XR_EIO, "full: writing failed");
        xr_tensorboard_close(&b);
        xr_error_clear();
        json_decref(line);
    }
}

static void test_memory(void **state)
{
    (void)state;
    const long before = xr_alloc_live();
    int failures = 0;
    json_t *line = eval_line(1, 0.5);
    for (long k = 0;; k++) {
        xr_tensorboard b;
        assert_int_equal(xr_remove_tree(in_scratch("memory")), XR_OK);
        xr_alloc_fail_after(k);
        xr_status status = xr_tensorboard_open(&b, in_scratch("memory"), 1, 4);
        if (status == XR_OK)
            status = xr_tensorboard_metrics(&b, line);
        xr_alloc_fail_after(-1);
        xr_tensorboard_close(&b);
        assert_int_equal(xr_alloc_live(), before);
        if (status == XR_OK)
            break;
        assert_int_equal(status, XR_ESYSTEM);
        xr_error_clear();
        failures++;
    }
    json_decref(line);
    assert_true(failures > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_checksum, clear_error),    cmocka_unit_test_teardown(test_lines, clear_error),
        cmocka_unit_test_teardown(test_resume, clear_error),      cmocka_unit_test_teardown(test_begun_later, clear_error),
        cmocka_unit_test_teardown(test_failures, clear_error),    cmocka_unit_test_teardown(test_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
