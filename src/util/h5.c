/* HDF5 files, written so that damage is found and a failure leaves nothing behind (docs/decisions.md, training
 * state). */
#include "util/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/str.h"

enum { DATASET_CAP = 16 };
#define CHUNK_BYTES ((size_t)64 << 10)   /* also the least a dataset with rows takes on disk */
#define WHOLE_CHUNK_BYTES ((size_t)1 << 20) /* of a dataset whose size is known: as much as HDF5's chunk cache */

typedef struct dataset { hid_t id; xr_h5_type type; size_t cols; hsize_t rows; } dataset;

struct xr_h5_out {
    xr_outfile file;
    hid_t id;                   /* < 0 once closed */
    int reserved;               /* the file has blocks behind its end */
    dataset set[DATASET_CAP];
    int n_sets;
};

/* After a failed close the library's tables cannot be trusted: no further call is made into it. */
static atomic_int poisoned;

/* Before the library's first use: without this it crashes at exit after a write that failed (reliability, finding
 * 5). */
static void before_first_use(void)
{
    (void)H5dont_atexit();
    (void)H5open();
    (void)H5PLset_loading_state(0);
}

static xr_status start(const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (atomic_load(&poisoned))
        return xr_fail(XR_EIO, "%s: HDF5 is not used any more after an earlier failed close; start the program again",
                       path);
    pthread_once(&once, before_first_use);
    (void)H5Eset_auto2(H5E_DEFAULT, NULL, NULL);    /* per thread in a thread-safe library */
    return XR_OK;
}

static herr_t keep_first(unsigned n, const H5E_error2_t *e, void *text)
{
    if (n == 0)
        (void)xr_str_puts(text, e->desc);
    return 0;
}

/* HDF5's own words for the failure just seen: the innermost entry of its stack. */
static xr_status h5_fail(xr_status status, const char *path, const char *what)
{
    xr_str text = { 0 };
    (void)H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &text);
    status = xr_fail(status, "%s: %s failed: %s", path, what, text.s ? text.s : "HDF5 gives no reason");
    xr_str_free(&text);
    return status;
}

static hid_t memory_type(xr_h5_type type)
{
    switch (type) {
    case XR_H5_F32: return H5T_NATIVE_FLOAT;
    case XR_H5_F64: return H5T_NATIVE_DOUBLE;
    case XR_H5_U32: return H5T_NATIVE_UINT32;
    default: return H5T_NATIVE_UINT64;
    }
}

static hid_t file_type(xr_h5_type type)
{
    switch (type) {
    case XR_H5_F32: return H5T_IEEE_F32LE;
    case XR_H5_F64: return H5T_IEEE_F64LE;
    case XR_H5_U32: return H5T_STD_U32LE;
    default: return H5T_STD_U64LE;
    }
}

static hid_t create_file(const char *path)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_FILE_CREATE), id = H5I_INVALID_HID;
    if (access >= 0 && create >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0)
        id = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    if (id < 0)
        h5_fail(XR_ECANTCREAT, path, "creating the HDF5 file");
    H5Pclose(create);
    H5Pclose(access);
    return id;
}

xr_h5_out *xr_h5_create(const char *path)
{
    if (start(path) < 0)
        return NULL;
    xr_h5_out *h = xr_alloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->id = H5I_INVALID_HID;
    if (xr_outfile_begin(&h->file, path) == XR_OK)
        h->id = create_file(h->file.tmp);
    if (h->id < 0) {
        xr_h5_abort(h);
        return NULL;
    }
    return h;
}

