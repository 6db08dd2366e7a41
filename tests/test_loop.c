/* Runs that are stopped and go on: the same bits as one that was never stopped, wherever that was; what is refused; what failures leave. */
#include "stopper.h"
#include "tiny_dir.h"

#include <hdf5.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/checkpoint.h"
#include "train/finetune.h"
#include "train/rundir.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/log.h"
#include "util/manifest.h"

enum { STEPS = 24 };    /* crosses four ends of epochs, the end of warm-up, six evaluations, five checkpoints of which two stay */

/* In memory where there is such a folder: a disk takes most of the time for the fsyncs of some hundred checkpoints. */
static int make_everything(void **state)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", NULL, NULL, 0, NULL);
    write_labelled("train.tsv", 0, 40, 40);
    write_labelled("dev.tsv", 40, 40, 40);
    return 0;
}

static void choose(xr_options *o, const char *run)
{
    static const char *const pairs[][2] = {
        { "batch-size", "8" }, { "micro-batch-size", "3" }, { "max-steps", "24" }, { "warmup-steps", "6" }, { "learning-rate", "1e-3" },
        { "weight-decay", "0.01" }, { "hidden-dropout", "0.1" }, { "attention-dropout", "0.1" }, { "group-by-length", "true" },
        { "eval-steps", "4" }, { "save-steps", "5" }, { "logging-steps", "7" }, { "max-seq-length", "16" }, { "metric", "loss" },
    };
    assert_int_equal(xr_options_init(o, XR_V_FINETUNE), XR_OK);
    set(o, "model", in_scratch("cls"));
    set(o, "train-file", in_scratch("train.tsv"));
    set(o, "validation-file", in_scratch("dev.tsv"));
    set(o, "output-dir", in_scratch(run));
    set_all(o, pairs, sizeof pairs / sizeof *pairs);
}

/* Of these options, which it frees; stopped after update `at` (0: never), or in the evaluation behind it. */
static xr_status run_of(xr_options *o, uint64_t at, int in_evaluation)
{
    stopper s = { at, 0, in_evaluation, 0 };
    xr_loop_hooks hooks = { &s, NULL, on_step, on_evaluating, on_stop };
    xr_error_clear();
    xr_status status = xr_finetune_run(o, &hooks, NULL);
    xr_options_free(o);
    return status;
}

/* The run RUN with one option more. */
static xr_status run(const char *name, uint64_t at, int in_evaluation, const char *key, const char *value)
{
    xr_options o;
    char *copy = value ? xr_strdup(value) : NULL;   /* it may be a path of in_scratch */
    choose(&o, name);
    if (key)
        set(&o, key, copy);
    xr_free(copy);
    return run_of(&o, at, in_evaluation);
}

static void must_stop(const char *name, uint64_t at, int in_evaluation)
{
    if (run(name, at, in_evaluation, NULL, NULL) != XR_ETEMPFAIL)
        fail_msg("step %d: %s", (int)at, xr_error_message());
    assert_non_null(strstr(xr_error_message(), "stopped by a signal after update "));
    assert_non_null(strstr(xr_error_message(), "; the same command goes on from "));
}

static void must_end(const char *name)
{
    if (run(name, 0, 0, NULL, NULL) != XR_OK)
        fail_msg("%s", xr_error_message());
}

static void expect_same_file(const char *a, const char *b, const char *name)
{
    size_t n, m;
    char *pa = xr_path_join(in_scratch(a), name), *pb = xr_path_join(in_scratch(b), name);
    char *ta = xr_file_read(pa, 1 << 26, &n), *tb = xr_file_read(pb, 1 << 26, &m);
    if (!ta || !tb)
        fail_msg("%s", xr_error_message());
    if (n != m || memcmp(ta, tb, n) != 0)
        fail_msg("%s and %s differ", pa, pb);
    xr_free(ta);
    xr_free(tb);
    xr_free(pa);
    xr_free(pb);
}

/* "run" against "ref", which was "run" once: everything that is to be the same bytes. metrics.jsonl ends with the digest of the final state. */
static void expect_same_results(void)
{
    static const char *const file[] = { "metrics.jsonl", "final/model.safetensors", "best/model.safetensors" };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        expect_same_file("run", "ref", file[i]);
}

/* With the same runtime options too. */
static void expect_same_run(void)
{
    static const char *const file[] = { "config.yaml", "final/README.md", "best/README.md" };
    expect_same_results();
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        expect_same_file("run", "ref", file[i]);
}

static void expect_same_checkpoint(void)
{
    expect_same_file("run", "ref", "checkpoints/step-00000020/state.h5");
    expect_same_file("run", "ref", "checkpoints/step-00000020/MANIFEST.json");
}

static void begin_anew(void)
{
    assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
}

static void undisturbed(void **state)
{
    (void)state;
    char path[64];
    xr_threads_set(1);
    must_end("run");
    for (int step = 5; step <= 20; step += 5) {
        snprintf(path, sizeof path, "run/checkpoints/step-%08d", step);
        assert_int_equal(xr_path_exists(in_scratch(path)), step >= 15);
    }
    assert_false(xr_path_exists(in_scratch("run/lock")));
    json_t *end = xr_rundir_end(in_scratch("run"));
    assert_int_equal(json_integer_value(json_object_get(end, "step")), STEPS);
    assert_true(json_is_false(json_object_get(end, "higher_is_better")));       /* of the loss; it is the same for runs that go on */
    json_decref(end);
    assert_int_equal(rename(in_scratch("run"), in_scratch("ref")), 0);
}

static void use_threads(uint64_t k)
{
    static const int threads[] = { 1, 2, 4 };
    xr_threads_set(threads[k % 3]);
}

/* After updates 20 and 24 that is before the evaluation then due, and after 20 the checkpoint of the stop gives way to the one that is due. */
static void stopped_once_anywhere(void **state)
{
    (void)state;
    for (uint64_t at = 1; at <= STEPS; at++) {
        begin_anew();
        use_threads(at);
        must_stop("run", at, 0);
        use_threads(at + 1);
        must_end("run");
        expect_same_run();
        expect_same_checkpoint();
    }
}

static void stopped_in_every_evaluation(void **state)
{
    (void)state;
    begin_anew();
    for (uint64_t at = 4; at <= STEPS; at += 4) {
        use_threads(at / 4);
        must_stop("run", at, 1);
    }
    must_end("run");
    expect_same_run();
}

