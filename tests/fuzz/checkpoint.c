/* A checkpoint whose digests are right, as an attacker would make it. The first byte chooses whether what follows is state.h5 itself, which HDF5 has to stand,
 * or says how a whole file differs from what a run expects, which we have to; and whether verify or inspect looks at it. */
#include "fuzz_h5.h"

#include "train/checkpoint.h"
#include "train/inspect.h"
#include "train/verify.h"
#include "util/manifest.h"

enum { WEIGHTS = 6, MOMENTS = 4, ROWS = 4 };
static const float weight[WEIGHTS] = { 1, -2, 3, 0.5f, 0, 9 };
static const uint16_t moment[MOMENTS] = { 0x3F80, 0, 0x4000, 0xBF80 };
static const uint64_t step = 7;
static const double best = 0.25;

/* What is refused is no fault of the disk or the memory. */
static xr_status load(void)
{
    float w[WEIGHTS];
    uint16_t m[MOMENTS];
    uint64_t s;
    double b;
    xr_state_row row[ROWS] = { { (char[]){ "param/layer.weight" }, XR_STATE_F32, WEIGHTS, w },
                               { (char[]){ "moment0/layer.weight" }, XR_STATE_BF16, MOMENTS, m },
                               { (char[]){ "run/step" }, XR_STATE_U64, 1, &s }, { (char[]){ "run/best" }, XR_STATE_F64, 1, &b } };
    memset(w, 0, sizeof w);
    memset(m, 0, sizeof m);
    s = 0;
    b = 0;
    xr_status status = xr_checkpoint_load(fuzz_path("checkpoint"), &(xr_state){ row, ROWS, ROWS }, NULL);
    if (status != XR_OK && status != XR_EDATA)
        abort();
    xr_error_clear();
    return status;
}

static void verify(void)
{
    xr_verdict v;
    if (xr_verify(fuzz_path("checkpoint"), &v) < 0)
        abort();
    json_decref(v.checks);
}

static void seal(void)
{
    json_t *files = json_object();
    json_t *j = json_pack("{ss si si sO si}", "format", "xlmr-checkpoint", "format_version", 1, "step", 7, "files", files, "rows", ROWS);
    if (xr_manifest_add(files, fuzz_path("checkpoint"), "state.h5") || xr_manifest_write(fuzz_path("checkpoint/MANIFEST.json"), j))
        abort();
    json_decref(j);
    json_decref(files);
}

static void build(fuzz_bytes in)
{
    const fuzz_wish wish[] = {
        { .text_name = "format", .text = "xlmr-state" },
        { "param/layer/weight", H5T_IEEE_F32LE, WEIGHTS, weight, "name", "param/layer.weight" },
        { "moment0/layer/weight", H5T_STD_U16LE, MOMENTS, moment, "element", "bf16" },
        { "run/step", H5T_STD_U64LE, 1, &step, "name", "run/step" },
        { "run/best", H5T_IEEE_F64LE, 1, &best, "name", "run/best" },
    };
    fuzz_h5("checkpoint/state.h5", wish, sizeof wish / sizeof *wish, &in);
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    if (data[0] & 1)
        build((fuzz_bytes){ data + 1, n - 1 });
    else
        fuzz_put("checkpoint/state.h5", data + 1, n - 1);
    seal();
    load();
    if (data[0] & 2)
        json_decref(xr_inspect(fuzz_path("checkpoint")));
    else
        verify();
    fuzz_h5_closed();
}

static void fuzz_seeds(char **argv)
{
    char zeros[40] = { 1 };
    fuzz_h5_begin();
    if (xr_mkdirs(fuzz_path("checkpoint")))
        abort();
    build((fuzz_bytes){ NULL, 0 });
    seal();
    if (load() != XR_OK)
        abort();
    fuzz_seed_of(argv, "state", 0, "checkpoint/state.h5");
    fuzz_seed(argv, "as-wished", zeros, sizeof zeros);
    zeros[0] = 3;
    fuzz_seed(argv, "inspected", zeros, sizeof zeros);
}