/* A dataset without rows. Chunks hold about CHUNK_BYTES, at least one row. */
static hid_t create_dataset(xr_h5_out *h, const char *name, hid_t type, size_t cols)
{
    hsize_t now[2] = { 0, cols }, max[2] = { H5S_UNLIMITED, cols };
    size_t row = H5Tget_size(type) * (cols ? cols : 1);
    hsize_t chunk[2] = { row < CHUNK_BYTES ? CHUNK_BYTES / row : 1, cols };
    int rank = cols ? 2 : 1;
    hid_t id = H5I_INVALID_HID, space = H5Screate_simple(rank, now, max), create = H5Pcreate(H5P_DATASET_CREATE);
    if (space >= 0 && create >= 0 && H5Pset_chunk(create, rank, chunk) >= 0 && H5Pset_fletcher32(create) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0)
        id = H5Dcreate2(h->id, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (id < 0)
        h5_fail(XR_EIO, h->file.path, "creating a dataset");
    H5Pclose(create);
    H5Sclose(space);
    return id;
}

int xr_h5_dataset(xr_h5_out *h, const char *name, xr_h5_type type, size_t cols)
{
    XR_ASSERT(h->n_sets < DATASET_CAP, "more than %d datasets", DATASET_CAP);
    hid_t id = create_dataset(h, name, file_type(type), cols);
    if (id < 0)
        return xr_error_status();
    h->set[h->n_sets] = (dataset){ id, type, cols, 0 };
    return h->n_sets++;
}

/* Rows [at, at + n) of a dataset that is made longer for them. */
static xr_status write_rows(xr_h5_out *h, hid_t id, hid_t type, size_t cols, hsize_t at, const void *rows, size_t n)
{
    hsize_t size[2] = { at + n, cols }, first[2] = { at, 0 }, count[2] = { n, cols };
    int rank = cols ? 2 : 1;
    if (H5Dset_extent(id, size) < 0)
        return h5_fail(XR_EIO, h->file.path, "extending a dataset");
    hid_t space = H5Dget_space(id), memory = H5Screate_simple(rank, count, NULL);
    xr_status status = XR_OK;
    if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, count, NULL) < 0 ||
        H5Dwrite(id, type, memory, space, H5P_DEFAULT, rows) < 0)
        status = h5_fail(XR_EIO, h->file.path, "writing");
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

xr_status xr_h5_append(xr_h5_out *h, int number, const void *rows, size_t n)
{
    XR_ASSERT(number >= 0 && number < h->n_sets, "dataset %d of %d", number, h->n_sets);
    dataset *d = &h->set[number];
    if (n == 0)
        return XR_OK;
    XR_TRY(write_rows(h, d->id, memory_type(d->type), d->cols, d->rows, rows, n));
    d->rows += n;
    return XR_OK;
}

static xr_status close_dataset(const xr_h5_out *h, hid_t id)
{
    if (H5Dclose(id) >= 0)
        return XR_OK;
    atomic_store(&poisoned, 1);
    return h5_fail(XR_EIO, h->file.path, "closing a dataset");
}