static void stopped_after_every_update(void **state)
{
    (void)state;
    begin_anew();
    for (uint64_t at = 1; at < STEPS; at++) {
        use_threads(at);
        must_stop("run", at, 0);
    }
    must_end("run");
    expect_same_run();
}

static void finished_is_finished(void **state)
{
    (void)state;
    struct stat before, after;
    json_t *summary = NULL;
    xr_options o;
    assert_int_equal(stat(in_scratch("run/final/model.safetensors"), &before), 0);
    choose(&o, "run");
    assert_int_equal(xr_finetune_run(&o, NULL, &summary), XR_OK);
    xr_options_free(&o);
    assert_int_equal(stat(in_scratch("run/final/model.safetensors"), &after), 0);
    assert_true(before.st_ino == after.st_ino);
    assert_true(json_is_true(json_object_get(summary, "finished")));
    assert_int_equal(json_integer_value(json_object_get(summary, "steps")), STEPS);
    json_decref(summary);
    expect_same_run();
}

static void on_step_die(void *context, uint64_t step, double loss, const xr_pace *pace)
{
    (void)loss;
    (void)pace;
    if (step == *(const uint64_t *)context)
        _exit(0);
}

/* In a child that is gone, without any cleaning up, after update `at`. One thread: OpenMP's others do not live through a fork. */
static void die_after(uint64_t at)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        xr_loop_hooks hooks = { &at, NULL, on_step_die, NULL, NULL };
        xr_options o;
        xr_threads_set(1);
        choose(&o, "run");
        (void)xr_finetune_run(&o, &hooks, NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void add_to(const char *name, const char *text)
{
    FILE *f = fopen(in_scratch(name), "a");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* final/ is there and the log does not say so; no checkpoint to go on from. */
static void killed_before_its_last_line(void **state)
{
    (void)state;
    size_t n;
    begin_anew();
    xr_threads_set(1);
    if (run("run", 0, 0, "save-steps", "0") != XR_OK)
        fail_msg("%s", xr_error_message());
    char *log = xr_file_read(in_scratch("run/metrics.jsonl"), 1 << 20, &n);
    assert_non_null(log);
    log[n - 1] = 0;
    assert_int_equal(truncate(in_scratch("run/metrics.jsonl"), strrchr(log, '\n') + 1 - log), 0);
    xr_free(log);
    if (run("run", 0, 0, "save-steps", "0") != XR_OK)
        fail_msg("%s", xr_error_message());
    expect_same_results();
}

/* The logs are longer than the checkpoint knows, best/ is newer, temporaries lie about. */
static void killed(void **state)
{
    (void)state;
    static const char *const left[] = { "run/checkpoints/step-00000020.tmp-99", "run/best.was-99", "run/final.tmp-1", "run/config.yaml.tmp-5",
                                        "run/nonfinite/step-00000003.json.tmp-7" };
    begin_anew();
    xr_threads_set(1);
    die_after(22);      /* the checkpoint is of update 20, behind its evaluation */
    must_end("run");
    expect_same_run();
    begin_anew();
    die_after(18);      /* of update 15 */
    assert_true(xr_path_exists(in_scratch("run/lock")));
    add_to("run/metrics.jsonl", "{\"step\":19,");
    add_to("run/timing.jsonl", "{\"st");
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_int_equal(xr_mkdirs(in_scratch(left[i])), XR_OK);
    must_end("run");
    expect_same_run();
    for (size_t i = 0; i < sizeof left / sizeof *left; i++)
        assert_false(xr_path_exists(in_scratch(left[i])));
    size_t n;
    char *timing = xr_file_read(in_scratch("run/timing.jsonl"), 1 << 20, &n);
    assert_non_null(strstr(timing, "{\"step\":14,"));
    assert_non_null(strstr(timing, "{\"step\":21,"));
    assert_null(strstr(timing, "{\"st{"));
    xr_free(timing);
}

/* Those of RUN/data are made before the lock is taken, so that one that is alive may be at work there. */
static void leftovers_of_data(void **state)
{
    (void)state;
    xr_rundir_lock lock = { 0 };
    char dead[64], alive[64], inside[64];
    pid_t pid = dead_process();
    snprintf(dead, sizeof dead, "run/data/extended-model.tmp-%ld", (long)pid);
    snprintf(alive, sizeof alive, "run/data/extended-model.tmp-%ld", (long)getpid());
    snprintf(inside, sizeof inside, "run/data/train/blocks.idx.tmp-%ld", (long)pid);
    begin_anew();
    assert_int_equal(xr_mkdirs(in_scratch(dead)), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch(inside)), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch(alive)), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("run/data/extended-model")), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("run/data/train.tmp-")), XR_OK);
    assert_int_equal(xr_rundir_lock_take(&lock, in_scratch("run")), XR_OK);
    xr_rundir_lock_drop(&lock);
    assert_false(xr_path_exists(in_scratch(dead)));
    assert_false(xr_path_exists(in_scratch(inside)));
    assert_true(xr_path_exists(in_scratch("run/data/train")));
    assert_true(xr_path_exists(in_scratch(alive)));
    assert_true(xr_path_exists(in_scratch("run/data/extended-model")));
    assert_true(xr_path_exists(in_scratch("run/data/train.tmp-")));
}

static char warning[8192];     /* all of them since it was emptied */

static void keep_warning(xr_level level, const char *line)
{
    size_t n = strlen(warning);
    if (level == XR_LOG_WARN)
        snprintf(warning + n, sizeof warning - n, "%s\n", line);
}

