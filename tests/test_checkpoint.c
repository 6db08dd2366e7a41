/* Checkpoints by themselves: equal bytes, every kind of damage, killed writers, full disks, rotation. */
#include "state_table.h"
#include "torture.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "train/checkpoint.h"
#include "train/rundir.h"
#include "util/log.h"
#include "util/manifest.h"

/* A matrix of more than one chunk, and a value of each type. */
static void make_table(table *t)
{
    table_init(t, 300000, 600000, 600);
    assert_int_equal(xr_state_add(&t->s, XR_STATE_F64, &t->best, 1, "run/best_value"), XR_OK);
}

static void must_save(const char *run, table *t, uint64_t step, size_t keep)
{
    json_t *facts = json_pack("{ss}", "data_xxh3", "0123");
    table_fill(t, step);
    if (xr_checkpoint_save(in_scratch(run), step, &t->s, facts, &(xr_checkpoint_keep){ .newest = keep }) < 0)
        fail_msg("%s", xr_error_message());
    json_decref(facts);
}

static char *path_of(const char *run, uint64_t step, const char *file)
{
    static char path[4][512];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/checkpoints/step-%08llu%s%s", in_scratch(run), (unsigned long long)step, *file ? "/" : "", file);
    return p;
}

/* The step of the newest good checkpoint, 0 if there is none. */
static uint64_t newest(const char *run, table *t)
{
    char *path;
    if (xr_checkpoint_find(in_scratch(run), UINT64_MAX, &path) < 0)
        fail_msg("%s", xr_error_message());
    if (!path)
        return 0;
    if (xr_checkpoint_load(path, &t->s, NULL) < 0)
        fail_msg("%s", xr_error_message());
    xr_free(path);
    return t->step;
}

static void there_and_back(void **state)
{
    (void)state;
    table a, b;
    char want[33], got[33];
    json_t *facts = NULL;
    make_table(&a);
    make_table(&b);
    must_save("run", &a, 7, 0);
    table_fill(&b, 9);
    assert_int_equal(xr_checkpoint_load(path_of("run", 7, ""), &b.s, &facts), XR_OK);
    assert_int_equal(xr_state_digest(&a.s, want), XR_OK);
    assert_int_equal(xr_state_digest(&b.s, got), XR_OK);
    assert_string_equal(got, want);
    assert_memory_equal(a.moments, b.moments, a.n_moments * sizeof *a.moments);
    assert_string_equal(json_string_value(json_object_get(json_object_get(facts, "facts"), "data_xxh3")), "0123");
    json_decref(facts);
    table_free(&a);
    table_free(&b);
}

static char *slurp(const char *path, size_t *len)
{
    char *text = xr_file_read(path, 1 << 26, len);
    if (!text)
        fail_msg("%s", xr_error_message());
    return text;
}

static void equal_states_equal_bytes(void **state)
{
    (void)state;
    static const char *const file[] = { "state.h5", "MANIFEST.json" };
    table t;
    make_table(&t);
    must_save("first", &t, 7, 0);
    sleep(1);       /* times would differ */
    must_save("second", &t, 7, 0);
    for (int i = 0; i < 2; i++) {
        size_t n, m;
        char *a = slurp(path_of("first", 7, file[i]), &n), *b = slurp(path_of("second", 7, file[i]), &m);
        assert_int_equal(n, m);
        assert_memory_equal(a, b, n);
        xr_free(a);
        xr_free(b);
    }
    table_free(&t);
}

static void expect_load(const char *run, uint64_t step, table *t, const char *part)
{
    xr_status status = xr_checkpoint_load(path_of(run, step, ""), &t->s, NULL);
    if (status != XR_EDATA || !strstr(xr_error_message(), part))
        fail_msg("%d %s; expected %s", status, xr_error_message(), part);
    xr_error_clear();
}

static void put_byte(const char *path, size_t at, int byte)
{
    char c = (char)byte;
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, &c, 1, (off_t)at) == 1);
    close(fd);
}

