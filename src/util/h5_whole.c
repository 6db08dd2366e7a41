/* Datasets of HDF5 files that are written in one go, in groups, with the room for them asked for beforehand. */
#include "util/h5_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "util/alloc.h"

#define WHOLE_CHUNK_BYTES ((size_t)1 << 20)

/* The groups on the way to `name`, made by hand: those that HDF5 makes by itself carry times. */
static xr_status make_groups(xr_h5_out *h, const char *name)
{
    xr_status status = XR_OK;
    hid_t create = H5Pcreate(H5P_GROUP_CREATE), id;
    char *path = xr_strdup(name);
    if (create < 0 || H5Pset_obj_track_times(create, 0) < 0)
        status = xr_h5_fail(XR_EIO, h->file.path, "making a group");
    for (char *s = path; s && status == XR_OK && (s = strchr(s + 1, '/'));) {
        *s = 0;
        if (H5Lexists(h->id, path, H5P_DEFAULT) <= 0) {
            id = H5Gcreate2(h->id, path, H5P_DEFAULT, create, H5P_DEFAULT);
            if (id < 0 || H5Gclose(id) < 0)
                status = xr_h5_fail(XR_EIO, h->file.path, "making a group");
        }
        *s = '/';
    }
    H5Pclose(create);
    xr_free(path);
    return path ? status : xr_error_status();
}

static int all_zero(const char *data, size_t bytes)
{
    return data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0;
}

/* A dataset of n elements, in chunks of `chunk`. */
static hid_t create_whole(xr_h5_out *h, const char *name, xr_h5_type type, hsize_t n, hsize_t chunk)
{
    hid_t id = H5I_INVALID_HID, space = H5Screate_simple(1, &n, NULL), create = H5Pcreate(H5P_DATASET_CREATE);
    if (space >= 0 && create >= 0 && H5Pset_chunk(create, 1, &chunk) >= 0 && H5Pset_fletcher32(create) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0)
        id = H5Dcreate2(h->id, name, xr_h5_file_type(type), space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (id < 0)
        xr_h5_fail(XR_EIO, h->file.path, "creating a dataset");
    H5Pclose(create);
    H5Sclose(space);
    return id;
}

static herr_t write_part(hid_t id, hid_t type, hsize_t first, hsize_t n, const void *data)
{
    hid_t space = H5Dget_space(id), memory = H5Screate_simple(1, &n, NULL);
    herr_t done = -1;
    if (space >= 0 && memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, NULL, &n, NULL) >= 0)
        done = H5Dwrite(id, type, memory, space, H5P_DEFAULT, data);
    H5Sclose(memory);
    H5Sclose(space);
    return done;
}

/* Known without the library, which may not have been started. */
static size_t type_size(xr_h5_type type)
{
    static const size_t bytes[] = { [XR_H5_F32] = 4, [XR_H5_U32] = 4, [XR_H5_U64] = 8, [XR_H5_U16] = 2, [XR_H5_F64] = 8 };
    return bytes[type];
}

static size_t whole_chunk(xr_h5_type type, size_t n)
{
    size_t most = WHOLE_CHUNK_BYTES / type_size(type);
    return most < n ? most : n;
}

size_t xr_h5_stored(xr_h5_type type, const void *data, size_t n)
{
    size_t size = type_size(type), chunk = whole_chunk(type, n), stored = 0;
    for (size_t at = 0; at < n; at += chunk) {
        size_t part = n - at < chunk ? n - at : chunk;
        stored += all_zero((const char *)data + at * size, part * size) ? 0 : chunk * size;
    }
    return stored;
}

xr_status xr_h5_write(xr_h5_out *h, const char *name, xr_h5_type type, const void *data, size_t n)
{
    const char *bytes = data;
    size_t size = type_size(type), chunk = whole_chunk(type, n);
    XR_TRY(make_groups(h, name));
    hid_t id = create_whole(h, name, type, n, chunk);
    xr_status status = id < 0 ? xr_error_status() : XR_OK;
    for (size_t at = 0; at < n && status == XR_OK; at += chunk) {
        size_t part = n - at < chunk ? n - at : chunk;
        if (!all_zero(bytes + at * size, part * size) && write_part(id, xr_h5_memory_type(type), at, part, bytes + at * size) < 0)
            status = xr_h5_fail(XR_EIO, h->file.path, "writing");
    }
    if (id >= 0 && xr_h5_close_dataset(h, id) < 0)
        status = xr_error_status();
    return status;
}

/* By a descriptor of our own: blocks are had behind the end of the file, whose length HDF5 minds. */
xr_status xr_h5_reserve(xr_h5_out *h, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
        return xr_fail(XR_EIO, "%s: %zu bytes are needed, files may have %llu here (ulimit -f)", h->file.path, bytes, (unsigned long long)limit.rlim_cur);
    int fd = xr_file_open(h->file.tmp, O_WRONLY), done = -1, why = errno;
    if (fd >= 0) {
        done = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
        why = errno;
        close(fd);
    }
    h->reserved |= done == 0;
    if (done < 0 && why != EOPNOTSUPP && why != ENOSYS)
        return xr_fail(XR_EIO, "%s: %zu bytes cannot be had: %s", h->file.path, bytes, strerror(why));
    return XR_OK;
}