/* A disk that lied: zeros where the log was. The lines are missed, and what is written after them can be read. */
static void log_with_a_hole(void **state)
{
    (void)state;
    static const char zeros[64];
    size_t n, lines = 0;
    begin_anew();
    must_stop("run", 15, 0);
    char *log = xr_file_read(in_scratch("run/metrics.jsonl"), 1 << 20, &n), *s, *end;
    assert_non_null(log);
    long third = strchr(strchr(log, '\n') + 1, '\n') + 1 - log;
    xr_free(log);
    FILE *f = fopen(in_scratch("run/metrics.jsonl"), "r+");
    assert_true(f && fseek(f, third + 5, SEEK_SET) == 0 && fwrite(zeros, sizeof zeros, 1, f) == 1 && fclose(f) == 0);
    *warning = 0;
    xr_log_set_sink(keep_warning);
    must_end("run");
    xr_log_set_sink(NULL);
    assert_non_null(strstr(warning, "are whole lines: those behind are missing, and will be"));
    expect_same_file("run", "ref", "final/model.safetensors");
    log = xr_file_read(in_scratch("run/metrics.jsonl"), 1 << 20, &n);
    for (s = log; (end = memchr(s, '\n', n - (size_t)(s - log))); s = end + 1, lines++) {
        json_t *line = json_loadb(s, (size_t)(end - s), 0, NULL);
        assert_non_null(line);
        json_decref(line);
    }
    assert_true(s == log + n && lines > 5);
    xr_free(log);
}

/* Before the first checkpoint there is nothing to go on from. */
static void killed_early(void **state)
{
    (void)state;
    begin_anew();
    die_after(3);
    warning[0] = 0;
    xr_log_set_sink(keep_warning);
    must_end("run");
    xr_log_set_sink(NULL);
    assert_non_null(strstr(warning, "ended before its first checkpoint; it begins again"));
    expect_same_run();
}

static void flip(const char *name)
{
    FILE *f = fopen(in_scratch(name), "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, 5000, SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, 5000, SEEK_SET), 0);
    fputc(c ^ 4, f);
    fclose(f);
}

/* The newest good one is used; the bad one is out of the way when its step comes again. When none is good, nothing begins from zero. */
static void damaged_checkpoints(void **state)
{
    (void)state;
    begin_anew();
    must_stop("run", 20, 0);
    flip("run/checkpoints/step-00000020/state.h5");
    warning[0] = 0;
    xr_log_set_sink(keep_warning);
    must_end("run");
    xr_log_set_sink(NULL);
    expect_same_run();
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000020.bad-1")));
    begin_anew();
    must_stop("run", 8, 0);
    flip("run/checkpoints/step-00000008/state.h5");
    flip("run/checkpoints/step-00000005/state.h5");
    assert_int_equal(run("run", 0, 0, NULL, NULL), XR_EDATA);
    expect_error(XR_EDATA, "none of the 2 checkpoints can be used");
    assert_int_equal(run("run", 0, 0, "resume", in_scratch("run/checkpoints/step-00000008")), XR_EDATA);
    expect_error(XR_EDATA, "step-00000008/state.h5: digest mismatch");
}

static void remove_rows(const char *state)
{
    hid_t f = H5Fopen(state, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(H5Ldelete(f, "run/returned_to", H5P_DEFAULT) >= 0 && H5Ldelete(f, "run/returns", H5P_DEFAULT) >= 0 && H5Fclose(f) >= 0);
}

/* The checkpoint of "run" as xlmr wrote it before returns (--on-nonfinite rollback) were counted in the state. */
static void make_old(uint64_t step)
{
    char *dir = xr_checkpoint_path(in_scratch("run"), step), *path = xr_path_join(dir, "MANIFEST.json"), *state = xr_path_join(dir, "state.h5");
    json_t *j = xr_manifest_read(path, "xlmr-checkpoint", 2);
    assert_non_null(j);
    remove_rows(state);
    json_object_set_new(j, "format_version", json_integer(1));
    json_object_set_new(j, "rows", json_integer(json_integer_value(json_object_get(j, "rows")) - 2));
    assert_int_equal(xr_manifest_add(json_object_get(j, "files"), dir, "state.h5"), XR_OK);
    assert_int_equal(xr_manifest_write(path, j), XR_OK);
    json_decref(j);
    xr_free(state);
    xr_free(path);
    xr_free(dir);
}

static void older_checkpoints(void **state)
{
    (void)state;
    begin_anew();
    must_stop("run", 12, 1);
    make_old(10);
    make_old(12);
    must_end("run");
    expect_same_run();
    expect_same_checkpoint();
    begin_anew();
    must_stop("run", 12, 0);
    make_old(10);
    assert_int_equal(run("run", 0, 0, "resume", in_scratch("run/checkpoints/step-00000010")), XR_OK);
    expect_same_results();
}

/* From a checkpoint by name: in the run itself, and in a directory of its own. */
static void resume_by_name(void **state)
{
    (void)state;
    begin_anew();
    must_stop("run", 12, 0);
    assert_int_equal(run("run", 0, 0, "resume", in_scratch("run/checkpoints/step-00000010")), XR_OK);
    expect_same_results();
    assert_int_equal(run("other", 0, 0, "resume", in_scratch("run/checkpoints/step-00000015/")), XR_OK);
    expect_same_file("other", "ref", "final/model.safetensors");
    assert_int_equal(run("other", 0, 0, "resume", in_scratch("run/none")), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "run/none: is no directory; expected auto, never, or a checkpoint");
}

/* A run that began with another one's checkpoint, which is gone in the meantime, goes on from its own when its command is repeated. */
static void resume_by_name_again(void **state)
{
    (void)state;
    assert_int_equal(rename(in_scratch("other"), in_scratch("at-once")), 0);
    assert_int_equal(run("other", 18, 0, "resume", in_scratch("run/checkpoints/step-00000015")), XR_ETEMPFAIL);
    assert_int_equal(xr_remove_tree(in_scratch("run/checkpoints/step-00000015")), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("run/checkpoints/step-00000015")), XR_OK);
    assert_int_equal(run("other", 0, 0, "resume", in_scratch("run/checkpoints/step-00000015")), XR_OK);
    expect_same_file("other", "at-once", "metrics.jsonl");
    assert_int_equal(run("other", 1, 0, "resume", in_scratch("run/checkpoints/step-00000015")), XR_OK);    /* finished: nothing is done */
}

/* One that would be removed before it is read again is refused. */
static void overwritten_by_itself(void **state)
{
    xr_options o;
    (void)state;
    choose(&o, "run");
    set(&o, "resume", in_scratch("run/checkpoints/step-00000020"));
    set(&o, "overwrite-output-dir", "true");
    assert_int_equal(run_of(&o, 0, 0), XR_ECANTCREAT);
    assert_non_null(strstr(xr_error_message(), "which --overwrite-output-dir would remove"));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000020/MANIFEST.json")));
}

static void expect_refused(xr_status status, const char *key, const char *value, const char *part)
{
    xr_status got = run("run", 0, 0, key, value);
    if (got != status || !strstr(xr_error_message(), part))
        fail_msg("%s %s: %d %s", key, value, got, xr_error_message());
    xr_error_clear();
}

/* The run with its model and its data in another folder. */
static xr_status run_moved(void)
{
    xr_options o;
    choose(&o, "run");
    o.train_file.n = o.validation_file.n = 0;
    set(&o, "model", in_scratch("moved/cls"));
    set(&o, "train-file", in_scratch("moved/train.tsv"));
    set(&o, "validation-file", in_scratch("moved/dev.tsv"));
    return run_of(&o, 0, 0);
}

/* Data and model may move; other data, or the same model used otherwise, are another run. A finished one, which reads nothing, has to be named as before. */
static void moved(void **state)
{
    (void)state;
    xr_model m;
    xr_load_options quiet = { .quiet = 1 };
    assert_int_equal(xr_mkdirs(in_scratch("moved/cls")), XR_OK);
    assert_int_equal(xr_model_load(&m, in_scratch("cls"), &quiet), XR_OK);
    assert_int_equal(xr_model_save(&m, in_scratch("moved/cls"), in_scratch("tok"), NULL), XR_OK);
    write_labelled("moved/train.tsv", 1, 40, 40);
    write_labelled("moved/dev.tsv", 40, 40, 40);
    begin_anew();
    must_stop("run", 8, 0);
    assert_int_equal(run_moved(), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "belongs to another run: train_xxh3 is "));
    write_labelled("moved/train.tsv", 0, 40, 40);
    m.config.layer_norm_eps *= 2.0f;
    assert_int_equal(xr_model_save(&m, in_scratch("moved/cls"), in_scratch("tok"), NULL), XR_OK);
    assert_int_equal(run_moved(), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "start_weights_xxh3 is "));
    m.config.layer_norm_eps /= 2.0f;
    assert_int_equal(xr_model_save(&m, in_scratch("moved/cls"), in_scratch("tok"), NULL), XR_OK);
    xr_model_free(&m);
    if (run_moved() != XR_OK)
        fail_msg("%s", xr_error_message());
    expect_same_results();
    assert_int_equal(run_moved(), XR_ECONFIG);
    must_end("run");
}