/* The groups on the way to `name`, made by hand: those that HDF5 makes by itself carry times. */
static xr_status make_groups(xr_h5_out *h, const char *name)
{
    xr_status status = XR_OK;
    hid_t create = H5Pcreate(H5P_GROUP_CREATE), id;
    char *path = xr_strdup(name);
    if (create < 0 || H5Pset_obj_track_times(create, 0) < 0)
        status = h5_fail(XR_EIO, h->file.path, "making a group");
    for (char *s = path; s && status == XR_OK && (s = strchr(s + 1, '/'));) {
        *s = 0;
        if (H5Lexists(h->id, path, H5P_DEFAULT) <= 0) {
            id = H5Gcreate2(h->id, path, H5P_DEFAULT, create, H5P_DEFAULT);
            if (id < 0 || H5Gclose(id) < 0)
                status = h5_fail(XR_EIO, h->file.path, "making a group");
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
        id = H5Dcreate2(h->id, name, file_type(type), space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (id < 0)
        h5_fail(XR_EIO, h->file.path, "creating a dataset");
    H5Pclose(create);
    H5Sclose(space);
    return id;
}

/* Elements [first, first + n) between the file and `memory`, which is read into when `into` is set, else written from. */
static herr_t transfer(hid_t id, hid_t type, hsize_t first, hsize_t n, void *into, const void *from)
{
    hid_t space = H5Dget_space(id), memory = H5Screate_simple(1, &n, NULL);
    herr_t done = -1;
    if (space >= 0 && memory >= 0 && H5Sselect_hyperslab(space, H5S_SELECT_SET, &first, NULL, &n, NULL) >= 0)
        done = into ? H5Dread(id, type, memory, space, H5P_DEFAULT, into) : H5Dwrite(id, type, memory, space, H5P_DEFAULT, from);
    H5Sclose(memory);
    H5Sclose(space);
    return done;
}

static size_t type_size(xr_h5_type type)
{
    return type == XR_H5_F32 || type == XR_H5_U32 ? 4 : 8;
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
        if (!all_zero(bytes + at * size, part * size) && transfer(id, memory_type(type), at, part, NULL, bytes + at * size) < 0)
            status = h5_fail(XR_EIO, h->file.path, "writing");
    }
    if (id >= 0 && close_dataset(h, id) < 0)
        status = xr_error_status();
    return status;
}

/* By a descriptor of our own: blocks are had behind the end of the file, whose length HDF5 minds. */
xr_status xr_h5_reserve(xr_h5_out *h, size_t bytes)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && bytes > limit.rlim_cur)
        return xr_fail(XR_EIO, "%s: %zu bytes are needed, files may have %llu here (ulimit -f)", h->file.path, bytes, (unsigned long long)limit.rlim_cur);
    int fd = open(h->file.tmp, O_WRONLY | O_CLOEXEC), done = -1, why = errno;
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

/* Fixed-length UTF-8, as long as the longest; HDF5 has no strings of length 0. */
static hid_t string_type(size_t len)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, len ? len : 1) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    H5Tclose(type);
    return H5I_INVALID_HID;
}

/* In blocks, so that the padded copy stays small. */
static xr_status write_strings(xr_h5_out *h, hid_t id, hid_t type, const char *const *strings, size_t n)
{
    size_t width = H5Tget_size(type), block = width < CHUNK_BYTES ? CHUNK_BYTES / width : 1;
    xr_status status = XR_OK;
    for (size_t at = 0; at < n && status == XR_OK; at += block) {
        size_t rows = n - at < block ? n - at : block;
        char *padded = xr_alloc(rows, width);
        if (!padded)
            return xr_error_status();
        for (size_t i = 0; i < rows; i++)
            memcpy(padded + i * width, strings[at + i], strlen(strings[at + i]));
        status = write_rows(h, id, type, 0, at, padded, rows);
        xr_free(padded);
    }
    return status;
}

xr_status xr_h5_strings(xr_h5_out *h, const char *name, const char *const *strings, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (strlen(strings[i]) > longest)
            longest = strlen(strings[i]);
    hid_t type = string_type(longest);
    if (type < 0)
        return h5_fail(XR_EIO, h->file.path, "making a string type");
    hid_t id = create_dataset(h, name, type, 0);
    xr_status status = id < 0 ? xr_error_status() : write_strings(h, id, type, strings, n);
    H5Tclose(type);
    if (id >= 0 && close_dataset(h, id) < 0)
        status = xr_error_status();
    return status;
}

