/* Power loss while a run replaces its best model (disk.h): from the first commit on there is always one, the last committed or the one that is just being
 * saved, bit by bit; what a disk that lies about its syncs leaves of it is told by its digests. */
#include "disk.h"

#include "model/hf.h"
#include "model/hf_digests.h"
#include "train/rundir.h"

enum { SAVES = 4 };
static char *weights[SAVES + 1];        /* model.safetensors of each save */
static size_t n_weights[SAVES + 1];

static void record_saves(void)
{
    xr_model m;
    assert_int_equal(xr_model_load(&m, "tests/golden/tiny-cls", &(xr_load_options){ .quiet = 1 }), XR_OK);
    begin_recording();
    for (int k = 1; k <= SAVES; k++) {
        m.params.row[0]->t.x[0] = (float)k;
        if (xr_mkdirs(in_scratch("disk/run")) < 0 || xr_rundir_save_model(in_scratch("disk/run"), "best", &m, NULL, NULL, "# A card\n") < 0)
            fail_msg("%s", xr_error_message());
        end_save(k);
        weights[k] = xr_file_read(in_scratch("disk/run/best/model.safetensors"), 1 << 26, &n_weights[k]);
        assert_non_null(weights[k]);
    }
    xr_model_free(&m);
}

static const char *name_of(int k)
{
    (void)k;
    return "best";
}

static xr_status check_all(const char *best)
{
    const char *name;
    json_t *entry, *j = xr_model_digests(best);
    xr_status status = j ? XR_OK : xr_error_status();
    json_object_foreach(json_object_get(j, "files"), name, entry)
        if (status == XR_OK)
            status = xr_model_check_digest(best, name, entry);
    json_decref(j);
    return status;
}

static int save_of(const char *best)
{
    char path[PATH_LEN];
    size_t n;
    int k = SAVES;
    snprintf(path, sizeof path, "%.400s/model.safetensors", best);
    char *text = xr_file_read(path, 1 << 26, &n);
    assert_non_null(text);
    while (k > 0 && (n != n_weights[k] || memcmp(text, weights[k], n) != 0))
        k--;
    xr_free(text);
    if (k == 0)
        fail_msg("%s: passes its digests and is none that was saved", best);
    return k;
}

static int found(const char *folder, int honest)
{
    char best[PATH_LEN];
    snprintf(best, sizeof best, "%.400s/run/best", folder);
    if (!xr_path_exists(best))
        return 0;
    if (check_all(best) == XR_OK)
        return save_of(best);
    if (honest)
        fail_msg("%s", xr_error_message());
    xr_error_clear();
    refusals++;
    return 0;
}

static void power_loss(void **state)
{
    (void)state;
    record_saves();
    replay(name_of, (extent){ 1, 30, 1000, 100 });
    for (int k = 1; k <= SAVES; k++)
        xr_free(weights[k]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test_setup(power_loss, clear_error) };
    return cmocka_run_group_tests(tests, make_disk_scratch, remove_scratch);
}