/* Writes bytes of its own to the file and expects a refusal that says `part`. */
static void refused(const char *path, const char *text, size_t n, table *t, const char *part)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    xr_status status = xr_checkpoint_load(path_of("hurt", 7, ""), &t->s, NULL);
    if (status != XR_EDATA || !strstr(xr_error_message(), part))
        fail_msg("%s of %zu bytes: %d %s; expected %s", path, n, status, xr_error_message(), part);
    xr_error_clear();
}

/* A page that reads as zeros, or as the one before it: whatever was not so already. */
enum { PAGE = 4096 };
static void lost_pages(const char *path, const char *text, size_t n, table *t)
{
    static const char zeros[PAGE];
    char *copy = xr_alloc(n, 1);
    memcpy(copy, text, n);
    for (size_t at = 0; at + PAGE <= n; at += PAGE)
        for (int kind = 0; kind < 2; kind++) {
            memcpy(copy + at, kind && at ? text + at - PAGE : zeros, PAGE);
            if (memcmp(copy + at, text + at, PAGE) != 0)
                refused(path, copy, n, t, "digest mismatch");
            memcpy(copy + at, text + at, PAGE);
        }
    xr_free(copy);
}

/* One bit in either file, of every byte of the manifest and of the state at 20,000 places, at 200,000 in full; cuts and lost pages at every 4 KiB. */
static void flipped_bits(void **state)
{
    (void)state;
    static const char *const file[] = { "state.h5", "MANIFEST.json" };
    table t;
    uint32_t x = 1;
    size_t flips = in_full() ? 200000 : 20000;
    table_init(&t, 30000, 60000, 600);       /* small, since it is read whole each time */
    must_save("hurt", &t, 7, 0);
    for (int i = 0; i < 2; i++) {
        size_t n;
        char path[512], *text;
        snprintf(path, sizeof path, "%s", path_of("hurt", 7, file[i]));
        text = slurp(path, &n);
        for (size_t k = 0; k < (i ? n : flips); k++) {
            x = x * 1664525u + 1013904223u;
            size_t at = i ? k : k < 40 ? k * 8 : (size_t)x % n;
            put_byte(path, at, text[at] ^ (1 << x / 7 % 8));
            expect_load("hurt", 7, &t, i ? "" : "digest mismatch");
            put_byte(path, at, text[at]);
        }
        for (size_t cut = 0; cut < n; cut += i ? 37 : PAGE)
            refused(path, text, cut, &t, i ? "MANIFEST.json" : "the manifest says ");
        if (i == 0)
            lost_pages(path, text, n, &t);
        assert_int_equal(xr_file_write(path, text, n), XR_OK);
        xr_free(text);
    }
    assert_int_equal(xr_checkpoint_load(path_of("hurt", 7, ""), &t.s, NULL), XR_OK);
    table_free(&t);
}

static void edit_manifest(const char *key, json_t *value)
{
    json_t *j = xr_json_file(path_of("run", 7, "MANIFEST.json"), 1 << 20);
    json_object_set_new(j, key, value);
    assert_int_equal(xr_json_write(path_of("run", 7, "MANIFEST.json"), j, 2), XR_OK);
    json_decref(j);
}

