/* Power loss while a run trains (disk.h): one that is stopped, goes on with logs that are longer than its checkpoint, goes back to a checkpoint because of an
 * update that is not finite, and ends. Whatever a disk that honours syncs holds then, the same command ends with the log and the model of a run that nothing
 * happened to, from the last checkpoint that was committed or a newer one; once it has ended, it has. And while another begins in its place. */
#include "disk.h"
#include "stopper.h"
#include "tiny_dir.h"

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/checkpoint.h"
#include "train/finetune.h"
#include "train/rundir.h"
#include "util/log.h"

enum { STOP = 7 };
static const int step_of[] = { 0, 3, 6, STOP, 9, 12 };      /* of each save; after the last of them the run ends */
enum { THE_END = sizeof step_of / sizeof *step_of };

static void choose(xr_options *o, const char *run)
{
    static const char *const pairs[][2] = {
        { "batch-size", "8" }, { "max-steps", "12" }, { "learning-rate", "1e-3" }, { "hidden-dropout", "0.1" }, { "save-steps", "3" },
        { "save-total-limit", "2" }, { "logging-steps", "1" }, { "max-seq-length", "16" }, { "on-nonfinite", "rollback" },
    };
    assert_int_equal(xr_options_init(o, XR_V_FINETUNE), XR_OK);
    set(o, "model", in_scratch("cls"));
    set(o, "train-file", in_scratch("train.tsv"));
    set(o, "output-dir", run);
    set_all(o, pairs, sizeof pairs / sizeof *pairs);
}

static void note_saves(void)
{
    for (int there = 1; there && n_saves + 1 < THE_END;) {
        char *path = xr_checkpoint_path(where[0], (uint64_t)step_of[n_saves + 1]);
        there = xr_path_exists(path);
        xr_free(path);
        if (there)
            end_save(n_saves + 1);
    }
}

/* What was saved before this update is over. */
static void on_recorded_step(void *context, uint64_t step, double loss, const xr_pace *pace)
{
    if (recording && n_saves < THE_END)
        note_saves();
    on_step(context, step, loss, pace);
}

static xr_status run(const char *path, uint64_t at, int overwrite)
{
    xr_options o;
    stopper s = { at, 0, 0, 0 };
    xr_loop_hooks hooks = { &s, NULL, on_recorded_step, on_evaluating, on_stop };
    choose(&o, path);
    o.overwrite_output_dir = overwrite;
    xr_status status = xr_finetune_run(&o, &hooks, NULL);
    xr_options_free(&o);
    return status;
}

/* What one leaves that is killed long after its checkpoint. */
static void add_lines(const char *name)
{
    static const char lines[] = "{\"step\":8,\"loss\":1.0}\n{\"step\":9,\"loss\":1.0}\n{\"step\":10,";
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%.400s/%s", where[0], name);
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_true(fd >= 0 && write(fd, lines, sizeof lines - 1) == (ssize_t)sizeof lines - 1);
    close(fd);
}

static int began_anew;      /* operations that were done when the run that had ended began to be overwritten */

static void record_run(void)
{
    begin_recording();
    assert_int_equal(run(where[0], STOP, 0), XR_ETEMPFAIL);
    xr_error_clear();
    add_lines("metrics.jsonl");
    add_lines("timing.jsonl");
    if (run(where[0], 0, 0) < 0)
        fail_msg("%s", xr_error_message());
    note_saves();
    assert_int_equal(n_saves, THE_END - 1);
    end_save(THE_END);
    began_anew = n_ops;
    assert_int_equal(run(where[0], 4, 1), XR_ETEMPFAIL);
    xr_error_clear();
}

static const char *name_of(int k)
{
    static char name[NAME_LEN];
    snprintf(name, sizeof name, "step-%08d", k < THE_END ? step_of[k] : 0);
    return name;
}

static int lines_missing;

static void count_warnings(xr_level level, const char *message)
{
    refusals += level == XR_LOG_WARN && strstr(message, "cannot be used") != NULL;
    lines_missing += level == XR_LOG_WARN && strstr(message, "are missing, and will be") != NULL;
}

/* The save that a run would go on from. */
static int newest(const char *folder)
{
    char *path = NULL;
    int k = THE_END - 1;
    if (xr_rundir_is_over(folder))
        return THE_END;
    if (!xr_path_exists(folder) || xr_checkpoint_find(folder, UINT64_MAX, &path) < 0 || !path)
        k = 0;
    while (k > 0 && !strstr(path, name_of(k)))
        k--;
    xr_free(path);
    xr_error_clear();
    return k;
}

static int is_same(const char *folder, const char *name)
{
    size_t n = 0, m = 0;
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%.400s/%s", folder, name);
    char *a = xr_file_read(path, 1 << 26, &n);
    snprintf(path, sizeof path, "%.400s/%s", in_scratch("ref"), name);
    char *b = xr_file_read(path, 1 << 26, &m);
    int same = a && b && n == m && memcmp(a, b, n) == 0;
    xr_free(a);
    xr_free(b);
    xr_error_clear();
    return same;
}

static int found(const char *folder, int honest)
{
    int k = newest(folder);
    lines_missing = 0;
    if (run(folder, 0, 0) < 0) {
        if (honest)
            fail_msg("%s", xr_error_message());
        xr_error_clear();
        refusals++;
        return 0;
    }
    int same = is_same(folder, "metrics.jsonl") && is_same(folder, "final/model.safetensors");
    if (!same && (honest || (k < THE_END && !lines_missing)))
        fail_msg("from save %d on: another log or model; %d warnings of the log", k, lines_missing);
    refusals += !same;
    return looking_after > began_anew ? THE_END : k;     /* the end was given up */
}

/* The run that nothing happens to; an update of every epoch is not finite. */
static void make_reference(void)
{
    size_t n;
    if (run(in_scratch("ref"), 0, 0) < 0)
        fail_msg("%s", xr_error_message());
    char *log = xr_file_read(in_scratch("ref/metrics.jsonl"), 1 << 20, &n), *second = log ? strstr(log, "\"event\":\"rollback\"") : NULL;
    assert_true(second && strstr(second + 1, "\"event\":\"rollback\""));
    xr_free(log);
}

static void power_loss(void **state)
{
    (void)state;
    xr_log_set_sink(count_warnings);
    make_reference();
    record_run();
    replay(name_of, (extent){ 80, 8000, 3000, 20 });
}

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_disk_scratch(state) < 0)
        return -1;
    xr_threads_set(1);
    train_tiny_tokenizer();
    make_overflowing_dir("cls", "tiny-cls", 0);
    write_labelled("train.tsv", 0, 40, 30);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(power_loss, clear_error) };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