static void refusals(void **state)
{
    (void)state;
    xr_rundir_lock lock = { 0 };
    char me[32];
    begin_anew();
    must_stop("run", 8, 0);
    expect_refused(XR_ECONFIG, "learning-rate", "0.002", "run: holds a run of another recipe: learning_rate is 0.001 there and 0.002 here; ");
    expect_refused(XR_ECONFIG, "max-steps", "20", "max_steps is 24 there and 20 here");
    expect_refused(XR_ECANTCREAT, "resume", "never", "run: is not empty; ");
    expect_refused(XR_EUSAGE, "max-time", "5 apples", "--max-time 5 apples: expected a time such as 90s");
    expect_refused(XR_EUSAGE, "max-time", "1:60", "--max-time 1:60");
    expect_refused(XR_EUSAGE, "save-time", "soon", "--save-time soon: expected a time such as 90s");
    write_labelled("train.tsv", 1, 40, 40);
    expect_refused(XR_EDATA, "threads", "1", "train_xxh3 is ");
    write_labelled("train.tsv", 0, 40, 40);
    assert_int_equal(xr_rundir_lock_take(&lock, in_scratch("run")), XR_OK);
    snprintf(me, sizeof me, ", pid %ld)", (long)getpid());
    expect_refused(XR_ETEMPFAIL, "threads", "1", "run: another process writes to this run (host ");
    expect_refused(XR_ETEMPFAIL, "overwrite-output-dir", "true", me);
    xr_rundir_lock_drop(&lock);
    assert_int_equal(xr_mkdirs(in_scratch("foreign/checkpoints")), XR_OK);
    expect_refused(XR_ECANTCREAT, "output-dir", in_scratch("foreign"), "foreign: is not empty; choose another --output-dir");
    must_end("run");
    expect_same_run();
}

static void max_time(void **state)
{
    (void)state;
    begin_anew();
    assert_int_equal(run("run", 0, 0, "max-time", "0.001s"), XR_ETEMPFAIL);
    expect_error(XR_ETEMPFAIL, "stopped by --max-time after update 1 of 24; ");
    assert_int_equal(run("run", 0, 0, "max-time", "0.001s"), XR_ETEMPFAIL);
    expect_error(XR_ETEMPFAIL, "stopped by --max-time after update 2 of 24; ");
    int n = 2;
    while (run("run", 0, 0, "max-time", "0.001s") == XR_ETEMPFAIL)
        assert_true(++n < 2 * STEPS);
    expect_same_results();
    begin_anew();
    assert_int_equal(run("run", 0, 0, "max-time", "0:10"), XR_OK);
    expect_same_results();
}

/* What a killed run goes on from where nobody thought of --save-steps: when checkpoints are written changes nothing. */
static void save_time(void **state)
{
    (void)state;
    begin_anew();
    assert_int_equal(run("run", 0, 0, "save-time", "0s"), XR_OK);
    assert_false(xr_path_is_dir(in_scratch("run/checkpoints/step-00000023")));
    begin_anew();
    assert_int_equal(run("run", 0, 0, "save-time", "0.000001s"), XR_OK);
    assert_true(xr_path_is_dir(in_scratch("run/checkpoints/step-00000023")));
    expect_same_results();
}

/* Saves that fail do not end the run, unless three in a row do. */
static void room_comes_back(void *context, uint64_t step, double loss, const xr_pace *pace)
{
    (void)loss;
    (void)pace;
    if (step == 12)
        setrlimit(RLIMIT_FSIZE, context);
}

static xr_status run_without_room(xr_loop_hooks *hooks, const char *save_steps, const char *save_time)
{
    struct rlimit old, small;
    xr_options o;
    begin_anew();
    choose(&o, "run");
    set(&o, "save-steps", save_steps);
    set(&o, "save-time", save_time);
    o.validation_file.n = 0;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ 20000, old.rlim_max };
    hooks->context = &old;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    warning[0] = 0;
    xr_log_set_sink(keep_warning);
    xr_status status = xr_finetune_run(&o, hooks, NULL);
    xr_log_set_sink(NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    xr_options_free(&o);
    return status;
}

