/* xlmr verify: whether what lies at a path is what was written (train/verify.c). */
#include "cli/cmd.h"
#include "train/verify.h"
#include "util/log.h"

static xr_status print_lines(const xr_verdict *v)
{
    size_t i;
    json_t *check;
    json_array_foreach(v->checks, i, check) {
        const char *what = json_string_value(json_object_get(check, "what")), *message = json_string_value(json_object_get(check, "message"));
        if (json_is_true(json_object_get(check, "ok")))
            XR_TRY(xr_out("ok   %s: %s\n", what, message));
        else
            XR_TRY(xr_out("BAD  %s\n", message));
    }
    return XR_OK;
}

static xr_status print_json(const char *path, const xr_verdict *v)
{
    json_t *j = json_pack("{ss sb sI sO}", "path", path, "ok", v->n_bad == 0, "bad", (json_int_t)v->n_bad, "checks", v->checks);
    xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "verify: out of memory for JSON");
    json_decref(j);
    return status;
}

static xr_status verify(const xr_options *o, const char *path, size_t *bad, size_t *n)
{
    xr_verdict v;
    xr_status status = xr_verify(path, &v);
    if (status == XR_OK)
        status = o->json ? print_json(path, &v) : print_lines(&v);
    *bad += v.n_bad;
    *n += v.n;
    json_decref(v.checks);
    return status;
}

/* Of several paths one that is nothing to verify does not keep the others from it. */
static xr_status verify_or_say(const xr_options *o, const char *path, size_t *bad, size_t *n)
{
    xr_status status = verify(o, path, bad, n);
    if (status >= 0 || o->n_args == 1 || (status != XR_EDATA && status != XR_ENOINPUT))
        return status;
    xr_warn("%s", xr_error_message());
    xr_error_clear();
    ++*bad;
    ++*n;
    return XR_OK;
}

static xr_status run(const xr_options *o)
{
    size_t bad = 0, n = 0;
    if (o->n_args == 0)
        return xr_fail(XR_EUSAGE, "verify: no path given; give a run, sweep, checkpoint, token store, model directory or file");
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(verify_or_say(o, o->args[i], &bad, &n));
    return bad == 0 ? XR_OK : xr_fail(XR_EDATA, "%s%s: %zu of %zu checks failed; they are named above, each with what to do", o->args[0],
                                      o->n_args > 1 ? " and others" : "", bad, n);
}

const xr_cmd xr_cmd_verify = {
    "verify", XR_V_VERIFY, "whether a run, sweep, checkpoint, token store or model is whole: digests, structure, tokenizer, numbers", "PATH ...",
    "xlmr verify my-run my-sweep\n"
    "xlmr verify my-run/checkpoints/step-00001000\n"
    "xlmr verify xlm-roberta-base corpus-store\n",
    run,
};