static void not_these_files(void **state)
{
    (void)state;
    table t;
    size_t n;
    make_table(&t);
    char *manifest = slurp(path_of("run", 7, "MANIFEST.json"), &n);
    edit_manifest("format_version", json_integer(3));
    expect_load("run", 7, &t, "is of format version 3; this program reads versions 1 to 2");
    edit_manifest("format_version", json_integer(0));
    expect_load("run", 7, &t, "is of format version 0; ");
    edit_manifest("format_version", json_integer(2));
    edit_manifest("step", json_integer(8));
    expect_load("run", 7, &t, "the manifest was changed");
    assert_int_equal(unlink(path_of("run", 7, "MANIFEST.json")), 0);
    expect_load("run", 7, &t, "is not a checkpoint: it has no MANIFEST.json");
    assert_int_equal(xr_file_write(path_of("run", 7, "MANIFEST.json"), manifest, n), XR_OK);
    assert_int_equal(xr_file_write(path_of("run", 7, "notes.txt"), "x", 1), XR_OK);
    expect_load("run", 7, &t, "notes.txt: is no part of this checkpoint");
    assert_int_equal(unlink(path_of("run", 7, "notes.txt")), 0);
    must_save("mixed", &t, 8, 0);
    assert_int_equal(xr_file_write(path_of("mixed", 8, "MANIFEST.json"), manifest, n), XR_OK);
    expect_load("mixed", 8, &t, "is the manifest of step 7");
    must_save("mixed", &t, 7, 0);
    assert_int_equal(rename(path_of("mixed", 8, "state.h5"), path_of("mixed", 7, "state.h5")), 0);
    expect_load("mixed", 7, &t, "digest mismatch");
    /* A file twice, under a name of its own and in the place of the other one; a whole checkpoint under another step's name. */
    must_save("twice", &t, 7, 0);
    assert_int_equal(xr_file_copy(path_of("twice", 7, "state.h5"), path_of("twice", 7, "state-2.h5"), 1 << 26), XR_OK);
    expect_load("twice", 7, &t, "state-2.h5: is no part of this checkpoint");
    assert_int_equal(unlink(path_of("twice", 7, "state-2.h5")), 0);
    assert_int_equal(rename(path_of("twice", 7, ""), path_of("twice", 9, "")), 0);
    expect_load("twice", 9, &t, "is the manifest of step 7");
    assert_int_equal(xr_file_copy(path_of("twice", 9, "MANIFEST.json"), path_of("twice", 9, "state.h5"), 1 << 26), XR_OK);
    assert_int_equal(rename(path_of("twice", 9, ""), path_of("twice", 7, "")), 0);
    expect_load("twice", 7, &t, "the manifest says ");
    assert_int_equal(unlink(path_of("twice", 7, "state.h5")), 0);
    assert_int_equal(xr_checkpoint_load(path_of("twice", 7, ""), &t.s, NULL), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "state.h5: cannot be opened");
    xr_free(manifest);
    table_free(&t);
}

/* Another model: rows of other sizes, names or number. */
static void not_this_table(void **state)
{
    (void)state;
    table t;
    make_table(&t);
    t.s.row[0].n--;
    expect_load("run", 7, &t, "row param/encoder.layer.0.weight has 300000 elements, this run has 299999");
    t.s.row[0].n++;
    t.s.row[2].name[4] = 'x';
    expect_load("run", 7, &t, "there is no \"run/xtep\"");
    t.s.row[2].name[4] = 's';
    t.s.row[2].type = XR_STATE_F64;
    expect_load("run", 7, &t, "another type");
    xr_free(t.s.row[--t.s.n].name);
    expect_load("run", 7, &t, "has 4 rows, this run has 3");
    table_free(&t);
}

/* The checkpoint of step 7 of "older", as if it were of this format version. */
static void date_back(int version)
{
    char *path = path_of("older", 7, "MANIFEST.json");
    json_t *j = xr_manifest_read(path, "xlmr-checkpoint", 2);
    assert_non_null(j);
    json_object_set_new(j, "format_version", json_integer(version));
    assert_int_equal(xr_manifest_write(path, j), XR_OK);
    json_decref(j);
}

/* Two rows came with version 2, and were written as version 1 at first: only what says that it is older may be without them, and without no others. */
static void rows_that_came_later(void **state)
{
    (void)state;
    uint64_t late[] = { 8, 9 };
    table t;
    make_table(&t);
    must_save("older", &t, 7, 0);
    assert_int_equal(xr_state_add(&t.s, XR_STATE_U64, &late[0], 1, "run/returned_to"), XR_OK);
    assert_int_equal(xr_state_add(&t.s, XR_STATE_U64, &late[1], 1, "run/returns"), XR_OK);
    expect_load("older", 7, &t, "has 4 rows, this run has 6");
    date_back(1);
    t.best = 0.0;
    assert_int_equal(xr_checkpoint_load(path_of("older", 7, ""), &t.s, NULL), XR_OK);
    assert_true(late[0] == 0 && late[1] == 0 && t.best == 0.1 * 7);
    t.s.row[3].name[4] = 'x';
    expect_load("older", 7, &t, "there is no \"run/xest_value\"");
    t.s.row[3].name[4] = 'b';
    late[0] = 5;
    must_save("older", &t, 7, 0);
    date_back(1);
    late[0] = 0;
    assert_int_equal(xr_checkpoint_load(path_of("older", 7, ""), &t.s, NULL), XR_OK);
    assert_int_equal(late[0], 5);
    table_free(&t);
}

