#include "train/tensorboard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/crc32c.h"
#include "util/fs.h"

/* Numbers of fields in TensorFlow's event.proto and summary.proto. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP = 2, EVENT_VERSION = 3, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, SESSION_STATUS = 1, SESSION_START = 1 };
enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static const char prefix[] = "events.out.tfevents.";

/* --- protocol buffers ------------------------------------------------------------------------------------------- */

static xr_status put_little(xr_str *s, uint64_t x, int bytes)
{
    for (int i = 0; i < bytes; i++)
        XR_TRY(xr_str_putc(s, (char)(x >> (8 * i))));
    return XR_OK;
}

static xr_status put_varint(xr_str *s, uint64_t x)
{
    for (; x > 127; x >>= 7)
        XR_TRY(xr_str_putc(s, (char)(0x80 | (x & 127))));
    return xr_str_putc(s, (char)x);
}

static xr_status put_key(xr_str *s, unsigned field, unsigned wire)
{
    return put_varint(s, field << 3 | wire);
}

static xr_status put_bytes(xr_str *s, unsigned field, const char *data, size_t n)
{
    XR_TRY(put_key(s, field, WIRE_BYTES));
    XR_TRY(put_varint(s, n));
    return xr_str_append(s, data, n);
}

/* --- records ---------------------------------------------------------------------------------------------------- */