xr_status xr_h5_attribute(xr_h5_out *h, const char *object, const char *name, const char *value)
{
    hid_t type = string_type(strlen(value)), space = H5Screate(H5S_SCALAR), id = H5I_INVALID_HID;
    if (type >= 0 && space >= 0)
        id = H5Acreate_by_name(h->id, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    xr_status status = XR_OK;
    if (id < 0 || H5Awrite(id, type, value) < 0 || H5Aclose(id) < 0)
        status = h5_fail(XR_EIO, h->file.path, "writing an attribute");
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

/* Chunked data reach the disk here at the latest, so this is where a full disk shows. */
static xr_status close_all(xr_h5_out *h)
{
    xr_status status = XR_OK;
    for (int i = 0; i < h->n_sets && !atomic_load(&poisoned); i++)
        if (close_dataset(h, h->set[i].id) < 0)
            status = xr_error_status();
    h->n_sets = 0;
    if (!atomic_load(&poisoned) && H5Fclose(h->id) < 0) {
        atomic_store(&poisoned, 1);
        status = h5_fail(XR_EIO, h->file.path, "closing the file");
    }
    h->id = H5I_INVALID_HID;
    return status;
}

/* What was asked for and not used goes back; a failure only wastes room. */
static void release(const xr_h5_out *h)
{
    struct stat st;
    if (h->reserved && stat(h->file.tmp, &st) == 0 && truncate(h->file.tmp, st.st_size) < 0)
        return;
}

xr_status xr_h5_commit(xr_h5_out *h)
{
    xr_status status = XR_OK;
    if (H5Fflush(h->id, H5F_SCOPE_GLOBAL) < 0)
        status = h5_fail(XR_EIO, h->file.path, "flushing the file");
    if (close_all(h) < 0)
        status = xr_error_status();
    release(h);
    if (status == XR_OK)
        status = xr_outfile_commit(&h->file);
    xr_outfile_abort(&h->file);
    xr_free(h);
    return status;
}

void xr_h5_abort(xr_h5_out *h)
{
    if (!h)
        return;
    /* Trouble while giving up is no news to the caller, and the first cause stays. */
    int pending = xr_error_status() < 0;
    if (h->id >= 0)
        (void)close_all(h);
    if (!pending)
        xr_error_clear();
    xr_outfile_abort(&h->file);
    xr_free(h);
}

static hid_t open_file(const char *path)
{
    if (start(path) < 0)
        return H5I_INVALID_HID;
    if (!xr_path_exists(path)) {
        xr_fail(XR_ENOINPUT, "%s: does not exist or cannot be opened", path);
        return H5I_INVALID_HID;
    }
    hid_t id = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (id < 0)
        h5_fail(XR_EDATA, path, "opening the HDF5 file");
    return id;
}

/* Reads the whole dataset as memory_type into rows x cols elements of `size` bytes. */
static void *read_dataset(const char *path, hid_t id, hid_t type, size_t size, size_t *rows, size_t *cols)
{
    hsize_t dims[2] = { 0, 1 };
    hid_t space = H5Dget_space(id);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank < 1 || rank > 2 || H5Sget_simple_extent_dims(space, dims, NULL) < 0) {
        xr_fail(XR_EDATA, "%s: a dataset of rank %d; 1 or 2 was expected", path, rank);
        H5Sclose(space);
        return NULL;
    }
    H5Sclose(space);
    *rows = dims[0];
    *cols = dims[1];
    void *data = NULL;
    size_t width;
    if (__builtin_mul_overflow(dims[1], size, &width))
        xr_fail(XR_EDATA, "%s: a dataset of %llu columns is too large", path, (unsigned long long)dims[1]);
    else
        data = xr_alloc(dims[0], width);
    if (data && dims[0] && H5Dread(id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
        h5_fail(XR_EDATA, path, "reading a dataset");
        xr_free(data);
        data = NULL;
    }
    return data;
}

/* type < 0: the dataset's own string type. cols then is the width in bytes. */
static void *read_named(const char *path, const char *name, hid_t type, size_t *rows, size_t *cols)
{
    void *data = NULL;
    hid_t file = open_file(path);
    if (file < 0)
        return NULL;
    hid_t id = H5Dopen2(file, name, H5P_DEFAULT), stored = id < 0 ? H5I_INVALID_HID : H5Dget_type(id);
    H5T_class_t class = stored < 0 ? H5T_NO_CLASS : H5Tget_class(stored);
    if (class == H5T_NO_CLASS)
        h5_fail(XR_EDATA, path, "opening a dataset");
    else if (class != (type < 0 ? H5T_STRING : H5Tget_class(type)) || H5Tis_variable_str(stored) > 0)
        xr_fail(XR_EDATA, "%s: dataset \"%s\" has another type than expected", path, name);
    else
        data = read_dataset(path, id, type < 0 ? stored : type, H5Tget_size(type < 0 ? stored : type), rows, cols);
    if (data && type < 0)
        *cols *= H5Tget_size(stored);
    H5Tclose(stored);
    H5Dclose(id);
    H5Fclose(file);
    return data;
}

void *xr_h5_read(const char *path, const char *name, xr_h5_type type, size_t *rows, size_t *cols)
{
    if (start(path) < 0)
        return NULL;
    return read_named(path, name, memory_type(type), rows, cols);
}

char *xr_h5_read_strings(const char *path, const char *name, size_t *rows, size_t *cols)
{
    return read_named(path, name, H5I_INVALID_HID, rows, cols);
}

char *xr_h5_read_attribute(const char *path, const char *object, const char *name)
{
    char *text = NULL;
    hid_t file = open_file(path);
    if (file < 0)
        return NULL;
    hid_t id = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = id < 0 ? H5I_INVALID_HID : H5Aget_type(id);
    if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0)
        h5_fail(XR_EDATA, path, "opening a text attribute");
    else
        text = xr_alloc(H5Tget_size(type) + 1, 1);
    if (text && H5Aread(id, type, text) < 0) {
        h5_fail(XR_EDATA, path, "reading an attribute");
        xr_free(text);
        text = NULL;
    }
    H5Tclose(type);
    H5Aclose(id);
    H5Fclose(file);
    return text;
}

struct xr_h5_in { char *path; hid_t id; };

xr_h5_in *xr_h5_open(const char *path)
{
    xr_h5_in *h = xr_alloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->path = xr_strdup(path);
    h->id = h->path ? open_file(path) : H5I_INVALID_HID;
    if (h->id >= 0)
        return h;
    xr_h5_close(h);
    return NULL;
}

void xr_h5_close(xr_h5_in *h)
{
    if (h && h->id >= 0)
        H5Fclose(h->id);
    if (h)
        xr_free(h->path);
    xr_free(h);
}

/* The dataset, with its length; it has rank 1 and this very type. */
static hid_t open_vector(xr_h5_in *h, const char *name, xr_h5_type type, hsize_t *n)
{
    hid_t id = H5Dopen2(h->id, name, H5P_DEFAULT);
    if (id < 0) {
        xr_fail(XR_EDATA, "%s: has no dataset \"%s\"", h->path, name);
        return id;
    }
    hid_t stored = H5Dget_type(id), space = H5Dget_space(id);
    int good = stored >= 0 && space >= 0 && H5Tequal(stored, file_type(type)) > 0 && H5Sget_simple_extent_ndims(space) == 1 &&
               H5Sget_simple_extent_dims(space, n, NULL) == 1;
    H5Sclose(space);
    H5Tclose(stored);
    if (good)
        return id;
    H5Dclose(id);
    xr_fail(XR_EDATA, "%s: dataset \"%s\" has another type or shape than expected", h->path, name);
    return H5I_INVALID_HID;
}

xr_status xr_h5_length(xr_h5_in *h, const char *name, xr_h5_type type, size_t *n)
{
    hsize_t length = 0;
    hid_t id = open_vector(h, name, type, &length);
    *n = length;
    if (id < 0)
        return xr_error_status();
    H5Dclose(id);
    return XR_OK;
}

xr_status xr_h5_read_part(xr_h5_in *h, const char *name, xr_h5_type type, size_t first, size_t n, void *out)
{
    hsize_t length;
    hid_t id = open_vector(h, name, type, &length);
    if (id < 0)
        return xr_error_status();
    xr_status status = XR_OK;
    if (first > length || n > length - first)
        status = xr_fail(XR_EDATA, "%s: dataset \"%s\" has %llu elements; %zu from %zu were asked for", h->path, name, (unsigned long long)length, n, first);
    else if (n > 0 && transfer(id, memory_type(type), first, n, out, NULL) < 0)
        status = h5_fail(XR_EDATA, h->path, "reading a dataset");
    H5Dclose(id);
    return status;
}