static void failed_saves(void **state)
{
    (void)state;
    xr_loop_hooks none = { 0 }, back = { .step = room_comes_back };
    assert_int_equal(run_without_room(&none, "5", "0s"), XR_EIO);
    expect_error(XR_EIO, "step 15: 3 checkpoints in a row could not be written: ");
    assert_non_null(strstr(warning, "step 10: no checkpoint was written: "));
    assert_int_equal(run_without_room(&back, "5", "0s"), XR_OK);
    assert_false(xr_path_exists(in_scratch("run/checkpoints/step-00000010")));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000015")));
    expect_same_file("run", "ref", "final/model.safetensors");
    assert_int_equal(run_without_room(&back, "0", "0.000001s"), XR_OK);     /* eleven failures of what is due by time */
    assert_non_null(strstr(warning, "step 11: no checkpoint was written: "));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000024")));
    expect_same_file("run", "ref", "final/model.safetensors");
}

/* --- data that cannot be read ------------------------------------------------------------------------------------- */

/* A task of its own, whose data are damaged at update `at`: micro-batch `micro` of it cannot be had, or (-1) its beginning. With status XR_ESYSTEM it
 * is the machine: a bit of the micro-batch is another one when it is asked for again. */
typedef struct damaged { uint64_t at, step; int micro; xr_status status; int no_room, asked; xr_batch_buffer batch; char digest[33]; } damaged;

static void flip_bit(damaged *d, int k)
{
    if (d->at > 0 && d->step == d->at && k == d->micro && d->status == XR_ESYSTEM && d->asked++ == 1)
        d->batch.id[1] ^= 1;
}

static int is_damaged(damaged *d, int k)
{
    if (d->at == 0 || d->step != d->at || k != d->micro || d->status == XR_ESYSTEM)
        return 0;
    if (d->no_room)
        write_scratch("run/checkpoints", "in the way");
    xr_fail(d->status, "store/shard-00000.h5: damaged");
    return 1;
}

static int damaged_begin(void *context, uint64_t step)
{
    damaged *d = context;
    d->step = step;
    return is_damaged(d, -1) ? (int)d->status : 2;
}

static const xr_batch *damaged_batch(void *context, int k)
{
    damaged *d = context;
    if (is_damaged(d, k))
        return NULL;
    xr_batch_clear(&d->batch);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t sample = (uint32_t)d->step * 4 + (uint32_t)k * 2 + i;
        int32_t id[] = { 0, 5 + (int32_t)sample, 60 + (int32_t)(sample % 7), 2 };
        assert_int_equal(xr_batch_add(&d->batch, id, 4, sample), XR_OK);
        assert_int_equal(xr_batch_add_label(&d->batch, (int32_t)(sample / 2 % 2)), XR_OK);
    }
    flip_bit(d, k);
    return xr_batch_finish(&d->batch);
}

static double damaged_epoch(void *context, uint64_t step)
{
    (void)context;
    return (double)step;
}

static xr_status damaged_save(void *context, const char *name)
{
    (void)context;
    (void)name;
    return XR_OK;
}

static xr_status run_damaged(damaged *d, const char *save_steps)
{
    const xr_loop_task task = { d, "none", NULL, damaged_begin, damaged_batch, damaged_epoch, NULL, damaged_save, NULL };
    const xr_optim_options how = { "adamw", "constant", 1e-3, 0.01, 0.9, 0.999, 1e-8, 1.0, 1.0, 12, 0, 0, 1.0, 0.0, XR_MOMENTS_F32, 0 };
    const xr_batch_bound bound = { 8, 2, 4, 0, 0 };
    xr_load_options quiet = { .quiet = 1 };
    xr_options o;
    xr_model m;
    xr_trainer t;
    xr_error_clear();
    choose(&o, "run");
    set(&o, "save-steps", save_steps);
    if (d->status == XR_ESYSTEM)
        set(&o, "check-steps", "3");
    assert_int_equal(xr_model_load(&m, in_scratch("cls"), &quiet), XR_OK);
    assert_int_equal(xr_trainer_init(&t, &m, &how, 42, &bound), XR_OK);
    xr_loop l = { .o = &o, .task = &task, .trainer = &t, .total_steps = 12 };
    assert_int_equal(xr_loop_check(&l), XR_OK);
    xr_status status = xr_loop_begin(&l, json_pack("{ss}", "event", "start"));
    if (status == XR_OK)
        status = xr_loop_run(&l);
    snprintf(d->digest, sizeof d->digest, "%s", l.digest);
    xr_loop_free(&l);
    xr_trainer_free(&t);
    xr_model_free(&m);
    xr_options_free(&o);
    xr_batch_free(&d->batch);
    d->batch = (xr_batch_buffer){ 0 };
    return status;
}

/* The updates before are saved, the message is the first error's, and what follows the mending is what would have been. */
static void damaged_data(void **state)
{
    (void)state;
    static const damaged row[] = { { .at = 8, .micro = -1, .status = XR_EIO }, { .at = 8, .micro = 1, .status = XR_EDATA },
                                   { .at = 10, .micro = 0, .status = XR_EDATA } };      /* 10: saved already */
    damaged whole = { 0 };
    begin_anew();
    assert_int_equal(run_damaged(&whole, "5"), XR_OK);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        damaged d = row[i];
        char end[64];
        snprintf(end, sizeof end, "/run/checkpoints/step-%08d", (int)d.at);
        begin_anew();
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(run_damaged(&d, "5"), d.status);
            assert_ptr_equal(strstr(xr_error_message(), "store/shard-00000.h5: damaged; once that is mended, the same command goes on from "),
                             xr_error_message());
            assert_non_null(strstr(xr_error_message(), end));
            assert_true(xr_path_exists(in_scratch(end)));
        }
        d.at = 0;
        assert_int_equal(run_damaged(&d, "5"), XR_OK);
        assert_string_equal(d.digest, whole.digest);
    }
}