/* Masked, because the checksum of data that hold their own checksum says little. */
static uint32_t masked_crc(const void *data, size_t n)
{
    uint32_t crc = xr_crc32c(data, n);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static xr_status frame(xr_str *record, const xr_str *event)
{
    XR_TRY(put_little(record, event->len, 8));
    XR_TRY(put_little(record, masked_crc(record->s, 8), 4));
    XR_TRY(xr_str_append(record, event->s, event->len));
    return put_little(record, masked_crc(event->s, event->len), 4);
}

/* An event of now with one field besides its step. */
static xr_status compose(xr_str *event, uint64_t step, unsigned field, const char *data, size_t n)
{
    struct timespec now;
    uint64_t bits;
    clock_gettime(CLOCK_REALTIME, &now);
    double wall = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
    memcpy(&bits, &wall, sizeof bits);
    XR_TRY(put_key(event, EVENT_WALL_TIME, WIRE_64));
    XR_TRY(put_little(event, bits, 8));
    XR_TRY(put_key(event, EVENT_STEP, WIRE_VARINT));
    XR_TRY(put_varint(event, step));
    return put_bytes(event, field, data, n);
}

/* In one piece, so that a reader sees it whole. */
static xr_status write_event(xr_tensorboard *b, uint64_t step, unsigned field, const char *data, size_t n)
{
    xr_str event = { 0 }, record = { 0 };
    xr_status status = compose(&event, step, field, data, n);
    if (status == XR_OK)
        status = frame(&record, &event);
    if (status == XR_OK && (fwrite(record.s, 1, record.len, b->file) != record.len || fflush(b->file) != 0))
        status = xr_fail(XR_EIO, "%s: writing failed: %s", b->path, strerror(errno));
    xr_str_free(&event);
    xr_str_free(&record);
    return status;
}

/* --- scalars ---------------------------------------------------------------------------------------------------- */

/* Numbers that are none stand as words in the lines; TensorBoard shows them as such. Counts are integers there, and no figures. */
static int is_figure(const json_t *x)
{
    const char *s = json_string_value(x);
    return json_is_real(x) || (s && (strcmp(s, "nan") == 0 || strcmp(s, "inf") == 0 || strcmp(s, "-inf") == 0));
}

static float figure(const json_t *x)
{
    return json_is_real(x) ? (float)json_real_value(x) : strtof(json_string_value(x), NULL);
}

static xr_status put_value(xr_str *value, const char *tag, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    XR_TRY(put_bytes(value, VALUE_TAG, tag, strlen(tag)));
    XR_TRY(put_key(value, VALUE_SIMPLE, WIRE_32));
    return put_little(value, bits, 4);
}

/* Adds GROUP/NAME or GROUP/NAME/LANGUAGE to a summary, if x is a figure. */
static xr_status add(xr_str *summary, const char *group, const char *name, const char *language, const json_t *x)
{
    xr_str tag = { 0 }, value = { 0 };
    if (!is_figure(x))
        return XR_OK;
    xr_status status = xr_str_printf(&tag, "%s/%s%s%s", group, name, language ? "/" : "", language ? language : "");
    if (status == XR_OK)
        status = put_value(&value, tag.s, figure(x));
    if (status == XR_OK)
        status = put_bytes(summary, SUMMARY_VALUE, value.s, value.len);
    xr_str_free(&tag);
    xr_str_free(&value);
    return status;
}

static xr_status add_named(xr_str *summary, const json_t *line, const char *const *name)
{
    for (; *name; name++)
        XR_TRY(add(summary, "train", *name, NULL, json_object_get(line, *name)));
    return XR_OK;
}

static xr_status add_evaluation(xr_str *summary, json_t *line)
{
    const char *name, *language;
    json_t *x, *one;
    json_object_foreach(line, name, x)
        XR_TRY(add(summary, "eval", name, NULL, x));
    json_object_foreach(json_object_get(line, "languages"), language, one)
        json_object_foreach(one, name, x)
            XR_TRY(add(summary, "eval", name, language, x));
    return XR_OK;
}

static xr_status write_summary(xr_tensorboard *b, const json_t *line, xr_str *summary, xr_status status)
{
    if (status == XR_OK && summary->len)
        status = write_event(b, (uint64_t)json_integer_value(json_object_get(line, "step")), EVENT_SUMMARY, summary->s, summary->len);
    xr_str_free(summary);
    return status;
}

xr_status xr_tensorboard_metrics(xr_tensorboard *b, const json_t *line)
{
    static const char *const train[] = { "loss", "lr", "grad_norm", NULL };
    const char *event = json_string_value(json_object_get(line, "event"));
    xr_str summary = { 0 };
    if (!event)
        return write_summary(b, line, &summary, add_named(&summary, line, train));
    if (strcmp(event, "eval") == 0)
        return write_summary(b, line, &summary, add_evaluation(&summary, (json_t *)line));
    return XR_OK;
}

xr_status xr_tensorboard_timing(xr_tensorboard *b, const json_t *line)
{
    static const char *const train[] = { "tokens_per_s", "rss_mb", NULL };
    xr_str summary = { 0 };
    return write_summary(b, line, &summary, add_named(&summary, line, train));
}

/* --- files ------------------------------------------------------------------------------------------------------ */

/* The latest time in the names there. */
static xr_status latest(const char *path, const char *name, void *context)
{
    long long *second = context, at;
    (void)path;
    if (strncmp(name, prefix, sizeof prefix - 1) == 0 && (at = strtoll(name + sizeof prefix - 1, NULL, 10)) > *second)
        *second = at;
    return XR_OK;
}

/* Names sort by time; a start within the second of another, or after the clock was put back, takes the next second. */
static char *new_name(const char *dir)
{
    char host[128] = "host";
    long long last = 0, now = (long long)time(NULL);
    if (xr_dir_each(dir, latest, &last) < 0)
        return NULL;
    gethostname(host, sizeof host - 1);
    return xr_asprintf("%s/%s%010lld.%s.%ld.0", dir, prefix, now > last ? now : last + 1, host, (long)getpid());
}

/* TensorBoard forgets what it has read of `step` and later when a session starts there. */
static xr_status write_head(xr_tensorboard *b, int go_on, uint64_t step)
{
    static const char version[] = "brain.Event:2", start[] = { SESSION_STATUS << 3 | WIRE_VARINT, SESSION_START };
    XR_TRY(write_event(b, 0, EVENT_VERSION, version, sizeof version - 1));
    return go_on ? write_event(b, step, EVENT_SESSION, start, sizeof start) : XR_OK;
}

xr_status xr_tensorboard_open(xr_tensorboard *b, const char *dir, int go_on, uint64_t step)
{
    memset(b, 0, sizeof *b);
    XR_TRY(xr_mkdirs(dir));
    b->path = new_name(dir);
    if (!b->path)
        return xr_error_status();
    b->file = fopen(b->path, "wb");
    if (!b->file)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be created: %s", b->path, strerror(errno));
    return write_head(b, go_on, step);
}

xr_status xr_tensorboard_close(xr_tensorboard *b)
{
    xr_status status = XR_OK;
    if (b->file && fclose(b->file) != 0)
        status = xr_fail(XR_EIO, "%s: writing failed: %s", b->path, strerror(errno));
    xr_free(b->path);
    memset(b, 0, sizeof *b);
    return status;
}
