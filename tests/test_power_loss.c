/* Power loss while checkpoints are saved, with rotation, into folders that are not there yet, one in place of another of the same step (disk.h): whoever
 * goes on finds the last committed one or a newer one, bit by bit what was saved. */
#include "disk.h"
#include "state_table.h"

#include "train/checkpoint.h"
#include "util/log.h"

enum { SAVES = 12, AGAIN = 7 };
static table t;
static char saved[SAVES + 1][33];       /* digest of the table of each save */

/* The step of save `k`; save AGAIN is of the step before it, in another state. */
static int step_of(int k) { return k < AGAIN ? k : k - 1; }

static void record_saves(void)
{
    begin_recording();
    for (int k = 1; k <= SAVES; k++) {
        table_fill(&t, (uint64_t)step_of(k));
        t.weights[0] += k == AGAIN ? 1.0f : 0.0f;
        assert_int_equal(xr_state_digest(&t.s, saved[k]), XR_OK);
        if (xr_checkpoint_save(in_scratch("disk/runs/one"), t.step, &t.s, NULL, &(xr_checkpoint_keep){ .newest = 2, .every = 3 }) < 0)
            fail_msg("%s", xr_error_message());
        end_save(k);
    }
}

static const char *name_of(int k)
{
    static char name[NAME_LEN];
    snprintf(name, sizeof name, "step-%08d", step_of(k));
    return name;
}

static void count_refusals(xr_level level, const char *message)
{
    refusals += level == XR_LOG_WARN && strstr(message, "cannot be used") != NULL;
}

/* The newest save that had the step of the table and this digest. */
static int save_of(const char *digest)
{
    for (int k = SAVES; k > 0; k--)
        if (step_of(k) == (int)t.step && strcmp(saved[k], digest) == 0)
            return k;
    fail_msg("what was found of step %d was never saved", (int)t.step);
    return 0;
}

/* The save that a run would go on from. */
static int found(const char *folder, int honest)
{
    char run[PATH_LEN], *path, got[33];
    snprintf(run, sizeof run, "%s/runs/one", folder);
    if (xr_checkpoint_find(run, UINT64_MAX, &path) < 0) {
        if (honest || xr_error_status() != XR_EDATA)
            fail_msg("%s", xr_error_message());
        xr_error_clear();
        return 0;
    }
    if (!path)
        return 0;
    if (xr_checkpoint_load(path, &t.s, NULL) < 0)
        fail_msg("found, but not good: %s", xr_error_message());
    xr_free(path);
    assert_int_equal(xr_state_digest(&t.s, got), XR_OK);
    return save_of(got);
}

static void power_loss(void **state)
{
    (void)state;
    table_init(&t, 40000, 60000, 10);
    record_saves();
    xr_log_set_sink(count_refusals);
    replay(name_of, (extent){ 1, 30, 10000, 200 });
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(power_loss, clear_error) };
    return cmocka_run_group_tests(tests, make_disk_scratch, remove_scratch);
}