static void rotation_and_fallback(void **state)
{
    (void)state;
    table t;
    char *path;
    make_table(&t);
    for (uint64_t step = 1; step <= 5; step++)
        must_save("rotated", &t, step, 2);
    for (uint64_t step = 1; step <= 5; step++)
        assert_int_equal(xr_path_exists(path_of("rotated", step, "")), step >= 4);
    assert_int_equal(newest("rotated", &t), 5);
    assert_int_equal(truncate(path_of("rotated", 5, "state.h5"), 100), 0);
    assert_int_equal(newest("rotated", &t), 4);
    /* What is newer than the new one stays, whatever it is. */
    must_save("rotated", &t, 4, 1);
    assert_true(xr_path_exists(path_of("rotated", 5, "")));
    must_save("rotated", &t, 5, 1);
    assert_true(xr_path_exists(path_of("rotated", 5, "")) && !xr_path_exists(path_of("rotated", 4, "")));
    assert_int_equal(newest("rotated", &t), 5);
    assert_int_equal(unlink(path_of("rotated", 5, "MANIFEST.json")), 0);
    assert_int_equal(xr_checkpoint_find(in_scratch("rotated"), UINT64_MAX, &path), XR_EDATA);
    expect_error(XR_EDATA, "rotated/checkpoints: none of the 1 checkpoints can be used");
    assert_int_equal(newest("none", &t), 0);
    table_free(&t);
}

/* A child saves one step after another and says when each is committed; it is killed at a random moment. */
static void save_until_killed(int out, table *t, uint64_t step)
{
    for (;; step++) {
        table_fill(t, step);
        if (xr_checkpoint_save(in_scratch("killed"), step, &t->s, NULL, &(xr_checkpoint_keep){ .newest = 2 }) < 0 ||
            write(out, &step, sizeof step) != sizeof step)
            _exit(1);
    }
}

static uint64_t kill_after(long when, table *t, uint64_t step)
{
    int fd[2], status;
    uint64_t committed = step - 1, said;
    assert_int_equal(pipe(fd), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        save_until_killed(fd[1], t, step);
    close(fd[1]);
    usleep((useconds_t)when);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(fd[0], &said, sizeof said) == sizeof said)
        committed = said;
    close(fd[0]);
    return committed;
}

static int strangers(const char *folder)
{
    DIR *d = opendir(in_scratch(folder));
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += *e->d_name != '.' && strspn(e->d_name, "step-0123456789") != strlen(e->d_name);
    if (d)
        closedir(d);
    return n;
}

/* As step 7 of "again", with this best value; the value that is there then. */
static double save_again(table *t, double best, long fail_after, xr_status *status)
{
    const xr_checkpoint_keep keep = { .newest = 1 };
    t->best = best;
    xr_alloc_fail_after(fail_after);
    *status = xr_checkpoint_save(in_scratch("again"), 7, &t->s, NULL, &keep);
    xr_alloc_fail_after(-1);
    xr_error_clear();
    t->best = -1.0;
    assert_int_equal(newest("again", t), 7);
    assert_int_equal(strangers("again/checkpoints"), 0);
    return t->best;
}

/* A step that is there gives way to the newer state of it; a save that fails leaves it. */
static void replaced(void **state)
{
    (void)state;
    table t;
    xr_status status = -1;
    make_table(&t);
    must_save("again", &t, 7, 1);
    double before = t.best;
    for (long k = 0; status < 0 && k < 1000; k++) {
        double found = save_again(&t, 0.75, k, &status);
        assert_true(found == (status < 0 ? before : 0.75));
    }
    assert_int_equal(status, XR_OK);
    assert_true(save_again(&t, 0.5, -1, &status) == 0.5);
    table_free(&t);
}