/* Update 9 is the third that is computed twice. Nothing of it is kept, and no checkpoint made of a state that a faulty machine may have harmed. */
static void faulty_machine(void **state)
{
    (void)state;
    damaged whole = { 0 }, d = { .at = 8, .micro = 1, .status = XR_ESYSTEM };
    begin_anew();
    assert_int_equal(run_damaged(&whole, "5"), XR_OK);
    begin_anew();
    assert_int_equal(run_damaged(&d, "5"), XR_ESYSTEM);
    assert_int_equal(d.asked, 2);
    expect_error(XR_ESYSTEM, "update 9 was computed twice from the same state, and bits differ, first in embedding of "
                 "roberta.embeddings.word_embeddings, micro-batch 1. ");
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000005")));
    assert_false(xr_path_exists(in_scratch("run/checkpoints/step-00000008")));
    d.at = 0;
    assert_int_equal(run_damaged(&d, "5"), XR_OK);
    assert_string_equal(d.digest, whole.digest);
}

static void damaged_data_without_room(void **state)
{
    (void)state;
    damaged d = { .at = 8, .status = XR_EDATA, .no_room = 1 };
    begin_anew();
    assert_int_equal(run_damaged(&d, "0"), XR_EDATA);
    expect_error(XR_EDATA, "store/shard-00000.h5: damaged; nor could a checkpoint be written after update 8: ");
}

/* --- updates that are not finite ---------------------------------------------------------------------------------- */

/* A model that the unknown character makes overflow, and data with `foreign` such sentences. */
static void make_overflow(void)
{
    make_overflowing_dir("overflow", "tiny-cls", 0);
    write_labelled("foreign.tsv", 0, 40, 17);
    write_labelled("late.tsv", 0, 40, 30);      /* not among the first two updates */
    write_scratch("foreign4.tsv", "text\tlabel\nba \xe4\xbd\xa0\tyes\nbe \xe4\xbd\xa0\tno\n");
}

static xr_status run_overflow(const char *name, uint64_t at, const char *data, const char *policy)
{
    xr_options o;
    choose(&o, name);
    o.train_file.n = 0;
    set(&o, "train-file", in_scratch(data));
    set(&o, "model", in_scratch("overflow"));
    set(&o, "on-nonfinite", policy);
    set(&o, "max-skipped", "2");
    return run_of(&o, at, 0);
}

static size_t count_in(const char *name, const char *part)
{
    size_t n, found = 0;
    char *text = xr_file_read(in_scratch(name), 1 << 20, &n);
    for (const char *p = text; p && (p = strstr(p, part)); p++)
        found++;
    xr_free(text);
    return found;
}

static void not_finite(void **state)
{
    (void)state;
    make_overflow();
    begin_anew();
    assert_int_equal(run_overflow("run", 0, "foreign.tsv", "abort"), XR_EDIVERGED);
    expect_error(XR_EDIVERGED, "not finite; the weights were left as they were before the step");
    assert_null(strstr(xr_error_message(), "checkpoints/"));
    begin_anew();
    assert_int_equal(run_overflow("run", 0, "foreign.tsv", "skip"), XR_OK);
    size_t skipped = count_in("run/metrics.jsonl", "{\"event\":\"skip\",\"step\":");
    assert_in_range(skipped, 4, 5);     /* once an epoch */
    begin_anew();
    assert_int_equal(run_overflow("run", 0, "foreign4.tsv", "skip"), XR_EDIVERGED);
    expect_error(XR_EDIVERGED, "2 updates in a row were left out (--max-skipped): step 3: ");
    assert_int_equal(count_in("run/metrics.jsonl", "\"event\":\"skip\""), 2);
}

/* The optimizer's count of updates, and with it the rate, lags behind the run's. */
static void not_finite_and_stopped(void **state)
{
    (void)state;
    begin_anew();
    assert_int_equal(run_overflow("run", 0, "foreign.tsv", "skip"), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("skipped")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("skipped")), 0);
    for (uint64_t at = 1; at < STEPS; at += 2)
        assert_int_equal(run_overflow("run", at, "foreign.tsv", "skip"), XR_ETEMPFAIL);
    assert_int_equal(run_overflow("run", 0, "foreign.tsv", "skip"), XR_OK);
    expect_same_file("run", "skipped", "metrics.jsonl");
    expect_same_file("run", "skipped", "final/model.safetensors");
}

typedef const char *pair[2];

/* --on-nonfinite rollback, with `n` options besides. */
static xr_status run_back_in(uint64_t at, int in_evaluation, const pair *option, size_t n)
{
    xr_options o;
    choose(&o, "run");
    o.train_file.n = 0;
    set(&o, "train-file", in_scratch("late.tsv"));
    set(&o, "model", in_scratch("overflow"));
    set(&o, "on-nonfinite", "rollback");
    set_all(&o, option, n);
    return run_of(&o, at, in_evaluation);
}

static xr_status run_back(uint64_t at, const pair *option, size_t n) { return run_back_in(at, 0, option, n); }

static void keep_as_back(void)
{
    assert_int_equal(xr_remove_tree(in_scratch("back")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("back")), 0);
}

/* One sentence an epoch of five updates overflows: the run goes back to the checkpoint and on behind it, stopped anywhere or not. */
static void goes_back(void **state)
{
    (void)state;
    static const pair far[] = { { "save-steps", "10" } }, near[] = { { "save-steps", "2" }, { "rollback-skip", "1" } };
    begin_anew();
    assert_int_equal(run_back(0, far, 1), XR_EDIVERGED);
    expect_error(XR_EDIVERGED, "--on-nonfinite rollback: there is no checkpoint yet to go back to (--save-steps makes them)");
    begin_anew();
    if (run_back(0, near, 2) != XR_OK)
        fail_msg("%s", xr_error_message());
    size_t returns = count_in("run/metrics.jsonl", "{\"event\":\"rollback\",\"step\":");
    assert_int_equal(returns, 6);
    keep_as_back();
    for (uint64_t at = 1; at < STEPS; at++) {
        use_threads(at);
        assert_int_equal(run_back(at, near, 2), XR_ETEMPFAIL);
    }
    assert_int_equal(run_back(0, near, 2), XR_OK);
    expect_same_file("run", "back", "metrics.jsonl");
    expect_same_file("run", "back", "final/model.safetensors");
}

