/* Writing safetensors: header padded with spaces to 8 bytes, then every tensor's data in the given order. */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/fs.h"
#include "util/json.h"

static xr_status write_all(int fd, const char *path, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return xr_fail(XR_EIO, "%s: writing failed: %s", path, strerror(errno));
        done += (size_t)n;
    }
    return XR_OK;
}

static uint64_t bytes_of(const xr_st_out *t)
{
    return sizeof(float) * t->shape[0] * (t->rank == 2 ? t->shape[1] : 1);
}

static xr_status append_tensor(xr_str *b, const xr_st_out *t, uint64_t begin)
{
    XR_ASSERT(t->rank == 1 || t->rank == 2, "%s: rank %d", t->name, t->rank);
    XR_TRY(xr_str_putc(b, ','));
    XR_TRY(xr_str_json_string(b, t->name, strlen(t->name)));
    XR_TRY(xr_str_printf(b, ":{\"dtype\":\"F32\",\"shape\":[%llu", (unsigned long long)t->shape[0]));
    if (t->rank == 2)
        XR_TRY(xr_str_printf(b, ",%llu", (unsigned long long)t->shape[1]));
    return xr_str_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin, (unsigned long long)(begin + bytes_of(t)));
}

static xr_status build_header(xr_str *b, const xr_st_out *tensor, size_t n)
{
    uint64_t at = 0;
    XR_TRY(xr_str_puts(b, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (size_t i = 0; i < n; i++) {
        XR_TRY(append_tensor(b, &tensor[i], at));
        at += bytes_of(&tensor[i]);
    }
    XR_TRY(xr_str_putc(b, '}'));
    while (b->len % 8)
        XR_TRY(xr_str_putc(b, ' '));
    return XR_OK;
}

static xr_status write_parts(int fd, const char *path, const xr_str *header, const xr_st_out *tensor, size_t n)
{
    uint64_t len = header->len;
    XR_TRY(write_all(fd, path, &len, sizeof len));
    XR_TRY(write_all(fd, path, header->s, header->len));
    for (size_t i = 0; i < n; i++)
        XR_TRY(write_all(fd, path, tensor[i].data, (size_t)bytes_of(&tensor[i])));
    return XR_OK;
}

static xr_status write_file(const char *path, const char *shown, const xr_str *header, const xr_st_out *tensor, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be created: %s", shown, strerror(errno));
    xr_status status = write_parts(fd, shown, header, tensor, n);
    if (close(fd) < 0 && status == XR_OK)
        status = xr_fail(XR_EIO, "%s: closing failed: %s", shown, strerror(errno));
    return status;
}

/* xr_outfile_commit does the fsync. */
xr_status xr_st_write(const char *path, const xr_st_out *tensor, size_t n)
{
    xr_str header = { 0 };
    xr_outfile out = { 0 };
    xr_status status = build_header(&header, tensor, n);
    if (status == XR_OK)
        status = xr_outfile_begin(&out, path);
    if (status == XR_OK)
        status = write_file(out.tmp, path, &header, tensor, n);
    if (status == XR_OK)
        status = xr_outfile_commit(&out);
    else
        xr_outfile_abort(&out);
    xr_str_free(&header);
    return status;
}