static long microseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Bounded in time, not in kills, which come within the time of about three saves. */
static void killed_writers(void **state)
{
    (void)state;
    table t;
    uint64_t step = 0;
    uint32_t x = 12345;
    int kills = 0, leftovers = 0;
    make_table(&t);
    long began = microseconds();
    must_save("timed", &t, 1, 0);
    long range = 3 * (microseconds() - began) + 1;
    for (long end = microseconds() + 3000000 + 3 * range; microseconds() < end; kills++) {
        x = x * 1664525u + 1013904223u;
        uint64_t committed = kill_after((long)(x / 256) % range, &t, step + 1);
        leftovers += strangers("killed/checkpoints");
        step = newest("killed", &t);
        if (step != committed && step != committed + 1)     /* the rename may have come before the word */
            fail_msg("step %d is there, %d was committed", (int)step, (int)committed);
        xr_rundir_lock lock = { 0 };
        assert_int_equal(xr_rundir_lock_take(&lock, in_scratch("killed")), XR_OK);
        xr_rundir_lock_drop(&lock);
        assert_int_equal(strangers("killed/checkpoints"), 0);
    }
    assert_true(kills > 2 && leftovers > 0 && step > 0);
    print_message("%d kills, %d left a temporary, last step %d\n", kills, leftovers, (int)step);
    table_free(&t);
}

static void no_memory(void **state)
{
    (void)state;
    table t;
    char *path;
    make_table(&t);
    long before = xr_alloc_live(), k = 0;
    for (xr_status status = -1; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = xr_checkpoint_save(in_scratch("oom"), 3, &t.s, NULL, &(xr_checkpoint_keep){ .newest = 1 });
        xr_alloc_fail_after(-1);
        assert_int_equal(xr_path_exists(path_of("oom", 3, "")), status == XR_OK);
        assert_int_equal(strangers("oom/checkpoints"), 0);
        if (status < 0)
            expect_error(XR_ESYSTEM, "out of memory");
        assert_int_equal(xr_alloc_live(), before);
    }
    assert_in_range(k, 10, 100);
    k = 0;
    for (xr_status status = -1; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = xr_checkpoint_find(in_scratch("oom"), UINT64_MAX, &path);
        if (status == XR_OK)
            status = xr_checkpoint_load(path, &t.s, NULL);
        xr_alloc_fail_after(-1);
        if (status < 0)
            expect_error(XR_ESYSTEM, "");
        xr_free(path);
    }
    assert_int_equal(xr_alloc_live(), before);
    table_free(&t);
}

/* Refused before a byte is written, so that HDF5 is still good for the next one. */
static void no_room(void **state)
{
    (void)state;
    struct rlimit old, small;
    table t;
    make_table(&t);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ 1000000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    must_save("full", &t, 1, 0);
    table_fill(&t, 2);
    setrlimit(RLIMIT_FSIZE, &small);
    xr_status status = xr_checkpoint_save(in_scratch("full"), 2, &t.s, NULL, &(xr_checkpoint_keep){ 0 });
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, XR_EIO);
    expect_error(XR_EIO, "bytes are needed, files may have 1000000 here");
    assert_int_equal(strangers("full/checkpoints"), 0);
    assert_int_equal(newest("full", &t), 1);
    must_save("full", &t, 2, 0);
    assert_int_equal(newest("full", &t), 2);
    table_free(&t);
}

#define TEST(name) cmocka_unit_test_setup(name, clear_error)

/* In memory where there is such a folder: a disk takes most of the time for the fsyncs. */
static int begin(void **state)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    return make_scratch(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(there_and_back), TEST(equal_states_equal_bytes), TEST(flipped_bits), TEST(not_these_files), TEST(not_this_table),
        TEST(rows_that_came_later), TEST(rotation_and_fallback),
        TEST(replaced),
        TEST(killed_writers), TEST(no_memory), TEST(no_room),
    };
    return cmocka_run_group_tests(tests, begin, remove_scratch);
}
