/* HDF5 files read with suspicion (reliability.md A.2, catalogue 100): what is opened is a plain dataset of the root, stored in this very file, by
 * known filters, of a size that the file can hold. */
#include "util/h5_lib.h"

#include <stdio.h>
#include <string.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/str.h"

#define CHUNK_CAP ((hsize_t)64 << 20)           /* bytes of a chunk */
#define DECLARED_CAP ((hsize_t)4 << 30)         /* over this, a dataset must be stored in at least a thousandth of its size */
#define DECLARED_RATIO 1000u
#define CACHE_BYTES ((size_t)256 << 10)         /* decoded chunks that the library keeps for each dataset */

xr_h5_in *xr_h5_open(const char *path)
{
    if (xr_h5_start(path) < 0)
        return NULL;
    if (!xr_path_exists(path)) {
        xr_fail(XR_ENOINPUT, "%s: does not exist or cannot be opened", path);
        return NULL;
    }
    xr_h5_in *h = xr_alloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->id = H5I_INVALID_HID;
    h->path = xr_strdup(path);
    hid_t access = xr_h5_access();
    if (h->path && (access < 0 || (h->id = H5Fopen(path, H5F_ACC_RDONLY, access)) < 0))
        xr_h5_fail(XR_EDATA, path, "opening the HDF5 file");
    H5Pclose(access);
    if (h->id >= 0)
        return h;
    xr_h5_close(h);
    return NULL;
}

void xr_h5_close(xr_h5_in *h)
{
    if (!h)
        return;
    for (int i = 0; i < h->n_sets; i++)
        H5Dclose(h->set[i].id);
    if (h->id >= 0)
        H5Fclose(h->id);
    xr_free(h->path);
    xr_free(h);
}

/* A hard link: anything else could lead out of this file. */
static xr_status check_link(const xr_h5_in *h, const char *name)
{
    H5L_info_t info;
    if (H5Lget_info(h->id, name, &info, H5P_DEFAULT) < 0) {
        char none[300];
        snprintf(none, sizeof none, "there is no \"%s\" in the file", name);
        return xr_h5_fail_else(XR_EDATA, h->path, "opening a dataset", none);
    }
    if (info.type != H5L_TYPE_HARD)
        return xr_fail(XR_EDATA, "%s: \"%s\" is a link that leads elsewhere; a dataset in this very file was expected", h->path, name);
    return XR_OK;
}

static int known_filter(hid_t create, unsigned i)
{
    unsigned flags, values;
    size_t n = 0;
    H5Z_filter_t f = H5Pget_filter2(create, i, &flags, &n, &values, 0, NULL, NULL);
    return f == H5Z_FILTER_DEFLATE || f == H5Z_FILTER_SHUFFLE || f == H5Z_FILTER_FLETCHER32;
}

/* In chunks of bearable size, behind filters that we write. */
static xr_status check_layout(const xr_h5_in *h, const char *name, hid_t create, size_t size)
{
    hsize_t chunk[2] = { 1, 1 };
    if (create < 0 || H5Pget_layout(create) != H5D_CHUNKED || H5Pget_chunk(create, 2, chunk) < 1)
        return xr_fail(XR_EDATA, "%s: dataset \"%s\" is not stored in chunks in this file; external and virtual storage are not read", h->path, name);
    if (chunk[0] > CHUNK_CAP || chunk[1] > CHUNK_CAP || chunk[0] * chunk[1] > CHUNK_CAP / size)
        return xr_fail(XR_EDATA, "%s: dataset \"%s\" has chunks of %llu x %llu elements; at most 64 MiB are read", h->path, name,
                       (unsigned long long)chunk[0], (unsigned long long)chunk[1]);
    int n = H5Pget_nfilters(create);
    for (int i = 0; i < n; i++)
        if (!known_filter(create, (unsigned)i))
            return xr_fail(XR_EDATA, "%s: dataset \"%s\" has a filter other than deflate, shuffle and Fletcher32; it is not read", h->path, name);
    return XR_OK;
}

/* One or two dimensions whose product fits, and not far more than the file can hold. */
static xr_status check_shape(const xr_h5_in *h, const char *name, xr_h5_dataset_in *d, size_t size)
{
    hsize_t dims[2] = { 0, 1 }, bytes;
    hid_t space = H5Dget_space(d->id);
    d->rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    int bad = d->rank < 1 || d->rank > 2 || H5Sget_simple_extent_dims(space, dims, NULL) < 0;
    H5Sclose(space);
    if (bad)
        return xr_fail(XR_EDATA, "%s: dataset \"%s\" is of rank %d; 1 or 2 was expected", h->path, name, d->rank);
    if (__builtin_mul_overflow(dims[0], dims[1], &bytes) || __builtin_mul_overflow(bytes, size, &bytes) ||
        (bytes > DECLARED_CAP && bytes / DECLARED_RATIO > H5Dget_storage_size(d->id)))
        return xr_fail(XR_EDATA, "%s: dataset \"%s\" claims %llu x %llu elements, which the file cannot hold", h->path, name,
                       (unsigned long long)dims[0], (unsigned long long)dims[1]);
    d->rows = dims[0];
    d->cols = dims[1];
    return XR_OK;
}

