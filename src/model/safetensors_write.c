/* Writing safetensors: header padded with spaces to 8 bytes, then every tensor's data in the given order. */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"

struct xr_st_writer {
    xr_outfile out;
    int fd;
    uint64_t left;              /* bytes that are still to come */
};

static uint64_t bytes_of(const xr_st_tensor *t)
{
    uint64_t bytes = xr_st_dtype_size(t->dtype);
    for (int i = 0; i < t->rank; i++)
        bytes *= t->shape[i];
    return bytes;
}

/* --- header ------------------------------------------------------------------------------------------------------- */

static xr_status append_tensor(xr_str *b, const xr_st_tensor *t, uint64_t begin)
{
    XR_TRY(xr_str_putc(b, ','));
    XR_TRY(xr_str_json_string(b, t->name, strlen(t->name)));
    XR_TRY(xr_str_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", xr_st_dtype_name(t->dtype)));
    for (int i = 0; i < t->rank; i++)
        XR_TRY(xr_str_printf(b, "%s%llu", i ? "," : "", (unsigned long long)t->shape[i]));
    return xr_str_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin, (unsigned long long)(begin + bytes_of(t)));
}

static xr_status build_header(xr_str *b, const xr_st_tensor *tensor, size_t n, uint64_t *bytes)
{
    *bytes = 0;
    XR_TRY(xr_str_puts(b, "{\"__metadata__\":{\"format\":\"pt\"}"));
    for (size_t i = 0; i < n; i++) {
        XR_TRY(append_tensor(b, &tensor[i], *bytes));
        *bytes += bytes_of(&tensor[i]);
    }
    XR_TRY(xr_str_putc(b, '}'));
    while (b->len % 8)
        XR_TRY(xr_str_putc(b, ' '));
    return XR_OK;
}

/* --- bytes -------------------------------------------------------------------------------------------------------- */

static xr_status write_all(const xr_st_writer *w, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(w->fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return xr_fail(XR_EIO, "%s: writing failed: %s", w->out.path, strerror(errno));
        done += (size_t)n;
    }
    return XR_OK;
}

static xr_status open_file(xr_st_writer *w, const char *path, const xr_str *header)
{
    uint64_t len = header->len;
    XR_TRY(xr_outfile_begin(&w->out, path));
    w->fd = xr_file_open(w->out.tmp, O_WRONLY | O_CREAT | O_TRUNC);
    if (w->fd < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be created: %s", path, strerror(errno));
    XR_TRY(write_all(w, &len, sizeof len));
    return write_all(w, header->s, header->len);
}

xr_st_writer *xr_st_writer_begin(const char *path, const xr_st_tensor *tensor, size_t n)
{
    xr_str header = { 0 };
    xr_st_writer *w = xr_alloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = -1;
    xr_status status = build_header(&header, tensor, n, &w->left);
    if (status == XR_OK)
        status = open_file(w, path, &header);
    xr_str_free(&header);
    if (status == XR_OK)
        return w;
    xr_st_writer_abort(w);
    return NULL;
}

xr_status xr_st_writer_put(xr_st_writer *w, const void *data, size_t len)
{
    XR_ASSERT(len <= w->left, "%s: %zu bytes more, %llu are left", w->out.path, len, (unsigned long long)w->left);
    w->left -= len;
    return write_all(w, data, len);
}

/* xr_outfile_commit does the fsync. */
xr_status xr_st_writer_commit(xr_st_writer *w)
{
    XR_ASSERT(w->left == 0, "%s: %llu bytes of the tensors are missing", w->out.path, (unsigned long long)w->left);
    int closed = close(w->fd);
    w->fd = -1;
    xr_status status = closed == 0 ? xr_outfile_commit(&w->out) : xr_fail(XR_EIO, "%s: closing failed: %s", w->out.path, strerror(errno));
    xr_st_writer_abort(w);
    return status;
}

void xr_st_writer_abort(xr_st_writer *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    xr_outfile_abort(&w->out);
    xr_free(w);
}

/* --- float tensors in memory --------------------------------------------------------------------------------------- */

static xr_status put_all(xr_st_writer *w, const xr_st_out *tensor, const xr_st_tensor *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        XR_TRY(xr_st_writer_put(w, tensor[i].data, (size_t)bytes_of(&t[i])));
    return XR_OK;
}

xr_status xr_st_write(const char *path, const xr_st_out *tensor, size_t n)
{
    xr_st_tensor *t = xr_alloc(n, sizeof *t);
    if (!t)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        t[i] = (xr_st_tensor){ .name = (char *)(uintptr_t)tensor[i].name, .dtype = XR_F32, .rank = tensor[i].rank,
                               .shape = { tensor[i].shape[0], tensor[i].shape[1] } };
    xr_st_writer *w = xr_st_writer_begin(path, t, n);
    xr_status status = w ? put_all(w, tensor, t, n) : xr_error_status();
    if (status == XR_OK)
        status = xr_st_writer_commit(w);
    else
        xr_st_writer_abort(w);
    xr_free(t);
    return status;
}