/* best/ may be newer than the checkpoint that is gone back to; it stays the model to beat, and the run's last line names it. */
static void best_outlives_a_return(void **state)
{
    (void)state;
    char wanted[60];
    size_t n;
    static const pair often[] = { { "save-steps", "2" }, { "eval-steps", "1" } };
    begin_anew();
    assert_int_equal(run_back(0, often, 2), XR_OK);
    assert_true(count_in("run/metrics.jsonl", ",\"best_step\":") > 1);
    json_t *end = xr_rundir_end(in_scratch("run"));
    snprintf(wanted, sizeof wanted, ", %d of %d updates.", (int)json_integer_value(json_object_get(end, "best_step")), STEPS);
    json_decref(end);
    char *card = xr_file_read(in_scratch("run/best/README.md"), 1 << 20, &n);
    if (!card || !strstr(card, wanted))
        fail_msg("expected '%s' in %s", wanted, card);
    xr_free(card);
}

/* A return to what a stop saved before it was evaluated evaluates it, which is no evaluation more without a better figure where best/ is newer. With this
 * seed update 6 is not finite, and best/ is of update 5. */
static void returns_before_an_evaluation(void **state)
{
    (void)state;
    static const pair option[] = { { "eval-steps", "1" }, { "max-steps", "8" }, { "early-stopping-patience", "2" }, { "seed", "40" },
                                   { "warmup-steps", "0" }, { "save-steps", "3" }, { "save-steps", "0" } };
    const size_t with_saves = 6, without = 7;
    begin_anew();
    assert_int_equal(run_back(0, option, with_saves), XR_OK);
    assert_int_equal(count_in("run/metrics.jsonl", "{\"event\":\"rollback\",\"step\":3,\"from\":6,"), 1);
    assert_int_equal(count_in("run/metrics.jsonl", ",\"best_step\":5}"), 2);     /* the return's, and the end's: early, at update 5 */
    keep_as_back();
    assert_int_equal(run_back(3, option, without), XR_ETEMPFAIL);
    assert_int_equal(run_back(0, option, without), XR_OK);
    expect_same_file("run", "back", "metrics.jsonl");
    expect_same_file("run", "back", "best/model.safetensors");
}

/* What follows has seed 40, with which update 6 is not finite. */

/* A return may have to evaluate; a stop in that is a stop as any other. */
static void stopped_in_a_return(void **state)
{
    (void)state;
    static const pair option[] = { { "eval-steps", "3" }, { "max-steps", "6" }, { "seed", "40" }, { "save-steps", "0" } };
    begin_anew();
    assert_int_equal(run_back(3, option, 4), XR_ETEMPFAIL);
    assert_int_equal(run_back(0, option, 4), XR_OK);
    keep_as_back();
    assert_int_equal(run_back(3, option, 4), XR_ETEMPFAIL);
    assert_int_equal(run_back_in(5, 1, option, 4), XR_ETEMPFAIL);
    expect_error(XR_ETEMPFAIL, "stopped by a signal after update 3 of 6; the same command goes on from ");
    assert_int_equal(run_back(0, option, 4), XR_OK);
    expect_same_file("run", "back", "metrics.jsonl");
}

/* What was saved before a return, behind the checkpoint that it went back to, is not gone on from once something was saved behind the return: else a run
 * that is often stopped never comes further. */
static void saved_before_a_return(void **state)
{
    (void)state;
    static const pair option[] = { { "eval-steps", "1" }, { "max-steps", "8" }, { "seed", "40" }, { "save-steps", "3" } };
    begin_anew();
    assert_int_equal(run_back(0, option, 4), XR_OK);
    keep_as_back();
    assert_int_equal(run_back(5, option, 4), XR_ETEMPFAIL);
    assert_int_equal(run_back(4, option, 4), XR_ETEMPFAIL);     /* goes back to 3 in between */
    assert_false(xr_path_exists(in_scratch("run/checkpoints/step-00000005")));
    assert_true(xr_path_exists(in_scratch("run/checkpoints/step-00000004")));
    *warning = 0;
    xr_log_set_sink(keep_warning);
    assert_int_equal(run_back(5, option, 4), XR_ETEMPFAIL);
    xr_log_set_sink(NULL);
    assert_null(strstr(warning, "back to the checkpoint"));
    assert_int_equal(run_back(0, option, 4), XR_OK);
    expect_same_file("run", "back", "metrics.jsonl");
    expect_same_file("run", "back", "final/model.safetensors");
}

/* A run that was begun again at an older checkpoint does not return to one that lies before it. */
static void returns_go_back(void **state)
{
    (void)state;
    static const pair option[] = { { "eval-steps", "1" }, { "max-steps", "6" }, { "seed", "40" }, { "save-steps", "0" } };
    begin_anew();
    assert_int_equal(run_back(3, option, 4), XR_ETEMPFAIL);
    assert_int_equal(run_back(0, option, 4), XR_OK);
    keep_as_back();
    assert_int_equal(run_back(3, option, 4), XR_ETEMPFAIL);
    assert_int_equal(run_back(6, option, 4), XR_ETEMPFAIL);     /* went back to 3 in between */
    char *again = xr_strdup(in_scratch("run/checkpoints/step-00000003"));
    const pair by_name[] = { { "eval-steps", "1" }, { "max-steps", "6" }, { "seed", "40" }, { "save-steps", "0" }, { "resume", again } };
    assert_int_equal(run_back(0, by_name, 5), XR_OK);
    xr_free(again);
    expect_same_file("run", "back", "metrics.jsonl");
}

/* How often a run has gone back to one checkpoint is not forgotten when it is stopped. With this seed the
 * data of updates 5 and 7 are bad. */
static void returns_are_counted(void **state)
{
    (void)state;
    static const pair option[] = { { "save-steps", "4" }, { "max-skipped", "1" }, { "seed", "60" } };
    static const char wanted[] = "after 1 returns to the checkpoint after update 4 (--max-skipped)";
    begin_anew();
    assert_int_equal(run_back(0, option, 3), XR_EDIVERGED);
    expect_error(XR_EDIVERGED, wanted);
    for (uint64_t at = 3; at <= 5; at++) {
        assert_int_equal(xr_remove_tree(in_scratch("run")), XR_OK);
        assert_int_equal(run_back(at, option, 3), XR_ETEMPFAIL);
        assert_int_equal(run_back(0, option, 3), XR_EDIVERGED);
        expect_error(XR_EDIVERGED, wanted);
    }
}