static xr_status check_dataset(const xr_h5_in *h, const char *name, xr_h5_dataset_in *d, hid_t stored)
{
    size_t size = stored < 0 ? 0 : H5Tget_size(stored);
    H5T_class_t class = size ? H5Tget_class(stored) : H5T_NO_CLASS, want = d->type < 0 ? H5T_STRING : H5Tget_class(d->type);
    if (class != want || H5Tis_variable_str(stored) > 0 || (d->type >= 0 && size != H5Tget_size(d->type)) ||
        (class == H5T_INTEGER && H5Tget_sign(stored) != H5T_SGN_NONE))
        return xr_fail(XR_EDATA, "%s: dataset \"%s\" has another type than expected", h->path, name);
    hid_t create = H5Dget_create_plist(d->id);
    xr_status status = check_layout(h, name, create, size);
    H5Pclose(create);
    return status < 0 ? status : check_shape(h, name, d, size);
}

static hid_t open_plain(const xr_h5_in *h, const char *name)
{
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS), id = H5I_INVALID_HID;
    if (access >= 0 && H5Pset_chunk_cache(access, H5D_CHUNK_CACHE_NSLOTS_DEFAULT, CACHE_BYTES, 1.0) >= 0)
        id = H5Dopen2(h->id, name, access);
    H5Pclose(access);
    return id;
}

/* type < 0: the dataset's own string type, which is left in d->type and is the caller's to close. */
static int find(xr_h5_in *h, const char *name, hid_t type)
{
    XR_ASSERT(h->n_sets < XR_H5_DATASET_CAP, "more than %d datasets", XR_H5_DATASET_CAP);
    xr_h5_dataset_in d = { .type = type };
    XR_TRY(check_link(h, name));
    if ((d.id = open_plain(h, name)) < 0)
        return xr_h5_fail(XR_EDATA, h->path, "opening a dataset");
    hid_t stored = H5Dget_type(d.id);
    if (check_dataset(h, name, &d, stored) < 0) {
        H5Tclose(stored);
        H5Dclose(d.id);
        return xr_error_status();
    }
    if (type < 0)
        d.type = stored;
    else
        H5Tclose(stored);
    h->set[h->n_sets] = d;
    return h->n_sets++;
}

int xr_h5_find(xr_h5_in *h, const char *name, xr_h5_type type, uint64_t *rows, size_t *cols)
{
    int number = find(h, name, xr_h5_memory_type(type));
    if (number < 0)
        return number;
    *rows = h->set[number].rows;
    *cols = h->set[number].cols;
    return number;
}

void xr_h5_forget(xr_h5_in *h)
{
    XR_ASSERT(h->n_sets > 0, "no dataset is open");
    H5Dclose(h->set[--h->n_sets].id);
}

xr_status xr_h5_rows(xr_h5_in *h, int number, uint64_t first, size_t n, void *rows)
{
    XR_ASSERT(number >= 0 && number < h->n_sets, "dataset %d of %d", number, h->n_sets);
    const xr_h5_dataset_in *d = &h->set[number];
    XR_ASSERT(first <= d->rows && n <= d->rows - first, "rows [%llu, + %zu) of %llu", (unsigned long long)first, n, (unsigned long long)d->rows);
    if (n == 0)
        return XR_OK;
    hsize_t start[2] = { first, 0 }, count[2] = { n, d->cols };
    hid_t space = H5Dget_space(d->id), memory = H5Screate_simple(d->rank, count, NULL);
    xr_status status = XR_OK;
    if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(d->id, d->type, memory, space, H5P_DEFAULT, rows) < 0)
        status = xr_h5_fail(XR_EDATA, h->path, "reading a dataset");
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

static void *read_all(xr_h5_in *h, int number, size_t *rows, size_t *cols)
{
    const xr_h5_dataset_in *d = &h->set[number];
    *rows = d->rows;
    *cols = d->cols * (H5Tget_class(d->type) == H5T_STRING ? H5Tget_size(d->type) : 1);
    void *data = xr_alloc(d->rows, d->cols * H5Tget_size(d->type));
    if (data && xr_h5_rows(h, number, 0, d->rows, data) == XR_OK)
        return data;
    xr_free(data);
    return NULL;
}

void *xr_h5_read(const char *path, const char *name, xr_h5_type type, size_t *rows, size_t *cols)
{
    xr_h5_in *h = xr_h5_open(path);
    int number = h ? find(h, name, xr_h5_memory_type(type)) : -1;
    void *data = number < 0 ? NULL : read_all(h, number, rows, cols);
    xr_h5_close(h);
    return data;
}

char *xr_h5_read_strings(const char *path, const char *name, size_t *rows, size_t *cols)
{
    xr_h5_in *h = xr_h5_open(path);
    int number = h ? find(h, name, H5I_INVALID_HID) : -1;
    char *text = number < 0 ? NULL : read_all(h, number, rows, cols);
    if (number >= 0)
        H5Tclose(h->set[number].type);
    xr_h5_close(h);
    return text;
}

char *xr_h5_text(xr_h5_in *h, const char *object, const char *name)
{
    char *text = NULL;
    hid_t id = H5Aopen_by_name(h->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = id < 0 ? H5I_INVALID_HID : H5Aget_type(id), space = id < 0 ? H5I_INVALID_HID : H5Aget_space(id);
    if (type < 0 || H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) > 0 || H5Sget_simple_extent_npoints(space) != 1)
        xr_h5_fail(XR_EDATA, h->path, "opening a text attribute");
    else
        text = xr_alloc(H5Tget_size(type) + 1, 1);
    if (text && H5Aread(id, type, text) < 0) {
        xr_h5_fail(XR_EDATA, h->path, "reading an attribute");
        xr_free(text);
        text = NULL;
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(id);
    return text;
}

char *xr_h5_read_attribute(const char *path, const char *object, const char *name)
{
    xr_h5_in *h = xr_h5_open(path);
    char *text = h ? xr_h5_text(h, object, name) : NULL;
    xr_h5_close(h);
    return text;
}