/* Kept beside the weights, and what best/ and final/ are. */
static void averaged(void **state)
{
    (void)state;
    begin_anew();
    assert_int_equal(run("run", 0, 0, "ema", "0.9"), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("averaged")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("averaged")), 0);
    for (uint64_t at = 1; at < STEPS; at++) {
        use_threads(at);
        assert_int_equal(run("run", at, at % 4 == 0, "ema", "0.9"), XR_ETEMPFAIL);
    }
    assert_int_equal(run("run", 0, 0, "ema", "0.9"), XR_OK);
    expect_same_file("run", "averaged", "metrics.jsonl");
    expect_same_file("run", "averaged", "best/model.safetensors");
    expect_same_file("run", "averaged", "final/model.safetensors");
    size_t n, m;
    char *averaged = xr_file_read(in_scratch("averaged/final/model.safetensors"), 1 << 26, &n);
    char *plain = xr_file_read(in_scratch("ref/final/model.safetensors"), 1 << 26, &m);
    assert_true(n == m && memcmp(averaged, plain, n) != 0);
    xr_free(averaged);
    xr_free(plain);
}

/* Of a run that was stopped, and of one that is finished: the schedule from there on is that of a run of 30 updates, and the log says so. */
static void longer(void **state)
{
    (void)state;
    begin_anew();
    must_stop("run", 13, 0);
    assert_int_equal(run("run", 0, 0, "max-steps", "30"), XR_OK);
    assert_int_equal(count_in("run/metrics.jsonl", "{\"event\":\"longer\",\"step\":13,\"from\":24,\"to\":30}"), 1);
    assert_int_equal(xr_remove_tree(in_scratch("longer")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("longer")), 0);
    must_stop("run", 13, 0);
    assert_int_equal(run("run", 17, 0, "max-steps", "30"), XR_ETEMPFAIL);
    assert_int_equal(run("run", 0, 0, NULL, NULL), XR_ECONFIG);
    assert_non_null(strstr(xr_error_message(), "max_steps is 30 there and 24 here"));
    assert_int_equal(run("run", 0, 0, "max-steps", "30"), XR_OK);
    expect_same_file("run", "longer", "metrics.jsonl");
    expect_same_file("run", "longer", "final/model.safetensors");
    begin_anew();
    must_end("run");
    assert_int_equal(run("run", 0, 0, "max-steps", "25"), XR_OK);
    json_t *end = xr_rundir_end(in_scratch("run"));
    assert_int_equal(json_integer_value(json_object_get(end, "step")), 25);
    json_decref(end);
    assert_int_equal(count_in("run/metrics.jsonl", "{\"event\":\"longer\",\"step\":20,\"from\":24,\"to\":25}"), 1);
    assert_int_equal(count_in("run/metrics.jsonl", "\"event\":\"end\""), 1);
    assert_int_equal(xr_remove_tree(in_scratch("run/checkpoints")), XR_OK);
    assert_int_equal(run("run", 0, 0, "max-steps", "30"), XR_ECANTCREAT);
    assert_non_null(strstr(xr_error_message(), "has kept no checkpoint to go on from"));
    assert_true(xr_path_exists(in_scratch("run/final")));
}

static xr_status run_impatiently(uint64_t at, int in_evaluation)
{
    xr_options o;
    choose(&o, "run");
    set(&o, "learning-rate", "0");
    set(&o, "early-stopping-patience", "2");
    return run_of(&o, at, in_evaluation);
}

/* A run of `steps` updates that begins with another one's checkpoint. */
static xr_status run_from_15(const char *steps)
{
    xr_options o;
    choose(&o, "short");
    set(&o, "max-steps", steps);
    set(&o, "resume", in_scratch("run/checkpoints/step-00000015"));
    return run_of(&o, 0, 0);
}

/* A checkpoint of a longer run can be begun with, but not one from behind this run's end. */
static void shorter(void **state)
{
    (void)state;
    begin_anew();
    must_stop("run", 16, 0);
    assert_int_equal(run_from_15("12"), XR_ECONFIG);
    expect_error(XR_ECONFIG, "step-00000015: is of update 15, and this run ends after 12; give --max-steps 15 or more");
    assert_int_equal(run_from_15("18"), XR_OK);
    assert_int_equal(count_in("short/metrics.jsonl", "{\"event\":\"shorter\",\"step\":15,\"from\":24,\"to\":18}"), 1);
    assert_int_equal(xr_remove_tree(in_scratch("short")), XR_OK);
}

/* The second evaluation without a better value, after update 12, ends the run. */
static void early_stop(void **state)
{
    (void)state;
    begin_anew();
    assert_int_equal(run_impatiently(0, 0), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("early")), XR_OK);
    assert_int_equal(rename(in_scratch("run"), in_scratch("early")), 0);
    assert_int_equal(run_impatiently(9, 0), XR_ETEMPFAIL);
    assert_int_equal(run_impatiently(12, 1), XR_ETEMPFAIL);
    assert_int_equal(run_impatiently(0, 0), XR_OK);
    json_t *end = xr_rundir_end(in_scratch("run"));
    assert_int_equal(json_integer_value(json_object_get(end, "step")), 12);
    json_decref(end);
    expect_same_file("run", "early", "metrics.jsonl");
}

#define TEST(name) cmocka_unit_test_setup(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(undisturbed), TEST(stopped_once_anywhere), TEST(stopped_in_every_evaluation), TEST(stopped_after_every_update), TEST(finished_is_finished),
        TEST(killed), TEST(killed_before_its_last_line), TEST(log_with_a_hole), TEST(leftovers_of_data), TEST(killed_early),
        TEST(damaged_checkpoints), TEST(older_checkpoints), TEST(resume_by_name), TEST(resume_by_name_again),
        TEST(overwritten_by_itself), TEST(refusals), TEST(moved), TEST(max_time), TEST(save_time), TEST(failed_saves), TEST(damaged_data),
        TEST(damaged_data_without_room), TEST(faulty_machine),
        TEST(not_finite), TEST(not_finite_and_stopped), TEST(goes_back), TEST(best_outlives_a_return), TEST(returns_before_an_evaluation),
        TEST(stopped_in_a_return), TEST(saved_before_a_return), TEST(returns_go_back),
        TEST(returns_are_counted), TEST(averaged), TEST(longer), TEST(shorter), TEST(early_stop),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
